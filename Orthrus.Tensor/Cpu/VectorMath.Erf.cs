using System.Numerics;
using System.Runtime.CompilerServices;

namespace Orthrus.Tensor.Cpu;

public static partial class VectorMath
{
    /// <summary>Error function within 2.5 units; the sign of zero stays.</summary>
    /// <remarks>
    /// Up to 1: x P(x^2). Above: 1 - exp(-x^2) Q(t) with t = (x - m) / (x + m). P and Q are Chebyshev interpolants, off by 1.4e-9 and 3e-10 of their value
    /// (float, m = 2) and 9e-18 and 1e-18 (double, m = 3).
    /// </remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Erf<V, T>(V x) where V : unmanaged, ISimd<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        bool single = typeof(T) == typeof(float);
        V one = Const<V, T>(1), middle = Const<V, T>(single ? 2 : 3), a = V.Min(V.Abs(x), Const<V, T>(single ? 4 : 6)), z = x * x, t = (a - middle) / (a + middle), p, q;
        if (single)
        {
            p = Const<V, T>(7.875875062685488e-05);
            p = V.Fma(p, z, Const<V, T>(-0.000801686428716587)); p = V.Fma(p, z, Const<V, T>(0.005189087423433974));
            p = V.Fma(p, z, Const<V, T>(-0.026854212010626412)); p = V.Fma(p, z, Const<V, T>(0.11283594715160218));
            p = V.Fma(p, z, Const<V, T>(-0.37612626666720334)); p = V.Fma(p, z, Const<V, T>(1.1283791658483509));
            q = Const<V, T>(5.409323704502927e-05);
            q = V.Fma(q, t, Const<V, T>(-0.0009388551348834774)); q = V.Fma(q, t, Const<V, T>(-0.0008484873491134158));
            q = V.Fma(q, t, Const<V, T>(0.006993840099357748)); q = V.Fma(q, t, Const<V, T>(0.003732958230581201));
            q = V.Fma(q, t, Const<V, T>(-0.07897846777786977)); q = V.Fma(q, t, Const<V, T>(0.2416581931709844));
            q = V.Fma(q, t, Const<V, T>(-0.42718584837242257)); q = V.Fma(q, t, Const<V, T>(0.2553956763131519));
        }
        else
        {
            p = Const<V, T>(-7.795898827002142e-10);
            p = V.Fma(p, z, Const<V, T>(1.3720064546777686e-08)); p = V.Fma(p, z, Const<V, T>(-1.6208483801871705e-07));
            p = V.Fma(p, z, Const<V, T>(1.6447424703317362e-06)); p = V.Fma(p, z, Const<V, T>(-1.492473690741966e-05));
            p = V.Fma(p, z, Const<V, T>(0.00012055294904839707)); p = V.Fma(p, z, Const<V, T>(-0.0008548325975389692));
            p = V.Fma(p, z, Const<V, T>(0.0052239776071164225)); p = V.Fma(p, z, Const<V, T>(-0.02686617064323777));
            p = V.Fma(p, z, Const<V, T>(0.11283791670945006)); p = V.Fma(p, z, Const<V, T>(-0.37612638903183543));
            p = V.Fma(p, z, Const<V, T>(1.1283791670955126));
            q = Const<V, T>(-2.4830043173648142e-08);
            q = V.Fma(q, t, Const<V, T>(-2.3716150275197164e-07)); q = V.Fma(q, t, Const<V, T>(-2.7212562305972635e-07));
            q = V.Fma(q, t, Const<V, T>(1.259395950156353e-06)); q = V.Fma(q, t, Const<V, T>(2.1166383586247637e-06));
            q = V.Fma(q, t, Const<V, T>(-7.979788932022758e-06)); q = V.Fma(q, t, Const<V, T>(-1.286026662857371e-05));
            q = V.Fma(q, t, Const<V, T>(6.405673674106216e-05)); q = V.Fma(q, t, Const<V, T>(4.525529392871058e-05));
            q = V.Fma(q, t, Const<V, T>(-0.0005970619591349537)); q = V.Fma(q, t, Const<V, T>(0.0007077464386867737));
            q = V.Fma(q, t, Const<V, T>(0.004269136333173972)); q = V.Fma(q, t, Const<V, T>(-0.02439249931865893));
            q = V.Fma(q, t, Const<V, T>(0.07166583719797294)); q = V.Fma(q, t, Const<V, T>(-0.1501159365007774));
            q = V.Fma(q, t, Const<V, T>(0.2456038017123309)); q = V.Fma(q, t, Const<V, T>(-0.3262335600430372));
            q = V.Fma(q, t, Const<V, T>(0.17900115118138996));
        }
        V far = one - Exp<V, T>(V.Zero - a * a) * q;
        return V.Greater(V.Abs(x), one, V.Greater(x, V.Zero, far, V.Zero - far), x * p);
    }
}
