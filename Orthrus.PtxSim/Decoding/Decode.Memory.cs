using Orthrus.PtxSim.Execution;
using Orthrus.PtxSim.Parsing;

namespace Orthrus.PtxSim.Decoding;

/// <summary>Loads, stores, atomics, asynchronous copies, address conversions.</summary>
internal sealed unsafe partial class FunctionDecoder
{
    private bool Memory(string[] p)
    {
        switch (p[0])
        {
            case "ld" or "ldu":
                return Load(p);
            case "st":
                return Store(p);
            case "atom" or "red":
                return Atomic(p);
            case "cp":
                return AsyncCopy(p);
            case "ldmatrix":
                return LoadMatrix(p);
            case "cvta":
                return AddressConversion(p);
            case "isspacep":
            {
                int x = p[1] switch { "global" => 0, "shared" or "shared::cta" => 1, "local" => 2, _ => 3 };
                Emit(&Core.IsSpace, Destination(at.Operands[0], RegisterWidth.Predicate), Source(at.Operands[1], PtxType.U64), x: x);
                return true;
            }

            default:
                Emit(&Core.Nothing, cls: InstructionClass.Other);
                return true;
        }
    }

    private StateSpace SpaceOf(string[] p)
    {
        foreach (string part in p)
        {
            switch (part)
            {
                case "global":
                    return StateSpace.Global;
                case "shared" or "shared::cta":
                    return StateSpace.Shared;
                case "local":
                    return StateSpace.Local;
                case "const":
                    return StateSpace.Constant;
                case "param" or "param::entry" or "param::func":
                    return StateSpace.Parameter;
                case "shared::cluster":
                    throw Unsupported(": clusters are not simulated");
            }
        }

        return StateSpace.Generic;
    }

    private int Strength() => at.Has("volatile") || at.Has("relaxed") || at.Has("acquire") || at.Has("release") ? MoveCode.Strong : 0;

    /// <summary>Base register and offset of an address operand; symbols become constants.</summary>
    private (int Register, long Offset, StateSpace Space) AddressOperand(Operand operand)
    {
        if (operand.Kind != OperandKind.Address)
            throw Wrong("an address is expected");
        if (operand.Name.Length == 0)
            return (owner.Constant(RegisterWidth.Double, 0), operand.Value, StateSpace.Generic);
        if (FindSymbol(operand.Name) is { } symbol)
            return (owner.Constant(RegisterWidth.Double, AddressOf(symbol)), operand.Value, symbol.Space);
        int register = Find(operand.Name);
        return (register, operand.Value, StateSpace.Generic);
    }

    private Operand[] Values(Operand operand) => operand.Kind == OperandKind.Vector ? operand.Items : [operand];

    private bool Load(string[] p)
    {
        PtxType type = LastType();
        StateSpace space = SpaceOf(p);
        Operand[] targets = Values(at.Operands[0]);
        if (type.Size() is 0 or 16 || at.Operands.Length > 2)
            return false;
        if (space == StateSpace.Parameter && function.IsEntry && symbols.TryGetValue(at.Operands[1].Name, out Symbol symbol) && symbol.Space == StateSpace.Parameter)
            return LoadKernelParameter(targets, type, (int)symbol.Value + (int)at.Operands[1].Value, symbol);
        var afterwards = new List<Draft>();
        var ext = new ExtEntry[targets.Length];
        bool into16 = false;
        for (int k = 0; k < targets.Length; k++)
        {
            (int register, bool is16) = LoadTarget(targets[k], type, afterwards);
            ext[k] = ExtEntry.Def(register);
            into16 |= is16;
        }

        int code = MoveCode.Of(type.Size(), targets.Length) | (type.IsSigned() ? MoveCode.Signed : 0) | (into16 ? MoveCode.Into16 : 0) | Strength();
        MemoryDraft(space, code, ext, true);
        foreach (Draft draft in afterwards)
            Add(draft);
        return true;
    }

    /// <summary>Target of a load of a type: a register of its size, or a temporary that is widened afterwards.</summary>
    private (int Register, bool Is16) LoadTarget(Operand target, PtxType type, List<Draft> afterwards)
    {
        if (target.Kind == OperandKind.Sink)
            return (Temporary(WidthFor(type)), false);
        int register = Find(target.Name);
        if (IsWide(register) == type.Is64())
            return (register, owner.Is16(register) && type.Size() <= 2);
        if (type.Is64())
            throw Wrong($"'{target.Name}' is too small");
        int t = Temporary(RegisterWidth.Word);
        afterwards.Add(new Draft { Handler = type.IsSigned() ? &Shapes.Widen<SignExtend> : &Shapes.Widen<ZeroExtend>, D = register, A = t });
        return (t, false);
    }

    private bool LoadKernelParameter(Operand[] targets, PtxType type, int offset, Symbol symbol)
    {
        for (int k = 0; k < targets.Length; k++)
        {
            int at4 = offset + (k * type.Size());
            if (at4 + type.Size() > ParameterBytes)
                throw Wrong($"reads past parameter '{symbol.Variable.Name}'");
            if (targets[k].Kind == OperandKind.Sink)
                continue;
            int d = Find(targets[k].Name);
            bool wide = IsWide(d);
            ulong bits = (uint)at4 | (owner.Is16(d) ? 1ul << 32 : 0);
            int source = owner.Constant(wide && type.Is64() ? RegisterWidth.Double : RegisterWidth.Word, bits, ConstantSource.Parameter, type);
            Handler handler = !wide ? &Shapes.Unary<IntegerOps.Move> : type.Is64() ? &Shapes.Unary64<IntegerOps.Move64> : type.IsSigned() ? &Shapes.Widen<SignExtend> : &Shapes.Widen<ZeroExtend>;
            Emit(handler, d, source, cls: InstructionClass.Constant);
        }

        return true;
    }

    private bool Store(string[] p)
    {
        PtxType type = LastType();
        Operand[] values = Values(at.Operands[1]);
        if (type.Size() is 0 or 16 || at.Operands.Length > 2)
            return false;
        var ext = new ExtEntry[values.Length];
        for (int k = 0; k < values.Length; k++)
            ext[k] = ExtEntry.Use(Source(values[k], type));
        MemoryDraft(SpaceOf(p), MoveCode.Of(type.Size(), values.Length) | Strength(), ext, false);
        return true;
    }

    private void MemoryDraft(StateSpace space, int code, ExtEntry[] ext, bool load)
    {
        (int a, long offset, StateSpace symbolSpace) = AddressOperand(at.Operands[load ? 1 : 0]);
        if (space == StateSpace.Parameter)
            space = symbolSpace == StateSpace.Local ? StateSpace.Local : function.IsEntry ? StateSpace.Parameter : StateSpace.Local;
        if (IsWide(a))
            code |= MoveCode.Wide;
        if (space is StateSpace.Shared or StateSpace.Generic)
            owner.SharedWidth(MoveCode.Width(code));
        Handler global = load ? &Core.LoadGlobal : &Core.StoreGlobal;
        Handler shared = load ? &Core.LoadShared : &Core.StoreShared;
        Handler local = load ? &Core.LoadLocal : &Core.StoreLocal;
        switch (space)
        {
            case StateSpace.Global or StateSpace.Constant:
                a = ToWide(a);
                Count(new Draft { Handler = global, A = a, Imm = offset, X = code | MoveCode.Wide, Ext = ext },
                    space == StateSpace.Constant ? InstructionClass.Constant : load ? InstructionClass.LoadGlobal : InstructionClass.StoreGlobal);
                break;
            case StateSpace.Shared:
                Count(new Draft { Handler = shared, A = a, Imm = offset, X = code, Ext = ext }, load ? InstructionClass.LoadShared : InstructionClass.StoreShared);
                break;
            case StateSpace.Local:
                Count(new Draft { Handler = local, A = a, Imm = offset, X = code, Ext = ext }, InstructionClass.Local);
                break;
            case StateSpace.Parameter:
                if (!load)
                    throw Unsupported(": kernel parameters cannot be written");
                Count(new Draft { Handler = &Core.LoadParameter, A = ToWide(a), Imm = offset, X = code | MoveCode.Wide, Ext = ext }, InstructionClass.Constant);
                break;
            default:
                a = ToWide(a);
                code |= MoveCode.Wide;
                Draft[] forms =
                [
                    Form(new Draft { Handler = global, A = a, Imm = offset, X = code, Ext = ext }, load ? InstructionClass.LoadGlobal : InstructionClass.StoreGlobal),
                    Form(new Draft { Handler = shared, A = a, Imm = offset, X = code, Ext = ext }, load ? InstructionClass.LoadShared : InstructionClass.StoreShared),
                    Form(new Draft { Handler = local, A = a, Imm = offset, X = code, Ext = ext }, InstructionClass.Local),
                ];
                Count(new Draft { Handler = &Core.Generic, A = a, Imm = offset, X = code, Ext = ext, Forms = forms }, load ? InstructionClass.LoadGlobal : InstructionClass.StoreGlobal);
                break;
        }
    }

    private int ToWide(int register) => IsWide(register) ? register : Helper(&Shapes.Widen<ZeroExtend>, RegisterWidth.Double, register);

    /// <summary>A further form of the instruction, with its own counters.</summary>
    private Draft Form(Draft draft, InstructionClass cls)
    {
        draft.Line = at.Line;
        draft.Opcode = at.Opcode;
        draft.Class = cls;
        return draft;
    }

    private bool Atomic(string[] p)
    {
        bool returns = p[0] == "atom";
        PtxType type = LastType();
        string operation = p.Last(s => s is "exch" or "cas" or "add" or "inc" or "dec" or "min" or "max" or "and" or "or" or "xor");
        if (at.Has("v2") || at.Has("v4"))
            return false;
        AtomicKind kind;
        bool signed = type.IsSigned();
        switch (operation)
        {
            case "exch":
                kind = AtomicKind.Exchange;
                break;
            case "cas":
                kind = AtomicKind.CompareAndSwap;
                break;
            case "add":
                kind = type switch
                {
                    PtxType.F32 => AtomicKind.AddFloat,
                    PtxType.F64 => AtomicKind.AddDouble,
                    PtxType.F16 => AtomicKind.AddHalf,
                    PtxType.F16x2 => AtomicKind.AddHalf2,
                    PtxType.BF16 => AtomicKind.AddBrain,
                    PtxType.BF16x2 => AtomicKind.AddBrain2,
                    _ => AtomicKind.Add,
                };
                break;
            case "inc" or "dec":
                kind = operation == "inc" ? AtomicKind.Inc : AtomicKind.Dec;
                break;
            case "min" or "max":
                if (type.IsFloat())
                    return false;
                kind = operation == "min" ? signed ? AtomicKind.MinSigned : AtomicKind.MinUnsigned : signed ? AtomicKind.MaxSigned : AtomicKind.MaxUnsigned;
                break;
            default:
                kind = operation switch { "and" => AtomicKind.And, "or" => AtomicKind.Or, _ => AtomicKind.Xor };
                break;
        }

        int first = returns ? 1 : 0;
        (int a, long offset, _) = AddressOperand(at.Operands[first]);
        int b = Source(at.Operands[first + 1], type), c = kind == AtomicKind.CompareAndSwap ? Source(at.Operands[first + 2], type) : -1;
        int d = returns ? Destination(at.Operands[0], WidthFor(type)) : -1;
        StateSpace space = SpaceOf(p);
        int code = MoveCode.Of(type.Size(), 1) | (int)kind << 16;
        ExtEntry[] ext = [ExtEntry.Raw(returns ? 1 : 0)];
        const InstructionClass cls = InstructionClass.Atomic;
        if (at.Has("acq_rel") || at.Has("acquire") || at.Has("release"))
            Add(new Draft { Handler = &Core.Fence });
        if (space is StateSpace.Shared or StateSpace.Generic)
            owner.SharedWidth(type.Size());
        if (space == StateSpace.Shared)
        {
            Count(new Draft { Handler = &Core.AtomicShared, D = d, A = a, B = b, C = c, Imm = offset, X = code | (IsWide(a) ? MoveCode.Wide : 0), Ext = ext }, cls);
        }
        else
        {
            a = ToWide(a);
            code |= MoveCode.Wide;
            if (space == StateSpace.Global)
                Count(new Draft { Handler = &Core.AtomicGlobal, D = d, A = a, B = b, C = c, Imm = offset, X = code, Ext = ext }, cls);
            else
            {
                Draft[] forms =
                [
                    Form(new Draft { Handler = &Core.AtomicGlobal, D = d, A = a, B = b, C = c, Imm = offset, X = code, Ext = ext }, cls),
                    Form(new Draft { Handler = &Core.AtomicShared, D = d, A = a, B = b, C = c, Imm = offset, X = code, Ext = ext }, cls),
                    Form(new Draft { Handler = &Core.AtomicLocal, D = d, A = a, B = b, C = c, Imm = offset, X = code, Ext = ext }, cls),
                ];
                Count(new Draft { Handler = &Core.Generic, D = d, A = a, B = b, C = c, Imm = offset, X = code, Ext = ext, Forms = forms }, cls);
            }
        }

        if (at.Has("acq_rel") || at.Has("acquire"))
            Add(new Draft { Handler = &Core.Fence });
        return true;
    }

    private bool AsyncCopy(string[] p)
    {
        if (p[1] != "async" || at.Has("bulk") || at.Has("mbarrier"))
            return false;
        switch (p[2])
        {
            case "commit_group":
                Emit(&Core.CommitCopies, cls: InstructionClass.AsyncCopy);
                return true;
            case "wait_group":
                Emit(&Core.WaitCopies, x: (int)at.Operands[0].Value, cls: InstructionClass.AsyncCopy);
                return true;
            case "wait_all":
                Emit(&Core.WaitCopies, x: -1, cls: InstructionClass.AsyncCopy);
                return true;
        }

        (int to, long toOffset, _) = AddressOperand(at.Operands[0]);
        (int from, long fromOffset, _) = AddressOperand(at.Operands[1]);
        int bytes = (int)at.Operands[2].Value;
        if (bytes is not (4 or 8 or 16))
            throw Wrong($"copies 4, 8 or 16 bytes, not {bytes}");
        int size = at.Operands.Length > 3 ? Source(at.Operands[3], PtxType.U32) : owner.Constant(RegisterWidth.Word, (ulong)bytes);
        owner.SharedWidth(bytes);
        int code = MoveCode.Of(4, bytes / 4);
        Draft[] forms =
        [
            Form(new Draft { Handler = &Core.Nothing, A = ToWide(from), Imm = fromOffset, X = code | MoveCode.Wide }, InstructionClass.LoadGlobal),
            Form(new Draft { Handler = &Core.Nothing, A = to, Imm = toOffset, X = code | (IsWide(to) ? MoveCode.Wide : 0) }, InstructionClass.StoreShared),
        ];
        Count(new Draft { Handler = &Core.CopyAsync, C = size, Imm = bytes, Forms = forms }, InstructionClass.AsyncCopy);
        return true;
    }

    private bool LoadMatrix(string[] p)
    {
        Operand[] targets = Values(at.Operands[0]);
        if (!at.Has("m8n8") || !at.Has("b16") || targets.Length is not (1 or 2 or 4))
            return false;
        (int a, long offset, _) = AddressOperand(at.Operands[1]);
        var ext = new ExtEntry[targets.Length];
        for (int k = 0; k < targets.Length; k++)
            ext[k] = ExtEntry.Def(Destination(targets[k], RegisterWidth.Word));
        owner.SharedWidth(16);
        int code = MoveCode.Of(4, 4) | targets.Length << 10 | (at.Has("trans") ? 1 << 13 : 0) | (IsWide(a) ? MoveCode.Wide : 0);
        Count(new Draft { Handler = &Core.LoadMatrix, A = a, Imm = offset, X = code, Ext = ext }, InstructionClass.LoadMatrix);
        return true;
    }

    /// <summary>Global and constant addresses are generic addresses; shared, local and parameter addresses get or lose their window.</summary>
    private bool AddressConversion(string[] p)
    {
        bool to = at.Has("to");
        ulong window = SpaceOf(p) switch
        {
            StateSpace.Shared => Core.SharedWindow,
            StateSpace.Local => Core.LocalWindow,
            // Offsets of kernel parameters carry their window from the start.
            _ => 0,
        };
        PtxType type = LastType();
        if (!type.Is64())
            return false;
        int a = Source(at.Operands[1], type), d = Destination(at.Operands[0], RegisterWidth.Double);
        if (window == 0)
            Emit(&Shapes.Unary64<IntegerOps.Move64>, d, a, cls: InstructionClass.Move);
        else
            Emit(to ? &Shapes.Binary64<IntegerOps.Sub64> : &Shapes.Binary64<IntegerOps.Add64>, d, a, owner.Constant(RegisterWidth.Double, window), cls: InstructionClass.Move);
        return true;
    }
}
