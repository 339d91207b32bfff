using System.Runtime.InteropServices;

namespace Orthrus.Tensor;

/// <summary>Launches of cuda/similarity.cu. Splits of the work depend on shapes alone, and so do the bits of the results.</summary>
internal static class SimilarityCuda
{
    /// <summary>Rows and columns of a tile.</summary>
    internal const int Rows = 64, Columns = 128;
    private const int Threads = 128, RowThreads = 256, Statistics = 4;
    // Blocks that fill a large device several times over, so that the last round costs little.
    private const int ForwardBlocks = 1024, BackwardBlocks = 512;
    // Each split of backward has a gradient of its own.
    private const int MostBackwardSplits = 8;

    private static readonly CudaKernel ForwardKernel = new("similarity", "similarity_forward"), FinishKernel = new("similarity", "similarity_finish"),
        WeightsKernel = new("similarity", "similarity_weights"), BackwardKernel = new("similarity_backward", "similarity_backward"), SumKernel = new("similarity_backward", "similarity_sum");

    /// <summary>Statistics of all rows for some pairs of views.</summary>
    internal readonly record struct Statistic(nint Partial, nint Own, int Splits);

    [StructLayout(LayoutKind.Sequential)]
    private struct ForwardArgs
    {
        internal nint Anchors0, Anchors1, Keys0, Keys1, Partial, Own;
        internal int N, M, Width, Offset, Splits, Vector;
        internal float Scale;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct FinishArgs
    {
        internal nint Partial, Own, Dy, To;
        internal int N, Splits;
        internal float Scale;
    }

    /// <summary>A source of gradient, as <see cref="SimilarityPair{T}"/>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct Pair
    {
        internal nint Partners, RowWeight, RowLogSumExp, PartnerWeight, PartnerLogSumExp, OwnByRow, OwnByPartner;
        internal int Count, Shift;
    }

    /// <summary>Rows that receive a gradient, from up to two sources; one that is not there has no partners.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct Target
    {
        internal nint Rows, Gradient;
        internal Pair First, Second;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct BackwardArgs
    {
        internal Target Target0, Target1;
        internal int Count, Width, Splits, Vector;
        internal float Scale;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct SumArgs
    {
        internal nint Partial, To;
        internal long Count;
        internal int Splits, Vector;
    }

    /// <summary>Parts into which the columns are split.</summary>
    internal static int ForwardSplits(int n, int m, int pairs) => Splits(n, pairs, Tiles(m), ForwardBlocks, int.MaxValue);

    /// <summary>Temporary memory of the forward pass in bytes.</summary>
    internal static long ForwardScratch(int n, int m, int pairs) => ((long)ForwardSplits(n, m, pairs) * Statistics + 1) * pairs * n * sizeof(float);

    /// <summary>Parts into which the partners of <paramref name="count"/> rows of each of some targets are split.</summary>
    internal static int BackwardSplits(int count, int targets, int tiles) => Splits(count, targets, tiles, BackwardBlocks, MostBackwardSplits);

    /// <summary>Temporary memory in bytes for the gradients of some targets: one for each split where there are several.</summary>
    internal static long BackwardScratch(int count, int width, int targets, int tiles)
    {
        int splits = BackwardSplits(count, targets, tiles);
        return splits == 1 ? 0 : (long)splits * targets * count * width * sizeof(float);
    }

    /// <summary>Tiles of columns.</summary>
    internal static int Tiles(int columns) => CudaGrid.Cover(columns, Columns);

    private static int Splits(int rows, int copies, int tiles, int blocks, int most) =>
        Math.Max(1, Math.Min(Math.Min(most, tiles), CudaGrid.Cover(blocks, Math.Max(1, CudaGrid.Cover(rows, Rows) * copies))));

    /// <summary>Statistics of anchors against keys; two views give the pairs 00, 01, 11, 10, one view its own.</summary>
    internal static Statistic Forward(in OpArgs args, in Tensor anchors0, in Tensor anchors1, in Tensor keys0, in Tensor keys1, double tau, int offset)
    {
        int pairs = anchors1.IsNone ? 1 : 4, n = anchors0.Shape[0], m = keys0.Shape[0], width = anchors0.Shape[1], splits = ForwardSplits(n, m, pairs);
        var a = new ForwardArgs
        {
            Anchors0 = anchors0.Address, Anchors1 = Address(anchors1), Keys0 = keys0.Address, Keys1 = Address(keys1),
            Partial = args.Scratch.Empty(new Shape(splits, pairs, Statistics, n), DType.F32).Address, Own = args.Scratch.Empty(new Shape(pairs, n), DType.F32).Address,
            N = n, M = m, Width = width, Offset = offset, Splits = splits, Scale = (float)(1 / tau),
        };
        a.Vector = Quads.Fit(width, a.Anchors0 | a.Anchors1 | a.Keys0 | a.Keys1);
        args.Cuda.Launch(ForwardKernel, DType.F32, new(CudaGrid.Cover(n, Rows), pairs, splits), Threads, 0, a);
        return new(a.Partial, a.Own, splits);
    }

    /// <summary>Log-sum-exp of one view's statistics.</summary>
    internal static void Finish(CudaDevice device, in Statistic statistic, in Tensor y)
    {
        var a = new FinishArgs { Partial = statistic.Partial, Own = statistic.Own, To = y.Address, N = y.Shape[0], Splits = statistic.Splits };
        device.Launch(FinishKernel, DType.F32, CudaGrid.Cover(a.N, RowThreads), RowThreads, 0, a);
    }

    /// <summary>to = dy / tau.</summary>
    internal static void Weights(CudaDevice device, in Tensor dy, in Tensor to, double tau)
    {
        var a = new FinishArgs { Dy = dy.Address, To = to.Address, N = to.Shape[0], Scale = (float)(1 / tau) };
        device.Launch(WeightsKernel, DType.F32, CudaGrid.Cover(a.N, RowThreads), RowThreads, 0, a);
    }

    /// <summary>
    /// Gradients of the rows of one or two tensors of the same shape; a target without a gradient is not wanted. <paramref name="targets"/> says how many there
    /// could be: the order of additions must not depend on which are wanted.
    /// </summary>
    internal static void Backward(in GradArgs args, in Target target0, in Target target1, int targets, int count, int width, double tau)
    {
        Target first = target0.Gradient == 0 ? target1 : target0, second = target1;
        if (first.Gradient == 0) return;
        int wanted = target0.Gradient != 0 && target1.Gradient != 0 ? 2 : 1, splits = BackwardSplits(count, targets, Tiles(first.First.Count) + Tiles(first.Second.Count));
        var a = new BackwardArgs { Target0 = first, Target1 = second, Count = count, Width = width, Splits = splits, Scale = (float)(1 / tau) };
        a.Vector = Quads.Fit(width, Addresses(first) | (wanted == 2 ? Addresses(second) : 0));
        if (splits > 1)
        {
            a.Target0.Gradient = args.Scratch.Empty(new Shape(splits, count, width), DType.F32).Address;
            if (wanted == 2) a.Target1.Gradient = args.Scratch.Empty(new Shape(splits, count, width), DType.F32).Address;
        }
        args.Cuda.Launch(BackwardKernel, DType.F32, new(CudaGrid.Cover(count, Rows), wanted, splits), Threads, 0, a);
        if (splits == 1) return;
        Sum(args.Cuda, a.Target0.Gradient, first.Gradient, (long)count * width, splits);
        if (wanted == 2) Sum(args.Cuda, a.Target1.Gradient, second.Gradient, (long)count * width, splits);
    }

    private static void Sum(CudaDevice device, nint partial, nint to, long count, int splits)
    {
        var a = new SumArgs { Partial = partial, To = to, Count = count, Splits = splits, Vector = Quads.Fit(count, partial | to) };
        device.Launch(SumKernel, DType.F32, CudaGrid.Cover(a.Vector != 0 ? count / 4 : count, RowThreads), RowThreads, 0, a);
    }

    internal static nint Address(in Tensor t) => t.IsNone ? 0 : t.Address;

    private static nint Addresses(in Target t) => t.Rows | t.Gradient | t.First.Partners | t.Second.Partners;
}
