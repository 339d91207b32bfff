using System.Text.Json.Nodes;
using Orthrus.Autograd;
using Orthrus.Tensor;
using Orthrus.Tensor.Cpu;

namespace Orthrus.Mamba.Tests;

/// <summary>The bidirectional encoder, embedded, saved and loaded. Its mixer's numbers are in <see cref="MixerGoldenTests"/>.</summary>
public sealed class BidirectionalTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("orthrus-bidirectional-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private static readonly MambaConfig Config = new(24, 3, 6) { Bidirectional = true };

    private static byte[] Record(int length, int seed)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, length).Select(_ => (byte)(1 << random.Next(4) | random.Next(4) << 4))];
    }

    [Theory]
    [InlineData(DType.F32, Pooling.Mean)]
    [InlineData(DType.F32, Pooling.Last)]
    [InlineData(DType.F64, Pooling.Max)]
    [InlineData(DType.F64, Pooling.Mean)]
    public void Equals_the_modules_whatever_the_mates(DType dtype, Pooling pooling)
    {
        var weights = StreamingIdentityTests.Weights(Config, 5);
        byte[][] records = [Record(1, 1), Record(300, 2), Record(37, 3), Record(1000, 4)];
        var rows = Array.ConvertAll(records, r => new double[r.Length * 24]);
        using var embedder = new Embedder(Config, weights, new EmbedderOptions { DType = dtype, Pooling = pooling, Threads = 2 });
        var together = embedder.EmbedAll(Enumerable.Range(0, 4), i => records[i], (i, start, single, wide) =>
        {
            for (int k = 0; k < single.Length; k++) rows[i][start * 24 + k] = dtype == DType.F64 ? wide[k] : single[k];
        }).ToArray();
        for (int i = 0; i < 4; i++)
        {
            double[] y = StreamingIdentityTests.ModuleRows(Config, weights, dtype, VectorWidths.Default, records[i]);
            Assert.Equal(y, rows[i]);
            double[] want = pooling switch
            {
                Pooling.Mean => StreamingIdentityTests.Mean(y, 24),
                Pooling.Last => y[^24..],
                _ => [.. Enumerable.Range(0, 24).Select(j => Enumerable.Range(0, records[i].Length).Max(t => y[t * 24 + j]))],
            };
            StreamingIdentityTests.AssertNear(want, together[i].Vector64 ?? Array.ConvertAll(together[i].Vector, v => (double)v), dtype == DType.F64 ? 1e-13 : 1e-6);
        }
        using var alone = new Embedder(Config, weights, new EmbedderOptions { DType = dtype, Pooling = pooling, Threads = 1 });
        for (int i = 3; i >= 0; i--) Assert.Equal(together[i].Vector, alone.Embed(records[i]));
        // The first position hears of the last one.
        byte[] changed = [.. records[2]];
        changed[^1] ^= 3;
        Assert.NotEqual(rows[2][..24], StreamingIdentityTests.ModuleRows(Config, weights, dtype, VectorWidths.Default, changed)[..24]);
    }

    [Theory]
    [InlineData(32, 2)]
    [InlineData(128, 3)]
    public void Memory_grows_with_length_as_it_says(int d, int layers)
    {
        var config = new MambaConfig(d, layers, 4) { Bidirectional = true };
        using var device = new CpuDevice(1);
        using var scope = device.OpenScope();
        using var store = new ParameterStore(device, DType.F32);
        using var tape = Tape.Off(device);
        var model = new MixerModel(store, config);
        ModelInit.Initialise(model, 1);
        // Short enough for blocks of memory that fit closely.
        const int Length = 1000;
        var tracks = scope.From<byte>(Record(Length, 1), new Shape(1, Length));
        long before = device.LiveBytes;
        model.Forward(tape, tracks);
        double measured = (double)(device.PeakBytes - before) / Length, said = Embedder.WholeRecordBytes(config, DType.F32);
        Assert.InRange(measured / said, 0.9, 1.25);
        using var embedder = new Embedder(config, n => model.NamedParameters().First(p => p.Key == n).Value.Value.ToArray<float>().Select(v => (double)v).ToArray());
        Assert.Equal(said, embedder.BytesPerNucleotide);
        using var streaming = new Embedder(OrthrusModel.Create(config with { Bidirectional = false }, 1));
        Assert.Equal(0, streaming.BytesPerNucleotide);
    }

    [Fact]
    public void Layout_and_modules_name_the_same_tensors()
    {
        using var device = new CpuDevice(1);
        using var store = new ParameterStore(device, DType.F32);
        var model = new MixerModel(store, Config);
        Assert.Equal(model.NamedParameters().Select(p => (p.Key, string.Join(",", Enumerable.Range(0, p.Value.Shape.Rank).Select(i => p.Value.Shape[i])))),
            EncoderLayout.Tensors(Config).Select(t => (t.Name, string.Join(",", t.Shape))));
        Assert.Equal(4 + 18 * 3, EncoderLayout.Tensors(Config).Count());
        Assert.Equal(model.ParameterCount(), EncoderLayout.ParameterCount(Config));
    }

    [Fact]
    public void Saved_and_loaded_it_is_the_same_model()
    {
        var model = OrthrusModel.Create(Config, 8);
        string folder = Path.Combine(_folder, "hf"), file = Path.Combine(_folder, "m.safetensors");
        model.SaveHuggingFace(folder);
        model.SaveSafeTensors(file);
        var record = Record(60, 1);
        using var original = new Embedder(model);
        foreach (string path in new[] { folder, file, Path.Combine(folder, "model.safetensors") })
        {
            // The folder's weights file alone does not say that it is bidirectional; the caller may.
            bool bare = path.StartsWith(folder + Path.DirectorySeparatorChar, StringComparison.Ordinal);
            if (bare) Assert.Contains("config.json", Assert.Throws<CheckpointException>(() => OrthrusModel.Load(path)).Message);
            var copy = OrthrusModel.Load(path, bare ? Config : null);
            Assert.Equal(Config, copy.Config);
            using var embedder = new Embedder(copy);
            Assert.Equal(original.Embed(record), embedder.Embed(record));
            Assert.Throws<CheckpointException>(() => OrthrusModel.Load(path, Config with { Bidirectional = false }));
        }
    }

    [Fact]
    public void Copies_of_shared_tensors_are_taken_if_they_are_equal()
    {
        var model = OrthrusModel.Create(Config, 8);
        string path = Path.Combine(_folder, "tied.safetensors");
        SafeTensors.Write(path, [.. model.Encoder, .. Copies(0)]);
        Assert.Equal(model.Encoder.Select(t => t.Name), OrthrusModel.Load(path, Config).Encoder.Select(t => t.Name));
        SafeTensors.Write(path, [.. model.Encoder, .. Copies(1)]);
        Assert.Contains("mamba_rev.in_proj.weight", Assert.Throws<CheckpointException>(() => OrthrusModel.Load(path, Config)).Message);

        IEnumerable<StateTensor> Copies(float moved)
        {
            foreach (var t in model.Encoder.Where(t => t.Name.EndsWith("mamba_fwd.in_proj.weight", StringComparison.Ordinal) || t.Name.EndsWith("mamba_fwd.out_proj.weight", StringComparison.Ordinal)))
            {
                float[] values = t.ToSingle();
                values[^1] += moved;
                yield return StateTensor.FromSingle(t.Name.Replace("mamba_fwd", "mamba_rev"), values, [.. t.Shape]);
            }
        }
    }

    [Theory]
    [InlineData("bidirectional", "\"both\"")]
    [InlineData("bidirectional", "false")]
    [InlineData("bidirectional_strategy", "\"ew_multiply\"")]
    [InlineData("bidirectional_weight_tie", "false")]
    public void Other_forms_are_refused(string entry, string value)
    {
        string folder = Path.Combine(_folder, "hf"), config = Path.Combine(folder, "config.json");
        OrthrusModel.Create(Config, 8).SaveHuggingFace(folder);
        var json = JsonNode.Parse(File.ReadAllText(config))!;
        Assert.True((bool)json["bidirectional"]!);
        json[entry] = JsonNode.Parse(value);
        File.WriteAllText(config, json.ToJsonString());
        Assert.Contains("bidirectional", Assert.Throws<CheckpointException>(() => OrthrusModel.Load(folder)).Message);
    }

    [Fact]
    public void A_unidirectional_checkpoint_is_not_taken_for_a_bidirectional_one()
    {
        string file = Path.Combine(_folder, "m.safetensors");
        OrthrusModel.Create(Config with { Bidirectional = false }, 8).SaveSafeTensors(file);
        Assert.Throws<CheckpointException>(() => OrthrusModel.Load(file, Config));
    }
}
