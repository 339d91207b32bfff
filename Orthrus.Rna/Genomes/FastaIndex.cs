using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;

namespace Orthrus.Rna;

/// <summary>Where the bases of one contig lie in a plain FASTA file, as in samtools' .fai.</summary>
/// <param name="Name">First word of the header.</param>
/// <param name="Length">Bases.</param>
/// <param name="Offset">Byte of the first base.</param>
/// <param name="LineBases">Bases of each full line.</param>
/// <param name="LineWidth">Bytes of each full line with its line end.</param>
internal sealed record FastaContig(string Name, long Length, long Offset, int LineBases, int LineWidth)
{
    /// <summary>The byte after the last base.</summary>
    internal long End => Length == 0 ? Offset : At(Length - 1) + 1;

    /// <summary>Byte of a base.</summary>
    internal long At(long position) => Offset + position / LineBases * LineWidth + position % LineBases;
}

/// <summary>Finds or makes the index of a plain FASTA genome.</summary>
internal static class FastaIndex
{
    /// <summary>
    /// The .fai beside the file where it fits the file, else an index made by reading the file once; null where lines differ in length, so
    /// that no index is possible.
    /// </summary>
    internal static IReadOnlyList<FastaContig>? Open(string path, Action<string> remark)
    {
        string beside = path + ".fai";
        if (File.Exists(beside))
        {
            if (TryLoad(beside) is { Count: > 0 } loaded && Fits(path, loaded)) return loaded;
            remark($"{beside} does not fit the genome and is ignored; `samtools faidx` makes it anew");
        }
        return Scan(path);
    }

    private static List<FastaContig>? TryLoad(string path)
    {
        var contigs = new List<FastaContig>();
        try
        {
            foreach (string line in File.ReadLines(path))
            {
                if (line.Length == 0) continue;
                string[] f = line.Split('\t');
                if (f.Length < 5 || !Parse(f[1], out long length) || !Parse(f[2], out long offset) || !Parse(f[3], out long bases) || !Parse(f[4], out long width)
                    || bases > int.MaxValue || width > int.MaxValue || width < bases || (bases == 0 && length > 0)) return null;
                contigs.Add(new FastaContig(f[0], length, offset, (int)Math.Max(1, bases), (int)Math.Max(1, width)));
            }
            return contigs;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }

        static bool Parse(string text, out long value) => long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out value);
    }

    // An index of another version of the file would give wrong bases without any sign: each contig must follow its own header line and end
    // where the next begins, and the last one must end the file.
    private static bool Fits(string path, List<FastaContig> contigs)
    {
        using var file = File.OpenHandle(path);
        long size = RandomAccess.GetLength(file);
        var ordered = contigs.OrderBy(c => c.Offset).ToList();
        long previousEnd = 0;
        var buffer = new byte[4096];
        foreach (var contig in ordered)
        {
            long gap = contig.Offset - previousEnd;
            if (gap < 2 || gap > buffer.Length || contig.End > size) return false;
            int n = RandomAccess.Read(file, buffer.AsSpan(0, (int)gap), previousEnd);
            if (n != gap) return false;
            var header = buffer.AsSpan(0, n);
            int lineEnds = header.IndexOf((byte)'>');
            if (lineEnds < 0 || header[..lineEnds].IndexOfAnyExcept((byte)'\n', (byte)'\r') >= 0 || header[^1] != '\n') return false;
            var line = header[(lineEnds + 1)..^1];
            if (line.IndexOf((byte)'\n') >= 0 || !FirstWord(line).SequenceEqual(Encoding.UTF8.GetBytes(contig.Name))) return false;
            previousEnd = contig.End;
        }
        long rest = size - previousEnd;
        if (rest > buffer.Length) return false;
        int last = RandomAccess.Read(file, buffer.AsSpan(0, (int)rest), previousEnd);
        return buffer.AsSpan(0, last).IndexOfAnyExcept((byte)'\n', (byte)'\r') < 0;
    }

    private static ReadOnlySpan<byte> FirstWord(ReadOnlySpan<byte> header)
    {
        int end = header.IndexOfAny((byte)' ', (byte)'\t', (byte)'\r');
        return end < 0 ? header : header[..end];
    }

    private static List<FastaContig>? Scan(string path)
    {
        using var stream = InputFile.OpenRaw(path);
        var scanner = new Scanner();
        var buffer = new byte[1 << 18];
        int n;
        while ((n = stream.Read(buffer)) > 0)
            if (!scanner.Feed(buffer.AsSpan(0, n))) return null;
        return scanner.Finish();
    }

    /// <summary>Follows line lengths; bases themselves are checked when they are read.</summary>
    private sealed class Scanner
    {
        private readonly List<FastaContig> _contigs = [];
        private readonly List<byte> _header = [];
        private bool _inHeader, _inContig, _lastByteCr, _shortSeen;
        private long _at, _lineStart, _offset, _length;
        private int _lineBases, _lineWidth;

        internal bool Feed(ReadOnlySpan<byte> data)
        {
            while (!data.IsEmpty)
            {
                if (_at == _lineStart && data[0] == '>' && !_inHeader)
                {
                    Close();
                    _inHeader = true;
                    _header.Clear();
                    Advance(ref data, 1);
                    continue;
                }
                if (!_inHeader && !_inContig) return false;
                int newLine = data.IndexOf((byte)'\n');
                int part = newLine < 0 ? data.Length : newLine;
                if (part > 0) _lastByteCr = data[part - 1] == '\r';
                if (_inHeader) _header.AddRange(data[..part]);
                Advance(ref data, part);
                // A file with CR line ends has no lines in this sense, and a header of a megabyte is none.
                if (_inHeader && (_header.Count > 1 << 20 || CollectionsMarshal.AsSpan(_header).TrimEnd((byte)'\r').Contains((byte)'\r'))) return false;
                if (newLine < 0) continue;
                if (!EndLine(withNewLine: true)) return false;
                Advance(ref data, 1);
                _lineStart = _at;
                _lastByteCr = false;
                if (_inHeader)
                {
                    _inHeader = false;
                    _inContig = true;
                    (_offset, _length, _lineBases, _lineWidth, _shortSeen) = (_at, 0, 0, 0, false);
                }
            }
            return true;
        }

        private bool EndLine(bool withNewLine)
        {
            if (_inHeader) return true;
            long bases = _at - _lineStart - (_lastByteCr ? 1 : 0);
            if (bases == 0)
            {
                _shortSeen = true;
                return true;
            }
            if (_shortSeen || bases > int.MaxValue - 2) return false;
            int width = (int)(_at - _lineStart) + (withNewLine ? 1 : 0);
            if (_lineBases == 0) (_lineBases, _lineWidth) = ((int)bases, width);
            else if (bases > _lineBases) return false;
            else if (bases < _lineBases) _shortSeen = true;
            else if (withNewLine && width != _lineWidth) return false;
            _length += bases;
            return true;
        }

        internal List<FastaContig>? Finish()
        {
            if (_inHeader) _inContig = true;
            else if (_at > _lineStart && !EndLine(withNewLine: false)) return null;
            if (_inHeader) (_offset, _length, _lineBases, _lineWidth) = (_at, 0, 1, 1);
            Close();
            return _contigs;
        }

        private void Close()
        {
            if (!_inContig) return;
            string name = FastaReader.Text(FirstWord(CollectionsMarshal.AsSpan(_header)));
            _contigs.Add(new FastaContig(name, _length, _offset, Math.Max(1, _lineBases), Math.Max(1, _lineWidth)));
            _inContig = false;
        }

        private void Advance(ref ReadOnlySpan<byte> data, int n)
        {
            _at += n;
            data = data[n..];
        }
    }
}
