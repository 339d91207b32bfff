using System.Numerics;
using System.Runtime.CompilerServices;
using Orthrus.PtxSim.Decoding;

namespace Orthrus.PtxSim.Execution;

/// <summary>Barriers of blocks and warps.</summary>
internal static unsafe class BarrierOps
{
    /// <summary>bar.sync and bar.red. A: id, B: thread count (or the zero slot), C: predicate; X: bits 0-1 reduction (1 popc, 2 and, 3 or), bit 2 predicate negated.</summary>
    public static Instr* Sync(Core core, Instr* i, byte* r, uint m)
    {
        WarpState warp = core.Warp;
        if (!core.Gather(i, ref m, warp.Alive, out Instr* next))
            return next;
        int lane = BitOperations.TrailingZeroCount(m);
        warp.Barrier = Id(core, i, r, lane);
        warp.BarrierThreads = Threads(core, i, r, lane);
        warp.BarrierInstr = i;
        warp.BarrierLanes = m;
        warp.BarrierPredicate = (i->X & 3) != 0 ? (*(uint*)(r + i->C) ^ ((i->X & 4) != 0 ? Lanes.All : 0)) & m : 0;
        warp.Status = WarpStatus.AtBarrier;
        warp.Pc = i + 1;
        warp.Active = core.Active;
        return null;
    }

    public static Instr* Arrive(Core core, Instr* i, byte* r, uint m)
    {
        if (!core.Gather(i, ref m, core.Warp.Alive, out Instr* next))
            return next;
        int lane = BitOperations.TrailingZeroCount(m);
        int id = Id(core, i, r, lane);
        core.Block.Arrived[id]++;
        core.Block.ArrivedWarps[id] |= 1u << core.Warp.Index;
        core.Launch.ArrivedAt(core.Block, id);
        return i + 1;
    }

    /// <summary>bar.warp.sync with the member mask in A.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Instr* WarpSync(Core core, Instr* i, byte* r, uint m)
    {
        if (!WarpOps.Members(core, i, r + i->A, ref m, out Instr* next))
            return next;
        core.WarpSynced(m);
        return i + 1;
    }

    private static int Id(Core core, Instr* i, byte* r, int lane)
    {
        uint id = ((uint*)(r + i->A))[lane];
        if (id > 15)
            throw core.Fault(FaultKind.DivergentBarrier, i, lane, 0, $"barrier {id}: there are 16, from 0");
        return (int)id;
    }

    private static int Threads(Core core, Instr* i, byte* r, int lane)
    {
        uint count = ((uint*)(r + i->B))[lane];
        if ((count & 31) != 0 || count > (uint)(core.Block.Warps.Length * 32))
            throw core.Fault(FaultKind.DivergentBarrier, i, lane, 0, $"a barrier for {count} threads in a block of {core.Launch.Threads}: whole warps of the block only");
        return (int)count;
    }
}
