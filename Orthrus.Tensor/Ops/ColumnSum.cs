using System.Numerics;

namespace Orthrus.Tensor;

/// <summary>Sums of the columns of a row-major matrix: rows in blocks of fixed size, then the blocks, each in ascending order.</summary>
internal static unsafe class ColumnSum
{
    private const int RowBlock = 256;

    /// <summary>sums[c] = sum over rows of x[row][c].</summary>
    internal static void Run<T>(Scope scratch, T* x, long rows, int columns, T* sums) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var workers = ((CpuDevice)scratch.Device).Workers;
        int blocks = checked((int)((rows + RowBlock - 1) / RowBlock));
        var partials = scratch.Empty(new Shape(blocks, columns), Tensor.DTypeOf<T>());
        var job = new Job<T> { X = x, Rows = rows, Columns = columns, Partials = partials.Pointer<T>() };
        workers.Run(blocks, ref job);
        RowMath.Fill(sums, T.Zero, columns);
        for (int block = 0; block < blocks; block++) RowMath.Add(job.Partials + (long)block * columns, sums, columns);
        scratch.Free(partials);
    }

    private struct Job<T> : IParallelJob where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        internal T* X, Partials;
        internal long Rows;
        internal int Columns;

        public readonly void Run(int block)
        {
            T* to = Partials + (long)block * Columns;
            RowMath.Fill(to, T.Zero, Columns);
            for (long row = (long)block * RowBlock; row < Math.Min(Rows, (block + 1L) * RowBlock); row++) RowMath.Add(X + row * Columns, to, Columns);
        }
    }
}
