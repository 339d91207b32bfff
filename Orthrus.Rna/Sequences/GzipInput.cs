using System.IO.Compression;

namespace Orthrus.Rna;

/// <summary>
/// Decompresses gzip of any number of members and bgzip, and refuses files that were cut short. The framework's decoder ends quietly
/// where the input ends, complete or not. Therefore a small member with a known text follows the file: a complete file ends with that
/// text, a cut one does not, because then the decoder still stands inside the member before it. bgzip files cut between two blocks
/// are complete gzip files; they show by the missing empty block at the end.
/// </summary>
internal sealed class GzipInput : ReadOnlyStream
{
    private const int RawTail = 28;

    // The empty block that ends every bgzip file (SAM specification, section 4.1.2).
    private static readonly byte[] EndBlock =
        [0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff, 6, 0, 0x42, 0x43, 2, 0, 0x1b, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0];

    private static readonly byte[] Seal = "\0orthrus end of input\0\u0001\u0002\u0003\u0004"u8.ToArray();
    private static readonly byte[] SealMember = Compress(Seal);

    private readonly string _path;
    private readonly bool _bgzip;
    private readonly SealedStream _sealed;
    private readonly GZipStream _inflate;
    private readonly byte[] _held;
    private int _heldStart, _heldEnd;
    private bool _ended;

    internal GzipInput(string path, Stream raw, bool bgzip)
    {
        _path = path;
        _bgzip = bgzip;
        _sealed = new SealedStream(raw, SealMember);
        _inflate = new GZipStream(_sealed, CompressionMode.Decompress);
        _held = new byte[1 << 17];
    }

    internal static bool IsGzip(ReadOnlySpan<byte> head) => head.Length >= 2 && head[0] == 0x1f && head[1] == 0x8b;

    internal static bool IsBgzip(ReadOnlySpan<byte> head) =>
        head.Length >= 18 && IsGzip(head) && (head[3] & 4) != 0 && head[12] == 'B' && head[13] == 'C' && head[14] == 2 && head[15] == 0;

    public override int Read(Span<byte> buffer)
    {
        if (buffer.Length == 0) return 0;
        while (!_ended && _heldEnd - _heldStart <= Seal.Length) Fill();
        int available = _heldEnd - _heldStart - (_ended ? 0 : Seal.Length);
        int n = Math.Min(buffer.Length, available);
        _held.AsSpan(_heldStart, n).CopyTo(buffer);
        _heldStart += n;
        return n;
    }

    // The last bytes are held back until it is known whether they are the seal.
    private void Fill()
    {
        _held.AsSpan(_heldStart, _heldEnd - _heldStart).CopyTo(_held);
        _heldEnd -= _heldStart;
        _heldStart = 0;
        int n;
        try
        {
            n = _inflate.Read(_held.AsSpan(_heldEnd));
        }
        catch (InvalidDataException e)
        {
            throw Damaged(e);
        }
        if (n > 0)
        {
            _heldEnd += n;
            return;
        }
        var tail = _held.AsSpan(0, _heldEnd);
        if (!tail.EndsWith(Seal)) throw Damaged(null);
        if (_bgzip && !_sealed.Tail.SequenceEqual(EndBlock))
            throw new InputDataException(_path, null, "the bgzip file has no end block: it was cut short", "copy or download it again");
        _heldEnd -= Seal.Length;
        _ended = true;
    }

    private InputDataException Damaged(Exception? cause) =>
        new(_path, null, "the gzip data are cut short or damaged", "copy or download the file again; `gzip -t` checks it", cause);

    protected override void Dispose(bool disposing)
    {
        if (disposing) _inflate.Dispose();
        base.Dispose(disposing);
    }

    private static byte[] Compress(byte[] data)
    {
        var memory = new MemoryStream();
        using (var gzip = new GZipStream(memory, CompressionLevel.Optimal, leaveOpen: true)) gzip.Write(data);
        return memory.ToArray();
    }

    /// <summary>The file, then the seal; remembers the file's last bytes.</summary>
    private sealed class SealedStream(Stream file, byte[] seal) : ReadOnlyStream
    {
        private readonly byte[] _tail = new byte[RawTail];
        private int _sealed = -1;

        internal ReadOnlySpan<byte> Tail => _tail;

        public override int Read(Span<byte> buffer)
        {
            if (buffer.Length == 0) return 0;
            if (_sealed < 0)
            {
                int n = file.Read(buffer);
                if (n > 0)
                {
                    Remember(buffer[..n]);
                    return n;
                }
                _sealed = 0;
            }
            int m = Math.Min(buffer.Length, seal.Length - _sealed);
            seal.AsSpan(_sealed, m).CopyTo(buffer);
            _sealed += m;
            return m;
        }

        private void Remember(ReadOnlySpan<byte> read)
        {
            if (read.Length >= RawTail)
            {
                read[^RawTail..].CopyTo(_tail);
                return;
            }
            _tail.AsSpan(read.Length).CopyTo(_tail);
            read.CopyTo(_tail.AsSpan(RawTail - read.Length));
        }

        protected override void Dispose(bool disposing)
        {
            if (disposing) file.Dispose();
            base.Dispose(disposing);
        }
    }
}
