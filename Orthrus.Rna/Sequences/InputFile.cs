namespace Orthrus.Rna;

/// <summary>Opens what the user named: a file or stdin ("-"), plain, gzip or bgzip, told apart by the first bytes and never by the name.</summary>
internal static class InputFile
{
    private const int BufferSize = 1 << 17;

    internal static Stream Open(string path) => Open(path, OpenRaw(path));

    /// <summary>The text of a file that is open already; the raw stream is closed with the one returned, or where this fails.</summary>
    internal static Stream Open(string path, Stream raw)
    {
        try
        {
            var head = new byte[18];
            int n = raw.ReadAtLeast(head, head.Length, throwOnEndOfStream: false);
            var whole = new PrefixedStream(head.AsMemory(0, n), raw);
            return GzipInput.IsGzip(head.AsSpan(0, n)) ? new GzipInput(path, whole, GzipInput.IsBgzip(head.AsSpan(0, n))) : whole;
        }
        catch
        {
            raw.Dispose();
            throw;
        }
    }

    /// <summary>The bytes of the file as they lie on disk.</summary>
    internal static Stream OpenRaw(string path)
    {
        if (path == "-") return Console.OpenStandardInput(BufferSize);
        if (Directory.Exists(path)) throw new InputDataException(path, null, "is a folder", "name a file in it");
        try
        {
            return new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0, FileOptions.SequentialScan);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new InputDataException(path, null, "there is no such file", "check the path", e);
        }
        catch (Exception e) when (e is UnauthorizedAccessException or IOException)
        {
            throw new InputDataException(path, null, "the file cannot be opened", "check its permissions", e);
        }
    }
}

/// <summary>Some bytes that were read already, then the rest of the stream.</summary>
internal sealed class PrefixedStream(ReadOnlyMemory<byte> prefix, Stream rest) : ReadOnlyStream
{
    private ReadOnlyMemory<byte> _prefix = prefix;

    public override int Read(Span<byte> buffer)
    {
        if (_prefix.Length == 0) return rest.Read(buffer);
        int n = Math.Min(buffer.Length, _prefix.Length);
        _prefix.Span[..n].CopyTo(buffer);
        _prefix = _prefix[n..];
        return n;
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing) rest.Dispose();
        base.Dispose(disposing);
    }
}

/// <summary>A forward-only stream of which derived classes write <see cref="Stream.Read(Span{byte})"/> alone.</summary>
internal abstract class ReadOnlyStream : Stream
{
    public override bool CanRead => true;
    public override bool CanSeek => false;
    public override bool CanWrite => false;
    public override long Length => throw new NotSupportedException();
    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }
    public abstract override int Read(Span<byte> buffer);
    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));
    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
    public override void SetLength(long value) => throw new NotSupportedException();
    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    public override void Flush() { }
}
