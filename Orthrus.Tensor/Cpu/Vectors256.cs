using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace Orthrus.Tensor.Cpu;

/// <summary>8 floats or 4 doubles in 256 bits.</summary>
public readonly unsafe struct V256<T>(Vector256<T> value) : ISimd<V256<T>, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    private readonly Vector256<T> _v = value;
    /// <inheritdoc/>
    public static int Lanes => Vector256<T>.Count;
    /// <inheritdoc/>
    public static bool ManyRegisters => Avx512F.VL.IsSupported || AdvSimd.IsSupported;
    /// <inheritdoc/>
    public static V256<T> Zero => new(Vector256<T>.Zero);
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256<T> Set(T value) => new(Vector256.Create(value));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256<T> Load(T* p) => new(Vector256.Load(p));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(T* p, V256<T> v) => v._v.Store(p);
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256<T> operator +(V256<T> a, V256<T> b) => new(a._v + b._v);
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256<T> operator -(V256<T> a, V256<T> b) => new(a._v - b._v);
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256<T> operator *(V256<T> a, V256<T> b) => new(a._v * b._v);
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256<T> operator /(V256<T> a, V256<T> b) => new(a._v / b._v);
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256<T> Fma(V256<T> a, V256<T> b, V256<T> c) => typeof(T) == typeof(float)
        ? new(Vector256.FusedMultiplyAdd(a._v.AsSingle(), b._v.AsSingle(), c._v.AsSingle()).As<float, T>())
        : new(Vector256.FusedMultiplyAdd(a._v.AsDouble(), b._v.AsDouble(), c._v.AsDouble()).As<double, T>());
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256<T> Max(V256<T> a, V256<T> b) => new(Vector256.MaxNative(a._v, b._v));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256<T> Min(V256<T> a, V256<T> b) => new(Vector256.MinNative(a._v, b._v));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256<T> Sqrt(V256<T> a) => new(Vector256.Sqrt(a._v));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256<T> Abs(V256<T> a) => new(Vector256.Abs(a._v));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256<T> Greater(V256<T> a, V256<T> b, V256<T> x, V256<T> y) => new(Vector256.ConditionalSelect(Vector256.GreaterThan(a._v, b._v), x._v, y._v));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256<T> Ordered(V256<T> a, V256<T> x, V256<T> y) => new(Vector256.ConditionalSelect(Vector256.Equals(a._v, a._v), x._v, y._v));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256<T> ScaleByLowBits(V256<T> v, V256<T> shifted) => typeof(T) == typeof(float)
        ? new((v._v.AsInt32() + (shifted._v.AsInt32() << 23)).As<int, T>())
        : new((v._v.AsInt64() + (shifted._v.AsInt64() << 52)).As<long, T>());
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V256<T> Exp2Decay(V256<T> x)
    {
        if (typeof(T) == typeof(float) && Avx2.IsSupported)
        {
            // Written out over raw vectors: sixteen copies of nested wrappers would exceed what the JIT is willing to inline into the scan.
            // y + 1.5 2^20 rounds y to steps of 1/8 and leaves the step's number in the low bits; its lower three choose from the table, the others are the exponent.
            // At -127 the exponent field is 0, and so is the number.
            Vector256<float> y = Vector256.MaxNative(x._v.AsSingle(), Vector256.Create(-127f)), shifted = y + Vector256.Create(1572864f), r = y - (shifted - Vector256.Create(1572864f));
            Vector256<int> bits = Avx2.PermuteVar8x32(Decay.EighthSteps, shifted.AsInt32()) + (shifted.AsInt32() << 20);
            Vector256<float> q = Vector256.FusedMultiplyAdd(Vector256.FusedMultiplyAdd(r, Vector256.Create(0.055496223f), Vector256.Create(0.24025763f)), r, Vector256.Create(0.69314724f));
            return new(Vector256.FusedMultiplyAdd(q, r * bits.AsSingle(), bits.AsSingle()).As<float, T>());
        }
        return VectorMath.Exp2<V256<T>, T>(Max(x, Set(T.CreateTruncating(typeof(T) == typeof(float) ? -126.0 : -1022.0))));
    }
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Sum(V256<T> a) => Vector256.Sum(a._v);
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Prefetch(T* p)
    {
        if (Sse.IsSupported) Sse.Prefetch1(p);
    }
}
