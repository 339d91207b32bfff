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
    /// <summary>Columns that one job item adds up.</summary>
    private const int Strip = 64;

    /// <summary>Rows of a block.</summary>
    internal static long RowsPerBlock(long rows) => Math.Max(LeastRows, (long)Math.Ceiling(Math.Sqrt(rows)));

    /// <summary>Number of blocks.</summary>
    internal static int Blocks(long rows) => checked((int)((rows + RowsPerBlock(rows) - 1) / RowsPerBlock(rows)));

    /// <summary>total[c] = sum over blocks of parts[block, c], in their order; nothing where <paramref name="total"/> is null.</summary>
    internal static void Total<T>(in GradArgs args, T* parts, int blocks, int columns, T* total) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        if (total is null) return;
        var job = new TotalJob<T> { Parts = parts, Total = total, Blocks = blocks, Columns = columns };
        VectorJobs.Run<T, TotalJob<T>>(args.Workers, args.VectorWidth, (columns + Strip - 1) / Strip, ref job);
    }

    private struct TotalJob<T> : IVectorJob<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        internal T* Parts, Total;
        internal int Blocks, Columns;

        public readonly void Run<V>(int item) where V : unmanaged, ISimd<V, T>
        {
            int from = item * Strip, width = Math.Min(Strip, Columns - from);
            RowMath.Fill(Total + from, T.Zero, width);
            for (int block = 0; block < Blocks; block++) RowMath.Add<V, T>(Parts + (long)block * Columns + from, Total + from, width);
        }
    }
}
