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
    public void A_simulated_device_counts_instead_of_timing()
    {
        string[] lines = CliRun.Of("bench", "--op", "l2_normalize", "--simulate", "--spec", "a100").Succeeded().Out.ReplaceLineEndings("\n").Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.StartsWith("simulated A100, compute 8.0: bounds by counted work, nothing is measured", lines[0]);
        Assert.Contains(lines, l => l.StartsWith("l2_normalize ") && l.Contains(" forward ") && l.Contains(" dram "));
        Assert.Contains("bench --op l2_normalize --simulate --spec a100", BenchVerb.Build().Description);

        var a100 = Json("bench", "--op", "l2_normalize", "--device", "sim", "--spec", "a100");
        var l4 = Json("bench", "--op", "l2_normalize", "--simulate", "--spec", "l4");
        Assert.Equal("simulated", a100.GetProperty("kind").GetString());
        var rows = a100.GetProperty("rows").EnumerateArray().ToArray();
        Assert.Equal(["forward", "backward"], rows.Select(r => r.GetProperty("pass").GetString()));
        foreach (var row in rows)
        {
            var kernels = row.GetProperty("kernels").EnumerateArray().ToArray();
            Assert.NotEmpty(kernels);
            Assert.Equal("dram", row.GetProperty("limit").GetString());
            Assert.InRange(row.GetProperty("share").GetDouble(), 0.5, 1);
            Assert.InRange(row.GetProperty("dram_bytes").GetDouble(), row.GetProperty("minimum_bytes").GetDouble(), 2 * row.GetProperty("minimum_bytes").GetDouble());
            Assert.Equal(row.GetProperty("bound_seconds").GetDouble(), kernels.Sum(k => k.GetProperty("bound_seconds").EnumerateObject().Max(b => b.Value.GetDouble())), 1e-12);
        }
        // An L4 has a fifth of the bandwidth.
        double Bound(JsonElement json) => json.GetProperty("rows")[0].GetProperty("bound_seconds").GetDouble();
        Assert.Equal(1.555 / 0.3, Bound(l4) / Bound(a100), 1e-3);
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
    [InlineData("bench", "--limits", "--device", "sim")]
    [InlineData("bench", "--limits", "--dtype", "f32")]
    [InlineData("bench", "--spec", "a100", "--op", "silu", "--device", "cpu")]
    [InlineData("bench", "--simulate", "--device", "cpu")]
    [InlineData("bench", "--simulate", "--threads", "2")]
    [InlineData("bench", "--simulate", "--seconds", "1")]
    [InlineData("bench", "--simulate", "--dtype", "f64")]
    [InlineData("bench", "--device", "cpu", "--dtype", "bf16")]
    [InlineData("bench", "--simulate", "--dtype", "bf16", "--op", "batch_norm")]
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
        var run = CliRun.Of("bench", "--op", "relu", "--seconds", "0.01", "--device", "cpu", "--json", Path.Combine("no", "such", "folder", "x.json"));
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
