using System.Globalization;
using System.Reflection;
using System.Runtime.ExceptionServices;
using System.Security.Cryptography;
using System.Text;
using Orthrus.Mamba;
using Orthrus.Mamba.Streaming;
using Orthrus.Tensor;
using Orthrus.TestSupport;

namespace Orthrus.Cuda.Tests;

/// <summary>
/// Every golden test of operators and modules on simulated devices with two orders of blocks, warps and streams: the same bits, and the numbers written by PyTorch; with BF16
/// activations too. Verdicts are remembered where ORTHRUS_GOLDEN_CACHE names a folder, by the hash of all assemblies (kernels included) and of the golden files. There a test
/// is run in five orders when the PTX of a kernel that it runs is another than when it passed last.
/// </summary>
[Trait("tier", "long")]
public sealed class GoldenSeedTests(ITestOutputHelper output)
{
    private const string F32 = "f32", Bf16 = "bf16";
    private const int FewSeeds = 2, ManySeeds = 5;
    // Positions of a batch that is embedded four times for each precision.
    private const int LongestReplay = 1000;

    private static string? Cache => Environment.GetEnvironmentVariable("ORTHRUS_GOLDEN_CACHE") is { Length: > 0 } folder ? folder : null;

    // Operators of the area "ops" whose kernels take BF16 activations.
    private static readonly HashSet<string> HalfOps =
        ["linear", "softplus", "silu", "sigmoid", "relu", "gelu", "gelu_tanh", "layer_norm", "rms_norm", "add_layer_norm", "embed_tracks", "selective_scan", "conv1d", "conv1d_silu", "masked_mean_pool"];

    private static readonly Lazy<Dictionary<string, (MethodInfo Method, object?[] Arguments)>> Tests = new(Find);
    private static readonly Lazy<string> Inputs = new(HashOfInputs);

    public static IEnumerable<TheoryDataRow<string, string>> Rows()
    {
        foreach (var (name, test) in Tests.Value.OrderBy(t => t.Key, StringComparer.Ordinal))
        {
            yield return new(name, F32);
            if (TakesHalf(test.Method, test.Arguments)) yield return new(name, Bf16);
        }
    }

    [Theory]
    [MemberData(nameof(Rows))]
    public void Equal_the_numbers_of_PyTorch_with_the_same_bits_in_any_order(string test, string dtype)
    {
        if (test.Length == 0) Assert.Skip($"no golden cases under {TestPaths.Goldens}");
        output.WriteLine(Remembered(test, dtype, () => Judge(test, dtype, new GoldenStamps(Cache, test, dtype))));
    }

    [Theory]
    [MemberData(nameof(Embedders))]
    public void Embedders_replay_the_numbers_of_PyTorch(string name, string dtype)
    {
        string test = $"embedder {name}";
        output.WriteLine(Remembered(test, dtype, () => JudgeReplay(GoldenCase.Find("encoder", name), dtype, new GoldenStamps(Cache, test, dtype))));
    }

    // The cheapest test of each kind; the record of the last pass is made up.
    [Theory]
    [InlineData(F32)]
    [InlineData(Bf16)]
    public void Five_seeds_judge_a_kernel_that_changed(string dtype)
    {
        string? test = Tests.Value.Keys.Where(t => t.StartsWith("ElementwiseGoldenTests.SiLU", StringComparison.OrdinalIgnoreCase)).Order(StringComparer.Ordinal).FirstOrDefault();
        if (test is null) Assert.Skip($"no golden cases under {TestPaths.Goldens}");
        string folder = Directory.CreateTempSubdirectory("orthrus-stamps").FullName;
        try
        {
            var stamps = new GoldenStamps(folder, test, dtype);
            Assert.StartsWith("2 seeds", Judge(test, dtype, stamps));
            Assert.StartsWith("2 seeds", Judge(test, dtype, stamps));
            string file = Assert.Single(Directory.GetFiles(Path.Combine(folder, "kernels")));
            string[] lines = File.ReadAllLines(file);
            Assert.Contains(lines, l => l.StartsWith("silu", StringComparison.Ordinal));
            File.WriteAllLines(file, lines.Select(l => l[..^1] + (l[^1] == '0' ? '1' : '0')));
            Assert.StartsWith("5 seeds", Judge(test, dtype, stamps));
            // That pass is the one to compare with now.
            Assert.Equal(lines, File.ReadAllLines(file));
            Assert.StartsWith("2 seeds", Judge(test, dtype, stamps));
            // A kernel that had no part in the last pass counts as changed.
            File.WriteAllText(file, "");
            Assert.StartsWith("5 seeds", Judge(test, dtype, stamps));
            Assert.StartsWith("2 seeds", Judge(test, dtype, new GoldenStamps(null, test, dtype)));
        }
        finally
        {
            Directory.Delete(folder, true);
        }
    }

    private static string Judge(string test, string dtype, GoldenStamps stamps)
    {
        bool half = dtype == Bf16;
        var first = Run(test, dtype, new GoldenRun { Seed = 1 });
        int seeds = Seeds(stamps, first.Kernels);
        // Operators in BF16 are judged by their specification, on several devices at once.
        bool specified = half && first.Results.Count == 0;
        if (specified && seeds > FewSeeds) Run(test, dtype, new GoldenRun { Seeds = [.. Enumerable.Range(1, seeds)] });
        if (!specified) Assert.NotEmpty(first.Results);
        for (int seed = 2; !specified && seed <= seeds; seed++)
        {
            var other = Run(test, dtype, new GoldenRun { Seed = seed });
            Assert.Equal(first.Results.Keys, other.Results.Keys);
            foreach (var (key, result) in first.Results)
                Assert.True(result.Values.AsSpan().SequenceEqual(other.Results[key].Values) || result.Values.Zip(other.Results[key].Values).All(p => p.First.Equals(p.Second)), $"{key} depends on the seed: {seed} differs from 1");
        }
        string verdict = specified ? $"{seeds} seeds, within the bound of the specification" : $"{seeds} seeds, {first.Results.Sum(r => (long)r.Value.Values.Length)} numbers" + (half ? Deviation(test, first) : "");
        stamps.Keep(first.Kernels);
        return verdict;
    }

    private static int Seeds(GoldenStamps stamps, IEnumerable<string> kernels) => stamps.Changed(kernels) ? ManySeeds : FewSeeds;

    public static IEnumerable<TheoryDataRow<string, string>> Embedders() =>
        from row in GoldenCase.Names("encoder", c => c.Op == "encoder" || (c.Op == "encoder_real" && c.Int("B") * c.Int("L") <= LongestReplay))
        from dtype in new[] { F32, Bf16 }
        select new TheoryDataRow<string, string>(row.Data, dtype);

    /// <summary>Every batch of a case twice by an embedder: as its calls come, and by the graph that was recorded of them.</summary>
    private static string JudgeReplay(GoldenCase c, string dtype, GoldenStamps stamps)
    {
        bool published = c.Op == "encoder_real";
        var file = published ? SafeTensorFile.Open(Path.Combine(c.Folder, c.Text("weights"))) : null;
        int layers = file?.Keys.Count(k => k.EndsWith(".A_log", StringComparison.Ordinal)) ?? c.Int("n_layers");
        var config = new MambaConfig(c.Int("d_model"), layers, c.Int("n_tracks"));
        var want = c.Output("rep");
        byte[] bytes = c.Input("bytes").ToBytes();
        int[] lengths = c.Input("lengths").ToInt32();
        int stride = bytes.Length / lengths.Length;
        var run = new GoldenRun();
        float[]? first = null;
        long replays = 0;
        int seeds = FewSeeds;
        for (int seed = 1; seed <= seeds; seed++)
        {
            GoldenRun.Current = run;
            using var device = GoldenRun.Open(seed);
            GoldenRun.Current = null;
            var options = new EmbedderOptions { Device = device, DType = dtype == Bf16 ? DType.BF16 : DType.F32 };
            using var encoder = new DeviceEncoder(device, config, k => (file is null ? c.Input(k) : file[k]).Values, options);
            for (int round = 0; round < 2; round++)
            {
                long before = encoder.Graphs.Replays;
                PlainRecord[] records = [.. lengths.Select((l, b) => new PlainRecord { Tracks = bytes.AsMemory(b * stride, l), Pool = new double[config.DModel] })];
                int batches = 0;
                foreach (var batch in encoder.Batches(records))
                {
                    encoder.Encode(batch);
                    batches++;
                }
                float[] got = [.. records.SelectMany(r => r.Pool.Select(v => (float)v))];
                first ??= got;
                Assert.True(got.AsSpan().SequenceEqual(first), $"round {round + 1} with seed {seed} differs from the first");
                if (round == 0) continue;
                Assert.Null(encoder.Graphs.Why);
                Assert.Equal(batches, encoder.Graphs.Replays - before);
                replays += batches;
            }
            if (seed == 1) seeds = Seeds(stamps, run.Kernels);
        }
        double distance = Distance(want.Values, Array.ConvertAll(first!, v => (double)v)) / Distance(want.Values, new double[want.Values.Length]);
        if (dtype == F32) c.AssertF32(c.Outputs["rep"], first!);
        else Assert.InRange(distance, 1e-6, Cli.SelfTest.EncoderChecks.EmbeddingLimit(DType.BF16));
        stamps.Keep(run.Kernels);
        return string.Create(CultureInfo.InvariantCulture, $"{seeds} seeds, {lengths.Length} records, {replays} replays of graphs; deviates by {distance:G2} of the norm");
    }

    private sealed class PlainRecord : StreamRecord
    {
        internal override bool WantsPositions => false;
        internal override void Positions(int start, ReadOnlySpan<float> rows, ReadOnlySpan<double> rows64) => throw new NotSupportedException();
    }

    /// <summary>
    /// The bound with BF16. The case is computed once more in F64 from parameters and operands rounded as the device has them. What that moves a result (root of the sum of
    /// squares) is the effect of rounding four factors of every layer once. The device rounds seven activations of every layer besides, each by as much, so that their effects
    /// add up to about the root of 11/4 = 1.7 of it where they are independent; four is allowed. Of the last activation before a result, where equal bases give equal numbers
    /// that are rounded alike, no mean takes anything away: one unit of BF16 is allowed besides, and three for a gradient, in which an operand, its gate and what comes back meet.
    /// </summary>
    private static string Deviation(string test, GoldenRun run)
    {
        var rounded = Run(test, "f64", new GoldenRun { Rounded = true, HalfParameters = run.HalfParameters });
        double worst = 0, largest = 0;
        string where = "";
        foreach (var (key, (values, _, want)) in run.Results)
        {
            double error = Distance(values, want), effect = Distance(rounded.Results[key].Values, want), size = Distance(want, new double[want.Length]);
            bool gradient = key.StartsWith("grad.", StringComparison.Ordinal) || key.StartsWith("out.samples.", StringComparison.Ordinal) || key == "out.norms";
            double limit = 4 * effect + (gradient ? 3 : 1) * size / 256;
            Assert.True(error <= limit, string.Create(CultureInfo.InvariantCulture, $"{key}: deviates by {error / size:G3}, limit {limit / size:G3}, effect of rounding {effect / size:G3} (relative, root of the sum of squares)"));
            if (limit > 0 && error / limit > worst) (worst, where) = (error / limit, key);
            if (size > 0) largest = Math.Max(largest, error / size);
        }
        return string.Create(CultureInfo.InvariantCulture, $"; BF16: at most {worst:P0} of the bound ({where}), largest relative deviation {largest:G2}");
    }

    private static double Distance(double[] a, double[] b) => Math.Sqrt(a.Zip(b, (x, y) => (x - y) * (x - y)).Sum());

    private static GoldenRun Run(string test, string dtype, GoldenRun run)
    {
        var (method, arguments) = Tests.Value[test];
        object?[] with = [.. arguments.Select((a, i) => i == arguments.Length - 1 && a is string ? dtype : a is DType ? dtype switch { F32 => DType.F32, Bf16 => DType.BF16, _ => DType.F64 } : a)];
        GoldenRun.Current = run;
        try
        {
            method.Invoke(Activator.CreateInstance(method.DeclaringType!), with);
        }
        catch (TargetInvocationException e) when (e.InnerException is { } inner)
        {
            ExceptionDispatchInfo.Throw(inner);
        }
        finally
        {
            GoldenRun.Current = null;
        }
        return run;
    }

    private static Dictionary<string, (MethodInfo, object?[])> Find()
    {
        var tests = new Dictionary<string, (MethodInfo, object?[])>();
        foreach (var type in typeof(GoldenSeedTests).Assembly.GetExportedTypes().Where(t => t.Name.EndsWith("GoldenTests", StringComparison.Ordinal)))
            foreach (var method in type.GetMethods(BindingFlags.Public | BindingFlags.Instance | BindingFlags.DeclaredOnly).Where(m => m.GetCustomAttribute<TheoryAttribute>() is not null))
            {
                // Tests of other things than numbers, and those in F64 alone, take no precision.
                if (method.GetParameters() is not [.., { } last] || (last.ParameterType != typeof(DType) && last.Name != "dtype")) continue;
                foreach (object?[] row in TheoryRows.Of(method))
                    if (row[^1] is F32 or DType.F32 && row[0] is string { Length: > 0 } && !IsRefused(row)) tests.Add($"{type.Name}.{method.Name}({string.Join(", ", row[..^1])})", (method, row));
            }
        return tests;
    }

    // Cases that must be refused have no numbers.
    private static bool IsRefused(object?[] row) => new[] { "heads", "dcl" }.SelectMany(GoldenCase.Area).Any(c => c.Name.Equals(row[0]) && c.Bool("expect_error"));

    // Heads, losses and optimiser steps are F32 whatever the activations.
    private static bool TakesHalf(MethodInfo method, object?[] row) =>
        method.DeclaringType == typeof(Mamba.Tests.MixerGoldenTests) || method.DeclaringType == typeof(Mamba.Tests.EncoderGoldenTests)
        || method.GetCustomAttributes<MemberDataAttribute>().Any(a => a.Arguments is [string op] && HalfOps.Contains(op)) && row.Length == 2;

    private static string Remembered(string test, string dtype, Func<string> judge)
    {
        if (Cache is not { } folder) return judge();
        string path = Path.Combine(folder, Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes($"{Inputs.Value}\n{test}\n{dtype}"))));
        if (File.Exists(path)) return "remembered: " + File.ReadAllText(path);
        string verdict = judge();
        Directory.CreateDirectory(folder);
        string aside = $"{path}.{Environment.ProcessId}.part";
        File.WriteAllText(aside, verdict);
        File.Move(aside, path, true);
        return verdict;
    }

    private static string HashOfInputs()
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var goldens = new[] { "ops", "mixer", "encoder", "heads", "dcl", "mlm", "anchors", "train/optim" }.Select(a => Path.Combine(TestPaths.Goldens, a)).Where(Directory.Exists).SelectMany(Directory.EnumerateFiles);
        foreach (string file in Directory.EnumerateFiles(AppContext.BaseDirectory, "Orthrus.*.dll").Concat(goldens).Order(StringComparer.Ordinal))
        {
            hash.AppendData(Encoding.UTF8.GetBytes(Path.GetFileName(file)));
            hash.AppendData(SHA256.HashData(File.ReadAllBytes(file)));
        }
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }
}
