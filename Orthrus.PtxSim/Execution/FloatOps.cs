using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Orthrus.PtxSim.Execution;

/// <summary>f32 arithmetic on vectors of lanes: round to nearest even, subnormals kept, results that are no number are the canonical 0x7FFFFFFF.</summary>
internal static class FloatOps
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<uint> Canonical(Vector512<float> v) =>
        Vector512.ConditionalSelect(Vector512.Equals(v, v), v, Vector512.Create(0x7FFFFFFFu).AsSingle()).AsUInt32();

    /// <summary>Subnormals become zeros of their sign.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Flush(Vector512<float> v)
    {
        Vector512<float> sign = v & Vector512.Create(-0f);
        return Vector512.ConditionalSelect(Vector512.LessThan(v ^ sign, Vector512.Create(1.17549435e-38f)), sign, v);
    }

    public readonly struct Add : IBinary32
    {
        public static Vector512<uint> Do(Vector512<uint> a, Vector512<uint> b) => Canonical(a.AsSingle() + b.AsSingle());
    }

    public readonly struct Sub : IBinary32
    {
        public static Vector512<uint> Do(Vector512<uint> a, Vector512<uint> b) => Canonical(a.AsSingle() - b.AsSingle());
    }

    public readonly struct Mul : IBinary32
    {
        public static Vector512<uint> Do(Vector512<uint> a, Vector512<uint> b) => Canonical(a.AsSingle() * b.AsSingle());
    }

    public readonly struct Div : IBinary32
    {
        public static Vector512<uint> Do(Vector512<uint> a, Vector512<uint> b) => Canonical(a.AsSingle() / b.AsSingle());
    }

    public readonly struct Fma : ITernary32
    {
        public static Vector512<uint> Do(Vector512<uint> a, Vector512<uint> b, Vector512<uint> c) =>
            Canonical(Vector512.FusedMultiplyAdd(a.AsSingle(), b.AsSingle(), c.AsSingle()));
    }

    /// <summary>An operation with .ftz: inputs and result flushed.</summary>
    public readonly struct Ftz<T> : IBinary32
        where T : struct, IBinary32
    {
        public static Vector512<uint> Do(Vector512<uint> a, Vector512<uint> b) =>
            Flush(T.Do(Flush(a.AsSingle()).AsUInt32(), Flush(b.AsSingle()).AsUInt32()).AsSingle()).AsUInt32();
    }

    public readonly struct FtzUnary<T> : IUnary32
        where T : struct, IUnary32
    {
        public static Vector512<uint> Do(Vector512<uint> a) => Flush(T.Do(Flush(a.AsSingle()).AsUInt32()).AsSingle()).AsUInt32();
    }

    public readonly struct FtzFma : ITernary32
    {
        public static Vector512<uint> Do(Vector512<uint> a, Vector512<uint> b, Vector512<uint> c) =>
            Flush(Fma.Do(Flush(a.AsSingle()).AsUInt32(), Flush(b.AsSingle()).AsUInt32(), Flush(c.AsSingle()).AsUInt32()).AsSingle()).AsUInt32();
    }

    /// <summary>Clamp to [0, 1]; what is no number becomes 0.</summary>
    public readonly struct Saturate : IUnary32
    {
        public static Vector512<uint> Do(Vector512<uint> a)
        {
            Vector512<float> v = a.AsSingle();
            v = Vector512.ConditionalSelect(Vector512.GreaterThan(v, Vector512<float>.Zero), v, Vector512<float>.Zero);
            return Vector512.ConditionalSelect(Vector512.LessThan(v, Vector512<float>.One), v, Vector512<float>.One).AsUInt32();
        }
    }

    public readonly struct Neg : IUnary32
    {
        public static Vector512<uint> Do(Vector512<uint> a) => a ^ Vector512.Create(0x80000000u);
    }

    public readonly struct Abs : IUnary32
    {
        public static Vector512<uint> Do(Vector512<uint> a) => a & Vector512.Create(0x7FFFFFFFu);
    }

    public readonly struct FlushOnly : IUnary32
    {
        public static Vector512<uint> Do(Vector512<uint> a) => Flush(a.AsSingle()).AsUInt32();
    }

    public readonly struct CopySign : IBinary32
    {
        public static Vector512<uint> Do(Vector512<uint> a, Vector512<uint> b) => (a & Vector512.Create(0x80000000u)) | (b & Vector512.Create(0x7FFFFFFFu));
    }

    /// <summary>The number wins over what is none; -0 is below +0.</summary>
    public readonly struct Min : IBinary32
    {
        public static Vector512<uint> Do(Vector512<uint> a, Vector512<uint> b)
        {
            Vector512<float> x = a.AsSingle(), y = b.AsSingle();
            Vector512<float> equal = Vector512.Equals(x, y);
            Vector512<float> d = Vector512.ConditionalSelect(Vector512.LessThan(x, y), x, y);
            d = Vector512.ConditionalSelect(equal, x | y, d);
            d = Vector512.ConditionalSelect(Vector512.Equals(y, y), d, x);
            d = Vector512.ConditionalSelect(Vector512.Equals(x, x), d, y);
            return Canonical(d);
        }
    }

    public readonly struct Max : IBinary32
    {
        public static Vector512<uint> Do(Vector512<uint> a, Vector512<uint> b)
        {
            Vector512<float> x = a.AsSingle(), y = b.AsSingle();
            Vector512<float> equal = Vector512.Equals(x, y);
            Vector512<float> d = Vector512.ConditionalSelect(Vector512.GreaterThan(x, y), x, y);
            d = Vector512.ConditionalSelect(equal, x & y, d);
            d = Vector512.ConditionalSelect(Vector512.Equals(y, y), d, x);
            d = Vector512.ConditionalSelect(Vector512.Equals(x, x), d, y);
            return Canonical(d);
        }
    }

    /// <summary>min or max with .NaN: what is no number wins.</summary>
    public readonly struct NanWins<T> : IBinary32
        where T : struct, IBinary32
    {
        public static Vector512<uint> Do(Vector512<uint> a, Vector512<uint> b)
        {
            Vector512<float> x = a.AsSingle(), y = b.AsSingle();
            Vector512<float> numbers = Vector512.Equals(x, x) & Vector512.Equals(y, y);
            return Vector512.ConditionalSelect(numbers.AsUInt32(), T.Do(a, b), Vector512.Create(0x7FFFFFFFu));
        }
    }

    public readonly struct Sqrt : IUnary32
    {
        public static Vector512<uint> Do(Vector512<uint> a) => Canonical(Vector512.Sqrt(a.AsSingle()));
    }

    public readonly struct Rcp : IUnary32
    {
        public static Vector512<uint> Do(Vector512<uint> a) => Canonical(Vector512<float>.One / a.AsSingle());
    }

    /// <summary>f64 in 64-bit lanes; results that are no number keep x86's quiet payload, which PTX leaves open.</summary>
    public readonly struct Add64 : IBinary64
    {
        public static Vector512<ulong> Do(Vector512<ulong> a, Vector512<ulong> b) => (a.AsDouble() + b.AsDouble()).AsUInt64();
    }

    public readonly struct Sub64 : IBinary64
    {
        public static Vector512<ulong> Do(Vector512<ulong> a, Vector512<ulong> b) => (a.AsDouble() - b.AsDouble()).AsUInt64();
    }

    public readonly struct Mul64 : IBinary64
    {
        public static Vector512<ulong> Do(Vector512<ulong> a, Vector512<ulong> b) => (a.AsDouble() * b.AsDouble()).AsUInt64();
    }

    public readonly struct Div64 : IBinary64
    {
        public static Vector512<ulong> Do(Vector512<ulong> a, Vector512<ulong> b) => (a.AsDouble() / b.AsDouble()).AsUInt64();
    }

    public readonly struct Fma64 : ITernary64
    {
        public static Vector512<ulong> Do(Vector512<ulong> a, Vector512<ulong> b, Vector512<ulong> c) =>
            Vector512.FusedMultiplyAdd(a.AsDouble(), b.AsDouble(), c.AsDouble()).AsUInt64();
    }

    public readonly struct Neg64 : IUnary64
    {
        public static Vector512<ulong> Do(Vector512<ulong> a) => a ^ Vector512.Create(0x8000000000000000ul);
    }

    public readonly struct Abs64 : IUnary64
    {
        public static Vector512<ulong> Do(Vector512<ulong> a) => a & Vector512.Create(0x7FFFFFFFFFFFFFFFul);
    }

    public readonly struct Sqrt64 : IUnary64
    {
        public static Vector512<ulong> Do(Vector512<ulong> a) => Vector512.Sqrt(a.AsDouble()).AsUInt64();
    }

    public readonly struct Rcp64 : IUnary64
    {
        public static Vector512<ulong> Do(Vector512<ulong> a) => (Vector512<double>.One / a.AsDouble()).AsUInt64();
    }

    public readonly struct Rsqrt64 : IUnary64
    {
        public static Vector512<ulong> Do(Vector512<ulong> a) => (Vector512<double>.One / Vector512.Sqrt(a.AsDouble())).AsUInt64();
    }

    /// <summary>rcp.approx.ftz.f64: the start of a Newton iteration.</summary>
    public readonly struct GrossRcp64 : IUnary64
    {
        public static Vector512<ulong> Do(Vector512<ulong> a) => Gross(a, Vector512<double>.One / Upper(a));
    }

    /// <summary>rsqrt.approx.ftz.f64.</summary>
    public readonly struct GrossRsqrt64 : IUnary64
    {
        public static Vector512<ulong> Do(Vector512<ulong> a) => Gross(a, Vector512<double>.One / Vector512.Sqrt(Upper(a)));
    }

    /// <summary>What the gross approximations see of an operand: the upper 32 bits, subnormals as zeros of their sign.</summary>
    private static Vector512<double> Upper(Vector512<ulong> a) => Flush((a & Vector512.Create(0xFFFFFFFF00000000ul)).AsDouble());

    /// <summary>A result of the gross approximations: 20 bits of mantissa in the upper 32 bits, the others zero.</summary>
    private static Vector512<ulong> Gross(Vector512<ulong> a, Vector512<double> exact)
    {
        Vector512<double> flushed = Flush(exact), numbers = Vector512.Equals(exact, exact) & Vector512.Equals(a.AsDouble(), a.AsDouble());
        // To nearest, ties away from zero; infinities have no bits below to round up from.
        Vector512<ulong> rounded = (flushed.AsUInt64() + Vector512.Create(0x80000000ul)) & Vector512.Create(0xFFFFFFFF00000000ul);
        return Vector512.ConditionalSelect(numbers.AsUInt64(), rounded, Vector512.Create(0x7FF8000000000000ul));
    }

    private static Vector512<double> Flush(Vector512<double> v)
    {
        Vector512<double> sign = v & Vector512.Create(-0.0);
        return Vector512.ConditionalSelect(Vector512.LessThan(v ^ sign, Vector512.Create(2.2250738585072014e-308)), sign, v);
    }

    public readonly struct CopySign64 : IBinary64
    {
        public static Vector512<ulong> Do(Vector512<ulong> a, Vector512<ulong> b) =>
            (a & Vector512.Create(0x8000000000000000ul)) | (b & Vector512.Create(0x7FFFFFFFFFFFFFFFul));
    }
}
