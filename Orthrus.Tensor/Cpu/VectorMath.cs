using System.Numerics;
using System.Runtime.CompilerServices;

namespace Orthrus.Tensor.Cpu;

/// <summary>Functions of vectors, written once for every width and for float and double.</summary>
public static partial class VectorMath
{
    private const double Log2E = 1.4426950408889634, Ln2 = 0.6931471805599453;

    /// <summary>2^x for |x| up to 126 (float) or 1022 (double); the caller clamps. Within 1.5 units in the last place.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Exp2<V, T>(V x) where V : unmanaged, ISimd<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        // Adding 1.5 2^(precision - 1) rounds to an integer, which then stands in the low bits of the significand.
        V magic = Const<V, T>(typeof(T) == typeof(float) ? 12582912.0 : 6755399441055744.0);
        V shifted = x + magic, f = x - (shifted - magic), p;
        if (typeof(T) == typeof(float))
        {
            p = Const<V, T>(0.0013276471505243581);
            p = V.Fma(p, f, Const<V, T>(0.009675541330565599));
            p = V.Fma(p, f, Const<V, T>(0.05550713275005313));
            p = V.Fma(p, f, Const<V, T>(0.24022119723936597));
            p = V.Fma(p, f, Const<V, T>(0.6931469670638377));
            p = V.Fma(p, f, Const<V, T>(1.000000071654657));
        }
        else
        {
            // Taylor of exp(f ln 2) to degree 13; the remainder is 4e-18.
            V g = f * Const<V, T>(Ln2);
            p = Const<V, T>(1.0 / 6227020800);
            p = V.Fma(p, g, Const<V, T>(1.0 / 479001600));
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

    /// <summary>x sigmoid(x). NaN stays NaN; -infinity gives NaN as x sigmoid(x) does in IEEE arithmetic only through 0 times infinity, here -0.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V SiLU<V, T>(V x) where V : unmanaged, ISimd<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        V e = Exp2<V, T>(Clamp<V, T>(x * Const<V, T>(-Log2E)));
        return x / (e + Const<V, T>(1));
    }

    /// <summary>log(1 + exp(x)); x itself above 20.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Softplus<V, T>(V x) where V : unmanaged, ISimd<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        if (typeof(T) == typeof(float)) return SoftplusSingle<V, T>(x);
        // log1p(u) = 2 artanh(u / (2 + u)) with u = exp(-|x|) in (0, 1], so that the series' argument is at most 1/3.
        V u = Exp2<V, T>(Clamp<V, T>(V.Abs(x) * Const<V, T>(-Log2E)));
        V s = u / (u + Const<V, T>(2)), s2 = s * s;
        V p = Const<V, T>(2.0 / 33);
        p = V.Fma(p, s2, Const<V, T>(2.0 / 31)); p = V.Fma(p, s2, Const<V, T>(2.0 / 29)); p = V.Fma(p, s2, Const<V, T>(2.0 / 27));
        p = V.Fma(p, s2, Const<V, T>(2.0 / 25)); p = V.Fma(p, s2, Const<V, T>(2.0 / 23)); p = V.Fma(p, s2, Const<V, T>(2.0 / 21));
        p = V.Fma(p, s2, Const<V, T>(2.0 / 19)); p = V.Fma(p, s2, Const<V, T>(2.0 / 17)); p = V.Fma(p, s2, Const<V, T>(2.0 / 15));
        p = V.Fma(p, s2, Const<V, T>(2.0 / 13)); p = V.Fma(p, s2, Const<V, T>(2.0 / 11)); p = V.Fma(p, s2, Const<V, T>(2.0 / 9));
        p = V.Fma(p, s2, Const<V, T>(2.0 / 7)); p = V.Fma(p, s2, Const<V, T>(2.0 / 5)); p = V.Fma(p, s2, Const<V, T>(2.0 / 3));
        p = V.Fma(p, s2, Const<V, T>(2));
        V y = V.Fma(s, p, V.Max(x, V.Zero));
        // NaN passes through the first branch of neither comparison, so it is chosen explicitly.
        return V.Ordered(x, V.Greater(x, Const<V, T>(20), x, y), x);
    }

    // max(x, 0) + log1p(u), u = exp(-|x|): log1p(u) / u by a polynomial of degree 8 on [0, 1], off by 3e-8 at most, so that nothing is divided.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V SoftplusSingle<V, T>(V x) where V : unmanaged, ISimd<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        V u = V.Exp2Decay(V.Max(V.Abs(x) * Const<V, T>(-Log2E), Const<V, T>(-126))), u2 = u * u, u4 = u2 * u2;
        // In pairs (Estrin): one chain of eight would take twice as long as its operations.
        V p0 = V.Fma(Const<V, T>(-0.4999949336051941), u, Const<V, T>(0.9999999403953552)), p1 = V.Fma(Const<V, T>(-0.2484298199415207), u, Const<V, T>(0.3331909775733948));
        V p2 = V.Fma(Const<V, T>(-0.13663244247436523), u, Const<V, T>(0.19106006622314453)), p3 = V.Fma(Const<V, T>(-0.029505226761102676), u, Const<V, T>(0.07822593301534653));
        V p = V.Fma(V.Fma(Const<V, T>(0.005232691299170256), u4, V.Fma(p3, u2, p2)), u4, V.Fma(p1, u2, p0));
        V y = V.Fma(u, p, V.Max(x, V.Zero));
        return V.Ordered(x, V.Greater(x, Const<V, T>(20), x, y), x);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V Clamp<V, T>(V x) where V : unmanaged, ISimd<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        V limit = Const<V, T>(typeof(T) == typeof(float) ? 126 : 1022);
        return V.Max(V.Min(x, limit), V.Zero - limit);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V Const<V, T>(double value) where V : unmanaged, ISimd<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T> =>
        V.Set(typeof(T) == typeof(float) ? (T)(object)(float)value : (T)(object)value);
}
