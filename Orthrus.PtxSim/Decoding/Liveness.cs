using System.Numerics;

namespace Orthrus.PtxSim.Decoding;

/// <summary>
/// Where values matter, and slots that are used again when they no longer do. Divergence needs no care: what a thread still needs is live on the
/// thread's own path, and writes touch the lanes of the executing threads alone.
/// </summary>
internal static class Liveness
{
    /// <summary>Sets first and last position of each register of a function; instruction k reads at 2k and writes at 2k + 1.</summary>
    public static void Run(FunctionDecoder function, bool[] leaders, List<VirtualRegister> registers)
    {
        List<Draft> drafts = function.Drafts;
        int n = drafts.Count;
        var starts = new List<int>();
        int[] blockOf = new int[n + 1];
        for (int k = 0; k < n; k++)
        {
            if (leaders[k])
                starts.Add(k);
            blockOf[k] = starts.Count - 1;
        }

        starts.Add(n);
        int blocks = starts.Count - 1, words = (registers.Count + 63) / 64;
        ulong[][] uses = New(blocks, words), defs = New(blocks, words), liveIn = New(blocks, words), liveOut = New(blocks, words);
        var successors = new List<int>[blocks];
        for (int b = 0; b < blocks; b++)
        {
            for (int k = starts[b]; k < starts[b + 1]; k++)
            {
                foreach (int use in drafts[k].Uses())
                {
                    if (!Has(defs[b], use))
                        Set(uses[b], use);
                }

                foreach (int def in drafts[k].Defs())
                {
                    // A guarded write leaves the other lanes as they were.
                    if (drafts[k].Guard >= 0 && !Has(defs[b], def))
                        Set(uses[b], def);
                    Set(defs[b], def);
                }
            }

            Draft last = drafts[starts[b + 1] - 1];
            successors[b] = [];
            if (!last.Leaves && b + 1 < blocks)
                successors[b].Add(b + 1);
            foreach (int target in last.Targets)
                successors[b].Add(blockOf[function.Starts[target]]);
        }

        bool changed = true;
        while (changed)
        {
            changed = false;
            for (int b = blocks - 1; b >= 0; b--)
            {
                foreach (int s in successors[b])
                {
                    for (int w = 0; w < words; w++)
                        liveOut[b][w] |= liveIn[s][w];
                }

                for (int w = 0; w < words; w++)
                {
                    ulong live = uses[b][w] | (liveOut[b][w] & ~defs[b][w]);
                    changed |= live != liveIn[b][w];
                    liveIn[b][w] = live;
                }
            }
        }

        for (int b = 0; b < blocks; b++)
        {
            ForEach(liveIn[b], v => Extend(registers[v], 2 * starts[b]));
            ForEach(liveOut[b], v => Extend(registers[v], (2 * starts[b + 1]) - 1));
            for (int k = starts[b]; k < starts[b + 1]; k++)
            {
                // Operands of instructions that do not work lane by lane stay until the result is written.
                foreach (int use in drafts[k].Uses())
                    Extend(registers[use], drafts[k].InPlace ? 2 * k : (2 * k) + 1);
                foreach (int def in drafts[k].Defs())
                {
                    Extend(registers[def], (2 * k) + 1);
                    if (!drafts[k].InPlace)
                        Extend(registers[def], 2 * k);
                }
            }
        }
    }

    /// <summary>Gives the registers of a function frame offsets from <paramref name="frame"/> on; returns the end.</summary>
    public static int Assign(FunctionDecoder function, List<VirtualRegister> registers, int frame)
    {
        var used = new HashSet<int>();
        foreach (Draft draft in function.Drafts)
        {
            foreach (int v in draft.Uses())
                used.Add(v);
            foreach (int v in draft.Defs())
                used.Add(v);
        }

        var list = new List<VirtualRegister>();
        foreach (int v in used)
        {
            VirtualRegister register = registers[v];
            if (register.Offset < 0 && register.Source == ConstantSource.None)
                list.Add(register);
        }

        list.Sort((a, b) => a.Start.CompareTo(b.Start));
        var free = new Stack<int>[] { new(), new(), new() };
        var active = new List<VirtualRegister>();
        foreach (VirtualRegister register in list)
        {
            for (int k = active.Count - 1; k >= 0; k--)
            {
                if (active[k].End >= register.Start || active[k].Pinned)
                    continue;
                free[(int)active[k].Width].Push(active[k].Offset);
                active[k] = active[^1];
                active.RemoveAt(active.Count - 1);
            }

            if (!register.Pinned && free[(int)register.Width].TryPop(out int offset))
                register.Offset = offset;
            else
            {
                register.Offset = frame;
                frame += register.Width == RegisterWidth.Double ? 256 : 128;
            }

            active.Add(register);
        }

        return frame;
    }

    private static ulong[][] New(int blocks, int words)
    {
        ulong[][] sets = new ulong[blocks][];
        for (int b = 0; b < blocks; b++)
            sets[b] = new ulong[words];
        return sets;
    }

    private static bool Has(ulong[] set, int v) => (set[v >> 6] >> (v & 63) & 1) != 0;

    private static void Set(ulong[] set, int v) => set[v >> 6] |= 1ul << (v & 63);

    private static void Extend(VirtualRegister register, int position)
    {
        register.Start = Math.Min(register.Start, position);
        register.End = Math.Max(register.End, position);
    }

    private static void ForEach(ulong[] set, Action<int> action)
    {
        for (int w = 0; w < set.Length; w++)
        {
            for (ulong bits = set[w]; bits != 0; bits &= bits - 1)
                action((w << 6) + BitOperations.TrailingZeroCount(bits));
        }
    }
}
