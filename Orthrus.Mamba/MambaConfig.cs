namespace Orthrus.Mamba;

/// <summary>Sizes of an Orthrus encoder. Source: specification of the published models; Gu and Dao 2023 for the mixer.</summary>
/// <param name="DModel">Width of the residual stream (256, 512, ...).</param>
/// <param name="NLayer">Number of mixer blocks.</param>
/// <param name="NTracks">Input tracks: 4 (bases) or 6 (bases, CDS, splice).</param>
public sealed record MambaConfig(int DModel, int NLayer, int NTracks)
{
    /// <summary>State size N of the selective scan, 16 in all published models.</summary>
    public int DState { get; init; } = 16;

    /// <summary>Width of the causal convolution, 4 in all published models.</summary>
    public int DConv { get; init; } = 4;

    /// <summary>True for the variant that runs a second mixer over each record's reverse.</summary>
    public bool Bidirectional { get; init; }

    /// <summary>Inner width E = 2 DModel.</summary>
    public int DInner => 2 * DModel;

    /// <summary>Rank R of the delta projection: DModel / 16, rounded up.</summary>
    public int DtRank => (DModel + 15) / 16;
}
