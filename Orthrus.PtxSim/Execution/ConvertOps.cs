using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Orthrus.PtxSim.Decoding;
using Orthrus.PtxSim.Parsing;

namespace Orthrus.PtxSim.Execution;

/// <summary>Conversions between types.</summary>
internal static unsafe class ConvertOps
{
    public readonly struct SignedToFloat : IUnary32
    {
        public static Vector512<uint> Do(Vector512<uint> a) => Vector512.ConvertToSingle(a.AsInt32()).AsUInt32();
    }

    public readonly struct UnsignedToFloat : IUnary32
    {
        // Both 16-bit halves convert exactly; the one rounding is that of the sum.
        public static Vector512<uint> Do(Vector512<uint> a)
        {
            Vector512<float> high = Vector512.ConvertToSingle((a >> 16).AsInt32()), low = Vector512.ConvertToSingle((a & Vector512.Create(0xFFFFu)).AsInt32());
            return Vector512.FusedMultiplyAdd(high, Vector512.Create(65536f), low).AsUInt32();
        }
    }

    /// <summary>Round to an integer that stays a float: 0 rni, 1 rzi, 2 rmi, 3 rpi.</summary>
    public readonly struct RoundEven : IUnary32
    {
        public static Vector512<uint> Do(Vector512<uint> a) => FloatOps.Canonical(Vector512.Round(a.AsSingle(), MidpointRounding.ToEven));
    }

    public readonly struct RoundZero : IUnary32
    {
        public static Vector512<uint> Do(Vector512<uint> a) => FloatOps.Canonical(Vector512.Truncate(a.AsSingle()));
    }

    public readonly struct RoundDown : IUnary32
    {
        public static Vector512<uint> Do(Vector512<uint> a) => FloatOps.Canonical(Vector512.Floor(a.AsSingle()));
    }

    public readonly struct RoundUp : IUnary32
    {
        public static Vector512<uint> Do(Vector512<uint> a) => FloatOps.Canonical(Vector512.Ceiling(a.AsSingle()));
    }

    /// <summary>f32 to s32 after a rounding, saturating, 0 for what is no number.</summary>
    public readonly struct ToSigned<T> : IUnary32
        where T : struct, IUnary32
    {
        public static Vector512<uint> Do(Vector512<uint> a)
        {
            Vector512<float> v = T.Do(a).AsSingle();
            Vector512<float> inside = Vector512.Min(Vector512.Max(v, Vector512.Create(-2147483648f)), Vector512.Create(2147483520f));
            Vector512<int> d = Vector512.ConvertToInt32(inside);
            d = Vector512.ConditionalSelect(Vector512.GreaterThanOrEqual(v, Vector512.Create(2147483648f)).AsInt32(), Vector512.Create(int.MaxValue), d);
            return Vector512.ConditionalSelect(Vector512.Equals(v, v).AsInt32(), d, Vector512<int>.Zero).AsUInt32();
        }
    }

    public readonly struct HalfToFloat : IUnary32
    {
        public static Vector512<uint> Do(Vector512<uint> a) => FloatOps.Canonical(HalfMath.Widen(a, 0));
    }

    /// <summary>f32 to bf16, nearest even, in the low half.</summary>
    public readonly struct FloatToBrain : IUnary32
    {
        public static Vector512<uint> Do(Vector512<uint> a)
        {
            Vector512<uint> rounded = (a + Vector512.Create(0x7FFFu) + (a >> 16 & Vector512<uint>.One)) >> 16;
            Vector512<float> v = a.AsSingle();
            return Vector512.ConditionalSelect(Vector512.Equals(v, v).AsUInt32(), rounded, Vector512.Create(0x7FFFu));
        }
    }

    public readonly struct BrainToFloat : IUnary32
    {
        public static Vector512<uint> Do(Vector512<uint> a) => a << 16;
    }

    /// <summary>cvt.rn.bf16x2.f32 d, a, b: a goes to the high half.</summary>
    public readonly struct FloatsToBrain2 : IBinary32
    {
        public static Vector512<uint> Do(Vector512<uint> a, Vector512<uint> b) => FloatToBrain.Do(a) << 16 | FloatToBrain.Do(b);
    }

    /// <summary>cvt.rna.tf32.f32: 10 bits of mantissa, halves away from zero.</summary>
    public readonly struct FloatToTf32 : IUnary32
    {
        public static Vector512<uint> Do(Vector512<uint> a)
        {
            Vector512<uint> rounded = (a + Vector512.Create(0x1000u)) & Vector512.Create(0xFFFFE000u);
            Vector512<uint> finite = ~Vector512.Equals(a & Vector512.Create(0x7F800000u), Vector512.Create(0x7F800000u));
            return Vector512.ConditionalSelect(finite, rounded, FloatOps.Canonical(a.AsSingle()));
        }
    }

    /// <summary>f32 to f64.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Instr* FloatToDouble(Core core, Instr* i, byte* r, uint m)
    {
        var a = (Vector512<float>*)(r + i->A);
        (Vector512<double> x0, Vector512<double> x1) = Vector512.Widen(a[0]);
        (Vector512<double> y0, Vector512<double> y1) = Vector512.Widen(a[1]);
        Lanes.Store64(r + i->D, x0.AsUInt64(), x1.AsUInt64(), y0.AsUInt64(), y1.AsUInt64(), m);
        return i + 1;
    }

    /// <summary>f64 to f32, nearest even.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Instr* DoubleToFloat(Core core, Instr* i, byte* r, uint m)
    {
        var a = (Vector512<double>*)(r + i->A);
        Vector512<float> x = Vector512.Narrow(a[0], a[1]), y = Vector512.Narrow(a[2], a[3]);
        Lanes.Store(r + i->D, FloatOps.Canonical(x), FloatOps.Canonical(y), m);
        return i + 1;
    }

    /// <summary>Packs target, source, rounding and flags for <see cref="Any"/>.</summary>
    public static int Code(PtxType to, PtxType from, int rounding, bool toInteger, bool saturate, bool flush, bool relu) =>
        (int)to | (int)from << 5 | rounding << 10 | (toInteger ? 1 << 13 : 0) | (saturate ? 1 << 14 : 0) | (flush ? 1 << 15 : 0) | (relu ? 1 << 16 : 0);

    /// <summary>Any conversion, one lane at a time; X as from <see cref="Code"/>. With B &gt; 0 and Ext set, packs two sources (A high, B low).</summary>
    public static Instr* Any(Core core, Instr* i, byte* r, uint m)
    {
        int x = i->X;
        var to = (PtxType)(x & 31);
        var from = (PtxType)(x >> 5 & 31);
        bool pair = to is PtxType.F16x2 or PtxType.BF16x2;
        PtxType target = to == PtxType.F16x2 ? PtxType.F16 : to == PtxType.BF16x2 ? PtxType.BF16 : to;
        for (uint k = m; k != 0; k &= k - 1)
        {
            int l = BitOperations.TrailingZeroCount(k);
            ulong a = from.Is64() ? ((ulong*)(r + i->A))[l] : ((uint*)(r + i->A))[l];
            ulong d = Convert(a, from, target, x);
            if (pair)
                d = d << 16 | Convert(((uint*)(r + i->B))[l], from, target, x);
            if (to.Is64())
                ((ulong*)(r + i->D))[l] = d;
            else
                ((uint*)(r + i->D))[l] = (uint)d;
        }

        return i + 1;
    }

    public static ulong Convert(ulong a, PtxType from, PtxType to, int x)
    {
        var rounding = (Rounding)(x >> 10 & 7);
        bool saturate = (x >> 14 & 1) != 0, flush = (x >> 15 & 1) != 0;
        if (from.IsFloat())
        {
            double v = from switch
            {
                PtxType.F16 => HalfMath.FromHalf((uint)a & 0xFFFF),
                PtxType.BF16 => HalfMath.FromBrain((uint)a & 0xFFFF),
                PtxType.F64 => BitConverter.UInt64BitsToDouble(a),
                _ => BitConverter.UInt32BitsToSingle((uint)a),
            };
            if (flush && from == PtxType.F32 && ((uint)a & 0x7F800000) == 0)
                v = double.CopySign(0, v);
            if (to.IsFloat())
                return FloatToFloat(v, a, from, to, rounding, (x >> 13 & 1) != 0, saturate, flush, (x >> 16 & 1) != 0);
            return ToInteger(v, from, to, rounding);
        }

        bool signed = from.IsSigned();
        int bits = from.Size() * 8;
        ulong value = bits == 64 ? a : signed ? (ulong)((long)(a << (64 - bits)) >> (64 - bits)) : a & ((1ul << bits) - 1);
        if (to.IsFloat())
            return IntegerToFloat(value, signed, to, rounding, saturate);
        int size = to.Size() * 8;
        if (saturate)
            value = Saturate(value, signed, to.IsSigned(), size);
        return Fit(value, to, size);
    }

    /// <summary>Integers below 32 bits lie sign-extended in 32-bit registers where the type has a sign, and 16-bit registers are zero-extended.</summary>
    private static ulong Fit(ulong value, PtxType to, int size) => size switch
    {
        8 => to.IsSigned() ? (uint)(sbyte)value : (byte)value,
        16 => (ushort)value,
        32 => (uint)value,
        _ => value,
    };

    private static ulong Saturate(ulong value, bool fromSigned, bool toSigned, int size)
    {
        Int128 v = fromSigned ? (Int128)(long)value : (Int128)value;
        Int128 low = toSigned ? -(Int128.One << (size - 1)) : 0, high = toSigned ? (Int128.One << (size - 1)) - 1 : (Int128.One << size) - 1;
        return (ulong)Int128.Clamp(v, low, high);
    }

    private static ulong ToInteger(double v, PtxType from, PtxType to, Rounding rounding)
    {
        int size = to.Size() * 8;
        if (double.IsNaN(v))
            return from == PtxType.F64 || size == 64 ? size == 64 ? 1ul << 63 : 1ul << (size - 1) : 0;
        v = rounding switch
        {
            Rounding.Zero => Math.Truncate(v),
            Rounding.Down => Math.Floor(v),
            Rounding.Up => Math.Ceiling(v),
            _ => Math.Round(v, MidpointRounding.ToEven),
        };
        Int128 low = to.IsSigned() ? -(Int128.One << (size - 1)) : 0, high = to.IsSigned() ? (Int128.One << (size - 1)) - 1 : (Int128.One << size) - 1;
        Int128 d = v >= (double)high ? high : v <= (double)low ? low : (Int128)v;
        return Fit((ulong)d, to, size);
    }

    private static ulong IntegerToFloat(ulong value, bool signed, PtxType to, Rounding rounding, bool saturate)
    {
        bool negative = signed && (long)value < 0;
        ulong magnitude = negative ? 0 - value : value;

        // Up to 53 bits are exact in a double; a sticky last bit keeps longer ones on their side of every rounding to fewer bits.
        int extra = Math.Max(0, 64 - BitOperations.LeadingZeroCount(magnitude) - 53);
        ulong kept = magnitude >> extra;
        if (to == PtxType.F64)
        {
            ulong dropped = magnitude & ((1ul << extra) - 1), half = extra == 0 ? 0 : 1ul << (extra - 1);
            bool up = rounding switch
            {
                Rounding.Zero => false,
                Rounding.Down => negative && dropped != 0,
                Rounding.Up => !negative && dropped != 0,
                _ => extra > 0 && (dropped > half || (dropped == half && (kept & 1) != 0)),
            };
            double v = Math.ScaleB((double)(kept + (up ? 1ul : 0)), extra);
            return BitConverter.DoubleToUInt64Bits(negative ? -v : v);
        }

        if (extra > 0 && (magnitude & ((1ul << extra) - 1)) != 0)
            kept |= 1;
        double exact = Math.ScaleB((double)kept, extra);
        exact = negative ? -exact : exact;
        if (saturate)
            exact = Math.Clamp(exact, 0, 1);
        return to switch
        {
            PtxType.F16 => HalfMath.ToHalf(exact, rounding),
            PtxType.BF16 => HalfMath.ToBrain(exact, rounding),
            _ => HalfMath.ToSingle(exact, rounding),
        };
    }

    private static ulong FloatToFloat(double v, ulong bits, PtxType from, PtxType to, Rounding rounding, bool toInteger, bool saturate, bool flush, bool relu)
    {
        if (toInteger)
        {
            v = rounding switch
            {
                Rounding.Zero => Math.Truncate(v),
                Rounding.Down => Math.Floor(v),
                Rounding.Up => Math.Ceiling(v),
                _ => Math.Round(v, MidpointRounding.ToEven),
            };
            rounding = Rounding.NearestEven;
        }

        if (saturate)
            v = v > 0 ? Math.Min(v, 1) : 0;
        if (relu && !(v > 0))
            v = double.IsNaN(v) ? v : 0;
        switch (to)
        {
            case PtxType.F64:
                return from == PtxType.F64 && double.IsNaN(v) ? bits : BitConverter.DoubleToUInt64Bits(v);
            case PtxType.F16:
                return HalfMath.ToHalf(v, rounding);
            case PtxType.BF16:
                return HalfMath.ToBrain(v, rounding);
            case PtxType.TF32:
                return double.IsNaN(v) ? 0x7FFFFFFF : HalfMath.Round(v, 11, -126, 127, rounding, 18) << 13;
            default:
                uint d = HalfMath.ToSingle(v, rounding);
                return flush && (d & 0x7F800000) == 0 ? d & 0x80000000 : d;
        }
    }
}
