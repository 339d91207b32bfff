using Orthrus.Mamba;
using Orthrus.Rna;
using Orthrus.Train.Probing;

namespace Orthrus.Train.Tests.Probing;

/// <summary>Baselines' features by another way of counting, and embeddings that are found again.</summary>
public sealed class FeatureTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("orthrus-features-").FullName;

    private static string Sequence(int length, int seed)
    {
        var random = new Random(seed);
        return string.Create(length, random, static (s, r) => { for (int i = 0; i < s.Length; i++) s[i] = "ACGT"[r.Next(4)]; });
    }

    [Theory]
    [InlineData(3)]
    [InlineData(5)]
    [InlineData(6)]
    public void Words_are_counted_where_every_base_is_known(int k)
    {
        string s = Sequence(90, k) + "NN" + Sequence(4, 1) + "R" + Sequence(33, 2);
        var counts = new double[1 << 2 * k];
        SequenceFeatures.Kmers(Transcript.Create("x", s).Tracks.Span, k, counts);
        string[] words = [.. Enumerable.Range(0, s.Length - k + 1).Select(i => s.Substring(i, k)).Where(w => w.All("ACGT".Contains))];
        for (int i = 0; i < counts.Length; i++)
        {
            string word = string.Concat(Enumerable.Range(0, k).Select(p => "ACGT"[i >> 2 * (k - 1 - p) & 3]));
            Assert.Equal(words.Count(w => w == word) / (double)words.Length, counts[i], 1e-15);
        }
        SequenceFeatures.Kmers(Transcript.Create("x", "AC").Tracks.Span, k, counts);
        Assert.All(counts, c => Assert.Equal(0, c));
    }

    [Fact]
    public void Composition_is_lengths_gc_and_codons()
    {
        var x = new double[SequenceFeatures.CompositionWidth];
        SequenceFeatures.Composition(Transcript.Create("x", "GGCATGAAAAANAAATAAC", (3, 18)), x);
        double[] lengths = [19, 3, 15, 1], gc = [5.0 / 18, 1, 1.0 / 14, 1];
        Assert.Equal(lengths.Select(n => Math.Log(1 + n)), x[..4]);
        Assert.Equal(gc, x[4..8]);
        // ATG AAA (AAN) AAA TAA
        Assert.Equal([0.5, 0.25, 0.25, 0.5 * 2], new[] { x[8 + 0], x[8 + 14], x[8 + 48], x[8..].Sum() });
        SequenceFeatures.Composition(Transcript.Create("x", "GGCATGAAATAAC"), x);
        Assert.Equal(Math.Log(14), x[0]);
        Assert.All(x[8..].Concat(x[1..4]), v => Assert.Equal(0, v));
    }

    [Fact]
    public void Embeddings_are_taken_from_the_file_for_the_same_model_and_tracks_only()
    {
        var model = OrthrusModel.Create(new MambaConfig(16, 2, 4), 1);
        Transcript[] two = [Transcript.Create("a", Sequence(50, 1)), Transcript.Create("b", Sequence(70, 2))];
        string file = Path.Combine(_folder, "e.safetensors");
        int embedded = 0;
        Embeddings Get(OrthrusModel m, params Transcript[] t) => Embeddings.Get(m, t, file, 1, _ => embedded++);
        var first = Get(model, two);
        Assert.Equal((false, 2, 16), (first.Cached, embedded, first.Width));
        using (var embedder = new Embedder(model)) Assert.Equal(embedder.Embed(two[1].Tracks), first.Values[16..]);
        var again = Get(model, two);
        Assert.Equal((true, 2), (again.Cached, embedded));
        Assert.Equal(first.Values, again.Values);
        // A 4-track model does not read marks, so that they make no difference; a base does, and so do weights and order.
        Assert.True(Get(model, Transcript.Create("a", Sequence(50, 1), (0, 9)), two[1]).Cached);
        foreach (var other in new Func<Embeddings>[]
        {
            () => Get(model, two[1], two[0]), () => Get(model, two[0]), () => Get(model, Transcript.Create("a", Sequence(50, 3)), two[1]), () => Get(OrthrusModel.Create(model.Config, 2), two),
        })
            Assert.Contains("another model or other transcripts", Assert.Throws<InputDataException>(other).Message);
        byte[] bytes = File.ReadAllBytes(file);
        File.WriteAllBytes(file, bytes[..^1]);
        Assert.Contains(file, Assert.ThrowsAny<InputDataException>(() => Get(model, two)).Message);
    }

    [Fact]
    public void Marks_matter_to_a_six_track_model()
    {
        var model = OrthrusModel.Create(new MambaConfig(16, 2, 6), 1);
        string file = Path.Combine(_folder, "e.safetensors");
        Embeddings.Get(model, [Transcript.Create("a", Sequence(50, 1))], file, 1, _ => { });
        Assert.Throws<InputDataException>(() => Embeddings.Get(model, [Transcript.Create("a", Sequence(50, 1), (0, 9))], file, 1, _ => { }));
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);
}
