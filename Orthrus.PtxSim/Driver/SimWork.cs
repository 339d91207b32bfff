namespace Orthrus.PtxSim;

/// <summary>What a stream can be asked to do. One object may be executed several times, as a node of a graph is.</summary>
internal abstract class SimOperation
{
    /// <summary>For messages: the call and what it was about.</summary>
    public abstract string Name { get; }

    /// <summary>The call that hands the work to a stream: what a device would look at now, not later.</summary>
    public virtual void Issued(SimContext context, SimWork work)
    {
    }

    /// <summary>Does it; returns the modelled seconds it takes at least.</summary>
    public abstract double Execute(SimContext context, SimWork work);
}

/// <summary>A sequence of work in which each piece follows the one before: a stream, or a branch of a graph.</summary>
internal sealed class SimLane(int id, string name)
{
    public int Id => id;

    public string Name => name;

    /// <summary>Pieces issued so far.</summary>
    public long Issued { get; set; }

    /// <summary>Which lane is in a hurry: drawn anew at every wait.</summary>
    public int Priority { get; set; }

    public long Drawn { get; set; }
}

/// <summary>A piece of work that was issued: it may run once everything that it waits for has run.</summary>
internal sealed class SimWork(SimOperation operation, SimLane lane)
{
    public SimOperation Operation => operation;

    public SimLane Lane => lane;

    /// <summary>Place in its lane, from 1.</summary>
    public long Index { get; } = ++lane.Issued;

    /// <summary>Number of pieces that must still run before.</summary>
    public int Waits { get; set; }

    /// <summary>Pieces that wait for this one.</summary>
    public List<SimWork> Next { get; } = [];

    public bool Done { get; set; }

    /// <summary>Modelled seconds since the context began at which it can start, and at which it has ended.</summary>
    public double Start { get; set; }

    public double End { get; set; }

    /// <summary>Index of the last piece of each lane that is ordered before this one; null while one lane alone is in use.</summary>
    public long[]? Clock { get; set; }

    /// <summary>Host memory that it reads or fills is watched from the call until it runs.</summary>
    public bool Watched { get; set; }

    /// <summary>Checksum of watched host memory.</summary>
    public uint HostSum { get; set; }

    public override string ToString() => $"{operation.Name} on {lane.Name}";
}

/// <summary>A stream.</summary>
internal sealed class SimStream(SimContext context, SimLane lane, bool blocking)
{
    public SimContext Context => context;

    public SimLane Lane => lane;

    /// <summary>It waits for the legacy default stream, and that one for it.</summary>
    public bool Blocking => blocking;

    /// <summary>The last piece of work issued.</summary>
    public SimWork? Tail { get; set; }

    /// <summary>The recording that it takes part in.</summary>
    public SimCapture? Capture { get; set; }

    /// <summary>Nodes that the next node of the recording waits for.</summary>
    public List<SimNode> CaptureTail { get; set; } = [];

    public int CaptureLane { get; set; }
}

/// <summary>An event.</summary>
internal sealed class SimEvent(SimContext context, bool timing)
{
    public SimContext Context => context;

    public bool Timing => timing;

    /// <summary>The last record, or null.</summary>
    public SimWork? Last { get; set; }

    /// <summary>Where the last record was part of a recording: which, and the nodes it stands behind.</summary>
    public SimCapture? Capture { get; set; }

    public List<SimNode> Captured { get; set; } = [];
}
