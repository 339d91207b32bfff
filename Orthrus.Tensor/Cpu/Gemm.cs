using System.Numerics;

namespace Orthrus.Tensor.Cpu;

/// <summary>
/// Matrix products of row-major operands. Each cuts its work by the sizes alone and adds up in a fixed order, so that results are the same bits for every
/// number of threads. A row or column of a result depends on its own row or column of the operands alone: NaN and infinity do not spread.
/// </summary>
/// <remarks>
/// The scheme of Goto and van de Geijn 2008: strips of rows and panels of columns are copied into the order in which the inner loop reads them, the depth in
/// blocks whose panels fit the first cache and whose rows the second. Scratch memory comes from a scope and is given back.
/// </remarks>
public static unsafe class Gemm
{
    /// <summary>y = x w' + bias: x (rows, depth), w (columns, depth), bias (columns) or null, y (rows, columns).</summary>
    public static void TimesTransposed<T>(Scope scratch, T* x, long rows, int depth, T* w, int columns, T* bias, T* y) where T : unmanaged, IBinaryFloatingPointIeee754<T> =>
        Run(scratch, new GemmSizes(rows, columns, depth), new GemmOperands<T> { A = x, AStride = depth, B = w, BStride = depth, C = y, Bias = bias, TransposedB = true });

    /// <summary>y = x w: x (rows, depth), w (depth, columns), y (rows, columns).</summary>
    public static void Times<T>(Scope scratch, T* x, long rows, int depth, T* w, int columns, T* y) where T : unmanaged, IBinaryFloatingPointIeee754<T> =>
        Run(scratch, new GemmSizes(rows, columns, depth), new GemmOperands<T> { A = x, AStride = depth, B = w, BStride = columns, C = y });

    /// <summary>y = x' w: x (depth, rows), w (depth, columns), y (rows, columns); the depth may be long.</summary>
    public static void TransposedTimes<T>(Scope scratch, T* x, long depth, int rows, T* w, int columns, T* y) where T : unmanaged, IBinaryFloatingPointIeee754<T> =>
        Run(scratch, new GemmSizes(rows, columns, depth), new GemmOperands<T> { A = x, AStride = rows, B = w, BStride = columns, C = y, TransposedA = true });

    private static void Run<T>(Scope scratch, GemmSizes sizes, GemmOperands<T> operands) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        if (sizes.Rows == 0 || sizes.Columns == 0) return;
        if (sizes.Depth == 0)
        {
            for (long r = 0; r < sizes.Rows; r++)
                for (int c = 0; c < sizes.Columns; c++) operands.C[r * sizes.Columns + c] = operands.Bias is null ? T.Zero : operands.Bias[c];
            return;
        }
        var code = new Product<T> { Scratch = scratch, Sizes = sizes, Operands = operands };
        SimdDispatch.Run<T, Product<T>>(((CpuDevice)scratch.Device).VectorWidth, ref code);
    }

    private struct Product<T> : IVectorCode<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        internal Scope Scratch;
        internal GemmSizes Sizes;
        internal GemmOperands<T> Operands;

        public readonly void Run<V>() where V : unmanaged, ISimd<V, T>
        {
            switch (GemmPlan<V, T>.StripHeight(Sizes.Rows))
            {
                case 12: Run<V, Rows12>(); break;
                case 8: Run<V, Rows8>(); break;
                case 6: Run<V, Rows6>(); break;
                default: Run<V, Rows4>(); break;
            }
        }

        private readonly void Run<V, TRows>() where V : unmanaged, ISimd<V, T> where TRows : struct, IRows
        {
            if (Operands.TransposedA) new GemmPlan<V, T>(Sizes, Operands).Run<TRows, DepthOfRows>(Scratch);
            else new GemmPlan<V, T>(Sizes, Operands).Run<TRows, RowsOfVectors>(Scratch);
        }
    }
}

/// <summary>Extents of a product of a (rows, depth) and a (depth, columns) matrix.</summary>
internal readonly record struct GemmSizes(long Rows, int Columns, long Depth);

/// <summary>Operands of a product: C (row-major, dense) = A B + Bias.</summary>
internal unsafe struct GemmOperands<T> where T : unmanaged
{
    internal T* A, B, C;
    /// <summary>One element per column, or null.</summary>
    internal T* Bias;
    /// <summary>Distances of two rows as they stand in memory.</summary>
    internal nint AStride, BStride;
    /// <summary>Rows in memory run along the depth.</summary>
    internal bool TransposedA;
    /// <summary>Rows in memory run along the columns of the product.</summary>
    internal bool TransposedB;
}
