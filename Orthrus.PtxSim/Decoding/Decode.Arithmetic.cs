using Orthrus.PtxSim.Execution;
using Orthrus.PtxSim.Parsing;

namespace Orthrus.PtxSim.Decoding;

/// <summary>Integer and floating-point arithmetic.</summary>
internal sealed unsafe partial class FunctionDecoder
{
    private bool Arithmetic(string[] p)
    {
        if (p[0] is "add" or "sub" or "mad" && at.Has("cc") || p[0] is "addc" or "subc" or "madc")
            return Carrying(p);
        PtxType type = LastType();
        return type switch
        {
            PtxType.F32 or PtxType.F64 => p[0] is "ex2" or "lg2" or "sin" or "cos" or "tanh" or "rcp" or "rsqrt" or "sqrt" or "div"
                ? SpecialFunction(p, type)
                : type == PtxType.F32 ? Float(p) : Double(p),
            PtxType.F16 or PtxType.F16x2 or PtxType.BF16 or PtxType.BF16x2 => Half(p, type),
            _ => Integer(p, type),
        };
    }

    private bool Integer(string[] p, PtxType type)
    {
        const InstructionClass cls = InstructionClass.Integer;
        bool signed = type.IsSigned(), wide = type.Is64(), small = type.Size() == 2;
        if (p[0] is "dp4a")
        {
            // Both operands carry a sign of their own: dp4a.atype.btype.
            int x = (p[1] == "s32" ? 1 : 0) | (p[2] == "s32" ? 2 : 0);
            return Simple(&Shapes.Lane<LaneOps.Dp4a, uint, uint, uint, uint>, PtxType.U32, 3, cls, x);
        }

        switch (p[0])
        {
            case "add" when at.Has("sat"):
                return Simple(&Shapes.Lane<LaneOps.Saturating, uint, uint, uint, uint>, type, 2, cls, 0);
            case "sub" when at.Has("sat"):
                return Simple(&Shapes.Lane<LaneOps.Saturating, uint, uint, uint, uint>, type, 2, cls, 1);
            case "add":
                return Simple(wide ? &Shapes.Binary64<IntegerOps.Add64> : small ? &Shapes.Binary<IntegerOps.Add16> : &Shapes.Binary<IntegerOps.Add>, type, 2, cls);
            case "sub":
                return Simple(wide ? &Shapes.Binary64<IntegerOps.Sub64> : small ? &Shapes.Binary<IntegerOps.Sub16> : &Shapes.Binary<IntegerOps.Sub>, type, 2, cls);
            case "mul" or "mad":
                return Multiply(p, type);
            case "mul24" or "mad24":
                return Simple(&Shapes.Lane<LaneOps.Mad24, uint, uint, uint, uint>, type, p[0] == "mad24" ? 3 : 2, cls, (signed ? 1 : 0) | (at.Has("hi") ? 2 : 0));
            case "sad" when !wide && !small:
                return Simple(&Shapes.Lane<LaneOps.Sad, uint, uint, uint, uint>, type, 3, cls, signed ? 1 : 0);
            case "div":
                return small ? Simple(&Shapes.Lane<LaneOps.Short, uint, uint, uint, uint>, type, 2, cls, signed ? 1 : 0)
                    : wide ? Simple(signed ? &Shapes.Lane<LaneOps.DivS64, ulong, ulong, ulong, ulong> : &Shapes.Lane<LaneOps.DivU64, ulong, ulong, ulong, ulong>, type, 2, cls)
                    : Simple(signed ? &Shapes.Lane<LaneOps.DivS, uint, uint, uint, uint> : &Shapes.Lane<LaneOps.DivU, uint, uint, uint, uint>, type, 2, cls);
            case "rem":
                return small ? Simple(&Shapes.Lane<LaneOps.Short, uint, uint, uint, uint>, type, 2, cls, signed ? 3 : 2)
                    : wide ? Simple(signed ? &Shapes.Lane<LaneOps.RemS64, ulong, ulong, ulong, ulong> : &Shapes.Lane<LaneOps.RemU64, ulong, ulong, ulong, ulong>, type, 2, cls)
                    : Simple(signed ? &Shapes.Lane<LaneOps.RemS, uint, uint, uint, uint> : &Shapes.Lane<LaneOps.RemU, uint, uint, uint, uint>, type, 2, cls);
            case "abs":
                return small ? Simple(&Shapes.Lane<LaneOps.Short, uint, uint, uint, uint>, type, 1, cls, 8)
                    : Simple(wide ? &Shapes.Unary64<IntegerOps.Abs64> : &Shapes.Unary<IntegerOps.Abs>, type, 1, cls);
            case "neg":
                return small ? Simple(&Shapes.Lane<LaneOps.Short, uint, uint, uint, uint>, type, 1, cls, 9)
                    : Simple(wide ? &Shapes.Unary64<IntegerOps.Neg64> : &Shapes.Unary<IntegerOps.Neg>, type, 1, cls);
            case "min":
                return small ? Simple(&Shapes.Lane<LaneOps.Short, uint, uint, uint, uint>, type, 2, cls, signed ? 4 : 6)
                    : wide ? Simple(signed ? &Shapes.Binary64<IntegerOps.MinS64> : &Shapes.Binary64<IntegerOps.MinU64>, type, 2, cls)
                    : Simple(signed ? &Shapes.Binary<IntegerOps.MinS> : &Shapes.Binary<IntegerOps.MinU>, type, 2, cls);
            case "max":
                return small ? Simple(&Shapes.Lane<LaneOps.Short, uint, uint, uint, uint>, type, 2, cls, signed ? 5 : 7)
                    : wide ? Simple(signed ? &Shapes.Binary64<IntegerOps.MaxS64> : &Shapes.Binary64<IntegerOps.MaxU64>, type, 2, cls)
                    : Simple(signed ? &Shapes.Binary<IntegerOps.MaxS> : &Shapes.Binary<IntegerOps.MaxU>, type, 2, cls);
            default:
                return false;
        }
    }

    private bool Multiply(string[] p, PtxType type)
    {
        const InstructionClass cls = InstructionClass.Integer;
        bool signed = type.IsSigned(), wide = type.Is64(), small = type.Size() == 2, mad = p[0] == "mad";
        int sources = mad ? 3 : 2;
        if (at.Has("wide"))
        {
            int a = Source(at.Operands[1], type), b = Source(at.Operands[2], type);
            PtxType result = small ? PtxType.U32 : PtxType.U64;
            int c = mad ? Source(at.Operands[3], result) : -1;
            Handler handler = small
                ? mad ? signed ? &Shapes.Ternary<IntegerOps.MadWideS16> : &Shapes.Ternary<IntegerOps.MadWideU16>
                    : signed ? &Shapes.Binary<IntegerOps.MulWideS16> : &Shapes.Binary<IntegerOps.MulWideU16>
                : mad ? signed ? &Shapes.Wide<IntegerOps.Mad64, SignExtend> : &Shapes.Wide<IntegerOps.Mad64, ZeroExtend>
                    : signed ? &Shapes.Wide<IntegerOps.MulOnly64, SignExtend> : &Shapes.Wide<IntegerOps.MulOnly64, ZeroExtend>;
            Emit(handler, Destination(at.Operands[0], WidthFor(result)), a, b, c);
            return true;
        }

        if (at.Has("hi"))
        {
            if (at.Has("sat"))
                return Simple(&Shapes.Lane<LaneOps.Saturating, uint, uint, uint, uint>, type, 3, cls, 2);
            if (small)
                return !mad && Simple(&Shapes.Lane<LaneOps.Short, uint, uint, uint, uint>, type, 2, cls, signed ? 11 : 10);
            return wide
                ? Simple(signed ? &Shapes.Lane<LaneOps.MulHiS64, ulong, ulong, ulong, ulong> : &Shapes.Lane<LaneOps.MulHiU64, ulong, ulong, ulong, ulong>, type, sources, cls)
                : Simple(signed ? &Shapes.Lane<LaneOps.MulHiS, uint, uint, uint, uint> : &Shapes.Lane<LaneOps.MulHiU, uint, uint, uint, uint>, type, sources, cls);
        }

        if (mad)
            return Simple(wide ? &Shapes.Ternary64<IntegerOps.Mad64> : small ? &Shapes.Ternary<IntegerOps.Mad16> : &Shapes.Ternary<IntegerOps.Mad>, type, 3, cls);
        return Simple(wide ? &Shapes.Binary64<IntegerOps.Mul64> : small ? &Shapes.Binary<IntegerOps.Mul16> : &Shapes.Binary<IntegerOps.Mul>, type, 2, cls);
    }

    private bool Carrying(string[] p)
    {
        PtxType type = LastType();
        if (carry < 0)
        {
            carry = owner.NewRegister(RegisterWidth.Predicate);
            owner.Registers[carry].Pinned = true;
        }

        bool mad = p[0].StartsWith("mad", StringComparison.Ordinal);
        int x = (p[0].EndsWith('c') ? 1 : 0) | (at.Has("cc") ? 2 : 0) | (p[0].StartsWith("sub", StringComparison.Ordinal) ? 4 : 0) | (type.Is64() ? 8 : 0)
            | (mad ? at.Has("hi") ? 32 : 16 : 0) | (type.IsSigned() ? 64 : 0);
        int a = Source(at.Operands[1], type), b = Source(at.Operands[2], type), c = mad ? Source(at.Operands[3], type) : -1;
        Count(new Draft { Handler = &MultiwordOps.Carry, D = Destination(at.Operands[0], WidthFor(type)), A = a, B = b, C = c, X = x, Ext = [ExtEntry.Both(carry)], InPlace = true }, InstructionClass.Integer);
        return true;
    }

    private Rounding RoundingMode()
    {
        foreach (string part in at.Parts)
        {
            switch (part)
            {
                case "rz" or "rzi":
                    return Rounding.Zero;
                case "rm" or "rmi":
                    return Rounding.Down;
                case "rp" or "rpi":
                    return Rounding.Up;
                case "rna":
                    return Rounding.NearestAway;
            }
        }

        return Rounding.NearestEven;
    }

    private bool Float(string[] p)
    {
        const InstructionClass cls = InstructionClass.Float32;
        const PtxType type = PtxType.F32;
        bool flush = at.Has("ftz");
        if (at.Has("sat"))
            return Saturated(p);
        Rounding mode = RoundingMode();
        if (mode != Rounding.NearestEven && p[0] is "add" or "sub" or "mul" or "fma" or "mad")
        {
            int x = (int)mode | (p[0] == "sub" ? 8 : 0) | (p[0] is "mul" ? 16 : p[0] is "fma" or "mad" ? 32 : 0) | (flush ? 64 : 0);
            return mode != Rounding.NearestEven && Simple(&Shapes.Lane<LaneOps.Directed32, uint, uint, uint, uint>, type, p[0] is "fma" or "mad" ? 3 : 2, cls, x);
        }

        switch (p[0])
        {
            case "add":
                return Simple(flush ? &Shapes.Binary<FloatOps.Ftz<FloatOps.Add>> : &Shapes.Binary<FloatOps.Add>, type, 2, cls);
            case "sub":
                return Simple(flush ? &Shapes.Binary<FloatOps.Ftz<FloatOps.Sub>> : &Shapes.Binary<FloatOps.Sub>, type, 2, cls);
            case "mul":
                return Simple(flush ? &Shapes.Binary<FloatOps.Ftz<FloatOps.Mul>> : &Shapes.Binary<FloatOps.Mul>, type, 2, cls);
            case "fma" or "mad":
                return Simple(flush ? &Shapes.Ternary<FloatOps.FtzFma> : &Shapes.Ternary<FloatOps.Fma>, type, 3, cls);
            case "abs":
                return Simple(flush ? &Shapes.Unary<FloatOps.FtzUnary<FloatOps.Abs>> : &Shapes.Unary<FloatOps.Abs>, type, 1, cls);
            case "neg":
                return Simple(flush ? &Shapes.Unary<FloatOps.FtzUnary<FloatOps.Neg>> : &Shapes.Unary<FloatOps.Neg>, type, 1, cls);
            case "copysign":
                return Simple(&Shapes.Binary<FloatOps.CopySign>, type, 2, cls);
            case "min" or "max":
                return MinMax(p[0] == "min", at.Has("NaN"), flush);
            case "testp":
                return TestProperty(p, type);
            default:
                return false;
        }
    }

    private bool MinMax(bool min, bool nan, bool flush)
    {
        if (at.Operands.Length > 3 || at.Has("xorsign"))
            return false;
        Handler handler = (min, nan, flush) switch
        {
            (true, false, false) => &Shapes.Binary<FloatOps.Min>,
            (true, false, true) => &Shapes.Binary<FloatOps.Ftz<FloatOps.Min>>,
            (true, true, false) => &Shapes.Binary<FloatOps.NanWins<FloatOps.Min>>,
            (true, true, true) => &Shapes.Binary<FloatOps.Ftz<FloatOps.NanWins<FloatOps.Min>>>,
            (false, false, false) => &Shapes.Binary<FloatOps.Max>,
            (false, false, true) => &Shapes.Binary<FloatOps.Ftz<FloatOps.Max>>,
            (false, true, false) => &Shapes.Binary<FloatOps.NanWins<FloatOps.Max>>,
            _ => &Shapes.Binary<FloatOps.Ftz<FloatOps.NanWins<FloatOps.Max>>>,
        };
        return Simple(handler, PtxType.F32, 2, InstructionClass.Float32);
    }

    /// <summary>An operation with .sat: the same without, then a clamp that counts as part of it.</summary>
    private bool Saturated(string[] p)
    {
        Operand target = at.Operands[0];
        int d = Destination(target, RegisterWidth.Word);
        at = new PtxInstruction { Parts = [.. p.Where(part => part != "sat")], Operands = at.Operands, Guard = at.Guard, GuardNegated = at.GuardNegated, Line = at.Line, Scope = at.Scope };
        if (!Float(at.Parts))
            return false;
        Add(new Draft { Handler = &Shapes.Unary<FloatOps.Saturate>, D = d, A = d, InPlace = true });
        return true;
    }

    private bool TestProperty(string[] p, PtxType type)
    {
        int mode = Array.IndexOf(["finite", "infinite", "number", "notanumber", "normal", "subnormal"], p[1]);
        int a = Source(at.Operands[1], type), d = Destination(at.Operands[0], RegisterWidth.Predicate);
        Emit(type == PtxType.F64 ? &Shapes.LaneCompare<LaneOps.Testp64, ulong> : &Shapes.LaneCompare<LaneOps.Testp, uint>, d, a, a, imm: mode, cls: InstructionClass.Compare);
        return mode >= 0;
    }

    private bool Double(string[] p)
    {
        const InstructionClass cls = InstructionClass.Float64;
        const PtxType type = PtxType.F64;
        if (RoundingMode() != Rounding.NearestEven)
            throw Unsupported(": directed rounding exists for f32 only");
        switch (p[0])
        {
            case "add":
                return Simple(&Shapes.Binary64<FloatOps.Add64>, type, 2, cls);
            case "sub":
                return Simple(&Shapes.Binary64<FloatOps.Sub64>, type, 2, cls);
            case "mul":
                return Simple(&Shapes.Binary64<FloatOps.Mul64>, type, 2, cls);
            case "fma" or "mad":
                return Simple(&Shapes.Ternary64<FloatOps.Fma64>, type, 3, cls);
            case "abs":
                return Simple(&Shapes.Unary64<FloatOps.Abs64>, type, 1, cls);
            case "neg":
                return Simple(&Shapes.Unary64<FloatOps.Neg64>, type, 1, cls);
            case "copysign":
                return Simple(&Shapes.Binary64<FloatOps.CopySign64>, type, 2, cls);
            case "min" or "max":
                return Simple(&Shapes.Lane<LaneOps.MinMax64, double, double, double, double>, type, 2, cls, p[0] == "min" ? 0 : 1);
            case "testp":
                return TestProperty(p, type);
            default:
                return false;
        }
    }

    private bool SpecialFunction(string[] p, PtxType type)
    {
        bool approximate = at.Has("approx") || at.Has("full"), flush = at.Has("ftz");
        if (type == PtxType.F64)
        {
            const InstructionClass cls = InstructionClass.Float64;
            return p[0] switch
            {
                "div" => Simple(&Shapes.Binary64<FloatOps.Div64>, type, 2, cls),
                "sqrt" => Simple(&Shapes.Unary64<FloatOps.Sqrt64>, type, 1, cls),
                "rcp" when !approximate => Simple(&Shapes.Unary64<FloatOps.Rcp64>, type, 1, cls),
                "rcp" when flush => Simple(&Shapes.Unary64<FloatOps.GrossRcp64>, type, 1, InstructionClass.Special),
                "rsqrt" when flush => Simple(&Shapes.Unary64<FloatOps.GrossRsqrt64>, type, 1, InstructionClass.Special),
                // Without .ftz there is no such instruction of the machine: the manual has it emulated, and rsqrt(double) is nothing else.
                "rsqrt" => Simple(&Shapes.Unary64<FloatOps.Rsqrt64>, type, 1, cls),
                _ => false,
            };
        }

        if (RoundingMode() != Rounding.NearestEven)
            return false;
        if (p[0] == "div")
            return Simple(flush ? &Shapes.Binary<FloatOps.Ftz<FloatOps.Div>> : &Shapes.Binary<FloatOps.Div>, type, 2, InstructionClass.Special);
        if (!approximate)
        {
            return p[0] switch
            {
                "sqrt" => Simple(flush ? &Shapes.Unary<FloatOps.FtzUnary<FloatOps.Sqrt>> : &Shapes.Unary<FloatOps.Sqrt>, type, 1, InstructionClass.Special),
                "rcp" => Simple(flush ? &Shapes.Unary<FloatOps.FtzUnary<FloatOps.Rcp>> : &Shapes.Unary<FloatOps.Rcp>, type, 1, InstructionClass.Special),
                _ => false,
            };
        }

        Handler handler = p[0] switch
        {
            "ex2" => &SpecialFunctions.Run<SpecialFunctions.Exp2>,
            "lg2" => &SpecialFunctions.Run<SpecialFunctions.Log2>,
            "sin" => &SpecialFunctions.Run<SpecialFunctions.Sin>,
            "cos" => &SpecialFunctions.Run<SpecialFunctions.Cos>,
            "tanh" => &SpecialFunctions.Run<SpecialFunctions.Tanh>,
            "rcp" => &SpecialFunctions.Run<SpecialFunctions.Rcp>,
            "rsqrt" => &SpecialFunctions.Run<SpecialFunctions.Rsqrt>,
            _ => &SpecialFunctions.Run<SpecialFunctions.Sqrt>,
        };

        // Documented errors: ulp where positive, powers of two of an absolute error where negative; tanh's 2^-11 relative is 2^12 ulp.
        long error = p[0] switch { "ex2" => 2, "lg2" => -22, "sin" or "cos" => -21, "tanh" => 4096, "rcp" => 1, "rsqrt" => 2, _ => 3 };
        Emit(handler, Destination(at.Operands[0], RegisterWidth.Word), Source(at.Operands[1], type), x: flush ? 1 : 0, imm: error, cls: InstructionClass.Special);
        return true;
    }

    private bool Half(string[] p, PtxType type)
    {
        int operation = p[0] switch { "add" => 0, "sub" => 1, "mul" => 2, "fma" => 3, "neg" => 4, "abs" => 5, "min" => 6, "max" => 7, "ex2" => 8, "tanh" => 9, _ => -1 };
        if (operation < 0 || at.Has("ftz") || RoundingMode() != Rounding.NearestEven)
            return false;
        int x = operation | (type is PtxType.BF16 or PtxType.BF16x2 ? 16 : 0) | (type is PtxType.F16x2 or PtxType.BF16x2 ? 32 : 0)
            | (at.Has("relu") ? 64 : 0) | (at.Has("NaN") ? 128 : 0) | (at.Has("sat") ? 256 : 0);
        int sources = operation == 3 ? 3 : operation is 4 or 5 or 8 or 9 ? 1 : 2;
        return Simple(&Shapes.Lane<LaneOps.HalfArithmetic, uint, uint, uint, uint>, type, sources, operation is 8 or 9 ? InstructionClass.Special : InstructionClass.Half, x);
    }
}
