using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Orthrus.PtxSim.Decoding;

namespace Orthrus.PtxSim.Execution;

internal interface IUnary32
{
    static abstract Vector512<uint> Do(Vector512<uint> a);
}

internal interface IBinary32
{
    static abstract Vector512<uint> Do(Vector512<uint> a, Vector512<uint> b);
}

internal interface ITernary32
{
    static abstract Vector512<uint> Do(Vector512<uint> a, Vector512<uint> b, Vector512<uint> c);
}

internal interface IUnary64
{
    static abstract Vector512<ulong> Do(Vector512<ulong> a);
}

internal interface IBinary64
{
    static abstract Vector512<ulong> Do(Vector512<ulong> a, Vector512<ulong> b);
}

internal interface ITernary64
{
    static abstract Vector512<ulong> Do(Vector512<ulong> a, Vector512<ulong> b, Vector512<ulong> c);
}

/// <summary>A comparison whose result has the sign bit of each true lane set.</summary>
internal interface ICompare32
{
    static abstract Vector512<uint> Do(Vector512<uint> a, Vector512<uint> b);
}

internal interface ICompare64
{
    static abstract Vector512<ulong> Do(Vector512<ulong> a, Vector512<ulong> b);
}

/// <summary>A function of one lane at a time, for what is rare; <c>x</c> is the mode of the instruction.</summary>
internal interface ILane<TD, TA, TB, TC>
{
    static abstract TD Do(TA a, TB b, TC c, int x);
}

/// <summary>Handlers by operand shape, generic over the operation.</summary>
internal static unsafe class Shapes
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Instr* Unary<T>(Core core, Instr* i, byte* r, uint m)
        where T : struct, IUnary32
    {
        var a = (Vector512<uint>*)(r + i->A);
        Lanes.Store(r + i->D, T.Do(a[0]), T.Do(a[1]), m);
        return i + 1;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Instr* Binary<T>(Core core, Instr* i, byte* r, uint m)
        where T : struct, IBinary32
    {
        var a = (Vector512<uint>*)(r + i->A);
        var b = (Vector512<uint>*)(r + i->B);
        Lanes.Store(r + i->D, T.Do(a[0], b[0]), T.Do(a[1], b[1]), m);
        return i + 1;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Instr* Ternary<T>(Core core, Instr* i, byte* r, uint m)
        where T : struct, ITernary32
    {
        var a = (Vector512<uint>*)(r + i->A);
        var b = (Vector512<uint>*)(r + i->B);
        var c = (Vector512<uint>*)(r + i->C);
        Lanes.Store(r + i->D, T.Do(a[0], b[0], c[0]), T.Do(a[1], b[1], c[1]), m);
        return i + 1;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Instr* Unary64<T>(Core core, Instr* i, byte* r, uint m)
        where T : struct, IUnary64
    {
        var a = (Vector512<ulong>*)(r + i->A);
        Lanes.Store64(r + i->D, T.Do(a[0]), T.Do(a[1]), T.Do(a[2]), T.Do(a[3]), m);
        return i + 1;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Instr* Binary64<T>(Core core, Instr* i, byte* r, uint m)
        where T : struct, IBinary64
    {
        var a = (Vector512<ulong>*)(r + i->A);
        var b = (Vector512<ulong>*)(r + i->B);
        Lanes.Store64(r + i->D, T.Do(a[0], b[0]), T.Do(a[1], b[1]), T.Do(a[2], b[2]), T.Do(a[3], b[3]), m);
        return i + 1;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Instr* Ternary64<T>(Core core, Instr* i, byte* r, uint m)
        where T : struct, ITernary64
    {
        var a = (Vector512<ulong>*)(r + i->A);
        var b = (Vector512<ulong>*)(r + i->B);
        var c = (Vector512<ulong>*)(r + i->C);
        Lanes.Store64(r + i->D, T.Do(a[0], b[0], c[0]), T.Do(a[1], b[1], c[1]), T.Do(a[2], b[2], c[2]), T.Do(a[3], b[3], c[3]), m);
        return i + 1;
    }

    /// <summary>64-bit value shifted by a 32-bit amount.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Instr* Shift64<T>(Core core, Instr* i, byte* r, uint m)
        where T : struct, IBinary64
    {
        var a = (Vector512<ulong>*)(r + i->A);
        var b = (Vector512<uint>*)(r + i->B);
        Vector512<uint> low = b[0], high = b[1];
        Lanes.Store64(r + i->D, T.Do(a[0], Vector512.WidenLower(low)), T.Do(a[1], Vector512.WidenUpper(low)), T.Do(a[2], Vector512.WidenLower(high)),
            T.Do(a[3], Vector512.WidenUpper(high)), m);
        return i + 1;
    }

    /// <summary>32-bit operands, 64-bit result (mul.wide): both operands widened with or without sign, then the 64-bit operation.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Instr* Wide<T, TSign>(Core core, Instr* i, byte* r, uint m)
        where T : struct, ITernary64
        where TSign : struct, ISign
    {
        var a = (Vector512<uint>*)(r + i->A);
        var b = (Vector512<uint>*)(r + i->B);
        var c = (Vector512<ulong>*)(r + i->C);
        Vector512<uint> al = a[0], ah = a[1], bl = b[0], bh = b[1];
        Lanes.Store64(
            r + i->D,
            T.Do(TSign.Lower(al), TSign.Lower(bl), c[0]),
            T.Do(TSign.Upper(al), TSign.Upper(bl), c[1]),
            T.Do(TSign.Lower(ah), TSign.Lower(bh), c[2]),
            T.Do(TSign.Upper(ah), TSign.Upper(bh), c[3]),
            m);
        return i + 1;
    }

    /// <summary>32-bit source, 64-bit result.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Instr* Widen<TSign>(Core core, Instr* i, byte* r, uint m)
        where TSign : struct, ISign
    {
        var a = (Vector512<uint>*)(r + i->A);
        Vector512<uint> low = a[0], high = a[1];
        Lanes.Store64(r + i->D, TSign.Lower(low), TSign.Upper(low), TSign.Lower(high), TSign.Upper(high), m);
        return i + 1;
    }

    /// <summary>Low half of a 64-bit source, shifted right by <c>X</c> bits before and masked by <c>Imm</c> after.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Instr* Narrow(Core core, Instr* i, byte* r, uint m)
    {
        var a = (Vector512<ulong>*)(r + i->A);
        int shift = i->X;
        Vector512<uint> mask = Vector512.Create((uint)i->Imm);
        Lanes.Store(r + i->D, Vector512.Narrow(a[0] >> shift, a[1] >> shift) & mask, Vector512.Narrow(a[2] >> shift, a[3] >> shift) & mask, m);
        return i + 1;
    }

    /// <summary>32-bit source shifted right by <c>X</c> bits, then masked by <c>Imm</c>.</summary>
    public static Instr* ExtractBits(Core core, Instr* i, byte* r, uint m)
    {
        var a = (Vector512<uint>*)(r + i->A);
        Vector512<uint> mask = Vector512.Create((uint)i->Imm);
        Lanes.Store(r + i->D, (a[0] >> i->X) & mask, (a[1] >> i->X) & mask, m);
        return i + 1;
    }

    /// <summary>Predicate from a comparison; <c>X</c> bit 0 combines with predicate C, see <see cref="Combine"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Instr* Compare<T>(Core core, Instr* i, byte* r, uint m)
        where T : struct, ICompare32
    {
        var a = (Vector512<uint>*)(r + i->A);
        var b = (Vector512<uint>*)(r + i->B);
        uint value = Lanes.Bits(T.Do(a[0], b[0]), T.Do(a[1], b[1]));
        if (i->X == 0)
            Lanes.StorePredicate(r + i->D, value, m);
        else
            Combine(i, r, value, m);
        return i + 1;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Instr* Compare64<T>(Core core, Instr* i, byte* r, uint m)
        where T : struct, ICompare64
    {
        var a = (Vector512<ulong>*)(r + i->A);
        var b = (Vector512<ulong>*)(r + i->B);
        uint value = Lanes.Bits64Of(T.Do(a[0], b[0]), T.Do(a[1], b[1]), T.Do(a[2], b[2]), T.Do(a[3], b[3]));
        if (i->X == 0)
            Lanes.StorePredicate(r + i->D, value, m);
        else
            Combine(i, r, value, m);
        return i + 1;
    }

    /// <summary>
    /// The long forms of setp and set. X: bits 0-1 combination (1 and, 2 or, 3 xor), bit 2 C negated, bit 3 a second destination Ext[0],
    /// bit 4 the result goes to a 32-bit register as all ones, bit 5 the same as 1.0f.
    /// </summary>
    public static void Combine(Instr* i, byte* r, uint value, uint m)
    {
        int x = i->X;
        uint other = ~value;
        if ((x & 3) != 0)
        {
            uint c = *(uint*)(r + i->C) ^ ((x & 4) != 0 ? Lanes.All : 0);
            value = (x & 3) switch { 1 => value & c, 2 => value | c, _ => value ^ c };
            other = (x & 3) switch { 1 => other & c, 2 => other | c, _ => other ^ c };
        }

        if ((x & 48) != 0)
        {
            Vector512<uint> one = Vector512.Create((x & 16) != 0 ? Lanes.All : 0x3F800000u);
            Lanes.Store(r + i->D, Lanes.Expand(value) & one, Lanes.Expand(value >> 16) & one, m);
            return;
        }

        Lanes.StorePredicate(r + i->D, value, m);
        if ((x & 8) != 0)
            Lanes.StorePredicate(r + i->Ext[0], other, m);
    }

    /// <summary>One lane at a time. Unused operands point at any valid slot.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Instr* Lane<T, TD, TA, TB, TC>(Core core, Instr* i, byte* r, uint m)
        where T : struct, ILane<TD, TA, TB, TC>
        where TD : unmanaged
        where TA : unmanaged
        where TB : unmanaged
        where TC : unmanaged
    {
        var d = (TD*)(r + i->D);
        var a = (TA*)(r + i->A);
        var b = (TB*)(r + i->B);
        var c = (TC*)(r + i->C);
        int x = i->X;
        for (uint rest = m; rest != 0; rest &= rest - 1)
        {
            int l = BitOperations.TrailingZeroCount(rest);
            d[l] = T.Do(a[l], b[l], c[l], x);
        }

        return i + 1;
    }

    /// <summary>A comparison one lane at a time; the function returns 0 or 1.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Instr* LaneCompare<T, TA>(Core core, Instr* i, byte* r, uint m)
        where T : struct, ILane<int, TA, TA, int>
        where TA : unmanaged
    {
        var a = (TA*)(r + i->A);
        var b = (TA*)(r + i->B);
        uint value = 0;
        int mode = (int)i->Imm;
        for (uint rest = m; rest != 0; rest &= rest - 1)
        {
            int l = BitOperations.TrailingZeroCount(rest);
            value |= (uint)T.Do(a[l], b[l], 0, mode) << l;
        }

        if (i->X == 0)
            Lanes.StorePredicate(r + i->D, value, m);
        else
            Combine(i, r, value, m);
        return i + 1;
    }
}

internal interface ISign
{
    static abstract Vector512<ulong> Lower(Vector512<uint> a);

    static abstract Vector512<ulong> Upper(Vector512<uint> a);
}

internal readonly struct SignExtend : ISign
{
    public static Vector512<ulong> Lower(Vector512<uint> a) => Vector512.WidenLower(a.AsInt32()).AsUInt64();

    public static Vector512<ulong> Upper(Vector512<uint> a) => Vector512.WidenUpper(a.AsInt32()).AsUInt64();
}

internal readonly struct ZeroExtend : ISign
{
    public static Vector512<ulong> Lower(Vector512<uint> a) => Vector512.WidenLower(a);

    public static Vector512<ulong> Upper(Vector512<uint> a) => Vector512.WidenUpper(a);
}
