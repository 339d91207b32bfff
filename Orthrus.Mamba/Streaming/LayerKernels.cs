using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Orthrus.Tensor.Cpu;

namespace Orthrus.Mamba.Streaming;

/// <summary>Loops of one layer over one block of channels and one segment of a record. Every pointer is a parameter: a field would be reloaded.</summary>
internal static unsafe class LayerKernels<V, T> where V : unmanaged, ISimd<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    /// <summary>Layer norm without weight and bias of rows 0 to <paramref name="rows"/> - 1: [blocks][stride][lanes] to the same layout.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void Normalize(T* x, T* y, nint blockStride, int blocks, int rows, int width)
    {
        T inverse = T.One / T.CreateTruncating(width), epsilon = T.CreateTruncating(1e-5), padding = T.CreateTruncating(blocks * V.Lanes - width);
        for (int t = 0; t < rows; t++)
        {
            V s = V.Zero, q = V.Zero;
            T* p = x + (nint)t * V.Lanes;
            for (int b = 0; b < blocks; b++, p += blockStride) s += V.Load(p);
            T mean = V.Sum(s) * inverse;
            V m = V.Set(mean);
            p = x + (nint)t * V.Lanes;
            for (int b = 0; b < blocks; b++, p += blockStride)
            {
                V c = V.Load(p) - m;
                q = V.Fma(c, c, q);
            }
            // Lanes past the width hold zeros and have contributed mean^2 each.
            T variance = (V.Sum(q) - padding * mean * mean) * inverse;
            V scale = V.Set(T.One / T.Sqrt(variance + epsilon));
            p = x + (nint)t * V.Lanes;
            T* o = y + (nint)t * V.Lanes;
            for (int b = 0; b < blocks; b++, p += blockStride, o += blockStride) V.Store(o, (V.Load(p) - m) * scale);
        }
    }

    /// <summary>Convolution of width 4 and SiLU, one block; <paramref name="tail"/> holds the three inputs before the segment and receives its last three.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void Convolve(T* x, T* y, int length, T* taps, T* bias, T* tail)
    {
        V w0 = V.Load(taps), w1 = V.Load(taps + V.Lanes), w2 = V.Load(taps + 2 * V.Lanes), w3 = V.Load(taps + 3 * V.Lanes), b = V.Load(bias);
        V a = V.Load(tail), c = V.Load(tail + V.Lanes), d = V.Load(tail + 2 * V.Lanes);
        for (int t = 0; t < length; t++, x += V.Lanes, y += V.Lanes)
        {
            V now = V.Load(x);
            V v = V.Fma(now, w3, V.Fma(d, w2, V.Fma(c, w1, V.Fma(a, w0, b))));
            V.Store(y, VectorMath.SiLU<V, T>(v));
            (a, c, d) = (c, d, now);
        }
        V.Store(tail, a);
        V.Store(tail + V.Lanes, c);
        V.Store(tail + 2 * V.Lanes, d);
    }

    /// <summary>x sigmoid(x) in place.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void SiLU(T* x, int vectors)
    {
        for (int i = 0; i < vectors; i++, x += V.Lanes) V.Store(x, VectorMath.SiLU<V, T>(V.Load(x)));
    }

    /// <summary>log(1 + exp(x)) in place.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void Softplus(T* x, int vectors)
    {
        for (int i = 0; i < vectors; i++, x += V.Lanes) V.Store(x, VectorMath.Softplus<V, T>(V.Load(x)));
    }

    /// <summary>Copies rows of a table by track byte.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void Gather(byte* tracks, T* table, T* y, int rows)
    {
        for (int t = 0; t < rows; t++, y += V.Lanes) V.Store(y, V.Load(table + (nint)(tracks[t] & 63) * V.Lanes));
    }

    /// <summary>Adds up one block of channels over positions, in double and in the order of positions.</summary>
    /// <param name="x">[length][lanes].</param>
    /// <param name="pool">Sums so far.</param>
    /// <param name="length">Positions.</param>
    /// <param name="channels">Channels of the block that exist.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void PoolSum(T* x, double* pool, int length, int channels)
    {
        int i = 0;
        for (; i <= channels - 8; i += 8)
        {
            Vector256<double> s = Vector256.Load(pool + i), q = Vector256.Load(pool + i + 4);
            for (int t = 0; t < length; t++)
            {
                T* p = x + (nint)t * V.Lanes + i;
                s += Wide(p);
                q += Wide(p + 4);
            }
            s.Store(pool + i);
            q.Store(pool + i + 4);
        }
        for (; i < channels; i++)
            for (int t = 0; t < length; t++) pool[i] += double.CreateTruncating(x[(nint)t * V.Lanes + i]);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<double> Wide(T* p)
    {
        if (typeof(T) == typeof(double)) return Vector256.Load((double*)p);
        var (low, high) = Vector128.Widen(Vector128.Load((float*)p));
        return Vector256.Create(low, high);
    }

    /// <summary>
    /// Selective scan of one block of channels with 16 states, skip and gate: x is overwritten with the gated output.
    /// </summary>
    /// <param name="x">Convolution output, [length][lanes].</param>
    /// <param name="delta">After softplus, [length][lanes].</param>
    /// <param name="gate">SiLU of z, [length][lanes].</param>
    /// <param name="b">B of state 0; state n at (n / lanes) stride + n % lanes; next position lanes further.</param>
    /// <param name="c">C, likewise.</param>
    /// <param name="stride">Elements between two blocks of B and C.</param>
    /// <param name="a2">A log2 e, [16][lanes].</param>
    /// <param name="limit">Largest delta for the decay, [lanes].</param>
    /// <param name="skip">D, [lanes].</param>
    /// <param name="state">[16][lanes], in and out.</param>
    /// <param name="length">Positions.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void Scan16(T* x, T* delta, T* gate, T* b, T* c, nint stride, T* a2, T* limit, T* skip, T* state, int length)
    {
        V s0 = V.Load(state + 0 * V.Lanes), s1 = V.Load(state + 1 * V.Lanes), s2 = V.Load(state + 2 * V.Lanes), s3 = V.Load(state + 3 * V.Lanes), s4 = V.Load(state + 4 * V.Lanes), s5 = V.Load(state + 5 * V.Lanes), s6 = V.Load(state + 6 * V.Lanes), s7 = V.Load(state + 7 * V.Lanes), s8 = V.Load(state + 8 * V.Lanes), s9 = V.Load(state + 9 * V.Lanes), s10 = V.Load(state + 10 * V.Lanes), s11 = V.Load(state + 11 * V.Lanes), s12 = V.Load(state + 12 * V.Lanes), s13 = V.Load(state + 13 * V.Lanes), s14 = V.Load(state + 14 * V.Lanes), s15 = V.Load(state + 15 * V.Lanes);
        for (int t = 0; t < length; t++)
        {
            V dt = V.Load(delta), u = V.Load(x), decay = V.Min(dt, V.Load(limit)), drive = dt * u;
            V y = V.Load(skip) * u, o = V.Zero;
            s0 = V.Fma(s0, V.Exp2Decay(decay * V.Load(a2 + 0 * V.Lanes)), drive * V.Set(b[0 / V.Lanes * stride + 0 % V.Lanes])); y = V.Fma(s0, V.Set(c[0 / V.Lanes * stride + 0 % V.Lanes]), y);
            s1 = V.Fma(s1, V.Exp2Decay(decay * V.Load(a2 + 1 * V.Lanes)), drive * V.Set(b[1 / V.Lanes * stride + 1 % V.Lanes])); o = V.Fma(s1, V.Set(c[1 / V.Lanes * stride + 1 % V.Lanes]), o);
            s2 = V.Fma(s2, V.Exp2Decay(decay * V.Load(a2 + 2 * V.Lanes)), drive * V.Set(b[2 / V.Lanes * stride + 2 % V.Lanes])); y = V.Fma(s2, V.Set(c[2 / V.Lanes * stride + 2 % V.Lanes]), y);
            s3 = V.Fma(s3, V.Exp2Decay(decay * V.Load(a2 + 3 * V.Lanes)), drive * V.Set(b[3 / V.Lanes * stride + 3 % V.Lanes])); o = V.Fma(s3, V.Set(c[3 / V.Lanes * stride + 3 % V.Lanes]), o);
            s4 = V.Fma(s4, V.Exp2Decay(decay * V.Load(a2 + 4 * V.Lanes)), drive * V.Set(b[4 / V.Lanes * stride + 4 % V.Lanes])); y = V.Fma(s4, V.Set(c[4 / V.Lanes * stride + 4 % V.Lanes]), y);
            s5 = V.Fma(s5, V.Exp2Decay(decay * V.Load(a2 + 5 * V.Lanes)), drive * V.Set(b[5 / V.Lanes * stride + 5 % V.Lanes])); o = V.Fma(s5, V.Set(c[5 / V.Lanes * stride + 5 % V.Lanes]), o);
            s6 = V.Fma(s6, V.Exp2Decay(decay * V.Load(a2 + 6 * V.Lanes)), drive * V.Set(b[6 / V.Lanes * stride + 6 % V.Lanes])); y = V.Fma(s6, V.Set(c[6 / V.Lanes * stride + 6 % V.Lanes]), y);
            s7 = V.Fma(s7, V.Exp2Decay(decay * V.Load(a2 + 7 * V.Lanes)), drive * V.Set(b[7 / V.Lanes * stride + 7 % V.Lanes])); o = V.Fma(s7, V.Set(c[7 / V.Lanes * stride + 7 % V.Lanes]), o);
            s8 = V.Fma(s8, V.Exp2Decay(decay * V.Load(a2 + 8 * V.Lanes)), drive * V.Set(b[8 / V.Lanes * stride + 8 % V.Lanes])); y = V.Fma(s8, V.Set(c[8 / V.Lanes * stride + 8 % V.Lanes]), y);
            s9 = V.Fma(s9, V.Exp2Decay(decay * V.Load(a2 + 9 * V.Lanes)), drive * V.Set(b[9 / V.Lanes * stride + 9 % V.Lanes])); o = V.Fma(s9, V.Set(c[9 / V.Lanes * stride + 9 % V.Lanes]), o);
            s10 = V.Fma(s10, V.Exp2Decay(decay * V.Load(a2 + 10 * V.Lanes)), drive * V.Set(b[10 / V.Lanes * stride + 10 % V.Lanes])); y = V.Fma(s10, V.Set(c[10 / V.Lanes * stride + 10 % V.Lanes]), y);
            s11 = V.Fma(s11, V.Exp2Decay(decay * V.Load(a2 + 11 * V.Lanes)), drive * V.Set(b[11 / V.Lanes * stride + 11 % V.Lanes])); o = V.Fma(s11, V.Set(c[11 / V.Lanes * stride + 11 % V.Lanes]), o);
            s12 = V.Fma(s12, V.Exp2Decay(decay * V.Load(a2 + 12 * V.Lanes)), drive * V.Set(b[12 / V.Lanes * stride + 12 % V.Lanes])); y = V.Fma(s12, V.Set(c[12 / V.Lanes * stride + 12 % V.Lanes]), y);
            s13 = V.Fma(s13, V.Exp2Decay(decay * V.Load(a2 + 13 * V.Lanes)), drive * V.Set(b[13 / V.Lanes * stride + 13 % V.Lanes])); o = V.Fma(s13, V.Set(c[13 / V.Lanes * stride + 13 % V.Lanes]), o);
            s14 = V.Fma(s14, V.Exp2Decay(decay * V.Load(a2 + 14 * V.Lanes)), drive * V.Set(b[14 / V.Lanes * stride + 14 % V.Lanes])); y = V.Fma(s14, V.Set(c[14 / V.Lanes * stride + 14 % V.Lanes]), y);
            s15 = V.Fma(s15, V.Exp2Decay(decay * V.Load(a2 + 15 * V.Lanes)), drive * V.Set(b[15 / V.Lanes * stride + 15 % V.Lanes])); o = V.Fma(s15, V.Set(c[15 / V.Lanes * stride + 15 % V.Lanes]), o);
            V.Store(x, (y + o) * V.Load(gate));
            x += V.Lanes; delta += V.Lanes; gate += V.Lanes; b += V.Lanes; c += V.Lanes;
        }
        V.Store(state + 0 * V.Lanes, s0);
        V.Store(state + 1 * V.Lanes, s1);
        V.Store(state + 2 * V.Lanes, s2);
        V.Store(state + 3 * V.Lanes, s3);
        V.Store(state + 4 * V.Lanes, s4);
        V.Store(state + 5 * V.Lanes, s5);
        V.Store(state + 6 * V.Lanes, s6);
        V.Store(state + 7 * V.Lanes, s7);
        V.Store(state + 8 * V.Lanes, s8);
        V.Store(state + 9 * V.Lanes, s9);
        V.Store(state + 10 * V.Lanes, s10);
        V.Store(state + 11 * V.Lanes, s11);
        V.Store(state + 12 * V.Lanes, s12);
        V.Store(state + 13 * V.Lanes, s13);
        V.Store(state + 14 * V.Lanes, s14);
        V.Store(state + 15 * V.Lanes, s15);
    }

    /// <summary>Rows of <see cref="Decay8"/> whose results stay in the first-level cache.</summary>
    internal const int DecayRows = 16;

    /// <summary>exp(delta A) of a group of 8 states: [length][8][lanes].</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void Decay8(T* delta, T* a2, T* limit, T* decay, int length)
    {
        for (int t = 0; t < length; t++, delta += V.Lanes)
        {
            V d = V.Min(V.Load(delta), V.Load(limit));
            for (T* a = a2; a < a2 + 8 * V.Lanes; a += 4 * V.Lanes, decay += 4 * V.Lanes)
            {
                V.Store(decay + 0 * V.Lanes, V.Exp2Decay(d * V.Load(a + 0 * V.Lanes)));
                V.Store(decay + 1 * V.Lanes, V.Exp2Decay(d * V.Load(a + 1 * V.Lanes)));
                V.Store(decay + 2 * V.Lanes, V.Exp2Decay(d * V.Load(a + 2 * V.Lanes)));
                V.Store(decay + 3 * V.Lanes, V.Exp2Decay(d * V.Load(a + 3 * V.Lanes)));
            }
        }
    }

    /// <summary>
    /// The scan for a group of 8 states whose decays stand in <paramref name="decay"/>: with 16 registers, exponentials inside the scan would push the states out.
    /// Partial outputs of all groups but the last go through <paramref name="partial"/>.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void Scan8(T* x, T* delta, T* gate, T* b, T* c, nint stride, T* decay, T* skip, T* state, int length, T* partial, bool first, bool last)
    {
        V s0 = V.Load(state + 0 * V.Lanes), s1 = V.Load(state + 1 * V.Lanes), s2 = V.Load(state + 2 * V.Lanes), s3 = V.Load(state + 3 * V.Lanes), s4 = V.Load(state + 4 * V.Lanes), s5 = V.Load(state + 5 * V.Lanes), s6 = V.Load(state + 6 * V.Lanes), s7 = V.Load(state + 7 * V.Lanes);
        for (int t = 0; t < length; t++)
        {
            V u = V.Load(x), drive = V.Load(delta) * u;
            V y = first ? V.Load(skip) * u : V.Load(partial), o = V.Zero;
            s0 = V.Fma(s0, V.Load(decay + 0 * V.Lanes), drive * V.Set(b[0 / V.Lanes * stride + 0 % V.Lanes])); y = V.Fma(s0, V.Set(c[0 / V.Lanes * stride + 0 % V.Lanes]), y);
            s1 = V.Fma(s1, V.Load(decay + 1 * V.Lanes), drive * V.Set(b[1 / V.Lanes * stride + 1 % V.Lanes])); o = V.Fma(s1, V.Set(c[1 / V.Lanes * stride + 1 % V.Lanes]), o);
            s2 = V.Fma(s2, V.Load(decay + 2 * V.Lanes), drive * V.Set(b[2 / V.Lanes * stride + 2 % V.Lanes])); y = V.Fma(s2, V.Set(c[2 / V.Lanes * stride + 2 % V.Lanes]), y);
            s3 = V.Fma(s3, V.Load(decay + 3 * V.Lanes), drive * V.Set(b[3 / V.Lanes * stride + 3 % V.Lanes])); o = V.Fma(s3, V.Set(c[3 / V.Lanes * stride + 3 % V.Lanes]), o);
            s4 = V.Fma(s4, V.Load(decay + 4 * V.Lanes), drive * V.Set(b[4 / V.Lanes * stride + 4 % V.Lanes])); y = V.Fma(s4, V.Set(c[4 / V.Lanes * stride + 4 % V.Lanes]), y);
            s5 = V.Fma(s5, V.Load(decay + 5 * V.Lanes), drive * V.Set(b[5 / V.Lanes * stride + 5 % V.Lanes])); o = V.Fma(s5, V.Set(c[5 / V.Lanes * stride + 5 % V.Lanes]), o);
            s6 = V.Fma(s6, V.Load(decay + 6 * V.Lanes), drive * V.Set(b[6 / V.Lanes * stride + 6 % V.Lanes])); y = V.Fma(s6, V.Set(c[6 / V.Lanes * stride + 6 % V.Lanes]), y);
            s7 = V.Fma(s7, V.Load(decay + 7 * V.Lanes), drive * V.Set(b[7 / V.Lanes * stride + 7 % V.Lanes])); o = V.Fma(s7, V.Set(c[7 / V.Lanes * stride + 7 % V.Lanes]), o);
            y += o;
            if (last) V.Store(x, y * V.Load(gate));
            else V.Store(partial, y);
            partial += V.Lanes;
            x += V.Lanes; delta += V.Lanes; gate += V.Lanes; b += V.Lanes; c += V.Lanes; decay += 8 * V.Lanes;
        }
        V.Store(state + 0 * V.Lanes, s0);
        V.Store(state + 1 * V.Lanes, s1);
        V.Store(state + 2 * V.Lanes, s2);
        V.Store(state + 3 * V.Lanes, s3);
        V.Store(state + 4 * V.Lanes, s4);
        V.Store(state + 5 * V.Lanes, s5);
        V.Store(state + 6 * V.Lanes, s6);
        V.Store(state + 7 * V.Lanes, s7);
    }
}
