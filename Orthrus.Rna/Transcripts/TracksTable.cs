using System.Globalization;

namespace Orthrus.Rna;

/// <summary>
/// A table of CDS and exon junctions of transcripts, tab-separated with a header line; what <c>orthrus transcripts</c> writes.
/// </summary>
/// <remarks>
/// Columns, found by name, in any order; others are ignored:
/// <list type="table">
/// <item><term>transcript_id</term><description>needed; unique; the FASTA's identifier, with or without version</description></item>
/// <item><term>cds_start, cds_end</term><description>0-based half-open in transcript coordinates, stop codon included; -1 -1: no CDS; NA NA, or -1 -1
/// with cds_source NA: not known</description></item>
/// <item><term>exon_junctions</term><description>comma-separated; p lies between bases p-1 and p, strictly increasing; "-": single exon; NA: not
/// known</description></item>
/// <item><term>cds_source</term><description>annotated, longest_orf, none or NA</description></item>
/// <item><term>length</term><description>where given, checked against the sequence</description></item>
/// <item><term>gene_id, gene_symbol, biotype, species, homology_group, family_group, split</term><description>taken over where given; NA: not known</description></item>
/// </list>
/// </remarks>
public sealed class TracksTable
{
    /// <summary>Columns of a table as this project writes it, in order.</summary>
    public static IReadOnlyList<string> Columns { get; } =
        ["transcript_id", "gene_id", "species", "cds_start", "cds_end", "exon_junctions", "homology_group", "gene_symbol", "family_group", "split", "cds_source", "length", "source"];

    private static ReadOnlySpan<byte> Called => "longest_orf"u8;

    private const int JunctionChunk = 1 << 16;

    private readonly IdMatcher<Stored> _rows = new();

    // Genes, species and groups repeat over the rows, and rows of one gene mostly stand together: each text is kept once, and so are the names of neighbours. A row
    // refers to them, and to a count of junctions and the junctions.
    private readonly Utf8Pool _texts = new();
    private readonly ChunkedList<Names> _names = new();
    private readonly List<int[]> _junctions = [];
    private int _junctionsUsed;

    private TracksTable(string path) => Path = path;

    /// <summary>What a row says; junctions are positions of the last base of each exon but the last.</summary>
    internal sealed record Row(long Line, (int Start, int End)? Cds, bool CdsKnown, int[]? Junctions, int? Length, RowNames Names, bool CdsCalled);

    /// <summary>Names and groups of a row, null where NA or without column.</summary>
    internal readonly record struct RowNames(string? GeneId, string? GeneName, string? Biotype, string? Species, string? HomologyGroup, string? FamilyGroup, string? Split);

    // Numbers of the texts of RowNames; -1: not known.
    private readonly record struct Names(int GeneId, int GeneName, int Biotype, int Species, int HomologyGroup, int FamilyGroup, int Split);

    // A row as it is kept, without objects: a table of millions stays small.
    private readonly struct Stored
    {
        internal long Line { get; init; }

        // Chunk times JunctionChunk and place in it; -1: not known.
        internal long Junctions { get; init; }

        // -1: none.
        internal int CdsStart { get; init; }

        internal int CdsEnd { get; init; }

        // -1: not given.
        internal int Length { get; init; }

        // Place of its names.
        internal int Names { get; init; }

        internal bool CdsKnown { get; init; }

        internal bool CdsCalled { get; init; }
    }

    /// <summary>The file it was read from.</summary>
    public string Path { get; }

    /// <summary>Number of rows.</summary>
    public int Count => _rows.Count;

    internal IEnumerable<string> Ids => _rows.Ids;

    internal bool TryFind(string id, out Row row, out string matched)
    {
        bool found = _rows.TryFind(id, out var r, out matched);
        row = found ? Unpacked(r) : null!;
        return found;
    }

    /// <summary>Reads a table, plain or gzip.</summary>
    /// <exception cref="InputDataException">A column is missing, a row has another number of columns, a value cannot be read, or an id occurs twice.</exception>
    public static TracksTable Read(string path)
    {
        var table = new TracksTable(path);
        using var lines = new LineReader(path, InputFile.Open(path));
        if (!lines.Next()) throw new InputDataException(path, null, "is empty", "give a table with a header line");
        string[] header = FastaReader.Text(lines.Line).Split('\t');
        int id = Find("transcript_id"), start = Find("cds_start"), end = Find("cds_end"), junctions = Find("exon_junctions");
        int length = Find("length"), gene = Find("gene_id"), symbol = Find("gene_symbol"), biotype = Find("biotype"), source = Find("cds_source");
        int species = Find("species"), homology = Find("homology_group"), family = Find("family_group"), split = Find("split");
        if (id < 0 || (start < 0) != (end < 0) || (start < 0 && junctions < 0))
            throw lines.Error("the header lacks columns", "needed are transcript_id, and cds_start with cds_end or exon_junctions, separated by tabs");
        var columns = new Range[header.Length];
        while (lines.Next())
        {
            if (lines.Line.IsEmpty) continue;
            int count = LineReader.Split(lines.Line, columns);
            if (count != header.Length) throw lines.Error($"{count} columns where the header has {header.Length}", "check that the table is complete and separated by tabs");
            var (cds, cdsKnown) = start < 0 ? (null, false) : Cds(lines, columns, start, end, source);
            var names = new Names(Text(gene), Text(symbol), Text(biotype), Text(species), Text(homology), Text(family), Text(split));
            int[]? exons = junctions < 0 ? null : Junctions(lines, lines.Line[columns[junctions]]);
            var row = new Stored
            {
                Line = lines.LineNumber, CdsStart = cds?.Start ?? -1, CdsEnd = cds?.End ?? -1, CdsKnown = cdsKnown, Junctions = table.Keep(exons),
                Length = Length(lines, columns, length) ?? -1, Names = table.Keep(names), CdsCalled = cds is not null && source >= 0 && lines.Line[columns[source]].SequenceEqual(Called),
            };
            string name = FastaReader.Text(lines.Line[columns[id]]);
            if (name.Length == 0) throw lines.Error("empty transcript_id", "give each row the identifier of its sequence");
            if (!table._rows.TryAdd(name, row)) throw lines.Error($"transcript_id {name} occurs twice", "give each transcript one row");
        }
        if (table.Count == 0) throw new InputDataException(path, null, "has a header and no rows", "check how it was made");
        return table;

        int Find(string name) => Array.IndexOf(header, name);

        int Text(int column)
        {
            if (column < 0) return -1;
            var text = lines.Line[columns[column]];
            return text.IsEmpty || text.SequenceEqual("NA"u8) ? -1 : table._texts.Add(text);
        }
    }

    private int Keep(Names names)
    {
        if (_names.Count == 0 || _names[_names.Count - 1] != names) _names.Add(names);
        return _names.Count - 1;
    }

    private long Keep(int[]? junctions)
    {
        if (junctions is null) return -1;
        if (_junctions.Count == 0 || _junctionsUsed + 1 + junctions.Length > _junctions[^1].Length)
        {
            _junctions.Add(new int[Math.Max(JunctionChunk, junctions.Length + 1)]);
            _junctionsUsed = 0;
        }
        int at = _junctionsUsed;
        _junctions[^1][at] = junctions.Length;
        junctions.CopyTo(_junctions[^1], at + 1);
        _junctionsUsed += 1 + junctions.Length;
        return (long)(_junctions.Count - 1) * JunctionChunk + at;
    }

    private Row Unpacked(in Stored r)
    {
        int[]? junctions = null;
        if (r.Junctions >= 0)
        {
            int[] chunk = _junctions[(int)(r.Junctions / JunctionChunk)];
            int at = (int)(r.Junctions % JunctionChunk);
            junctions = chunk.AsSpan(at + 1, chunk[at]).ToArray();
        }
        var n = _names[r.Names];
        // A gene's name is made anew for each transcript: who reads them needs few at a time. The others are few and kept.
        var names = new RowNames(Text(n.GeneId), Text(n.GeneName), Few(n.Biotype), Few(n.Species), Text(n.HomologyGroup), Text(n.FamilyGroup), Few(n.Split));
        return new Row(r.Line, r.CdsStart < 0 ? null : (r.CdsStart, r.CdsEnd), r.CdsKnown, junctions, r.Length < 0 ? null : r.Length, names, r.CdsCalled);

        string? Text(int number) => number < 0 ? null : _texts.Text(number);

        string? Few(int number) => number < 0 ? null : _texts[number];
    }

    internal static ((int Start, int End)? Cds, bool Known) Cds(LineReader lines, Range[] columns, int startColumn, int endColumn, int sourceColumn)
    {
        var start = lines.Line[columns[startColumn]];
        var end = lines.Line[columns[endColumn]];
        if (start.SequenceEqual("NA"u8) && end.SequenceEqual("NA"u8)) return (null, false);
        if (start.SequenceEqual("-1"u8) && end.SequenceEqual("-1"u8))
            return (null, sourceColumn < 0 || !lines.Line[columns[sourceColumn]].SequenceEqual("NA"u8));
        if (!LineReader.TryNumber(start, out int s)) throw lines.Error("cds_start is not a position:", start, "give 0-based half-open positions, -1 -1 or NA NA");
        if (!LineReader.TryNumber(end, out int e)) throw lines.Error("cds_end is not a position:", end, "give 0-based half-open positions, -1 -1 or NA NA");
        if (e <= s) throw lines.Error($"cds_end {e} is not after cds_start {s}", "give 0-based half-open positions, -1 -1 or NA NA");
        return ((s, e), true);
    }

    internal static int[]? Junctions(LineReader lines, ReadOnlySpan<byte> text)
    {
        if (text.SequenceEqual("NA"u8)) return null;
        if (text.SequenceEqual("-"u8)) return [];
        var junctions = new int[text.Count((byte)',') + 1];
        int n = 0;
        foreach (var range in text.Split((byte)','))
        {
            if (!LineReader.TryNumber(text[range], out int p) || p == 0 || (n > 0 && p - 1 <= junctions[n - 1]))
                throw lines.Error("exon_junctions are not increasing positions:", text, "give positions such as 125,341, '-' for a single exon, or NA");
            junctions[n++] = p - 1;
        }
        return junctions;
    }

    private static int? Length(LineReader lines, Range[] columns, int column)
    {
        if (column < 0 || lines.Line[columns[column]].SequenceEqual("NA"u8)) return null;
        return LineReader.TryNumber(lines.Line[columns[column]], out int n) ? n : throw lines.Error("length is not a number:", lines.Line[columns[column]], "give nucleotides, or NA");
    }

    /// <summary>The header line, without line end.</summary>
    public static string HeaderLine => string.Join('\t', Columns);

    /// <summary>The row of a transcript, without line end; NA where something is not known.</summary>
    /// <param name="transcript">The transcript.</param>
    /// <param name="source">Where it comes from, for the last column; null writes NA.</param>
    public static string FormatRow(Transcript transcript, string? source)
    {
        ArgumentNullException.ThrowIfNull(transcript);
        var (start, end) = transcript.Cds ?? (-1, -1);
        string cdsSource = transcript.CdsSource switch
        {
            CdsSource.Annotated => "annotated",
            CdsSource.LongestOrf => "longest_orf",
            CdsSource.None => "none",
            _ => "NA",
        };
        string junctions = transcript.Junctions switch
        {
            null => "NA",
            { Count: 0 } => "-",
            var j => string.Join(',', j.Select(p => (p + 1).ToString(CultureInfo.InvariantCulture))),
        };
        return string.Join('\t', Clean(transcript.Id), Clean(transcript.GeneId), Clean(transcript.Species), start.ToString(CultureInfo.InvariantCulture), end.ToString(CultureInfo.InvariantCulture),
            junctions, Clean(transcript.HomologyGroup), Clean(transcript.GeneName), Clean(transcript.FamilyGroup), Clean(transcript.Split), cdsSource, transcript.Length.ToString(CultureInfo.InvariantCulture), Clean(source));
    }

    // A tab or line end inside a name would break the table.
    private static string Clean(string? text)
    {
        if (string.IsNullOrEmpty(text)) return "NA";
        return text.AsSpan().IndexOfAny('\t', '\n', '\r') < 0 ? text : text.Replace('\t', ' ').Replace('\n', ' ').Replace('\r', ' ');
    }
}
