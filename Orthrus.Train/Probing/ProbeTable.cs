using System.Globalization;
using Orthrus.Rna;

namespace Orthrus.Train.Probing;

/// <summary>Which columns of a table a probe reads.</summary>
public sealed record ProbeColumns
{
    /// <summary>Targets, in order.</summary>
    public required IReadOnlyList<string> Targets { get; init; }

    /// <summary>Column with train, valid and test; null for none.</summary>
    public string? Split { get; init; }

    /// <summary>Column of groups that no split may cut; null for none.</summary>
    public string? Groups { get; init; }

    /// <summary>Column of units that a bootstrap draws whole; null for rows.</summary>
    public string? Units { get; init; }

    /// <summary>Column with the spliced sequences, 5' to 3'.</summary>
    public string Sequence { get; init; } = "sequence";
}

/// <summary>Part of a data set that a table assigns a row to.</summary>
public enum Part : byte
{
    /// <summary>The table says NA, or nothing.</summary>
    None,
    /// <summary>"train".</summary>
    Train,
    /// <summary>"valid", "val", "validation" or "dev".</summary>
    Validation,
    /// <summary>"test".</summary>
    Test,
}

/// <summary>
/// A labelled table: tab-separated, plain or gzip, with a header line. It has a sequence per row, one or more targets (NA, nan or nothing where missing), and
/// where known cds_start, cds_end and exon_junctions as in <see cref="TracksTable"/>. The identifier is the column transcript_id, else the first one.
/// </summary>
public sealed class ProbeTable
{
    private static readonly string[] CdsColumns = ["cds_start", "cds_end"];

    private readonly List<Transcript> _transcripts = [];
    private readonly List<double[]> _targets = [];
    private readonly List<Part> _parts = [];
    private readonly List<int> _groups = [], _units = [];

    private ProbeTable(string path, IReadOnlyList<string> targets)
    {
        Path = path;
        Targets = targets;
    }

    /// <summary>The file.</summary>
    public string Path { get; }

    /// <summary>Names of the targets.</summary>
    public IReadOnlyList<string> Targets { get; }

    /// <summary>The rows' transcripts as track bytes.</summary>
    public IReadOnlyList<Transcript> Transcripts => _transcripts;

    /// <summary>Number of rows.</summary>
    public int Rows => _transcripts.Count;

    /// <summary>True where the table has columns of CDS or exon junctions.</summary>
    public bool HasTracks { get; private set; }

    /// <summary>Rows of which no CDS is known or called, though the table could say.</summary>
    public int WithoutCds { get; private set; }

    /// <summary>Value of a target; NaN where it is missing.</summary>
    /// <param name="row">From 0.</param>
    /// <param name="target">Index in <see cref="Targets"/>.</param>
    public double Target(int row, int target) => _targets[row][target];

    /// <summary>Part of a row; <see cref="Part.None"/> for all where no split column was named.</summary>
    public Part PartOf(int row) => _parts[row];

    /// <summary>Group of each row by number; negative where the table has none for it.</summary>
    public IReadOnlyList<int> Groups => _groups;

    /// <summary>Bootstrap unit of each row by number.</summary>
    public IReadOnlyList<int> Units => _units;

    /// <summary>Names of a table's columns.</summary>
    /// <param name="path">The table.</param>
    /// <exception cref="InputDataException">The file is missing, empty or broken.</exception>
    public static IReadOnlyList<string> Header(string path)
    {
        using var lines = new LineReader(path, InputFile.Open(path));
        return Header(lines);
    }

    /// <summary>Reads a table.</summary>
    /// <param name="path">The file.</param>
    /// <param name="columns">What to read of it.</param>
    /// <param name="policy">Where codon marks come from; a row of which the table knows no CDS may have one called.</param>
    /// <exception cref="InputDataException">A column is missing, or a value cannot be read; the message names the line.</exception>
    public static ProbeTable Read(string path, ProbeColumns columns, CdsPolicy policy)
    {
        ArgumentNullException.ThrowIfNull(columns);
        var table = new ProbeTable(path, columns.Targets);
        using var lines = new LineReader(path, InputFile.Open(path));
        var layout = new Layout(lines, Header(lines), columns.Sequence);
        int split = columns.Split is null ? -1 : layout.Need(columns.Split), groups = columns.Groups is null ? -1 : layout.Need(columns.Groups), units = columns.Units is null ? -1 : layout.Need(columns.Units);
        int[] targets = [.. columns.Targets.Select(layout.Need)];
        table.HasTracks = layout.HasTracks;
        Dictionary<string, int> groupNumbers = [], unitNumbers = [];
        while (layout.Next())
        {
            var transcript = layout.Transcript(policy);
            if (transcript.Cds is null && !transcript.CdsKnown) table.WithoutCds++;
            table._transcripts.Add(transcript);
            table._targets.Add([.. targets.Select(t => Number(lines, layout[t], layout.Header[t]))]);
            table._parts.Add(split < 0 ? Part.None : PartOf(lines, layout[split], columns.Split!));
            table._groups.Add(groups < 0 ? -1 : Named(groupNumbers, layout[groups]));
            // A row without a unit is one of its own.
            int unit = units < 0 ? -1 : Named(unitNumbers, layout[units]);
            table._units.Add(unit >= 0 ? unit : -2 - table._units.Count);
        }
        return table.Rows > 0 ? table : throw NoRows(path);
    }

    /// <summary>The transcripts of a table, one at a time, whatever its length.</summary>
    /// <param name="path">The file.</param>
    /// <param name="sequence">Column of the sequences.</param>
    /// <param name="policy">Where codon marks come from.</param>
    /// <exception cref="InputDataException">As <see cref="Read"/>.</exception>
    public static IEnumerable<Transcript> Stream(string path, string sequence, CdsPolicy policy)
    {
        using var lines = new LineReader(path, InputFile.Open(path));
        var layout = new Layout(lines, Header(lines), sequence);
        bool any = false;
        for (; layout.Next(); any = true) yield return layout.Transcript(policy);
        if (!any) throw NoRows(path);
    }

    /// <summary>True where a table's header has columns of CDS or exon junctions.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="InputDataException">The file is missing, empty or broken.</exception>
    public static bool Marked(string path) => Header(path) is var header && (header.Contains(CdsColumns[0]) || header.Contains(Layout.JunctionColumn));

    /// <summary>The same rows with the parts that a split gives them; rows in none of them belong to no part.</summary>
    /// <param name="split">Row numbers.</param>
    public ProbeTable With(ThreeWaySplit split)
    {
        ArgumentNullException.ThrowIfNull(split);
        var table = new ProbeTable(Path, Targets) { HasTracks = HasTracks, WithoutCds = WithoutCds };
        table._transcripts.AddRange(_transcripts);
        table._targets.AddRange(_targets);
        table._groups.AddRange(_groups);
        table._units.AddRange(_units);
        table._parts.AddRange(Enumerable.Repeat(Part.None, Rows));
        foreach (var (part, rows) in new[] { (Part.Train, split.Train), (Part.Validation, split.Validation), (Part.Test, split.Test) })
            foreach (int row in rows) table._parts[row] = part;
        return table;
    }

    private static InputDataException NoRows(string path) => new(path, null, "has a header and no rows", "check how it was made");

    /// <summary>Where the columns of a table stand, and the line in work.</summary>
    private sealed class Layout
    {
        internal const string JunctionColumn = "exon_junctions";

        private readonly LineReader _lines;
        private readonly Range[] _ranges;
        private readonly int _id, _sequence, _start, _end, _junctions, _source;

        internal Layout(LineReader lines, string[] header, string sequence)
        {
            (_lines, Header, _ranges) = (lines, header, new Range[header.Length]);
            (_id, _sequence, _start, _end) = (Math.Max(0, Find("transcript_id")), Need(sequence), Find(CdsColumns[0]), Find(CdsColumns[1]));
            if ((_start < 0) != (_end < 0)) throw lines.Error($"the header has {CdsColumns[_start < 0 ? 1 : 0]} without {CdsColumns[_start < 0 ? 0 : 1]}", "give both, or neither");
            (_junctions, _source) = (Find(JunctionColumn), Find("cds_source"));
        }

        internal string[] Header { get; }

        internal bool HasTracks => _start >= 0 || _junctions >= 0;

        internal ReadOnlySpan<byte> this[int column] => _lines.Line[_ranges[column]];

        internal int Need(string name) => Find(name) is >= 0 and var at ? at
            : throw new InputDataException(_lines.Path, null, $"has no column {name}", "name one of " + string.Join(", ", Header.Take(40)) + (Header.Length > 40 ? ", ..." : ""));

        private int Find(string name) => Array.IndexOf(Header, name);

        /// <summary>Goes to the next line that is not empty.</summary>
        internal bool Next()
        {
            do
                if (!_lines.Next()) return false;
            while (_lines.Line.IsEmpty);
            int count = LineReader.Split(_lines.Line, _ranges);
            return count == Header.Length ? true : throw _lines.Error($"{count} columns where the header has {Header.Length}", "check that the table is complete and separated by tabs");
        }

        internal Transcript Transcript(CdsPolicy policy)
        {
            var (cds, known) = _start < 0 ? (null, false) : TracksTable.Cds(_lines, _ranges, _start, _end, _source);
            int[]? exons = _junctions < 0 ? null : TracksTable.Junctions(_lines, this[_junctions]);
            return Build(_lines, FastaReader.Text(this[_id]), this[_sequence], cds, known, exons, policy);
        }
    }

    private static string[] Header(LineReader lines)
    {
        if (!lines.Next()) throw new InputDataException(lines.Path, null, "is empty", "give a table with a header line");
        return FastaReader.Text(lines.Line).Split('\t');
    }

    private static Transcript Build(LineReader lines, string id, ReadOnlySpan<byte> letters, (int, int)? cds, bool known, int[]? junctions, CdsPolicy policy)
    {
        if (letters.IsEmpty) throw lines.Error($"{id} has an empty sequence", "give every row its sequence, or leave the row out");
        var bases = new byte[letters.Length];
        for (int i = 0; i < bases.Length; i++)
        {
            if ((Nucleotide.Kinds[letters[i]] & 15) is not (Nucleotide.Base or Nucleotide.Unknown or Nucleotide.Ambiguous))
                throw lines.Error($"{id} has no nucleotide at position {i + 1} of its sequence:", letters.Slice(i, 1), "give A, C, G, T or U, and N for unknown bases");
            bases[i] = Nucleotide.Bits[letters[i]];
        }
        if (TranscriptBuilder.CheckMarks(bases.Length, cds, junctions) is { } fault) throw lines.Error($"{id}: {fault.Text}", "correct the row, or leave it out");
        return TranscriptBuilder.Finish(new Transcript { Id = id, Tracks = bases, Cds = cds, CdsKnown = known, Junctions = junctions }, bases, policy, []);
    }

    private static double Number(LineReader lines, ReadOnlySpan<byte> text, string column)
    {
        if (Missing(text)) return double.NaN;
        return double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double value) && double.IsFinite(value)
            ? value
            : throw lines.Error($"{column} is no number:", text, "give a finite decimal number, or NA where it is missing");
    }

    private static Part PartOf(LineReader lines, ReadOnlySpan<byte> text, string column)
    {
        if (Missing(text)) return Part.None;
        return FastaReader.Text(text).ToLowerInvariant() switch
        {
            "train" => Part.Train,
            "valid" or "val" or "validation" or "dev" => Part.Validation,
            "test" => Part.Test,
            _ => throw lines.Error($"{column} names no part of a data set:", text, "give train, valid or test, or NA for a row to leave out"),
        };
    }

    private static bool Missing(ReadOnlySpan<byte> text) =>
        text.IsEmpty || text.SequenceEqual("NA"u8) || text.SequenceEqual("nan"u8) || text.SequenceEqual("NaN"u8);

    private static int Named(Dictionary<string, int> numbers, ReadOnlySpan<byte> text)
    {
        if (Missing(text)) return -1;
        string name = FastaReader.Text(text);
        if (!numbers.TryGetValue(name, out int number)) numbers.Add(name, number = numbers.Count);
        return number;
    }
}
