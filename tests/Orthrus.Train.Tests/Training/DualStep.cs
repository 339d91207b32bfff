using Orthrus.Autograd;
using Orthrus.Mamba;
using Orthrus.Tensor;

namespace Orthrus.Train.Tests.Training;

/// <summary>Numbers with their shape, for the specification of a whole step.</summary>
internal sealed record Field<R>(R[] Values, Shape Shape) where R : struct, IReal<R>
{
    internal Field<R> Rows(int from, int count)
    {
        int row = Values.Length / Shape[0];
        return new(Values[(from * row)..((from + count) * row)], Shape.Rank switch { 1 => new(count), 2 => new(count, Shape[1]), _ => new(count, Shape[1], Shape[2]) });
    }
}

/// <summary>
/// A training step (encoder, heads, losses) as its operators' specifications, over any number type: with dual numbers the exact derivative of the loss along a direction
/// of the parameters. Nothing of the tape, the kernels or the trainer is in it.
/// </summary>
internal sealed class DualStep<R>(MambaConfig config, Func<string, Field<R>> weight) where R : struct, IReal<R>
{
    private const double Eps = 1e-5;

    private static Field<R>[] Apply<TOp, TAttr>(TAttr attr, params object?[] operands) where TOp : IOp<TAttr> where TAttr : unmanaged
    {
        var specs = operands.Select(o => o switch { Field<R> f => new TensorSpec(f.Shape, DType.F64), (long[] values, Shape shape) => new TensorSpec(shape, values.Length > 0 && typeof(TOp) == typeof(TrackEmbedding) ? DType.U8 : DType.I32), _ => TensorSpec.Absent }).ToArray();
        var rule = Op.Infer<TOp, TAttr>(specs, attr);
        var outputs = new R[]?[TOp.Signature.Outputs.Length];
        for (int i = 0; i < outputs.Length; i++)
        {
            if (!rule.OutSpec(i).Present) continue;
            outputs[i] = new R[rule.OutSpec(i).Shape.Count];
            Array.Fill(outputs[i]!, R.From(0));
        }
        TOp.Reference(new RefArgs<R>([.. operands.Select(o => (o as Field<R>)?.Values)], [.. operands.Select(o => o is (long[] values, Shape _) ? values : null)], outputs, rule), attr);
        return [.. outputs.Select((o, i) => o is null ? null! : new Field<R>(o, rule.OutSpec(i).Shape))];
    }

    private Field<R> Linear(Field<R> x, Field<R> w, string? bias = null) => Apply<Linear, NoAttr>(default, x, w, bias is null ? null : weight(bias))[0];

    private Field<R> Mixer(Field<R> u, string p)
    {
        int e = config.DInner, rank = config.DtRank, n = config.DState;
        Field<R> inProj = weight(p + "in_proj.weight"), xProj = weight(p + "x_proj.weight"), kernel = weight(p + "conv1d.weight");
        Field<R> x = Linear(u, inProj.Rows(0, e)), z = Linear(u, inProj.Rows(e, e));
        var c = Apply<CausalConv1d, CausalConv1d.Attr>(default, x, kernel with { Shape = new Shape(e, config.DConv) }, weight(p + "conv1d.bias"), null)[0];
        var delta = Linear(Linear(c, xProj.Rows(0, rank)), weight(p + "dt_proj.weight"));
        var g = Apply<SelectiveScan, SelectiveScan.Attr>(default, c, delta, weight(p + "A_log"), Linear(c, xProj.Rows(rank, n)), Linear(c, xProj.Rows(rank + n, n)), weight(p + "D"), z, weight(p + "dt_proj.bias"), null)[0];
        return Linear(g, weight(p + "out_proj.weight"));
    }

    private Field<R> Encode(byte[] tracks, int rows)
    {
        var bytes = (Array.ConvertAll(tracks, b => (long)b), new Shape(rows, tracks.Length / rows));
        var h = Apply<TrackEmbedding, NoAttr>(default, bytes, weight("model.embedding.weight"), weight("model.embedding.bias"))[0];
        var residual = h;
        for (int i = 0; i < config.NLayer; i++)
        {
            string p = $"model.layers.{i}.";
            var u = i == 0
                ? Apply<LayerNorm, LayerNorm.Attr>(new(Eps), h, weight(p + "norm.weight"), weight(p + "norm.bias"))[0]
                : Norm(p + "norm.", ref residual, h);
            h = Mixer(u, p + "mixer.");
        }
        return Norm("model.norm_f.", ref residual, h);

        Field<R> Norm(string p, ref Field<R> stream, Field<R> add)
        {
            var both = Apply<AddLayerNorm, AddLayerNorm.Attr>(new(Eps), add, stream, weight(p + "weight"), weight(p + "bias"));
            stream = both[1];
            return both[0];
        }
    }

    private Field<R> Normed(Field<R> x, string p, bool relu = true)
    {
        var y = Apply<BatchNorm, BatchNorm.Attr>(new(true), x, weight(p + "weight"), weight(p + "bias"), null, null, null)[0];
        return relu ? Apply<ReLU, NoAttr>(default, y)[0] : y;
    }

    private Field<R> Project(Field<R> x, string p)
    {
        x = Normed(Linear(x, weight(p + "layers.0.weight"), p + "layers.0.bias"), p + "layers.1.");
        x = Normed(Linear(x, weight(p + "layers.2.weight"), p + "layers.2.bias"), p + "layers.3.");
        return Apply<L2Normalize, L2Normalize.Attr>(L2Normalize.Attr.Default, Linear(x, weight(p + "layers.4.weight")))[0];
    }

    /// <summary>The loss of fine-tuning: encoder, mean over positions, head of two layers.</summary>
    internal R FineTune(byte[] tracks, int[] lengths, double[] targets, FineTuneLoss kind)
    {
        int n = lengths.Length;
        var rep = Apply<MaskedMeanPool, NoAttr>(default, Encode(tracks, n), (Array.ConvertAll(lengths, l => (long)l), new Shape(n)))[0];
        const string head = "projection_head.";
        var x = Normed(Linear(rep, weight(head + "layers.0.weight"), head + "layers.0.bias"), head + "layers.1.");
        var y = Linear(x, weight(head + "layers.2.weight"), head + "layers.2.bias");
        var target = new Field<R>([.. targets.Select(R.From)], y.Shape);
        return kind == FineTuneLoss.MeanSquaredError ? Apply<Mse, Mse.Attr>(new(Reduction.Mean), y, target)[0].Values[0] : Apply<BceWithLogits, BceWithLogits.Attr>(new(Reduction.Mean), y, target)[0].Values[0];
    }

    /// <summary>The weighted loss.</summary>
    internal R Loss(TrainBatch batch, PairWeights pairs, ContrastiveOptions options, LossWeights weights)
    {
        int n = batch.Pairs.Pairs;
        var y = Encode(batch.Tracks, 2 * n);
        var rep = Apply<MaskedMeanPool, NoAttr>(default, y, (Array.ConvertAll(batch.Pairs.Lengths, l => (long)l), new Shape(2 * n)))[0];
        const string head = "contrastive_projection_head.";
        Field<R> z0 = Project(rep.Rows(0, n), head), z1 = Project(rep.Rows(n, n), head);
        var w = new Field<R>([.. batch.Pairs.Kinds.Select(k => R.From(pairs.Of(k)))], new Shape(n));
        R loss = R.From(weights.Contrastive) * Apply<Dcl, Dcl.Attr>(new(options.Tau, options.Form), z0, z1, null, null, w)[0].Values[0];
        if (weights.Words > 0)
        {
            const string words = "word_head.layers.0.";
            var shares = Linear(rep, weight(words + "weight"), words + "bias");
            double[] target = new WordShares(2, true).Of(batch.Tracks, batch.Pairs.Lengths);
            loss += R.From(weights.Words) * Apply<Mse, Mse.Attr>(new(Reduction.Mean), shares, new Field<R>([.. target.Select(R.From)], shares.Shape))[0].Values[0];
        }
        if (batch.Labels is null) return loss;
        for (int view = 0; view < 2; view++)
        {
            const string p = "sequence_head.";
            var x = Normed(Linear(y.Rows(view * n, n), weight(p + "fc1.weight"), p + "fc1.bias"), p + "norm1.");
            x = Normed(Linear(x, weight(p + "fc2.weight"), p + "fc2.bias"), p + "norm2.");
            long[] labels = [.. batch.Labels.AsSpan(view * n * batch.Pairs.Length, n * batch.Pairs.Length).ToArray().Select(l => (long)l)];
            loss += R.From(weights.MaskedLanguage) * Apply<CrossEntropy, CrossEntropy.Attr>(new(Reduction.Mean, MaskedLanguage.Ignored), Linear(x, weight(p + "fc3.weight")), (labels, new Shape(n, batch.Pairs.Length)))[0].Values[0];
        }
        return loss;
    }
}

public class WholeStepGradientTests
{
    [Theory]
    [InlineData("sum_of_logs", false)]
    [InlineData("joint", false)]
    [InlineData("sum_of_logs", true)]
    [InlineData("sum_of_logs", true, true)]
    public void The_gradient_of_a_whole_step_is_the_derivative_by_dual_numbers(string form, bool masked, bool words = false)
    {
        var config = new MambaConfig(8, 2, 6);
        var options = new PretrainStepOptions { Contrastive = new() { Tau = 0.3, Form = form == "joint" ? Dcl.Form.Joint : Dcl.Form.SumOfLogs }, PairWeights = new(0.5, 1, 0.8) };
        var weights = new LossWeights(0.7, masked ? 0.4 : 0, 0, words ? 0.6 : 0);
        using var device = new CpuDevice(1);
        using var store = new ParameterStore(device, DType.F64);
        var model = new PretrainModel(store, config, new() { HeadBody = 8, HeadOut = 6, MaskedLanguageBody = masked ? 8 : 0, WordLetters = words ? 2 : 0, WordCodons = words });
        model.Initialise(11);
        var batch = TrainBatch.Of(new Families(9, 4, exon: 5).Batch(2), masked ? new MaskedLanguageOptions { MaskProbability = 0.4 } : null, 3, 2);
        using var step = new PretrainStep(model, store, options);
        var losses = step.Run([batch], weights);
        var named = model.NamedParameters().Where(p => !p.Value.IsBuffer).ToArray();
        Assert.All(named, p => Assert.False(p.Value.Grad.IsNone, p.Key));

        // Along a random direction of all parameters together, and of each tensor on its own for the derivative to be of one thing.
        var random = new Random(17);
        foreach (string? only in (string?[])[null, null, .. named.Select(p => p.Key)])
        {
            var direction = named.ToDictionary(p => p.Key, p => Enumerable.Range(0, (int)p.Value.Shape.Count).Select(_ => only is null || only == p.Key ? 2 * random.NextDouble() - 1 : 0).ToArray());
            var spec = new DualStep<Dual<Real64>>(config, name =>
            {
                var p = named.Single(x => x.Key == name).Value;
                double[] values = p.Value.ToDoubles();
                return new([.. values.Select((v, i) => new Dual<Real64>(Real64.From(v), Real64.From(direction[name][i])))], p.Shape);
            });
            var loss = spec.Loss(batch, options.PairWeights, options.Contrastive, weights);
            Assert.Equal(loss.Value, losses.Total, 1e-11 * Math.Abs(loss.Value));
            double along = 0, absolute = 0;
            foreach (var (name, p) in named)
            {
                double[] g = p.Grad.ToDoubles();
                for (int i = 0; i < g.Length; i++)
                {
                    along += g[i] * direction[name][i];
                    absolute += Math.Abs(g[i] * direction[name][i]);
                }
            }
            // A bias in front of a batch norm has a derivative of zero: there the rounding of the others is the measure.
            Assert.True(Math.Abs(along - loss.D.Value) <= 1e-9 * absolute + 1e-12, $"{only ?? "all"}: {along:G17}, dual numbers {loss.D.Value:G17}");
        }
    }
}
