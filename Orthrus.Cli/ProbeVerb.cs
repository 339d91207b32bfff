using System.CommandLine;
using System.Globalization;
using Orthrus.Cli.Embed;
using Orthrus.Cli.Probing;
using Orthrus.Rna;
using Orthrus.Train.Probing;

namespace Orthrus.Cli;

/// <summary>orthrus probe: what frozen embeddings know of a labelled table.</summary>
internal static class ProbeVerb
{
    private const string Help = """
        Fit a linear probe (ridge or logistic regression) on embeddings of a labelled table and measure it on its validation rows, with
        bootstrap intervals; with --retrieval, look for homologs among other transcripts instead. Several --model, and --baselines, are
        measured on the same rows, and the first one's differences from each other have paired intervals.

        Writes a table to stdout: task, target, model, split, metric, value, low, high, n.

        Example: orthrus probe --task examples/data/halflife.tsv.gz --target halflife --json out.json

        Examples of other kinds:
          orthrus probe --task examples/data/halflife.tsv.gz --target halflife --groups family_group --seeds 2541,413
          orthrus probe --retrieval --transcripts examples/data/transcripts.fa.gz --table examples/data/transcripts.tsv --split-column none
        """;

    internal static Command Build()
    {
        var model = new Option<string[]>("--model") { HelpName = "PATH|NAME", Description = "checkpoint, folder or built-in name; may be repeated, differences are from the first (default: orthrus-mini)" };
        var task = Text("--task", "TABLE", "tab-separated table, plain or gzip, with a sequence per row, targets, and where known cds_start, cds_end, exon_junctions");
        var target = Text("--target", "COLUMN[,COLUMN]", "columns to predict; NA where a value is missing");
        var kind = new Option<string?>("--kind") { HelpName = "regression|binary|multilabel", Description = "kind of the targets (default: by their values)" };
        kind.AcceptOnlyFromAmong("regression", "binary", "multilabel");
        var sequence = new Option<string>("--sequence-column") { HelpName = "COLUMN", Description = "column of the sequences", DefaultValueFactory = _ => "sequence" };
        var split = Text("--split-column", "COLUMN", "column with train, valid and test (default: split, where nothing else is said); with --retrieval, none takes every row");
        var groups = Text("--groups", "COLUMN", "draw 70/15/15 splits that cut no group of this column, one per seed");
        var random = new Option<bool>("--random-split") { Description = "draw 70/15/15 splits of single rows, one per seed" };
        var seeds = Text("--seeds", "N[,N]", "seeds of drawn splits (default: the ten of mRNABench)");
        var test = new Option<bool>("--test") { Description = "measure the test rows as well: do so once, at the end" };
        var baselines = new Option<string?>("--baselines") { Arity = ArgumentArity.ZeroOrOne, HelpName = "NAME[,NAME]", Description = "also kmer3, kmer4, kmer5, kmer6, composition, random (the first model's sizes with random weights; random:SEED for weights of that seed), or those named" };
        var alphas = Text("--alphas", "X[,X]", "penalties that a ridge regression chooses from (default: 0.0001, 0.001, ..., 100)");
        var strength = new Option<double?>("--c") { HelpName = "X", Description = "C of the logistic regression: the smaller, the stronger its penalty (default: 1)" };
        var variance = new Option<double?>("--total-variance") { HelpName = "X", Description = "bring every feature set to this sum of variances, so that penalties mean the same to all (default: embeddings as they are, baselines 1)" };
        var cds = new Option<string>("--cds") { HelpName = "annotated|longest-orf", Description = "where codon marks come from; longest-orf calls a CDS where none is known", DefaultValueFactory = _ => "annotated" };
        cds.AcceptOnlyFromAmong("annotated", "longest-orf");
        var blank = new Option<bool>("--blank-tracks") { Description = "leave codon and splice marks out" };
        var retrieval = new Option<bool>("--retrieval") { Description = "find each transcript's isoform and ortholog among others; beside it a profile of 5-mers" };
        var transcripts = Text("--transcripts", "FASTA", "transcripts of a retrieval");
        var table = Text("--table", "TABLE", "their table: gene_id, species, homology_group, family_group, split, CDS, junctions");
        var candidates = new Option<int?>("--candidates") { HelpName = "N", Description = "candidates of a retrieval (default 1000)" };
        var json = Text("--json", "FILE", "also write the rows as JSON");
        var csv = Text("--csv", "FILE", "also write the rows as CSV, all digits");
        var name = Text("--name", "NAME", "name of the task in the rows (default: the table's)");
        var embeddings = Text("--embeddings", "FILE", "keep the model's embeddings in this file instead of the cache, or take them from it");
        var resamples = new Option<int>("--bootstrap") { HelpName = "N", Description = "resamples of the intervals; 0 for none", DefaultValueFactory = _ => 1000 };
        var units = Text("--bootstrap-units", "COLUMN", "resample groups of this column instead of rows");
        var seed = new Option<uint>("--seed") { HelpName = "N", Description = "seed of the resamples, and of a retrieval's draws", DefaultValueFactory = _ => 0 };
        var device = DeviceOption.Create();
        var threads = new Option<int?>("--threads") { HelpName = "N", Description = "worker threads (default: all cores)" };
        var quiet = new Option<bool>("--quiet") { Description = "no progress and no remarks on stderr" };
        var command = new Command("probe", Help)
        {
            model, task, target, kind, sequence, split, groups, random, seeds, test, baselines, cds, blank, retrieval, transcripts, table, candidates, json, csv, name,
            embeddings, alphas, strength, variance, resamples, units, seed, device, threads, quiet,
        };
        command.SetAction(r =>
        {
            var request = new ProbeRequest
            {
                Models = r.GetValue(model) is { Length: > 0 } given ? given : [EmbedOptions.DefaultModel],
                Task = r.GetValue(task), Targets = List(r.GetValue(target), "--target"),
                Kind = r.GetValue(kind) switch { "regression" => ProbeKind.Regression, "binary" => ProbeKind.Binary, "multilabel" => ProbeKind.Multilabel, _ => null },
                Sequence = r.GetValue(sequence)!, SplitColumn = r.GetValue(split), Groups = r.GetValue(groups), RandomSplit = r.GetValue(random),
                Seeds = [.. List(r.GetValue(seeds), "--seeds").Select(Seed)], Test = r.GetValue(test),
                Baselines = r.GetResult(baselines) is null ? [] : r.GetValue(baselines) is { } named ? Names(named) : ProbeRequest.AllBaselines, NamesBaselines = r.GetValue(baselines) is not null,
                Policy = r.GetValue(blank) ? CdsPolicy.Blank : r.GetValue(cds) == "longest-orf" ? CdsPolicy.LongestOrf : CdsPolicy.Annotated,
                Retrieval = r.GetValue(retrieval), Transcripts = r.GetValue(transcripts), Table = r.GetValue(table), Candidates = r.GetValue(candidates),
                Json = r.GetValue(json), Csv = r.GetValue(csv), Name = r.GetValue(name), Embeddings = r.GetValue(embeddings),
                Alphas = [.. List(r.GetValue(alphas), "--alphas").Select(Penalty).Order()], C = r.GetValue(strength), TotalVariance = r.GetValue(variance), Resamples = r.GetValue(resamples), Units = r.GetValue(units), Seed = r.GetValue(seed), Device = DeviceOption.Parse(r.GetValue(device)!), Threads = r.GetValue(threads), Quiet = r.GetValue(quiet),
            };
            if (r.GetValue(blank) && r.GetResult(cds) is { Implicit: false } && request.Policy == CdsPolicy.Blank && r.GetValue(cds) == "longest-orf")
                throw new UsageException("--blank-tracks and --cds longest-orf exclude each other");
            return new ProbeCommand(request.Checked(), CliHost.Of(r)).Run();
        });
        return command;
    }

    private static string[] Names(string list)
    {
        string[] names = List(list, "--baselines");
        foreach (string n in names)
            if (!ProbeRequest.AllBaselines.Contains(n) && ProbeRequest.RandomSeed(n) is null) throw new UsageException($"--baselines {n}: there is none of this name; use {string.Join(", ", ProbeRequest.AllBaselines)}, {ProbeRequest.Random}:SEED");
        return names;
    }

    private static string[] List(string? text, string option)
    {
        string[] parts = text?.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries) ?? [];
        if (parts.Distinct().Count() != parts.Length) throw new UsageException($"{option} {text}: names something twice");
        return parts;
    }

    private static uint Seed(string text) =>
        uint.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out uint seed) ? seed : throw new UsageException($"--seeds {text}: give whole numbers from 0 to {uint.MaxValue}");

    private static double Penalty(string text) =>
        double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double alpha) && alpha > 0 && double.IsFinite(alpha) ? alpha : throw new UsageException($"--alphas {text}: give numbers above 0");

    private static Option<string?> Text(string name, string value, string description) => new(name) { HelpName = value, Description = description };
}
