using System.Numerics;
using System.Runtime.Intrinsics;
using Orthrus.PtxSim.Decoding;
using Orthrus.PtxSim.Memory;

namespace Orthrus.PtxSim.Execution;

/// <summary>Times and stamps of the race checks: what a block or warp did before a barrier is older than the barrier.</summary>
internal sealed unsafe partial class Core
{
    private readonly bool checks;

    /// <summary>Global memory: stamps below this are of earlier launches.</summary>
    private uint launchStamp;

    /// <summary>Global memory: stamps of this block start here, stamps before its last barrier end there.</summary>
    private uint globalBlockStamp;
    private uint globalBarrierStamp;

    /// <summary>Stamp of the running warp in global memory.</summary>
    private uint globalStamp;

    /// <summary>The same in shared memory; the stamp lacks the lane.</summary>
    private uint sharedBlockStamp;
    private uint sharedBarrierStamp;
    private uint sharedSyncStamp;
    private uint sharedStamp;

    public void StartLaunch() => launchStamp = launch.StartTime << GlobalStamp.TimeShift;

    public void StartBlock(BlockState block)
    {
        if (block.Time > SharedStamp.MaxTime / 2)
        {
            new Span<uint>(block.Writers, block.Granules).Clear();
            new Span<uint>(block.Readers, block.Granules).Clear();
            block.Time = 0;
        }

        block.StartTime = block.BarrierTime = ++block.Time;
        block.GlobalStart = block.GlobalBarrier = block.GlobalTime = launch.NextGlobalTime(block.Number);
    }

    /// <summary>A block has ended: targets of cp.async that nobody waited for become uninitialised.</summary>
    public void EndBlock(BlockState block)
    {
        foreach (WarpState warp in block.Warps)
        {
            if (warp.CopyCount > 0)
            {
                new Span<uint>(block.Writers, block.Granules).Clear();
                return;
            }
        }
    }

    /// <summary>The running warp changes: loads its stamps.</summary>
    private void SetWarp()
    {
        BlockState block = Block;
        globalBlockStamp = block.GlobalStart << GlobalStamp.TimeShift;
        globalBarrierStamp = block.GlobalBarrier << GlobalStamp.TimeShift;
        globalStamp = block.GlobalTime << GlobalStamp.TimeShift | (uint)Warp.Index;
        sharedBlockStamp = block.StartTime << SharedStamp.TimeShift;
        sharedBarrierStamp = block.BarrierTime << SharedStamp.TimeShift;
        sharedSyncStamp = Warp.SyncTime << SharedStamp.TimeShift;
        sharedStamp = block.Time << SharedStamp.TimeShift | (uint)Warp.Index << 5;
    }

    /// <summary>A barrier of the warps of <paramref name="mask"/>, all of the block or some.</summary>
    public void BarrierCompletes(BlockState block, int id, uint mask, bool all)
    {
        NextSharedTime(block);
        block.GlobalTime = launch.NextGlobalTime(block.Number);
        if (all)
        {
            block.BarrierTime = block.Time;
            block.GlobalBarrier = block.GlobalTime;
        }
        else
        {
            int n = block.Warps.Length;
            uint[] joined = new uint[n], joinedGlobal = new uint[n];
            for (int w = 0; w < n; w++)
            {
                if ((mask >> w & 1) == 0)
                    continue;
                for (int v = 0; v < n; v++)
                {
                    joined[v] = Math.Max(joined[v], block.SeenShared[(w * n) + v]);
                    joinedGlobal[v] = Math.Max(joinedGlobal[v], block.SeenGlobal[(w * n) + v]);
                }

                joined[w] = block.Time;
                joinedGlobal[w] = block.GlobalTime;
            }

            foreach (WarpState warp in block.Warps)
            {
                if (warp.Status == WarpStatus.AtBarrier && warp.Barrier == id)
                {
                    joined.CopyTo(block.SeenShared, warp.Index * n);
                    joinedGlobal.CopyTo(block.SeenGlobal, warp.Index * n);
                    warp.SyncTime = block.Time;
                }
            }
        }

        foreach (WarpState warp in block.Warps)
        {
            if (warp.Status == WarpStatus.AtBarrier && warp.Barrier == id && (program.Infos[warp.BarrierInstr->Index].Class == InstructionClass.Barrier) && (warp.BarrierInstr->X & 3) != 0)
                Reduce(block, id, warp.BarrierInstr->X & 3);
        }

        if (Warp is not null && Warp.Status == WarpStatus.Ready)
            SetWarp();
    }

    /// <summary>__syncwarp of the lanes of <paramref name="m"/>.</summary>
    public void WarpSynced(uint m)
    {
        NextSharedTime(Block);
        if (m == Warp.Alive)
            Warp.SyncTime = Block.Time;
        for (uint k = m == Warp.Alive ? 0 : m; k != 0; k &= k - 1)
        {
            int l = BitOperations.TrailingZeroCount(k);
            Warp.LaneSyncTime[l] = Block.Time;
            Warp.LaneSyncMask[l] = m;
        }

        SetWarp();
    }

    private static void NextSharedTime(BlockState block)
    {
        if (++block.Time < SharedStamp.MaxTime)
            return;

        // Times start again; who wrote what since the last barrier is forgotten, that it is written is not.
        for (int g = 0; g < block.Granules; g++)
        {
            uint w = block.Writers[g];
            if (w < SharedStamp.Pending)
                block.Writers[g] = w >= block.StartTime << SharedStamp.TimeShift ? 1u << SharedStamp.TimeShift : 0;
            block.Readers[g] = 0;
        }

        block.StartTime = 1;
        block.Time = 3;
        block.BarrierTime = 2;
        Array.Clear(block.SeenShared);
        foreach (WarpState warp in block.Warps)
        {
            warp.SyncTime = 2;
            Array.Clear(warp.LaneSyncTime);
        }
    }

    private void Reduce(BlockState block, int id, int mode)
    {
        int count = 0;
        bool every = true;
        foreach (WarpState warp in block.Warps)
        {
            if (warp.Status != WarpStatus.AtBarrier || warp.Barrier != id)
                continue;
            count += BitOperations.PopCount(warp.BarrierPredicate);
            every &= warp.BarrierPredicate == warp.BarrierLanes;
        }

        foreach (WarpState warp in block.Warps)
        {
            if (warp.Status != WarpStatus.AtBarrier || warp.Barrier != id)
                continue;
            byte* d = warp.Regs + warp.BarrierInstr->D;
            if (mode == 1)
                Lanes.Store(d, Vector512.Create((uint)count), Vector512.Create((uint)count), warp.BarrierLanes);
            else
                Lanes.StorePredicate(d, (mode == 2 ? every : count > 0) ? Lanes.All : 0, warp.BarrierLanes);
        }
    }

    private SimFault Race(FaultKind kind, Instr* i, int lane, ulong address, string text) => Fault(kind, i, lane, address, text);
}
