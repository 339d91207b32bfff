using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Orthrus.Tensor;

/// <summary>Launches of cuda/selective_scan*.cu: kernels for 16 states, slower ones for any other number.</summary>
public sealed partial class SelectiveScan
{
    /// <summary>Steps of a tile, and so between the states that backward starts from.</summary>
    private const int Tile = 32;
    /// <summary>Sequences from here on have several chunks, whose length follows theirs, and with it the last bits of their results.</summary>
    internal const int Cut = 4096;
    /// <summary>Dynamic shared memory of the forward kernels for 16 states: d, d u, four shares of y, B, C, which may stand there packed.</summary>
    private const int ForwardBytes = sizeof(float) * (2 * 32 * 36 + 4 * (32 * 36 + 8) + 8 * (4 * Tile + 8));
    private const int States = 16, Channels = 32, Threads = 128, AnyChannels = 4, SumThreads = 256;

    private static readonly CudaKernel
        Straight = Kernel("", "forward"), Chained = Kernel("", "chained"), Ends = Kernel("", "ends"), ForwardAny = Kernel("_any", "forward_any"),
        Backward4 = Kernel("_backward", "backward"), Backward2 = Kernel("_backward", "backward_small"), Backward1 = Kernel("_backward", "backward_least"),
        BackwardAny = Kernel("_any", "backward_any"), Sums = Kernel("_sums", "sums");

    private static CudaKernel Kernel(string part, string name) => new("selective_scan" + part, "selective_scan_" + name);

    [StructLayout(LayoutKind.Sequential)]
    private struct ForwardArgs
    {
        internal nint U, Delta, B, C, Z, A, D, Bias, Initial, Y, State, Starts, Ends, Sums;
        internal int Batch, L, E, N, Chunk, Chunks, Plain, Unused;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct GradientArgs
    {
        internal nint U, Delta, B, C, Z, Dy, A, D, Bias, DState, Starts, Du, DDelta, Dz, DInitial, Partial, Da, Dd, DBias;
        internal int Batch, L, E, N, Plain, Unused;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct SumArgs
    {
        internal nint Partial, Db, Dc, Da, Dd, DBias, ToA, ToD, ToBias;
        internal int Batch, L, E, N, Groups, Unused;
    }

    /// <summary>
    /// Steps of a chunk. They depend on one sequence's shape alone, neither on the batch nor on the device: results keep their bits in whatever company.
    /// Sequences up to 4,095 are one chunk; longer ones have some 384 chunks and groups of 32 channels, which fill the largest devices.
    /// </summary>
    internal static int ChunkLength(int l, int e)
    {
        const int least = 512, blocks = 384;
        int count = l < Cut ? 1 : Math.Clamp(blocks / Groups(e, Channels), 1, l / least);
        return Math.Max(1, Groups(Groups(l, count), Tile)) * Tile;
    }

    /// <inheritdoc/>
    public static void ForwardCuda(in OpArgs args, in Attr attr) => ForwardCuda(args, attr, null);

    /// <summary>As the operator, and says whether sequences of several chunks are split; null decides by how full they make the device. Both give the same bits.</summary>
    internal static void ForwardCuda(in OpArgs args, in Attr attr, bool? split)
    {
        var a = Operands(args.Inputs, attr);
        a.Y = At(args.Outputs[Y]);
        a.State = At(args.Outputs[State]);
        a.Starts = At(args.Workspace);
        if (a.N != States)
        {
            args.Cuda.Launch(ForwardAny, args.DType, new(Groups(a.E, AnyChannels), a.Batch), Threads, 0, a);
            return;
        }
        int groups = Groups(a.E, Channels);
        // One pass, unless it would leave half of the device idle.
        if (a.Chunks > 1 && !(split ?? 2 * groups * a.Batch <= args.Cuda.Multiprocessors))
        {
            args.Cuda.Launch(Chained, args.DType, new(groups, a.Batch), Threads, ForwardBytes, a);
            return;
        }
        if (a.Chunks > 1)
        {
            a.Ends = args.Scratch.Empty(new Shape(a.Batch, a.Chunks, a.E, a.N), DType.F32).Address;
            a.Sums = args.Scratch.Empty(new Shape(a.Batch, a.Chunks, a.E), DType.F32).Address;
            args.Cuda.Launch(Ends, args.DType, new(groups, a.Batch, a.Chunks - 1), Threads, ForwardBytes, a);
        }
        args.Cuda.Launch(Straight, args.DType, new(groups, a.Batch, a.Chunks), Threads, ForwardBytes, a);
    }

    /// <inheritdoc/>
    public static void BackwardCuda(in GradArgs args, in Attr attr)
    {
        var f = Operands(args.Inputs, attr);
        bool any = f.N != States;
        // The largest block whose shared memory the device has.
        int warps = any ? 8 : 4;
        while (warps > 1 && Bytes(warps, args.DType) > args.Cuda.SharedPerBlock) warps /= 2;
        int groups = Groups(f.E, any ? warps : States * warps);
        var g = new GradientArgs
        {
            U = f.U, Delta = f.Delta, B = f.B, C = f.C, Z = f.Z, Dy = At(args.OutputGrads[Y]), A = f.A, D = f.D, Bias = f.Bias, DState = At(args.OutputGrads[State]), Starts = At(args.Workspace),
            Du = At(args.InputGrads[U]), DDelta = At(args.InputGrads[Delta]), Dz = At(args.InputGrads[Z]), DInitial = At(args.InputGrads[Initial]),
            Partial = args.Scratch.Empty(new Shape(groups, f.Batch, f.L, 2 * f.N), DType.F32).Address,
            Da = args.Scratch.Empty(new Shape(f.Batch, f.E, f.N), DType.F32).Address, Dd = args.Scratch.Empty(new Shape(f.Batch, f.E), DType.F32).Address,
            DBias = args.Scratch.Empty(new Shape(f.Batch, f.E), DType.F32).Address,
            Batch = f.Batch, L = f.L, E = f.E, N = f.N, Plain = f.Plain,
        };
        args.Cuda.Launch(any ? BackwardAny : warps == 4 ? Backward4 : warps == 2 ? Backward2 : Backward1, args.DType, new(groups, f.Batch), 32 * warps, Bytes(warps, args.DType), g);
        var s = new SumArgs
        {
            Partial = g.Partial, Db = At(args.InputGrads[Bt]), Dc = At(args.InputGrads[Ct]), Da = g.Da, Dd = g.Dd, DBias = g.DBias,
            ToA = At(args.InputGrads[A]), ToD = At(args.InputGrads[D]), ToBias = At(args.InputGrads[Bias]), Batch = f.Batch, L = f.L, E = f.E, N = f.N, Groups = groups,
        };
        long places = (long)f.Batch * f.L * 2 * f.N / (f.N % 4 == 0 ? 4 : 1), states = (long)f.E * f.N;
        args.Cuda.Launch(Sums, args.DType, new(CudaGrid.Cover(Math.Max(places, states), SumThreads), 2), SumThreads, 0, s);

        int Bytes(int warps, DType dtype) => any ? 15 * sizeof(float) * warps * f.N : BackwardBytes(warps, dtype);
    }

    private static ForwardArgs Operands(ReadOnlySpan<Tensor> inputs, in Attr attr)
    {
        var s = inputs[U].Shape;
        int l = s[1], e = s[2], chunk = ChunkLength(l, e);
        return new()
        {
            U = At(inputs[U]), Delta = At(inputs[Delta]), B = At(inputs[Bt]), C = At(inputs[Ct]), Z = At(inputs[Z]), A = At(inputs[A]), D = At(inputs[D]), Bias = At(inputs[Bias]),
            Initial = At(inputs[Initial]), Batch = s[0], L = l, E = e, N = inputs[A].Shape[1], Chunk = chunk, Chunks = Math.Max(1, Groups(l, chunk)), Plain = attr.PlainA ? 1 : 0,
        };
    }

    /// <summary>Dynamic shared memory of the backward kernel: GradLayout in the source.</summary>
    private static int BackwardBytes(int warps, DType dtype)
    {
        // With BF16 activations the tensor cores add dB and dC over a warp's channels.
        const int row = 36, statePlane = 4 * Tile + 8, sumPlane = 192;
        int threads = 32 * warps, channels = 16 * warps, stepPlane = dtype == DType.BF16 ? 0 : 176;
        return sizeof(float) * (7 * channels * row + 8 * statePlane + 56 * threads + 8 * warps * (stepPlane + sumPlane) + 2 * warps * Tile * States);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int Groups(int count, int size) => (count + size - 1) / size;

    private static nint At(in Tensor t) => t.IsNone ? 0 : t.Address;
}
