using System.Numerics;
using System.Runtime.CompilerServices;

namespace Orthrus.Tensor.Cpu;

/// <summary>
/// Copies of the operands of a product in the order in which <see cref="GemmKernel"/> reads them. Depths are padded with zeros to a multiple of lanes, rows
/// and columns to whole strips and panels.
/// </summary>
internal static unsafe class GemmPacking<V, T> where V : unmanaged, ISimd<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    // Depths copied at a time where reads or writes jump from row to row: the lines in between stay in the first cache.
    private const int Few = 32;

    /// <summary>Strips of row-major rows, in the layout <see cref="RowsOfVectors"/>.</summary>
    /// <param name="from">First row's first depth.</param>
    /// <param name="stride">Distance of two rows.</param>
    /// <param name="rows">Rows there are.</param>
    /// <param name="depth">Depths there are.</param>
    /// <param name="padded">Depths of the copy.</param>
    /// <param name="height">Rows of a strip.</param>
    /// <param name="to">Strips, one after the other.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void Rows(T* from, nint stride, int rows, int depth, int padded, int height, T* to)
    {
        int whole = depth / V.Lanes * V.Lanes;
        for (int first = 0; first < rows; first += height, to += (nint)height * padded)
            for (int r = 0; r < height; r++)
            {
                T* x = from + (first + r) * stride, y = to + r * V.Lanes;
                if (first + r >= rows)
                {
                    for (int k = 0; k < padded; k += V.Lanes, y += height * V.Lanes) V.Store(y, V.Zero);
                    continue;
                }
                for (int k = 0; k < whole; k += V.Lanes, y += height * V.Lanes) V.Store(y, V.Load(x + k));
                if (whole < padded)
                    for (int k = 0; k < V.Lanes; k++) y[k] = whole + k < depth ? x[whole + k] : T.Zero;
            }
    }

    /// <summary>Strips of a transposed operand, whose rows run along the depth, in the layout <see cref="DepthOfRows"/>.</summary>
    /// <param name="from">First depth's first row.</param>
    /// <param name="stride">Distance of two depths.</param>
    /// <param name="rows">Rows there are.</param>
    /// <param name="depth">Depths there are.</param>
    /// <param name="padded">Depths of the copy.</param>
    /// <param name="height">Rows of a strip.</param>
    /// <param name="width">Room of a strip for each depth, at least its height.</param>
    /// <param name="to">Strips, one after the other.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void Transposed(T* from, nint stride, int rows, int depth, int padded, int height, int width, T* to)
    {
        // Whole vectors, although a strip may be no multiple of them: what is too much belongs to the next depth, which overwrites it, or to nothing. The last depth has none.
        int reach = (height + V.Lanes - 1) / V.Lanes * V.Lanes;
        for (int start = 0; start < padded; start += Few)
        {
            int end = Math.Min(padded, start + Few), vectors = Math.Min(depth, reach <= width ? end : Math.Min(end, padded - 1));
            for (int first = 0; first < rows; first += height)
            {
                T* y = to + (nint)(first / height * width) * padded + start * width;
                int k = start;
                if (first + reach <= rows && reach - width <= height)
                    for (; k < vectors; k++, y += width)
                    {
                        T* x = from + k * stride + first;
                        for (int r = 0; r < height; r += V.Lanes) V.Store(y + r, V.Load(x + r));
                    }
                for (; k < end; k++, y += width)
                    for (int r = 0; r < height; r++) y[r] = k < depth && first + r < rows ? from[k * stride + first + r] : T.Zero;
            }
        }
    }

    /// <summary>Panels of row-major rows that run along the columns.</summary>
    /// <param name="from">First depth's first column.</param>
    /// <param name="stride">Distance of two depths.</param>
    /// <param name="columns">Columns there are.</param>
    /// <param name="depth">Depths there are.</param>
    /// <param name="padded">Depths of the copy.</param>
    /// <param name="to">Panels of two vectors, one after the other; the last one is of one vector where that is enough.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void Panels(T* from, nint stride, int columns, int depth, int padded, T* to)
    {
        for (int start = 0; start < padded; start += Few)
        {
            int end = Math.Min(padded, start + Few);
            for (int first = 0; first < columns; first += 2 * V.Lanes)
            {
                int width = Width(columns - first), k = start;
                T* y = to + (nint)first * padded + start * width;
                if (first + width <= columns)
                    for (; k < Math.Min(depth, end); k++, y += width)
                    {
                        T* x = from + k * stride + first;
                        for (int c = 0; c < width; c += V.Lanes) V.Store(y + c, V.Load(x + c));
                    }
                for (; k < end; k++, y += width)
                    for (int c = 0; c < width; c++) y[c] = k < depth && first + c < columns ? from[k * stride + first + c] : T.Zero;
            }
        }
    }

    /// <summary>Panels of a transposed operand, whose columns are row-major rows that run along the depth.</summary>
    /// <param name="from">First column's first depth.</param>
    /// <param name="stride">Distance of two columns.</param>
    /// <param name="columns">Columns there are.</param>
    /// <param name="depth">Depths there are.</param>
    /// <param name="padded">Depths of the copy.</param>
    /// <param name="to">Panels, as of <see cref="Panels"/>.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void TransposedPanels(T* from, nint stride, int columns, int depth, int padded, T* to)
    {
        for (int first = 0; first < columns; first += 2 * V.Lanes)
        {
            int width = Width(columns - first);
            T* panel = to + (nint)first * padded;
            for (int start = 0; start < padded; start += Few)
                for (int c = 0; c < width; c++)
                {
                    T* x = from + (first + c) * stride, y = panel + c;
                    int end = Math.Min(padded, start + Few), k = start;
                    if (first + c < columns)
                        for (; k < Math.Min(depth, end); k++) y[(nint)k * width] = x[k];
                    for (; k < end; k++) y[(nint)k * width] = T.Zero;
                }
        }
    }

    /// <summary>Width of the panel that begins where so many columns are left.</summary>
    internal static int Width(int columns) => columns <= V.Lanes ? V.Lanes : 2 * V.Lanes;
}
