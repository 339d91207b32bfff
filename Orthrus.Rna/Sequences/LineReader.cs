using System.Text;

namespace Orthrus.Rna;

/// <summary>
/// Lines of a text file as spans of bytes, without line end (LF, CRLF), byte order mark and garbage: a line is valid until the next call.
/// </summary>
internal sealed class LineReader : IDisposable
{
    private const int LongestLine = 1 << 26;

    private readonly Stream _stream;
    private byte[] _buffer = new byte[1 << 17];
    private int _position, _end, _lineStart, _lineEnd;
    private bool _started, _peeked, _ended;

    internal LineReader(string path, Stream stream)
    {
        Path = path;
        _stream = stream;
    }

    internal string Path { get; }

    /// <summary>1-based number of the current line.</summary>
    internal long LineNumber { get; private set; }

    internal ReadOnlySpan<byte> Line => _buffer.AsSpan(_lineStart, _lineEnd - _lineStart);

    /// <summary>Goes to the next line; false at the end of the file.</summary>
    internal bool Next()
    {
        if (_peeked)
        {
            _peeked = false;
            return !_ended;
        }
        if (_ended) return false;
        int newLine, scanned = 0;
        while ((newLine = _buffer.AsSpan(_position + scanned, _end - _position - scanned).IndexOf((byte)'\n')) < 0)
        {
            scanned = _end - _position;
            if (!Refill()) break;
        }
        if (newLine < 0 && _position == _end)
        {
            _ended = true;
            return false;
        }
        LineNumber++;
        _lineStart = _position;
        _lineEnd = newLine < 0 ? _end : _position + scanned + newLine;
        _position = newLine < 0 ? _end : _lineEnd + 1;
        if (_lineEnd > _lineStart && _buffer[_lineEnd - 1] == '\r') _lineEnd--;
        if (Line.Contains((byte)0)) throw Error("NUL byte: the file is damaged or binary", "copy or download it again");
        return true;
    }

    /// <summary>Makes the next call of <see cref="Next"/> deliver the current line again.</summary>
    internal void Unread() => _peeked = true;

    /// <summary>What follows the current line, as a stream; the reader is not used any more after that.</summary>
    internal Stream Rest() => new PrefixedStream(_buffer.AsMemory(_position, _end - _position), _stream);

    /// <summary>The current line and all that follows, as a stream.</summary>
    internal Stream RestWithLine() => new PrefixedStream(_buffer.AsMemory(_lineStart, _end - _lineStart), _stream);

    internal InputDataException Error(string problem, string? remedy) => new(Path, $"line {LineNumber}", problem, remedy);

    internal InputDataException Error(string problem, ReadOnlySpan<byte> value, string? remedy) =>
        Error($"{problem} '{Encoding.Latin1.GetString(value[..Math.Min(value.Length, 60)])}'", remedy);

    private bool Refill()
    {
        if (_position > 0)
        {
            _buffer.AsSpan(_position, _end - _position).CopyTo(_buffer);
            _end -= _position;
            _position = 0;
        }
        if (_end == _buffer.Length)
        {
            if (_buffer.Length >= LongestLine)
                throw new InputDataException(Path, $"line {LineNumber + 1}", "is longer than 64 MiB", "check that the file is what it should be");
            Array.Resize(ref _buffer, _buffer.Length * 2);
        }
        int n = _stream.Read(_buffer.AsSpan(_end));
        if (!_started && n > 0)
        {
            // The first bytes decide: a pipe may deliver fewer than the mark has.
            while (_end + n < 3 && _stream.Read(_buffer.AsSpan(_end + n)) is > 0 and var m) n += m;
            _started = true;
            if (_buffer.AsSpan(0, n).StartsWith(new byte[] { 0xef, 0xbb, 0xbf })) _position = 3;
        }
        _end += n;
        return n > 0;
    }

    public void Dispose() => _stream.Dispose();

    /// <summary>Splits a line at tabs; the number of columns may exceed the ranges, which then hold the first ones.</summary>
    internal static int Split(ReadOnlySpan<byte> line, Span<Range> columns)
    {
        int count = 0, start = 0;
        while (true)
        {
            int tab = line[start..].IndexOf((byte)'\t');
            int end = tab < 0 ? line.Length : start + tab;
            if (count < columns.Length) columns[count] = start..end;
            count++;
            if (tab < 0) return count;
            start = end + 1;
        }
    }

    /// <summary>A non-negative decimal number below 2^31; false for anything else.</summary>
    internal static bool TryNumber(ReadOnlySpan<byte> text, out int value)
    {
        long v = 0;
        value = 0;
        if (text.Length is 0 or > 10) return false;
        foreach (byte b in text)
        {
            if (b is < (byte)'0' or > (byte)'9') return false;
            v = v * 10 + (b - '0');
        }
        value = (int)v;
        return v <= int.MaxValue;
    }
}
