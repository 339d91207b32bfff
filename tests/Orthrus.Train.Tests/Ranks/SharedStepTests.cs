using System.Text.Json;
using Orthrus.Autograd;
using Orthrus.Mamba;
using Orthrus.Tensor;
using Orthrus.Train.Tests.Training;

namespace Orthrus.Train.Tests.Ranks;

/// <summary>Steps and runs that several ranks share: gradients and trajectories of one process, whatever the number of ranks; files written by rank 0 alone.</summary>
public sealed class SharedStepTests : IDisposable
{
    private static readonly TrainConfig Small = TrainPresets.Find("tiny") with
    {
        Width = 16, Layers = 2, HeadBody = 16, HeadOut = 8, Steps = 8, CheckpointEvery = 3, Keep = 9, ValidateEvery = 4, ValidationBatches = 2, WarmupSteps = 3, Seed = 5, DType = DType.F64,
    };

    private readonly string _root = Directory.CreateTempSubdirectory("orthrus-ranks-").FullName;

    public void Dispose() => Directory.Delete(_root, recursive: true);

    private string Folder(string name) => Path.Combine(_root, name);

    private static Dictionary<string, double[]> Gradients(ICollective? ranks, PretrainStepOptions options, PretrainModelOptions model, DType dtype, int batches, int pairs)
    {
        using var device = new CpuDevice(1);
        using var store = new ParameterStore(device, dtype);
        var m = new PretrainModel(store, new MambaConfig(16, 2, 6), model);
        m.Initialise(3);
        using var step = new PretrainStep(m, store, options, ranks);
        TrainBatch[] all = [.. Enumerable.Range(0, batches).Select(b => TrainBatch.Of(new Families(24, pairs + b).Batch(b), model.MaskedLanguageBody > 0 ? new() : null, 9, b))];
        // Twice, as a step of two batches has it.
        double total = 0;
        for (int a = 0; a < 2; a++) total += step.Run(all, new(1, 0.5, 0, 0.7), 0.5).Total;
        step.Reduce();
        var result = m.NamedParameters().Where(p => p.Value.IsBuffer || !p.Value.Grad.IsNone)
            .ToDictionary(p => p.Key, p => p.Value.Value.DType == DType.I64 ? [.. p.Value.Value.ToArray<long>().Select(v => (double)v)] : (p.Value.IsBuffer ? p.Value.Value : p.Value.Grad).ToDoubles());
        result["loss"] = [total];
        return result;
    }

    private static void Close(Dictionary<string, double[]> got, Dictionary<string, double[]> want, double relative)
    {
        Assert.Equal(want.Keys, got.Keys);
        double scale = want.Values.Max(g => g.Max(Math.Abs));
        foreach (var (name, expected) in want)
            for (int i = 0; i < expected.Length; i++)
                Assert.True(Math.Abs(got[name][i] - expected[i]) <= relative * (scale * 0.01 + expected.Max(Math.Abs)), $"{name}[{i}]: {got[name][i]:G9}, want {expected[i]:G9}");
    }

    public static TheoryData<string, int, int, int> Shares()
    {
        var rows = new TheoryData<string, int, int, int>();
        foreach (string kind in new[] { "one head", "two heads", "in parts", "weights of similarity", "words" })
            foreach (int ranks in new[] { 2, 3, 4 }) rows.Add(kind, ranks, 1, 6);
        // More ranks than pairs: some have none.
        rows.Add("one head", 4, 1, 3);
        rows.Add("in parts", 4, 1, 3);
        foreach (string kind in new[] { "one head", "own rank", "masked bases", "in parts" })
            foreach (int ranks in new[] { 2, 3 }) rows.Add(kind, ranks, 3, 4);
        return rows;
    }

    /// <summary>The gradient of the whole batch, whoever encodes which pairs; batches of virtual ranks are of 4, 5 and 6 pairs.</summary>
    [Theory, MemberData(nameof(Shares))]
    public void The_gradient_is_that_of_one_process(string kind, int ranks, int batches, int pairs)
    {
        var model = new PretrainModelOptions { HeadBody = 16, HeadOut = 8, Dual = kind == "two heads", MaskedLanguageBody = kind == "masked bases" ? 16 : 0, WordLetters = kind == "words" ? 2 : 0, WordCodons = kind == "words" };
        var options = new PretrainStepOptions
        {
            MicroPairs = kind == "in parts" ? 2 : 0, Gather = kind == "own rank" ? GatherGradient.OwnRank : GatherGradient.Exact,
            Contrastive = new() { DclwSigma = kind == "weights of similarity" ? 0.5 : 0 }, PairWeights = new(1, 1, 0.8),
        };
        var want = Gradients(null, options, model, DType.F64, batches, pairs);
        var shared = ThreadRanks.Run(ranks, r => Gradients(r, options, model, DType.F64, batches, pairs));
        foreach (var got in shared) Close(got, want, 1e-11);
        // Every rank has the same bits, and again the next time.
        foreach (var got in shared.Skip(1).Concat(ThreadRanks.Run(ranks, r => Gradients(r, options, model, DType.F64, batches, pairs))))
            Assert.All(got, g => Assert.Equal(shared[0][g.Key], g.Value));
        Close(ThreadRanks.Run(ranks, r => Gradients(r, options, model, DType.F32, batches, pairs))[0], want, 2e-4);
    }

    [Fact]
    public void The_masked_base_loss_of_shared_pairs_counts_every_label_once()
    {
        var model = new PretrainModelOptions { HeadBody = 16, HeadOut = 8, MaskedLanguageBody = 16, Contrastive = false };
        double Loss(ICollective? ranks) => Gradients(ranks, new(), model, DType.F64, 1, 6)["loss"][0];
        // The head's batch norm sees a part of the pairs, so that the losses differ a little, but not by a factor.
        double one = Loss(null), two = ThreadRanks.Run(2, Loss)[0];
        Assert.InRange(two / one, 0.9, 1.1);
    }

    private static TrainEnd Train(TrainConfig config, string folder, ICollective? ranks = null, bool resume = false, TrainLimits? limits = null, CancellationToken cancel = default)
    {
        using var device = new CpuDevice(1);
        using var trainer = new Trainer(config, device, new Families(24, 7), new Families(24, 6, shift: 1000), folder, resume, ranks: ranks);
        return trainer.Run(limits, null, cancel);
    }

    /// <summary>Every loss and norm of the log, with a factor on the tolerance.</summary>
    private static (double Value, double Wander)[] Losses(string folder) => [.. File.ReadAllLines(Path.Combine(folder, "log.jsonl")).SelectMany(l =>
    {
        using var json = JsonDocument.Parse(l);
        (double, double)[] training = [(json.RootElement.GetProperty("loss").GetDouble(), 1), (json.RootElement.GetProperty("grad_norm").GetDouble(), 10)];
        // Norms of gradients move with the curvature where the loss hardly does. Biases in front of a batch norm have gradients that are zero but for rounding; Adam makes steps of them. Training does not see these, running statistics follow.
        return json.RootElement.TryGetProperty("validation", out var v) ? [.. training, (v.GetProperty("loss").GetDouble(), 1e3)] : training;
    })];

    private static void SameTrajectory(string a, string b, double relative)
    {
        var (want, got) = (Losses(a), Losses(b));
        Assert.Equal(want.Length, got.Length);
        for (int i = 0; i < want.Length; i++) Assert.True(Math.Abs(got[i].Value - want[i].Value) <= relative * want[i].Wander * Math.Abs(want[i].Value), $"number {i} of the log: {got[i].Value:R}, want {want[i].Value:R}");
    }

    [Theory]
    [InlineData("f64", 2, 1)]
    [InlineData("f64", 4, 1)]
    [InlineData("f32", 2, 1)]
    [InlineData("f32", 4, 1)]
    [InlineData("f64", 2, 3)]
    [InlineData("f64", 3, 3)]
    public void A_trajectory_is_that_of_one_process(string dtype, int ranks, int virtualRanks)
    {
        var config = Small with { DType = dtype == "f32" ? DType.F32 : DType.F64, VirtualRanks = virtualRanks, Gather = virtualRanks > 1 ? GatherGradient.OwnRank : default, Accumulate = 2 };
        Assert.Equal(TrainEnd.Finished, Train(config, Folder("one")));
        Assert.All(ThreadRanks.Run(ranks, r => Train(config, Folder("several"), r)), end => Assert.Equal(TrainEnd.Finished, end));
        SameTrajectory(Folder("one"), Folder("several"), dtype == "f32" ? 1e-5 : 1e-10);
        // The same number of ranks gives the same bytes.
        ThreadRanks.Run(ranks, r => Train(config, Folder("again"), r));
        foreach (string file in new[] { "log.jsonl", "final/model.safetensors", "checkpoints/step-00000008.safetensors" })
            Assert.Equal(File.ReadAllBytes(Path.Combine(Folder("several"), file)), File.ReadAllBytes(Path.Combine(Folder("again"), file)));
    }

    [Fact]
    public void A_run_goes_on_with_another_number_of_ranks()
    {
        Train(Small, Folder("one"));
        string changing = Folder("changing");
        Assert.Equal(TrainEnd.Stopped, Train(Small, changing, limits: new() { StopAt = 3 }));
        Assert.All(ThreadRanks.Run(4, r => Train(Small, changing, r, resume: true, new() { StopAt = 5 })), end => Assert.Equal(TrainEnd.Stopped, end));
        ThreadRanks.Run(2, r => Train(Small, changing, r, resume: true));
        SameTrajectory(Folder("one"), changing, 1e-10);
        // Stopping in between changes no byte where the number stays.
        ThreadRanks.Run(2, r => Train(Small, Folder("two"), r));
        ThreadRanks.Run(2, r => Train(Small, Folder("halves"), r, limits: new() { StopAt = 5 }));
        ThreadRanks.Run(2, r => Train(Small, Folder("halves"), r, resume: true));
        Assert.Equal(File.ReadAllBytes(Path.Combine(Folder("two"), "final", "model.safetensors")), File.ReadAllBytes(Path.Combine(Folder("halves"), "final", "model.safetensors")));
    }

    [Fact]
    public void Ranks_stop_together_whichever_is_told_to()
    {
        using var cancel = new CancellationTokenSource();
        cancel.Cancel();
        var ends = ThreadRanks.Run(3, r => Train(Small, Folder("stopped"), r, cancel: r.Rank == 2 ? cancel.Token : default));
        Assert.All(ends, end => Assert.Equal(TrainEnd.Interrupted, end));
        ends = ThreadRanks.Run(3, r => Train(Small, Folder("stopped"), r, resume: true, new() { StopAt = r.Rank == 1 ? 4 : null }));
        Assert.All(ends, end => Assert.Equal(TrainEnd.Stopped, end));
        Assert.Contains("step-00000004.safetensors", Directory.GetFiles(Path.Combine(Folder("stopped"), "checkpoints")).Select(Path.GetFileName));
    }

    [Fact]
    public void Other_ranks_leave_the_folder_alone()
    {
        ThreadRanks.Run(2, r => Train(Small, Folder($"of-rank-{r.Rank}"), r));
        Assert.True(File.Exists(Path.Combine(Folder("of-rank-0"), "final", "model.safetensors")));
        Assert.False(Directory.Exists(Folder("of-rank-1")));
    }

    [Fact]
    public void What_does_not_fit_together_is_refused()
    {
        Assert.Contains("too few for 3 processes", Assert.Throws<ArgumentException>(() => ThreadRanks.Run(3, r => Train(Small with { VirtualRanks = 2 }, Folder("few"), r))).Message);
        Assert.Contains("rank 1 has another configuration", Assert.Throws<CollectiveException>(() => ThreadRanks.Run(2, r => Train(Small with { Tau = r.Rank == 0 ? 0.1 : 0.2 }, Folder("other"), r))).Message);
    }

    [Fact]
    public void Numbers_that_are_not_finite_are_named_by_rank_0()
    {
        var messages = ThreadRanks.Run(2, r =>
        {
            using var device = new CpuDevice(1);
            using var trainer = new Trainer(Small with { DType = DType.F32 }, device, new Families(24, 7), null, Folder("diverges"), ranks: r);
            trainer.Model.NamedParameters().Single(p => p.Key == "model.layers.1.mixer.in_proj.weight").Value.Value.AsSpan<float>().Fill(3e38f);
            return Assert.Throws<DivergedException>(() => trainer.Run()).Message;
        });
        Assert.Contains("the result of linear with model.layers.1.mixer.in_proj.weight", messages[0]);
        Assert.Matches("pair [0-6], view [01]", messages[0]);
        Assert.Contains("step 1", messages[1]);
    }
}
