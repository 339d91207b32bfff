namespace Orthrus.Rna;

/// <summary>What a transcript's codon marks rest on.</summary>
public enum CdsSource
{
    /// <summary>The source does not say whether there is a CDS.</summary>
    Unknown,

    /// <summary>The source says that there is none, or none was called.</summary>
    None,

    /// <summary>An annotation, a table or a FASTA header.</summary>
    Annotated,

    /// <summary>Called by <see cref="OpenReadingFrame.Longest"/>.</summary>
    LongestOrf,
}

/// <summary>
/// One mature transcript, 5' to 3' in its own sense, as track bytes: bits 0 to 3 are A, C, G, T (U is T), bit 4 marks the first base of
/// each codon of the CDS, bit 5 the last base of each exon; an unknown base has none of bits 0 to 3.
/// </summary>
public sealed record Transcript
{
    /// <summary>Identifier, as the source names it.</summary>
    public required string Id { get; init; }

    /// <summary>One byte per nucleotide; see <see cref="TrackByte"/>.</summary>
    public required ReadOnlyMemory<byte> Tracks { get; init; }

    /// <summary>Gene identifier, or null where the source has none.</summary>
    public string? GeneId { get; init; }

    /// <summary>Gene symbol, or null.</summary>
    public string? GeneName { get; init; }

    /// <summary>Biotype (protein_coding, lncRNA, ...), or null.</summary>
    public string? Biotype { get; init; }

    /// <summary>Species, or null where no table names it.</summary>
    public string? Species { get; init; }

    /// <summary>Group of homologous genes that the gene belongs to, or null where no table names it.</summary>
    public string? HomologyGroup { get; init; }

    /// <summary>Gene family, or null where no table names it.</summary>
    public string? FamilyGroup { get; init; }

    /// <summary>Part of a data set (train, validation, test), or null where no table names it.</summary>
    public string? Split { get; init; }

    /// <summary>CDS in transcript coordinates, 0-based, half-open, stop codon included; null where there is none or it is unknown.</summary>
    public (int Start, int End)? Cds { get; init; }

    /// <summary>True where the source says whether there is a CDS (a non-coding transcript is known to have none).</summary>
    public bool CdsKnown { get; init; }

    /// <summary>What <see cref="Cds"/> rests on.</summary>
    public CdsSource CdsSource { get; init; }

    /// <summary>
    /// Exon junctions in transcript coordinates: position of the last base of each exon but the last, 0-based ascending. Empty for a
    /// single-exon transcript, null where unknown.
    /// </summary>
    public IReadOnlyList<int>? Junctions { get; init; }

    /// <summary>What was noticed while building it ("cds 5' incomplete", "12 N"), separated by "; "; empty where nothing.</summary>
    public string Notes { get; init; } = "";

    /// <summary>Length in nucleotides.</summary>
    public int Length => Tracks.Length;

    /// <summary>Builds a transcript from letters.</summary>
    /// <param name="id">Identifier.</param>
    /// <param name="sequence">Nucleotides 5' to 3': A, C, G, T or U in either case, IUPAC codes for unknown bases; no white space.</param>
    /// <param name="cds">CDS, 0-based half-open, stop codon included; null where there is none or it is unknown.</param>
    /// <param name="junctions">Last base of each exon but the last, ascending; empty for a single exon; null where unknown.</param>
    /// <exception cref="ArgumentException">The sequence is empty or has other letters, or CDS or junctions lie outside it.</exception>
    public static Transcript Create(string id, ReadOnlySpan<char> sequence, (int Start, int End)? cds = null, IReadOnlyList<int>? junctions = null)
    {
        if (sequence.IsEmpty) throw new ArgumentException("the sequence is empty", nameof(sequence));
        var tracks = new byte[sequence.Length];
        for (int i = 0; i < tracks.Length; i++)
        {
            char c = sequence[i];
            int kind = c < 128 ? Nucleotide.Kinds[c] & 15 : Nucleotide.Other;
            if (kind is not (Nucleotide.Base or Nucleotide.Unknown or Nucleotide.Ambiguous))
                throw new ArgumentException($"'{c}' at position {i} is no nucleotide", nameof(sequence));
            tracks[i] = Nucleotide.Bits[c];
        }
        if (TranscriptBuilder.CheckMarks(tracks.Length, cds, junctions) is { } fault) throw new ArgumentException(fault.Text);
        TranscriptBuilder.Mark(tracks, cds, junctions);
        return new Transcript
        {
            Id = id, Tracks = tracks, Cds = cds, CdsKnown = cds is not null, Junctions = junctions,
            CdsSource = cds is null ? CdsSource.Unknown : CdsSource.Annotated,
        };
    }

    /// <summary>The bases as upper-case letters A, C, G, T, and N for unknown.</summary>
    public string ToSequence() => string.Create(Length, Tracks, static (letters, tracks) =>
    {
        var bases = tracks.Span;
        for (int i = 0; i < letters.Length; i++) letters[i] = (char)Nucleotide.Letters[bases[i] & TrackByte.Bases];
    });
}

/// <summary>Bits of a track byte.</summary>
public static class TrackByte
{
    /// <summary>Base A.</summary>
    public const byte A = 1;
    /// <summary>Base C.</summary>
    public const byte C = 2;
    /// <summary>Base G.</summary>
    public const byte G = 4;
    /// <summary>Base T or U.</summary>
    public const byte T = 8;
    /// <summary>First base of a codon of the CDS.</summary>
    public const byte Cds = 16;
    /// <summary>Last base of an exon.</summary>
    public const byte Splice = 32;
    /// <summary>The four base bits.</summary>
    public const byte Bases = 15;
}
