using System.Text.Json;

namespace Orthrus.Cli.Tests;

public class BenchVerbTests
{
    [Fact]
    public void The_example_of_the_help_times_one_operator()
    {
        string[] lines = CliRun.Of("bench", "--op", "silu", "--seconds", "0.05").Succeeded().Out.ReplaceLineEndings("\n").Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.StartsWith("cpu (", lines[0]);
        Assert.StartsWith("op ", lines[1]);
        Assert.Contains(lines, l => l.StartsWith("silu ") && l.Contains(" forward ") && l.EndsWith('%'));
        Assert.Contains(lines, l => l.StartsWith("silu ") && l.Contains(" backward ") && l.EndsWith('%'));
        Assert.Contains("bench --op silu --seconds 0.05", BenchVerb.Build().Description);
    }

    [Fact]
    public void Operators_go_to_json()
    {
        var root = Json("bench", "--op", "relu", "--op", "clip_grad_norm", "--seconds", "0.01", "--threads", "1", "--dtype", "f64");
        Assert.Equal("f64", root.GetProperty("dtype").GetString());
        Assert.Equal(1, root.GetProperty("threads").GetInt32());
        Assert.True(root.GetProperty("fma_flops").GetDouble() > 1e8);
        var rows = root.GetProperty("rows").EnumerateArray().ToArray();
        Assert.Equal(["relu forward", "relu backward", "clip_grad_norm forward"], rows.Select(r => r.GetProperty("op").GetString() + " " + r.GetProperty("pass").GetString()));
        Assert.All(rows, r => Assert.True(r.GetProperty("seconds").GetDouble() > 0 && r.GetProperty("share").GetDouble() > 0));
    }

    [Fact]
    public void Limits_are_a_table_and_json()
    {
        string[] arguments = ["bench", "--limits", "--seconds", "0.006", "--threads", "2"];
        Assert.Contains("f32 GFLOP/s", CliRun.Of(arguments).Succeeded().Out);
        var limits = Json(arguments).GetProperty("limits").EnumerateArray().ToArray();
        Assert.Equal([1, 2], limits.Select(l => l.GetProperty("threads").GetInt32()));
        foreach (var l in limits)
        {
            Assert.NotEmpty(l.GetProperty("fma").EnumerateArray());
            Assert.All(l.GetProperty("fma").EnumerateArray(), f => Assert.True(f.GetProperty("f32_flops").GetDouble() > 1e8 && f.GetProperty("f64_flops").GetDouble() > 1e8));
            Assert.True(l.GetProperty("memory_read_bytes").GetDouble() > 1e7 && l.GetProperty("memory_copy_bytes").GetDouble() > 1e7);
        }
    }

    [Theory]
    [InlineData("bench", "--op", "nonsense")]
    [InlineData("bench", "--dtype", "f16")]
    [InlineData("bench", "--threads", "-1")]
    [InlineData("bench", "--seconds", "0")]
    [InlineData("bench", "--limits", "--op", "silu")]
    public void Wrong_arguments_are_usage_errors(params string[] args)
    {
        var run = CliRun.Of(args);
        Assert.Equal(2, run.Code);
        Assert.Single(run.ErrorLines);
        if (args.Contains("nonsense")) Assert.Contains("silu", run.Error);
    }

    [Fact]
    public void A_json_file_that_cannot_be_written_is_one_line()
    {
        var run = CliRun.Of("bench", "--op", "relu", "--seconds", "0.01", "--json", Path.Combine("no", "such", "folder", "x.json"));
        Assert.Equal(3, run.Code);
        Assert.Single(run.ErrorLines);
    }

    private static JsonElement Json(params string[] arguments)
    {
        string folder = Directory.CreateTempSubdirectory("orthrus-bench-").FullName;
        try
        {
            string file = Path.Combine(folder, "figures.json");
            CliRun.Of([.. arguments, "--json", file]).Succeeded();
            Assert.Equal(["figures.json"], Directory.GetFiles(folder).Select(Path.GetFileName));
            using var document = JsonDocument.Parse(File.ReadAllBytes(file));
            return document.RootElement.Clone();
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
