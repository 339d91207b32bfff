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

    private Field<R> Normed(Field<R> x, string p, object? lengths = null) =>
        Apply<ReLU, NoAttr>(default, Apply<BatchNorm, BatchNorm.Attr>(new(true), x, weight(p + "weight"), weight(p + "bias"), null, null, lengths)[0])[0];

    private static Field<R> Concat(IEnumerable<Field<R>> parts) => parts.Aggregate((a, b) => new([.. a.Values, .. b.Values], new Shape(a.Shape[0] + b.Shape[0], a.Shape[1])));

    /// <summary>Projections of unit length: of three layers, or the normalised representations themselves.</summary>
    private Field<R> Project(Field<R> x, string p, int layers)
    {
        if (layers == 0)
        {
            Field<R> Constant(double value) => new([.. Enumerable.Repeat(R.From(value), x.Shape[1])], new Shape(x.Shape[1]));
            return Apply<L2Normalize, L2Normalize.Attr>(L2Normalize.Attr.Default, Apply<BatchNorm, BatchNorm.Attr>(new(true), x, Constant(1), Constant(0), null, null, null)[0])[0];
        }
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

    private Field<R> AtPositions(Field<R> y, string p, object? lengths)
    {
        var x = Normed(Linear(y, weight(p + "fc1.weight"), p + "fc1.bias"), p + "norm1.", lengths);
        x = Normed(Linear(x, weight(p + "fc2.weight"), p + "fc2.bias"), p + "norm2.", lengths);
        return Linear(x, weight(p + "fc3.weight"));
    }

    /// <summary>The weighted loss, mean over ranks whose contrastive losses share their keys.</summary>
    internal R Loss(IReadOnlyList<TrainBatch> batches, PretrainModelOptions model, PretrainStepOptions options, LossWeights weights)
    {
        R total = R.From(0);
        var w = options.PairWeights;
        (string Name, PairWeights Pairs)[] heads = model.Dual ? [("splice_self_head.", w with { Ortholog = 0 }), ("ortho_head.", new(0, 0, w.Ortholog))] : [("contrastive_projection_head.", w)];
        var projections = heads.Select(_ => new List<(Field<R> Z0, Field<R> Z1)>()).ToArray();
        foreach (var batch in batches)
        {
            int n = batch.Pairs.Pairs;
            var y = Encode(batch.Tracks, 2 * n);
            var rep = Apply<MaskedMeanPool, NoAttr>(default, y, (Array.ConvertAll(batch.Pairs.Lengths, l => (long)l), new Shape(2 * n)))[0];
            for (int h = 0; h < heads.Length; h++) projections[h].Add((Project(rep.Rows(0, n), heads[h].Name, model.HeadLayers), Project(rep.Rows(n, n), heads[h].Name, model.HeadLayers)));
            if (weights.Words > 0)
            {
                const string words = "word_head.layers.0.";
                var shares = Linear(rep, weight(words + "weight"), words + "bias");
                double[] target = new WordShares(model.WordLetters, model.WordCodons).Of(batch.Tracks, batch.Pairs.Lengths);
                total += R.From(weights.Words) * Apply<Mse, Mse.Attr>(new(Reduction.Mean), shares, new Field<R>([.. target.Select(R.From)], shares.Shape))[0].Values[0];
            }
            for (int view = 0; view < 2; view++)
            {
                var ofView = y.Rows(view * n, n);
                object? lengths = options.MaskedStatistics ? (batch.Pairs.Lengths[(view * n)..((view + 1) * n)].Select(l => (long)l).ToArray(), new Shape(n)) : null;
                if (weights.MaskedLanguage > 0) total += R.From(weights.MaskedLanguage) * MaskedBases(AtPositions(ofView, "sequence_head.", lengths), batch, view);
                if (weights.SpliceCodon > 0) total += R.From(weights.SpliceCodon) * (Track(AtPositions(ofView, "codon_head.", lengths), batch, view, 4) + Track(AtPositions(ofView, "splice_head.", lengths), batch, view, 5));
            }
        }
        for (int h = 0; h < heads.Length; h++)
        {
            bool several = batches.Count > 1;
            Field<R> keys0 = Concat(projections[h].Select(z => z.Z0)), keys1 = Concat(projections[h].Select(z => z.Z1));
            int offset = 0;
            for (int r = 0; r < batches.Count; r++)
            {
                var kinds = batches[r].Pairs.Kinds;
                var attraction = new Field<R>([.. kinds.Select(k => R.From(heads[h].Pairs.Of(k)))], new Shape(kinds.Length));
                total += R.From(weights.Contrastive) * Apply<Dcl, Dcl.Attr>(new(options.Contrastive.Tau, options.Contrastive.Form, several ? offset : 0), projections[h][r].Z0, projections[h][r].Z1, several ? keys0 : null, several ? keys1 : null, attraction)[0].Values[0];
                offset += kinds.Length;
            }
        }
        return total * R.From(1.0 / batches.Count);
    }

    private static R MaskedBases(Field<R> logits, TrainBatch batch, int view)
    {
        int half = batch.Labels!.Length / 2;
        long[] labels = [.. batch.Labels.AsSpan(view * half, half).ToArray().Select(l => (long)l)];
        return Apply<CrossEntropy, CrossEntropy.Attr>(new(Reduction.Mean, MaskedLanguage.Ignored), logits, (labels, new Shape(batch.Pairs.Pairs, batch.Pairs.Length)))[0].Values[0];
    }

    /// <summary>Of a track by the bytes before masking: mean over the positions of all records.</summary>
    private static R Track(Field<R> logits, TrainBatch batch, int view, int bit)
    {
        int n = batch.Pairs.Pairs, width = batch.Pairs.Length;
        var marks = batch.Pairs.Tracks.AsSpan(view * n * width, n * width).ToArray().Select(b => R.From(b >> bit & 1));
        var each = Apply<BceWithLogits, BceWithLogits.Attr>(new(Reduction.None), logits, new Field<R>([.. marks], logits.Shape))[0];
        R sum = R.From(0);
        double positions = 0;
        for (int i = 0; i < n; i++)
        {
            int length = batch.Pairs.Lengths[view * n + i];
            positions += length;
            for (int t = 0; t < length; t++) sum += each.Values[i * width + t];
        }
        return sum * R.From(1 / positions);
    }
}

public class WholeStepGradientTests
{
    public static TheoryData<string> Cases => ["sum of logs", "joint", "masked bases", "masked bases and words", "two heads", "representations themselves", "tracks from bases", "three ranks", "two ranks of everything"];

    private static (int Tracks, PretrainModelOptions Model, PretrainStepOptions Step, LossWeights Weights, int Ranks) Case(string name)
    {
        var model = new PretrainModelOptions { HeadBody = 8, HeadOut = 6 };
        var step = new PretrainStepOptions { Contrastive = new() { Tau = 0.3 }, PairWeights = new(0.5, 1, 0.8) };
        var joint = step with { Contrastive = step.Contrastive with { Form = Dcl.Form.Joint } };
        return name switch
        {
            "sum of logs" => (6, model, step, new(0.7, 0, 0), 1),
            "joint" => (6, model, joint, new(0.7, 0, 0), 1),
            "masked bases" => (6, model with { MaskedLanguageBody = 8 }, step, new(0.7, 0.4, 0), 1),
            "masked bases and words" => (6, model with { MaskedLanguageBody = 8, WordLetters = 2, WordCodons = true }, step, new(0.7, 0.4, 0, 0.6), 1),
            "two heads" => (6, model with { Dual = true }, step, new(0.7, 0, 0), 1),
            "representations themselves" => (6, model with { HeadLayers = 0 }, joint, new(0.7, 0, 0), 1),
            "tracks from bases" => (4, model with { SpliceCodon = true }, step with { MaskedStatistics = true }, new(0.7, 0, 0.5), 1),
            "three ranks" => (6, model, step, new(0.7, 0, 0), 3),
            "two ranks of everything" => (4, model with { Dual = true, MaskedLanguageBody = 8, SpliceCodon = true, WordLetters = 1 }, joint with { MaskedStatistics = true }, new(0.7, 0.4, 0.5, 0.6), 2),
            _ => throw new ArgumentOutOfRangeException(nameof(name)),
        };
    }

    [Theory, MemberData(nameof(Cases))]
    public void The_gradient_of_a_whole_step_is_the_derivative_by_dual_numbers(string name)
    {
        var (tracks, modelOptions, options, weights, ranks) = Case(name);
        var config = new MambaConfig(8, 2, tracks);
        using var device = new CpuDevice(1);
        using var store = new ParameterStore(device, DType.F64);
        var model = new PretrainModel(store, config, modelOptions);
        model.Initialise(11);
        // Ranks have different numbers of pairs, as in the mix by length.
        TrainBatch[] batches = [.. Enumerable.Range(0, ranks).Select(r => TrainBatch.Of(new Families(9, 4 + r, exon: 5).Batch(2 + r), modelOptions.MaskedLanguageBody > 0 ? new MaskedLanguageOptions { MaskProbability = 0.4 } : null, 3, 2 + r))];
        using var step = new PretrainStep(model, store, options);
        var losses = step.Run(batches, weights);
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
            var loss = spec.Loss(batches, modelOptions, options, weights);
            Assert.Equal(loss.Value, losses.Total, 1e-11 * Math.Abs(loss.Value));
            double along = 0, absolute = 0;
            foreach (var (parameter, p) in named)
            {
                double[] g = p.Grad.ToDoubles();
                for (int i = 0; i < g.Length; i++)
                {
                    along += g[i] * direction[parameter][i];
                    absolute += Math.Abs(g[i] * direction[parameter][i]);
                }
            }
            // A bias in front of a batch norm has a derivative of zero: there the rounding of the others is the measure.
            Assert.True(Math.Abs(along - loss.D.Value) <= 1e-9 * absolute + 1e-12, $"{only ?? "all"}: {along:G17}, dual numbers {loss.D.Value:G17}");
        }
    }
}
