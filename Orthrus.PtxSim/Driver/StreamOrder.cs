using Orthrus.PtxSim.Memory;

namespace Orthrus.PtxSim;

/// <summary>
/// Finds work of several streams that touches the same memory although nothing orders it: neither a stream, nor an event, nor a wait of the host. What a
/// device may do in any order is a fault in every order.
/// </summary>
internal sealed unsafe class StreamOrder(SimDevice device)
{
    private readonly List<Access> history = [];
    private long[] host = [];
    private SimLane? first;
    private int lanes;

    /// <summary>More than one lane has been used.</summary>
    public bool Active { get; private set; }

    /// <summary>Number of the next lane.</summary>
    public int NextLane => lanes;

    public SimLane NewLane(string name) => new(lanes++, name);

    /// <summary>Work is about to be issued on a lane, behind other work.</summary>
    public void Start(SimWork work)
    {
        first ??= work.Lane;
        Active |= work.Lane != first && device.Options.Checks;
        if (!Active)
            return;
        work.Clock = new long[lanes];
        host.CopyTo(work.Clock, 0);
        work.Clock[work.Lane.Id] = work.Index;
    }

    public void Follow(SimWork work, SimWork before)
    {
        if (work.Clock is { } clock)
            Merge(clock, before);
    }

    /// <summary>The host has seen the end of some work: everything it issues later comes after.</summary>
    public void HostSaw(SimWork work)
    {
        if (!Active)
            return;
        Array.Resize(ref host, lanes);
        Merge(host, work);
        history.RemoveAll(a => host[a.Work.Lane.Id] >= a.Work.Index);
    }

    /// <summary>All work has ended and the host knows it.</summary>
    public void HostSawAll() => history.Clear();

    /// <summary>Work touches a range of device memory (or of host memory).</summary>
    public void Touch(SimWork work, ulong start, long bytes, bool write, bool hostMemory = false)
    {
        if (Tracked(work) && bytes > 0)
            Touch(new Access(work, write, hostMemory, [start, start + (ulong)bytes]));
    }

    /// <summary>A kernel has run: what it touched stands in the stamps of the memory.</summary>
    public void TouchedByLaunch(SimWork work, uint startTime)
    {
        if (!Tracked(work))
            return;
        uint limit = startTime << GlobalStamp.TimeShift;
        foreach (nint p in device.Memory.Live)
        {
            var block = (MemoryBlock*)p;
            if (block->Launch != device.LaunchNumber || block->Writers == null || block->ReadOnly)
                continue;
            if (Ranges(block, block->Writers, limit) is { Length: > 0 } written)
                Touch(new Access(work, true, false, written));
            if (Ranges(block, block->Readers, limit) is { Length: > 0 } read)
                Touch(new Access(work, false, false, read));
        }
    }

    // Work that was issued before a second lane came into use knows of its own lane alone.
    private bool Tracked(SimWork work)
    {
        if (!Active)
            return false;
        if (work.Clock is null)
        {
            work.Clock = new long[lanes];
            work.Clock[work.Lane.Id] = work.Index;
        }

        return true;
    }

    private static ulong[] Ranges(MemoryBlock* block, uint* stamps, uint limit)
    {
        var ranges = new List<ulong>();
        bool open = false;
        ulong count = block->Granules;
        for (ulong g = 0; g <= count; g++)
        {
            bool touched = g < count && stamps[g] >= limit;
            if (touched == open)
                continue;
            ranges.Add(block->Start + (g << block->GranuleShift));
            open = touched;
        }

        return [.. ranges];
    }

    private static void Merge(long[] clock, SimWork before)
    {
        if (before.Clock is { } known)
        {
            for (int k = 0; k < known.Length; k++)
                clock[k] = Math.Max(clock[k], known[k]);
        }

        clock[before.Lane.Id] = Math.Max(clock[before.Lane.Id], before.Index);
    }

    private void Touch(Access access)
    {
        foreach (Access earlier in history)
        {
            if (earlier.Work == access.Work || earlier.HostMemory != access.HostMemory || (!earlier.Write && !access.Write) || Ordered(earlier.Work, access.Work))
                continue;
            if (Common(earlier.Ranges, access.Ranges) is { } address)
                throw new SimFault(FaultKind.StreamOrder,
                    $"{access.Work} {(access.Write ? "writes" : "reads")} what {earlier.Work} {(earlier.Write ? "writes" : "reads")}, and nothing orders the two: an event (or a wait of the host) is missing; address 0x{address:x}"
                    + (access.HostMemory ? " of the host" : device.Memory.Describe(address))) { Address = address };
        }

        history.Add(access);
    }

    private static bool Ordered(SimWork earlier, SimWork later) => earlier.Lane.Id < later.Clock!.Length && later.Clock[earlier.Lane.Id] >= earlier.Index;

    /// <summary>First address that two sorted lists of ranges share, or null.</summary>
    private static ulong? Common(ulong[] a, ulong[] b)
    {
        for (int i = 0, k = 0; i < a.Length && k < b.Length;)
        {
            ulong start = Math.Max(a[i], b[k]);
            if (start < Math.Min(a[i + 1], b[k + 1]))
                return start;
            if (a[i + 1] <= b[k + 1])
                i += 2;
            else
                k += 2;
        }

        return null;
    }

    private sealed record Access(SimWork Work, bool Write, bool HostMemory, ulong[] Ranges);
}
