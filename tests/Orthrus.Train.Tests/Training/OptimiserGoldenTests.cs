using Orthrus.Autograd;
using Orthrus.Tensor;
using Orthrus.TestSupport;

namespace Orthrus.Train.Tests.Training;

/// <summary>Schedules and whole optimiser runs as PyTorch has them.</summary>
public class OptimiserGoldenTests
{
    public static IEnumerable<TheoryDataRow<string, string>> Cases(string op) => GoldenRun.Rows("train/optim", op);

    [Theory, MemberData(nameof(Cases), "lr_schedule")]
    public void Learning_rate(string name, string dtype)
    {
        var c = GoldenCase.Find("train/optim", name);
        using var run = new GoldenRun(c, dtype);
        var kind = c.Text("kind") switch { "warmup_cosine" => LearningRateKind.WarmupCosine, "linear" => LearningRateKind.Linear, "warmup" => LearningRateKind.Warmup, var k => throw new NotSupportedException(k) };
        var schedule = new LearningRateSchedule(kind, c.Int("total_steps"), c.Bool("warmup_explicit") ? c.Double("warmup_steps") : null);
        run.Matches(c.Outputs["lr"], [.. c.Input("steps").Values.Select(t => c.Double("base_lr") * schedule.Factor((long)t))], 1e-12);
    }

    [Theory, MemberData(nameof(Cases), "weight_decay_anneal")]
    public void Weight_decay(string name, string dtype)
    {
        var c = GoldenCase.Find("train/optim", name);
        using var run = new GoldenRun(c, dtype);
        var schedule = new WeightDecaySchedule(c.Double("max_wd"), c.Double("warmup_steps"), c.Int("total_steps"), c.Int("steps_per_epoch"));
        run.Matches(c.Outputs["weight_decay"], [.. c.Input("steps").Values.Select(t => schedule.At(c.Double("wd0"), (long)t))], 1e-12);
    }

    [Theory, MemberData(nameof(Cases), "optimizer_steps")]
    public void Optimiser_runs(string name, string dtype)
    {
        var c = GoldenCase.Find("train/optim", name);
        using var run = new GoldenRun(c, dtype);
        var module = new Weights([.. c.Inputs.Keys.Where(k => c.HasInput(k + "_grads"))], c, run.Store);
        run.Fill(module);
        var named = module.NamedParameters();
        // The rates are given per step and group, so the groups' own rate is 1 and the factor is the rate; both groups of these cases have their own.
        var groups = c.Attrs.GetProperty("groups").EnumerateArray().Select((g, i) => new ParameterGroup($"group{i}",
            [.. g.GetProperty("params").EnumerateArray().Select(e => named.Single(p => p.Key == e.GetString()))], c.Input($"lr_group{i}").Values[0], GoldenCase.Number(g.GetProperty("weight_decay")))).ToArray();
        double[] betas = [.. c.Attrs.GetProperty("betas").EnumerateArray().Select(GoldenCase.Number)];
        using var optimiser = new Optimiser(run.Device, groups, new()
        {
            Decoupled = c.Text("optimizer") == "adamw", Beta1 = betas[0], Beta2 = betas[1], Eps = c.Double("eps"), ExplicitL2 = c.Double("explicit_l2"),
            ClipNorm = c.HasAttr("clip_norm") ? c.Double("clip_norm") : 0, ClipValue = c.HasAttr("clip_value") ? c.Double("clip_value") : 0,
        });
        var path = named.ToDictionary(p => p.Key, _ => new List<double>());
        for (int t = 0; t < c.Int("steps"); t++)
        {
            double factor = c.Input("lr_group0").Values[t] / groups[0].LearningRate;
            Assert.Equal(c.Input("lr_group1").Values[t], groups[1].LearningRate * factor, 1e-12);
            foreach (var (key, p) in named)
            {
                int n = (int)p.Shape.Count;
                p.NeedGradBuffer().Assign(run.Scope.Reals(c.Input(key + "_grads").Values[(t * n)..((t + 1) * n)], p.Shape, run.DType));
                p.HasGrad = true;
            }
            optimiser.Step(factor);
            foreach (var (key, p) in named) path[key].AddRange(p.Value.ToDoubles());
        }
        var state = optimiser.State().ToDictionary(s => s.Name, s => s.Value);
        foreach (var (key, _) in named)
        {
            run.Matches(c.Outputs[key + "_steps"], [.. path[key]]);
            run.Matches(c.Outputs[key + "_exp_avg"], state["exp_avg." + key].ToDoubles());
            run.Matches(c.Outputs[key + "_exp_avg_sq"], state["exp_avg_sq." + key].ToDoubles());
        }
    }

    private sealed class Weights(string[] names, GoldenCase c, ParameterStore store) : Module
    {
        private readonly (string Name, Parameter Value)[] _all = [.. names.Select(n => (n, store.New(Shape.Of(c.Input(n).Dims))))];

        public override void Visit(ParameterVisitor visitor)
        {
            foreach (var (name, value) in _all) visitor.Parameter(name, value);
        }
    }
}
