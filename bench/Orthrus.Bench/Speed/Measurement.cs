using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Orthrus.Mamba;
using Orthrus.Tensor.Cpu;

namespace Orthrus.Bench.Speed;

/// <summary>One timed run of the embedder, with the FMA rate of the same threads and vector width probed just before and after it.</summary>
/// <param name="Length">Nucleotides per record.</param>
/// <param name="Rate">Nucleotides per second.</param>
/// <param name="Before">FLOP/s before.</param>
/// <param name="After">FLOP/s after.</param>
/// <param name="Share">Nominal operations per second over the mean of the two probes.</param>
/// <param name="Width">Vector width in bits.</param>
internal sealed record Measurement(int Length, double Rate, double Before, double After, double Share, int Width)
{
    /// <summary>The work of a child process: packs one model, warms up, then runs the lengths in turn and prints one line of JSON for each run.</summary>
    /// <param name="args">Model, threads, vector width, lengths joined by commas, rounds, seconds per run.</param>
    internal static int Child(string[] args)
    {
        var model = BenchModel.Of(args[0]);
        int threads = Number(args[1]), rounds = Number(args[4]);
        int[] lengths = [.. args[3].Split(',').Select(Number)];
        double seconds = double.Parse(args[5], CultureInfo.InvariantCulture);
        using var embedder = new Embedder(OrthrusModel.Create(model.Config, 1), new EmbedderOptions { Threads = threads, VectorWidth = Number(args[2]) });
        // Until tiered compilation has settled; the rate says how many records fill the time.
        double rate = 0;
        var clock = Stopwatch.StartNew();
        do rate = Time(embedder, [.. model.Records(3000, threads)]); while (clock.Elapsed.TotalSeconds < Math.Min(2, seconds));
        for (int round = 0; round < rounds; round++)
            foreach (int length in lengths)
            {
                // Whole waves of 3,000 nucleotides at least, so that the pipeline's filling and draining weigh little.
                ReadOnlyMemory<byte>[] records = [.. model.Records(length, (int)Math.Max(1, Math.Round(Math.Max(6000 * threads, rate * seconds) / length)))];
                double before = MachineLimits.FmaRate<float>(embedder.Width, threads);
                double measured = Time(embedder, records);
                double after = MachineLimits.FmaRate<float>(embedder.Width, threads);
                Console.WriteLine(JsonSerializer.Serialize(new Measurement(length, measured, before, after, measured * model.FlopsPerNucleotide * 2 / (before + after), embedder.Width)));
            }
        return 0;
    }

    /// <summary>Runs a child process and reads what it measured.</summary>
    internal static Measurement[] Run(BenchModel model, int threads, int width, IEnumerable<int> lengths, int rounds, double seconds, bool avx2 = false)
    {
        var environment = avx2 ? new Dictionary<string, string?> { ["DOTNET_EnableAVX512"] = "0" } : [];
        string lines = Child(Environment.ProcessPath!, [.. Self, "measure", model.Name, $"{threads}", $"{width}", string.Join(',', lengths), $"{rounds}", seconds.ToString(CultureInfo.InvariantCulture)], environment);
        return [.. lines.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => JsonSerializer.Deserialize<Measurement>(l)!)];
    }

    /// <summary>Runs a program and returns its standard output.</summary>
    /// <exception cref="InvalidOperationException">It failed; the message ends with the last line it wrote on stderr.</exception>
    internal static string Child(string program, IEnumerable<string> arguments, IReadOnlyDictionary<string, string?> environment)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true, UseShellExecute = false };
        foreach (var (name, value) in environment)
            if (value is null) start.Environment.Remove(name);
            else start.Environment[name] = value;
        using var process = Process.Start(start)!;
        var error = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        if (process.ExitCode != 0) throw new InvalidOperationException($"{program} ended with {process.ExitCode}: {error.Result.TrimEnd().Split('\n')[^1]}");
        return output;
    }

    // Under `dotnet Orthrus.Bench.dll` the process is the host, which needs the assembly again.
    internal static string[] Self => Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet" ? [typeof(Measurement).Assembly.Location] : [];

    private static double Time(Embedder embedder, ReadOnlyMemory<byte>[] records)
    {
        var clock = Stopwatch.StartNew();
        int done = embedder.EmbedAll(records, r => r).Count();
        return (double)done * records[0].Length / clock.Elapsed.TotalSeconds;
    }

    private static int Number(string text) => int.Parse(text, CultureInfo.InvariantCulture);
}
