using Orthrus.Autograd;
using Orthrus.Mamba;
using Orthrus.PtxSim;
using Orthrus.Tensor;

namespace Orthrus.Train.Tests.Training;

/// <summary>Gradients of whole steps: in parts as at once, recomputed as kept, on a simulated device as on the CPU.</summary>
public class StepTests
{
    private static readonly MambaConfig Encoder = new(16, 2, 6);
    private static readonly PretrainModelOptions Model = new() { HeadBody = 16, HeadOut = 8 };

    /// <summary>Losses and the gradient of every parameter.</summary>
    private static (StepLosses Losses, Dictionary<string, double[]> Gradients, long Peak) Run(Device device, DType dtype, PretrainStepOptions options, PretrainModelOptions? model = null, int pairs = 6, int exon = 12, int layers = 2)
    {
        using (device)
        {
            using var store = new ParameterStore(device, dtype);
            var m = new PretrainModel(store, Encoder with { NLayer = layers }, model ?? Model);
            m.Initialise(3);
            using var step = new PretrainStep(m, store, options);
            var batch = TrainBatch.Of(new Families(24, pairs, exon).Batch(0), model?.MaskedLanguageBody > 0 ? new() : null, 9, 0);
            var losses = step.Run([batch], new(1, 0.5, 0, 0.7));
            return (losses, m.NamedParameters().Where(p => !p.Value.Grad.IsNone).ToDictionary(p => p.Key, p => p.Value.Grad.ToDoubles()), device.PeakBytes);
        }
    }

    private static void Close(Dictionary<string, double[]> got, Dictionary<string, double[]> want, double relative)
    {
        Assert.Equal(want.Keys, got.Keys);
        // Relative to the largest gradient of all: some are zero but for rounding.
        double scale = want.Values.Max(g => g.Max(Math.Abs));
        foreach (var (name, expected) in want)
            for (int i = 0; i < expected.Length; i++)
                Assert.True(Math.Abs(got[name][i] - expected[i]) <= relative * (Math.Abs(expected[i]) + scale * 0.01 + expected.Max(Math.Abs)), $"{name}[{i}]: {got[name][i]:G9}, want {expected[i]:G9}");
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(4)]
    public void The_gradient_of_parts_is_that_of_the_whole(int part)
    {
        var model = Model with { WordLetters = 2, WordCodons = true };
        var whole = Run(new CpuDevice(1), DType.F64, new(), model);
        var parts = Run(new CpuDevice(1), DType.F64, new() { MicroPairs = part }, model);
        Assert.Equal(whole.Losses.Total, parts.Losses.Total, 1e-11);
        Assert.Equal(whole.Losses.Words, parts.Losses.Words, 1e-11);
        Close(parts.Gradients, whole.Gradients, 1e-11);
        var single = Run(new CpuDevice(1), DType.F32, new() { MicroPairs = part }, model);
        Close(single.Gradients, whole.Gradients, 2e-4);
    }

    [Fact]
    public void Parts_and_recomputing_take_less_memory()
    {
        long Peak(PretrainStepOptions options) => Run(new CpuDevice(1), DType.F32, options, pairs: 16, exon: 60, layers: 6).Peak;
        long whole = Peak(new()), parts = Peak(new() { MicroPairs = 2 }), again = Peak(new() { Recompute = true }), both = Peak(new() { MicroPairs = 2, Recompute = true });
        Assert.True(parts < whole / 3, $"in parts {parts} of {whole} bytes");
        Assert.True(again < whole / 2, $"recomputed {again} of {whole} bytes");
        Assert.True(both < parts / 2, $"in parts {parts}, recomputed too {both} bytes");
    }

    [Fact]
    public void Recomputing_changes_no_bit()
    {
        var model = Model with { MaskedLanguageBody = 16 };
        var kept = Run(new CpuDevice(1), DType.F32, new(), model);
        var again = Run(new CpuDevice(1), DType.F32, new() { Recompute = true }, model);
        Assert.Equal(kept.Losses.Total, again.Losses.Total);
        foreach (var (name, g) in kept.Gradients) Assert.Equal(g, again.Gradients[name]);
    }

    [Fact]
    public void The_masked_base_loss_of_parts_is_the_mean_over_all_labels_with_the_statistics_of_each_part()
    {
        var options = new PretrainModelOptions { Contrastive = false, MaskedLanguageBody = 16 };
        var batch = TrainBatch.Of(new Families(24, 6).Batch(0), new(), 9, 0);
        var (loss, gradients) = Of(batch, new() { MicroPairs = 3 });
        double wantLoss = 0;
        var want = gradients.ToDictionary(g => g.Key, g => new double[g.Value.Length]);
        for (int view = 0; view < 2; view++)
        {
            double all = MaskedLanguage.Count(batch.Labels.AsSpan(view * batch.Labels!.Length / 2, batch.Labels.Length / 2));
            for (int half = 0; half < 2; half++)
            {
                // Three pairs, with labels in one view alone: that view's loss is all there is.
                var rows = batch.Rows([3 * half, 3 * half + 1, 3 * half + 2, 6 + 3 * half, 7 + 3 * half, 8 + 3 * half]);
                int[] labels = [.. rows.Labels!];
                Array.Fill(labels, MaskedLanguage.Ignored, (1 - view) * labels.Length / 2, labels.Length / 2);
                var alone = new TrainBatch(new PairBatch(rows.Unmasked!, rows.Length, rows.Lengths, batch.Pairs.Kinds[(3 * half)..(3 * half + 3)]), rows.Tracks, labels);
                var (part, partGradients) = Of(alone, new());
                double share = MaskedLanguage.Count(labels) / all;
                wantLoss += share * part;
                foreach (var (name, g) in partGradients)
                    for (int i = 0; i < g.Length; i++) want[name][i] += share * g[i];
            }
        }
        Assert.Equal(wantLoss, loss, 1e-11);
        Close(gradients, want, 1e-10);

        (double, Dictionary<string, double[]>) Of(TrainBatch b, PretrainStepOptions step)
        {
            using var device = new CpuDevice(1);
            using var store = new ParameterStore(device, DType.F64);
            var model = new PretrainModel(store, Encoder, options);
            model.Initialise(3);
            using var run = new PretrainStep(model, store, step);
            double total = run.Run([b], new(0, 1, 0)).MaskedLanguage;
            return (total, model.NamedParameters().Where(p => !p.Value.Grad.IsNone).ToDictionary(p => p.Key, p => p.Value.Grad.ToDoubles()));
        }
    }

    [Fact]
    public void A_simulated_device_gives_the_same_gradients_at_once_and_in_parts()
    {
        var model = Model with { MaskedLanguageBody = 16 };
        var want = Run(new CpuDevice(1), DType.F64, new(), pairs: 3, exon: 5);
        Close(Run(SimDriver.Open(), DType.F32, new(), pairs: 3, exon: 5).Gradients, want.Gradients, 5e-4);
        Close(Run(SimDriver.Open(), DType.F32, new() { MicroPairs = 2 }, pairs: 3, exon: 5).Gradients, want.Gradients, 5e-4);
        want = Run(new CpuDevice(1), DType.F64, new(), model, pairs: 3, exon: 5);
        Close(Run(SimDriver.Open(), DType.F32, new(), model, pairs: 3, exon: 5).Gradients, want.Gradients, 5e-4);
    }

    [Theory]
    [InlineData(false, 0)]
    [InlineData(true, 0)]
    [InlineData(true, 2)]
    public void A_gradient_in_bfloat16_points_where_the_exact_one_does(bool heads, int part)
    {
        var model = heads ? Model with { Dual = true, MaskedLanguageBody = 16, WordLetters = 2 } : Model;
        var options = new PretrainStepOptions { MicroPairs = part };
        var want = Run(new CpuDevice(1), DType.F64, options, model, pairs: 4, exon: 6);
        var got = Run(SimDriver.Open(), DType.BF16, options, model, pairs: 4, exon: 6);
        Assert.Equal(want.Losses.Total, got.Losses.Total, 0.02 * Math.Abs(want.Losses.Total));
        Assert.Equal(want.Gradients.Keys, got.Gradients.Keys);
        double largest = want.Gradients.Values.Max(Norm);
        foreach (var (name, exact) in want.Gradients)
        {
            double[] g = got.Gradients[name];
            double difference = Norm([.. exact.Zip(g, (a, b) => a - b)]);
            // Eight bits of mantissa, a few roundings deep; what is zero but for rounding is measured by the largest.
            Assert.True(difference <= 0.1 * Norm(exact) + 2e-3 * largest, $"{name}: {difference:G3} of {Norm(exact):G3}, the largest {largest:G3}");
        }

        static double Norm(double[] v) => Math.Sqrt(v.Sum(x => x * x));
    }

    [Fact]
    public void Training_on_a_simulated_device_follows_the_cpu()
    {
        double[] Losses(Device device)
        {
            using (device)
            {
                using var store = new ParameterStore(device, DType.F32);
                var m = new PretrainModel(store, new(16, 1, 6), Model);
                m.Initialise(3);
                using var step = new PretrainStep(m, store, new());
                using var optimiser = new Optimiser(device, m.Groups(1e-3, 1e-4, 1e-3, 1e-4), new() { EmaDecay = 0.9, ExplicitL2 = 1e-4 });
                var losses = new List<double>();
                for (int t = 0; t < 3; t++)
                {
                    m.ClearGrads();
                    losses.Add(step.Run([TrainBatch.Of(new Families(24, 3, 5).Batch(t), null, 9, t)], new(1, 0, 0)).Total);
                    Assert.True(double.IsFinite(optimiser.GradientNorm()));
                    optimiser.Step(1);
                }
                losses.AddRange(optimiser.Result["model.norm_f.weight"].ToDoubles().Take(3));
                return [.. losses];
            }
        }
        double[] cpu = Losses(new CpuDevice(1)), sim = Losses(SimDriver.Open());
        for (int i = 0; i < cpu.Length; i++) Assert.Equal(cpu[i], sim[i], 1e-3 * Math.Max(1, Math.Abs(cpu[i])));
    }

    [Fact]
    public void Shares_of_words_are_counted_by_position_and_scaled_to_chance()
    {
        // A, C, G, T are the bits 1, 2, 4, 8; codon and splice marks do not matter, a cleared base interrupts. ACACA, AC-AC, G.
        byte[] tracks = [17, 2, 1, 34, 1, 1, 2, 0, 1, 2, 4, 0, 0, 0, 0];
        double[] shares = new WordShares(2, false).Of(tracks, [5, 5, 1]);
        var want = new double[3 * 16];
        // AC is word 1, CA word 4; four positions, sixteen words.
        (want[1], want[4]) = (2 * 16 / 4.0, 2 * 16 / 4.0);
        want[16 + 1] = 2 * 16 / 4.0;
        Assert.Equal(want, shares);
        // Words of one letter in the order of the alphabet.
        Assert.Equal([3 * 4 / 5.0, 2 * 4 / 5.0, 0, 0, 2 * 4 / 5.0, 2 * 4 / 5.0, 0, 0, 0, 0, 4, 0], new WordShares(1, false).Of(tracks, [5, 5, 1]));
        // ATG and CAA in frame, at two of four positions.
        want = new double[64];
        (want[14], want[16]) = (64 / 4.0, 64 / 4.0);
        Assert.Equal(want, new WordShares(0, true).Of([1 + 16, 8, 4, 2 + 16, 1, 1], [6]));
        Assert.Equal(16 + 64, new WordShares(2, true).Of(tracks, [5, 5, 1]).Length / 3);
    }

    [Fact]
    public void Masks_depend_on_their_keys_alone()
    {
        var batch = new Families(24, 6).Batch(0);
        var (tracks, labels) = MaskedLanguage.Mask(batch, new() { ReconstructUnmasked = 0.1 }, seed: 4, batchNumber: 11);
        Assert.Equal(labels, MaskedLanguage.Mask(batch, new() { ReconstructUnmasked = 0.1 }, 4, 11).Labels);
        Assert.NotEqual(labels, MaskedLanguage.Mask(batch, new() { ReconstructUnmasked = 0.1 }, 4, 12).Labels);
        Assert.NotEqual(labels, MaskedLanguage.Mask(batch, new() { ReconstructUnmasked = 0.1 }, 5, 11).Labels);
        // The masks of what is masked do not move where another transform is left out.
        Assert.Equal(tracks, MaskedLanguage.Mask(batch, new(), 4, 11).Tracks);
        int masked = 0, all = 0, extra = 0;
        for (int row = 0; row < batch.Lengths.Length; row++)
            for (int t = 0; t < batch.Length; t++)
            {
                int i = row * batch.Length + t;
                bool real = t < batch.Lengths[row], gone = tracks[i] == 0 && batch.Tracks[i] != 0;
                if (!real) Assert.Equal(MaskedLanguage.Ignored, labels[i]);
                else all++;
                if (gone) masked++;
                if (gone) Assert.Equal(MaskedLanguage.Label(batch.Tracks[i]), labels[i]);
                else if (real && labels[i] != MaskedLanguage.Ignored) extra++;
            }
        Assert.InRange(masked / (double)all, 0.1, 0.2);
        Assert.InRange(extra / (double)all, 0.05, 0.13);
        // The same rows in the other order of views are masked otherwise: both views have draws of their own.
        Assert.NotEqual(labels.AsSpan(0, labels.Length / 2).ToArray(), labels.AsSpan(labels.Length / 2).ToArray());
    }
}
