using System.Runtime.InteropServices;
using Orthrus.PtxSim.Execution;

namespace Orthrus.PtxSim.Decoding;

/// <summary>
/// A decoded instruction. Operands are byte offsets into the register frame of a warp: a 32-bit register takes 32 lanes x 4 bytes, a 64-bit
/// register 32 x 8, a predicate one uint with a bit for each lane. The handler returns the next instruction, or null when the warp stops for now.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct Instr
{
    public delegate*<Core, Instr*, byte*, uint, Instr*> Handler;

    /// <summary>Offset of the guard predicate and the mask that inverts it.</summary>
    public int Guard;
    public uint GuardFlip;

    public int D;
    public int A;
    public int B;
    public int C;

    /// <summary>Further operand offsets (vectors, fragments, second destinations).</summary>
    public int* Ext;

    /// <summary>Address offset, or what the handler says.</summary>
    public long Imm;

    /// <summary>What the handler says: mode bits, counts.</summary>
    public int X;

    /// <summary>Index of the instruction in its program, for lines and counters.</summary>
    public int Index;

    /// <summary>Branch target, or memory that the handler keeps between executions.</summary>
    public void* Cache;
}
