using Orthrus.PtxSim.Parsing;

namespace Orthrus.PtxSim.Decoding;

internal enum ExtKind : byte
{
    Raw,
    Use,
    Def,
    Both,
}

/// <summary>An entry of an instruction's operand list: a register by number, or a raw value.</summary>
internal readonly record struct ExtEntry(int Value, ExtKind Kind)
{
    public static ExtEntry Raw(int value) => new(value, ExtKind.Raw);

    public static ExtEntry Use(int register) => new(register, ExtKind.Use);

    public static ExtEntry Def(int register) => new(register, ExtKind.Def);

    public static ExtEntry Both(int register) => new(register, ExtKind.Both);
}

/// <summary>An instruction between decoding and the final layout: operands are register numbers, branch targets are labels.</summary>
internal sealed unsafe class Draft
{
    public Handler Handler { get; init; }

    public int D { get; set; } = -1;

    public int A { get; set; } = -1;

    public int B { get; set; } = -1;

    public int C { get; set; } = -1;

    public ExtEntry[] Ext { get; init; } = [];

    public long Imm { get; init; }

    public int X { get; init; }

    /// <summary>A and B are raw numbers, not registers.</summary>
    public bool RawOperands { get; init; }

    public int Guard { get; set; } = -1;

    public bool GuardNegated { get; set; }

    /// <summary>Results may share a slot with operands that end here.</summary>
    public bool InPlace { get; init; }

    public bool EndsBlock { get; init; }

    /// <summary>Execution never goes on with the next instruction when unguarded.</summary>
    public bool Leaves { get; init; }

    /// <summary>Targets in the instructions of the function as written.</summary>
    public int[] Targets { get; init; } = [];

    /// <summary>The handler wants a list of targets even for one.</summary>
    public bool TargetTable { get; init; }

    public PtxFunction? Callee { get; init; }

    /// <summary>Other forms of the instruction that the handler chooses from, laid out behind <see cref="Instr.Cache"/>.</summary>
    public Draft[] Forms { get; init; } = [];

    public int Line { get; set; }

    public string Opcode { get; set; } = "";

    public InstructionClass Class { get; set; } = InstructionClass.Other;

    /// <summary>Whether it counts as an executed instruction; helpers of the decoder do not.</summary>
    public bool Counted { get; set; }

    /// <summary>Floating-point operations of an mma.</summary>
    public int MatrixFlops { get; init; }

    public MatrixRate MatrixRate { get; init; }

    public IEnumerable<int> Uses()
    {
        if (!RawOperands)
        {
            if (A >= 0)
                yield return A;
            if (B >= 0)
                yield return B;
        }

        if (C >= 0)
            yield return C;
        foreach (ExtEntry entry in Ext)
        {
            if (entry.Kind is ExtKind.Use or ExtKind.Both)
                yield return entry.Value;
        }

        if (Guard >= 0)
            yield return Guard;
        foreach (Draft form in Forms)
        {
            foreach (int use in form.Uses())
                yield return use;
        }
    }

    public IEnumerable<int> Defs()
    {
        if (D >= 0)
            yield return D;
        foreach (ExtEntry entry in Ext)
        {
            if (entry.Kind is ExtKind.Def or ExtKind.Both)
                yield return entry.Value;
        }
    }
}

/// <summary>Kinds of mma that the tensor cores do at rates of their own.</summary>
internal enum MatrixRate : byte
{
    /// <summary>bf16 or f16, summed in f32.</summary>
    Half,

    /// <summary>f16, summed in f16.</summary>
    HalfSum,
    Tf32,
}

internal enum RegisterWidth : byte
{
    Predicate,
    Word,
    Double,
}

/// <summary>What fills a register that no instruction writes.</summary>
internal enum ConstantSource : byte
{
    None,
    Immediate,
    Parameter,
    ThreadX,
    ThreadY,
    ThreadZ,
    BlockX,
    BlockY,
    BlockZ,
    SizeX,
    SizeY,
    SizeZ,
    GridX,
    GridY,
    GridZ,
    Lane,
    WarpIndex,
    WarpCount,
    MaskEq,
    MaskLt,
    MaskLe,
    MaskGt,
    MaskGe,
    Multiprocessor,
    Multiprocessors,
    DynamicShared,
    TotalShared,
}

/// <summary>A virtual register. Constants have a source; parameters keep offset and element in <see cref="Bits"/>.</summary>
internal sealed class VirtualRegister
{
    public required RegisterWidth Width { get; init; }

    public ConstantSource Source { get; init; }

    public ulong Bits { get; init; }

    public PtxType Type { get; init; }

    /// <summary>Byte offset in the frame once laid out.</summary>
    public int Offset { get; set; } = -1;

    /// <summary>First and last position where the value matters.</summary>
    public int Start { get; set; } = int.MaxValue;

    public int End { get; set; } = -1;

    /// <summary>Lives through the whole function.</summary>
    public bool Pinned { get; set; }
}

/// <summary>What messages and counters know of an instruction.</summary>
internal sealed record InstrInfo(int Line, string Opcode, InstructionClass Class);
