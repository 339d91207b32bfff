using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Orthrus.PtxSim.Decoding;

namespace Orthrus.PtxSim.Execution;

/// <summary>Instructions in which the lanes of a warp see each other: shuffles, votes, matches, reductions.</summary>
internal static unsafe class WarpOps
{
    private static Vector512<uint> LaneLow => Vector512<uint>.Indices;

    /// <summary>
    /// Checks the member masks at <paramref name="masks"/> and waits for their lanes. Lanes that have exited may be named, as the manual allows.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Members(Core core, Instr* i, byte* masks, ref uint m, out Instr* next)
    {
        var p = (Vector512<uint>*)masks;
        if (m == Lanes.All && Vector512.EqualsAll(p[0] & p[1], Vector512<uint>.AllBitsSet))
        {
            next = null;
            return true;
        }

        return MembersSlow(core, i, (uint*)masks, ref m, out next);
    }

    private static bool MembersSlow(Core core, Instr* i, uint* masks, ref uint m, out Instr* next)
    {
        uint required = 0;
        for (uint k = m; k != 0; k &= k - 1)
        {
            int l = BitOperations.TrailingZeroCount(k);
            uint mask = masks[l];
            if ((mask >> l & 1) == 0)
                throw core.Fault(FaultKind.MemberMask, i, l, 0, $"lane {l} executes {core.Program.Infos[i->Index].Opcode} with the member mask 0x{mask:x8}, which leaves it out");
            required |= mask;
        }

        required &= core.Warp.Alive;
        if (!core.Gather(i, ref m, required, out next))
            return false;
        for (uint k = m; k != 0; k &= k - 1)
        {
            int l = BitOperations.TrailingZeroCount(k);
            uint theirs = masks[l] & core.Warp.Alive;
            for (uint j = theirs; j != 0; j &= j - 1)
            {
                int other = BitOperations.TrailingZeroCount(j);
                if ((masks[other] & core.Warp.Alive) != theirs)
                    throw core.Fault(FaultKind.MemberMask, i, l, 0, $"lanes {l} and {other} execute {core.Program.Infos[i->Index].Opcode} with different member masks 0x{masks[l]:x8} and 0x{masks[other]:x8}");
            }
        }

        return true;
    }

    /// <summary>
    /// shfl.sync.b32. A: value, B: lane or offset, C: clamp and segment mask, Ext[0]: member mask, Ext[1]: destination predicate where X bit 2 is set;
    /// X bits 0-1: 0 up, 1 down, 2 bfly, 3 idx.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Instr* Shuffle(Core core, Instr* i, byte* r, uint m)
    {
        if (!Members(core, i, r + i->Ext[0], ref m, out Instr* next))
            return next;
        var a = (Vector512<uint>*)(r + i->A);
        var b = (Vector512<uint>*)(r + i->B);
        var c = (Vector512<uint>*)(r + i->C);
        int mode = i->X & 3;
        Vector512<uint> a0 = a[0], a1 = a[1];
        Vector512<uint> s0 = Source(mode, LaneLow, b[0], c[0], out Vector512<uint> p0);
        Vector512<uint> s1 = Source(mode, LaneLow + Vector512.Create(16u), b[1], c[1], out Vector512<uint> p1);
        if (m != Lanes.All)
            CheckSources(core, i, s0, s1, m);
        Vector512<uint> d0, d1;
        if (Avx512F.IsSupported)
        {
            d0 = Avx512F.PermuteVar16x32x2(a0, s0, a1);
            d1 = Avx512F.PermuteVar16x32x2(a0, s1, a1);
        }
        else
        {
            uint* values = stackalloc uint[32], sources = stackalloc uint[32], results = stackalloc uint[32];
            a0.Store(values);
            a1.Store(values + 16);
            s0.Store(sources);
            s1.Store(sources + 16);
            for (int l = 0; l < 32; l++)
                results[l] = values[sources[l]];
            d0 = Vector512.Load(results);
            d1 = Vector512.Load(results + 16);
        }

        Lanes.Store(r + i->D, d0, d1, m);
        if ((i->X & 4) != 0)
            Lanes.StorePredicate(r + i->Ext[1], Lanes.Bits(p0, p1), m);
        return i + 1;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<uint> Source(int mode, Vector512<uint> lane, Vector512<uint> b, Vector512<uint> c, out Vector512<uint> inside)
    {
        Vector512<uint> five = Vector512.Create(31u);
        b &= five;
        Vector512<uint> clamp = c & five;
        Vector512<uint> segment = (c >> 8) & five;
        Vector512<uint> low = lane & segment;
        Vector512<uint> high = low | (clamp & ~segment);
        Vector512<uint> j;
        switch (mode)
        {
            case 0:
                j = lane - b;
                inside = Vector512.GreaterThanOrEqual(j.AsInt32(), high.AsInt32()).AsUInt32();
                break;
            case 1:
                j = lane + b;
                inside = Vector512.LessThanOrEqual(j, high);
                break;
            case 2:
                j = lane ^ b;
                inside = Vector512.LessThanOrEqual(j, high);
                break;
            default:
                j = low | (b & ~segment);
                inside = Vector512.LessThanOrEqual(j, high);
                break;
        }

        return Vector512.ConditionalSelect(inside, j, lane);
    }

    private static void CheckSources(Core core, Instr* i, Vector512<uint> s0, Vector512<uint> s1, uint m)
    {
        uint* sources = stackalloc uint[32];
        s0.Store(sources);
        s1.Store(sources + 16);
        for (uint k = m; k != 0; k &= k - 1)
        {
            int l = BitOperations.TrailingZeroCount(k);
            if ((m >> (int)sources[l] & 1) == 0)
                throw core.Fault(FaultKind.MemberMask, i, l, 0, $"lane {l} shuffles from lane {sources[l]}, which does not execute the instruction");
        }
    }

    /// <summary>vote.sync. A: predicate, B: member mask; X bits 0-1: 0 all, 1 any, 2 uni, 3 ballot; bit 2 predicate negated.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Instr* Vote(Core core, Instr* i, byte* r, uint m)
    {
        if (!Members(core, i, r + i->B, ref m, out Instr* next))
            return next;
        uint p = *(uint*)(r + i->A) ^ ((i->X & 4) != 0 ? Lanes.All : 0);
        var masks = (uint*)(r + i->B);
        for (uint rest = m; rest != 0;)
        {
            uint mask = masks[BitOperations.TrailingZeroCount(rest)] & m;
            uint votes = p & mask;
            switch (i->X & 3)
            {
                case 0:
                    Lanes.StorePredicate(r + i->D, votes == mask ? Lanes.All : 0, mask);
                    break;
                case 1:
                    Lanes.StorePredicate(r + i->D, votes != 0 ? Lanes.All : 0, mask);
                    break;
                case 2:
                    Lanes.StorePredicate(r + i->D, votes == 0 || votes == mask ? Lanes.All : 0, mask);
                    break;
                default:
                    Lanes.Store(r + i->D, Vector512.Create(votes), Vector512.Create(votes), mask);
                    break;
            }

            rest &= ~mask;
        }

        return i + 1;
    }

    public static Instr* ActiveMask(Core core, Instr* i, byte* r, uint m)
    {
        Lanes.Store(r + i->D, Vector512.Create(m), Vector512.Create(m), m);
        return i + 1;
    }

    /// <summary>match.sync. A: value, B: member mask, Ext[0] predicate of .all (X bit 0), X bit 1: 64-bit values.</summary>
    public static Instr* Match(Core core, Instr* i, byte* r, uint m)
    {
        if (!Members(core, i, r + i->B, ref m, out Instr* next))
            return next;
        bool wide = (i->X & 2) != 0, all = (i->X & 1) != 0;
        var masks = (uint*)(r + i->B);
        uint* results = stackalloc uint[32];
        uint predicate = 0;
        for (uint k = m; k != 0; k &= k - 1)
        {
            int l = BitOperations.TrailingZeroCount(k);
            uint mask = masks[l] & m, same = 0;
            for (uint j = mask; j != 0; j &= j - 1)
            {
                int other = BitOperations.TrailingZeroCount(j);
                bool equal = wide ? ((ulong*)(r + i->A))[l] == ((ulong*)(r + i->A))[other] : ((uint*)(r + i->A))[l] == ((uint*)(r + i->A))[other];
                same |= (equal ? 1u : 0) << other;
            }

            results[l] = !all || same == mask ? same : 0;
            if (all && same == mask)
                predicate |= 1u << l;
        }

        Lanes.Store(r + i->D, Vector512.Load(results), Vector512.Load(results + 16), m);
        if (all && i->Ext != null)
            Lanes.StorePredicate(r + i->Ext[0], predicate, m);
        return i + 1;
    }

    /// <summary>redux.sync. A: value, B: member mask; X: 0 add, 1 min.u32, 2 max.u32, 3 min.s32, 4 max.s32, 5 and, 6 or, 7 xor.</summary>
    public static Instr* Redux(Core core, Instr* i, byte* r, uint m)
    {
        if (!Members(core, i, r + i->B, ref m, out Instr* next))
            return next;
        var a = (uint*)(r + i->A);
        var masks = (uint*)(r + i->B);
        for (uint rest = m; rest != 0;)
        {
            int first = BitOperations.TrailingZeroCount(rest);
            uint mask = masks[first] & m;
            uint value = a[first];
            for (uint k = mask & (mask - 1); k != 0; k &= k - 1)
            {
                uint other = a[BitOperations.TrailingZeroCount(k)];
                value = i->X switch
                {
                    0 => value + other,
                    1 => Math.Min(value, other),
                    2 => Math.Max(value, other),
                    3 => (uint)Math.Min((int)value, (int)other),
                    4 => (uint)Math.Max((int)value, (int)other),
                    5 => value & other,
                    6 => value | other,
                    _ => value ^ other,
                };
            }

            Lanes.Store(r + i->D, Vector512.Create(value), Vector512.Create(value), mask);
            rest &= ~mask;
        }

        return i + 1;
    }
}
