namespace Orthrus.PtxSim.Parsing;

internal enum StateSpace : byte
{
    Generic,
    Register,
    Parameter,
    Global,
    Shared,
    Local,
    Constant,
}

internal enum PtxType : byte
{
    None,
    Pred,
    B8,
    U8,
    S8,
    B16,
    U16,
    S16,
    F16,
    BF16,
    B32,
    U32,
    S32,
    F32,
    F16x2,
    BF16x2,
    TF32,
    B64,
    U64,
    S64,
    F64,
    B128,
}

internal static class PtxTypes
{
    public static PtxType Parse(ReadOnlySpan<char> name) => name switch
    {
        "pred" => PtxType.Pred,
        "b8" => PtxType.B8,
        "u8" => PtxType.U8,
        "s8" => PtxType.S8,
        "b16" => PtxType.B16,
        "u16" => PtxType.U16,
        "s16" => PtxType.S16,
        "f16" => PtxType.F16,
        "bf16" => PtxType.BF16,
        "b32" => PtxType.B32,
        "u32" => PtxType.U32,
        "s32" => PtxType.S32,
        "f32" => PtxType.F32,
        "f16x2" => PtxType.F16x2,
        "bf16x2" => PtxType.BF16x2,
        "tf32" => PtxType.TF32,
        "b64" => PtxType.B64,
        "u64" => PtxType.U64,
        "s64" => PtxType.S64,
        "f64" => PtxType.F64,
        "b128" => PtxType.B128,
        _ => PtxType.None,
    };

    /// <summary>Bytes in memory; 0 for predicates.</summary>
    public static int Size(this PtxType type) => type switch
    {
        PtxType.None or PtxType.Pred => 0,
        <= PtxType.S8 => 1,
        <= PtxType.BF16 => 2,
        <= PtxType.TF32 => 4,
        <= PtxType.F64 => 8,
        _ => 16,
    };

    public static bool IsSigned(this PtxType type) => type is PtxType.S8 or PtxType.S16 or PtxType.S32 or PtxType.S64;

    public static bool IsFloat(this PtxType type) => type is PtxType.F16 or PtxType.BF16 or PtxType.F32 or PtxType.F16x2 or PtxType.BF16x2 or PtxType.TF32 or PtxType.F64;

    public static bool Is64(this PtxType type) => type is PtxType.B64 or PtxType.U64 or PtxType.S64 or PtxType.F64;
}

internal enum OperandKind : byte
{
    /// <summary>A name: register, special register, label, variable or function.</summary>
    Name,
    Integer,
    Float32,
    Float64,
    /// <summary>[base+offset]; the base is empty for an absolute address.</summary>
    Address,
    Vector,
    /// <summary>The blank destination "_".</summary>
    Sink,
}

/// <summary>An operand as written.</summary>
internal sealed class Operand
{
    public required OperandKind Kind { get; init; }

    public string Name { get; init; } = "";

    /// <summary>A second destination predicate, as in p|q.</summary>
    public string? Pair { get; init; }

    /// <summary>A predicate source with '!'.</summary>
    public bool Negated { get; init; }

    public long Value { get; init; }

    public Operand[] Items { get; init; } = [];
}

/// <summary>Parts of a call: return values, function (or register), arguments.</summary>
internal sealed record CallParts(string[] Returns, string Target, Operand[] Arguments);

/// <summary>An instruction as written. <see cref="Parts"/> is the opcode cut at its dots.</summary>
internal sealed class PtxInstruction
{
    public required string[] Parts { get; init; }

    public required Operand[] Operands { get; init; }

    public string? Guard { get; init; }

    public bool GuardNegated { get; init; }

    public CallParts? Call { get; init; }

    public required int Line { get; init; }

    /// <summary>The innermost block of the instruction, for labels.</summary>
    public required int Scope { get; init; }

    public string Opcode => string.Join('.', Parts);

    public bool Has(string modifier) => Array.IndexOf(Parts, modifier, 1) > 0;
}

/// <summary>A value that depends on where a variable lies, inside an initialiser.</summary>
internal readonly record struct Relocation(int Offset, string Symbol, long Addend, bool Generic);

/// <summary>A declared variable, parameter or (with <see cref="Count"/>) numbered family of registers.</summary>
internal sealed class PtxVariable
{
    public required string Name { get; set; }

    public required StateSpace Space { get; init; }

    public required PtxType Type { get; init; }

    public int Lanes { get; init; } = 1;

    public int Align { get; init; }

    /// <summary>Array elements; 1 for scalars, 0 for extern arrays of open size.</summary>
    public long Elements { get; init; } = 1;

    /// <summary>Number of registers of a family like %r&lt;5&gt;; 0 for a single name.</summary>
    public int Count { get; init; }

    public bool IsExtern { get; init; }

    public byte[]? Initial { get; set; }

    public List<Relocation> Relocations { get; } = [];

    public required int Line { get; init; }

    public long Bytes => Math.Max(1, Type.Size()) * Lanes * Elements;

    public int Alignment => Math.Max(Align, Math.Max(1, Type.Size()) * Lanes);
}

/// <summary>A kernel or device function as written, nested blocks flattened and their names made unique.</summary>
internal sealed class PtxFunction
{
    public required string Name { get; init; }

    public required bool IsEntry { get; init; }

    public required int Line { get; init; }

    public List<PtxVariable> Returns { get; } = [];

    public List<PtxVariable> Parameters { get; } = [];

    public List<PtxVariable> Variables { get; } = [];

    public List<PtxInstruction> Instructions { get; } = [];

    /// <summary>Label, with the number of its block, to the index of the next instruction.</summary>
    public Dictionary<(int Scope, string Name), int> Labels { get; } = [];

    /// <summary>Outer block of each block; block 0 is the body.</summary>
    public List<int> ScopeParents { get; } = [-1];

    /// <summary>Lists declared by .branchtargets.</summary>
    public Dictionary<string, string[]> BranchTargets { get; } = [];

    public int MaxThreads { get; set; }

    public (int X, int Y, int Z) RequiredThreads { get; set; }

    public bool HasBody { get; set; }
}
