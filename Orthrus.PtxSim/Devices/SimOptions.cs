namespace Orthrus.PtxSim;

/// <summary>How a simulated device behaves.</summary>
public sealed record SimOptions
{
    /// <summary>Seed of the order of blocks, warps and atomics. Same seed, same order; another seed must not change the results of a correct kernel.</summary>
    public int Seed { get; init; }

    /// <summary>Whether uninitialised reads and races are looked for. Bounds and alignment are always checked.</summary>
    public bool Checks { get; init; } = true;

    /// <summary>Moves results of special functions within their documented error instead of rounding the exact value.</summary>
    public bool SpecialFunctionError { get; init; }

    /// <summary>Device memory in bytes; 0 for the memory of the device's specification.</summary>
    public long MemoryBytes { get; init; }

    /// <summary>Slices without any thread getting past a barrier or to its end before a launch counts as hanging.</summary>
    public long StallLimit { get; init; } = 20_000;

    /// <summary>Receives what kernels print, one printf at a time.</summary>
    public Action<string>? Print { get; init; }
}
