using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Orthrus.PtxSim.Decoding;
using Orthrus.PtxSim.Memory;

namespace Orthrus.PtxSim.Execution;

internal enum AccessShape : byte
{
    /// <summary>Lane l touches the address of lane 0 plus l times the width.</summary>
    Contiguous,
    /// <summary>All lanes touch one address.</summary>
    Uniform,
    /// <summary>Anything else; host pointers in <c>Pointers</c>.</summary>
    Scattered,
}

/// <summary>Addresses of an access to global memory: shape, bounds, alignment, sectors.</summary>
internal sealed unsafe partial class Core
{
    private const int ScratchBytes = 4096;

    /// <summary>Windows of generic addresses.</summary>
    public const ulong SharedWindow = 0x1_0000_0000;
    public const ulong LocalWindow = 0x2_0000_0000;
    public const ulong ParameterWindow = 0x3_0000_0000;
    public const ulong WindowBytes = 0x1000_0000;

    private byte* scratch;

    /// <summary>Addresses of the lanes; inactive lanes repeat the first active one.</summary>
    public ulong* Addresses;

    /// <summary>Host pointers of the lanes of a scattered access.</summary>
    public byte** Pointers;

    /// <summary>Block and host pointer (of lane 0) of a contiguous or uniform access.</summary>
    public MemoryBlock* Target;
    public byte* Host;

    private uint* sectors;
    private MemoryBlock** targets;
    private bool severalTargets;

    private void PrepareAddresses()
    {
        Addresses = (ulong*)scratch;
        Pointers = (byte**)(scratch + 256);
        targets = (MemoryBlock**)(scratch + 512);
        sectors = (uint*)(scratch + 1024);
    }

    /// <summary>
    /// Finds shape and target of an access of <paramref name="width"/> bytes a lane to global memory; addresses in register A plus Imm.
    /// Out of bounds, freed and misaligned accesses are faults.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public AccessShape Locate(Instr* i, byte* r, uint m, int width, bool write)
    {
        var a = (Vector512<ulong>*)(r + i->A);
        Vector512<ulong> offset = Vector512.Create((ulong)i->Imm);
        Vector512<ulong> a0 = a[0] + offset, a1 = a[1] + offset, a2 = a[2] + offset, a3 = a[3] + offset;
        int first = BitOperations.TrailingZeroCount(m);
        ulong start = ((ulong*)(r + i->A))[first] + (ulong)i->Imm;
        Vector512<ulong> step = Vector512<ulong>.Indices * Vector512.Create((ulong)width);
        Vector512<ulong> expected = Vector512.Create(start - ((ulong)first * (ulong)width)) + step;
        Vector512<ulong> eight = Vector512.Create((ulong)width * 8);
        uint same = Lanes.Bits64Of(
            Vector512.Equals(a0, expected),
            Vector512.Equals(a1, expected + eight),
            Vector512.Equals(a2, expected + eight + eight),
            Vector512.Equals(a3, expected + eight + eight + eight));
        if ((same & m) == m && m != 1u << first)
        {
            int last = 31 - BitOperations.LeadingZeroCount(m);
            ulong bytes = (ulong)(last - first + 1) * (ulong)width;
            MemoryBlock* block = Cached(i, start);
            if (block != null && bytes <= block->Size - (start - block->Start) && (start & ((ulong)width - 1)) == 0)
            {
                Target = block;
                ulong lane0 = start - ((ulong)first * (ulong)width);
                Host = block->Host + (long)(lane0 - block->Start);
                CountContiguous(i, m, block, start, bytes, width, write);
                Addresses[0] = lane0;
                return AccessShape.Contiguous;
            }
        }
        else
        {
            Vector512<ulong> one = Vector512.Create(start);
            uint equal = Lanes.Bits64Of(Vector512.Equals(a0, one), Vector512.Equals(a1, one), Vector512.Equals(a2, one), Vector512.Equals(a3, one));
            if ((equal & m) == m)
            {
                MemoryBlock* block = Cached(i, start);
                if (block != null && (ulong)width <= block->Size - (start - block->Start) && (start & ((ulong)width - 1)) == 0)
                {
                    Target = block;
                    Host = block->Host + (start - block->Start);
                    Addresses[0] = start;
                    Count(i, block, start, width, write);
                    return AccessShape.Uniform;
                }
            }
        }

        var p = (Vector512<ulong>*)Addresses;
        if (m == Lanes.All)
        {
            p[0] = a0;
            p[1] = a1;
            p[2] = a2;
            p[3] = a3;
        }
        else
        {
            Vector512<ulong> one = Vector512.Create(start);
            p[0] = Vector512.ConditionalSelect(Lanes.Expand64(m & 255), a0, one);
            p[1] = Vector512.ConditionalSelect(Lanes.Expand64(m >> 8 & 255), a1, one);
            p[2] = Vector512.ConditionalSelect(Lanes.Expand64(m >> 16 & 255), a2, one);
            p[3] = Vector512.ConditionalSelect(Lanes.Expand64(m >> 24), a3, one);
        }

        LocateScattered(i, m, width, write, start);
        return AccessShape.Scattered;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private MemoryBlock* Cached(Instr* i, ulong address)
    {
        var block = (MemoryBlock*)i->Cache;
        if (block != null && address - block->Start < block->Size)
            return block;
        block = memory.Find(address);
        i->Cache = block;
        return block;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void LocateScattered(Instr* i, uint m, int width, bool write, ulong start)
    {
        MemoryBlock* block = Cached(i, start);
        var p = (Vector512<ulong>*)Addresses;
        if (block != null && block->Size >= (ulong)width)
        {
            Vector512<ulong> from = Vector512.Create(block->Start), limit = Vector512.Create(block->Size - (ulong)width);
            Vector512<ulong> o0 = p[0] - from, o1 = p[1] - from, o2 = p[2] - from, o3 = p[3] - from;
            Vector512<ulong> edge = (p[0] | p[1] | p[2] | p[3]) & Vector512.Create((ulong)width - 1);
            if (!Vector512.GreaterThanAny(Vector512.Max(Vector512.Max(o0, o1), Vector512.Max(o2, o3)), limit) && edge == Vector512<ulong>.Zero)
            {
                severalTargets = false;
                Target = block;
                Vector512<ulong> host = Vector512.Create((ulong)block->Host);
                var q = (Vector512<ulong>*)Pointers;
                q[0] = o0 + host;
                q[1] = o1 + host;
                q[2] = o2 + host;
                q[3] = o3 + host;
                CountScattered(i, m, width, write);
                return;
            }
        }

        severalTargets = true;
        for (uint k = m; k != 0; k &= k - 1)
        {
            int l = BitOperations.TrailingZeroCount(k);
            ulong address = Addresses[l];
            if ((address & ((ulong)width - 1)) != 0)
                throw Fault(FaultKind.Misaligned, i, l, address, $"{program.Infos[i->Index].Opcode} of {width} bytes at an address that is no multiple of {width}{memory.Describe(address)}");
            block = memory.Find(address);
            if (block == null || (ulong)width > block->Size - (address - block->Start))
                throw BadAddress(i, l, address, width, write);
            targets[l] = block;
            Pointers[l] = block->Host + (address - block->Start);
        }

        CountScattered(i, m, width, write);
    }

    private SimFault BadAddress(Instr* i, int lane, ulong address, int width, bool write)
    {
        string verb = write ? "writes" : "reads";
        bool freed = memory.Find(address) == null && memory.WasRetired(address);
        string what = freed ? "freed memory" : "out of bounds";
        return Fault(freed ? FaultKind.UseAfterFree : FaultKind.OutOfBounds, i, lane, address,
            $"{program.Infos[i->Index].Opcode} {verb} {width} bytes {what}{memory.Describe(address)}");
    }

    private void CountContiguous(Instr* i, uint m, MemoryBlock* block, ulong start, ulong bytes, int width, bool write)
    {
        long* stats = InstrStats + (4 * i->Index);
        int lanes = BitOperations.PopCount(m);
        if ((ulong)(lanes * width) != bytes)
        {
            // A mask with gaps: sector by sector.
            ulong lane0 = start - ((ulong)BitOperations.TrailingZeroCount(m) * (ulong)width);
            for (int l = 0; l < 32; l++)
                Addresses[l] = (m >> l & 1) != 0 ? lane0 + ((ulong)l * (ulong)width) : start;
            severalTargets = false;
            CountScattered(i, m, width, write);
            return;
        }

        ulong firstSector = (start - block->Start) >> 5, lastSector = (start + bytes - 1 - block->Start) >> 5;
        stats[0]++;
        stats[1] += (long)((start + bytes - 1) >> 5) - (long)(start >> 5) + 1;
        stats[2] += ((long)bytes + 31) >> 5;
        stats[3] += (long)bytes;
        ulong* map = Sectors(block, write);
        for (ulong s = firstSector; s <= lastSector; s++)
            map[s >> 6] |= 1ul << (int)(s & 63);
    }

    private void Count(Instr* i, MemoryBlock* block, ulong address, int width, bool write)
    {
        long* stats = InstrStats + (4 * i->Index);
        stats[0]++;
        stats[1]++;
        stats[2]++;
        stats[3] += width;
        ulong sector = (address - block->Start) >> 5;
        Sectors(block, write)[sector >> 6] |= 1ul << (int)(sector & 63);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void CountScattered(Instr* i, uint m, int width, bool write)
    {
        // Lanes in order mostly stay in the sector before: one comparison. Otherwise a search among those met.
        uint count = 0, distinct = 0, last = uint.MaxValue;
        ulong lastAddress = ulong.MaxValue;
        ulong* map = severalTargets ? null : Sectors(Target, write);
        for (uint k = m; k != 0; k &= k - 1)
        {
            int l = BitOperations.TrailingZeroCount(k);
            ulong address = Addresses[l];
            uint sector = (uint)(address >> 5);
            if (address != lastAddress)
                distinct++;
            lastAddress = address;
            if (sector == last)
                continue;
            last = sector;
            bool met = false;
            for (uint s = 0; s < count; s += 16)
            {
                if (Vector512.EqualsAny(Vector512.Load(sectors + s), Vector512.Create(sector)) && Known(sector, count))
                {
                    met = true;
                    break;
                }
            }

            if (met)
                continue;
            sectors[count++] = sector;
            MemoryBlock* block = severalTargets ? targets[l] : Target;
            ulong inside = (address - block->Start) >> 5;
            if (severalTargets)
                map = Sectors(block, write);
            map[inside >> 6] |= 1ul << (int)(inside & 63);
        }

        long* stats = InstrStats + (4 * i->Index);
        stats[0]++;
        stats[1] += count;
        stats[2] += Math.Min(count, ((distinct * width) + 31) >> 5);
        stats[3] += distinct * width;
    }

    /// <summary>Stale entries past the count may match, too.</summary>
    private bool Known(uint sector, uint count)
    {
        for (uint s = 0; s < count; s++)
        {
            if (sectors[s] == sector)
                return true;
        }

        return false;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private ulong* Sectors(MemoryBlock* block, bool write)
    {
        if (block->Launch != launch.Number)
            FirstTouch(block);
        return write ? block->WrittenSectors : block->ReadSectors;
    }

    private void FirstTouch(MemoryBlock* block)
    {
        block->Launch = launch.Number;
        new Span<ulong>(block->ReadSectors, (int)block->SectorWords).Clear();
        new Span<ulong>(block->WrittenSectors, (int)block->SectorWords).Clear();
    }
}
