using Orthrus.Autograd;
using Orthrus.Mamba;
using Orthrus.Tensor;
using Orthrus.TestSupport;

namespace Orthrus.Train.Tests.Training;

/// <summary>Whole trajectories of pre-training and fine-tuning as PyTorch runs them: losses, gradient norms and rates of every step, weights after the first and the last.</summary>
public class TrajectoryGoldenTests
{
    public static IEnumerable<TheoryDataRow<string, string>> Cases(string op) => GoldenRun.Rows("train", op);

    [Theory, MemberData(nameof(Cases), "train_cl")]
    public void Pre_training(string name, string dtype) => PreTrain(name, dtype, null);

    public static IEnumerable<TheoryDataRow<string, string, int>> SharedCases() =>
        from row in Cases("train_cl") from ranks in new[] { 2, 4 } where row.Data.Item2 == "f64" && !(GoldenCase.Find("train", row.Data.Item1).HasAttr("sequence_head_body") && !GoldenCase.Find("train", row.Data.Item1).HasAttr("world"))
        select new TheoryDataRow<string, string, int>(row.Data.Item1, row.Data.Item2, ranks);

    /// <summary>The same numbers where several processes share a step: pairs of one batch, or the batches of virtual ranks. Batch norms at positions see a process's own pairs, so those cases are left out.</summary>
    [Theory, MemberData(nameof(SharedCases))]
    public void Pre_training_shared_by_processes(string name, string dtype, int processes)
    {
        if (GoldenCase.Find("train", name) is var c && c.HasAttr("world")) processes = Math.Min(processes, c.Int("world"));
        Ranks.ThreadRanks.Run(processes, ranks =>
        {
            PreTrain(name, dtype, ranks);
            return 0;
        });
    }

    private static void PreTrain(string name, string dtype, ICollective? ranks)
    {
        var c = GoldenCase.Find("train", name);
        using var run = new GoldenRun(c, dtype);
        bool masked = c.HasAttr("sequence_head_body"), dual = c.HasAttr("tables");
        var model = new PretrainModel(run.Store, new MambaConfig(c.Int("d"), c.Int("n_layers"), c.Int("n_tracks")), new PretrainModelOptions
        {
            HeadBody = c.Int("head_body"), HeadOut = c.Int("head_out"), HeadLayers = c.Int("head_layers"), Dual = dual,
            MaskedLanguageBody = masked ? c.Int("sequence_head_body") : 0, MaskedLanguageClasses = masked ? c.Int("sequence_head_out") : 4,
        });
        run.Fill(model);
        using var step = new PretrainStep(model, run.Store, new PretrainStepOptions
        {
            Contrastive = new() { Tau = c.Double("tau"), Form = c.Text("form") == "joint" ? Dcl.Form.Joint : Dcl.Form.SumOfLogs },
            PairWeights = Weights(c, dual), Gather = GatherGradient.OwnRank,
        }, ranks);
        using var optimiser = Optimiser(c, run, model.Groups(c.Double("model_lr"), c.Double("model_wd"), c.Double("head_lr"), c.Double("head_wd")));
        var schedule = new LearningRateSchedule(LearningRateKind.WarmupCosine, c.Int("total_steps"));
        var weights = new LossWeights(masked ? c.Double("cl_weight") : 1, masked ? c.Double("mlm_weight") : 0, 0);
        int world = c.HasAttr("world") ? c.Int("world") : 1;
        var history = new Dictionary<string, List<double>>();
        for (int t = 0; t < c.Int("steps"); t++)
        {
            model.ClearGrads();
            TrainBatch[] batches = [.. Enumerable.Range(0, world).Select(r => run.Batch(world == 1 ? $"step{t}." : $"step{t}.rank{r}.", masked))];
            var losses = step.Run(batches, weights);
            step.Reduce();
            Note(history, c, losses, masked, dual, world);
            After(run, model, optimiser, schedule, t, history);
        }
        Compare(run, model, history);
        if (c.Outputs.ContainsKey("probe_representation")) Probe(run, model);
    }

    [Theory, MemberData(nameof(Cases), "train_finetune")]
    public void Fine_tuning(string name, string dtype)
    {
        var c = GoldenCase.Find("train", name);
        using var run = new GoldenRun(c, dtype);
        var model = new FineTuneModel(run.Store, new MambaConfig(c.Int("d"), c.Int("n_layers"), c.Int("n_tracks")), c.Int("head_out"), c.Int("head_body"), c.Int("head_layers"));
        run.Fill(model);
        using var optimiser = Optimiser(c, run, model.Groups(c.Double("model_lr"), c.Double("model_wd"), c.Double("head_lr"), c.Double("head_wd")));
        var schedule = new LearningRateSchedule(LearningRateKind.WarmupCosine, c.Int("total_steps"), c.Double("warmup_steps"));
        var kind = c.Text("loss") == "mse" ? FineTuneLoss.MeanSquaredError : FineTuneLoss.BinaryCrossEntropy;
        var history = new Dictionary<string, List<double>>();
        using var step = new FineTuneStep(model, run.Store);
        for (int t = 0; t < c.Int("steps"); t++)
        {
            model.ClearGrads();
            byte[] tracks = GoldenRun.Bytes(c.Input($"step{t}.x"));
            int[] lengths = c.Input($"step{t}.lengths").ToInt32();
            int width = tracks.Length / lengths.Length;
            double loss = step.Run([.. lengths.Select((l, i) => tracks.AsMemory(i * width, l))], c.Input($"step{t}.target").Values, kind);
            Add(history, "loss", loss);
            After(run, model, optimiser, schedule, t, history);
        }
        Compare(run, model, history);
    }

    private static Optimiser Optimiser(GoldenCase c, GoldenRun run, IReadOnlyList<ParameterGroup> groups)
    {
        double[] betas = [.. c.Attrs.GetProperty("betas").EnumerateArray().Select(GoldenCase.Number)];
        return new(run.Device, groups, new OptimiserOptions
        {
            Beta1 = betas[0], Beta2 = betas[1], Eps = c.Double("eps"), Exempt = c.Bool("exempt"), ClipNorm = c.HasAttr("clip_norm") ? c.Double("clip_norm") : 0,
            ClipValue = c.HasAttr("clip_value") ? c.Double("clip_value") : 0, ExplicitL2 = c.HasAttr("explicit_l2") ? c.Double("explicit_l2") : 0,
        });
    }

    private static PairWeights Weights(GoldenCase c, bool dual)
    {
        if (!dual)
        {
            double[] table = [.. c.Attrs.GetProperty("table").EnumerateArray().Select(GoldenCase.Number)];
            return new(table[0], table[1], table[2]);
        }
        var tables = c.Attrs.GetProperty("tables").EnumerateArray().Select(t => t.EnumerateArray().Select(GoldenCase.Number).ToArray()).ToArray();
        Assert.Equal([0, 0, 0], new[] { tables[0][2], tables[1][0], tables[1][1] });
        return new(tables[0][0], tables[0][1], tables[1][2]);
    }

    private static void Note(Dictionary<string, List<double>> history, GoldenCase c, StepLosses losses, bool masked, bool dual, int world)
    {
        Add(history, "loss", losses.Total);
        if (masked)
        {
            Add(history, "cl_loss", losses.Contrastive[0]);
            Add(history, "mlm_loss", losses.MaskedLanguage);
        }
        if (dual)
        {
            Add(history, "splice_self_loss", losses.Contrastive[0]);
            Add(history, "ortho_loss", losses.Contrastive[1]);
        }
        for (int r = 0; world > 1 && r < world; r++) Add(history, $"loss_rank{r}", losses.Ranks[r]);
    }

    private static void Add(Dictionary<string, List<double>> history, string key, double value)
    {
        if (!history.TryGetValue(key, out var list)) history[key] = list = [];
        list.Add(value);
    }

    /// <summary>The rest of update t: gradients of the first compared, clipping, update, weights after the first compared.</summary>
    private static void After(GoldenRun run, Module model, Optimiser optimiser, LearningRateSchedule schedule, int t, Dictionary<string, List<double>> history)
    {
        var c = run.Case;
        if (t == 0)
            foreach (var (name, p) in model.NamedParameters())
                if (!p.Grad.IsNone && c.Grads.TryGetValue("step0." + name, out string? key)) run.Matches(key, p.Grad.ToDoubles());
        Add(history, "grad_norm", optimiser.GradientNorm());
        Add(history, "lr", c.Double("model_lr") * schedule.Factor(t));
        optimiser.Step(schedule.Factor(t));
        if (t == 0) run.MatchesParameters("after_step1.", model);
    }

    private static void Compare(GoldenRun run, Module model, Dictionary<string, List<double>> history)
    {
        foreach (var (key, values) in history)
            if (key.EndsWith("loss", StringComparison.Ordinal) && key == "loss") run.MatchesLosses(key, values);
            else run.Matches(run.Case.Outputs[key], [.. values]);
        run.MatchesParameters("final.", model);
    }

    /// <summary>The trained model on a batch it has not seen, with running statistics.</summary>
    private static void Probe(GoldenRun run, PretrainModel model)
    {
        var c = run.Case;
        using var tape = Tape.Off(run.Device);
        var x = c.Input("probe.x");
        var tracks = run.Scope.From<byte>(GoldenRun.Bytes(x), new Shape(x.Dims[0], x.Dims[1]));
        var lengths = run.Scope.From<int>(c.Input("probe.lengths").ToInt32(), new Shape(x.Dims[0]));
        var y = model.Encoder.Forward(tape, tracks, lengths);
        var rep = tape.Apply<MaskedMeanPool, NoAttr>([y, tape.Constant(lengths)]);
        run.Matches(c.Outputs["probe_representation"], rep.Value.ToDoubles(), run.Following);
        foreach (var (head, key) in new[] { (model.ContrastiveHead, "probe_contrastive_projection_head.projection_eval"), (model.DualHeads?.SpliceSelf, "probe_splice_self_head.projection_eval"), (model.DualHeads?.Ortho, "probe_ortho_head.projection_eval") })
            if (head is not null) run.Matches(c.Outputs[key], head.Forward(tape, rep, training: false).Value.ToDoubles(), run.Following);
        if (model.SequenceHead is { } sequence) run.Matches(c.Outputs["probe_logits_eval"], sequence.Forward(tape, y, training: false).Value.ToDoubles(), run.Following);
    }
}
