using Orthrus.Rna;
using Orthrus.Train.Probing;

namespace Orthrus.Train.Tests.Probing;

/// <summary>Homologs that can be found, that cannot, and what stands beside them.</summary>
public class RetrievalTests
{
    private static readonly RetrievalOptions Options = new() { Task = "r", Split = "val", Candidates = 50, Resamples = 50 };

    // 40 families of two homology groups; a group is two isoforms in man and one transcript in mouse, all of them copies with changes.
    private static Transcript[] Pool(double change)
    {
        var random = new Random(5);
        var pool = new List<Transcript>();
        for (int group = 0; group < 80; group++)
        {
            string ancestor = string.Concat(Enumerable.Range(0, 400).Select(_ => "ACGT"[random.Next(4)]));
            for (int copy = 0; copy < 3; copy++)
            {
                string s = string.Concat(ancestor.Select(c => random.NextDouble() < change ? "ACGT"[random.Next(4)] : c));
                pool.Add(Transcript.Create($"t{group}.{copy}", s, null, copy == 0 ? null : [100]) with
                {
                    GeneId = $"g{group}", Species = copy == 2 ? "mouse" : "man", HomologyGroup = $"h{group}", FamilyGroup = $"f{group / 2}",
                });
            }
        }
        return [.. pool];
    }

    private static Dictionary<(string, string, string), ProbeRow> Run(Transcript[] pool, RetrievalOptions options, params FeatureSet[] features) =>
        Retrieval.Run(pool, features, options, _ => { }).ToDictionary(r => (r.Target, r.Model, r.Metric));

    [Fact]
    public void Copies_are_found_and_strangers_are_found_by_chance()
    {
        var near = Pool(0.02);
        var rows = Run(near, Options, FeatureSet.Baseline("kmer5", near));
        Assert.Equal((1.0, 160), (rows[("splice", "kmer5", "recall@1")].Value, rows[("splice", "kmer5", "recall@1")].N));
        Assert.Equal((1.0, 240), (rows[("ortholog", "kmer5", "recall@1")].Value, rows[("ortholog", "kmer5", "recall@1")].N));
        var far = Pool(1);
        rows = Run(far, Options, FeatureSet.Baseline("kmer3", far));
        foreach (string kind in new[] { "splice", "ortholog" })
            foreach (int k in new[] { 1, 5, 10 })
            {
                var row = rows[(kind, "kmer3", $"recall@{k}")];
                // Four standard errors of a draw of one in fifty.
                double chance = k / 50.0;
                Assert.InRange(row.Value, chance - 4 * Math.Sqrt(chance / row.N), chance + 4 * Math.Sqrt(chance / row.N));
            }
    }

    [Fact]
    public void Equal_vectors_are_no_find()
    {
        var pool = Pool(0.02);
        Transcript[] same = [.. pool.Select(t => t with { Tracks = pool[0].Tracks })];
        Assert.Equal(0, Run(same, Options, FeatureSet.Baseline("kmer5", same))[("splice", "kmer5", "recall@10")].Value);
    }

    [Fact]
    public void The_family_of_a_query_is_not_among_the_others_and_seeds_repeat()
    {
        var pool = Pool(0.1);
        // Both groups of a family share their sequences: were the other one's candidates, it would be nearer than any homolog.
        Transcript[] paralogs = [.. pool.Select((t, i) => i / 3 % 2 == 1 ? t with { Tracks = pool[i - 3].Tracks } : t)];
        var row = Run(paralogs, Options with { Candidates = 200 }, FeatureSet.Baseline("kmer5", paralogs))[("ortholog", "kmer5", "recall@1")];
        Assert.True(row.Value > 0.5, $"{row.Value}");
        Assert.Equal(row, Run(paralogs, Options with { Candidates = 200 }, FeatureSet.Baseline("kmer5", paralogs))[("ortholog", "kmer5", "recall@1")]);
    }

    [Fact]
    public void Junctions_known_of_some_are_blank_in_all()
    {
        var pool = Pool(0.1);
        var even = Retrieval.EvenJunctions(pool, out bool blanked);
        Assert.True(blanked);
        Assert.All(even, t => Assert.Equal([t.Length - 1], Enumerable.Range(0, t.Length).Where(i => (t.Tracks.Span[i] & TrackByte.Splice) != 0)));
        Transcript[] known = [.. pool.Where(t => t.Junctions is not null)];
        Assert.Same(known, Retrieval.EvenJunctions(known, out blanked));
        Assert.False(blanked);
    }

    [Fact]
    public void A_split_without_homologs_is_an_error() =>
        Assert.Throws<InputDataException>(() => Run([.. Pool(0.1).Where((_, i) => i % 3 == 0)], Options, FeatureSet.Baseline("kmer3", Pool(0.1))));
}
