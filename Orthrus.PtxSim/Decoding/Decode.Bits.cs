using Orthrus.PtxSim.Execution;
using Orthrus.PtxSim.Parsing;

namespace Orthrus.PtxSim.Decoding;

/// <summary>Logic, shifts, bit fields.</summary>
internal sealed unsafe partial class FunctionDecoder
{
    private bool Bits(string[] p)
    {
        const InstructionClass cls = InstructionClass.Integer;
        PtxType type = LastType();
        if (type == PtxType.Pred)
            return PredicateLogic(p);
        bool wide = type.Is64(), signed = type.IsSigned(), small = type.Size() == 2;
        switch (p[0])
        {
            case "and":
                return Simple(wide ? &Shapes.Binary64<IntegerOps.And64> : &Shapes.Binary<IntegerOps.And>, type, 2, cls);
            case "or":
                return Simple(wide ? &Shapes.Binary64<IntegerOps.Or64> : &Shapes.Binary<IntegerOps.Or>, type, 2, cls);
            case "xor":
                return Simple(wide ? &Shapes.Binary64<IntegerOps.Xor64> : &Shapes.Binary<IntegerOps.Xor>, type, 2, cls);
            case "not":
                return Simple(wide ? &Shapes.Unary64<IntegerOps.Not64> : small ? &Shapes.Unary<IntegerOps.Not16> : &Shapes.Unary<IntegerOps.Not>, type, 1, cls);
            case "cnot" when !wide:
                return Simple(&Shapes.Lane<LaneOps.Cnot, uint, uint, uint, uint>, type, 1, cls);
            case "shl" or "shr":
                return Shifted(p[0] == "shl", type);
            case "shf":
                return Mixed(&MultiwordOps.Funnel, PtxType.B32, [PtxType.B32, PtxType.B32, PtxType.U32], (at.Has("r") ? 1 : 0) | (at.Has("clamp") ? 2 : 0));
            case "lop3" when at.Operands.Length == 5:
            {
                int a = Source(at.Operands[1], type), b = Source(at.Operands[2], type), c = Source(at.Operands[3], type);
                Emit(&MultiwordOps.Logic, Destination(at.Operands[0], RegisterWidth.Word), a, b, c, (int)at.Operands[4].Value & 255);
                return true;
            }

            case "prmt":
                return Permute(p);
            case "bfe":
                return wide ? Mixed(&Shapes.Lane<LaneOps.Bfe64, ulong, ulong, uint, uint>, type, [type, PtxType.U32, PtxType.U32], signed ? 1 : 0)
                    : signed ? Simple(&Shapes.Lane<LaneOps.Bfe, uint, uint, uint, uint>, type, 3, cls, 1)
                    : Simple(&MultiwordOps.ExtractUnsigned, type, 3, cls);
            case "bfi":
            {
                int a = Source(at.Operands[1], type), b = Source(at.Operands[2], type), c = Source(at.Operands[3], PtxType.U32), length = Source(at.Operands[4], PtxType.U32);
                Count(new Draft { Handler = &MultiwordOps.Insert, D = Destination(at.Operands[0], WidthFor(type)), A = a, B = b, C = c, X = wide ? 1 : 0, Ext = [ExtEntry.Use(length)], InPlace = true }, cls);
                return true;
            }

            case "bfind":
            {
                int x = (signed ? 1 : 0) | (at.Has("shiftamt") ? 2 : 0);
                return wide ? Mixed(&Shapes.Lane<LaneOps.Bfind64, uint, ulong, uint, uint>, PtxType.U32, [type], x)
                    : Mixed(&Shapes.Lane<LaneOps.Bfind, uint, uint, uint, uint>, PtxType.U32, [type], x);
            }

            case "popc":
                return Mixed(wide ? &Shapes.Lane<LaneOps.Popc64, uint, ulong, uint, uint> : &Shapes.Lane<LaneOps.Popc, uint, uint, uint, uint>, PtxType.U32, [type], 0);
            case "clz":
                return Mixed(wide ? &Shapes.Lane<LaneOps.Clz64, uint, ulong, uint, uint> : &Shapes.Lane<LaneOps.Clz, uint, uint, uint, uint>, PtxType.U32, [type], 0);
            case "brev":
                return Simple(wide ? &Shapes.Lane<LaneOps.Brev64, ulong, ulong, uint, uint> : &Shapes.Lane<LaneOps.Brev, uint, uint, uint, uint>, type, 1, cls);
            case "fns":
                return Simple(&Shapes.Lane<LaneOps.Fns, uint, uint, uint, uint>, PtxType.B32, 3, cls);
            default:
                return false;
        }
    }

    /// <summary>Operands of different types.</summary>
    private bool Mixed(Handler handler, PtxType result, ReadOnlySpan<PtxType> sources, int x)
    {
        int a = Source(at.Operands[1], sources[0]);
        int b = sources.Length > 1 ? Source(at.Operands[2], sources[1]) : -1;
        int c = sources.Length > 2 ? Source(at.Operands[3], sources[2]) : -1;
        Count(new Draft { Handler = handler, D = Destination(at.Operands[0], WidthFor(result)), A = a, B = b, C = c, X = x }, InstructionClass.Integer);
        return true;
    }

    private bool Shifted(bool left, PtxType type)
    {
        bool signed = type.IsSigned();
        Handler handler = type.Size() switch
        {
            8 => left ? &Shapes.Shift64<IntegerOps.Shl64> : signed ? &Shapes.Shift64<IntegerOps.ShrS64> : &Shapes.Shift64<IntegerOps.ShrU64>,
            2 => left ? &Shapes.Binary<IntegerOps.Shl16> : signed ? &Shapes.Binary<IntegerOps.ShrS16> : &Shapes.Binary<IntegerOps.ShrU16>,
            _ => left ? &Shapes.Binary<IntegerOps.Shl> : signed ? &Shapes.Binary<IntegerOps.ShrS> : &Shapes.Binary<IntegerOps.ShrU>,
        };
        return Mixed(handler, type, [type, PtxType.U32], 0);
    }

    private bool Permute(string[] p)
    {
        Operand selector = at.Operands[3];
        int mode = p.Length > 2 ? Array.IndexOf(["f4e", "b4e", "rc8", "ecl", "ecr", "rc16"], p[2]) + 1 : 0;
        if (mode == 0 && selector.Kind == OperandKind.Integer && (selector.Value & 0x8888) == 0)
        {
            int a = Source(at.Operands[1], PtxType.B32), b = Source(at.Operands[2], PtxType.B32);
            Emit(&MultiwordOps.PermuteConstant, Destination(at.Operands[0], RegisterWidth.Word), a, b, imm: selector.Value);
            return true;
        }

        return Simple(&Shapes.Lane<LaneOps.Prmt, uint, uint, uint, uint>, PtxType.B32, 3, InstructionClass.Integer, mode);
    }

    private bool PredicateLogic(string[] p)
    {
        int x = p[0] switch { "and" => 1, "or" => 2, "xor" => 3, "not" => 4, _ => -1 };
        if (x < 0)
            return false;
        int a = PredicateSource(at.Operands[1]);
        int b = x < 4 ? PredicateSource(at.Operands[2]) : -1;
        Emit(&MultiwordOps.Predicate, Destination(at.Operands[0], RegisterWidth.Predicate), a, b, x: x);
        return true;
    }

    /// <summary>A predicate operand, negation resolved by a helper, or a constant.</summary>
    private int PredicateSource(Operand operand)
    {
        if (operand.Kind == OperandKind.Integer)
            return owner.Constant(RegisterWidth.Predicate, operand.Value != 0 ? 1ul : 0);
        int p = Predicate(operand.Name);
        if (!operand.Negated)
            return p;
        int d = Temporary(RegisterWidth.Predicate);
        Add(new Draft { Handler = &MultiwordOps.Predicate, D = d, A = p, X = 4, InPlace = true });
        return d;
    }
}
