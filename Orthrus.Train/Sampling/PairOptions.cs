namespace Orthrus.Train;

/// <summary>Which partners a transcript may have.</summary>
public enum PartnerChoice
{
    /// <summary>Any partner, each with the same chance.</summary>
    Uniform,

    /// <summary>An ortholog with probability <see cref="PairOptions.OrthologWeight"/>, else a splice isoform, where there are both; each within its kind with the same chance.</summary>
    ByKind,
}

/// <summary>What makes a partner an ortholog.</summary>
public enum OrthologRule
{
    /// <summary>Another species than that of the transcript.</summary>
    Species,

    /// <summary>
    /// Upstream's rule: the partner is a projection (TOGA) onto another genome. Annotated transcripts of the same homology group are splice isoforms whatever
    /// their species, and projections are no keys where the group has an annotated transcript.
    /// </summary>
    Projection,
}

/// <summary>How batches are put together.</summary>
public enum BatchOrder
{
    /// <summary>Batches of pairs whose longer view is of nearly the same length: it is at least 7/8 of the batch's. Leftovers of the lengths share batches.</summary>
    ByLength,

    /// <summary>Any pairs together.</summary>
    Mixed,
}

/// <summary>
/// How pairs are drawn from a corpus. Every draw is a function of (<see cref="Seed"/>, epoch, transcript, view, transform): threads, ranks, the layout of batches and
/// a stop in between change nothing.
/// </summary>
public sealed record PairOptions
{
    /// <summary>Key of all draws.</summary>
    public ulong Seed { get; init; } = 1;

    /// <summary>Part of the corpus: both transcripts of a pair are of it.</summary>
    public CorpusSplit Split { get; init; } = CorpusSplit.Train;

    /// <summary>
    /// Upstream's split instead of the corpus' own: of the short transcripts that have a partner, in the order of the corpus and shuffled as Python does under
    /// seed 42, the first 95 % are for training and the rest for validation; all long ones are for training; partners are taken from anywhere. Homologs of what
    /// is validated are trained on: the validation loss of such a run is no estimate for new genes.
    /// </summary>
    public bool UpstreamSplit { get; init; }

    /// <summary>How a partner is chosen.</summary>
    public PartnerChoice Choice { get; init; } = PartnerChoice.ByKind;

    /// <summary>Probability of an ortholog where a transcript has orthologs and splice isoforms; 0 leaves orthologs out everywhere, 1 splice isoforms.</summary>
    public double OrthologWeight { get; init; } = 0.5;

    /// <summary>What makes a partner an ortholog.</summary>
    public OrthologRule Orthologs { get; init; } = OrthologRule.Species;

    /// <summary>Splice isoforms may be partners.</summary>
    public bool UseSplice { get; init; } = true;

    /// <summary>Orthologs may be partners. Without splice isoforms and orthologs each transcript is paired with itself.</summary>
    public bool UseOrthologs { get; init; } = true;

    /// <summary>Transcripts without any partner are drawn too, each paired with itself; otherwise they are left out.</summary>
    public bool KeepAlone { get; init; }

    /// <summary>Transcripts shorter than this are paired with such alone, in nucleotides.</summary>
    public int ShortLength { get; init; } = 3900;

    /// <summary>Transcripts of this length and above are left out, in nucleotides.</summary>
    public int MaxLength { get; init; } = 12_288;

    /// <summary>What is changed in the views.</summary>
    public Augmentation Augmentation { get; init; } = Augmentation.V1;

    /// <summary>Pairs of a batch; the most, where <see cref="Nucleotides"/> is given.</summary>
    public int Pairs { get; init; } = 64;

    /// <summary>Greatest number of positions of a batch, padding included; null: <see cref="Pairs"/> alone decides. One pair is always allowed.</summary>
    public long? Nucleotides { get; init; }

    /// <summary>How batches are put together.</summary>
    public BatchOrder Order { get; init; } = BatchOrder.ByLength;

    /// <summary>
    /// Upstream's mix: rank 0 of <see cref="Ranks"/> draws transcripts of at least <see cref="ShortLength"/>, <see cref="LongPairs"/> a batch, all others the
    /// shorter ones, <see cref="Pairs"/> a batch, each rank its own share of them. Null: every batch is of all transcripts.
    /// </summary>
    public int? Rank { get; init; }

    /// <summary>Number of ranks of <see cref="Rank"/>.</summary>
    public int Ranks { get; init; } = 4;

    /// <summary>Pairs of a batch of rank 0.</summary>
    public int LongPairs { get; init; } = 30;

    /// <summary>
    /// The same batches in the same order at every epoch, the last one smaller: for validation. A step beyond the last batch begins again.
    /// </summary>
    public bool Fixed { get; init; }

    /// <summary>Threads that make batches ahead, at least 1. Their number changes no byte.</summary>
    public int Threads { get; init; } = 1;

    /// <summary>Batches made ahead of the one asked for; 0 makes each when it is asked for.</summary>
    public int Prefetch { get; init; } = 4;

    /// <summary>Partners and augmentation of the first preprint's checkpoints.</summary>
    public static PairOptions V0 { get; } = new() { Choice = PartnerChoice.Uniform, Augmentation = Augmentation.V0 };

    /// <summary>Partners and augmentation of the contrastive models published since.</summary>
    public static PairOptions V1 { get; } = new();

    /// <summary>Partners and augmentation of the contrastive model with masked language modelling.</summary>
    public static PairOptions V1Mlm { get; } = new() { Augmentation = Augmentation.V1Mlm };

    /// <summary>The same pairs for validation: held-out transcripts, fixed, nothing changed in the views but, where asked for, combined UTRs.</summary>
    /// <param name="combineUtr">Combine UTRs as in training, so that the losses can be compared.</param>
    public PairOptions ForValidation(bool combineUtr = false) => this with
    {
        Split = CorpusSplit.Valid, Fixed = true, Rank = null,
        Augmentation = Augmentation.None with
        {
            BlankUnknownJunctions = Augmentation.BlankUnknownJunctions, BlankUnknownCds = Augmentation.BlankUnknownCds,
            CombineUtr = combineUtr ? Augmentation.CombineUtr : 0, UtrOfAnnotated = Augmentation.UtrOfAnnotated, Crop = Augmentation.Crop, CropTogether = Augmentation.CropTogether,
        },
    };
}
