namespace Orthrus.Rna;

/// <summary>Where the codon marks of a transcript come from.</summary>
public enum CdsPolicy
{
    /// <summary>The table, the annotation or the FASTA header; a transcript of which none of them speaks has no known CDS.</summary>
    Annotated,

    /// <summary>
    /// As <see cref="Annotated"/> where the source says whether there is a CDS; elsewhere the longest open reading frame, called as
    /// <see cref="OpenReadingFrame"/> describes.
    /// </summary>
    LongestOrf,

    /// <summary>Codon and splice marks are left out everywhere, also those that the source knows.</summary>
    Blank,
}

/// <summary>
/// What the user asked for: one kind of input, and what to keep of it. Paths stand as typed; "-" is stdin. Exactly one of
/// <see cref="Fasta"/> and <see cref="Annotation"/> is given.
/// </summary>
public sealed record TranscriptInput
{
    /// <summary>FASTA of spliced transcripts (plain, gzip or bgzip, told apart by content), or "-".</summary>
    public string? Fasta { get; init; }

    /// <summary>Table of CDS and exon junctions of the FASTA's records; see <see cref="TracksTable"/> for its columns.</summary>
    public string? TracksTable { get; init; }

    /// <summary>GTF, GFF3, genePred (with or without bin, refFlat) or BED12, plain or gzip, told apart by content.</summary>
    public string? Annotation { get; init; }

    /// <summary>Genome of the annotation: FASTA (plain or gzip) or 2bit. A GFF3 with a ##FASTA part needs none.</summary>
    public string? Genome { get; init; }

    /// <summary>Table of contig names that mean the same, one group a line, two or more columns; "#" starts a comment.</summary>
    public string? ContigAliases { get; init; }

    /// <summary>Where codon marks come from.</summary>
    public CdsPolicy Cds { get; init; }

    /// <summary>Makes every record that would be skipped an <see cref="InputDataException"/>.</summary>
    public bool Strict { get; init; }

    /// <summary>Keeps transcripts that overlap "contig" or "contig:first-last" (1-based, inclusive). Annotation only.</summary>
    public string? Region { get; init; }

    /// <summary>Keeps transcripts on contigs 1 to 22, with or without "chr": no X, Y, M, unplaced or alternative contigs. Annotation only.</summary>
    public bool AutosomesOnly { get; init; }

    /// <summary>File of identifiers to keep, one a line, with or without version.</summary>
    public string? IdsFile { get; init; }

    /// <summary>Keeps these biotypes (protein_coding, lncRNA, ...); empty keeps all.</summary>
    public IReadOnlyList<string> Biotypes { get; init; } = [];

    /// <summary>Keeps transcripts with a CDS.</summary>
    public bool CodingOnly { get; init; }

    /// <summary>Keeps the longest transcript of each gene, the first of equals; a transcript without a gene stands for itself.</summary>
    public bool LongestPerGene { get; init; }

    /// <summary>Shortest spliced length to keep, in nucleotides.</summary>
    public int? MinLength { get; init; }

    /// <summary>Greatest spliced length to keep, in nucleotides.</summary>
    public int? MaxLength { get; init; }
}
