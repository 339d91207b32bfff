using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Orthrus.Tensor.Cpu;

/// <summary>
/// Functions of the scan and the convolution. Unlike <see cref="VectorMath"/> they are exact where it counts for long sequences and for gradients:
/// 2^0 is 1 (a state that does not decay stays), and what underflows is 0.
/// </summary>
internal static class ScanMath
{
    internal const double Log2E = 1.4426950408889634, Ln2 = 0.6931471805599453;

    /// <summary>2^x for x up to 0, within 1.5 units in the last place; 0 where it would be subnormal or nearly. A NaN gives anything.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static V Exp2<V, T>(V x) where V : unmanaged, ISimd<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        // At the lower limit the exponent field becomes 0 and with it the number. Adding 1.5 2^(precision - 1) rounds to an integer.
        x = V.Max(Const<V, T>(typeof(T) == typeof(float) ? -127 : -1023), x);
        V magic = Const<V, T>(typeof(T) == typeof(float) ? 12582912.0 : 6755399441055744.0);
        V shifted = x + magic, f = x - (shifted - magic), p;
        if (typeof(T) == typeof(float))
        {
            // Minimax with the constant term held at 1; off by 2e-9.
            p = V.Fma(Const<V, T>(0.0001535335912563728), f, Const<V, T>(0.0013398874830485258));
            p = V.Fma(p, f, Const<V, T>(0.009618437371725753));
            p = V.Fma(p, f, Const<V, T>(0.05550332469812833));
            p = V.Fma(p, f, Const<V, T>(0.24022647913456985));
            p = V.Fma(p, f, Const<V, T>(0.6931472028558878));
            p = V.Fma(p, f, Const<V, T>(1));
        }
        else
        {
            // Taylor of exp(f ln 2) to degree 13; the remainder is 4e-18.
            V g = f * Const<V, T>(Ln2);
            p = V.Fma(Const<V, T>(1.0 / 6227020800), g, Const<V, T>(1.0 / 479001600));
            p = V.Fma(p, g, Const<V, T>(1.0 / 39916800));
            p = V.Fma(p, g, Const<V, T>(1.0 / 3628800));
            p = V.Fma(p, g, Const<V, T>(1.0 / 362880));
            p = V.Fma(p, g, Const<V, T>(1.0 / 40320));
            p = V.Fma(p, g, Const<V, T>(1.0 / 5040));
            p = V.Fma(p, g, Const<V, T>(1.0 / 720));
            p = V.Fma(p, g, Const<V, T>(1.0 / 120));
            p = V.Fma(p, g, Const<V, T>(1.0 / 24));
            p = V.Fma(p, g, Const<V, T>(1.0 / 6));
            p = V.Fma(p, g, Const<V, T>(0.5));
            p = V.Fma(p, g, Const<V, T>(1));
            p = V.Fma(p, g, Const<V, T>(1));
        }
        return V.ScaleByLowBits(p, shifted);
    }

    /// <summary>
    /// 2^x for x from -<see cref="DecayLimit"/> to 0 by the quickest way of the width, within 2 units in the last place; 0 where it underflows.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static V Decay<V, T>(V x) where V : unmanaged, ISimd<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        if (typeof(V) == typeof(V512<float>) && Avx512F.IsSupported)
        {
            // As Exp2Decay, with one more term: near 0 the error is relative to x, so that it does not build up in a state that decays slowly.
            Vector512<float> v = Unsafe.BitCast<V, Vector512<float>>(x), shifted = v + Vector512.Create(393216f), step = shifted - Vector512.Create(393216f), r = v - step;
            Vector512<float> t = Avx512F.PermuteVar16x32x2(Cpu.Decay.Low, shifted.AsInt32(), Cpu.Decay.High);
            Vector512<float> q = Vector512.FusedMultiplyAdd(Vector512.FusedMultiplyAdd(r, Vector512.Create(0.05550411f), Vector512.Create(0.24022651f)), r, Vector512.Create(0.6931472f));
            return Unsafe.BitCast<Vector512<float>, V>(Avx512F.Scale(Vector512.FusedMultiplyAdd(q, r * t, t), step));
        }
        if (typeof(V) == typeof(V256<float>) && Avx2.IsSupported) return V.Exp2Decay(x);
        return Exp2<V, T>(x);
    }

    /// <summary>Where the 512-bit decay stays finite: its reduced argument, cubed, must not overflow.</summary>
    internal const double DecayLimit = 1e19;

    /// <summary>1 / (1 + exp(-x)), and 1 / (1 + exp(x)) without cancellation.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static V Sigmoid<V, T>(V x, out V complement) where V : unmanaged, ISimd<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        V u = Exp2<V, T>(V.Abs(x) * Const<V, T>(-Log2E)), large = Const<V, T>(1) / (Const<V, T>(1) + u), small = u * large;
        complement = V.Greater(x, V.Zero, small, large);
        return V.Greater(x, V.Zero, large, small);
    }

    /// <summary>log(1 + exp(x)), x itself above 20, and its derivative.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static V Softplus<V, T>(V x, out V slope) where V : unmanaged, ISimd<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        V u = Exp2<V, T>(V.Abs(x) * Const<V, T>(-Log2E)), one = Const<V, T>(1), limit = Const<V, T>(20);
        V large = one / (one + u);
        slope = V.Greater(x, limit, one, V.Greater(x, V.Zero, large, u * large));
        return Softplus<V, T>(x, u);
    }

    /// <summary>log(1 + exp(x)); x itself above 20.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static V Softplus<V, T>(V x) where V : unmanaged, ISimd<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T> =>
        Softplus<V, T>(x, Exp2<V, T>(V.Abs(x) * Const<V, T>(-Log2E)));

    // max(x, 0) + log1p(u) with u = exp(-|x|) in [0, 1].
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V Softplus<V, T>(V x, V u) where V : unmanaged, ISimd<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        V s, p;
        if (typeof(T) == typeof(float))
        {
            // log1p(u) / u by a polynomial, off by 3e-8 at most: nothing is divided.
            s = u;
            p = V.Fma(Const<V, T>(0.005232691299170256), u, Const<V, T>(-0.029505226761102676));
            p = V.Fma(p, u, Const<V, T>(0.07822593301534653));
            p = V.Fma(p, u, Const<V, T>(-0.13663244247436523));
            p = V.Fma(p, u, Const<V, T>(0.19106006622314453));
            p = V.Fma(p, u, Const<V, T>(-0.2484298199415207));
            p = V.Fma(p, u, Const<V, T>(0.3331909775733948));
            p = V.Fma(p, u, Const<V, T>(-0.4999949336051941));
            p = V.Fma(p, u, Const<V, T>(0.9999999403953552));
        }
        else
        {
            // 2 artanh(u / (2 + u)); the series' argument is at most 1/3.
            s = u / (u + Const<V, T>(2));
            V s2 = s * s;
            p = V.Fma(Const<V, T>(2.0 / 33), s2, Const<V, T>(2.0 / 31));
            p = V.Fma(p, s2, Const<V, T>(2.0 / 29)); p = V.Fma(p, s2, Const<V, T>(2.0 / 27)); p = V.Fma(p, s2, Const<V, T>(2.0 / 25));
            p = V.Fma(p, s2, Const<V, T>(2.0 / 23)); p = V.Fma(p, s2, Const<V, T>(2.0 / 21)); p = V.Fma(p, s2, Const<V, T>(2.0 / 19));
            p = V.Fma(p, s2, Const<V, T>(2.0 / 17)); p = V.Fma(p, s2, Const<V, T>(2.0 / 15)); p = V.Fma(p, s2, Const<V, T>(2.0 / 13));
            p = V.Fma(p, s2, Const<V, T>(2.0 / 11)); p = V.Fma(p, s2, Const<V, T>(2.0 / 9)); p = V.Fma(p, s2, Const<V, T>(2.0 / 7));
            p = V.Fma(p, s2, Const<V, T>(2.0 / 5)); p = V.Fma(p, s2, Const<V, T>(2.0 / 3)); p = V.Fma(p, s2, Const<V, T>(2));
        }
        V y = V.Fma(s, p, V.Max(x, V.Zero));
        return V.Ordered(x, V.Greater(x, Const<V, T>(20), x, y), x);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static V Const<V, T>(double value) where V : unmanaged, ISimd<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T> =>
        V.Set(typeof(T) == typeof(float) ? (T)(object)(float)value : (T)(object)value);
}
