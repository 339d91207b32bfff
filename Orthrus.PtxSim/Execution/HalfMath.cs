using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Orthrus.PtxSim.Execution;

/// <summary>Rounding modes of PTX.</summary>
internal enum Rounding
{
    NearestEven,
    Zero,
    Down,
    Up,
    NearestAway,
}

/// <summary>16-bit floats and directed rounding, one value at a time.</summary>
internal static class HalfMath
{
    public const uint HalfNan = 0x7FFF;

    public static float FromHalf(uint h) => (float)BitConverter.UInt16BitsToHalf((ushort)h);

    public static float FromBrain(uint b) => BitConverter.UInt32BitsToSingle(b << 16);

    public static uint Add(uint a, uint b) => ToHalf((double)FromHalf(a) + FromHalf(b), Rounding.NearestEven);

    public static uint AddBrain(uint a, uint b) => ToBrain((double)FromBrain(a) + FromBrain(b), Rounding.NearestEven);

    /// <summary>f16 bits of an exact value.</summary>
    public static uint ToHalf(double v, Rounding mode) => double.IsNaN(v) ? HalfNan : (uint)Round(v, 11, -14, 15, mode, 15);

    /// <summary>bf16 bits of an exact value.</summary>
    public static uint ToBrain(double v, Rounding mode) => double.IsNaN(v) ? 0x7FFF : (uint)Round(v, 8, -126, 127, mode, 15);

    /// <summary>f32 bits of an exact value.</summary>
    public static uint ToSingle(double v, Rounding mode)
    {
        if (double.IsNaN(v))
            return 0x7FFFFFFF;
        return mode == Rounding.NearestEven ? BitConverter.SingleToUInt32Bits((float)v) : (uint)Round(v, 24, -126, 127, mode, 31);
    }

    /// <summary>
    /// Rounds to a binary format of <paramref name="precision"/> bits with the exponents given; the result has its sign at bit
    /// <paramref name="signBit"/> and the usual layout.
    /// </summary>
    public static ulong Round(double v, int precision, int minExponent, int maxExponent, Rounding mode, int signBit)
    {
        bool negative = double.IsNegative(v);
        ulong sign = negative ? 1ul << signBit : 0;
        double x = Math.Abs(v);
        int mantissaBits = precision - 1;
        ulong infinity = (ulong)(maxExponent - minExponent + 2) << mantissaBits;
        if (double.IsInfinity(x))
            return sign | infinity;
        if (x == 0)
            return sign;
        int exponent = Math.Max(Math.ILogB(x), minExponent);
        double scaled = Math.ScaleB(x, mantissaBits - exponent);
        double whole = mode switch
        {
            Rounding.NearestEven => Math.Round(scaled, MidpointRounding.ToEven),
            Rounding.NearestAway => Math.Round(scaled, MidpointRounding.AwayFromZero),
            Rounding.Zero => Math.Floor(scaled),
            Rounding.Down => negative ? Math.Ceiling(scaled) : Math.Floor(scaled),
            _ => negative ? Math.Floor(scaled) : Math.Ceiling(scaled),
        };
        // A carry into the next exponent comes out right by addition.
        ulong bits = ((ulong)(exponent - minExponent) << mantissaBits) + (ulong)whole;
        if (bits >= infinity)
        {
            bool toInfinity = mode is Rounding.NearestEven or Rounding.NearestAway || (mode == Rounding.Up && !negative) || (mode == Rounding.Down && negative);
            return sign | (toInfinity ? infinity : infinity - 1);
        }

        return sign | bits;
    }

    /// <summary>a x b + c or a + c in f32 with a directed rounding, from the exact sum as a double and its error.</summary>
    public static uint Directed(double a, double b, double c, Rounding mode)
    {
        double p = a * b;
        double s = p + c;
        if (!double.IsFinite(s))
            return ToSingle(s, mode);
        double t = s - p;
        double error = (p - (s - t)) + (c - t);
        if (s == 0 && error == 0 && (p != 0 || double.IsNegative(p) != double.IsNegative(c)))
            return mode == Rounding.Down ? 0x80000000 : 0;
        // What the double lacks only matters where it is a float itself.
        if (error != 0 && mode != Rounding.NearestEven && (float)s == s)
            s = error > 0 ? Math.BitIncrement(s) : Math.BitDecrement(s);
        return ToSingle(s, mode);
    }

    /// <summary>Both halves of the lanes' f16 pairs as f32: low halves for 0, high for 1. Subnormals included.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Widen(Vector512<uint> v, int half)
    {
        Vector512<uint> h = half == 0 ? v & Vector512.Create(0xFFFFu) : v >> 16;
        Vector512<uint> sign = (h & Vector512.Create(0x8000u)) << 16;
        Vector512<uint> rest = (h & Vector512.Create(0x7FFFu)) << 13;
        Vector512<float> scaled = rest.AsSingle() * Vector512.Create(5.192296858534828e33f);
        Vector512<uint> special = Vector512.GreaterThanOrEqual(rest, Vector512.Create(0x0F800000u));
        return (Vector512.ConditionalSelect(special, rest | Vector512.Create(0x7F800000u), scaled.AsUInt32()) | sign).AsSingle();
    }
}
