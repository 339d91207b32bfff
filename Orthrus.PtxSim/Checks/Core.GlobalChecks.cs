using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Orthrus.PtxSim.Decoding;
using Orthrus.PtxSim.Memory;

namespace Orthrus.PtxSim.Execution;

/// <summary>Uninitialised reads and races in global memory, after <see cref="Locate"/> found the target.</summary>
internal sealed unsafe partial class Core
{
    /// <summary>Blocks larger than this do not stay in the cache with their shadow.</summary>
    private const ulong PrefetchFrom = 1 << 18;

    /// <summary>Plain accesses race with everything unordered, strong ones (atomic, volatile, relaxed, acquire, release) only with plain ones.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void CheckGlobal(Instr* i, uint m, int width, AccessShape shape, bool write, bool strong)
    {
        if (shape == AccessShape.Scattered)
        {
            bool quads = !strong && !launch.Interleaved && !severalTargets && width >> Target->GranuleShift == 4;
            if (!severalTargets && Target->Size > PrefetchFrom)
                Prefetch(m);
            for (uint k = m; k != 0; k &= k - 1)
            {
                int l = BitOperations.TrailingZeroCount(k);
                if (!quads || !QuadGlobal(Addresses[l], write))
                    CheckLane(i, l, severalTargets ? targets[l] : Target, Addresses[l], width, write, strong);
            }

            return;
        }

        MemoryBlock* block = Target;
        if (width < 1 << block->GranuleShift)
            memory.NarrowGranules(block, BitOperations.Log2((uint)width));
        int shift = block->GranuleShift;
        if (shape == AccessShape.Uniform)
        {
            CheckLane(i, BitOperations.TrailingZeroCount(m), block, Addresses[0], width, write, strong);
            return;
        }

        long at = (long)(Addresses[0] - block->Start) >> shift;
        uint* writers = block->Writers + at, readers = block->Readers + at;
        if (m == Lanes.All && !strong)
        {
            int count = (32 * width) >> shift;
            if (write)
                WriteRange(i, writers, readers, count, width >> shift);
            else
                ReadRange(i, writers, readers, count, width >> shift);
        }
        else if (width >> shift == 1 && !strong)
            MaskedRange(i, m, writers, readers, write);
        else
        {
            for (uint k = m; k != 0; k &= k - 1)
            {
                int l = BitOperations.TrailingZeroCount(k);
                CheckLane(i, l, block, Addresses[0] + ((ulong)l * (ulong)width), width, write, strong);
            }
        }
    }

    /// <summary>Starts loading what a gather from a large block will touch: the misses of the lanes overlap.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Prefetch(uint m)
    {
        if (!Sse.IsSupported)
            return;
        MemoryBlock* block = Target;
        for (uint k = m; k != 0; k &= k - 1)
        {
            int l = BitOperations.TrailingZeroCount(k);
            ulong g = (Addresses[l] - block->Start) >> block->GranuleShift;
            Sse.Prefetch0(block->Writers + g);
            Sse.Prefetch0(block->Readers + g);
            Sse.Prefetch0(Pointers[l]);
        }
    }

    /// <summary>Four granules of a lane at once, if nothing about them needs a closer look.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private bool QuadGlobal(ulong address, bool write)
    {
        MemoryBlock* block = Target;
        ulong at = (address - block->Start) >> block->GranuleShift;
        uint* writers = block->Writers + at, readers = block->Readers + at;
        Vector128<uint> w = Vector128.Load(writers), rd = Vector128.Load(readers);
        Vector128<uint> limit = Vector128.Create(launchStamp), stamp = Vector128.Create(globalStamp);
        if (write)
        {
            if (!Vector128.LessThanAll(Vector128.Max(w, rd), limit))
                return false;
            stamp.Store(writers);
            return true;
        }

        if (!Vector128.LessThanAll(w - Vector128<uint>.One, limit - Vector128<uint>.One))
            return false;
        Vector128<uint> live = Vector128.GreaterThanOrEqual(rd, limit);
        if (live != Vector128<uint>.Zero)
        {
            Vector128<uint> mine = Vector128.GreaterThanOrEqual(rd, Vector128.Create(globalBlockStamp)), recent = Vector128.GreaterThanOrEqual(rd, Vector128.Create(globalBarrierStamp));
            Vector128<uint> otherWarp = ~Vector128.Equals((rd ^ stamp) & Vector128.Create(GlobalStamp.Warp), Vector128<uint>.Zero);
            Vector128<uint> flags = Vector128.ConditionalSelect(mine & ~recent, rd & Vector128.Create(GlobalStamp.SeveralBlocks), rd & Vector128.Create(GlobalStamp.SeveralBlocks | GlobalStamp.SeveralWarps));
            flags |= (~mine & Vector128.Create(GlobalStamp.SeveralBlocks)) | (recent & otherWarp & Vector128.Create(GlobalStamp.SeveralWarps));
            stamp |= flags & live;
        }

        stamp.Store(readers);
        return true;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void ReadRange(Instr* i, uint* writers, uint* readers, int count, int perLane)
    {
        Vector512<uint> one = Vector512<uint>.One, limit = Vector512.Create(launchStamp - 2);
        Vector512<uint> stamp = Vector512.Create(globalStamp);
        for (int k = 0; k < count; k += 16)
        {
            Vector512<uint> w = Vector512.Load(writers + k);
            if (Vector512.GreaterThanAny(w - one, limit))
                SlowRange(i, writers + k, readers + k, Vector512.GreaterThan(w - one, limit) & ~Vector512.Equals(w, stamp), k, perLane, false);
            Vector512<uint> old = Vector512.Load(readers + k);
            StampReaders(readers + k, old, stamp);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void StampReaders(uint* readers, Vector512<uint> old, Vector512<uint> stamp)
    {
        Vector512<uint> live = Vector512.GreaterThanOrEqual(old, Vector512.Create(launchStamp));
        if (Vector512.EqualsAll(live, Vector512<uint>.Zero))
            stamp.Store(readers);
        else
            MergeReaders(old, stamp, live).Store(readers);
    }

    /// <summary>The new stamp, with the memory that others read, too.</summary>
    private Vector512<uint> MergeReaders(Vector512<uint> old, Vector512<uint> stamp, Vector512<uint> live)
    {
        if (launch.Interleaved)
        {
            // Times do not tell blocks apart by range: ask for each.
            Vector512<uint> d = default;
            for (int l = 0; l < 16; l++)
                d = d.WithElement(l, MergeReader(old[l], stamp[l]));
            return d;
        }

        Vector512<uint> several = Vector512.Create(GlobalStamp.SeveralBlocks | GlobalStamp.SeveralWarps);
        Vector512<uint> mine = Vector512.GreaterThanOrEqual(old, Vector512.Create(globalBlockStamp));
        Vector512<uint> recent = Vector512.GreaterThanOrEqual(old, Vector512.Create(globalBarrierStamp));
        Vector512<uint> otherWarp = ~Vector512.Equals((old ^ stamp) & Vector512.Create(GlobalStamp.Warp), Vector512<uint>.Zero);
        Vector512<uint> flags = Vector512.ConditionalSelect(mine & ~recent, old & Vector512.Create(GlobalStamp.SeveralBlocks), old & several);
        flags |= ~mine & Vector512.Create(GlobalStamp.SeveralBlocks);
        flags |= recent & otherWarp & Vector512.Create(GlobalStamp.SeveralWarps);
        return stamp | (flags & live);
    }

    private uint MergeReader(uint old, uint stamp)
    {
        if (old < launchStamp)
            return stamp;
        if (launch.Interleaved ? launch.OwnerOf(old >> GlobalStamp.TimeShift) != Block.Number : old < globalBlockStamp)
            return stamp | (old & (GlobalStamp.SeveralBlocks | GlobalStamp.SeveralWarps)) | GlobalStamp.SeveralBlocks;
        if (old < globalBarrierStamp)
            return stamp | (old & GlobalStamp.SeveralBlocks);
        return stamp | (old & (GlobalStamp.SeveralBlocks | GlobalStamp.SeveralWarps)) | (((old ^ stamp) & GlobalStamp.Warp) != 0 ? GlobalStamp.SeveralWarps : 0);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void WriteRange(Instr* i, uint* writers, uint* readers, int count, int perLane)
    {
        Vector512<uint> limit = Vector512.Create(launchStamp), stamp = Vector512.Create(globalStamp);
        for (int k = 0; k < count; k += 16)
        {
            Vector512<uint> w = Vector512.Load(writers + k), rd = Vector512.Load(readers + k);
            if (Vector512.GreaterThanOrEqualAny(Vector512.Max(w, rd), limit))
            {
                Vector512<uint> bad = (Vector512.GreaterThanOrEqual(w, limit) & ~Vector512.Equals(w, stamp)) | (Vector512.GreaterThanOrEqual(rd, limit) & ~Vector512.Equals(rd, stamp));
                SlowRange(i, writers + k, readers + k, bad, k, perLane, true);
            }

            stamp.Store(writers + k);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void MaskedRange(Instr* i, uint m, uint* writers, uint* readers, bool write)
    {
        Vector512<uint> limit = Vector512.Create(launchStamp), stamp = Vector512.Create(globalStamp);
        for (int k = 0; k < 32; k += 16)
        {
            uint bits = m >> k & 0xFFFF;
            if (bits == 0)
                continue;
            Vector512<uint> on = Lanes.Expand(bits);
            Vector512<uint> w = Vector512.Load(writers + k), rd = Vector512.Load(readers + k);
            Vector512<uint> bad = Vector512.GreaterThanOrEqual(w, limit) & ~Vector512.Equals(w, stamp) & on;
            if (write)
                bad |= Vector512.GreaterThanOrEqual(rd, limit) & ~Vector512.Equals(rd, stamp) & on;
            else
                bad |= Vector512.Equals(w, Vector512<uint>.Zero) & on;
            if (!Vector512.EqualsAll(bad, Vector512<uint>.Zero))
                SlowRange(i, writers + k, readers + k, bad, k, 1, write);
            if (write)
                Vector512.ConditionalSelect(on, stamp, w).Store(writers + k);
            else
            {
                Vector512<uint> merged = MergeReaders(rd, stamp, Vector512.GreaterThanOrEqual(rd, limit));
                Vector512.ConditionalSelect(on, merged, rd).Store(readers + k);
            }
        }
    }

    private void SlowRange(Instr* i, uint* writers, uint* readers, Vector512<uint> bad, int first, int perLane, bool write)
    {
        uint bits = (uint)bad.ExtractMostSignificantBits();
        for (; bits != 0; bits &= bits - 1)
        {
            int g = BitOperations.TrailingZeroCount(bits);
            int lane = (first + g) / Math.Max(1, perLane);
            int shift = Target->GranuleShift;
            ulong address = Target->Start + ((ulong)(writers + g - Target->Writers) << shift);
            if (write)
                WriteGranule(i, lane, address, Target, writers[g], readers[g], false);
            else
                ReadGranule(i, lane, address, Target, writers[g], false);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void CheckLane(Instr* i, int lane, MemoryBlock* block, ulong address, int width, bool write, bool strong)
    {
        if (width < 1 << block->GranuleShift)
            memory.NarrowGranules(block, BitOperations.Log2((uint)width));
        int shift = block->GranuleShift;
        ulong at = (address - block->Start) >> shift;
        int count = Math.Max(1, width >> shift);
        uint* writers = block->Writers + at, readers = block->Readers + at;
        uint limit = launchStamp, stamp = globalStamp;
        for (int k = 0; k < count; k++)
        {
            uint w = writers[k], rd = readers[k];
            if (write)
            {
                if ((w >= limit && w != stamp) || (rd >= limit && rd != stamp))
                    WriteGranule(i, lane, address + ((ulong)k << shift), block, w, rd, strong);
                writers[k] = strong ? stamp | GlobalStamp.Atomic : stamp;
            }
            else
            {
                if (w - 1 >= limit - 1 && w != stamp)
                    ReadGranule(i, lane, address + ((ulong)k << shift), block, w, strong);
                if (!strong)
                    readers[k] = rd < limit || rd == stamp ? stamp : MergeReader(rd, stamp);
            }
        }
    }

    private void ReadGranule(Instr* i, int lane, ulong address, MemoryBlock* block, uint w, bool strong)
    {
        if (w == 0)
            throw Fault(FaultKind.Uninitialised, i, lane, address, $"{program.Infos[i->Index].Opcode} reads memory that nobody wrote since it was handed out{memory.Describe(address)}");
        if (strong && (w & GlobalStamp.Atomic) != 0)
            return;
        if (!Ordered(w))
            throw GlobalRace(i, lane, address, w, "reads what", "wrote");
    }

    private void WriteGranule(Instr* i, int lane, ulong address, MemoryBlock* block, uint w, uint rd, bool strong)
    {
        if (w >= launchStamp && !(strong && (w & GlobalStamp.Atomic) != 0) && !Ordered(w))
            throw GlobalRace(i, lane, address, w, "writes what", "wrote");
        if (rd < launchStamp)
            return;
        bool otherBlocks = (rd & GlobalStamp.SeveralBlocks) != 0 && Block.Acquired == 0;
        bool otherWarps = (rd & GlobalStamp.SeveralWarps) != 0 && rd >= globalBarrierStamp && launch.OwnerOf(rd >> GlobalStamp.TimeShift) == Block.Number && !SeenByAll(rd);
        if (otherBlocks || otherWarps || !Ordered(rd))
            throw GlobalRace(i, lane, address, rd, "writes what", otherBlocks ? "and other blocks read" : otherWarps ? "and other warps read" : "read");
    }

    private bool SeenByAll(uint stamp)
    {
        uint time = stamp >> GlobalStamp.TimeShift;
        int n = Block.Warps.Length;
        for (int v = 0; v < n; v++)
        {
            if (v != Warp.Index && Block.SeenGlobal[(Warp.Index * n) + v] <= time)
                return false;
        }

        return true;
    }

    /// <summary>Whether an access of this launch is ordered before the running warp.</summary>
    private bool Ordered(uint stamp)
    {
        if (stamp < launchStamp)
            return true;
        uint time = stamp >> GlobalStamp.TimeShift;
        int owner = launch.OwnerOf(time);
        int warp = (int)(stamp & GlobalStamp.Warp);
        if (owner != Block.Number)
            return launch.Released(owner, time, Block);
        return time < Block.GlobalBarrier || warp == Warp.Index || time < Block.SeenGlobal[(Warp.Index * Block.Warps.Length) + warp];
    }

    private SimFault GlobalRace(Instr* i, int lane, ulong address, uint stamp, string verb, string did)
    {
        int owner = launch.OwnerOf(stamp >> GlobalStamp.TimeShift);
        Dim3 grid = launch.Grid;
        string who = owner == Block.Number ? "of this block" : $"of block {new Dim3(owner % grid.X, owner / grid.X % grid.Y, owner / (grid.X * grid.Y))}";
        return Fault(FaultKind.GlobalRace, i, lane, address,
            $"race in global memory: {program.Infos[i->Index].Opcode} {verb} warp {stamp & GlobalStamp.Warp} {who} {did} in this launch{memory.Describe(address)}");
    }
}
