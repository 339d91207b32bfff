using System.Numerics;
using Orthrus.Tensor.Cpu;

namespace Orthrus.Tensor;

/// <summary>Rows of a table chosen by track bytes, and sums of rows per byte, on the CPU: what the operators that read track bytes share.</summary>
internal static unsafe class TrackTable
{
    /// <summary>Number of track bytes.</summary>
    internal const int Bytes = 64;
    private const int PositionsPerItem = 256;

    /// <summary>Refuses what are no tracks.</summary>
    /// <exception cref="ShapeException">A byte of 64 or more.</exception>
    internal static void Check(string op, in Tensor tracks)
    {
        for (int b = 0; b < tracks.Shape[0]; b++)
        {
            var row = tracks.Rows(b, 1).AsSpan<byte>();
            int t = row.IndexOfAnyExceptInRange((byte)0, (byte)(Bytes - 1));
            if (t >= 0) throw new ShapeException($"{op}: tracks[{b}, {t}] is {row[t]}; want 0 to {Bytes - 1}: bits 6 and 7 are no tracks");
        }
    }

    /// <summary>y[p] = table[tracks[p]]; bits that the table has no rows for are not read.</summary>
    /// <param name="workers">Threads.</param>
    /// <param name="tracks">(B, L) U8.</param>
    /// <param name="table">(rows, D).</param>
    /// <param name="rows">A power of two.</param>
    /// <param name="D">Columns.</param>
    /// <param name="y">(B, L, D).</param>
    internal static void Gather<T>(WorkerPool workers, in Tensor tracks, T* table, int rows, int D, T* y) where T : unmanaged
    {
        var job = new GatherJob<T> { Tracks = tracks.Pointer<byte>(), Table = table, Y = y, Positions = tracks.Count, D = D, Mask = rows - 1 };
        workers.Run(checked((int)((job.Positions + PositionsPerItem - 1) / PositionsPerItem)), ref job);
    }

    /// <summary>sums[r] = sum over the positions with tracks[p] = r of dy[p], in blocks whose number follows the shape alone.</summary>
    internal static void Sum<T>(in GradArgs args, in Tensor tracks, T* dy, int rows, int D, T* sums) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var job = new SumJob<T> { Tracks = tracks.Pointer<byte>(), Dy = dy, Positions = tracks.Count, D = D, Mask = rows - 1, Strips = (D + SumJob<T>.Strip - 1) / SumJob<T>.Strip };
        var parts = args.Scratch.Empty(new Shape(job.Blocks, rows, D), Tensor.DTypeOf<T>());
        job.Parts = parts.Pointer<T>();
        VectorJobs.Run<T, SumJob<T>>(args.Workers, args.VectorWidth, job.Blocks * job.Strips, ref job);
        BlockSums.Total(args.Workers, args.VectorWidth, job.Parts, job.Blocks, (long)D * rows, sums);
        args.Scratch.Free(parts);
    }

    private struct GatherJob<T> : IParallelJob where T : unmanaged
    {
        internal byte* Tracks;
        internal T* Table, Y;
        internal long Positions;
        internal int D, Mask;

        public readonly void Run(int item)
        {
            long end = Math.Min(Positions, (item + 1L) * PositionsPerItem);
            for (long p = (long)item * PositionsPerItem; p < end; p++)
                new ReadOnlySpan<T>(Table + (long)(Tracks[p] & Mask) * D, D).CopyTo(new Span<T>(Y + p * D, D));
        }
    }

    /// <summary>
    /// Sums of dy per byte over a block of positions, in a strip of channels whose table fits the first-level cache; item = block and strip.
    /// </summary>
    private struct SumJob<T> : IVectorJob<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        /// <summary>Channels of a strip.</summary>
        internal const int Strip = 64;
        private const int LeastPositions = 256, MostBlocks = 32;
        /// <summary>Positions that are added up before they join the block's sums, so that rounding does not grow with the length of the block.</summary>
        private const int RunLength = 128;

        internal byte* Tracks;
        internal T* Dy, Parts;
        internal long Positions;
        internal int D, Mask, Strips;

        private readonly long PerBlock => Math.Max(LeastPositions, (Positions + MostBlocks - 1) / MostBlocks);

        internal readonly int Blocks => (int)((Positions + PerBlock - 1) / PerBlock);

        public readonly void Run<V>(int item) where V : unmanaged, ISimd<V, T>
        {
            int block = item / Strips, from = item % Strips * Strip, width = Math.Min(Strip, D - from);
            T* part = Parts + (long)block * (Mask + 1) * D + from, run = stackalloc T[Bytes * Strip];
            for (int value = 0; value <= Mask; value++) RowMath.Fill(part + (long)value * D, T.Zero, width);
            long end = Math.Min(Positions, (block + 1) * PerBlock);
            for (long start = block * PerBlock; start < end; start += RunLength)
            {
                ulong seen = 0;
                for (long p = start; p < Math.Min(end, start + RunLength); p++)
                {
                    int value = Tracks[p] & Mask;
                    T* sum = run + value * Strip;
                    if ((seen >> value & 1) == 0) RowMath.Fill(sum, T.Zero, width);
                    seen |= 1UL << value;
                    RowMath.Add<V, T>(Dy + p * D + from, sum, width);
                }
                for (; seen != 0; seen &= seen - 1)
                {
                    int value = BitOperations.TrailingZeroCount(seen);
                    RowMath.Add<V, T>(run + value * Strip, part + (long)value * D, width);
                }
            }
        }
    }
}
