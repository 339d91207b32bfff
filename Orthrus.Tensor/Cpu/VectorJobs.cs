using System.Numerics;

namespace Orthrus.Tensor.Cpu;

/// <summary>One item of parallel work that is written once over vectors. Implement as a struct.</summary>
/// <typeparam name="T">float or double.</typeparam>
internal interface IVectorJob<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    /// <summary>Does item <paramref name="index"/> with vectors of type <typeparamref name="V"/>; see <see cref="IParallelJob"/>.</summary>
    void Run<V>(int index) where V : unmanaged, ISimd<V, T>;
}

/// <summary>Runs items of vector code on the threads of a device.</summary>
internal static class VectorJobs
{
    /// <summary>Runs items 0 to <paramref name="items"/> - 1 with vectors of a width. No allocation.</summary>
    internal static void Run<T, TJob>(WorkerPool workers, int width, int items, ref TJob job)
        where T : unmanaged, IBinaryFloatingPointIeee754<T> where TJob : struct, IVectorJob<T>
    {
        var code = new Dispatch<T, TJob> { Workers = workers, Items = items, Job = job };
        SimdDispatch.Run<T, Dispatch<T, TJob>>(width, ref code);
    }

    private struct Dispatch<T, TJob> : IVectorCode<T> where T : unmanaged, IBinaryFloatingPointIeee754<T> where TJob : struct, IVectorJob<T>
    {
        internal WorkerPool Workers;
        internal int Items;
        internal TJob Job;

        public readonly void Run<V>() where V : unmanaged, ISimd<V, T>
        {
            var item = new Item<V, T, TJob> { Job = Job };
            Workers.Run(Items, ref item);
        }
    }

    private struct Item<V, T, TJob> : IParallelJob
        where V : unmanaged, ISimd<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T> where TJob : struct, IVectorJob<T>
    {
        internal TJob Job;

        public readonly void Run(int index) => Job.Run<V>(index);
    }
}
