using System.Numerics;
using Orthrus.PtxSim.Decoding;
using Orthrus.PtxSim.Memory;

namespace Orthrus.PtxSim.Execution;

/// <summary>Sums the counters of a launch.</summary>
internal static unsafe class ReportBuilder
{
    public static LaunchReport Build(Launch launch, Core core)
    {
        KernelProgram program = launch.Program;
        var perClass = new InstructionCount[(int)InstructionClass.Other + 1];
        var executed = new InstructionCount[program.Infos.Length];
        var flops = new long[3];
        for (int b = 0; b < program.Blocks.Length; b++)
        {
            long warps = core.BlockCounts[2 * b], lanes = core.BlockCounts[(2 * b) + 1];
            if (warps == 0)
                continue;
            BasicBlock block = program.Blocks[b];
            for (int c = 0; c < perClass.Length; c++)
                perClass[c] = new InstructionCount(perClass[c].Warp + (warps * block.PerClass[c]), perClass[c].Lane + (lanes * block.PerClass[c]));
            for (int rate = 0; rate < flops.Length; rate++)
                flops[rate] += warps * block.MatrixFlops[rate];
            foreach (int index in block.Instructions)
                executed[index] = new InstructionCount(warps, lanes);
        }

        var access = new AccessCount[program.Infos.Length];
        var sums = new Dictionary<InstructionClass, AccessCount>();
        for (int k = 0; k < access.Length; k++)
        {
            long* s = core.InstrStats + (4 * k);
            access[k] = new AccessCount(s[0], s[1], s[2], s[3]);
            if (s[0] == 0)
                continue;
            sums.TryGetValue(program.Infos[k].Class, out AccessCount sum);
            sums[program.Infos[k].Class] = new AccessCount(sum.Requests + s[0], sum.Units + s[1], sum.Minimum + s[2], sum.Bytes + s[3]);
        }

        AccessCount Of(InstructionClass kind) => sums.GetValueOrDefault(kind);
        AccessCount shared = Of(InstructionClass.LoadShared), matrix = Of(InstructionClass.LoadMatrix);
        long read = 0, written = 0;
        foreach (nint p in launch.Device.Memory.Live)
        {
            var block = (MemoryBlock*)p;
            if (block->Launch != launch.Number)
                continue;
            for (ulong w = 0; w < block->SectorWords; w++)
            {
                read += BitOperations.PopCount(block->ReadSectors[w]);
                written += BitOperations.PopCount(block->WrittenSectors[w]);
            }
        }

        InstrInfo[] infos = program.Infos;
        return new LaunchReport(perClass, () => Lines(infos, executed, access))
        {
            Kernel = program.Name,
            Grid = launch.Grid,
            Block = launch.BlockSize,
            SharedBytes = launch.SharedBytes,
            DynamicSharedBytes = launch.DynamicShared,
            RegistersPerThread = launch.RegistersPerThread,
            GlobalLoads = Of(InstructionClass.LoadGlobal),
            GlobalStores = Of(InstructionClass.StoreGlobal),
            Atomics = Of(InstructionClass.Atomic),
            SharedLoads = new AccessCount(shared.Requests + matrix.Requests, shared.Units + matrix.Units, shared.Minimum + matrix.Minimum, shared.Bytes + matrix.Bytes),
            SharedStores = Of(InstructionClass.StoreShared),
            Local = Of(InstructionClass.Local),
            DramReadBytes = read * 32,
            DramWriteBytes = written * 32,
            MatrixFlops = flops[0] + flops[1] + flops[2],
            HalfSumFlops = flops[(int)MatrixRate.HalfSum],
            Tf32Flops = flops[(int)MatrixRate.Tf32],
            Output = launch.Output,
        };
    }

    private static List<LineCount> Lines(InstrInfo[] infos, InstructionCount[] executed, AccessCount[] access)
    {
        var list = new List<LineCount>();
        for (int k = 0; k < infos.Length; k++)
        {
            if (executed[k].Warp > 0 || access[k].Requests > 0)
                list.Add(new LineCount(infos[k].Line, infos[k].Opcode, infos[k].Class, executed[k], access[k]));
        }

        return list;
    }
}
