namespace Orthrus.PtxSim.Execution;

/// <summary>A small generator whose sequence depends on the seed alone, whatever the runtime's version.</summary>
internal sealed class SimRandom(ulong seed)
{
    private ulong state = (seed * 0x9E3779B97F4A7C15) ^ 0xD1B54A32D192ED03 | 1;

    public int Next(int below)
    {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        return (int)((state >> 32) * (ulong)below >> 32);
    }
}
