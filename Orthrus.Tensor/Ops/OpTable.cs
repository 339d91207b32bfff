namespace Orthrus.Tensor;

/// <summary>Every operator of the engine: the only registration, explicit and ordered.</summary>
public static class OpTable
{
    /// <summary>All operators.</summary>
    public static IReadOnlyList<OpRow> All { get; } =
    [
        OpRow.Of<SiLU, NoAttr>(),
    ];
}

/// <summary>Options of an operator that has none.</summary>
public readonly record struct NoAttr;
