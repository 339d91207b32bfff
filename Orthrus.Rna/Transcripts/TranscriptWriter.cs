using System.IO.Compression;
using System.Text;

namespace Orthrus.Rna;

/// <summary>
/// Writes transcripts as FASTA (80 letters a line, N for unknown bases) and, beside it, the table of <see cref="TracksTable"/>. Both are
/// written aside and take their names in <see cref="Commit"/>, the FASTA last: where it stands, the table is complete, too.
/// </summary>
public sealed class TranscriptWriter : IDisposable
{
    private const int LineLength = 80;

    private readonly string? _fastaPath, _tablePath, _fastaPart, _tablePart, _source;
    private readonly Stream _fasta;
    private readonly StreamWriter? _table;
    private byte[] _line = new byte[4096];
    private bool _open = true;

    /// <summary>Begins both files.</summary>
    /// <param name="fastaPath">The FASTA; a name that ends in .gz is compressed.</param>
    /// <param name="tablePath">The table.</param>
    /// <param name="source">What the table's last column says; null writes NA.</param>
    /// <exception cref="InputDataException">The folder is missing or cannot be written.</exception>
    public TranscriptWriter(string fastaPath, string tablePath, string? source)
    {
        (_fastaPath, _tablePath, _source) = (fastaPath, tablePath, source);
        string suffix = $".{Guid.NewGuid().ToString("N")[..8]}.part";
        (_fastaPart, _tablePart) = (fastaPath + suffix, tablePath + suffix);
        var raw = Create(_fastaPart, fastaPath);
        _fasta = fastaPath.EndsWith(".gz", StringComparison.OrdinalIgnoreCase) ? new FlushedGzip(raw) : new BufferedStream(raw, 1 << 16);
        try
        {
            _table = new StreamWriter(Create(_tablePart, tablePath), new UTF8Encoding(false), 1 << 16) { NewLine = "\n" };
            _table.WriteLine(TracksTable.HeaderLine);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Writes FASTA alone to a stream, which stays open.</summary>
    public TranscriptWriter(Stream fasta) => _fasta = new BufferedStream(fasta, 1 << 16);

    /// <summary>Appends a transcript.</summary>
    public void Write(Transcript transcript)
    {
        ArgumentNullException.ThrowIfNull(transcript);
        string id = transcript.Id.AsSpan().IndexOfAny('\n', '\r') < 0 ? transcript.Id : transcript.Id.Replace('\n', ' ').Replace('\r', ' ');
        int most = Encoding.UTF8.GetMaxByteCount(id.Length) + 2;
        int needed = Math.Max(most, transcript.Length + transcript.Length / LineLength + 1);
        if (_line.Length < needed) _line = new byte[needed];
        _line[0] = (byte)'>';
        int n = 1 + Encoding.UTF8.GetBytes(id, _line.AsSpan(1));
        _line[n++] = (byte)'\n';
        _fasta.Write(_line, 0, n);

        var bases = transcript.Tracks.Span;
        var letters = Nucleotide.Letters;
        n = 0;
        for (int i = 0; i < bases.Length; i++)
        {
            _line[n++] = letters[bases[i] & TrackByte.Bases];
            if ((i + 1) % LineLength == 0 || i + 1 == bases.Length) _line[n++] = (byte)'\n';
        }
        _fasta.Write(_line, 0, n);
        _table?.WriteLine(TracksTable.FormatRow(transcript, _source));
    }

    /// <summary>Flushes to disk and gives the files their names; without it they vanish.</summary>
    public void Commit()
    {
        _fasta.Flush();
        if (_table is null) return;
        _table.Flush();
        ((FileStream)_table.BaseStream).Flush(flushToDisk: true);
        if (_fasta is BufferedStream plain) ((FileStream)plain.UnderlyingStream).Flush(flushToDisk: true);
        Close();
        File.Move(_tablePart!, _tablePath!, overwrite: true);
        File.Move(_fastaPart!, _fastaPath!, overwrite: true);
    }

    /// <summary>Closes; removes what was not committed.</summary>
    public void Dispose()
    {
        if (!_open) return;
        if (_fastaPath is null)
        {
            _open = false;
            return;
        }
        try
        {
            Close();
        }
        finally
        {
            if (File.Exists(_fastaPart)) File.Delete(_fastaPart);
            if (File.Exists(_tablePart)) File.Delete(_tablePart);
        }
    }

    private void Close()
    {
        _open = false;
        try
        {
            _fasta.Dispose();
        }
        finally
        {
            _table?.Dispose();
        }
    }

    private static FileStream Create(string part, string path)
    {
        try
        {
            return new FileStream(part, FileMode.CreateNew, FileAccess.Write);
        }
        catch (DirectoryNotFoundException e)
        {
            throw new InputDataException(path, null, "the folder to write into does not exist", "make it first", e);
        }
        catch (Exception e) when (e is UnauthorizedAccessException or IOException)
        {
            throw new InputDataException(path, null, "cannot be written: " + e.Message, "check the folder and its permissions", e);
        }
    }

    /// <summary>A gzip file whose end reaches the disk before it is closed.</summary>
    private sealed class FlushedGzip(FileStream file) : GZipStream(file, CompressionLevel.Optimal, leaveOpen: true)
    {
        protected override void Dispose(bool disposing)
        {
            base.Dispose(disposing);
            if (!disposing) return;
            file.Flush(flushToDisk: true);
            file.Dispose();
        }
    }
}
