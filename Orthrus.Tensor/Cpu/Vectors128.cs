using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace Orthrus.Tensor.Cpu;

/// <summary>4 floats or 2 doubles in 128 bits.</summary>
public readonly unsafe struct V128<T>(Vector128<T> value) : ISimd<V128<T>, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    private readonly Vector128<T> _v = value;
    /// <inheritdoc/>
    public static int Lanes => Vector128<T>.Count;
    /// <inheritdoc/>
    public static bool ManyRegisters => Avx512F.VL.IsSupported || AdvSimd.IsSupported;
    /// <inheritdoc/>
    public static V128<T> Zero => new(Vector128<T>.Zero);
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128<T> Set(T value) => new(Vector128.Create(value));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128<T> Load(T* p) => new(Vector128.Load(p));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(T* p, V128<T> v) => v._v.Store(p);
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128<T> operator +(V128<T> a, V128<T> b) => new(a._v + b._v);
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128<T> operator -(V128<T> a, V128<T> b) => new(a._v - b._v);
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128<T> operator *(V128<T> a, V128<T> b) => new(a._v * b._v);
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128<T> operator /(V128<T> a, V128<T> b) => new(a._v / b._v);
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128<T> Fma(V128<T> a, V128<T> b, V128<T> c) => typeof(T) == typeof(float)
        ? new(Vector128.FusedMultiplyAdd(a._v.AsSingle(), b._v.AsSingle(), c._v.AsSingle()).As<float, T>())
        : new(Vector128.FusedMultiplyAdd(a._v.AsDouble(), b._v.AsDouble(), c._v.AsDouble()).As<double, T>());
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128<T> Max(V128<T> a, V128<T> b) => new(Vector128.MaxNative(a._v, b._v));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128<T> Min(V128<T> a, V128<T> b) => new(Vector128.MinNative(a._v, b._v));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128<T> Sqrt(V128<T> a) => new(Vector128.Sqrt(a._v));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128<T> Abs(V128<T> a) => new(Vector128.Abs(a._v));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128<T> Greater(V128<T> a, V128<T> b, V128<T> x, V128<T> y) => new(Vector128.ConditionalSelect(Vector128.GreaterThan(a._v, b._v), x._v, y._v));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128<T> Ordered(V128<T> a, V128<T> x, V128<T> y) => new(Vector128.ConditionalSelect(Vector128.Equals(a._v, a._v), x._v, y._v));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128<T> ScaleByLowBits(V128<T> v, V128<T> shifted) => typeof(T) == typeof(float)
        ? new((v._v.AsInt32() + (shifted._v.AsInt32() << 23)).As<int, T>())
        : new((v._v.AsInt64() + (shifted._v.AsInt64() << 52)).As<long, T>());
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128<T> Exp2Decay(V128<T> x)
    {
        if (typeof(T) == typeof(float))
        {
            // Written out over raw vectors: sixteen copies of nested wrappers would exceed what the JIT is willing to inline into the scan.
            Vector128<float> y = Vector128.MaxNative(x._v.AsSingle(), Vector128.Create(-126f)), shifted = y + Vector128.Create(12582912f), f = y - (shifted - Vector128.Create(12582912f));
            Vector128<float> p = Vector128.FusedMultiplyAdd(Vector128.Create(0.0013276471505243581f), f, Vector128.Create(0.009675541330565599f));
            p = Vector128.FusedMultiplyAdd(p, f, Vector128.Create(0.05550713275005313f));
            p = Vector128.FusedMultiplyAdd(p, f, Vector128.Create(0.24022119723936697f));
            p = Vector128.FusedMultiplyAdd(p, f, Vector128.Create(0.6931469670638377f));
            p = Vector128.FusedMultiplyAdd(p, f, Vector128.Create(1.000000071654657f));
            return new((p.AsInt32() + (shifted.AsInt32() << 23)).AsSingle().As<float, T>());
        }
        return VectorMath.Exp2<V128<T>, T>(Max(x, Set(T.CreateTruncating(typeof(T) == typeof(float) ? -126.0 : -1022.0))));
    }
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Sum(V128<T> a) => Vector128.Sum(a._v);
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Prefetch(T* p)
    {
        if (Sse.IsSupported) Sse.Prefetch1(p);
    }
}
