namespace Orthrus.PtxSim;

/// <summary>Executed instructions of one kind.</summary>
/// <param name="Warp">Issued for warps.</param>
/// <param name="Lane">The same times the active lanes.</param>
public readonly record struct InstructionCount(long Warp, long Lane);

/// <summary>Accesses to a memory space.</summary>
/// <param name="Requests">Warp-level accesses.</param>
/// <param name="Units">32-byte sectors of global and local memory, bank cycles of shared memory.</param>
/// <param name="Minimum">Units that packed, conflict-free accesses to the same bytes would need.</param>
/// <param name="Bytes">Distinct bytes of each access, summed.</param>
public readonly record struct AccessCount(long Requests, long Units, long Minimum, long Bytes);

/// <summary>Counts of one instruction of the PTX text.</summary>
/// <param name="Line">Line of the text.</param>
/// <param name="Opcode">Opcode.</param>
/// <param name="Class">Kind.</param>
/// <param name="Executed">How often it ran.</param>
/// <param name="Access">What it touched, for instructions that touch memory.</param>
public sealed record LineCount(int Line, string Opcode, InstructionClass Class, InstructionCount Executed, AccessCount Access);

/// <summary>A unit of a device and the time it needs at least.</summary>
/// <param name="Unit">Name: issue, f32, special, shared, dram, matrix.</param>
/// <param name="Seconds">Lower bound.</param>
public readonly record struct UnitBound(string Unit, double Seconds);

/// <summary>What a launch did. All figures are simulated counts, nothing is measured.</summary>
public sealed class LaunchReport
{
    private readonly InstructionCount[] perClass;
    private readonly Lazy<IReadOnlyList<LineCount>> lines;

    internal LaunchReport(InstructionCount[] perClass, Func<IReadOnlyList<LineCount>> lines)
    {
        this.perClass = perClass;
        this.lines = new Lazy<IReadOnlyList<LineCount>>(lines);
        foreach (InstructionCount count in perClass)
            Total = new InstructionCount(Total.Warp + count.Warp, Total.Lane + count.Lane);
    }

    /// <summary>Name of the kernel.</summary>
    public required string Kernel { get; init; }

    /// <summary>Blocks.</summary>
    public required Dim3 Grid { get; init; }

    /// <summary>Threads of a block.</summary>
    public required Dim3 Block { get; init; }

    /// <summary>Shared memory of a block in bytes, static and dynamic.</summary>
    public required int SharedBytes { get; init; }

    /// <summary>How much of it is dynamic.</summary>
    public required int DynamicSharedBytes { get; init; }

    /// <summary>Registers of a thread as given on the kernel; 0 for unknown.</summary>
    public required int RegistersPerThread { get; init; }

    /// <summary>All executed instructions.</summary>
    public InstructionCount Total { get; }

    /// <summary>All but mov and address space conversions, which mostly vanish in machine code.</summary>
    public InstructionCount WithoutMoves => new(Total.Warp - this[InstructionClass.Move].Warp, Total.Lane - this[InstructionClass.Move].Lane);

    /// <summary>Loads of global memory, cp.async included.</summary>
    public required AccessCount GlobalLoads { get; init; }

    /// <summary>Stores to global memory.</summary>
    public required AccessCount GlobalStores { get; init; }

    /// <summary>Atomic operations, on whatever memory.</summary>
    public required AccessCount Atomics { get; init; }

    /// <summary>Loads of shared memory, ldmatrix included.</summary>
    public required AccessCount SharedLoads { get; init; }

    /// <summary>Stores to shared memory, cp.async included.</summary>
    public required AccessCount SharedStores { get; init; }

    /// <summary>Local memory.</summary>
    public required AccessCount Local { get; init; }

    /// <summary>Distinct bytes of global memory read, in whole sectors: what must come from DRAM once.</summary>
    public required long DramReadBytes { get; init; }

    /// <summary>Distinct bytes of global memory written, in whole sectors.</summary>
    public required long DramWriteBytes { get; init; }

    /// <summary>Floating-point operations of mma, of every type.</summary>
    public required long MatrixFlops { get; init; }

    /// <summary>Those of them that are products of f16 summed in f16.</summary>
    public long HalfSumFlops { get; init; }

    /// <summary>Those of them that are products of tf32.</summary>
    public long Tf32Flops { get; init; }

    /// <summary>What the kernel printed.</summary>
    public required IReadOnlyList<string> Output { get; init; }

    /// <summary>Counts for each instruction that ran, in the order of the code.</summary>
    public IReadOnlyList<LineCount> Lines => lines.Value;

    /// <summary>Executed instructions of a kind.</summary>
    /// <param name="kind">The kind.</param>
    public InstructionCount this[InstructionClass kind] => perClass[(int)kind];

    /// <summary>Warps that a multiprocessor can hold at the same time, by threads, blocks, shared memory and (if known) registers.</summary>
    /// <param name="spec">The device.</param>
    public int ResidentWarps(SimDeviceSpec spec) => ResidentWarps(spec, RegistersPerThread);

    /// <summary>The same with the registers that a compiler of machine code reports for a device.</summary>
    /// <param name="spec">The device.</param>
    /// <param name="registersPerThread">Registers of a thread; 0 for unknown.</param>
    public int ResidentWarps(SimDeviceSpec spec, int registersPerThread)
    {
        ArgumentNullException.ThrowIfNull(spec);
        int warps = (int)(Block.Count + 31) / 32;
        int blocks = Math.Min(spec.BlocksPerMultiprocessor, spec.ThreadsPerMultiprocessor / 32 / warps);
        blocks = Math.Min(blocks, spec.SharedPerMultiprocessor / (SharedBytes + 1024));
        if (registersPerThread > 0)
            blocks = Math.Min(blocks, spec.Registers / (((registersPerThread + 7) & ~7) * 32 * warps));
        return blocks * warps;
    }

    /// <summary>
    /// Lower bound of the time on each unit, the limiting one first, if the work spreads evenly over all multiprocessors: warp instructions without
    /// moves at the issue rate, f32, special functions, shared-memory cycles, DRAM bytes, mma by its types' rates. Integer, conversion, f64 and L2 are
    /// no units here.
    /// </summary>
    /// <param name="spec">The device.</param>
    public IReadOnlyList<UnitBound> Bounds(SimDeviceSpec spec)
    {
        ArgumentNullException.ThrowIfNull(spec);
        double clocks = spec.ClockGHz * 1e9 * spec.Multiprocessors;
        UnitBound[] bounds =
        [
            new("issue", WithoutMoves.Warp / (clocks * spec.IssuePerClock)),
            new("f32", this[InstructionClass.Float32].Lane / (clocks * spec.Float32PerClock)),
            new("special", this[InstructionClass.Special].Lane / (clocks * spec.SpecialPerClock)),
            new("shared", (SharedLoads.Units + SharedStores.Units) / clocks),
            new("dram", (DramReadBytes + DramWriteBytes) / spec.DramBytesPerSecond),
            new("matrix", MatrixClocks(spec) / clocks),
        ];
        Array.Sort(bounds, (a, b) => b.Seconds.CompareTo(a.Seconds));
        return bounds;
    }

    // Clocks of the tensor cores of one multiprocessor, had it all the work.
    private double MatrixClocks(SimDeviceSpec spec) =>
        ((double)(MatrixFlops - HalfSumFlops - Tf32Flops) / spec.MatrixFlopsPerClock) + ((double)HalfSumFlops / spec.HalfSumFlopsPerClock) + ((double)Tf32Flops / spec.Tf32FlopsPerClock);
}
