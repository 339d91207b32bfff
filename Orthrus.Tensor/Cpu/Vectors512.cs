using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Orthrus.Tensor.Cpu;

/// <summary>16 floats in 512 bits.</summary>
public readonly unsafe struct V512F(Vector512<float> value) : ISimd<V512F, float>
{
    private readonly Vector512<float> _v = value;
    /// <inheritdoc/>
    public static int Lanes => 16;
    /// <inheritdoc/>
    public static bool ManyRegisters => true;
    /// <inheritdoc/>
    public static V512F Zero => new(Vector512<float>.Zero);
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512F Set(float value) => new(Vector512.Create(value));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512F Load(float* p) => new(Vector512.Load(p));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(float* p, V512F v) => v._v.Store(p);
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512F operator +(V512F a, V512F b) => new(a._v + b._v);
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512F operator -(V512F a, V512F b) => new(a._v - b._v);
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512F operator *(V512F a, V512F b) => new(a._v * b._v);
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512F operator /(V512F a, V512F b) => new(a._v / b._v);
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512F Fma(V512F a, V512F b, V512F c) => new(Vector512.FusedMultiplyAdd(a._v, b._v, c._v));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512F Max(V512F a, V512F b) => new(Vector512.MaxNative(a._v, b._v));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512F Min(V512F a, V512F b) => new(Vector512.MinNative(a._v, b._v));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512F Sqrt(V512F a) => new(Vector512.Sqrt(a._v));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512F Abs(V512F a) => new(Vector512.Abs(a._v));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512F Greater(V512F a, V512F b, V512F x, V512F y) => new(Vector512.ConditionalSelect(Vector512.GreaterThan(a._v, b._v), x._v, y._v));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512F Ordered(V512F a, V512F x, V512F y) => new(Vector512.ConditionalSelect(Vector512.Equals(a._v, a._v), x._v, y._v));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512F ScaleByLowBits(V512F v, V512F shifted) => new((v._v.AsInt32() + (shifted._v.AsInt32() << 23)).AsSingle());
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512F Exp2Decay(V512F x)
    {
        // x + 1.5 2^18 rounds x to steps of 1/32 and leaves the step's number in the low bits of the significand.
        Vector512<float> shifted = x._v + Vector512.Create(393216f), step = shifted - Vector512.Create(393216f), r = x._v - step;
        Vector512<float> t = Avx512F.PermuteVar16x32x2(Decay.Low, shifted.AsInt32(), Decay.High);
        Vector512<float> p = Vector512.FusedMultiplyAdd(Vector512.FusedMultiplyAdd(r, Vector512.Create(0.24022474580314318f), Vector512.Create(0.6931573435651948f)), r * t, t);
        return new(Avx512F.Scale(p, step));
    }
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(V512F a) => Vector512.Sum(a._v);
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Prefetch(float* p)
    {
        if (Sse.IsSupported) Sse.Prefetch1(p);
    }
}

/// <summary>8 doubles in 512 bits.</summary>
public readonly unsafe struct V512D(Vector512<double> value) : ISimd<V512D, double>
{
    private readonly Vector512<double> _v = value;
    /// <inheritdoc/>
    public static int Lanes => 8;
    /// <inheritdoc/>
    public static bool ManyRegisters => true;
    /// <inheritdoc/>
    public static V512D Zero => new(Vector512<double>.Zero);
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512D Set(double value) => new(Vector512.Create(value));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512D Load(double* p) => new(Vector512.Load(p));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(double* p, V512D v) => v._v.Store(p);
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512D operator +(V512D a, V512D b) => new(a._v + b._v);
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512D operator -(V512D a, V512D b) => new(a._v - b._v);
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512D operator *(V512D a, V512D b) => new(a._v * b._v);
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512D operator /(V512D a, V512D b) => new(a._v / b._v);
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512D Fma(V512D a, V512D b, V512D c) => new(Vector512.FusedMultiplyAdd(a._v, b._v, c._v));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512D Max(V512D a, V512D b) => new(Vector512.MaxNative(a._v, b._v));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512D Min(V512D a, V512D b) => new(Vector512.MinNative(a._v, b._v));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512D Sqrt(V512D a) => new(Vector512.Sqrt(a._v));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512D Abs(V512D a) => new(Vector512.Abs(a._v));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512D Greater(V512D a, V512D b, V512D x, V512D y) => new(Vector512.ConditionalSelect(Vector512.GreaterThan(a._v, b._v), x._v, y._v));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512D Ordered(V512D a, V512D x, V512D y) => new(Vector512.ConditionalSelect(Vector512.Equals(a._v, a._v), x._v, y._v));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512D ScaleByLowBits(V512D v, V512D shifted) => new((v._v.AsInt64() + (shifted._v.AsInt64() << 52)).AsDouble());
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V512D Exp2Decay(V512D x) => VectorMath.Exp2<V512D, double>(Max(x, Set(-1022)));
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static double Sum(V512D a) => Vector512.Sum(a._v);
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Prefetch(double* p)
    {
        if (Sse.IsSupported) Sse.Prefetch1(p);
    }
}

/// <summary>2^(j/32) for j = 0 to 31.</summary>
internal static class Decay
{
    internal static Vector512<float> Low
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Vector512.Create(1.0f, 1.0218971967697144f, 1.0442737340927124f, 1.0671404600143433f, 1.0905077457427979f, 1.114386796951294f, 1.1387885808944702f, 1.1637248992919922f, 1.1892070770263672f, 1.215247392654419f, 1.2418577671051025f, 1.2690509557724f, 1.2968395948410034f, 1.3252366781234741f, 1.3542555570602417f, 1.3839099407196045f);
    }

    internal static Vector512<float> High
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Vector512.Create(1.4142135381698608f, 1.4451807737350464f, 1.4768261909484863f, 1.5091644525527954f, 1.5422108173370361f, 1.5759809017181396f, 1.610490322113037f, 1.6457555294036865f, 1.6817928552627563f, 1.7186193466186523f, 1.7562521696090698f, 1.7947090864181519f, 1.8340080976486206f, 1.8741676807403564f, 1.9152065515518188f, 1.9571441411972046f);
    }
}
