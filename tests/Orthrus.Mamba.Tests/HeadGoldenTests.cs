using Orthrus.Autograd;
using Orthrus.Tensor;
using Orthrus.TestSupport;

namespace Orthrus.Mamba.Tests;

public class HeadGoldenTests
{
    public static IEnumerable<TheoryDataRow<string, string>> Rows(string op) =>
        from row in GoldenCase.Names("heads", c => c.Op == op) from dtype in GoldenModel.Precisions select new TheoryDataRow<string, string>(row.Data, dtype);

    [Theory]
    [MemberData(nameof(Rows), "projection_head")]
    public void Projection(string name, string dtype)
    {
        var c = GoldenCase.Find("heads", name);
        using var m = new GoldenModel(c, dtype);
        var head = new ProjectionHead(m.Store, new(c.Int("d_in"), c.Int("body"), c.Int("d_out"), c.Int("n_layers"),
            ProjectionHeadConfig.ParseNorm(c.Text("norm")), c.Bool("bias_out"), c.Bool("sigmoid")));
        m.Fill(head, n => c.HasInput(n) ? c.Input(n) : null);
        bool training = c.Bool("train");
        if (c.Bool("expect_error"))
        {
            var e = Assert.Throws<ShapeException>(() => head.Forward(m.Tape, m.Tape.Input(m.Real(c.Input("x0"))), training));
            Assert.Contains("batch_norm", e.Message);
            return;
        }
        Views(m, c, "x", "y", (x, _) => head.Forward(m.Tape, x, training), head);
    }

    [Theory]
    [MemberData(nameof(Rows), "position_head")]
    public void Per_position(string name, string dtype)
    {
        var c = GoldenCase.Find("heads", name);
        using var m = new GoldenModel(c, dtype);
        var head = new PositionHead(m.Store, c.Int("d"), c.Int("body"), c.Int("out"));
        m.Fill(head, n => c.HasInput(n) ? c.Input(n) : null);
        bool training = c.Bool("train"), masked = c.Text("stats") == "masked";
        Views(m, c, "h", "logits", (x, view) =>
            head.Forward(m.Tape, x, training, masked ? m.Tape.Constant(m.Ints(c.Input($"lengths{view}"))) : default), head);
    }

    /// <summary>Both views one after the other, each with its own batch statistics; then backward through both.</summary>
    private static void Views(GoldenModel m, GoldenCase c, string input, string output, Func<Variable, int, Variable> forward, Module head)
    {
        int views = c.Int("views");
        var x = new Variable[views];
        var y = new Variable[views];
        for (int v = 0; v < views; v++)
        {
            x[v] = m.Tape.Input(m.Real(c.Input($"{input}{v}")));
            y[v] = forward(x[v], v);
            m.AssertOutput(c.Outputs[$"{output}{v}"], y[v]);
            Buffers($"_after_view{v}");
        }
        Buffers("_after");
        if (c.Cotangents.Count == 0) return;
        m.Tape.Backward(y, [.. Enumerable.Range(0, views).Select(v => m.Real(c.Cotangent($"{output}{v}")))]);
        for (int v = 0; v < views; v++)
            if (c.Grads.TryGetValue($"{input}{v}", out string? key)) m.AssertGrad(key, m.Tape.Grad(x[v]));
        m.AssertGrads(head);
        Assert.All(c.Grads.Keys, g => Assert.True(g.StartsWith(input, StringComparison.Ordinal) || head.NamedParameters().Any(p => p.Key == g), g));

        void Buffers(string suffix)
        {
            foreach (var (name, p) in head.NamedParameters())
                if (p.IsBuffer && c.Outputs.TryGetValue(name + suffix, out string? key)) m.AssertClose(key, GoldenModel.Numbers(p.Value), 1e-12);
        }
    }

    [Theory]
    [MemberData(nameof(Rows), "dual_heads")]
    public void Dual_heads_with_their_losses(string name, string dtype)
    {
        var c = GoldenCase.Find("heads", name);
        using var m = new GoldenModel(c, dtype);
        var first = c.Input("splice_self_head.layers.0.weight");
        var last = c.Input("splice_self_head.layers.4.weight");
        var heads = new DualHeads(m.Store, new(first.Dims[1], first.Dims[0], last.Dims[0]));
        m.Fill(heads, n => c.HasInput(n) ? c.Input(n) : null);
        Variable[] rep = [m.Tape.Input(m.Real(c.Input("rep0"))), m.Tape.Input(m.Real(c.Input("rep1")))];
        var form = c.Text("form") == "joint" ? Dcl.Form.Joint : Dcl.Form.SumOfLogs;
        var losses = new List<Variable>();
        foreach (var (prefix, head, table) in new[] { ("splice_self_head", heads.SpliceSelf, "splice_table"), ("ortho_head", heads.Ortho, "ortho_table") })
        {
            double[] weights = [.. c.Attrs.GetProperty(table).EnumerateArray().Select(e => e.GetDouble())];
            var types = c.Input("types");
            var weight = m.Tape.Constant(m.Real(new GoldenTensor("F64", types.Shape, [.. types.Values.Select(t => weights[(int)t])])));
            var z = new Variable[2];
            for (int v = 0; v < 2; v++)
            {
                var p = head.Forward(m.Tape, rep[v], training: true);
                m.AssertOutput(c.Outputs[$"{prefix}.proj{v}"], p);
                z[v] = m.Tape.Apply<L2Normalize, L2Normalize.Attr>([p], new(1e-12));
            }
            var outputs = new Variable[5];
            m.Tape.Apply<Dcl, Dcl.Attr>([z[0], z[1], default, default, weight], new(c.Double("tau"), form), outputs);
            m.AssertOutput(c.Outputs[$"{prefix}.loss"], outputs[0]);
            losses.Add(outputs[0]);
        }
        foreach (var (key, p) in heads.NamedParameters())
            if (p.IsBuffer && c.Outputs.TryGetValue(key + "_after", out string? expected)) m.AssertClose(expected, GoldenModel.Numbers(p.Value), 1e-12);
        var loss = m.Tape.Apply<Combine, Combine.Attr>([losses[0], losses[1]], new(false));
        m.AssertOutput(c.Outputs["loss"], loss);
        m.Tape.Backward(loss);
        for (int v = 0; v < 2; v++) m.AssertGrad(c.Grads[$"rep{v}"], m.Tape.Grad(rep[v]));
        m.AssertGrads(heads);
    }

    [Theory]
    [InlineData("batchnorm", HeadNorm.BatchNorm)]
    [InlineData("layernorm", HeadNorm.LayerNorm)]
    [InlineData("identity", HeadNorm.Identity)]
    public void Norms_by_name(string name, HeadNorm norm) => Assert.Equal(norm, ProjectionHeadConfig.ParseNorm(name));

    [Fact]
    public void Without_linear_layers_a_head_is_its_norm_without_trained_weights()
    {
        using var device = new CpuDevice(1);
        using var store = new ParameterStore(device, DType.F64);
        using var tape = new Tape(device);
        using var scope = device.OpenScope();
        var x = tape.Input(scope.From<double>([1, 10, 3, 30, 5, 80], new Shape(3, 2)));
        var head = new ProjectionHead(store, new ProjectionHeadConfig(2, 7, 5, Layers: 0));
        ModelInit.InitialiseHead(head, 1, "head.");
        Assert.Equal(2, head.Config.DOut);
        Assert.DoesNotContain(head.NamedParameters(), p => !p.Value.IsBuffer);
        // Columns 1, 3, 5 and 10, 30, 80: means 3 and 40, variances 8/3 and 2600/3.
        double[] y = head.Forward(tape, x, training: true).Value.ToArray<double>();
        for (int i = 0; i < 6; i++) Assert.Equal(i % 2 == 0 ? (i - 2) / Math.Sqrt(8.0 / 3 + 1e-5) : (new[] { 10.0, 30, 80 }[i / 2] - 40) / Math.Sqrt(2600.0 / 3 + 1e-5), y[i], 1e-12);

        var none = new ProjectionHead(store, new ProjectionHeadConfig(2, Layers: 0, Norm: HeadNorm.Identity));
        Assert.Equal(x.Value.ToArray<double>(), none.Forward(tape, x, training: true).Value.ToArray<double>());
        Assert.Empty(none.NamedParameters());
    }

    [Fact]
    public void An_unknown_norm_is_an_error() => Assert.Contains("batchnorm", Assert.Throws<ArgumentException>(() => ProjectionHeadConfig.ParseNorm("groupnorm")).Message);
}
