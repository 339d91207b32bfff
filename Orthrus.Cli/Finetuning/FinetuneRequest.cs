using Orthrus.Rna;
using Orthrus.Train;
using Orthrus.Train.Probing;

namespace Orthrus.Cli.Finetuning;

/// <summary>What `orthrus finetune` was asked for.</summary>
internal sealed record FinetuneRequest
{
    internal const string Probe = "probe";
    internal const uint DefaultSplitSeed = 2541;

    /// <summary>Baselines, in the order of results.</summary>
    internal static string[] AllBaselines { get; } = [Probe, .. FeatureSet.Baselines];

    internal required string Model { get; init; }
    internal bool FromScratch { get; init; }
    internal string? Task { get; init; }
    internal IReadOnlyList<string> Targets { get; init; } = [];
    internal string? Output { get; init; }
    internal string Preset { get; init; } = "";
    internal required FineTuneOptions Options { get; init; }
    internal string Sequence { get; init; } = "sequence";
    internal string? SplitColumn { get; init; }
    internal string? Groups { get; init; }
    internal bool RandomSplit { get; init; }
    internal uint? SplitSeed { get; init; }
    internal CdsPolicy Policy { get; init; }
    internal IReadOnlyList<string> Baselines { get; init; } = [];
    internal int Resamples { get; init; }
    internal string? Units { get; init; }
    internal string? Name { get; init; }
    internal int? Threads { get; init; }
    internal DeviceChoice Device { get; init; } = DeviceOption.Parse("auto");
    internal bool Quiet { get; init; }

    internal bool Draws => Groups is not null || RandomSplit;

    internal string TaskName => Name ?? Path.GetFileName(Task!).Split('.')[0];

    internal string Final => Path.Combine(Output!, "final");

    /// <summary>Refuses what cannot be meant.</summary>
    /// <param name="goOn">The folder may hold a run already.</param>
    internal FinetuneRequest Checked(bool goOn = false)
    {
        Refuse(Task is null, "--task is missing; give a table with a sequence, a target and a split per row");
        Refuse(Targets.Count == 0, "--target is missing; give the column or columns to predict");
        Refuse(Output is null, "--output is missing; give a folder for the run");
        Refuse(Groups is not null && RandomSplit, "--groups draws a split by groups, --random-split of single rows: give one of the two");
        Refuse(Draws && SplitColumn is not null, "--split-column reads a split, --groups and --random-split draw one: give one of them");
        Refuse(SplitSeed is not null && !Draws, "--split-seed is that of a drawn split: give --groups COLUMN or --random-split as well");
        Refuse(Resamples is < 0 or > 10_000, $"--bootstrap {Resamples}: give 0 to 10000");
        Refuse(Threads is < 1 or > 1024, $"--threads {Threads}: give a number from 1 to 1024");
        try
        {
            Options.Validate();
        }
        catch (ArgumentException e)
        {
            throw new UsageException(e.Message);
        }
        OutputGuard.Refuse(Output!, [Output!], [Task, .. Path.Exists(Model) ? new[] { Model } : []]);
        if (File.Exists(Output)) throw new OutputException($"{Output}: is a file; give the name of a folder");
        if (!goOn && Directory.Exists(Final) || Directory.Exists(Path.Combine(Output!, "checkpoints")))
            throw new InputDataException(Output, null, "holds a run already", "give another folder");
        return this;
    }

    private static void Refuse(bool wrong, string message)
    {
        if (wrong) throw new UsageException(message);
    }
}
