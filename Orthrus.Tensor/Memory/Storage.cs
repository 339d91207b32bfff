namespace Orthrus.Tensor;

/// <summary>
/// One block of device memory. Objects are recycled with their blocks: <see cref="Generation"/> grows when the block goes back to the pool, so
/// that a tensor which outlived its scope is recognised instead of reading somebody else's numbers.
/// </summary>
internal sealed class Storage
{
    internal required Device Device;
    internal nint Pointer;
    /// <summary>Size of the block: a size class of the pool, or what an arena had.</summary>
    internal long Capacity;
    /// <summary>The memory belongs to somebody else and goes back to no pool.</summary>
    internal bool Borrowed;
    /// <summary>The arena that keeps the block; null for the pool.</summary>
    internal BlockArena? Arena;
    internal int Generation;
    /// <summary>Bytes asked for; the guard zone of a checked pool begins here. -1 without a guard.</summary>
    internal long Guarded = -1;
    /// <summary>Scope that frees the block, and its place in that scope's list.</summary>
    internal Scope? Owner;
    internal int OwnerIndex;
}
