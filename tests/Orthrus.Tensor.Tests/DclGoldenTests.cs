using Orthrus.TestSupport;

namespace Orthrus.Tensor.Tests;

/// <summary>The contrastive loss against PyTorch's numbers: both forms, pair weights, DCLW, metrics, gradients of the projections before normalisation.</summary>
public class DclGoldenTests
{
    public static IEnumerable<TheoryDataRow<string, DType>> Cases(string op)
    {
        foreach (var row in GoldenCase.Names("dcl", c => c.Op == op))
            foreach (var dtype in GoldenDevice.DTypes) yield return new(row.Data, dtype);
    }

    [Theory, MemberData(nameof(Cases), "dcl")]
    public void Dcl_loss(string name, DType dtype)
    {
        var c = GoldenCase.Find("dcl", name);
        using var call = new GoldenCall(dtype);
        Tensor p0 = call.Place(c.Input("p0")), p1 = call.Place(c.Input("p1"));
        if (c.Bool("expect_error"))
        {
            var e = Assert.Throws<ShapeException>(() => call.Forward<Dcl, Dcl.Attr>(new(c.Double("tau")), p0, p1, default, default, default));
            Assert.Contains("no negatives", e.Message);
            return;
        }
        var z0 = call.Forward<L2Normalize, L2Normalize.Attr>(L2Normalize.Attr.Default, p0);
        var z1 = call.Forward<L2Normalize, L2Normalize.Attr>(L2Normalize.Attr.Default, p1);
        var weight = WeightOf(c, call, z0[0], z1[0]);
        call.Matches(c, c.Outputs["weight"], weight, 1e-9);

        var attr = new Dcl.Attr(c.Double("tau"), c.Text("form") == "joint" ? Dcl.Form.Joint : Dcl.Form.SumOfLogs);
        Tensor[] inputs = [z0[0], z1[0], default, default, weight];
        var outputs = call.Forward<Dcl, Dcl.Attr>(attr, inputs);
        call.Matches(c, c.Outputs["loss"], outputs[0], 1e-9);
        call.Matches(c, c.Outputs["loss_per_sample_01"], outputs[1], 1e-9);
        call.Matches(c, c.Outputs["loss_per_sample_10"], outputs[2], 1e-9);
        call.Matches(c, c.Outputs["accuracy_01"], outputs[4].Rows(Dcl.Accuracy01, 1), 1e-9);
        call.Matches(c, c.Outputs["accuracy_10"], outputs[4].Rows(Dcl.Accuracy10, 1), 1e-9);
        call.Matches(c, c.Outputs["positive_similarity"], outputs[4].Rows(Dcl.PositiveSimilarity, 1), 1e-9);
        call.Matches(c, c.Outputs["negative_similarity_01"], outputs[4].Rows(Dcl.NegativeSimilarity01, 1), 1e-9);
        call.Matches(c, c.Outputs["negative_similarity_10"], outputs[4].Rows(Dcl.NegativeSimilarity10, 1), 1e-9);

        var dz = call.Backward<Dcl, Dcl.Attr>(attr, inputs, outputs, [call.Place([1], Shape.Scalar)]);
        var dp0 = call.Backward<L2Normalize, L2Normalize.Attr>(L2Normalize.Attr.Default, [p0], z0, [dz[0]]);
        var dp1 = call.Backward<L2Normalize, L2Normalize.Attr>(L2Normalize.Attr.Default, [p1], z1, [dz[1]]);
        call.Matches(c, c.Grads["p0"], dp0[0], 1e-9);
        call.Matches(c, c.Grads["p1"], dp1[0], 1e-9);
    }

    [Fact]
    public void Specification_section_12_to_8_digits()
    {
        var z0 = new double[32];
        var z1 = new double[32];
        for (int i = 0; i < 32; i++)
        {
            z0[i] = Math.Sin(0.7 * (i + 1));
            z1[i] = z0[i] + 0.3 * Math.Cos(1.1 * (i + 1));
        }
        using var call = new GoldenCall(DType.F64);
        var shape = new Shape(4, 8);
        var a = call.Forward<L2Normalize, L2Normalize.Attr>(L2Normalize.Attr.Default, call.Place(z0, shape))[0];
        var b = call.Forward<L2Normalize, L2Normalize.Attr>(L2Normalize.Attr.Default, call.Place(z1, shape))[0];
        var weight = call.Place([1, 1, 0.8, 0.8], new Shape(4));
        double Loss(Dcl.Form form, Tensor w) => call.Forward<Dcl, Dcl.Attr>(new(0.1, form), a, b, default, default, w)[0].ToArray<double>()[0];
        Assert.Equal(6.0823897933, Loss(Dcl.Form.SumOfLogs, default), 5e-9);
        Assert.Equal(7.0528013192, Loss(Dcl.Form.SumOfLogs, weight), 5e-9);
        Assert.Equal(-1.1049894485, Loss(Dcl.Form.Joint, default), 5e-9);
        Assert.Equal(-0.1345779225, Loss(Dcl.Form.Joint, weight), 5e-9);
    }

    [Theory]
    [InlineData(DType.F32)]
    [InlineData(DType.F64)]
    public void Anchor_case(DType dtype)
    {
        var c = GoldenCase.Find("anchors", GoldenCase.Area("anchors").FirstOrDefault(c => c.Op == "dcl_anchor")?.Name ?? "");
        using var call = new GoldenCall(dtype);
        var a = call.Forward<L2Normalize, L2Normalize.Attr>(L2Normalize.Attr.Default, call.Place(c.Input("p0")))[0];
        var b = call.Forward<L2Normalize, L2Normalize.Attr>(L2Normalize.Attr.Default, call.Place(c.Input("p1")))[0];
        foreach (string weights in new[] { "ones", "weighted" })
        {
            double[] values = [.. c.Attrs.GetProperty("weights_" + weights).EnumerateArray().Select(GoldenCase.Number)];
            var w = call.Place(values, new Shape(values.Length));
            call.Matches(c, c.Outputs["sum_of_logs_" + weights], call.Forward<Dcl, Dcl.Attr>(new(c.Double("tau")), a, b, default, default, w)[0]);
            call.Matches(c, c.Outputs["joint_" + weights], call.Forward<Dcl, Dcl.Attr>(new(c.Double("tau"), Dcl.Form.Joint), a, b, default, default, w)[0]);
        }
    }

    private static Tensor WeightOf(GoldenCase c, GoldenCall call, Tensor z0, Tensor z1)
    {
        if (c.Bool("dclw")) return call.Forward<DclwWeights, DclwWeights.Attr>(new(c.Double("sigma")), z0, z1)[0];
        double[] table = [.. c.Attrs.GetProperty("table").EnumerateArray().Select(GoldenCase.Number)];
        return call.Place(Array.ConvertAll(c.Input("types").ToInt32(), t => table[t]), new Shape(z0.Shape[0]));
    }
}
