using Orthrus.PtxSim.Execution;

namespace Orthrus.PtxSim.Decoding;

/// <summary>From drafts to code: basic blocks, slots for registers by live interval, native instructions.</summary>
internal static unsafe class ProgramLayout
{
    public static void Build(KernelProgram program, List<FunctionDecoder> functions, List<VirtualRegister> registers)
    {
        int frame = KernelProgram.TrueOffset + 4;
        foreach (FunctionDecoder function in functions)
        {
            bool[] leaders = Leaders(function);
            Liveness.Run(function, leaders, registers);
        }

        // Predicates first, then constants, then slots.
        foreach (VirtualRegister register in registers)
        {
            if (register.Width == RegisterWidth.Predicate)
            {
                register.Offset = frame;
                frame += 4;
            }
        }

        frame = (frame + 127) & ~127;
        foreach (VirtualRegister register in registers)
        {
            if (register.Source == ConstantSource.None)
                continue;
            program.Constants.Add(register);
            if (register.Width == RegisterWidth.Predicate)
                continue;
            register.Offset = frame;
            frame += register.Width == RegisterWidth.Double ? 256 : 128;
        }

        int before = frame;
        foreach (FunctionDecoder function in functions)
            frame = Liveness.Assign(function, registers, frame);
        program.FirstSlot = before;
        program.RegisterWords = (frame - before) / 128;
        program.FrameBytes = frame + 128;
        Emit(program, functions, registers);
    }

    private static bool[] Leaders(FunctionDecoder function)
    {
        List<Draft> drafts = function.Drafts;
        bool[] leaders = new bool[drafts.Count + 1];
        leaders[0] = true;
        for (int k = 0; k < drafts.Count; k++)
        {
            if (drafts[k].EndsBlock)
                leaders[k + 1] = true;
            foreach (int target in drafts[k].Targets)
                leaders[function.Starts[target]] = true;
        }

        return leaders;
    }

    private static void Emit(KernelProgram program, List<FunctionDecoder> functions, List<VirtualRegister> registers)
    {
        int count = 0, forms = 0;
        var starts = new Dictionary<string, int>();
        var positions = new List<int[]>();
        foreach (FunctionDecoder function in functions)
        {
            bool[] leaders = Leaders(function);
            int[] position = new int[function.Drafts.Count + 1];
            starts[function.Function.Name] = count;
            for (int k = 0; k < function.Drafts.Count; k++)
            {
                position[k] = count;
                count += leaders[k] ? 2 : 1;
                forms += function.Drafts[k].Forms.Length;
            }

            position[^1] = count;
            positions.Add(position);
        }

        Instr* code = program.AllocateCode(count);
        var infos = new List<InstrInfo>(count + forms);
        var blocks = new List<BasicBlock>();
        for (int f = 0; f < functions.Count; f++)
        {
            FunctionDecoder function = functions[f];
            bool[] leaders = Leaders(function);
            for (int k = 0; k < function.Drafts.Count; k++)
            {
                Draft draft = function.Drafts[k];
                Instr* i = code + positions[f][k];
                if (leaders[k])
                {
                    *i = new Instr { Handler = &Core.Enter, Guard = KernelProgram.TrueOffset, X = blocks.Count * 2, Index = infos.Count };
                    infos.Add(new InstrInfo(draft.Line, "block", InstructionClass.Other));
                    blocks.Add(new BasicBlock());
                    i++;
                }

                if (draft.Counted)
                {
                    blocks[^1].PerClass[(int)draft.Class]++;
                    blocks[^1].Instructions.Add(infos.Count);
                    blocks[^1].MatrixFlops[(int)draft.MatrixRate] += draft.MatrixFlops;
                }

                Write(program, i, draft, registers, infos);
                if (draft.Callee is not null)
                    i->Cache = code + starts[draft.Callee.Name];
                else if (draft.Targets.Length == 1 && !draft.TargetTable)
                    i->Cache = code + positions[f][function.Starts[draft.Targets[0]]];
                else if (draft.Targets.Length > 0)
                {
                    var table = (Instr**)program.Native(draft.Targets.Length * sizeof(nint));
                    for (int t = 0; t < draft.Targets.Length; t++)
                        table[t] = code + positions[f][function.Starts[draft.Targets[t]]];
                    i->Cache = table;
                }
                else if (draft.Forms.Length > 0)
                {
                    var others = (Instr*)program.Native(draft.Forms.Length * sizeof(Instr));
                    for (int t = 0; t < draft.Forms.Length; t++)
                    {
                        Write(program, others + t, draft.Forms[t], registers, infos);
                        program.Caches(others + t);
                    }

                    i->Cache = others;
                }
                else
                    program.Caches(i);
            }
        }

        program.Infos = [.. infos];
        program.Blocks = [.. blocks];
    }

    private static void Write(KernelProgram program, Instr* i, Draft draft, List<VirtualRegister> registers, List<InstrInfo> infos)
    {
        int Offset(int register) => register < 0 ? 0 : registers[register].Offset;
        *i = new Instr
        {
            Handler = draft.Handler,
            Guard = draft.Guard < 0 ? KernelProgram.TrueOffset : Offset(draft.Guard),
            GuardFlip = draft.GuardNegated && draft.Guard >= 0 ? Lanes.All : 0,
            D = Offset(draft.D),
            A = draft.RawOperands ? draft.A : Offset(draft.A),
            B = draft.RawOperands ? draft.B : Offset(draft.B),
            C = Offset(draft.C),
            Imm = draft.Imm,
            X = draft.X,
            Index = infos.Count,
        };
        infos.Add(new InstrInfo(draft.Line, draft.Opcode, draft.Class));
        if (draft.Ext.Length == 0)
            return;
        var ext = (int*)program.Native(draft.Ext.Length * sizeof(int));
        for (int k = 0; k < draft.Ext.Length; k++)
            ext[k] = draft.Ext[k].Kind == ExtKind.Raw ? draft.Ext[k].Value : Offset(draft.Ext[k].Value);
        i->Ext = ext;
    }
}
