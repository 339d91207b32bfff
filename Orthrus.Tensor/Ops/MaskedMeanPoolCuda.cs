using System.Runtime.InteropServices;

namespace Orthrus.Tensor;

/// <summary>Launches of cuda/masked_mean_pool.cu.</summary>
internal static class MaskedMeanPoolCuda
{
    private const int Threads = 256, PerPart = 256;

    private static readonly CudaKernel ForwardKernel = new("masked_mean_pool", "pool_forward"), ForwardSingle = new("masked_mean_pool", "pool_forward_single"), Mean = new("masked_mean_pool", "pool_mean"),
        BackwardKernel = new("masked_mean_pool", "pool_backward"), BackwardSingle = new("masked_mean_pool", "pool_backward_single");

    [StructLayout(LayoutKind.Sequential)]
    private struct Args
    {
        internal nint X, Lengths, Parts, Y;
        internal int Batch, Length, Channels, LengthBytes, Blocks;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct GradientArgs
    {
        internal nint Dy, Lengths, Dx;
        internal int Batch, Length, Channels, LengthBytes, Blocks;
    }

    internal static void Forward(in OpArgs args)
    {
        Tensor x = args.Inputs[0], lengths = args.Inputs[1], y = args.Outputs[0];
        var s = x.Shape;
        var a = new Args { X = x.Address, Lengths = lengths.Address, Y = y.Address, Batch = s[0], Length = s[1], Channels = s[2], LengthBytes = lengths.DType.Size(), Blocks = Blocks(s[1]) };
        a.Parts = args.Scratch.Empty(new Shape(s[0], a.Blocks, s[2]), DType.F32).Address;
        bool byFours = CudaOperand.ByFours(s[2], x);
        args.Cuda.Launch(byFours ? ForwardKernel : ForwardSingle, args.DType, Grid(s, byFours), Threads, 0, a);
        args.Cuda.Launch(Mean, args.DType, CudaGrid.Cover(y.Count, Threads), Threads, 0, a);
    }

    internal static void Backward(in GradArgs args)
    {
        if (args.InputGrads[0].IsNone) return;
        Tensor dx = args.InputGrads[0], lengths = args.Inputs[1], dy = args.OutputGrads[0];
        var s = dx.Shape;
        var a = new GradientArgs { Dy = dy.Address, Lengths = lengths.Address, Dx = dx.Address, Batch = s[0], Length = s[1], Channels = s[2], LengthBytes = lengths.DType.Size(), Blocks = Blocks(s[1]) };
        bool byFours = CudaOperand.ByFours(s[2], dx, dy);
        args.Cuda.Launch(byFours ? BackwardKernel : BackwardSingle, args.DType, Grid(s, byFours), Threads, 0, a);
    }

    private static int Blocks(int length) => (length + PerPart - 1) / PerPart;

    private static int Grid(Shape s, bool byFours) => checked(s[0] * Blocks(s[1]) * ((s[2] + (byFours ? 128 : 32) - 1) / (byFours ? 128 : 32)));
}
