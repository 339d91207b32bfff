using System.Globalization;
using Orthrus.Rna;
using Orthrus.Train.Probing;

namespace Orthrus.Cli.Probing;

/// <summary>What `orthrus probe` was asked for.</summary>
internal sealed record ProbeRequest
{
    internal const string Random = "random";

    /// <summary>All baselines, in the order of results.</summary>
    internal static string[] AllBaselines { get; } = [.. FeatureSet.Baselines, Random];

    internal required IReadOnlyList<string> Models { get; init; }
    internal string? Task { get; init; }
    internal IReadOnlyList<string> Targets { get; init; } = [];
    internal ProbeKind? Kind { get; init; }
    internal string Sequence { get; init; } = "sequence";
    internal string? SplitColumn { get; init; }
    internal string? Groups { get; init; }
    internal bool RandomSplit { get; init; }
    internal IReadOnlyList<uint> Seeds { get; init; } = [];
    internal bool Test { get; init; }
    internal IReadOnlyList<string> Baselines { get; init; } = [];
    /// <summary>Whether the baselines were named one by one.</summary>
    internal bool NamesBaselines { get; init; }
    internal CdsPolicy Policy { get; init; }
    internal bool Retrieval { get; init; }
    internal string? Transcripts { get; init; }
    internal string? Table { get; init; }
    internal int? Candidates { get; init; }
    internal string? Json { get; init; }
    internal string? Csv { get; init; }
    internal string? Name { get; init; }
    internal string? Embeddings { get; init; }
    internal IReadOnlyList<double> Alphas { get; init; } = [];
    internal double? C { get; init; }
    internal double? TotalVariance { get; init; }
    internal int Resamples { get; init; }
    internal string? Units { get; init; }
    internal uint Seed { get; init; }
    internal int? Threads { get; init; }
    /// <summary>Where embeddings are computed; the linear algebra is the CPU's.</summary>
    internal DeviceChoice Device { get; init; } = DeviceOption.Parse("auto");
    internal bool Quiet { get; init; }

    /// <summary>Seed of a baseline of random weights by its name, random or random:SEED; null for other names.</summary>
    internal static ulong? RandomSeed(string baseline) => baseline == Random ? 0
        : baseline.StartsWith(Random + ":", StringComparison.Ordinal) && ulong.TryParse(baseline.AsSpan(Random.Length + 1), NumberStyles.None, CultureInfo.InvariantCulture, out ulong seed) ? seed : null;

    /// <summary>Whether splits are drawn and not read.</summary>
    internal bool Draws => Groups is not null || RandomSplit;

    /// <summary>The files that are written.</summary>
    internal IEnumerable<string> Outputs => new[] { Json, Csv, Embeddings }.OfType<string>();

    /// <summary>The file whose name the task has by default.</summary>
    internal string Source => (Retrieval ? Table : Task)!;

    /// <summary>The task's name in the rows.</summary>
    internal string TaskName => Name ?? Path.GetFileName(Source).Split('.')[0];

    /// <summary>Refuses what cannot be meant.</summary>
    internal ProbeRequest Checked()
    {
        Refuse(Retrieval && (Task is not null || Targets.Count > 0), "--retrieval reads --transcripts and --table; --task and --target belong to a probe");
        Refuse(Retrieval && (Transcripts is null || Table is null), "--retrieval needs --transcripts FASTA and --table TABLE");
        Refuse(Retrieval && (Draws || Seeds.Count > 0 || Kind is not null || Units is not null), "--groups, --random-split, --seeds, --kind and --bootstrap-units belong to a probe, not to --retrieval");
        Refuse(Retrieval && NamesBaselines && Baselines.Any(b => b != "kmer5" && RandomSeed(b) is null), "--retrieval has the baselines kmer5, always, and random");
        Refuse(Retrieval && (Alphas.Count > 0 || C is not null || TotalVariance is not null), "--alphas, --c and --total-variance belong to a probe, not to --retrieval");
        Refuse(C is <= 0 or double.NaN or double.PositiveInfinity, $"--c {C}: give a number above 0");
        Refuse(TotalVariance is <= 0 or double.NaN or double.PositiveInfinity, $"--total-variance {TotalVariance}: give a number above 0");
        Refuse(!Retrieval && (Transcripts is not null || Table is not null || Candidates is not null), "--transcripts, --table and --candidates belong to --retrieval");
        Refuse(!Retrieval && Task is null, "give --task TABLE with --target COLUMN, or --retrieval");
        Refuse(!Retrieval && Targets.Count == 0, "give --target COLUMN: what to predict of the task");
        Refuse(Groups is not null && RandomSplit, "--groups draws splits by groups, --random-split of single rows: give one of the two");
        Refuse(Draws && SplitColumn is not null, "--split-column reads a split, --groups and --random-split draw their own: give one of them");
        Refuse(Seeds.Count > 0 && !Draws, "--seeds are those of drawn splits: give --groups COLUMN or --random-split as well");
        Refuse(Draws && Units is not null, "intervals of drawn splits are over their seeds: --bootstrap-units has no place");
        Refuse(Baselines.Select(RandomSeed).OfType<ulong>().GroupBy(s => s).Any(g => g.Count() > 1), "--baselines names random weights of one seed twice");
        Refuse(Seeds.Distinct().Count() != Seeds.Count, "--seeds names one seed twice");
        Refuse(Alphas.Distinct().Count() != Alphas.Count, "--alphas names one penalty twice");
        Refuse(Models.Distinct().Count() != Models.Count, "--model names one model twice");
        Refuse(Embeddings is not null && Models.Count > 1, "--embeddings keeps those of one model: give one --model");
        Refuse(Resamples is < 0 or > 10_000, $"--bootstrap {Resamples}: give 0 to 10000");
        Refuse(Candidates is < 2 or > 1_000_000, $"--candidates {Candidates}: give 2 to 1000000");
        Refuse(Threads is < 1 or > 1024, $"--threads {Threads}: give a number from 1 to 1024");
        string[] inputs = [.. new[] { Task, Transcripts, Table }.OfType<string>()];
        foreach (string output in Outputs)
        {
            OutputGuard.Refuse(output, [output], inputs.Concat(Models.Where(Path.Exists)));
            foreach (string model in Models) OutputGuard.RefuseModel(output, [output], model);
            if (Directory.Exists(output)) throw new OutputException($"{output}: is a folder; give the name of a file");
            if (Path.GetDirectoryName(Path.GetFullPath(output)) is { } parent && !Directory.Exists(parent))
                throw new OutputException($"{output}: the output folder {parent} does not exist; create it first");
        }
        Refuse(Outputs.Select(Path.GetFullPath).Distinct().Count() != Outputs.Count(), "--json, --csv and --embeddings name one file twice");
        return this;
    }

    private static void Refuse(bool wrong, string message)
    {
        if (wrong) throw new UsageException(message);
    }
}
