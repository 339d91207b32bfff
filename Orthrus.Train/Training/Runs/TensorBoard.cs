using System.Buffers.Binary;
using System.Text;

namespace Orthrus.Train;

/// <summary>
/// Writes scalars as a TensorBoard event file: TFRecords (length, masked CRC-32C of it, data, masked CRC-32C of them) of Event messages in protocol buffers.
/// </summary>
/// <remarks>
/// Event: 1 wall_time (double), 2 step (int64), 3 file_version (string), 5 summary, 7 session_log. Summary: 1 value; value: 1 tag, 2 simple_value (float). A file
/// begins with version brain.Event:2; a run that goes on adds a session start (status 1) at its step, whereupon viewers forget later steps of older files.
/// Source: tensorflow/core/util/event.proto, tensorflow/core/lib/io/record_writer.h.
/// </remarks>
internal sealed class TensorBoard : IDisposable
{
    private readonly FileStream _file;
    private readonly TimeProvider _clock;

    /// <summary>Begins a file in a folder, named by the time.</summary>
    /// <param name="folder">The folder, made where it is absent.</param>
    /// <param name="step">Steps already done; above 0 the file begins with a session start.</param>
    /// <param name="clock">For wall times and the name.</param>
    internal TensorBoard(string folder, long step, TimeProvider clock)
    {
        _clock = clock;
        Directory.CreateDirectory(folder);
        string name = Path.Combine(folder, $"events.out.tfevents.{clock.GetUtcNow().ToUnixTimeSeconds():D10}.orthrus");
        for (int n = 2; ; n++)
        {
            string path = n == 2 ? name : $"{name}.{n - 1}";
            if (File.Exists(path)) continue;
            _file = new FileStream(path, FileMode.CreateNew, FileAccess.Write, FileShare.Read);
            break;
        }
        var version = new ProtoWriter();
        version.Text(3, "brain.Event:2");
        Event(0, version);
        if (step > 0)
        {
            var started = new ProtoWriter();
            started.Varint(1, 1);
            var session = new ProtoWriter();
            session.Message(7, started);
            Event(step, session);
        }
        _file.Flush();
    }

    /// <summary>Adds the scalars of a step.</summary>
    internal void Add(long step, IReadOnlyList<(string Tag, double Value)> scalars)
    {
        var summary = new ProtoWriter();
        foreach (var (tag, value) in scalars)
        {
            var entry = new ProtoWriter();
            entry.Text(1, tag);
            entry.Single(2, (float)value);
            summary.Message(1, entry);
        }
        var content = new ProtoWriter();
        content.Message(5, summary);
        Event(step, content);
        _file.Flush();
    }

    private void Event(long step, ProtoWriter content)
    {
        var message = new ProtoWriter();
        message.Double(1, (_clock.GetUtcNow() - DateTimeOffset.UnixEpoch).TotalSeconds);
        if (step != 0) message.Varint(2, (ulong)step);
        message.Append(content);
        var data = message.Bytes;
        Span<byte> number = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(number, (ulong)data.Length);
        _file.Write(number);
        WriteCrc(number);
        _file.Write(data);
        WriteCrc(data);
    }

    private void WriteCrc(ReadOnlySpan<byte> bytes)
    {
        Span<byte> crc = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(crc, Mask(Crc32C.Of(bytes)));
        _file.Write(crc);
    }

    /// <summary>Rotated and shifted, so that the CRC of data that hold CRCs stays a good one.</summary>
    internal static uint Mask(uint crc) => (crc >> 15 | crc << 17) + 0xa282ead8;

    /// <summary>Closes the file.</summary>
    public void Dispose() => _file.Dispose();

    /// <summary>Fields of a protocol buffer message, in order of writing.</summary>
    private sealed class ProtoWriter
    {
        private const int LengthDelimited = 2, Fixed64 = 1, Fixed32 = 5;

        private readonly List<byte> _bytes = [];

        internal ReadOnlySpan<byte> Bytes => System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_bytes);

        internal void Varint(int field, ulong value)
        {
            Raw((ulong)(field << 3));
            Raw(value);
        }

        internal void Double(int field, double value)
        {
            Raw((ulong)(field << 3 | Fixed64));
            Span<byte> bytes = stackalloc byte[8];
            BinaryPrimitives.WriteDoubleLittleEndian(bytes, value);
            _bytes.AddRange(bytes);
        }

        internal void Single(int field, float value)
        {
            Raw((ulong)(field << 3 | Fixed32));
            Span<byte> bytes = stackalloc byte[4];
            BinaryPrimitives.WriteSingleLittleEndian(bytes, value);
            _bytes.AddRange(bytes);
        }

        internal void Text(int field, string value) => Delimited(field, Encoding.UTF8.GetBytes(value));

        internal void Message(int field, ProtoWriter message) => Delimited(field, message.Bytes);

        internal void Append(ProtoWriter fields) => _bytes.AddRange(fields.Bytes);

        private void Delimited(int field, ReadOnlySpan<byte> bytes)
        {
            Raw((ulong)(field << 3 | LengthDelimited));
            Raw((ulong)bytes.Length);
            _bytes.AddRange(bytes);
        }

        private void Raw(ulong value)
        {
            for (; value >= 0x80; value >>= 7) _bytes.Add((byte)(value | 0x80));
            _bytes.Add((byte)value);
        }
    }
}

/// <summary>CRC-32C (Castagnoli).</summary>
internal static class Crc32C
{
    private const uint Polynomial = 0x82F63B78;

    private static readonly uint[] Table = [.. Enumerable.Range(0, 256).Select(i =>
    {
        uint c = (uint)i;
        for (int bit = 0; bit < 8; bit++) c = (c & 1) != 0 ? c >> 1 ^ Polynomial : c >> 1;
        return c;
    })];

    internal static uint Of(ReadOnlySpan<byte> bytes)
    {
        uint c = ~0u;
        foreach (byte b in bytes) c = c >> 8 ^ Table[(byte)(c ^ b)];
        return ~c;
    }
}
