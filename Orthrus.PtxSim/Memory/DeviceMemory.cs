using System.Runtime.InteropServices;

namespace Orthrus.PtxSim.Memory;

/// <summary>
/// The address space of a device: allocations with gaps between them, addresses that are not used again, blocks carved from an allocation by
/// a caching pool, and for each block a shadow of who wrote and read it.
/// </summary>
internal sealed unsafe class DeviceMemory(long capacity, bool shadow, int ordinal = 0) : IDisposable
{
    /// <summary>Host memory past either end of an allocation, so that masked vectors may read beyond.</summary>
    public const int Slack = 1024;

    private const ulong FirstAddress = 0x7_0000_0000, DeviceSpace = 1ul << 40;
    private const int RetiredKept = 4096;

    private readonly List<nint> live = [];
    private readonly Dictionary<ulong, Backing> backings = [];
    private readonly Dictionary<int, BlockInfo> infos = [];
    private readonly Queue<BlockInfo> retired = new();
    private readonly List<nint> graveyard = [];
    private readonly ShadowStore store = new();
    private ulong next = FirstAddress + ((ulong)ordinal * DeviceSpace);
    private int nextId = 1;

    /// <summary>Bytes allocated at the moment.</summary>
    public long Used { get; private set; }

    public long Capacity => capacity;

    public bool Shadow => shadow;

    public IReadOnlyList<nint> Live => live;

    /// <summary>A new allocation, filled with bytes that give floats that are no number.</summary>
    public MemoryBlock* Allocate(long bytes, string tag)
    {
        if (bytes <= 0)
            throw new SimFault(FaultKind.HostCall, $"an allocation of {bytes} bytes for '{tag}'");
        if (bytes > capacity - Used)
            throw new SimFault(FaultKind.OutOfMemory, $"{bytes} bytes for '{tag}' do not fit: {(bytes > capacity ? $"the device has {capacity} bytes" : $"{Used} of {capacity} bytes are in use")}");
        ulong start = next;
        next += ((ulong)bytes + 1023) & ~511ul;
        var memory = (byte*)NativeMemory.AlignedAlloc((nuint)bytes + (2 * Slack), 512);
        var backing = new Backing(start, bytes, memory);
        backings.Add(start, backing);
        Used += bytes;
        MemoryBlock* block = Make(start, bytes, memory + Slack, tag);
        NativeMemory.Fill(memory, (nuint)bytes + (2 * Slack), 0xFF);
        return block;
    }

    public void Free(ulong address)
    {
        if (!backings.Remove(address, out Backing? backing))
            throw new SimFault(FaultKind.HostCall, $"free of 0x{address:x}, which is not the start of an allocation{Describe(address)}") { Address = address };
        for (int k = live.Count - 1; k >= 0; k--)
        {
            var block = (MemoryBlock*)live[k];
            if (block->Start >= address && block->Start < address + (ulong)backing.Bytes)
                Retire(k);
        }

        Used -= backing.Bytes;
        NativeMemory.AlignedFree(backing.Memory);
    }

    /// <summary>Bytes of shadow memory that are kept for allocations to come.</summary>
    public long KeptShadow => store.Kept;

    /// <summary>Frees everything, what is kept for later allocations included: whoever opens and closes devices on a driver that lives on would else keep the most that each of them had.</summary>
    public void FreeAll()
    {
        foreach (ulong start in backings.Keys.ToArray())
            Free(start);
        store.Clear();
    }

    /// <summary>Whether a range lies inside one allocation, whatever a pool has done with it.</summary>
    public bool InAllocation(ulong address, long bytes) => BackingOf(address) is { } backing && bytes >= 0 && (ulong)bytes <= backing.Start + (ulong)backing.Bytes - address;

    /// <summary>The allocation that holds an address, or null.</summary>
    public (ulong Start, long Bytes)? AllocationAt(ulong address) => BackingOf(address) is { } backing ? (backing.Start, backing.Bytes) : null;

    /// <summary>Hands out part of an allocation: from now on only handed-out parts of it may be touched. The part counts as uninitialised.</summary>
    public void Carve(ulong address, long bytes, string tag)
    {
        Backing? backing = BackingOf(address);
        if (backing is null || bytes <= 0 || address + (ulong)bytes > backing.Start + (ulong)backing.Bytes)
            throw new SimFault(FaultKind.HostCall, $"a block of {bytes} bytes at 0x{address:x} is not inside an allocation") { Address = address };
        int at = IndexBelow(address);
        if (!backing.Pooled)
        {
            backing.Pooled = true;
            at = IndexBelow(backing.Start);
            Retire(at, remember: false);
            at = IndexBelow(address);
        }

        if (at >= 0 && ((MemoryBlock*)live[at])->Start + ((MemoryBlock*)live[at])->Size > address)
            throw new SimFault(FaultKind.HostCall, $"the block '{tag}' at 0x{address:x} overlaps '{Info((MemoryBlock*)live[at]).Tag}'") { Address = address };
        if (at + 1 < live.Count && ((MemoryBlock*)live[at + 1])->Start < address + (ulong)bytes)
            throw new SimFault(FaultKind.HostCall, $"the block '{tag}' at 0x{address:x} overlaps '{Info((MemoryBlock*)live[at + 1]).Tag}'") { Address = address };
        byte* host = backing.Memory + Slack + (address - backing.Start);
        NativeMemory.Fill(host, (nuint)bytes, 0xFF);
        Make(address, bytes, host, tag);
    }

    /// <summary>Takes back a part that <see cref="Carve"/> handed out.</summary>
    public void Return(ulong address)
    {
        int at = IndexBelow(address);
        if (at < 0 || ((MemoryBlock*)live[at])->Start != address || BackingOf(address) is not { Pooled: true })
            throw new SimFault(FaultKind.HostCall, $"0x{address:x} was not handed out by a pool{Describe(address)}") { Address = address };
        Retire(at);
    }

    /// <summary>The block that holds the address, or null.</summary>
    public MemoryBlock* Find(ulong address)
    {
        int at = IndexBelow(address);
        if (at < 0)
            return null;
        var block = (MemoryBlock*)live[at];
        return address - block->Start < block->Size ? block : null;
    }

    /// <summary>The block that holds the whole range, for host calls.</summary>
    public MemoryBlock* Range(ulong address, long bytes, string call)
    {
        MemoryBlock* block = Find(address);
        if (block == null || bytes < 0 || (ulong)bytes > block->Start + block->Size - address)
        {
            FaultKind kind = block == null && WasRetired(address) ? FaultKind.UseAfterFree : FaultKind.HostCall;
            throw new SimFault(kind, $"{call} of {bytes} bytes at 0x{address:x} leaves device memory{Describe(address)}") { Address = address };
        }

        return block;
    }

    public BlockInfo Info(MemoryBlock* block) => infos[block->Id];

    public bool WasRetired(ulong address) => retired.Any(r => address - r.Start < (ulong)r.Bytes);

    /// <summary>Words about what lies at or near an address.</summary>
    public string Describe(ulong address)
    {
        MemoryBlock* block = Find(address);
        if (block != null)
            return $" ({address - block->Start} bytes into '{Info(block).Tag}' of {block->Size} bytes)";
        if (retired.LastOrDefault(r => address - r.Start < (ulong)r.Bytes) is { } old)
            return $" (inside '{old.Tag}' of {old.Bytes} bytes, freed or returned)";
        int at = IndexBelow(address);
        if (at >= 0)
        {
            block = (MemoryBlock*)live[at];
            return $" ({address - block->Start - block->Size} bytes past the end of '{Info(block).Tag}' of {block->Size} bytes)";
        }

        return live.Count > 0 && (block = (MemoryBlock*)live[0])->Start - address < 1 << 20
            ? $" ({block->Start - address} bytes before '{Info(block).Tag}')"
            : " (near no allocation)";
    }

    /// <summary>Forgets times of earlier launches: written is written by the host, readers are none.</summary>
    public void ResetTimes()
    {
        foreach (nint p in live)
        {
            var block = (MemoryBlock*)p;
            if (block->Writers == null)
                continue;
            ulong count = block->Granules;
            for (ulong g = 0; g < count; g++)
            {
                block->Writers[g] = block->Writers[g] == 0 ? 0 : GlobalStamp.Host;
                block->Readers[g] = 0;
            }
        }
    }

    /// <summary>Marks a range as written by the host, or (for <paramref name="written"/> false) as uninitialised.</summary>
    public void Mark(MemoryBlock* block, ulong address, long bytes, bool written)
    {
        if (!shadow || bytes == 0)
            return;
        ulong from = address - block->Start, to = from + (ulong)bytes;
        ulong edge = (1ul << block->GranuleShift) - 1;
        if (((from & edge) != 0 || ((to & edge) != 0 && to != block->Size)) && block->GranuleShift > 0)
            NarrowGranules(block, (from & 1) != 0 || (to & 1) != 0 ? 0 : 1);
        ulong first = from >> block->GranuleShift, last = (to - 1) >> block->GranuleShift;
        new Span<uint>(block->Writers + first, (int)(last - first + 1)).Fill(written ? GlobalStamp.Host : 0);
    }

    public bool IsWritten(MemoryBlock* block, ulong address, long bytes)
    {
        if (!shadow || bytes == 0)
            return true;
        ulong first = (address - block->Start) >> block->GranuleShift, last = (address - block->Start + (ulong)bytes - 1) >> block->GranuleShift;
        return !new Span<uint>(block->Writers + first, (int)(last - first + 1)).Contains(0u);
    }

    /// <summary>After a copy within the device: what was uninitialised stays so.</summary>
    public void CopyMarks(MemoryBlock* to, ulong target, MemoryBlock* from, ulong source, long bytes)
    {
        if (!shadow || bytes == 0)
            return;
        Mark(to, target, bytes, true);
        if (IsWritten(from, source, bytes))
            return;
        long run = -1;
        for (long k = 0; k <= bytes; k++)
        {
            bool open = k < bytes && from->Writers[(source - from->Start + (ulong)k) >> from->GranuleShift] == 0;
            if (open && run < 0)
                run = k;
            if (!open && run >= 0)
            {
                Mark(to, target + (ulong)run, k - run, false);
                run = -1;
            }
        }
    }

    /// <summary>Gives a block the smaller granules that a narrow access needs.</summary>
    public void NarrowGranules(MemoryBlock* block, int shift)
    {
        if (shift >= block->GranuleShift)
            return;
        int factor = 1 << (block->GranuleShift - shift);
        ulong old = block->Granules;
        uint* writers = block->Writers, readers = block->Readers;
        ulong oldCells = ShadowCells(block);
        block->GranuleShift = shift;
        ulong cells = ShadowCells(block);
        block->Writers = (uint*)store.Take(cells * 4);
        block->Readers = (uint*)store.Take(cells * 4);
        for (ulong g = 0; g < old; g++)
        {
            for (int k = 0; k < factor; k++)
            {
                block->Writers[(g * (ulong)factor) + (ulong)k] = writers[g];
                block->Readers[(g * (ulong)factor) + (ulong)k] = readers[g];
            }
        }

        store.Give(writers, oldCells * 4);
        store.Give(readers, oldCells * 4);
    }

    public void Dispose()
    {
        while (live.Count > 0)
            Retire(live.Count - 1);
        foreach (Backing backing in backings.Values)
            NativeMemory.AlignedFree(backing.Memory);
        backings.Clear();
        foreach (nint p in graveyard)
            NativeMemory.Free((void*)p);
        graveyard.Clear();
        store.Dispose();
    }

    private static ulong ShadowCells(MemoryBlock* block) => block->Granules + 64;

    private MemoryBlock* Make(ulong start, long bytes, byte* host, string tag)
    {
        MemoryBlock* block;
        if (graveyard.Count > RetiredKept)
        {
            block = (MemoryBlock*)graveyard[^1];
            graveyard.RemoveAt(graveyard.Count - 1);
        }
        else
            block = (MemoryBlock*)NativeMemory.Alloc((nuint)sizeof(MemoryBlock));
        *block = new MemoryBlock { Start = start, Size = (ulong)bytes, Host = host, GranuleShift = 2, Id = nextId++, Launch = -1 };
        if (shadow)
        {
            block->Writers = (uint*)store.Take(ShadowCells(block) * 4);
            block->Readers = (uint*)store.Take(ShadowCells(block) * 4);
        }

        block->ReadSectors = (ulong*)store.Take(block->SectorWords * 8);
        block->WrittenSectors = (ulong*)store.Take(block->SectorWords * 8);
        infos.Add(block->Id, new BlockInfo(start, bytes, tag));
        live.Insert(IndexBelow(start) + 1, (nint)block);
        return block;
    }

    private void Retire(int index, bool remember = true)
    {
        var block = (MemoryBlock*)live[index];
        live.RemoveAt(index);
        infos.Remove(block->Id, out BlockInfo? info);
        if (remember)
            retired.Enqueue(info!);
        if (retired.Count > RetiredKept)
            retired.Dequeue();
        if (block->Writers != null)
        {
            store.Give(block->Writers, ShadowCells(block) * 4);
            store.Give(block->Readers, ShadowCells(block) * 4);
        }

        store.Give(block->ReadSectors, block->SectorWords * 8);
        store.Give(block->WrittenSectors, block->SectorWords * 8);
        block->Size = 0;
        graveyard.Add((nint)block);
    }

    private Backing? BackingOf(ulong address)
    {
        foreach (Backing backing in backings.Values)
        {
            if (address - backing.Start < (ulong)backing.Bytes)
                return backing;
        }

        return null;
    }

    /// <summary>Index of the last block that starts at or below the address, or -1.</summary>
    private int IndexBelow(ulong address)
    {
        int low = 0, high = live.Count;
        while (low < high)
        {
            int middle = (low + high) >> 1;
            if (((MemoryBlock*)live[middle])->Start <= address)
                low = middle + 1;
            else
                high = middle;
        }

        return low - 1;
    }

    internal sealed record BlockInfo(ulong Start, long Bytes, string Tag);

    private sealed class Backing(ulong start, long bytes, byte* memory)
    {
        public ulong Start { get; } = start;

        public long Bytes { get; } = bytes;

        public byte* Memory { get; } = memory;

        public bool Pooled { get; set; }
    }
}
