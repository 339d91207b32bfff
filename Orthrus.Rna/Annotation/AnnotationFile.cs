using System.Text;

namespace Orthrus.Rna;

/// <summary>All transcripts of an annotation file in file order, and what the file says besides.</summary>
internal sealed class AnnotationFile
{
    private AnnotationFile(string path, string format)
    {
        Path = path;
        Format = format;
    }

    internal string Path { get; }

    /// <summary>"GTF", "GFF3", "genePred", "BED12".</summary>
    internal string Format { get; }

    internal IReadOnlyList<AnnotatedTranscript> Transcripts { get; private set; } = [];

    /// <summary>Sequences of a GFF3's ##FASTA part, or null.</summary>
    internal Genome? Embedded { get; private set; }

    /// <summary>Remarks for the report.</summary>
    internal List<string> Remarks { get; } = [];

    internal static AnnotationFile Read(string path)
    {
        using var lines = new LineReader(path, InputFile.Open(path));
        var (format, parse) = Sniff(lines);
        var file = new AnnotationFile(path, format);
        file.Transcripts = parse(lines, file);
        if (file.Transcripts.Count == 0)
            throw new InputDataException(path, null, $"no transcript in this {format} file", "check that it has exon or CDS rows");
        return file;
    }

    internal void Attach(Genome embedded) => Embedded = embedded;

    private delegate List<AnnotatedTranscript> Parser(LineReader lines, AnnotationFile file);

    // Rows decide, not the name: the first line that is neither blank, comment nor browser directive.
    private static (string Format, Parser Parse) Sniff(LineReader lines)
    {
        bool gff3 = false;
        bool seen = false;
        Span<Range> columns = stackalloc Range[20];
        while (lines.Next())
        {
            var line = lines.Line;
            if (line.IsEmpty) continue;
            seen = true;
            if (line.StartsWith("##gff-version"u8)) gff3 = line[13..].TrimStart((byte)' ').TrimStart((byte)'\t').StartsWith("3"u8);
            if (gff3 && line.StartsWith("##FASTA"u8)) break;
            if (GenePredParser.IsHeader(line))
            {
                lines.Unread();
                return ("genePred", GenePredParser.Parse);
            }
            if (line[0] == '#' || IsBrowserLine(line)) continue;
            int count = LineReader.Split(line, columns);
            lines.Unread();
            if (gff3) return ("GFF3", Gff3Parser.Parse);
            if (GenePredParser.Fits(line, columns[..Math.Min(count, columns.Length)])) return ("genePred", GenePredParser.Parse);
            if (count >= 8 && LineReader.TryNumber(line[columns[3]], out _) && LineReader.TryNumber(line[columns[4]], out _))
                return count >= 9 && !GtfParser.LooksLikeGtf(line[columns[8]]) ? ("GFF3", Gff3Parser.Parse) : ("GTF", GtfParser.Parse);
            if (count >= 3 && LineReader.TryNumber(line[columns[1]], out _) && LineReader.TryNumber(line[columns[2]], out _))
            {
                if (count >= 12) return ("BED12", Bed12Parser.Parse);
                throw lines.Error($"BED with {count} columns has no exons", "give BED12, GTF, GFF3 or genePred");
            }
            if (count == 1)
                throw FileSignature.Refuse(lines.Path, "an annotation (GTF, GFF3, genePred or BED12)", line[..Math.Min(line.Length, 4096)]);
            throw lines.Error($"{count} columns that fit neither GTF, GFF3, genePred nor BED12", "check that the file is an annotation, separated by tabs");
        }
        throw new InputDataException(lines.Path, null, seen ? "has no rows" : "is empty", "check how it was made");
    }

    internal static bool IsBrowserLine(ReadOnlySpan<byte> line) => line.StartsWith("track "u8) || line.StartsWith("browser "u8);

    // NCBI's exception attribute; GenBank writes the first with an underscore.
    internal static bool IsTransSplicing(ReadOnlySpan<byte> exception) => exception.IndexOf("trans-splicing"u8) >= 0 || exception.IndexOf("trans_splicing"u8) >= 0;

    internal static bool IsSlippage(ReadOnlySpan<byte> exception) => exception.IndexOf("slippage"u8) >= 0;

    /// <summary>Reads start and end of a GFF or GTF row (1-based, inclusive) as 0-based half-open.</summary>
    internal static (int Start, int End) Coordinates(LineReader lines, ReadOnlySpan<byte> start, ReadOnlySpan<byte> end)
    {
        if (!LineReader.TryNumber(start, out int s)) throw lines.Error("the start is not a position:", start, "columns 4 and 5 hold positions from 1");
        if (!LineReader.TryNumber(end, out int e)) throw lines.Error("the end is not a position:", end, "columns 4 and 5 hold positions from 1");
        return (s - 1, e);
    }
}
