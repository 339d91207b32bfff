using Orthrus.Autograd;
using Orthrus.Mamba;
using Orthrus.Rna;
using Orthrus.Tensor;
using Orthrus.Train.Tests.Corpus;

namespace Orthrus.Train.Tests.Training;

/// <summary>Standardised embeddings, and heads that do not notice.</summary>
public sealed class EmbeddingScaleTests : IDisposable
{
    private readonly string _root = Directory.CreateTempSubdirectory("orthrus-scale-").FullName;

    public void Dispose() => Directory.Delete(_root, recursive: true);

    private OrthrusModel Trained(int headLayers)
    {
        var config = TrainPresets.Find("tiny") with { Width = 16, Layers = 2, HeadBody = 12, HeadOut = 8, HeadLayers = headLayers, Steps = 3, ValidateEvery = 0, WarmupSteps = 0, MaskedBases = true, MaskedBody = 10, Seed = 3 };
        string folder = Path.Combine(_root, "run");
        using var device = new CpuDevice(1);
        using (var trainer = new Trainer(config, device, new Families(24, 6), new Families(24, 6, shift: 1000), folder, false)) trainer.Run(null, null);
        return OrthrusModel.Load(Path.Combine(folder, "checkpoints", "step-00000003.safetensors"));
    }

    private static double[][] Embed(OrthrusModel model, IEnumerable<byte[]> tracks)
    {
        using var embedder = new Embedder(model, new EmbedderOptions { Threads = 1, DType = DType.F64 });
        return [.. embedder.EmbedAll(tracks, t => (ReadOnlyMemory<byte>)t).Select(e => e.Vector64!)];
    }

    /// <summary>With weights and biases of the norms that are not nearly 1 and 0, as they are after so few steps.</summary>
    private static OrthrusModel Shaken(OrthrusModel model)
    {
        var encoder = new StateDict();
        foreach (var t in model.Encoder)
        {
            int k = 0;
            encoder.Add(t.Name.Contains("norm", StringComparison.Ordinal) ? StateTensor.FromSingle(t.Name, [.. t.ToSingle().Select(v => v + 0.4f * MathF.Sin(7 * ++k + t.Name.Length))], [.. t.Shape]) : t);
        }
        return new() { Config = model.Config, Encoder = encoder, Heads = model.Heads, Name = model.Name, Source = model.Source, Format = model.Format, Sha256 = model.Sha256, Provenance = model.Provenance };
    }

    public static TheoryData<double?, int> Kinds => new() { { null, 3 }, { null, 0 }, { 0, 3 }, { 0.375, 3 }, { 0.5, 3 }, { 0.5, 0 } };

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Embeddings_of_training_transcripts_have_one_scale_and_heads_give_what_they_gave(double? whitening, int headLayers)
    {
        using var small = SmallCorpus.ToDraw(40);
        using var corpus = small.Build();
        var model = Shaken(Trained(headLayers));
        List<(int Done, int All)> reports = [];
        var scaled = EmbeddingScale.Standardise(model, corpus, whitening, options: new EmbedderOptions { Threads = 1, DType = DType.F64 }, report: (done, all) => reports.Add((done, all)));

        byte[][] training = [.. Enumerable.Range(0, corpus.Count).Where(t => corpus.Split(t) == CorpusSplit.Train).Select(t => corpus.Tracks(t).ToArray())];
        Assert.Equal((training.Length, training.Length), reports[^1]);
        var (before, after) = (Embed(model, training), Embed(scaled, training));
        double Covariance(double[][] rows, int i, int j)
        {
            double a = rows.Average(r => r[i]), b = rows.Average(r => r[j]);
            return rows.Average(r => (r[i] - a) * (r[j] - b));
        }
        double[] variances = [.. Enumerable.Range(0, 16).Select(i => Covariance(after, i, i))];
        for (int i = 0; i < 16; i++) Assert.Equal(0, after.Average(e => e[i]), 1e-4);
        Assert.Equal(1, variances.Average(), 1e-4);
        Assert.True(before.Average(e => e.Max(Math.Abs)) > 0.1);
        if (whitening is null) Assert.All(variances, v => Assert.Equal(1, v, 1e-4));
        else
        {
            // Uncorrelated, but for the first two numbers, which share a component.
            for (int i = 0; i < 16; i++)
                for (int j = Math.Max(2, i + 1); j < 16; j++) Assert.InRange(Covariance(after, i, j) / Math.Sqrt(variances[i] * variances[j]), -0.36, 0.36);
            Assert.InRange(Covariance(after, 0, 1) / Math.Sqrt(variances[0] * variances[1]), -1, -0.3);
            // Of the components' variances v what is left is v^(1 - 2 whitening).
            double spread = variances[2] / variances[15];
            if (whitening == 0.5) Assert.Equal(1, spread, 1e-3);
            else Assert.True(spread > (whitening == 0 ? 20 : 1.5), $"{spread}");
            if (whitening == 0.5) Assert.Equal(variances[0] + variances[1], variances[2], 1e-3);
        }

        // A head that is a norm alone, without linear layers, has no place for the change.
        string[] kept = headLayers == 0 ? ["sequence_head"] : ["contrastive_projection_head", "sequence_head"];
        Assert.Equal(kept, scaled.DescribeHeads().Select(h => h.Name).Order());
        Assert.Equal(model.Heads.Where(t => kept.Any(t.Name.StartsWith)).Select(t => (t.Name, string.Join(',', t.Shape))).Order(), scaled.Heads.Select(t => (t.Name, string.Join(',', t.Shape))).Order());
        using var device = new CpuDevice(1);
        double[] Head(OrthrusModel m, double[][] x, bool positions)
        {
            using var store = new ParameterStore(device, DType.F64);
            using var scope = device.OpenScope();
            using var tape = new Tape(device);
            var input = tape.Constant(scope.From<double>(x.SelectMany(r => r).ToArray(), positions ? new Shape(1, x.Length, 16) : new Shape(x.Length, 16)));
            var y = positions ? m.CreatePositionHead(store, "sequence_head").Forward(tape, input, false) : m.CreateProjectionHead(store, "contrastive_projection_head").Forward(tape, input, false);
            return y.Value.ToDoubles();
        }
        // Whatever the position head reads at a position moves as the mean does.
        foreach (bool positions in headLayers == 0 ? [true] : new[] { false, true })
        {
            double[] want = Head(model, before, positions), got = Head(scaled, after, positions);
            double size = want.Max(Math.Abs);
            Assert.True(size > 1e-3);
            // Weights are rounded to float32, and components of little variance are enlarged.
            for (int i = 0; i < want.Length; i++) Assert.Equal(want[i], got[i], (whitening is null ? 1e-5 : 2e-4) * size);
        }
        Assert.NotSame(model.Encoder, scaled.Encoder);
        Assert.Equal(before, Embed(model, training));
    }

    [Fact]
    public void Some_transcripts_stand_for_all_and_two_are_needed()
    {
        using var small = SmallCorpus.ToDraw(40);
        using var corpus = small.Build();
        var model = OrthrusModel.Create(new MambaConfig(16, 1, 6), 1);
        int counted = 0;
        EmbeddingScale.Standardise(model, corpus, transcripts: 10, report: (_, all) => counted = all);
        Assert.Equal(10, counted);
        Assert.Throws<ArgumentOutOfRangeException>(() => EmbeddingScale.Standardise(model, corpus, 0.6));
        using var one = new SmallCorpus();
        using var few = one.Add("a", "g", split: "train").Add("b", "h", split: "valid").Build();
        Assert.Contains("has 1 training transcripts", Assert.Throws<InputDataException>(() => EmbeddingScale.Standardise(model, few)).Message);
    }
}
