using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Orthrus.Autograd;
using Orthrus.Mamba;
using Orthrus.Tensor;
using Orthrus.Tensor.Cpu;

namespace Orthrus.Bench.Speed;

/// <summary>Forward and backward passes of an encoder, with the FMA rate of the same threads probed just before and after them.</summary>
/// <param name="Rate">Nucleotides per second.</param>
/// <param name="Before">FLOP/s before.</param>
/// <param name="After">FLOP/s after.</param>
/// <param name="Share">Three times the nominal operations of a forward pass, per second, over the mean of the two probes.</param>
/// <param name="Peak">Largest memory of the process in bytes.</param>
/// <param name="Profile">Seconds of one pass by operator and direction; empty unless asked for.</param>
internal sealed record TrainMeasurement(double Rate, double Before, double After, double Share, long Peak, Dictionary<string, double> Profile)
{
    /// <summary>Transcripts of 1,000 nucleotides in a batch.</summary>
    internal static int Batch(BenchModel model) => model.Name == "base" ? 8 : 4;

    internal const int Length = 1000;

    /// <summary>
    /// How activations are kept: those of the whole batch, those of half of it at a time (each half runs forward and backward; gradients add up, as encoders look at records alone), or the
    /// values between blocks alone.
    /// </summary>
    internal static readonly string[] Modes = ["keep", "halves", "recompute"];

    /// <summary>The work of a child process: warms up, runs, and prints one line of JSON.</summary>
    /// <param name="args">Model, threads, seconds, one of <see cref="Modes"/>, "profile" or "time".</param>
    internal static int Child(string[] args)
    {
        var model = BenchModel.Of(args[0]);
        int threads = int.Parse(args[1], CultureInfo.InvariantCulture), batch = Batch(model);
        double seconds = double.Parse(args[2], CultureInfo.InvariantCulture);
        using var device = new CpuDevice(threads);
        using var store = new ParameterStore(device, DType.F32);
        var encoder = new MixerModel(store, model.Config) { Recompute = args[3] == "recompute" };
        ModelInit.Initialise(encoder, 1);
        using var scope = device.OpenScope();
        var tracks = scope.From<byte>(model.Records(Length, batch).SelectMany(r => r.ToArray()).ToArray(), new Shape(batch, Length));
        var lengths = scope.From<int>([.. Enumerable.Repeat(Length, batch)], new Shape(batch));
        var cotangent = scope.From<float>([.. Enumerable.Range(0, batch * model.Config.DModel).Select(i => MathF.Sin(i))], new Shape(batch, model.Config.DModel));
        using var tape = new Tape(device);
        int width = device.VectorWidth;
        var clock = Stopwatch.StartNew();
        do Pass(); while (clock.Elapsed.TotalSeconds < Math.Min(3, seconds));
        double before = MachineLimits.FmaRate<float>(width, threads);
        int passes = 0;
        clock.Restart();
        do
        {
            Pass();
            passes++;
        }
        while (clock.Elapsed.TotalSeconds < seconds);
        double rate = (double)passes * batch * Length / clock.Elapsed.TotalSeconds, after = MachineLimits.FmaRate<float>(width, threads);
        using var self = Process.GetCurrentProcess();
        long peak = self.PeakWorkingSet64;
        Console.WriteLine(JsonSerializer.Serialize(new TrainMeasurement(rate, before, after, 3 * rate * model.FlopsPerNucleotide * 2 / (before + after), peak, args[4] == "profile" ? Profiled() : [])));
        return 0;

        void Pass()
        {
            encoder.ClearGrads();
            int rows = args[3] == "halves" ? batch / 2 : batch;
            for (int row = 0; row < batch; row += rows)
            {
                tape.Reset();
                tape.Backward([encoder.Represent(tape, tracks.Rows(row, rows), lengths.Rows(row, rows))], [cotangent.Rows(row, rows)]);
            }
        }

        Dictionary<string, double> Profiled()
        {
            var times = new Dictionary<string, double>();
            encoder.Recompute = false;
            var watch = Stopwatch.StartNew();
            // A backward kernel writes several gradients: the time goes to the first that is seen.
            tape.Inspect = e =>
            {
                string key = e.Op + (e.Backward ? " backward" : "");
                times[key] = times.GetValueOrDefault(key) + watch.Elapsed.TotalSeconds;
                watch.Restart();
            };
            Pass();
            tape.Inspect = null;
            return times;
        }
    }

    /// <summary>Runs a child process and reads what it measured.</summary>
    internal static TrainMeasurement Run(BenchModel model, int threads, double seconds, string mode, bool profile)
    {
        string line = Measurement.Child(Environment.ProcessPath!, [.. Measurement.Self, "measure-train", model.Name, $"{threads}", seconds.ToString(CultureInfo.InvariantCulture), mode, profile ? "profile" : "time"], new Dictionary<string, string?>());
        return JsonSerializer.Deserialize<TrainMeasurement>(line)!;
    }
}

/// <summary>The comparison of training passes: against PyTorch, in alternating runs, and against the machine's limit.</summary>
internal static class TrainSpeedCommand
{
    private const string Usage = """
        Usage: dotnet run -c Release --project bench/Orthrus.Bench -- train-speed [options]

          --pairs N        runs of each row, or pairs of runs where PyTorch takes part (default 5)
          --peer PATH      the PyTorch program (default bench/peers/pytorch_encoder_bench.py); none leaves it out
          --seconds S      length of each run of ours (default 6)
          --threads N      threads (default 2)
          --model NAME     base or large alone
          --profile        also print where the time of one pass goes
          --markdown       print the table as Markdown
        """;

    // What the project promises: ratio of rates, share of the FMA rate, part of the memory.
    private static readonly Dictionary<string, double> RatioGoals = new() { ["base"] = 5, ["large"] = 4 };
    private const double ShareGoal = 0.75, MemoryGoal = 1.0 / 8;

    internal static int Run(string[] args)
    {
        int runs = 5, threads = Math.Min(2, Environment.ProcessorCount);
        double seconds = 6;
        bool profile = false, markdown = false;
        string? peerPath = null, only = null;
        for (int i = 0; i < args.Length; i++)
        {
            string? Value() => ++i < args.Length ? args[i] : null;
            bool good = args[i] switch
            {
                "--pairs" => int.TryParse(Value(), CultureInfo.InvariantCulture, out runs) && runs > 0,
                "--seconds" => double.TryParse(Value(), CultureInfo.InvariantCulture, out seconds) && seconds > 0,
                "--threads" => int.TryParse(Value(), CultureInfo.InvariantCulture, out threads) && threads > 0,
                "--peer" => (peerPath = Value()) is not null,
                "--model" => (only = Value()) is "base" or "large",
                "--profile" => profile = true,
                "--markdown" => markdown = true,
                _ => false,
            };
            if (good) continue;
            Console.Error.WriteLine(Usage);
            return args[i < args.Length ? i : ^1] is "--help" or "-h" ? 0 : 2;
        }
        string missing = "left out by --peer none";
        var peer = peerPath == "none" ? null : Peer.Find(peerPath, out missing);
        Console.WriteLine(SpeedCommand.Machine() + "; " + (peer is null ? "PyTorch: " + missing : peer.Description));
        var table = new TextTable("model", "batch", "threads", "memory mode", "nt/s", "share of FMA rate", "goal", "PyTorch nt/s", "ratio", "goal", "MiB", "PyTorch MiB", "part", "goal");
        foreach (var model in BenchModel.All.Where(m => only is null || m.Name == only))
            foreach (string mode in TrainMeasurement.Modes)
            {
                var ours = new List<TrainMeasurement>();
                var theirs = new List<(double Rate, double Mib)>();
                for (int r = 0; r < runs; r++)
                {
                    ours.Add(TrainMeasurement.Run(model, threads, seconds, mode, profile && r == 0));
                    if (peer is not null) theirs.Add(peer.Train(model, threads, TrainMeasurement.Batch(model), TrainMeasurement.Length));
                    Console.Error.WriteLine(string.Create(CultureInfo.InvariantCulture, $"  {model.Name}, {mode}: {ours[^1].Rate:F0} nt/s, {ours[^1].Share:P1}, probes {ours[^1].Before / 1e9:F0} and {ours[^1].After / 1e9:F0} GFLOP/s{(peer is null ? "" : $", PyTorch {theirs[^1].Rate:F0} nt/s")}"));
                }
                double rate = Median(ours.Select(o => o.Rate)), mib = Median(ours.Select(o => o.Peak / 1048576.0));
                bool compared = theirs.Count > 0;
                double ratio = compared ? Median(ours.Zip(theirs, (o, t) => o.Rate / t.Rate)) : 0, theirMib = compared ? Median(theirs.Select(t => t.Mib)) : 0;
                table.Add(model.Name, $"{TrainMeasurement.Batch(model)} x {TrainMeasurement.Length}", threads, mode, TextTable.Count(rate), TextTable.Percent(Median(ours.Select(o => o.Share))), TextTable.Percent(ShareGoal),
                    compared ? TextTable.Count(Median(theirs.Select(t => t.Rate))) : "left out", compared ? TextTable.Ratio(ratio) : "-", TextTable.Ratio(RatioGoals[model.Name]),
                    TextTable.Count(mib), compared ? TextTable.Count(theirMib) : "-", compared ? TextTable.Ratio(mib / theirMib) : "-", TextTable.Ratio(MemoryGoal));
                if (!profile || mode == "recompute") continue;
                double total = ours[0].Profile.Values.Sum();
                foreach (var (op, time) in ours[0].Profile.OrderByDescending(p => p.Value).Where(p => p.Value > 0.005 * total))
                    Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"  {model.Name}, {mode}  {op,-36} {1000 * time,9:F1} ms  {100 * time / total,5:F1} %"));
            }
        table.Write(Console.Out, "Forward and backward passes", markdown);
        return 0;
    }

    private static double Median(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        return (sorted[sorted.Length / 2] + sorted[(sorted.Length - 1) / 2]) / 2;
    }
}
