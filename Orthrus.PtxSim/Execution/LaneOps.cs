using System.Numerics;

namespace Orthrus.PtxSim.Execution;

/// <summary>Operations that run one lane at a time. Arguments a kernel does not have are zero.</summary>
internal static class LaneOps
{
    private static int Sign16(uint a) => (short)a;

    public readonly struct DivU : ILane<uint, uint, uint, uint>
    {
        public static uint Do(uint a, uint b, uint c, int x) => b == 0 ? uint.MaxValue : a / b;
    }

    public readonly struct DivS : ILane<uint, uint, uint, uint>
    {
        public static uint Do(uint a, uint b, uint c, int x) => b == 0 ? uint.MaxValue : (uint)((long)(int)a / (int)b);
    }

    public readonly struct RemU : ILane<uint, uint, uint, uint>
    {
        public static uint Do(uint a, uint b, uint c, int x) => b == 0 ? a : a % b;
    }

    public readonly struct RemS : ILane<uint, uint, uint, uint>
    {
        public static uint Do(uint a, uint b, uint c, int x) => b == 0 ? a : (uint)((long)(int)a % (int)b);
    }

    public readonly struct DivU64 : ILane<ulong, ulong, ulong, ulong>
    {
        public static ulong Do(ulong a, ulong b, ulong c, int x) => b == 0 ? ulong.MaxValue : a / b;
    }

    public readonly struct DivS64 : ILane<ulong, ulong, ulong, ulong>
    {
        public static ulong Do(ulong a, ulong b, ulong c, int x) => b == 0 ? ulong.MaxValue : b == ulong.MaxValue ? 0 - a : (ulong)((long)a / (long)b);
    }

    public readonly struct RemU64 : ILane<ulong, ulong, ulong, ulong>
    {
        public static ulong Do(ulong a, ulong b, ulong c, int x) => b == 0 ? a : a % b;
    }

    public readonly struct RemS64 : ILane<ulong, ulong, ulong, ulong>
    {
        public static ulong Do(ulong a, ulong b, ulong c, int x) => b == 0 ? a : b == ulong.MaxValue ? 0 : (ulong)((long)a % (long)b);
    }

    /// <summary>16-bit signed and unsigned operations; x: 0 div.u, 1 div.s, 2 rem.u, 3 rem.s, 4 min.s, 5 max.s, 6 min.u, 7 max.u, 8 abs, 9 neg, 10 mul.hi.u, 11 mul.hi.s.</summary>
    public readonly struct Short : ILane<uint, uint, uint, uint>
    {
        public static uint Do(uint a, uint b, uint c, int x)
        {
            int sa = Sign16(a), sb = Sign16(b);
            uint ua = a & 0xFFFF, ub = b & 0xFFFF;
            return 0xFFFF & x switch
            {
                0 => ub == 0 ? 0xFFFF : ua / ub,
                1 => sb == 0 ? 0xFFFF : (uint)(sa / sb),
                2 => ub == 0 ? ua : ua % ub,
                3 => sb == 0 ? ua : (uint)(sa % sb),
                4 => (uint)Math.Min(sa, sb),
                5 => (uint)Math.Max(sa, sb),
                6 => Math.Min(ua, ub),
                7 => Math.Max(ua, ub),
                8 => (uint)Math.Abs(sa),
                9 => (uint)-sa,
                10 => (ua * ub) >> 16,
                _ => (uint)((sa * sb) >> 16),
            };
        }
    }

    public readonly struct MulHiU : ILane<uint, uint, uint, uint>
    {
        public static uint Do(uint a, uint b, uint c, int x) => (uint)((ulong)a * b >> 32) + c;
    }

    public readonly struct MulHiS : ILane<uint, uint, uint, uint>
    {
        public static uint Do(uint a, uint b, uint c, int x) => (uint)((long)(int)a * (int)b >> 32) + c;
    }

    public readonly struct MulHiU64 : ILane<ulong, ulong, ulong, ulong>
    {
        public static ulong Do(ulong a, ulong b, ulong c, int x) => Math.BigMul(a, b, out _) + c;
    }

    public readonly struct MulHiS64 : ILane<ulong, ulong, ulong, ulong>
    {
        public static ulong Do(ulong a, ulong b, ulong c, int x) => (ulong)Math.BigMul((long)a, (long)b, out _) + c;
    }

    /// <summary>24-bit products; x: bit 0 signed, bit 1 high.</summary>
    public readonly struct Mad24 : ILane<uint, uint, uint, uint>
    {
        public static uint Do(uint a, uint b, uint c, int x)
        {
            long product = (x & 1) != 0 ? (long)((int)(a << 8) >> 8) * ((int)(b << 8) >> 8) : (long)(a & 0xFFFFFF) * (b & 0xFFFFFF);
            return (uint)((x & 2) != 0 ? product >> 16 : product) + c;
        }
    }

    public readonly struct Sad : ILane<uint, uint, uint, uint>
    {
        public static uint Do(uint a, uint b, uint c, int x) => c + (x == 1 ? (uint)Math.Abs((long)(int)a - (int)b) : Math.Max(a, b) - Math.Min(a, b));
    }

    /// <summary>add.sat.s32 (x = 0), sub.sat.s32 (1), mad.hi.sat.s32 (2).</summary>
    public readonly struct Saturating : ILane<uint, uint, uint, uint>
    {
        public static uint Do(uint a, uint b, uint c, int x)
        {
            long v = x switch { 0 => (long)(int)a + (int)b, 1 => (long)(int)a - (int)b, _ => ((long)(int)a * (int)b >> 32) + (int)c };
            return (uint)(int)Math.Clamp(v, int.MinValue, int.MaxValue);
        }
    }

    public readonly struct Popc : ILane<uint, uint, uint, uint>
    {
        public static uint Do(uint a, uint b, uint c, int x) => (uint)BitOperations.PopCount(a);
    }

    public readonly struct Popc64 : ILane<uint, ulong, uint, uint>
    {
        public static uint Do(ulong a, uint b, uint c, int x) => (uint)BitOperations.PopCount(a);
    }

    public readonly struct Clz : ILane<uint, uint, uint, uint>
    {
        public static uint Do(uint a, uint b, uint c, int x) => (uint)BitOperations.LeadingZeroCount(a);
    }

    public readonly struct Clz64 : ILane<uint, ulong, uint, uint>
    {
        public static uint Do(ulong a, uint b, uint c, int x) => (uint)BitOperations.LeadingZeroCount(a);
    }

    public readonly struct Brev : ILane<uint, uint, uint, uint>
    {
        public static uint Do(uint a, uint b, uint c, int x) => Reverse(a);

        public static uint Reverse(uint a)
        {
            a = (a >> 1 & 0x55555555) | (a & 0x55555555) << 1;
            a = (a >> 2 & 0x33333333) | (a & 0x33333333) << 2;
            a = (a >> 4 & 0x0F0F0F0F) | (a & 0x0F0F0F0F) << 4;
            return System.Buffers.Binary.BinaryPrimitives.ReverseEndianness(a);
        }
    }

    public readonly struct Brev64 : ILane<ulong, ulong, uint, uint>
    {
        public static ulong Do(ulong a, uint b, uint c, int x) => (ulong)Brev.Reverse((uint)a) << 32 | Brev.Reverse((uint)(a >> 32));
    }

    /// <summary>bfind; x: bit 0 signed, bit 1 .shiftamt.</summary>
    public readonly struct Bfind : ILane<uint, uint, uint, uint>
    {
        public static uint Do(uint a, uint b, uint c, int x)
        {
            if ((x & 1) != 0 && (int)a < 0)
                a = ~a;
            if (a == 0)
                return uint.MaxValue;
            uint bit = (uint)BitOperations.Log2(a);
            return (x & 2) != 0 ? 31 - bit : bit;
        }
    }

    public readonly struct Bfind64 : ILane<uint, ulong, uint, uint>
    {
        public static uint Do(ulong a, uint b, uint c, int x)
        {
            if ((x & 1) != 0 && (long)a < 0)
                a = ~a;
            if (a == 0)
                return uint.MaxValue;
            uint bit = (uint)BitOperations.Log2(a);
            return (x & 2) != 0 ? 63 - bit : bit;
        }
    }

    /// <summary>fns: the offset-th set bit from a base.</summary>
    public readonly struct Fns : ILane<uint, uint, uint, uint>
    {
        public static uint Do(uint mask, uint from, uint c, int x)
        {
            int offset = (int)c, at = (int)from & 31;
            if (offset == 0)
                return (mask >> at & 1) != 0 ? (uint)at : uint.MaxValue;
            int step = offset > 0 ? 1 : -1, left = Math.Abs(offset);
            for (; at is >= 0 and < 32; at += step)
            {
                if ((mask >> at & 1) != 0 && --left == 0)
                    return (uint)at;
            }

            return uint.MaxValue;
        }
    }

    /// <summary>bfe; x = 1 signed.</summary>
    public readonly struct Bfe : ILane<uint, uint, uint, uint>
    {
        public static uint Do(uint a, uint b, uint c, int x) => (uint)Extract(x == 1 ? (ulong)(int)a : a, b, c, 32, x == 1);
    }

    public readonly struct Bfe64 : ILane<ulong, ulong, uint, uint>
    {
        public static ulong Do(ulong a, uint b, uint c, int x) => Extract(a, b, c, 64, x == 1);
    }

    public readonly struct Bfi : ILane<uint, uint, uint, ulong>
    {
        // Position and length come packed as the third operand.
        public static uint Do(uint a, uint b, ulong c, int x) => (uint)Insert(a, b, (uint)c & 0xFF, (uint)(c >> 32) & 0xFF, 32);
    }

    public static ulong Insert(ulong a, ulong b, uint position, uint length, int bits)
    {
        if (position >= bits || length == 0)
            return b;
        ulong mask = length >= 64 ? ulong.MaxValue : (1ul << (int)length) - 1;
        mask <<= (int)position;
        if (bits == 32)
            mask &= uint.MaxValue;
        return (b & ~mask) | (a << (int)position & mask);
    }

    /// <summary>prmt; x is the mode: 0 plain, 1 f4e, 2 b4e, 3 rc8, 4 ecl, 5 ecr, 6 rc16.</summary>
    public readonly struct Prmt : ILane<uint, uint, uint, uint>
    {
        public static uint Do(uint a, uint b, uint c, int x)
        {
            ulong bytes = a | (ulong)b << 32;
            uint d = 0;
            int s = (int)c & 3;
            for (int k = 0; k < 4; k++)
            {
                uint selector = x switch
                {
                    0 => c >> (4 * k) & 15,
                    1 => (uint)(s + k) & 7,
                    2 => (uint)(s - k) & 7,
                    3 => (uint)s,
                    4 => (uint)Math.Max(k, s),
                    5 => (uint)Math.Min(k, s),
                    _ => (uint)((2 * (s & 1)) + (k & 1)),
                };
                uint value = (uint)(bytes >> (int)(8 * (selector & 7))) & 0xFF;
                if ((selector & 8) != 0)
                    value = (value & 0x80) != 0 ? 0xFFu : 0;
                d |= value << (8 * k);
            }

            return d;
        }
    }

    public readonly struct Dp4a : ILane<uint, uint, uint, uint>
    {
        // x: bit 0 signed a, bit 1 signed b.
        public static uint Do(uint a, uint b, uint c, int x)
        {
            int sum = (int)c;
            for (int k = 0; k < 4; k++)
            {
                int p = (x & 1) != 0 ? (sbyte)(a >> (8 * k)) : (byte)(a >> (8 * k));
                int q = (x & 2) != 0 ? (sbyte)(b >> (8 * k)) : (byte)(b >> (8 * k));
                sum += p * q;
            }

            return (uint)sum;
        }
    }

    /// <summary>cnot.</summary>
    public readonly struct Cnot : ILane<uint, uint, uint, uint>
    {
        public static uint Do(uint a, uint b, uint c, int x) => a == 0 ? 1u : 0;
    }

    /// <summary>f64 min (x = 0) and max (1): the number wins, -0 is below +0.</summary>
    public readonly struct MinMax64 : ILane<double, double, double, double>
    {
        public static double Do(double a, double b, double c, int x) => x == 0 ? double.MinNumber(a, b) : double.MaxNumber(a, b);
    }

    /// <summary>f64 add, sub, mul, fma with a directed rounding is rare: exact for what fits, see <see cref="Do"/>.</summary>
    public readonly struct Directed32 : ILane<uint, uint, uint, uint>
    {
        // x: bits 0-2 rounding, bit 3 subtract, bits 4-5: 0 add (a + b), 1 mul, 2 fma; bit 6 ftz.
        public static uint Do(uint ua, uint ub, uint uc, int x)
        {
            float a = Read(ua, x), b = Read(ub, x), c = Read(uc, x);
            var mode = (Rounding)(x & 7);
            uint d = (x >> 4 & 3) switch
            {
                0 => HalfMath.Directed(a, 1, (x & 8) != 0 ? -b : b, mode),
                1 => HalfMath.ToSingle((double)a * b, mode),
                _ => HalfMath.Directed(a, b, c, mode),
            };
            return (x & 64) != 0 && (d & 0x7F800000) == 0 ? d & 0x80000000 : d;
        }

        private static float Read(uint v, int x) => BitConverter.UInt32BitsToSingle((x & 64) != 0 && (v & 0x7F800000) == 0 ? v & 0x80000000 : v);
    }

    /// <summary>testp; x: 0 finite, 1 infinite, 2 number, 3 notanumber, 4 normal, 5 subnormal.</summary>
    public readonly struct Testp : ILane<int, uint, uint, int>
    {
        public static int Do(uint a, uint b, int c, int x) => Testp64.Do(BitConverter.UInt32BitsToSingle(a), x, float.IsSubnormal(BitConverter.UInt32BitsToSingle(a)));
    }

    public readonly struct Testp64 : ILane<int, ulong, ulong, int>
    {
        public static int Do(ulong a, ulong b, int c, int x)
        {
            double v = BitConverter.UInt64BitsToDouble(a);
            return Do(v, x, double.IsSubnormal(v));
        }

        public static int Do(double v, int x, bool subnormal)
        {
            bool answer = x switch
            {
                0 => double.IsFinite(v),
                1 => double.IsInfinity(v),
                2 => !double.IsNaN(v),
                3 => double.IsNaN(v),
                4 => double.IsFinite(v) && v != 0 && !subnormal,
                _ => subnormal,
            };
            return answer ? 1 : 0;
        }
    }

    /// <summary>f64 comparison; the mode is that of <see cref="FloatCompare"/>.</summary>
    public readonly struct Compare64 : ILane<int, double, double, int>
    {
        public static int Do(double a, double b, int c, int x) => FloatCompare(a, b, x);
    }

    /// <summary>f16 and bf16 comparisons; x adds 16 for bf16.</summary>
    public readonly struct CompareHalf : ILane<int, uint, uint, int>
    {
        public static int Do(uint a, uint b, int c, int x) => (x & 16) != 0
            ? FloatCompare(HalfMath.FromBrain(a & 0xFFFF), HalfMath.FromBrain(b & 0xFFFF), x & 15)
            : FloatCompare(HalfMath.FromHalf(a), HalfMath.FromHalf(b), x & 15);
    }

    /// <summary>Modes: 0 eq, 1 ne, 2 lt, 3 le, 4 gt, 5 ge, the same plus 6 for unordered, 12 num, 13 nan.</summary>
    public static int FloatCompare(double a, double b, int x)
    {
        bool nan = double.IsNaN(a) || double.IsNaN(b);
        if (x >= 12)
            return nan == (x == 13) ? 1 : 0;
        if (nan)
            return x >= 6 ? 1 : 0;
        bool answer = (x % 6) switch { 0 => a == b, 1 => a != b, 2 => a < b, 3 => a <= b, 4 => a > b, _ => a >= b };
        return answer ? 1 : 0;
    }

    /// <summary>
    /// f16 and bf16 arithmetic on one or two halves of a lane. x: bits 0-3: 0 add, 1 sub, 2 mul, 3 fma, 4 neg, 5 abs, 6 min, 7 max, 8 ex2, 9 tanh;
    /// bit 4 bf16, bit 5 pairs, bit 6 .relu, bit 7 .NaN, bit 8 .sat.
    /// </summary>
    public readonly struct HalfArithmetic : ILane<uint, uint, uint, uint>
    {
        public static uint Do(uint a, uint b, uint c, int x)
        {
            uint low = One(a & 0xFFFF, b & 0xFFFF, c & 0xFFFF, x);
            return (x & 32) == 0 ? low : low | One(a >> 16, b >> 16, c >> 16, x) << 16;
        }

        private static uint One(uint a, uint b, uint c, int x)
        {
            bool brain = (x & 16) != 0;
            if ((x & 15) == 4)
                return a ^ 0x8000;
            if ((x & 15) == 5)
                return a & 0x7FFF;
            double p = brain ? HalfMath.FromBrain(a) : HalfMath.FromHalf(a);
            double q = brain ? HalfMath.FromBrain(b) : HalfMath.FromHalf(b);
            double s = brain ? HalfMath.FromBrain(c) : HalfMath.FromHalf(c);
            double d = (x & 15) switch
            {
                0 => p + q,
                1 => p - q,
                2 => p * q,
                3 => ExactFma(p, q, s),
                6 => (x & 128) != 0 ? Math.Min(p, q) : double.MinNumber(p, q),
                7 => (x & 128) != 0 ? Math.Max(p, q) : double.MaxNumber(p, q),
                8 => Math.Pow(2, p),
                _ => Math.Tanh(p),
            };
            if ((x & 64) != 0 && !(d > 0))
                d = double.IsNaN(d) ? d : 0;
            if ((x & 256) != 0)
                d = d > 0 ? Math.Min(d, 1) : 0;
            return brain ? HalfMath.ToBrain(d, Rounding.NearestEven) : HalfMath.ToHalf(d, Rounding.NearestEven);
        }

        /// <summary>A double that rounds to 16 bits as the exact value does: where the sum is not exact its last bit is made odd.</summary>
        private static double ExactFma(double p, double q, double s)
        {
            double product = p * q, sum = product + s;
            if (!double.IsFinite(sum))
                return sum;
            double t = sum - product;
            double error = (product - (sum - t)) + (s - t);
            long bits = BitConverter.DoubleToInt64Bits(sum);
            if (error == 0 || (bits & 1) != 0)
                return sum;
            return (error > 0) == (sum > 0) ? BitConverter.Int64BitsToDouble(bits + 1) : BitConverter.Int64BitsToDouble(bits - 1);
        }
    }

    private static ulong Extract(ulong a, uint b, uint c, int bits, bool signed)
    {
        int position = (int)(b & 0xFF), length = (int)(c & 0xFF);
        int last = bits - 1;
        bool sign = signed && length != 0 && (a >> Math.Min(position + length - 1, last) & 1) != 0;
        ulong d = 0;
        for (int k = 0; k < bits; k++)
        {
            bool bit = k < length && position + k <= last ? (a >> (position + k) & 1) != 0 : sign;
            if (bit)
                d |= 1ul << k;
        }

        return d;
    }
}
