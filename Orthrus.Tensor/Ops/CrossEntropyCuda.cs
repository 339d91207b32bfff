using System.Runtime.InteropServices;

namespace Orthrus.Tensor;

public sealed partial class CrossEntropy
{
    private const int Threads = 256, RowsPerBlock = 1024, TotalThreads = 256;

    private static readonly CudaKernel ForwardKernel = new("cross_entropy", "cross_entropy_forward"), TotalKernel = new("cross_entropy", "cross_entropy_total"),
        CountKernel = new("cross_entropy", "cross_entropy_count"), BackwardKernel = new("cross_entropy", "cross_entropy_backward");

    [StructLayout(LayoutKind.Sequential)]
    private struct Args
    {
        internal nint X, Labels, Dy, To, Valid;
        internal long Rows, Ignore;
        internal int Classes, LabelBytes, PerRow, Vector, Blocks;

        internal Args(ReadOnlySpan<Tensor> inputs, in Attr attr)
        {
            X = inputs[0].Address;
            Labels = inputs[1].Address;
            Rows = inputs[1].Count;
            Ignore = attr.IgnoreIndex;
            Classes = inputs[0].Shape.Last;
            LabelBytes = inputs[1].DType.Size();
            PerRow = attr.Reduction == Reduction.None ? 1 : 0;
            Blocks = CudaGrid.Cover(Rows, RowsPerBlock);
        }
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct TotalArgs
    {
        internal nint Partial, Valid, To;
        internal int Blocks, Mean;
    }

    /// <inheritdoc/>
    /// <remarks>The host does not look at the labels: one that is no class and not ignored gives NaN.</remarks>
    public static void ForwardCuda(in OpArgs args, in Attr attr)
    {
        var a = new Args(args.Inputs, attr) { To = args.Outputs[0].Address };
        a.Vector = Quads.Fit(a.Classes, a.X);
        if (a.PerRow == 0)
        {
            a.To = args.Scratch.Empty(new Shape(a.Blocks), DType.F32).Address;
            a.Valid = args.Scratch.Empty(new Shape(a.Blocks), DType.I32).Address;
        }
        args.Cuda.Launch(ForwardKernel, DType.F32, a.Blocks, Threads, 0, a);
        if (a.PerRow != 0) return;
        var total = new TotalArgs { Partial = a.To, Valid = a.Valid, To = args.Outputs[0].Address, Blocks = a.Blocks, Mean = attr.Reduction == Reduction.Mean ? 1 : 0 };
        args.Cuda.Launch(TotalKernel, DType.F32, 1, TotalThreads, 0, total);
    }

    /// <inheritdoc/>
    /// <remarks>The host does not look at the labels: one that is no class and not ignored gives NaN.</remarks>
    public static void BackwardCuda(in GradArgs args, in Attr attr)
    {
        if (args.InputGrads[0].IsNone) return;
        var a = new Args(args.Inputs, attr) { Dy = args.OutputGrads[0].Address, To = args.InputGrads[0].Address };
        a.Vector = Quads.Fit(a.Classes, a.X | a.To);
        if (attr.Reduction == Reduction.Mean)
        {
            a.Valid = args.Scratch.Empty(new Shape(a.Blocks), DType.I32).Address;
            args.Cuda.Launch(CountKernel, DType.F32, a.Blocks, Threads, 0, a);
        }
        args.Cuda.Launch(BackwardKernel, DType.F32, a.Blocks, Threads, 0, a);
    }
}
