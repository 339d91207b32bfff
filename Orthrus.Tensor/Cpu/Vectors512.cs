using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Orthrus.Tensor.Cpu;

/// <summary>16 floats or 8 doubles in 512 bits.</summary>
public readonly unsafe struct V512<T>(Vector512<T> value) : ISimd<V512<T>, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    private readonly Vector512<T> _v = value;
    /// <inheritdoc/>
    public static int Lanes => Vector512<T>.Count;
    /// <inheritdoc/>
    public static bool ManyRegisters => true;
    /// <inheritdoc/>
    public static V512<T> Zero => new(Vector512<T>.Zero);
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512<T> Set(T value) => new(Vector512.Create(value));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512<T> Load(T* p) => new(Vector512.Load(p));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(T* p, V512<T> v) => v._v.Store(p);
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512<T> operator +(V512<T> a, V512<T> b) => new(a._v + b._v);
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512<T> operator -(V512<T> a, V512<T> b) => new(a._v - b._v);
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512<T> operator *(V512<T> a, V512<T> b) => new(a._v * b._v);
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512<T> operator /(V512<T> a, V512<T> b) => new(a._v / b._v);
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512<T> Fma(V512<T> a, V512<T> b, V512<T> c) => typeof(T) == typeof(float)
        ? new(Vector512.FusedMultiplyAdd(a._v.AsSingle(), b._v.AsSingle(), c._v.AsSingle()).As<float, T>())
        : new(Vector512.FusedMultiplyAdd(a._v.AsDouble(), b._v.AsDouble(), c._v.AsDouble()).As<double, T>());
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512<T> Max(V512<T> a, V512<T> b) => new(Vector512.MaxNative(a._v, b._v));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512<T> Min(V512<T> a, V512<T> b) => new(Vector512.MinNative(a._v, b._v));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512<T> Sqrt(V512<T> a) => new(Vector512.Sqrt(a._v));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512<T> Abs(V512<T> a) => new(Vector512.Abs(a._v));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512<T> Greater(V512<T> a, V512<T> b, V512<T> x, V512<T> y) => new(Vector512.ConditionalSelect(Vector512.GreaterThan(a._v, b._v), x._v, y._v));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512<T> Ordered(V512<T> a, V512<T> x, V512<T> y) => new(Vector512.ConditionalSelect(Vector512.Equals(a._v, a._v), x._v, y._v));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512<T> ScaleByLowBits(V512<T> v, V512<T> shifted) => typeof(T) == typeof(float)
        ? new((v._v.AsInt32() + (shifted._v.AsInt32() << 23)).As<int, T>())
        : new((v._v.AsInt64() + (shifted._v.AsInt64() << 52)).As<long, T>());
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512<T> Exp2Decay(V512<T> x)
    {
        if (typeof(T) == typeof(float) && Avx512F.IsSupported)
        {
            // x + 1.5 2^18 rounds x to steps of 1/32 and leaves the step's number in the low bits of the significand.
            Vector512<float> v = x._v.AsSingle(), shifted = v + Vector512.Create(393216f), step = shifted - Vector512.Create(393216f), r = v - step;
            Vector512<float> t = Avx512F.PermuteVar16x32x2(Decay.Low, shifted.AsInt32(), Decay.High);
            Vector512<float> p = Vector512.FusedMultiplyAdd(Vector512.FusedMultiplyAdd(r, Vector512.Create(0.24022474580314318f), Vector512.Create(0.6931573435651948f)), r * t, t);
            return new(Avx512F.Scale(p, step).As<float, T>());
        }
        return VectorMath.Exp2<V512<T>, T>(Max(x, Set(T.CreateTruncating(typeof(T) == typeof(float) ? -126.0 : -1022.0))));
    }
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Sum(V512<T> a) => Vector512.Sum(a._v);
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Prefetch(T* p)
    {
        if (Sse.IsSupported) Sse.Prefetch1(p);
    }
}
