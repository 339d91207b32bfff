namespace Orthrus.PtxSim;

/// <summary>What a check of the simulated device found.</summary>
public enum FaultKind
{
    /// <summary>An access outside every allocation, or outside the block's shared or the thread's local memory.</summary>
    OutOfBounds,

    /// <summary>An access to memory that was freed, or returned to a pool.</summary>
    UseAfterFree,

    /// <summary>An address that is no multiple of the access's size.</summary>
    Misaligned,

    /// <summary>A read of memory that nobody wrote since it was handed out.</summary>
    Uninitialised,

    /// <summary>Two threads of a block touch the same shared memory, one of them writes, and no barrier lies between.</summary>
    SharedRace,

    /// <summary>Two threads of a launch touch the same global memory, one of them writes, and nothing orders them.</summary>
    GlobalRace,

    /// <summary>A barrier that part of a warp reaches, or that never completes.</summary>
    DivergentBarrier,

    /// <summary>A warp-wide instruction whose member mask does not fit the threads that execute it.</summary>
    MemberMask,

    /// <summary>Memory that cp.async is still filling was touched before the wait.</summary>
    AsyncCopyPending,

    /// <summary>A launch that the device cannot take: threads, shared memory, arguments, grid.</summary>
    LaunchLimit,

    /// <summary>assert, trap, or a call of something that does not exist.</summary>
    Trap,

    /// <summary>No thread of the launch gets further.</summary>
    NoProgress,

    /// <summary>A write to constant memory from a kernel.</summary>
    ReadOnly,

    /// <summary>A host call with a wrong pointer or size.</summary>
    HostCall,

    /// <summary>An allocation that the device has no memory for.</summary>
    OutOfMemory,

    /// <summary>Work of two streams, or of a stream and the host, touches the same memory and nothing orders it: a missing event or wait.</summary>
    StreamOrder,
}

/// <summary>A fault of a kernel or of a host call. The message names kernel, PTX line, block, thread, address and allocation as far as they apply.</summary>
public sealed class SimFault : Exception
{
    internal SimFault(FaultKind kind, string message)
        : base(message) => Kind = kind;

    /// <summary>What was found.</summary>
    public FaultKind Kind { get; }

    /// <summary>Name of the kernel; empty for host calls.</summary>
    public string Kernel { get; init; } = "";

    /// <summary>Line of the PTX text, counted from 1; 0 where none applies.</summary>
    public int Line { get; init; }

    /// <summary>Block of the thread.</summary>
    public Dim3 Block { get; init; }

    /// <summary>The thread within its block.</summary>
    public Dim3 Thread { get; init; }

    /// <summary>The address; 0 where none applies.</summary>
    public ulong Address { get; init; }

    /// <summary>A launch that needs more of something than there is, in contrast to one that asks for what no device takes.</summary>
    internal bool OutOfResources { get; init; }
}
