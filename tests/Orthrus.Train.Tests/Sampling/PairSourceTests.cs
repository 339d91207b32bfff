using Orthrus.Rna;
using Orthrus.Train.Tests.Corpus;

namespace Orthrus.Train.Tests.Sampling;

/// <summary>Batches of pairs: what is in them, and that they depend on nothing but corpus, options and step.</summary>
public sealed class PairSourceTests : IDisposable
{
    private static readonly PairOptions Options = new() { Pairs = 8, MaxLength = 12_288 };

    private readonly SmallCorpus _small = SmallCorpus.ToDraw();
    private readonly CorpusFile _corpus;
    private readonly Dictionary<string, int> _byBases;

    public PairSourceTests()
    {
        _corpus = _small.Build();
        _byBases = Enumerable.Range(0, _corpus.Count).ToDictionary(t => Letters(_corpus.Tracks(t)));
    }

    [Fact]
    public void A_batch_does_not_depend_on_threads_order_or_what_was_asked_before()
    {
        using var plain = PairSource.Of(_corpus, Options with { Prefetch = 0 });
        using var many = PairSource.Of(_corpus, Options with { Threads = 4, Prefetch = 5 });
        using var own = PairSource.Open(_corpus.Path, Options with { Threads = 2, Prefetch = 1 });
        long[] steps = [0, 1, 2, 3, plain.BatchesPerEpoch - 1, plain.BatchesPerEpoch, 7, 3, 5L * plain.BatchesPerEpoch + 2, 0];
        foreach (long step in steps)
        {
            var want = plain.Batch(step);
            foreach (var source in new[] { many, own })
            {
                var got = source.Batch(step);
                Assert.Equal(want.Tracks, got.Tracks);
                Assert.Equal(want.Lengths, got.Lengths);
                Assert.Equal(want.Kinds, got.Kinds);
            }
        }
    }

    [Fact]
    public void A_pair_is_the_same_whatever_the_batch_around_it()
    {
        var views = new List<Dictionary<string, string>>();
        foreach (var options in new[] { Options with { Pairs = 3 }, Options with { Pairs = 20, Order = BatchOrder.Mixed }, Options with { Nucleotides = 9000 } })
        {
            // Bases are masked: the pair is told by the unmasked second source of the same draws.
            using var source = PairSource.Of(_corpus, options with { Prefetch = 0 });
            using var plain = PairSource.Of(_corpus, options with { Prefetch = 0, Augmentation = Augmentation.None });
            var seen = new Dictionary<string, string>();
            for (int step = 0; step < source.BatchesPerEpoch; step++)
            {
                var (batch, bare) = (source.Batch(step), plain.Batch(step));
                for (int i = 0; i < batch.Pairs; i++) seen.Add(Letters(Row(bare, i)), Convert.ToHexString(Row(batch, i)) + Convert.ToHexString(Row(batch, batch.Pairs + i)));
            }
            views.Add(seen);
        }
        int common = 0;
        foreach (var (key, pair) in views[0])
        {
            foreach (var other in views.Skip(1))
            {
                if (!other.TryGetValue(key, out string? same)) continue;
                Assert.Equal(pair, same);
                common++;
            }
        }
        Assert.True(common > 100);
    }

    [Fact]
    public void Every_key_is_drawn_at_most_once_an_epoch_and_epochs_differ()
    {
        using var source = PairSource.Of(_corpus, Options with { Augmentation = Augmentation.None });
        var orders = new List<string>();
        for (int epoch = 0; epoch < 2; epoch++)
        {
            var keys = new List<int>();
            for (int step = 0; step < source.BatchesPerEpoch; step++)
            {
                var batch = source.Batch(epoch * (long)source.BatchesPerEpoch + step);
                Assert.Equal(8, batch.Pairs);
                keys.AddRange(Enumerable.Range(0, batch.Pairs).Select(i => _byBases[Letters(Row(batch, i))]));
            }
            Assert.Equal(keys.Count, keys.Distinct().Count());
            Assert.Equal(source.Keys / 8 * 8, keys.Count);
            orders.Add(string.Join(' ', keys));
        }
        Assert.NotEqual(orders[0], orders[1]);
    }

    [Fact]
    public void Partners_are_of_the_kind_that_is_said_and_of_split_and_length_that_are_allowed()
    {
        using var source = PairSource.Of(_corpus, Options with { Augmentation = Augmentation.None });
        var kinds = new HashSet<PairKind>();
        foreach (var (first, second, kind) in Pairs(source, 3))
        {
            kinds.Add(kind);
            Assert.NotEqual(first, second);
            Assert.Equal(_corpus.Group(first), _corpus.Group(second));
            Assert.Equal(kind == PairKind.Splice, _corpus.Species(first) == _corpus.Species(second));
            Assert.Equal(CorpusSplit.Train, _corpus.Split(first));
            Assert.Equal(CorpusSplit.Train, _corpus.Split(second));
            if (_corpus.Length(first) < 3900) Assert.True(_corpus.Length(second) < 3900);
        }
        Assert.Equal(2, kinds.Count);
    }

    [Theory]
    [InlineData(0.0)]
    [InlineData(0.3)]
    [InlineData(1.0)]
    public void The_weight_of_orthologs_decides_where_there_is_a_choice(double weight)
    {
        using var small = new SmallCorpus();
        for (int g = 0; g < 60; g++)
            for (int t = 0; t < 4; t++) small.Add($"g{g}t{t}", $"g{g}", t < 2 ? "man" : "mouse", group: $"og{g}", split: "train", length: 30 + t);
        using var corpus = small.Build();
        using var source = PairSource.Of(corpus, Options with { OrthologWeight = weight, Augmentation = Augmentation.None });
        int n = 0, orthologs = 0;
        for (int step = 0; step < 4 * source.BatchesPerEpoch; step++)
        {
            foreach (var kind in source.Batch(step).Kinds)
            {
                n++;
                if (kind == PairKind.Ortholog) orthologs++;
            }
        }
        Assert.InRange((double)orthologs / n, weight == 0 ? 0 : weight - 0.06, weight is 0 or 1 ? weight : weight + 0.06);
        using var uniform = PairSource.Of(corpus, PairOptions.V0 with { Pairs = 8, Augmentation = Augmentation.None });
        double share = Enumerable.Range(0, 4 * uniform.BatchesPerEpoch).SelectMany(s => uniform.Batch(s).Kinds).Average(k => k == PairKind.Ortholog ? 1.0 : 0);
        Assert.InRange(share, 2.0 / 3 - 0.06, 2.0 / 3 + 0.06);
    }

    [Fact]
    public void Transcripts_are_paired_with_themselves_where_no_kind_is_left()
    {
        using var self = PairSource.Of(_corpus, Options with { UseSplice = false, UseOrthologs = false, Augmentation = Augmentation.V1 });
        Assert.Equal(Enumerable.Range(0, _corpus.Count).Count(t => _corpus.Split(t) == CorpusSplit.Train), self.Keys);
        var batch = self.Batch(0);
        Assert.All(batch.Kinds, k => Assert.Equal(PairKind.Self, k));
        Assert.Equal(batch.Lengths[..8], batch.Lengths[8..]);
        Assert.NotEqual(Row(batch, 0), Row(batch, 8));
        using var alone = new SmallCorpus();
        for (int g = 0; g < 9; g++) alone.Add("t" + g, "g" + g, split: "train");
        using var corpus = alone.Build();
        Assert.Contains("too few", Assert.Throws<InputDataException>(() => PairSource.Of(corpus, Options)).Message);
        using var kept = PairSource.Of(corpus, Options with { KeepAlone = true });
        Assert.Equal(9, kept.Keys);
    }

    [Fact]
    public void Junctions_that_one_view_lacks_are_blank_in_both()
    {
        using var source = PairSource.Of(_corpus, Options with { Augmentation = Augmentation.None });
        using var told = PairSource.Of(_corpus, Options with { Augmentation = Augmentation.None with { BlankUnknownJunctions = false } });
        int blank = 0, known = 0, leak = 0;
        for (int step = 0; step < source.BatchesPerEpoch; step++)
        {
            var (batch, leaky) = (source.Batch(step), told.Batch(step));
            for (int i = 0; i < batch.Pairs; i++)
            {
                byte[] first = Row(batch, i), second = Row(batch, batch.Pairs + i);
                int a = _byBases[Letters(first)], b = _byBases[Letters(second)];
                bool unknown = ((_corpus.Flags(a) | _corpus.Flags(b)) & TranscriptFlags.JunctionsUnknown) != 0;
                if (unknown) blank++;
                else known++;
                foreach (var (view, t) in new[] { (first, a), (second, b) })
                {
                    int marks = view.Count(x => (x & TrackByte.Splice) != 0);
                    Assert.Equal(unknown ? 1 : _corpus.Tracks(t).ToArray().Count(x => (x & TrackByte.Splice) != 0), marks);
                    Assert.NotEqual(0, view[^1] & TrackByte.Splice);
                }
                if (unknown && Row(leaky, i).Count(x => (x & TrackByte.Splice) != 0) != Row(leaky, batch.Pairs + i).Count(x => (x & TrackByte.Splice) != 0)) leak++;
            }
        }
        Assert.True(blank > 20 && known > 20 && leak > 5, $"{blank} {known} {leak}");
    }

    [Fact]
    public void A_cds_of_which_one_source_says_nothing_is_blank_in_both()
    {
        using var small = new SmallCorpus();
        for (int g = 0; g < 8; g++) small.Add($"a{g}", $"g{g}", cds: "9\t39", split: "train").Add($"b{g}", $"g{g}", cds: "NA\tNA", split: "train", length: 70);
        using var corpus = small.Build();
        // Every transcript is the first of a pair and the second of one.
        using var source = PairSource.Of(corpus, Options with { Pairs = 16, Augmentation = Augmentation.None });
        Assert.DoesNotContain(source.Batch(0).Tracks, b => (b & TrackByte.Cds) != 0);
        using var told = PairSource.Of(corpus, Options with { Pairs = 16, Augmentation = Augmentation.None with { BlankUnknownCds = false } });
        var batch = told.Batch(0);
        Assert.Equal(8, Enumerable.Range(0, 16).Count(i => Row(batch, i).Any(b => (b & TrackByte.Cds) != 0)));
        Assert.Equal(8, Enumerable.Range(16, 16).Count(i => Row(batch, i).Any(b => (b & TrackByte.Cds) != 0)));
    }

    [Fact]
    public void Masks_clear_what_they_say_and_as_much()
    {
        using var plain = PairSource.Of(_corpus, Options with { Augmentation = Augmentation.None });
        foreach (var (how, bits, share) in new[]
        {
            (Augmentation.None with { MaskSequence = 0.3 }, TrackByte.Bases, 0.3), (Augmentation.None with { MaskCds = 0.4 }, TrackByte.Cds, 0.4),
            (Augmentation.None with { MaskSplice = 0.5 }, TrackByte.Splice, 0.5), (Augmentation.V0, (byte)63, 0.15),
            (Augmentation.None with { DropCds = 1 }, TrackByte.Cds, 1), (Augmentation.None with { DropSplice = 1 }, TrackByte.Splice, 1),
        })
        {
            using var source = PairSource.Of(_corpus, Options with { Augmentation = how });
            var (batch, bare) = (source.Batch(2), plain.Batch(2));
            long had = 0, lost = 0;
            for (int row = 0; row < 16; row++)
            {
                byte[] view = Row(batch, row), whole = Row(bare, row);
                for (int i = 0; i < view.Length; i++)
                {
                    Assert.Equal(whole[i] & ~bits, view[i] & ~bits);
                    Assert.True((view[i] & bits) == 0 || view[i] == whole[i]);
                    if ((whole[i] & bits) == 0) continue;
                    had++;
                    if ((view[i] & bits) == 0) lost++;
                }
                if ((bits & TrackByte.Bases) != 0) Assert.Equal((int)(view.Length * share), view.Count(b => (b & TrackByte.Bases) == 0));
            }
            double tolerance = share == 1 ? 0 : 4 * Math.Sqrt(share * (1 - share) / had) + 1.0 / view0(batch);
            Assert.InRange((double)lost / had, share - tolerance, share + tolerance);
        }

        static int view0(PairBatch batch) => batch.Lengths.Min();
    }

    [Fact]
    public void Crops_are_no_longer_than_asked_and_lie_at_the_same_share()
    {
        var none = Augmentation.None with { BlankUnknownJunctions = false, BlankUnknownCds = false };
        var options = Options with { Order = BatchOrder.Mixed, Augmentation = none };
        using var source = PairSource.Of(_corpus, options with { Augmentation = none with { Crop = 50 } });
        using var apart = PairSource.Of(_corpus, options with { Augmentation = none with { Crop = 50, CropTogether = false } });
        using var plain = PairSource.Of(_corpus, options);
        int moved = 0, together = 0, pairs = 0;
        for (int step = 0; step < source.BatchesPerEpoch; step++)
        {
            var (batch, whole, free) = (source.Batch(step), plain.Batch(step), apart.Batch(step));
            Assert.All(batch.Lengths, l => Assert.Equal(50, l));
            for (int i = 0; i < 8; i++, pairs++)
            {
                double first = Share(batch, whole, i), second = Share(batch, whole, 8 + i);
                Assert.InRange(Math.Abs(first - second), 0, 1.0 / (whole.Lengths[i] - 49) + 1.0 / (whole.Lengths[8 + i] - 49));
                if (first > 0.1) moved++;
                if (Math.Abs(Share(free, whole, i) - Share(free, whole, 8 + i)) < 0.05) together++;
            }
        }
        Assert.True(moved > pairs / 2 && together < pairs / 3, $"{moved} and {together} of {pairs}");

        static double Share(PairBatch crop, PairBatch whole, int row)
        {
            int start = whole.Tracks.AsSpan(row * whole.Length, whole.Lengths[row]).IndexOf(Row(crop, row));
            Assert.True(start >= 0);
            return start / (whole.Lengths[row] - 49.0);
        }
    }

    [Fact]
    public void Fragments_are_parts_of_every_size_and_place_and_each_view_has_its_own()
    {
        var none = Augmentation.None with { BlankUnknownJunctions = false, BlankUnknownCds = false };
        var options = Options with { Order = BatchOrder.Mixed, Augmentation = none };
        using var source = PairSource.Of(_corpus, options with { Augmentation = none with { Fragment = 0.3 } });
        using var cut = PairSource.Of(_corpus, options with { Augmentation = none with { Fragment = 0.3, Crop = 50 } });
        using var plain = PairSource.Of(_corpus, options);
        List<double> shares = [], starts = [];
        int alike = 0;
        for (int step = 0; step < source.BatchesPerEpoch; step++)
        {
            var (batch, whole) = (source.Batch(step), plain.Batch(step));
            Assert.All(cut.Batch(step).Lengths, l => Assert.InRange(l, 1, 50));
            for (int row = 0; row < 16; row++)
            {
                int length = whole.Lengths[row], start = whole.Tracks.AsSpan(row * whole.Length, length).IndexOf(Row(batch, row));
                Assert.True(start >= 0);
                shares.Add((double)batch.Lengths[row] / length);
                if (length > batch.Lengths[row]) starts.Add((double)start / (length - batch.Lengths[row]));
                if (row >= 8 && Math.Abs(shares[^1] - shares[^9]) < 0.02) alike++;
            }
        }
        Assert.InRange(shares.Min(), 0.28, 0.35);
        Assert.InRange(shares.Max(), 0.95, 1);
        Assert.InRange(shares.Average(), 0.6, 0.7);
        Assert.InRange(starts.Average(), 0.42, 0.58);
        Assert.True(alike < shares.Count / 16, $"{alike} of {shares.Count / 2}");
    }

    [Fact]
    public void Windows_may_be_of_every_size_the_same_for_both_views()
    {
        var none = Augmentation.None with { BlankUnknownJunctions = false, BlankUnknownCds = false };
        var options = Options with { Order = BatchOrder.Mixed, Augmentation = none };
        using var source = PairSource.Of(_corpus, options with { Augmentation = none with { Crop = 64, CropLeast = 4 } });
        using var plain = PairSource.Of(_corpus, options);
        List<double> logs = [];
        for (int step = 0; step < source.BatchesPerEpoch; step++)
        {
            var (batch, whole) = (source.Batch(step), plain.Batch(step));
            for (int row = 0; row < 8; row++)
            {
                int size = batch.Lengths[row];
                Assert.InRange(size, 4, 64);
                Assert.Equal(Math.Min(size, whole.Lengths[row + 8]), batch.Lengths[row + 8]);
                logs.Add(Math.Log2(size));
            }
        }
        // Evenly between 2 and 6.
        Assert.InRange(logs.Average(), 3.7, 4.3);
        for (int octave = 2; octave < 6; octave++) Assert.InRange(logs.Count(l => l >= octave && l < octave + 1) / (double)logs.Count, 0.15, 0.35);
    }

    [Fact]
    public void Batches_of_a_length_have_at_most_an_eighth_of_padding_in_their_longer_views()
    {
        using var small = new SmallCorpus();
        for (int g = 0; g < 500; g++)
            for (int t = 0; t < 2; t++) small.Add($"g{g}t{t}", $"g{g}", split: "train", length: 100 + g * 13 % 700);
        using var corpus = small.Build();
        using var source = PairSource.Of(corpus, Options with { Pairs = 10 });
        int tight = 0;
        for (int step = 0; step < source.BatchesPerEpoch; step++)
        {
            var batch = source.Batch(step);
            Assert.Equal(batch.Lengths.Max(), batch.Length);
            Assert.Equal(20 * batch.Length, batch.Tracks.Length);
            for (int row = 0; row < 20; row++) Assert.False(batch.Tracks.AsSpan(row * batch.Length, batch.Length)[batch.Lengths[row]..].ContainsAnyExcept((byte)0));
            if (Enumerable.Range(0, 10).All(i => Math.Max(batch.Lengths[i], batch.Lengths[10 + i]) >= 0.875 * batch.Length)) tight++;
        }
        // Each of some seventeen lengths leaves less than a batch over, and those together are a few batches.
        Assert.InRange(tight, source.BatchesPerEpoch - 9, source.BatchesPerEpoch);
        Assert.Equal(100, source.BatchesPerEpoch);
    }

    [Theory]
    [InlineData(BatchOrder.ByLength)]
    [InlineData(BatchOrder.Mixed)]
    public void Batches_by_nucleotides_stay_within_their_number(BatchOrder order)
    {
        using var source = PairSource.Of(_corpus, Options with { Pairs = 50, Nucleotides = 12_000, Order = order });
        var sizes = new HashSet<int>();
        for (int step = 0; step < 2 * source.BatchesPerEpoch; step++)
        {
            var batch = source.Batch(step);
            Assert.True(batch.Pairs == 1 || batch.Tracks.Length <= 12_000, $"{batch.Pairs} x {batch.Length}");
            Assert.InRange(batch.Pairs, 1, 50);
            sizes.Add(batch.Pairs);
        }
        Assert.True(sizes.Count > 3);
    }

    [Fact]
    public void Validation_is_the_same_at_every_epoch_and_whole()
    {
        using var source = PairSource.Of(_corpus, Options.ForValidation());
        int pairs = 0;
        for (int step = 0; step < source.BatchesPerEpoch; step++)
        {
            var batch = source.Batch(step);
            Assert.Equal(batch.Tracks, source.Batch(step + 3L * source.BatchesPerEpoch).Tracks);
            pairs += batch.Pairs;
            for (int i = 0; i < 2 * batch.Pairs; i++) Assert.Equal(CorpusSplit.Valid, _corpus.Split(_byBases[Letters(Row(batch, i))]));
        }
        Assert.Equal(source.Keys, pairs);
        Assert.True(source.Keys % 8 != 0, "the last batch is to be a smaller one");
    }

    [Fact]
    public void Ranks_share_the_keys_as_upstream_s_do()
    {
        var drawn = new List<int>[4];
        for (int rank = 0; rank < 4; rank++)
        {
            using var source = PairSource.Of(_corpus, Options with { Pairs = 3, LongPairs = 1, Rank = rank, Augmentation = Augmentation.None });
            drawn[rank] = [.. Pairs(source, 1).Select(p => p.First)];
            Assert.All(drawn[rank], t => Assert.Equal(rank == 0, _corpus.Length(t) >= 3900));
        }
        Assert.Equal(drawn.Sum(d => d.Count), drawn.SelectMany(d => d).Distinct().Count());
        int longKeys = Enumerable.Range(0, _corpus.Count).Count(t => _corpus.Length(t) >= 3900 && _corpus.Split(t) == CorpusSplit.Train);
        Assert.InRange(drawn[0].Count, longKeys / 4, (longKeys + 3) / 4);
    }

    [Fact]
    public void Upstream_s_split_is_python_s_shuffle_of_the_short_keys()
    {
        var options = Options with { UpstreamSplit = true, Pairs = 1, Augmentation = Augmentation.None };
        using var train = PairSource.Of(_corpus, options);
        using var valid = PairSource.Of(_corpus, options.ForValidation());
        int[] keys = [.. Pairs(train, 1).Concat(Pairs(valid, 1)).Select(p => p.First).Where(t => _corpus.Length(t) < 3900).Order()];
        int n = (int)(keys.Length * 0.95);
        int[] shuffled = [.. MersenneTwister.Python(42).Permutation(keys.Length).Select(i => keys[i])];
        Assert.Equal(shuffled[n..].Order(), Pairs(valid, 1).Select(p => p.First).Order());
        Assert.Equal(shuffled[..n].Order(), Pairs(train, 1).Select(p => p.First).Where(t => _corpus.Length(t) < 3900).Order());
        Assert.Contains(Pairs(train, 1), p => _corpus.Length(p.First) >= 3900);
    }

    [Fact]
    public void Upstream_s_rule_of_projections()
    {
        using var small = new SmallCorpus();
        using (var writer = new CorpusWriter(small.At("p"), 1000))
        {
            // Group 0: two annotated ones of two species and two projections; group 1: two projections alone.
            var flags = new[] { TranscriptFlags.None, TranscriptFlags.None, TranscriptFlags.Projected, TranscriptFlags.Projected, TranscriptFlags.Projected, TranscriptFlags.Projected };
            for (int t = 0; t < 6; t++) writer.Add("t" + t, Transcript.Create("x", SmallCorpus.Bases("t" + t, 30 + t), (3, 12)).Tracks.Span, t, flags[t]);
            var genes = Enumerable.Range(0, 6).Select(g => new CorpusGene(g % 3, "g" + g, "", g < 4 ? 0 : 1, 0)).ToList();
            int[] order = [0, 3, 1, 2, 4, 5];
            writer.Finish(genes, order, ["a", "b"], ["f"], ["man", "mouse", "dog"], new byte[6], new Dictionary<string, string>());
        }
        using var corpus = CorpusFile.Open(small.At("p"));
        var options = Options with { Pairs = 1, Orthologs = OrthologRule.Projection, Augmentation = Augmentation.None };
        using var source = PairSource.Of(corpus, options);
        // Annotated ones are keys, and projections of the group without annotated ones.
        Assert.Equal(4, source.Keys);
        var kinds = new HashSet<(int, int, PairKind)>();
        for (int step = 0; step < 40 * 4; step++)
        {
            var batch = source.Batch(step);
            kinds.Add((batch.Lengths[0] - 30, batch.Lengths[1] - 30, batch.Kinds[0]));
        }
        Assert.Equal([(0, 1, PairKind.Splice), (0, 2, PairKind.Ortholog), (0, 3, PairKind.Ortholog), (1, 0, PairKind.Splice), (1, 2, PairKind.Ortholog), (1, 3, PairKind.Ortholog),
            (4, 5, PairKind.Ortholog), (5, 4, PairKind.Ortholog)], kinds.Order());
        // UTRs are combined where the partner is a projection.
        using var combined = PairSource.Of(corpus, options with { Augmentation = Augmentation.None with { CombineUtr = 1 } });
        for (int step = 0; step < 8; step++)
        {
            var (batch, bare) = (combined.Batch(step), source.Batch(step));
            Assert.Equal(bare.Kinds, batch.Kinds);
            bool projected = bare.Lengths[1] >= 32;
            Assert.Equal(projected ? batch.Lengths[0] : bare.Lengths[1], batch.Lengths[1]);
        }
    }

    [Fact]
    public void Options_that_contradict_each_other_are_refused()
    {
        foreach (var wrong in new[]
        {
            Options with { Pairs = 0 }, Options with { OrthologWeight = 1.5 }, Options with { Threads = 0 }, Options with { Rank = 4 }, Options with { Nucleotides = 0 },
            Options with { Augmentation = Augmentation.V1 with { MaskCds = -0.1 } }, Options with { Augmentation = Augmentation.V1 with { Crop = -1 } }, Options with { Augmentation = Augmentation.V1 with { Fragment = 0 } },
            Options with { Augmentation = Augmentation.V1 with { Crop = 10, CropLeast = 11 } }, Options with { Augmentation = Augmentation.V1 with { CropLeast = 5 } },
        })
            Assert.Throws<ArgumentException>(() => PairSource.Of(_corpus, wrong));
        Assert.Contains("too few for a batch of 5,000 pairs", Assert.Throws<InputDataException>(() => PairSource.Of(_corpus, Options with { Pairs = 5000 })).Message);
    }

    [Fact]
    public void A_track_byte_that_no_track_has_is_refused()
    {
        byte[] bytes = File.ReadAllBytes(_corpus.Path);
        Array.Fill(bytes, (byte)0x81, 8 + (int)BitConverter.ToInt64(bytes), 2000);
        File.WriteAllBytes(_small.At("bad"), bytes);
        using var source = PairSource.Open(_small.At("bad"), Options with { Prefetch = 1 });
        Assert.Contains("damaged", Assert.Throws<InputDataException>(() => Enumerable.Range(0, source.BatchesPerEpoch).Select(s => source.Batch(s)).ToList()).Message);
    }

    [Fact]
    public void Rows_are_grouped_with_at_most_the_wanted_padding()
    {
        using var source = PairSource.Of(_corpus, Options with { Pairs = 32, Order = BatchOrder.Mixed });
        for (int step = 0; step < source.BatchesPerEpoch; step++)
        {
            var batch = source.Batch(step);
            var groups = RowGroups.Of(batch.Lengths);
            Assert.Equal(Enumerable.Range(0, 64), groups.SelectMany(g => g).Order());
            foreach (int[] group in groups)
            {
                int longest = batch.Lengths[group[0]];
                Assert.Equal(longest, group.Max(r => batch.Lengths[r]));
                Assert.True(group.Sum(r => longest - batch.Lengths[r]) <= RowGroups.MostPadding * longest * group.Length);
                byte[] packed = RowGroups.Pack(batch, group);
                for (int i = 0; i < group.Length; i++) Assert.Equal(Row(batch, group[i]), packed.AsSpan(i * longest, batch.Lengths[group[i]]).ToArray());
            }
            Assert.True(groups.Count < 30);
        }
        Assert.Equal(3, RowGroups.Of([5, 3, 4], 0).Count);
    }

    private IEnumerable<(int First, int Second, PairKind Kind)> Pairs(PairSource source, int epochs)
    {
        for (int step = 0; step < epochs * source.BatchesPerEpoch; step++)
        {
            var batch = source.Batch(step);
            for (int i = 0; i < batch.Pairs; i++) yield return (_byBases[Letters(Row(batch, i))], _byBases[Letters(Row(batch, batch.Pairs + i))], batch.Kinds[i]);
        }
    }

    private static byte[] Row(PairBatch batch, int row) => batch.Tracks.AsSpan(row * batch.Length, batch.Lengths[row]).ToArray();

    private static string Letters(ReadOnlySpan<byte> tracks)
    {
        var bases = new byte[tracks.Length];
        for (int i = 0; i < bases.Length; i++) bases[i] = (byte)(tracks[i] & TrackByte.Bases);
        return Convert.ToHexString(bases);
    }

    public void Dispose()
    {
        _corpus.Dispose();
        _small.Dispose();
    }
}
