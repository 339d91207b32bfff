using System.Text.Json;
using Orthrus.Cli.SelfTest;
using Orthrus.Tensor;

namespace Orthrus.Cli.Tests;

/// <summary>orthrus selftest; that it finds a device which computes wrong is shown in Orthrus.Cuda.Tests, where there is one.</summary>
public class SelfTestVerbTests
{
    private static string[] Lines(CliRun run) => run.Out.ReplaceLineEndings("\n").Split('\n', StringSplitOptions.RemoveEmptyEntries);

    [Theory]
    [InlineData("sim", "sim (H100 SXM, compute 9.0); orthrus ", "F32 BF16")]
    [InlineData("cpu", "cpu (", "F32 F64")]
    public void One_operator_and_one_update(string device, string head, string dtypes)
    {
        var run = CliRun.Of("selftest", "--device", device, "--op", "silu", "--op", "clip_grad_value").Succeeded();
        Assert.Equal("", run.Error);
        string[] lines = Lines(run);
        Assert.StartsWith(head, lines[0]);
        Assert.Matches($@"^operator +silu, \d+ samples +{dtypes} +ok +\d+\.\d s  values 0\.\d\d, gradients 0\.\d\d$", lines[2]);
        Assert.Matches(@"^update +clip_grad_value, \d+ samples? +F32( F64)? +ok ", lines[3]);
        Assert.Matches(@"^2 checks, all passed, \d+ s$", lines[4]);
        Assert.Equal(5, lines.Length);
    }

    [Fact]
    public void Json_goes_to_stdout_and_the_table_to_stderr()
    {
        var run = CliRun.Of("selftest", "--device", "sim", "--op", "silu", "--json").Succeeded();
        Assert.Contains("1 checks, all passed", run.Error);
        using var json = JsonDocument.Parse(run.Out);
        var root = json.RootElement;
        Assert.True(root.GetProperty("passed").GetBoolean());
        Assert.True(root.GetProperty("simulated").GetBoolean());
        Assert.False(root.GetProperty("all_operators").GetBoolean());
        var check = Assert.Single(root.GetProperty("checks").EnumerateArray());
        Assert.Equal("operator", check.GetProperty("check").GetString());
        Assert.InRange(check.GetProperty("share_of_limit").GetDouble(), 1e-6, 1);
        Assert.Empty(check.GetProperty("problems").EnumerateArray());
    }

    // A GPU's exp is not the exactly rounded one; what passes with the manual's error passes there.
    [Fact]
    public void A_simulated_GPU_has_a_second_one_with_rough_special_functions()
    {
        using var devices = new CheckDevices(DeviceOption.Parse("sim").Resolve(), null);
        using var cpu = new CheckDevices(DeviceOption.Parse("cpu").Resolve(), null);
        Assert.Null(cpu.Rough);
        float[] x = [.. Enumerable.Range(0, 256).Select(i => 0.05f * (i - 128))];
        float[] Sigmoids(Device device)
        {
            using var scope = device.OpenScope();
            return Op.Forward<Sigmoid, NoAttr>(scope, [scope.From<float>(x, new Shape(x.Length))], default).ToArray<float>();
        }
        float[] exact = Sigmoids(devices.Pair![0]), same = Sigmoids(devices.Pair[1]), rough = Sigmoids(devices.Rough!);
        Assert.Equal(exact, same);
        Assert.True(exact.Zip(rough).Count(p => p.First != p.Second) > 32);
        Assert.All(exact.Zip(rough), p => Assert.InRange(p.Second, p.First * (1 - 1e-6f), p.First * (1 + 1e-6f)));
    }

    [Fact]
    public void A_check_that_fails_or_throws_is_a_line_and_a_verdict()
    {
        var text = new StringWriter();
        var log = new SelfTestLog(text, CancellationToken.None);
        log.Run("encoder", "good", "F32", () => new("embedding 0.10", 0.1, []));
        Assert.True(log.Passed);
        log.Run("encoder", "bad", "F32", () => new("embedding 3.00", 3, ["the embedding is off"]));
        log.Run("memory", "worse", "F32", () => throw new InvalidOperationException("what went wrong"));
        log.Tail();
        Assert.False(log.Passed);
        Assert.Contains("    bad: the embedding is off", text.ToString());
        Assert.Contains("    worse: InvalidOperationException: what went wrong", text.ToString());
        Assert.Contains("3 checks, 2 FAILED", text.ToString());
        Assert.Throws<OperationCanceledException>(() => new SelfTestLog(text, new CancellationToken(canceled: true)).Run("memory", "never", "F32", () => throw new InvalidOperationException()));
    }

    // The simulator is the device; numbers of PyTorch come with the program.
    [Fact]
    public void Goldens_are_compared_number_by_number()
    {
        var golden = GoldenEncoder.All()[0];
        using var cpu = new CpuDevice(1);
        double[] Changed(string name, Func<double, double> change) => Array.ConvertAll(golden.Weight(name), v => change(v));
        EncoderPass Pass(Func<string, double[]> weight) => golden.Pass(cpu, DType.F32, weight);
        Assert.True(EncoderChecks.Compare(golden, DType.F32, Pass(golden.Weight)).Problems.Count == 0);
        // A ten-thousandth more in one matrix is found.
        var finding = EncoderChecks.Compare(golden, DType.F32, Pass(n => n.EndsWith("0.mixer.out_proj.weight", StringComparison.Ordinal) ? Changed(n, v => v * 1.0001) : golden.Weight(n)));
        Assert.True(finding.Share > 1);
        Assert.Contains(finding.Problems, p => p.Contains("PyTorch", StringComparison.Ordinal));
        var wide = EncoderChecks.Compare(golden, DType.BF16, Pass(n => n.EndsWith("norm_f.weight", StringComparison.Ordinal) ? Changed(n, v => v * 1.03) : golden.Weight(n)));
        Assert.Contains(wide.Problems, p => p.Contains("off by", StringComparison.Ordinal));
    }

    // In the middle of a kernel: a check is not waited for longer than a few seconds.
    [Theory]
    [InlineData("selftest")]
    [InlineData("gradcheck")]
    [InlineData("bench")]
    public void Interrupt_ends_it_with_one_line(string verb)
    {
        ChildProcess.NeedUnix();
        using var p = ChildProcess.StartInForeground(verb, "--device", "sim");
        // All operators take much longer than this, getting ready much less.
        var clock = System.Diagnostics.Stopwatch.StartNew();
        while (p.TotalProcessorTime < TimeSpan.FromSeconds(2.5) && !p.HasExited && clock.Elapsed < TimeSpan.FromMinutes(1)) Thread.Sleep(20);
        Assert.False(p.HasExited);
        ChildProcess.Signal(p, ChildProcess.Interrupt);
        clock.Restart();
        var (code, output, error) = ChildProcess.Finish(p);
        Assert.Equal(130, code);
        Assert.Equal("orthrus: interrupted", error.TrimEnd());
        Assert.DoesNotContain("all passed", output);
        Assert.DoesNotContain("all within", output);
        Assert.True(clock.Elapsed < TimeSpan.FromSeconds(60), $"{clock.Elapsed}");
    }

    [Theory]
    [Trait("tier", "long")]
    [InlineData("sim", 40)]
    [InlineData("cpu", 30)]
    public void Everything_passes(string device, int checks)
    {
        var clock = System.Diagnostics.Stopwatch.StartNew();
        var run = CliRun.Of("selftest", "--device", device);
        Assert.True(run.Code == 0, run.Out);
        string[] lines = Lines(run);
        foreach (string group in new[] { "operator", "update", "golden", "encoder", "determinism", "memory" }) Assert.Contains(lines, l => l.StartsWith(group, StringComparison.Ordinal));
        Assert.True(lines.Length > checks, run.Out);
        TestContext.Current.SendDiagnosticMessage($"selftest --device {device}: {clock.Elapsed.TotalSeconds:F0} s");
    }
}
