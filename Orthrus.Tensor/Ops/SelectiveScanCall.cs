using System.Numerics;
using System.Runtime.CompilerServices;
using Orthrus.Tensor.Cpu;

namespace Orthrus.Tensor;

/// <summary>
/// Operands of one call of the selective scan and how it is cut: one item is one sequence and one group of channels, walked in chunks of positions
/// and, within a chunk, one vector of channels after the other.
/// </summary>
internal unsafe struct ScanCall<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    /// <summary>Channels per item: a multiple of every vector's lanes, wide enough that the lanes of dB and dC are seldom summed.</summary>
    internal const int GroupWidth = 128;

    internal int B, L, E, N, Groups;
    internal bool PlainA;
    internal T* U, Delta, A, Bt, Ct, D, Z, Bias, Initial;
    /// <summary>A log2 e in the kernels' layout: [vectors][states][lanes].</summary>
    internal T* A2;
    /// <summary>Largest delta that enters the decay, by channel: at it the quickest decay of the channel has long been 0.</summary>
    internal T* Limit;

    internal static ScanCall<T> Of(ReadOnlySpan<Tensor> inputs, SelectiveScan.Attr attr)
    {
        var s = inputs[SelectiveScan.U].Shape;
        return new()
        {
            B = s[0], L = s[1], E = s[2], N = inputs[SelectiveScan.A].Shape[1], Groups = (s[2] + GroupWidth - 1) / GroupWidth, PlainA = attr.PlainA,
            U = inputs[SelectiveScan.U].Pointer<T>(), Delta = inputs[SelectiveScan.Delta].Pointer<T>(), A = inputs[SelectiveScan.A].Pointer<T>(),
            Bt = inputs[SelectiveScan.Bt].Pointer<T>(), Ct = inputs[SelectiveScan.Ct].Pointer<T>(), D = PointerOrNull(inputs[SelectiveScan.D]),
            Z = PointerOrNull(inputs[SelectiveScan.Z]), Bias = PointerOrNull(inputs[SelectiveScan.Bias]), Initial = PointerOrNull(inputs[SelectiveScan.Initial]),
        };
    }

    internal static T* PointerOrNull(in Tensor t) => t.IsNone ? null : t.Pointer<T>();

    internal readonly int Items => checked(B * Groups);

    /// <summary>Workspaces that items can occupy at once.</summary>
    internal readonly int Slots(WorkerPool workers) => Math.Max(1, Math.Min(workers.Threads, Items));

    /// <summary>Elements of one group's states.</summary>
    internal readonly int GroupStates => checked(GroupWidth * N);

    /// <summary>Fills <see cref="A2"/>.</summary>
    /// <exception cref="ShapeException">A is given itself and is positive somewhere.</exception>
    internal void Prepare<V>(Scope scratch) where V : unmanaged, ISimd<V, T>
    {
        var dtype = Tensor.DTypeOf<T>();
        A2 = scratch.Empty(new Shape(Groups, GroupStates), dtype).Pointer<T>();
        Limit = scratch.Empty(new Shape(Groups, GroupWidth), dtype).Pointer<T>();
        bool single = typeof(T) == typeof(float);
        // Held finite, so that a delta of 0 leaves a decay of 1, and in float32 so that states of very unequal decays keep theirs under the limit.
        T log2e = T.CreateTruncating(ScanMath.Log2E), least = T.CreateTruncating(single ? -1e15 : -1e300), limit = T.CreateTruncating(ScanMath.DecayLimit);
        for (int e = 0; e < Groups * GroupWidth; e++)
        {
            T largest = T.Zero;
            for (int n = 0; n < N; n++)
            {
                T a = T.Zero;
                if (e < E)
                {
                    a = PlainA ? A[(long)e * N + n] : -T.Exp(A[(long)e * N + n]);
                    if (a > T.Zero) throw new ShapeException($"selective_scan: A[{e}, {n}] is {a}; want at most 0, the state would grow without bound");
                }
                A2[At<V>(e, n)] = a = T.Max(a * log2e, least);
                largest = T.MaxNumber(largest, -a);
            }
            Limit[e] = single ? limit / largest : T.PositiveInfinity;
        }
    }

    /// <summary>Place of channel e, state n in a buffer [vectors][states][lanes].</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal readonly nint At<V>(int e, int n) where V : unmanaged, ISimd<V, T> => ((nint)(e / V.Lanes) * N + n) * V.Lanes + e % V.Lanes;

    /// <summary>Rows (E, N) of one sequence and group to the kernels' layout; null gives zeros. Channels past E hold zeros.</summary>
    internal readonly void LoadStates<V>(T* rows, int first, T* to) where V : unmanaged, ISimd<V, T>
    {
        int width = Math.Min(GroupWidth, E - first), padded = (width + V.Lanes - 1) / V.Lanes * V.Lanes;
        T* a2 = A2 + At<V>(first, 0);
        for (int e = 0; e < padded; e++)
            for (int n = 0; n < N; n++)
            {
                nint at = At<V>(e, n);
                T value = rows is null || e >= width ? T.Zero : rows[((long)first + e) * N + n];
                // The kernels' decay does not pass a NaN of A on; a state that begins as one stays it.
                to[at] = T.IsNaN(a2[at]) ? a2[at] : value;
            }
    }

    /// <summary>The way back.</summary>
    internal readonly void StoreStates<V>(T* from, int first, T* rows) where V : unmanaged, ISimd<V, T>
    {
        int width = Math.Min(GroupWidth, E - first);
        for (int e = 0; e < width; e++)
            for (int n = 0; n < N; n++) rows[((long)first + e) * N + n] = from[At<V>(e, n)];
    }

    /// <summary>One value per channel, zeros where the operand is absent.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static V PerChannel<V>(T* values, int e, int count) where V : unmanaged, ISimd<V, T> =>
        values is null ? V.Zero : Edge.Load<V, T>(values + e, count);

    /// <summary>delta after bias and softplus, and delta u, of one vector of channels: [rows][lanes].</summary>
    /// <param name="call">Operands.</param>
    /// <param name="at">Element of the first position and channel in (B, L, E).</param>
    /// <param name="e">First channel.</param>
    /// <param name="rows">Positions.</param>
    /// <param name="delta">Result.</param>
    /// <param name="drive">Result.</param>
    /// <param name="o">D u, the beginning of the output; null where it is not wanted.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void Drive<V>(in ScanCall<T> call, long at, int e, int rows, T* delta, T* drive, T* o) where V : unmanaged, ISimd<V, T>
    {
        int E = call.E, count = Math.Min(V.Lanes, E - e);
        T* u = call.U + at, raw = call.Delta + at;
        V bias = PerChannel<V>(call.Bias, e, count), skip = PerChannel<V>(call.D, e, count);
        for (nint i = 0; i < rows * V.Lanes; i += V.Lanes, u += E, raw += E)
        {
            V d = ScanMath.Softplus<V, T>(Edge.Load<V, T>(raw, count) + bias), x = Edge.Load<V, T>(u, count);
            V.Store(delta + i, d);
            V.Store(drive + i, d * x);
            if (o is not null) V.Store(o + i, call.D is null ? V.Zero : skip * x);
        }
    }

    /// <summary>One vector of channels through one chunk, all states; meanwhile brings near what stands at an element of (B, L, E) and at the positions after it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Scan<V>(in ScanCall<T> call, long row, int e, T* state, int rows, T* delta, T* drive, T* o, long near) where V : unmanaged, ISimd<V, T>
    {
        int N = call.N;
        T* a2 = call.A2 + call.At<V>(e, 0);
        for (int n = 0, states; n < N; n += states)
        {
            states = N - n >= 8 ? 8 : N - n >= 4 ? 4 : 1;
            ScanKernels<V, T>.Scan<OutputPass>(delta, drive, o, call.Bt + row * N + n, call.Ct + row * N + n, N, a2 + (nint)n * V.Lanes, call.Limit + e, state + (nint)n * V.Lanes, states, rows, null, null,
                n == 0 ? call.U + near : call.Z + near, call.Delta + near, call.E);
        }
    }
}

/// <summary>Workspaces, one per thread, that items borrow: which one an item gets does not matter to its result.</summary>
internal unsafe struct Workspaces
{
    private int* _taken;
    private int _count;

    internal static Workspaces Of(Scope scratch, int count) => new() { _taken = scratch.Zeros(new Shape(count), DType.I32).Pointer<int>(), _count = count };

    internal readonly int Take()
    {
        for (int i = 0; ; i = i + 1 == _count ? 0 : i + 1)
            if (Interlocked.CompareExchange(ref _taken[i], 1, 0) == 0) return i;
    }

    internal readonly void Return(int i) => Volatile.Write(ref _taken[i], 0);
}
