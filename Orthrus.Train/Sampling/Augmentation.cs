namespace Orthrus.Train;

/// <summary>
/// What is changed in the two views of a pair, in this order: blanks, combined UTRs, CDS alone, fragments, crop, masks and drops of the annotation tracks, masks of
/// the sequence, masks of all six tracks. Proportions are of the length of the view at that moment: int(L p) distinct positions. 0 leaves a step out.
/// </summary>
public sealed record Augmentation
{
    /// <summary>
    /// Exon junctions that are not known in one view are blank in both: otherwise where they are known would tell which views belong together. The mark at
    /// the last base stays, it is known of every transcript.
    /// </summary>
    public bool BlankUnknownJunctions { get; init; } = true;

    /// <summary>A CDS of which the source of one view says nothing is blank in both views.</summary>
    public bool BlankUnknownCds { get; init; } = true;

    /// <summary>
    /// Probability that the second view of an orthologous pair becomes 5' UTR of the first, CDS of the second, 3' UTR of the first: projected transcripts have
    /// no UTRs.
    /// </summary>
    public double CombineUtr { get; init; }

    /// <summary>Both views are cut to the CDS where both have one.</summary>
    public bool CdsOnly { get; init; }

    /// <summary>As <see cref="CdsOnly"/>, for pairs of an annotated transcript with an ortholog.</summary>
    public bool UtrDropping { get; init; }

    /// <summary>
    /// <see cref="CombineUtr"/> and <see cref="UtrDropping"/> also where the ortholog is no projection and has UTRs of its own.
    /// </summary>
    public bool UtrOfAnnotated { get; init; }

    /// <summary>Each view is cut to a fragment whose share of its length is drawn between this and 1, so that parts of a transcript are to resemble the whole; 1 does not cut.</summary>
    public double Fragment { get; init; } = 1;

    /// <summary>Each view is cut to a window of at most this many nucleotides; 0 does not cut.</summary>
    public int Crop { get; init; }

    /// <summary>Least size of a window: with one above 0 each pair draws its own between this and <see cref="Crop"/>, evenly on a scale of logarithms, so that short sequences are learnt as well.</summary>
    public int CropLeast { get; init; }

    /// <summary>The windows of both views begin at the same share of what can be left away; otherwise each view draws its own.</summary>
    public bool CropTogether { get; init; } = true;

    /// <summary>Share of positions of which the codon mark is cleared.</summary>
    public double MaskCds { get; init; }

    /// <summary>Share of positions of which the splice mark is cleared.</summary>
    public double MaskSplice { get; init; }

    /// <summary>Probability that all codon marks of a view are cleared.</summary>
    public double DropCds { get; init; }

    /// <summary>Probability that all splice marks of a view are cleared.</summary>
    public double DropSplice { get; init; }

    /// <summary>Share of positions of which the base is cleared.</summary>
    public double MaskSequence { get; init; }

    /// <summary>Share of positions of which all six tracks are cleared (the older augmentation).</summary>
    public double MaskAll { get; init; }

    /// <summary>None but the blanks.</summary>
    public static Augmentation None { get; } = new();

    /// <summary>Of the first preprint's checkpoints: 15 % of positions cleared in all six tracks.</summary>
    public static Augmentation V0 { get; } = new() { MaskAll = 0.15 };

    /// <summary>Of the contrastive models published since: UTRs combined, 30 % of bases, codon marks and splice marks cleared.</summary>
    public static Augmentation V1 { get; } = new() { CombineUtr = 1, MaskSequence = 0.3, MaskCds = 0.3, MaskSplice = 0.3 };

    /// <summary>Of the contrastive model with masked language modelling, which masks bases itself: as <see cref="V1"/> with 15 % of bases.</summary>
    public static Augmentation V1Mlm { get; } = V1 with { MaskSequence = 0.15 };
}
