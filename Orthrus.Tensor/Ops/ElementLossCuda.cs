using System.Runtime.InteropServices;

namespace Orthrus.Tensor;

/// <summary>Launches of cuda/element_loss.cu.</summary>
internal static class ElementLossCuda
{
    private const int Threads = 256, PerBlock = 4096;

    private static readonly CudaKernel TotalKernel = new("element_loss", "element_loss_total");

    [StructLayout(LayoutKind.Sequential)]
    private struct Args
    {
        internal nint X, Target, Dy, To;
        internal long Count;
        internal int PerElement, Vector;
        internal float Divisor;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct TotalArgs
    {
        internal nint Partial, To;
        internal int Blocks;
        internal float Divisor;
    }

    internal static void Forward(CudaKernel kernel, in OpArgs args, Reduction reduction)
    {
        long n = args.Inputs[0].Count;
        int blocks = CudaGrid.Cover(n, PerBlock);
        bool perElement = reduction == Reduction.None;
        nint loss = args.Outputs[0].Address, to = perElement ? loss : args.Scratch.Empty(new Shape(blocks), DType.F32).Address;
        var a = new Args { X = args.Inputs[0].Address, Target = args.Inputs[1].Address, To = to, Count = n, PerElement = perElement ? 1 : 0, Divisor = 1 };
        // Blocks begin at multiples of a quad; the last one's rest goes by itself.
        a.Vector = Quads.Fit(0, a.X | a.Target | (perElement ? loss : 0));
        args.Cuda.Launch(kernel, DType.F32, blocks, Threads, 0, a);
        if (perElement) return;
        var total = new TotalArgs { Partial = to, To = loss, Blocks = blocks, Divisor = reduction == Reduction.Mean && n > 0 ? n : 1 };
        args.Cuda.Launch(TotalKernel, DType.F32, 1, Threads, 0, total);
    }

    internal static void Backward(CudaKernel kernel, in GradArgs args, Reduction reduction)
    {
        if (args.InputGrads[0].IsNone) return;
        bool perElement = reduction == Reduction.None;
        var a = new Args
        {
            X = args.Inputs[0].Address, Target = args.Inputs[1].Address, Dy = args.OutputGrads[0].Address, To = args.InputGrads[0].Address, Count = args.Inputs[0].Count,
            PerElement = perElement ? 1 : 0, Divisor = reduction == Reduction.Mean ? args.Inputs[0].Count : 1,
        };
        a.Vector = Quads.Fit(0, a.X | a.Target | a.To | (perElement ? a.Dy : 0));
        args.Cuda.Launch(kernel, DType.F32, CudaGrid.Cover(a.Count, PerBlock), Threads, 0, a);
    }
}
