using System.Text.Json;
using System.Text.RegularExpressions;
using Orthrus.TestSupport;
using static Orthrus.Cuda.Tests.Shim.CommandChild;
using static Orthrus.Cuda.Tests.Shim.ShimChild;

namespace Orthrus.Cuda.Tests.Shim;

/// <summary>
/// `--device cuda` through the real declarations of the driver: that it works, what x.json says, and for everything that can be missing or broken one clear
/// line and the right exit code.
/// </summary>
public sealed class CommandTests : IDisposable
{
    private readonly List<string> _folders = [];

    public void Dispose()
    {
        foreach (string folder in _folders) Directory.Delete(folder, true);
    }

    private string Libraries(bool driver = true, string? nvrtc = null)
    {
        string folder = Shims.Build(driver, nvrtc);
        _folders.Add(folder);
        return folder;
    }

    private static string Fasta(string folder)
    {
        string path = Path.Combine(folder, "t.fa");
        File.WriteAllText(path, ">a\nACGTTGCAAGGCTTA\n>b\nGGCACCATGGCTTCAGAAGACTAAGCCAAAATTTGGGCCCACGT\n>c\nACG\n");
        return path;
    }

    [Fact]
    public void Embeds_on_the_device_that_is_named()
    {
        string folder = Libraries(), fasta = Fasta(folder);
        string In(string name) => Path.Combine(folder, name);
        string[] Embed(string name, params string[] options) => ["embed", fasta, "-o", In(name + ".tsv"), .. options];
        var runs = CommandChild.Run(new(folder),
            Embed("first", "--device", "cuda"), Embed("second", "--device", "cuda:1"), Embed("sim", "--device", "sim"), Embed("auto"), Embed("cpu", "--threads", "1"),
            Embed("sim", "--device", "cuda", "--quiet", "--resume"), Embed("none", "--device", "cuda:2"));
        foreach (var run in runs[..5]) run.Succeeded();
        Assert.Equal(File.ReadAllText(In("sim.tsv")), File.ReadAllText(In("first.tsv")));
        string Description(string name) => File.ReadAllText(In(name + ".json"));
        Assert.Contains("\"device\": \"cuda\"", Description("second"));
        Assert.Contains("\"device_name\": \"A100, compute 8.0\"", Description("second"));
        Assert.Contains("\"device_name\": \"H100 SXM, compute 9.0\"", Description("first"));
        Assert.Contains("\"simulated\": false", Description("first"));
        Assert.Contains("\"simulated\": true", Description("sim"));
        Assert.Contains("device: cuda:0 (H100 SXM, compute 9.0), F32, own matrix products (auto: the first GPU that the driver shows)", runs[3].Error);
        Assert.Contains(runs[4].Error, l => Regex.IsMatch(l, @"^device: cpu, F32, \d+-bit vectors, 1 thread \(auto: --threads is for the CPU alone\)$"));
        // Another device is another run.
        Assert.Contains("made with another device (\"sim\", now \"cuda\")", runs[5].Failed(3));
        Assert.StartsWith("orthrus: there is no CUDA device 2: the driver shows 2, 0 to 1 (", runs[6].Failed(4));
    }

    [Fact]
    public void Several_devices_of_one_kind_share_the_records()
    {
        string folder = Libraries(), fasta = Fasta(folder);
        string[] Embed(string name, params string[] options) => ["embed", fasta, "-o", Path.Combine(folder, name + ".tsv"), .. options];
        var runs = CommandChild.Run(new(folder, Twins: true), Embed("one", "--device", "cuda", "--gemm", "own"), Embed("all", "--device", "cuda:all"), Embed("named", "--device", "cuda:1,0"),
            Embed("x", "--device", "cuda:0,2"), ["gradcheck", "--op", "silu", "--device", "cuda:all"]);
        foreach (var run in runs[..3]) run.Succeeded();
        string one = File.ReadAllText(Path.Combine(folder, "one.tsv"));
        Assert.Equal(one, File.ReadAllText(Path.Combine(folder, "all.tsv")));
        Assert.Equal(one, File.ReadAllText(Path.Combine(folder, "named.tsv")));
        Assert.Contains("\"gemm\": \"own\"", File.ReadAllText(Path.Combine(folder, "all.json")));
        Assert.StartsWith("orthrus: there is no CUDA device 2: ", runs[3].Failed(4));
        Assert.Equal("orthrus: --device cuda:all: only `orthrus embed` shares work among GPUs; use cuda:N (as cuda:1)", runs[4].Failed(2));
    }

    [Fact]
    public void Devices_of_two_kinds_and_a_missing_cuBLAS_are_refused()
    {
        string folder = Libraries(), fasta = Fasta(folder), output = Path.Combine(folder, "x.tsv");
        string[] Embed(params string[] options) => ["embed", fasta, "-o", output, .. options];
        var runs = CommandChild.Run(new(folder), Embed("--device", "cuda:all"), Embed("--device", "cuda", "--gemm", "cublas"), Embed("--device", "cpu", "--gemm", "own"), Embed("--device", "cuda:1,1"));
        Assert.Equal("orthrus: cuda:0 (H100 SXM, compute 9.0) and cuda:1 (A100, compute 8.0) are of two kinds, and results would depend on which took the record: name GPUs of one kind, as --device cuda:0", runs[0].Failed(2));
        Assert.Contains("cuBLAS was not found", runs[1].Failed(4));
        Assert.Equal("orthrus: --gemm is for GPUs alone: leave it out, or choose --device cuda or sim", runs[2].Failed(2));
        Assert.Equal("orthrus: --device cuda:1,1: names a GPU twice", runs[3].Failed(2));
        Assert.False(File.Exists(output));
    }

    [Theory]
    [InlineData(100, "orthrus: cuInit: CUDA_ERROR_NO_DEVICE (100): the driver sees no GPU; check nvidia-smi and CUDA_VISIBLE_DEVICES; in a container, start it with GPUs (--gpus all); or use --device cpu")]
    [InlineData(34, "orthrus: cuInit: CUDA_ERROR_STUB_LIBRARY (34): the library found is the toolkit's link stub, not a driver; take .../lib64/stubs out of LD_LIBRARY_PATH, or install the NVIDIA driver")]
    public void A_driver_that_does_not_start(int code, string expected)
    {
        string folder = Libraries(), fasta = Fasta(folder), output = Path.Combine(folder, "x.npy"), other = Path.Combine(folder, "y.npy");
        var runs = CommandChild.Run(new(folder, Init: code), ["embed", fasta, "-o", output, "--device", "cuda"], ["selftest", "--device", "cuda"], ["warmup"], ["bench", "--op", "silu", "--device", "cuda"],
            ["embed", fasta, "-o", output, "--dtype", "bf16"], ["embed", fasta, "-o", other]);
        foreach (var run in runs[..4]) Assert.Equal(run == runs[2] ? expected.Replace("; or use --device cpu", "", StringComparison.Ordinal) : expected, run.Failed(4));
        Assert.Empty(Directory.GetFileSystemEntries(folder, "x*"));
        // Nothing is silent: auto says why it takes the CPU, or why it cannot.
        string why = expected["orthrus: ".Length..];
        Assert.Equal($"orthrus: --dtype bf16 is for GPUs alone, and {why}; leave it out, or choose --device sim", runs[4].Failed(4));
        Assert.Contains(runs[5].Succeeded().Error, l => l.StartsWith("device: cpu, ", StringComparison.Ordinal) && l.EndsWith($"(auto: {why})", StringComparison.Ordinal));
    }

    [Fact]
    [Trait("tier", "long")]
    public void A_driver_that_takes_no_kernel()
    {
        string folder = Libraries(), fasta = Fasta(folder);
        foreach (var run in CommandChild.Run(new(folder, DriverVersion: 11070),
            ["embed", fasta, "-o", "-", "--quiet", "--device", "cuda"], ["selftest", "--device", "cuda"], ["gradcheck", "--op", "silu", "--device", "cuda"]))
            Assert.Contains("CUDA_ERROR_UNSUPPORTED_PTX_VERSION (222)", run.Failed(4));
        Assert.Contains("CUDA_ERROR_JIT_COMPILER_NOT_FOUND (221)", CommandChild.Run(new(folder, NoCompiler: true), "selftest", "--device", "cuda").Failed(4));
    }

    [Fact]
    public void Out_of_device_memory_is_exit_5_and_leaves_no_output()
    {
        string folder = Libraries(), fasta = Fasta(folder), output = Path.Combine(folder, "x.npy");
        string line = CommandChild.Run(new(folder, Memory: 300_000), "embed", fasta, "-o", output, "--device", "cuda", "--quiet").Failed(5);
        Assert.Matches(@"^orthrus: cuda:0 \(H100 SXM, compute 9\.0\): [\d,]+ bytes more are not to be had; [\d,]+ of the device's [\d,]+ bytes are free; in use: [\d,]+ bytes in \d+ blocks, .*; use smaller batches or shorter records, or end other programs", line);
        Assert.False(File.Exists(output));
    }

    [Fact]
    [Trait("tier", "long")]
    public void A_kernel_that_goes_astray_is_one_line()
    {
        string folder = Libraries(nvrtc: "yes"), fasta = Fasta(folder), output = Path.Combine(folder, "x.npy");
        string line = CommandChild.Run(new(folder, Architectures: "90", Fault: "stray"), "embed", fasta, "-o", output, "--device", "cuda", "--quiet").Failed(4);
        Assert.Contains("CUDA_ERROR_ILLEGAL_ADDRESS (700): a kernel used an address outside of its memory", line);
        Assert.False(File.Exists(output));
    }

    [Fact]
    public void Selftest_passes_and_finds_a_device_that_computes_wrong()
    {
        string folder = Libraries(nvrtc: "yes");
        string[] command = ["selftest", "--device", "cuda", "--op", "silu", "--op", "adamw"];
        var good = CommandChild.Run(new(folder, Architectures: "90"), command).Succeeded();
        Assert.StartsWith("cuda:0 (H100 SXM, compute 9.0); orthrus ", good.Out[0]);
        Assert.Contains(good.Out, l => Regex.IsMatch(l, @"^operator +silu, \d+ samples +F32 BF16 +ok .* values 0\.\d\d, gradients 0\.\d\d$"));
        Assert.Contains(good.Out, l => Regex.IsMatch(l, @"^update +adamw, \d+ samples? +F32 +ok "));
        Assert.StartsWith("2 checks, all passed", good.Out[^1]);

        var bad = CommandChild.Run(new(folder, Architectures: "90", Fault: "wrong", Cache: Path.Combine(folder, "other")), [.. command, "--json"]);
        Assert.True(bad.Code == 1, bad.ToString());
        using var json = JsonDocument.Parse(string.Join('\n', bad.Out));
        Assert.False(json.RootElement.GetProperty("passed").GetBoolean());
        Assert.Equal("12.4", json.RootElement.GetProperty("driver").GetString());
        var silu = json.RootElement.GetProperty("checks").EnumerateArray().Single(c => c.GetProperty("case").GetString()!.StartsWith("silu", StringComparison.Ordinal));
        Assert.False(silu.GetProperty("passed").GetBoolean());
        Assert.Contains(silu.GetProperty("problems").EnumerateArray(), p => p.GetString()!.Contains("specification", StringComparison.Ordinal));
        Assert.Contains(bad.Error, l => l.Contains(" FAIL ", StringComparison.Ordinal));
    }

    [Fact]
    [Trait("tier", "long")]
    public void Warmup_says_what_came_from_where()
    {
        string folder = Libraries(nvrtc: "yes"), cache = Path.Combine(folder, "kernels");
        var scene = new Scene(folder, Architectures: "90", Cache: cache);
        // Two at once fill the cache.
        var both = new Outcome[2];
        Parallel.For(0, 2, i => both[i] = CommandChild.Run(scene, "warmup"));
        Assert.All(both, o => Assert.Matches(@"^\d+ images: ", o.Succeeded().Out[^1]));
        string[] entries = Directory.GetFiles(cache);
        int images = both[0].Out.Length - 2;
        Assert.Equal(images, entries.Length);
        Assert.Contains($"cuda:0 (H100 SXM, compute 9.0): NVRTC 12.4, cache {cache}", both[0].Error);

        Assert.StartsWith($"{images} images: {images} from cache; ", CommandChild.Run(scene, "warmup").Succeeded().Out[^1]);
        byte[] damaged = File.ReadAllBytes(entries[3]);
        damaged[damaged.Length / 2] ^= 1;
        File.WriteAllBytes(entries[3], damaged);
        string last = CommandChild.Run(scene, "warmup").Succeeded().Out[^1];
        Assert.Contains("1 from NVRTC", last);
        Assert.Contains($"{images - 1} from cache", last);
    }

    [Fact]
    [Trait("tier", "long")]
    public void Warmup_without_a_cache_without_NVRTC_and_without_a_GPU()
    {
        string folder = Libraries(nvrtc: "yes"), file = Path.Combine(folder, "file");
        File.WriteAllText(file, "");
        var unwritable = CommandChild.Run(new(folder, Architectures: "90", Cache: Path.Combine(file, "kernels")), "warmup").Succeeded();
        Assert.Contains(unwritable.Error, l => l.StartsWith($"orthrus: the cache {file}/kernels cannot be written (", StringComparison.Ordinal) && l.EndsWith("every process compiles anew; let ORTHRUS_CACHE name a folder that can", StringComparison.Ordinal));

        string bare = Libraries();
        var embedded = CommandChild.Run(new(bare), "warmup");
        if (embedded.Out.Length > 0 && !embedded.Out[^1].Contains("embedded PTX", StringComparison.Ordinal)) Assert.Skip("this machine has an NVRTC of its own");
        Assert.Matches(@"^\d+ images: \d+ from embedded PTX; ", embedded.Succeeded().Out[^1]);
        Assert.Contains("NVRTC was not found (libnvrtc.so.13: ", Assert.Single(embedded.Error));
        Assert.EndsWith("; the kernels come with the program as PTX, which the driver finishes", embedded.Error[0]);

        Assert.StartsWith("orthrus: cuInit: CUDA_ERROR_NO_DEVICE (100)", CommandChild.Run(new(bare, Init: 100), "warmup").Failed(4));
    }

    [Fact]
    [Trait("tier", "long")]
    public void Bench_measures_with_events()
    {
        string folder = Libraries(), file = Path.Combine(folder, "bench.json");
        var run = CommandChild.Run(new(folder, Memory: 1 << 30), "bench", "--device", "cuda", "--op", "dclw_weights", "--seconds", "0.01", "--json", file).Succeeded();
        Assert.Matches(@"^cuda:0 \(H100 SXM, compute 9\.0\), F32 and BF16, measured: 59305\.0 GFLOP/s, ", run.Out[0]);
        using var json = JsonDocument.Parse(File.ReadAllBytes(file));
        Assert.Equal("measured", json.RootElement.GetProperty("kind").GetString());
        var row = Assert.Single(json.RootElement.GetProperty("rows").EnumerateArray());
        Assert.Equal(("forward", "f32"), (row.GetProperty("pass").GetString(), row.GetProperty("dtype").GetString()));
        Assert.True(row.GetProperty("seconds").GetDouble() > 0);
    }

    [Fact]
    [Trait("tier", "long")]
    public void Info_lists_devices_and_libraries()
    {
        string folder = Libraries(nvrtc: "yes");
        var info = CommandChild.Run(new(folder, Architectures: "80,90"), "info").Succeeded();
        Assert.Contains("device       cuda:0: H100 SXM, compute 9.0, 132 SMs, 81,920 MB", info.Out);
        Assert.Contains("device       cuda:1: A100, compute 8.0, 108 SMs, 40,960 MB", info.Out);
        Assert.Contains($"CUDA driver  found: {folder}/libcuda.so.1; supports CUDA 12.4", info.Out);
        Assert.Contains($"NVRTC        found: {folder}/libnvrtc.so.12; version 12.4, compute capabilities 80 90", info.Out);
        Assert.Contains(info.Out, l => l.StartsWith("device       sim: a simulated H100 SXM", StringComparison.Ordinal));
        Assert.Contains("device       cuda: none, cuInit: CUDA_ERROR_STUB_LIBRARY (34): ", string.Join('\n', CommandChild.Run(new(folder, Init: 34), "info").Succeeded().Out));
    }
}
