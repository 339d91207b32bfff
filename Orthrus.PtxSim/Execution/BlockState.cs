using System.Runtime.InteropServices;
using Orthrus.PtxSim.Decoding;

namespace Orthrus.PtxSim.Execution;

/// <summary>A resident block: its warps, shared memory and barriers.</summary>
internal sealed unsafe class BlockState : IDisposable
{
    /// <summary>Bytes past the end of shared memory that vectors may read.</summary>
    public const int Slack = 1024;

    public readonly WarpState[] Warps;
    public readonly int[] Arrived = new int[16];
    public readonly uint[] ArrivedWarps = new uint[16];

    public BlockState(KernelProgram program, int warps, int sharedBytes)
    {
        Warps = new WarpState[warps];
        for (int w = 0; w < warps; w++)
            Warps[w] = new WarpState(w, program.FrameBytes, program.LocalBytes);
        SharedBytes = sharedBytes;
        Shared = (byte*)NativeMemory.AlignedAlloc((nuint)(sharedBytes + (2 * Slack)), 512) + Slack;
        NativeMemory.Fill(Shared - Slack, (nuint)(sharedBytes + (2 * Slack)), 0xFF);
        GranuleShift = program.SharedGranuleShift;
        int granules = (sharedBytes >> GranuleShift) + 320;
        Writers = (uint*)NativeMemory.AllocZeroed((nuint)granules * 4);
        Readers = (uint*)NativeMemory.AllocZeroed((nuint)granules * 4);
        Granules = granules;
        SeenShared = new uint[warps * warps];
        SeenGlobal = new uint[warps * warps];
    }

    public int Number { get; set; }

    public Dim3 Position { get; set; }

    public byte* Shared { get; private set; }

    public int SharedBytes { get; }

    public int GranuleShift { get; }

    public int Granules { get; }

    public uint* Writers { get; private set; }

    public uint* Readers { get; private set; }

    /// <summary>Shared time: the present, the start of the block, the last barrier of all its warps.</summary>
    public uint Time { get; set; }

    public uint StartTime { get; set; }

    public uint BarrierTime { get; set; }

    /// <summary>The same in the time of global memory.</summary>
    public uint GlobalTime { get; set; }

    public uint GlobalStart { get; set; }

    public uint GlobalBarrier { get; set; }

    /// <summary>For warps w, v at w * warps + v: accesses of v before this time are ordered before w by partial barriers.</summary>
    public uint[] SeenShared { get; }

    public uint[] SeenGlobal { get; }

    /// <summary>Order of the last release and acquire by fences and atomics among all of the launch; 0 for never.</summary>
    public long Acquired { get; set; }

    public bool Started { get; set; }

    public int Alive { get; set; }

    public void Dispose()
    {
        foreach (WarpState warp in Warps)
            warp.Dispose();
        NativeMemory.AlignedFree(Shared - Slack);
        NativeMemory.Free(Writers);
        NativeMemory.Free(Readers);
        Shared = null;
        Writers = Readers = null;
    }
}
