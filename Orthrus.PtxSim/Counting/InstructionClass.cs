namespace Orthrus.PtxSim;

/// <summary>Kinds of PTX instructions by the unit that executes them.</summary>
public enum InstructionClass
{
    /// <summary>mov, address space conversions: mostly free in machine code.</summary>
    Move,

    /// <summary>Integer and bit arithmetic, logic of predicates.</summary>
    Integer,

    /// <summary>f32 add, multiply, fused multiply-add, minimum and the like.</summary>
    Float32,

    /// <summary>f64 arithmetic.</summary>
    Float64,

    /// <summary>16-bit floating-point arithmetic.</summary>
    Half,

    /// <summary>ex2, lg2, rcp, rsqrt, sqrt, sin, cos, tanh; IEEE division and square root count once here although they take a sequence.</summary>
    Special,

    /// <summary>cvt.</summary>
    Conversion,

    /// <summary>setp, set, selp, slct.</summary>
    Compare,

    /// <summary>bra, brx, call, ret, exit.</summary>
    Branch,

    /// <summary>Barriers and fences.</summary>
    Barrier,

    /// <summary>Shuffles, votes, matches, reductions over a warp.</summary>
    Warp,

    /// <summary>Loads from global memory, generic loads.</summary>
    LoadGlobal,

    /// <summary>Stores to global memory, generic stores.</summary>
    StoreGlobal,

    /// <summary>Loads from shared memory.</summary>
    LoadShared,

    /// <summary>Stores to shared memory.</summary>
    StoreShared,

    /// <summary>Loads and stores of local memory (spills, arrays, stack).</summary>
    Local,

    /// <summary>Loads of kernel parameters and constant memory.</summary>
    Constant,

    /// <summary>atom and red.</summary>
    Atomic,

    /// <summary>cp.async, its commits and waits.</summary>
    AsyncCopy,

    /// <summary>ldmatrix.</summary>
    LoadMatrix,

    /// <summary>mma.</summary>
    Matrix,

    /// <summary>Anything else.</summary>
    Other,
}
