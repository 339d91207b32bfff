using Orthrus.PtxSim.Execution;
using Orthrus.Tensor.Cuda;

namespace Orthrus.PtxSim;

/// <summary>
/// The primary context of a device: its streams and the work in them. Work waits until somebody waits for it; then it runs in an order drawn at random among
/// those that streams and events allow.
/// </summary>
internal sealed class SimContext
{
    // As many launches as a driver lets pile up before a call waits.
    private const int QueueLimit = 1024;

    private readonly SimDriver driver;
    private readonly List<SimStream> streams = [];
    private readonly List<SimWork> ready = [];
    private readonly List<(SimWork Work, nint Start, long Bytes, bool Fills)> watched = [];
    private readonly SimRandom random;
    private int pending;
    private long rounds;
    private bool evenly;
    private bool failedBefore;

    public SimContext(SimDriver driver, SimDevice device, int ordinal)
    {
        this.driver = driver;
        Device = device;
        Ordinal = ordinal;
        random = new SimRandom(((ulong)device.Options.Seed * 0x2545F491) + (ulong)ordinal + 77);
        Order = new StreamOrder(device);
        Legacy = new SimStream(this, Order.NewLane("the default stream"), blocking: true);
    }

    public Lock Gate { get; } = new();

    public SimDevice Device { get; }

    public int Ordinal { get; }

    public nint Handle { get; set; }

    /// <summary>How often it was retained.</summary>
    public int Users { get; set; }

    /// <summary>The default stream in its legacy form: it waits for all blocking streams, and they for it.</summary>
    public SimStream Legacy { get; }

    public StreamOrder Order { get; }

    /// <summary>Blocks that a graph's recording or launch has handed out.</summary>
    public Dictionary<ulong, object> BlockOwners { get; } = [];

    /// <summary>The error that has ended the context, and its story.</summary>
    public CudaResult Error { get; private set; }

    public string? Why { get; private set; }

    public IEnumerable<SimStream> Streams => streams;

    private bool Eager => Device.Options.Eager;

    public SimStream NewStream(bool blocking)
    {
        var stream = new SimStream(this, Order.NewLane($"stream {Order.NextLane}"), blocking);
        streams.Add(stream);
        return stream;
    }

    public void RemoveStream(SimStream stream) => streams.Remove(stream);

    public void Launched(LaunchReport report) => driver.Launched?.Invoke(report);

    /// <summary>The result that every call gives once the context has failed.</summary>
    public CudaResult Failed()
    {
        string? why = failedBefore ? $"the context was lost before: {Why}" : Why;
        failedBefore = true;
        return SimDriver.Fail(Error, why);
    }

    /// <summary>Puts work into a stream.</summary>
    public SimWork Append(SimStream stream, SimOperation operation, SimWork? alsoBehind = null)
    {
        SimWork work = Begin(operation, stream.Lane);
        Behind(work, stream.Tail);
        if (stream == Legacy)
        {
            foreach (SimStream other in streams)
            {
                if (other.Blocking)
                    Behind(work, other.Tail);
            }
        }
        else if (stream.Blocking)
            Behind(work, Legacy.Tail);
        Behind(work, alsoBehind);
        stream.Tail = work;
        Post(work);
        return work;
    }

    /// <summary>Puts all nodes of a graph behind a stream's work, and the stream's later work behind them.</summary>
    public void Append(SimStream stream, SimGraphInstance instance)
    {
        SimGraph graph = instance.Graph;
        if (instance.Lanes.Length != graph.Lanes)
            instance.Lanes = [stream.Lane, .. Enumerable.Range(1, Math.Max(0, graph.Lanes - 1)).Select(k => Order.NewLane($"branch {k} of a graph"))];
        instance.Lanes[0] = stream.Lane;
        SimWork begin = Append(stream, new MarkOperation("launch of a graph"), instance.Last);
        var works = new Dictionary<SimNode, SimWork>();
        foreach (SimNode node in graph.Nodes)
        {
            SimWork work = Begin(node.Operation, instance.Lanes[node.Lane]);
            Behind(work, begin);
            foreach (SimNode before in node.Before)
                Behind(work, works[before]);
            Post(work);
            works.Add(node, work);
        }

        SimWork end = Begin(new MarkOperation("end of a graph"), stream.Lane);
        Behind(end, begin);
        foreach (SimNode leaf in graph.Leaves())
            Behind(end, works[leaf]);
        Post(end);
        stream.Tail = end;
        instance.Last = end;
    }

    /// <summary>After work was issued: nothing in general; all of it in eager order; what is too much otherwise.</summary>
    public CudaResult Settle()
    {
        if (Eager)
            return SynchroniseAll();
        if (pending > QueueLimit)
        {
            Draw();
            while (pending > QueueLimit / 2 && Error == CudaResult.Success)
                RunOne();
        }

        return Error == CudaResult.Success ? CudaResult.Success : Failed();
    }

    /// <summary>Runs work until a piece has run; others may run before it or wait longer.</summary>
    public CudaResult Synchronise(SimWork? target)
    {
        if (target is { Done: false } && Error == CudaResult.Success)
        {
            Draw();
            while (!target.Done && Error == CudaResult.Success)
                RunOne();
        }

        if (Error != CudaResult.Success)
            return Failed();
        if (target is not null)
            Order.HostSaw(target);
        return CudaResult.Success;
    }

    public CudaResult SynchroniseAll()
    {
        if (pending > 0)
            Draw();
        while (pending > 0 && Error == CudaResult.Success)
            RunOne();
        if (Error != CudaResult.Success)
            return Failed();
        Order.HostSawAll();
        return CudaResult.Success;
    }

    /// <summary>Lets the device get on a little and tells whether a piece has run.</summary>
    public CudaResult Query(SimWork? target)
    {
        if (target is { Done: false } && Error == CudaResult.Success)
        {
            Draw();
            for (int k = random.Next(4); k >= 0 && !target.Done && Error == CudaResult.Success; k--)
                RunOne();
        }

        if (Error != CudaResult.Success)
            return Failed();
        if (target is { Done: false })
            return CudaResult.NotReady;
        if (target is not null)
            Order.HostSaw(target);
        return CudaResult.Success;
    }

    /// <summary>Registers the host memory of a copy; true where nothing issued earlier still uses it, so that it can be watched.</summary>
    public bool Watch(SimWork work, nint start, long bytes, bool fills)
    {
        if (Eager || !Device.Options.Checks || bytes == 0)
            return false;
        bool alone = true;
        foreach (var other in watched)
            alone &= other.Start >= start + (nint)bytes || start >= other.Start + (nint)other.Bytes || (!fills && !other.Fills);
        watched.Add((work, start, bytes, fills));
        return alone;
    }

    public void Unwatch(SimWork work)
    {
        for (int k = 0; k < watched.Count; k++)
        {
            if (watched[k].Work == work)
            {
                watched.RemoveAt(k);
                return;
            }
        }
    }

    private SimWork Begin(SimOperation operation, SimLane lane)
    {
        var work = new SimWork(operation, lane);
        Order.Start(work);
        return work;
    }

    private void Behind(SimWork work, SimWork? before)
    {
        if (before is null)
            return;
        Order.Follow(work, before);
        work.Start = Math.Max(work.Start, before.End);
        if (before.Done)
            return;
        before.Next.Add(work);
        work.Waits++;
    }

    private void Post(SimWork work)
    {
        work.Operation.Issued(this, work);
        pending++;
        if (work.Waits == 0)
            ready.Add(work);
    }

    // An order that favours one stream as far as it goes finds more than one that favours none; both have their turn.
    private void Draw()
    {
        rounds++;
        evenly = random.Next(2) == 0;
    }

    private SimWork Pick()
    {
        int best = ready.Count > 1 && evenly ? random.Next(ready.Count) : 0;
        if (ready.Count > 1 && !evenly)
        {
            if (random.Next(16) == 0)
                rounds++;
            for (int k = 0; k < ready.Count; k++)
            {
                SimLane lane = ready[k].Lane;
                if (lane.Drawn != rounds)
                    (lane.Drawn, lane.Priority) = (rounds, random.Next(1 << 30));
                if (lane.Priority > ready[best].Lane.Priority)
                    best = k;
            }
        }

        SimWork work = ready[best];
        ready[best] = ready[^1];
        ready.RemoveAt(ready.Count - 1);
        return work;
    }

    private void RunOne()
    {
        SimWork work = Pick();
        try
        {
            work.End = work.Start + work.Operation.Execute(this, work);
        }
        catch (SimFault fault)
        {
            Error = ResultOf(fault.Kind);
            Why = fault.Message;
            driver.Faulted(fault);
            ready.Clear();
            watched.Clear();
            pending = 0;
            return;
        }

        work.Done = true;
        pending--;
        foreach (SimWork next in work.Next)
        {
            next.Start = Math.Max(next.Start, work.End);
            if (--next.Waits == 0)
                ready.Add(next);
        }

        work.Next.Clear();
    }

    private static CudaResult ResultOf(FaultKind kind) => kind switch
    {
        FaultKind.Misaligned => CudaResult.MisalignedAddress,
        FaultKind.OutOfBounds or FaultKind.UseAfterFree or FaultKind.ReadOnly or FaultKind.HostCall => CudaResult.IllegalAddress,
        FaultKind.NoProgress => CudaResult.LaunchTimeout,
        _ => CudaResult.LaunchFailed,
    };
}
