using System.Globalization;
using System.Text;
using System.Text.Json;
using Orthrus.Mamba;
using Orthrus.TestSupport;

namespace Orthrus.Cli.Tests;

/// <summary>`orthrus probe`.</summary>
public sealed class ProbeVerbTests : IDisposable
{
    private static readonly string Example = Path.Combine(TestPaths.Repository, "examples", "data", "halflife.tsv.gz");

    private readonly HostileFiles _files = new();

    private sealed record Row(string Task, string Target, string Model, string Split, string Metric, double? Value, double? Low, double? High, int N);

    private static Row[] Read(string json)
    {
        using var document = JsonDocument.Parse(File.ReadAllBytes(json));
        double? Number(JsonElement e) => e.ValueKind == JsonValueKind.Null ? null : e.GetDouble();
        return [.. document.RootElement.EnumerateArray().Select(e =>
        {
            Assert.Equal(["task", "target", "model", "split", "metric", "value", "low", "high", "n"], e.EnumerateObject().Select(p => p.Name));
            string Text(string name) => e.GetProperty(name).GetString()!;
            return new Row(Text("task"), Text("target"), Text("model"), Text("split"), Text("metric"), Number(e.GetProperty("value")), Number(e.GetProperty("low")), Number(e.GetProperty("high")), e.GetProperty("n").GetInt32());
        })];
    }

    private Row[] Probe(params string[] args)
    {
        string json = _files.Out("rows.json");
        CliRun.Of(["probe", .. args, "--json", json, "--bootstrap", "50"]).Succeeded();
        return Read(json);
    }

    /// <summary>A table of sequences whose GC content, seen in a label, decides the targets.</summary>
    private string Labelled(string columns, Func<double, int, string> values, int rows = 120)
    {
        var random = new Random(3);
        var text = new StringBuilder($"id\t{columns}\tsplit\tsequence\n");
        for (int i = 0; i < rows; i++)
        {
            double gc = random.NextDouble();
            text.Append(CultureInfo.InvariantCulture, $"r{i}\t{values(gc, i)}\t{(i % 4 == 3 ? "valid" : i % 4 == 2 ? "test" : "train")}\t");
            for (int k = 0; k < 150; k++) text.Append(random.NextDouble() < gc ? "GC"[random.Next(2)] : "AT"[random.Next(2)]);
            text.Append('\n');
        }
        return _files.Text("labelled.tsv", text.ToString());
    }

    [Fact]
    public void Embeddings_may_come_from_a_simulated_GPU()
    {
        string table = Labelled("y", (gc, _) => gc.ToString("F3", CultureInfo.InvariantCulture), rows: 60);
        Row[] On(string device) => Probe("--task", table, "--target", "y", "--model", "random-mamba-4track", "--device", device);
        Row[] cpu = On("cpu"), sim = On("sim");
        Assert.Equal(cpu.Select(r => r.Metric), sim.Select(r => r.Metric));
        Assert.All(cpu.Zip(sim), p => Assert.Equal(p.First.Value!.Value, p.Second.Value!.Value, 1e-3));
    }

    [Fact]
    public void A_regression_has_its_rows_in_json_csv_and_on_stdout()
    {
        string json = _files.Out("x.json"), csv = _files.Out("x.csv");
        var run = CliRun.Of("probe", "--task", Example, "--target", "halflife", "--split-column", "split", "--json", json, "--csv", csv, "--bootstrap", "50").Succeeded();
        var rows = Read(json);
        Assert.Equal(["pearson", "spearman", "mse"], rows.Select(r => r.Metric));
        Assert.All(rows, r =>
        {
            Assert.Equal(("halflife", "halflife", "orthrus-mini-6track", "val", 27), (r.Task, r.Target, r.Model, r.Split, r.N));
            Assert.True(r.Low < r.Value && r.Value < r.High, $"{r}");
        });
        string[] lines = run.Out.ReplaceLineEndings("\n").TrimEnd('\n').Split('\n'), file = File.ReadAllLines(csv);
        Assert.Equal(4, lines.Length);
        Assert.Equal("task,target,model,split,metric,value,low,high,n", file[0]);
        Assert.Equal(lines[0].Replace('\t', ','), file[0]);
        Assert.Equal(rows[0].Value, double.Parse(file[1].Split(',')[5], CultureInfo.InvariantCulture));
        Assert.Contains($"halflife\tpearson\t{rows[0].Value:F4}", lines[1].Replace("orthrus-mini-6track\tval\t", ""));
        Assert.DoesNotContain("random weights", run.Error);
        Assert.Contains("random weights", CliRun.Of("probe", "--task", Example, "--target", "halflife", "--model", "random-mamba", "--bootstrap", "10").Succeeded().Error);
    }

    [Fact]
    public void Embeddings_are_kept_and_runs_repeat()
    {
        string[] args = ["probe", "--task", Example, "--target", "halflife", "--seed", "5", "--bootstrap", "20", "--blank-tracks"];
        var first = CliRun.Of(args).Succeeded();
        var second = CliRun.Of([.. args, "--threads", "1"]).Succeeded();
        Assert.Contains("137 embedded", first.Error);
        Assert.Contains("from the cache", second.Error);
        Assert.Equal(first.Out, second.Out);
        string file = _files.Out("kept.safetensors");
        CliRun.Of([.. args, "--embeddings", file]).Succeeded();
        Assert.Contains("from " + file, CliRun.Of([.. args, "--embeddings", file]).Succeeded().Error);
        var other = CliRun.Of([.. args, "--embeddings", file, "--model", "random-mamba-4track"]);
        Assert.Equal(3, other.Code);
        Assert.Contains("another model", other.ErrorLines[^1]);
    }

    [Fact]
    public void Models_and_baselines_are_measured_on_the_same_rows_and_test_rows_only_where_asked()
    {
        string trained = _files.PathOf("m.safetensors");
        var made = OrthrusModel.Create(new MambaConfig(16, 2, 4), seed: 9);
        new OrthrusModel { Config = made.Config, Encoder = made.Encoder, Name = "m", Source = trained, Format = "safetensors", Sha256 = "" }.SaveSafeTensors(trained);
        string[] args = ["--task", Example, "--target", "halflife", "--name", "hl", "--model", trained, "--model", "random-mamba-4track", "--baselines"];
        var rows = Probe(args);
        string[] models = ["random-mamba-4track", "kmer3", "kmer4", "kmer5", "kmer6", "composition", "random-16x2-4track"];
        string first = rows[0].Model;
        Assert.Equal(models.SelectMany(m => new[] { m, $"{first} - {m}" }).Prepend(first), rows.Where(r => r.Metric == "pearson").Select(r => r.Model));
        Assert.All(rows, r => Assert.Equal(("hl", "val", 27), (r.Task, r.Split, r.N)));
        double Value(string model) => rows.Single(r => r.Model == model && r.Metric == "mse").Value!.Value;
        Assert.All(models, m => Assert.Equal(Value(first) - Value(m), Value($"{first} - {m}"), 1e-12));
        var tested = Probe([.. args[..^1], "--test"]);
        Assert.Equal(["val", "test"], tested.Select(r => r.Split).Distinct());
        Assert.Equal(20, tested.Last().N);
        Assert.Equal(["kmer3"], Probe("--task", Example, "--target", "halflife", "--baselines", "kmer3").Select(r => r.Model).Distinct().Skip(1).Take(1));
    }

    [Fact]
    public void Labels_are_told_from_numbers()
    {
        string binary = Labelled("y", (gc, i) => i == 7 ? "NA" : gc > 0.5 ? "1" : "0");
        var rows = Probe("--task", binary, "--target", "y");
        Assert.Equal([("y", "auroc"), ("y", "auprc")], rows.Select(r => (r.Target, r.Metric)));
        Assert.All(rows, r => Assert.True(r.Value > 0.95 && r.N == 29, $"{r}"));
        Assert.Contains("y: 1 of 120 rows have no value", CliRun.Of("probe", "--task", binary, "--target", "y").Succeeded().Error);
        Assert.Equal("pearson", Probe("--task", binary, "--target", "y", "--kind", "regression")[0].Metric);

        string several = Labelled("rich\tpoor\tnever\tx", (gc, i) => $"{(gc > 0.6 ? 1 : 0)}\t{(gc < 0.4 ? 1 : 0)}\t0\t{gc}");
        rows = Probe("--task", several, "--target", "rich,poor,never");
        Assert.Equal(["auroc_micro", "auprc_micro", "auroc_macro", "auprc_macro", "auroc", "auprc", "auroc", "auprc"], rows.Select(r => r.Metric));
        Assert.Equal(["all", "rich", "poor"], rows.Select(r => r.Target).Distinct());
        Assert.All(rows, r => Assert.True(r.Value > 0.9, $"{r}"));
        // The variance of x is 1/12: predictions of another scale or offset would show in the error.
        rows = Probe("--task", several, "--target", "x", "--baselines", "composition");
        Assert.True(rows.Single(r => r is { Model: "composition", Metric: "pearson" }).Value > 0.95);
        Assert.True(rows.Single(r => r is { Model: "composition", Metric: "mse" }).Value < 0.01);
        Assert.Contains("left out, one class only in the training rows: never", CliRun.Of("probe", "--task", several, "--target", "rich,poor,never").Succeeded().Error);
        Assert.Equal(["rich", "poor"], Probe("--task", several, "--target", "rich,poor", "--kind", "binary").Select(r => r.Target).Distinct());
        var refused = CliRun.Of("probe", "--task", several, "--target", "x", "--kind", "binary");
        Assert.Equal((3, true), (refused.Code, refused.ErrorLines[^1].Contains("use --kind regression")));
        refused = CliRun.Of("probe", "--task", several, "--target", "never");
        Assert.Equal((3, true), (refused.Code, refused.ErrorLines[^1].Contains("one class only")));
    }

    [Fact]
    public void Penalties_and_the_scale_of_features_are_options()
    {
        string[] args = ["--task", Labelled("y", (gc, i) => (gc + i % 7 * 0.1).ToString("F3", CultureInfo.InvariantCulture)), "--target", "y", "--model", "random-mamba-4track", "--baselines", "kmer3"];
        double[] Values(params string[] more) => [.. Probe([.. args, .. more]).Select(r => r.Value!.Value)];
        double[] plain = Values(), one = Values("--total-variance", "1"), two = Values("--total-variance", "2", "--alphas", "20"), eight = Values("--total-variance", "8", "--alphas", "80");
        // Features and penalties that grow together change nothing; a baseline has a total variance of 1 as it is, an embedding has not.
        Assert.All(two.Zip(eight), p => Assert.Equal(p.First, p.Second, 1e-9));
        string[] models = [.. Probe(args).Select(r => r.Model)];
        for (int i = 0; i < plain.Length; i++)
        {
            if (models[i] == "kmer3") Assert.Equal(plain[i], one[i], 1e-9);
            if (models[i] == "random-mamba-4track") Assert.NotEqual(plain[i], one[i], 1e-6);
        }
        string remark = CliRun.Of(["probe", .. args, "--alphas", "0.5,1e9", "--bootstrap", "0"]).Succeeded().Error;
        Assert.Contains("the penalty 0.5 is at the end of its range", remark);
        Assert.DoesNotContain("at the end", CliRun.Of(["probe", .. args, "--alphas", "0.5", "--bootstrap", "0"]).Succeeded().Error);

        string labels = Labelled("y", (gc, i) => gc > 0.5 ^ i % 9 == 0 ? "1" : "0");
        double[] Auroc(params string[] more) => [.. Probe(["--task", labels, "--target", "y", "--model", "random-mamba-4track", "--baselines", "kmer3", .. more]).Select(r => r.Value!.Value)];
        // The penalty is the sum of squared weights over 2 C.
        Assert.All(Auroc("--c", "3", "--total-variance", "2").Zip(Auroc("--c", "1", "--total-variance", "6")), p => Assert.Equal(p.First, p.Second, 1e-9));
        Assert.NotEqual(Auroc("--c", "0.01"), Auroc("--c", "10"));
    }

    [Fact]
    public void Random_weights_of_any_seed_are_baselines()
    {
        var made = OrthrusModel.Load("random-mamba-4track");
        string folder = _files.Out("seed5");
        OrthrusModel.Create(made.Config, seed: 5).SaveHuggingFace(folder);
        string table = Labelled("y", (gc, _) => gc.ToString("F3", CultureInfo.InvariantCulture), rows: 60);
        var rows = Probe("--task", table, "--target", "y", "--model", folder, "--baselines", "random:6,random:7");
        Assert.Equal(5, rows.Select(r => r.Model).Distinct().Count());
        var other = Probe("--task", table, "--target", "y", "--model", "random-mamba-4track", "--baselines", "random:5");
        Assert.Equal(rows[0].Value, other.Single(r => r.Model.EndsWith(" seed 5", StringComparison.Ordinal) && r.Metric == rows[0].Metric && !r.Model.Contains(" - ", StringComparison.Ordinal)).Value);
    }

    [Fact]
    public void Splits_are_drawn_by_groups_or_by_rows_over_seeds()
    {
        string[] args = ["--task", Example, "--target", "halflife"];
        var groups = Probe([.. args, "--groups", "family_group", "--seeds", "2541,413", "--baselines", "kmer3", "--test"]);
        Assert.Equal(["val", "test"], groups.Select(r => r.Split).Distinct());
        Assert.Contains("orthrus-mini-6track - kmer3", groups.Select(r => r.Model));
        Assert.All(groups, r => Assert.InRange(r.N, 15, 27));
        Assert.Equal(groups, Probe([.. args, "--groups", "family_group", "--seeds", "2541,413", "--baselines", "kmer3", "--test"]));
        var rows = Probe([.. args, "--random-split", "--seeds", "2541,413"]);
        Assert.NotEqual(groups[0].Value, rows[0].Value);
        var one = Probe([.. args, "--random-split", "--seeds", "2541"])[0];
        var two = Probe([.. args, "--random-split", "--seeds", "413"])[0];
        Assert.Null(one.Low);
        Assert.Equal((one.Value!.Value + two.Value!.Value) / 2, rows[0].Value!.Value, 1e-12);
    }

    [Fact]
    public void A_six_track_model_wants_marks_as_embed_does()
    {
        string table = Labelled("y", (gc, _) => gc.ToString(CultureInfo.InvariantCulture));
        Assert.Equal("orthrus-mini-4track", Probe("--task", table, "--target", "y")[0].Model);
        Assert.Equal("random-mamba-4track", Probe("--task", table, "--target", "y", "--model", "random-mamba")[0].Model);
        var run = CliRun.Of("probe", "--task", table, "--target", "y", "--model", "random-mamba-6track");
        Assert.Equal(3, run.Code);
        Assert.Matches("reads 6 tracks.*--cds longest-orf, or --blank-tracks", run.ErrorLines[^1]);
        Assert.Equal("orthrus-mini-6track", Probe("--task", table, "--target", "y", "--blank-tracks")[0].Model);
        Assert.Equal("orthrus-mini-6track", Probe("--task", table, "--target", "y", "--cds", "longest-orf")[0].Model);
    }

    [Fact]
    public void Isoforms_and_orthologs_are_looked_for()
    {
        var random = new Random(1);
        StringBuilder fasta = new(), table = new("transcript_id\tgene_id\tspecies\tcds_start\tcds_end\texon_junctions\thomology_group\tfamily_group\tsplit\n");
        for (int g = 0; g < 30; g++)
        {
            string s = string.Concat(Enumerable.Range(0, 300).Select(_ => "ACGT"[random.Next(4)]));
            for (int copy = 0; copy < 3; copy++)
            {
                fasta.Append($">t{g}.{copy}\n{s[..(300 - 20 * copy)]}\n");
                table.Append($"t{g}.{copy}\tg{g}\t{(copy == 2 ? "mouse" : "man")}\t-1\t-1\tNA\tH{g}\tF{g}\t{(g < 20 ? "valid" : g < 25 ? "test" : "train")}\n");
            }
        }
        string[] args = ["--retrieval", "--transcripts", _files.Text("x.fa", fasta.ToString()), "--table", _files.Text("x.tsv", table.ToString()), "--candidates", "40"];
        var rows = Probe(args);
        Assert.Equal(["splice", "ortholog"], rows.Select(r => r.Target).Distinct());
        Assert.Equal(["orthrus-mini-6track", "kmer5", "orthrus-mini-6track - kmer5"], rows.Select(r => r.Model).Distinct());
        Assert.Equal(["recall@1", "recall@5", "recall@10"], rows.Select(r => r.Metric).Distinct());
        Assert.Equal((1.0, 40, "val"), (rows.First(r => r.Model == "kmer5").Value, rows.First(r => r.Model == "kmer5").N, rows[0].Split));
        Assert.Equal(60, rows.Last().N);
        Assert.Equal((10, "test"), (Probe([.. args, "--test"])[0].N, Probe([.. args, "--test"])[0].Split));
        Assert.Contains("where 40 were wanted", CliRun.Of(["probe", .. args, "--test"]).Succeeded().Error);
    }

    [Theory]
    [InlineData(2, "--task T", "give --target")]
    [InlineData(2, "--target y", "give --task")]
    [InlineData(2, "--task T --target halflife,halflife", "twice")]
    [InlineData(2, "--task T --target halflife --seeds 1", "--groups COLUMN or --random-split")]
    [InlineData(2, "--task T --target halflife --groups split --random-split", "one of the two")]
    [InlineData(2, "--task T --target halflife --groups split --split-column split", "give one of them")]
    [InlineData(2, "--task T --target halflife --random-split --seeds x", "--seeds x")]
    [InlineData(2, "--task T --target halflife --alphas 1,0", "--alphas 0: give numbers above 0")]
    [InlineData(2, "--task T --target halflife --c -1", "--c -1: give a number above 0")]
    [InlineData(2, "--task T --target halflife --total-variance 0", "--total-variance 0: give a number above 0")]
    [InlineData(2, "--task T --target halflife --baselines random:x", "random:SEED")]
    [InlineData(2, "--retrieval --transcripts T --table T --c 2", "belong to a probe, not to --retrieval")]
    [InlineData(2, "--retrieval --transcripts T --table T --baselines kmer3,random:1,random:2,random:3,random:4,random:5", "--retrieval has the baselines")]
    [InlineData(2, "--task T --target halflife --baselines random,random:0", "one seed twice")]
    [InlineData(2, "--task T --target halflife --random-split --seeds 1,01", "one seed twice")]
    [InlineData(2, "--task T --target halflife --alphas 1,1.0", "one penalty twice")]
    [InlineData(2, "--task T --target halflife --c 2 --blank-tracks", "--c is that of logistic regressions")]
    [InlineData(2, "--task T --target halflife --baselines kmer9", "kmer9")]
    [InlineData(2, "--task T --target halflife --bootstrap -1", "--bootstrap")]
    [InlineData(2, "--task T --target halflife --threads 0", "--threads")]
    [InlineData(2, "--task T --target halflife --json T", "write over")]
    [InlineData(2, "--task T --target halflife --retrieval", "--retrieval")]
    [InlineData(2, "--retrieval --transcripts T", "--table")]
    [InlineData(2, "--task T --target halflife --model a --model b --embeddings e", "one --model")]
    [InlineData(2, "--task T --target halflife --blank-tracks --cds longest-orf", "exclude each other")]
    [InlineData(3, "--task absent.tsv --target y", "no such file")]
    [InlineData(3, "--task T --target nothing", "has no column nothing")]
    [InlineData(3, "--task T --target halflife --split-column nothing", "has no column nothing")]
    [InlineData(3, "--task T --target halflife --split-column species", "names no part")]
    [InlineData(3, "--task T --target gene_id", "is no number")]
    [InlineData(3, "--task T --target halflife --model absent", "no such model")]
    [InlineData(3, "--task T --target halflife --json absent/x.json", "does not exist")]
    public void What_cannot_be_meant_is_refused_in_one_line(int code, string line, string says)
    {
        var run = CliRun.Of(["probe", .. line.Split(' ').Select(a => a == "T" ? Example : a), "--quiet"]);
        Assert.Equal((code, ""), (run.Code, run.Out));
        Assert.Contains(says, Assert.Single(run.ErrorLines));
    }

    [Fact]
    public void A_table_without_split_says_what_to_give()
    {
        string table = _files.Text("t.tsv", "id\ty\tsequence\na\t1\tACGT\n");
        var run = CliRun.Of("probe", "--task", table, "--target", "y");
        Assert.Equal(2, run.Code);
        Assert.Contains("--groups COLUMN or --random-split", Assert.Single(run.ErrorLines));
        string few = _files.Text("few.tsv", "id\ty\tsplit\tsequence\na\t1.5\ttrain\tACGT\nb\t2\ttrain\tACGT\n");
        run = CliRun.Of("probe", "--task", few, "--target", "y", "--quiet");
        Assert.Equal(3, run.Code);
        Assert.Contains("2 train, 0 validation", Assert.Single(run.ErrorLines));
    }

    [Fact]
    public void An_interrupt_ends_it()
    {
        using var cancelled = new CancellationTokenSource();
        cancelled.Cancel();
        Assert.Equal(130, CliRun.Of(["probe", "--task", Example, "--target", "halflife", "--cds", "longest-orf", "--seed", "77"], cancelled.Token).Code);
    }

    public void Dispose() => _files.Dispose();
}
