using Orthrus.Autograd;
using Orthrus.Mamba;
using Orthrus.Tensor;
using Orthrus.Train.Tests.Training;

namespace Orthrus.Train.Tests.FineTuning;

/// <summary>Loss and gradient of one batch, low-rank updates included.</summary>
public sealed class FineTuneStepTests
{
    private static readonly MambaConfig Config = new(8, 2, 6);
    private static readonly int[] Lengths = [9, 17, 5, 16, 12];

    private static byte[][] Rows()
    {
        var random = new Random(4);
        return [.. Lengths.Select(l => Enumerable.Range(0, l).Select(_ => (byte)(1 << random.Next(4) | (random.Next(3) == 0 ? TrackBits : 0))).ToArray())];
    }

    private const byte TrackBits = 48;

    private static double[] Targets(FineTuneLoss kind) => [.. Enumerable.Range(0, 2 * Lengths.Length).Select(i => kind == FineTuneLoss.MeanSquaredError ? Math.Sin(i) : i % 3 == 0 ? 1 : 0)];

    private static FineTuneModel Model(ParameterStore store, int? layers = null)
    {
        var model = new FineTuneModel(store, Config, targets: 2, body: 6);
        ModelInit.Initialise(model.Encoder, 3);
        ModelInit.InitialiseHead(model.Head, 3, "projection_head.");
        model.TrainLast(layers);
        return model;
    }

    private static double Run(FineTuneModel model, ParameterStore store, FineTuneLoss kind, IReadOnlyList<LowRankUpdate>? updates = null, long budget = 1 << 30)
    {
        using var step = new FineTuneStep(model, store, updates, budget);
        return step.Run([.. Rows().Select(r => (ReadOnlyMemory<byte>)r)], Targets(kind), kind);
    }

    private sealed class Ending(LowRankUpdate[] updates) : IDisposable
    {
        public void Dispose()
        {
            foreach (var u in updates) u.Dispose();
        }
    }

    private static void Randomise(Parameter p, Random random) => p.Value.CopyFrom<double>([.. Enumerable.Range(0, (int)p.Shape.Count).Select(_ => random.NextDouble() - 0.5)]);

    [Theory]
    [InlineData(FineTuneLoss.MeanSquaredError, 0)]
    [InlineData(FineTuneLoss.BinaryCrossEntropy, 0)]
    [InlineData(FineTuneLoss.MeanSquaredError, 3)]
    [InlineData(FineTuneLoss.BinaryCrossEntropy, 1)]
    public void The_gradient_of_the_whole_loss_is_the_derivative_by_dual_numbers(FineTuneLoss kind, int rank)
    {
        using var device = new CpuDevice(1);
        using var store = new ParameterStore(device, DType.F64);
        var model = Model(store);
        var options = new LoraOptions { Rank = Math.Max(1, rank), Alpha = 5 };
        var bases = model.NamedParameters().ToDictionary(p => p.Key, p => p.Value.Value.DType == DType.I64 ? [] : p.Value.Value.ToDoubles());
        LowRankUpdate[] updates = rank > 0 ? LowRankUpdate.Of(store, model.Encoder, options, null, seed: 7) : [];
        using var ending = new Ending(updates);
        Assert.Equal(rank > 0 ? 2 * 4 : 0, updates.Length);
        var random = new Random(5);
        foreach (var u in updates)
        {
            // At B = 0 the gradient of A would be zero whatever the chain rule says.
            Randomise(u.B, random);
            u.Apply();
        }
        double loss = Run(model, store, kind, updates);

        var trained = rank > 0
            ? updates.SelectMany(u => new[] { (Name: "model." + u.Name + ".A", Parameter: u.A), (Name: "model." + u.Name + ".B", Parameter: u.B) }).Concat(model.NamedParameters().Where(p => p.Key.StartsWith("projection", StringComparison.Ordinal) && !p.Value.IsBuffer).Select(p => (Name: p.Key, Parameter: p.Value))).ToArray()
            : model.NamedParameters().Where(p => !p.Value.IsBuffer).Select(p => (Name: p.Key, Parameter: p.Value)).ToArray();
        Assert.All(trained, p => Assert.False(p.Parameter.Grad.IsNone, p.Name));
        byte[][] rows = Rows();
        int width = Lengths.Max();
        byte[] tracks = [.. rows.SelectMany(r => r.Concat(new byte[width - r.Length]))];
        foreach (string? only in (string?[])[null, .. trained.Select(p => p.Name)])
        {
            var direction = trained.ToDictionary(p => p.Name, p => Enumerable.Range(0, (int)p.Parameter.Shape.Count).Select(_ => only is null || only == p.Name ? 2 * random.NextDouble() - 1 : 0).ToArray());
            Dual<Real64>[] Moved(string name, Parameter p, double[] values) =>
                [.. values.Select((v, i) => new Dual<Real64>(Real64.From(v), Real64.From(direction.TryGetValue(name, out var d) ? d[i] : 0)))];
            var spec = new DualStep<Dual<Real64>>(Config, name =>
            {
                var p = model.NamedParameters().Single(x => x.Key == name).Value;
                var weight = Moved(name, p, bases[name]);
                if (updates.SingleOrDefault(u => "model." + u.Name == name) is { } u)
                {
                    var (a, b) = (Moved(name + ".A", u.A, u.A.Value.ToDoubles()), Moved(name + ".B", u.B, u.B.Value.ToDoubles()));
                    for (int o = 0; o < p.Shape[0]; o++)
                        for (int i = 0; i < p.Shape[1]; i++)
                            for (int r = 0; r < rank; r++)
                                weight[o * p.Shape[1] + i] += Dual<Real64>.From(options.Scale) * b[o * rank + r] * a[i * rank + r];
                }
                return new(weight, p.Shape);
            });
            var want = spec.FineTune(tracks, Lengths, Targets(kind), kind);
            Assert.Equal(want.Value, loss, 1e-11 * Math.Abs(want.Value));
            double along = 0, absolute = 0;
            foreach (var (name, p) in trained)
            {
                double[] g = p.Grad.ToDoubles();
                for (int i = 0; i < g.Length; i++)
                {
                    along += g[i] * direction[name][i];
                    absolute += Math.Abs(g[i] * direction[name][i]);
                }
            }
            Assert.True(Math.Abs(along - want.D.Value) <= 1e-9 * absolute + 1e-12, $"{only ?? "all"}: {along:G17}, dual numbers {want.D.Value:G17}");
        }
    }

    [Fact]
    public void The_gradient_of_an_update_is_the_effective_weights_by_the_chain_rule()
    {
        using var device = new CpuDevice(1);
        using var store = new ParameterStore(device, DType.F64);
        const FineTuneLoss kind = FineTuneLoss.MeanSquaredError;
        var plain = Model(store);
        var model = Model(store);
        var options = new LoraOptions { Rank = 2, Alpha = 3, Matrices = ["in_proj", "out_proj"] };
        var updates = LowRankUpdate.Of(store, model.Encoder, options, layers: 1, seed: 1);
        using var ending = new Ending(updates);
        Assert.Equal(["layers.1.mixer.in_proj.weight", "layers.1.mixer.out_proj.weight"], updates.Select(u => u.Name));
        var random = new Random(2);
        foreach (var u in updates)
        {
            Randomise(u.B, random);
            u.Apply();
            var effective = model.Encoder.NamedParameters().Single(p => p.Key == u.Name).Value;
            var weight = plain.Encoder.NamedParameters().Single(p => p.Key == u.Name).Value;
            double[] a = u.A.Value.ToDoubles(), b = u.B.Value.ToDoubles(), w = weight.Value.ToDoubles();
            int columns = weight.Shape[1];
            double[] want = [.. w.Select((v, i) => v + options.Scale * Enumerable.Range(0, 2).Sum(r => b[i / columns * 2 + r] * a[i % columns * 2 + r]))];
            Assert.All(want.Zip(effective.Value.ToDoubles()), p => Assert.Equal(p.First, p.Second, 1e-14));
            weight.Assign(effective.Value);
        }
        // The model of the merged weights has the same loss to the last bit, for the encoder reads the same numbers.
        Assert.Equal(Run(plain, store, kind), Run(model, store, kind, updates));
        foreach (var u in updates)
        {
            var weight = plain.Encoder.NamedParameters().Single(p => p.Key == u.Name).Value;
            double[] d = weight.Grad.ToDoubles(), a = u.A.Value.ToDoubles(), b = u.B.Value.ToDoubles(), da = u.A.Grad.ToDoubles(), db = u.B.Grad.ToDoubles();
            int rows = weight.Shape[0], columns = weight.Shape[1];
            for (int r = 0; r < 2; r++)
            {
                for (int o = 0; o < rows; o++) Assert.Equal(options.Scale * Enumerable.Range(0, columns).Sum(i => d[o * columns + i] * a[i * 2 + r]), db[o * 2 + r], 1e-12);
                for (int i = 0; i < columns; i++) Assert.Equal(options.Scale * Enumerable.Range(0, rows).Sum(o => d[o * columns + i] * b[o * 2 + r]), da[i * 2 + r], 1e-12);
            }
        }
        // What has no update has no gradient, and the weights' own is not left for an optimiser to find.
        Assert.All(model.Encoder.NamedParameters(), p => Assert.True(p.Value.Grad.IsNone, p.Key));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Rows_that_are_encoded_twice_give_the_same_bits(bool updates)
    {
        double[][] Gradients(long budget)
        {
            using var device = new CpuDevice(2);
            using var store = new ParameterStore(device, DType.F32);
            var model = Model(store);
            LowRankUpdate[] lora = updates ? LowRankUpdate.Of(store, model.Encoder, new LoraOptions { Rank = 2 }, null, 1) : [];
            using var ending = new Ending(lora);
            foreach (var u in lora) u.Apply();
            double loss = Run(model, store, FineTuneLoss.MeanSquaredError, lora, budget);
            double[][] result = [[loss], .. model.NamedParameters().Where(p => !p.Value.Grad.IsNone).Select(p => p.Value.Grad.ToDoubles()), .. lora.Select(u => u.B.Grad.ToDoubles())];
            return result;
        }

        var kept = Gradients(1 << 30);
        Assert.True(kept.Length > 5);
        // Nothing kept, and a part of the groups kept: the sums over groups have one order.
        Assert.Equal(kept, Gradients(0));
        Assert.Equal(kept, Gradients(60_000));
    }

    [Theory]
    [InlineData(null, 26)]
    [InlineData(1, 13)]
    [InlineData(0, 0)]
    public void Frozen_layers_have_no_gradient(int? layers, int count)
    {
        using var device = new CpuDevice(1);
        using var store = new ParameterStore(device, DType.F32);
        var model = Model(store, layers);
        Run(model, store, FineTuneLoss.MeanSquaredError);
        string[] with = [.. model.Encoder.NamedParameters().Where(p => !p.Value.Grad.IsNone).Select(p => p.Key)];
        Assert.Equal(count, with.Length);
        if (layers == 1) Assert.All(with, n => Assert.True(n.StartsWith("layers.1.", StringComparison.Ordinal) || n.StartsWith("norm_f.", StringComparison.Ordinal), n));
        Assert.All(model.Head.NamedParameters().Where(p => !p.Value.IsBuffer), p => Assert.False(p.Value.Grad.IsNone, p.Key));
    }
}
