namespace Orthrus.Rna;

/// <summary>What a row of an annotation contributes to its transcript.</summary>
internal enum RowKind : byte
{
    Exon,
    Cds,
    StopCodon,
    Utr,
}

/// <summary>One row: 0-based half-open genome coordinates; strand '+', '-' or anything else for unknown; phase 0 to 2, or -1.</summary>
internal readonly record struct AnnotationRow(int Start, int End, RowKind Kind, byte Strand, sbyte Phase);

/// <summary>
/// Turns the rows of one transcript into exons and CDS bounds, or says why that is impossible. The rules are the same for every format.
/// </summary>
internal static class TranscriptAssembler
{
    /// <summary>
    /// Assembles from rows in any order. Stop codons extend the CDS, which is a no-op where the format counts them in (GFF3). Without exon
    /// rows the exons are the CDS, stop codon and UTR rows; pieces that touch are joined, unless both are CDS rows.
    /// </summary>
    internal static Assembly FromRows(Span<AnnotationRow> rows)
    {
        if (rows.Length == 0) return new Assembly(new Fault("no exon or CDS rows"));
        byte strand = rows[0].Strand;
        foreach (ref readonly var row in rows)
        {
            if (row.Strand != strand) return new Assembly(new Fault("rows on both strands (trans-splicing)"));
            if (row.End <= row.Start) return new Assembly(new Fault("end before start", $"a row ends at {row.End}, before its start {row.Start + 1L}"));
            if (row.Start < 0) return new Assembly(new Fault("start below 1"));
        }
        if (strand is not ((byte)'+' or (byte)'-')) return new Assembly(new Fault("strand is unknown"));
        rows.Sort(static (a, b) => a.Start != b.Start ? a.Start.CompareTo(b.Start) : a.End != b.End ? a.End.CompareTo(b.End) : a.Kind.CompareTo(b.Kind));

        bool minus = strand == '-';
        var exons = new List<int>();
        Fault? fault = Count(rows, RowKind.Exon) > 0 ? ListExons(rows, exons) : JoinPieces(rows, exons);
        if (fault is not null) return new Assembly(fault);
        return WithCds(rows, [.. exons], minus);
    }

    /// <summary>Assembles from exons (start, end pairs in any order) and outer CDS bounds, equal where there is no CDS.</summary>
    internal static Assembly FromBounds(int[] exons, int cdsStart, int cdsEnd, byte strand)
    {
        var rows = new AnnotationRow[exons.Length / 2];
        for (int i = 0; i < rows.Length; i++) rows[i] = new AnnotationRow(exons[2 * i], exons[2 * i + 1], RowKind.Exon, strand, -1);
        var assembly = FromRows(rows);
        if (assembly.Fault is not null || cdsStart == cdsEnd) return assembly;
        if (cdsEnd < cdsStart) return new Assembly(new Fault("CDS ends before it starts"));
        if (!Contains(assembly.Exons, cdsStart) || !Contains(assembly.Exons, cdsEnd - 1))
            return new Assembly(new Fault("CDS outside exons", $"the CDS {cdsStart + 1}-{cdsEnd} does not begin and end in exons"));
        return assembly with { CdsStart = cdsStart, CdsEnd = cdsEnd };
    }

    private static Fault? ListExons(ReadOnlySpan<AnnotationRow> rows, List<int> exons)
    {
        foreach (ref readonly var row in rows)
        {
            if (row.Kind != RowKind.Exon) continue;
            // The same row twice is a file put together twice; anything else that overlaps is an error.
            if (exons.Count > 0 && row.Start == exons[^2] && row.End == exons[^1]) continue;
            if (exons.Count > 0 && row.Start < exons[^1])
                return new Fault("overlapping exons", $"exons {exons[^2] + 1}-{exons[^1]} and {row.Start + 1}-{row.End} overlap");
            exons.Add(row.Start);
            exons.Add(row.End);
        }
        return null;
    }

    private static Fault? JoinPieces(ReadOnlySpan<AnnotationRow> rows, List<int> exons)
    {
        var last = RowKind.Exon;
        foreach (ref readonly var row in rows)
        {
            bool joins = exons.Count > 0 && (row.Start < exons[^1] || (row.Start == exons[^1] && !(last == RowKind.Cds && row.Kind == RowKind.Cds)));
            if (joins) exons[^1] = Math.Max(exons[^1], row.End);
            else
            {
                exons.Add(row.Start);
                exons.Add(row.End);
            }
            last = row.Kind;
        }
        return null;
    }

    private static Assembly WithCds(ReadOnlySpan<AnnotationRow> rows, int[] exons, bool minus)
    {
        int start = int.MaxValue, end = -1, first = -1, last = -1;
        long covered = 0;
        bool shifted = false;
        int reach = -1;
        for (int i = 0; i < rows.Length; i++)
        {
            var row = rows[i];
            if (row.Kind is not (RowKind.Cds or RowKind.StopCodon)) continue;
            if (!Contains(exons, row.Start) || !Contains(exons, row.End - 1) || ExonicBetween(exons, row.Start, row.End) != row.End - row.Start)
                return new Assembly(new Fault("CDS outside exons", $"the CDS row {row.Start + 1}-{row.End} is not inside an exon"));
            start = Math.Min(start, row.Start);
            end = Math.Max(end, row.End);
            covered += Math.Max(0, row.End - Math.Max(row.Start, reach));
            if (row.Kind == RowKind.Cds)
            {
                shifted |= last >= 0 && row.Start < rows[last].End && rows[last] != row;
                if (first < 0) first = i;
                last = i;
            }
            reach = Math.Max(reach, row.End);
        }
        if (end < 0) return new Assembly(null) { Exons = exons, Minus = minus };
        shifted |= covered != ExonicBetween(exons, start, end);
        // Exons that were made of CDS rows leave a gap of one or two bases where the ribosome slips: too short for an intron.
        for (int i = 2; i < exons.Length; i += 2) shifted |= exons[i] - exons[i - 1] is 1 or 2 && exons[i] > start && exons[i - 1] < end;
        int firstCds = minus ? last : first;
        return new Assembly(null)
        {
            Exons = exons, Minus = minus, CdsStart = start, CdsEnd = end, Shifted = shifted,
            StartsInsideCodon = firstCds >= 0 && rows[firstCds].Phase > 0,
        };
    }

    private static int Count(ReadOnlySpan<AnnotationRow> rows, RowKind kind)
    {
        int n = 0;
        foreach (ref readonly var row in rows) if (row.Kind == kind) n++;
        return n;
    }

    private static bool Contains(ReadOnlySpan<int> exons, int position)
    {
        for (int i = 0; i < exons.Length; i += 2)
            if (position >= exons[i] && position < exons[i + 1]) return true;
        return false;
    }

    /// <summary>Number of exonic bases in [start, end).</summary>
    internal static long ExonicBetween(ReadOnlySpan<int> exons, int start, int end)
    {
        long n = 0;
        for (int i = 0; i < exons.Length; i += 2) n += Math.Max(0, (long)Math.Min(end, exons[i + 1]) - Math.Max(start, exons[i]));
        return n;
    }
}

/// <summary>Exons and CDS of one transcript in genome coordinates, or the fault that prevents them.</summary>
internal sealed record Assembly(Fault? Fault)
{
    internal int[] Exons { get; init; } = [];
    internal bool Minus { get; init; }
    internal int CdsStart { get; init; }
    internal int CdsEnd { get; init; }
    internal bool Shifted { get; init; }
    internal bool StartsInsideCodon { get; init; }
}
