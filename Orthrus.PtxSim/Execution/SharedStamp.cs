namespace Orthrus.PtxSim.Execution;

/// <summary>
/// Layout of the stamps of shared memory: time (19 bits), atomic or volatile writer, readers in several warps, readers in several lanes, warp (5),
/// lane (5). Values from <see cref="Pending"/> on mark targets of cp.async that nobody waited for.
/// </summary>
internal static class SharedStamp
{
    public const int TimeShift = 13;
    public const uint Atomic = 1u << 12;
    public const uint SeveralWarps = 1u << 11;
    public const uint SeveralLanes = 1u << 10;
    public const uint WarpAndLane = 1023;
    public const uint WarpMask = 31u << 5;
    public const uint Pending = 0xFFFFFC00;
    public const uint MaxTime = (1u << 19) - 4;
}
