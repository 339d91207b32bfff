namespace Orthrus.Tensor;

/// <summary>Every operator of the engine: the only registration, explicit and ordered.</summary>
public static class OpTable
{
    /// <summary>All operators.</summary>
    public static IReadOnlyList<OpRow> All { get; } =
    [
        OpRow.Of<SiLU, NoAttr>(),
        OpRow.Of<MaskedMeanPool, NoAttr>(),
        OpRow.Of<BatchNorm, BatchNorm.Attr>(),
        OpRow.Of<L2Normalize, L2Normalize.Attr>(),
        OpRow.Of<MaskedLogSumExp, MaskedLogSumExp.Attr>(),
        OpRow.Of<SimilarityLogSumExp, SimilarityLogSumExp.Attr>(),
        OpRow.Of<Dcl, Dcl.Attr>(),
        OpRow.Of<DclwWeights, DclwWeights.Attr>(),
        OpRow.Of<CrossEntropy, CrossEntropy.Attr>(),
        OpRow.Of<BceWithLogits, BceWithLogits.Attr>(),
        OpRow.Of<Mse, Mse.Attr>(),
        OpRow.Of<Linear, NoAttr>(),
        OpRow.Of<LinearSplit, LinearSplit.Attr>(),
        OpRow.Of<LayerNorm, LayerNorm.Attr>(),
        OpRow.Of<RmsNorm, RmsNorm.Attr>(),
        OpRow.Of<AddLayerNorm, AddLayerNorm.Attr>(),
        OpRow.Of<AddRmsNorm, AddRmsNorm.Attr>(),
        OpRow.Of<ReLU, NoAttr>(),
        OpRow.Of<Sigmoid, NoAttr>(),
        OpRow.Of<Softplus, NoAttr>(),
        OpRow.Of<GELU, GELU.Attr>(),
        OpRow.Of<Dropout, Dropout.Attr>(),
        OpRow.Of<TrackEmbedding, NoAttr>(),
        OpRow.Of<TrackRows, NoAttr>(),
        OpRow.Of<CausalConv1d, CausalConv1d.Attr>(),
        OpRow.Of<SelectiveScan, SelectiveScan.Attr>(),
        OpRow.Of<Combine, Combine.Attr>(),
        OpRow.Of<ReverseSequence, NoAttr>(),
    ];
}

/// <summary>Options of an operator that has none.</summary>
public readonly record struct NoAttr;
