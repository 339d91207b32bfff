using System.Globalization;
using System.Text;
using Orthrus.Mamba;
using Orthrus.Rna;
using Orthrus.Tensor;

namespace Orthrus.Train;

/// <summary>One value of a configuration: its path in a file, what it means, and how it is read and written.</summary>
internal sealed record ConfigKey(string Path, string Doc, Func<TrainConfig, string> Print, Func<TrainConfig, string, TrainConfig> Set)
{
    /// <summary>True where a run that goes on may have another value: it changes no result, or only how far the run goes.</summary>
    internal bool Free { get; init; }
}

/// <summary>Every key of a training configuration: the one place that knows their names. Unknown ones are errors.</summary>
public static class ConfigKeys
{
    private static readonly ConfigKey[] All =
    [
        Int("model.width", "width of the residual stream", c => c.Width, (c, v) => c with { Width = v }),
        Int("model.layers", "mixer blocks", c => c.Layers, (c, v) => c with { Layers = v }),
        Int("model.tracks", "input tracks: 4 (bases) or 6 (and codons, splice sites)", c => c.Tracks, (c, v) => c with { Tracks = v }),
        Flag("model.bidirectional", "a second mixer over each record's reverse", c => c.Bidirectional, (c, v) => c with { Bidirectional = v }),
        Int("model.head_body", "width of the contrastive head's hidden layers", c => c.HeadBody, (c, v) => c with { HeadBody = v }),
        Int("model.head_out", "width of its result", c => c.HeadOut, (c, v) => c with { HeadOut = v }),
        Int("model.head_layers", "its linear layers; 0 contrasts the embeddings themselves, through head_norm alone", c => c.HeadLayers, (c, v) => c with { HeadLayers = v }),
        Choice("model.head_norm", "between them", c => c.HeadNorm, (c, v) => c with { HeadNorm = v }, ("batchnorm", HeadNorm.BatchNorm), ("layernorm", HeadNorm.LayerNorm), ("identity", HeadNorm.Identity)),

        Flag("loss.contrastive", "train with the decoupled contrastive loss", c => c.Contrastive, (c, v) => c with { Contrastive = v }),
        Choice("loss.form", "how the two sets of negatives are joined: all published models have sum_of_logs, the paper joint", c => c.Form, (c, v) => c with { Form = v }, ("sum_of_logs", Dcl.Form.SumOfLogs), ("joint", Dcl.Form.Joint)),
        Real("loss.tau", "temperature", c => c.Tau, (c, v) => c with { Tau = v }),
        Real("loss.self_weight", "attraction of a transcript to itself", c => c.SelfWeight, (c, v) => c with { SelfWeight = v }),
        Real("loss.splice_weight", "attraction of isoforms", c => c.SpliceWeight, (c, v) => c with { SpliceWeight = v }),
        Real("loss.ortholog_weight", "attraction of orthologs", c => c.OrthologWeight, (c, v) => c with { OrthologWeight = v }),
        Real("loss.dclw_sigma", "temperature of von Mises-Fisher weights; 0 for none", c => c.DclwSigma, (c, v) => c with { DclwSigma = v }),
        Flag("loss.dual_heads", "a contrastive head of its own for orthologs", c => c.DualHeads, (c, v) => c with { DualHeads = v }),
        Int("loss.virtual_ranks", "batches of a step that are treated as those of so many devices", c => c.VirtualRanks, (c, v) => c with { VirtualRanks = v }),
        Choice("loss.gather", "whose losses reach a projection with several ranks: exact, or own_rank as upstream", c => c.Gather, (c, v) => c with { Gather = v }, ("exact", GatherGradient.Exact), ("own_rank", GatherGradient.OwnRank)),
        Real("loss.contrastive_start", "weight of the contrastive loss at the first step", c => c.ContrastiveStart, (c, v) => c with { ContrastiveStart = v }),
        Real("loss.contrastive_end", "and after weight_steps", c => c.ContrastiveEnd, (c, v) => c with { ContrastiveEnd = v }),
        Flag("loss.masked_bases", "train with the masked-base loss", c => c.MaskedBases, (c, v) => c with { MaskedBases = v }),
        Real("loss.masked_start", "weight of the masked-base loss at the first step", c => c.MaskedStart, (c, v) => c with { MaskedStart = v }),
        Real("loss.masked_end", "and after weight_steps", c => c.MaskedEnd, (c, v) => c with { MaskedEnd = v }),
        Int("loss.weight_steps", "steps over which the weights move", c => c.WeightSteps, (c, v) => c with { WeightSteps = v }),
        Flag("loss.splice_codon", "predict splice and codon tracks from the bases", c => c.SpliceCodon, (c, v) => c with { SpliceCodon = v }),
        Real("loss.splice_codon_weight", "weight of that loss after its ramp", c => c.SpliceCodonWeight, (c, v) => c with { SpliceCodonWeight = v }),
        Int("loss.splice_codon_start", "step from which its weight rises from 0, as upstream's", c => c.SpliceCodonStart, (c, v) => c with { SpliceCodonStart = v }),
        Int("loss.splice_codon_end", "step from which it is reached; the same as splice_codon_start for no ramp", c => c.SpliceCodonEnd, (c, v) => c with { SpliceCodonEnd = v }),
        Int("loss.words", "letters of the words whose shares in a view its embedding is to tell, by one linear layer; 0 for none", c => c.WordLetters, (c, v) => c with { WordLetters = v }),
        Flag("loss.codons", "the shares of codons in frame too", c => c.WordCodons, (c, v) => c with { WordCodons = v }),
        Real("loss.words_weight", "weight of that loss", c => c.WordsWeight, (c, v) => c with { WordsWeight = v }),

        Real("masking.probability", "of a position to be masked for the masked-base loss", c => c.MaskProbability, (c, v) => c with { MaskProbability = v }),
        Real("masking.reconstruct_unmasked", "probability of an unmasked position to enter that loss", c => c.ReconstructUnmasked, (c, v) => c with { ReconstructUnmasked = v }),
        Flag("masking.masked_statistics", "keep padding out of the batch statistics of heads at positions; upstream counts it", c => c.MaskedStatistics, (c, v) => c with { MaskedStatistics = v }),
        Int("masking.body", "width of the masked-base head", c => c.MaskedBody, (c, v) => c with { MaskedBody = v }),

        .. DataKeys(),

        Choice("optimiser.kind", "adamw, or adam with the decay in the gradient", c => c.Decoupled, (c, v) => c with { Decoupled = v }, ("adamw", true), ("adam", false)),
        Real("optimiser.model_lr", "learning rate of the encoder", c => c.ModelRate, (c, v) => c with { ModelRate = v }),
        Real("optimiser.model_wd", "weight decay of the encoder", c => c.ModelDecay, (c, v) => c with { ModelDecay = v }),
        Real("optimiser.head_lr", "learning rate of the heads", c => c.HeadRate, (c, v) => c with { HeadRate = v }),
        Real("optimiser.head_wd", "weight decay of the heads", c => c.HeadDecay, (c, v) => c with { HeadDecay = v }),
        Real("optimiser.max_wd", "weight decay that all rise to after the warm-up; -1 for none of this", c => c.LargestDecay, (c, v) => c with { LargestDecay = v }),
        Int("optimiser.steps_per_epoch", "steps after which max_wd moves the decay; 0 takes the batches of an epoch", c => c.StepsPerEpoch, (c, v) => c with { StepsPerEpoch = v }),
        Real("optimiser.beta1", "decay of the mean gradient", c => c.Beta1, (c, v) => c with { Beta1 = v }),
        Real("optimiser.beta2", "decay of the mean squared gradient", c => c.Beta2, (c, v) => c with { Beta2 = v }),
        Real("optimiser.eps", "added to the root of the mean squared gradient", c => c.Eps, (c, v) => c with { Eps = v }),
        Real("optimiser.clip_norm", "largest norm of all gradients; 0 for none", c => c.ClipNorm, (c, v) => c with { ClipNorm = v }),
        Real("optimiser.clip_value", "largest absolute gradient element; 0 for none", c => c.ClipValue, (c, v) => c with { ClipValue = v }),
        Flag("optimiser.exempt", "no decay of biases, norms, A_log, D; upstream decays everything", c => c.Exempt, (c, v) => c with { Exempt = v }),
        Real("optimiser.explicit_l2", "share of the weights subtracted at each step, whatever the rate", c => c.ExplicitL2, (c, v) => c with { ExplicitL2 = v }),
        Real("optimiser.ema", "decay of a running mean of the weights (at most t / (t + 9) at step t), which is then the result; 0 for none", c => c.Ema, (c, v) => c with { Ema = v }),
        Choice("optimiser.schedule", "how the learning rate moves; warmup then stays constant, whatever the number of steps", c => c.Schedule, (c, v) => c with { Schedule = v },
            ("warmup_cosine", LearningRateKind.WarmupCosine), ("warmup", LearningRateKind.Warmup), ("linear", LearningRateKind.Linear), ("constant", LearningRateKind.Constant), ("exponential", LearningRateKind.Exponential)),
        Real("optimiser.warmup_steps", "-1 takes a tenth of all steps, at most 10,000", c => c.WarmupSteps, (c, v) => c with { WarmupSteps = v }),

        new("run.steps", "updates of the run", c => Text(c.Steps), (c, v) => c with { Steps = long.Parse(v, NumberStyles.None, CultureInfo.InvariantCulture) }) { Free = true },
        new("run.init", "model whose weights the run begins with: a checkpoint, folder or built-in name; empty begins with random ones", c => c.Init.Contains('"') ? $"'{c.Init}'" : $"\"{c.Init}\"", (c, v) => c with { Init = v }),
        new("run.seed", "of weights, pairs, augmentation and masks", c => Text((long)c.Seed), (c, v) => c with { Seed = ulong.Parse(v, NumberStyles.None, CultureInfo.InvariantCulture) }),
        Choice("run.dtype", "f32; f64 on the CPU; bf16 activations around f32 weights on a GPU", c => c.DType, (c, v) => c with { DType = v }, ("f32", DType.F32), ("f64", DType.F64), ("bf16", DType.BF16)),
        Int("run.accumulate", "batches whose gradients a step takes the mean of", c => c.Accumulate, (c, v) => c with { Accumulate = v }),
        Int("run.micro_pairs", "pairs encoded at a time; 0 for all. The gradient is that of the whole batch, memory that of a part; with masked_bases batch statistics are those of each part", c => c.MicroPairs, (c, v) => c with { MicroPairs = v }),
        Flag("run.recompute", "compute each block again in backward: less memory, more time, same bits", c => c.Recompute, (c, v) => c with { Recompute = v }) with { Free = true },
        Int("run.checkpoint_every", "steps from checkpoint to checkpoint; 0 writes one at the end", c => c.CheckpointEvery, (c, v) => c with { CheckpointEvery = v }) with { Free = true },
        Int("run.keep", "last checkpoints that are kept, besides the best", c => c.Keep, (c, v) => c with { Keep = v }) with { Free = true },
        Int("run.validate_every", "steps from validation to validation; 0 never validates", c => c.ValidateEvery, (c, v) => c with { ValidateEvery = v }),
        Int("run.validation_batches", "most batches of a validation", c => c.ValidationBatches, (c, v) => c with { ValidationBatches = v }),
    ];

    private static IEnumerable<ConfigKey> DataKeys() =>
    [
        Int("data.pairs", "pairs of a batch", c => c.Pairs.Pairs, (c, v) => c with { Pairs = c.Pairs with { Pairs = v } }),
        Flag("data.by_rank", "with virtual_ranks: the first rank draws transcripts of at least short_length, the others shorter ones, as upstream", c => c.ByRank, (c, v) => c with { ByRank = v }),
        Int("data.long_pairs", "pairs of a batch of the first rank, with by_rank", c => c.Pairs.LongPairs, (c, v) => c with { Pairs = c.Pairs with { LongPairs = v } }),
        Int("data.nucleotides", "most positions of a batch, padding included; 0: pairs alone decides", c => (int)(c.Pairs.Nucleotides ?? 0), (c, v) => c with { Pairs = c.Pairs with { Nucleotides = v == 0 ? null : v } }),
        Int("data.validation_pairs", "pairs of a validation batch", c => c.ValidationPairs, (c, v) => c with { ValidationPairs = v }),
        Flag("data.validation_combine_utr", "combine UTRs in validation as in training, so that losses can be compared; else its views are unchanged", c => c.ValidationCombinesUtr, (c, v) => c with { ValidationCombinesUtr = v }),
        Choice("data.order", "batches of nearly one length, or mixed", c => c.Pairs.Order, (c, v) => c with { Pairs = c.Pairs with { Order = v } }, ("by_length", BatchOrder.ByLength), ("mixed", BatchOrder.Mixed)),
        Choice("data.choice", "partner by kind (ortholog_share), or any with the same chance", c => c.Pairs.Choice, (c, v) => c with { Pairs = c.Pairs with { Choice = v } }, ("by_kind", PartnerChoice.ByKind), ("uniform", PartnerChoice.Uniform)),
        Real("data.ortholog_share", "probability of an ortholog where there are isoforms too", c => c.Pairs.OrthologWeight, (c, v) => c with { Pairs = c.Pairs with { OrthologWeight = v } }),
        Choice("data.orthologs", "another species, or upstream's rule: a projection", c => c.Pairs.Orthologs, (c, v) => c with { Pairs = c.Pairs with { Orthologs = v } }, ("species", OrthologRule.Species), ("projection", OrthologRule.Projection)),
        Flag("data.use_splice", "isoforms may be partners", c => c.Pairs.UseSplice, (c, v) => c with { Pairs = c.Pairs with { UseSplice = v } }),
        Flag("data.use_orthologs", "orthologs may be partners", c => c.Pairs.UseOrthologs, (c, v) => c with { Pairs = c.Pairs with { UseOrthologs = v } }),
        Flag("data.keep_alone", "transcripts without partner are paired with themselves", c => c.Pairs.KeepAlone, (c, v) => c with { Pairs = c.Pairs with { KeepAlone = v } }),
        Int("data.short_length", "transcripts shorter than this are paired with such alone", c => c.Pairs.ShortLength, (c, v) => c with { Pairs = c.Pairs with { ShortLength = v } }),
        Int("data.max_length", "transcripts of this length and above are left out", c => c.Pairs.MaxLength, (c, v) => c with { Pairs = c.Pairs with { MaxLength = v } }),
        Augment("fragment", "least share of its length that a view is cut to, drawn up to 1, so that parts resemble the whole; 1 does not cut", a => a.Fragment, (a, v) => a with { Fragment = v }),
        Augment("crop", "windows of at most this many nucleotides; 0 does not cut", a => a.Crop, (a, v) => a with { Crop = v }),
        Augment("crop_least", "least size of a window, drawn for each pair up to crop, evenly in its logarithm; 0 takes crop for all", a => a.CropLeast, (a, v) => a with { CropLeast = v }),
        Augment("crop_together", "the windows of both views begin at the same share", a => a.CropTogether, (a, v) => a with { CropTogether = v }),
        Augment("combine_utr", "probability that an ortholog gets the UTRs of its partner", a => a.CombineUtr, (a, v) => a with { CombineUtr = v }),
        Augment("utr_of_annotated", "also where the ortholog has UTRs of its own", a => a.UtrOfAnnotated, (a, v) => a with { UtrOfAnnotated = v }),
        Augment("utr_dropping", "cut pairs of a transcript and an ortholog to the CDS", a => a.UtrDropping, (a, v) => a with { UtrDropping = v }),
        Augment("cds_only", "cut all pairs to the CDS", a => a.CdsOnly, (a, v) => a with { CdsOnly = v }),
        Augment("mask_sequence", "share of bases cleared", a => a.MaskSequence, (a, v) => a with { MaskSequence = v }),
        Augment("mask_cds", "share of positions whose codon mark is cleared", a => a.MaskCds, (a, v) => a with { MaskCds = v }),
        Augment("mask_splice", "share of positions whose splice mark is cleared", a => a.MaskSplice, (a, v) => a with { MaskSplice = v }),
        Augment("drop_cds", "probability that a view loses all codon marks", a => a.DropCds, (a, v) => a with { DropCds = v }),
        Augment("drop_splice", "probability that a view loses all splice marks", a => a.DropSplice, (a, v) => a with { DropSplice = v }),
        Augment("mask_all", "share of positions cleared in all tracks (first generation)", a => a.MaskAll, (a, v) => a with { MaskAll = v }),
        Augment("blank_unknown_junctions", "junctions known in one view alone are blank in both", a => a.BlankUnknownJunctions, (a, v) => a with { BlankUnknownJunctions = v }),
        Augment("blank_unknown_cds", "a CDS known in one view alone is blank in both", a => a.BlankUnknownCds, (a, v) => a with { BlankUnknownCds = v }),
    ];

    private static ConfigKey Augment<T>(string name, string doc, Func<Augmentation, T> get, Func<Augmentation, T, Augmentation> set) where T : ISpanParsable<T>, IConvertible =>
        new("data." + name, doc, c => get(c.Pairs.Augmentation) is bool b ? b ? "true" : "false" : get(c.Pairs.Augmentation).ToString(CultureInfo.InvariantCulture),
            (c, v) => c with { Pairs = c.Pairs with { Augmentation = set(c.Pairs.Augmentation, T.Parse(v, CultureInfo.InvariantCulture)) } });

    private static ConfigKey Int(string path, string doc, Func<TrainConfig, int> get, Func<TrainConfig, int, TrainConfig> set) =>
        new(path, doc, c => Text(get(c)), (c, v) => set(c, int.Parse(v, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture)));

    private static ConfigKey Real(string path, string doc, Func<TrainConfig, double> get, Func<TrainConfig, double, TrainConfig> set) =>
        new(path, doc, c => get(c).ToString(CultureInfo.InvariantCulture), (c, v) => set(c, double.Parse(v, NumberStyles.Float, CultureInfo.InvariantCulture) is var x && double.IsFinite(x) ? x : throw new FormatException()));

    private static ConfigKey Flag(string path, string doc, Func<TrainConfig, bool> get, Func<TrainConfig, bool, TrainConfig> set) =>
        new(path, doc, c => get(c) ? "true" : "false", (c, v) => set(c, bool.Parse(v)));

    private static ConfigKey Choice<T>(string path, string doc, Func<TrainConfig, T> get, Func<TrainConfig, T, TrainConfig> set, params (string Name, T Value)[] values) =>
        new(path, $"{doc} ({string.Join(", ", values.Select(v => v.Name))})", c => values.First(v => EqualityComparer<T>.Default.Equals(v.Value, get(c))).Name,
            (c, v) => set(c, values.FirstOrDefault(x => x.Name == v) is { Name: not null } found ? found.Value : throw new FormatException()));

    private static string Text(long value) => value.ToString(CultureInfo.InvariantCulture);

    /// <summary>Sets one value.</summary>
    /// <param name="config">The configuration.</param>
    /// <param name="path">Such as optimiser.model_lr.</param>
    /// <param name="value">Its text.</param>
    /// <exception cref="FormatException">The key is unknown, or the value does not fit; the message says which.</exception>
    public static TrainConfig Set(TrainConfig config, string path, string value)
    {
        var key = Array.Find(All, k => k.Path == path) ?? throw new FormatException($"there is no key {path}; {Nearest(path)}");
        try
        {
            return key.Set(config, value);
        }
        catch (Exception e) when (e is FormatException or OverflowException)
        {
            throw new FormatException($"{path}: {value} does not fit; {key.Doc}", e);
        }
    }

    /// <summary>Applies a configuration file: nested keys, all optional; a top-level key <c>preset</c> names what it starts from.</summary>
    /// <param name="config">What holds where the file says nothing and names no preset.</param>
    /// <param name="file">Its name, for messages.</param>
    /// <param name="text">Its content.</param>
    /// <exception cref="InputDataException">An unknown key, a value that does not fit, or no YAML; the message names file and line.</exception>
    public static TrainConfig Read(TrainConfig config, string file, string text)
    {
        var values = StrictYaml.Read(file, text);
        foreach (var v in values)
        {
            try
            {
                if (v.Path == "preset") config = TrainPresets.Find(v.Text);
            }
            catch (ArgumentException e)
            {
                throw new InputDataException(file, $"line {v.Line}", e.Message, null, e);
            }
        }
        foreach (var v in values)
        {
            if (v.Path == "preset") continue;
            try
            {
                config = Set(config, v.Path, v.Text);
            }
            catch (FormatException e)
            {
                throw new InputDataException(file, $"line {v.Line}", e.Message, null, e);
            }
        }
        return config;
    }

    /// <summary>A configuration as a file, every key with its meaning; reading it gives the same configuration.</summary>
    public static string Write(TrainConfig config)
    {
        var text = new StringBuilder();
        string section = "";
        foreach (var key in All)
        {
            string[] parts = key.Path.Split('.');
            if (parts[0] != section)
            {
                section = parts[0];
                text.Append(CultureInfo.InvariantCulture, $"{section}:\n");
            }
            text.Append(CultureInfo.InvariantCulture, $"  {parts[1]}: {key.Print(config)}  # {key.Doc}\n");
        }
        return text.ToString();
    }

    /// <summary>Keys whose values differ and may not, in a run that goes on; each as path: old, new.</summary>
    internal static IReadOnlyList<string> Differences(TrainConfig old, TrainConfig now) =>
        [.. All.Where(k => !k.Free && k.Print(old) != k.Print(now)).Select(k => $"{k.Path}: {k.Print(old)}, now {k.Print(now)}")];

    private static string Nearest(string path)
    {
        string leaf = path[(path.LastIndexOf('.') + 1)..];
        var same = All.Where(k => k.Path.EndsWith("." + leaf, StringComparison.Ordinal)).Select(k => k.Path).ToArray();
        if (same.Length > 0) return $"did you mean {string.Join(" or ", same)}?";
        return $"nearest is {All.MinBy(k => Distance(k.Path, path))!.Path}; `orthrus train --print-config` shows all";
    }

    private static int Distance(string a, string b)
    {
        var row = Enumerable.Range(0, b.Length + 1).ToArray();
        for (int i = 1; i <= a.Length; i++)
        {
            int diagonal = row[0];
            row[0] = i;
            for (int j = 1; j <= b.Length; j++)
                (diagonal, row[j]) = (row[j], Math.Min(Math.Min(row[j], row[j - 1]) + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)));
        }
        return row[^1];
    }
}
