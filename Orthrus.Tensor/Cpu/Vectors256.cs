using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Orthrus.Tensor.Cpu;

/// <summary>8 floats in 256 bits.</summary>
public readonly unsafe struct V256F(Vector256<float> value) : ISimd<V256F, float>
{
    private readonly Vector256<float> _v = value;
    /// <inheritdoc/>
    public static int Lanes => 8;
    /// <inheritdoc/>
    public static bool ManyRegisters => Avx512F.VL.IsSupported || System.Runtime.Intrinsics.Arm.AdvSimd.IsSupported;
    /// <inheritdoc/>
    public static V256F Zero => new(Vector256<float>.Zero);
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256F Set(float value) => new(Vector256.Create(value));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256F Load(float* p) => new(Vector256.Load(p));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(float* p, V256F v) => v._v.Store(p);
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256F operator +(V256F a, V256F b) => new(a._v + b._v);
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256F operator -(V256F a, V256F b) => new(a._v - b._v);
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256F operator *(V256F a, V256F b) => new(a._v * b._v);
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256F operator /(V256F a, V256F b) => new(a._v / b._v);
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256F Fma(V256F a, V256F b, V256F c) => new(Vector256.FusedMultiplyAdd(a._v, b._v, c._v));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256F Max(V256F a, V256F b) => new(Vector256.MaxNative(a._v, b._v));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256F Min(V256F a, V256F b) => new(Vector256.MinNative(a._v, b._v));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256F Sqrt(V256F a) => new(Vector256.Sqrt(a._v));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256F Abs(V256F a) => new(Vector256.Abs(a._v));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256F Greater(V256F a, V256F b, V256F x, V256F y) => new(Vector256.ConditionalSelect(Vector256.GreaterThan(a._v, b._v), x._v, y._v));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256F Ordered(V256F a, V256F x, V256F y) => new(Vector256.ConditionalSelect(Vector256.Equals(a._v, a._v), x._v, y._v));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256F ScaleByLowBits(V256F v, V256F shifted) => new((v._v.AsInt32() + (shifted._v.AsInt32() << 23)).AsSingle());
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256F Exp2Decay(V256F x)
    {
        // Written out over raw vectors: sixteen copies of nested wrappers would exceed what the JIT is willing to inline into the scan.
        // y + 1.5 2^20 rounds y to steps of 1/8 and leaves the step's number in the low bits; its lower three choose from the table, the others are the exponent.
        Vector256<float> y = Vector256.MaxNative(x._v, Vector256.Create(-126f)), shifted = y + Vector256.Create(1572864f), r = y - (shifted - Vector256.Create(1572864f));
        Vector256<int> bits = Avx2.PermuteVar8x32(EighthSteps, shifted.AsInt32()) + (shifted.AsInt32() << 20);
        Vector256<float> q = Vector256.FusedMultiplyAdd(Vector256.FusedMultiplyAdd(r, Vector256.Create(0.055496223f), Vector256.Create(0.24025763f)), r, Vector256.Create(0.69314724f));
        return new(Vector256.FusedMultiplyAdd(q, r * bits.AsSingle(), bits.AsSingle()));
    }

    // Bits of 2^(j/8) less what the shifted step number adds to them.
    private static Vector256<int> EighthSteps
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Vector256.Create(0x3f800000, 0x3f7b95c2, 0x3f7837f0, 0x3f75fed7, 0x3f7504f3, 0x3f75672a, 0x3f7744fd, 0x3f7ac0c7);
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(V256F a) => Vector256.Sum(a._v);
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Prefetch(float* p)
    {
        if (Sse.IsSupported) Sse.Prefetch1(p);
    }
}

/// <summary>4 doubles in 256 bits.</summary>
public readonly unsafe struct V256D(Vector256<double> value) : ISimd<V256D, double>
{
    private readonly Vector256<double> _v = value;
    /// <inheritdoc/>
    public static int Lanes => 4;
    /// <inheritdoc/>
    public static bool ManyRegisters => Avx512F.VL.IsSupported || System.Runtime.Intrinsics.Arm.AdvSimd.IsSupported;
    /// <inheritdoc/>
    public static V256D Zero => new(Vector256<double>.Zero);
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256D Set(double value) => new(Vector256.Create(value));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256D Load(double* p) => new(Vector256.Load(p));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(double* p, V256D v) => v._v.Store(p);
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256D operator +(V256D a, V256D b) => new(a._v + b._v);
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256D operator -(V256D a, V256D b) => new(a._v - b._v);
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256D operator *(V256D a, V256D b) => new(a._v * b._v);
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256D operator /(V256D a, V256D b) => new(a._v / b._v);
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256D Fma(V256D a, V256D b, V256D c) => new(Vector256.FusedMultiplyAdd(a._v, b._v, c._v));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256D Max(V256D a, V256D b) => new(Vector256.MaxNative(a._v, b._v));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256D Min(V256D a, V256D b) => new(Vector256.MinNative(a._v, b._v));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256D Sqrt(V256D a) => new(Vector256.Sqrt(a._v));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256D Abs(V256D a) => new(Vector256.Abs(a._v));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256D Greater(V256D a, V256D b, V256D x, V256D y) => new(Vector256.ConditionalSelect(Vector256.GreaterThan(a._v, b._v), x._v, y._v));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256D Ordered(V256D a, V256D x, V256D y) => new(Vector256.ConditionalSelect(Vector256.Equals(a._v, a._v), x._v, y._v));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256D ScaleByLowBits(V256D v, V256D shifted) => new((v._v.AsInt64() + (shifted._v.AsInt64() << 52)).AsDouble());
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256D Exp2Decay(V256D x) => VectorMath.Exp2<V256D, double>(Max(x, Set(-1022)));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static double Sum(V256D a) => Vector256.Sum(a._v);
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Prefetch(double* p)
    {
        if (Sse.IsSupported) Sse.Prefetch1(p);
    }
}
