using System.Text.Json;
using Orthrus.TestSupport;

namespace Orthrus.Tensor.Tests;

/// <summary>AdamW and clipping against PyTorch's numbers, step by step, in both precisions.</summary>
public class UpdateGoldenTests
{
    public static IEnumerable<TheoryDataRow<string, string, DType>> Cases(string area, string op)
    {
        // The explicit decay of weights before the step belongs to the trainer.
        foreach (var row in GoldenCase.Names(area, c => c.Op == op && !(c.HasAttr("explicit_l2") && c.Double("explicit_l2") != 0)))
            foreach (var dtype in GoldenDevice.DTypes) yield return new(area, row.Data, dtype);
    }

    [Theory, MemberData(nameof(Cases), "ops", "adamw")]
    public void AdamW_steps(string area, string name, DType dtype)
    {
        var c = GoldenCase.Find(area, name);
        using var call = new GoldenCall(dtype);
        int count = 0;
        while (c.HasInput($"p{count}")) count++;
        Tensor[] p = [.. Enumerable.Range(0, count).Select(k => call.Place(c.Input($"p{k}")))];
        Tensor[] m = [.. p.Select(t => call.Scope.Zeros(t.Shape, dtype))], v = [.. p.Select(t => call.Scope.Zeros(t.Shape, dtype))];
        double[] betas = Numbers(c.Attrs.GetProperty("betas")), factors = Numbers(c.Attrs.GetProperty("lr_factor_per_step"));
        for (int step = 1; step <= c.Int("steps"); step++)
        {
            Tensor[] g = [.. Enumerable.Range(0, count).Select(k => call.Place(c.Input($"g{k}_step{step}")))];
            if (c.HasAttr("clip_global_norm")) Update.Run<ClipGradNorm, ClipGradNorm.Attr>(call.Scope, g, new(c.Double("clip_global_norm")), new Tensor[1]);
            foreach (var group in c.Attrs.GetProperty("groups").EnumerateArray())
            {
                int[] of = [.. group.GetProperty("params").EnumerateArray().Select(e => e.GetInt32())];
                double lr = GoldenCase.Number(group.GetProperty("lr")) * factors[step - 1];
                var attr = new AdamW.Attr(lr, GoldenCase.Number(group.GetProperty("weight_decay")), step, betas[0], betas[1], c.Double("eps"), c.Bool("decoupled_weight_decay", true));
                Update.Run<AdamW, AdamW.Attr>(call.Scope, [.. of.Select(k => p[k]), .. of.Select(k => g[k]), .. of.Select(k => m[k]), .. of.Select(k => v[k])], attr, []);
            }
            for (int k = 0; k < count; k++) call.Matches(c, c.Outputs[$"p{k}_step{step}"], p[k]);
        }
        for (int k = 0; k < count; k++)
        {
            call.Matches(c, c.Outputs[$"exp_avg{k}"], m[k]);
            call.Matches(c, c.Outputs[$"exp_avg_sq{k}"], v[k]);
        }
    }

    [Theory, MemberData(nameof(Cases), "ops", "clip_grad_norm"), MemberData(nameof(Cases), "train/optim", "clip_grad_norm")]
    public void Clip_grad_norm(string area, string name, DType dtype)
    {
        var c = GoldenCase.Find(area, name);
        using var call = new GoldenCall(dtype);
        string[] names = [.. c.Inputs.Keys];
        Tensor[] g = [.. names.Select(n => call.Place(c.Input(n)))];
        var norm = new Tensor[1];
        Update.Run<ClipGradNorm, ClipGradNorm.Attr>(call.Scope, g, new(c.Double("max_norm")), norm);
        call.Matches(c, c.Outputs.TryGetValue("norm", out var key) ? key : c.Outputs["total_norm"], norm[0]);
        for (int k = 0; k < names.Length; k++) call.Matches(c, c.Outputs[names[k]], g[k]);
    }

    [Theory, MemberData(nameof(Cases), "train/optim", "optimizer_steps")]
    public void Optimizer_trajectories(string area, string name, DType dtype)
    {
        var c = GoldenCase.Find(area, name);
        using var call = new GoldenCall(dtype);
        var groups = c.Attrs.GetProperty("groups").EnumerateArray().Select(g => (
            Names: g.GetProperty("params").EnumerateArray().Select(e => e.GetString()!).ToArray(), Decay: GoldenCase.Number(g.GetProperty("weight_decay")))).ToArray();
        string[] names = [.. groups.SelectMany(g => g.Names)];
        var p = names.ToDictionary(n => n, n => call.Place(c.Input(n)));
        var m = names.ToDictionary(n => n, n => call.Scope.Zeros(p[n].Shape, dtype));
        var v = names.ToDictionary(n => n, n => call.Scope.Zeros(p[n].Shape, dtype));
        var path = names.ToDictionary(n => n, n => new List<double>());
        double[] betas = Numbers(c.Attrs.GetProperty("betas"));
        for (int step = 1; step <= c.Int("steps"); step++)
        {
            var g = names.ToDictionary(n => n, n => call.Place(c.Input(n + "_grads").Values[((step - 1) * (int)p[n].Count)..(step * (int)p[n].Count)], p[n].Shape));
            Tensor[] all = [.. names.Select(n => g[n])];
            if (c.HasAttr("clip_norm")) Update.Run<ClipGradNorm, ClipGradNorm.Attr>(call.Scope, all, new(c.Double("clip_norm")), new Tensor[1]);
            if (c.HasAttr("clip_value")) Update.Run<ClipGradValue, ClipGradValue.Attr>(call.Scope, all, new(c.Double("clip_value")), []);
            for (int i = 0; i < groups.Length; i++)
            {
                var of = groups[i].Names;
                double lr = c.Input($"lr_group{i}").Values[step - 1];
                var attr = new AdamW.Attr(lr, groups[i].Decay, step, betas[0], betas[1], c.Double("eps"), c.Text("optimizer") == "adamw");
                Update.Run<AdamW, AdamW.Attr>(call.Scope, [.. of.Select(n => p[n]), .. of.Select(n => g[n]), .. of.Select(n => m[n]), .. of.Select(n => v[n])], attr, []);
            }
            foreach (string n in names) path[n].AddRange(dtype == DType.F32 ? Array.ConvertAll(p[n].ToArray<float>(), x => (double)x) : p[n].ToArray<double>());
        }
        foreach (string n in names)
        {
            call.Matches(c, c.Outputs[n + "_steps"], call.Place([.. path[n]], new Shape(path[n].Count)), 1e-9);
            call.Matches(c, c.Outputs[n + "_exp_avg"], m[n], 1e-9);
            call.Matches(c, c.Outputs[n + "_exp_avg_sq"], v[n], 1e-9);
        }
    }

    private static double[] Numbers(JsonElement e) => [.. e.EnumerateArray().Select(GoldenCase.Number)];
}
