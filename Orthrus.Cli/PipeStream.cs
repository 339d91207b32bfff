using System.Runtime.InteropServices;

namespace Orthrus.Cli;

/// <summary>
/// Standard output that tells when its reader has gone: the console stream of .NET drops such writes on Unix without a word, so that
/// `orthrus embed ... -o - | head` would compute to the end for nobody.
/// </summary>
internal sealed partial class PipeStream : Stream
{
    private const int Interrupted = 4;

    /// <summary>Binary stdout of the process.</summary>
    internal static Stream OpenStdout() => OperatingSystem.IsWindows() ? Console.OpenStandardOutput() : new PipeStream();

    public override bool CanRead => false;
    public override bool CanSeek => false;
    public override bool CanWrite => true;
    public override long Length => throw new NotSupportedException();
    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

    /// <exception cref="IOException">HResult is the errno of the system.</exception>
    public override void Write(ReadOnlySpan<byte> buffer)
    {
        while (buffer.Length > 0)
        {
            nint done = WriteTo(1, MemoryMarshal.GetReference(buffer), buffer.Length);
            if (done >= 0) buffer = buffer[(int)done..];
            else if (Marshal.GetLastPInvokeError() is var errno and not Interrupted) throw new IOException(Marshal.GetPInvokeErrorMessage(errno), errno);
        }
    }

    public override void Flush() { }
    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
    public override void SetLength(long value) => throw new NotSupportedException();

    [LibraryImport("libc", EntryPoint = "write", SetLastError = true)]
    private static partial nint WriteTo(int file, in byte bytes, nint count);
}
