namespace Orthrus.Rna;

/// <summary>
/// One transcript of an annotation in genome coordinates (0-based, half-open, ascending), whatever the format it came from.
/// </summary>
internal sealed class AnnotatedTranscript
{
    internal required string Id { get; init; }
    internal required string Contig { get; init; }
    internal string? GeneId { get; init; }
    internal string? GeneName { get; init; }
    internal string? Biotype { get; init; }

    /// <summary>True on the reverse strand.</summary>
    internal bool Minus { get; init; }

    /// <summary>Exons as start, end, start, end, ...</summary>
    internal int[] Exons { get; init; } = [];

    /// <summary>Outer bounds of the CDS with the stop codon; equal where there is none.</summary>
    internal int CdsStart { get; init; }
    internal int CdsEnd { get; init; }

    /// <summary>The source says that the CDS begins before the transcript does.</summary>
    internal bool Cds5Incomplete { get; init; }

    /// <summary>The source says that the CDS ends after the transcript does.</summary>
    internal bool Cds3Incomplete { get; init; }

    /// <summary>CDS rows overlap or leave bases out between them (ribosomal slippage).</summary>
    internal bool CdsShifted { get; init; }

    /// <summary>Why it cannot be spliced; null where it can.</summary>
    internal Fault? Fault { get; init; }

    /// <summary>Line of the file where it is first named.</summary>
    internal long Line { get; init; }

    internal bool HasCds => CdsEnd > CdsStart;

    internal long SplicedLength
    {
        get
        {
            long n = 0;
            for (int i = 0; i < Exons.Length; i += 2) n += Exons[i + 1] - Exons[i];
            return n;
        }
    }
}

/// <summary>Why a record cannot be used: a kind to count by, and the text for this one.</summary>
internal sealed record Fault(string Kind, string Text)
{
    internal Fault(string kind) : this(kind, kind) { }
}
