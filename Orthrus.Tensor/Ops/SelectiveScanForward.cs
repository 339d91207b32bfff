using System.Numerics;
using System.Runtime.CompilerServices;
using Orthrus.Tensor.Cpu;

namespace Orthrus.Tensor;

/// <summary>Forward pass of the selective scan on the CPU.</summary>
internal unsafe struct ScanForward<T> : IVectorCode<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    internal ScanCall<T> Call;
    internal T* Y, State;
    /// <summary>States at the start of every chunk, for backward; null where none follows.</summary>
    internal T* Starts;
    internal Scope Scratch;
    internal WorkerPool Workers;

    public void Run<V>() where V : unmanaged, ISimd<V, T>
    {
        Call.Prepare<V>(Scratch);
        int slots = Call.Slots(Workers);
        var job = new Job<V>
        {
            Call = Call, Y = Y, State = State, Starts = Starts, Chunks = (Call.L + ScanKernels<V, T>.Rows - 1) / ScanKernels<V, T>.Rows, Spaces = Workspaces.Of(Scratch, slots),
            States = Scratch.Empty(new Shape(slots, Call.GroupStates), Tensor.DTypeOf<T>()).Pointer<T>(),
        };
        Workers.Run(Call.Items, ref job);
    }

    private struct Job<V> : IParallelJob where V : unmanaged, ISimd<V, T>
    {
        internal ScanCall<T> Call;
        internal T* Y, State, States, Starts;
        internal int Chunks;
        internal Workspaces Spaces;

        public readonly void Run(int item)
        {
            int L = Call.L, E = Call.E, N = Call.N, b = item / Call.Groups, first = item % Call.Groups * ScanCall<T>.GroupWidth;
            int end = Math.Min(E, first + ScanCall<T>.GroupWidth), slot = Spaces.Take();
            T* states = States + (long)slot * Call.GroupStates, delta = stackalloc T[3 * ScanKernels<V, T>.Rows * V.Lanes];
            T* drive = delta + ScanKernels<V, T>.Rows * V.Lanes, o = drive + ScanKernels<V, T>.Rows * V.Lanes;
            long sequence = (long)b * E * N;
            Call.LoadStates<V>(Call.Initial is null ? null : Call.Initial + sequence, first, states);
            for (int t = 0; t < L; t += ScanKernels<V, T>.Rows)
            {
                int rows = Math.Min(ScanKernels<V, T>.Rows, L - t);
                if (Starts is not null)
                {
                    long bytes = (long)Call.GroupStates * sizeof(T);
                    Buffer.MemoryCopy(states, Starts + ((long)item * Chunks + t / ScanKernels<V, T>.Rows) * Call.GroupStates, bytes, bytes);
                }
                long row = (long)b * L + t;
                for (int e = first; e < end; e += V.Lanes)
                {
                    ScanCall<T>.Drive<V>(Call, row * E + e, e, rows, delta, drive, o);
                    long next = e + V.Lanes < end ? row * E + e + V.Lanes : (row + rows) * E + first;
                    ScanCall<T>.Scan<V>(Call, row, e, states + Call.At<V>(e - first, 0), rows, delta, drive, o, next);
                    Gate(Call, row * E + e, e, rows, o, Y);
                }
            }
            Call.StoreStates<V>(states, first, State + sequence);
            Spaces.Return(slot);
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static void Gate(in ScanCall<T> call, long at, int e, int rows, T* o, T* y)
        {
            int E = call.E, count = Math.Min(V.Lanes, E - e);
            T* z = call.Z + at;
            y += at;
            for (nint i = 0; i < rows * V.Lanes; i += V.Lanes, y += E, z += E)
            {
                V v = V.Load(o + i);
                if (call.Z is not null)
                {
                    V gate = Edge.Load<V, T>(z, count);
                    v *= gate * ScanMath.Sigmoid<V, T>(gate, out _);
                }
                Edge.Store(y, v, count);
            }
        }
    }
}
