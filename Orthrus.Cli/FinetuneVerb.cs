using System.CommandLine;
using System.Globalization;
using Orthrus.Cli.Embed;
using Orthrus.Cli.Finetuning;
using Orthrus.Rna;
using Orthrus.Train;
using Orthrus.Train.Probing;

namespace Orthrus.Cli;

/// <summary>orthrus finetune: trains a model for the targets of a labelled table.</summary>
internal static class FinetuneVerb
{
    // A batch may take long; what comes after Ctrl-C waits for its end.
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);

    private const string Help = """
        Train a model, with a head on its pooled vector, to predict columns of a labelled table (numbers, one label, several labels). The
        weights that are best on the validation rows are kept.

        RUN receives log.jsonl (an object a step), events/ (TensorBoard), options.json, metrics.json (rows as of `orthrus probe`) and final/,
        a model for `orthrus predict --model RUN/final` and for `orthrus embed`. The same command gives the same bytes whatever --threads.
        A run is short: there is no --resume, and a run that was interrupted starts over.

        Presets: quick (the default: 20 epochs at most, stops early), half-life, localisation, eclip, ribosome-load, supervised,
        supervised-low (the published ones: 10,000 steps of 64 rows, fewer with --few-shot), lora. Options are laid over them.
        --lora R trains updates of rank R of the effective weights of in_proj, x_proj, dt_proj and out_proj instead of the weights; they are
        merged in final/, which is an ordinary model.

        Example: orthrus finetune --task examples/data/halflife.tsv.gz --target halflife -o run --freeze encoder --seed 1
        """;

    internal static Command Build()
    {
        var model = new Option<string>("--model") { HelpName = "PATH|NAME", Description = "checkpoint, folder or built-in name to begin with (default: orthrus-mini)", DefaultValueFactory = _ => EmbedOptions.DefaultModel };
        var scratch = new Option<bool>("--from-scratch") { Description = "begin with random weights of the model's sizes instead" };
        var task = Text("--task", "TABLE", "tab-separated table, plain or gzip, as of `orthrus probe`");
        var target = Text("--target", "COLUMN[,COLUMN]", "columns to predict; rows in which one is NA are left out");
        var output = new Option<string?>("--output", "-o") { HelpName = "RUN", Description = "folder of the run" };
        var preset = Text("--preset", "NAME", "named options (default: quick)");
        var kind = Choice("--kind", "kind of the targets (default: by their values)", "regression", "binary", "multilabel");
        var sequence = new Option<string>("--sequence-column") { HelpName = "COLUMN", Description = "column of the sequences", DefaultValueFactory = _ => "sequence" };
        var split = Text("--split-column", "COLUMN", "column with train, valid and test (default: split)");
        var groups = Text("--groups", "COLUMN", "draw a 70/15/15 split that cuts no group of this column");
        var random = new Option<bool>("--random-split") { Description = "draw a 70/15/15 split of single rows" };
        var splitSeed = new Option<uint?>("--split-seed") { HelpName = "N", Description = "seed of a drawn split (default: 2541, as the first of `orthrus probe`)" };
        var cds = new Option<string>("--cds") { HelpName = "annotated|longest-orf", Description = "where codon marks come from; longest-orf calls a CDS where none is known", DefaultValueFactory = _ => "annotated" };
        cds.AcceptOnlyFromAmong("annotated", "longest-orf");
        var blank = new Option<bool>("--blank-tracks") { Description = "leave codon and splice marks out" };
        var freeze = Text("--freeze", "none|encoder|but-last:K", "what is not trained: nothing, the encoder (rows are then embedded once), or all of it but the last K layers");
        var lora = Number("--lora", "RANK", "train low-rank updates of the weights instead of the weights");
        var alpha = Real("--lora-alpha", "their scale is alpha divided by the root of the rank (default: 16)");
        var matrices = Text("--lora-matrices", "NAME[,NAME]", "of in_proj, x_proj, dt_proj, out_proj those that have updates (default: all)");
        var few = Number("--few-shot", "N", "train on N rows, drawn by --seed so that every label has a positive; published: 30, 100, 300, 1000, 3000");
        var rate = Real("--lr", "learning rate");
        var headRate = Real("--head-lr", "learning rate of the head");
        var decay = Real("--weight-decay", "weight decay");
        var schedule = Choice("--schedule", "form of the learning rate", "warmup-cosine", "linear", "warmup", "constant", "exponential");
        var warmup = Real("--warmup", "steps of the warm-up");
        var clipNorm = Real("--clip-norm", "largest norm of all gradients together; 0 for none");
        var clipValue = Real("--clip-value", "largest value of a gradient element; 0 for none");
        var batch = Number("--batch", "N", "rows of a batch");
        var epochs = Number("--epochs", "N", "passes over the training rows");
        var steps = Number("--steps", "N", "updates, instead of --epochs");
        var every = Number("--validate-every", "N", "updates between validations (default: an epoch, and at most 50 validations)");
        var patience = Number("--patience", "N", "stop after N validations without a better one; 0 never");
        var width = Number("--head-width", "N", "width of the head's hidden layers");
        var layers = Number("--head-layers", "N", "linear layers of the head, batch norm and ReLU between them");
        var standardise = new Option<bool?>("--standardise") { HelpName = "true|false", Description = "regression: train on targets of mean 0 and variance 1; predictions have the table's units in any case" };
        var length = Number("--max-length", "NT", "leave longer rows out (default: 30000)");
        var crop = new Option<bool>("--crop") { Description = "read the first --max-length nucleotides of longer rows instead; predictions then do so as well" };
        var seed = new Option<uint>("--seed") { HelpName = "N", Description = "seed of everything random", DefaultValueFactory = _ => 0 };
        var seeds = Text("--seeds", "N[,N]", "a run in RUN/seed-N for each seed, which is also that of a drawn split; RUN/metrics.json has means with 1.96 standard errors");
        var test = new Option<bool>("--test") { Description = "measure the test rows as well: do so once, at the end" };
        var baselines = new Option<string?>("--baselines") { Arity = ArgumentArity.ZeroOrOne, HelpName = "NAME[,NAME]", Description = "measure beside it probe (a linear probe of the model it began with), kmer3 to kmer6, composition, or those named, fitted on the same rows" };
        var resamples = new Option<int>("--bootstrap") { HelpName = "N", Description = "resamples of the intervals; 0 for none", DefaultValueFactory = _ => 1000 };
        var units = Text("--bootstrap-units", "COLUMN", "resample groups of this column instead of rows");
        var name = Text("--name", "NAME", "name of the task (default: the table's)");
        var device = DeviceOption.Create();
        var threads = Number("--threads", "N", "worker threads (default: all cores); never changes the numbers");
        var quiet = new Option<bool>("--quiet") { Description = "no progress on stderr" };
        var command = new Command("finetune", Help)
        {
            model, scratch, task, target, output, preset, kind, sequence, split, groups, random, splitSeed, cds, blank, freeze, lora, alpha, matrices, few, rate, headRate, decay, schedule, warmup, clipNorm, clipValue,
            batch, epochs, steps, every, patience, width, layers, standardise, length, crop, seed, seeds, test, baselines, resamples, units, name, device, threads, quiet,
        };
        command.SetAction(r =>
        {
            if (r.GetValue(epochs) is not null && r.GetValue(steps) is not null) throw new UsageException("--epochs and --steps both say how long to train: give one of the two");
            if (r.GetValue(warmup) is not null && r.GetValue(schedule) is { } form and ("linear" or "constant" or "exponential")) throw new UsageException($"--schedule {form} has no warm-up: leave --warmup out");
            if (r.GetValue(blank) && r.GetValue(cds) == "longest-orf") throw new UsageException("--blank-tracks and --cds longest-orf exclude each other");
            var policy = r.GetValue(blank) ? CdsPolicy.Blank : r.GetValue(cds) == "longest-orf" ? CdsPolicy.LongestOrf : CdsPolicy.Annotated;
            string chosen = r.GetValue(preset) ?? FineTunePresets.Names[0].Name;
            var o = Preset(chosen, r.GetValue(few));
            string? taskName = r.GetValue(name) ?? (r.GetValue(task) is { } file ? Path.GetFileName(file).Split('.')[0] : null);
            o = o with
            {
                Task = taskName ?? o.Task,
                Kind = r.GetValue(kind) switch { "regression" => ProbeKind.Regression, "binary" => ProbeKind.Binary, "multilabel" => ProbeKind.Multilabel, _ => null },
                LearningRate = r.GetValue(rate) ?? o.LearningRate, HeadLearningRate = r.GetValue(headRate) ?? o.HeadLearningRate, WeightDecay = r.GetValue(decay) ?? o.WeightDecay,
                Schedule = r.GetValue(schedule) switch { "warmup-cosine" => LearningRateKind.WarmupCosine, "linear" => LearningRateKind.Linear, "warmup" => LearningRateKind.Warmup, "constant" => LearningRateKind.Constant, "exponential" => LearningRateKind.Exponential, _ => o.Schedule },
                Warmup = r.GetValue(warmup) ?? o.Warmup, ClipNorm = r.GetValue(clipNorm) ?? o.ClipNorm, ClipValue = r.GetValue(clipValue) ?? o.ClipValue, Batch = r.GetValue(batch) ?? o.Batch,
                Steps = r.GetValue(epochs) is not null ? null : r.GetValue(steps) ?? o.Steps, Epochs = r.GetValue(epochs) ?? o.Epochs, ValidateEvery = r.GetValue(every) ?? o.ValidateEvery,
                Patience = r.GetValue(patience) ?? o.Patience, HeadBody = r.GetValue(width) ?? o.HeadBody, HeadLayers = r.GetValue(layers) ?? o.HeadLayers,
                TrainedLayers = Frozen(r.GetValue(freeze)), Lora = Lora(o.Lora, r.GetValue(lora), r.GetValue(alpha), List(r.GetValue(matrices), "--lora-matrices")),
                Standardise = r.GetValue(standardise) ?? o.Standardise, MaxLength = r.GetValue(length) ?? o.MaxLength, Crop = r.GetValue(crop),
                Marks = policy switch { CdsPolicy.Blank => "blank", CdsPolicy.LongestOrf => "longest-orf", _ => "annotated" }, Seed = r.GetValue(seed), Test = r.GetValue(test),
            };
            var request = new FinetuneRequest
            {
                Model = r.GetValue(model)!, FromScratch = r.GetValue(scratch), Task = r.GetValue(task), Targets = List(r.GetValue(target), "--target"), Output = r.GetValue(output), Preset = chosen, Options = o,
                Sequence = r.GetValue(sequence)!, SplitColumn = r.GetValue(split), Groups = r.GetValue(groups), RandomSplit = r.GetValue(random), SplitSeed = r.GetValue(splitSeed), Policy = policy,
                Baselines = r.GetResult(baselines) is null ? [] : r.GetValue(baselines) is { } named ? Baselines(named) : FinetuneRequest.AllBaselines,
                Resamples = r.GetValue(resamples), Units = r.GetValue(units), Name = r.GetValue(name), Device = DeviceOption.Parse(r.GetValue(device)!), Threads = r.GetValue(threads), Quiet = r.GetValue(quiet),
            };
            Interrupt.Patience = Patience;
            if (r.GetValue(seeds) is not { } several) return new FinetuneCommand(request.Checked(), CliHost.Of(r)).Run();
            if (r.GetResult(seed) is { Implicit: false } || r.GetValue(splitSeed) is not null) throw new UsageException("--seeds says the seed of each run: leave --seed and --split-seed out");
            return FinetuneSeeds.Run(request, [.. List(several, "--seeds").Select(Seed)], CliHost.Of(r));
        });
        return command;
    }

    private static FineTuneOptions Preset(string name, int? fewShot)
    {
        try
        {
            return FineTunePresets.Find(name, fewShot);
        }
        catch (ArgumentException e)
        {
            throw new UsageException(e.Message);
        }
    }

    private static int? Frozen(string? text)
    {
        const string butLast = "but-last:";
        if (text is null or "none") return null;
        if (text == "encoder") return 0;
        return text.StartsWith(butLast, StringComparison.Ordinal) && int.TryParse(text.AsSpan(butLast.Length), NumberStyles.None, CultureInfo.InvariantCulture, out int layers) && layers > 0
            ? layers : throw new UsageException($"--freeze {text}: give none, encoder, or but-last:K with a number of layers from 1");
    }

    private static LoraOptions? Lora(LoraOptions? preset, int? rank, double? alpha, string[] matrices)
    {
        if (preset is null && rank is null) return alpha is null && matrices.Length == 0 ? null : throw new UsageException("--lora-alpha and --lora-matrices belong to --lora RANK");
        var options = preset ?? new();
        return options with { Rank = rank ?? options.Rank, Alpha = alpha ?? options.Alpha, Matrices = matrices.Length > 0 ? matrices : options.Matrices };
    }

    private static string[] Baselines(string list)
    {
        string[] names = List(list, "--baselines");
        foreach (string n in names)
            if (!FinetuneRequest.AllBaselines.Contains(n)) throw new UsageException($"--baselines {n}: there is none of this name; use {string.Join(", ", FinetuneRequest.AllBaselines)}");
        return names;
    }

    private static string[] List(string? text, string option)
    {
        string[] parts = text?.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries) ?? [];
        return parts.Distinct().Count() == parts.Length ? parts : throw new UsageException($"{option} {text}: names something twice");
    }

    private static uint Seed(string text) =>
        uint.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out uint seed) ? seed : throw new UsageException($"--seeds {text}: give whole numbers from 0 to {uint.MaxValue}");

    private static Option<string?> Text(string name, string value, string description) => new(name) { HelpName = value, Description = description };

    private static Option<int?> Number(string name, string value, string description) => new(name) { HelpName = value, Description = description };

    private static Option<double?> Real(string name, string description) => new(name) { HelpName = "X", Description = description };

    private static Option<string?> Choice(string name, string description, params string[] values)
    {
        var option = new Option<string?>(name) { HelpName = string.Join('|', values), Description = description };
        option.AcceptOnlyFromAmong(values);
        return option;
    }
}
