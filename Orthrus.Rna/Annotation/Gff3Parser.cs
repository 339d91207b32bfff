namespace Orthrus.Rna;

/// <summary>
/// Reads GFF3 rows; <see cref="Gff3Tree"/> makes transcripts of them. Rows may stand in any order and name several parents; values are
/// percent-decoded; "##FASTA" (or a ">" line) begins the genome. The CDS includes the stop codon.
/// </summary>
internal sealed class Gff3Parser
{
    private readonly Gff3Tree _tree = new();
    private byte[] _scratch = new byte[256];

    internal static List<AnnotatedTranscript> Parse(LineReader lines, AnnotationFile file)
    {
        var parser = new Gff3Parser();
        while (lines.Next())
        {
            var line = lines.Line;
            if (line.StartsWith("##FASTA"u8) || (!line.IsEmpty && line[0] == '>'))
            {
                using var fasta = new FastaReader(lines.Path, line[0] == '>' ? lines.RestWithLine() : lines.Rest());
                file.Attach(PackedGenome.Read(fasta));
                break;
            }
            if (line.IsEmpty || line[0] == '#' || AnnotationFile.IsBrowserLine(line)) continue;
            parser.Row(lines);
        }
        return parser._tree.Finish(file.Remarks);
    }

    private void Row(LineReader lines)
    {
        var line = lines.Line;
        Span<Range> c = stackalloc Range[9];
        int count = LineReader.Split(line, c);
        if (count != 9) throw lines.Error($"{count} columns where GFF3 has 9", "check that the file is complete and separated by tabs");
        var (start, end) = AnnotationFile.Coordinates(lines, line[c[3]], line[c[4]]);
        var type = line[c[2]];
        var part = PartOf(type);
        if (part == Part.Ignored) return;

        int contig = _tree.Names.Add(Decode(line[c[0]]));
        byte strand = line[c[6]].Length == 1 ? line[c[6]][0] : (byte)'?';
        var phase = line[c[7]];
        sbyte phaseValue = phase.Length == 1 && phase[0] is >= (byte)'0' and <= (byte)'2' ? (sbyte)(phase[0] - '0') : (sbyte)-1;
        var node = new Gff3Node { Contig = contig, Line = lines.LineNumber, Strand = strand };
        Attributes(line[c[8]], node);

        if (part == Part.Node)
        {
            if (node.Id < 0) return;
            node.Type = _tree.Names.Add(type);
            _tree.AddNode(node);
            return;
        }
        var kind = part switch { Part.Exon => RowKind.Exon, Part.Cds => RowKind.Cds, Part.StopCodon => RowKind.StopCodon, _ => RowKind.Utr };
        _tree.AddPart(node, new AnnotationRow(start, end, kind, strand, phaseValue));
    }

    private enum Part { Node, Ignored, Exon, Cds, StopCodon, Utr }

    // Everything that is neither a piece of a transcript nor known to be noise may be a gene or a transcript.
    private static Part PartOf(ReadOnlySpan<byte> type)
    {
        if (type.SequenceEqual("exon"u8) || type.SequenceEqual("pseudogenic_exon"u8) || type.SequenceEqual("noncoding_exon"u8)) return Part.Exon;
        if (type.SequenceEqual("CDS"u8)) return Part.Cds;
        if (type.SequenceEqual("stop_codon"u8)) return Part.StopCodon;
        if (type.SequenceEqual("five_prime_UTR"u8) || type.SequenceEqual("three_prime_UTR"u8) || type.SequenceEqual("UTR"u8)) return Part.Utr;
        if (type.SequenceEqual("start_codon"u8) || type.SequenceEqual("intron"u8) || type.SequenceEqual("region"u8)
            || type.SequenceEqual("chromosome"u8) || type.SequenceEqual("stop_codon_redefined_as_selenocysteine"u8)
            || type.IndexOf("match"u8) >= 0 || type.IndexOf("repeat"u8) >= 0 || type.IndexOf("codon"u8) >= 0) return Part.Ignored;
        return Part.Node;
    }

    private void Attributes(ReadOnlySpan<byte> text, Gff3Node node)
    {
        while (!text.IsEmpty)
        {
            int semicolon = text.IndexOf((byte)';');
            var pair = semicolon < 0 ? text : text[..semicolon];
            text = semicolon < 0 ? default : text[(semicolon + 1)..];
            int equals = pair.IndexOf((byte)'=');
            if (equals <= 0) continue;
            var key = pair[..equals].TrimStart((byte)' ');
            var value = pair[(equals + 1)..];
            if (value.Length >= 2 && value[0] == '"' && value[^1] == '"') value = value[1..^1];
            if (value.IsEmpty) continue;
            if (key.SequenceEqual("ID"u8)) node.Id = _tree.Names.Add(Decode(value));
            else if (key.SequenceEqual("Parent"u8)) Parents(value, node);
            else if (key.SequenceEqual("Name"u8)) node.Name = _tree.Names.Add(Decode(value));
            else if (key.SequenceEqual("transcript_id"u8)) node.TranscriptId = _tree.Names.Add(Decode(value));
            else if (key.SequenceEqual("gene_id"u8)) node.GeneId = _tree.Names.Add(Decode(value));
            else if (key.SequenceEqual("gene_name"u8)) node.GeneName = _tree.Names.Add(Decode(value));
            else if (key.SequenceEqual("gene"u8)) node.Gene = _tree.Names.Add(Decode(value));
            else if (key.SequenceEqual("protein_id"u8)) node.ProteinId = _tree.Names.Add(Decode(value));
            else if (key.SequenceEqual("transcript_type"u8) || key.SequenceEqual("transcript_biotype"u8) || key.SequenceEqual("biotype"u8))
                node.Biotype = _tree.Names.Add(Decode(value));
            else if (key.SequenceEqual("gene_type"u8) || key.SequenceEqual("gene_biotype"u8)) node.GeneBiotype = _tree.Names.Add(Decode(value));
            else if (key.SequenceEqual("tag"u8))
            {
                node.Start5 |= value.IndexOf("cds_start_NF"u8) >= 0;
                node.End3 |= value.IndexOf("cds_end_NF"u8) >= 0;
            }
            else if (key.SequenceEqual("start_range"u8)) node.OpenLeft = true;
            else if (key.SequenceEqual("end_range"u8)) node.OpenRight = true;
            else if (key.SequenceEqual("exception"u8))
            {
                node.TransSpliced |= AnnotationFile.IsTransSplicing(value);
                node.Slips |= AnnotationFile.IsSlippage(value);
            }
        }
    }

    private void Parents(ReadOnlySpan<byte> value, Gff3Node node)
    {
        while (true)
        {
            int comma = value.IndexOf((byte)',');
            var one = comma < 0 ? value : value[..comma];
            if (!one.IsEmpty)
            {
                int parent = _tree.Names.Add(Decode(one));
                if (node.Parent < 0) node.Parent = parent;
                else if (parent != node.Parent && !(node.MoreParents ??= []).Contains(parent)) node.MoreParents.Add(parent);
            }
            if (comma < 0) return;
            value = value[(comma + 1)..];
        }
    }

    // %XX escapes; the result is valid until the next call.
    private ReadOnlySpan<byte> Decode(ReadOnlySpan<byte> value)
    {
        if (value.IndexOf((byte)'%') < 0) return value;
        if (_scratch.Length < value.Length) _scratch = new byte[value.Length];
        var into = _scratch;
        int n = 0;
        for (int i = 0; i < value.Length; i++)
        {
            if (value[i] == '%' && i + 2 < value.Length && Hex(value[i + 1]) is var high and >= 0 && Hex(value[i + 2]) is var low and >= 0)
            {
                into[n++] = (byte)(high * 16 + low);
                i += 2;
            }
            else into[n++] = value[i];
        }
        return into.AsSpan(0, n);
    }

    private static int Hex(byte b) => b switch
    {
        >= (byte)'0' and <= (byte)'9' => b - '0',
        >= (byte)'a' and <= (byte)'f' => b - 'a' + 10,
        >= (byte)'A' and <= (byte)'F' => b - 'A' + 10,
        _ => -1,
    };
}
