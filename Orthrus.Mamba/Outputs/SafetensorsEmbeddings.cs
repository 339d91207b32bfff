using System.Buffers;
using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using Orthrus.Rna;

namespace Orthrus.Mamba.Outputs;

/// <summary>Header of safetensors: its length as 8 bytes, then JSON, padded with blanks so that the data begin on 8 bytes.</summary>
internal static class SafetensorsHeader
{
    /// <summary>The reference reader refuses longer ones.</summary>
    internal const int Longest = 100_000_000;

    internal static byte[] Of(IEnumerable<(string Name, string DType, long[] Shape, long Bytes)> tensors, int padTo = 0)
    {
        var json = new ArrayBufferWriter<byte>();
        using (var w = new Utf8JsonWriter(json))
        {
            w.WriteStartObject();
            w.WriteStartObject("__metadata__");
            w.WriteString("format", "pt");
            w.WriteEndObject();
            long offset = 0;
            foreach (var (name, dtype, shape, bytes) in tensors)
            {
                w.WriteStartObject(name);
                w.WriteString("dtype", dtype);
                w.WriteStartArray("shape");
                foreach (long n in shape) w.WriteNumberValue(n);
                w.WriteEndArray();
                w.WriteStartArray("data_offsets");
                w.WriteNumberValue(offset);
                w.WriteNumberValue(offset += bytes);
                w.WriteEndArray();
                w.WriteEndObject();
            }
            w.WriteEndObject();
        }
        int length = Math.Max(padTo, (8 + json.WrittenCount + 7) / 8 * 8);
        if (length - 8 > Longest)
            throw new InputDataException(null, null, $"the names of the records need a safetensors header of {length:N0} bytes, readers accept {Longest:N0}", "write npz, or split the work with --shard");
        var header = new byte[length];
        BinaryPrimitives.WriteInt64LittleEndian(header, length - 8);
        header.AsSpan(8).Fill((byte)' ');
        json.WrittenSpan.CopyTo(header.AsSpan(8));
        return header;
    }

    internal static string DType(EmbeddingDType type) => type == EmbeddingDType.F64 ? "F64" : "F32";
}

/// <summary>
/// safetensors: embeddings (records, width), lengths I64 (records), ids U8 (all identifiers as UTF-8, one after the other) and
/// id_offsets I64 (records + 1).
/// </summary>
internal sealed class SafetensorsEmbeddings : EmbeddingWriter
{
    // Room for the header whatever the number of records: four names, four shapes, eight offsets of at most 19 digits.
    private const int HeaderRoom = 1024;

    private readonly List<byte[]> _ids = [];
    private readonly List<long> _lengths = [];

    internal SafetensorsEmbeddings(Stream stream, EmbeddingLayout layout) : base(stream, layout) => stream.Write(Header());

    private protected override void AddVector(string id, long length, ReadOnlySpan<float> single, ReadOnlySpan<double> wide)
    {
        Stream.Write(Bytes(single, wide));
        Note(id, length);
    }

    private protected override void ReplayRecord(string id, long length)
    {
        if (Stream.Position + Layout.VectorBytes > Stream.Length) throw NotHeld(id);
        Stream.Position += Layout.VectorBytes;
        Note(id, length);
    }

    private protected override ReadOnlyMemory<byte> FinishStream()
    {
        Stream.Write(MemoryMarshal.AsBytes(CollectionsMarshal.AsSpan(_lengths)));
        var offsets = new long[_ids.Count + 1];
        for (int i = 0; i < _ids.Count; i++) offsets[i + 1] = offsets[i] + _ids[i].Length;
        Stream.Write(MemoryMarshal.AsBytes(offsets.AsSpan()));
        foreach (byte[] id in _ids) Stream.Write(id);
        Patch(0, Header());
        return default;
    }

    private void Note(string id, long length)
    {
        _ids.Add(Encoding.UTF8.GetBytes(id));
        _lengths.Add(length);
    }

    private byte[] Header()
    {
        long n = Records, text = _ids.Sum(id => (long)id.Length);
        return SafetensorsHeader.Of(
        [
            ("embeddings", SafetensorsHeader.DType(Layout.DType), [n, Layout.Width], n * Layout.VectorBytes),
            ("lengths", "I64", [n], n * 8),
            ("id_offsets", "I64", [n + 1], (n + 1) * 8),
            ("ids", "U8", [text], text),
        ], HeaderRoom);
    }
}

/// <summary>
/// safetensors with one tensor (length, width) per record, named by its identifier. The header names them all, so that it is known at
/// the end only: the stream holds the data, and <see cref="EmbeddingWriter.Finish"/> returns the header.
/// </summary>
internal sealed class SafetensorsPositions(Stream stream, EmbeddingLayout layout) : EmbeddingWriter(stream, layout)
{
    private readonly UniqueNames _names = new(ZipMembers.LongestName, "__metadata__");
    private readonly List<(string Name, string DType, long[] Shape, long Bytes)> _tensors = [];

    private protected override void AddVector(string id, long length, ReadOnlySpan<float> single, ReadOnlySpan<double> wide) =>
        throw new InvalidOperationException("the layout has one array per record");

    private protected override void BeginArray(string id, long length) => Note(id, length);

    private protected override void AppendArray(ReadOnlySpan<byte> values) => Stream.Write(values);

    private protected override void EndArray() { }

    private protected override void ReplayRecord(string id, long length)
    {
        Note(id, length);
        if (Stream.Position + _tensors[^1].Bytes > Stream.Length) throw NotHeld(id);
        Stream.Position += _tensors[^1].Bytes;
    }

    private protected override ReadOnlyMemory<byte> FinishStream() => SafetensorsHeader.Of(_tensors);

    private void Note(string id, long length)
    {
        ArrayName = _names.Next(id, Records);
        _tensors.Add((ArrayName, SafetensorsHeader.DType(Layout.DType), [length, Layout.Width], length * Layout.VectorBytes));
    }
}
