namespace Orthrus.Rna;

/// <summary>A list that grows without copying: while it grows it takes no more than it holds and one chunk.</summary>
internal sealed class ChunkedList<T>
{
    private const int Bits = 14, ChunkSize = 1 << Bits;

    private readonly List<T[]> _chunks = [];

    internal int Count { get; private set; }

    internal T this[int i]
    {
        get => _chunks[i >> Bits][i & (ChunkSize - 1)];
        set => _chunks[i >> Bits][i & (ChunkSize - 1)] = value;
    }

    internal void Add(T value)
    {
        if (Count == _chunks.Count << Bits) _chunks.Add(new T[ChunkSize]);
        this[Count] = value;
        Count = checked(Count + 1);
    }

    /// <summary>All in order, in pieces.</summary>
    internal IEnumerable<ReadOnlyMemory<T>> Pieces()
    {
        for (int i = 0; i < _chunks.Count; i++) yield return _chunks[i].AsMemory(0, Math.Min(ChunkSize, Count - (i << Bits)));
    }
}
