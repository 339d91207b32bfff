using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Orthrus.PtxSim.Decoding;

namespace Orthrus.PtxSim.Execution;

/// <summary>Loads and stores of shared memory.</summary>
internal sealed unsafe partial class Core
{
    private const int PatternsKept = 4;
    private readonly List<nint> patterns = [];

    /// <summary>Offset in shared memory of the lowest lane of the access that <see cref="LocateShared"/> looked at.</summary>
    private uint sharedFrom;

    /// <summary>
    /// Finds the pattern of an access of <paramref name="width"/> bytes a lane; offsets in register A (64 bits with <see cref="MoveCode.Wide"/> in X)
    /// plus Imm. Bounds and alignment are checked, bank cycles counted.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public SharedPattern* LocateShared(Instr* i, byte* r, uint m, int width, bool write)
    {
        Vector512<uint> low, high;
        if ((i->X & MoveCode.Wide) != 0)
        {
            var a = (Vector512<ulong>*)(r + i->A);
            low = Vector512.Narrow(a[0], a[1]);
            high = Vector512.Narrow(a[2], a[3]);
        }
        else
        {
            var a = (Vector512<uint>*)(r + i->A);
            low = a[0];
            high = a[1];
        }

        int first = BitOperations.TrailingZeroCount(m);
        uint origin = (i->X & MoveCode.Wide) != 0 ? (uint)((ulong*)(r + i->A))[first] : ((uint*)(r + i->A))[first];
        Vector512<uint> o = Vector512.Create(origin);
        low -= o;
        high -= o;
        if (m != Lanes.All)
        {
            low &= Lanes.Expand(m);
            high &= Lanes.Expand(m >> 16);
        }

        origin += (uint)i->Imm;
        SharedPattern* p = (SharedPattern*)i->Cache;
        for (; p != null; p = p->Next)
        {
            if (p->Mask == m && Vector512.EqualsAll((p->Low ^ low) | (p->High ^ high), Vector512<uint>.Zero))
                break;
        }

        if (p == null)
            p = NewPattern(i, m, low, high, width);
        long from = (long)origin + p->From;
        if (from < 0 || (long)origin + p->To > Block.SharedBytes || !p->Aligned || (origin & (uint)(width - 1)) != 0)
            throw BadShared(i, m, low, high, origin, width, write);
        sharedFrom = (uint)from;
        long* stats = InstrStats + (4 * i->Index);
        stats[0]++;
        stats[1] += p->Cycles;
        stats[2] += p->Ideal;
        stats[3] += p->Bytes;
        return p;
    }

    /// <summary>ld.shared, X as in <see cref="MoveCode"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Instr* LoadShared(Core core, Instr* i, byte* r, uint m)
    {
        SharedPattern* p = core.LocateShared(i, r, m, MoveCode.Width(i->X), false);
        if ((i->X & MoveCode.Strong) != 0)
            core.Poll();
        if (core.checks)
            core.CheckShared(i, p, m, false, (i->X & MoveCode.Strong) != 0);
        core.LoadPattern(i, p, r, m);
        return i + 1;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Instr* StoreShared(Core core, Instr* i, byte* r, uint m)
    {
        SharedPattern* p = core.LocateShared(i, r, m, MoveCode.Width(i->X), true);
        if (core.checks)
        {
            core.CheckShared(i, p, m, true, (i->X & MoveCode.Strong) != 0);
            if (p->Overlaps)
                core.CheckOverlap(i, p, r, m);
        }

        byte* memory = core.Block.Shared + core.sharedFrom;
        if (p->Shape == AccessShape.Contiguous)
            Moves.StoreContiguous(memory - (BitOperations.TrailingZeroCount(m) * MoveCode.Width(i->X)), i, r, m);
        else
        {
            core.SetPointers(p, memory, m);
            Moves.StoreScattered(core.Pointers, i, r, m);
        }

        return i + 1;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void LoadPattern(Instr* i, SharedPattern* p, byte* r, uint m)
    {
        byte* memory = Block.Shared + sharedFrom;
        if (p->Shape == AccessShape.Contiguous)
            Moves.LoadContiguous(memory - (BitOperations.TrailingZeroCount(m) * MoveCode.Width(i->X)), i, r, m);
        else if (p->Shape == AccessShape.Uniform)
            Moves.LoadUniform(memory, i, r, m);
        else if (Avx512F.IsSupported && (i->X & 3) == 2 && p->To - p->From <= 256)
        {
            // Words of the window by permutation: two vectors reach 32 words, four 64.
            Vector512<uint> w0 = Vector512.Load((uint*)memory), w1 = Vector512.Load((uint*)memory + 16);
            Vector512<uint> i0 = Vector512.Load(p->Words), i1 = Vector512.Load(p->Words + 16);
            int n = MoveCode.Elements(i->X);
            if (p->To - p->From <= 128)
            {
                for (int k = 0; k < n; k++)
                {
                    Vector512<uint> step = Vector512.Create((uint)k);
                    Lanes.Store(r + i->Ext[k], Avx512F.PermuteVar16x32x2(w0, i0 + step, w1), Avx512F.PermuteVar16x32x2(w0, i1 + step, w1), m);
                }
            }
            else
            {
                Vector512<uint> w2 = Vector512.Load((uint*)memory + 32), w3 = Vector512.Load((uint*)memory + 48);
                for (int k = 0; k < n; k++)
                {
                    Vector512<uint> step = Vector512.Create((uint)k), thirtyTwo = Vector512.Create(32u);
                    Vector512<uint> j0 = i0 + step, j1 = i1 + step;
                    Vector512<uint> d0 = Vector512.ConditionalSelect(Vector512.LessThan(j0, thirtyTwo), Avx512F.PermuteVar16x32x2(w0, j0, w1), Avx512F.PermuteVar16x32x2(w2, j0, w3));
                    Vector512<uint> d1 = Vector512.ConditionalSelect(Vector512.LessThan(j1, thirtyTwo), Avx512F.PermuteVar16x32x2(w0, j1, w1), Avx512F.PermuteVar16x32x2(w2, j1, w3));
                    Lanes.Store(r + i->Ext[k], d0, d1, m);
                }
            }
        }
        else
        {
            SetPointers(p, memory, m);
            Moves.LoadScattered(Pointers, i, r, m);
        }
    }

    private void SetPointers(SharedPattern* p, byte* memory, uint m)
    {
        var low = (int*)&p->Low;
        for (uint k = m; k != 0; k &= k - 1)
        {
            int l = BitOperations.TrailingZeroCount(k);
            Pointers[l] = memory + (low[l] - p->From);
        }
    }

    private SharedPattern* NewPattern(Instr* i, uint m, Vector512<uint> low, Vector512<uint> high, int width)
    {
        int kept = 0;
        SharedPattern* last = null;
        for (var q = (SharedPattern*)i->Cache; q != null; q = q->Next)
        {
            kept++;
            last = q;
        }

        SharedPattern* p;
        if (kept >= PatternsKept)
        {
            // The oldest stands last and is used again as the first.
            p = last;
            var q = (SharedPattern*)i->Cache;
            if (q == p)
                i->Cache = null;
            else
            {
                while (q->Next != p)
                    q = q->Next;
                q->Next = null;
            }
        }
        else
        {
            p = (SharedPattern*)NativeMemory.AlignedAlloc((nuint)sizeof(SharedPattern), 64);
            patterns.Add((nint)p);
        }

        *p = default;
        p->Low = low;
        p->High = high;
        p->Mask = m;
        p->Next = (SharedPattern*)i->Cache;
        i->Cache = p;
        Describe(p, width, Block.GranuleShift);
        return p;
    }

    private static void Describe(SharedPattern* p, int width, int shift)
    {
        var offsets = (int*)&p->Low;
        int first = BitOperations.TrailingZeroCount(p->Mask), from = 0, to = 0;
        bool contiguous = true, uniform = true, aligned = true;
        for (uint k = p->Mask; k != 0; k &= k - 1)
        {
            int l = BitOperations.TrailingZeroCount(k);
            from = Math.Min(from, offsets[l]);
            to = Math.Max(to, offsets[l] + width);
            contiguous &= offsets[l] == (l - first) * width;
            uniform &= offsets[l] == 0;
            aligned &= (offsets[l] & (width - 1)) == 0;
        }

        int lanes = BitOperations.PopCount(p->Mask);
        p->From = from;
        p->To = to;
        p->Aligned = aligned;
        p->Shape = uniform ? AccessShape.Uniform : contiguous ? AccessShape.Contiguous : AccessShape.Scattered;
        BankCycles.Count(offsets, p->Mask, width, out p->Cycles, out p->Ideal, out p->Bytes);
        int perLane = Math.Max(1, width >> shift);
        long granules = ((long)to - from + (1 << shift) - 1) >> shift;
        for (int l = 0; l < 32; l++)
            p->Words[l] = (p->Mask >> l & 1) != 0 ? (uint)(offsets[l] - from) >> 2 : 0;
        if (granules > SharedPattern.MaxWindow || !aligned || (width < 1 << shift))
            return;
        p->Window = (int)granules;
        new Span<uint>(p->Owners, SharedPattern.MaxWindow).Fill(uint.MaxValue);
        for (uint k = p->Mask; k != 0; k &= k - 1)
        {
            int l = BitOperations.TrailingZeroCount(k);
            int at = (offsets[l] - from) >> shift;
            for (int g = 0; g < perLane; g++)
            {
                p->Overlaps |= p->Owners[at + g] != uint.MaxValue;
                p->Owners[at + g] = p->Owners[at + g] == uint.MaxValue ? (uint)l : (p->Owners[at + g] & 31) | SharedStamp.SeveralLanes;
            }
        }

        p->Overlaps &= lanes > 1;
    }

    /// <summary>Lanes of one store write the same place: allowed when they write the same value.</summary>
    private void CheckOverlap(Instr* i, SharedPattern* p, byte* r, uint m)
    {
        var offsets = (int*)&p->Low;
        int n = MoveCode.Elements(i->X), bits = 8 << (i->X & 3);
        for (uint k = m; k != 0; k &= k - 1)
        {
            int l = BitOperations.TrailingZeroCount(k);
            for (uint j = k & (k - 1); j != 0; j &= j - 1)
            {
                int other = BitOperations.TrailingZeroCount(j);
                if (offsets[l] != offsets[other])
                    continue;
                for (int e = 0; e < n; e++)
                {
                    byte* a = r + i->Ext[e];
                    bool equal = bits == 64
                        ? ((ulong*)a)[l] == ((ulong*)a)[other]
                        : (((uint*)a)[l] ^ ((uint*)a)[other]) << (32 - bits) == 0;
                    if (!equal)
                        throw Fault(FaultKind.SharedRace, i, other, (ulong)(sharedFrom - p->From + offsets[l]),
                            $"race in shared memory: lanes {l} and {other} of one {program.Infos[i->Index].Opcode} write different values to one address{SharedName(sharedFrom)}");
                }
            }
        }
    }

    private SimFault BadShared(Instr* i, uint m, Vector512<uint> low, Vector512<uint> high, uint origin, int width, bool write)
    {
        string verb = write ? "writes" : "reads";
        for (uint k = m; k != 0; k &= k - 1)
        {
            int l = BitOperations.TrailingZeroCount(k);
            uint offset = origin + (l < 16 ? low[l] : high[l - 16]);
            if ((ulong)offset + (ulong)width > (ulong)Block.SharedBytes)
            {
                return Fault(FaultKind.OutOfBounds, i, l, SharedWindow + offset,
                    $"{program.Infos[i->Index].Opcode} {verb} {width} bytes at shared offset {(int)offset}, outside the block's {Block.SharedBytes} bytes");
            }

            if ((offset & (uint)(width - 1)) != 0)
            {
                return Fault(FaultKind.Misaligned, i, l, SharedWindow + offset,
                    $"{program.Infos[i->Index].Opcode} of {width} bytes at shared offset {offset}, which is no multiple of {width}{SharedName(offset)}");
            }
        }

        return Fault(FaultKind.OutOfBounds, i, 0, SharedWindow + origin, "an access to shared memory");
    }

    /// <summary>Words about the shared variable at an offset.</summary>
    private string SharedName(uint offset)
    {
        foreach ((string name, int start, long bytes) in program.SharedVariables)
        {
            if (offset >= start && (offset < start + bytes || bytes == 0))
                return $" ({offset - start} bytes into shared '{name}')";
        }

        return $" (shared offset {offset})";
    }

    private void FreePatterns()
    {
        foreach (nint p in patterns)
            NativeMemory.AlignedFree((void*)p);
        patterns.Clear();
        program.ResetCaches();
    }
}
