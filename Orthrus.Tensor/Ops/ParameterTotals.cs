using System.Runtime.InteropServices;

namespace Orthrus.Tensor;

/// <summary>Launch of cuda/totals.cu: gradients of per-channel weights and biases from parts of them.</summary>
internal static class ParameterTotals
{
    private const int Columns = 32, Threads = 256;

    private static readonly CudaKernel Kernel = new("totals", "totals");

    [StructLayout(LayoutKind.Sequential)]
    private struct Args
    {
        internal nint Parts, Weight, Bias;
        internal int Count, Sums, Channels;
    }

    /// <summary>Adds up parts, in an order that depends on their number alone.</summary>
    /// <param name="args">The call whose operator made the parts.</param>
    /// <param name="parts">(parts, S, C), F32: the sums of the S - 1 weights of each channel and, last, of its bias.</param>
    /// <param name="weight">(C, S - 1), F32, or none.</param>
    /// <param name="bias">(C), F32, or none.</param>
    internal static void Launch(in GradArgs args, in Tensor parts, in Tensor weight, in Tensor bias)
    {
        var shape = parts.Shape;
        var a = new Args { Parts = parts.Address, Weight = CudaOperand.AddressOrNull(weight), Bias = CudaOperand.AddressOrNull(bias), Count = shape[0], Sums = shape[1], Channels = shape[2] };
        args.Cuda.Launch(Kernel, DType.F32, CudaGrid.Cover((long)shape[1] * shape[2], Columns), Threads, 0, a);
    }
}
