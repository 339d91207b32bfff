namespace Orthrus.Rna;

/// <summary>
/// BED12: each row is a transcript, its blocks are exons, thickStart to thickEnd is the CDS with the stop codon (equal: no CDS). Further
/// columns (bigGenePred) are ignored.
/// </summary>
internal static class Bed12Parser
{
    internal static List<AnnotatedTranscript> Parse(LineReader lines, AnnotationFile file)
    {
        var names = new Utf8Pool();
        var transcripts = new List<AnnotatedTranscript>();
        Span<Range> c = stackalloc Range[12];
        while (lines.Next())
        {
            var line = lines.Line;
            if (line.IsEmpty || line[0] == '#' || AnnotationFile.IsBrowserLine(line)) continue;
            int count = LineReader.Split(line, c);
            if (count < 12) throw lines.Error($"{count} columns where BED12 has 12", "check that the file is complete and separated by tabs");
            transcripts.Add(Row(lines, c, names));
        }
        return transcripts;
    }

    private static AnnotatedTranscript Row(LineReader lines, ReadOnlySpan<Range> c, Utf8Pool names)
    {
        var line = lines.Line;
        int start = Number(lines, line[c[1]]), end = Number(lines, line[c[2]]);
        int thickStart = Number(lines, line[c[6]]), thickEnd = Number(lines, line[c[7]]);
        int blocks = Number(lines, line[c[9]]);
        var sizes = line[c[10]].TrimEnd((byte)',');
        var offsets = line[c[11]].TrimEnd((byte)',');
        var strand = line[c[5]];
        var assembly = blocks == 0 || sizes.Count((byte)',') + 1 != blocks || offsets.Count((byte)',') + 1 != blocks
            ? new Assembly(new Fault("block lists and blockCount differ"))
            : Blocks(lines, start, end, thickStart, thickEnd, blocks, sizes, offsets, strand.Length == 1 ? strand[0] : (byte)'?');
        return new AnnotatedTranscript
        {
            Id = FastaReader.Text(line[c[3]]), Contig = names[names.Add(line[c[0]])], Minus = assembly.Minus, Exons = assembly.Exons,
            CdsStart = assembly.CdsStart, CdsEnd = assembly.CdsEnd, Fault = assembly.Fault, Line = lines.LineNumber,
        };
    }

    private static Assembly Blocks(LineReader lines, int start, int end, int thickStart, int thickEnd, int blocks,
        ReadOnlySpan<byte> sizes, ReadOnlySpan<byte> offsets, byte strand)
    {
        var exons = new int[2 * blocks];
        for (int i = 0; i < blocks; i++)
        {
            long s = (long)start + Number(lines, Take(ref offsets)), e = s + Number(lines, Take(ref sizes));
            if (e > end) return new Assembly(new Fault("a block ends after chromEnd", $"block {i + 1} ends at {e}, chromEnd is {end}"));
            (exons[2 * i], exons[2 * i + 1]) = ((int)s, (int)e);
        }
        return TranscriptAssembler.FromBounds(exons, thickStart, thickEnd, strand);
    }

    private static int Number(LineReader lines, ReadOnlySpan<byte> text) =>
        LineReader.TryNumber(text, out int value) ? value : throw lines.Error("not a position:", text, "check the columns of the BED12");

    private static ReadOnlySpan<byte> Take(ref ReadOnlySpan<byte> list)
    {
        int comma = list.IndexOf((byte)',');
        var item = comma < 0 ? list : list[..comma];
        list = comma < 0 ? default : list[(comma + 1)..];
        return item;
    }
}
