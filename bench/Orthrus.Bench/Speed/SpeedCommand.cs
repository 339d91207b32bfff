using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json;
using Orthrus.Tensor.Cpu;

namespace Orthrus.Bench.Speed;

/// <summary>The whole comparison: against PyTorch, against the machine's limit, over record lengths and over vector widths.</summary>
internal static class SpeedCommand
{
    private const string Usage = """
        Usage: dotnet run -c Release --project bench/Orthrus.Bench -- speed [options]

          --pairs N        runs of each row, or pairs of runs where PyTorch takes part (default 5)
          --peer PATH      the PyTorch program (default bench/peers/pytorch_encoder_bench.py); none leaves it out
          --seconds S      length of each run of ours (default 3)
          --threads N      the larger number of threads (default 2; all rows also run with 1)
          --quick          one short run of each row with the base model only: shows that everything works, measures nothing
          --markdown       print the tables as Markdown
          --json FILE      where the figures of every run go (default speed.json)
        """;
    private const int Standard = 3000, Short = 50, Long = 100_000;

    // What the project promises, by model: ratio to PyTorch with one and with more threads.
    private static readonly Dictionary<string, double[]> RatioGoals = new() { ["large"] = [4.2, 5], ["base"] = [7, 7] };
    private static readonly double[] ShareGoals = [0.92, 0.88];
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };
    private const double LengthGoal = 0.95, WidthGoal = 0.85;

    internal static int Run(string[] args)
    {
        int runs = 5, threads = Math.Min(2, Environment.ProcessorCount);
        double seconds = 3;
        bool quick = false, markdown = false;
        string? peerPath = null, json = "speed.json";
        for (int i = 0; i < args.Length; i++)
        {
            string? Value() => ++i < args.Length ? args[i] : null;
            bool good = args[i] switch
            {
                "--pairs" => int.TryParse(Value(), CultureInfo.InvariantCulture, out runs) && runs > 0,
                "--seconds" => double.TryParse(Value(), CultureInfo.InvariantCulture, out seconds) && seconds > 0,
                "--threads" => int.TryParse(Value(), CultureInfo.InvariantCulture, out threads) && threads > 0,
                "--peer" => (peerPath = Value()) is not null,
                "--json" => (json = Value()) is not null,
                "--quick" => quick = true,
                "--markdown" => markdown = true,
                _ => false,
            };
            if (good) continue;
            Console.Error.WriteLine(Usage);
            return args[i < args.Length ? i : ^1] is "--help" or "-h" ? 0 : 2;
        }
        if (quick) (runs, seconds) = (1, 0.2);

        string missing = "left out by --peer none";
        var peer = peerPath == "none" ? null : Peer.Find(peerPath, out missing);
        var models = quick ? [BenchModel.Of("base")] : BenchModel.All;
        int[] counts = threads == 1 ? [1] : [1, threads];
        var steady = new Steady(runs);
        Console.WriteLine(Machine() + "; " + (peer is null ? "PyTorch: " + missing : peer.Description));

        List<SpeedRow> pairs = [.. models.SelectMany(m => counts.Select(n => Pairs(m, n, peer, steady, seconds)))];
        var table = new TextTable("model", "threads", "nt/s", "share of FMA rate", "goal", "PyTorch nt/s", "ratio", "goal", "kept");
        foreach (var r in pairs)
            table.Add(r.Model, r.Threads, TextTable.Count(r.Rate), TextTable.Percent(r.Share), TextTable.Percent(ShareGoals[r.Threads == 1 ? 0 : 1]),
                r.Peer is { } p ? TextTable.Count(p) : "left out", r.Ratio is { } q ? TextTable.Ratio(q) : "-", r.Ratio is null ? "-" : TextTable.Ratio(RatioGoals[r.Model][r.Threads == 1 ? 0 : 1]), r.Kept);
        table.Write(Console.Out, $"Records of {Standard:N0} nt; PyTorch in alternating runs", markdown);

        List<SpeedRow> lengths = [.. models.SelectMany(m => counts.SelectMany(n => Lengths(m, n, steady, seconds)))];
        table = new TextTable("model", "threads", "records", "nt/s", "share of FMA rate", $"against {Standard:N0} nt", "goal", "kept");
        foreach (var r in lengths)
            table.Add(r.Model, r.Threads, $"{r.Length:N0} nt", TextTable.Count(r.Rate), TextTable.Percent(r.Share), TextTable.Ratio(r.Ratio!.Value), TextTable.Ratio(LengthGoal), r.Kept);
        table.Write(Console.Out, "Other lengths, short records packed together", markdown);

        List<SpeedRow> widths = [.. models.SelectMany(m => Widths(m, steady, seconds))];
        table = new TextTable("model", "vectors", "nt/s", "share of that width's FMA rate", "goal", "kept");
        foreach (var r in widths) table.Add(r.Model, r.Vectors, TextTable.Count(r.Rate), TextTable.Percent(r.Share), TextTable.Percent(WidthGoal), r.Kept);
        table.Write(Console.Out, $"Narrower vectors, 1 thread, records of {Standard:N0} nt", markdown);

        File.WriteAllText(json!, JsonSerializer.Serialize(new { machine = Machine(), peer = peer?.Description ?? missing, pairs, lengths, widths }, Indented));
        Console.WriteLine($"{(markdown ? "\n" : "")}Every run: {json}");
        return 0;
    }

    private static SpeedRow Pairs(BenchModel model, int threads, Peer? peer, Steady steady, double seconds) => steady.Collect(model.Name, threads, Standard, "", () =>
    {
        var ours = Measurement.Run(model, threads, 0, [Standard], 1, seconds)[0];
        if (peer is null) return new SpeedRun(ours, null, null, [ours.Before, ours.After]);
        double before = MachineLimits.FmaRate<float>(ours.Width, threads), rate = peer.Rate(model, threads), after = MachineLimits.FmaRate<float>(ours.Width, threads);
        return new SpeedRun(ours, rate, ours.Rate / rate, [ours.Before, ours.After, before, after]);
    });

    private static IEnumerable<SpeedRow> Lengths(BenchModel model, int threads, Steady steady, double seconds)
    {
        int[] others = [Short, Long];
        foreach (int length in others)
            yield return steady.Collect(model.Name, threads, length, "", () =>
            {
                var both = Measurement.Run(model, threads, 0, [Standard, length], 1, seconds);
                return new SpeedRun(both[1], null, both[1].Rate / both[0].Rate, [both[0].Before, both[0].After, both[1].Before, both[1].After]);
            });
    }

    private static IEnumerable<SpeedRow> Widths(BenchModel model, Steady steady, double seconds)
    {
        foreach (int width in VectorWidths.Native.Where(w => w < VectorWidths.Native[0]))
            yield return steady.Collect(model.Name, 1, Standard, $"{width} bits", () => One(width, false));
        // The instruction set itself is taken away, and with it half of the registers.
        if (System.Runtime.Intrinsics.X86.Avx512F.IsSupported)
            yield return steady.Collect(model.Name, 1, Standard, "256 bits, AVX2 only", () => One(256, true));

        SpeedRun One(int width, bool avx2)
        {
            var m = Measurement.Run(model, 1, width, [Standard], 1, seconds, avx2)[0];
            return new SpeedRun(m, null, null, [m.Before, m.After]);
        }
    }

    internal static string Machine()
    {
        string cpu = RuntimeInformation.ProcessArchitecture.ToString();
        if (File.Exists("/proc/cpuinfo") && File.ReadLines("/proc/cpuinfo").FirstOrDefault(l => l.StartsWith("model name", StringComparison.Ordinal)) is { } line)
            cpu = line[(line.IndexOf(':') + 1)..].Trim();
        return $"{cpu}, {Environment.ProcessorCount} processors, {VectorWidths.Native[0]}-bit vectors, {RuntimeInformation.FrameworkDescription}";
    }
}
