using System.Globalization;
using System.Text;
using Orthrus.Mamba;
using Orthrus.Rna;
using Orthrus.Tensor;
using Orthrus.Train.Probing;

namespace Orthrus.Train.Tests.FineTuning;

/// <summary>Whole runs of fine-tuning on small tables: what they give, choose, freeze and refuse.</summary>
public sealed class FineTunerTests : IDisposable
{
    private static readonly MambaConfig Small = new(16, 2, 4);
    private static readonly FineTuneOptions Quick = new() { Batch = 12, Epochs = 4, HeadBody = 16, Seed = 3 };

    private readonly string _folder = Directory.CreateTempSubdirectory("orthrus-finetune-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    /// <summary>Sequences of differing GC content, from which the targets follow.</summary>
    private ProbeTable Table(string columns, Func<double, int, string> values, int rows = 60, Func<int, string>? part = null)
    {
        var random = new Random(3);
        var text = new StringBuilder($"id\t{columns}\tsplit\tsequence\n");
        for (int i = 0; i < rows; i++)
        {
            double gc = random.NextDouble();
            text.Append(CultureInfo.InvariantCulture, $"r{i}\t{values(gc, i)}\t{(part ?? (k => k % 4 == 3 ? "valid" : k % 4 == 2 ? "test" : "train"))(i)}\t");
            int length = 20 + random.Next(40);
            for (int k = 0; k < length; k++) text.Append(random.NextDouble() < gc ? "GC"[random.Next(2)] : "AT"[random.Next(2)]);
            text.Append('\n');
        }
        string path = Path.Combine(_folder, "t.tsv");
        File.WriteAllText(path, text.ToString());
        return ProbeTable.Read(path, new ProbeColumns { Targets = columns.Split('\t'), Split = "split" }, CdsPolicy.Annotated);
    }

    private ProbeTable Regression() => Table("y", (gc, _) => (1000 + 50 * gc).ToString("R", CultureInfo.InvariantCulture));

    private ProbeTable Multilabel() => Table("a\tb\tc", (gc, i) => $"{(gc > 0.5 ? 1 : 0)}\t{(gc < 0.7 ? 1 : 0)}\t{(i % 5 == 0 ? 1 : 0)}");

    private static OrthrusModel Model(MambaConfig? config = null) => OrthrusModel.Create(config ?? Small, seed: 1);

    private FineTuneResult Run(ProbeTable table, FineTuneOptions options, int threads = 1, string? log = null, List<FineTuneProgress>? steps = null, OrthrusModel? model = null)
    {
        using var device = new CpuDevice(threads);
        using var tuner = new FineTuner(model ?? Model(), table, options, device);
        return tuner.Run(log is null ? null : Path.Combine(_folder, log), steps is null ? null : steps.Add, TestContext.Current.CancellationToken);
    }

    private string Saved(FineTuneResult result, string name)
    {
        string folder = Path.Combine(_folder, name);
        result.Model.SaveHuggingFace(folder);
        return folder;
    }

    private static byte[] Bytes(OrthrusModel model) => [.. model.Encoder.Concat(model.Heads).SelectMany(t => t.ToBytes())];

    public static TheoryData<string> Ways => ["all", "last", "head", "lora", "few", "crop"];

    private static FineTuneOptions Way(string way) => way switch
    {
        "last" => Quick with { TrainedLayers = 1 },
        "head" => Quick with { TrainedLayers = 0 },
        "lora" => Quick with { Lora = new() { Rank = 2 }, HeadLayers = 1 },
        "few" => Quick with { FewShot = 20, Standardise = false },
        "crop" => Quick with { MaxLength = 30, Crop = true, ActivationBytes = 0 },
        _ => Quick,
    };

    [Theory, MemberData(nameof(Ways))]
    public void Threads_and_repetition_change_no_bit(string way)
    {
        var table = Regression();
        var first = Run(table, Way(way), threads: 1, log: "one");
        var second = Run(table, Way(way) with { ActivationBytes = 1 << 20 }, threads: 2, log: "two");
        Assert.Equal(Bytes(first.Model), Bytes(second.Model));
        Assert.Equal(first.Predictions, second.Predictions);
        Assert.Equal(File.ReadAllBytes(Path.Combine(_folder, "one", "log.jsonl")), File.ReadAllBytes(Path.Combine(_folder, "two", "log.jsonl")));
        Assert.NotEqual(Bytes(first.Model), Bytes(Run(table, Way(way) with { Seed = 4 }).Model));
    }

    [Theory, MemberData(nameof(Ways))]
    public void The_saved_model_predicts_what_the_run_saw(string way)
    {
        var table = Regression();
        var result = Run(table, Way(way) with { Test = true });
        using var predictor = Predictor.Load(Saved(result, way), new EmbedderOptions { Threads = 2 });
        double[] got = [.. predictor.PredictAll(table.Transcripts, t => t.Tracks).Select(p => Assert.Single(p.Values))];
        int known = 0;
        for (int row = 0; row < table.Rows; row++)
        {
            if (double.IsNaN(result.Predictions[row])) continue;
            Assert.Equal(result.Predictions[row], got[row]);
            Assert.Equal(got[row], predictor.Predict(table.Transcripts[row].Tracks)[0]);
            known++;
        }
        Assert.Equal(30, known);
        // The units of the table: its values are about 1000, which the head alone could not reach in so few steps.
        if (Way(way).Standardise) Assert.All(got, v => Assert.InRange(v, 900, 1150));
        Assert.Equal(("y", "regression"), (predictor.Task.Targets[0], predictor.Task.Kind.ToString().ToLowerInvariant()));
        Assert.Equal(Way(way).Standardise ? 1 : 0, predictor.Task.Mean.Count);
    }

    [Fact]
    public void Only_what_is_trained_changes()
    {
        var table = Regression();
        var start = Model();
        string[] Changed(FineTuneOptions options) =>
            [.. Run(table, options).Model.Encoder.Where(t => !t.ToBytes().AsSpan().SequenceEqual(start.Encoder[t.Name].ToBytes())).Select(t => t.Name)];
        Assert.Empty(Changed(Way("head")));
        Assert.All(Changed(Way("last")), n => Assert.True(n.StartsWith("layers.1.", StringComparison.Ordinal) || n.StartsWith("norm_f", StringComparison.Ordinal), n));
        Assert.Equal(start.Encoder.Count, Changed(Quick).Length);
        Assert.Equal(["layers.1.mixer.in_proj.weight", "layers.1.mixer.out_proj.weight"], Changed(Way("lora") with { TrainedLayers = 1, Lora = new() { Rank = 2, Matrices = ["out_proj", "in_proj"] } }));
        Assert.False(Run(table, Way("head")).Model.Trained);
        Assert.True(Run(table, Quick).Model.Trained);
    }

    [Fact]
    public void The_best_weights_come_back_and_patience_ends_the_run()
    {
        var table = Regression();
        // A rate at which this run gets worse again.
        var options = Quick with { LearningRate = 0.05, HeadLearningRate = 0.05, Schedule = LearningRateKind.Constant, Epochs = 30, Patience = 3, WeightDecay = 0 };
        var steps = new List<FineTuneProgress>();
        var result = Run(table, options, steps: steps);
        var validations = steps.Select(s => s.Validation).OfType<FineTuneValidation>().ToList();
        Assert.True(result.StoppedEarly);
        Assert.Equal(3, validations.Count - 1 - validations.IndexOf(result.Best));
        Assert.Equal(validations.Max(v => v.Score), result.Best.Score);
        Assert.True(result.Best.Step < result.Steps);
        int[] rows = [.. Enumerable.Range(0, table.Rows).Where(r => table.PartOf(r) == Part.Validation)];
        double[] predicted = [.. rows.Select(r => result.Predictions[r])], truth = [.. rows.Select(r => table.Target(r, 0))];
        Assert.Equal(result.Best.Score, Metrics.Pearson(predicted, truth), 1e-12);
        // Running to the same step and no further gives the same model.
        var shorter = Run(table, options with { Steps = (int)result.Best.Step, ValidateEvery = (int)result.Best.Step });
        Assert.Equal(Bytes(result.Model), Bytes(shorter.Model));
        Assert.False(Run(table, options with { Patience = 0, Epochs = 6 }).StoppedEarly);
    }

    [Theory]
    [InlineData("all")]
    [InlineData("lora")]
    public void Labels_are_learnt_and_are_probabilities(string way)
    {
        var table = Multilabel();
        var result = Run(table, Way(way) with { Epochs = 12, LearningRate = 3e-3, Patience = 0 });
        using var device = new CpuDevice(1);
        var rows = Probe.Run(result.Table, [new RowPredictions("tuned", result.Predictions)], [FeatureSet.Baseline("kmer3", table.Transcripts)], new ProbeOptions { Task = "t", Resamples = 20 }, device, _ => { }, TestContext.Current.CancellationToken);
        Assert.True(rows.First(r => r is { Model: "tuned", Target: "a", Metric: "auroc" }).Value > 0.9);
        Assert.Equal(["tuned", "kmer3", "tuned - kmer3"], rows.Select(r => r.Model).Distinct());
        Assert.Equal(result.Best.Score, rows.First(r => r is { Model: "tuned", Metric: "auprc_micro" }).Value, 1e-12);
        using var predictor = new Predictor(result.Model);
        Assert.All(predictor.PredictAll(table.Transcripts, t => t.Tracks), p =>
        {
            Assert.Equal(3, p.Values.Length);
            Assert.All(p.Values, v => Assert.InRange(v, 0, 1));
        });
        Assert.Equal(PredictionKind.Multilabel, predictor.Task.Kind);
    }

    [Fact]
    public void Few_shot_rows_are_the_first_of_numpys_permutation_until_every_label_is_there()
    {
        var table = Regression();
        int[] train = [.. Enumerable.Range(0, table.Rows).Where(r => table.PartOf(r) == Part.Train)];
        int[] drawn = FineTuneData.Draw(table, train, 7, 2541, ProbeKind.Regression);
        Assert.Equal(MersenneTwister.NumPy(2541).Permutation(train.Length).Take(7).Select(i => train[i]), drawn);
        // One row in thirty has the rare label: a draw of six rarely holds one.
        var rare = Table("a\tb", (gc, i) => $"{(gc > 0.5 ? 1 : 0)}\t{(i is 8 or 41 ? 1 : 0)}");
        int redrawn = 0;
        for (uint seed = 0; seed < 10; seed++)
        {
            int[] rows = FineTuneData.Draw(rare, train, 6, seed, ProbeKind.Multilabel);
            Assert.Equal(6, rows.Distinct().Count());
            Assert.Contains(rows, r => rare.Target(r, 1) == 1);
            Assert.Equal(rows, FineTuneData.Draw(rare, train, 6, seed, ProbeKind.Multilabel));
            if (!rows.SequenceEqual(MersenneTwister.NumPy(seed).Permutation(train.Length).Take(6).Select(i => train[i]))) redrawn++;
        }
        Assert.True(redrawn > 0);
        var error = Assert.Throws<InputDataException>(() => FineTuneData.Draw(table, train, 31, 0, ProbeKind.Regression));
        Assert.Contains("30 usable training rows, fewer than the 31", error.Message);
    }

    [Fact]
    public void Every_epoch_has_every_row_once_and_no_batch_a_single_one()
    {
        foreach (int count in new[] { 2, 12, 13, 25, 30 })
        {
            var batches = new FineTuneBatches([.. Enumerable.Range(100, count)], 12, seed: 1);
            var orders = new List<string>();
            for (int epoch = 0; epoch < 3; epoch++)
            {
                int[][] all = [.. Enumerable.Range(0, batches.PerEpoch).Select(b => batches.Of((long)epoch * batches.PerEpoch + b))];
                Assert.Equal(Enumerable.Range(100, count), all.SelectMany(b => b).Order());
                Assert.All(all, b => Assert.InRange(b.Length, 2, 13));
                orders.Add(string.Join(' ', all.SelectMany(b => b)));
            }
            if (count > 2) Assert.Equal(3, orders.Distinct().Count());
        }
    }

    [Theory]
    [InlineData("no parts", "0 train")]
    [InlineData("no validation", "0 validation")]
    [InlineData("one class", "one class only")]
    [InlineData("no labels", "where a label is 0 or 1")]
    [InlineData("too long", "0 train, 0 validation")]
    [InlineData("several", "--kind multilabel")]
    public void Rows_that_cannot_be_trained_on_are_refused(string what, string says)
    {
        var table = what switch
        {
            "no parts" => Table("y", (gc, _) => $"{gc:F3}", part: _ => "valid"),
            "no validation" => Table("y", (gc, _) => $"{gc:F3}", part: _ => "train"),
            "one class" => Table("y", (_, i) => i % 4 == 3 ? "1" : "0"),
            "several" => Multilabel(),
            _ => Regression(),
        };
        ProbeKind? kind = what switch { "no labels" or "several" => ProbeKind.Binary, _ => null };
        var error = Assert.Throws<InputDataException>(() => Run(table, Quick with { Kind = kind, MaxLength = what == "too long" ? 5 : 30_000 }));
        Assert.Contains(says, error.Message);
        Assert.Contains("t.tsv", error.Message);
    }

    [Fact]
    public void Numbers_that_overflow_stop_the_run()
    {
        var table = Table("y", (gc, _) => (1e38 * gc).ToString("R", CultureInfo.InvariantCulture));
        var error = Assert.Throws<DivergedException>(() => Run(table, Quick with { Standardise = false }));
        Assert.Contains("step 1: the loss is", error.Message);
    }

    [Fact]
    public void Options_that_make_no_sense_are_refused()
    {
        foreach (var options in new[]
        {
            Quick with { LearningRate = 0 }, Quick with { Batch = 1 }, Quick with { Lora = new() { Rank = 0 } }, Quick with { Lora = new() { Matrices = ["conv1d"] } }, Quick with { Lora = new(), TrainedLayers = 0 },
            Quick with { TrainedLayers = 3 }, Quick with { FewShot = 1 }, Quick with { WeightDecay = 1 }, Quick with { Steps = 0 },
        })
            Assert.Throws<ArgumentException>(() => Run(Regression(), options));
        Assert.Contains("half-life", Assert.Throws<ArgumentException>(() => FineTunePresets.Find("halflife")).Message);
    }

    [Theory]
    [InlineData("half-life", null, 64, 10_000)]
    [InlineData("half-life", 3000, 64, 3000)]
    [InlineData("half-life", 300, 64, 1000)]
    [InlineData("half-life", 100, 32, 2000)]
    [InlineData("localisation", 30, 16, 2000)]
    [InlineData("ribosome-load", 10, 16, 2000)]
    [InlineData("eclip", null, 64, 3000)]
    [InlineData("eclip", 1000, 64, 500)]
    [InlineData("eclip", 30, 16, 200)]
    [InlineData("lora", 300, 64, null)]
    public void Presets_have_the_published_batches_and_steps(string name, int? few, int batch, int? steps)
    {
        var options = FineTunePresets.Find(name, few);
        Assert.Equal((batch, steps, few), (options.Batch, options.Steps, options.FewShot));
        options.Validate();
    }

    [Fact]
    public void A_model_without_a_head_gives_no_predictions()
    {
        var error = Assert.Throws<CheckpointException>(() => new Predictor(Model()));
        Assert.Contains("no fine-tuned head", error.Message);
        // A saved encoder with a contrastive head is none either.
        var plain = Model();
        plain.SaveHuggingFace(Path.Combine(_folder, "plain"));
        Assert.Contains("orthrus finetune", Assert.Throws<CheckpointException>(() => Predictor.Load(Path.Combine(_folder, "plain"))).Message);
    }

    [Theory]
    [InlineData("\"kind\": \"regression\"", "\"kind\": \"ranking\"", "orthrus_task.kind")]
    [InlineData("\"y\"", "\"y\", \"z\"", "orthrus_task.mean")]
    [InlineData("\"crop\": 0", "\"crop\": -1", "orthrus_task.crop")]
    [InlineData("\"targets\": [", "\"targets\": [1, ", "orthrus_task.targets")]
    [InlineData("\"scale\": [", "\"scale\": [1, ", "orthrus_task.scale")]
    public void A_damaged_task_is_named(string from, string to, string key)
    {
        string folder = Saved(Run(Regression(), Quick with { Epochs = 1 }), "damaged"), config = Path.Combine(folder, "config.json");
        string text = File.ReadAllText(config);
        Assert.Contains(from, text);
        File.WriteAllText(config, text.Replace(from, to));
        var error = Assert.Throws<CheckpointException>(() => Predictor.Load(folder));
        Assert.Contains(key, error.Message);
        Assert.Contains("config.json", error.Message);
    }

    [Fact]
    public void Weights_and_configuration_of_two_runs_are_told_apart()
    {
        string one = Saved(Run(Regression(), Quick with { Epochs = 1 }), "one"), three = Saved(Run(Multilabel(), Quick with { Epochs = 1 }), "three");
        File.Copy(Path.Combine(three, "config.json"), Path.Combine(one, "config.json"), overwrite: true);
        Assert.Contains("want 16 to 3", Assert.Throws<CheckpointException>(() => Predictor.Load(one)).Message);
    }

    [Fact]
    public void Six_tracks_and_both_directions_train_as_well()
    {
        foreach (var config in new[] { new MambaConfig(16, 2, 6), new MambaConfig(16, 2, 4) { Bidirectional = true } })
        {
            var result = Run(Regression(), Way("lora"), model: Model(config));
            Assert.Equal(config.NTracks == 4 ? "none" : "annotated", result.Model.Task!.Marks);
            using var predictor = Predictor.Load(Saved(result, $"c{config.NTracks}"));
            Assert.Equal(result.Predictions[3], predictor.Predict(result.Table.Transcripts[3].Tracks)[0]);
        }
    }
}
