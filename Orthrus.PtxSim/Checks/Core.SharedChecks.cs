using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Orthrus.PtxSim.Decoding;

namespace Orthrus.PtxSim.Execution;

/// <summary>Uninitialised reads and races in shared memory, after <see cref="LocateShared"/>.</summary>
internal sealed unsafe partial class Core
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void CheckShared(Instr* i, SharedPattern* p, uint m, bool write, bool strong)
    {
        if (p->Window == 0 || strong)
        {
            int width = MoveCode.Width(i->X);
            var offsets = (int*)&p->Low;
            bool quads = !strong && width >> Block.GranuleShift == 4;
            for (uint k = m; k != 0; k &= k - 1)
            {
                int l = BitOperations.TrailingZeroCount(k);
                uint offset = (uint)(sharedFrom + offsets[l] - p->From);
                if (!quads || !QuadShared(l, offset, write))
                    CheckSharedLane(i, l, offset, width, write, strong);
            }
        }
        else if (write)
            WriteWindow(i, p);
        else
            ReadWindow(i, p);
    }

    /// <summary>Four granules of a lane at once, if nothing about them needs a closer look.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private bool QuadShared(int lane, uint offset, bool write)
    {
        uint g = offset >> Block.GranuleShift;
        uint* writers = Block.Writers + g, readers = Block.Readers + g;
        Vector128<uint> w = Vector128.Load(writers), rd = Vector128.Load(readers);
        Vector128<uint> barrier = Vector128.Create(sharedBarrierStamp), stamp = Vector128.Create(sharedStamp | (uint)lane);
        if (write)
        {
            if (!Vector128.LessThanAll(Vector128.Max(w, rd), barrier))
                return false;
            stamp.Store(writers);
            return true;
        }

        if (!Vector128.LessThanAll(w - Vector128.Create(sharedBlockStamp), Vector128.Create(sharedBarrierStamp - sharedBlockStamp)))
            return false;
        Vector128<uint> recent = Vector128.GreaterThanOrEqual(rd, barrier);
        if (recent != Vector128<uint>.Zero)
        {
            Vector128<uint> different = rd ^ stamp;
            Vector128<uint> flags = rd & Vector128.Create(SharedStamp.SeveralWarps | SharedStamp.SeveralLanes);
            flags |= ~Vector128.Equals(different & Vector128.Create(SharedStamp.WarpMask), Vector128<uint>.Zero) & Vector128.Create(SharedStamp.SeveralWarps);
            flags |= ~Vector128.Equals(different & Vector128.Create(31u), Vector128<uint>.Zero) & Vector128.Create(SharedStamp.SeveralLanes);
            stamp |= flags & recent;
        }

        stamp.Store(readers);
        return true;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void ReadWindow(Instr* i, SharedPattern* p)
    {
        long at = sharedFrom >> Block.GranuleShift;
        uint* writers = Block.Writers + at, readers = Block.Readers + at;
        Vector512<uint> start = Vector512.Create(sharedBlockStamp), span = Vector512.Create(sharedBarrierStamp - sharedBlockStamp);
        Vector512<uint> barrier = Vector512.Create(sharedBarrierStamp), stamp = Vector512.Create(sharedStamp);
        int window = p->Window;
        for (int k = 0; k < window; k += 16)
        {
            Vector512<uint> owners = Vector512.Load(p->Owners + k);
            Vector512<uint> none = Vector512.Equals(owners, Vector512<uint>.AllBitsSet);
            Vector512<uint> w = Vector512.Load(writers + k);
            Vector512<uint> good = Vector512.LessThan(w - start, span) | none;
            if (!Vector512.EqualsAll(good, Vector512<uint>.AllBitsSet))
                SlowWindow(i, p, k, ~good & ~OwnWarp(w, owners), false);
            Vector512<uint> old = Vector512.Load(readers + k);
            Vector512<uint> mine = stamp | owners;
            Vector512<uint> recent = Vector512.GreaterThanOrEqual(old, barrier);
            if (!Vector512.EqualsAll(recent, Vector512<uint>.Zero))
            {
                Vector512<uint> different = old ^ mine;
                Vector512<uint> flags = old & Vector512.Create(SharedStamp.SeveralWarps | SharedStamp.SeveralLanes);
                flags |= ~Vector512.Equals(different & Vector512.Create(SharedStamp.WarpMask), Vector512<uint>.Zero) & Vector512.Create(SharedStamp.SeveralWarps);
                flags |= ~Vector512.Equals(different & Vector512.Create(31u), Vector512<uint>.Zero) & Vector512.Create(SharedStamp.SeveralLanes);
                mine |= flags & recent;
            }

            Vector512.ConditionalSelect(none, old, mine).Store(readers + k);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void WriteWindow(Instr* i, SharedPattern* p)
    {
        long at = sharedFrom >> Block.GranuleShift;
        uint* writers = Block.Writers + at, readers = Block.Readers + at;
        Vector512<uint> barrier = Vector512.Create(sharedBarrierStamp), stamp = Vector512.Create(sharedStamp);
        int window = p->Window;
        for (int k = 0; k < window; k += 16)
        {
            Vector512<uint> owners = Vector512.Load(p->Owners + k);
            Vector512<uint> none = Vector512.Equals(owners, Vector512<uint>.AllBitsSet);
            Vector512<uint> w = Vector512.Load(writers + k), rd = Vector512.Load(readers + k);
            Vector512<uint> good = Vector512.LessThan(Vector512.Max(w, rd), barrier) | none;
            if (!Vector512.EqualsAll(good, Vector512<uint>.AllBitsSet))
            {
                Vector512<uint> fine = (Vector512.LessThan(w, barrier) | OwnWarp(w, owners)) & (Vector512.LessThan(rd, barrier) | OwnWarp(rd, owners));
                SlowWindow(i, p, k, ~good & ~fine, true);
            }

            Vector512.ConditionalSelect(none, w, stamp | (owners & Vector512.Create(31u))).Store(writers + k);
        }
    }

    /// <summary>Stamps of this block by the running warp before its last __syncwarp, or by the very lane.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private Vector512<uint> OwnWarp(Vector512<uint> stamps, Vector512<uint> owners)
    {
        Vector512<uint> start = Vector512.Create(sharedBlockStamp);
        Vector512<uint> present = Vector512.LessThan(stamps - start, Vector512.Create(SharedStamp.Pending - sharedBlockStamp));
        Vector512<uint> warp = Vector512.Create(sharedStamp & SharedStamp.WarpMask);
        Vector512<uint> mine = Vector512.Equals(stamps & Vector512.Create(SharedStamp.WarpMask), warp);
        Vector512<uint> alone = Vector512.Equals(stamps & Vector512.Create(SharedStamp.SeveralWarps), Vector512<uint>.Zero);
        Vector512<uint> synced = Vector512.LessThan(stamps, Vector512.Create(sharedSyncStamp));
        Vector512<uint> sameLane = Vector512.Equals(stamps & Vector512.Create(31u | SharedStamp.SeveralLanes), owners);
        return present & mine & alone & (synced | sameLane);
    }

    private void SlowWindow(Instr* i, SharedPattern* p, int first, Vector512<uint> bad, bool write)
    {
        uint bits = (uint)bad.ExtractMostSignificantBits();
        int shift = Block.GranuleShift;
        for (; bits != 0; bits &= bits - 1)
        {
            int g = first + BitOperations.TrailingZeroCount(bits);
            uint offset = (sharedFrom & ~((1u << shift) - 1)) + ((uint)g << shift);
            var offsets = (int*)&p->Low;

            // Every lane that touches the granule must be in order.
            for (uint k = p->Mask; k != 0; k &= k - 1)
            {
                int l = BitOperations.TrailingZeroCount(k);
                long from = (long)sharedFrom + offsets[l] - p->From;
                if (from < offset + (1 << shift) && from + MoveCode.Width(i->X) > offset)
                    CheckSharedGranule(i, l, offset, write, false);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void CheckSharedLane(Instr* i, int lane, uint offset, int width, bool write, bool strong)
    {
        int shift = Block.GranuleShift;
        for (uint at = offset; at < offset + (uint)width; at += 1u << shift)
        {
            uint g = at >> shift;
            bool fine = write ? Math.Max(Block.Writers[g], Block.Readers[g]) < sharedBarrierStamp : Block.Writers[g] - sharedBlockStamp < sharedBarrierStamp - sharedBlockStamp;
            if (!fine)
                CheckSharedGranule(i, lane, at, write, strong);
            uint stamp = sharedStamp | (uint)lane;
            if (write)
                Block.Writers[g] = strong ? stamp | SharedStamp.Atomic : stamp;
            else if (!strong)
            {
                uint old = Block.Readers[g];
                if (old >= sharedBarrierStamp)
                {
                    stamp |= old & (SharedStamp.SeveralWarps | SharedStamp.SeveralLanes);
                    if (((old ^ stamp) & SharedStamp.WarpMask) != 0)
                        stamp |= SharedStamp.SeveralWarps;
                    if (((old ^ stamp) & 31) != 0)
                        stamp |= SharedStamp.SeveralLanes;
                }

                Block.Readers[g] = stamp;
            }
        }
    }

    private void CheckSharedGranule(Instr* i, int lane, uint offset, bool write, bool strong)
    {
        uint g = offset >> Block.GranuleShift;
        uint w = Block.Writers[g], rd = Block.Readers[g];
        if (w >= SharedStamp.Pending)
            throw SharedFault(FaultKind.AsyncCopyPending, i, lane, offset, $"{program.Infos[i->Index].Opcode} {(write ? "writes" : "reads")} shared memory that cp.async fills, before its wait");
        if (!write && w < sharedBlockStamp)
            throw SharedFault(FaultKind.Uninitialised, i, lane, offset, $"{program.Infos[i->Index].Opcode} reads shared memory that the block did not write");
        if (!(strong && (w & SharedStamp.Atomic) != 0) && !SharedOrdered(w, lane, false))
            throw SharedFault(FaultKind.SharedRace, i, lane, offset, $"race in shared memory: {program.Infos[i->Index].Opcode} {(write ? "writes" : "reads")} what {Who(w)} wrote, with no barrier between");
        if (write && !SharedOrdered(rd, lane, true))
            throw SharedFault(FaultKind.SharedRace, i, lane, offset, $"race in shared memory: {program.Infos[i->Index].Opcode} writes what {Who(rd)} read, with no barrier between");
    }

    private bool SharedOrdered(uint stamp, int lane, bool reader)
    {
        if (stamp < sharedBarrierStamp)
            return true;
        int warp = (int)(stamp & SharedStamp.WarpMask) >> 5, other = (int)(stamp & 31);
        uint time = stamp >> SharedStamp.TimeShift;
        int n = Block.Warps.Length;
        if (reader && (stamp & SharedStamp.SeveralWarps) != 0)
        {
            for (int v = 0; v < n; v++)
            {
                if (v != Warp.Index && Block.SeenShared[(Warp.Index * n) + v] <= time)
                    return false;
            }

            return time < Warp.SyncTime;
        }

        if (warp != Warp.Index)
            return time < Block.SeenShared[(Warp.Index * n) + warp];
        if (time < Warp.SyncTime)
            return true;
        bool severalLanes = reader && (stamp & SharedStamp.SeveralLanes) != 0;
        if (!severalLanes && other == lane)
            return true;
        return time < Warp.LaneSyncTime[lane] && (severalLanes ? Warp.LaneSyncMask[lane] == Warp.Alive : (Warp.LaneSyncMask[lane] >> other & 1) != 0);
    }

    private string Who(uint stamp)
    {
        int warp = (int)(stamp & SharedStamp.WarpMask) >> 5, lane = (int)(stamp & 31);
        if ((stamp & SharedStamp.SeveralWarps) != 0)
            return "several warps";
        return warp == Warp.Index ? $"lane {lane} of the same warp" : $"lane {lane} of warp {warp}";
    }

    private SimFault SharedFault(FaultKind kind, Instr* i, int lane, uint offset, string text) => Fault(kind, i, lane, SharedWindow + offset, text + SharedName(offset));
}
