namespace Orthrus.Rna;

/// <summary>
/// A stream of transcripts from what the user named. <see cref="Read"/> may be enumerated once; memory depends on the annotation, the
/// genome and the longest record, not on the number of records (with <see cref="TranscriptInput.LongestPerGene"/> also on the number of
/// genes).
/// </summary>
/// <remarks>
/// <para><see cref="InputDataException"/> is thrown by <see cref="Open"/> or while reading where the input as a whole cannot be trusted:
/// missing, unreadable or empty file; gzip cut short; bgzip without its end block; wrong column count or a value that is no number; not
/// FASTA, FASTQ, protein, NUL or other bytes that are no nucleotides; a genome that lacks every contig of the annotation; a table or
/// list of ids that matches no record; an id twice in the table, a contig twice in the genome.</para>
/// <para>A single record that cannot be used is delivered without transcript and with a reason, or is an error with
/// <see cref="TranscriptInput.Strict"/>:</para>
/// <list type="table">
/// <item><term>FASTA</term><description>empty sequence; header without identifier; alignment gaps; CDS or junctions outside the sequence; a
/// tracks table that has no row for it, or another length</description></item>
/// <item><term>annotation</term><description>no exon or CDS rows; a GFF3 parent that no row defines; unknown strand; rows on both strands or marked as trans-splicing; overlapping
/// exons; end before start; CDS outside exons; list lengths that differ from exonCount or blockCount; one id for two transcripts of
/// a contig; contig not in the genome; rows that run off the end of the contig</description></item>
/// </list>
/// <para>Used as they are, with a note: a CDS that is incomplete at an end, or of a length that is no multiple of 3, or whose rows overlap or
/// leave a gap (ribosomal slippage: exon rows decide the sequence, the outer bounds the CDS; without exon rows the CDS rows are spliced
/// as they stand); duplicate ids; the copies of one id on X and Y, which stay two records.</para>
/// </remarks>
public abstract class TranscriptSource : IDisposable
{
    private readonly TranscriptInput _input;
    private readonly RecordFilter _filter;
    private readonly SumSet<ulong> _seen = new();
    private bool _read;
    private long _row;

    private protected TranscriptSource(TranscriptInput input)
    {
        _input = input;
        _filter = new RecordFilter(input);
    }

    /// <summary>True where the input can tell CDS and exons: a table or annotation, or FASTA whose first header has a CDS.</summary>
    public abstract bool HasTracks { get; }

    /// <summary>Share of the input that was read, 0 to 1; null where it cannot be known (a pipe).</summary>
    public abstract double? Progress { get; }

    /// <summary>Counters and remarks, up to date with what was read.</summary>
    public InputReport Report { get; } = new();

    private protected RecordFilter Filter => _filter;

    /// <summary>Opens the input. Files are opened and recognised here, an annotation is read whole; records come from <see cref="Read"/>.</summary>
    /// <exception cref="InputDataException">A file is missing, unreadable or not of its kind.</exception>
    /// <exception cref="ArgumentException">Not exactly one of FASTA and annotation is given.</exception>
    public static TranscriptSource Open(TranscriptInput input)
    {
        ArgumentNullException.ThrowIfNull(input);
        if (input.Fasta is not null == input.Annotation is not null)
            throw new ArgumentException("give either FASTA or an annotation", nameof(input));
        if (input.Fasta is null) return new AnnotationTranscripts(input);
        if (input.Region is not null)
            throw new InputDataException(input.Fasta, null, "FASTA of transcripts has no genome positions to select a region from", "give --annotation and --genome");
        return new FastaTranscripts(input);
    }

    /// <summary>The records in input order.</summary>
    /// <exception cref="InputDataException">See the remarks of the class.</exception>
    /// <exception cref="InvalidOperationException">The source was read before.</exception>
    public IEnumerable<TranscriptRecord> Read()
    {
        if (_read) throw new InvalidOperationException("a transcript source can be read once; open it again");
        _read = true;
        return _input.LongestPerGene ? LongestPerGene() : Stream();
    }

    /// <summary>A record before filters that need the transcript; what passes no filter on its names does not appear.</summary>
    private protected abstract IEnumerable<Candidate> Candidates();

    private IEnumerable<TranscriptRecord> Stream()
    {
        foreach (var candidate in Candidates())
            if (Passes(candidate)) yield return Deliver(candidate);
        Finish();
    }

    private IEnumerable<TranscriptRecord> LongestPerGene()
    {
        // Skipped records keep their places among the winners.
        var kept = new SortedDictionary<long, Candidate>();
        var best = new Dictionary<string, (long Ordinal, int Length)>(StringComparer.Ordinal);
        long ordinal = 0;
        foreach (var candidate in Candidates())
        {
            if (!Passes(candidate)) continue;
            kept.Add(ordinal, candidate);
            if (candidate.Transcript is { } transcript && transcript.GeneId is { } gene)
            {
                if (!best.TryGetValue(gene, out var known)) best.Add(gene, (ordinal, transcript.Length));
                else
                {
                    Report.Filtered++;
                    bool longer = transcript.Length > known.Length;
                    kept.Remove(longer ? known.Ordinal : ordinal);
                    if (longer) best[gene] = (ordinal, transcript.Length);
                }
            }
            ordinal++;
        }
        if (best.Count == 0 && kept.Values.Any(c => c.Transcript is not null)) throw _filter.NoGenes();
        foreach (var candidate in kept.Values) yield return Deliver(candidate);
        Finish();
    }

    private bool Passes(Candidate candidate)
    {
        if (candidate.Fault is { } fault)
        {
            if (_input.Strict) throw new InputDataException(_input.Fasta ?? _input.Annotation, candidate.Where, fault.Text, "correct or remove it, or run without --strict to skip it");
            return true;
        }
        if (_filter.KeepsBuilt(candidate.Transcript!.Length, candidate.HasCds)) return true;
        Report.Filtered++;
        return false;
    }

    private TranscriptRecord Deliver(Candidate candidate)
    {
        if (candidate.Fault is { } fault)
        {
            Report.CountSkip(fault.Kind);
            return new TranscriptRecord(_row++, candidate.Id, null, fault.Text) { SkipKind = fault.Kind };
        }
        var transcript = candidate.Transcript!;
        if (!_seen.Add(Hash(transcript.Id))) candidate.Notes.Add("duplicate id");
        foreach (string note in candidate.Notes) Report.Observe(note);
        Report.Records++;
        Report.Nucleotides += transcript.Length;
        Report.Uracils += candidate.Letters.Uracils;
        Report.LowerCase += candidate.Letters.LowerCase;
        Report.UnknownBases += candidate.Letters.Unknown;
        Report.AmbiguousBases += candidate.Letters.Ambiguous;
        if (candidate.Letters.Unknown > 0) candidate.Notes.Add($"{candidate.Letters.Unknown} N");
        if (candidate.Letters.Ambiguous > 0) candidate.Notes.Add($"{candidate.Letters.Ambiguous} IUPAC");
        return new TranscriptRecord(_row++, transcript.Id, candidate.Notes.Count == 0 ? transcript : transcript with { Notes = string.Join("; ", candidate.Notes) }, null);
    }

    private void Finish()
    {
        _filter.Finish(Report, _input.Strict);
        if (Report.Records == 0 && Report.Filtered > 0) throw _filter.NothingLeft(Report);
    }

    // 64 bits of FNV-1a: with fifty million ids a false "duplicate" has a chance of one in ten thousand, and it is only a note.
    private static ulong Hash(string id)
    {
        ulong h = 14695981039346656037;
        foreach (char c in id) h = (h ^ c) * 1099511628211;
        return h;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Closes the files.</summary>
    protected abstract void Dispose(bool disposing);
}

/// <summary>Letters of a record that were read as something else.</summary>
internal readonly record struct LetterCounts(long Uracils, long LowerCase, long Unknown, long Ambiguous);

/// <summary>A record on its way: either a transcript or a fault.</summary>
/// <param name="Id">Identifier.</param>
/// <param name="Where">Record or line, for errors.</param>
/// <param name="Transcript">The transcript, or null.</param>
/// <param name="Fault">Why there is none, or null.</param>
/// <param name="HasCds">Whether it counts as coding, also where marks are left blank.</param>
/// <param name="Letters">Letters read as something else.</param>
/// <param name="Notes">What was noticed.</param>
internal sealed record Candidate(string Id, string Where, Transcript? Transcript, Fault? Fault, bool HasCds, LetterCounts Letters, List<string> Notes);
