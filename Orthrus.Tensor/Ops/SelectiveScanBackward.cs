using System.Numerics;
using System.Runtime.CompilerServices;
using Orthrus.Tensor.Cpu;

namespace Orthrus.Tensor;

/// <summary>
/// Backward pass of the selective scan on the CPU. Chunks are replayed, from the states that the forward pass left at their starts, from the last to the first
/// and walked backwards. Sums over channels and over sequences are made of partial sums per item, added in the order of the items.
/// </summary>
internal unsafe struct ScanBackward<T> : IVectorCode<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    internal ScanCall<T> Call;
    internal T* Starts, Dy, DState, Du, DDelta, DA, DB, DC, DD, Dz, DBias, DInitial;
    internal Scope Scratch;
    internal WorkerPool Workers;

    public void Run<V>() where V : unmanaged, ISimd<V, T>
    {
        Call.Prepare<V>(Scratch);
        var dtype = Tensor.DTypeOf<T>();
        int slots = Call.Slots(Workers), B = Call.B, L = Call.L, E = Call.E, N = Call.N, chunks = (L + ScanKernels<V, T>.Rows - 1) / ScanKernels<V, T>.Rows;
        var job = new Job<V> { Call = Call, Out = this, Spaces = Workspaces.Of(Scratch, slots), Chunks = chunks, Starts = Starts };
        job.SpaceSize = 2 * Call.GroupStates + (2 + Job<V>.BufferCount * ScanKernels<V, T>.Rows) * ScanCall<T>.GroupWidth;
        job.Space = Scratch.Empty(new Shape(slots, job.SpaceSize), dtype).Pointer<T>();
        job.Out.DB = Scratch.Empty(new Shape(Call.Groups, B, L, N), dtype).Pointer<T>();
        job.Out.DC = Scratch.Empty(new Shape(Call.Groups, B, L, N), dtype).Pointer<T>();
        job.Out.DA = Scratch.Empty(new Shape(B, E, N), dtype).Pointer<T>();
        job.Out.DD = Scratch.Empty(new Shape(B, E), dtype).Pointer<T>();
        job.Out.DBias = Scratch.Empty(new Shape(B, E), dtype).Pointer<T>();
        Workers.Run(Call.Items, ref job);
        int width = 8 * sizeof(T) * V.Lanes;
        BlockSums.Total(Workers, width, job.Out.DB, Call.Groups, (long)B * L * N, DB);
        BlockSums.Total(Workers, width, job.Out.DC, Call.Groups, (long)B * L * N, DC);
        BlockSums.Total(Workers, width, job.Out.DA, B, (long)E * N, DA);
        BlockSums.Total(Workers, width, job.Out.DD, B, E, DD);
        BlockSums.Total(Workers, width, job.Out.DBias, B, E, DBias);
    }

    private struct Job<V> : IParallelJob where V : unmanaged, ISimd<V, T>
    {
        internal ScanCall<T> Call;
        /// <summary>Output gradients, and where results go: partial sums for those that are summed over items.</summary>
        internal ScanBackward<T> Out;
        internal Workspaces Spaces;
        internal T* Starts, Space;
        internal int Chunks, SpaceSize;

        private static int Rows => ScanKernels<V, T>.Rows;

        public readonly void Run(int item)
        {
            int L = Call.L, E = Call.E, N = Call.N, states = Call.GroupStates, b = item / Call.Groups, group = item % Call.Groups, first = group * ScanCall<T>.GroupWidth;
            int end = Math.Min(E, first + ScanCall<T>.GroupWidth), slot = Spaces.Take();
            long sequence = (long)b * E * N;
            T* starts = Starts + (long)item * Chunks * states, q = Space + (long)slot * SpaceSize, da = q + states;
            T* dd = da + states, dbias = dd + ScanCall<T>.GroupWidth, buffers = dbias + ScanCall<T>.GroupWidth;
            Call.LoadStates<V>(Out.DState is null ? null : Out.DState + sequence, first, q);
            new Span<T>(da, states).Clear();
            new Span<T>(dd, 2 * ScanCall<T>.GroupWidth).Clear();
            for (int chunk = Chunks - 1; chunk >= 0; chunk--)
            {
                int t = chunk * Rows, rows = Math.Min(Rows, L - t);
                long row = (long)b * L + t;
                for (int e = first; e < end; e += V.Lanes) Enter(Call, Out.Dy, row * E + e, e, rows, At(buffers, e - first));
                Walk(row, (long)group * Call.B * L + row, first, end, rows, starts + (long)chunk * states, q, da, buffers);
                for (int e = first; e < end; e += V.Lanes)
                    Leave(Call, Out, row * E + e, e, rows, At(buffers, e - first), dd + (e - first), dbias + (e - first));
            }
            if (!Call.PlainA)
            {
                // dA / dA_log is A itself.
                T* a2 = Call.A2 + Call.At<V>(first, 0);
                for (int i = 0; i < states; i++) da[i] *= a2[i] * T.CreateTruncating(ScanMath.Ln2);
            }
            Call.StoreStates<V>(da, first, Out.DA + sequence);
            if (Out.DInitial is not null) Call.StoreStates<V>(q, first, Out.DInitial + sequence);
            for (int e = first; e < end; e++)
            {
                Out.DD[(long)b * E + e] = dd[e - first];
                Out.DBias[(long)b * E + e] = dbias[e - first];
            }
            Spaces.Return(slot);
        }

        /// <summary>
        /// Replays a chunk and walks back over it, states in fours and for each of them all vectors of channels, so that the sums over channels for
        /// dB and dC stay near. The gradient of the state moves to the start of the chunk.
        /// </summary>
        private readonly void Walk(long row, long partialRow, int first, int end, int rows, T* start, T* q, T* da, T* buffers)
        {
            int N = Call.N;
            T* decay = stackalloc T[17 * Rows * V.Lanes], db = decay + 4 * Rows * V.Lanes, dc = db + 4 * Rows * V.Lanes, visited = dc + 4 * Rows * V.Lanes;
            // What the next chunk reads is brought near during replays, what this one writes during walks: one array for each four states.
            long before = (row - Rows) * Call.E;
            for (int n = 0, states; n < N; n += states)
            {
                T* reads = n switch { 0 => Call.U, 4 => Call.Delta, 8 => Call.Z, _ => Out.Dy }, writes = n switch { 0 => Out.Du, 4 => Out.DDelta, _ => Out.Dz };
                states = N - n >= 4 ? 4 : 1;
                T* b = Call.Bt + row * N + n, c = Call.Ct + row * N + n;
                new Span<T>(db, 8 * Rows * V.Lanes).Clear();
                for (int e = first; e < end; e += V.Lanes)
                {
                    nint i = Call.At<V>(e - first, n);
                    T* a2 = Call.A2 + Call.At<V>(e, n);
                    var at = At(buffers, e - first);
                    ScanKernels<V, T>.Scan<ReplayPass>(at.Delta, at.Drive, at.O, b, c, N, a2, Call.Limit + e, start + i, states, rows, decay, visited, reads + before + e, null, Call.E);
                    ScanKernels<V, T>.Reverse(at.Delta, at.Drive, at.Go, b, c, N, a2, states, rows, decay, visited, q + i, da + i, db, dc, at.Qb, at.Qa, writes + row * Call.E + e, Call.E);
                }
                SumLanes(db, rows, states, N, Out.DB + partialRow * N + n);
                SumLanes(dc, rows, states, N, Out.DC + partialRow * N + n);
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static void SumLanes(T* from, int rows, int states, int stride, T* to)
        {
            for (int t = 0; t < rows; t++, to += stride)
                for (int k = 0; k < states; k++, from += V.Lanes) to[k] = V.Sum(V.Load(from));
        }

        private static Buffers At(T* buffers, int channel) => new(buffers + (nint)BufferCount * Rows * channel);

        /// <summary>What the walk reads, for one vector of channels.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static void Enter(in ScanCall<T> call, T* dy, long from, int e, int rows, in Buffers at)
        {
            int E = call.E, count = Math.Min(V.Lanes, E - e);
            T* u = call.U + from, raw = call.Delta + from, z = call.Z + from, g = dy + from;
            V bias = ScanCall<T>.PerChannel<V>(call.Bias, e, count), skip = ScanCall<T>.PerChannel<V>(call.D, e, count);
            T* delta = at.Delta, drive = at.Drive, slopes = at.Slope, o = at.O, go = at.Go, dgate = at.DGate, qb = at.Qb, qa = at.Qa;
            bool skips = call.D is not null, gated = call.Z is not null;
            for (nint i = 0; i < rows * V.Lanes; i += V.Lanes, u += E, raw += E, z += E, g += E)
            {
                V d = ScanMath.Softplus<V, T>(Edge.Load<V, T>(raw, count) + bias, out V slope), x = Edge.Load<V, T>(u, count);
                V v = dy is null ? V.Zero : Edge.Load<V, T>(g, count);
                V.Store(delta + i, d);
                V.Store(slopes + i, slope);
                V.Store(drive + i, d * x);
                V.Store(o + i, skips ? skip * x : V.Zero);
                V.Store(qb + i, V.Zero);
                V.Store(qa + i, V.Zero);
                if (gated)
                {
                    // (z s)' = s + z s (1 - s)
                    V gate = Edge.Load<V, T>(z, count), s = ScanMath.Sigmoid<V, T>(gate, out V rest), open = gate * s;
                    V.Store(dgate + i, v * V.Fma(open, rest, s));
                    v *= open;
                }
                V.Store(go + i, v);
            }
        }

        /// <summary>Gradients by position and channel, from what the walk has summed.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static void Leave(in ScanCall<T> call, in ScanBackward<T> result, long from, int e, int rows, in Buffers at, T* dd, T* dbias)
        {
            int E = call.E, count = Math.Min(V.Lanes, E - e);
            T* u = call.U + from, du = result.Du + from, ddelta = result.DDelta + from, dz = result.Dz + from;
            V skip = ScanCall<T>.PerChannel<V>(call.D, e, count), sumD = V.Zero, sumBias = V.Zero, ln2 = ScanMath.Const<V, T>(ScanMath.Ln2);
            T* delta = at.Delta, slope = at.Slope, o = at.O, go = at.Go, dgate = at.DGate, qb = at.Qb, qa = at.Qa;
            bool skips = call.D is not null, wantU = result.Du is not null, wantDelta = result.DDelta is not null, wantZ = result.Dz is not null;
            for (nint i = 0; i < rows * V.Lanes; i += V.Lanes, u += E, du += E, ddelta += E, dz += E)
            {
                V x = Edge.Load<V, T>(u, count), g = V.Load(go + i), sum = V.Load(qb + i), v = V.Load(delta + i) * sum;
                if (wantU) Edge.Store(du, skips ? V.Fma(skip, g, v) : v, count);
                if (wantZ) Edge.Store(dz, V.Load(dgate + i) * V.Load(o + i), count);
                v = V.Fma(x, sum, ln2 * V.Load(qa + i)) * V.Load(slope + i);
                if (wantDelta) Edge.Store(ddelta, v, count);
                sumBias += v;
                sumD = V.Fma(g, x, sumD);
            }
            V.Store(dd, V.Load(dd) + sumD);
            V.Store(dbias, V.Load(dbias) + sumBias);
        }

        internal const int BufferCount = 8;

        /// <summary>Buffers of one vector of channels and one chunk, [rows][lanes] each.</summary>
        private readonly struct Buffers(T* from)
        {
            private static int Size
            {
                [MethodImpl(MethodImplOptions.AggressiveInlining)]
                get => Rows * V.Lanes;
            }

            internal T* Delta => from;
            internal T* Drive => from + Size;
            internal T* O => from + 2 * Size;
            internal T* Go => from + 3 * Size;
            internal T* DGate => from + 4 * Size;
            internal T* Slope => from + 5 * Size;
            internal T* Qb => from + 6 * Size;
            internal T* Qa => from + 7 * Size;
        }
    }
}
