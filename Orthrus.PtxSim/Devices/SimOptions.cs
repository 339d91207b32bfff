namespace Orthrus.PtxSim;

/// <summary>How a simulated device behaves.</summary>
public sealed record SimOptions
{
    /// <summary>Seed of the order of blocks, warps and atomics. Same seed, same order; another seed must not change the results of a correct kernel.</summary>
    public int Seed { get; init; }

    /// <summary>Whether uninitialised reads and races are looked for. Bounds and alignment are always checked.</summary>
    public bool Checks { get; init; } = true;

    /// <summary>
    /// Moves results of special functions within their documented error instead of rounding the exact value. What the PTX manual gives exactly, as 2^0 = 1,
    /// stays exact.
    /// </summary>
    public bool SpecialFunctionError { get; init; }

    /// <summary>Device memory in bytes; 0 for the memory of the device's specification.</summary>
    public long MemoryBytes { get; init; }

    /// <summary>Slices without any thread getting past a barrier or to its end before a launch counts as hanging.</summary>
    public long StallLimit { get; init; } = 20_000;

    /// <summary>
    /// Whether the driver runs work at the call that issues it, so that its errors arrive there. False, the default: work waits in its streams until
    /// somebody waits for it and runs in an order drawn by <see cref="Seed"/> among the legal ones, errors arrive at a later call, as on a device.
    /// </summary>
    public bool Eager { get; init; }

    /// <summary>CUDA version of the driver, as it reports it: 12040 for 12.4. It refuses PTX that is newer.</summary>
    public int DriverVersion { get; init; } = 11080;

    /// <summary>Whether the driver finds its PTX compiler; in containers it is often missing.</summary>
    public bool PtxCompiler { get; init; } = true;

    /// <summary>What cuInit answers, for tests of machines without a device: 0 for success, else a CUresult, as 100 for a driver that sees no GPU.</summary>
    public int InitResult { get; init; }

    /// <summary>Receives what kernels print, one printf at a time.</summary>
    public Action<string>? Print { get; init; }
}
