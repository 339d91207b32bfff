using Orthrus.TestSupport;

namespace Orthrus.Tensor.Tests;

/// <summary>The contrastive loss whose keys are the rows of several ranks, against PyTorch's numbers: each rank's loss, and the three gradients that training can take.</summary>
public class DclGatherGoldenTests
{
    public static IEnumerable<TheoryDataRow<string, DType>> Cases(string op)
    {
        foreach (var row in GoldenCase.Names("dcl", c => c.Op == op))
            foreach (var dtype in GoldenDevice.DTypes) yield return new(row.Data, dtype);
    }

    /// <summary>Projections of all ranks, normalised, and each rank's loss with the gradients of all rows.</summary>
    private sealed class Ranks
    {
        private readonly GoldenCall _call;
        private readonly Tensor[][] _p, _z;
        private readonly Tensor[] _weights, _losses;
        private readonly int[] _first;
        // Gradient of rank r's loss by view v's normalised rows, all ranks' one after the other; first as anchors (of r alone), then as keys.
        private readonly double[][][] _asAnchor, _asKey;
        private readonly int _width;

        internal Ranks(GoldenCase c, GoldenCall call, Tensor[][] projections)
        {
            (_call, _p) = (call, projections);
            Sizes = [.. c.Attrs.GetProperty("batch_sizes").EnumerateArray().Select(e => e.GetInt32())];
            _first = [.. Sizes.Select((_, r) => Sizes[..r].Sum())];
            _width = _p[0][0].Shape[1];
            _z = [.. _p.Select(rank => rank.Select(p => call.Forward<L2Normalize, L2Normalize.Attr>(L2Normalize.Attr.Default, p)[0]).ToArray())];
            var keys = new Tensor[2];
            for (int v = 0; v < 2; v++) keys[v] = call.Place([.. _z.SelectMany(rank => Numbers(rank[v]))], new Shape(Total, _width));
            double[] table = [.. c.Attrs.GetProperty("table").EnumerateArray().Select(GoldenCase.Number)];
            _weights = [.. _z.Select((z, r) => c.Bool("dclw") ? call.Forward<DclwWeights, DclwWeights.Attr>(new(c.Double("sigma")), z[0], z[1])[0]
                : call.Place(Array.ConvertAll(c.Input($"types_rank{r}").ToInt32(), t => table[t]), new Shape(Sizes[r])))];
            _losses = new Tensor[Sizes.Length];
            (_asAnchor, _asKey) = (new double[Sizes.Length][][], new double[Sizes.Length][][]);
            for (int r = 0; r < Sizes.Length; r++)
            {
                var attr = new Dcl.Attr(c.Double("tau"), c.Text("form") == "joint" ? Dcl.Form.Joint : Dcl.Form.SumOfLogs, _first[r]);
                Tensor[] inputs = [_z[r][0], _z[r][1], keys[0], keys[1], _weights[r]];
                var outputs = call.Forward<Dcl, Dcl.Attr>(attr, inputs);
                _losses[r] = outputs[0];
                var grads = call.Backward<Dcl, Dcl.Attr>(attr, inputs, outputs, [call.Place([1], Shape.Scalar)]);
                _asAnchor[r] = [.. grads[..2].Select(Numbers)];
                _asKey[r] = [.. grads[2..4].Select(Numbers)];
            }
        }

        internal int[] Sizes { get; }
        internal int Total => Sizes.Sum();

        internal Tensor Loss(int rank) => _losses[rank];

        /// <summary>Gradient of the sum over ranks of factor times loss, by the projections of one view of one rank.</summary>
        internal Tensor Gradient(int rank, int view, Func<int, double> factor)
        {
            var dz = new double[Sizes[rank] * _width];
            for (int r = 0; r < Sizes.Length; r++)
            {
                double f = factor(r);
                for (int i = 0; i < dz.Length; i++) dz[i] += f * (_asKey[r][view][_first[rank] * _width + i] + (r == rank ? _asAnchor[r][view][i] : 0));
            }
            return _call.Backward<L2Normalize, L2Normalize.Attr>(L2Normalize.Attr.Default, [_p[rank][view]], [_z[rank][view]], [_call.Place(dz, _p[rank][view].Shape)])[0];
        }
    }

    [Theory, MemberData(nameof(Cases), "dcl_gather")]
    public void Keys_of_all_ranks(string name, DType dtype)
    {
        var c = GoldenCase.Find("dcl", name);
        using var call = new GoldenCall(dtype);
        int world = c.Int("world");
        var ranks = new Ranks(c, call, [.. Enumerable.Range(0, world).Select(r => new[] { call.Place(c.Input($"p0_rank{r}")), call.Place(c.Input($"p1_rank{r}")) })]);
        double mean = 0, weighted = 0;
        for (int r = 0; r < world; r++)
        {
            call.Matches(c, c.Outputs[$"loss_rank{r}"], ranks.Loss(r), 1e-9);
            mean += Numbers(ranks.Loss(r))[0] / world;
            weighted += Numbers(ranks.Loss(r))[0] * ranks.Sizes[r] / ranks.Total;
        }
        call.Matches(c, c.Outputs["mean_of_rank_losses"], call.Place([mean], Shape.Scalar), 1e-9);
        if (c.Outputs.TryGetValue("sample_weighted_loss", out string? key)) call.Matches(c, key, call.Place([weighted], Shape.Scalar), 1e-9);
        for (int r = 0; r < world; r++)
            for (int v = 0; v < 2; v++)
                foreach (var (kind, factor) in new (string, Func<int, double>)[] { ("own_rank_loss", s => s == r ? 1 : 0), ("exact_mean", _ => 1.0 / world), ("sample_weighted", s => (double)ranks.Sizes[s] / ranks.Total) })
                    if (c.Grads.TryGetValue($"{kind}.p{v}_rank{r}", out key)) call.Matches(c, key, ranks.Gradient(r, v, factor), 1e-9);
        Assert.Equal(c.Grads.Count, 2 * world * c.Grads.Keys.Select(k => k.Split('.')[0]).Distinct().Count());
    }

    [Theory, MemberData(nameof(Cases), "dcl_gather_params")]
    public void Gradients_of_a_head_over_all_ranks(string name, DType dtype)
    {
        var c = GoldenCase.Find("dcl", name);
        using var call = new GoldenCall(dtype);
        int world = c.Int("world");
        Tensor weight = call.Place(c.Input("weight"));
        Tensor[][] rows = [.. Enumerable.Range(0, world).Select(r => new[] { call.Place(c.Input($"rep0_rank{r}")), call.Place(c.Input($"rep1_rank{r}")) })];
        var ranks = new Ranks(c, call, [.. rows.Select(rank => rank.Select(x => call.Forward<Linear, NoAttr>(default, x, weight, default)[0]).ToArray())]);
        for (int r = 0; r < world; r++) call.Matches(c, c.Outputs[$"loss_rank{r}"], ranks.Loss(r), 1e-9);

        // Gradient by the head of a weighted sum of losses, through the rows of one rank or of all.
        double[] Head(int[] of, Func<int, double> factor)
        {
            var sum = new double[weight.Count];
            foreach (int r in of)
                for (int v = 0; v < 2; v++)
                {
                    double[] part = Numbers(call.Backward<Linear, NoAttr>(default, [rows[r][v], weight, default], [default], [ranks.Gradient(r, v, factor)])[1]);
                    for (int i = 0; i < sum.Length; i++) sum[i] += part[i];
                }
            return sum;
        }

        int[] everyone = [.. Enumerable.Range(0, world)];
        double[][] own = [.. everyone.Select(r => Head([r], s => s == r ? 1 : 0))];
        for (int r = 0; r < world; r++) call.Matches(c, c.Grads[$"weight_rank{r}"], call.Place(own[r], weight.Shape), 1e-9);
        call.Matches(c, c.Grads["weight_ddp_mean"], call.Place([.. Enumerable.Range(0, own[0].Length).Select(i => own.Average(g => g[i]))], weight.Shape), 1e-9);
        call.Matches(c, c.Grads["weight_exact_mean"], call.Place(Head(everyone, _ => 1.0 / world), weight.Shape), 1e-9);
    }

    private static double[] Numbers(Tensor t) => t.DType == DType.F32 ? Array.ConvertAll(t.ToArray<float>(), v => (double)v) : t.ToArray<double>();
}
