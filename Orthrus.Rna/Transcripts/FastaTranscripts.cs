namespace Orthrus.Rna;

/// <summary>Spliced transcripts of a FASTA file, with CDS and junctions from its headers or from a table.</summary>
internal sealed class FastaTranscripts : TranscriptSource
{
    private readonly TranscriptInput _input;
    private readonly FastaReader _fasta;
    private readonly Stream _raw;
    private readonly TracksTable? _table;
    private readonly bool _firstHeaderHasCds;
    private long _tableMatches, _tableMatchesByVersion;
    private string? _firstUnmatched;

    internal FastaTranscripts(TranscriptInput input) : base(input)
    {
        _input = input;
        if (input.TracksTable == "-" && input.Fasta == "-") throw new InputDataException("-", null, "stdin cannot be both the FASTA and the table", "give one of them as a file");
        if (input.TracksTable is not null) _table = TracksTable.Read(input.TracksTable);
        _raw = InputFile.OpenRaw(input.Fasta!);
        _fasta = new FastaReader(input.Fasta!, InputFile.Open(input.Fasta!, _raw));
        try
        {
            _fasta.NextRecord();
        }
        catch
        {
            _fasta.Dispose();
            throw;
        }
        _firstHeaderHasCds = FastaHeader.Parse(_fasta.Header, _fasta.Name).Cds is not null;
    }

    public override double? Progress => _raw is FileStream { CanSeek: true, Length: > 0 } file ? (double)file.Position / file.Length : null;

    public override bool HasTracks => _firstHeaderHasCds || _table is not null;

    private protected override IEnumerable<Candidate> Candidates()
    {
        do
        {
            var header = FastaHeader.Parse(_fasta.Header, _fasta.Name);
            var row = FindRow(header.Id);
            if (!Filter.KeepsNames(header.Id, row?.Names.Biotype ?? header.Biotype))
            {
                Report.Filtered++;
                continue;
            }
            yield return Build(header, row);
        }
        while (_fasta.NextRecord());
        if (_table is null) yield break;
        if (_tableMatchesByVersion > 0) Report.Remark($"{_tableMatchesByVersion:N0} rows of {_table.Path} matched without regard to the version of the id");
        if (_tableMatches == 0)
            throw new InputDataException(_table.Path, null,
                $"none of its ids ({string.Join(", ", _table.Ids.Take(2))}, ...) is in the FASTA {_input.Fasta} ({_firstUnmatched}, ...)", "give the table that belongs to the FASTA");
    }

    private TracksTable.Row? FindRow(string id)
    {
        if (_table is null) return null;
        if (!_table.TryFind(id, out var row, out string matched))
        {
            _firstUnmatched ??= id;
            return null;
        }
        _tableMatches++;
        if (matched != id) _tableMatchesByVersion++;
        return row;
    }

    private Candidate Build(FastaHeader header, TracksTable.Row? row)
    {
        string where = "record " + header.Id;
        byte[] bases = ReadBases();
        var notes = new List<string>();
        var cds = row is not null ? row.Cds : header.Cds is var (first, last) ? Clamp(first, last) : null;
        var fault = Check(header, row, bases.Length, cds);
        if (fault is not null) return new Candidate(header.Id, where, null, fault, false, default, notes);

        bool known = row?.CdsKnown ?? header.CdsKnown;
        if (HasTracks && _input.Cds == CdsPolicy.Annotated && !known) notes.Add(TranscriptBuilder.CdsUnknown);
        if (HasTracks && _input.Cds != CdsPolicy.Blank && row?.Junctions is null) notes.Add(TranscriptBuilder.JunctionsUnknown);
        var transcript = TranscriptBuilder.Finish(new Transcript
        {
            Id = header.Id, Tracks = bases, GeneId = row?.Names.GeneId ?? header.GeneId, GeneName = row?.Names.GeneName ?? header.GeneName,
            Biotype = row?.Names.Biotype ?? header.Biotype, Species = row?.Names.Species, HomologyGroup = row?.Names.HomologyGroup,
            FamilyGroup = row?.Names.FamilyGroup, Split = row?.Names.Split, Cds = cds, CdsKnown = known, Junctions = row?.Junctions,
        }, bases, _input.Cds, notes);
        if (row is { CdsCalled: true } && transcript.Cds is not null) transcript = transcript with { CdsSource = CdsSource.LongestOrf };
        var letters = new LetterCounts(_fasta.Uracils, _fasta.LowerCase, _fasta.UnknownBases, _fasta.AmbiguousBases);
        return new Candidate(header.Id, where, transcript, null, transcript.Cds is not null || cds is not null, letters, notes);
    }

    private Fault? Check(FastaHeader header, TracksTable.Row? row, int length, (int, int)? cds)
    {
        if (_fasta.Header.Length == 0 || _fasta.Header[0] is ' ' or '\t') return new Fault("header without identifier");
        if (length == 0) return new Fault("empty sequence");
        if (_fasta.Gaps > 0) return new Fault("alignment gaps in the sequence", $"{_fasta.Gaps} gap characters: this looks like an alignment");
        if (_table is not null && row is null && _input.Cds == CdsPolicy.Annotated) return new Fault("no row in the tracks table", $"{_table.Path} has no row for it");
        if (row?.Length is { } listed && listed != length) return new Fault("length differs from the tracks table", $"{_table!.Path} line {row.Line} says {listed} nt, the sequence has {length}");
        return TranscriptBuilder.CheckMarks(length, cds, row?.Junctions);
    }

    // Positions of a header are 1-based and inclusive; what does not fit an int is outside any sequence, and found so by the check.
    private static (int, int) Clamp(long first, long last) => ((int)Math.Clamp(first - 1, -1, int.MaxValue), (int)Math.Min(last, int.MaxValue));

    private byte[] ReadBases()
    {
        var bases = new byte[4096];
        int length = 0, n;
        while ((n = _fasta.ReadBases(bases.AsSpan(length))) > 0)
        {
            length += n;
            if (length < bases.Length) continue;
            if (length == Array.MaxLength) throw new InputDataException(_input.Fasta, "record " + _fasta.Name, $"has more than {Array.MaxLength:N0} nt", "no transcript is that long; give a genome as --genome");
            Array.Resize(ref bases, (int)Math.Min(Array.MaxLength, bases.Length * 2L));
        }
        Array.Resize(ref bases, length);
        return bases;
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing) _fasta.Dispose();
    }
}
