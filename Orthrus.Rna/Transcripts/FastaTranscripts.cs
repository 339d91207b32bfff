namespace Orthrus.Rna;

/// <summary>Spliced transcripts of a FASTA file.</summary>
internal sealed class FastaTranscripts : TranscriptSource
{
    private readonly TranscriptInput _input;
    private readonly FastaReader _fasta;
    private readonly bool _firstHeaderHasCds;

    internal FastaTranscripts(TranscriptInput input)
    {
        _input = input;
        _fasta = new FastaReader(input.Fasta!);
        _fasta.NextRecord();
        _firstHeaderHasCds = FastaHeader.Parse(_fasta.Header, _fasta.Name).Cds is not null;
    }

    public override bool HasTracks => _firstHeaderHasCds || _input.TracksTable is not null;

    public override IEnumerable<TranscriptRecord> Read()
    {
        long row = 0;
        do
        {
            var header = FastaHeader.Parse(_fasta.Header, _fasta.Name);
            byte[] tracks = ReadAll();
            if (tracks.Length == 0)
            {
                if (_input.Strict) throw new InputDataException(_input.Fasta, "record " + header.Id, "empty sequence", "remove the record");
                Report.CountSkip("empty sequence");
                yield return new TranscriptRecord(row++, header.Id, null, "empty sequence");
                continue;
            }
            (int, int)? cds = header.Cds is var (first, last) && first >= 1 && last <= tracks.Length ? ((int)first - 1, (int)last) : null;
            if (cds is null && _input.Cds == CdsPolicy.LongestOrf) cds = OpenReadingFrame.Longest(tracks);
            if (cds is var (s, e) && _input.Cds != CdsPolicy.Blank)
                for (int p = s; p < e; p += 3) tracks[p] |= TrackByte.Cds;
            if (_input.Cds != CdsPolicy.Blank) tracks[^1] |= TrackByte.Splice;
            Report.Records++;
            Report.Nucleotides += tracks.Length;
            yield return new TranscriptRecord(row++, header.Id, new Transcript
            {
                Id = header.Id, Tracks = tracks, GeneId = header.GeneId, GeneName = header.GeneName, Biotype = header.Biotype,
                Cds = cds, CdsKnown = header.CdsKnown || cds is not null,
            }, null);
        }
        while (_fasta.NextRecord());
    }

    private byte[] ReadAll()
    {
        var bases = new byte[4096];
        int length = 0, n;
        while ((n = _fasta.ReadBases(bases.AsSpan(length))) > 0)
        {
            length += n;
            if (length == bases.Length) Array.Resize(ref bases, (int)Math.Min(Array.MaxLength, bases.Length * 2L));
        }
        return bases[..length];
    }

    public override void Dispose() => _fasta.Dispose();
}
