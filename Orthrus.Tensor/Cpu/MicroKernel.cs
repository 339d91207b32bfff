using System.Numerics;
using System.Runtime.CompilerServices;

namespace Orthrus.Tensor.Cpu;

/// <summary>Number of rows of a micro-kernel, as a type so that the JIT removes what is not needed.</summary>
public interface IRows
{
    /// <summary>1 to 14.</summary>
    static abstract int Count { get; }
}

/// <summary>1 row.</summary>
public readonly struct Rows1 : IRows
{
    /// <inheritdoc/>
    public static int Count => 1;
}
/// <summary>2 rows.</summary>
public readonly struct Rows2 : IRows
{
    /// <inheritdoc/>
    public static int Count => 2;
}
/// <summary>3 rows.</summary>
public readonly struct Rows3 : IRows
{
    /// <inheritdoc/>
    public static int Count => 3;
}
/// <summary>4 rows.</summary>
public readonly struct Rows4 : IRows
{
    /// <inheritdoc/>
    public static int Count => 4;
}
/// <summary>5 rows.</summary>
public readonly struct Rows5 : IRows
{
    /// <inheritdoc/>
    public static int Count => 5;
}
/// <summary>6 rows.</summary>
public readonly struct Rows6 : IRows
{
    /// <inheritdoc/>
    public static int Count => 6;
}
/// <summary>7 rows.</summary>
public readonly struct Rows7 : IRows
{
    /// <inheritdoc/>
    public static int Count => 7;
}
/// <summary>8 rows.</summary>
public readonly struct Rows8 : IRows
{
    /// <inheritdoc/>
    public static int Count => 8;
}
/// <summary>9 rows.</summary>
public readonly struct Rows9 : IRows
{
    /// <inheritdoc/>
    public static int Count => 9;
}
/// <summary>10 rows.</summary>
public readonly struct Rows10 : IRows
{
    /// <inheritdoc/>
    public static int Count => 10;
}
/// <summary>11 rows.</summary>
public readonly struct Rows11 : IRows
{
    /// <inheritdoc/>
    public static int Count => 11;
}
/// <summary>12 rows.</summary>
public readonly struct Rows12 : IRows
{
    /// <inheritdoc/>
    public static int Count => 12;
}
/// <summary>13 rows.</summary>
public readonly struct Rows13 : IRows
{
    /// <inheritdoc/>
    public static int Count => 13;
}
/// <summary>14 rows.</summary>
public readonly struct Rows14 : IRows
{
    /// <inheritdoc/>
    public static int Count => 14;
}

/// <summary>
/// The inner loop of matrix products: a few rows times one panel of two vectors, all of K in one go. Each output is one chain of fused
/// multiply-adds in the order of k, started from zero, so results do not depend on how rows are grouped.
/// </summary>
public static unsafe class MicroKernel
{
    /// <summary>
    /// out[r][0..2 lanes) = sum over k of a[r][k] w[k][0..2 lanes), for TRows rows.
    /// </summary>
    /// <param name="a">First row's element k = 0; element (r, k) stands at (k / lanes) blockStride + r lanes + k % lanes.</param>
    /// <param name="blockStride">Distance of two blocks of lanes columns, in elements.</param>
    /// <param name="blocks">K / lanes.</param>
    /// <param name="w">Panel, [K][2 lanes].</param>
    /// <param name="next">What to bring near meanwhile: the next panel; may equal <paramref name="w"/>.</param>
    /// <param name="out0">First vector of the outputs; row r at r lanes.</param>
    /// <param name="out1">Second vector, likewise.</param>
    /// <param name="bias">2 lanes added at the end, or null.</param>
    /// <param name="accumulate">Adds to what the outputs hold instead of overwriting it.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Run<V, T, TRows>(T* a, nint blockStride, int blocks, T* w, T* next, T* out0, T* out1, T* bias, bool accumulate)
        where V : unmanaged, ISimd<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T> where TRows : struct, IRows
    {
        V c0 = V.Zero, d0 = V.Zero;
        V c1 = V.Zero, d1 = V.Zero;
        V c2 = V.Zero, d2 = V.Zero;
        V c3 = V.Zero, d3 = V.Zero;
        V c4 = V.Zero, d4 = V.Zero;
        V c5 = V.Zero, d5 = V.Zero;
        V c6 = V.Zero, d6 = V.Zero;
        V c7 = V.Zero, d7 = V.Zero;
        V c8 = V.Zero, d8 = V.Zero;
        V c9 = V.Zero, d9 = V.Zero;
        V c10 = V.Zero, d10 = V.Zero;
        V c11 = V.Zero, d11 = V.Zero;
        V c12 = V.Zero, d12 = V.Zero;
        V c13 = V.Zero, d13 = V.Zero;
        do
        {
            T* p = a;
            T* end = a + V.Lanes;
            do
            {

                {
                    V w0 = V.Load(w + 0 * V.Lanes), w1 = V.Load(w + 1 * V.Lanes), x;
                    V.Prefetch(next + 0 * V.Lanes);
                    x = V.Set(p[0 * V.Lanes + 0]); c0 = V.Fma(x, w0, c0); d0 = V.Fma(x, w1, d0);
                    if (TRows.Count > 1) { x = V.Set(p[1 * V.Lanes + 0]); c1 = V.Fma(x, w0, c1); d1 = V.Fma(x, w1, d1); }
                    if (TRows.Count > 2) { x = V.Set(p[2 * V.Lanes + 0]); c2 = V.Fma(x, w0, c2); d2 = V.Fma(x, w1, d2); }
                    if (TRows.Count > 3) { x = V.Set(p[3 * V.Lanes + 0]); c3 = V.Fma(x, w0, c3); d3 = V.Fma(x, w1, d3); }
                    if (TRows.Count > 4) { x = V.Set(p[4 * V.Lanes + 0]); c4 = V.Fma(x, w0, c4); d4 = V.Fma(x, w1, d4); }
                    if (TRows.Count > 5) { x = V.Set(p[5 * V.Lanes + 0]); c5 = V.Fma(x, w0, c5); d5 = V.Fma(x, w1, d5); }
                    if (TRows.Count > 6) { x = V.Set(p[6 * V.Lanes + 0]); c6 = V.Fma(x, w0, c6); d6 = V.Fma(x, w1, d6); }
                    if (TRows.Count > 7) { x = V.Set(p[7 * V.Lanes + 0]); c7 = V.Fma(x, w0, c7); d7 = V.Fma(x, w1, d7); }
                    if (TRows.Count > 8) { x = V.Set(p[8 * V.Lanes + 0]); c8 = V.Fma(x, w0, c8); d8 = V.Fma(x, w1, d8); }
                    if (TRows.Count > 9) { x = V.Set(p[9 * V.Lanes + 0]); c9 = V.Fma(x, w0, c9); d9 = V.Fma(x, w1, d9); }
                    if (TRows.Count > 10) { x = V.Set(p[10 * V.Lanes + 0]); c10 = V.Fma(x, w0, c10); d10 = V.Fma(x, w1, d10); }
                    if (TRows.Count > 11) { x = V.Set(p[11 * V.Lanes + 0]); c11 = V.Fma(x, w0, c11); d11 = V.Fma(x, w1, d11); }
                    if (TRows.Count > 12) { x = V.Set(p[12 * V.Lanes + 0]); c12 = V.Fma(x, w0, c12); d12 = V.Fma(x, w1, d12); }
                    if (TRows.Count > 13) { x = V.Set(p[13 * V.Lanes + 0]); c13 = V.Fma(x, w0, c13); d13 = V.Fma(x, w1, d13); }
                }

                {
                    V w0 = V.Load(w + 2 * V.Lanes), w1 = V.Load(w + 3 * V.Lanes), x;
                    V.Prefetch(next + 2 * V.Lanes);
                    x = V.Set(p[0 * V.Lanes + 1]); c0 = V.Fma(x, w0, c0); d0 = V.Fma(x, w1, d0);
                    if (TRows.Count > 1) { x = V.Set(p[1 * V.Lanes + 1]); c1 = V.Fma(x, w0, c1); d1 = V.Fma(x, w1, d1); }
                    if (TRows.Count > 2) { x = V.Set(p[2 * V.Lanes + 1]); c2 = V.Fma(x, w0, c2); d2 = V.Fma(x, w1, d2); }
                    if (TRows.Count > 3) { x = V.Set(p[3 * V.Lanes + 1]); c3 = V.Fma(x, w0, c3); d3 = V.Fma(x, w1, d3); }
                    if (TRows.Count > 4) { x = V.Set(p[4 * V.Lanes + 1]); c4 = V.Fma(x, w0, c4); d4 = V.Fma(x, w1, d4); }
                    if (TRows.Count > 5) { x = V.Set(p[5 * V.Lanes + 1]); c5 = V.Fma(x, w0, c5); d5 = V.Fma(x, w1, d5); }
                    if (TRows.Count > 6) { x = V.Set(p[6 * V.Lanes + 1]); c6 = V.Fma(x, w0, c6); d6 = V.Fma(x, w1, d6); }
                    if (TRows.Count > 7) { x = V.Set(p[7 * V.Lanes + 1]); c7 = V.Fma(x, w0, c7); d7 = V.Fma(x, w1, d7); }
                    if (TRows.Count > 8) { x = V.Set(p[8 * V.Lanes + 1]); c8 = V.Fma(x, w0, c8); d8 = V.Fma(x, w1, d8); }
                    if (TRows.Count > 9) { x = V.Set(p[9 * V.Lanes + 1]); c9 = V.Fma(x, w0, c9); d9 = V.Fma(x, w1, d9); }
                    if (TRows.Count > 10) { x = V.Set(p[10 * V.Lanes + 1]); c10 = V.Fma(x, w0, c10); d10 = V.Fma(x, w1, d10); }
                    if (TRows.Count > 11) { x = V.Set(p[11 * V.Lanes + 1]); c11 = V.Fma(x, w0, c11); d11 = V.Fma(x, w1, d11); }
                    if (TRows.Count > 12) { x = V.Set(p[12 * V.Lanes + 1]); c12 = V.Fma(x, w0, c12); d12 = V.Fma(x, w1, d12); }
                    if (TRows.Count > 13) { x = V.Set(p[13 * V.Lanes + 1]); c13 = V.Fma(x, w0, c13); d13 = V.Fma(x, w1, d13); }
                }
                if (V.Lanes > 2)
                {
                    V w0 = V.Load(w + 4 * V.Lanes), w1 = V.Load(w + 5 * V.Lanes), x;
                    V.Prefetch(next + 4 * V.Lanes);
                    x = V.Set(p[0 * V.Lanes + 2]); c0 = V.Fma(x, w0, c0); d0 = V.Fma(x, w1, d0);
                    if (TRows.Count > 1) { x = V.Set(p[1 * V.Lanes + 2]); c1 = V.Fma(x, w0, c1); d1 = V.Fma(x, w1, d1); }
                    if (TRows.Count > 2) { x = V.Set(p[2 * V.Lanes + 2]); c2 = V.Fma(x, w0, c2); d2 = V.Fma(x, w1, d2); }
                    if (TRows.Count > 3) { x = V.Set(p[3 * V.Lanes + 2]); c3 = V.Fma(x, w0, c3); d3 = V.Fma(x, w1, d3); }
                    if (TRows.Count > 4) { x = V.Set(p[4 * V.Lanes + 2]); c4 = V.Fma(x, w0, c4); d4 = V.Fma(x, w1, d4); }
                    if (TRows.Count > 5) { x = V.Set(p[5 * V.Lanes + 2]); c5 = V.Fma(x, w0, c5); d5 = V.Fma(x, w1, d5); }
                    if (TRows.Count > 6) { x = V.Set(p[6 * V.Lanes + 2]); c6 = V.Fma(x, w0, c6); d6 = V.Fma(x, w1, d6); }
                    if (TRows.Count > 7) { x = V.Set(p[7 * V.Lanes + 2]); c7 = V.Fma(x, w0, c7); d7 = V.Fma(x, w1, d7); }
                    if (TRows.Count > 8) { x = V.Set(p[8 * V.Lanes + 2]); c8 = V.Fma(x, w0, c8); d8 = V.Fma(x, w1, d8); }
                    if (TRows.Count > 9) { x = V.Set(p[9 * V.Lanes + 2]); c9 = V.Fma(x, w0, c9); d9 = V.Fma(x, w1, d9); }
                    if (TRows.Count > 10) { x = V.Set(p[10 * V.Lanes + 2]); c10 = V.Fma(x, w0, c10); d10 = V.Fma(x, w1, d10); }
                    if (TRows.Count > 11) { x = V.Set(p[11 * V.Lanes + 2]); c11 = V.Fma(x, w0, c11); d11 = V.Fma(x, w1, d11); }
                    if (TRows.Count > 12) { x = V.Set(p[12 * V.Lanes + 2]); c12 = V.Fma(x, w0, c12); d12 = V.Fma(x, w1, d12); }
                    if (TRows.Count > 13) { x = V.Set(p[13 * V.Lanes + 2]); c13 = V.Fma(x, w0, c13); d13 = V.Fma(x, w1, d13); }
                }
                if (V.Lanes > 3)
                {
                    V w0 = V.Load(w + 6 * V.Lanes), w1 = V.Load(w + 7 * V.Lanes), x;
                    V.Prefetch(next + 6 * V.Lanes);
                    x = V.Set(p[0 * V.Lanes + 3]); c0 = V.Fma(x, w0, c0); d0 = V.Fma(x, w1, d0);
                    if (TRows.Count > 1) { x = V.Set(p[1 * V.Lanes + 3]); c1 = V.Fma(x, w0, c1); d1 = V.Fma(x, w1, d1); }
                    if (TRows.Count > 2) { x = V.Set(p[2 * V.Lanes + 3]); c2 = V.Fma(x, w0, c2); d2 = V.Fma(x, w1, d2); }
                    if (TRows.Count > 3) { x = V.Set(p[3 * V.Lanes + 3]); c3 = V.Fma(x, w0, c3); d3 = V.Fma(x, w1, d3); }
                    if (TRows.Count > 4) { x = V.Set(p[4 * V.Lanes + 3]); c4 = V.Fma(x, w0, c4); d4 = V.Fma(x, w1, d4); }
                    if (TRows.Count > 5) { x = V.Set(p[5 * V.Lanes + 3]); c5 = V.Fma(x, w0, c5); d5 = V.Fma(x, w1, d5); }
                    if (TRows.Count > 6) { x = V.Set(p[6 * V.Lanes + 3]); c6 = V.Fma(x, w0, c6); d6 = V.Fma(x, w1, d6); }
                    if (TRows.Count > 7) { x = V.Set(p[7 * V.Lanes + 3]); c7 = V.Fma(x, w0, c7); d7 = V.Fma(x, w1, d7); }
                    if (TRows.Count > 8) { x = V.Set(p[8 * V.Lanes + 3]); c8 = V.Fma(x, w0, c8); d8 = V.Fma(x, w1, d8); }
                    if (TRows.Count > 9) { x = V.Set(p[9 * V.Lanes + 3]); c9 = V.Fma(x, w0, c9); d9 = V.Fma(x, w1, d9); }
                    if (TRows.Count > 10) { x = V.Set(p[10 * V.Lanes + 3]); c10 = V.Fma(x, w0, c10); d10 = V.Fma(x, w1, d10); }
                    if (TRows.Count > 11) { x = V.Set(p[11 * V.Lanes + 3]); c11 = V.Fma(x, w0, c11); d11 = V.Fma(x, w1, d11); }
                    if (TRows.Count > 12) { x = V.Set(p[12 * V.Lanes + 3]); c12 = V.Fma(x, w0, c12); d12 = V.Fma(x, w1, d12); }
                    if (TRows.Count > 13) { x = V.Set(p[13 * V.Lanes + 3]); c13 = V.Fma(x, w0, c13); d13 = V.Fma(x, w1, d13); }
                }
                int step = V.Lanes < 4 ? V.Lanes : 4;
                p += step;
                w += 2 * step * V.Lanes;
                next += 2 * step * V.Lanes;
            }
            while (p < end);
            a += blockStride;
        }
        while (--blocks > 0);
        if (bias != null)
        {
            V b0 = V.Load(bias), b1 = V.Load(bias + V.Lanes);
            { c0 += b0; d0 += b1; }
            if (TRows.Count > 1) { c1 += b0; d1 += b1; }
            if (TRows.Count > 2) { c2 += b0; d2 += b1; }
            if (TRows.Count > 3) { c3 += b0; d3 += b1; }
            if (TRows.Count > 4) { c4 += b0; d4 += b1; }
            if (TRows.Count > 5) { c5 += b0; d5 += b1; }
            if (TRows.Count > 6) { c6 += b0; d6 += b1; }
            if (TRows.Count > 7) { c7 += b0; d7 += b1; }
            if (TRows.Count > 8) { c8 += b0; d8 += b1; }
            if (TRows.Count > 9) { c9 += b0; d9 += b1; }
            if (TRows.Count > 10) { c10 += b0; d10 += b1; }
            if (TRows.Count > 11) { c11 += b0; d11 += b1; }
            if (TRows.Count > 12) { c12 += b0; d12 += b1; }
            if (TRows.Count > 13) { c13 += b0; d13 += b1; }
        }
        if (accumulate)
        {
            { c0 += V.Load(out0 + 0 * V.Lanes); d0 += V.Load(out1 + 0 * V.Lanes); }
            if (TRows.Count > 1) { c1 += V.Load(out0 + 1 * V.Lanes); d1 += V.Load(out1 + 1 * V.Lanes); }
            if (TRows.Count > 2) { c2 += V.Load(out0 + 2 * V.Lanes); d2 += V.Load(out1 + 2 * V.Lanes); }
            if (TRows.Count > 3) { c3 += V.Load(out0 + 3 * V.Lanes); d3 += V.Load(out1 + 3 * V.Lanes); }
            if (TRows.Count > 4) { c4 += V.Load(out0 + 4 * V.Lanes); d4 += V.Load(out1 + 4 * V.Lanes); }
            if (TRows.Count > 5) { c5 += V.Load(out0 + 5 * V.Lanes); d5 += V.Load(out1 + 5 * V.Lanes); }
            if (TRows.Count > 6) { c6 += V.Load(out0 + 6 * V.Lanes); d6 += V.Load(out1 + 6 * V.Lanes); }
            if (TRows.Count > 7) { c7 += V.Load(out0 + 7 * V.Lanes); d7 += V.Load(out1 + 7 * V.Lanes); }
            if (TRows.Count > 8) { c8 += V.Load(out0 + 8 * V.Lanes); d8 += V.Load(out1 + 8 * V.Lanes); }
            if (TRows.Count > 9) { c9 += V.Load(out0 + 9 * V.Lanes); d9 += V.Load(out1 + 9 * V.Lanes); }
            if (TRows.Count > 10) { c10 += V.Load(out0 + 10 * V.Lanes); d10 += V.Load(out1 + 10 * V.Lanes); }
            if (TRows.Count > 11) { c11 += V.Load(out0 + 11 * V.Lanes); d11 += V.Load(out1 + 11 * V.Lanes); }
            if (TRows.Count > 12) { c12 += V.Load(out0 + 12 * V.Lanes); d12 += V.Load(out1 + 12 * V.Lanes); }
            if (TRows.Count > 13) { c13 += V.Load(out0 + 13 * V.Lanes); d13 += V.Load(out1 + 13 * V.Lanes); }
        }
        { V.Store(out0 + 0 * V.Lanes, c0); V.Store(out1 + 0 * V.Lanes, d0); }
        if (TRows.Count > 1) { V.Store(out0 + 1 * V.Lanes, c1); V.Store(out1 + 1 * V.Lanes, d1); }
        if (TRows.Count > 2) { V.Store(out0 + 2 * V.Lanes, c2); V.Store(out1 + 2 * V.Lanes, d2); }
        if (TRows.Count > 3) { V.Store(out0 + 3 * V.Lanes, c3); V.Store(out1 + 3 * V.Lanes, d3); }
        if (TRows.Count > 4) { V.Store(out0 + 4 * V.Lanes, c4); V.Store(out1 + 4 * V.Lanes, d4); }
        if (TRows.Count > 5) { V.Store(out0 + 5 * V.Lanes, c5); V.Store(out1 + 5 * V.Lanes, d5); }
        if (TRows.Count > 6) { V.Store(out0 + 6 * V.Lanes, c6); V.Store(out1 + 6 * V.Lanes, d6); }
        if (TRows.Count > 7) { V.Store(out0 + 7 * V.Lanes, c7); V.Store(out1 + 7 * V.Lanes, d7); }
        if (TRows.Count > 8) { V.Store(out0 + 8 * V.Lanes, c8); V.Store(out1 + 8 * V.Lanes, d8); }
        if (TRows.Count > 9) { V.Store(out0 + 9 * V.Lanes, c9); V.Store(out1 + 9 * V.Lanes, d9); }
        if (TRows.Count > 10) { V.Store(out0 + 10 * V.Lanes, c10); V.Store(out1 + 10 * V.Lanes, d10); }
        if (TRows.Count > 11) { V.Store(out0 + 11 * V.Lanes, c11); V.Store(out1 + 11 * V.Lanes, d11); }
        if (TRows.Count > 12) { V.Store(out0 + 12 * V.Lanes, c12); V.Store(out1 + 12 * V.Lanes, d12); }
        if (TRows.Count > 13) { V.Store(out0 + 13 * V.Lanes, c13); V.Store(out1 + 13 * V.Lanes, d13); }
    }
}
