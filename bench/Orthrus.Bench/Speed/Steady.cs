namespace Orthrus.Bench.Speed;

/// <summary>One run of a row.</summary>
/// <param name="Ours">The embedder's run.</param>
/// <param name="Peer">Nucleotides per second of PyTorch.</param>
/// <param name="Ratio">Ours over what it is compared with.</param>
/// <param name="Probes">Every FMA rate probed around the parts of the run.</param>
internal sealed record SpeedRun(Measurement Ours, double? Peer, double? Ratio, double[] Probes)
{
    /// <summary>False where the machine changed its speed during the run.</summary>
    public bool Kept => Probes.Max() <= Steady.Tolerance * Probes.Min();
}

/// <summary>One line of a table: medians over the runs that were kept.</summary>
internal sealed record SpeedRow(string Model, int Threads, int Length, string Vectors, double Rate, double Share, double? Peer, double? Ratio, string Kept, SpeedRun[] Runs);

/// <summary>Repeats runs until enough were made while the machine ran at one speed.</summary>
/// <param name="wanted">Runs to keep.</param>
internal sealed class Steady(int wanted)
{
    /// <summary>Largest ratio of two probes of one run.</summary>
    internal const double Tolerance = 1.15;
    private const int Patience = 3;

    /// <summary>Makes a row. Where the machine never settles, all runs count and the row says so.</summary>
    internal SpeedRow Collect(string model, int threads, int length, string vectors, Func<SpeedRun> run)
    {
        var runs = new List<SpeedRun>();
        while (runs.Count(r => r.Kept) < wanted && runs.Count < Patience * wanted)
        {
            runs.Add(run());
            Console.Error.WriteLine($"  {model}, {threads} threads, {length} nt{(vectors == "" ? "" : ", " + vectors)}: {runs[^1].Ours.Rate:F0} nt/s, {runs[^1].Ours.Share:P1}{(runs[^1].Ratio is { } q ? $", ratio {q:F2}" : "")}{(runs[^1].Kept ? "" : " (dropped: probes differ)")}");
        }
        var kept = runs.Where(r => r.Kept).ToArray();
        string note = $"{kept.Length} of {runs.Count}";
        if (kept.Length == 0) (kept, note) = ([.. runs], "unsteady machine");
        return new SpeedRow(model, threads, length, vectors, Median(kept.Select(r => r.Ours.Rate)), Median(kept.Select(r => r.Ours.Share)),
            kept[0].Peer is null ? null : Median(kept.Select(r => r.Peer!.Value)), kept[0].Ratio is null ? null : Median(kept.Select(r => r.Ratio!.Value)), note, [.. runs]);
    }

    private static double Median(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        return (sorted[sorted.Length / 2] + sorted[(sorted.Length - 1) / 2]) / 2;
    }
}
