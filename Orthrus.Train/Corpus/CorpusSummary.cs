namespace Orthrus.Train;

/// <summary>What a split of a corpus gives to training.</summary>
/// <param name="Name">Name of the split.</param>
/// <param name="Transcripts">Transcripts in it.</param>
/// <param name="ShortKeys">Transcripts below the short length that have a partner below it.</param>
/// <param name="LongKeys">Longer ones, up to the greatest length, that have a partner.</param>
/// <param name="SplicePairs">Choices of a key and a splice isoform of it.</param>
/// <param name="OrthologPairs">Choices of a key and an ortholog of it.</param>
public sealed record SplitSummary(string Name, long Transcripts, long ShortKeys, long LongKeys, long SplicePairs, long OrthologPairs);

/// <summary>Counts of a corpus.</summary>
public sealed class CorpusSummary
{
    private static readonly int[] Bounds = [250, 500, 1000, 2000, 3900, 6000, 9000, 12_288];

    private CorpusSummary()
    {
    }

    /// <summary>Number of transcripts by length: from the bound before (0 for the first) to below this one; the last has no bound (null).</summary>
    public required IReadOnlyList<(int? Below, long Transcripts)> Lengths { get; init; }

    /// <summary>Transcripts, nucleotides and genes of each species, most transcripts first.</summary>
    public required IReadOnlyList<(string Name, long Transcripts, long Nucleotides, long Genes)> Species { get; init; }

    /// <summary>Number of transcripts with each flag.</summary>
    public required IReadOnlyDictionary<string, long> Flags { get; init; }

    /// <summary>What each split gives to training.</summary>
    public required IReadOnlyList<SplitSummary> Splits { get; init; }

    /// <summary>Unordered pairs of transcripts of one homology group and one species, whatever split and length.</summary>
    public required long SplicePairs { get; init; }

    /// <summary>Unordered pairs of transcripts of one homology group and two species, whatever split and length.</summary>
    public required long OrthologPairs { get; init; }

    /// <summary>Homology groups with two or more transcripts.</summary>
    public required long SharedGroups { get; init; }

    /// <summary>Homology groups with transcripts of two or more species.</summary>
    public required long GroupsAcrossSpecies { get; init; }

    /// <summary>Families with transcripts in more than one split.</summary>
    public required long CutFamilies { get; init; }

    /// <summary>Median and greatest length.</summary>
    public required (int Median, int Longest) Length { get; init; }

    /// <summary>Counts a corpus.</summary>
    /// <param name="corpus">The corpus.</param>
    /// <param name="options">Short and greatest length of the pairs, and what an ortholog is; null: the usual ones.</param>
    public static CorpusSummary Of(CorpusFile corpus, PairOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(corpus);
        options ??= new PairOptions();
        var lengths = new int[corpus.Count];
        var bins = new long[Bounds.Length + 1];
        var species = new (long Transcripts, long Nucleotides, long Genes)[corpus.SpeciesCount];
        var flags = new SortedDictionary<string, long>(StringComparer.Ordinal);
        foreach (var flag in Enum.GetValues<TranscriptFlags>().Where(f => f != TranscriptFlags.None)) flags[Name(flag)] = 0;
        var splitOf = new int[corpus.Families];
        for (int t = 0; t < corpus.Count; t++)
        {
            int length = lengths[t] = corpus.Length(t), bin = Array.BinarySearch(Bounds, length);
            bins[bin >= 0 ? bin + 1 : ~bin]++;
            species[corpus.Species(t)].Transcripts++;
            species[corpus.Species(t)].Nucleotides += length;
            splitOf[corpus.GeneOf(corpus.Gene(t)).Family] |= 1 << (int)corpus.Split(t);
            foreach (var flag in Enum.GetValues<TranscriptFlags>())
                if (flag != TranscriptFlags.None && corpus.Flags(t).HasFlag(flag)) flags[Name(flag)]++;
        }
        for (int g = 0; g < corpus.Genes; g++) species[corpus.GeneOf(g).Species].Genes++;
        Array.Sort(lengths);
        var (splice, orthologs, shared, across) = Pairs(corpus);
        return new CorpusSummary
        {
            Lengths = [.. bins.Select((n, i) => (i < Bounds.Length ? Bounds[i] : (int?)null, n))],
            Species = [.. species.Select((s, i) => (corpus.SpeciesName(i), s.Transcripts, s.Nucleotides, s.Genes)).OrderByDescending(s => s.Transcripts)],
            Flags = flags, Splits = [.. Enum.GetValues<CorpusSplit>().Select(s => Split(corpus, s, options))],
            SplicePairs = splice, OrthologPairs = orthologs, SharedGroups = shared, GroupsAcrossSpecies = across,
            CutFamilies = splitOf.LongCount(s => System.Numerics.BitOperations.PopCount((uint)s) > 1), Length = (lengths[(lengths.Length - 1) / 2], lengths[^1]),
        };
    }

    private static (long Splice, long Orthologs, long Shared, long Across) Pairs(CorpusFile corpus)
    {
        long splice = 0, orthologs = 0, shared = 0, across = 0;
        for (int group = 0; group < corpus.Groups; group++)
        {
            var (first, genes) = corpus.GenesOfGroup(group);
            long all = 0, same = 0;
            int species = 0;
            for (int g = first, next; g < first + genes; g = next)
            {
                long n = 0;
                for (next = g; next < first + genes && corpus.GeneOf(next).Species == corpus.GeneOf(g).Species; next++) n += corpus.TranscriptsOfGene(next).Length;
                all += n;
                same += n * (n - 1) / 2;
                species++;
            }
            splice += same;
            orthologs += all * (all - 1) / 2 - same;
            if (all > 1) shared++;
            if (species > 1) across++;
        }
        return (splice, orthologs, shared, across);
    }

    private static SplitSummary Split(CorpusFile corpus, CorpusSplit split, PairOptions options)
    {
        long transcripts = 0, shortKeys = 0, longKeys = 0, splice = 0, orthologs = 0;
        for (int t = 0; t < corpus.Count; t++)
            if (corpus.Split(t) == split) transcripts++;
        var pools = new[] { (Below: options.ShortLength, Least: 0), (Below: options.MaxLength, Least: options.ShortLength) };
        foreach (var (below, least) in pools)
        {
            var index = PartnerIndex.Build(corpus, split, below, options.Orthologs);
            for (int place = 0; place < index.Count; place++)
            {
                var (s, o) = index.Partners(place);
                if (s + o == 0 || !index.IsKey(place) || corpus.Length(index.Transcript(place)) < least) continue;
                if (least == 0) shortKeys++;
                else longKeys++;
                splice += s;
                orthologs += o;
            }
        }
        return new SplitSummary(split.ToString().ToLowerInvariant(), transcripts, shortKeys, longKeys, splice, orthologs);
    }

    private static string Name(TranscriptFlags flag) => flag switch
    {
        TranscriptFlags.JunctionsUnknown => "junctions unknown",
        TranscriptFlags.CdsUnknown => "cds unknown",
        TranscriptFlags.Coding => "coding",
        TranscriptFlags.CdsCalled => "cds called",
        _ => "projected",
    };
}
