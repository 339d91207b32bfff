using Orthrus.Autograd;
using Orthrus.Tensor;
using Orthrus.TestSupport;

namespace Orthrus.Mamba.Tests;

public class MixerGoldenTests
{
    public static IEnumerable<TheoryDataRow<string, string>> Rows(string op) =>
        from row in GoldenCase.Names("mixer", c => c.Op == op) from dtype in GoldenModel.Precisions select new TheoryDataRow<string, string>(row.Data, dtype);

    private static MambaConfig Config(GoldenCase c) => new(c.Int("d_model"), 1, 4) { DState = c.Int("d_state"), DConv = c.Int("d_conv") };

    [Theory]
    [MemberData(nameof(Rows), "mixer")]
    public void Mixer(string name, string dtype)
    {
        var c = GoldenCase.Find("mixer", name);
        using var m = new GoldenModel(c, dtype);
        var mixer = new MambaMixer(m.Store, Config(c));
        m.Fill(mixer, c.Input);
        var u = m.Tape.Input(m.Real(c.Input("u")));
        var initial = new MixerState();
        if (c.Bool("initial_state")) initial = new(m.Tape.Input(m.Wide(c.Input("conv_state"))), m.Tape.Input(m.Wide(c.Input("ssm_state"))));
        var y = mixer.Forward(m.Tape, u, initial, out var final);
        m.AssertOutput(c.Outputs["y"], y);
        m.AssertOutput(c.Outputs["conv_state"], final.Conv);
        m.AssertOutput(c.Outputs["ssm_state"], final.Scan);
        m.Tape.Backward([y, final.Conv, final.Scan], [m.Like(y, c.Cotangent("y")), Cotangent("conv_state", final.Conv), Cotangent("ssm_state", final.Scan)]);
        m.AssertGrad(c.Grads["u"], m.Tape.Grad(u));
        if (c.Grads.TryGetValue("conv_state", out var key)) m.AssertGrad(key, m.Tape.Grad(initial.Conv));
        if (c.Grads.TryGetValue("ssm_state", out key)) m.AssertGrad(key, m.Tape.Grad(initial.Scan));
        m.AssertGrads(mixer);

        Orthrus.Tensor.Tensor Cotangent(string output, Variable v) => c.Cotangents.ContainsKey(output) ? m.Like(v, c.Cotangent(output)) : default;
    }

    [Theory]
    [MemberData(nameof(Rows), "mixer_carry")]
    public void A_sequence_in_two_stretches_equals_one(string name, string dtype)
    {
        var c = GoldenCase.Find("mixer", name);
        int length = c.Int("L"), cut = c.Int("cut");
        using var m = new GoldenModel(c, dtype);
        var mixer = new MambaMixer(m.Store, new MambaConfig(c.Int("d_model"), 1, 4));
        m.Fill(mixer, c.Input);
        Variable first = m.Tape.Input(m.Rows(c.Input("u"), length, 0, cut)), second = m.Tape.Input(m.Rows(c.Input("u"), length, cut, length - cut));
        var y0 = mixer.Forward(m.Tape, first, default, out var middle);
        var y1 = mixer.Forward(m.Tape, second, middle, out var final);
        m.AssertOutput(c.Outputs["conv_state_mid"], middle.Conv);
        m.AssertOutput(c.Outputs["ssm_state_mid"], middle.Scan);
        m.AssertOutput(c.Outputs["conv_state"], final.Conv);
        m.AssertOutput(c.Outputs["ssm_state"], final.Scan);
        m.AssertClose(c.Outputs["y"], Join(GoldenModel.Numbers(y0.Value), GoldenModel.Numbers(y1.Value)), 1e-12);
        // The gradient of the first stretch passes through the state that it handed on.
        m.Tape.Backward([y0, y1], [m.Rows(c.Cotangent("y"), length, 0, cut), m.Rows(c.Cotangent("y"), length, cut, length - cut)]);
        m.AssertClose(c.Grads["u"], Join(GoldenModel.Numbers(m.Tape.Grad(first)), GoldenModel.Numbers(m.Tape.Grad(second))), 1e-9);
        m.AssertGrads(mixer);

        double[] Join(double[] a, double[] b)
        {
            int batch = c.Int("B"), width = a.Length / batch / cut;
            return [.. Enumerable.Range(0, batch).SelectMany(i => a.Skip(i * cut * width).Take(cut * width).Concat(b.Skip(i * (length - cut) * width).Take((length - cut) * width)))];
        }
    }

    [Theory]
    [MemberData(nameof(Rows), "mixer_bidirectional")]
    public void Bidirectional(string name, string dtype)
    {
        var c = GoldenCase.Find("mixer", name);
        using var m = new GoldenModel(c, dtype);
        var strategy = c.Text("strategy") == "add" ? BidirectionalStrategy.Add : BidirectionalStrategy.Multiply;
        var mixer = new BiMambaMixer(m.Store, new MambaConfig(c.Int("d_model"), 1, 4), strategy);
        m.Fill(mixer.Fwd, n => c.Input("fwd." + n));
        m.Fill(mixer.Rev, n => c.Input("rev." + n));
        var u = m.Tape.Input(m.Real(c.Input("u")));
        var lengths = c.Input("lengths");
        var y = mixer.Forward(m.Tape, u, m.Tape.Constant(m.Ints(lengths)));
        int rows = c.Int("L"), width = c.Int("d_model");
        m.AssertClose(c.Outputs["y"], WithoutPadding(GoldenModel.Numbers(y.Value)), 1e-12);
        var cotangent = c.Cotangent("y");
        m.Tape.Backward([y], [m.Like(y, cotangent with { Values = WithoutPadding(cotangent.Values) })]);
        m.AssertClose(c.Grads["u"], WithoutPadding(GoldenModel.Numbers(m.Tape.Grad(u))), 1e-9);
        m.AssertGrads(mixer.Fwd, "fwd.");
        m.AssertGrads(mixer.Rev, "rev.");
        Assert.Equal("mamba_rev.dt_proj.bias", mixer.NamedParameters()[^1].Key);

        double[] WithoutPadding(double[] values) => [.. values.Select((v, i) => i / width % rows < lengths.Values[i / width / rows] ? v : 0)];
    }
}
