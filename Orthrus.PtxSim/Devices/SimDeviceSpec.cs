namespace Orthrus.PtxSim;

/// <summary>
/// Limits and rates of a device. Limits and the rates of f32 and special functions are from the CUDA C++ Programming Guide (technical
/// specifications and arithmetic throughput for each compute capability), clocks, memory and tensor rates from NVIDIA's data sheets (dense rates, boost clock); the H100's
/// clock is the one its published kernel figures are usually given at, 1.755 GHz.
/// </summary>
public sealed record SimDeviceSpec
{
    /// <summary>Name as in <see cref="Named"/>.</summary>
    public required string Name { get; init; }

    /// <summary>Compute capability times ten, as 80.</summary>
    public required int ComputeCapability { get; init; }

    /// <summary>Streaming multiprocessors.</summary>
    public required int Multiprocessors { get; init; }

    /// <summary>Clock in GHz.</summary>
    public required double ClockGHz { get; init; }

    /// <summary>Device memory in bytes.</summary>
    public required long MemoryBytes { get; init; }

    /// <summary>Bandwidth of device memory in bytes a second.</summary>
    public required double DramBytesPerSecond { get; init; }

    /// <summary>f32 operations (a fused multiply-add is one) a clock and multiprocessor.</summary>
    public required int Float32PerClock { get; init; }

    /// <summary>Floating-point operations of bf16 and f16 tensor cores with f32 accumulation a clock and multiprocessor (a multiply-add is two).</summary>
    public required int MatrixFlopsPerClock { get; init; }

    /// <summary>The same of f16 tensor cores with f16 accumulation: twice as many on GeForce cards, the same on the others.</summary>
    public int HalfSumFlopsPerClock => HalfSumFactor * MatrixFlopsPerClock;

    /// <summary>The same of tf32 tensor cores: half of bf16 on every device of the data sheets.</summary>
    public int Tf32FlopsPerClock => MatrixFlopsPerClock / 2;

    /// <summary>Largest shared memory of a block in bytes, by opt-in.</summary>
    public required int SharedPerBlock { get; init; }

    /// <summary>Shared memory of a multiprocessor in bytes.</summary>
    public required int SharedPerMultiprocessor { get; init; }

    /// <summary>Resident threads of a multiprocessor.</summary>
    public required int ThreadsPerMultiprocessor { get; init; }

    /// <summary>Resident blocks of a multiprocessor.</summary>
    public required int BlocksPerMultiprocessor { get; init; }

    /// <summary>How much faster f16 tensor cores are with f16 accumulation than with f32.</summary>
    public int HalfSumFactor { get; init; } = 1;

    /// <summary>Warp instructions issued a clock and multiprocessor.</summary>
    public int IssuePerClock { get; init; } = 4;

    /// <summary>Special-function results a clock and multiprocessor.</summary>
    public int SpecialPerClock { get; init; } = 16;

    /// <summary>Threads of a block.</summary>
    public int ThreadsPerBlock { get; init; } = 1024;

    /// <summary>32-bit registers of a multiprocessor, and the most a block may have.</summary>
    public int Registers { get; init; } = 65536;

    /// <summary>Shared memory of a block without opt-in.</summary>
    public int SharedWithoutOptIn { get; init; } = 48 * 1024;

    /// <summary>A100 SXM, 40 GB.</summary>
    public static SimDeviceSpec A100 { get; } = new()
    {
        Name = "A100", ComputeCapability = 80, Multiprocessors = 108, ClockGHz = 1.41, MemoryBytes = 40L << 30, DramBytesPerSecond = 1.555e12,
        Float32PerClock = 64, MatrixFlopsPerClock = 2048, SharedPerBlock = 163 * 1024, SharedPerMultiprocessor = 164 * 1024,
        ThreadsPerMultiprocessor = 2048, BlocksPerMultiprocessor = 32,
    };

    /// <summary>L4, 24 GB.</summary>
    public static SimDeviceSpec L4 { get; } = new()
    {
        Name = "L4", ComputeCapability = 89, Multiprocessors = 58, ClockGHz = 2.04, MemoryBytes = 24L << 30, DramBytesPerSecond = 0.3e12,
        Float32PerClock = 128, MatrixFlopsPerClock = 1024, SharedPerBlock = 99 * 1024, SharedPerMultiprocessor = 100 * 1024,
        ThreadsPerMultiprocessor = 1536, BlocksPerMultiprocessor = 24,
    };

    /// <summary>GeForce RTX 4090, 24 GB.</summary>
    public static SimDeviceSpec Rtx4090 { get; } = new()
    {
        Name = "RTX 4090", ComputeCapability = 89, Multiprocessors = 128, ClockGHz = 2.52, MemoryBytes = 24L << 30, DramBytesPerSecond = 1.008e12,
        Float32PerClock = 128, MatrixFlopsPerClock = 512, HalfSumFactor = 2, SharedPerBlock = 99 * 1024, SharedPerMultiprocessor = 100 * 1024,
        ThreadsPerMultiprocessor = 1536, BlocksPerMultiprocessor = 24,
    };

    /// <summary>H100 SXM, 80 GB.</summary>
    public static SimDeviceSpec H100 { get; } = new()
    {
        Name = "H100 SXM", ComputeCapability = 90, Multiprocessors = 132, ClockGHz = 1.755, MemoryBytes = 80L << 30, DramBytesPerSecond = 3.35e12,
        Float32PerClock = 128, MatrixFlopsPerClock = 4096, SharedPerBlock = 227 * 1024, SharedPerMultiprocessor = 228 * 1024,
        ThreadsPerMultiprocessor = 2048, BlocksPerMultiprocessor = 32,
    };

    /// <summary>All devices of the table.</summary>
    public static IReadOnlyList<SimDeviceSpec> All { get; } = [A100, L4, Rtx4090, H100];

    /// <summary>The device of a name, case ignored, or null.</summary>
    /// <param name="name">A name of the table, as "A100" or "H100 SXM".</param>
    public static SimDeviceSpec? Named(string name) => All.FirstOrDefault(d => string.Equals(d.Name, name, StringComparison.OrdinalIgnoreCase));
}
