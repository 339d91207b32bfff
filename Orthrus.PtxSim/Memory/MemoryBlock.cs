namespace Orthrus.PtxSim.Memory;

/// <summary>
/// Device memory as one allocation, pool block or variable, in native memory so that instructions can keep pointers to it; never freed
/// while the device lives, a retired one has size 0. Stamps: see <see cref="GlobalStamp"/>.
/// </summary>
internal unsafe struct MemoryBlock
{
    public ulong Start;
    public ulong Size;

    /// <summary>Host address of <see cref="Start"/>.</summary>
    public byte* Host;

    /// <summary>Stamp of the last writer and reader of each granule of 1 &lt;&lt; <see cref="GranuleShift"/> bytes.</summary>
    public uint* Writers;
    public uint* Readers;

    /// <summary>A bit for each 32-byte sector read or written by launch <see cref="Launch"/>.</summary>
    public ulong* ReadSectors;
    public ulong* WrittenSectors;

    public long Launch;
    public int GranuleShift;
    public int Id;
    public bool ReadOnly;

    public readonly ulong Granules => (Size + (1ul << GranuleShift) - 1) >> GranuleShift;

    public readonly ulong SectorWords => (Size >> 11) + 2;
}

/// <summary>
/// Layout of the stamps of global memory: time (24 bits), a bit for atomic or volatile writers, bits for readers in several blocks and in several
/// warps, warp (5 bits). 0 is uninitialised; times start at 1, so that 1 says written by the host.
/// </summary>
internal static class GlobalStamp
{
    public const int TimeShift = 8;
    public const uint Atomic = 128;
    public const uint SeveralBlocks = 64;
    public const uint SeveralWarps = 32;
    public const uint Warp = 31;
    public const uint Host = 1;
    public const uint MaxTime = (1u << 24) - 2;
}
