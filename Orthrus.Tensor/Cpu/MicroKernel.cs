using System.Numerics;
using System.Runtime.CompilerServices;

namespace Orthrus.Tensor.Cpu;

/// <summary>Number of rows of a micro-kernel, as a type so that the JIT removes what is not needed.</summary>
public interface IRows
{
    /// <summary>1 to 12.</summary>
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

/// <summary>
/// The inner loop of matrix products: a few rows times one panel of two vectors, all of K in one go. Each output is one chain of fused
/// multiply-adds in the order of k, started from zero, so results do not depend on how rows are grouped.
/// </summary>
public static unsafe class MicroKernel
{
    /// <summary>Steps of k per turn of the loop; fewer where a vector has fewer lanes.</summary>
    public const int Unrolled = 4;

    /// <summary>
    /// out[r][0..2 lanes) = sum over k of a[r][k] w[k][0..2 lanes), for TRows rows.
    /// </summary>
    /// <param name="a">First row's element k = 0; element (r, k) stands at (k / lanes) blockStride + r lanes + k % lanes.</param>
    /// <param name="blockStride">Distance of two blocks of lanes columns, in elements.</param>
    /// <param name="blocks">K / lanes.</param>
    /// <param name="w">Panel, [K][2 lanes].</param>
    /// <param name="next">What to bring near meanwhile, one cache line per <see cref="Unrolled"/> steps of k.</param>
    /// <param name="out0">First vector of the outputs; row r at r lanes.</param>
    /// <param name="out1">Second vector, likewise.</param>
    /// <param name="bias">2 lanes added at the end, or null.</param>
    /// <param name="accumulate">Adds to what the outputs hold instead of overwriting it.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Run<V, T, TRows>(T* a, nint blockStride, int blocks, T* w, T* next, T* out0, T* out1, T* bias, bool accumulate)
        where V : unmanaged, ISimd<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T> where TRows : struct, IRows
    {
        // A local: each use of the property would be one more call to inline, and the JIT has a limit.
        nint n = V.Lanes;
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
        do
        {
            T* p = a;
            T* end = a + n;
            do
            {
                V.Prefetch(next);
                {
                    V w0 = V.Load(w), w1 = V.Load(w + n), x;
                    x = V.Set(p[0]); c0 = V.Fma(x, w0, c0); d0 = V.Fma(x, w1, d0);
                    if (TRows.Count > 1) { x = V.Set(p[n + 0]); c1 = V.Fma(x, w0, c1); d1 = V.Fma(x, w1, d1); }
                    if (TRows.Count > 2) { x = V.Set(p[2 * n + 0]); c2 = V.Fma(x, w0, c2); d2 = V.Fma(x, w1, d2); }
                    if (TRows.Count > 3) { x = V.Set(p[3 * n + 0]); c3 = V.Fma(x, w0, c3); d3 = V.Fma(x, w1, d3); }
                    if (TRows.Count > 4) { x = V.Set(p[4 * n + 0]); c4 = V.Fma(x, w0, c4); d4 = V.Fma(x, w1, d4); }
                    if (TRows.Count > 5) { x = V.Set(p[5 * n + 0]); c5 = V.Fma(x, w0, c5); d5 = V.Fma(x, w1, d5); }
                    if (TRows.Count > 6) { x = V.Set(p[6 * n + 0]); c6 = V.Fma(x, w0, c6); d6 = V.Fma(x, w1, d6); }
                    if (TRows.Count > 7) { x = V.Set(p[7 * n + 0]); c7 = V.Fma(x, w0, c7); d7 = V.Fma(x, w1, d7); }
                    if (TRows.Count > 8) { x = V.Set(p[8 * n + 0]); c8 = V.Fma(x, w0, c8); d8 = V.Fma(x, w1, d8); }
                    if (TRows.Count > 9) { x = V.Set(p[9 * n + 0]); c9 = V.Fma(x, w0, c9); d9 = V.Fma(x, w1, d9); }
                    if (TRows.Count > 10) { x = V.Set(p[10 * n + 0]); c10 = V.Fma(x, w0, c10); d10 = V.Fma(x, w1, d10); }
                    if (TRows.Count > 11) { x = V.Set(p[11 * n + 0]); c11 = V.Fma(x, w0, c11); d11 = V.Fma(x, w1, d11); }
                }

                {
                    V w0 = V.Load(w + 2 * n), w1 = V.Load(w + 3 * n), x;
                    x = V.Set(p[1]); c0 = V.Fma(x, w0, c0); d0 = V.Fma(x, w1, d0);
                    if (TRows.Count > 1) { x = V.Set(p[n + 1]); c1 = V.Fma(x, w0, c1); d1 = V.Fma(x, w1, d1); }
                    if (TRows.Count > 2) { x = V.Set(p[2 * n + 1]); c2 = V.Fma(x, w0, c2); d2 = V.Fma(x, w1, d2); }
                    if (TRows.Count > 3) { x = V.Set(p[3 * n + 1]); c3 = V.Fma(x, w0, c3); d3 = V.Fma(x, w1, d3); }
                    if (TRows.Count > 4) { x = V.Set(p[4 * n + 1]); c4 = V.Fma(x, w0, c4); d4 = V.Fma(x, w1, d4); }
                    if (TRows.Count > 5) { x = V.Set(p[5 * n + 1]); c5 = V.Fma(x, w0, c5); d5 = V.Fma(x, w1, d5); }
                    if (TRows.Count > 6) { x = V.Set(p[6 * n + 1]); c6 = V.Fma(x, w0, c6); d6 = V.Fma(x, w1, d6); }
                    if (TRows.Count > 7) { x = V.Set(p[7 * n + 1]); c7 = V.Fma(x, w0, c7); d7 = V.Fma(x, w1, d7); }
                    if (TRows.Count > 8) { x = V.Set(p[8 * n + 1]); c8 = V.Fma(x, w0, c8); d8 = V.Fma(x, w1, d8); }
                    if (TRows.Count > 9) { x = V.Set(p[9 * n + 1]); c9 = V.Fma(x, w0, c9); d9 = V.Fma(x, w1, d9); }
                    if (TRows.Count > 10) { x = V.Set(p[10 * n + 1]); c10 = V.Fma(x, w0, c10); d10 = V.Fma(x, w1, d10); }
                    if (TRows.Count > 11) { x = V.Set(p[11 * n + 1]); c11 = V.Fma(x, w0, c11); d11 = V.Fma(x, w1, d11); }
                }
                if (V.Lanes > 2)
                {
                    V w0 = V.Load(w + 4 * n), w1 = V.Load(w + 5 * n), x;
                    x = V.Set(p[2]); c0 = V.Fma(x, w0, c0); d0 = V.Fma(x, w1, d0);
                    if (TRows.Count > 1) { x = V.Set(p[n + 2]); c1 = V.Fma(x, w0, c1); d1 = V.Fma(x, w1, d1); }
                    if (TRows.Count > 2) { x = V.Set(p[2 * n + 2]); c2 = V.Fma(x, w0, c2); d2 = V.Fma(x, w1, d2); }
                    if (TRows.Count > 3) { x = V.Set(p[3 * n + 2]); c3 = V.Fma(x, w0, c3); d3 = V.Fma(x, w1, d3); }
                    if (TRows.Count > 4) { x = V.Set(p[4 * n + 2]); c4 = V.Fma(x, w0, c4); d4 = V.Fma(x, w1, d4); }
                    if (TRows.Count > 5) { x = V.Set(p[5 * n + 2]); c5 = V.Fma(x, w0, c5); d5 = V.Fma(x, w1, d5); }
                    if (TRows.Count > 6) { x = V.Set(p[6 * n + 2]); c6 = V.Fma(x, w0, c6); d6 = V.Fma(x, w1, d6); }
                    if (TRows.Count > 7) { x = V.Set(p[7 * n + 2]); c7 = V.Fma(x, w0, c7); d7 = V.Fma(x, w1, d7); }
                    if (TRows.Count > 8) { x = V.Set(p[8 * n + 2]); c8 = V.Fma(x, w0, c8); d8 = V.Fma(x, w1, d8); }
                    if (TRows.Count > 9) { x = V.Set(p[9 * n + 2]); c9 = V.Fma(x, w0, c9); d9 = V.Fma(x, w1, d9); }
                    if (TRows.Count > 10) { x = V.Set(p[10 * n + 2]); c10 = V.Fma(x, w0, c10); d10 = V.Fma(x, w1, d10); }
                    if (TRows.Count > 11) { x = V.Set(p[11 * n + 2]); c11 = V.Fma(x, w0, c11); d11 = V.Fma(x, w1, d11); }
                }
                if (V.Lanes > 3)
                {
                    V w0 = V.Load(w + 6 * n), w1 = V.Load(w + 7 * n), x;
                    x = V.Set(p[3]); c0 = V.Fma(x, w0, c0); d0 = V.Fma(x, w1, d0);
                    if (TRows.Count > 1) { x = V.Set(p[n + 3]); c1 = V.Fma(x, w0, c1); d1 = V.Fma(x, w1, d1); }
                    if (TRows.Count > 2) { x = V.Set(p[2 * n + 3]); c2 = V.Fma(x, w0, c2); d2 = V.Fma(x, w1, d2); }
                    if (TRows.Count > 3) { x = V.Set(p[3 * n + 3]); c3 = V.Fma(x, w0, c3); d3 = V.Fma(x, w1, d3); }
                    if (TRows.Count > 4) { x = V.Set(p[4 * n + 3]); c4 = V.Fma(x, w0, c4); d4 = V.Fma(x, w1, d4); }
                    if (TRows.Count > 5) { x = V.Set(p[5 * n + 3]); c5 = V.Fma(x, w0, c5); d5 = V.Fma(x, w1, d5); }
                    if (TRows.Count > 6) { x = V.Set(p[6 * n + 3]); c6 = V.Fma(x, w0, c6); d6 = V.Fma(x, w1, d6); }
                    if (TRows.Count > 7) { x = V.Set(p[7 * n + 3]); c7 = V.Fma(x, w0, c7); d7 = V.Fma(x, w1, d7); }
                    if (TRows.Count > 8) { x = V.Set(p[8 * n + 3]); c8 = V.Fma(x, w0, c8); d8 = V.Fma(x, w1, d8); }
                    if (TRows.Count > 9) { x = V.Set(p[9 * n + 3]); c9 = V.Fma(x, w0, c9); d9 = V.Fma(x, w1, d9); }
                    if (TRows.Count > 10) { x = V.Set(p[10 * n + 3]); c10 = V.Fma(x, w0, c10); d10 = V.Fma(x, w1, d10); }
                    if (TRows.Count > 11) { x = V.Set(p[11 * n + 3]); c11 = V.Fma(x, w0, c11); d11 = V.Fma(x, w1, d11); }
                }
                int step = V.Lanes < Unrolled ? V.Lanes : Unrolled;
                p += step;
                w += 2 * step * n;
                next += 64 / sizeof(T);
            }
            while (p < end);
            a += blockStride;
        }
        while (--blocks > 0);
        if (bias != null)
        {
            V b0 = V.Load(bias), b1 = V.Load(bias + n);
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
        }
        if (accumulate)
        {
            { c0 += V.Load(out0); d0 += V.Load(out1); }
            if (TRows.Count > 1) { c1 += V.Load(out0 + n); d1 += V.Load(out1 + n); }
            if (TRows.Count > 2) { c2 += V.Load(out0 + 2 * n); d2 += V.Load(out1 + 2 * n); }
            if (TRows.Count > 3) { c3 += V.Load(out0 + 3 * n); d3 += V.Load(out1 + 3 * n); }
            if (TRows.Count > 4) { c4 += V.Load(out0 + 4 * n); d4 += V.Load(out1 + 4 * n); }
            if (TRows.Count > 5) { c5 += V.Load(out0 + 5 * n); d5 += V.Load(out1 + 5 * n); }
            if (TRows.Count > 6) { c6 += V.Load(out0 + 6 * n); d6 += V.Load(out1 + 6 * n); }
            if (TRows.Count > 7) { c7 += V.Load(out0 + 7 * n); d7 += V.Load(out1 + 7 * n); }
            if (TRows.Count > 8) { c8 += V.Load(out0 + 8 * n); d8 += V.Load(out1 + 8 * n); }
            if (TRows.Count > 9) { c9 += V.Load(out0 + 9 * n); d9 += V.Load(out1 + 9 * n); }
            if (TRows.Count > 10) { c10 += V.Load(out0 + 10 * n); d10 += V.Load(out1 + 10 * n); }
            if (TRows.Count > 11) { c11 += V.Load(out0 + 11 * n); d11 += V.Load(out1 + 11 * n); }
        }
        { V.Store(out0, c0); V.Store(out1, d0); }
        if (TRows.Count > 1) { V.Store(out0 + n, c1); V.Store(out1 + n, d1); }
        if (TRows.Count > 2) { V.Store(out0 + 2 * n, c2); V.Store(out1 + 2 * n, d2); }
        if (TRows.Count > 3) { V.Store(out0 + 3 * n, c3); V.Store(out1 + 3 * n, d3); }
        if (TRows.Count > 4) { V.Store(out0 + 4 * n, c4); V.Store(out1 + 4 * n, d4); }
        if (TRows.Count > 5) { V.Store(out0 + 5 * n, c5); V.Store(out1 + 5 * n, d5); }
        if (TRows.Count > 6) { V.Store(out0 + 6 * n, c6); V.Store(out1 + 6 * n, d6); }
        if (TRows.Count > 7) { V.Store(out0 + 7 * n, c7); V.Store(out1 + 7 * n, d7); }
        if (TRows.Count > 8) { V.Store(out0 + 8 * n, c8); V.Store(out1 + 8 * n, d8); }
        if (TRows.Count > 9) { V.Store(out0 + 9 * n, c9); V.Store(out1 + 9 * n, d9); }
        if (TRows.Count > 10) { V.Store(out0 + 10 * n, c10); V.Store(out1 + 10 * n, d10); }
        if (TRows.Count > 11) { V.Store(out0 + 11 * n, c11); V.Store(out1 + 11 * n, d11); }
    }
}
