using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Orthrus.PtxSim.Decoding;

namespace Orthrus.PtxSim.Execution;

/// <summary>Bit field, funnel shift, selection, three-input logic, carries: operations with their own operand shapes.</summary>
internal static unsafe class MultiwordOps
{
    /// <summary>shf: A low word, B high word, C amount; X bit 0 right, bit 1 clamp.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Instr* Funnel(Core core, Instr* i, byte* r, uint m)
    {
        var a = (Vector512<uint>*)(r + i->A);
        var b = (Vector512<uint>*)(r + i->B);
        var c = (Vector512<uint>*)(r + i->C);
        Lanes.Store(r + i->D, FunnelOf(a[0], b[0], c[0], i->X), FunnelOf(a[1], b[1], c[1], i->X), m);
        return i + 1;
    }

    private static Vector512<uint> FunnelOf(Vector512<uint> low, Vector512<uint> high, Vector512<uint> c, int x)
    {
        Vector512<uint> thirtyTwo = Vector512.Create(32u);
        Vector512<uint> n = (x & 2) != 0 ? Vector512.Min(c, thirtyTwo) : c & Vector512.Create(31u);
        return (x & 1) != 0
            ? Shift.Right(low, n) | Shift.Left(high, thirtyTwo - n)
            : Shift.Left(high, n) | Shift.Right(low, thirtyTwo - n);
    }

    /// <summary>bfe.u32: A value, B position, C length.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Instr* ExtractUnsigned(Core core, Instr* i, byte* r, uint m)
    {
        var a = (Vector512<uint>*)(r + i->A);
        var b = (Vector512<uint>*)(r + i->B);
        var c = (Vector512<uint>*)(r + i->C);
        Vector512<uint> one = Vector512<uint>.One, byteMask = Vector512.Create(0xFFu);
        Lanes.Store(
            r + i->D,
            Shift.Right(a[0], b[0] & byteMask) & (Shift.Left(one, c[0] & byteMask) - one),
            Shift.Right(a[1], b[1] & byteMask) & (Shift.Left(one, c[1] & byteMask) - one),
            m);
        return i + 1;
    }

    /// <summary>bfi: A field, B target, C position, Ext[0] length; X = 1 for 64 bits.</summary>
    public static Instr* Insert(Core core, Instr* i, byte* r, uint m)
    {
        var position = (uint*)(r + i->C);
        var length = (uint*)(r + i->Ext[0]);
        for (uint k = m; k != 0; k &= k - 1)
        {
            int l = BitOperations.TrailingZeroCount(k);
            if (i->X == 1)
                ((ulong*)(r + i->D))[l] = LaneOps.Insert(((ulong*)(r + i->A))[l], ((ulong*)(r + i->B))[l], position[l] & 0xFF, length[l] & 0xFF, 64);
            else
                ((uint*)(r + i->D))[l] = (uint)LaneOps.Insert(((uint*)(r + i->A))[l], ((uint*)(r + i->B))[l], position[l] & 0xFF, length[l] & 0xFF, 32);
        }

        return i + 1;
    }

    /// <summary>lop3 with its table in X.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Instr* Logic(Core core, Instr* i, byte* r, uint m)
    {
        var a = (Vector512<uint>*)(r + i->A);
        var b = (Vector512<uint>*)(r + i->B);
        var c = (Vector512<uint>*)(r + i->C);
        Lanes.Store(r + i->D, LogicOf(a[0], b[0], c[0], i->X), LogicOf(a[1], b[1], c[1], i->X), m);
        return i + 1;
    }

    private static Vector512<uint> LogicOf(Vector512<uint> a, Vector512<uint> b, Vector512<uint> c, int table)
    {
        Vector512<uint> d = Vector512<uint>.Zero;
        for (int k = 0; k < 8; k++)
        {
            if ((table >> k & 1) != 0)
                d |= ((k & 4) != 0 ? a : ~a) & ((k & 2) != 0 ? b : ~b) & ((k & 1) != 0 ? c : ~c);
        }

        return d;
    }

    /// <summary>prmt with a constant selector in Imm, no sign replication: bytes by shuffles.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Instr* PermuteConstant(Core core, Instr* i, byte* r, uint m)
    {
        var a = (Vector512<uint>*)(r + i->A);
        var b = (Vector512<uint>*)(r + i->B);
        Vector512<uint> d0 = default, d1 = default;
        Vector512<uint> low = Vector512.Create(0xFFu);
        uint selector = (uint)i->Imm;
        for (int k = 0; k < 4; k++, selector >>= 4)
        {
            int at = (int)(selector & 3) * 8;
            Vector512<uint>* source = (selector & 4) != 0 ? b : a;
            d0 |= (source[0] >> at & low) << (8 * k);
            d1 |= (source[1] >> at & low) << (8 * k);
        }

        Lanes.Store(r + i->D, d0, d1, m);
        return i + 1;
    }

    /// <summary>selp.32: A where predicate C is set (X = 1: where it is not), else B.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Instr* Select(Core core, Instr* i, byte* r, uint m)
    {
        var a = (Vector512<uint>*)(r + i->A);
        var b = (Vector512<uint>*)(r + i->B);
        uint p = *(uint*)(r + i->C);
        Lanes.Store(r + i->D, Vector512.ConditionalSelect(Lanes.Expand(p), a[0], b[0]), Vector512.ConditionalSelect(Lanes.Expand(p >> 16), a[1], b[1]), m);
        return i + 1;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Instr* Select64(Core core, Instr* i, byte* r, uint m)
    {
        var a = (Vector512<ulong>*)(r + i->A);
        var b = (Vector512<ulong>*)(r + i->B);
        uint p = *(uint*)(r + i->C);
        Lanes.Store64(
            r + i->D,
            Vector512.ConditionalSelect(Lanes.Expand64(p & 255), a[0], b[0]),
            Vector512.ConditionalSelect(Lanes.Expand64(p >> 8 & 255), a[1], b[1]),
            Vector512.ConditionalSelect(Lanes.Expand64(p >> 16 & 255), a[2], b[2]),
            Vector512.ConditionalSelect(Lanes.Expand64(p >> 24), a[3], b[3]),
            m);
        return i + 1;
    }

    /// <summary>Predicate logic: X 0 move, 1 and, 2 or, 3 xor, 4 not, 5 all set.</summary>
    public static Instr* Predicate(Core core, Instr* i, byte* r, uint m)
    {
        uint a = *(uint*)(r + i->A), b = *(uint*)(r + i->B);
        uint value = i->X switch { 0 => a, 1 => a & b, 2 => a | b, 3 => a ^ b, 4 => ~a, _ => Lanes.All };
        Lanes.StorePredicate(r + i->D, value, m);
        return i + 1;
    }

    /// <summary>mov.b64 {A, B}.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Instr* Pack64(Core core, Instr* i, byte* r, uint m)
    {
        var a = (Vector512<uint>*)(r + i->A);
        var b = (Vector512<uint>*)(r + i->B);
        Vector512<uint> a0 = a[0], a1 = a[1], b0 = b[0], b1 = b[1];
        Lanes.Store64(
            r + i->D,
            Vector512.WidenLower(a0) | Vector512.WidenLower(b0) << 32,
            Vector512.WidenUpper(a0) | Vector512.WidenUpper(b0) << 32,
            Vector512.WidenLower(a1) | Vector512.WidenLower(b1) << 32,
            Vector512.WidenUpper(a1) | Vector512.WidenUpper(b1) << 32,
            m);
        return i + 1;
    }

    /// <summary>
    /// add.cc, addc, sub.cc, subc, mad.cc, madc. Ext[0] is the carry predicate; X: bit 0 carry in, bit 1 carry out, bit 2 subtract, bit 3 64 bits,
    /// bits 4-5: 0 plain, 1 mad.lo, 2 mad.hi (A x B + C), bit 6 signed product.
    /// </summary>
    public static Instr* Carry(Core core, Instr* i, byte* r, uint m)
    {
        uint carries = *(uint*)(r + i->Ext[0]), result = carries;
        int x = i->X;
        for (uint k = m; k != 0; k &= k - 1)
        {
            int l = BitOperations.TrailingZeroCount(k);
            ulong carry = (x & 1) != 0 ? carries >> l & 1 : 0;
            bool wide = (x & 8) != 0;
            ulong a = wide ? ((ulong*)(r + i->A))[l] : ((uint*)(r + i->A))[l], b = wide ? ((ulong*)(r + i->B))[l] : ((uint*)(r + i->B))[l];
            if ((x & 48) != 0)
            {
                ulong c = wide ? ((ulong*)(r + i->C))[l] : ((uint*)(r + i->C))[l];
                a = Product(a, b, wide, (x & 32) != 0, (x & 64) != 0);
                b = c;
            }

            UInt128 sum = (x & 4) != 0 ? (UInt128)a - b - carry : (UInt128)a + b + carry;
            bool overflow = wide ? (sum >> 64) != 0 : (sum >> 32) != 0;
            if (wide)
                ((ulong*)(r + i->D))[l] = (ulong)sum;
            else
                ((uint*)(r + i->D))[l] = (uint)sum;
            result = (result & ~(1u << l)) | (overflow ? 1u << l : 0);
        }

        if ((x & 2) != 0)
            *(uint*)(r + i->Ext[0]) = result;
        return i + 1;
    }

    private static ulong Product(ulong a, ulong b, bool wide, bool high, bool signed)
    {
        if (wide)
            return !high ? a * b : signed ? (ulong)Math.BigMul((long)a, (long)b, out _) : Math.BigMul(a, b, out _);
        ulong p = signed ? (ulong)((long)(int)a * (int)b) : a * b;
        return high ? p >> 32 & uint.MaxValue : p & uint.MaxValue;
    }
}
