namespace Orthrus.Tensor;

/// <summary>
/// Extents of a contiguous row-major tensor, rank 0 (a scalar) to 4. A value without heap memory. Element counts are 64-bit.
/// </summary>
public readonly record struct Shape
{
    private readonly int _d0, _d1, _d2, _d3;

    /// <summary>A scalar: rank 0, one element.</summary>
    public static Shape Scalar => default;

    /// <summary>A vector.</summary>
    public Shape(int d0) : this(1, d0, 0, 0, 0) { }
    /// <summary>A matrix of <paramref name="d0"/> rows.</summary>
    public Shape(int d0, int d1) : this(2, d0, d1, 0, 0) { }
    /// <summary>Rank 3; for activations (B, L, D).</summary>
    public Shape(int d0, int d1, int d2) : this(3, d0, d1, d2, 0) { }
    /// <summary>Rank 4.</summary>
    public Shape(int d0, int d1, int d2, int d3) : this(4, d0, d1, d2, d3) { }

    private Shape(int rank, int d0, int d1, int d2, int d3)
    {
        if ((d0 | d1 | d2 | d3) < 0) throw new ShapeException($"negative extent in ({d0}, {d1}, {d2}, {d3})");
        (Rank, _d0, _d1, _d2, _d3) = (rank, d0, d1, d2, d3);
    }

    /// <summary>Makes a shape of up to four extents.</summary>
    /// <exception cref="ShapeException">More than four extents, or a negative one.</exception>
    public static Shape Of(ReadOnlySpan<int> dims) => dims.Length switch
    {
        0 => default,
        1 => new(dims[0]),
        2 => new(dims[0], dims[1]),
        3 => new(dims[0], dims[1], dims[2]),
        4 => new(dims[0], dims[1], dims[2], dims[3]),
        _ => throw new ShapeException($"rank {dims.Length}: tensors have at most 4 extents"),
    };

    /// <summary>Number of extents, 0 to 4.</summary>
    public int Rank { get; }

    /// <summary>Extent <paramref name="axis"/>; negative axes count from the end.</summary>
    /// <exception cref="ShapeException">The axis does not exist.</exception>
    public int this[int axis]
    {
        get
        {
            int i = axis < 0 ? axis + Rank : axis;
            if ((uint)i >= (uint)Rank) throw new ShapeException($"axis {axis} of a tensor of rank {Rank}");
            return i switch { 0 => _d0, 1 => _d1, 2 => _d2, _ => _d3 };
        }
    }

    /// <summary>Number of elements; 1 for a scalar.</summary>
    public long Count => Rank switch
    {
        0 => 1,
        1 => _d0,
        2 => (long)_d0 * _d1,
        3 => (long)_d0 * _d1 * _d2,
        _ => (long)_d0 * _d1 * _d2 * _d3,
    };

    /// <summary>Product of all extents but the last; 1 for rank 0 and 1.</summary>
    public long Rows => Rank <= 1 ? 1 : Rank switch { 2 => _d0, 3 => (long)_d0 * _d1, _ => (long)_d0 * _d1 * _d2 };

    /// <summary>Last extent; 1 for a scalar.</summary>
    public int Last => Rank == 0 ? 1 : this[-1];

    /// <summary>The same leading extents with another last one.</summary>
    public Shape WithLast(int extent) => Rank switch
    {
        1 => new(extent),
        2 => new(_d0, extent),
        3 => new(_d0, _d1, extent),
        4 => new(_d0, _d1, _d2, extent),
        _ => throw new ShapeException("a scalar has no last extent"),
    };

    /// <summary>The extents as (2, 7, 5).</summary>
    public override string ToString() => Rank switch
    {
        0 => "()",
        1 => $"({_d0})",
        2 => $"({_d0}, {_d1})",
        3 => $"({_d0}, {_d1}, {_d2})",
        _ => $"({_d0}, {_d1}, {_d2}, {_d3})",
    };
}
