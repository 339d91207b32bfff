using Orthrus.TestSupport;

namespace Orthrus.Tensor.Tests;

/// <summary>The selective scan and the causal convolution against PyTorch's numbers: forward, carried states and all gradients, in both precisions.</summary>
public class ScanGoldenTests
{
    private static readonly string[] ScanInputs = ["u", "delta", "A", "B", "C", "D", "z", "delta_bias", "h0"];
    private static readonly SelectiveScan.Attr PlainA = new(PlainA: true);

    public static IEnumerable<TheoryDataRow<string, DType>> Cases(string op) => LossGoldenTests.Cases(op);

    [Theory, MemberData(nameof(Cases), "selective_scan")]
    public void Selective_scan(string name, DType dtype)
    {
        var c = GoldenCase.Find("ops", name);
        Assert.True(c.Bool("delta_softplus"));
        Assert.Equal(20, c.Double("softplus_threshold"));
        Run<SelectiveScan, SelectiveScan.Attr>(c, dtype, PlainA, ScanInputs, ["y", "h_last"]);
    }

    public static IEnumerable<TheoryDataRow<string>> ScanNames() => GoldenCase.Names("ops", c => c.Op == "selective_scan");

    [Theory, MemberData(nameof(ScanNames))]
    public void Selective_scan_with_the_logarithm_of_A(string name)
    {
        // The model holds log(-A). Rounding that to float32 moves A by more than the recorded tolerances allow, hence double alone.
        var c = GoldenCase.Find("ops", name);
        using var call = new GoldenCall(DType.F64);
        Tensor[] inputs = Inputs(c, call, ScanInputs);
        double[] a = c.Input("A").Values;
        // log(0): the decay is exactly 1, but the gradient dA_log = A dA is 0 and says nothing.
        inputs[SelectiveScanInput("A")] = call.Place(Array.ConvertAll(a, v => Math.Log(-v)), Shape.Of(c.Input("A").Dims));
        var outputs = call.Forward<SelectiveScan, SelectiveScan.Attr>(default, inputs);
        call.Matches(c, c.Outputs["y"], outputs[0]);
        call.Matches(c, c.Outputs["h_last"], outputs[1]);
        if (c.Cotangents.Count == 0) return;
        var grads = call.Backward<SelectiveScan, SelectiveScan.Attr>(default, inputs, outputs, [call.Place(c.Cotangent("y")), call.Place(c.Cotangent("h_last"))]);
        foreach (var (input, key) in c.Grads)
        {
            var grad = grads[SelectiveScanInput(input)];
            if (input == "A")
            {
                double[] got = grad.ToArray<double>();
                if (a.Contains(0)) Assert.All(got, g => Assert.Equal(0, g));
                else call.Matches(c, key, call.Place([.. got.Zip(a, (g, v) => g / v)], grad.Shape));
            }
            else call.Matches(c, key, grad);
        }
    }

    [Theory, MemberData(nameof(Cases), "selective_scan_carry")]
    public void Selective_scan_carry(string name, DType dtype)
    {
        var c = GoldenCase.Find("ops", name);
        int cut = c.Int("cut");
        using var call = new GoldenCall(dtype);
        Tensor[] inputs = Inputs(c, call, ScanInputs);
        int length = inputs[0].Shape[1];
        Tensor Range(Tensor t, int from, int count) => t.IsNone || t.Shape.Rank != 3 ? t : call.Place(Positions(GoldenCall.Numbers(t), t.Shape, from, count), new Shape(t.Shape[0], count, t.Shape[2]));
        Tensor[] Half(int from, int count, Tensor state) => [.. inputs.Select((t, i) => i == SelectiveScanInput("h0") ? state : Range(t, from, count))];
        Tensor[] first = Half(0, cut, inputs[^1]);
        var before = call.Forward<SelectiveScan, SelectiveScan.Attr>(PlainA, first);
        Tensor[] second = Half(cut, length - cut, before[1]);
        var after = call.Forward<SelectiveScan, SelectiveScan.Attr>(PlainA, second);
        Tensor y = Join(call, inputs[0].Shape, before[0], after[0]);
        call.Matches(c, c.Outputs["y"], y);
        call.Matches(c, c.Outputs["h_mid"], before[1]);
        call.Matches(c, c.Outputs["h_last"], after[1]);

        // Gradients of the second half reach the first through its state.
        Tensor dy = call.Place(c.Cotangent("y"));
        var late = call.Backward<SelectiveScan, SelectiveScan.Attr>(PlainA, second, after, [Range(dy, cut, length - cut), call.Place(c.Cotangent("h_last"))]);
        var early = call.Backward<SelectiveScan, SelectiveScan.Attr>(PlainA, first, before, [Range(dy, 0, cut), late[^1]]);
        Assert.NotEmpty(c.Grads);
        foreach (var (input, key) in c.Grads)
        {
            int i = SelectiveScanInput(input);
            call.Matches(c, key, inputs[i].Shape.Rank == 3 ? Join(call, inputs[i].Shape, early[i], late[i]) : Sum(call, early[i], late[i]));
        }
    }

    [Theory, MemberData(nameof(Cases), "conv1d_silu")]
    public void Conv1d_with_silu(string name, DType dtype)
    {
        var c = GoldenCase.Find("ops", name);
        Assert.Equal("silu", c.Text("activation"));
        Run<CausalConv1d, CausalConv1d.Attr>(c, dtype, default, ["x", "weight", "bias", "state"], ["y", "state"]);
    }

    [Theory, MemberData(nameof(Cases), "conv1d")]
    public void Conv1d_alone(string name, DType dtype)
    {
        var c = GoldenCase.Find("ops", name);
        Assert.Equal("none", c.Text("activation"));
        Run<CausalConv1d, CausalConv1d.Attr>(c, dtype, new(Linear: true), ["x", "weight", "bias", "state"], ["y", "state"]);
    }

#if !SIMULATED // A kernel on a device cannot refuse.
    [Fact]
    public void A_positive_A_is_refused()
    {
        using var call = new GoldenCall(DType.F32);
        Tensor one = call.Place([1], new Shape(1, 1, 1));
        Tensor[] inputs = [one, one, call.Place([0.5], new Shape(1, 1)), one, one, .. new Tensor[4]];
        var e = Assert.Throws<ShapeException>(() => call.Forward<SelectiveScan, SelectiveScan.Attr>(PlainA, inputs));
        Assert.Contains("A[0, 0] is 0.5", e.Message);
    }
#endif

    private static int SelectiveScanInput(string name) => Array.IndexOf(ScanInputs, name);

    private static Tensor[] Inputs(GoldenCase c, GoldenCall call, string[] names) => [.. names.Select(n => c.HasInput(n) ? call.Place(c.Input(n)) : Tensor.None)];

    // PyTorch's weight of a depthwise convolution is (E, 1, K).
    private static void Run<TOp, TAttr>(GoldenCase c, DType dtype, TAttr attr, string[] inputNames, string[] outputNames) where TOp : IOp<TAttr> where TAttr : unmanaged =>
        GoldenOp.Run<TOp, TAttr>(c.Name, dtype, _ => attr, inputNames, outputNames, reshape: (name, t) => name == "weight" ? t with { Shape = [t.Shape[0], t.Shape[^1]] } : t);

    private static double[] Positions(double[] values, Shape shape, int from, int count) =>
        [.. values.Where((_, i) => i / shape[2] % shape[1] - from is var t && t >= 0 && t < count)];

    /// <summary>Two ranges of positions, one after the other in every sequence.</summary>
    private static Tensor Join(GoldenCall call, Shape shape, Tensor a, Tensor b)
    {
        double[] early = GoldenCall.Numbers(a), late = GoldenCall.Numbers(b);
        return call.Place([.. Enumerable.Range(0, shape[0]).SelectMany(n => Row(early, n).Concat(Row(late, n)))], shape);
        IEnumerable<double> Row(double[] values, int n) => values.Skip(n * values.Length / shape[0]).Take(values.Length / shape[0]);
    }

    private static Tensor Sum(GoldenCall call, Tensor a, Tensor b) => call.Place([.. GoldenCall.Numbers(a).Zip(GoldenCall.Numbers(b), (x, y) => x + y)], a.Shape);
}
