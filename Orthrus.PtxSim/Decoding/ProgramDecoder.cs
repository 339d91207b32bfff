using Orthrus.PtxSim.Execution;
using Orthrus.PtxSim.Parsing;

namespace Orthrus.PtxSim.Decoding;

/// <summary>Decodes a kernel with the device functions it calls: registers, shared and local layout, then the program.</summary>
internal sealed unsafe class ProgramDecoder
{
    private readonly PtxModule module;
    private readonly IReadOnlyDictionary<string, ulong> addresses;
    private readonly Dictionary<(RegisterWidth, ulong, ConstantSource, PtxType), int> constants = [];
    private readonly Dictionary<string, FunctionDecoder> decoders = [];
    private readonly List<FunctionDecoder> order = [];
    private readonly HashSet<int> small = [];
    private readonly Dictionary<string, Symbol> sharedSymbols = [];
    private readonly List<(string Name, int Start, long Bytes)> sharedVariables = [];
    private readonly HashSet<(PtxFunction, PtxFunction)> calls = [];
    private int localBytes;
    private int staticShared;
    private int narrowestShared = 16;
    private int dynamicStart = -1;

    public ProgramDecoder(PtxModule module, IReadOnlyDictionary<string, ulong> addresses)
    {
        this.module = module;
        this.addresses = addresses;
    }

    public List<VirtualRegister> Registers { get; } = [];

    public KernelProgram Decode(PtxFunction kernel)
    {
        PlaceModuleShared(kernel);
        FunctionDecoder main = DecoderOf(kernel, null);
        for (int k = 0; k < order.Count; k++)
            order[k].Run();
        RefuseRecursion(kernel);
        PlaceDynamicShared();
        var program = new KernelProgram
        {
            Name = kernel.Name,
            Function = kernel,
            LocalBytes = (localBytes + 15) & ~15,
            StaticShared = staticShared,
            SharedGranuleShift = narrowestShared switch { >= 4 => 2, 2 or 3 => 1, _ => 0 },
            ParameterBytes = main.ParameterBytes,
        };
        program.SharedVariables.AddRange(sharedVariables);
        ProgramLayout.Build(program, order, Registers);
        return program;
    }

    public int NewRegister(RegisterWidth width)
    {
        Registers.Add(new VirtualRegister { Width = width });
        return Registers.Count - 1;
    }

    /// <summary>A register of 16 bits by declaration: signed bytes loaded into it stay 16 bits wide.</summary>
    public void DeclareSmall(int register) => small.Add(register);

    public bool Is16(int register) => small.Contains(register);

    public int Constant(RegisterWidth width, ulong bits, ConstantSource source = ConstantSource.Immediate, PtxType type = PtxType.None)
    {
        (RegisterWidth, ulong, ConstantSource, PtxType) key = (width, bits, source, type);
        if (constants.TryGetValue(key, out int register))
            return register;
        Registers.Add(new VirtualRegister { Width = width, Bits = bits, Source = source, Type = type });
        constants[key] = Registers.Count - 1;
        return Registers.Count - 1;
    }

    public int AllocateLocal(PtxVariable variable)
    {
        // Host calls read eight bytes of every argument.
        int alignment = Math.Max(8, variable.Alignment);
        localBytes = (localBytes + alignment - 1) & -alignment;
        int at = localBytes;
        localBytes += (int)Math.Max(variable.Bytes, 8);
        return at;
    }

    /// <summary>A shared, global or constant variable declared inside a function.</summary>
    public Symbol Place(PtxVariable variable)
    {
        if (variable.Space == StateSpace.Shared)
            return PlaceShared(variable);
        if (addresses.TryGetValue(variable.Name, out ulong address))
            return new Symbol(variable.Space, address, variable);
        throw new PtxException($"variables of this space inside a function are not supported: '{variable.Name}'", variable.Line);
    }

    public Symbol? ModuleSymbol(string name)
    {
        if (sharedSymbols.TryGetValue(name, out Symbol symbol))
            return symbol;
        PtxVariable? variable = module.Variable(name);
        if (variable is null || !addresses.TryGetValue(name, out ulong address))
            return null;
        return new Symbol(variable.Space, address, variable);
    }

    public PtxFunction? FunctionNamed(string name) => module.FunctionNamed(name);

    public FunctionDecoder DecoderOf(PtxFunction function, FunctionDecoder? caller)
    {
        if (caller is not null)
            calls.Add((caller.Function, function));
        if (decoders.TryGetValue(function.Name, out FunctionDecoder? decoder))
            return decoder;
        decoder = new FunctionDecoder(this, function);
        decoders[function.Name] = decoder;
        order.Add(decoder);
        return decoder;
    }

    public void SharedWidth(int bytes) => narrowestShared = Math.Min(narrowestShared, bytes);

    private Symbol PlaceShared(PtxVariable variable)
    {
        staticShared = (staticShared + variable.Alignment - 1) & -variable.Alignment;
        var symbol = new Symbol(StateSpace.Shared, (ulong)staticShared, variable);
        sharedVariables.Add((variable.Name, staticShared, variable.Bytes));
        staticShared += (int)variable.Bytes;
        return symbol;
    }

    /// <summary>
    /// Only what the kernel and the functions it may call name: shared variables of other kernels, which compilers put at module scope where one of
    /// them has dynamic shared memory, take no room.
    /// </summary>
    private void PlaceModuleShared(PtxFunction kernel)
    {
        (List<PtxFunction> functions, HashSet<string> names) = Reached(kernel);
        foreach (PtxVariable variable in module.Variables)
        {
            if (variable.Space == StateSpace.Shared && !(variable.IsExtern && variable.Elements == 0) && names.Contains(variable.Name))
                sharedSymbols[variable.Name] = PlaceShared(variable);
        }

        // Variables of functions follow while these are decoded; dynamic memory comes last, and its offset must be known before.
        int reserved = staticShared;
        foreach (PtxFunction function in functions)
        {
            foreach (PtxVariable variable in function.Variables)
            {
                if (variable.Space == StateSpace.Shared)
                    reserved = ((reserved + variable.Alignment - 1) & -variable.Alignment) + (int)variable.Bytes;
            }
        }

        foreach (PtxVariable variable in module.Variables)
        {
            if (variable.Space != StateSpace.Shared || !variable.IsExtern || variable.Elements != 0 || !names.Contains(variable.Name))
                continue;
            int alignment = Math.Max(16, variable.Alignment);
            reserved = (reserved + alignment - 1) & -alignment;
        }

        foreach (PtxVariable variable in module.Variables)
        {
            if (variable.Space == StateSpace.Shared && variable.IsExtern && variable.Elements == 0 && names.Contains(variable.Name))
            {
                sharedSymbols[variable.Name] = new Symbol(StateSpace.Shared, (ulong)reserved, variable);
                sharedVariables.Add((variable.Name, reserved, 0));
                dynamicStart = reserved;
            }
        }
    }

    /// <summary>The kernel with all functions whose names it or they contain, and all names in them.</summary>
    private (List<PtxFunction> Functions, HashSet<string> Names) Reached(PtxFunction kernel)
    {
        var functions = new List<PtxFunction> { kernel };
        var names = new HashSet<string>();
        for (int k = 0; k < functions.Count; k++)
        {
            foreach (PtxInstruction instruction in functions[k].Instructions)
            {
                foreach (Operand operand in instruction.Operands)
                    Name(operand);
                if (instruction.Call is not { } call)
                    continue;
                names.Add(call.Target);
                foreach (Operand argument in call.Arguments)
                    Name(argument);
            }

            foreach (PtxFunction function in module.Functions)
            {
                if (names.Contains(function.Name) && !functions.Contains(function))
                    functions.Add(function);
            }
        }

        return (functions, names);

        void Name(Operand operand)
        {
            names.Add(operand.Name);
            foreach (Operand item in operand.Items)
                Name(item);
        }
    }

    private void PlaceDynamicShared()
    {
        if (dynamicStart >= 0)
            staticShared = dynamicStart;
    }

    private void RefuseRecursion(PtxFunction kernel)
    {
        var path = new List<PtxFunction>();
        Visit(kernel);

        void Visit(PtxFunction function)
        {
            if (path.Contains(function))
                throw new PtxException($"'{function.Name}' calls itself: recursion is not supported by the simulator", function.Line);
            path.Add(function);
            foreach ((PtxFunction from, PtxFunction to) in calls)
            {
                if (from == function)
                    Visit(to);
            }

            path.RemoveAt(path.Count - 1);
        }
    }
}
