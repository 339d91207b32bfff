using Orthrus.Rna;
using Orthrus.TestSupport;

namespace Orthrus.Train.Tests.Sampling;

/// <summary>Transforms with given positions, as they were computed from upstream's rules.</summary>
public class AugmentationGoldenTests
{
    public static IEnumerable<TheoryDataRow<string>> Cases(string op) => GoldenCase.Names("split", c => c.Op == op);

    [Theory]
    [MemberData(nameof(Cases), "augment_mask")]
    public void Mask(string name)
    {
        var golden = GoldenCase.Find("split", name);
        byte[] tracks = Pack(golden.Input("x"));
        byte bits = (byte)golden.Attrs.GetProperty("channels").EnumerateArray().Sum(c => 1 << c.GetInt32());
        int[] positions = golden.Input("positions").ToInt32();
        Assert.Equal((int)(tracks.Length * golden.Double("proportion")), positions.Length);
        Augment.Clear(tracks, Set(tracks.Length, positions), bits);
        Assert.Equal(Pack(golden.Output("x")), tracks);
    }

    [Theory]
    [MemberData(nameof(Cases), "augment_drop_track")]
    public void Drop(string name)
    {
        var golden = GoldenCase.Find("split", name);
        byte[] tracks = Pack(golden.Input("x"));
        Augment.Clear(tracks, (byte)(1 << golden.Int("channel")));
        Assert.Equal(Pack(golden.Output("x")), tracks);
    }

    [Theory]
    [MemberData(nameof(Cases), "augment_combine_utr")]
    public void Combined_utrs(string name)
    {
        var golden = GoldenCase.Find("split", name);
        byte[] first = Pack(golden.Input("base")), second = Pack(golden.Input("pair"));
        var shape = Augment.CombineUtr(Whole(false, first), Whole(true, second), golden.Int("limit"));
        byte[] got = Written(shape, first, second);
        Assert.Equal(Pack(golden.Output("pair")), got);
        // The marks that a shape says are those of its bytes.
        Assert.Equal(Augment.Marks(got), (shape.First, shape.Last));
    }

    [Theory]
    [MemberData(nameof(Cases), "augment_cds_only")]
    public void Cds_only(string name)
    {
        var golden = GoldenCase.Find("split", name);
        byte[] first = Pack(golden.Input("base")), second = Pack(golden.Input("pair"));
        ViewShape a = Whole(false, first), b = Whole(true, second);
        Augment.CdsOnly(ref a, ref b);
        Assert.Equal(Pack(golden.Output("base")), Written(a, first, second));
        Assert.Equal(Pack(golden.Output("pair")), Written(b, first, second));
    }

    [Theory]
    [MemberData(nameof(Cases), "augment_chain")]
    public void Chain(string name)
    {
        var golden = GoldenCase.Find("split", name);
        byte[] first = Pack(golden.Input("base")), second = Pack(golden.Input("pair"));
        bool ortholog = golden.Bool("pair_is_ortholog");
        ViewShape a = Whole(false, first), b = Whole(true, second);
        if (ortholog && golden.Bool("combine")) b = Augment.CombineUtr(a, b, golden.Int("limit"));
        if (golden.Bool("utr_dropping") && ortholog && !golden.Bool("base_is_ortholog")) Augment.CdsOnly(ref a, ref b);
        foreach (var (side, shape) in new[] { ("base", a), ("pair", b) })
        {
            byte[] view = Written(shape, first, second);
            foreach (var (track, bits) in new[] { ("cds", TrackByte.Cds), ("splice", TrackByte.Splice), ("sequence", TrackByte.Bases) })
            {
                int[] positions = golden.Input($"{side}_{track}_positions").ToInt32();
                Assert.Equal((int)(view.Length * golden.Double("p_" + track)), positions.Length);
                Augment.Clear(view, Set(view.Length, positions), bits);
            }
            Assert.Equal(Pack(golden.Output(side)), view);
        }
    }

    [Theory]
    [MemberData(nameof(Cases), "python_random")]
    public void Python_s_generator(string name)
    {
        var golden = GoldenCase.Find("split", name);
        foreach (string seed in golden.Attrs.GetProperty("seeds").EnumerateArray().Select(e => e.GetString()!))
        {
            var words = MersenneTwister.Python(long.Parse(seed));
            Assert.All(golden.Output($"seed{seed}.uint32").Values, w => Assert.Equal(w, words.NextUInt32()));
            var doubles = MersenneTwister.Python(long.Parse(seed));
            Assert.All(golden.Output($"seed{seed}.double").Values, d => Assert.Equal(d, ((doubles.NextUInt32() >> 5) * 67108864.0 + (doubles.NextUInt32() >> 6)) / 9007199254740992.0));
            var ranges = MersenneTwister.Python(long.Parse(seed));
            Assert.All(golden.Output($"seed{seed}.randrange").Values.Select((v, i) => (v, i)), x => Assert.Equal(x.v, 1 + ranges.BelowPython(4 + 7 * (uint)x.i)));
            foreach (int n in golden.Attrs.GetProperty("sizes").EnumerateArray().Select(e => e.GetInt32()))
                if (golden.Outputs.ContainsKey($"seed{seed}.shuffle{n}")) Assert.Equal(golden.Output($"seed{seed}.shuffle{n}").ToInt32(), MersenneTwister.Python(long.Parse(seed)).Permutation(n));
        }
    }

    [Theory]
    [MemberData(nameof(Cases), "collate")]
    public void Collation(string name)
    {
        // Rows of a batch stand as upstream stacks them: base views, then pair views, padded on the right.
        var golden = GoldenCase.Find("split", name);
        string[] rows = ["base0", "base1", "base2", "pair0", "pair1", "pair2"];
        byte[][] tracks = [.. rows.Select(r => Pack(golden.Input(r)))];
        using var corpus = new Corpus.SmallCorpus();
        using var file = Build(corpus, tracks);
        using var source = PairSource.Of(file, new PairOptions { Fixed = true, Pairs = 3, Order = BatchOrder.Mixed, Augmentation = Augmentation.None, Orthologs = OrthologRule.Projection, ShortLength = 100, MaxLength = 100, Prefetch = 0 });
        var batch = source.Batch(0);
        int[] want = golden.Output("lengths").ToInt32();
        var x = golden.Output("x");
        int length = x.Dims[2];
        Assert.Equal(length, batch.Length);
        Assert.Equal(want, batch.Lengths);
        for (int row = 0; row < 6; row++)
            Assert.Equal(Pack(new GoldenTensor("U8", [6, length], x.Values[(row * 6 * length)..((row + 1) * 6 * length)])), batch.Tracks.AsSpan(row * length, length).ToArray());
    }

    // Three genes of two transcripts each; the second is a projection, so that the first alone is a key and has one partner.
    private static CorpusFile Build(Corpus.SmallCorpus folder, byte[][] tracks)
    {
        using (var writer = new CorpusWriter(folder.At("c"), 1000))
        {
            for (int g = 0; g < 6; g++) writer.Add("t" + g, tracks[g], g % 3, g < 3 ? TranscriptFlags.None : TranscriptFlags.Projected);
            writer.Finish([.. Enumerable.Range(0, 3).Select(g => new CorpusGene(0, "g" + g, "", g, g))], [0, 1, 2], ["g0", "g1", "g2"], ["f0", "f1", "f2"], ["man"], new byte[6], new Dictionary<string, string>());
        }
        return CorpusFile.Open(folder.At("c"));
    }

    private static ViewShape Whole(bool ofPair, byte[] tracks) => ViewShape.Whole(ofPair, tracks.Length, Augment.Marks(tracks));

    private static byte[] Written(ViewShape shape, byte[] first, byte[] second)
    {
        var view = new byte[shape.Length];
        shape.CopyTo(first, second, view);
        return view;
    }

    private static byte[] Set(int length, int[] positions)
    {
        var set = new byte[length];
        foreach (int p in positions) set[p] = 255;
        return set;
    }

    private static byte[] Pack(GoldenTensor sixByLength)
    {
        int length = sixByLength.Dims[1];
        var tracks = new byte[length];
        for (int t = 0; t < 6; t++)
            for (int i = 0; i < length; i++) tracks[i] |= (byte)((int)sixByLength.Values[t * length + i] << t);
        return tracks;
    }
}
