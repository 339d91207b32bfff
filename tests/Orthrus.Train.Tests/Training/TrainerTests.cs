using System.Numerics;
using System.Text.Json;
using Orthrus.Mamba;
using Orthrus.Tensor;

namespace Orthrus.Train.Tests.Training;

/// <summary>Runs: the same bytes whatever the threads, stops and deaths in between; what a run leaves behind.</summary>
public sealed class TrainerTests : IDisposable
{
    private static readonly TrainConfig Small = TrainPresets.Find("tiny") with
    {
        Width = 16, Layers = 2, HeadBody = 16, HeadOut = 8, Steps = 12, CheckpointEvery = 5, Keep = 2, ValidateEvery = 4, ValidationBatches = 2, WarmupSteps = 3, Seed = 5,
    };

    private readonly string _root = Directory.CreateTempSubdirectory("orthrus-train-").FullName;

    public void Dispose() => Directory.Delete(_root, recursive: true);

    private string Folder(string name) => Path.Combine(_root, name);

    private static Trainer Open(TrainConfig config, Device device, string folder, bool resume = false) =>
        new(config, device, new Families(24, 6), new Families(24, 6, shift: 1000), folder, resume);

    private static TrainEnd Train(TrainConfig config, string folder, bool resume = false, TrainLimits? limits = null, int threads = 1, Action<TrainProgress>? report = null)
    {
        using var device = new CpuDevice(threads);
        using var trainer = Open(config, device, folder, resume);
        return trainer.Run(limits, report);
    }

    /// <summary>Every file of a run but the event files, whose records hold the time.</summary>
    private static SortedDictionary<string, byte[]> Files(string folder) => new(
        Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories).Select(f => Path.GetRelativePath(folder, f)).Where(f => !f.StartsWith("events", StringComparison.Ordinal))
            .ToDictionary(f => f, f => File.ReadAllBytes(Path.Combine(folder, f))), StringComparer.Ordinal);

    private static void SameFiles(string a, string b)
    {
        var (first, second) = (Files(a), Files(b));
        Assert.Equal(first.Keys, second.Keys);
        foreach (var (name, bytes) in first) Assert.True(bytes.AsSpan().SequenceEqual(second[name]), $"{name} differs");
    }

    private string Whole(TrainConfig config)
    {
        string folder = Folder("whole");
        Assert.Equal(TrainEnd.Finished, Train(config, folder));
        return folder;
    }

    public static TheoryData<string> Kinds => ["contrastive", "masked", "dual ema", "parts accumulated", "ranks", "bases to tracks"];

    private static TrainConfig Kind(string kind) => kind switch
    {
        "masked" => Small with { MaskedBases = true, MaskedBody = 16, ContrastiveEnd = 0.2, MaskedStart = 0.1, WeightSteps = 6, MaskedStatistics = true },
        "dual ema" => Small with { DualHeads = true, OrthologWeight = 0.8, Ema = 0.9, Exempt = true, LargestDecay = 1e-2, StepsPerEpoch = 3 },
        "parts accumulated" => Small with { MicroPairs = 2, Accumulate = 2, Recompute = true, MaskedBases = true, MaskedBody = 16 },
        "ranks" => Small with { VirtualRanks = 2, Gather = GatherGradient.OwnRank, Form = Dcl.Form.Joint, MaskedBases = true, MaskedBody = 16, MicroPairs = 4 },
        "bases to tracks" => Small with { Tracks = 4, SpliceCodon = true, SpliceCodonStart = 2, SpliceCodonEnd = 6, WordLetters = 2, Decoupled = false, ClipValue = 0.1, DclwSigma = 0.5 },
        _ => Small,
    };

    [Theory, MemberData(nameof(Kinds))]
    public void One_thread_and_two_and_a_stop_in_between_give_the_same_bytes(string kind)
    {
        var config = Kind(kind);
        string whole = Whole(config), stopped = Folder("stopped");
        // At 7 there is no regular checkpoint, and it is between two validations.
        Assert.Equal(TrainEnd.Stopped, Train(config, stopped, limits: new() { StopAt = 7 }, threads: 2));
        Assert.False(Directory.Exists(Path.Combine(stopped, "final")));
        Assert.Equal(TrainEnd.Finished, Train(config, stopped, resume: true));
        Assert.Equal(File.ReadAllBytes(Path.Combine(whole, "log.jsonl")), File.ReadAllBytes(Path.Combine(stopped, "log.jsonl")));
        foreach (string file in new[] { "final/model.safetensors", "final/config.json", "checkpoints/step-00000012.safetensors", "config.yaml" })
            Assert.True(File.ReadAllBytes(Path.Combine(whole, file)).AsSpan().SequenceEqual(File.ReadAllBytes(Path.Combine(stopped, file))), $"{file} differs");
    }

    [Theory, MemberData(nameof(Kinds))]
    public void A_checkpoint_reads_as_the_model_that_the_run_would_end_with_there(string kind)
    {
        string folder = Whole(Kind(kind));
        var (final, last) = (OrthrusModel.Load(Path.Combine(folder, "final")), OrthrusModel.Load(Path.Combine(folder, "checkpoints", "step-00000012.safetensors")));
        Assert.Equal(("training", "12", final.Config), (last.Format, last.Provenance["global_step"], last.Config));
        Assert.Equal(final.Encoder.Select(t => t.Name), last.Encoder.Select(t => t.Name));
        foreach (var t in final.Encoder.Concat(final.Heads))
        {
            var other = last.Encoder.Contains(t.Name) ? last.Encoder[t.Name] : last.Heads[t.Name];
            Assert.Equal(t.Shape, other.Shape);
            Assert.Equal(t.ToBytes(), other.ToBytes());
        }
    }

    [Fact]
    public void Two_runs_leave_the_same_files()
    {
        string whole = Whole(Small), again = Folder("again");
        Train(Small, again);
        SameFiles(whole, again);
        Train(Small with { Seed = 6 }, Folder("other"));
        Assert.NotEqual(File.ReadAllBytes(Path.Combine(whole, "final", "model.safetensors")), File.ReadAllBytes(Path.Combine(Folder("other"), "final", "model.safetensors")));
    }

    [Fact]
    public void A_run_that_is_extended_goes_on_as_if_it_had_been_long_from_the_start_where_the_rate_does_not_depend_on_the_steps()
    {
        string whole = Whole(Small), extended = Folder("extended");
        Train(Small with { Steps = 6 }, extended);
        Train(Small, extended, resume: true);
        Assert.Equal(File.ReadAllBytes(Path.Combine(whole, "final", "model.safetensors")), File.ReadAllBytes(Path.Combine(extended, "final", "model.safetensors")));
        Assert.Equal(File.ReadAllBytes(Path.Combine(whole, "log.jsonl")), File.ReadAllBytes(Path.Combine(extended, "log.jsonl")));
    }

    [Fact]
    public void A_run_that_dies_after_any_step_ends_in_the_same_bytes()
    {
        string whole = Whole(Small);
        for (int dies = 1; dies <= 12; dies++)
        {
            string folder = Folder("dies" + dies);
            Assert.Throws<TimeoutException>(() => Train(Small, folder, report: p =>
            {
                if (p.Step == dies) throw new TimeoutException();
            }));
            // What a killed process leaves besides: half a line, half a checkpoint.
            File.AppendAllText(Path.Combine(folder, "log.jsonl"), "{\"step\":13,\"lo");
            File.WriteAllText(Path.Combine(folder, "checkpoints", "step-00000099.safetensors.partial"), "half");
            Assert.Equal(TrainEnd.Finished, Train(Small, folder, resume: true));
            SameFiles(whole, folder);
        }
    }

    [Fact]
    public void A_full_disk_during_a_checkpoint_loses_nothing()
    {
        if (!File.Exists("/dev/full")) Assert.Skip("needs /dev/full");
        string whole = Whole(Small), folder = Folder("full");
        var error = Assert.ThrowsAny<IOException>(() => Train(Small, folder, report: p =>
        {
            if (p.Step == 10) File.CreateSymbolicLink(Path.Combine(folder, "checkpoints", "step-00000010.safetensors.partial"), "/dev/full");
        }));
        Assert.Equal(28, error.HResult);
        Assert.Equal(["step-00000005.safetensors"], Directory.GetFiles(Path.Combine(folder, "checkpoints")).Select(Path.GetFileName));
        Assert.Equal(TrainEnd.Finished, Train(Small, folder, resume: true));
        SameFiles(whole, folder);
    }

    [Fact]
    public void The_last_checkpoints_and_the_best_are_kept()
    {
        string folder = Whole(Small with { CheckpointEvery = 1, ValidateEvery = 2, Keep = 3 });
        using var log = JsonDocument.Parse("[" + string.Join(',', File.ReadAllLines(Path.Combine(folder, "log.jsonl"))) + "]");
        var validated = log.RootElement.EnumerateArray().Where(l => l.TryGetProperty("validation", out _)).Select(l => (Step: l.GetProperty("step").GetInt64(), Loss: l.GetProperty("validation").GetProperty("loss").GetDouble())).ToArray();
        Assert.Equal([2, 4, 6, 8, 10, 12], validated.Select(v => v.Step));
        long best = validated.MinBy(v => v.Loss).Step;
        long[] last = [.. new long[] { 12, 11, 10, 9 }.Where(s => s != best).Take(3)];
        Assert.Equal(last.Append(best).Order().Select(s => $"step-{s:D8}.safetensors"), Directory.GetFiles(Path.Combine(folder, "checkpoints")).Select(Path.GetFileName).Order());
    }

    [Fact]
    public void The_log_has_a_line_a_step_and_the_loss_falls()
    {
        string folder = Whole(Small with { Steps = 60, ModelRate = 5e-3, HeadRate = 5e-3, CheckpointEvery = 0, ValidateEvery = 20 });
        using var log = JsonDocument.Parse("[" + string.Join(',', File.ReadAllLines(Path.Combine(folder, "log.jsonl"))) + "]");
        var lines = log.RootElement.EnumerateArray().ToArray();
        Assert.Equal(Enumerable.Range(1, 60).Select(s => (long)s), lines.Select(l => l.GetProperty("step").GetInt64()));
        double First(string key) => lines.Take(5).Average(l => l.GetProperty(key).GetDouble());
        double Last(string key) => lines.TakeLast(5).Average(l => l.GetProperty(key).GetDouble());
        Assert.True(Last("loss") < First("loss") - 0.5, $"{First("loss")} to {Last("loss")}");
        Assert.True(Last("accuracy") > 0.5, $"{Last("accuracy")}");
        Assert.Equal(0.1 * 5e-3, lines[0].GetProperty("lr").GetDouble(), 1e-12);
        double[] retrieval = [.. lines.Where(l => l.TryGetProperty("validation", out _)).Select(l => l.GetProperty("validation").GetProperty("retrieval").GetDouble())];
        Assert.Equal(3, retrieval.Length);
        Assert.True(retrieval[^1] > 0.4, $"{retrieval[^1]}");
    }

    [Fact]
    public void The_final_folder_is_a_model()
    {
        string folder = Whole(Kind("masked"));
        var model = OrthrusModel.Load(Path.Combine(folder, "final"));
        Assert.Equal((16, 2, 6), (model.Config.DModel, model.Config.NLayer, model.Config.NTracks));
        Assert.True(model.Trained);
        Assert.Equal("sequence_head", Assert.Single(model.DescribeHeads()).Name);
        var checkpoint = SafeTensors.Read(Path.Combine(folder, "checkpoints", "step-00000012.safetensors"), out _);
        foreach (var t in model.Encoder) Assert.Equal(checkpoint["model." + t.Name].ToBytes(), t.ToBytes());
    }

    [Fact]
    public void The_running_mean_of_the_weights_is_the_result_where_there_is_one()
    {
        var config = Small with { Ema = 0.2, Steps = 3, CheckpointEvery = 1, Keep = 9, ValidateEvery = 0 };
        string folder = Whole(config);
        const string name = "model.layers.0.mixer.in_proj.weight";
        using var device = new CpuDevice(1);
        using var store = new Autograd.ParameterStore(device, DType.F32);
        var initial = new PretrainModel(store, config.Encoder, config.Model);
        initial.Initialise(config.Seed);
        float[] want = initial.NamedParameters().Single(p => p.Key == name).Value.Value.ToArray<float>();
        for (int step = 1; step <= 3; step++)
        {
            float[] now = SafeTensors.Read(Path.Combine(folder, "checkpoints", $"step-{step:D8}.safetensors"), out _)[name].ToSingle();
            // The first updates forget faster than the decay says: 1/10, 2/11, then 0.2.
            float kept = step switch { 1 => 1f / 10, 2 => 2f / 11, _ => 0.2f };
            for (int i = 0; i < want.Length; i++) want[i] = kept * want[i] + (1 - kept) * now[i];
        }
        float[] got = OrthrusModel.Load(Path.Combine(folder, "final")).Encoder[name["model.".Length..]].ToSingle();
        for (int i = 0; i < want.Length; i++) Assert.Equal(want[i], got[i], 1e-6f);
    }

    [Fact]
    public void A_run_may_begin_with_the_weights_of_another()
    {
        string first = Whole(Small with { Steps = 2, MaskedBases = true, MaskedBody = 6 });
        string model = Path.Combine(first, "checkpoints", "step-00000002.safetensors");
        var state = SafeTensors.Read(model, out _);
        // Heads that are the same go along: the masked-base head here, not the contrastive one.
        var config = Small with { Steps = 2, MaskedBases = true, MaskedBody = 6, HeadLayers = 2, Init = model, Seed = 9 };
        string folder = Folder("second");
        using var device = new CpuDevice(1);
        using (var trainer = Open(config, device, folder))
        {
            foreach (var (name, p) in trainer.Model.NamedParameters())
            {
                bool same = !name.StartsWith("contrastive_projection_head.", StringComparison.Ordinal);
                if (p.Value.DType == DType.F32 && p.Shape.Rank == 2) Assert.Equal(same, state.Contains(name) && state[name].ToSingle().SequenceEqual(p.Value.ToArray<float>()));
            }
            trainer.Run(new() { StopAt = 1 }, null);
        }
        // It goes on without that model, which may be gone.
        Directory.Delete(first, recursive: true);
        using (var trainer = Open(config, device, folder, resume: true)) Assert.Equal((TrainEnd.Finished, 2), (trainer.Run(null, null), (int)trainer.Step));
        Assert.Contains("  init: \"" + model + "\"", File.ReadAllText(Path.Combine(folder, "config.yaml")));
        Assert.Equal(config, ConfigKeys.Read(new TrainConfig(), "config.yaml", File.ReadAllText(Path.Combine(folder, "config.yaml"))));

        var e = Assert.Throws<CheckpointException>(() => Train(Small with { Init = "random-mamba-6track" }, Folder("third")));
        Assert.Contains("model.width", e.Message);
    }

    [Fact]
    public void A_folder_with_a_run_is_not_written_over_and_another_configuration_does_not_go_on()
    {
        string folder = Whole(Small);
        Assert.Contains("--resume", Assert.Throws<Rna.InputDataException>(() => Train(Small, folder)).Message);
        var e = Assert.Throws<Rna.InputDataException>(() => Train(Small with { Tau = 0.2, ModelRate = 1 }, folder, resume: true));
        Assert.Contains("loss.tau: 0.1, now 0.2, and 1 more", e.Message);
        Assert.Contains("12 steps already", Assert.Throws<Rna.InputDataException>(() => Train(Small with { Steps = 11 }, folder, resume: true)).Message);
    }

    [Fact]
    public void In_bfloat16_too_a_stop_and_another_order_of_blocks_change_no_byte()
    {
        var config = Small with { DType = DType.BF16, Steps = 4, CheckpointEvery = 0, ValidateEvery = 2, MaskedBases = true, MaskedBody = 8, Ema = 0.9 };
        string whole = Folder("whole"), stopped = Folder("stopped");
        Assert.Equal(TrainEnd.Finished, On(1, whole, false, null));
        Assert.Equal(TrainEnd.Stopped, On(2, stopped, false, new() { StopAt = 2 }));
        Assert.Equal(TrainEnd.Finished, On(3, stopped, true, null));
        foreach (string file in new[] { "log.jsonl", "final/model.safetensors", "checkpoints/step-00000004.safetensors" })
            Assert.True(File.ReadAllBytes(Path.Combine(whole, file)).AsSpan().SequenceEqual(File.ReadAllBytes(Path.Combine(stopped, file))), $"{file} differs");
        // Master weights are float32, and so is what is published.
        var final = OrthrusModel.Load(Path.Combine(whole, "final")).Encoder;
        Assert.All(final, t => Assert.Equal(DType.F32, t.DType));
        Assert.Contains(final.SelectMany(t => t.ToSingle()), v => v != (float)(BFloat16)v);

        TrainEnd On(int seed, string folder, bool resume, TrainLimits? limits)
        {
            using var device = PtxSim.SimDriver.Open(new PtxSim.SimOptions { Seed = seed });
            using var trainer = new Trainer(config, device, new Families(24, 4, exon: 6), new Families(24, 4, exon: 6, shift: 1000), folder, resume);
            return trainer.Run(limits, null);
        }
    }

    [Fact]
    public void A_run_goes_on_with_the_corpus_it_was_begun_with_alone()
    {
        string folder = Folder("run");
        Train("mouse", false, 6);
        var before = Files(folder);
        var e = Assert.Throws<Rna.InputDataException>(() => Train("human", true, 8));
        Assert.Contains("begun with another corpus (content mouse, now human)", e.Message);
        Assert.Equal(before.Keys, Files(folder).Keys);
        Train(null, true, 8);
        // What was noted is kept where nobody names a corpus.
        Assert.Throws<Rna.InputDataException>(() => Train("human", true, 12));
        Train("mouse", true, 12);

        void Train(string? corpus, bool resume, long until)
        {
            using var device = new CpuDevice(1);
            using var trainer = new Trainer(Small, device, new Families(24, 6), null, folder, resume, corpus: corpus);
            trainer.Run(new() { StopAt = until });
        }
    }

    [Theory]
    [InlineData("masked"), InlineData("bases to tracks"), InlineData("dual ema"), InlineData("everything")]
    public void Validation_has_every_loss_that_is_trained(string kind)
    {
        var config = kind == "everything" ? Kind("masked") with { Tracks = 4, SpliceCodon = true, WordLetters = 2 } : Kind(kind);
        using var device = new CpuDevice(1);
        using var store = new Autograd.ParameterStore(device, DType.F64);
        var model = new PretrainModel(store, config.Encoder, config.Model);
        model.Initialise(config.Seed);
        // Views have different numbers of positions and of labels.
        TrainBatch[] batches = [.. Enumerable.Range(3, 2).Select(i => TrainBatch.Of(new Families(24, 6).Batch(i), config.Masking, 1, i))];
        var weights = new LossWeights(0.7, 0.4, 0.5, 0.6);
        var found = Validation.Run(model, store, config, weights, batches);
        Assert.Equal(12, found.Pairs);
        double contrast = 0, masked = 0, tracks = 0, words = 0;
        foreach (var batch in batches)
        {
            contrast += Contrast(model, store, config, batch) / batches.Length;
            var (m, t, w) = AlongRows(model, store, batch);
            (masked, tracks, words) = (masked + m / batches.Length, tracks + t / batches.Length, words + w / batches.Length);
        }
        Assert.Equal(contrast, found.Contrastive, 1e-9);
        Assert.Equal(masked, found.MaskedBases, 1e-9);
        Assert.Equal(tracks, found.SpliceCodon, 1e-9);
        Assert.Equal(words, found.Words, 1e-9);
        Assert.Equal((config.MaskedBases, config.SpliceCodon, config.TellsWords), (masked > 0, tracks > 0, words > 0));
        Assert.Equal(0.7 * contrast + 0.4 * masked + 0.5 * tracks + 0.6 * words, found.Loss, 1e-9);
    }

    /// <summary>The contrastive losses of a batch by their formula, from embeddings of one row at a time.</summary>
    private static double Contrast(PretrainModel model, Autograd.ParameterStore store, TrainConfig config, TrainBatch batch)
    {
        int n = batch.Pairs.Pairs;
        using var tape = Autograd.Tape.Off(store.Device);
        using var scope = store.Device.OpenScope();
        var reps = scope.Empty(new Shape(2 * n, config.Width), DType.F64);
        for (int row = 0; row < 2 * n; row++)
        {
            var one = batch.Rows([row]);
            reps.Rows(row, 1).Assign(model.Encoder.Represent(tape, scope.From<byte>(one.Tracks, new Shape(1, one.Length)), scope.From<int>(one.Lengths, new Shape(1))).Value);
        }
        double loss = 0;
        var all = new PairWeights(config.SelfWeight, config.SpliceWeight, config.OrthologWeight);
        foreach (var (head, pairs) in model.DualHeads is { } dual ? [(dual.SpliceSelf, all with { Ortholog = 0 }), (dual.Ortho, new PairWeights(0, 0, all.Ortholog))] : new[] { (model.ContrastiveHead!, all) })
        {
            var z = head.Forward(tape, tape.Constant(reps), training: false).Value;
            int width = z.Shape[1];
            double[] v = z.ToDoubles();
            double Cosine(int a, int b)
            {
                double ab = 0, aa = 0, bb = 0;
                for (int k = 0; k < width; k++) (ab, aa, bb) = (ab + v[a * width + k] * v[b * width + k], aa + v[a * width + k] * v[a * width + k], bb + v[b * width + k] * v[b * width + k]);
                return ab / Math.Sqrt(aa * bb);
            }
            // The sum of logs: negatives of the own view and of the other, the pair itself in neither.
            for (int i = 0; i < n; i++)
                foreach (var (self, other) in new[] { (0, n), (n, 0) })
                {
                    double own = Enumerable.Range(0, n).Where(j => j != i).Sum(j => Math.Exp(Cosine(self + i, self + j) / config.Tau)), cross = Enumerable.Range(0, n).Where(j => j != i).Sum(j => Math.Exp(Cosine(self + i, other + j) / config.Tau));
                    double positive = Cosine(self + i, other + i) / config.Tau;
                    double weight = pairs.Of(batch.Pairs.Kinds[i]);
                    if (config.DclwSigma > 0) weight *= VonMisesFisher(i);
                    loss += (-weight * positive + Math.Log(own) + Math.Log(cross)) / (2 * n);
                }

            // 2 - exp(cosine / sigma) over its mean.
            double VonMisesFisher(int i) => 2 - Math.Exp(Cosine(i, n + i) / config.DclwSigma) / Enumerable.Range(0, n).Average(j => Math.Exp(Cosine(j, n + j) / config.DclwSigma));
        }
        return loss;
    }

    /// <summary>Losses at positions, and of words, from one row at a time: a mean over each view, views added; words over both.</summary>
    private static (double Masked, double Tracks, double Words) AlongRows(PretrainModel model, Autograd.ParameterStore store, TrainBatch batch)
    {
        double masked = 0, tracks = 0, words = 0;
        int n = batch.Pairs.Pairs;
        for (int row = 0; row < 2 * n; row++)
        {
            int first = row / n * n;
            double positions = batch.Pairs.Lengths.Skip(first).Take(n).Sum(), labelled = batch.Labels is null ? 0 : MaskedLanguage.Count(batch.Labels.AsSpan(first * batch.Pairs.Length, n * batch.Pairs.Length));
            using var tape = Autograd.Tape.Off(store.Device);
            using var scope = store.Device.OpenScope();
            var one = batch.Rows([row]);
            Tensor.Tensor track = scope.From<byte>(one.Tracks, new Shape(1, one.Length)), length = scope.From<int>(one.Lengths, new Shape(1));
            var y = model.Encoder.Forward(tape, track, length);
            if (model.SequenceHead is { } sequence)
            {
                double[] logits = sequence.Forward(tape, y, training: false).Value.ToDoubles();
                for (int t = 0; t < one.Length; t++)
                    if (one.Labels![t] != MaskedLanguage.Ignored)
                        masked += (Math.Log(logits.AsSpan(4 * t, 4).ToArray().Sum(Math.Exp)) - logits[4 * t + one.Labels[t]]) / labelled;
            }
            foreach (var (head, bit) in new[] { (model.CodonHead, 4), (model.SpliceHead, 5) })
            {
                if (head is null) continue;
                double[] logits = head.Forward(tape, y, training: false).Value.ToDoubles();
                // Of the bytes before masking.
                for (int t = 0; t < one.Length; t++) tracks += (Math.Log(1 + Math.Exp(logits[t])) - (batch.Pairs.Tracks[row * batch.Pairs.Length + t] >> bit & 1) * logits[t]) / positions;
            }
            if (model.WordHead is not { } word) continue;
            double[] told = word.Forward(tape, model.Encoder.Represent(tape, track, length), training: false).Value.ToDoubles(), want = model.Words.Of(one.Tracks, one.Lengths);
            words += told.Zip(want, (a, b) => (a - b) * (a - b)).Sum() / (2 * n * want.Length);
        }
        return (masked, tracks, words);
    }

    [Fact]
    public void The_best_checkpoint_is_told_by_the_weights_that_losses_have_in_the_end()
    {
        // The weight of the tracks rises: by the weights of each step the first validation would have the smallest sum.
        var config = Kind("bases to tracks") with { SpliceCodonStart = 2, SpliceCodonEnd = 12, SpliceCodonWeight = 100, CheckpointEvery = 1, Keep = 1 };
        string folder = Whole(config);
        var log = File.ReadAllLines(Path.Combine(folder, "log.jsonl")).Select(l => JsonDocument.Parse(l).RootElement).Where(l => l.TryGetProperty("validation", out _)).ToArray();
        double Of(JsonElement line, string name) => line.GetProperty("validation").GetProperty(name).GetDouble();
        Assert.Equal([4, 8, 12], log.Select(l => l.GetProperty("step").GetInt32()));
        Assert.All(log, l => Assert.Equal(Of(l, "contrastive") + 100 * Of(l, "splice_codon") + Of(l, "words"), Of(l, "loss"), 1e-4 * Of(l, "loss")));
        int best = log.MinBy(l => Of(l, "loss")).GetProperty("step").GetInt32();
        Assert.Equal(12, best);
        // By the weights of the steps it would be the first.
        Assert.Equal(4, log.MinBy(l => Of(l, "contrastive") + (l.GetProperty("step").GetInt32() - 2) * 10 * Of(l, "splice_codon") + Of(l, "words")).GetProperty("step").GetInt32());
        // The best, and the last one besides.
        Assert.Equal(new[] { 11, 12 }.Select(s => $"step-{s:D8}.safetensors"), Directory.GetFiles(Path.Combine(folder, "checkpoints")).Select(Path.GetFileName).Order());
    }

    [Fact]
    public void Numbers_that_are_not_finite_stop_the_run_and_change_no_file()
    {
        string folder = Folder("diverges");
        Train(Small, folder, limits: new() { StopAt = 6 });
        var before = Files(folder);
        using var device = new CpuDevice(1);
        using (var trainer = Open(Small, device, folder, resume: true))
        {
            // Finite itself, but products with it are not.
            var weight = trainer.Model.NamedParameters().Single(p => p.Key == "model.layers.1.mixer.in_proj.weight").Value.Value;
            weight.AsSpan<float>().Fill(3e38f);
            var e = Assert.Throws<DivergedException>(() => trainer.Run());
            Assert.Contains("step 7", e.Message);
            Assert.Contains("the result of linear with model.layers.1.mixer.in_proj.weight", e.Message);
            Assert.Matches("pair [0-5], view [01]", e.Message);
            Assert.Contains("last checkpoint is that of step 6", e.Message);
        }
        var after = Files(folder);
        Assert.Equal(before.Keys, after.Keys);
        foreach (var (name, bytes) in before) Assert.True(bytes.AsSpan().SequenceEqual(after[name]), $"{name} was changed");
        Assert.Equal(TrainEnd.Finished, Train(Small, folder, resume: true));
        Assert.Equal(File.ReadAllBytes(Path.Combine(Whole(Small), "final", "model.safetensors")), File.ReadAllBytes(Path.Combine(folder, "final", "model.safetensors")));
    }

    [Fact]
    public void A_gradient_that_is_not_finite_is_named()
    {
        using var device = new CpuDevice(1);
        using var trainer = Open(Small, device, Folder("gradient"));
        // The loss is finite: large activations meet weights that make a tiny projection, whose gradient is divided by its norm and multiplied with the activations.
        Tensor.Tensor Of(string layer) => trainer.Model.NamedParameters().Single(p => p.Key == $"contrastive_projection_head.layers.{layer}.weight").Value.Value;
        Of("3").AsSpan<float>().Fill(1e30f);
        foreach (ref float w in Of("4").AsSpan<float>()) w *= 4e-43f;
        var e = Assert.Throws<DivergedException>(() => trainer.Run());
        Assert.Contains("a gradient of", e.Message);
        Assert.Contains("no checkpoint yet", e.Message);
    }

    [Fact]
    public void Steps_leave_no_memory_in_use()
    {
        using var device = new CpuDevice(1);
        using var trainer = Open(Kind("parts accumulated"), device, Folder("memory"));
        int blocks = 0;
        trainer.Run(report: p =>
        {
            if (p.Step == 2) blocks = device.LiveBlocks;
            else if (p.Step > 2) Assert.Equal(blocks, device.LiveBlocks);
        });
        Assert.True(blocks > 0);
    }
}
