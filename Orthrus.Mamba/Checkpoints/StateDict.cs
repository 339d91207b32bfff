using System.Collections;

namespace Orthrus.Mamba;

/// <summary>Named tensors in the order of their file.</summary>
public sealed class StateDict : IReadOnlyCollection<StateTensor>
{
    private readonly List<StateTensor> _order = [];
    private readonly Dictionary<string, StateTensor> _byName = new(StringComparer.Ordinal);

    /// <summary>The tensor of this name.</summary>
    /// <exception cref="CheckpointException">There is none.</exception>
    public StateTensor this[string name] => _byName.TryGetValue(name, out var t) ? t : throw new CheckpointException(null, name, "the tensor is missing");

    /// <summary>Number of tensors.</summary>
    public int Count => _order.Count;

    /// <summary>True where a tensor of this name is present.</summary>
    public bool Contains(string name) => _byName.ContainsKey(name);

    /// <summary>Appends a tensor.</summary>
    /// <exception cref="CheckpointException">The name is taken.</exception>
    public void Add(StateTensor tensor)
    {
        if (!_byName.TryAdd(tensor.Name, tensor)) throw new CheckpointException(null, tensor.Name, "the tensor appears twice");
        _order.Add(tensor);
    }

    /// <summary>The tensors in order.</summary>
    public IEnumerator<StateTensor> GetEnumerator() => _order.GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}
