using System.Numerics;
using System.Runtime.InteropServices;
using Orthrus.PtxSim.Decoding;

namespace Orthrus.PtxSim.Execution;

/// <summary>One launch: starts blocks in random order, lets their warps run in random order, completes barriers.</summary>
internal sealed unsafe class Launch : IDisposable
{
    private const int StallRounds = 12;
    private readonly List<int> timeOwners = [];
    private readonly Dictionary<int, (uint Time, long Order)> releases = [];
    private readonly Core core;
    private readonly byte[] parameters;
    private readonly int sharedBytes;
    private readonly int threads;
    private readonly int warps;
    private long slicesWithoutProgress;
    private long order;

    public Launch(SimDevice device, KernelProgram program, Dim3 grid, Dim3 block, int dynamicShared, byte[] parameters, int registersPerThread)
    {
        RegistersPerThread = registersPerThread;
        Device = device;
        Program = program;
        Grid = grid;
        BlockSize = block;
        this.parameters = parameters;
        Options = device.Options;
        sharedBytes = program.StaticShared + dynamicShared;
        threads = (int)block.Count;
        warps = (threads + 31) / 32;
        Random = new SimRandom((ulong)Options.Seed + ((ulong)device.LaunchNumber * 0x51ED27));
        DynamicShared = dynamicShared;
        program.ResetCaches();
        core = new Core(this);
    }

    public SimDevice Device { get; }

    public KernelProgram Program { get; }

    public SimOptions Options { get; }

    public Dim3 Grid { get; }

    public Dim3 BlockSize { get; }

    public SimRandom Random { get; }

    public int Threads => threads;

    public int DynamicShared { get; }

    public int RegistersPerThread { get; }

    public int SharedBytes => sharedBytes;

    /// <summary>Several blocks are part done at the same time, so that times do not tell blocks apart by range.</summary>
    public bool Interleaved { get; private set; }

    /// <summary>First global time of the launch.</summary>
    public uint StartTime { get; private set; }

    public long Number => Device.LaunchNumber;

    public byte[] Parameters => parameters;

    public List<string> Output { get; } = [];

    public LaunchReport Run()
    {
        if (Device.GlobalTime > GlobalTimeLimit)
        {
            Device.Memory.ResetTimes();
            Device.GlobalTime = 1;
        }

        StartTime = Device.GlobalTime + 1;
        core.StartLaunch();
        RunBlocks();
        return ReportBuilder.Build(this, core);
    }

    public void Dispose() => core.Dispose();

    private static uint GlobalTimeLimit => Memory.GlobalStamp.MaxTime / 2;

    /// <summary>A new global time that belongs to a block.</summary>
    public uint NextGlobalTime(int block)
    {
        if (Device.GlobalTime >= Memory.GlobalStamp.MaxTime)
            throw new SimFault(FaultKind.NoProgress, $"{Program.Name}: more than {Memory.GlobalStamp.MaxTime / 2} barriers and blocks in one launch; run it in parts or without checks");
        timeOwners.Add(block);
        return ++Device.GlobalTime;
    }

    /// <summary>The block that had a global time of this launch.</summary>
    public int OwnerOf(uint time)
    {
        long at = (long)time - StartTime;
        return at >= 0 && at < timeOwners.Count ? timeOwners[(int)at] : -1;
    }

    /// <summary>A fence of a block: what it wrote up to now is visible to blocks that acquire later.</summary>
    public void Fence(BlockState block)
    {
        releases[block.Number] = (block.GlobalTime, ++order);
        block.Acquired = ++order;
    }

    /// <summary>Whether a block's write at a time was released before another block's last fence.</summary>
    public bool Released(int writer, uint time, BlockState reader) =>
        releases.TryGetValue(writer, out (uint Time, long Order) release) && time <= release.Time && release.Order < reader.Acquired;

    /// <summary>Called when a slice runs out.</summary>
    public void CountSlice(Core running)
    {
        if (++slicesWithoutProgress > Options.StallLimit)
            throw running.Fault(FaultKind.NoProgress, running.Warp.Pc, BitOperations.TrailingZeroCount(running.Active), 0,
                $"no thread gets past a barrier or to its end: a loop waits for something that does not come (SimOptions.StallLimit = {Options.StallLimit})");
    }

    /// <summary>A warp passed bar.arrive, which may complete the barrier for the warps that wait.</summary>
    public void ArrivedAt(BlockState block, int id) => CompleteBarrier(block, id);

    private void RunBlocks()
    {
        long count = Grid.Count;
        int[] sequence = new int[count];
        for (int k = 0; k < sequence.Length; k++)
            sequence[k] = k;
        for (int k = sequence.Length - 1; k > 0; k--)
        {
            int other = Random.Next(k + 1);
            (sequence[k], sequence[other]) = (sequence[other], sequence[k]);
        }

        var states = new List<BlockState>();
        var idle = new Stack<BlockState>();
        var stalled = new List<BlockState>();
        try
        {
            int started = 0;
            while (started < sequence.Length || stalled.Count > 0)
            {
                BlockState block;
                if (started < sequence.Length && stalled.Count < Device.ResidentBlocks(Program, threads, sharedBytes))
                {
                    if (!idle.TryPop(out block!))
                    {
                        block = new BlockState(Program, warps, sharedBytes);
                        states.Add(block);
                        Program.FillConstants(block, this);
                    }

                    Start(block, sequence[started++]);
                }
                else
                {
                    int pick = Random.Next(stalled.Count);
                    block = stalled[pick];
                    stalled.RemoveAt(pick);
                }

                if (RunBlock(block))
                {
                    core.EndBlock(block);
                    idle.Push(block);
                }
                else
                {
                    stalled.Add(block);
                    Interleaved = true;
                }
            }
        }
        finally
        {
            foreach (BlockState state in states)
                state.Dispose();
        }
    }

    private void Start(BlockState block, int number)
    {
        block.Number = number;
        block.Position = new Dim3(number % Grid.X, number / Grid.X % Grid.Y, number / (Grid.X * Grid.Y));
        block.Alive = warps;
        foreach (WarpState warp in block.Warps)
        {
            int lanes = Math.Min(32, threads - (warp.Index * 32));
            warp.Alive = lanes == 32 ? Lanes.All : (1u << lanes) - 1;
            warp.Active = warp.Alive;
            warp.Pc = Program.Code;
            warp.Status = WarpStatus.Ready;
            warp.WaitingCount = 0;
            warp.AliveWhenBlocked = 0;
            warp.Fair = false;
            warp.CopyCount = 0;
            warp.CopyGroup = 0;
            warp.SyncTime = 0;
            Array.Clear(warp.LaneSyncTime);
            Array.Clear(warp.LaneSyncMask);
            if (warp.LocalBytes > 0)
                NativeMemory.Clear(warp.LocalWritten, (nuint)warp.LocalBytes * 32);
        }

        Array.Clear(block.Arrived);
        Array.Clear(block.ArrivedWarps);
        Array.Clear(block.SeenShared);
        Array.Clear(block.SeenGlobal);
        block.Acquired = 0;
        Program.FillBlock(block, Device.Options.Checks);
        core.StartBlock(block);
    }

    /// <summary>Runs a block to its end (true), or until all its warps only spin (false).</summary>
    private bool RunBlock(BlockState block)
    {
        core.Block = block;
        int exhausted = 0;
        Span<int> ready = stackalloc int[32];
        while (true)
        {
            int count = 0;
            foreach (WarpState candidate in block.Warps)
            {
                if (candidate.Status == WarpStatus.Ready)
                    ready[count++] = candidate.Index;
            }

            if (count == 0)
            {
                if (block.Alive == 0)
                    return true;
                throw Stuck(block);
            }

            WarpState warp = block.Warps[ready[Random.Next(count)]];
            if (core.Run(warp))
            {
                if (++exhausted > StallRounds * count)
                    return false;
                continue;
            }

            exhausted = 0;
            slicesWithoutProgress = 0;
            if (warp.Status == WarpStatus.Done)
            {
                block.Alive--;
                for (int id = 0; id < 16; id++)
                    CompleteBarrier(block, id);
            }
            else
                CompleteBarrier(block, warp.Barrier);
        }
    }

    private void CompleteBarrier(BlockState block, int id)
    {
        int waiting = 0, expected = 0;
        uint mask = 0;
        foreach (WarpState warp in block.Warps)
        {
            if (warp.Status == WarpStatus.AtBarrier && warp.Barrier == id)
            {
                waiting++;
                mask |= 1u << warp.Index;
                expected = Math.Max(expected, warp.BarrierThreads);
            }
        }

        if (waiting == 0)
            return;
        bool all = expected == 0 || expected >= warps * 32;
        int exited = warps - block.Alive;
        if (all ? waiting + block.Arrived[id] + exited < warps : (waiting + block.Arrived[id]) * 32 < expected)
            return;
        core.BarrierCompletes(block, id, mask | block.ArrivedWarps[id], all);
        block.Arrived[id] = 0;
        block.ArrivedWarps[id] = 0;
        foreach (WarpState warp in block.Warps)
        {
            if ((mask >> warp.Index & 1) != 0)
                warp.Status = WarpStatus.Ready;
        }
    }

    private SimFault Stuck(BlockState block)
    {
        WarpState first = block.Warps.First(w => w.Status == WarpStatus.AtBarrier);
        core.Warp = first;
        string waits = string.Join("; ", block.Warps.Where(w => w.Status == WarpStatus.AtBarrier)
            .Select(w => $"warp {w.Index} at barrier {w.Barrier}, PTX line {Program.Infos[w.BarrierInstr->Index].Line}"));
        return core.Fault(FaultKind.DivergentBarrier, first.BarrierInstr, BitOperations.TrailingZeroCount(first.BarrierLanes), 0,
            $"the barrier never completes: {waits}; {block.Warps.Count(w => w.Status == WarpStatus.Done)} warps have ended");
    }
}
