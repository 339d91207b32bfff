using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Orthrus.Tensor.Cpu;

/// <summary>4 floats in 128 bits.</summary>
public readonly unsafe struct V128F(Vector128<float> value) : ISimd<V128F, float>
{
    private readonly Vector128<float> _v = value;
    /// <inheritdoc/>
    public static int Lanes => 4;
    /// <inheritdoc/>
    public static bool ManyRegisters => Avx512F.VL.IsSupported || System.Runtime.Intrinsics.Arm.AdvSimd.IsSupported;
    /// <inheritdoc/>
    public static V128F Zero => new(Vector128<float>.Zero);
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128F Set(float value) => new(Vector128.Create(value));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128F Load(float* p) => new(Vector128.Load(p));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(float* p, V128F v) => v._v.Store(p);
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128F operator +(V128F a, V128F b) => new(a._v + b._v);
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128F operator -(V128F a, V128F b) => new(a._v - b._v);
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128F operator *(V128F a, V128F b) => new(a._v * b._v);
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128F operator /(V128F a, V128F b) => new(a._v / b._v);
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128F Fma(V128F a, V128F b, V128F c) => new(Vector128.FusedMultiplyAdd(a._v, b._v, c._v));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128F Max(V128F a, V128F b) => new(Vector128.MaxNative(a._v, b._v));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128F Min(V128F a, V128F b) => new(Vector128.MinNative(a._v, b._v));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128F Sqrt(V128F a) => new(Vector128.Sqrt(a._v));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128F Abs(V128F a) => new(Vector128.Abs(a._v));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128F Greater(V128F a, V128F b, V128F x, V128F y) => new(Vector128.ConditionalSelect(Vector128.GreaterThan(a._v, b._v), x._v, y._v));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128F Ordered(V128F a, V128F x, V128F y) => new(Vector128.ConditionalSelect(Vector128.Equals(a._v, a._v), x._v, y._v));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128F ScaleByLowBits(V128F v, V128F shifted) => new((v._v.AsInt32() + (shifted._v.AsInt32() << 23)).AsSingle());
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128F Exp2Decay(V128F x)
    {
        // Written out over raw vectors: sixteen copies of nested wrappers would exceed what the JIT is willing to inline into the scan.
        Vector128<float> y = Vector128.MaxNative(x._v, Vector128.Create(-126f)), shifted = y + Vector128.Create(12582912f), f = y - (shifted - Vector128.Create(12582912f));
        Vector128<float> p = Vector128.FusedMultiplyAdd(Vector128.Create(0.0013276471505243581f), f, Vector128.Create(0.009675541330565599f));
        p = Vector128.FusedMultiplyAdd(p, f, Vector128.Create(0.05550713275005313f));
        p = Vector128.FusedMultiplyAdd(p, f, Vector128.Create(0.24022119723936697f));
        p = Vector128.FusedMultiplyAdd(p, f, Vector128.Create(0.6931469670638377f));
        p = Vector128.FusedMultiplyAdd(p, f, Vector128.Create(1.000000071654657f));
        return new((p.AsInt32() + (shifted.AsInt32() << 23)).AsSingle());
    }
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(V128F a) => Vector128.Sum(a._v);
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Prefetch(float* p)
    {
        if (Sse.IsSupported) Sse.Prefetch1(p);
    }
}

/// <summary>2 doubles in 128 bits.</summary>
public readonly unsafe struct V128D(Vector128<double> value) : ISimd<V128D, double>
{
    private readonly Vector128<double> _v = value;
    /// <inheritdoc/>
    public static int Lanes => 2;
    /// <inheritdoc/>
    public static bool ManyRegisters => Avx512F.VL.IsSupported || System.Runtime.Intrinsics.Arm.AdvSimd.IsSupported;
    /// <inheritdoc/>
    public static V128D Zero => new(Vector128<double>.Zero);
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128D Set(double value) => new(Vector128.Create(value));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128D Load(double* p) => new(Vector128.Load(p));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(double* p, V128D v) => v._v.Store(p);
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128D operator +(V128D a, V128D b) => new(a._v + b._v);
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128D operator -(V128D a, V128D b) => new(a._v - b._v);
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128D operator *(V128D a, V128D b) => new(a._v * b._v);
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128D operator /(V128D a, V128D b) => new(a._v / b._v);
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128D Fma(V128D a, V128D b, V128D c) => new(Vector128.FusedMultiplyAdd(a._v, b._v, c._v));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128D Max(V128D a, V128D b) => new(Vector128.MaxNative(a._v, b._v));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128D Min(V128D a, V128D b) => new(Vector128.MinNative(a._v, b._v));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128D Sqrt(V128D a) => new(Vector128.Sqrt(a._v));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128D Abs(V128D a) => new(Vector128.Abs(a._v));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128D Greater(V128D a, V128D b, V128D x, V128D y) => new(Vector128.ConditionalSelect(Vector128.GreaterThan(a._v, b._v), x._v, y._v));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128D Ordered(V128D a, V128D x, V128D y) => new(Vector128.ConditionalSelect(Vector128.Equals(a._v, a._v), x._v, y._v));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128D ScaleByLowBits(V128D v, V128D shifted) => new((v._v.AsInt64() + (shifted._v.AsInt64() << 52)).AsDouble());
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V128D Exp2Decay(V128D x) => VectorMath.Exp2<V128D, double>(Max(x, Set(-1022)));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static double Sum(V128D a) => Vector128.Sum(a._v);
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Prefetch(double* p)
    {
        if (Sse.IsSupported) Sse.Prefetch1(p);
    }
}
