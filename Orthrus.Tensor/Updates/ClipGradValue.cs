using System.Numerics;
using System.Runtime.InteropServices;

namespace Orthrus.Tensor;

/// <summary>Limits every gradient element to [-limit, limit].</summary>
/// <remarks>List: gradient, F32 or F64. NaN stays NaN. Source: torch.nn.utils.clip_grad_value_.</remarks>
public sealed class ClipGradValue : IStateUpdate<ClipGradValue.Attr>
{
    /// <summary>Options.</summary>
    /// <param name="Limit">Largest absolute value.</param>
    public readonly record struct Attr(double Limit);

    /// <inheritdoc/>
    public static string Name => "clip_grad_value";
    /// <inheritdoc/>
    public static UpdateSignature Signature { get; } = new([new("gradient", true)], []);

    /// <inheritdoc/>
    public static void Reference<R>(in UpdateRefArgs<R> args, in Attr attr) where R : struct, IReal<R>
    {
        foreach (var g in args.List(0))
            for (int i = 0; i < g.Length; i++)
                if (Math.Abs(g[i].Value) > attr.Limit) g[i] = R.From(Math.CopySign(attr.Limit, g[i].Value));
    }

    /// <inheritdoc/>
    public static unsafe void RunCpu<T>(in UpdateArgs args, in Attr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var job = new Job<T> { Lists = MultiTensor<T>.Of(args), Limit = T.CreateTruncating(attr.Limit) };
        args.Workers.Run(job.Lists.Chunks, ref job);
    }

    private static readonly CudaKernel Kernel = new("updates", "clip_value");

    [StructLayout(LayoutKind.Sequential)]
    private struct CudaArgs
    {
        internal MultiTensorCuda Lists;
        internal float Limit;
    }

    /// <inheritdoc/>
    public static void RunCuda(in UpdateArgs args, in Attr attr)
    {
        var a = new CudaArgs { Limit = (float)attr.Limit };
        for (int next = 0; next < args.Count;)
        {
            int blocks = a.Lists.Take(args, ref next);
            args.Cuda.Launch(Kernel, DType.F32, blocks, MultiTensorCuda.Threads, 0, a);
        }
    }

    private unsafe struct Job<T> : IParallelJob where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        internal MultiTensor<T> Lists;
        internal T Limit;

        public readonly void Run(int chunk)
        {
            T* g = Lists.At(0, chunk);
            for (int i = 0, n = Lists.Length(chunk); i < n; i++) g[i] = T.Clamp(g[i], -Limit, Limit);
        }
    }

    /// <inheritdoc/>
    public static OpCost Cost(long elements, DType dtype, in Attr attr) => new(2 * elements, 2 * elements * dtype.Size(), 0, 0);

    /// <inheritdoc/>
    public static IEnumerable<UpdateSample<Attr>> Samples()
    {
        yield return new("some above", new(0.5), [SampleInput.Normal(new Shape(3, 7)), SampleInput.Values(new Shape(4), 0.5, -0.5, 0, double.NaN)]);
        yield return new("several chunks", new(1), [SampleInput.Normal(new Shape(2, 9001)), SampleInput.Normal(new Shape(3))]);
        yield return new("bench", new(1), [SampleInput.Normal(new Shape(1 << 22))]) { Bench = true };
    }
}
