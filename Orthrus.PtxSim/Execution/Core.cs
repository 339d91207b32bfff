using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Orthrus.PtxSim.Decoding;
using Orthrus.PtxSim.Memory;

namespace Orthrus.PtxSim.Execution;

/// <summary>
/// Executes one launch on the calling thread: one warp at a time, the lanes of a warp in groups of equal position, the lowest position first.
/// The other parts of this class are the memory accesses with their checks.
/// </summary>
internal sealed unsafe partial class Core : IDisposable
{
    private const int SliceFuel = 1 << 16;
    private const int FairFuel = 1 << 9;
    private const int PollCost = 1 << 8;

    /// <summary>Lanes that run now.</summary>
    public uint Active;

    /// <summary>The lowest position of a group that waits; past every instruction when none does.</summary>
    public Instr* NextWaiting;

    /// <summary>For each basic block: times entered, lanes that entered.</summary>
    public long* BlockCounts;

    /// <summary>For each instruction that touches memory: accesses, sectors or bank cycles, the least possible, bytes.</summary>
    public long* InstrStats;

    public WarpState Warp = null!;
    public BlockState Block = null!;
    public bool SpecialError;
    public uint SpecialSeed;

    private static readonly Instr* Never = (Instr*)nint.MaxValue;

    private readonly KernelProgram program;
    private readonly Launch launch;
    private readonly DeviceMemory memory;
    private int fuel;
    private int branchCost = 1;
    private long clock;

    public Core(Launch launch)
    {
        this.launch = launch;
        program = launch.Program;
        memory = launch.Device.Memory;
        NextWaiting = Never;
        BlockCounts = (long*)NativeMemory.AllocZeroed((nuint)(program.Blocks.Length + 1) * 16);
        InstrStats = (long*)NativeMemory.AllocZeroed((nuint)(program.Infos.Length + 1) * 32);
        scratch = (byte*)NativeMemory.AlignedAlloc(ScratchBytes, 64);
        SpecialError = launch.Options.SpecialFunctionError;
        SpecialSeed = (uint)launch.Options.Seed * 0x9E3779B1u;
        checks = launch.Options.Checks;
        PrepareAddresses();
    }

    public Launch Launch => launch;

    public KernelProgram Program => program;

    public void Dispose()
    {
        NativeMemory.Free(BlockCounts);
        NativeMemory.Free(InstrStats);
        NativeMemory.AlignedFree(scratch);
        FreePatterns();
        BlockCounts = InstrStats = null;
        scratch = null;
    }

    /// <summary>Runs a warp until it waits, ends or has used its slice. Returns whether the slice ran out.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public bool Run(WarpState warp)
    {
        Warp = warp;
        Active = warp.Active;
        SetWarp();
        fuel = warp.Fair ? FairFuel : SliceFuel;
        branchCost = 1;
        UpdateNextWaiting();
        byte* r = warp.Regs;
        Instr* pc = warp.Pc;
        while (pc != null)
        {
            uint m = Active & (*(uint*)(r + pc->Guard) ^ pc->GuardFlip);
            pc = m == 0 ? pc + 1 : pc->Handler(this, pc, r, m);
        }

        return fuel < 0;
    }

    /// <summary>Start of a basic block: lets waiting groups join or go first, and counts.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Instr* Enter(Core core, Instr* i, byte* r, uint m)
    {
        if (i >= core.NextWaiting)
        {
            Instr* other = core.Reconverge(i);
            if (other != i)
                return other;
        }

        long* counts = core.BlockCounts + i->X;
        counts[0]++;
        counts[1] += BitOperations.PopCount(core.Active);
        return i + 1;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Instr* Branch(Core core, Instr* i, byte* r, uint m)
    {
        var target = (Instr*)i->Cache;
        uint rest = core.Active & ~m;
        if (rest == 0)
            return target > i ? target : core.Back(target);
        return core.Split(i, target, m, rest);
    }

    /// <summary>Branch to one of a list (brx.idx): Cache holds the targets, X their number, A the index.</summary>
    public static Instr* BranchIndexed(Core core, Instr* i, byte* r, uint m)
    {
        var index = (uint*)(r + i->A);
        var targets = (Instr**)i->Cache;
        uint rest = m;
        if ((core.Active & ~m) != 0)
            core.AddWaiting(i + 1, core.Active & ~m, false);
        while (rest != 0)
        {
            int l = BitOperations.TrailingZeroCount(rest);
            uint mine = 0;
            for (uint k = rest; k != 0; k &= k - 1)
            {
                if (index[BitOperations.TrailingZeroCount(k)] == index[l])
                    mine |= k & (0 - k);
            }

            if (index[l] >= (uint)i->X)
                throw core.Fault(FaultKind.Trap, i, l, 0, $"brx.idx with index {index[l]} into a list of {i->X}");
            rest &= ~mine;
            core.AddWaiting(targets[index[l]], mine, false);
        }

        return core.Next();
    }

    /// <summary>Call of a device function: the return positions lie per lane in register D.</summary>
    public static Instr* CallFunction(Core core, Instr* i, byte* r, uint m)
    {
        var d = (uint*)(r + i->D);
        uint back = (uint)(i + 1 - core.program.Code);
        for (uint k = m; k != 0; k &= k - 1)
            d[BitOperations.TrailingZeroCount(k)] = back;
        uint rest = core.Active & ~m;
        var target = (Instr*)i->Cache;
        return rest == 0 ? target : core.Split(i, target, m, rest);
    }

    /// <summary>Return from a device function to the positions in register A.</summary>
    public static Instr* ReturnFunction(Core core, Instr* i, byte* r, uint m)
    {
        var a = (uint*)(r + i->A);
        if ((core.Active & ~m) != 0)
            core.AddWaiting(i + 1, core.Active & ~m, false);
        for (uint rest = m; rest != 0;)
        {
            int l = BitOperations.TrailingZeroCount(rest);
            uint mine = 0;
            for (uint k = rest; k != 0; k &= k - 1)
            {
                if (a[BitOperations.TrailingZeroCount(k)] == a[l])
                    mine |= k & (0 - k);
            }

            rest &= ~mine;
            core.AddWaiting(core.program.Code + a[l], mine, false);
        }

        return core.Next();
    }

    public static Instr* Exit(Core core, Instr* i, byte* r, uint m)
    {
        for (int k = 0; k < core.Warp.WaitingCount; k++)
        {
            LaneGroup group = core.Warp.Waiting[k];
            if (group.Blocked && (group.Required & m) != 0)
                throw core.StuckFault(group);
        }

        core.Warp.Alive &= ~m;
        core.Active &= ~m;
        return core.Active != 0 ? i + 1 : core.Next();
    }

    public static Instr* Trap(Core core, Instr* i, byte* r, uint m) =>
        throw core.Fault(FaultKind.Trap, i, BitOperations.TrailingZeroCount(m), 0, "the kernel executed trap");

    /// <summary>A clock that only tells that time passes: slices and branches are not cycles.</summary>
    public static Instr* ReadClock(Core core, Instr* i, byte* r, uint m)
    {
        Vector512<uint> v = Vector512.Create((uint)(core.clock += 16));
        Lanes.Store(r + i->D, v, v, m);
        core.Poll();
        return i + 1;
    }

    public static Instr* ReadClock64(Core core, Instr* i, byte* r, uint m)
    {
        Vector512<ulong> v = Vector512.Create((ulong)(core.clock += 16));
        Lanes.Store64(r + i->D, v, v, v, v, m);
        core.Poll();
        return i + 1;
    }

    public static Instr* Sleep(Core core, Instr* i, byte* r, uint m)
    {
        core.Poll();
        return i + 1;
    }

    public static Instr* Nothing(Core core, Instr* i, byte* r, uint m) => i + 1;

    /// <summary>A loop that reads what other threads may write: hands over sooner.</summary>
    public void Poll() => branchCost = PollCost;

    /// <summary>
    /// Makes sure that all lanes of <paramref name="required"/> stand at this instruction. Returns false after parking the lanes of
    /// <paramref name="m"/>; the warp then goes on at <paramref name="next"/>.
    /// </summary>
    public bool Gather(Instr* i, ref uint m, uint required, out Instr* next)
    {
        next = null;
        if ((required & ~m) == 0)
            return true;
        uint here = m;
        for (int k = 0; k < Warp.WaitingCount; k++)
        {
            if (Warp.Waiting[k].Blocked && Warp.Waiting[k].Pc == i)
                here |= Warp.Waiting[k].Mask;
        }

        // Lanes that are about to exit need not come.
        for (int k = 0; k < Warp.WaitingCount; k++)
        {
            if (!Warp.Waiting[k].Blocked && LeavesAtOnce(Warp.Waiting[k].Pc))
                required &= ~Warp.Waiting[k].Mask;
        }

        if ((required & ~here) == 0)
        {
            for (int k = Warp.WaitingCount - 1; k >= 0; k--)
            {
                if (Warp.Waiting[k].Blocked && Warp.Waiting[k].Pc == i)
                    RemoveWaiting(k);
            }

            Active |= here;
            m = here;
            return true;
        }

        uint rest = Active & ~m;
        AddWaiting(i, m, true);
        for (int k = 0; k < Warp.WaitingCount; k++)
        {
            if (Warp.Waiting[k].Blocked && Warp.Waiting[k].Pc == i)
                Warp.Waiting[k].Required |= required;
        }

        Active = rest;
        next = rest != 0 ? i + 1 : Next();
        return false;
    }

    private bool LeavesAtOnce(Instr* pc)
    {
        if (program.Infos[pc->Index].Opcode == "block")
            pc++;
        return program.Infos[pc->Index].Opcode is "ret" or "exit" && pc->Guard == KernelProgram.TrueOffset && program.Function.IsEntry;
    }

    private Instr* Back(Instr* target)
    {
        fuel -= branchCost;
        if (fuel >= 0)
            return target;
        return SliceEnds(target);
    }

    private Instr* SliceEnds(Instr* target)
    {
        launch.CountSlice(this);
        bool others = Warp.WaitingCount > 0;
        if (others && !Warp.Fair)
        {
            // The others first, each for a short slice without rejoining; then lowest position first again.
            int pick = -1;
            for (int k = 0; k < Warp.WaitingCount; k++)
            {
                if (!Warp.Waiting[k].Blocked && (pick < 0 || launch.Random.Next(2) == 0))
                    pick = k;
            }

            if (pick >= 0)
            {
                LaneGroup other = Warp.Waiting[pick];
                RemoveWaiting(pick);
                AddWaiting(target, Active, false);
                Active = other.Mask;
                target = other.Pc;
                Warp.Fair = true;
            }
        }
        else
            Warp.Fair = false;

        Warp.Pc = target;
        Warp.Active = Active;
        Warp.Status = WarpStatus.Ready;
        return null;
    }

    private Instr* Split(Instr* i, Instr* target, uint taken, uint rest)
    {
        if (target > i)
        {
            AddWaiting(target, taken, false);
            Active = rest;
            return i + 1;
        }

        AddWaiting(i + 1, rest, false);
        Active = taken;
        return Back(target);
    }

    /// <summary>At the start of a block with groups waiting at or before it.</summary>
    private Instr* Reconverge(Instr* i)
    {
        if (i > NextWaiting)
        {
            AddWaiting(i, Active, false);
            return Next();
        }

        for (int k = Warp.WaitingCount - 1; k >= 0; k--)
        {
            if (Warp.Waiting[k].Pc == i && !Warp.Waiting[k].Blocked)
            {
                Active |= Warp.Waiting[k].Mask;
                RemoveWaiting(k);
            }
        }

        UpdateNextWaiting();
        return i;
    }

    private void AddWaiting(Instr* pc, uint mask, bool blocked)
    {
        WarpState warp = Warp;
        for (int k = 0; k < warp.WaitingCount; k++)
        {
            if (warp.Waiting[k].Pc == pc && warp.Waiting[k].Blocked == blocked)
            {
                warp.Waiting[k].Mask |= mask;
                return;
            }
        }

        warp.Waiting[warp.WaitingCount++] = new LaneGroup { Pc = pc, Mask = mask, Blocked = blocked, Required = 0 };
        if (!blocked && pc < NextWaiting && !warp.Fair)
            NextWaiting = pc;
    }

    private void RemoveWaiting(int k)
    {
        Warp.Waiting[k] = Warp.Waiting[Warp.WaitingCount - 1];
        Warp.WaitingCount--;
    }

    private void UpdateNextWaiting()
    {
        NextWaiting = Never;
        if (Warp.Fair)
            return;
        for (int k = 0; k < Warp.WaitingCount; k++)
        {
            if (!Warp.Waiting[k].Blocked && Warp.Waiting[k].Pc < NextWaiting)
                NextWaiting = Warp.Waiting[k].Pc;
        }
    }

    /// <summary>The lanes that ran have gone: goes on with the group of the lowest position, or ends the warp.</summary>
    private Instr* Next()
    {
        WarpState warp = Warp;
        warp.Fair = false;
        int pick = -1;
        for (int k = 0; k < warp.WaitingCount; k++)
        {
            if (!warp.Waiting[k].Blocked && (pick < 0 || warp.Waiting[k].Pc < warp.Waiting[pick].Pc))
                pick = k;
        }

        if (pick < 0 && warp.WaitingCount > 0)
        {
            for (int k = 0; k < warp.WaitingCount; k++)
            {
                if (pick < 0 || warp.Waiting[k].Pc < warp.Waiting[pick].Pc)
                    pick = k;
            }

            if (warp.AliveWhenBlocked == warp.Alive)
                throw StuckFault(warp.Waiting[pick]);
            warp.AliveWhenBlocked = warp.Alive;
        }

        if (pick < 0)
        {
            warp.Status = WarpStatus.Done;
            warp.Active = 0;
            return null;
        }

        LaneGroup group = warp.Waiting[pick];
        RemoveWaiting(pick);
        Active = group.Mask;
        UpdateNextWaiting();
        return group.Pc;
    }

    private SimFault StuckFault(LaneGroup group)
    {
        uint missing = Warp.Alive & ~group.Mask;
        InstrInfo info = program.Infos[group.Pc->Index];
        bool barrier = info.Class == InstructionClass.Barrier && !info.Opcode.StartsWith("bar.warp", StringComparison.Ordinal);
        int lane = BitOperations.TrailingZeroCount(group.Mask);
        string where = Warp.WaitingCount > 1 ? "wait elsewhere" : "do not come";
        return barrier
            ? Fault(FaultKind.DivergentBarrier, group.Pc, lane, 0, $"divergent barrier: lanes 0x{group.Mask:x8} of the warp wait at {info.Opcode}, lanes 0x{missing:x8} {where}")
            : Fault(FaultKind.MemberMask, group.Pc, lane, 0, $"lanes 0x{group.Mask:x8} wait at {info.Opcode} for lanes of its member mask; lanes 0x{missing:x8} {where}");
    }

    /// <summary>A fault of a lane at an instruction.</summary>
    public SimFault Fault(FaultKind kind, Instr* i, int lane, ulong address, string text)
    {
        int linear = (Warp.Index * 32) + lane;
        Dim3 size = launch.BlockSize;
        var thread = new Dim3(linear % size.X, linear / size.X % size.Y, linear / (size.X * size.Y));
        int line = program.Infos[i->Index].Line;
        string at = address == 0 ? "" : $", address 0x{address:x}";
        return new SimFault(kind, $"{program.Name}, PTX line {line}, block {Block.Position}, thread {thread}{at}: {text}")
        {
            Kernel = program.Name,
            Line = line,
            Block = Block.Position,
            Thread = thread,
            Address = address,
        };
    }
}
