using System.Runtime.InteropServices;

namespace Orthrus.Tensor.Cuda;

/// <summary>Conversion between F32 and BF16 on the device: cuda/cast.cu.</summary>
internal static class CudaCast
{
    // Always the BF16 form of the source: in the other one both types are float.
    private static readonly CudaKernel Narrow = new("cast", "cast_to_activation"), Widen = new("cast", "cast_from_activation");

    [StructLayout(LayoutKind.Sequential)]
    private struct Args
    {
        internal nint From, To;
        internal long Count;
    }

    /// <summary>Overwrites a tensor with another's numbers. Narrowing rounds to nearest, ties to even; NaN stays NaN.</summary>
    /// <param name="source">F32 or BF16, on a CUDA device of compute capability 8.0 or newer.</param>
    /// <param name="target">The other of the two types, as many elements, on the same device.</param>
    /// <exception cref="ShapeException">Other types, or another number of elements.</exception>
    /// <exception cref="DeviceException">The tensors are not on one CUDA device that computes in BF16.</exception>
    internal static void Run(in Tensor source, in Tensor target)
    {
        if ((source.DType, target.DType) is not ((DType.F32, DType.BF16) or (DType.BF16, DType.F32)))
            throw new ShapeException($"cast from {source.DType} to {target.DType} on {source.Device.Name}: it converts between F32 and BF16");
        if (source.Count != target.Count) throw new ShapeException($"cast of {source.Shape} to {target.Shape}");
        if (source.Device is not CudaDevice device || target.Device != device) throw new DeviceException($"cast of a tensor of {source.Device.Name} to {target.Device.Name}");
        var a = new Args { From = source.Address, To = target.Address, Count = source.Count };
        device.Launch(source.DType == DType.F32 ? Narrow : Widen, DType.BF16, CudaGrid.Cover(a.Count, CudaElements.PerBlock), CudaElements.Threads, 0, a);
    }
}
