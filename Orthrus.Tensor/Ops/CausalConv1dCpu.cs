using System.Numerics;
using System.Runtime.CompilerServices;
using Orthrus.Tensor.Cpu;

namespace Orthrus.Tensor;

/// <summary>Operands of one call of the convolution and how it is cut: one item is a block of positions of one sequence, done in tiles of channels.</summary>
internal unsafe struct ConvCall<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    /// <summary>Positions per item, and channels per tile: the rows of a tile that the taps reach stay in the first-level cache.</summary>
    internal const int Rows = 128, Tile = 128;

    internal int B, L, E, K, Blocks;
    internal bool Linear;
    internal T* X, Weight, Bias, Initial;
    /// <summary>Weights by tap, then the bias: [K + 1][<see cref="Stride"/>], zeros where absent and past the last channel.</summary>
    internal T* Taps;
    /// <summary>A row of zeros: the inputs before the first.</summary>
    internal T* Rest;

    internal static ConvCall<T> Of(ReadOnlySpan<Tensor> inputs, CausalConv1d.Attr attr)
    {
        var s = inputs[CausalConv1d.X].Shape;
        return new()
        {
            // A sequence without positions has one empty block: its state still moves.
            B = s[0], L = s[1], E = s[2], K = inputs[CausalConv1d.Weight].Shape[1], Blocks = Math.Max(1, (s[1] + Rows - 1) / Rows), Linear = attr.Linear,
            X = inputs[CausalConv1d.X].Pointer<T>(), Weight = inputs[CausalConv1d.Weight].Pointer<T>(),
            Bias = PointerOrNull(inputs[CausalConv1d.Bias]), Initial = PointerOrNull(inputs[CausalConv1d.Initial]),
        };
    }

    internal static T* PointerOrNull(in Tensor t) => t.IsNone ? null : t.Pointer<T>();

    internal readonly int Items => checked(B * Blocks);

    /// <summary>Channels rounded up to whole tiles.</summary>
    internal readonly int Stride => (E + Tile - 1) / Tile * Tile;

    internal void Prepare(Scope scratch)
    {
        Taps = scratch.Zeros(new Shape(K + 1, Stride), Tensor.DTypeOf<T>()).Pointer<T>();
        Rest = scratch.Zeros(new Shape(Stride), Tensor.DTypeOf<T>()).Pointer<T>();
        for (int e = 0; e < E; e++)
        {
            for (int k = 0; k < K; k++) Taps[(nint)k * Stride + e] = Weight[(nint)e * K + k];
            if (Bias is not null) Taps[(nint)K * Stride + e] = Bias[e];
        }
    }

    /// <summary>Inputs at position t, at least -(K - 1).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal readonly T* Row(int b, int t) =>
        t >= 0 ? X + ((nint)b * L + t) * E : Initial is null ? Rest : Initial + ((nint)b * (K - 1) + t + K - 1) * E;

    /// <summary>Rows that the taps at position t reach, oldest first.</summary>
    internal readonly void Reach(int b, int t, T** rows)
    {
        for (int k = 0; k < K; k++) rows[k] = Row(b, t - K + 1 + k);
    }

    /// <summary>Bias and taps at one vector of channels.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static V Convolve<V>(T** rows, T* taps, nint stride, int K, int e, int count) where V : unmanaged, ISimd<V, T>
    {
        taps += e;
        V v = V.Load(taps + K * stride);
        if (K == 4 && count == V.Lanes)
        {
            v = V.Fma(V.Load(rows[0] + e), V.Load(taps), v);
            v = V.Fma(V.Load(rows[1] + e), V.Load(taps + stride), v);
            v = V.Fma(V.Load(rows[2] + e), V.Load(taps + 2 * stride), v);
            return V.Fma(V.Load(rows[3] + e), V.Load(taps + 3 * stride), v);
        }
        for (int k = 0; k < K; k++, taps += stride) v = V.Fma(Edge.Load<V, T>(rows[k] + e, count), V.Load(taps), v);
        return v;
    }
}

/// <summary>Forward pass of the convolution on the CPU.</summary>
internal unsafe struct ConvForward<T> : IVectorCode<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    internal ConvCall<T> Call;
    internal T* Y, State;
    internal Scope Scratch;
    internal WorkerPool Workers;

    public void Run<V>() where V : unmanaged, ISimd<V, T>
    {
        Call.Prepare(Scratch);
        var job = new Job<V> { Call = Call, Y = Y };
        job.Reached = (T**)Scratch.Empty(new Shape(Call.Items, Call.K), DType.I64).Pointer<long>();
        Workers.Run(Call.Items, ref job);
        for (int b = 0; b < Call.B; b++)
            for (int k = 0; k < Call.K - 1; k++)
                Buffer.MemoryCopy(Call.Row(b, Call.L - Call.K + 1 + k), State + ((nint)b * (Call.K - 1) + k) * Call.E, (long)Call.E * sizeof(T), (long)Call.E * sizeof(T));
    }

    private struct Job<V> : IParallelJob where V : unmanaged, ISimd<V, T>
    {
        internal ConvCall<T> Call;
        internal T* Y;
        internal T** Reached;

        public readonly void Run(int item)
        {
            int L = Call.L, E = Call.E, K = Call.K, b = item / Call.Blocks, from = item % Call.Blocks * ConvCall<T>.Rows, to = Math.Min(L, from + ConvCall<T>.Rows);
            T** rows = Reached + (nint)item * K;
            for (int e = 0; e < E; e += ConvCall<T>.Tile)
                for (int t = from; t < to; t++)
                {
                    Call.Reach(b, t, rows);
                    Row(rows, Call.Taps, Call.Stride, K, e, Math.Min(E, e + ConvCall<T>.Tile), Call.Linear, Y + ((nint)b * L + t) * E);
                }
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static void Row(T** rows, T* taps, nint stride, int K, int e, int end, bool linear, T* y)
        {
            for (; e < end; e += V.Lanes)
            {
                int count = Math.Min(V.Lanes, end - e);
                V v = ConvCall<T>.Convolve<V>(rows, taps, stride, K, e, count);
                if (!linear) v *= ScanMath.Sigmoid<V, T>(v, out _);
                Edge.Store(y + e, v, count);
            }
        }
    }
}

/// <summary>
/// Backward pass of the convolution on the CPU. An item finds the gradient g before SiLU for its positions and the K - 1 after them, so that it can finish
/// its own dx; sums for weights and bias are over its own positions.
/// </summary>
internal unsafe struct ConvBackward<T> : IVectorCode<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    internal ConvCall<T> Call;
    internal T* Dy, DState, Dx, DWeight, DBias, DInitial;
    internal Scope Scratch;
    internal WorkerPool Workers;

    public void Run<V>() where V : unmanaged, ISimd<V, T>
    {
        Call.Prepare(Scratch);
        var dtype = Tensor.DTypeOf<T>();
        int K = Call.K, E = Call.E, slots = Math.Max(1, Math.Min(Workers.Threads, Call.Items)), sums = checked((K + 1) * Call.Stride);
        var job = new Job<V> { Call = Call, Grads = this, Spaces = Workspaces.Of(Scratch, slots) };
        job.Reached = (T**)Scratch.Empty(new Shape(slots, K), DType.I64).Pointer<long>();
        job.G = Scratch.Empty(new Shape(slots, ConvCall<T>.Rows + 2 * (K - 1), ConvCall<T>.Tile), dtype).Pointer<T>();
        job.Sums = Scratch.Empty(new Shape(Call.Items, sums), dtype).Pointer<T>();
        Workers.Run(Call.Items, ref job);
        T* total = Scratch.Empty(new Shape(sums), dtype).Pointer<T>();
        BlockSums.Total(Workers, 8 * sizeof(T) * V.Lanes, job.Sums, Call.Items, sums, total);
        for (int e = 0; e < E; e++)
        {
            for (int k = 0; DWeight is not null && k < K; k++) DWeight[(nint)e * K + k] = total[(nint)k * Call.Stride + e];
            if (DBias is not null) DBias[e] = total[(nint)K * Call.Stride + e];
        }
    }

    private struct Job<V> : IParallelJob where V : unmanaged, ISimd<V, T>
    {
        private const int Tile = ConvCall<T>.Tile;

        internal ConvCall<T> Call;
        internal ConvBackward<T> Grads;
        internal Workspaces Spaces;
        internal T** Reached;
        internal T* G, Sums;

        public readonly void Run(int item)
        {
            int L = Call.L, E = Call.E, K = Call.K, b = item / Call.Blocks, from = item % Call.Blocks * ConvCall<T>.Rows, to = Math.Min(L, from + ConvCall<T>.Rows);
            // The first block also finishes the positions before the first, which are the initial state.
            int low = from == 0 ? 1 - K : from, slot = Spaces.Take();
            T* g = G + (nint)slot * (ConvCall<T>.Rows + 2 * (K - 1)) * Tile, sums = Sums + (nint)item * (K + 1) * Call.Stride;
            T** rows = Reached + (nint)slot * K;
            new Span<T>(sums, (K + 1) * Call.Stride).Clear();
            for (int e = 0; e < E; e += Tile)
            {
                int width = Math.Min(Tile, E - e);
                for (int t = low; t < to + K - 1; t++)
                {
                    T* gt = g + (nint)(t - low) * Tile;
                    if (t < 0 || t >= L || Grads.Dy is null)
                    {
                        new Span<T>(gt, Tile).Clear();
                        continue;
                    }
                    Call.Reach(b, t, rows);
                    Slope(rows, Call.Taps, Call.Stride, K, e, width, Call.Linear, Grads.Dy + ((nint)b * L + t) * E, gt);
                    if (t < to) AddUp(rows, K, e, width, gt, sums, Call.Stride);
                }
                for (int t = low; t < to; t++)
                {
                    T* into = t >= 0 ? Grads.Dx : Grads.DInitial;
                    if (into is null) continue;
                    into += t >= 0 ? ((nint)b * L + t) * E : ((nint)b * (K - 1) + t + K - 1) * E;
                    int carried = t - (L - K + 1);
                    T* state = Grads.DState is null || carried < 0 ? Call.Rest : Grads.DState + ((nint)b * (K - 1) + carried) * E;
                    Spread(g + (nint)(t - low) * Tile, Call.Taps, Call.Stride, K, e, width, state, into);
                }
            }
            Spaces.Return(slot);
        }

        /// <summary>g = dy silu'(v) of one row and tile.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static void Slope(T** rows, T* taps, nint stride, int K, int first, int width, bool linear, T* dy, T* g)
        {
            for (int i = 0; i < width; i += V.Lanes)
            {
                int count = Math.Min(V.Lanes, width - i);
                V d = Edge.Load<V, T>(dy + first + i, count);
                if (!linear)
                {
                    V v = ConvCall<T>.Convolve<V>(rows, taps, stride, K, first + i, count), s = ScanMath.Sigmoid<V, T>(v, out V rest);
                    d *= V.Fma(v * s, rest, s);
                }
                V.Store(g + i, d);
            }
        }

        /// <summary>Adds one row's part of the gradients of weights and bias.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static void AddUp(T** rows, int K, int first, int width, T* g, T* sums, nint stride)
        {
            for (int i = 0; i < width; i += V.Lanes)
            {
                int count = Math.Min(V.Lanes, width - i);
                V v = V.Load(g + i);
                T* to = sums + first + i;
                for (int k = 0; k < K; k++, to += stride) V.Store(to, V.Fma(v, Edge.Load<V, T>(rows[k] + first + i, count), V.Load(to)));
                V.Store(to, V.Load(to) + v);
            }
        }

        /// <summary>dx of one row and tile: the taps against the g of this and the next positions, and the gradient of the state where the row is part of it.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static void Spread(T* g, T* taps, nint stride, int K, int first, int width, T* state, T* into)
        {
            for (int i = 0; i < width; i += V.Lanes)
            {
                int count = Math.Min(V.Lanes, width - i);
                V v = Edge.Load<V, T>(state + first + i, count);
                T* from = g + i, tap = taps + (K - 1) * stride + first + i;
                for (int k = 0; k < K; k++, from += Tile, tap -= stride) v = V.Fma(V.Load(from), V.Load(tap), v);
                Edge.Store(into + first + i, v, count);
            }
        }
    }
}
