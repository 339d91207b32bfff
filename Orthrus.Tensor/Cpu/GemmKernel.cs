using System.Numerics;
using System.Runtime.CompilerServices;

namespace Orthrus.Tensor.Cpu;

/// <summary>Order of the elements of a packed left operand within its strips of rows, as a type so that distances are constants.</summary>
public interface IStripLayout
{
    /// <summary>Distance of two rows.</summary>
    static abstract int RowStep(int rows, int lanes);
    /// <summary>Distance of two neighbours along the depth, within a block of lanes of them.</summary>
    static abstract int DepthStep(int rows, int lanes);
    /// <summary>Elements that a strip takes for each depth.</summary>
    static abstract int Width(int rows, int lanes);
}

/// <summary>[depth / lanes][rows][lanes]: what copying whole vectors out of row-major rows gives.</summary>
public readonly struct RowsOfVectors : IStripLayout
{
    /// <inheritdoc/>
    public static int RowStep(int rows, int lanes) => lanes;
    /// <inheritdoc/>
    public static int DepthStep(int rows, int lanes) => 1;
    /// <inheritdoc/>
    public static int Width(int rows, int lanes) => rows;
}

/// <summary>
/// [depth][rows]: what copying pieces of row-major rows gives when the rows run along the depth, that is for a transposed operand. Tall strips have room for whole
/// vectors, so that no copy crosses a cache line.
/// </summary>
public readonly struct DepthOfRows : IStripLayout
{
    /// <inheritdoc/>
    public static int RowStep(int rows, int lanes) => 1;
    /// <inheritdoc/>
    public static int DepthStep(int rows, int lanes) => Width(rows, lanes);
    /// <inheritdoc/>
    public static int Width(int rows, int lanes) => rows < 12 ? rows : (rows + lanes - 1) / lanes * lanes;
}

/// <summary>Width of a panel in vectors, as a type.</summary>
public interface IPanelWidth
{
    /// <summary>Two vectors rather than one.</summary>
    static abstract bool Two { get; }
}

/// <summary>A panel of one vector, for what is left of few columns.</summary>
public readonly struct OneVector : IPanelWidth
{
    /// <inheritdoc/>
    public static bool Two => false;
}

/// <summary>A panel of two vectors.</summary>
public readonly struct TwoVectors : IPanelWidth
{
    /// <inheritdoc/>
    public static bool Two => true;
}

/// <summary>
/// The inner loop of <see cref="Gemm"/>: one strip of rows times one panel of one or two vectors, into a row-major result. Each element is one chain of
/// fused multiply-adds in the order of the depth, started from zero.
/// </summary>
/// <remarks>Beside <see cref="MicroKernel"/>, whose operands and results are blocks of channels, this one takes packed strips and writes rows at any distance.</remarks>
internal static unsafe class GemmKernel
{
    /// <summary>c[r][0..width) = sum over k of a[r][k] b[k][0..width), plus bias, plus what c holds.</summary>
    /// <param name="a">Packed strip: blocks of lanes depths, each of TRows.Count x lanes elements in the order of <typeparamref name="TLayout"/>.</param>
    /// <param name="b">Packed panel, [depth][width].</param>
    /// <param name="blocks">Depth / lanes, at least 1.</param>
    /// <param name="c">First result.</param>
    /// <param name="rowStride">Distance of two rows of results, in elements.</param>
    /// <param name="bias">One element per column, or null.</param>
    /// <param name="accumulate">Adds to the results instead of overwriting them.</param>
    /// <param name="next">What to bring near meanwhile, a line for every four depths; a valid address.</param>
    /// <param name="nextStep">Elements from one such line to the next.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void Run<V, T, TRows, TLayout, TWidth>(T* a, T* b, int blocks, T* c, nint rowStride, T* bias, bool accumulate, T* next, nint nextStep)
        where V : unmanaged, ISimd<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
        where TRows : struct, IRows where TLayout : struct, IStripLayout where TWidth : struct, IPanelWidth
    {
        int row = TLayout.RowStep(TRows.Count, V.Lanes), step = TLayout.DepthStep(TRows.Count, V.Lanes), width = TWidth.Two ? 2 * V.Lanes : V.Lanes;
        // Four depths per turn are not only for speed: with fewer the JIT's allocator moves the sums between registers and memory, at half the rate.
        int turn = V.Lanes < 4 ? V.Lanes : 4;
        V c0 = V.Zero, d0 = V.Zero, c1 = V.Zero, d1 = V.Zero, c2 = V.Zero, d2 = V.Zero, c3 = V.Zero, d3 = V.Zero, c4 = V.Zero, d4 = V.Zero, c5 = V.Zero, d5 = V.Zero;
        V c6 = V.Zero, d6 = V.Zero, c7 = V.Zero, d7 = V.Zero, c8 = V.Zero, d8 = V.Zero, c9 = V.Zero, d9 = V.Zero, c10 = V.Zero, d10 = V.Zero, c11 = V.Zero, d11 = V.Zero;
        do
        {
            T* p = a;
            T* end = a + V.Lanes * step;
            do
            {
                {
                    V w0 = V.Load(b), w1 = TWidth.Two ? V.Load(b + V.Lanes) : V.Zero, x;
                    { x = V.Set(p[0 * row]); c0 = V.Fma(x, w0, c0); if (TWidth.Two) d0 = V.Fma(x, w1, d0); }
                    if (TRows.Count > 1) { x = V.Set(p[1 * row]); c1 = V.Fma(x, w0, c1); if (TWidth.Two) d1 = V.Fma(x, w1, d1); }
                    if (TRows.Count > 2) { x = V.Set(p[2 * row]); c2 = V.Fma(x, w0, c2); if (TWidth.Two) d2 = V.Fma(x, w1, d2); }
                    if (TRows.Count > 3) { x = V.Set(p[3 * row]); c3 = V.Fma(x, w0, c3); if (TWidth.Two) d3 = V.Fma(x, w1, d3); }
                    if (TRows.Count > 4) { x = V.Set(p[4 * row]); c4 = V.Fma(x, w0, c4); if (TWidth.Two) d4 = V.Fma(x, w1, d4); }
                    if (TRows.Count > 5) { x = V.Set(p[5 * row]); c5 = V.Fma(x, w0, c5); if (TWidth.Two) d5 = V.Fma(x, w1, d5); }
                    if (TRows.Count > 6) { x = V.Set(p[6 * row]); c6 = V.Fma(x, w0, c6); if (TWidth.Two) d6 = V.Fma(x, w1, d6); }
                    if (TRows.Count > 7) { x = V.Set(p[7 * row]); c7 = V.Fma(x, w0, c7); if (TWidth.Two) d7 = V.Fma(x, w1, d7); }
                    if (TRows.Count > 8) { x = V.Set(p[8 * row]); c8 = V.Fma(x, w0, c8); if (TWidth.Two) d8 = V.Fma(x, w1, d8); }
                    if (TRows.Count > 9) { x = V.Set(p[9 * row]); c9 = V.Fma(x, w0, c9); if (TWidth.Two) d9 = V.Fma(x, w1, d9); }
                    if (TRows.Count > 10) { x = V.Set(p[10 * row]); c10 = V.Fma(x, w0, c10); if (TWidth.Two) d10 = V.Fma(x, w1, d10); }
                    if (TRows.Count > 11) { x = V.Set(p[11 * row]); c11 = V.Fma(x, w0, c11); if (TWidth.Two) d11 = V.Fma(x, w1, d11); }
                }
                {
                    V w0 = V.Load(b + width), w1 = TWidth.Two ? V.Load(b + width + V.Lanes) : V.Zero, x;
                    { x = V.Set(p[0 * row + step]); c0 = V.Fma(x, w0, c0); if (TWidth.Two) d0 = V.Fma(x, w1, d0); }
                    if (TRows.Count > 1) { x = V.Set(p[1 * row + step]); c1 = V.Fma(x, w0, c1); if (TWidth.Two) d1 = V.Fma(x, w1, d1); }
                    if (TRows.Count > 2) { x = V.Set(p[2 * row + step]); c2 = V.Fma(x, w0, c2); if (TWidth.Two) d2 = V.Fma(x, w1, d2); }
                    if (TRows.Count > 3) { x = V.Set(p[3 * row + step]); c3 = V.Fma(x, w0, c3); if (TWidth.Two) d3 = V.Fma(x, w1, d3); }
                    if (TRows.Count > 4) { x = V.Set(p[4 * row + step]); c4 = V.Fma(x, w0, c4); if (TWidth.Two) d4 = V.Fma(x, w1, d4); }
                    if (TRows.Count > 5) { x = V.Set(p[5 * row + step]); c5 = V.Fma(x, w0, c5); if (TWidth.Two) d5 = V.Fma(x, w1, d5); }
                    if (TRows.Count > 6) { x = V.Set(p[6 * row + step]); c6 = V.Fma(x, w0, c6); if (TWidth.Two) d6 = V.Fma(x, w1, d6); }
                    if (TRows.Count > 7) { x = V.Set(p[7 * row + step]); c7 = V.Fma(x, w0, c7); if (TWidth.Two) d7 = V.Fma(x, w1, d7); }
                    if (TRows.Count > 8) { x = V.Set(p[8 * row + step]); c8 = V.Fma(x, w0, c8); if (TWidth.Two) d8 = V.Fma(x, w1, d8); }
                    if (TRows.Count > 9) { x = V.Set(p[9 * row + step]); c9 = V.Fma(x, w0, c9); if (TWidth.Two) d9 = V.Fma(x, w1, d9); }
                    if (TRows.Count > 10) { x = V.Set(p[10 * row + step]); c10 = V.Fma(x, w0, c10); if (TWidth.Two) d10 = V.Fma(x, w1, d10); }
                    if (TRows.Count > 11) { x = V.Set(p[11 * row + step]); c11 = V.Fma(x, w0, c11); if (TWidth.Two) d11 = V.Fma(x, w1, d11); }
                }
                if (V.Lanes > 2)
                {
                    V w0 = V.Load(b + 2 * width), w1 = TWidth.Two ? V.Load(b + 2 * width + V.Lanes) : V.Zero, x;
                    { x = V.Set(p[0 * row + 2 * step]); c0 = V.Fma(x, w0, c0); if (TWidth.Two) d0 = V.Fma(x, w1, d0); }
                    if (TRows.Count > 1) { x = V.Set(p[1 * row + 2 * step]); c1 = V.Fma(x, w0, c1); if (TWidth.Two) d1 = V.Fma(x, w1, d1); }
                    if (TRows.Count > 2) { x = V.Set(p[2 * row + 2 * step]); c2 = V.Fma(x, w0, c2); if (TWidth.Two) d2 = V.Fma(x, w1, d2); }
                    if (TRows.Count > 3) { x = V.Set(p[3 * row + 2 * step]); c3 = V.Fma(x, w0, c3); if (TWidth.Two) d3 = V.Fma(x, w1, d3); }
                    if (TRows.Count > 4) { x = V.Set(p[4 * row + 2 * step]); c4 = V.Fma(x, w0, c4); if (TWidth.Two) d4 = V.Fma(x, w1, d4); }
                    if (TRows.Count > 5) { x = V.Set(p[5 * row + 2 * step]); c5 = V.Fma(x, w0, c5); if (TWidth.Two) d5 = V.Fma(x, w1, d5); }
                    if (TRows.Count > 6) { x = V.Set(p[6 * row + 2 * step]); c6 = V.Fma(x, w0, c6); if (TWidth.Two) d6 = V.Fma(x, w1, d6); }
                    if (TRows.Count > 7) { x = V.Set(p[7 * row + 2 * step]); c7 = V.Fma(x, w0, c7); if (TWidth.Two) d7 = V.Fma(x, w1, d7); }
                    if (TRows.Count > 8) { x = V.Set(p[8 * row + 2 * step]); c8 = V.Fma(x, w0, c8); if (TWidth.Two) d8 = V.Fma(x, w1, d8); }
                    if (TRows.Count > 9) { x = V.Set(p[9 * row + 2 * step]); c9 = V.Fma(x, w0, c9); if (TWidth.Two) d9 = V.Fma(x, w1, d9); }
                    if (TRows.Count > 10) { x = V.Set(p[10 * row + 2 * step]); c10 = V.Fma(x, w0, c10); if (TWidth.Two) d10 = V.Fma(x, w1, d10); }
                    if (TRows.Count > 11) { x = V.Set(p[11 * row + 2 * step]); c11 = V.Fma(x, w0, c11); if (TWidth.Two) d11 = V.Fma(x, w1, d11); }
                }
                if (V.Lanes > 3)
                {
                    V w0 = V.Load(b + 3 * width), w1 = TWidth.Two ? V.Load(b + 3 * width + V.Lanes) : V.Zero, x;
                    { x = V.Set(p[0 * row + 3 * step]); c0 = V.Fma(x, w0, c0); if (TWidth.Two) d0 = V.Fma(x, w1, d0); }
                    if (TRows.Count > 1) { x = V.Set(p[1 * row + 3 * step]); c1 = V.Fma(x, w0, c1); if (TWidth.Two) d1 = V.Fma(x, w1, d1); }
                    if (TRows.Count > 2) { x = V.Set(p[2 * row + 3 * step]); c2 = V.Fma(x, w0, c2); if (TWidth.Two) d2 = V.Fma(x, w1, d2); }
                    if (TRows.Count > 3) { x = V.Set(p[3 * row + 3 * step]); c3 = V.Fma(x, w0, c3); if (TWidth.Two) d3 = V.Fma(x, w1, d3); }
                    if (TRows.Count > 4) { x = V.Set(p[4 * row + 3 * step]); c4 = V.Fma(x, w0, c4); if (TWidth.Two) d4 = V.Fma(x, w1, d4); }
                    if (TRows.Count > 5) { x = V.Set(p[5 * row + 3 * step]); c5 = V.Fma(x, w0, c5); if (TWidth.Two) d5 = V.Fma(x, w1, d5); }
                    if (TRows.Count > 6) { x = V.Set(p[6 * row + 3 * step]); c6 = V.Fma(x, w0, c6); if (TWidth.Two) d6 = V.Fma(x, w1, d6); }
                    if (TRows.Count > 7) { x = V.Set(p[7 * row + 3 * step]); c7 = V.Fma(x, w0, c7); if (TWidth.Two) d7 = V.Fma(x, w1, d7); }
                    if (TRows.Count > 8) { x = V.Set(p[8 * row + 3 * step]); c8 = V.Fma(x, w0, c8); if (TWidth.Two) d8 = V.Fma(x, w1, d8); }
                    if (TRows.Count > 9) { x = V.Set(p[9 * row + 3 * step]); c9 = V.Fma(x, w0, c9); if (TWidth.Two) d9 = V.Fma(x, w1, d9); }
                    if (TRows.Count > 10) { x = V.Set(p[10 * row + 3 * step]); c10 = V.Fma(x, w0, c10); if (TWidth.Two) d10 = V.Fma(x, w1, d10); }
                    if (TRows.Count > 11) { x = V.Set(p[11 * row + 3 * step]); c11 = V.Fma(x, w0, c11); if (TWidth.Two) d11 = V.Fma(x, w1, d11); }
                }
                V.Prefetch(next);
                next += nextStep;
                p += turn * step;
                b += turn * width;
            }
            while (p < end);
            a += TLayout.Width(TRows.Count, V.Lanes) * V.Lanes;
        }
        while (--blocks > 0);
        if (bias != null)
        {
            V b0 = V.Load(bias), b1 = TWidth.Two ? V.Load(bias + V.Lanes) : V.Zero;
            { c0 += b0; if (TWidth.Two) d0 += b1; }
            if (TRows.Count > 1) { c1 += b0; if (TWidth.Two) d1 += b1; }
            if (TRows.Count > 2) { c2 += b0; if (TWidth.Two) d2 += b1; }
            if (TRows.Count > 3) { c3 += b0; if (TWidth.Two) d3 += b1; }
            if (TRows.Count > 4) { c4 += b0; if (TWidth.Two) d4 += b1; }
            if (TRows.Count > 5) { c5 += b0; if (TWidth.Two) d5 += b1; }
            if (TRows.Count > 6) { c6 += b0; if (TWidth.Two) d6 += b1; }
            if (TRows.Count > 7) { c7 += b0; if (TWidth.Two) d7 += b1; }
            if (TRows.Count > 8) { c8 += b0; if (TWidth.Two) d8 += b1; }
            if (TRows.Count > 9) { c9 += b0; if (TWidth.Two) d9 += b1; }
            if (TRows.Count > 10) { c10 += b0; if (TWidth.Two) d10 += b1; }
            if (TRows.Count > 11) { c11 += b0; if (TWidth.Two) d11 += b1; }
        }
        Finish<V, T, TWidth>(c + 0 * rowStride, c0, d0, accumulate);
        if (TRows.Count > 1) Finish<V, T, TWidth>(c + 1 * rowStride, c1, d1, accumulate);
        if (TRows.Count > 2) Finish<V, T, TWidth>(c + 2 * rowStride, c2, d2, accumulate);
        if (TRows.Count > 3) Finish<V, T, TWidth>(c + 3 * rowStride, c3, d3, accumulate);
        if (TRows.Count > 4) Finish<V, T, TWidth>(c + 4 * rowStride, c4, d4, accumulate);
        if (TRows.Count > 5) Finish<V, T, TWidth>(c + 5 * rowStride, c5, d5, accumulate);
        if (TRows.Count > 6) Finish<V, T, TWidth>(c + 6 * rowStride, c6, d6, accumulate);
        if (TRows.Count > 7) Finish<V, T, TWidth>(c + 7 * rowStride, c7, d7, accumulate);
        if (TRows.Count > 8) Finish<V, T, TWidth>(c + 8 * rowStride, c8, d8, accumulate);
        if (TRows.Count > 9) Finish<V, T, TWidth>(c + 9 * rowStride, c9, d9, accumulate);
        if (TRows.Count > 10) Finish<V, T, TWidth>(c + 10 * rowStride, c10, d10, accumulate);
        if (TRows.Count > 11) Finish<V, T, TWidth>(c + 11 * rowStride, c11, d11, accumulate);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Finish<V, T, TWidth>(T* c, V first, V second, bool accumulate)
        where V : unmanaged, ISimd<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T> where TWidth : struct, IPanelWidth
    {
        if (accumulate)
        {
            first += V.Load(c);
            if (TWidth.Two) second += V.Load(c + V.Lanes);
        }
        V.Store(c, first);
        if (TWidth.Two) V.Store(c + V.Lanes, second);
    }
}
