using System.Text.Json.Nodes;
using Orthrus.Tensor.Cuda;

namespace Orthrus.Cli.Tests;

/// <summary>`--device` where there is no GPU: the simulated one against the CPU, what is recorded, and what is said.</summary>
public class DeviceTests
{
    private static void NeedNoDriver()
    {
        if (NativeLibraries.CudaDriverStatus.Found) Assert.Skip("this machine has a CUDA driver");
    }

    private static float[][] Rows(string jsonl) =>
        [.. File.ReadLines(jsonl).Select(l => JsonNode.Parse(l)!["embedding"]!.AsArray().Select(v => v!.GetValue<float>()).ToArray())];

    private static double Distance(float[] want, float[] got) =>
        Math.Sqrt(want.Zip(got, (w, g) => ((double)w - g) * ((double)w - g)).Sum() / want.Sum(v => (double)v * v));

    // docs/EMBED.md states the bounds against exact arithmetic; the CPU's own float32 is within 2e-7 of it.
    [Theory]
    [InlineData("f32", "mean", 2.2e-6)]
    [InlineData("f32", "last", 1e-5)]
    [InlineData("bf16", "mean", 1e-2)]
    public void The_simulated_device_embeds_as_the_CPU_does(string dtype, string pool, double limit)
    {
        using var files = new HostileFiles();
        string fasta = EmbedFiles.Fasta(files.PathOf("t.fa"), 9, 1, 90), cpu = files.Out("cpu.jsonl"), sim = files.Out("sim.jsonl");
        CliRun.Of("embed", fasta, "-o", cpu, "--device", "cpu", "--pool", pool).Succeeded();
        var run = CliRun.Of("embed", fasta, "-o", sim, "--device", "sim", "--dtype", dtype, "--pool", pool).Succeeded();
        Assert.Contains($"device: sim (H100 SXM, compute 9.0), {dtype.ToUpperInvariant()}, own matrix products", run.ErrorLines);
        float[][] want = Rows(cpu), got = Rows(sim);
        Assert.Equal(8, got.Length);
        for (int i = 0; i < want.Length; i++) Assert.True(Distance(want[i], got[i]) <= limit, $"record {i}: {Distance(want[i], got[i]):G3}");
        Assert.NotEqual(want[0], got[0]);
        Assert.Equal(File.ReadAllText(files.Out("cpu.index.tsv")), File.ReadAllText(files.Out("sim.index.tsv")));

        var description = JsonNode.Parse(File.ReadAllText(files.Out("sim.json")))!;
        Assert.Equal(("sim", "H100 SXM, compute 9.0", true, dtype), ((string)description["device"]!, (string)description["device_name"]!, (bool)description["simulated"]!, (string)description["dtype"]!));
        Assert.Null(description["vector_bits"]);
        description = JsonNode.Parse(File.ReadAllText(files.Out("cpu.json")))!;
        Assert.Equal(("cpu", false, "f32"), ((string)description["device"]!, (bool)description["simulated"]!, (string)description["dtype"]!));
        Assert.Null(description["device_name"]);
        Assert.NotNull(description["vector_bits"]);
    }

    [Fact]
    public void A_record_is_the_same_bits_in_every_company_and_with_its_positions()
    {
        using var files = new HostileFiles();
        string fasta = EmbedFiles.Fasta(files.PathOf("t.fa"), 9, 1, 90);
        float[][] Embed(string name, params string[] options)
        {
            CliRun.Of(["embed", fasta, "-o", files.Out(name), "--device", "sim", "--quiet", .. options]).Succeeded();
            return name.EndsWith(".jsonl", StringComparison.Ordinal) ? Rows(files.Out(name)) : [];
        }

        float[][] all = Embed("all.jsonl"), odd = Embed("odd.jsonl", "--shard", "2/2"), even = Embed("even.jsonl", "--shard", "1/2");
        for (int i = 0; i < all.Length; i++) Assert.Equal(all[i], i % 2 == 0 ? even[i / 2] : odd[i / 2]);

        // One array per record; their mean over positions is the embedding.
        Embed("positions.safetensors", "--per-position");
        var positions = Mamba.SafeTensors.Read(files.Out("positions.safetensors"), out _).ToArray();
        Assert.Equal(all.Length, positions.Length);
        for (int i = 0; i < all.Length; i++)
        {
            float[] rows = positions[i].ToSingle();
            int length = rows.Length / all[i].Length;
            float[] mean = [.. Enumerable.Range(0, all[i].Length).Select(j => (float)Enumerable.Range(0, length).Average(t => (double)rows[t * all[i].Length + j]))];
            Assert.True(Distance(all[i], mean) < 1e-6, positions[i].Name);
        }
    }

    [Fact]
    public void Interrupted_on_a_device_it_goes_on_there_and_nowhere_else()
    {
        using var files = new HostileFiles();
        string fasta = EmbedFiles.Fasta(files.PathOf("t.fa"), 5, 1, 60), output = files.Out("x.npy");
        string[] args = ["embed", fasta, "-o", output, "--quiet", "--device", "sim"];
        CliRun.Of(args).Succeeded();
        var whole = EmbedFiles.Read(output);
        EmbedFiles.Delete(output);
        int interruptions = 0;
        for (CliRun run; (run = CliRun.Of([.. args, "--resume"], new CancellationToken(canceled: true))).Code != 0; interruptions++)
        {
            Assert.Equal(130, run.Code);
            Assert.False(File.Exists(output));
            var elsewhere = CliRun.Of("embed", fasta, "-o", output, "--quiet", "--device", "cpu", "--resume");
            Assert.Equal(3, elsewhere.Code);
            Assert.Contains("made with another device (\"sim\", now \"cpu\")", Assert.Single(elsewhere.ErrorLines));
            Assert.Contains("another dtype", CliRun.Of([.. args, "--resume", "--dtype", "bf16"]).Error);
        }
        Assert.True(interruptions >= 3);
        Assert.Equal(whole, EmbedFiles.Read(output));
    }

    // The device works on many records before the first one is done: the signal does not wait for it.
    [Fact]
    [Trait("tier", "long")]
    public void Ctrl_C_while_the_device_works()
    {
        ChildProcess.NeedUnix();
        using var files = new HostileFiles();
        string fasta = EmbedFiles.Fasta(files.PathOf("t.fa"), 12, 1500, 2000), output = files.Out("x.npy");
        string[] args = ["embed", fasta, "-o", output, "--device", "sim", "--quiet"];
        using (var p = ChildProcess.StartInForeground(args))
        {
            p.StandardInput.Close();
            string state = Path.Combine(output + ".partial", "state");
            while (!File.Exists(state) && !p.HasExited) Thread.Sleep(5);
            Thread.Sleep(500);
            ChildProcess.Signal(p, ChildProcess.Interrupt);
            var (code, _, error) = ChildProcess.Finish(p);
            Assert.Equal(130, code);
            Assert.Contains("--resume", Assert.Single(error.Split('\n', StringSplitOptions.RemoveEmptyEntries)));
        }
        Assert.False(File.Exists(output));
        CliRun.Of([.. args, "--resume"]).Succeeded();
        Assert.False(Directory.Exists(output + ".partial"));
        string alone = files.Out("alone.npy");
        CliRun.Of([.. args[..2], "-o", alone, "--device", "sim", "--quiet"]).Succeeded();
        Assert.Equal(File.ReadAllBytes(alone), File.ReadAllBytes(output));
    }

    [Fact]
    public void Auto_says_what_it_takes_and_why()
    {
        NeedNoDriver();
        using var files = new HostileFiles();
        string fasta = EmbedFiles.Fasta(files.PathOf("t.fa"), 2);
        Assert.Contains(CliRun.Of("embed", fasta, "-o", files.Out("x.npy")).Succeeded().ErrorLines, l => l.StartsWith("device: cpu, ") && l.EndsWith(" (auto: no CUDA driver was found)"));
        Assert.Contains(CliRun.Of("embed", fasta, "-o", files.Out("y.npy"), "--dtype", "f64").Succeeded().ErrorLines, l => l.StartsWith("device: cpu, ") && l.EndsWith(" (auto: --dtype f64 is for the CPU alone)"));
        Assert.DoesNotContain("auto", CliRun.Of("embed", fasta, "-o", files.Out("z.npy"), "--device", "cpu").Succeeded().Error);
        var half = CliRun.Of("embed", fasta, "-o", files.Out("h.npy"), "--dtype", "bf16");
        Assert.Equal(4, half.Code);
        Assert.Equal("orthrus: --dtype bf16 is for GPUs alone, and no CUDA driver was found; leave it out, or choose --device sim", Assert.Single(half.ErrorLines));
    }

    [Theory]
    [InlineData("gradcheck", "--op", "silu")]
    [InlineData("selftest", "--op", "silu")]
    [InlineData("bench", "--op", "silu")]
    [InlineData("warmup")]
    public void Without_a_driver_every_verb_says_so(params string[] verb)
    {
        NeedNoDriver();
        var run = CliRun.Of([.. verb, "--device", "cuda"]);
        Assert.Equal(4, run.Code);
        string line = Assert.Single(run.ErrorLines);
        Assert.StartsWith("orthrus: no CUDA driver was found (", line);
        // warmup has nothing to do on a CPU.
        Assert.EndsWith(verb[0] == "warmup" ? "; install the NVIDIA driver" : "; install the NVIDIA driver, or use --device cpu", line);
        Assert.Equal("", run.Out);
    }

    [Theory]
    [InlineData("embed", "t.fa", "-o", "x.npy")]
    [InlineData("gradcheck", "--op", "linear")]
    [InlineData("selftest", "--op", "linear")]
    [InlineData("bench", "--op", "linear")]
    public void Cublas_on_a_simulated_GPU_is_the_same_usage_error_everywhere(params string[] verb)
    {
        var run = CliRun.Of([.. verb, "--device", "sim", "--gemm", "cublas"]);
        Assert.Equal(2, run.Code);
        Assert.Equal("orthrus: --gemm cublas: cuBLAS runs on NVIDIA's hardware alone; leave it out with a simulated GPU", Assert.Single(run.ErrorLines));
    }

    [Theory]
    [InlineData("warmup", "--device", "cpu")]
    [InlineData("warmup", "--device", "sim")]
    [InlineData("selftest", "--device", "gpu")]
    [InlineData("selftest", "--op", "nonsense")]
    [InlineData("gradcheck", "--device", "cuda:")]
    [InlineData("bench", "--device", "cuda:-1")]
    public void Wrong_arguments_are_usage_errors(params string[] args)
    {
        var run = CliRun.Of(args);
        Assert.Equal(2, run.Code);
        Assert.Single(run.ErrorLines);
    }
}
