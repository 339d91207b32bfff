using Orthrus.Cli.Probing;
using Orthrus.Train.Probing;

namespace Orthrus.Cli.Finetuning;

/// <summary>The same `orthrus finetune` under several seeds: a run for each, and what they came to together.</summary>
internal static class FinetuneSeeds
{
    /// <summary>Runs them one after the other and returns the exit code.</summary>
    internal static int Run(FinetuneRequest request, uint[] seeds, CliHost host)
    {
        if (seeds.Length < 2) throw new UsageException("--seeds wants at least two; one run has --seed");
        // Everything is refused before the first run takes its time.
        request.Checked();
        string metrics = Path.Combine(request.Output!, "metrics.json");
        FinetuneRequest[] runs = [.. seeds.Select(seed => (request with
        {
            Output = Path.Combine(request.Output!, $"seed-{seed}"), Options = request.Options with { Seed = seed }, SplitSeed = request.Draws ? seed : null,
        }).Checked())];
        var rows = new List<IReadOnlyList<ProbeRow>>();
        foreach (var run in runs) rows.Add(new FinetuneCommand(run, host).Train());
        var together = Results.OverRuns(rows);
        WholeFile.Write(metrics, ProbeReport.Json(together));
        foreach (string line in ProbeReport.Lines(together)) host.Output.WriteLine(line);
        host.Output.Flush();
        return ExitCode.Done;
    }
}
