using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Orthrus.Mamba.Outputs;

/// <summary>
/// csv (RFC 4180 quoting, LF line ends) and tsv (tabs and line ends inside an identifier become blanks): header line, then identifier
/// and numbers in the shortest form that reads back as the same value.
/// </summary>
internal sealed class DelimitedEmbeddings : EmbeddingWriter
{
    private static readonly SearchValues<char> Quoted = SearchValues.Create("\",\r\n");
    private readonly byte _delimiter;
    private readonly TextLine _line = new();

    internal DelimitedEmbeddings(Stream stream, EmbeddingLayout layout, byte delimiter) : base(stream, layout)
    {
        _delimiter = delimiter;
        _line.Text("id");
        for (int i = 0; i < layout.Width; i++)
        {
            _line.Byte(delimiter);
            _line.Text("e" + i.ToString(CultureInfo.InvariantCulture));
        }
        _line.EndTo(stream);
    }

    private protected override void AddVector(string id, long length, ReadOnlySpan<float> single, ReadOnlySpan<double> wide)
    {
        _line.Text(Cell(id));
        foreach (float v in single)
        {
            _line.Byte(_delimiter);
            _line.Number(v);
        }
        foreach (double v in wide)
        {
            _line.Byte(_delimiter);
            _line.Number(v);
        }
        _line.EndTo(Stream);
    }

    // Lines have no fixed length: what was committed is the whole stream, which is gone on with at its end.
    private protected override void ReplayRecord(string id, long length) => Stream.Position = Stream.Length;

    private protected override ReadOnlyMemory<byte> FinishStream() => default;

    private string Cell(string id) =>
        _delimiter == (byte)'\t' ? EmbeddingIndex.Cell(id) :
        id.AsSpan().ContainsAny(Quoted) ? "\"" + id.Replace("\"", "\"\"", StringComparison.Ordinal) + "\"" : id;
}

/// <summary>jsonl: {"id": ..., "length": ..., "embedding": [...]} per line.</summary>
internal sealed class JsonEmbeddings(Stream stream, EmbeddingLayout layout) : EmbeddingWriter(stream, layout)
{
    private readonly TextLine _line = new();

    private protected override void AddVector(string id, long length, ReadOnlySpan<float> single, ReadOnlySpan<double> wide)
    {
        _line.Text("{\"id\": \"");
        _line.Utf8(JsonEncodedText.Encode(id).EncodedUtf8Bytes);
        _line.Text("\", \"length\": " + length.ToString(CultureInfo.InvariantCulture) + ", \"embedding\": [");
        for (int i = 0; i < Layout.Width; i++)
        {
            if (i > 0) _line.Text(", ");
            // JSON has no spelling for values that are not finite.
            double v = wide.Length > 0 ? wide[i] : single[i];
            if (!double.IsFinite(v)) _line.Text("null");
            else if (wide.Length > 0) _line.Number(v);
            else _line.Number(single[i]);
        }
        _line.Text("]}");
        _line.EndTo(Stream);
    }

    private protected override void ReplayRecord(string id, long length) => Stream.Position = Stream.Length;

    private protected override ReadOnlyMemory<byte> FinishStream() => default;
}

/// <summary>One line of UTF-8 text under construction.</summary>
internal sealed class TextLine
{
    private byte[] _bytes = new byte[1 << 12];
    private int _length;

    internal void Byte(byte b)
    {
        Room(1);
        _bytes[_length++] = b;
    }

    internal void Utf8(ReadOnlySpan<byte> bytes)
    {
        Room(bytes.Length);
        bytes.CopyTo(_bytes.AsSpan(_length));
        _length += bytes.Length;
    }

    internal void Text(string text)
    {
        Room(Encoding.UTF8.GetMaxByteCount(text.Length));
        _length += Encoding.UTF8.GetBytes(text, _bytes.AsSpan(_length));
    }

    internal void Number(float v) => Formatted(v);

    internal void Number(double v) => Formatted(v);

    internal void EndTo(Stream stream)
    {
        Byte((byte)'\n');
        stream.Write(_bytes, 0, _length);
        _length = 0;
    }

    private void Formatted<T>(T value) where T : IUtf8SpanFormattable
    {
        Room(32);
        value.TryFormat(_bytes.AsSpan(_length), out int n, default, CultureInfo.InvariantCulture);
        _length += n;
    }

    private void Room(int n)
    {
        if (_bytes.Length - _length < n) Array.Resize(ref _bytes, Math.Max(2 * _bytes.Length, _length + n));
    }
}
