using Orthrus.PtxSim.Execution;
using Orthrus.PtxSim.Parsing;

namespace Orthrus.PtxSim.Decoding;

/// <summary>Branches, calls, barriers, warp-wide instructions, matrix products.</summary>
internal sealed unsafe partial class FunctionDecoder
{
    private bool Control(string[] p)
    {
        switch (p[0])
        {
            case "bra":
                Count(new Draft { Handler = &Core.Branch, Targets = [Label(at.Operands[0].Name)], EndsBlock = true, Leaves = guard < 0 }, InstructionClass.Branch);
                return true;
            case "brx":
                return IndexedBranch();
            case "call":
                return Call();
            case "ret":
                Return();
                return true;
            case "exit":
                Count(new Draft { Handler = &Core.Exit, EndsBlock = true, Leaves = guard < 0 }, InstructionClass.Branch);
                return true;
            case "trap" or "brkpt":
                Emit(&Core.Trap, cls: InstructionClass.Other);
                return true;
            case "bar" or "barrier":
                return Barrier(p);
            case "membar" or "fence":
                Emit(at.Has("cta") && !at.Has("gl") ? &Core.Nothing : &Core.Fence, cls: InstructionClass.Barrier);
                return !at.Has("proxy");
            case "nanosleep":
                Emit(&Core.Sleep, cls: InstructionClass.Other);
                return true;
            default:
                Emit(&Core.Nothing, cls: InstructionClass.Other);
                return true;
        }
    }

    private int Label(string name)
    {
        for (int scope = at.Scope; scope >= 0; scope = function.ScopeParents[scope])
        {
            if (function.Labels.TryGetValue((scope, name), out int index))
                return index;
        }

        throw Wrong($"there is no label '{name}'");
    }

    private bool IndexedBranch()
    {
        if (!function.BranchTargets.TryGetValue(at.Operands[1].Name, out string[]? labels))
            throw Wrong($"there is no list of targets '{at.Operands[1].Name}'");
        int a = Source(at.Operands[0], PtxType.U32);
        Count(new Draft { Handler = &Core.BranchIndexed, A = a, X = labels.Length, Targets = [.. labels.Select(Label)], TargetTable = true, EndsBlock = true, Leaves = guard < 0 }, InstructionClass.Branch);
        return true;
    }

    private void Return()
    {
        if (function.IsEntry)
            Count(new Draft { Handler = &Core.Exit, EndsBlock = true, Leaves = guard < 0 }, InstructionClass.Branch);
        else
            Count(new Draft { Handler = &Core.ReturnFunction, A = ReturnRegister, EndsBlock = true, Leaves = guard < 0 }, InstructionClass.Branch);
    }

    private bool Call()
    {
        CallParts call = at.Call!;
        if (call.Target is "vprintf" or "__assertfail")
            return HostCall(call);
        PtxFunction? callee = owner.FunctionNamed(call.Target);
        if (callee is not { HasBody: true })
            throw Unsupported(callee is null && call.Target.StartsWith('%') ? ": calls through a pointer" : $": there is no function '{call.Target}'");
        FunctionDecoder other = owner.DecoderOf(callee, this);
        if (call.Arguments.Length != callee.Parameters.Count || call.Returns.Length != callee.Returns.Count)
            throw Wrong($"'{call.Target}' takes {callee.Parameters.Count} arguments and returns {callee.Returns.Count}");
        for (int k = 0; k < call.Arguments.Length; k++)
        {
            PtxVariable formal = callee.Parameters[k];
            if (formal.Space == StateSpace.Register)
            {
                int d = other.FormalRegister(formal);
                Add(new Draft { Handler = IsWide(d) ? &Shapes.Unary64<IntegerOps.Move64> : &Shapes.Unary<IntegerOps.Move>, D = d, A = Source(call.Arguments[k], formal.Type) });
            }
            else
                CopyParameter(ParameterOffset(call.Arguments[k].Name), (int)other.Formal(formal).Value, (int)formal.Bytes);
        }

        Count(new Draft { Handler = &Core.CallFunction, D = other.ReturnRegister, Callee = callee, EndsBlock = true }, InstructionClass.Branch);
        for (int k = 0; k < call.Returns.Length; k++)
        {
            PtxVariable formal = callee.Returns[k];
            if (formal.Space == StateSpace.Register)
            {
                int d = Find(call.Returns[k]);
                Add(new Draft { Handler = IsWide(d) ? &Shapes.Unary64<IntegerOps.Move64> : &Shapes.Unary<IntegerOps.Move>, D = d, A = other.FormalRegister(formal) });
            }
            else
                CopyParameter((int)other.Formal(formal).Value, ParameterOffset(call.Returns[k]), (int)formal.Bytes);
        }

        return true;
    }

    private int ParameterOffset(string name) => symbols.TryGetValue(name, out Symbol symbol) && symbol.Space == StateSpace.Local
        ? (int)symbol.Value
        : throw Wrong($"'{name}' is no .param variable");

    private void CopyParameter(int from, int to, int bytes) => Add(new Draft { Handler = &Core.CopyLocal, A = from, B = to, RawOperands = true, Imm = bytes });

    private bool HostCall(CallParts call)
    {
        var ext = new List<ExtEntry>();
        foreach (Operand argument in call.Arguments)
            ext.Add(ExtEntry.Raw(ParameterOffset(argument.Name)));
        if (call.Returns.Length > 0)
            ext.Add(ExtEntry.Raw(ParameterOffset(call.Returns[0])));
        if (call.Target == "vprintf" && ext.Count != 3)
            throw Wrong("vprintf takes a format and its values");
        Count(new Draft { Handler = call.Target == "vprintf" ? &HostCalls.Print : &HostCalls.Assert, Ext = [.. ext] }, InstructionClass.Other);
        return true;
    }

    private bool Barrier(string[] p)
    {
        const InstructionClass cls = InstructionClass.Barrier;
        if (at.Has("warp"))
        {
            Emit(&BarrierOps.WarpSync, a: Source(at.Operands[0], PtxType.B32), cls: cls);
            return true;
        }

        if (at.Has("cluster"))
            return false;
        if (at.Has("red"))
        {
            bool pop = at.Has("popc");
            bool threads = at.Operands.Length > 3;
            int q = PredicateSource(at.Operands[^1]);
            int id = Source(at.Operands[1], PtxType.U32), count = threads ? Source(at.Operands[2], PtxType.U32) : -1;
            Count(new Draft { Handler = &BarrierOps.Sync, D = Destination(at.Operands[0], pop ? RegisterWidth.Word : RegisterWidth.Predicate), A = id, B = count, C = q, X = pop ? 1 : at.Has("and") ? 2 : 3 }, cls);
            return true;
        }

        int barrier = Source(at.Operands[0], PtxType.U32), expected = at.Operands.Length > 1 ? Source(at.Operands[1], PtxType.U32) : -1;
        Emit(at.Has("arrive") ? &BarrierOps.Arrive : &BarrierOps.Sync, a: barrier, b: expected, cls: cls);
        return true;
    }

    private bool WarpWide(string[] p)
    {
        const InstructionClass cls = InstructionClass.Warp;
        PtxType type = LastType();
        switch (p[0])
        {
            case "shfl" when at.Has("sync"):
            {
                int mode = at.Has("up") ? 0 : at.Has("down") ? 1 : at.Has("bfly") ? 2 : 3;
                Operand target = at.Operands[0];
                int a = Source(at.Operands[1], PtxType.B32), b = Source(at.Operands[2], PtxType.B32), c = Source(at.Operands[3], PtxType.B32), mask = Source(at.Operands[4], PtxType.B32);
                bool pair = target.Pair is not null and not "_";
                Count(new Draft
                {
                    Handler = &WarpOps.Shuffle, D = Destination(target, RegisterWidth.Word), A = a, B = b, C = c, X = mode | (pair ? 4 : 0),
                    Ext = pair ? [ExtEntry.Use(mask), ExtEntry.Def(Predicate(target.Pair!))] : [ExtEntry.Use(mask)],
                }, cls);
                return true;
            }

            case "vote" when at.Has("sync"):
            {
                int x = at.Has("all") ? 0 : at.Has("any") ? 1 : at.Has("uni") ? 2 : 3;
                int a = PredicateSource(at.Operands[1]), b = Source(at.Operands[2], PtxType.B32);
                Count(new Draft { Handler = &WarpOps.Vote, D = Destination(at.Operands[0], x == 3 ? RegisterWidth.Word : RegisterWidth.Predicate), A = a, B = b, X = x }, cls);
                return true;
            }

            case "activemask":
                Emit(&WarpOps.ActiveMask, Destination(at.Operands[0], RegisterWidth.Word), cls: cls);
                return true;
            case "match":
            {
                bool all = at.Has("all");
                Operand target = at.Operands[0];
                ExtEntry[] ext = all && target.Pair is not null and not "_" ? [ExtEntry.Def(Predicate(target.Pair))] : [];
                int a = Source(at.Operands[1], type), b = Source(at.Operands[2], PtxType.B32);
                Count(new Draft { Handler = &WarpOps.Match, D = Destination(target, RegisterWidth.Word), A = a, B = b, X = (all ? 1 : 0) | (type.Is64() ? 2 : 0), Ext = ext }, cls);
                return true;
            }

            case "redux":
            {
                bool signed = type.IsSigned();
                int x = at.Has("add") ? 0 : at.Has("min") ? signed ? 3 : 1 : at.Has("max") ? signed ? 4 : 2 : at.Has("and") ? 5 : at.Has("or") ? 6 : 7;
                int a = Source(at.Operands[1], type), b = Source(at.Operands[2], PtxType.B32);
                Count(new Draft { Handler = &WarpOps.Redux, D = Destination(at.Operands[0], RegisterWidth.Word), A = a, B = b, X = x }, cls);
                return true;
            }

            case "mma":
                return Matrix(p);
            default:
                return false;
        }
    }

    private bool Matrix(string[] p)
    {
        string shape = p.FirstOrDefault(s => s.StartsWith("m16n8", StringComparison.Ordinal)) ?? "";
        PtxType product = PtxTypes.Parse(p[^3]), accumulator = PtxTypes.Parse(p[^1]);
        if (!at.Has("row") || !at.Has("col") || at.Has("sp") || p[^2] != p[^3] || p[^4] != p[^1])
            return false;
        int pairs = (shape, product) switch
        {
            ("m16n8k16", PtxType.BF16 or PtxType.F16) => 2,
            ("m16n8k8", PtxType.BF16 or PtxType.F16) => 1,
            ("m16n8k8", PtxType.TF32) => 2,
            ("m16n8k4", PtxType.TF32) => 1,
            _ => 0,
        };
        bool half = accumulator == PtxType.F16;
        if (pairs == 0 || (half && product != PtxType.F16) || (!half && accumulator != PtxType.F32))
            return false;
        int registers = half ? 2 : 4;
        var ext = new List<ExtEntry>();
        Fragment(0, registers, ext, true);
        Fragment(1, 2 * pairs, ext, false);
        Fragment(2, pairs, ext, false);
        Fragment(3, registers, ext, false);
        Handler handler = product switch
        {
            PtxType.BF16 => &MatrixOps.Multiply<MatrixOps.Brain>,
            PtxType.F16 => &MatrixOps.Multiply<MatrixOps.HalfFloat>,
            _ => &MatrixOps.Multiply<MatrixOps.Tf32>,
        };
        int flops = 2 * 16 * 8 * (shape == "m16n8k16" ? 16 : shape == "m16n8k8" ? 8 : 4);
        MatrixRate rate = product == PtxType.TF32 ? MatrixRate.Tf32 : half ? MatrixRate.HalfSum : MatrixRate.Half;
        Count(new Draft { Handler = handler, X = pairs | (half ? 4 : 0), Ext = [.. ext], MatrixFlops = flops, MatrixRate = rate }, InstructionClass.Matrix);
        return true;
    }

    private void Fragment(int operand, int registers, List<ExtEntry> ext, bool target)
    {
        Operand[] items = Values(at.Operands[operand]);
        if (items.Length != registers)
            throw Wrong($"operand {operand + 1} needs {registers} registers");
        foreach (Operand item in items)
            ext.Add(target ? ExtEntry.Def(Destination(item, RegisterWidth.Word)) : ExtEntry.Use(Source(item, PtxType.F32)));
    }
}
