using Orthrus.Autograd;
using Orthrus.Tensor;
using Orthrus.TestSupport;

namespace Orthrus.Mamba.Tests;

public class EncoderGoldenTests
{
    public static IEnumerable<TheoryDataRow<string, string>> Rows(string op) =>
        from row in GoldenCase.Names("encoder", c => c.Op == op && ForModules(c)) from dtype in GoldenModel.Precisions select new TheoryDataRow<string, string>(row.Data, dtype);

    // Longer ones are the streaming encoder's, which is tested against the same numbers.
    private static bool ForModules(GoldenCase c) => c.Op != "encoder_real" || c.Int("B") * c.Int("L") <= 1000;

    [Theory]
    [MemberData(nameof(Rows), "encoder")]
    public void Every_activation_and_gradient(string name, string dtype)
    {
        var c = GoldenCase.Find("encoder", name);
        using var m = new GoldenModel(c, dtype);
        var model = new MixerModel(m.Store, new(c.Int("d_model"), c.Int("n_layers"), c.Int("n_tracks")));
        m.Fill(model, c.Input);
        Assert.Equal(c.Attrs.GetProperty("tensor_order").EnumerateArray().Select(e => e.GetString()), model.NamedParameters().Select(p => p.Key));
        var lengths = m.Ints(c.Input("lengths"));
        var seen = new HashSet<string>();
        var y = model.Forward(m.Tape, m.Bytes(c.Input("bytes")), lengths, Check);
        Check("y", y);
        var rep = m.Tape.Apply<MaskedMeanPool, NoAttr>([y, m.Tape.Constant(lengths)]);
        Check("rep", rep);
        Assert.Equal(c.Outputs.Keys.Order(), seen.Order());
        if (c.Cotangents.Count == 0) return;
        m.Tape.Backward([rep], [m.Like(rep, c.Cotangent("rep"))]);
        Assert.Equal(c.Grads.Keys.Order(), model.NamedParameters().Select(p => p.Key).Order());
        m.AssertGrads(model);

        void Check(string activation, Variable v)
        {
            if (c.Outputs.TryGetValue(activation, out string? key)) m.AssertOutput(key, v);
            seen.Add(activation);
        }
    }

#if SIMULATED
    [Theory(Explicit = true)] // With two seeds and in both precisions: GoldenSeedTests.
#else
    [Theory]
#endif
    [MemberData(nameof(Rows), "encoder_real_gradients")]
    public void Gradients_of_the_published_sizes(string name, string dtype)
    {
        var c = GoldenCase.Find("encoder", name);
        using var m = new GoldenModel(c, dtype);
        var model = Published(m, c);
        var rep = model.Represent(m.Tape, m.Bytes(c.Input("bytes")), m.Ints(c.Input("lengths")));
        m.AssertOutput(c.Outputs["rep"], rep);
        m.Tape.Backward([rep], [m.Like(rep, c.Input("cotangent"))]);
        var grads = model.NamedParameters().Select(p => (p.Key, Values: GoldenModel.Numbers(p.Value.Grad))).ToArray();
        m.AssertClose(c.Outputs["norms"], [.. grads.Select(g => Math.Sqrt(g.Values.Sum(v => v * v)))], 1e-9);
        foreach (var (key, values) in grads)
        {
            // Element floor(n (2j + 1) / 64) for j = 0 to 31.
            m.AssertClose(c.Outputs["samples." + key], [.. Enumerable.Range(0, 32).Select(j => values[values.LongLength * (2 * j + 1) / 64])], 1e-9);
        }
    }

    // The embedder is held to the same numbers at every length in the default tier.
    private const int LongestOfDefaultTier = 1000;

#if SIMULATED
    private const int Longest = 3000;
#else
    private const int Longest = int.MaxValue;
#endif

    public static IEnumerable<TheoryDataRow<string, string>> Real(bool longer) =>
        from row in GoldenCase.Names("encoder", c => c.Op == "encoder_real" && c.Int("L") <= Longest && c.Int("B") * c.Int("L") > LongestOfDefaultTier == longer)
        from dtype in GoldenModel.Precisions
        select new TheoryDataRow<string, string>(row.Data, dtype);

#if SIMULATED
    [Theory(Explicit = true)] // With two seeds and in both precisions: GoldenSeedTests.
#else
    [Theory]
#endif
    [MemberData(nameof(Real), false)]
    public void Published_sizes_on_real_transcripts(string name, string dtype)
    {
        var c = GoldenCase.Find("encoder", name);
        using var m = new GoldenModel(c, dtype);
        var model = Published(m, c);
        using var tape = Tape.Off(m.Store.Device);
        var rep = model.Represent(tape, m.Bytes(c.Input("bytes")), m.Ints(c.Input("lengths")));
        m.AssertOutput(c.Outputs["rep"], rep);
    }

#if SIMULATED
    [Theory(Explicit = true)]
#else
    [Theory]
    [Trait("tier", "long")]
#endif
    [MemberData(nameof(Real), true)]
    public void Published_sizes_on_long_transcripts(string name, string dtype) => Published_sizes_on_real_transcripts(name, dtype);

    private static MixerModel Published(GoldenModel m, GoldenCase c)
    {
        var weights = SafeTensorFile.Open(Path.Combine(c.Folder, c.Text("weights")));
        int layers = weights.Keys.Count(k => k.EndsWith(".A_log", StringComparison.Ordinal));
        var model = new MixerModel(m.Store, new(c.Int("d_model"), layers, c.Int("n_tracks")));
        m.Fill(model, k => weights[k]);
        return model;
    }

    public static IEnumerable<TheoryDataRow<string>> Toy() => GoldenCase.Names("anchors", c => c.Op == "encoder_anchor");

    [Theory]
    [MemberData(nameof(Toy))]
    public void Anchors_of_the_specification(string name)
    {
        var c = GoldenCase.Find("anchors", name);
        foreach (string dtype in GoldenModel.Precisions)
        {
            using var m = new GoldenModel(c, dtype);
            var model = new MixerModel(m.Store, new(c.Int("d_model"), c.Int("n_layers"), c.Int("n_tracks")));
            m.Fill(model, c.Input);
            Assert.Equal(c.Int("parameters"), model.ParameterCount());
            var bytes = m.Bytes(c.Input("bytes"));
            bytes = bytes.Reshape(new Shape(1, (int)bytes.Count));
            var y = model.Forward(m.Tape, bytes, default, (activation, v) => { if (c.Outputs.TryGetValue(activation, out string? key)) m.AssertOutput(key, v); });
            m.AssertOutput(c.Outputs["y"], y);
            foreach (int length in new[] { 14, 10 })
            {
                var lengths = m.Ints(new GoldenTensor("I64", [1], [length]));
                m.AssertOutput(c.Outputs[$"rep_len{length}"], m.Tape.Apply<MaskedMeanPool, NoAttr>([y, m.Tape.Constant(lengths)]));
            }
        }
    }
}
