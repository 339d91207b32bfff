using Orthrus.Rna;

namespace Orthrus.Train;

/// <summary>What kind of input a set of transcripts comes from.</summary>
public enum CorpusSetKind
{
    /// <summary>FASTA of spliced transcripts with a table of CDS, junctions, genes and groups.</summary>
    Transcripts,
    /// <summary>Annotation and genome.</summary>
    Annotation,
    /// <summary>TOGA's projections: BED12 of which the names are reference transcript, gene and chain, and the genome that was projected onto.</summary>
    Toga,
    /// <summary>Upstream's folder of npz files, one a transcript, and a table of their genes.</summary>
    Store,
    /// <summary>Upstream's evaluation set: one npz file with X, genes and y.</summary>
    Evaluation,
}

/// <summary>One input of a corpus; paths stand as typed.</summary>
/// <param name="Kind">What it is.</param>
/// <param name="Path">FASTA, annotation, BED12, folder or npz file.</param>
public sealed record CorpusSet(CorpusSetKind Kind, string Path)
{
    /// <summary>Genome of an annotation or of projections; a GFF3 with a ##FASTA part needs none.</summary>
    public string? Genome { get; init; }

    /// <summary>Table of a FASTA or of a store.</summary>
    public string? Table { get; init; }

    /// <summary>Species (of projections: the assembly); null where a table names it.</summary>
    public string? Species { get; init; }

    /// <summary>Table of contig names that mean the same.</summary>
    public string? ContigAliases { get; init; }

    /// <summary>The files of the set by role; a store's npz files are not among them.</summary>
    public IEnumerable<(string Role, string Path)> Files()
    {
        if (Kind != CorpusSetKind.Store) yield return (Kind switch { CorpusSetKind.Transcripts => "transcripts", CorpusSetKind.Evaluation => "npz", _ => "annotation" }, Path);
        if (Table is not null) yield return ("table", Table);
        if (Genome is not null) yield return ("genome", Genome);
        if (ContigAliases is not null) yield return ("contig_aliases", ContigAliases);
    }
}

/// <summary>What is done where no table says who is homologous to whom.</summary>
public enum HomologyFallback
{
    /// <summary>Genes of the same symbol are taken as homologous where nothing else is known, with a warning.</summary>
    Automatic,
    /// <summary>Genes of the same symbol are homologous, beside what tables say.</summary>
    Symbols,
    /// <summary>Nothing but tables counts.</summary>
    None,
}

/// <summary>What a corpus is made of and how.</summary>
public sealed record CorpusOptions
{
    /// <summary>Inputs, in the order of the corpus.</summary>
    public required IReadOnlyList<CorpusSet> Sets { get; init; }

    /// <summary>Tables of homology; see docs/CORPUS.md for their forms.</summary>
    public IReadOnlyList<string> Homology { get; init; } = [];

    /// <summary>What is done where tables say nothing.</summary>
    public HomologyFallback Fallback { get; init; } = HomologyFallback.Automatic;

    /// <summary>Tables of families, of the same forms: splits never cut a family.</summary>
    public IReadOnlyList<string> Families { get; init; } = [];

    /// <summary>Shortest transcript to keep, in nucleotides.</summary>
    public int MinLength { get; init; } = 1;

    /// <summary>Greatest length to keep, in nucleotides.</summary>
    public int MaxLength { get; init; } = 12_288;

    /// <summary>Of human and mouse annotation only chromosomes 1 to 22 are kept, as upstream does: not X, Y, M, nor other contigs.</summary>
    public bool AutosomesOnly { get; init; }

    /// <summary>Only transcripts with a CDS are kept.</summary>
    public bool CodingOnly { get; init; }

    /// <summary>Where codon marks come from.</summary>
    public CdsPolicy Cds { get; init; } = CdsPolicy.Annotated;

    /// <summary>Makes a record of an annotation that cannot be used an error; those of a FASTA with a table always are, unless <see cref="Lenient"/>.</summary>
    public bool Strict { get; init; }

    /// <summary>Skips records of a FASTA that do not fit their table, with a count.</summary>
    public bool Lenient { get; init; }

    /// <summary>Shares of transcripts for training, validation and test, where no table names a split.</summary>
    public (double Train, double Valid, double Test) Splits { get; init; } = (0.9, 0.05, 0.05);

    /// <summary>Key of the draw of splits.</summary>
    public ulong SplitSeed { get; init; } = 1;

    /// <summary>Draws all splits, also where a table names them.</summary>
    public bool IgnoreSplitColumn { get; init; }
}
