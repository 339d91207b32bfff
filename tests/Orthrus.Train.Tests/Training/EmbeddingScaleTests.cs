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

    [Theory]
    [InlineData(3)]
    [InlineData(0)]
    public void Embeddings_of_training_transcripts_have_mean_0_and_deviation_1_and_heads_give_what_they_gave(int headLayers)
    {
        using var small = SmallCorpus.ToDraw(40);
        using var corpus = small.Build();
        var model = Trained(headLayers);
        List<(int Done, int All)> reports = [];
        var scaled = EmbeddingScale.Standardise(model, corpus, options: new EmbedderOptions { Threads = 1 }, report: (done, all) => reports.Add((done, all)));

        byte[][] training = [.. Enumerable.Range(0, corpus.Count).Where(t => corpus.Split(t) == CorpusSplit.Train).Select(t => corpus.Tracks(t).ToArray())];
        Assert.Equal((training.Length, training.Length), reports[^1]);
        var (before, after) = (Embed(model, training), Embed(scaled, training));
        double Mean(int i) => after.Average(e => e[i]);
        for (int i = 0; i < 16; i++)
        {
            Assert.Equal(0, Mean(i), 1e-4);
            Assert.Equal(1, Math.Sqrt(after.Average(e => (e[i] - Mean(i)) * (e[i] - Mean(i)))), 1e-4);
        }
        Assert.True(before.Average(e => e.Max(Math.Abs)) > 0.1);

        Assert.Equal(["contrastive_projection_head", "sequence_head"], scaled.DescribeHeads().Select(h => h.Name).Order());
        Assert.Equal(model.Heads.Select(t => (t.Name, string.Join(',', t.Shape))).Order(), scaled.Heads.Select(t => (t.Name, string.Join(',', t.Shape))).Order());
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
        foreach (bool positions in new[] { false, true })
        {
            double[] want = Head(model, before, positions), got = Head(scaled, after, positions);
            double size = want.Max(Math.Abs);
            Assert.True(size > 1e-3);
            // A batch norm's epsilon stays as it was while what it normalises changes its size.
            for (int i = 0; i < want.Length; i++) Assert.Equal(want[i], got[i], (headLayers == 0 && !positions ? 1e-2 : 1e-5) * size);
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
        EmbeddingScale.Standardise(model, corpus, 10, report: (_, all) => counted = all);
        Assert.Equal(10, counted);
        using var one = new SmallCorpus();
        using var few = one.Add("a", "g", split: "train").Add("b", "h", split: "valid").Build();
        Assert.Contains("has 1 training transcripts", Assert.Throws<InputDataException>(() => EmbeddingScale.Standardise(model, few)).Message);
    }
}
