using System.Numerics;
using System.Runtime.CompilerServices;

namespace Orthrus.Tensor.Cpu;

/// <remarks>
/// The functions of this file hold over the whole range and say how exact they are; the faster ones beside them (Exp2, SiLU, Softplus) do for the streaming
/// encoder, whose arguments are bounded. Errors are in units in the last place of the result, and are swept by tests; NaN passes through all.
/// </remarks>
public static partial class VectorMath
{
    /// <summary>e^x within 1.5 units; 0 and infinity beyond the range, subnormal results rounded once.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Exp<V, T>(V x) where V : unmanaged, ISimd<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        bool single = typeof(T) == typeof(float);
        V magic = Magic<V, T>(), one = Const<V, T>(1);
        // At the limits the result is already infinity or 0.
        V p = Reduced<V, T>(V.Max(V.Min(x, Const<V, T>(single ? 89 : 710)), Const<V, T>(single ? -104 : -746)), out V shifted) + one;
        // 2^n in two factors, because n alone may leave the exponent's range.
        V n = shifted - magic, half = V.Fma(n, Const<V, T>(0.5), magic), rest = n - (half - magic) + magic;
        return V.Ordered(x, p * V.ScaleByLowBits(one, half) * V.ScaleByLowBits(one, rest), x);
    }

    /// <summary>1 / (1 + e^-x) within 2.5 units.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Sigmoid<V, T>(V x) where V : unmanaged, ISimd<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        V one = Const<V, T>(1), e = Exp<V, T>(V.Zero - V.Abs(x));
        return V.Ordered(x, V.Greater(V.Zero, x, e, one) / (one + e), x);
    }

    /// <summary>1 / (1 + e^-x) and 1 / (1 + e^x), of one exponential; both within 2.5 units, although they add up to 1.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Sigmoid<V, T>(V x, out V complement) where V : unmanaged, ISimd<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        V one = Const<V, T>(1), e = Exp<V, T>(V.Zero - V.Abs(x)), sum = one + e;
        complement = V.Ordered(x, V.Greater(V.Zero, x, one, e) / sum, x);
        return V.Ordered(x, V.Greater(V.Zero, x, e, one) / sum, x);
    }

    /// <summary>Hyperbolic tangent within 3 units; the sign of zero stays.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Tanh<V, T>(V x) where V : unmanaged, ISimd<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        // With m = e^2|x| - 1, formed without cancellation, tanh |x| = m / (m + 2).
        V a = V.Abs(x), one = Const<V, T>(1);
        V p = Reduced<V, T>(V.Min(a + a, Const<V, T>(typeof(T) == typeof(float) ? 20 : 44)), out V shifted), scale = V.ScaleByLowBits(one, shifted);
        V m = V.Fma(scale, p, scale - one), t = m / (m + Const<V, T>(2));
        return V.Greater(a, V.Zero, V.Greater(V.Zero, x, V.Zero - t, t), x);
    }

    /// <summary>log(1 + u) for u from 0 to 1, within 2.5 units.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Log1p<V, T>(V u) where V : unmanaged, ISimd<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        // 2 artanh(s) with s = u / (2 + u), at most 1/3. The terms beyond the last one are below 2e-8 (float) and 2e-18 (double) of the sum.
        V s = u / (u + Const<V, T>(2)), s2 = s * s, p;
        if (typeof(T) == typeof(float)) p = Const<V, T>(2.0 / 15);
        else
        {
            p = Const<V, T>(2.0 / 33);
            p = V.Fma(p, s2, Const<V, T>(2.0 / 31)); p = V.Fma(p, s2, Const<V, T>(2.0 / 29)); p = V.Fma(p, s2, Const<V, T>(2.0 / 27));
            p = V.Fma(p, s2, Const<V, T>(2.0 / 25)); p = V.Fma(p, s2, Const<V, T>(2.0 / 23)); p = V.Fma(p, s2, Const<V, T>(2.0 / 21));
            p = V.Fma(p, s2, Const<V, T>(2.0 / 19)); p = V.Fma(p, s2, Const<V, T>(2.0 / 17)); p = V.Fma(p, s2, Const<V, T>(2.0 / 15));
        }
        p = V.Fma(p, s2, Const<V, T>(2.0 / 13)); p = V.Fma(p, s2, Const<V, T>(2.0 / 11)); p = V.Fma(p, s2, Const<V, T>(2.0 / 9));
        p = V.Fma(p, s2, Const<V, T>(2.0 / 7)); p = V.Fma(p, s2, Const<V, T>(2.0 / 5)); p = V.Fma(p, s2, Const<V, T>(2.0 / 3));
        // 2 s + s^3 (2/3 + ...): the leading term is exact but for s itself.
        return V.Ordered(u, V.Fma(s * s2, p, s + s), u);
    }

    /// <summary>e^r - 1 for x = n ln 2 + r, |r| up to ln 2 / 2, by Taylor's series; n stands in the low bits of <paramref name="shifted"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V Reduced<V, T>(V x, out V shifted) where V : unmanaged, ISimd<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        bool single = typeof(T) == typeof(float);
        V magic = Magic<V, T>(), p;
        shifted = V.Fma(x, Const<V, T>(Log2E), magic);
        // ln 2 in two parts, so that the product with n loses nothing.
        V n = shifted - magic;
        V r = V.Fma(n, Const<V, T>(single ? -0.693147182464599609375 : -0.6931471805599453), x);
        r = V.Fma(n, Const<V, T>(single ? 1.904654299957767e-9 : -2.3190468138462996e-17), r);
        if (single) p = Const<V, T>(1.0 / 5040);
        else
        {
            p = Const<V, T>(1.0 / 6227020800);
            p = V.Fma(p, r, Const<V, T>(1.0 / 479001600)); p = V.Fma(p, r, Const<V, T>(1.0 / 39916800)); p = V.Fma(p, r, Const<V, T>(1.0 / 3628800));
            p = V.Fma(p, r, Const<V, T>(1.0 / 362880)); p = V.Fma(p, r, Const<V, T>(1.0 / 40320)); p = V.Fma(p, r, Const<V, T>(1.0 / 5040));
        }
        p = V.Fma(p, r, Const<V, T>(1.0 / 720)); p = V.Fma(p, r, Const<V, T>(1.0 / 120)); p = V.Fma(p, r, Const<V, T>(1.0 / 24));
        p = V.Fma(p, r, Const<V, T>(1.0 / 6)); p = V.Fma(p, r, Const<V, T>(0.5));
        return V.Fma(r * r, p, r);
    }

    /// <summary>1.5 2^(precision - 1): added to a number it rounds it to an integer, which then stands in the low bits.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V Magic<V, T>() where V : unmanaged, ISimd<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T> =>
        Const<V, T>(typeof(T) == typeof(float) ? 12582912.0 : 6755399441055744.0);
}
