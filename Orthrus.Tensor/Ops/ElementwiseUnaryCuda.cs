using System.Runtime.InteropServices;

namespace Orthrus.Tensor;

/// <summary>Launches of cuda/unary.cu.</summary>
internal static class ElementwiseUnaryCuda
{
    // Bytes of an operand that a thread handles: two accesses of 16.
    private const int Threads = 256, BytesPerThread = 32;

    [StructLayout(LayoutKind.Sequential)]
    private struct Args
    {
        internal nint X, Dy, To;
        internal long Count;
    }

    internal static void Forward(CudaKernel kernel, in OpArgs args) => Launch(kernel, args.Cuda, args.DType, args.Inputs[0], Tensor.None, args.Outputs[0]);

    internal static void Backward(CudaKernel kernel, in GradArgs args)
    {
        if (!args.InputGrads[0].IsNone) Launch(kernel, args.Cuda, args.DType, args.Inputs[0], args.OutputGrads[0], args.InputGrads[0]);
    }

    private static void Launch(CudaKernel kernel, CudaDevice device, DType dtype, in Tensor x, in Tensor dy, in Tensor to)
    {
        var a = new Args { X = x.Address, Dy = dy.IsNone ? 0 : dy.Address, To = to.Address, Count = to.Count };
        device.Launch(kernel, dtype, CudaGrid.Cover(to.Count, Threads * BytesPerThread / dtype.Size()), Threads, 0, a);
    }
}
