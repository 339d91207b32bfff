using System.Text.Json;
using Orthrus.Mamba;
using Orthrus.TestSupport;

namespace Orthrus.Cli.Tests;

/// <summary>orthrus info and orthrus convert.</summary>
public class ModelVerbTests
{
    public static IEnumerable<TheoryDataRow<string>> Checkpoints(string expect) => GoldenCase.Area("checkpoints")
        .Where(c => c.Json.GetProperty("expect").GetString() == expect).Select(c => new TheoryDataRow<string>(c.Name));

    private static string PathOf(string name)
    {
        var golden = GoldenCase.Find("checkpoints", name);
        return Path.Combine(golden.Folder, golden.Json.GetProperty("checkpoint").GetString()!);
    }

    [Theory]
    [MemberData(nameof(Checkpoints), "refuse")]
    public void Info_refuses_in_one_line(string name)
    {
        // What only a given configuration can tell is not info's to find.
        if (name == "hostile_st_missing_layer") return;
        var run = CliRun.Of("info", PathOf(name));
        Assert.Equal(3, run.Code);
        Assert.StartsWith("orthrus: ", Assert.Single(run.ErrorLines));
        Assert.Equal("", run.Out);
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
            Assert.Equal(3, CliRun.Of("convert", PathOf(name), "-o", published).Code);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
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
        var machine = CliRun.Of("info");
        Assert.Equal(0, machine.Code);
        foreach (string what in new[] { "features", "vectors", "devices", "CUDA driver", "NVRTC", "cuBLAS" }) Assert.Contains(what, machine.Out);
    }
}
