namespace Orthrus.Rna;

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

    /// <summary>CDS in transcript coordinates, 0-based, half-open, stop codon included; null where there is none or it is unknown.</summary>
    public (int Start, int End)? Cds { get; init; }

    /// <summary>True where the source says whether there is a CDS (a non-coding transcript is known to have none).</summary>
    public bool CdsKnown { get; init; }

    /// <summary>
    /// Exon junctions in transcript coordinates: position of the last base of each exon but the last, 0-based ascending. Empty for a
    /// single-exon transcript, null where unknown.
    /// </summary>
    public IReadOnlyList<int>? Junctions { get; init; }

    /// <summary>What was noticed while building it ("cds 5' incomplete", "12 N"), separated by "; "; empty where nothing.</summary>
    public string Notes { get; init; } = "";

    /// <summary>Length in nucleotides.</summary>
    public int Length => Tracks.Length;
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
