using Orthrus.PtxSim.Execution;
using Orthrus.PtxSim.Parsing;

namespace Orthrus.PtxSim.Decoding;

/// <summary>mov with its packed forms, selections, comparisons, conversions.</summary>
internal sealed unsafe partial class FunctionDecoder
{
    private bool Moving(string[] p) => p[0] switch
    {
        "mov" => Move(p),
        "cvt" => ConvertType(p),
        "setp" or "set" => Comparison(p),
        _ => Selection(p),
    };

    private bool Move(string[] p)
    {
        PtxType type = LastType();
        Operand target = at.Operands[0], source = at.Operands[1];
        if (type == PtxType.Pred)
        {
            Emit(&MultiwordOps.Predicate, Destination(target, RegisterWidth.Predicate), PredicateSource(source), cls: InstructionClass.Move);
            return true;
        }

        if (source.Kind == OperandKind.Vector)
            return Pack(target, source.Items, type);
        if (target.Kind == OperandKind.Vector)
            return Unpack(target.Items, source, type);
        if (source.Kind == OperandKind.Name && source.Name is "%clock" or "%clock64" or "%globaltimer" or "%clock_hi" or "%globaltimer_lo" or "%globaltimer_hi")
        {
            Emit(type.Is64() ? &Core.ReadClock64 : &Core.ReadClock, Destination(target, WidthFor(type)), cls: InstructionClass.Move);
            return true;
        }

        int a = Source(source, type);
        Emit(type.Is64() ? &Shapes.Unary64<IntegerOps.Move64> : &Shapes.Unary<IntegerOps.Move>, Destination(target, WidthFor(type)), a, cls: InstructionClass.Move);
        return true;
    }

    private bool Pack(Operand target, Operand[] items, PtxType type)
    {
        int d = Destination(target, WidthFor(type));
        if (type.Is64() && items.Length == 2)
            Emit(&MultiwordOps.Pack64, d, Source(items[0], PtxType.B32), Source(items[1], PtxType.B32), cls: InstructionClass.Move);
        else if (type.Is64() && items.Length == 4)
        {
            int low = Helper(&Shapes.Binary<IntegerOps.Pack16>, RegisterWidth.Word, Source(items[0], PtxType.B16), Source(items[1], PtxType.B16));
            int high = Helper(&Shapes.Binary<IntegerOps.Pack16>, RegisterWidth.Word, Source(items[2], PtxType.B16), Source(items[3], PtxType.B16));
            Emit(&MultiwordOps.Pack64, d, low, high, cls: InstructionClass.Move);
        }
        else if (type.Size() == 4 && items.Length == 2)
            Emit(&Shapes.Binary<IntegerOps.Pack16>, d, Source(items[0], PtxType.B16), Source(items[1], PtxType.B16), cls: InstructionClass.Move);
        else if (type.Size() == 4 && items.Length == 4)
        {
            int low = Bytes(items[0], items[1]), high = Bytes(items[2], items[3]);
            Emit(&Shapes.Binary<IntegerOps.Pack16>, d, low, high, cls: InstructionClass.Move);
        }
        else if (type.Size() == 2 && items.Length == 2)
            Emit(&Shapes.Binary<IntegerOps.Pack8>, d, Source(items[0], PtxType.B8), Source(items[1], PtxType.B8), cls: InstructionClass.Move);
        else
            return false;
        return true;
    }

    private int Bytes(Operand low, Operand high) => Helper(&Shapes.Binary<IntegerOps.Pack8>, RegisterWidth.Word, Source(low, PtxType.B8), Source(high, PtxType.B8));

    private bool Unpack(Operand[] items, Operand source, PtxType type)
    {
        int a = Source(source, type);
        int bits = type.Size() * 8 / items.Length;
        if (bits is not (8 or 16 or 32))
            return false;
        long mask = bits == 32 ? uint.MaxValue : (1L << bits) - 1;
        for (int k = 0; k < items.Length; k++)
        {
            if (items[k].Kind == OperandKind.Sink && counted)
                continue;
            int d = Destination(items[k], RegisterWidth.Word);
            Handler handler = type.Is64() ? &Shapes.Narrow : (bits, k) switch { (16, 0) => &Shapes.Unary<IntegerOps.Zero16>, (16, 1) when type.Size() == 4 => &Shapes.Unary<IntegerOps.High16>, _ => &Shapes.ExtractBits };
            Count(new Draft { Handler = handler, D = d, A = a, X = k * bits, Imm = mask, InPlace = true }, InstructionClass.Move);
        }

        return true;
    }

    private bool Selection(string[] p)
    {
        PtxType type = LastType();
        bool wide = type.Is64();
        if (p[0] == "slct")
        {
            // slct.dtype.ctype d, a, b, c: a where c >= 0.
            PtxType dtype = PtxTypes.Parse(p[^2]);
            int test = Temporary(RegisterWidth.Predicate), zero = owner.Constant(RegisterWidth.Word, 0), c = Source(at.Operands[3], type);
            Add(new Draft { Handler = type == PtxType.F32 ? &Shapes.Compare<CompareOps.LeF> : &Shapes.Compare<CompareOps.LeS>, D = test, A = zero, B = c });
            int x = Source(at.Operands[1], dtype), y = Source(at.Operands[2], dtype);
            Emit(dtype.Is64() ? &MultiwordOps.Select64 : &MultiwordOps.Select, Destination(at.Operands[0], WidthFor(dtype)), x, y, test, cls: InstructionClass.Compare);
            return true;
        }

        if (type == PtxType.Pred)
            return false;
        int a = Source(at.Operands[1], type), b = Source(at.Operands[2], type), q = PredicateSource(at.Operands[3]);
        Emit(wide ? &MultiwordOps.Select64 : &MultiwordOps.Select, Destination(at.Operands[0], WidthFor(type)), a, b, q, cls: InstructionClass.Compare);
        return true;
    }

    private bool Comparison(string[] p)
    {
        bool set = p[0] == "set";
        PtxType type = LastType(), result = set ? PtxTypes.Parse(p[^2]) : PtxType.Pred;
        string name = p[1];
        int combine = at.Has("and") ? 1 : at.Has("or") ? 2 : at.Has("xor") ? 3 : 0;
        Operand target = at.Operands[0];
        int a = Source(at.Operands[1], type), b = Source(at.Operands[2], type);
        int c = -1, x = combine;
        if (combine != 0)
            c = PredicateSource(at.Operands[3]);
        ExtEntry[] ext = [];
        int d;
        if (set)
        {
            d = Destination(target, RegisterWidth.Word);
            x |= result == PtxType.F32 ? 32 : 16;
        }
        else
        {
            d = Destination(target, RegisterWidth.Predicate);
            if (target.Pair is not null and not "_")
            {
                x |= 8;
                ext = [ExtEntry.Def(Predicate(target.Pair))];
            }
        }

        int mode = 0;
        bool swap = false;
        Handler handler = type switch
        {
            PtxType.F64 => Compare64(name, out mode),
            PtxType.F16 or PtxType.BF16 => CompareHalf(name, type, out mode),
            PtxType.F32 => CompareFloat(name, at.Has("ftz"), out swap),
            PtxType.F16x2 or PtxType.BF16x2 => null,
            _ => CompareInteger(name, type, ref a, ref b, out swap),
        };
        if (handler == null)
            return false;
        if (swap)
            (a, b) = (b, a);
        Count(new Draft { Handler = handler, D = d, A = a, B = b, C = c, X = x, Imm = mode, Ext = ext }, InstructionClass.Compare);
        return true;
    }

    private static Handler Compare64(string name, out int mode)
    {
        mode = FloatMode(name);
        return mode < 0 ? null : &Shapes.LaneCompare<LaneOps.Compare64, double>;
    }

    private static Handler CompareHalf(string name, PtxType type, out int mode)
    {
        mode = FloatMode(name);
        if (mode < 0)
            return null;
        mode |= type == PtxType.BF16 ? 16 : 0;
        return &Shapes.LaneCompare<LaneOps.CompareHalf, uint>;
    }

    private static int FloatMode(string name) => Array.IndexOf(["eq", "ne", "lt", "le", "gt", "ge", "equ", "neu", "ltu", "leu", "gtu", "geu", "num", "nan"], name);

    /// <summary>Greater is less with operands exchanged; unordered is the negation of the ordered opposite.</summary>
    private static Handler CompareFloat(string name, bool flush, out bool swap)
    {
        swap = name is "gt" or "ge" or "ltu" or "leu";
        return name switch
        {
            "eq" => flush ? &Shapes.Compare<CompareOps.FtzEq> : &Shapes.Compare<CompareOps.EqF>,
            "ne" => flush ? &Shapes.Compare<CompareOps.FtzNe> : &Shapes.Compare<CompareOps.NeF>,
            "lt" or "gt" => flush ? &Shapes.Compare<CompareOps.FtzLt> : &Shapes.Compare<CompareOps.LtF>,
            "le" or "ge" => flush ? &Shapes.Compare<CompareOps.FtzLe> : &Shapes.Compare<CompareOps.LeF>,
            "equ" => flush ? &Shapes.Compare<CompareOps.NotF<CompareOps.FtzNe>> : &Shapes.Compare<CompareOps.NotF<CompareOps.NeF>>,
            "neu" => flush ? &Shapes.Compare<CompareOps.NotF<CompareOps.FtzEq>> : &Shapes.Compare<CompareOps.NotF<CompareOps.EqF>>,
            // a <u b is not (b <= a), a >u b is not (a <= b).
            "ltu" or "gtu" => flush ? &Shapes.Compare<CompareOps.NotF<CompareOps.FtzLe>> : &Shapes.Compare<CompareOps.NotF<CompareOps.LeF>>,
            "leu" or "geu" => flush ? &Shapes.Compare<CompareOps.NotF<CompareOps.FtzLt>> : &Shapes.Compare<CompareOps.NotF<CompareOps.LtF>>,
            "num" => &Shapes.Compare<CompareOps.Num>,
            "nan" => &Shapes.Compare<CompareOps.NotF<CompareOps.Num>>,
            _ => null,
        };
    }

    private Handler CompareInteger(string name, PtxType type, ref int a, ref int b, out bool swap)
    {
        bool wide = type.Is64(), signed = type.IsSigned() && name is not ("lo" or "ls" or "hi" or "hs");
        if (type.Size() == 2 && signed)
        {
            a = Helper(&Shapes.Unary<IntegerOps.Sign16>, RegisterWidth.Word, a);
            b = Helper(&Shapes.Unary<IntegerOps.Sign16>, RegisterWidth.Word, b);
        }

        swap = name is "gt" or "ge" or "hi" or "hs";
        switch (name)
        {
            case "eq":
                return wide ? &Shapes.Compare64<CompareOps.Eq64> : &Shapes.Compare<CompareOps.Eq>;
            case "ne":
                return wide ? &Shapes.Compare64<CompareOps.Ne64> : &Shapes.Compare<CompareOps.Ne>;
            case "lt" or "gt" or "lo" or "hi":
                return wide ? signed ? &Shapes.Compare64<CompareOps.LtS64> : &Shapes.Compare64<CompareOps.LtU64> : signed ? &Shapes.Compare<CompareOps.LtS> : &Shapes.Compare<CompareOps.LtU>;
            case "le" or "ge" or "ls" or "hs":
                return wide ? signed ? &Shapes.Compare64<CompareOps.LeS64> : &Shapes.Compare64<CompareOps.LeU64> : signed ? &Shapes.Compare<CompareOps.LeS> : &Shapes.Compare<CompareOps.LeU>;
            default:
                return null;
        }
    }

    private bool ConvertType(string[] p)
    {
        if (p[1] == "pack")
            return false;
        PtxType from = LastType(), to = PtxTypes.Parse(p[^2]);
        if (from == PtxType.None || to == PtxType.None)
            return false;
        bool saturate = at.Has("sat") || at.Has("satfinite"), flush = at.Has("ftz"), relu = at.Has("relu");
        Rounding mode = RoundingMode();
        bool toInteger = Array.Exists(p, s => s is "rni" or "rzi" or "rmi" or "rpi");
        int d = Destination(at.Operands[0], ConvertWidth(at.Operands[0], to));
        bool pair = to is PtxType.F16x2 or PtxType.BF16x2;
        int a = ConvertSource(at.Operands[1], from), b = pair ? ConvertSource(at.Operands[2], from) : -1;
        Handler handler = saturate || flush || relu ? null : Fast(to, from, mode, toInteger);
        if (handler != null && IsWide(d) == to.Is64())
        {
            // In 16-bit registers signed bytes stay 16 bits wide.
            Count(new Draft { Handler = handler, D = d, A = a, B = b, X = 0, Imm = to.Size() switch { 1 => 0xFF, 2 => 0xFFFF, _ => uint.MaxValue } }, InstructionClass.Conversion);
            return true;
        }

        int x = ConvertOps.Code(to, from, (int)mode, toInteger, saturate, flush, relu);
        if (IsWide(d) != to.Is64())
        {
            int t = Temporary(WidthFor(to));
            Count(new Draft { Handler = &ConvertOps.Any, D = t, A = a, B = b, X = x }, InstructionClass.Conversion);
            Add(new Draft { Handler = to.IsSigned() ? &Shapes.Widen<SignExtend> : &Shapes.Widen<ZeroExtend>, D = d, A = t });
            return true;
        }

        Count(new Draft { Handler = &ConvertOps.Any, D = d, A = a, B = b, X = x }, InstructionClass.Conversion);
        return true;
    }

    private RegisterWidth ConvertWidth(Operand target, PtxType to) =>
        target.Kind == OperandKind.Name && !to.Is64() && IsWide(Find(target.Name)) ? RegisterWidth.Double : WidthFor(to);

    private int ConvertSource(Operand operand, PtxType from) => Source(operand, from);

    private static Handler Fast(PtxType to, PtxType from, Rounding mode, bool toInteger)
    {
        bool nearest = mode == Rounding.NearestEven;
        switch (to, from)
        {
            case (PtxType.U32 or PtxType.S32, PtxType.U16):
            case (PtxType.U16 or PtxType.S16, PtxType.U16 or PtxType.S16 or PtxType.U32 or PtxType.S32):
                return &Shapes.Unary<IntegerOps.Zero16>;
            case (PtxType.U32 or PtxType.S32, PtxType.S16):
                return &Shapes.Unary<IntegerOps.Sign16>;
            case (PtxType.U32 or PtxType.S32 or PtxType.U16 or PtxType.S16 or PtxType.U8, PtxType.U8):
            case (PtxType.U8, PtxType.U16 or PtxType.S16 or PtxType.U32 or PtxType.S32):
                return &Shapes.Unary<IntegerOps.Zero8>;
            case (PtxType.U32 or PtxType.S32, PtxType.S8):
                return &Shapes.Unary<IntegerOps.Sign8>;
            case (PtxType.U16 or PtxType.S16, PtxType.S8):
                return &Shapes.Unary<IntegerOps.Sign8To16>;
            case (PtxType.U32 or PtxType.S32, PtxType.U32 or PtxType.S32):
                return &Shapes.Unary<IntegerOps.Move>;
            case (PtxType.U64 or PtxType.S64, PtxType.U64 or PtxType.S64):
                return &Shapes.Unary64<IntegerOps.Move64>;
            case (PtxType.U64 or PtxType.S64, PtxType.U32):
                return &Shapes.Widen<ZeroExtend>;
            case (PtxType.U64 or PtxType.S64, PtxType.S32):
                return &Shapes.Widen<SignExtend>;
            case (PtxType.U32 or PtxType.S32 or PtxType.U16 or PtxType.S16 or PtxType.U8, PtxType.U64 or PtxType.S64):
                return &Shapes.Narrow;
            case (PtxType.F32, PtxType.S32) when nearest:
                return &Shapes.Unary<ConvertOps.SignedToFloat>;
            case (PtxType.F32, PtxType.U32) when nearest:
                return &Shapes.Unary<ConvertOps.UnsignedToFloat>;
            case (PtxType.F32, PtxType.F32) when toInteger:
                return mode switch
                {
                    Rounding.Zero => &Shapes.Unary<ConvertOps.RoundZero>,
                    Rounding.Down => &Shapes.Unary<ConvertOps.RoundDown>,
                    Rounding.Up => &Shapes.Unary<ConvertOps.RoundUp>,
                    _ => &Shapes.Unary<ConvertOps.RoundEven>,
                };
            case (PtxType.S32, PtxType.F32):
                return mode switch
                {
                    Rounding.Zero => &Shapes.Unary<ConvertOps.ToSigned<ConvertOps.RoundZero>>,
                    Rounding.Down => &Shapes.Unary<ConvertOps.ToSigned<ConvertOps.RoundDown>>,
                    Rounding.Up => &Shapes.Unary<ConvertOps.ToSigned<ConvertOps.RoundUp>>,
                    _ => &Shapes.Unary<ConvertOps.ToSigned<ConvertOps.RoundEven>>,
                };
            case (PtxType.F32, PtxType.F16):
                return &Shapes.Unary<ConvertOps.HalfToFloat>;
            case (PtxType.F32, PtxType.BF16):
                return &Shapes.Unary<ConvertOps.BrainToFloat>;
            case (PtxType.BF16, PtxType.F32) when nearest:
                return &Shapes.Unary<ConvertOps.FloatToBrain>;
            case (PtxType.BF16x2, PtxType.F32) when nearest:
                return &Shapes.Binary<ConvertOps.FloatsToBrain2>;
            case (PtxType.TF32, PtxType.F32) when mode == Rounding.NearestAway:
                return &Shapes.Unary<ConvertOps.FloatToTf32>;
            case (PtxType.F64, PtxType.F32) when !toInteger:
                return &ConvertOps.FloatToDouble;
            case (PtxType.F32, PtxType.F64) when nearest && !toInteger:
                return &ConvertOps.DoubleToFloat;
            default:
                return null;
        }
    }
}
