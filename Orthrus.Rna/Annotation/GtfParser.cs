namespace Orthrus.Rna;

/// <summary>
/// GTF (GFF 2.5) of Ensembl, GENCODE, RefSeq, UCSC, FlyBase, StringTie and their like. Rows of a transcript may stand anywhere in the file.
/// A transcript is a transcript_id on one contig within one gene_id: the copies of a pseudoautosomal transcript on X and Y, and the
/// "unknown_transcript_1" that RefSeq gives to many genes, stay apart. The CDS leaves the stop codon out; stop_codon rows add it.
/// </summary>
internal sealed class GtfParser
{
    private readonly Utf8Pool _names = new();
    private readonly Dictionary<(int Id, int Contig, int Gene), int> _byKey = [];
    private readonly List<Draft> _drafts = [];
    private readonly List<(int Draft, AnnotationRow Row)> _rows = [];
    private (int, int, int) _lastKey = (-1, -1, -1);
    private int _last;
    private long _rowsWithoutId;

    /// <summary>What the rows say of a transcript besides coordinates; names are numbers of the pool, -1 where unknown.</summary>
    private sealed class Draft
    {
        internal int Id, Contig, Gene, GeneName = -1, Biotype = -1, GeneBiotype = -1;
        internal long Line;
        internal bool Start5, End3, TransSpliced, Slips;
        internal int TranscriptRows;
    }

    internal static bool LooksLikeGtf(ReadOnlySpan<byte> attributes)
    {
        attributes = attributes.TrimStart((byte)' ');
        int equals = attributes.IndexOf((byte)'='), blank = attributes.IndexOf((byte)' ');
        return equals < 0 || (blank > 0 && blank < equals);
    }

    internal static List<AnnotatedTranscript> Parse(LineReader lines, AnnotationFile file)
    {
        var parser = new GtfParser();
        while (lines.Next()) parser.Row(lines);
        if (parser._rowsWithoutId > 0) file.Remarks.Add($"{parser._rowsWithoutId:N0} exon or CDS rows without transcript_id left out");
        return parser.Finish();
    }

    private void Row(LineReader lines)
    {
        var line = lines.Line;
        if (line.IsEmpty || line[0] == '#' || AnnotationFile.IsBrowserLine(line)) return;
        Span<Range> c = stackalloc Range[9];
        int count = LineReader.Split(line, c);
        if (count != 9) throw lines.Error($"{count} columns where GTF has 9", "check that the file is complete and separated by tabs");
        var (start, end) = AnnotationFile.Coordinates(lines, line[c[3]], line[c[4]]);
        var type = line[c[2]];
        bool isTranscript = type.SequenceEqual("transcript"u8) || type.SequenceEqual("mRNA"u8);
        RowKind kind;
        if (type.SequenceEqual("exon"u8)) kind = RowKind.Exon;
        else if (type.SequenceEqual("CDS"u8)) kind = RowKind.Cds;
        else if (type.SequenceEqual("stop_codon"u8)) kind = RowKind.StopCodon;
        else if (type.SequenceEqual("five_prime_utr"u8) || type.SequenceEqual("three_prime_utr"u8) || type.SequenceEqual("UTR"u8)
            || type.SequenceEqual("5UTR"u8) || type.SequenceEqual("3UTR"u8)) kind = RowKind.Utr;
        else if (isTranscript) kind = default;
        else return;

        var attributes = new GtfAttributes(line[c[8]]);
        ReadOnlySpan<byte> id = default, gene = default, name = default, biotype = default, geneBiotype = default;
        bool start5 = false, end3 = false, trans = false, slips = false;
        while (attributes.Next(out var key, out var value))
        {
            if (key.SequenceEqual("transcript_id"u8)) id = value;
            else if (key.SequenceEqual("gene_id"u8)) gene = value;
            else if (key.SequenceEqual("gene_name"u8) || key.SequenceEqual("gene_symbol"u8)) name = value;
            else if (key.SequenceEqual("gene"u8) && name.IsEmpty) name = value;
            else if (key.SequenceEqual("transcript_biotype"u8) || key.SequenceEqual("transcript_type"u8)) biotype = value;
            else if (key.SequenceEqual("gene_biotype"u8) || key.SequenceEqual("gene_type"u8)) geneBiotype = value;
            else if (key.SequenceEqual("tag"u8))
            {
                start5 |= value.SequenceEqual("cds_start_NF"u8);
                end3 |= value.SequenceEqual("cds_end_NF"u8);
            }
            else if (key.SequenceEqual("exception"u8))
            {
                trans |= AnnotationFile.IsTransSplicing(value);
                slips |= AnnotationFile.IsSlippage(value);
            }
        }
        if (id.IsEmpty)
        {
            if (!isTranscript) _rowsWithoutId++;
            return;
        }
        int number = DraftOf(_names.Add(id), _names.Add(line[c[0]]), _names.Add(gene), lines.LineNumber);
        var draft = _drafts[number];
        if (draft.GeneName < 0 && !name.IsEmpty) draft.GeneName = _names.Add(name);
        if (draft.Biotype < 0 && !biotype.IsEmpty) draft.Biotype = _names.Add(biotype);
        if (draft.GeneBiotype < 0 && !geneBiotype.IsEmpty) draft.GeneBiotype = _names.Add(geneBiotype);
        draft.Start5 |= start5;
        draft.End3 |= end3;
        draft.TransSpliced |= trans;
        draft.Slips |= slips;
        if (isTranscript)
        {
            draft.TranscriptRows++;
            return;
        }
        var strand = line[c[6]];
        var phase = line[c[7]];
        sbyte phaseValue = phase.Length == 1 && phase[0] is >= (byte)'0' and <= (byte)'2' ? (sbyte)(phase[0] - '0') : (sbyte)-1;
        _rows.Add((number, new AnnotationRow(start, end, kind, strand.Length == 1 ? strand[0] : (byte)'?', phaseValue)));
    }

    private int DraftOf(int id, int contig, int gene, long line)
    {
        var key = (id, contig, gene);
        if (key == _lastKey) return _last;
        if (!_byKey.TryGetValue(key, out int number))
        {
            number = _drafts.Count;
            _byKey.Add(key, number);
            _drafts.Add(new Draft { Id = id, Contig = contig, Gene = gene, Line = line });
        }
        (_lastKey, _last) = (key, number);
        return number;
    }

    private List<AnnotatedTranscript> Finish()
    {
        var grouped = new RowGroups(_drafts.Count, _rows);
        var transcripts = new List<AnnotatedTranscript>(_drafts.Count);
        for (int i = 0; i < _drafts.Count; i++)
        {
            var draft = _drafts[i];
            var assembly = TranscriptAssembler.FromRows(grouped[i]);
            int biotype = draft.Biotype >= 0 ? draft.Biotype : draft.GeneBiotype;
            var fault = draft.TransSpliced ? new Fault("rows on both strands (trans-splicing)", "the source marks it as trans-splicing")
                : draft.TranscriptRows > 1 ? new Fault("one id for two transcripts of a contig", $"{draft.TranscriptRows} transcript rows have this id") : assembly.Fault;
            transcripts.Add(new AnnotatedTranscript
            {
                Id = _names[draft.Id], Contig = _names[draft.Contig], GeneId = Text(draft.Gene), GeneName = Text(draft.GeneName), Biotype = Text(biotype),
                Minus = assembly.Minus, Exons = assembly.Exons, CdsStart = assembly.CdsStart, CdsEnd = assembly.CdsEnd,
                CdsShifted = assembly.CdsEnd > assembly.CdsStart && (assembly.Shifted || draft.Slips),
                Cds5Incomplete = assembly.CdsEnd > assembly.CdsStart && (draft.Start5 || assembly.StartsInsideCodon),
                Cds3Incomplete = assembly.CdsEnd > assembly.CdsStart && draft.End3, Fault = fault, Line = draft.Line,
            });
        }
        return transcripts;
    }

    private string? Text(int number) => number < 0 || _names.Bytes(number).IsEmpty ? null : _names[number];
}

/// <summary>Rows sorted into groups without one list per group.</summary>
internal sealed class RowGroups
{
    private readonly int[] _starts;
    private readonly AnnotationRow[] _rows;

    internal RowGroups(int groups, List<(int Group, AnnotationRow Row)> rows)
    {
        _starts = new int[groups + 1];
        foreach (var (group, _) in rows) _starts[group + 1]++;
        for (int i = 0; i < groups; i++) _starts[i + 1] += _starts[i];
        var next = _starts[..groups];
        _rows = new AnnotationRow[rows.Count];
        foreach (var (group, row) in rows) _rows[next[group]++] = row;
    }

    internal Span<AnnotationRow> this[int group] => _rows.AsSpan(_starts[group], _starts[group + 1] - _starts[group]);
}

/// <summary>Walks over `key "value"; key value;` pairs; a semicolon inside quotes belongs to the value.</summary>
internal ref struct GtfAttributes(ReadOnlySpan<byte> text)
{
    private ReadOnlySpan<byte> _rest = text;

    internal bool Next(out ReadOnlySpan<byte> key, out ReadOnlySpan<byte> value)
    {
        key = value = default;
        _rest = _rest.TrimStart("; "u8);
        if (_rest.IsEmpty) return false;
        int end = _rest.IndexOfAny((byte)' ', (byte)'=', (byte)';');
        if (end < 0) end = _rest.Length;
        key = _rest[..end];
        _rest = end < _rest.Length && _rest[end] != ';' ? _rest[(end + 1)..].TrimStart((byte)' ') : _rest[end..];
        if (!_rest.IsEmpty && _rest[0] == '"')
        {
            int close = _rest[1..].IndexOf((byte)'"');
            value = close < 0 ? _rest[1..] : _rest.Slice(1, close);
            _rest = close < 0 ? default : _rest[(close + 2)..];
            int semicolon = _rest.IndexOf((byte)';');
            _rest = semicolon < 0 ? default : _rest[semicolon..];
        }
        else
        {
            int semicolon = _rest.IndexOf((byte)';');
            value = (semicolon < 0 ? _rest : _rest[..semicolon]).TrimEnd((byte)' ');
            _rest = semicolon < 0 ? default : _rest[semicolon..];
        }
        return true;
    }
}
