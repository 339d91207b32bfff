namespace Orthrus.Rna;

/// <summary>What was met while reading: counters that <see cref="TranscriptSource.Read"/> keeps up to date, and remarks.</summary>
public sealed class InputReport
{
    private readonly List<string> _remarks = [];
    private readonly SortedDictionary<string, long> _skipped = new(StringComparer.Ordinal);
    private readonly SortedDictionary<string, long> _observed = new(StringComparer.Ordinal);

    /// <summary>Transcripts delivered.</summary>
    public long Records { get; internal set; }

    /// <summary>Their nucleotides.</summary>
    public long Nucleotides { get; internal set; }

    /// <summary>Records removed by filters.</summary>
    public long Filtered { get; internal set; }

    /// <summary>U, read as T.</summary>
    public long Uracils { get; internal set; }

    /// <summary>Lower-case letters, read as upper case (FASTA of transcripts only; a soft-masked genome is ordinary).</summary>
    public long LowerCase { get; internal set; }

    /// <summary>N, read as unknown base.</summary>
    public long UnknownBases { get; internal set; }

    /// <summary>Other IUPAC ambiguity codes (R, Y, S, W, K, M, B, D, H, V), read as unknown base.</summary>
    public long AmbiguousBases { get; internal set; }

    /// <summary>Records skipped.</summary>
    public long Skipped { get; private set; }

    /// <summary>Number of skipped records by kind of reason.</summary>
    public IReadOnlyDictionary<string, long> SkippedByReason => _skipped;

    /// <summary>Transcripts of which something was noticed ("cds 5' incomplete", "cds called as longest ORF"), by what.</summary>
    public IReadOnlyDictionary<string, long> Observed => _observed;

    /// <summary>Remarks on the whole input: contig names matched by prefix, ids matched without version, index files ignored.</summary>
    public IReadOnlyList<string> Remarks => _remarks;

    /// <summary>The report as lines for people, without line ends.</summary>
    public IReadOnlyList<string> ToLines()
    {
        var lines = new List<string> { $"{Records:N0} transcripts, {Nucleotides:N0} nt" };
        lines.AddRange(_remarks);
        if (Filtered > 0) lines.Add($"{Filtered:N0} records left out by filters");
        if (Uracils > 0) lines.Add($"{Uracils:N0} U read as T");
        if (LowerCase > 0) lines.Add($"{LowerCase:N0} lower-case letters read as upper case");
        if (UnknownBases > 0) lines.Add($"{UnknownBases:N0} N read as unknown base");
        if (AmbiguousBases > 0) lines.Add($"{AmbiguousBases:N0} other IUPAC codes read as unknown base");
        foreach (var (what, n) in _observed) lines.Add($"{n:N0} x {what}");
        foreach (var (why, n) in _skipped) lines.Add($"{n:N0} skipped: {why}");
        return lines;
    }

    internal void Remark(string text) => _remarks.Add(text);

    internal void Observe(string what, long count = 1) => _observed[what] = _observed.GetValueOrDefault(what) + count;

    internal void CountSkip(string kind)
    {
        Skipped++;
        _skipped[kind] = _skipped.GetValueOrDefault(kind) + 1;
    }
}
