namespace Orthrus.Tensor;

/// <summary>
/// Blocks that are kept apart from a device's pool, for work that is recorded once and run again with the same addresses: nobody else may get them meanwhile. A
/// request takes the smallest free block that holds it, so that work of many sizes shares the blocks of the largest.
/// </summary>
internal sealed class BlockArena
{
    /// <summary>Free blocks by rising capacity; few, so that they are walked.</summary>
    private readonly List<Storage> _free = [];

    /// <summary>All its blocks, free or not.</summary>
    internal int Blocks { get; private set; }

    /// <summary>Their bytes.</summary>
    internal long Bytes { get; private set; }

    internal bool TryTake(long bytes, out Storage block)
    {
        int at = _free.FindIndex(b => b.Capacity >= bytes);
        block = at < 0 ? null! : _free[at];
        if (at >= 0) _free.RemoveAt(at);
        return at >= 0;
    }

    internal void Adopt(Storage block)
    {
        block.Arena = this;
        Blocks++;
        Bytes += block.Capacity;
    }

    internal void GiveBack(Storage block)
    {
        int at = _free.FindIndex(b => b.Capacity >= block.Capacity);
        _free.Insert(at < 0 ? _free.Count : at, block);
    }

    /// <summary>Ends the arena and hands its blocks over.</summary>
    /// <exception cref="LifetimeException">Some are in use.</exception>
    internal IReadOnlyList<Storage> Empty()
    {
        if (_free.Count != Blocks) throw new LifetimeException($"an arena ended with {Blocks - _free.Count} of its {Blocks} blocks in use");
        Storage[] blocks = [.. _free];
        _free.Clear();
        (Blocks, Bytes) = (0, 0);
        foreach (var block in blocks) block.Arena = null;
        return blocks;
    }
}
