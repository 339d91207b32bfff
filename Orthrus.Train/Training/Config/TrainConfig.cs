using Orthrus.Mamba;
using Orthrus.Tensor;

namespace Orthrus.Train;

/// <summary>What <c>orthrus train</c> does, whole: every value that has an influence on the result. A run's checkpoints carry it.</summary>
/// <remarks>Defaults are those of the published second generation; see <see cref="TrainPresets"/> for named sets. The keys of files are in <see cref="ConfigKeys"/>.</remarks>
public sealed record TrainConfig
{
    /// <summary>Width of the encoder.</summary>
    public int Width { get; init; } = 256;
    /// <summary>Its layers.</summary>
    public int Layers { get; init; } = 3;
    /// <summary>Its input tracks, 4 or 6.</summary>
    public int Tracks { get; init; } = 6;
    /// <summary>A second mixer in each layer over the reverse of each record.</summary>
    public bool Bidirectional { get; init; }
    /// <summary>Width of the contrastive head's hidden layers.</summary>
    public int HeadBody { get; init; } = 512;
    /// <summary>Width of its result.</summary>
    public int HeadOut { get; init; } = 128;
    /// <summary>Its linear layers.</summary>
    public int HeadLayers { get; init; } = 3;
    /// <summary>Between them.</summary>
    public HeadNorm HeadNorm { get; init; } = HeadNorm.BatchNorm;

    /// <summary>Train with the contrastive loss.</summary>
    public bool Contrastive { get; init; } = true;
    /// <summary>How the two sets of negatives are joined.</summary>
    public Dcl.Form Form { get; init; } = Dcl.Form.SumOfLogs;
    /// <summary>Temperature.</summary>
    public double Tau { get; init; } = 0.1;
    /// <summary>Weight of the attraction of a transcript to itself.</summary>
    public double SelfWeight { get; init; } = 1;
    /// <summary>Weight of the attraction of isoforms.</summary>
    public double SpliceWeight { get; init; } = 1;
    /// <summary>Weight of the attraction of orthologs.</summary>
    public double OrthologWeight { get; init; } = 1;
    /// <summary>Temperature of von Mises-Fisher weights; 0 for none.</summary>
    public double DclwSigma { get; init; }
    /// <summary>A contrastive head of its own for orthologs.</summary>
    public bool DualHeads { get; init; }
    /// <summary>Batches of a step that are treated as those of so many devices: own batch statistics, shared negatives.</summary>
    public int VirtualRanks { get; init; } = 1;
    /// <summary>Whose losses reach a projection where there are several ranks.</summary>
    public GatherGradient Gather { get; init; }
    /// <summary>Weight of the contrastive loss at the first step.</summary>
    public double ContrastiveStart { get; init; } = 1;
    /// <summary>And after <see cref="WeightSteps"/>.</summary>
    public double ContrastiveEnd { get; init; } = 1;
    /// <summary>Train with the masked-base loss.</summary>
    public bool MaskedBases { get; init; }
    /// <summary>Weight of the masked-base loss at the first step.</summary>
    public double MaskedStart { get; init; } = 1;
    /// <summary>And after <see cref="WeightSteps"/>.</summary>
    public double MaskedEnd { get; init; } = 1;
    /// <summary>Steps over which the weights of the losses move.</summary>
    public int WeightSteps { get; init; }
    /// <summary>Probability of a position to be masked for the masked-base loss.</summary>
    public double MaskProbability { get; init; } = 0.15;
    /// <summary>Probability of an unmasked position to enter that loss.</summary>
    public double ReconstructUnmasked { get; init; }
    /// <summary>Keep padding out of the batch statistics of heads at positions.</summary>
    public bool MaskedStatistics { get; init; }
    /// <summary>Width of the masked-base head's hidden layers.</summary>
    public int MaskedBody { get; init; } = 512;
    /// <summary>Predict splice and codon tracks from the bases.</summary>
    public bool SpliceCodon { get; init; }
    /// <summary>Weight of that loss after its ramp.</summary>
    public double SpliceCodonWeight { get; init; } = 1;
    /// <summary>Step from which that weight rises from 0.</summary>
    public int SpliceCodonStart { get; init; } = Train.SpliceCodon.PublishedStart;
    /// <summary>Step from which it is reached.</summary>
    public int SpliceCodonEnd { get; init; } = Train.SpliceCodon.PublishedEnd;
    /// <summary>Letters of the words whose shares in a view its embedding is to tell by one linear layer; 0 for no such loss.</summary>
    public int WordLetters { get; init; }
    /// <summary>The shares of codons in frame too.</summary>
    public bool WordCodons { get; init; }
    /// <summary>Weight of that loss.</summary>
    public double WordsWeight { get; init; } = 1;

    /// <summary>How pairs are drawn.</summary>
    public PairOptions Pairs { get; init; } = PairOptions.V1;
    /// <summary>With several ranks: the first draws long transcripts, the others short ones.</summary>
    public bool ByRank { get; init; }
    /// <summary>Pairs of a validation batch.</summary>
    public int ValidationPairs { get; init; } = 64;
    /// <summary>Combine UTRs in validation as in training; otherwise its views are as they are.</summary>
    public bool ValidationCombinesUtr { get; init; }

    /// <summary>AdamW, or Adam with the decay in the gradient.</summary>
    public bool Decoupled { get; init; } = true;
    /// <summary>Learning rate of the encoder.</summary>
    public double ModelRate { get; init; } = 1e-3;
    /// <summary>Weight decay of the encoder.</summary>
    public double ModelDecay { get; init; } = 5e-5;
    /// <summary>Learning rate of the heads.</summary>
    public double HeadRate { get; init; } = 1e-3;
    /// <summary>Weight decay of the heads.</summary>
    public double HeadDecay { get; init; } = 1e-4;
    /// <summary>Weight decay that all groups rise to; -1 for none of this.</summary>
    public double LargestDecay { get; init; } = -1;
    /// <summary>Steps after which <see cref="LargestDecay"/> moves the decay; 0 takes the batches of an epoch.</summary>
    public int StepsPerEpoch { get; init; }
    /// <summary>Decay of the mean gradient.</summary>
    public double Beta1 { get; init; } = 0.9;
    /// <summary>Decay of the mean squared gradient.</summary>
    public double Beta2 { get; init; } = 0.999;
    /// <summary>Added to the root of the mean squared gradient.</summary>
    public double Eps { get; init; } = 1e-8;
    /// <summary>Largest norm of all gradients; 0 for none.</summary>
    public double ClipNorm { get; init; } = 5;
    /// <summary>Largest absolute gradient element; 0 for none.</summary>
    public double ClipValue { get; init; }
    /// <summary>No decay of biases, norms, A_log and D.</summary>
    public bool Exempt { get; init; }
    /// <summary>Share of the weights subtracted at each step.</summary>
    public double ExplicitL2 { get; init; }
    /// <summary>Decay of a running mean of the weights, which then becomes the result; 0 for none.</summary>
    public double Ema { get; init; }
    /// <summary>How the learning rate moves.</summary>
    public LearningRateKind Schedule { get; init; } = LearningRateKind.WarmupCosine;
    /// <summary>Steps of the warm-up; -1 takes a tenth of all, at most 10,000.</summary>
    public double WarmupSteps { get; init; } = -1;

    /// <summary>Steps of the run.</summary>
    public long Steps { get; init; } = 20_000;
    /// <summary>Seed of weights, pairs, augmentation and masks.</summary>
    public ulong Seed { get; init; }
    /// <summary>Element type: F32, F64 on the CPU, BF16 activations around F32 weights on a GPU.</summary>
    public DType DType { get; init; } = DType.F32;
    /// <summary>Batches whose gradients a step takes the mean of.</summary>
    public int Accumulate { get; init; } = 1;
    /// <summary>Checkpoint, folder or built-in name of a model of the same sizes whose weights the run begins with, those of heads where all shapes agree; empty for random ones.</summary>
    public string Init { get; init; } = "";
    /// <summary>Pairs that are encoded at a time, with a cached gradient; 0 for the batch at once.</summary>
    public int MicroPairs { get; init; }
    /// <summary>Compute each block again in backward instead of keeping it.</summary>
    public bool Recompute { get; init; }
    /// <summary>Steps from checkpoint to checkpoint; 0 writes one at the end.</summary>
    public int CheckpointEvery { get; init; } = 500;
    /// <summary>Last checkpoints that are kept, besides the best.</summary>
    public int Keep { get; init; } = 3;
    /// <summary>Steps from validation to validation; 0 never validates.</summary>
    public int ValidateEvery { get; init; } = 500;
    /// <summary>Most batches of a validation.</summary>
    public int ValidationBatches { get; init; } = 8;

    /// <summary>Sizes of the encoder.</summary>
    public MambaConfig Encoder => new(Width, Layers, Tracks) { Bidirectional = Bidirectional };

    /// <summary>What is trained besides the encoder.</summary>
    public PretrainModelOptions Model => new()
    {
        HeadBody = HeadBody, HeadOut = HeadOut, HeadLayers = HeadLayers, HeadNorm = HeadNorm, Contrastive = Contrastive, Dual = DualHeads,
        MaskedLanguageBody = MaskedBases ? MaskedBody : 0, SpliceCodon = SpliceCodon, WordLetters = WordLetters, WordCodons = WordCodons,
    };

    /// <summary>How a step computes.</summary>
    public PretrainStepOptions Step => new()
    {
        Contrastive = new() { Tau = Tau, Form = Form, DclwSigma = DclwSigma }, PairWeights = new(SelfWeight, SpliceWeight, OrthologWeight), Gather = Gather,
        MicroPairs = MicroPairs, Recompute = Recompute, MaskedStatistics = MaskedStatistics,
    };

    /// <summary>The optimiser.</summary>
    public OptimiserOptions Optimiser => new()
    {
        Decoupled = Decoupled, Beta1 = Beta1, Beta2 = Beta2, Eps = Eps, ClipNorm = ClipNorm, ClipValue = ClipValue, ExplicitL2 = ExplicitL2, Exempt = Exempt, EmaDecay = Ema,
    };

    /// <summary>Masks of the masked-base loss, or null.</summary>
    public MaskedLanguageOptions? Masking => !MaskedBases ? null
        : new() { MaskProbability = MaskProbability, ReconstructUnmasked = ReconstructUnmasked, MaskedStatistics = MaskedStatistics, Body = MaskedBody };

    /// <summary>The learning rate.</summary>
    public LearningRateSchedule Rates => new(Schedule, Steps, WarmupSteps < 0 ? null : WarmupSteps);

    /// <summary>Embeddings are to tell shares of words or codons.</summary>
    internal bool TellsWords => WordLetters > 0 || WordCodons;

    /// <summary>Weights of the losses at a step.</summary>
    public LossWeights WeightsAt(long step) => new(
        Contrastive ? new LossRamp(ContrastiveStart, ContrastiveEnd, WeightSteps).At(step) : 0, MaskedBases ? new LossRamp(MaskedStart, MaskedEnd, WeightSteps).At(step) : 0,
        SpliceCodon ? SpliceCodonWeight * Train.SpliceCodon.Ramp(step, SpliceCodonStart, SpliceCodonEnd) : 0, TellsWords ? WordsWeight : 0);

    /// <summary>Refuses values that make no sense together.</summary>
    /// <exception cref="ArgumentException">The message names the key and the remedy.</exception>
    public void Validate()
    {
        Require(Tracks is 4 or 6, "model.tracks", $"is {Tracks}; want 4 or 6");
        Require(Width >= 1 && Layers >= 1, "model", $"a width of {Width} and {Layers} layers; want at least 1 of each");
        Require(HeadLayers is >= 0 and <= 16, "model.head_layers", $"is {HeadLayers}; want 0 to 16");
        Require(Contrastive || MaskedBases, "loss", "neither contrastive nor masked_bases is on; turn one on");
        Require(Contrastive || !DualHeads, "loss.dual_heads", "is for the contrastive loss, which is off");
        Require(!SpliceCodon || Tracks == 4, "loss.splice_codon", "predicts tracks from the bases; set model.tracks to 4");
        Require(SpliceCodonStart <= SpliceCodonEnd && SpliceCodonWeight >= 0, "loss", "splice_codon_weight is at least 0, and splice_codon_end not below splice_codon_start");
        Require(WordLetters is >= 0 and <= WordShares.MostLetters, "loss.words", $"is {WordLetters}; want 0 to {WordShares.MostLetters}");
        Require(!WordCodons || Tracks == 6, "loss.codons", "are read in the frame of the codon track; set model.tracks to 6");
        Require(Tau > 0, "loss.tau", "must be above 0");
        Require(Pairs.Pairs >= 2, "data.pairs", $"is {Pairs.Pairs}; a contrast needs at least 2");
        Require(Steps >= 1, "run.steps", $"is {Steps}; want at least 1");
        Require(Accumulate >= 1 && VirtualRanks >= 1, "run", "accumulate and virtual_ranks are at least 1");
        Require(!ByRank || VirtualRanks > 1, "data.by_rank", "is for loss.virtual_ranks above 1");
        Require(MicroPairs >= 0 && MicroPairs != 1 || !MaskedBases && !SpliceCodon, "run.micro_pairs", "is 1; batch statistics at positions want at least 2");
        Require(Ema is >= 0 and < 1, "optimiser.ema", $"is {Ema}; want 0 to below 1");
        Require(Beta1 is >= 0 and < 1 && Beta2 is >= 0 and < 1, "optimiser", "beta1 and beta2 are from 0 to below 1");
        Require(Keep >= 1, "run.keep", $"is {Keep}; want at least 1");
        Require(DType is DType.F32 or DType.F64 or DType.BF16, "run.dtype", "is f32, f64 or bf16");
        Require(MaskProbability is >= 0 and <= 1 && ReconstructUnmasked is >= 0 and <= 1, "masking", "probabilities are from 0 to 1");

        static void Require(bool holds, string key, string problem)
        {
            if (!holds) throw new ArgumentException($"{key}: {problem}");
        }
    }
}
