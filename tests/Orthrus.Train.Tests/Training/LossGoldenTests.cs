using Orthrus.Autograd;
using Orthrus.Mamba;
using Orthrus.Tensor;
using Orthrus.TestSupport;

namespace Orthrus.Train.Tests.Training;

using Tensor = Orthrus.Tensor.Tensor;

/// <summary>The trainer's losses against PyTorch's numbers: contrastive over one rank and several, in parts, masked bases, splice and codon tracks, weights over the steps.</summary>
public class LossGoldenTests
{
    public static IEnumerable<TheoryDataRow<string, string>> Dcl(string op) => GoldenRun.Rows("dcl", op);

    public static IEnumerable<TheoryDataRow<string, string>> Mlm(string op) => GoldenRun.Rows("mlm", op);

    private static ContrastiveOptions Options(GoldenCase c) => new()
    {
        Tau = c.Double("tau"), Form = c.Text("form") == "joint" ? Orthrus.Tensor.Dcl.Form.Joint : Orthrus.Tensor.Dcl.Form.SumOfLogs, DclwSigma = c.Bool("dclw") ? c.Double("sigma") : 0,
    };

    private static double[]? Weights(GoldenCase c, string types)
    {
        if (c.Bool("dclw")) return null;
        double[] table = [.. c.Attrs.GetProperty("table").EnumerateArray().Select(GoldenCase.Number)];
        return new PairWeights(table[0], table[1], table[2]).Of(Array.ConvertAll(c.Input(types).ToInt32(), t => (PairKind)t));
    }

    /// <summary>Projections on a tape, and the gradient that the loss gives them.</summary>
    private sealed class Views(GoldenRun run) : IDisposable
    {
        private readonly Tape _tape = new(run.Device);
        private Variable _p0, _p1, _z0, _z1;

        internal RankProjections Of(string p0, string p1, double[]? weights)
        {
            (_p0, _p1) = (_tape.Input(run.Real(run.Case.Input(p0))), _tape.Input(run.Real(run.Case.Input(p1))));
            (_z0, _z1) = (PretrainStep.Normalise(_tape, _p0), PretrainStep.Normalise(_tape, _p1));
            return new(_z0.Value, _z1.Value, weights);
        }

        internal (double[], double[]) Backward((Tensor Z0, Tensor Z1) gradient)
        {
            _tape.Backward([_z0, _z1], [gradient.Z0, gradient.Z1]);
            return (_tape.Grad(_p0).ToDoubles(), _tape.Grad(_p1).ToDoubles());
        }

        public void Dispose() => _tape.Dispose();
    }

    [Theory, MemberData(nameof(Dcl), "dcl")]
    public void Contrastive(string name, string dtype)
    {
        var c = GoldenCase.Find("dcl", name);
        using var run = new GoldenRun(c, dtype);
        using var views = new Views(run);
        using var loss = new ContrastiveLoss(run.Device, Options(c));
        var projections = views.Of("p0", "p1", Weights(c, "types"));
        var gradients = new (Tensor, Tensor)[1];
        if (c.Bool("expect_error"))
        {
            Assert.Contains("no negatives", Assert.Throws<ShapeException>(() => loss.Run([projections], [1], default, gradients)).Message);
            return;
        }
        var result = loss.Run([projections], [1], default, gradients)[0];
        run.Matches(c.Outputs["loss"], [result.Loss]);
        Assert.Equal((c.Output("accuracy_01").Values[0] + c.Output("accuracy_10").Values[0]) / 2, result.Accuracy, 1e-6);
        run.Matches(c.Outputs["positive_similarity"], [result.PositiveSimilarity]);
        var (d0, d1) = views.Backward(gradients[0]);
        run.Matches(c.Grads["p0"], d0);
        run.Matches(c.Grads["p1"], d1);
    }

    [Theory, MemberData(nameof(Dcl), "dcl_gather")]
    public void Contrastive_over_ranks(string name, string dtype)
    {
        var c = GoldenCase.Find("dcl", name);
        using var run = new GoldenRun(c, dtype);
        int world = c.Int("world");
        double[] sizes = [.. c.Attrs.GetProperty("batch_sizes").EnumerateArray().Select(GoldenCase.Number)];
        double[] ones = [.. sizes.Select(_ => 1.0)], equal = [.. sizes.Select(_ => 1.0 / world)], bySamples = [.. sizes.Select(n => n / sizes.Sum())];
        foreach (var (which, scales, gather) in new[] { ("own_rank_loss", ones, GatherGradient.OwnRank), ("exact_mean", equal, GatherGradient.Exact), ("sample_weighted", bySamples, GatherGradient.Exact) })
        {
            using var loss = new ContrastiveLoss(run.Device, Options(c));
            Views[] views = [.. Enumerable.Range(0, world).Select(_ => new Views(run))];
            RankProjections[] ranks = [.. views.Select((v, r) => v.Of($"p0_rank{r}", $"p1_rank{r}", Weights(c, $"types_rank{r}")))];
            var gradients = new (Tensor, Tensor)[world];
            var results = loss.Run(ranks, scales, gather, gradients);
            for (int r = 0; r < world; r++) run.Matches(c.Outputs[$"loss_rank{r}"], [results[r].Loss]);
            run.Matches(c.Outputs["mean_of_rank_losses"], [results.Average(r => r.Loss)]);
            run.Matches(c.Outputs["sample_weighted_loss"], [results.Select((r, i) => r.Loss * bySamples[i]).Sum()]);
            for (int r = 0; r < world; r++)
            {
                var (d0, d1) = views[r].Backward(gradients[r]);
                run.Matches(c.Grads[$"{which}.p0_rank{r}"], d0);
                run.Matches(c.Grads[$"{which}.p1_rank{r}"], d1);
                views[r].Dispose();
            }
        }
    }

    [Theory, MemberData(nameof(Dcl), "dcl_gather_params")]
    public void Gradient_of_a_shared_head_over_ranks(string name, string dtype)
    {
        var c = GoldenCase.Find("dcl", name);
        using var run = new GoldenRun(c, dtype);
        int world = c.Int("world");
        var shape = c.Input("weight").Dims;
        var head = new LinearLayer(run.Store, shape[1], shape[0], bias: false);
        head.Weight.Assign(run.Real(c.Input("weight")));
        foreach (var (keys, scale, gather) in new[]
        {
            (Enumerable.Range(0, world).Select(r => $"weight_rank{r}").ToArray(), 1.0, GatherGradient.OwnRank), (["weight_ddp_mean"], 1.0 / world, GatherGradient.OwnRank), (["weight_exact_mean"], 1.0 / world, GatherGradient.Exact),
        })
        {
            using var loss = new ContrastiveLoss(run.Device, Options(c));
            Tape[] tapes = [.. Enumerable.Range(0, world).Select(_ => new Tape(run.Device))];
            (Variable, Variable)[] z = [.. tapes.Select((t, r) => (Project(t, $"rep0_rank{r}"), Project(t, $"rep1_rank{r}")))];
            var gradients = new (Tensor Z0, Tensor Z1)[world];
            var results = loss.Run([.. z.Select((v, r) => new RankProjections(v.Item1.Value, v.Item2.Value, Weights(c, $"types_rank{r}")))], [.. tapes.Select(_ => scale)], gather, gradients);
            head.ClearGrads();
            for (int r = 0; r < world; r++)
            {
                run.Matches(c.Outputs[$"loss_rank{r}"], [results[r].Loss]);
                tapes[r].Backward([z[r].Item1, z[r].Item2], [gradients[r].Z0, gradients[r].Z1]);
                if (keys.Length == 1) continue;
                run.Matches(c.Grads[keys[r]], head.Weight.Grad.ToDoubles());
                head.ClearGrads();
            }
            if (keys.Length == 1) run.Matches(c.Grads[keys[0]], head.Weight.Grad.ToDoubles());
            foreach (var tape in tapes) tape.Dispose();

            Variable Project(Tape tape, string rep) => PretrainStep.Normalise(tape, head.Forward(tape, tape.Constant(run.Real(c.Input(rep)))));
        }
    }

    [Theory, MemberData(nameof(Dcl), "dcl_chunked")]
    public void Parts_with_a_cached_gradient(string name, string dtype)
    {
        var c = GoldenCase.Find("dcl", name);
        using var run = new GoldenRun(c, dtype);
        int[] first = c.Input("layers.0.weight").Dims, last = c.Input("layers.2.weight").Dims;
        var head = new ProjectionHead(run.Store, new(first[1], first[0], last[0], 2, HeadNorm.Identity));
        run.Fill(head);
        Tensor rep0 = run.Real(c.Input("rep0")), rep1 = run.Real(c.Input("rep1"));
        int n = rep0.Shape[0], width = last[0];
        int[] parts = [.. c.Attrs.GetProperty("micro").EnumerateArray().Select(e => e.GetInt32())];
        Tensor p0 = run.Scope.Empty(new Shape(n, width), run.DType), p1 = run.Scope.Empty(new Shape(n, width), run.DType);
        using (var off = Tape.Off(run.Device))
            foreach (var (from, count) in Ranges(parts))
            {
                p0.Rows(from, count).Assign(head.Forward(off, off.Constant(rep0.Rows(from, count)), training: true).Value);
                p1.Rows(from, count).Assign(head.Forward(off, off.Constant(rep1.Rows(from, count)), training: true).Value);
            }
        using var whole = new Tape(run.Device);
        using var loss = new ContrastiveLoss(run.Device, Options(c));
        Variable v0 = whole.Input(p0), v1 = whole.Input(p1), z0 = PretrainStep.Normalise(whole, v0), z1 = PretrainStep.Normalise(whole, v1);
        var gradients = new (Tensor Z0, Tensor Z1)[1];
        run.Matches(c.Outputs["loss"], [loss.Run([new(z0.Value, z1.Value, Weights(c, "types"))], [1], default, gradients)[0].Loss]);
        whole.Backward([z0, z1], [gradients[0].Z0, gradients[0].Z1]);
        Tensor d0 = whole.Grad(v0), d1 = whole.Grad(v1);
        run.Matches(c.Outputs["dloss_dproj0"], d0.ToDoubles());
        run.Matches(c.Outputs["dloss_dproj1"], d1.ToDoubles());
        var dRep0 = new List<double>();
        var dRep1 = new List<double>();
        foreach (var (from, count) in Ranges(parts))
        {
            using var tape = new Tape(run.Device);
            Variable x0 = tape.Input(rep0.Rows(from, count)), x1 = tape.Input(rep1.Rows(from, count));
            Variable y0 = head.Forward(tape, x0, training: true), y1 = head.Forward(tape, x1, training: true);
            tape.Backward([y0, y1], [d0.Rows(from, count), d1.Rows(from, count)]);
            dRep0.AddRange(tape.Grad(x0).ToDoubles());
            dRep1.AddRange(tape.Grad(x1).ToDoubles());
        }
        run.Matches(c.Grads["rep0"], [.. dRep0]);
        run.Matches(c.Grads["rep1"], [.. dRep1]);
        foreach (var (key, p) in head.NamedParameters()) run.Matches(c.Grads[key], p.Grad.ToDoubles());
    }

    private static IEnumerable<(int From, int Count)> Ranges(int[] parts)
    {
        int from = 0;
        foreach (int count in parts)
        {
            yield return (from, count);
            from += count;
        }
    }

    [Theory, MemberData(nameof(Mlm), "mlm_loss")]
    public void Masked_bases(string name, string dtype)
    {
        var c = GoldenCase.Find("mlm", name);
        using var run = new GoldenRun(c, dtype);
        using var tape = new Tape(run.Device);
        double total = 0;
        int views = c.Int("n_views");
        for (int v = 0; v < views; v++)
        {
            byte[] tracks = GoldenRun.Bytes(c.Input($"x{v}"));
            int[] lengths = c.Input($"lengths{v}").ToInt32(), labels = [.. Enumerable.Repeat(MaskedLanguage.Ignored, tracks.Length)], all = Array.ConvertAll(tracks, MaskedLanguage.Label);
            int length = tracks.Length / lengths.Length;
            double[] mask = c.Input($"mask{v}").Values, extra = c.HasInput($"extra{v}") ? c.Input($"extra{v}").Values : new double[mask.Length];
            for (int i = 0; i < tracks.Length; i++)
                if (i % length < lengths[i / length]) MaskedLanguage.Apply(ref tracks[i], ref labels[i], mask[i] != 0, extra[i] != 0);
            Assert.Equal(c.Output($"labels{v}").Values, Array.ConvertAll(all, l => (double)l));
            Assert.Equal(GoldenRun.Bytes(c.Output($"masked_x{v}")), tracks);
            Assert.Equal(c.Output($"target{v}").Values, Array.ConvertAll(labels, l => (double)l));
            long count = MaskedLanguage.Count(labels);
            Assert.Equal(c.Output($"count{v}").Values[0], count);
            var logits = tape.Input(run.Real(c.Input($"logits{v}")));
            var target = run.Scope.From<int>(labels, new Shape(lengths.Length, length));
            var sum = tape.Apply<CrossEntropy, CrossEntropy.Attr>([logits, tape.Constant(target)], new(Reduction.Sum, MaskedLanguage.Ignored));
            double loss = count == 0 ? 0 : sum.Value.ToDoubles()[0] / count;
            total += loss;
            // PyTorch's mean over nothing is NaN; here it is 0, and so is the gradient.
            if (count > 0) run.Matches(c.Outputs[$"loss{v}"], [loss]);
            else Assert.True(double.IsNaN(c.Output($"loss{v}").Values[0]));
            tape.Backward([sum], [run.Scope.Scalar(count == 0 ? 0 : 1.0 / count, run.DType)]);
            run.Matches(c.Grads[$"logits{v}"], tape.Grad(logits).ToDoubles());
            tape.Reset();
        }
        if (!double.IsNaN(c.Output("loss").Values[0])) run.Matches(c.Outputs["loss"], [total]);
    }

    [Theory, MemberData(nameof(Mlm), "splice_codon_loss")]
    public void Splice_and_codon_tracks(string name, string dtype)
    {
        var c = GoldenCase.Find("mlm", name);
        using var run = new GoldenRun(c, dtype);
        double total = 0;
        for (int v = 0; v < 2; v++)
        {
            byte[] tracks = GoldenRun.Bytes(c.Input($"x{v}"));
            int[] lengths = c.Input($"lengths{v}").ToInt32();
            foreach (var (track, bit) in new[] { ("codon", SpliceCodon.CodonBit), ("splice", SpliceCodon.SpliceBit) })
            {
                using var tape = new Tape(run.Device);
                var given = c.Input($"{track}_logits{v}");
                var logits = tape.Input(run.Scope.Reals(given.Values, new Shape(lengths.Length, tracks.Length / lengths.Length, 1), run.DType));
                var (loss, cotangent, value) = SpliceCodon.Of(tape, run.Scope, logits, tracks, lengths, bit, scale: 1, lengths.Sum());
                run.Matches(c.Outputs[$"{track}_loss{v}"], [value]);
                total += value;
                tape.Backward([loss], [cotangent]);
                run.Matches(c.Grads[$"{track}_logits{v}"], tape.Grad(logits).ToDoubles());
            }
        }
        run.Matches(c.Outputs["loss"], [total]);
        Assert.Equal([0, 0, 0.25, 1, 1], new long[] { 0, 2000, 3000, 6000, 9000 }.Select(s => SpliceCodon.Ramp(s, SpliceCodon.PublishedStart, SpliceCodon.PublishedEnd)));
        Assert.Equal([1, 1], new long[] { 0, 5 }.Select(s => SpliceCodon.Ramp(s, 0, 0)));
    }

    [Theory, MemberData(nameof(Mlm), "loss_weight_schedule")]
    public void Weights_over_the_steps(string name, string dtype)
    {
        var c = GoldenCase.Find("mlm", name);
        using var run = new GoldenRun(c, dtype);
        var ramp = new LossRamp(c.Double("start"), c.Double("end"), c.Int("anneal_steps"));
        run.Matches(c.Outputs["weight"], [.. c.Input("steps").Values.Select(s => ramp.At((long)s))]);
    }
}
