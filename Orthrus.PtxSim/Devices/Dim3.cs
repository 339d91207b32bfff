namespace Orthrus.PtxSim;

/// <summary>Sizes of a grid or block, or a position in one.</summary>
/// <param name="X">First, fastest dimension.</param>
/// <param name="Y">Second dimension.</param>
/// <param name="Z">Third dimension.</param>
public readonly record struct Dim3(int X, int Y = 1, int Z = 1)
{
    /// <summary>Number of elements.</summary>
    public long Count => (long)X * Y * Z;

    /// <summary>A one-dimensional size.</summary>
    /// <param name="x">The first dimension.</param>
    public static implicit operator Dim3(int x) => new(x);

    /// <inheritdoc/>
    public override string ToString() => $"({X},{Y},{Z})";
}
