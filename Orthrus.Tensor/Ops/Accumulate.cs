using System.Numerics;
using System.Runtime.InteropServices;
using Orthrus.Tensor.Cpu;

namespace Orthrus.Tensor;

/// <summary>Adds one tensor to another in place: where gradients of several uses of a value meet.</summary>
public static class Accumulate
{
    // Elements per work item: large enough to hide the hand-over, small enough to share a weight matrix among threads.
    private const int Chunk = 1 << 15;

    /// <summary>sum += term, element by element.</summary>
    /// <param name="sum">F32 or F64, on a CUDA device F32 or BF16; overwritten.</param>
    /// <param name="term">As many elements of the same type on the same device.</param>
    /// <exception cref="ShapeException">Number or type of the elements differ.</exception>
    public static void Into(in Tensor sum, in Tensor term)
    {
        if (sum.Count != term.Count || sum.DType != term.DType) throw new ShapeException($"accumulate: {term} cannot be added to {sum}");
        if (sum.Device != term.Device) throw new DeviceException($"accumulate: {term.Device.Name} against {sum.Device.Name}");
        if (sum.Device is CudaDevice device) AddCuda(device, sum, term);
        else if (sum.DType == DType.F32) AddCpu<float>(sum, term);
        else if (sum.DType == DType.F64) AddCpu<double>(sum, term);
        else throw new ShapeException($"accumulate: {sum} is not made of real numbers");
    }

    private static readonly CudaKernel AddKernel = new("accumulate", "accumulate");

    [StructLayout(LayoutKind.Sequential)]
    private struct Args
    {
        internal nint Sum, Term;
        internal long Count;
    }

    private static void AddCuda(CudaDevice device, in Tensor sum, in Tensor term)
    {
        if (sum.DType is not (DType.F32 or DType.BF16)) throw new ShapeException($"accumulate: {sum} on {device.Name}; want F32 or BF16");
        const int threads = 256, perThread = 4;
        device.Launch(AddKernel, sum.DType, CudaGrid.Cover(sum.Count, threads * perThread), threads, 0, new Args { Sum = sum.Address, Term = term.Address, Count = sum.Count });
    }

    private static unsafe void AddCpu<T>(in Tensor sum, in Tensor term) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var job = new AddJob<T> { Sum = sum.Pointer<T>(), Term = term.Pointer<T>(), Count = sum.Count };
        var device = (CpuDevice)sum.Device;
        VectorJobs.Run<T, AddJob<T>>(device.Workers, device.VectorWidth, checked((int)((sum.Count + Chunk - 1) / Chunk)), ref job);
    }

    private unsafe struct AddJob<T> : IVectorJob<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        internal T* Sum, Term;
        internal long Count;

        public readonly void Run<V>(int index) where V : unmanaged, ISimd<V, T>
        {
            long first = (long)index * Chunk;
            RowMath.Add<V, T>(Term + first, Sum + first, (int)Math.Min(Chunk, Count - first));
        }
    }
}
