using System.Globalization;
using System.Text;
using System.Text.Json;
using Orthrus.TestSupport;

namespace Orthrus.Cli.Tests;

/// <summary>`orthrus finetune` and `orthrus predict`.</summary>
public sealed class FinetuneVerbTests : IDisposable
{
    private static readonly string Data = Path.Combine(TestPaths.Repository, "examples", "data");
    private static readonly string Example = Path.Combine(Data, "halflife.tsv.gz");

    private readonly string _folder = Directory.CreateTempSubdirectory("orthrus-finetune-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private string PathOf(string name) => Path.Combine(_folder, name);

    /// <summary>Short sequences whose GC content decides the labels.</summary>
    private string Labelled(int rows = 48)
    {
        var random = new Random(3);
        var text = new StringBuilder("id\ta\tb\tgroup\tsplit\tsequence\n");
        for (int i = 0; i < rows; i++)
        {
            double gc = random.NextDouble();
            text.Append(CultureInfo.InvariantCulture, $"r{i}\t{(gc > 0.5 ? 1 : 0)}\t{(i == 5 ? "NA" : gc < 0.3 ? "1" : "0")}\tg{i / 2}\t{(i % 4 == 3 ? "valid" : i % 4 == 2 ? "test" : "train")}\t");
            for (int k = 0; k < 60; k++) text.Append(random.NextDouble() < gc ? "GC"[random.Next(2)] : "AT"[random.Next(2)]);
            text.Append('\n');
        }
        File.WriteAllText(PathOf("t.tsv"), text.ToString());
        return PathOf("t.tsv");
    }

    private CliRun Finetune(string run, params string[] args) =>
        CliRun.Of(["finetune", "--model", "random-mamba-4track", "--task", PathOf("t.tsv"), "--target", "a,b", "-o", PathOf(run), .. args.Contains("--epochs") ? Array.Empty<string>() : ["--epochs", "3"], "--batch", "8", "--head-width", "16", "--bootstrap", "20", .. args]);

    private JsonElement Json(string run, string file) => JsonDocument.Parse(File.ReadAllBytes(Path.Combine(PathOf(run), file))).RootElement;

    private static string[][] Rows(string text) => [.. text.ReplaceLineEndings("\n").TrimEnd('\n').Split('\n').Select(l => l.Split('\t'))];

    [Fact]
    public void A_simulated_GPU_fine_tunes_as_the_CPU_does()
    {
        Labelled(24);
        double[] Losses(string device)
        {
            Finetune(device, "--device", device, "--epochs", "1", "--seed", "1").Succeeded();
            return [.. File.ReadLines(Path.Combine(PathOf(device), "log.jsonl")).Select(l => JsonDocument.Parse(l).RootElement).Where(l => l.TryGetProperty("loss", out _)).Select(l => l.GetProperty("loss").GetDouble())];
        }
        double[] cpu = Losses("cpu"), sim = Losses("sim");
        Assert.NotEmpty(cpu);
        Assert.All(cpu.Zip(sim), p => Assert.Equal(p.First, p.Second, 1e-3 * Math.Abs(p.First)));
    }

    [Fact]
    public void Several_seeds_are_several_runs_and_their_means()
    {
        Labelled();
        string[] way = ["--freeze", "encoder", "--groups", "group", "--schedule", "exponential", "--baselines", "kmer3"];
        var run = Finetune("all", [.. way, "--seeds", "4,2541"]).Succeeded();
        Finetune("one", [.. way, "--seed", "4", "--split-seed", "4"]).Succeeded();
        foreach (string file in new[] { "options.json", "metrics.json", "log.jsonl", Path.Combine("final", "model.safetensors") })
            Assert.Equal(File.ReadAllBytes(Path.Combine(PathOf("one"), file)), File.ReadAllBytes(Path.Combine(PathOf("all"), "seed-4", file)));
        Assert.False(Directory.Exists(Path.Combine(PathOf("all"), "final")));
        JsonElement[] Rows(string folder) => [.. Json(folder, "metrics.json").EnumerateArray()];
        JsonElement[] first = Rows(Path.Combine("all", "seed-4")), second = Rows(Path.Combine("all", "seed-2541")), both = Rows("all");
        Assert.Equal(first.Length, both.Length);
        Assert.Contains(both, r => r.GetProperty("model").GetString()!.EndsWith(" - kmer3", StringComparison.Ordinal));
        string Key(JsonElement r) => string.Join('|', new[] { "target", "model", "split", "metric" }.Select(p => r.GetProperty(p).GetString()));
        foreach (var row in both)
        {
            double a = first.Single(r => Key(r) == Key(row)).GetProperty("value").GetDouble(), b = second.Single(r => Key(r) == Key(row)).GetProperty("value").GetDouble();
            Assert.Equal((a + b) / 2, row.GetProperty("value").GetDouble(), 1e-12);
            // The published interval: 1.96 population standard deviations over the root of the number of seeds.
            Assert.Equal((a + b) / 2 + 1.96 * (Math.Abs(a - b) / 2) / Math.Sqrt(2), row.GetProperty("high").GetDouble(), 1e-9);
        }
        Assert.Equal(both.Length + 1, FinetuneVerbTests.Rows(run.Out).Length);
        // The exponential schedule ends at a hundredth.
        double[] rates = [.. File.ReadLines(Path.Combine(PathOf("one"), "log.jsonl")).Select(l => JsonDocument.Parse(l).RootElement).Where(l => l.TryGetProperty("lr", out _)).Select(l => l.GetProperty("lr").GetDouble())];
        Assert.All(rates.Zip(rates.Skip(1)), p => Assert.Equal(Math.Pow(0.01, 1.0 / rates.Length), p.Second / p.First, 1e-6));
        Assert.Contains("holds runs already", Finetune("all", [.. way, "--seeds", "4,2541"]).ErrorLines[^1]);
        // As an interruption in the second seed leaves it.
        byte[] metrics = File.ReadAllBytes(Path.Combine(PathOf("all"), "metrics.json"));
        File.Delete(Path.Combine(PathOf("all"), "metrics.json"));
        Directory.Delete(Path.Combine(PathOf("all"), "seed-2541", "final"), recursive: true);
        Assert.Contains("seed-4/final: finished before", Finetune("all", [.. way, "--seeds", "4,2541"]).Succeeded().Error.Replace('\\', '/'));
        Assert.Equal(metrics, File.ReadAllBytes(Path.Combine(PathOf("all"), "metrics.json")));
        File.Delete(Path.Combine(PathOf("all"), "metrics.json"));
        Assert.Contains("holds a run of other options", Finetune("all", [.. way, "--seeds", "4,2541", "--lr", "1e-5"]).ErrorLines[^1]);
        Assert.Contains("names one seed twice", Finetune("x", [.. way, "--seeds", "4,04"]).ErrorLines[^1]);
        Assert.Contains("has no warm-up", Finetune("x", [.. way, "--warmup", "3"]).ErrorLines[^1]);
        Assert.Contains("--seeds says the seed of each run", Finetune("x", [.. way, "--seeds", "4,5", "--seed", "1"]).ErrorLines[^1]);
        Assert.Contains("at least two", Finetune("x", [.. way, "--seeds", "4"]).ErrorLines[^1]);
    }

    [Fact]
    public void A_frozen_encoder_learns_from_real_rows_and_predicts_new_ones()
    {
        var run = CliRun.Of("finetune", "--model", "random-mamba-6track", "--task", Example, "--target", "halflife", "-o", PathOf("run"), "--freeze", "encoder", "--seed", "1", "--baselines", "probe,kmer3", "--bootstrap", "50", "--test").Succeeded();
        Assert.Contains("90 training and 27 validation rows; 17,409 parameters trained", run.Error);
        var metrics = Json("run", "metrics.json").EnumerateArray().ToArray();
        Assert.All(metrics, m => Assert.Equal(["task", "target", "model", "split", "metric", "value", "low", "high", "n"], m.EnumerateObject().Select(p => p.Name)));
        const string tuned = "random-mamba-6track fine-tuned";
        Assert.Equal([tuned, "random-mamba-6track probe", tuned + " - random-mamba-6track probe", "kmer3", tuned + " - kmer3"], metrics.Select(m => m.GetProperty("model").GetString()).Distinct());
        Assert.Equal([("val", 27), ("test", 20)], metrics.Select(m => (m.GetProperty("split").GetString()!, m.GetProperty("n").GetInt32())).Distinct());
        Assert.Equal(metrics.Length + 1, Rows(run.Out).Length);
        double best = File.ReadLines(Path.Combine(PathOf("run"), "log.jsonl")).Select(l => JsonDocument.Parse(l).RootElement)
            .Where(l => l.TryGetProperty("validation", out _)).Max(l => l.GetProperty("validation").GetProperty("pearson").GetDouble());
        Assert.Equal(best, metrics[0].GetProperty("value").GetDouble(), 1e-9);

        string model = Path.Combine(PathOf("run"), "final"), fasta = Path.Combine(Data, "transcripts.fa.gz"), table = Path.Combine(Data, "transcripts.tsv");
        CliRun.Of("predict", "--model", model, fasta, "--tracks", table, "-o", PathOf("p.tsv"), "--threads", "1").Succeeded();
        string text = File.ReadAllText(PathOf("p.tsv"));
        Assert.Equal(text, CliRun.Of("predict", "--model", model, fasta, "--tracks", table, "-o", "-", "--threads", "2", "--quiet").Succeeded().Out);
        var rows = Rows(text);
        Assert.Equal(35, rows.Length);
        Assert.Equal(["id", "halflife"], rows[0]);
        Assert.All(rows.Skip(1), r => Assert.InRange(float.Parse(r[1], CultureInfo.InvariantCulture), -5, 5));
        Assert.True(rows.Skip(1).Select(r => r[1]).Distinct().Count() > 30);
        // A table's own rows give what its metrics were computed from.
        var own = Rows(CliRun.Of("predict", "--model", model, "--task", Example, "-o", "-", "--quiet").Succeeded().Out);
        Assert.Equal(138, own.Length);
        // An ordinary model, too.
        CliRun.Of("embed", fasta, "--tracks", table, "--model", model, "-o", PathOf("e.npy"), "--quiet").Succeeded();
        Assert.Contains("predicts     halflife (regression, task halflife)", CliRun.Of("info", model).Succeeded().Out);
        var marks = CliRun.Of("predict", "--model", model, fasta, "--cds", "longest-orf", "-o", PathOf("q.tsv")).Succeeded();
        Assert.Contains("trained with marks that are annotated", marks.Error);
    }

    [Theory]
    [InlineData("--freeze", "none")]
    [InlineData("--freeze", "but-last:1")]
    [InlineData("--freeze", "encoder")]
    [InlineData("--lora", "2")]
    public void Threads_and_repetition_give_the_same_files(params string[] way)
    {
        Labelled();
        Finetune("one", [.. way, "--threads", "1", "--seed", "7"]).Succeeded();
        Finetune("two", [.. way, "--threads", "2", "--seed", "7"]).Succeeded();
        foreach (string file in new[] { "log.jsonl", "metrics.json", "options.json", "final/model.safetensors", "final/config.json" })
            Assert.True(File.ReadAllBytes(Path.Combine(PathOf("one"), file)).AsSpan().SequenceEqual(File.ReadAllBytes(Path.Combine(PathOf("two"), file))), file);
        Finetune("other", [.. way, "--seed", "8", "--quiet"]).Succeeded();
        Assert.NotEqual(File.ReadAllBytes(Path.Combine(PathOf("one"), "final/model.safetensors")), File.ReadAllBytes(Path.Combine(PathOf("other"), "final/model.safetensors")));
        Assert.Equal("a,b", Json("one", "options.json").GetProperty("targets").GetString());
    }

    [Fact]
    public void Labels_get_probabilities_and_rows_without_a_value_are_left_out()
    {
        Labelled();
        var run = Finetune("run", "--seed", "2", "--epochs", "12", "--lr", "3e-3").Succeeded();
        Assert.Contains("1 of 48 rows lack a value", run.Error);
        Assert.Contains("multilabel of a, b", run.Error);
        Assert.Contains(Json("run", "metrics.json").EnumerateArray(), m => m.GetProperty("metric").GetString() == "auprc_micro");
        var rows = Rows(CliRun.Of("predict", "--model", Path.Combine(PathOf("run"), "final"), "--task", PathOf("t.tsv"), "-o", "-", "--quiet").Succeeded().Out);
        Assert.Equal(["id", "a", "b"], rows[0]);
        var truth = Rows(File.ReadAllText(PathOf("t.tsv")));
        Assert.Equal(truth.Skip(1).Select(r => r[0]), rows.Skip(1).Select(r => r[0]));
        double[] p = [.. rows.Skip(1).Select(r => double.Parse(r[1], CultureInfo.InvariantCulture))];
        Assert.All(p, v => Assert.InRange(v, 0, 1));
        // The mean of each class, over all rows: those with many G and C have larger ones.
        double Mean(string label) => p.Zip(truth.Skip(1)).Where(x => x.Second[1] == label).Average(x => x.First);
        Assert.True(Mean("1") > Mean("0") + 0.15, $"{Mean("1")} and {Mean("0")}");
    }

    [Fact]
    public void Splits_are_drawn_few_shots_too_and_scratch_forgets_the_model()
    {
        Labelled();
        var run = CliRun.Of("finetune", "--model", "random-mamba-4track", "--task", PathOf("t.tsv"), "--target", "a", "--groups", "group", "--split-seed", "1", "--few-shot", "12", "-o", PathOf("run"),
            "--preset", "supervised-low", "--steps", "4", "--from-scratch", "--bootstrap", "0").Succeeded();
        Assert.Contains("binary of a; 12 training and 8 validation rows", run.Error);
        var options = Json("run", "options.json");
        Assert.Equal(("groups group", 1, 16, 4), (options.GetProperty("split").GetString(), options.GetProperty("split_seed").GetInt32(), options.GetProperty("batch").GetInt32(), options.GetProperty("steps").GetInt32()));
        Assert.Equal("random-64x3-4track", Json("run", "final/config.json").GetProperty("orthrus_task").GetProperty("base").GetString());
    }

    [Fact]
    public void Ctrl_C_leaves_no_model_and_the_same_command_starts_over()
    {
        Labelled();
        var stopped = CliRun.Of(["finetune", "--model", "random-mamba-4track", "--task", PathOf("t.tsv"), "--target", "a", "-o", PathOf("run")], new CancellationToken(canceled: true));
        Assert.Equal(130, stopped.Code);
        Assert.Contains("no model was written", stopped.ErrorLines[^1]);
        Assert.False(Path.Exists(Path.Combine(PathOf("run"), "final")) || Path.Exists(Path.Combine(PathOf("run"), "metrics.json")));
        Finetune("run").Succeeded();
        Finetune("whole").Succeeded();
        Assert.Equal(File.ReadAllBytes(Path.Combine(PathOf("whole"), "final/model.safetensors")), File.ReadAllBytes(Path.Combine(PathOf("run"), "final/model.safetensors")));
        Assert.Equal(File.ReadAllBytes(Path.Combine(PathOf("whole"), "log.jsonl")), File.ReadAllBytes(Path.Combine(PathOf("run"), "log.jsonl")));
        var again = Finetune("run");
        Assert.Equal(3, again.Code);
        Assert.Contains("holds a run already; give another folder", again.ErrorLines[^1]);
        var predicted = CliRun.Of(["predict", "--model", Path.Combine(PathOf("run"), "final"), "--task", PathOf("t.tsv"), "-o", PathOf("p.tsv"), "--quiet"], new CancellationToken(canceled: true));
        Assert.Equal(130, predicted.Code);
        Assert.Empty(Directory.GetFiles(_folder, "p.tsv*"));
    }

    [Theory]
    [InlineData(2, "--task is missing", "--target", "a", "-o", "r")]
    [InlineData(2, "--target is missing", "--task", "t", "-o", "r")]
    [InlineData(2, "--output is missing", "--task", "t", "--target", "a")]
    [InlineData(3, "has no column nosuch", "--task", "t", "--target", "nosuch", "-o", "r")]
    [InlineData(3, "no such model", "--task", "t", "--target", "a", "-o", "r", "--model", "nosuch")]
    [InlineData(3, "reads 6 tracks", "--task", "t", "--target", "a", "-o", "r", "--model", "random-mamba-6track")]
    [InlineData(3, "0 train", "--task", "t", "--target", "a", "-o", "r", "--max-length", "10")]
    [InlineData(3, "fewer than the 1,000 to draw", "--task", "t", "--target", "a", "-o", "r", "--few-shot", "1000")]
    [InlineData(3, "where a label is 0 or 1", "--task", "t", "--target", "group_number", "-o", "r", "--kind", "binary")]
    [InlineData(3, "--kind multilabel", "--task", "t", "--target", "a,b", "-o", "r", "--kind", "binary")]
    [InlineData(2, "there is no preset nosuch", "--task", "t", "--target", "a", "-o", "r", "--preset", "nosuch")]
    [InlineData(2, "--freeze half", "--task", "t", "--target", "a", "-o", "r", "--freeze", "half")]
    [InlineData(2, "has 3", "--task", "t", "--target", "a", "-o", "r", "--freeze", "but-last:4")]
    [InlineData(2, "the encoder, which is frozen", "--task", "t", "--target", "a", "-o", "r", "--freeze", "encoder", "--lora", "4")]
    [InlineData(2, "give some of in_proj", "--task", "t", "--target", "a", "-o", "r", "--lora", "4", "--lora-matrices", "conv1d")]
    [InlineData(2, "belong to --lora", "--task", "t", "--target", "a", "-o", "r", "--lora-alpha", "4")]
    [InlineData(2, "the learning rate is 0", "--task", "t", "--target", "a", "-o", "r", "--lr", "0")]
    [InlineData(2, "give one of the two", "--task", "t", "--target", "a", "-o", "r", "--epochs", "2", "--steps", "5")]
    [InlineData(2, "exclude each other", "--task", "t", "--target", "a", "-o", "r", "--cds", "longest-orf", "--blank-tracks")]
    [InlineData(2, "there is none of this name", "--task", "t", "--target", "a", "-o", "r", "--baselines", "kmer9")]
    [InlineData(2, "would write over the input", "--task", "t", "--target", "a", "-o", "t")]
    [InlineData(2, "--split-seed", "--task", "t", "--target", "a", "-o", "r", "--split-seed", "3")]
    public void Mistakes_of_fine_tuning_are_one_line(int code, string says, params string[] args)
    {
        string table = Labelled();
        File.WriteAllLines(table, File.ReadAllLines(table).Select((l, i) => l + "\t" + (i == 0 ? "group_number" : $"{i}")));
        var run = CliRun.Of(["finetune", .. args.Contains("--model") ? Array.Empty<string>() : ["--model", "random-mamba-4track"], "--quiet", .. args.Select(a => a is "r" or "t" ? a == "t" ? table : PathOf(a) : a)]);
        Assert.Equal(code, run.Code);
        Assert.Contains(says, Assert.Single(run.ErrorLines));
        Assert.False(Directory.Exists(PathOf("r")));
    }

    [Fact]
    public void Mistakes_of_predicting_are_one_line()
    {
        Labelled();
        CliRun.Of("finetune", "--model", "random-mamba-6track", "--task", Example, "--target", "halflife", "-o", PathOf("run"), "--freeze", "encoder", "--epochs", "1", "--bootstrap", "0", "--quiet").Succeeded();
        string model = Path.Combine(PathOf("run"), "final"), fasta = Path.Combine(Data, "transcripts.fa.gz"), table = PathOf("t.tsv"), p = PathOf("p.tsv");
        foreach (var (code, says, args) in new (int, string, string[])[]
        {
            (3, "no fine-tuned head", ["--model", "random-mamba-4track", fasta, "-o", p]),
            (3, "no such model", ["--model", "nosuch", fasta, "-o", p]),
            (3, "neither CDS nor exons", ["--model", model, fasta, "-o", p]),
            (3, "neither cds_start", ["--model", model, "--task", table, "-o", p]),
            (3, "has no column seq", ["--model", model, "--task", Example, "--sequence-column", "seq", "-o", p]),
            (2, "give one of the two", ["--model", model, fasta, "--task", table, "-o", p]),
            (2, "give one of the two", ["--model", model, "--task", table, "--max-length", "100", "-o", p]),
            (2, "--sequence-column belongs", ["--model", model, fasta, "--sequence-column", "s", "-o", p]),
            (2, "--threads 0", ["--model", model, fasta, "--blank-tracks", "--threads", "0", "-o", p]),
            (2, "write over the input", ["--model", model, "--task", table, "-o", table]),
            (2, "write over the input", ["--model", model, "--task", table, "-o", Path.Combine(model, "config.json")]),
            (3, "is a folder", ["--model", model, "--task", Example, "-o", _folder]),
            (3, "does not exist", ["--model", model, "--task", Example, "-o", PathOf("no/p.tsv")]),
            (2, "give a FASTA", ["--model", model, "-o", p]),
        })
        {
            var run = CliRun.Of(["predict", "--quiet", .. args]);
            Assert.Equal((code, says), (run.Code, run.Error.Contains(says, StringComparison.Ordinal) ? says : run.Error));
            Assert.Single(run.ErrorLines);
            Assert.False(File.Exists(p));
            Assert.False(File.Exists(p + ".partial"));
        }
        // A row that breaks the table half way leaves nothing either.
        File.AppendAllText(table, "r99\t1\t1\tg\ttrain\tACG!\n");
        var broken = CliRun.Of("predict", "--quiet", "--model", model, "--task", table, "--blank-tracks", "-o", p);
        Assert.Equal(3, broken.Code);
        Assert.Contains("line 50", Assert.Single(broken.ErrorLines));
        Assert.Empty(Directory.GetFiles(_folder, "p.tsv*"));
    }
}
