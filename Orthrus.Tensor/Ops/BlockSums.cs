using System.Numerics;
using Orthrus.Tensor.Cpu;

namespace Orthrus.Tensor;

/// <summary>
/// Sums over many rows in two levels, inside blocks of rows and then over the blocks. The cut depends on the number of rows alone, so that the result
/// does not depend on threads, and rounding grows with the root of that number.
/// </summary>
internal static unsafe class BlockSums
{
    private const int LeastRows = 16;
    /// <summary>Columns that one job item adds up, at least.</summary>
    private const int Strip = 64;

    /// <summary>Rows of a block.</summary>
    internal static long RowsPerBlock(long rows) => Math.Max(LeastRows, (long)Math.Ceiling(Math.Sqrt(rows)));

    /// <summary>Number of blocks.</summary>
    internal static int Blocks(long rows) => checked((int)((rows + RowsPerBlock(rows) - 1) / RowsPerBlock(rows)));

    /// <summary>total[c] = sum over blocks of parts[block, c], in their order; nothing where <paramref name="total"/> is null.</summary>
    internal static void Total<T>(WorkerPool workers, int vectorWidth, T* parts, int blocks, long columns, T* total) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        if (total is null) return;
        // Wide strips where there are many columns: an item must be worth handing out.
        var job = new TotalJob<T> { Parts = parts, Total = total, Blocks = blocks, Columns = columns, Strip = columns > 64 * Strip ? 64 * Strip : Strip };
        VectorJobs.Run<T, TotalJob<T>>(workers, vectorWidth, checked((int)((columns + job.Strip - 1) / job.Strip)), ref job);
    }

    /// <summary>total[c] = sum over rows of x[row, c]; nothing where <paramref name="total"/> is null.</summary>
    internal static void OfColumns<T>(in GradArgs args, T* x, long rows, int columns, T* total) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        if (total is null) return;
        int blocks = Blocks(rows);
        var parts = args.Scratch.Empty(new Shape(blocks, columns), Tensor.DTypeOf<T>());
        var job = new ColumnsJob<T> { X = x, Parts = parts.Pointer<T>(), Rows = rows, Columns = columns };
        VectorJobs.Run<T, ColumnsJob<T>>(args.Workers, args.VectorWidth, blocks, ref job);
        Total(args.Workers, args.VectorWidth, job.Parts, blocks, columns, total);
        args.Scratch.Free(parts);
    }

    private struct ColumnsJob<T> : IVectorJob<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        internal T* X, Parts;
        internal long Rows;
        internal int Columns;

        public readonly void Run<V>(int block) where V : unmanaged, ISimd<V, T>
        {
            long size = RowsPerBlock(Rows), end = Math.Min(Rows, (block + 1) * size);
            T* to = Parts + (long)block * Columns;
            RowMath.Fill(to, T.Zero, Columns);
            for (long row = block * size; row < end; row++) RowMath.Add<V, T>(X + row * Columns, to, Columns);
        }
    }

    private struct TotalJob<T> : IVectorJob<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        internal T* Parts, Total;
        internal int Blocks, Strip;
        internal long Columns;

        public readonly void Run<V>(int item) where V : unmanaged, ISimd<V, T>
        {
            long from = (long)item * Strip;
            int width = (int)Math.Min(Strip, Columns - from);
            RowMath.Fill(Total + from, T.Zero, width);
            for (int block = 0; block < Blocks; block++) RowMath.Add<V, T>(Parts + block * Columns + from, Total + from, width);
        }
    }
}
