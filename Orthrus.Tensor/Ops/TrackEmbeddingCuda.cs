using System.Numerics;
using System.Runtime.InteropServices;
using Orthrus.Tensor.Cuda;

namespace Orthrus.Tensor;

/// <summary>Launches of cuda/track_embedding.cu.</summary>
internal static class TrackEmbeddingCuda
{
    private const int Threads = 256, RowsPerBlock = 16, BackwardWarps = 16;
    // Positions of a warp in backward: their number decides the order of sums, so that it follows the shape alone.
    private const int FewRows = 16, ManyRows = 64;
    private const long ManyPositions = 16384;
    // Blocks of RowSums along the positions: few, since each writes a whole table of sums.
    private const int RowThreads = 128, MostShares = 64, LeastPerShare = 256;

    private static readonly CudaKernel Table = new("track_embedding", "embedding_table"), Gather = new("track_embedding", "embedding_gather"), GatherSingle = new("track_embedding", "embedding_gather_single"),
        Backward4 = new("track_embedding", "embedding_backward_4"), Backward6 = new("track_embedding", "embedding_backward_6"),
        Backward4Single = new("track_embedding", "embedding_backward_4_single"), Backward6Single = new("track_embedding", "embedding_backward_6_single"),
        RowSums = new("track_embedding", "row_sums");

    [StructLayout(LayoutKind.Sequential)]
    private struct Args
    {
        internal nint Tracks, Weight, Bias, Table, Y;
        internal long Positions;
        internal int Channels, Bits;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct GradientArgs
    {
        internal nint Tracks, Dy, Parts;
        internal long Positions;
        internal int Channels, Rows;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct RowsArgs
    {
        internal nint Tracks, Dy, Parts;
        internal long Positions;
        internal int Channels, Rows, PerBlock;
    }

    internal static void Forward(in OpArgs args, int tracks, int weight, int bias)
    {
        Tensor t = args.Inputs[tracks], w = args.Inputs[weight], y = args.Outputs[0];
        int channels = w.Shape[0], bits = w.Shape[1];
        var table = args.Scratch.Empty(new Shape(1 << bits, channels), args.DType);
        var a = new Args { Tracks = t.Address, Weight = w.Address, Bias = args.Inputs[bias].Address, Table = table.Address, Y = y.Address, Positions = t.Count, Channels = channels, Bits = bits };
        args.Cuda.Launch(Table, args.DType, CudaGrid.Cover(table.Count, Threads), Threads, 0, a);
        LaunchGather(args.Cuda, args.DType, a);
    }

    /// <summary>Rows of a table by track byte; bits that the table has no rows for are not read, and a byte of 64 or more gives NaN.</summary>
    internal static void Rows(in OpArgs args, in Tensor tracks, in Tensor table, in Tensor y)
    {
        var a = new Args { Tracks = tracks.Address, Table = table.Address, Y = y.Address, Positions = tracks.Count, Channels = table.Shape[1], Bits = BitOperations.Log2((uint)table.Shape[0]) };
        LaunchGather(args.Cuda, args.DType, a);
    }

    /// <summary>Sums of dy per track byte: shares of blocks of positions, added up in their order.</summary>
    internal static void RowsBackward(in GradArgs args, in Tensor tracks, in Tensor dy, in Tensor dTable)
    {
        if (dTable.IsNone) return;
        int rows = dTable.Shape[0], channels = dTable.Shape[1], perBlock = (int)Math.Clamp(CudaGrid.Cover(tracks.Count, MostShares), LeastPerShare, int.MaxValue), shares = Math.Max(1, CudaGrid.Cover(tracks.Count, perBlock));
        var parts = args.Scratch.Empty(new Shape(shares, 1, rows * channels), DType.F32);
        var a = new RowsArgs { Tracks = tracks.Address, Dy = dy.Address, Parts = parts.Address, Positions = tracks.Count, Channels = channels, Rows = rows, PerBlock = perBlock };
        args.Cuda.Launch(RowSums, args.DType, checked(shares * CudaGrid.Cover(channels, RowThreads)), RowThreads, rows * RowThreads * sizeof(float), a);
        if (args.DType == DType.F32) ParameterTotals.Launch(args, parts, Tensor.None, dTable.Reshape(new Shape(rows * channels)));
        else
        {
            var sums = args.Scratch.Empty(new Shape(rows * channels), DType.F32);
            ParameterTotals.Launch(args, parts, Tensor.None, sums);
            CudaCast.Run(sums, dTable);
        }
    }

    private static void LaunchGather(CudaDevice device, DType dtype, in Args a)
    {
        bool aligned = a.Channels % (16 / dtype.Size()) == 0 && a.Y % 16 == 0 && a.Table % 16 == 0;
        device.Launch(aligned ? Gather : GatherSingle, dtype, CudaGrid.Cover(a.Positions, RowsPerBlock), Threads, 0, a);
    }

    internal static void Backward(in GradArgs args, int tracks, int weight, int bias)
    {
        if (args.InputGrads[weight].IsNone && args.InputGrads[bias].IsNone) return;
        Tensor t = args.Inputs[tracks], dy = args.OutputGrads[0];
        int channels = args.Inputs[weight].Shape[0], bits = args.Inputs[weight].Shape[1];
        var a = new GradientArgs { Tracks = t.Address, Dy = dy.Address, Positions = t.Count, Channels = channels, Rows = t.Count >= ManyPositions ? ManyRows : FewRows };
        bool byFours = CudaOperand.ByFours(channels, dy);
        int blocks = CudaGrid.Cover(t.Count, a.Rows * BackwardWarps), perThread = byFours ? 4 : 1, groups = (channels + 32 * perThread - 1) / (32 * perThread);
        var parts = args.Scratch.Empty(new Shape(blocks, bits + 1, channels), DType.F32);
        a.Parts = parts.Address;
        var kernel = bits == 4 ? byFours ? Backward4 : Backward4Single : byFours ? Backward6 : Backward6Single;
        int room = BackwardWarps / 2 * (bits + 1) * perThread * 32 * sizeof(float);
        args.Cuda.Launch(kernel, args.DType, checked(blocks * groups), 32 * BackwardWarps, room, a);
        ParameterTotals.Launch(args, parts, args.InputGrads[weight], args.InputGrads[bias]);
    }
}
