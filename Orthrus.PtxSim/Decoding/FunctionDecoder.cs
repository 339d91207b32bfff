using Orthrus.PtxSim.Execution;
using Orthrus.PtxSim.Parsing;

namespace Orthrus.PtxSim.Decoding;

/// <summary>Where a variable lies: an offset in shared or local memory, or an address.</summary>
internal readonly record struct Symbol(StateSpace Space, ulong Value, PtxVariable Variable);

/// <summary>
/// Turns the instructions of a function into drafts. The other parts of this class decode one family of instructions each; each returns false for
/// what it does not know.
/// </summary>
internal sealed unsafe partial class FunctionDecoder
{
    private readonly PtxFunction function;
    private readonly ProgramDecoder owner;
    private readonly Dictionary<string, int> names = [];
    private readonly Dictionary<string, (int First, int Count)> families = [];
    private readonly Dictionary<string, Symbol> symbols = [];
    private PtxInstruction at = null!;
    private int guard = -1;
    private bool counted;
    private int carry = -1;

    public FunctionDecoder(ProgramDecoder owner, PtxFunction function)
    {
        this.owner = owner;
        this.function = function;
        if (!function.IsEntry)
        {
            ReturnRegister = owner.NewRegister(RegisterWidth.Word);
            owner.Registers[ReturnRegister].Pinned = true;
        }

        foreach (PtxVariable variable in function.Returns.Concat(function.IsEntry ? [] : function.Parameters))
        {
            Declare(variable);
            if (names.TryGetValue(variable.Name, out int register))
                owner.Registers[register].Pinned = true;
        }

        if (function.IsEntry)
            DeclareKernelParameters();
        foreach (PtxVariable variable in function.Variables)
            Declare(variable);
    }

    public List<Draft> Drafts { get; } = [];

    /// <summary>First draft of each instruction as written, and one past the last.</summary>
    public int[] Starts { get; private set; } = [];

    public PtxFunction Function => function;

    /// <summary>Register that holds the return positions of a device function; -1 for kernels.</summary>
    public int ReturnRegister { get; } = -1;

    public int ParameterBytes { get; private set; }

    public void Run()
    {
        Starts = new int[function.Instructions.Count + 1];
        for (int k = 0; k < function.Instructions.Count; k++)
        {
            Starts[k] = Drafts.Count;
            at = function.Instructions[k];
            guard = at.Guard is null ? -1 : Predicate(at.Guard);
            counted = false;
            Decode();
            if (!counted)
                Emit(&Core.Nothing, cls: InstructionClass.Other);
        }

        Starts[^1] = Drafts.Count;
        counted = true;
        guard = -1;
        at = new PtxInstruction { Parts = ["ret"], Operands = [], Line = at is null ? function.Line : at.Line, Scope = 0 };
        Return();
    }

    /// <summary>The location of a formal parameter or result in local memory.</summary>
    public Symbol Formal(PtxVariable variable) => symbols[variable.Name];

    public int FormalRegister(PtxVariable variable) => names[variable.Name];

    private void Decode()
    {
        string[] p = at.Parts;
        bool known = p[0] switch
        {
            "bra" or "brx" or "call" or "ret" or "exit" or "trap" or "brkpt" or "bar" or "barrier" or "membar" or "fence" or "nanosleep" or "pmevent" => Control(p),
            "ld" or "ldu" or "st" or "atom" or "red" or "cp" or "ldmatrix" or "cvta" or "isspacep" or "prefetch" or "prefetchu" or "discard" or "applypriority" => Memory(p),
            "shfl" or "vote" or "match" or "activemask" or "redux" or "mma" => WarpWide(p),
            "mov" or "selp" or "slct" or "setp" or "set" or "cvt" => Moving(p),
            "and" or "or" or "xor" or "not" or "cnot" or "shl" or "shr" or "shf" or "lop3" or "prmt" or "bfe" or "bfi" or "bfind" or "brev" or "popc" or "clz" or "fns" or "bmsk" or "szext" => Bits(p),
            _ => Arithmetic(p),
        };
        if (!known)
            throw Unsupported();
    }

    private PtxException Unsupported(string why = "") => new($"the instruction '{at.Opcode}' is not supported by the simulator{why}", at.Line);

    private PtxException Wrong(string what) => new($"{at.Opcode}: {what}", at.Line);

    // --- registers and operands

    private void DeclareKernelParameters()
    {
        int offset = 0;
        foreach (PtxVariable parameter in function.Parameters)
        {
            offset = (offset + parameter.Alignment - 1) & -parameter.Alignment;
            symbols[parameter.Name] = new Symbol(StateSpace.Parameter, (ulong)offset, parameter);
            offset += (int)parameter.Bytes;
        }

        ParameterBytes = offset;
    }

    private void Declare(PtxVariable variable)
    {
        switch (variable.Space)
        {
            case StateSpace.Register:
                if (variable.Count > 0)
                {
                    families[variable.Name] = (owner.Registers.Count, variable.Count);
                    for (int k = 0; k < variable.Count; k++)
                        DeclareSmall(owner.NewRegister(WidthOf(variable.Type)), variable);
                }
                else
                {
                    names[variable.Name] = owner.NewRegister(WidthOf(variable.Type));
                    DeclareSmall(names[variable.Name], variable);
                }

                break;
            case StateSpace.Local or StateSpace.Parameter:
                symbols[variable.Name] = new Symbol(StateSpace.Local, (ulong)owner.AllocateLocal(variable), variable);
                break;
            default:
                symbols[variable.Name] = owner.Place(variable);
                break;
        }
    }

    private void DeclareSmall(int register, PtxVariable variable)
    {
        if (variable.Type.Size() == 2)
            owner.DeclareSmall(register);
    }

    private static RegisterWidth WidthOf(PtxType type) => type == PtxType.Pred ? RegisterWidth.Predicate : type.Is64() ? RegisterWidth.Double : RegisterWidth.Word;

    private int Find(string name)
    {
        if (names.TryGetValue(name, out int register))
            return register;
        int digits = name.Length;
        while (digits > 0 && char.IsAsciiDigit(name[digits - 1]))
            digits--;
        for (; digits < name.Length; digits++)
        {
            if (families.TryGetValue(name[..digits], out (int First, int Count) family) && int.TryParse(name.AsSpan(digits), out int number) && number < family.Count)
            {
                names[name] = family.First + number;
                return family.First + number;
            }
        }

        return Special(name);
    }

    private int Special(string name)
    {
        ConstantSource source = name switch
        {
            "%tid.x" => ConstantSource.ThreadX,
            "%tid.y" => ConstantSource.ThreadY,
            "%tid.z" => ConstantSource.ThreadZ,
            "%ctaid.x" => ConstantSource.BlockX,
            "%ctaid.y" => ConstantSource.BlockY,
            "%ctaid.z" => ConstantSource.BlockZ,
            "%ntid.x" => ConstantSource.SizeX,
            "%ntid.y" => ConstantSource.SizeY,
            "%ntid.z" => ConstantSource.SizeZ,
            "%nctaid.x" => ConstantSource.GridX,
            "%nctaid.y" => ConstantSource.GridY,
            "%nctaid.z" => ConstantSource.GridZ,
            "%laneid" => ConstantSource.Lane,
            "%warpid" => ConstantSource.WarpIndex,
            "%nwarpid" => ConstantSource.WarpCount,
            "%lanemask_eq" => ConstantSource.MaskEq,
            "%lanemask_lt" => ConstantSource.MaskLt,
            "%lanemask_le" => ConstantSource.MaskLe,
            "%lanemask_gt" => ConstantSource.MaskGt,
            "%lanemask_ge" => ConstantSource.MaskGe,
            "%smid" => ConstantSource.Multiprocessor,
            "%nsmid" => ConstantSource.Multiprocessors,
            "%dynamic_smem_size" => ConstantSource.DynamicShared,
            "%total_smem_size" => ConstantSource.TotalShared,
            _ => ConstantSource.None,
        };
        if (source == ConstantSource.None)
            throw new PtxException($"'{name}' is neither a register nor a special register that the simulator has", at.Line);
        return owner.Constant(RegisterWidth.Word, 0, source);
    }

    private int Predicate(string name)
    {
        int register = Find(name);
        if (owner.Registers[register].Width != RegisterWidth.Predicate)
            throw Wrong($"'{name}' is no predicate");
        return register;
    }

    private bool IsWide(int register) => owner.Registers[register].Width == RegisterWidth.Double;

    private int Temporary(RegisterWidth width) => owner.NewRegister(width);

    /// <summary>A source of a type; 64-bit registers where 32 bits are wanted, and the reverse, are adapted.</summary>
    private int Source(Operand operand, PtxType type)
    {
        bool wide = type.Is64();
        switch (operand.Kind)
        {
            case OperandKind.Integer:
                ulong bits = (ulong)operand.Value;
                return owner.Constant(wide ? RegisterWidth.Double : RegisterWidth.Word, type.Size() switch { 1 => bits & 0xFF, 2 => bits & 0xFFFF, 8 => bits, _ => (uint)bits });
            case OperandKind.Float32:
                return wide
                    ? owner.Constant(RegisterWidth.Double, BitConverter.DoubleToUInt64Bits(BitConverter.UInt32BitsToSingle((uint)operand.Value)))
                    : owner.Constant(RegisterWidth.Word, (uint)operand.Value);
            case OperandKind.Float64:
                return wide
                    ? owner.Constant(RegisterWidth.Double, (ulong)operand.Value)
                    : owner.Constant(RegisterWidth.Word, BitConverter.SingleToUInt32Bits((float)BitConverter.Int64BitsToDouble(operand.Value)));
            case OperandKind.Name:
                if (FindSymbol(operand.Name) is { } symbol)
                    return owner.Constant(wide ? RegisterWidth.Double : RegisterWidth.Word, AddressOf(symbol) + (ulong)operand.Value);
                if (operand.Name is "%clock" or "%clock64" or "%globaltimer" or "%clock_hi" or "%globaltimer_lo" or "%globaltimer_hi")
                    throw Unsupported($": {operand.Name} has no value on a simulated device other than by mov");
                int register = Find(operand.Name);
                if (type != PtxType.Pred && owner.Registers[register].Width == RegisterWidth.Predicate)
                    throw Wrong($"the predicate '{operand.Name}' stands where a value is wanted");
                if (wide == IsWide(register) || type == PtxType.Pred)
                    return register;
                return wide ? Helper(&Shapes.Widen<ZeroExtend>, RegisterWidth.Double, register) : Helper(&Shapes.Narrow, RegisterWidth.Word, register, imm: type.Size() == 2 ? 0xFFFF : uint.MaxValue);
            default:
                throw Wrong("an operand has the wrong form");
        }
    }

    private Symbol? FindSymbol(string name) => symbols.TryGetValue(name, out Symbol symbol) ? symbol : owner.ModuleSymbol(name);

    private static ulong AddressOf(Symbol symbol) => symbol.Space == StateSpace.Parameter ? Core.ParameterWindow + symbol.Value : symbol.Value;

    private int Helper(Handler handler, RegisterWidth width, int a, int b = -1, int x = 0, long imm = 0)
    {
        int d = Temporary(width);
        Add(new Draft { Handler = handler, D = d, A = a, B = b, X = x, Imm = imm, InPlace = true });
        return d;
    }

    private int Destination(Operand operand, RegisterWidth width)
    {
        if (operand.Kind == OperandKind.Sink)
            return Temporary(width);
        if (operand.Kind != OperandKind.Name)
            throw Wrong("the destination is no register");
        int register = Find(operand.Name);
        if (owner.Registers[register].Source != ConstantSource.None)
            throw Wrong($"'{operand.Name}' cannot be written");
        if (owner.Registers[register].Width != width)
            throw Wrong($"the destination '{operand.Name}' has the wrong size");
        return register;
    }

    private static RegisterWidth WidthFor(PtxType type) => WidthOf(type);

    // --- emission

    private void Add(Draft draft)
    {
        draft.Guard = guard;
        draft.GuardNegated = at.GuardNegated;
        draft.Line = at.Line;
        draft.Opcode = at.Opcode;
        Drafts.Add(draft);
    }

    /// <summary>The instruction itself; what came before it were helpers.</summary>
    private void Count(Draft draft, InstructionClass cls)
    {
        draft.Class = cls;
        draft.Counted = !counted;
        counted = true;
        Add(draft);
    }

    private void Emit(Handler handler, int d = -1, int a = -1, int b = -1, int c = -1, int x = 0, long imm = 0, InstructionClass cls = InstructionClass.Integer) =>
        Count(new Draft { Handler = handler, D = d, A = a, B = b, C = c, X = x, Imm = imm, InPlace = true }, cls);

    /// <summary>D = op(sources) where all have one type.</summary>
    private bool Simple(Handler handler, PtxType type, int sources, InstructionClass cls, int x = 0)
    {
        if (at.Operands.Length < sources + 1)
            throw Wrong($"expected {sources + 1} operands");
        int a = Source(at.Operands[1], type);
        int b = sources > 1 ? Source(at.Operands[2], type) : -1;
        int c = sources > 2 ? Source(at.Operands[3], type) : -1;
        Emit(handler, Destination(at.Operands[0], WidthFor(type)), a, b, c, x, cls: cls);
        return true;
    }

    private PtxType LastType() => PtxTypes.Parse(at.Parts[^1]);
}
