using System.Buffers;
using System.Text;
using System.Text.Json;

namespace Orthrus.Train;

/// <summary>
/// RUN/log.jsonl: one JSON object a step. It holds nothing of the clock, so that two runs write the same bytes. Lines are handed to the system as they are written; a
/// run that goes on drops those after its checkpoint, and a line that was cut off.
/// </summary>
internal sealed class RunLog : IDisposable
{
    private readonly FileStream _file;
    private readonly ArrayBufferWriter<byte> _line = new();

    /// <summary>Opens the log for the step after <paramref name="step"/>.</summary>
    internal RunLog(string path, long step)
    {
        _file = new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.Read);
        long keep = step == 0 ? 0 : LengthUpTo(step);
        if (keep < _file.Length) _file.SetLength(keep);
        _file.Position = keep;
    }

    /// <summary>Adds the line of a step.</summary>
    internal void Add(Action<Utf8JsonWriter> fields)
    {
        _line.ResetWrittenCount();
        using (var json = new Utf8JsonWriter(_line))
        {
            json.WriteStartObject();
            fields(json);
            json.WriteEndObject();
        }
        _line.Write("\n"u8);
        _file.Write(_line.WrittenSpan);
        _file.Flush();
    }

    /// <summary>Makes sure that the lines so far survive a loss of power.</summary>
    internal void Save() => _file.Flush(flushToDisk: true);

    /// <summary>Bytes of the complete lines whose step is at most the given one.</summary>
    private long LengthUpTo(long step)
    {
        var bytes = new byte[_file.Length];
        _file.Position = 0;
        _file.ReadExactly(bytes);
        long keep = 0;
        for (int at = 0; at < bytes.Length;)
        {
            int end = Array.IndexOf(bytes, (byte)'\n', at);
            if (end < 0 || !TryStep(bytes.AsMemory(at, end - at), out long of) || of > step) break;
            keep = at = end + 1;
        }
        return keep;
    }

    private static bool TryStep(ReadOnlyMemory<byte> line, out long step)
    {
        step = 0;
        try
        {
            using var json = JsonDocument.Parse(line);
            return json.RootElement.TryGetProperty("step", out var s) && s.TryGetInt64(out step);
        }
        catch (JsonException)
        {
            return false;
        }
    }

    /// <summary>Closes the file.</summary>
    public void Dispose() => _file.Dispose();
}
