using Orthrus.Cli.Probing;
using Orthrus.Rna;
using Orthrus.Train.Probing;

namespace Orthrus.Cli.Finetuning;

/// <summary>The same `orthrus finetune` under several seeds: a run for each, and what they came to together.</summary>
internal static class FinetuneSeeds
{
    /// <summary>Runs them one after the other and returns the exit code.</summary>
    internal static int Run(FinetuneRequest request, uint[] seeds, CliHost host)
    {
        if (seeds.Length < 2) throw new UsageException("--seeds wants at least two; one run has --seed");
        if (seeds.Distinct().Count() != seeds.Length) throw new UsageException("--seeds names one seed twice");
        // Everything is refused before the first run takes its time.
        request.Checked();
        string metrics = Path.Combine(request.Output!, "metrics.json");
        if (File.Exists(metrics)) throw new InputDataException(request.Output, null, "holds runs already", "give another folder");
        FinetuneRequest[] runs = [.. seeds.Select(seed => (request with
        {
            Output = Path.Combine(request.Output!, $"seed-{seed}"), Options = request.Options with { Seed = seed }, SplitSeed = request.Draws ? seed : null,
        }).Checked(goOn: true))];
        var rows = new List<IReadOnlyList<ProbeRow>>();
        // Seeds that an interrupted command finished are taken as they are.
        foreach (var run in runs) rows.Add(new FinetuneCommand(run, host).Train(goOn: true));
        var together = Results.OverRuns(rows);
        WholeFile.Write(metrics, ProbeReport.Json(together));
        foreach (string line in ProbeReport.Lines(together)) host.Output.WriteLine(line);
        host.Output.Flush();
        return ExitCode.Done;
    }
}
