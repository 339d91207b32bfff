using Orthrus.Tensor;

namespace Orthrus.Train;

/// <summary>
/// Named configurations: whole runs, and parts (sizes, optimiser, augmentation, batch sizes) that are laid over them. "large-6track,lower-lr" is one after the other.
/// </summary>
/// <remarks>
/// Sources: published configurations of Orthrus, both generations. Batch sizes are pairs of one of upstream's devices with short transcripts; upstream adds a device with
/// long ones (four-ranks rebuilds that). Clipping at 5 belongs to the first generation; the second was trained without.
/// </remarks>
public static class TrainPresets
{
    /// <summary>A preset.</summary>
    /// <param name="Name">Its name.</param>
    /// <param name="Doc">What it is.</param>
    /// <param name="Whole">A run of its own; false for a part.</param>
    public sealed record Entry(string Name, string Doc, bool Whole)
    {
        internal Func<TrainConfig, TrainConfig> Apply { get; init; } = c => c;
    }

    /// <summary>All presets.</summary>
    public static IReadOnlyList<Entry> All { get; } =
    [
        Run("tiny", "64 x 2, 6 tracks: to try things out, seconds per hundred steps; its rate does not depend on the number of steps", c => c with
        {
            Width = 64, Layers = 2, HeadBody = 64, HeadOut = 32, Schedule = LearningRateKind.Warmup, WarmupSteps = 20, Steps = 200, CheckpointEvery = 25, ValidateEvery = 50, ValidationBatches = 2,
            ValidationPairs = 16, Pairs = PairOptions.V1 with { Pairs = 16, KeepAlone = true, Augmentation = Augmentation.V1 with { Crop = 512 } },
        }),
        Run("base-4track", "256 x 3, published with the first preprint", c => Sizes(V0(c), 256, 3, 4, 240, 40) with { ModelDecay = 1e-5 }),
        Run("large-6track", "512 x 6, published with the first preprint", c => Sizes(V0(c), 512, 6, 6, 150, 50)),
        Run("large-4track", "512 x 6 on bases alone, first generation", c => Sizes(V0(c), 512, 6, 4, 150, 50)),
        Run("v1-small-6track", "256 x 3, published second generation", c => Sizes(V1(c), 256, 3, 6, 130, 30)),
        Run("v1-6track", "512 x 6, published second generation", c => Sizes(V1(c), 512, 6, 6, 130, 30)),
        Run("v1-4track", "512 x 6 on bases alone, published second generation", c => Sizes(V1(c), 512, 6, 4, 130, 30)),
        Run("v1-mlm-6track", "512 x 6 with masked bases, published second generation: 0.05 contrastive and 0.95 masked", c => MaskedAndContrastive(Sizes(V1(c), 512, 6, 6, 130, 30))),
        Run("v1-mlm-only", "512 x 6 with masked bases alone", c => Sizes(V1(c), 512, 6, 6, 130, 45) with { Contrastive = false, MaskedBases = true, MaskedStart = 1.7, MaskedEnd = 1.7, Pairs = PairOptions.V1Mlm with { Pairs = 130, LongPairs = 45 } }),

        Part("base", "256 x 3", c => c with { Width = 256, Layers = 3 }),
        Part("wide", "512 x 3", c => c with { Width = 512, Layers = 3 }),
        Part("mid", "512 x 4", c => c with { Width = 512, Layers = 4 }),
        Part("large", "512 x 6", c => c with { Width = 512, Layers = 6 }),
        Part("huge-512", "512 x 12", c => c with { Width = 512, Layers = 12 }),
        Part("deep-1024", "1024 x 6", c => c with { Width = 1024, Layers = 6 }),
        Part("huge", "1024 x 12", c => c with { Width = 1024, Layers = 12 }),
        Part("behemoth", "512 x 80", c => c with { Width = 512, Layers = 80 }),
        Part("4track", "bases alone", c => c with { Tracks = 4 }),
        Part("6track", "bases, codons, splice sites", c => c with { Tracks = 6 }),

        Part("published", "rate 1e-3, decay 5e-5", c => Rates(c, 1e-3, 5e-5, -1)),
        Part("underweight-ortho-0.8", "published, attraction of orthologs 0.8", c => Rates(c, 1e-3, 5e-5, -1) with { OrthologWeight = 0.8 }),
        Part("default", "rate 5e-4, decay 1e-5", c => Rates(c, 5e-4, 1e-5, -1)),
        Part("anneal", "default, decay rising to 1e-4", c => Rates(c, 5e-4, 1e-5, 1e-4)),
        Part("high-wd", "default, decay rising to 1e-3", c => Rates(c, 5e-4, 1e-5, 1e-3)),
        Part("grid", "rate 1e-3, decay 1e-5 rising to 1e-4", c => Rates(c, 1e-3, 1e-5, 1e-4)),
        Part("lower-lr", "rate 1e-4, decay 5e-5", c => Rates(c, 1e-4, 5e-5, -1)),
        Part("published-mlm-only", "published, masked bases alone", c => Rates(c, 1e-3, 5e-5, -1) with { Contrastive = false, MaskedBases = true }),

        Part("mask-v0", "partners and augmentation of the first generation: 15 % of positions cleared", c => c with { Pairs = Draw(c, PairOptions.V0) }),
        Part("mask-30", "30 % of bases, codon and splice marks cleared, UTRs combined", c => c with { Pairs = Draw(c, PairOptions.V1) }),
        Part("mask-15", "the same with 15 % of bases, for masked bases", c => c with { Pairs = Draw(c, PairOptions.V1Mlm) }),
        Part("no-mask", "UTRs combined, nothing cleared", c => c with { Pairs = Draw(c, PairOptions.V1) with { Augmentation = Augmentation.None with { CombineUtr = 1 } } }),
        Part("no-splice", "mask-30 with orthologs alone", c => c with { Pairs = Draw(c, PairOptions.V1) with { UseSplice = false } }),
        Part("splice-only", "mask-30 with isoforms alone", c => c with { Pairs = Draw(c, PairOptions.V1) with { UseOrthologs = false, Augmentation = Augmentation.V1 with { CombineUtr = 0 } } }),
        Part("self", "mask-30, each transcript with itself", c => c with { Pairs = Draw(c, PairOptions.V1) with { UseSplice = false, UseOrthologs = false, KeepAlone = true, Augmentation = Augmentation.V1 with { CombineUtr = 0 } } }),

        Part("mlm-05-95", "0.05 contrastive and 0.95 masked", MaskedAndContrastive),
        Part("mlm-50-50", "0.5 contrastive and 0.5 masked", c => MaskedAndContrastive(c) with { ContrastiveStart = 0.5, ContrastiveEnd = 0.5, MaskedStart = 0.5, MaskedEnd = 0.5 }),
        Part("mlm-95-05", "0.95 contrastive and 0.05 masked", c => MaskedAndContrastive(c) with { ContrastiveStart = 0.95, ContrastiveEnd = 0.95, MaskedStart = 0.05, MaskedEnd = 0.05 }),
        Part("mlm-ramp", "contrastive 1, masked 1 to 2 over 5,000 steps", c => MaskedAndContrastive(c) with { ContrastiveStart = 1, ContrastiveEnd = 1, MaskedStart = 1, MaskedEnd = 2, WeightSteps = 5000 }),

        Part("a40-256x3", "240 pairs", c => Batch(c, 240, 40, 40)),
        Part("a100-256x3", "500 pairs", c => Batch(c, 500, 150, 150)),
        Part("a100-512x4", "210 pairs", c => Batch(c, 210, 65, 65)),
        Part("a100-512x6", "150 pairs", c => Batch(c, 150, 50, 50)),
        Part("ablation-512x6", "130 pairs", c => Batch(c, 130, 30, 30)),
        Part("mlm-512x6", "130 pairs, 45 long ones", c => Batch(c, 130, 45, 45)),
        Part("small-batch", "80 pairs", c => Batch(c, 80, 20, 20)),
        Part("four-ranks", "a step as upstream on four devices: one batch of long transcripts and three of short ones, shared negatives, gradients of the own rank's loss", c => c with { VirtualRanks = 4, ByRank = true, Gather = GatherGradient.OwnRank }),
    ];

    /// <summary>The configuration of a preset, or of several joined by commas, one laid over the other.</summary>
    /// <param name="names">Names.</param>
    /// <exception cref="ArgumentException">A name is unknown.</exception>
    public static TrainConfig Find(string names)
    {
        var config = new TrainConfig();
        foreach (string name in names.Split(',', StringSplitOptions.TrimEntries))
        {
            var entry = All.FirstOrDefault(e => e.Name == name)
                ?? throw new ArgumentException($"there is no preset {name}; whole runs are {Names(whole: true)}; parts to lay over them, after a comma, are {Names(whole: false)}");
            config = entry.Apply(config);
        }
        return config;
    }

    private static string Names(bool whole) => string.Join(", ", All.Where(e => e.Whole == whole).Select(e => e.Name));

    private static Entry Run(string name, string doc, Func<TrainConfig, TrainConfig> apply) => new(name, doc, true) { Apply = apply };

    private static Entry Part(string name, string doc, Func<TrainConfig, TrainConfig> apply) => new(name, doc, false) { Apply = apply };

    private static TrainConfig V0(TrainConfig c) => Rates(c, 1e-3, 5e-5, -1) with { Pairs = PairOptions.V0, ClipNorm = 5 };

    private static TrainConfig V1(TrainConfig c) => Rates(c, 1e-3, 5e-5, -1) with { Pairs = PairOptions.V1, OrthologWeight = 0.8, ClipNorm = 0 };

    private static TrainConfig Sizes(TrainConfig c, int width, int layers, int tracks, int pairs, int longAndValidation) =>
        Batch(c with { Width = width, Layers = layers, Tracks = tracks }, pairs, longAndValidation, longAndValidation);

    private static TrainConfig Rates(TrainConfig c, double rate, double decay, double largest) =>
        c with { ModelRate = rate, ModelDecay = decay, HeadRate = 1e-3, HeadDecay = 1e-4, LargestDecay = largest };

    private static TrainConfig MaskedAndContrastive(TrainConfig c) =>
        c with { MaskedBases = true, ContrastiveStart = 0.05, ContrastiveEnd = 0.05, MaskedStart = 0.95, MaskedEnd = 0.95, Pairs = Draw(c, PairOptions.V1Mlm) };

    private static TrainConfig Batch(TrainConfig c, int pairs, int longPairs, int validation) => c with { Pairs = c.Pairs with { Pairs = pairs, LongPairs = longPairs }, ValidationPairs = validation };

    /// <summary>How another set draws and masks pairs, with the batches, lengths and windows of this one.</summary>
    private static PairOptions Draw(TrainConfig c, PairOptions other)
    {
        var (own, cut) = (c.Pairs, c.Pairs.Augmentation);
        return other with
        {
            Pairs = own.Pairs, LongPairs = own.LongPairs, Nucleotides = own.Nucleotides, Order = own.Order, ShortLength = own.ShortLength, MaxLength = own.MaxLength, KeepAlone = own.KeepAlone || other.KeepAlone,
            Augmentation = other.Augmentation with { Crop = cut.Crop, CropLeast = cut.CropLeast, CropTogether = cut.CropTogether, Fragment = cut.Fragment },
        };
    }
}
