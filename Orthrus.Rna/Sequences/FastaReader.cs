using System.Text;

namespace Orthrus.Rna;

/// <summary>
/// Reads FASTA record by record and base by base from a stream, in memory that depends neither on the length of lines nor of records.
/// Line ends may be LF, CRLF or CR; blank lines and white space inside sequences are skipped. Bases come as track bits, unknown
/// ones as 0.
/// </summary>
internal sealed class FastaReader : IDisposable
{
    private const int BufferSize = 1 << 17;
    private const int LongestHeader = 1 << 20;

    private readonly Stream _stream;
    private readonly byte[] _buffer = new byte[BufferSize];
    private int _position, _end;
    private bool _atLineStart = true, _pendingHeader;

    internal FastaReader(string path) : this(path, InputFile.Open(path)) { }

    internal FastaReader(string path, Stream stream)
    {
        Path = path;
        _stream = stream;
        try
        {
            SkipToFirstHeader();
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    internal string Path { get; }

    /// <summary>Header of the current record without the ">".</summary>
    internal string Header { get; private set; } = "";

    /// <summary>1-based number of the current record.</summary>
    internal long RecordNumber { get; private set; }

    /// <summary>The record's first word, or "record_N".</summary>
    internal string Name { get; private set; } = "";

    internal long Uracils { get; private set; }
    internal long LowerCase { get; private set; }
    internal long UnknownBases { get; private set; }
    internal long AmbiguousBases { get; private set; }
    internal long Gaps { get; private set; }

    /// <summary>Goes to the next record, past what is left of the current one; false at the end of the file.</summary>
    internal bool NextRecord()
    {
        if (!_pendingHeader)
        {
            Span<byte> rest = stackalloc byte[4096];
            while (ReadBases(rest) > 0) { }
        }
        if (!_pendingHeader) return false;
        _pendingHeader = false;
        RecordNumber++;
        Uracils = LowerCase = UnknownBases = AmbiguousBases = Gaps = 0;
        ReadHeader();
        return true;
    }

    /// <summary>The next bases of the current record; 0 at its end.</summary>
    internal int ReadBases(Span<byte> destination)
    {
        int filled = 0;
        while (filled < destination.Length && !_pendingHeader && (_position < _end || Refill()))
        {
            var window = _buffer.AsSpan(_position, _end - _position);
            if (_atLineStart && window[0] == '>')
            {
                _position++;
                _pendingHeader = true;
                break;
            }
            int lineEnd = window.IndexOfAny((byte)'\n', (byte)'\r');
            if (lineEnd == 0)
            {
                _position++;
                _atLineStart = true;
                continue;
            }
            int length = Math.Min(lineEnd < 0 ? window.Length : lineEnd, destination.Length - filled);
            filled += Encode(window[..length], destination[filled..]);
            _position += length;
            _atLineStart = false;
        }
        return filled;
    }

    private int Encode(ReadOnlySpan<byte> letters, Span<byte> destination)
    {
        var bits = Nucleotide.Bits;
        var kinds = Nucleotide.Kinds;
        int seen = 0;
        for (int i = 0; i < letters.Length; i++)
        {
            destination[i] = bits[letters[i]];
            seen |= kinds[letters[i]];
        }
        return seen == Nucleotide.Base ? letters.Length : EncodeUnusual(letters, destination);
    }

    private int EncodeUnusual(ReadOnlySpan<byte> letters, Span<byte> destination)
    {
        int n = 0;
        foreach (byte letter in letters)
        {
            byte kind = Nucleotide.Kinds[letter];
            if ((kind & Nucleotide.LowerFlag) != 0) LowerCase++;
            if ((kind & Nucleotide.UracilFlag) != 0) Uracils++;
            switch (kind & 15)
            {
                case Nucleotide.Blank: continue;
                case Nucleotide.Base: break;
                case Nucleotide.Unknown: UnknownBases++; break;
                case Nucleotide.Ambiguous: AmbiguousBases++; break;
                case Nucleotide.Gap: Gaps++; break;
                default: throw NotANucleotide(letter, kind & 15);
            }
            destination[n++] = Nucleotide.Bits[letter];
        }
        return n;
    }

    private InputDataException NotANucleotide(byte letter, int kind) => kind switch
    {
        Nucleotide.Protein => new(Path, RecordName, $"'{(char)letter}' is no nucleotide: this looks like protein", "give transcripts as nucleotides"),
        Nucleotide.Nul => new(Path, RecordName, "NUL byte in a sequence: the file is damaged or binary", "copy or download it again"),
        _ when letter == '>' => new(Path, RecordName, "'>' inside a sequence line", "put a line break before it"),
        _ when letter is > 32 and < 127 => new(Path, RecordName, $"'{(char)letter}' is no nucleotide", "allowed are A, C, G, T, U and the IUPAC codes"),
        _ => new(Path, RecordName, $"byte 0x{letter:x2} in a sequence is no nucleotide", "allowed are A, C, G, T, U and the IUPAC codes"),
    };

    private string RecordName => "record " + Name;

    private void ReadHeader()
    {
        var line = new MemoryStream();
        while (_position < _end || Refill())
        {
            var window = _buffer.AsSpan(_position, _end - _position);
            int lineEnd = window.IndexOfAny((byte)'\n', (byte)'\r');
            var part = lineEnd < 0 ? window : window[..lineEnd];
            line.Write(part);
            _position += part.Length;
            if (line.Length > LongestHeader)
                throw new InputDataException(Path, $"record {RecordNumber}", "the header line is longer than 1 MiB", "check that the file is FASTA");
            if (lineEnd >= 0) break;
        }
        _atLineStart = false;
        var bytes = line.GetBuffer().AsSpan(0, (int)line.Length);
        if (bytes.Contains((byte)0))
            throw new InputDataException(Path, $"record {RecordNumber}", "NUL byte in a header: the file is damaged or binary", "copy or download it again");
        Header = Text(bytes);
        int end = Header.AsSpan().IndexOfAny(' ', '\t');
        Name = end < 0 ? Header : Header[..end];
        if (Name.Length == 0) Name = $"record_{RecordNumber}";
    }

    // Identifiers go through to the output unchanged; a header that is not UTF-8 is taken as Latin-1, which maps every byte.
    internal static string Text(ReadOnlySpan<byte> bytes) =>
        System.Text.Unicode.Utf8.IsValid(bytes) ? Encoding.UTF8.GetString(bytes) : Encoding.Latin1.GetString(bytes);

    private void SkipToFirstHeader()
    {
        bool first = true;
        while (_position < _end || Refill())
        {
            if (first && _buffer.AsSpan(0, _end).StartsWith(new byte[] { 0xef, 0xbb, 0xbf })) _position = 3;
            first = false;
            if (_position == _end) continue;
            byte b = _buffer[_position];
            if (b == '>')
            {
                _position++;
                _pendingHeader = true;
                return;
            }
            if (b == ';') SkipLine();
            else if (b is (byte)'\n' or (byte)'\r' or (byte)' ' or (byte)'\t') _position++;
            else throw FileSignature.Refuse(Path, "FASTA", _buffer.AsSpan(_position, Math.Min(_end - _position, 4096)));
        }
        throw new InputDataException(Path, null, "holds no sequences: it is empty", "check how it was made");
    }

    private void SkipLine()
    {
        while (_position < _end || Refill())
        {
            int lineEnd = _buffer.AsSpan(_position, _end - _position).IndexOf((byte)'\n');
            if (lineEnd >= 0)
            {
                _position += lineEnd + 1;
                return;
            }
            _position = _end;
        }
    }

    private bool Refill()
    {
        _position = 0;
        // A pipe may deliver a few bytes at a time; the signature needs the first ones together.
        _end = _stream.ReadAtLeast(_buffer, 4096, throwOnEndOfStream: false);
        return _end > 0;
    }

    public void Dispose() => _stream.Dispose();
}
