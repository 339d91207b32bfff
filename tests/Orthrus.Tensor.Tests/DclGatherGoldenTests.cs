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
            for (int v = 0; v < 2; v++) keys[v] = call.Place([.. _z.SelectMany(rank => GoldenCall.Numbers(rank[v]))], new Shape(Total, _width));
            double[] table = c.Bool("dclw") ? [] : [.. c.Attrs.GetProperty("table").EnumerateArray().Select(GoldenCase.Number)];
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
                _asAnchor[r] = [.. grads[..2].Select(GoldenCall.Numbers)];
                _asKey[r] = [.. grads[2..4].Select(GoldenCall.Numbers)];
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
            mean += GoldenCall.Numbers(ranks.Loss(r))[0] / world;
            weighted += GoldenCall.Numbers(ranks.Loss(r))[0] * ranks.Sizes[r] / ranks.Total;
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
                    double[] part = GoldenCall.Numbers(call.Backward<Linear, NoAttr>(default, [rows[r][v], weight, default], [default], [ranks.Gradient(r, v, factor)])[1]);
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

    [Theory, MemberData(nameof(Cases), "dcl_chunked")]
    public void Whole_batch_gradients_from_micro_batches(string name, DType dtype)
    {
        var c = GoldenCase.Find("dcl", name);
        Assert.Equal(("identity", 2), (c.Text("norm"), c.Int("n_layers")));
        using var call = new GoldenCall(dtype);
        int[] micro = [.. c.Attrs.GetProperty("micro").EnumerateArray().Select(e => e.GetInt32())];
        string[] names = ["layers.0.weight", "layers.0.bias", "layers.2.weight"];
        Tensor[] head = [.. names.Select(n => call.Place(c.Input(n)))];
        double[][] rep = [c.Input("rep0").Values, c.Input("rep1").Values];
        int n = micro.Sum(), width = head[0].Shape[1];
        Tensor Rows(double[] values, int part, int columns) => call.Place(values[(micro[..part].Sum() * columns)..(micro[..(part + 1)].Sum() * columns)], new Shape(micro[part], columns));

        // Head on one micro-batch: its rows, hidden layer before and after the function, projections.
        Tensor[] Project(int view, int part)
        {
            Tensor x = Rows(rep[view], part, width), h = call.Forward<Linear, NoAttr>(default, x, head[0], head[1])[0], a = call.Forward<ReLU, NoAttr>(default, h)[0];
            return [x, h, a, call.Forward<Linear, NoAttr>(default, a, head[2], default)[0]];
        }

        Tensor[] p = [.. Enumerable.Range(0, 2).Select(v => call.Place([.. Enumerable.Range(0, micro.Length).SelectMany(k => GoldenCall.Numbers(Project(v, k)[^1]))], new Shape(n, head[2].Shape[0])))];
        Tensor[] z = [.. p.Select(x => call.Forward<L2Normalize, L2Normalize.Attr>(L2Normalize.Attr.Default, x)[0])];
        double[] table = [.. c.Attrs.GetProperty("table").EnumerateArray().Select(GoldenCase.Number)];
        var attr = new Dcl.Attr(c.Double("tau"), c.Text("form") == "joint" ? Dcl.Form.Joint : Dcl.Form.SumOfLogs);
        Tensor[] inputs = [z[0], z[1], default, default, call.Place(Array.ConvertAll(c.Input("types").ToInt32(), t => table[t]), new Shape(n))];
        var outputs = call.Forward<Dcl, Dcl.Attr>(attr, inputs);
        call.Matches(c, c.Outputs["loss"], outputs[0], 1e-9);
        var dz = call.Backward<Dcl, Dcl.Attr>(attr, inputs, outputs, [call.Place([1], Shape.Scalar)]);
        double[][] sums = [.. head.Select(t => new double[t.Count])];
        for (int v = 0; v < 2; v++)
        {
            Tensor dp = call.Backward<L2Normalize, L2Normalize.Attr>(L2Normalize.Attr.Default, [p[v]], [z[v]], [dz[v]])[0];
            call.Matches(c, c.Outputs[$"dloss_dproj{v}"], dp, 1e-9);
            var dx = new List<double>();
            for (int k = 0; k < micro.Length; k++)
            {
                Tensor[] layer = Project(v, k);
                var last = call.Backward<Linear, NoAttr>(default, [layer[2], head[2], default], [default], [Rows(GoldenCall.Numbers(dp), k, head[2].Shape[0])]);
                Tensor dh = call.Backward<ReLU, NoAttr>(default, [layer[1]], [layer[2]], [last[0]])[0];
                var first = call.Backward<Linear, NoAttr>(default, [layer[0], head[0], head[1]], [default], [dh]);
                dx.AddRange(GoldenCall.Numbers(first[0]));
                foreach (var (sum, part) in sums.Zip([GoldenCall.Numbers(first[1]), GoldenCall.Numbers(first[2]), GoldenCall.Numbers(last[1])]))
                    for (int i = 0; i < sum.Length; i++) sum[i] += part[i];
            }
            call.Matches(c, c.Grads[$"rep{v}"], call.Place([.. dx], new Shape(n, width)), 1e-9);
        }
        for (int k = 0; k < names.Length; k++) call.Matches(c, c.Grads[names[k]], call.Place(sums[k], head[k].Shape), 1e-9);
    }
}
