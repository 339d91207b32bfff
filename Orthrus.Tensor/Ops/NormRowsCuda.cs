using System.Runtime.InteropServices;

namespace Orthrus.Tensor;

/// <summary>Launches of cuda/norm.cu, which layer norm and RMS norm share, with and without a residual.</summary>
internal static class NormRowsCuda
{
    /// <summary>Kernels for rows of up to some width.</summary>
    private sealed record Width(int Most, bool ByFours, bool Block, string Name)
    {
        internal CudaKernel Forward { get; } = new("norm", $"norm_forward_{Name}");
        internal CudaKernel Backward { get; } = new("norm", $"norm_backward_{Name}");
        /// <summary>Numbers that a thread holds where a block takes a row.</summary>
        internal int PerThread => ByFours ? 32 : 4;
    }

    private static readonly Width[] Widths =
    [
        new(256, true, false, "256"), new(512, true, false, "512"), new(1024, true, false, "1024"), new(8192, true, true, "8192"),
        new(256, false, false, "256_single"), new(4096, false, true, "4096_single"),
    ];

    // Warps of a block where each takes rows of its own. Backward sums weight gradients over rows: as few blocks as fill a device, at least so many rows each.
    private const int ForwardWarps = 4, BackwardWarps = 8, MostRowsPerWarp = 16, WarpsPerMultiprocessor = 16, MostParts = 264, RowsPerPart = 32;

    [StructLayout(LayoutKind.Sequential)]
    private struct Args
    {
        internal nint H, Residual, Weight, Bias, Y, Sum;
        internal long Rows;
        internal int D, Centred;
        internal float Eps;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct GradientArgs
    {
        internal nint H, Sum, Weight, Dy, DSum, Dx, DResidual, Parts;
        internal long Rows;
        internal int D, Centred;
        internal float Eps;
    }

    /// <summary>Launches the forward kernel; operands as for <see cref="NormRows.Forward"/>.</summary>
    /// <exception cref="DeviceException">Rows longer than the kernels hold.</exception>
    internal static void Forward(in OpArgs args, int residual, int weight, int bias, double eps)
    {
        Tensor h = args.Inputs[0], added = residual < 0 ? Tensor.None : args.Inputs[residual], w = args.Inputs[weight], b = bias < 0 ? Tensor.None : args.Inputs[bias];
        Tensor sum = residual < 0 ? Tensor.None : args.Outputs[1];
        var a = new Args
        {
            H = h.Address, Residual = CudaOperand.AddressOrNull(added), Weight = w.Address, Bias = CudaOperand.AddressOrNull(b), Y = args.Outputs[0].Address, Sum = CudaOperand.AddressOrNull(sum),
            Rows = h.Shape.Rows, D = h.Shape.Last, Centred = bias >= 0 ? 1 : 0, Eps = (float)eps,
        };
        var width = Find(a.D, CudaOperand.ByFours(a.D, h, added, w, b, args.Outputs[0], sum));
        // Rows do not depend on each other, so that their distribution may follow the device.
        int rowsPerWarp = (int)Math.Clamp(a.Rows / (args.Cuda.Multiprocessors * WarpsPerMultiprocessor), 1, MostRowsPerWarp);
        int rowsPerBlock = width.Block ? rowsPerWarp : rowsPerWarp * ForwardWarps;
        args.Cuda.Launch(width.Forward, args.DType, CudaGrid.Cover(a.Rows, rowsPerBlock), width.Block ? BlockThreads(width, a.D) : 32 * ForwardWarps, 0, a);
    }

    /// <summary>Launches the backward kernels; operands as for <see cref="NormRows.Backward"/>.</summary>
    /// <exception cref="DeviceException">Rows longer than the kernels hold.</exception>
    internal static void Backward(in GradArgs args, int residual, int weight, int bias, double eps)
    {
        bool added = residual >= 0 && !args.Inputs[residual].IsNone;
        Tensor h = args.Inputs[0], sum = added ? args.Outputs[1] : Tensor.None, w = args.Inputs[weight], dy = args.OutputGrads[0], dsum = added ? args.OutputGrads[1] : Tensor.None;
        Tensor dx = args.InputGrads[0], dResidual = added ? args.InputGrads[residual] : Tensor.None;
        Tensor dWeight = args.InputGrads[weight], dBias = bias < 0 ? Tensor.None : args.InputGrads[bias];
        long rows = h.Shape.Rows;
        int d = h.Shape.Last, blocks = (int)Math.Clamp((rows + RowsPerPart - 1) / RowsPerPart, rows == 0 ? 0 : 1, MostParts);
        var parts = dWeight.IsNone && dBias.IsNone ? Tensor.None : args.Scratch.Empty(new Shape(blocks, 2, d), DType.F32);
        var a = new GradientArgs
        {
            H = added ? 0 : h.Address, Sum = CudaOperand.AddressOrNull(sum), Weight = w.Address, Dy = CudaOperand.AddressOrNull(dy), DSum = CudaOperand.AddressOrNull(dsum),
            Dx = CudaOperand.AddressOrNull(dx), DResidual = CudaOperand.AddressOrNull(dResidual), Parts = CudaOperand.AddressOrNull(parts),
            Rows = rows, D = d, Centred = bias >= 0 ? 1 : 0, Eps = (float)eps,
        };
        var width = Find(d, CudaOperand.ByFours(d, added ? sum : h, w, dy, dsum, dx, dResidual));
        args.Cuda.Launch(width.Backward, args.DType, blocks, width.Block ? BlockThreads(width, d) : 32 * BackwardWarps, 0, a);
        if (!parts.IsNone) ParameterTotals.Launch(args, parts, dWeight, dBias);
    }

    private static int BlockThreads(Width width, int d) => (d + 32 * width.PerThread - 1) / (32 * width.PerThread) * 32;

    private static Width Find(int d, bool byFours)
    {
        foreach (var width in Widths)
            if (d <= width.Most && byFours == width.ByFours) return width;
        throw new DeviceException($"norm: rows of {d} numbers; CUDA kernels take up to {Widths[^1].Most}, or {Widths[3].Most} where it is a multiple of four: use the CPU");
    }
}
