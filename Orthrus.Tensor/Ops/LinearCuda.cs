using System.Runtime.InteropServices;
using Orthrus.Tensor.Cuda;

namespace Orthrus.Tensor;

/// <summary>Launches of cuda/linear.cu and cuda/linear_grad.cu.</summary>
public sealed partial class Linear
{
    /// <summary>Twin of LinearArgs: c (M, N) = sum over k of A (M, k) B (N, k), with pitches in elements.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct CudaArgs
    {
        internal nint A, B, C, Bias, Residual;
        internal long PitchA, PitchB, PitchC;
        internal int M, N, K, Slice;
        internal CudaEpilogue Epilogue;
    }

    /// <summary>What happens to a forward product after the bias is added, in this order.</summary>
    [Flags]
    internal enum CudaEpilogue
    {
        None = 0,
        Silu = 1,
        Residual = 2,
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct SumArgs
    {
        internal nint Parts, Sum;
        internal long Count;
        internal int Slices;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct BiasGradArgs
    {
        internal nint Dy, Parts;
        internal long Rows, Slice;
        internal int Columns;
    }

    /// <summary>A block's tile of the result.</summary>
    internal readonly record struct CudaTile(string Name, int Rows, int Columns, int ThreadsF32, int ThreadsBF16, int DynamicShared = 0)
    {
        internal long Blocks(long m, long n) => (m + Rows - 1) / Rows * ((n + Columns - 1) / Columns);
        internal int Threads(DType dtype) => dtype == DType.BF16 ? ThreadsBF16 : ThreadsF32;
    }

    /// <summary>Tiles by falling size, the first for BF16 results alone. The last one takes operands of any alignment.</summary>
    internal static readonly CudaTile[] CudaTiles =
        [new("huge", 256, 128, 0, 256, 3 * (256 + 128) * 32 * 2), new("large", 128, 128, 256, 128), new("medium", 128, 64, 128, 128), new("thin", 64, 32, 128, 128), new("loose", 64, 64, 128, 128)];
    private const int Huge = 0, Thin = 3, Loose = 4;

    /// <summary>Kernels of a product, one for each tile.</summary>
    internal static readonly CudaKernel[] ForwardKernels = KernelsOf("linear", "linear_forward"), InputGradKernels = KernelsOf(Gradients, "linear_input_grad"),
        WeightGradKernels = KernelsOf(Gradients, "linear_weight_grad");
    private const string Gradients = "linear_grad";
    private static readonly CudaKernel SumKernel = new(Gradients, "linear_sum"), BiasGradKernel = new(Gradients, "linear_bias_grad");

    // Slices of the rows in sums over rows: enough to fill a device, and so long that adding their sums costs little. The shapes alone determine them.
    private const int WantedBlocks = 128, LeastSlice = 512, SliceMultiple = 64, LeastBiasSlice = 64, MostBiasSlices = 128;

    // The huge tile has no weight gradient: twice as many slices would be needed to fill a device, and their sums cost more than it saves.
    private static CudaKernel[] KernelsOf(string file, string product) => Array.ConvertAll(CudaTiles, t => new CudaKernel(file, $"{product}_{t.Name}"));

    /// <inheritdoc/>
    public static void ForwardCuda(in OpArgs args, in NoAttr attr)
    {
        var bias = args.Inputs[Bias];
        ForwardOn(args, args.Inputs[X], args.Inputs[Weight], bias.IsNone ? 0 : bias.Address, args.Outputs[0]);
    }

    /// <summary>y = x w' and a bias, where there is one.</summary>
    internal static void ForwardOn(in OpArgs args, in Tensor x, in Tensor w, nint bias, in Tensor y)
    {
        var a = Product(x, w.Shape[1], w, w.Shape[1], y, x.Shape.Rows, w.Shape[0], w.Shape[1]);
        a.Bias = bias;
        if (args.Cuda.Multiplier is { } cublas && a is { M: > 0, N: > 0, K: > 0 }) ForwardByCublas(args, cublas, a, y);
        else Launch(args.Cuda, args.DType, ForwardKernels, a, args.DType);
    }

    // Row-major y = x w' is column-major y' = w x'. The bias is added by our own kernel, to a product without terms and what stands there: each element is read and written by one
    // thread. In BF16 the product stays F32 until then, so that it is rounded once.
    private static void ForwardByCublas(in OpArgs args, Cublas cublas, CudaArgs a, in Tensor y)
    {
        var product = a.Bias != 0 && args.DType == DType.BF16 ? args.Scratch.Empty(y.Shape, DType.F32) : y;
        cublas.Product(CublasOperation.Transpose, CublasOperation.None, a.N, a.M, a.K, a.B, a.PitchB, a.A, a.PitchA, product.Address, a.PitchC, args.DType, product.DType);
        if (a.Bias == 0) return;
        (a.C, a.Residual, a.K, a.Epilogue) = (product.Address, product.Address, 0, CudaEpilogue.Residual);
        Launch(args.Cuda, DType.F32, ForwardKernels, a, DType.F32);
        if (args.DType == DType.BF16) CudaCast.Run(product, y);
    }

    /// <inheritdoc/>
    public static void BackwardCuda(in GradArgs args, in NoAttr attr)
    {
        var dy = args.OutputGrads[0];
        BackwardOn(args, args.Inputs[X], args.Inputs[Weight], dy, args.InputGrads[X], args.InputGrads[Weight]);
        if (!args.InputGrads[Bias].IsNone) BiasGrad(args, dy, args.InputGrads[Bias], dy.Shape.Rows, dy.Shape.Last);
    }

    /// <summary>dx = dy w and dw = dy' x, those that are wanted.</summary>
    internal static void BackwardOn(in GradArgs args, in Tensor x, in Tensor w, in Tensor dy, in Tensor dx, in Tensor dw)
    {
        long rows = x.Shape.Rows;
        int k = w.Shape[1], o = w.Shape[0];
        var cublas = rows > 0 && k > 0 && o > 0 ? args.Cuda.Multiplier : null;
        if (!dx.IsNone)
        {
            if (cublas is not null) cublas.Product(CublasOperation.None, CublasOperation.None, k, rows, o, w.Address, k, dy.Address, o, dx.Address, k, args.DType, args.DType);
            else Launch(args.Cuda, args.DType, InputGradKernels, Product(dy, o, w, k, dx, rows, k, o), args.DType);
        }
        if (!dw.IsNone)
        {
            if (cublas is not null) cublas.Product(CublasOperation.None, CublasOperation.Transpose, k, o, rows, x.Address, k, dy.Address, o, dw.Address, k, args.DType, DType.F32);
            else WeightGrad(args, dy, x, dw, rows, o, k);
        }
    }

    private static CudaArgs Product(in Tensor a, long pitchA, in Tensor b, long pitchB, in Tensor c, long m, long n, long k) => new()
    {
        A = a.Address, B = b.Address, C = c.Address, PitchA = pitchA, PitchB = pitchB, PitchC = n, M = checked((int)m), N = checked((int)n), K = checked((int)k), Slice = checked((int)Math.Max(1, k)),
    };

    private static void WeightGrad(in GradArgs args, in Tensor dy, in Tensor x, in Tensor dw, long rows, int o, int k)
    {
        var a = Product(dy, o, x, k, dw, o, k, rows);
        int tile = Choose(a, args.DType, DType.F32, 1);
        // Slices fill the device, not tiles: the choice must not depend on it.
        int slices = (int)Math.Clamp(WantedBlocks / Math.Max(1, CudaTiles[tile].Blocks(o, k)), 1, Math.Max(1, rows / LeastSlice));
        a.Slice = checked((int)((rows + slices - 1) / slices + SliceMultiple - 1) / SliceMultiple * SliceMultiple);
        slices = rows == 0 ? 1 : (int)((rows + a.Slice - 1) / a.Slice);
        if (rows == 0) a.Slice = 1;
        if (slices == 1)
        {
            Launch(args.Cuda, args.DType, WeightGradKernels[tile], tile, a, 1);
            return;
        }
        var parts = args.Scratch.Empty(new Shape(slices, o, k), DType.F32);
        a.C = parts.Address;
        Launch(args.Cuda, args.DType, WeightGradKernels[tile], tile, a, slices);
        Sum(args, parts, dw, slices);
        args.Scratch.Free(parts);
    }

    private static void BiasGrad(in GradArgs args, in Tensor dy, in Tensor db, long rows, int o)
    {
        const int threads = 256, columns = 32;
        long slice = Math.Max(LeastBiasSlice, (rows + MostBiasSlices - 1) / MostBiasSlices);
        int slices = (int)Math.Max(1, (rows + slice - 1) / slice);
        var parts = slices == 1 ? db : args.Scratch.Empty(new Shape(slices, o), DType.F32);
        var a = new BiasGradArgs { Dy = dy.Address, Parts = parts.Address, Rows = rows, Slice = slice, Columns = o };
        args.Cuda.Launch(BiasGradKernel, args.DType, new CudaGrid(CudaGrid.Cover(o, columns), slices), threads, 0, a);
        if (slices == 1) return;
        Sum(args, parts, db, slices);
        args.Scratch.Free(parts);
    }

    private static void Sum(in GradArgs args, in Tensor parts, in Tensor sum, int slices)
    {
        const int threads = 256;
        var a = new SumArgs { Parts = parts.Address, Sum = sum.Address, Count = sum.Count, Slices = slices };
        args.Cuda.Launch(SumKernel, args.DType, CudaGrid.Cover(sum.Count, threads), threads, 0, a);
    }

    private static void Launch(CudaDevice device, DType dtype, CudaKernel[] kernels, in CudaArgs a, DType result)
    {
        int tile = Choose(a, dtype, result, device.Multiprocessors);
        Launch(device, dtype, kernels[tile], tile, a, 1);
    }

    private static void Launch(CudaDevice device, DType dtype, CudaKernel kernel, int tile, in CudaArgs a, int slices) =>
        device.Launch(kernel, dtype, checked((int)(CudaTiles[tile].Blocks(a.M, a.N) * slices)), CudaTiles[tile].Threads(dtype), CudaTiles[tile].DynamicShared, a);

    /// <summary>
    /// The largest tile that the result fills and that gives three of four multiprocessors a block, else the smallest. A multiprocessor holds one huge block at a time, so there must be
    /// whole rounds of them, nearly. The bits of the result do not depend on the choice: the sum of an element runs in the same order in all tiles.
    /// </summary>
    internal static int Choose(in CudaArgs a, DType dtype, DType result, int multiprocessors)
    {
        int vector = 16 / dtype.Size();
        // Where k runs across the rows of an operand, its rows are as long as the result's.
        bool aligned = Aligned(a.A, a.PitchA, vector) && Aligned(a.B, a.PitchB, vector) && Aligned(a.C, a.PitchC, 16 / result.Size()) && a.Bias % 16 == 0 && a.Residual % 16 == 0;
        if (!aligned) return Loose;
        if (result == DType.BF16 && a.N > CudaTiles[Huge].Columns / 2 && FillsRounds(CudaTiles[Huge].Blocks(a.M, a.N), multiprocessors)) return Huge;
        for (int tile = Huge + 1; tile < Thin; tile++)
            if (2 * a.N > CudaTiles[tile].Columns && 2 * a.M > CudaTiles[tile].Rows && 4 * CudaTiles[tile].Blocks(a.M, a.N) >= 3 * multiprocessors) return tile;
        return Thin;
    }

    private static bool FillsRounds(long blocks, int multiprocessors) => 10 * blocks >= 9 * ((blocks + multiprocessors - 1) / multiprocessors * multiprocessors);

    private static bool Aligned(nint address, long pitch, int vector) => address % 16 == 0 && pitch % vector == 0;
}
