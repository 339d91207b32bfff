using System.Runtime.InteropServices;
using Orthrus.PtxSim.Decoding;

namespace Orthrus.PtxSim.Execution;

internal enum WarpStatus : byte
{
    Ready,
    AtBarrier,
    Done,
}

/// <summary>Lanes of a warp that stand at another instruction than the running ones; a blocked group waits there for further lanes.</summary>
internal unsafe struct LaneGroup
{
    public Instr* Pc;
    public uint Mask;
    public bool Blocked;

    /// <summary>Lanes that a blocked group still needs; an exit of one of them is a fault.</summary>
    public uint Required;
}

/// <summary>A cp.async of a warp whose data has not been waited for: target offsets of the lanes of the mask.</summary>
internal unsafe struct AsyncCopy
{
    public long Group;
    public uint Mask;
    public int Bytes;
    public Instr* Issuer;
    public fixed uint Targets[32];
}

/// <summary>A warp between two slices of its execution.</summary>
internal sealed unsafe class WarpState : IDisposable
{
    public readonly LaneGroup[] Waiting = new LaneGroup[33];
    public readonly uint[] LaneSyncTime = new uint[32];
    public readonly uint[] LaneSyncMask = new uint[32];
    public AsyncCopy[] Copies = new AsyncCopy[8];

    public WarpState(int index, int frameBytes, int localBytes)
    {
        Index = index;
        Regs = (byte*)NativeMemory.AlignedAlloc((nuint)frameBytes, 128);
        NativeMemory.Clear(Regs, (nuint)frameBytes);
        LocalBytes = localBytes;
        if (localBytes > 0)
        {
            Local = (byte*)NativeMemory.AllocZeroed((nuint)localBytes * 32);
            LocalWritten = (byte*)NativeMemory.AllocZeroed((nuint)localBytes * 32);
        }
    }

    public int Index { get; }

    public byte* Regs { get; private set; }

    public int LocalBytes { get; }

    /// <summary>Local memory, one thread after the other, and a byte for each byte that says whether it was written.</summary>
    public byte* Local { get; private set; }

    public byte* LocalWritten { get; private set; }

    public WarpStatus Status { get; set; }

    public Instr* Pc { get; set; }

    public uint Active { get; set; }

    /// <summary>Lanes that exist and have not exited.</summary>
    public uint Alive { get; set; }

    public int WaitingCount { get; set; }

    /// <summary>Alive lanes when a group last had to wait, to see that waiting longer is in vain.</summary>
    public uint AliveWhenBlocked { get; set; }

    /// <summary>Runs groups in turn for a while, so that spinning lanes do not starve the others.</summary>
    public bool Fair { get; set; }

    public int Barrier { get; set; }

    /// <summary>Threads that the barrier waits for; 0 for all of the block.</summary>
    public int BarrierThreads { get; set; }

    /// <summary>Lanes whose predicate was true at bar.red, and where its result goes.</summary>
    public uint BarrierPredicate { get; set; }

    public Instr* BarrierInstr { get; set; }

    public uint BarrierLanes { get; set; }

    /// <summary>Shared time of the last __syncwarp of all lanes.</summary>
    public uint SyncTime { get; set; }

    public int CopyCount { get; set; }

    public long CopyGroup { get; set; }

    public void Dispose()
    {
        NativeMemory.AlignedFree(Regs);
        NativeMemory.Free(Local);
        NativeMemory.Free(LocalWritten);
        Regs = Local = LocalWritten = null;
    }
}
