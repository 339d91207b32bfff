namespace Orthrus.Rna;

/// <summary>
/// UCSC tables: genePred, genePredExt and refGene (with or without the bin column), refFlat, knownGene, and tables with a header line that
/// names the columns (name, name2, chrom, strand, txStart, ...). Positions are 0-based and half-open; the CDS includes the stop codon;
/// cdsStart == cdsEnd means no CDS. Each row is a transcript.
/// </summary>
internal static class GenePredParser
{
    private const int Most = 64;
    private static readonly System.Buffers.SearchValues<byte> ListBytes = System.Buffers.SearchValues.Create("0123456789,"u8);

    /// <summary>Columns by meaning; -1 where absent.</summary>
    private readonly record struct Layout(int Name, int Chrom, int Strand, int CdsStart, int CdsEnd, int ExonCount, int ExonStarts, int ExonEnds,
        int Gene, int StartStat, int EndStat, int Least);

    internal static bool IsHeader(ReadOnlySpan<byte> line) =>
        line.IndexOf("exonStarts"u8) >= 0 && line.IndexOf("exonEnds"u8) >= 0 && line.IndexOf("chrom"u8) >= 0;

    internal static bool Fits(ReadOnlySpan<byte> line, ReadOnlySpan<Range> columns) => StrandColumn(line, columns) >= 0;

    internal static List<AnnotatedTranscript> Parse(LineReader lines, AnnotationFile file)
    {
        var names = new Utf8Pool();
        var transcripts = new List<AnnotatedTranscript>();
        Layout? layout = null;
        Span<Range> c = stackalloc Range[Most];
        while (lines.Next())
        {
            var line = lines.Line;
            if (layout is null && IsHeader(line))
            {
                layout = FromHeader(lines);
                continue;
            }
            if (line.IsEmpty || line[0] == '#' || AnnotationFile.IsBrowserLine(line)) continue;
            int count = LineReader.Split(line, c);
            layout ??= FromRow(line, c[..Math.Min(count, Most)], count);
            if (count < layout.Value.Least || count > Most)
                throw lines.Error($"{count} columns where {layout.Value.Least} or more are needed", "check that the file is complete and separated by tabs");
            transcripts.Add(Row(lines, c, layout.Value, names));
        }
        return transcripts;
    }

    private static AnnotatedTranscript Row(LineReader lines, ReadOnlySpan<Range> c, Layout layout, Utf8Pool names)
    {
        var line = lines.Line;
        int cdsStart = Number(lines, line[c[layout.CdsStart]]), cdsEnd = Number(lines, line[c[layout.CdsEnd]]);
        int exonCount = Number(lines, line[c[layout.ExonCount]]);
        var starts = line[c[layout.ExonStarts]];
        var ends = line[c[layout.ExonEnds]];
        var strand = line[c[layout.Strand]];
        Assembly assembly;
        if (ListLength(starts) != exonCount || ListLength(ends) != exonCount)
            assembly = new Assembly(new Fault("exon lists and exonCount differ", $"exonCount is {exonCount}, the lists have {ListLength(starts)} starts and {ListLength(ends)} ends"));
        else
        {
            var exons = new int[2 * exonCount];
            for (int i = 0; i < exonCount; i++)
            {
                exons[2 * i] = Number(lines, TakeItem(ref starts));
                exons[2 * i + 1] = Number(lines, TakeItem(ref ends));
            }
            assembly = TranscriptAssembler.FromBounds(exons, cdsStart, cdsEnd, strand.Length == 1 ? strand[0] : (byte)'?');
        }
        bool coding = cdsEnd > cdsStart;
        bool startOpen = layout.StartStat >= 0 && line[c[layout.StartStat]].SequenceEqual("incmpl"u8);
        bool endOpen = layout.EndStat >= 0 && line[c[layout.EndStat]].SequenceEqual("incmpl"u8);
        string? gene = layout.Gene < 0 || line[c[layout.Gene]].IsEmpty ? null : names[names.Add(line[c[layout.Gene]])];
        return new AnnotatedTranscript
        {
            Id = FastaReader.Text(line[c[layout.Name]]), Contig = names[names.Add(line[c[layout.Chrom]])], GeneId = gene, GeneName = gene,
            Minus = assembly.Minus, Exons = assembly.Exons, CdsStart = assembly.CdsStart, CdsEnd = assembly.CdsEnd, Fault = assembly.Fault, Line = lines.LineNumber,
            // The "start" of the table is the lower end in the genome, which is the 3' end on the reverse strand.
            Cds5Incomplete = coding && (assembly.Minus ? endOpen : startOpen), Cds3Incomplete = coding && (assembly.Minus ? startOpen : endOpen),
        };
    }

    private static int Number(LineReader lines, ReadOnlySpan<byte> text) =>
        LineReader.TryNumber(text, out int value) ? value : throw lines.Error("not a position:", text, "check the columns of the table");

    private static int ListLength(ReadOnlySpan<byte> list) => list.TrimEnd((byte)',').IsEmpty ? 0 : list.TrimEnd((byte)',').Count((byte)',') + 1;

    private static ReadOnlySpan<byte> TakeItem(ref ReadOnlySpan<byte> list)
    {
        int comma = list.IndexOf((byte)',');
        var item = comma < 0 ? list : list[..comma];
        list = comma < 0 ? default : list[(comma + 1)..];
        return item;
    }

    // A strand, five numbers and two lists in a row.
    private static int StrandColumn(ReadOnlySpan<byte> line, ReadOnlySpan<Range> c)
    {
        for (int s = 2; s <= 3 && s + 7 < c.Length; s++)
        {
            var strand = line[c[s]];
            if (strand.Length != 1 || strand[0] is not ((byte)'+' or (byte)'-' or (byte)'.')) continue;
            bool numbers = true;
            for (int i = 1; i <= 5; i++) numbers &= LineReader.TryNumber(line[c[s + i]], out _);
            if (numbers && line[c[s + 6]].IndexOfAnyExcept(ListBytes) < 0) return s;
        }
        return -1;
    }

    private static Layout FromRow(ReadOnlySpan<byte> line, ReadOnlySpan<Range> c, int count)
    {
        int strand = StrandColumn(line, c);
        // Before name, chrom, strand stands either bin, a number, or refFlat's gene name.
        bool refFlat = strand == 3 && !LineReader.TryNumber(line[c[0]], out _);
        int gene = refFlat ? 0 : -1, startStat = -1, endStat = -1;
        if (!refFlat && count >= strand + 13)
        {
            gene = strand + 9;
            startStat = strand + 10;
            endStat = strand + 11;
        }
        return new Layout(strand - 2, strand - 1, strand, strand + 3, strand + 4, strand + 5, strand + 6, strand + 7, gene, startStat, endStat,
            endStat >= 0 ? endStat + 1 : strand + 8);
    }

    private static Layout FromHeader(LineReader lines)
    {
        string[] columns = FastaReader.Text(lines.Line).TrimStart('#').Split('\t');
        int Find(string name, bool needed = true)
        {
            int i = Array.FindIndex(columns, x => string.Equals(x.Trim(), name, StringComparison.OrdinalIgnoreCase));
            return i >= 0 || !needed ? i : throw lines.Error($"the header has no column {name}", "genePred has name, chrom, strand, txStart, txEnd, cdsStart, cdsEnd, exonCount, exonStarts, exonEnds");
        }
        int gene = Find("name2", false);
        return new Layout(Find("name"), Find("chrom"), Find("strand"), Find("cdsStart"), Find("cdsEnd"), Find("exonCount"), Find("exonStarts"), Find("exonEnds"),
            gene >= 0 ? gene : Find("geneName", false), Find("cdsStartStat", false), Find("cdsEndStat", false), columns.Length);
    }
}
