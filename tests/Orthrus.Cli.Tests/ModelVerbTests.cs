using System.Text.Json;
using Orthrus.Mamba;
using Orthrus.TestSupport;

namespace Orthrus.Cli.Tests;

/// <summary>orthrus info and orthrus convert.</summary>
public class ModelVerbTests
{
    // A bare file whose last layers are missing altogether is a smaller encoder to whoever does not know its configuration.
    private const string OnlyItsConfigurationTells = "hostile_st_missing_layer";

    public static IEnumerable<TheoryDataRow<string>> Checkpoints(string expect) =>
        GoldenCase.Names("checkpoints", c => c.Json.GetProperty("expect").GetString() == expect && c.Name != OnlyItsConfigurationTells);

    private static string PathOf(string name)
    {
        var golden = GoldenCase.Find("checkpoints", name);
        return Path.Combine(golden.Folder, golden.Json.GetProperty("checkpoint").GetString()!);
    }

    [Theory]
    [MemberData(nameof(Checkpoints), "refuse")]
    public void Info_refuses_in_one_line(string name)
    {
        var run = Info(name);
        Assert.Equal(3, run.Code);
        string line = Assert.Single(run.ErrorLines);
        Assert.StartsWith("orthrus: ", line);
        Assert.DoesNotContain("internal error", line);
        // What is wrong; what to do.
        Assert.Contains("; ", line);
        Assert.Equal("", run.Out);
    }

    [Theory]
    [MemberData(nameof(Checkpoints), "load")]
    public void Info_describes_what_loads(string name)
    {
        var run = Info(name);
        Assert.Equal((0, ""), (run.Code, run.Error));
        var model = OrthrusModel.Load(PathOf(name));
        Assert.Contains($"{model.Config.DModel} x {model.Config.NLayer}, {model.Config.NTracks} tracks", run.Out);
        Assert.Contains(model.Sha256, run.Out);
        foreach (var head in model.DescribeHeads()) Assert.Contains($"{head.Name}: {head.DIn} -> ", run.Out);
    }

    [Theory]
    [MemberData(nameof(Checkpoints), "either")]
    public void Info_survives_what_may_go_either_way(string name)
    {
        var run = Info(name);
        if (run.Code == 0) Assert.Equal("", run.Error);
        else Assert.Equal((3, 1), (run.Code, run.ErrorLines.Length));
    }

    // Nothing in a file runs, and nothing is written where the command stands or where the file lies.
    private static CliRun Info(string name)
    {
        string path = PathOf(name);
        string[] Files() => Directory.GetFileSystemEntries(Path.GetDirectoryName(Path.TrimEndingDirectorySeparator(path))!);
        string[] before = Files();
        var run = CliRun.Of("info", path);
        Assert.Equal(before, Files());
        Assert.False(File.Exists("PWNED"), "a payload ran");
        return run;
    }

    // Encoder, and encoder with projector, of the specification's table of published configurations.
    [Theory]
    [InlineData(256, 3, 4, "1,316,608", 1_778_432)]
    [InlineData(256, 3, 6, "1,317,120", 1_778_944)]
    [InlineData(512, 6, 6, "10,179,072", 10_771_968)]
    [InlineData(512, 6, 4, "10,178,048", 10_770_944)]
    [InlineData(64, 3, 6, "98,880", 0)]
    public void Info_counts_the_parameters_of_published_sizes(int width, int layers, int tracks, string encoder, long withProjector)
    {
        using var files = new HostileFiles();
        var model = OrthrusModel.Create(new MambaConfig(width, layers, tracks), seed: 1);
        if (withProjector > 0)
        {
            void Head(string name, params long[] shape) => model.Heads.Add(StateTensor.FromSingle("projection_head.layers." + name, new float[shape.Aggregate(1L, (a, b) => a * b)], shape));
            Head("0.weight", 512, width); Head("0.bias", 512);
            Head("2.weight", 512, 512); Head("2.bias", 512);
            foreach (int norm in new[] { 1, 3 })
                foreach (string part in new[] { "weight", "bias", "running_mean", "running_var" }) Head($"{norm}.{part}", 512);
            Head("4.weight", 128, 512);
        }
        model.SaveSafeTensors(files.Out("m.safetensors"));
        string said = CliRun.Of("info", files.Out("m.safetensors")).Succeeded().Out;
        Assert.Matches($@"(?m)^parameters +{encoder} \(encoder\)\r?$", said);
        Assert.Contains("random weights", said);
        if (withProjector > 0) Assert.Contains($"{withProjector - model.ParameterCount:N0} parameters", said);
    }

    [Theory]
    [MemberData(nameof(Checkpoints), "load")]
    public void Convert_keeps_every_number(string name)
    {
        string folder = Directory.CreateTempSubdirectory("orthrus-convert-").FullName;
        try
        {
            string published = Path.Combine(folder, "hf"), single = Path.Combine(folder, "m.safetensors");
            Assert.Equal(0, CliRun.Of("convert", PathOf(name), "-o", published).Code);
            Assert.Equal(0, CliRun.Of("convert", PathOf(name), "-o", single).Code);
            var original = OrthrusModel.Load(PathOf(name));
            foreach (string path in new[] { published, single })
            {
                var copy = OrthrusModel.Load(path);
                Assert.Equal(original.Config, copy.Config);
                foreach (var t in original.Encoder) Assert.Equal(t.ToBytes(), copy.Encoder[t.Name].ToBytes());
            }
            Assert.Equal(original.Heads.Select(t => t.Name), OrthrusModel.Load(single).Heads.Select(t => t.Name));
            using var config = JsonDocument.Parse(File.ReadAllText(Path.Combine(published, "config.json")));
            Assert.Equal("orthrus", config.RootElement.GetProperty("model_type").GetString());
            Assert.Equal(original.Config.DModel, config.RootElement.GetProperty("ssm_model_dim").GetInt32());
            // A folder as published comes back with the same configuration.
            if (name is "hf_c6" or "hf_mlm_c6") Assert.Equal(Entries(Path.Combine(PathOf(name), "config.json")), Entries(Path.Combine(published, "config.json")));
            Assert.Equal(3, CliRun.Of("convert", PathOf(name), "-o", published).Code);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static SortedDictionary<string, string> Entries(string config)
    {
        using var json = JsonDocument.Parse(File.ReadAllText(config));
        return new(json.RootElement.EnumerateObject().ToDictionary(p => p.Name, p => JsonSerializer.Serialize(p.Value)), StringComparer.Ordinal);
    }

    [Theory]
    [InlineData("foo", "there is no command foo", "embed")]
    [InlineData("--foo", "there is no command --foo", "embed")]
    [InlineData("info --tensors", "--tensors", "name one")]
    [InlineData("bench --limits --dtype f64", "--limits", "--dtype")]
    [InlineData("convert random-mamba -o ''", "-o is empty")]
    [InlineData("transcripts q.fa --output ''", "--output is empty")]
    [InlineData("info ''", "argument 2 is empty")]
    public void Arguments_that_mean_nothing_are_refused(string line, params string[] says)
    {
        var run = CliRun.Of([.. line.Split(' ').Select(a => a == "''" ? "" : a)]);
        Assert.Equal((2, ""), (run.Code, run.Out));
        string said = Assert.Single(run.ErrorLines);
        Assert.All(says, s => Assert.Contains(s, said));
    }

    [Fact]
    public void Info_prints_the_configuration_without_the_blanks_of_its_file()
    {
        using var files = new HostileFiles();
        CliRun.Of("convert", "random-mamba-6track", "-o", files.Out("m")).Succeeded();
        string[] lines = CliRun.Of("info", files.Out("m")).Succeeded().Out.ReplaceLineEndings("\n").Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Contains(lines, l => l.StartsWith("auto_map ") && l.EndsWith("{ \"AutoConfig\": \"orthrus_hf.OrthrusConfig\", \"AutoModel\": \"orthrus_hf.OrthrusPretrainedModel\" }"));
    }

    [Theory]
    [InlineData("m.safetensors")]
    [InlineData("m")]
    public void A_full_disk_leaves_nothing_of_a_conversion_and_keeps_what_was_there(string name)
    {
        using var files = new HostileFiles();
        string mount = Directory.CreateDirectory(files.PathOf("disk")).FullName, output = Path.Combine(mount, name);
        if (ChildProcess.Shell($"mount -t tmpfs -o size=640k orthrus-test '{mount}'").Code != 0) Assert.Skip("may not mount a small disk here");
        try
        {
            string large = files.PathOf("large.safetensors");
            OrthrusModel.Create(new MambaConfig(128, 3, 6), seed: 1).SaveSafeTensors(large);
            Full("convert", large, "-o", output);
            Assert.Empty(Directory.GetFileSystemEntries(mount));
            CliRun.Of("convert", "random-mamba-4track", "-o", output).Succeeded();
            string[] Left() => [.. Directory.GetFiles(mount, "*", SearchOption.AllDirectories).Order().Select(f => f + Convert.ToHexString(File.ReadAllBytes(f)))];
            string[] before = Left();
            Full("convert", large, "-o", output, "--force");
            Assert.Equal(before, Left());
        }
        finally
        {
            ChildProcess.Shell($"umount '{mount}'");
        }

        void Full(params string[] args)
        {
            var run = CliRun.Of(args);
            Assert.Equal(3, run.Code);
            Assert.Contains(output + ": no space left", Assert.Single(run.ErrorLines));
        }
    }

    [Fact]
    public void Info_describes_a_model_and_the_machine()
    {
        var model = CliRun.Of("info", "random-mamba-6track", "--tensors");
        Assert.Equal(0, model.Code);
        Assert.Contains("64 x 3, 6 tracks", model.Out);
        Assert.Contains("no, random weights", model.Out);
        Assert.Contains("layers.2.mixer.out_proj.weight\t(64, 128)\tF32", model.Out);
        var trained = CliRun.Of("info", "orthrus-mini").Succeeded();
        Assert.Matches(@"(?m)^trained +yes", trained.Out);
        Assert.Contains("128 x 3, 6 tracks", trained.Out);
        var machine = CliRun.Of("info");
        Assert.Equal(0, machine.Code);
        foreach (string what in new[] { "features", "vectors", "device       cpu", "device       cuda", "device       sim: ", "CUDA driver", "NVRTC", "cuBLAS" }) Assert.Contains(what, machine.Out);
    }
}
