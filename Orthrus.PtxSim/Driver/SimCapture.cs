using Orthrus.Tensor.Cuda;

namespace Orthrus.PtxSim;

/// <summary>A node of a graph: an operation and the nodes before it.</summary>
internal sealed class SimNode(SimOperation operation, IEnumerable<SimNode> before, int lane)
{
    public SimOperation Operation => operation;

    public IReadOnlyList<SimNode> Before { get; } = [.. before];

    /// <summary>Which of the recorded streams it came from.</summary>
    public int Lane => lane;
}

/// <summary>A recorded graph, in an order in which every node stands behind those it waits for.</summary>
internal sealed class SimGraph(SimContext context, IReadOnlyList<SimNode> nodes, int lanes)
{
    public SimContext Context => context;

    public IReadOnlyList<SimNode> Nodes => nodes;

    public int Lanes => lanes;

    /// <summary>Nodes that no other waits for.</summary>
    public IEnumerable<SimNode> Leaves()
    {
        var waited = nodes.SelectMany(n => n.Before).ToHashSet();
        return nodes.Where(n => !waited.Contains(n));
    }
}

/// <summary>A graph that can be launched.</summary>
internal sealed class SimGraphInstance(SimGraph graph)
{
    public SimGraph Graph => graph;

    /// <summary>End of its last launch: launches of one instance do not overlap.</summary>
    public SimWork? Last { get; set; }

    /// <summary>A lane for each branch but the first, which runs on the stream's own.</summary>
    public SimLane[] Lanes { get; set; } = [];
}

/// <summary>A recording under way.</summary>
internal sealed class SimCapture(SimStream origin, CudaCaptureMode mode)
{
    private readonly List<SimNode> nodes = [];
    private readonly List<SimStream> streams = [];

    public SimStream Origin => origin;

    public CudaCaptureMode Mode => mode;

    public int Thread { get; } = Environment.CurrentManagedThreadId;

    /// <summary>Why it can only be ended, or null.</summary>
    public string? Spoilt { get; private set; }

    public IReadOnlyList<SimNode> Nodes => nodes;

    public int Lanes { get; private set; }

    public void Spoil(string why) => Spoilt ??= why;

    public void Join(SimStream stream, IEnumerable<SimNode> behind)
    {
        stream.Capture = this;
        stream.CaptureTail = [.. behind];
        stream.CaptureLane = Lanes++;
        streams.Add(stream);
    }

    public void Add(SimStream stream, SimOperation operation)
    {
        var node = new SimNode(operation, stream.CaptureTail, stream.CaptureLane);
        nodes.Add(node);
        stream.CaptureTail = [node];
    }

    /// <summary>Launches of a graph become part of this one.</summary>
    public void Add(SimStream stream, SimGraph graph)
    {
        var copies = new Dictionary<SimNode, SimNode>();
        int first = Lanes;
        Lanes += graph.Lanes - 1;
        foreach (SimNode node in graph.Nodes)
        {
            var copy = new SimNode(node.Operation, node.Before.Count == 0 ? stream.CaptureTail : node.Before.Select(b => copies[b]), node.Lane == 0 ? stream.CaptureLane : first + node.Lane - 1);
            copies.Add(node, copy);
            nodes.Add(copy);
        }

        if (graph.Nodes.Count > 0)
            stream.CaptureTail = [.. graph.Leaves().Select(l => copies[l])];
    }

    /// <summary>Ends the recording; true where all work of other streams is waited for by the first.</summary>
    public bool End()
    {
        var joined = new HashSet<SimNode>();
        var open = new Stack<SimNode>(origin.CaptureTail);
        while (open.TryPop(out SimNode? node))
        {
            if (!joined.Add(node))
                continue;
            foreach (SimNode before in node.Before)
                open.Push(before);
        }

        foreach (SimStream stream in streams)
        {
            stream.Capture = null;
            stream.CaptureTail = [];
        }

        return nodes.TrueForAll(joined.Contains);
    }
}
