using Orthrus.Rna;

namespace Orthrus.Train.Probing;

/// <summary>How a retrieval is done.</summary>
public sealed record RetrievalOptions
{
    /// <summary>Name of the task in the results.</summary>
    public required string Task { get; init; }

    /// <summary>Name of the part in the results.</summary>
    public required string Split { get; init; }

    /// <summary>Transcripts among which a query's homolog is looked for, itself included.</summary>
    public int Candidates { get; init; } = 1000;

    /// <summary>Seed of the draws of homologs and others.</summary>
    public uint Seed { get; init; }

    /// <summary>Resamples of the bootstrap.</summary>
    public int Resamples { get; init; } = 1000;
}

/// <summary>
/// Finds a transcript's homolog among others by the cosine of centred vectors. Every transcript that has one is a query: once for its splice isoforms (same gene and
/// species), once for its orthologs (same homology group, other species). One of them is drawn, and transcripts of other families are drawn to stand beside it.
/// A candidate with the same similarity counts as nearer. The mean over all transcripts is subtracted first, since it is common to them.
/// </summary>
public static class Retrieval
{
    private static readonly int[] Ranks = [1, 5, 10];

    private enum PairClass { Splice, Ortholog }

    private sealed record Query(int Item, int Homolog, int[] Others);

    /// <summary>Junctions that are known of some transcripts only are left blank in all, so that whether they are known cannot tell a homolog.</summary>
    /// <param name="transcripts">Transcripts with marks.</param>
    /// <param name="blanked">Whether that was so.</param>
    public static IReadOnlyList<Transcript> EvenJunctions(IReadOnlyList<Transcript> transcripts, out bool blanked)
    {
        ArgumentNullException.ThrowIfNull(transcripts);
        int known = transcripts.Count(t => t.Junctions is not null);
        blanked = known > 0 && known < transcripts.Count;
        return blanked ? [.. transcripts.Select(Blank)] : transcripts;
    }

    // The last base of a transcript ends an exon whatever is known.
    private static Transcript Blank(Transcript t)
    {
        byte[] tracks = t.Tracks.ToArray();
        for (int i = 0; i < tracks.Length - 1; i++) tracks[i] &= unchecked((byte)~TrackByte.Splice);
        return t with { Tracks = tracks, Junctions = null };
    }

    /// <summary>Measures feature sets; differences are between the first and each other.</summary>
    /// <param name="transcripts">Held-out transcripts with gene, species, homology and family group.</param>
    /// <param name="features">Vectors of the same transcripts.</param>
    /// <param name="options">How.</param>
    /// <param name="remark">Receives what people should know.</param>
    /// <param name="cancel">Stops between feature sets.</param>
    /// <returns>recall@1, @5 and @10 for "splice" and "ortholog", n queries each; the interval draws homology groups.</returns>
    /// <exception cref="InputDataException">No transcript has a homolog.</exception>
    public static IReadOnlyList<ProbeRow> Run(IReadOnlyList<Transcript> transcripts, IReadOnlyList<FeatureSet> features, RetrievalOptions options, ProbeRemark remark, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(transcripts);
        ArgumentNullException.ThrowIfNull(features);
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(remark);
        if (options.Candidates < 2) throw new ArgumentException($"{options.Candidates} candidates: a homolog among others needs at least 2", nameof(options));
        var groups = new Groups(transcripts);
        var rows = new List<ProbeRow>();
        var vectors = features.Select(f => Centred(f, transcripts.Count)).ToArray();
        foreach (var kind in Enum.GetValues<PairClass>())
        {
            string name = kind == PairClass.Splice ? "splice" : "ortholog";
            Query[] queries = [.. Queries(groups, kind, transcripts.Count, options)];
            if (queries.Length == 0)
            {
                remark($"no transcript of the split has {(kind == PairClass.Splice ? "an isoform" : "an ortholog")}");
                continue;
            }
            int fewest = queries.Min(q => q.Others.Length) + 1;
            if (fewest < options.Candidates) remark($"{name}: {fewest:N0} candidates where {options.Candidates:N0} were wanted: the split has no more of other families");
            var bootstrap = new Bootstrap(queries.Length, options.Resamples, options.Seed, [.. queries.Select(q => groups.Homology[q.Item])]);
            var measured = new List<(string, IReadOnlyList<Measurement>)>();
            for (int m = 0; m < features.Count; m++)
            {
                cancel.ThrowIfCancellationRequested();
                int[] ranks = [.. queries.Select(q => Rank(q, vectors[m], features[m].Width))];
                measured.Add((features[m].Name, [.. Ranks.Select(k => new Measurement(name, $"recall@{k}", counts => Recall(ranks, k, counts)))]));
            }
            rows.AddRange(Results.Resampled(options.Task, options.Split, queries.Length, bootstrap, measured));
        }
        if (rows.Count == 0) throw new InputDataException(null, null, "no transcript has a homolog in this split", "check homology_group, gene_id and species of the table");
        return rows;
    }

    private static double Recall(int[] ranks, int k, int[]? counts)
    {
        double found = 0, all = 0;
        for (int i = 0; i < ranks.Length; i++)
        {
            int c = counts is null ? 1 : counts[i];
            all += c;
            if (ranks[i] <= k) found += c;
        }
        return found / all;
    }

    private static int Rank(Query q, double[] vectors, int width)
    {
        var query = vectors.AsSpan(q.Item * width, width);
        double homolog = Vec.Dot(query, vectors.AsSpan(q.Homolog * width, width));
        int rank = 1;
        foreach (int other in q.Others)
            if (Vec.Dot(query, vectors.AsSpan(other * width, width)) >= homolog) rank++;
        return rank;
    }

    private static double[] Centred(FeatureSet features, int rows)
    {
        int width = features.Width;
        var x = new double[checked(rows * width)];
        var mean = new double[width];
        for (int i = 0; i < rows; i++)
        {
            features.Fill(i, x.AsSpan(i * width, width));
            Vec.Add(1.0 / rows, x.AsSpan(i * width, width), mean);
        }
        for (int i = 0; i < rows; i++)
        {
            var row = x.AsSpan(i * width, width);
            Vec.Add(-1, mean, row);
            double length = Math.Sqrt(Vec.Dot(row, row));
            if (length == 0) continue;
            for (int j = 0; j < width; j++) row[j] /= length;
        }
        return x;
    }

    private static IEnumerable<Query> Queries(Groups groups, PairClass kind, int count, RetrievalOptions options)
    {
        var generator = MersenneTwister.NumPy(options.Seed);
        int[] order = [.. Enumerable.Range(0, count)];
        for (int i = 0; i < count; i++)
        {
            int[] homologs = [.. groups.Members(i).Where(j => j != i && (kind == PairClass.Splice ? groups.Gene[j] == groups.Gene[i] : groups.Species[j] != groups.Species[i]))];
            if (homologs.Length == 0) continue;
            int homolog = homologs[Below(homologs.Length)];
            var others = new List<int>(options.Candidates - 1);
            // A shuffle from the front that ends with the last candidate.
            for (int at = 0; at < count && others.Count < options.Candidates - 1; at++)
            {
                int from = at + Below(count - at);
                (order[at], order[from]) = (order[from], order[at]);
                if (groups.Family[order[at]] != groups.Family[i]) others.Add(order[at]);
            }
            if (others.Count > 0) yield return new Query(i, homolog, [.. others]);
        }

        int Below(int bound) => (int)((ulong)generator.NextUInt32() * (uint)bound >> 32);
    }

    // Names as numbers. What a table leaves out is the next narrower group: a transcript without family is of its homology group, without that of its gene.
    private sealed class Groups
    {
        private readonly Dictionary<int, List<int>> _members = [];

        internal Groups(IReadOnlyList<Transcript> transcripts)
        {
            string[] gene = [.. transcripts.Select(t => t.Species + "\t" + (t.GeneId ?? t.Id))];
            string[] homology = [.. transcripts.Select((t, i) => t.HomologyGroup is { } g ? "h" + g : "g" + gene[i])];
            Gene = Numbers(gene);
            Homology = Numbers(homology);
            Species = Numbers([.. transcripts.Select(t => t.Species ?? "")]);
            Family = Numbers([.. transcripts.Select((t, i) => t.FamilyGroup is { } f ? "f" + f : homology[i])]);
            for (int i = 0; i < transcripts.Count; i++)
            {
                if (!_members.TryGetValue(Homology[i], out var list)) _members.Add(Homology[i], list = []);
                list.Add(i);
            }
        }

        internal int[] Gene { get; }
        internal int[] Homology { get; }
        internal int[] Species { get; }
        internal int[] Family { get; }

        internal List<int> Members(int item) => _members[Homology[item]];

        private static int[] Numbers(string[] names)
        {
            var numbers = new Dictionary<string, int>(StringComparer.Ordinal);
            return [.. names.Select(n =>
            {
                if (!numbers.TryGetValue(n, out int number)) numbers.Add(n, number = numbers.Count);
                return number;
            })];
        }
    }
}
