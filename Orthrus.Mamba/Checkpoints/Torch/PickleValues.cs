using Orthrus.Tensor;

namespace Orthrus.Mamba.Torch;

/// <summary>A module-level name that a pickle mentions. It is never imported and never called.</summary>
internal sealed record PickleGlobal(string Module, string Name)
{
    public override string ToString() => $"{Module}.{Name}";
}

/// <summary>An object of a class that means nothing here: what was called to make it, and nothing else.</summary>
internal sealed record PickleOpaque(string What);

/// <summary>An immutable sequence.</summary>
internal sealed class PickleTuple(object?[] items)
{
    internal object?[] Items { get; } = items;
}

/// <summary>A dictionary (plain or ordered): text and integer keys in order of insertion; entries under other keys are dropped.</summary>
internal sealed class PickleDict
{
    private readonly Dictionary<object, int> _index = [];
    private readonly List<(object Key, object? Value)> _entries = [];

    internal IReadOnlyList<(object Key, object? Value)> Entries => _entries;

    internal void Set(object? key, object? value)
    {
        if (key is not (string or long)) return;
        if (_index.TryGetValue(key, out int at)) _entries[at] = (key, value);
        else
        {
            _index.Add(key, _entries.Count);
            _entries.Add((key, value));
        }
    }

    internal bool TryGet(object key, out object? value)
    {
        bool found = _index.TryGetValue(key, out int at);
        value = found ? _entries[at].Value : null;
        return found;
    }
}

/// <summary>Raw elements in the file.</summary>
/// <param name="Key">Name of the storage in the file.</param>
/// <param name="DType">Element type; null for a type that Orthrus has no use for.</param>
/// <param name="Count">Elements that the pickle claims; checked against the file before anything is read.</param>
internal sealed record TorchStorage(string Key, DType? DType, long Count);

/// <summary>A view of a storage.</summary>
internal sealed record TorchTensor(TorchStorage Storage, long Offset, long[] Shape, long[] Strides);
