namespace Orthrus.Rna;

/// <summary>
/// A stream of transcripts from what the user named. <see cref="Read"/> may be enumerated once; memory depends on the annotation, the
/// genome and the longest record, not on the number of records.
/// </summary>
/// <remarks>
/// <see cref="InputDataException"/> is thrown by <see cref="Open"/> or while reading where the input as a whole cannot be trusted: no
/// such file, truncated gzip, bgzip without its end block, wrong column count, not FASTA, FASTQ, protein, NUL bytes, no contig in
/// common. A single record that cannot be used is delivered without transcript and with a reason, or is an error with
/// <see cref="TranscriptInput.Strict"/>.
/// </remarks>
public abstract class TranscriptSource : IDisposable
{
    /// <summary>True where the input can tell CDS and exons: a table or annotation, or FASTA whose first header has a CDS.</summary>
    public abstract bool HasTracks { get; }

    /// <summary>Counters and remarks, up to date with what was read.</summary>
    public InputReport Report { get; } = new();

    /// <summary>Opens the input. Files are opened and recognised here; records are read by <see cref="Read"/>.</summary>
    /// <exception cref="InputDataException">A file is missing, unreadable or not of its kind.</exception>
    public static TranscriptSource Open(TranscriptInput input)
    {
        ArgumentNullException.ThrowIfNull(input);
        if (input.Fasta is not null == input.Annotation is not null)
            throw new ArgumentException("give either FASTA or an annotation", nameof(input));
        return new FastaTranscripts(input);
    }

    /// <summary>The records in input order.</summary>
    public abstract IEnumerable<TranscriptRecord> Read();

    /// <inheritdoc/>
    public abstract void Dispose();
}
