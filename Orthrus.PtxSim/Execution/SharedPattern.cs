using System.Runtime.Intrinsics;

namespace Orthrus.PtxSim.Execution;

/// <summary>
/// Where the lanes of an access to shared memory stand relative to the first of them. A kernel repeats few patterns, so an instruction keeps
/// those it met with everything that follows from them: bank cycles, the window they cover, who touches which granule.
/// </summary>
internal unsafe struct SharedPattern
{
    /// <summary>Granules of a window that is checked and moved by vectors.</summary>
    public const int MaxWindow = 128;

    public Vector512<uint> Low;
    public Vector512<uint> High;
    public uint Mask;
    public AccessShape Shape;

    /// <summary>Bank cycles, and the least possible for the bytes.</summary>
    public int Cycles;
    public int Ideal;
    public int Bytes;

    /// <summary>Offsets of the lowest lane's first byte and the highest's last, relative to the first active lane.</summary>
    public int From;
    public int To;
    public bool Aligned;

    /// <summary>Two lanes store to the same granule.</summary>
    public bool Overlaps;

    /// <summary>Granules of the window; 0 when the lanes spread too far.</summary>
    public int Window;
    public SharedPattern* Next;

    /// <summary>Of each granule of the window: lane that touches it (with <see cref="SharedStamp.SeveralLanes"/>), or all ones for none.</summary>
    public fixed uint Owners[MaxWindow];

    /// <summary>First word of each lane, counted from the window's start.</summary>
    public fixed uint Words[32];
}
