using System.Numerics;

namespace Orthrus.Tensor.Cpu;

/// <summary>
/// A vector of one width and element type. Kernels are written once over it; the JIT compiles one copy per width and type, without branches.
/// </summary>
/// <typeparam name="V">The vector itself.</typeparam>
/// <typeparam name="T">float or double.</typeparam>
public unsafe interface ISimd<V, T> where V : unmanaged, ISimd<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    /// <summary>Elements per vector.</summary>
    static abstract int Lanes { get; }
    /// <summary>True where 32 vector registers may be named, false where only 16.</summary>
    static abstract bool ManyRegisters { get; }
    /// <summary>All lanes zero.</summary>
    static abstract V Zero { get; }
    /// <summary>All lanes equal.</summary>
    static abstract V Set(T value);
    /// <summary>Unaligned load of <see cref="Lanes"/> elements.</summary>
    static abstract V Load(T* p);
    /// <summary>Unaligned store of <see cref="Lanes"/> elements.</summary>
    static abstract void Store(T* p, V v);
    /// <summary>Sum.</summary>
    static abstract V operator +(V a, V b);
    /// <summary>Difference.</summary>
    static abstract V operator -(V a, V b);
    /// <summary>Product.</summary>
    static abstract V operator *(V a, V b);
    /// <summary>Quotient.</summary>
    static abstract V operator /(V a, V b);
    /// <summary>a b + c with one rounding.</summary>
    static abstract V Fma(V a, V b, V c);
    /// <summary>Lane-wise larger; which of two NaN-containing lanes comes back is not defined.</summary>
    static abstract V Max(V a, V b);
    /// <summary>Lane-wise smaller; likewise.</summary>
    static abstract V Min(V a, V b);
    /// <summary>Square root.</summary>
    static abstract V Sqrt(V a);
    /// <summary>Absolute value.</summary>
    static abstract V Abs(V a);
    /// <summary>Where a &gt; b the lane of x, else of y (also where a or b is NaN).</summary>
    static abstract V Greater(V a, V b, V x, V y);
    /// <summary>Where a equals itself (is not NaN) the lane of x, else of y.</summary>
    static abstract V Ordered(V a, V x, V y);
    /// <summary>v 2^n for the integer n that stands in the low bits of <paramref name="shifted"/>, a number n + 1.5 2^(precision - 1).</summary>
    static abstract V ScaleByLowBits(V v, V shifted);
    /// <summary>2^x for x from -1e5 to 0, within 2 units in the last place; what would be subnormal may come out as 0 or 2^-126.</summary>
    static abstract V Exp2Decay(V x);
    /// <summary>Sum of the lanes, pairwise in a fixed order.</summary>
    static abstract T Sum(V a);
    /// <summary>Asks for a cache line to be brought near.</summary>
    static abstract void Prefetch(T* p);
}
