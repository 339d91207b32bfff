using Orthrus.Train.Probing;

namespace Orthrus.Train;

/// <summary>Low-rank updates of weight matrices instead of training the matrices: W + scale x B A, with A of rank rows and B of rank columns. Source: Hu et al. 2021.</summary>
public sealed record LoraOptions
{
    /// <summary>Matrices of every trained mixer that have an update unless said otherwise.</summary>
    public static IReadOnlyList<string> DefaultMatrices { get; } = ["in_proj", "x_proj", "dt_proj", "out_proj"];

    /// <summary>Rank of an update; 8 upstream.</summary>
    public int Rank { get; init; } = 8;

    /// <summary>The scale is alpha / √rank (rank-stabilised; Kalajdzievski 2023); 16 upstream.</summary>
    public double Alpha { get; init; } = 16;

    /// <summary>Matrices of a mixer that have an update: in_proj, x_proj, dt_proj, out_proj, in any choice.</summary>
    public IReadOnlyList<string> Matrices { get; init; } = DefaultMatrices;

    /// <summary>The factor on B A.</summary>
    public double Scale => Alpha / Math.Sqrt(Rank);
}

/// <summary>How a model is fine-tuned. Defaults suit a few hundred to a few thousand rows and a processor; <see cref="FineTunePresets"/> has the published ones.</summary>
public sealed record FineTuneOptions
{
    /// <summary>Name of the task in results and in the model.</summary>
    public string Task { get; init; } = "task";

    /// <summary>Kind of the targets; null decides by the values. Binary takes one target.</summary>
    public ProbeKind? Kind { get; init; }

    /// <summary>Learning rate of the encoder (or of the low-rank updates).</summary>
    public double LearningRate { get; init; } = 5e-4;

    /// <summary>Learning rate of the head; null takes the encoder's.</summary>
    public double? HeadLearningRate { get; init; } = 1e-3;

    /// <summary>Weight decay of everything.</summary>
    public double WeightDecay { get; init; } = 0.01;

    /// <summary>Form of the learning rate over the steps.</summary>
    public LearningRateKind Schedule { get; init; } = LearningRateKind.WarmupCosine;

    /// <summary>Steps of its warm-up; null takes a tenth of all.</summary>
    public double? Warmup { get; init; }

    /// <summary>Factor on the rate at the first step of the warm-up.</summary>
    public double FirstFactor { get; init; } = 0.1;

    /// <summary>Largest norm of all gradients together; 0 for none.</summary>
    public double ClipNorm { get; init; } = 1;

    /// <summary>Largest absolute value of a gradient element; 0 for none.</summary>
    public double ClipValue { get; init; }

    /// <summary>Rows of a batch.</summary>
    public int Batch { get; init; } = 32;

    /// <summary>Updates; null takes <see cref="Epochs"/>.</summary>
    public int? Steps { get; init; }

    /// <summary>Passes over the training rows where <see cref="Steps"/> is null.</summary>
    public int Epochs { get; init; } = 20;

    /// <summary>Updates between validations; null validates after every epoch, but at most 50 times.</summary>
    public int? ValidateEvery { get; init; }

    /// <summary>Stops after so many validations in a row without a better one; 0 never. The best weights are kept in any case.</summary>
    public int Patience { get; init; } = 5;

    /// <summary>Width of the head's hidden layers.</summary>
    public int HeadBody { get; init; } = 256;

    /// <summary>Linear layers of the head, with batch normalisation and ReLU between them; 1 for a linear head.</summary>
    public int HeadLayers { get; init; } = 2;

    /// <summary>
    /// Take the start of the head's running statistics (mean 0, variance 1) out of what they are by now, as Adam does with its moments: in a short run it would be most of them. False
    /// leaves them as PyTorch has them.
    /// </summary>
    public bool DebiasStatistics { get; init; } = true;

    /// <summary>Mixer blocks, counted from the last, that are trained, the last norm with them; null trains the whole encoder, 0 the head alone.</summary>
    public int? TrainedLayers { get; init; }

    /// <summary>Low-rank updates of the trained blocks; everything else of the encoder stays. Null trains the weights themselves.</summary>
    public LoraOptions? Lora { get; init; }

    /// <summary>Training rows to draw by <see cref="Seed"/>; null takes all.</summary>
    public int? FewShot { get; init; }

    /// <summary>Regression: train on targets of mean 0 and variance 1 over the training rows; results have the table's units again. False trains on them as they are, as upstream does.</summary>
    public bool Standardise { get; init; } = true;

    /// <summary>Longest transcript in nucleotides; longer rows are left out, or cut where <see cref="Crop"/>.</summary>
    public int MaxLength { get; init; } = 30_000;

    /// <summary>Read the first <see cref="MaxLength"/> nucleotides of longer rows instead of leaving the rows out; the model then does so as well.</summary>
    public bool Crop { get; init; }

    /// <summary>Where codon and splice marks of the rows come from, as the model will state it: annotated, longest-orf, blank.</summary>
    public string Marks { get; init; } = "annotated";

    /// <summary>Seed of everything random: the head's weights, few-shot rows, order of rows, low-rank updates.</summary>
    public uint Seed { get; init; }

    /// <summary>Whether test rows are predicted as well.</summary>
    public bool Test { get; init; }

    /// <summary>Bytes of activations that a step keeps between its forward and backward pass; rows beyond it are encoded a second time instead. It changes no bit.</summary>
    public long ActivationBytes { get; init; } = 1L << 30;

    /// <summary>Refuses what cannot be meant.</summary>
    /// <exception cref="ArgumentException">A value is out of its range; the message names it.</exception>
    public void Validate()
    {
        Rate(LearningRate, "the learning rate");
        if (HeadLearningRate is { } head) Rate(head, "the head's learning rate");
        Need(WeightDecay is >= 0 and < 1, $"a weight decay of {WeightDecay}: give 0 to below 1");
        Need(Warmup is null or >= 0, $"a warm-up of {Warmup} steps: give 0 or more");
        Need(FirstFactor is >= 0 and <= 1, $"a first factor of {FirstFactor}: give 0 to 1");
        Need(ClipNorm >= 0 && ClipValue >= 0, "clipping takes 0 or more");
        Need(Batch is >= 2 and <= 65_536, $"batches of {Batch} rows: give 2 to 65536");
        Need(Steps is null or > 0, $"{Steps} steps: give 1 or more");
        Need(Epochs > 0, $"{Epochs} epochs: give 1 or more");
        Need(ValidateEvery is null or > 0, $"a validation every {ValidateEvery} steps: give 1 or more");
        Need(Patience >= 0, $"a patience of {Patience}: give 0 or more");
        Need(HeadBody is >= 1 and <= 65_536 && HeadLayers is >= 1 and <= 16, $"a head of {HeadLayers} layers, {HeadBody} wide: give 1 to 16 layers, 1 to 65536 wide");
        Need(TrainedLayers is null or >= 0, $"{TrainedLayers} trained layers: give 0 or more");
        Need(FewShot is null or >= 2, $"{FewShot} training rows: give 2 or more");
        Need(MaxLength > 0, $"a length of {MaxLength}: give 1 or more");
        Need(ActivationBytes >= 0, "bytes of activations below 0");
        if (Lora is not { } lora) return;
        Need(TrainedLayers != 0, "low-rank updates belong to the encoder, which is frozen: train some of its layers, or leave the updates out");
        Need(lora.Rank is >= 1 and <= 4096, $"updates of rank {lora.Rank}: give 1 to 4096");
        Need(lora.Alpha > 0 && double.IsFinite(lora.Alpha), $"an alpha of {lora.Alpha}: give a number above 0");
        Need(lora.Matrices.Count > 0 && lora.Matrices.Distinct().Count() == lora.Matrices.Count && lora.Matrices.All(LoraOptions.DefaultMatrices.Contains),
            $"updates of {string.Join(", ", lora.Matrices)}: give some of {string.Join(", ", LoraOptions.DefaultMatrices)}");

        static void Rate(double rate, string name) => Need(rate > 0 && double.IsFinite(rate), $"{name} is {rate}: give a number above 0");

        static void Need(bool right, string message)
        {
            if (!right) throw new ArgumentException(message);
        }
    }
}
