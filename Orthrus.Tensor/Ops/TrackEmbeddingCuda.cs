using System.Numerics;
using System.Runtime.InteropServices;

namespace Orthrus.Tensor;

/// <summary>Launches of cuda/track_embedding.cu.</summary>
internal static class TrackEmbeddingCuda
{
    private const int Threads = 256, RowsPerBlock = 16, BackwardWarps = 16;
    // Positions of a warp in backward: their number decides the order of sums, so that it follows the shape alone.
    private const int FewRows = 16, ManyRows = 64;
    private const long ManyPositions = 16384;

    private static readonly CudaKernel Table = new("track_embedding", "embedding_table"), Gather = new("track_embedding", "embedding_gather"), GatherSingle = new("track_embedding", "embedding_gather_single"),
        Backward4 = new("track_embedding", "embedding_backward_4"), Backward6 = new("track_embedding", "embedding_backward_6"),
        Backward4Single = new("track_embedding", "embedding_backward_4_single"), Backward6Single = new("track_embedding", "embedding_backward_6_single");

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
    /// <param name="scope">Owner of the result.</param>
    /// <param name="tracks">(B, L) U8.</param>
    /// <param name="table">(16, E) or (64, E), F32 or BF16.</param>
    /// <returns>(B, L, E).</returns>
    internal static Tensor Rows(Scope scope, in Tensor tracks, in Tensor table)
    {
        var y = scope.Empty(new Shape(tracks.Shape[0], tracks.Shape[1], table.Shape[1]), table.DType);
        var a = new Args { Tracks = tracks.Address, Table = table.Address, Y = y.Address, Positions = tracks.Count, Channels = table.Shape[1], Bits = BitOperations.Log2((uint)table.Shape[0]) };
        LaunchGather((CudaDevice)scope.Device, table.DType, a);
        return y;
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
