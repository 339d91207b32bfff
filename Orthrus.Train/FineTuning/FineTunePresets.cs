namespace Orthrus.Train;

/// <summary>Named ways to fine-tune. All but "quick" are those of the published evaluation (specification 8.4).</summary>
public static class FineTunePresets
{
    private const string Default = "quick";

    // Steps on all rows, and rows -> (batch, steps) of few-shot runs.
    private const int FullBatch = 64, FullSteps = 10_000, ShortSteps = 3_000;

    private static readonly (int Rows, int Batch, int Steps)[] Few = [(3000, 64, 3000), (1000, 64, 1000), (300, 64, 1000), (100, 32, 2000), (30, 16, 2000)];
    private static readonly (int Rows, int Batch, int Steps)[] FewShort = [(300, 64, 500), (100, 32, 500), (30, 16, 200)];

    private static readonly FineTuneOptions Published = new()
    {
        WeightDecay = 0, HeadLearningRate = null, Batch = FullBatch, Steps = FullSteps, Patience = 0, Standardise = false, DebiasStatistics = false, Schedule = LearningRateKind.WarmupCosine,
    };

    private static readonly (string Name, FineTuneOptions Options, string Words)[] All =
    [
        (Default, new(), "a few hundred to a few thousand rows on a processor: 20 epochs at most, stops early, standardised targets"),
        ("half-life", Published with { LearningRate = 1e-3, Warmup = 400, ClipNorm = 10 }, "published for RNA half-life and GO: rate 1e-3, 10,000 steps of 64 rows, clip norm 10"),
        ("localisation", Published with { LearningRate = 1e-4, Warmup = 1000, ClipNorm = 10 }, "published for protein and RNA localisation: rate 1e-4"),
        ("eclip", Published with { LearningRate = 1e-4, Warmup = 1000, ClipNorm = 10, Steps = ShortSteps, MaxLength = 15_000 }, "published for eCLIP: as localisation, 3,000 steps, 15,000 nt at most"),
        ("ribosome-load", Published with { LearningRate = 3e-4, Warmup = 1000, ClipNorm = 0, ClipValue = 0.5 }, "published for mean ribosome load: rate 3e-4, elements clipped at 0.5"),
        ("supervised", Published with { LearningRate = 1e-3, WeightDecay = 1e-3, Warmup = 1000, ClipNorm = 0.5 }, "published for training from random weights"),
        ("supervised-low", Published with { LearningRate = 1e-4, WeightDecay = 1e-3, Warmup = 1000, ClipNorm = 0.5 }, "the same at rate 1e-4, for localisation, ribosome load and eCLIP"),
        ("lora", Published with
        {
            LearningRate = 1e-4, Warmup = 100, FirstFactor = 1e-4, ClipNorm = 1, Steps = null, Epochs = 10, Patience = 3, HeadLayers = 1, Schedule = LearningRateKind.Warmup, Lora = new(),
        }, "low-rank updates of rank 8 with a linear head, 10 epochs at rate 1e-4"),
    ];

    /// <summary>Names and what they are for.</summary>
    public static IReadOnlyList<(string Name, string Words)> Names { get; } = [.. All.Select(p => (p.Name, p.Words))];

    /// <summary>A preset; with few-shot rows, the published presets take the batches and steps that were published for so few.</summary>
    /// <param name="name">One of <see cref="Names"/>.</param>
    /// <param name="fewShot">Training rows to draw; null for all.</param>
    /// <exception cref="ArgumentException">There is none of this name.</exception>
    public static FineTuneOptions Find(string name, int? fewShot = null)
    {
        int at = Array.FindIndex(All, p => p.Name == name);
        if (at < 0) throw new ArgumentException($"there is no preset {name}; use {string.Join(", ", All.Select(p => p.Name))}");
        var options = All[at].Options with { FewShot = fewShot };
        if (fewShot is not { } rows || options.Steps is null) return options;
        var few = name == "eclip" ? FewShort : Few;
        var (_, batch, steps) = few.FirstOrDefault(f => f.Rows <= rows, few[^1]);
        return options with { Batch = batch, Steps = steps };
    }
}
