using System.Buffers.Binary;
using System.Text;
using System.Text.Json;
using Microsoft.Win32.SafeHandles;
using Orthrus.Tensor;

namespace Orthrus.Mamba;

/// <summary>
/// The safetensors format: 8 bytes of little-endian header length, a JSON header (name to dtype, shape, data_offsets), raw data. The reader is as
/// strict as the format's own: no holes, overlaps, duplicate names or bytes past the end.
/// </summary>
public static class SafeTensors
{
    private const long LargestHeader = 100_000_000;

    /// <summary>Reads the header of a file; data are read tensor by tensor when asked for.</summary>
    /// <param name="path">The file.</param>
    /// <param name="metadata">Its __metadata__ strings.</param>
    /// <exception cref="CheckpointException">The file is not a correct safetensors file.</exception>
    public static StateDict Read(string path, out IReadOnlyDictionary<string, string> metadata)
    {
        var result = new StateDict();
        foreach (var e in Layout(path, out metadata))
        {
            result.Add(new StateTensor(e.Name, e.DType, e.Shape, to =>
            {
                using var file = Open(path);
                ReadExactly(file, to, e.Begin, path);
            }));
        }
        return result;
    }

    /// <summary>Where the tensors of a file lie, in the order of its header; for those who map the file into memory.</summary>
    /// <exception cref="CheckpointException">The file is not a correct safetensors file.</exception>
    internal static IReadOnlyList<SafeTensorEntry> Layout(string path, out IReadOnlyDictionary<string, string> metadata)
    {
        using var file = Open(path);
        long length = RandomAccess.GetLength(file);
        Span<byte> prefix = stackalloc byte[8];
        if (length >= 8) ReadExactly(file, prefix, 0, path);
        var header = new byte[HeaderLength(path, length, prefix)];
        ReadExactly(file, header, 8, path);
        return Parse(path, header, length, out metadata);
    }

    /// <summary>Reads a file that lies in memory, as a resource does.</summary>
    /// <param name="name">Its name for messages.</param>
    /// <param name="file">The whole file; the tensors keep referring to it.</param>
    /// <exception cref="CheckpointException">It is not a correct safetensors file.</exception>
    internal static StateDict Read(string name, ReadOnlyMemory<byte> file)
    {
        var result = new StateDict();
        foreach (var e in Parse(name, file.Slice(8, HeaderLength(name, file.Length, file.Span)), file.Length, out _))
            result.Add(new StateTensor(e.Name, e.DType, e.Shape, to => file.Span.Slice((int)e.Begin, to.Length).CopyTo(to)));
        return result;
    }

    private static int HeaderLength(string path, long length, ReadOnlySpan<byte> prefix)
    {
        if (length < 8) throw Broken(path, $"{length} bytes are too few for a safetensors file");
        ulong declared = BinaryPrimitives.ReadUInt64LittleEndian(prefix);
        if (declared is 0 or > (ulong)LargestHeader || (long)declared > length - 8)
            throw Broken(path, $"the header is said to be {declared} bytes long; this is not a safetensors file or it is cut off");
        return (int)declared;
    }

    private static List<SafeTensorEntry> Parse(string path, ReadOnlyMemory<byte> header, long length, out IReadOnlyDictionary<string, string> metadata)
    {
        long data = 8 + header.Length, dataLength = length - data;
        var texts = new Dictionary<string, string>();
        var entries = new List<SafeTensorEntry>();
        try
        {
            using var json = JsonDocument.Parse(header, new JsonDocumentOptions { MaxDepth = 16 });
            if (json.RootElement.ValueKind != JsonValueKind.Object) throw Broken(path, "the header is not a JSON object");
            foreach (var p in json.RootElement.EnumerateObject())
            {
                if (p.Name == "__metadata__")
                {
                    if (p.Value.ValueKind != JsonValueKind.Object) throw Broken(path, "__metadata__ is not a JSON object");
                    foreach (var m in p.Value.EnumerateObject()) texts[m.Name] = m.Value.ValueKind == JsonValueKind.String ? m.Value.GetString()! : m.Value.GetRawText();
                }
                else entries.Add(Entry(path, p.Name, p.Value, data));
            }
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or FormatException or DecoderFallbackException)
        {
            throw Broken(path, "the header is not valid JSON", e);
        }
        metadata = texts;
        long at = data;
        var inFileOrder = new List<SafeTensorEntry>(entries);
        inFileOrder.Sort((a, b) => a.Begin != b.Begin ? a.Begin.CompareTo(b.Begin) : a.End.CompareTo(b.End));
        foreach (var e in inFileOrder)
        {
            if (e.Begin != at) throw new CheckpointException(path, e.Name, e.Begin < at ? "the tensor overlaps another" : $"{e.Begin - at} unused bytes before the tensor");
            at = e.End;
        }
        if (at - data != dataLength) throw Broken(path, $"the tensors take {at - data} bytes, the file holds {dataLength}");
        var names = new HashSet<string>(StringComparer.Ordinal);
        foreach (var e in entries)
            if (!names.Add(e.Name)) throw new CheckpointException(path, e.Name, "the name appears twice");
        return entries;
    }

    private static SafeTensorEntry Entry(string path, string name, JsonElement e, long data)
    {
        if (e.ValueKind != JsonValueKind.Object || !e.TryGetProperty("dtype", out var dtypeText) || !e.TryGetProperty("shape", out var shapeList) || !e.TryGetProperty("data_offsets", out var offsets))
            throw new CheckpointException(path, name, "the header's entry lacks dtype, shape or data_offsets");
        DType dtype = dtypeText.GetString() switch
        {
            "F64" => DType.F64, "F32" => DType.F32, "F16" => DType.F16, "BF16" => DType.BF16,
            "I64" => DType.I64, "I32" => DType.I32, "U8" => DType.U8, "BOOL" => DType.Bool,
            var other => throw new CheckpointException(path, name, $"dtype {other} is not known"),
        };
        long[] shape = [.. shapeList.EnumerateArray().Select(v => v.GetInt64())];
        if (offsets.GetArrayLength() != 2) throw new CheckpointException(path, name, "data_offsets are not two numbers");
        long begin = offsets[0].GetInt64(), end = offsets[1].GetInt64();
        if (begin < 0 || end < begin || shape.Any(n => n < 0)) throw new CheckpointException(path, name, "negative extent or offset");
        long bytes = dtype.Size();
        try
        {
            foreach (long n in shape) bytes = checked(bytes * n);
        }
        catch (OverflowException)
        {
            throw new CheckpointException(path, name, "the extents' product is too large");
        }
        if (bytes != end - begin) throw new CheckpointException(path, name, $"shape and dtype want {bytes} bytes, the offsets give {end - begin}");
        return new SafeTensorEntry(name, dtype, shape, data + begin, data + end);
    }

    /// <summary>Writes tensors to a file, aside first, flushed and then renamed; where that fails nothing is left.</summary>
    /// <param name="path">The file to make or replace.</param>
    /// <param name="tensors">In the order of the file.</param>
    /// <param name="metadata">Strings for __metadata__, or null.</param>
    public static void Write(string path, IReadOnlyCollection<StateTensor> tensors, IReadOnlyDictionary<string, string>? metadata = null)
    {
        using var aside = new FilesAside();
        Write(aside.Create(path), tensors, metadata);
        aside.Commit();
    }

    /// <summary>Writes tensors to a stream that stands at its beginning.</summary>
    internal static void Write(Stream file, IReadOnlyCollection<StateTensor> tensors, IReadOnlyDictionary<string, string>? metadata)
    {
        using var header = new MemoryStream();
        using (var json = new Utf8JsonWriter(header))
        {
            json.WriteStartObject();
            if (metadata is { Count: > 0 })
            {
                json.WriteStartObject("__metadata__");
                foreach (var (k, v) in metadata) json.WriteString(k, v);
                json.WriteEndObject();
            }
            long at = 0;
            foreach (var t in tensors)
            {
                json.WriteStartObject(t.Name);
                json.WriteString("dtype", t.DType == DType.Bool ? "BOOL" : t.DType.ToString());
                json.WriteStartArray("shape");
                foreach (long n in t.Shape) json.WriteNumberValue(n);
                json.WriteEndArray();
                json.WriteStartArray("data_offsets");
                json.WriteNumberValue(at);
                json.WriteNumberValue(at += t.ByteCount);
                json.WriteEndArray();
                json.WriteEndObject();
            }
            json.WriteEndObject();
        }
        // Spaces after the JSON align the data to 8 bytes, as the reference writer does.
        while (header.Length % 8 != 0) header.WriteByte((byte)' ');
        Span<byte> prefix = stackalloc byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(prefix, header.Length);
        file.Write(prefix);
        header.WriteTo(file);
        foreach (var t in tensors) file.Write(t.ToBytes());
    }

    internal static SafeFileHandle Open(string path)
    {
        try
        {
            return File.OpenHandle(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw new CheckpointException(path, null, "the file cannot be read", "check the path and its permissions", e);
        }
    }

    internal static void ReadExactly(SafeFileHandle file, Span<byte> to, long at, string path)
    {
        while (to.Length > 0)
        {
            int n = RandomAccess.Read(file, to, at);
            if (n == 0) throw Broken(path, "the file ends too early");
            to = to[n..];
            at += n;
        }
    }

    private static CheckpointException Broken(string path, string problem, Exception? inner = null) => new(path, null, problem, "download it again", inner);
}

/// <summary>Where a tensor lies in a file: absolute positions of its first byte and of the byte after its last.</summary>
/// <remarks>A class: sorting and listing structs would be compiled at every start of the command.</remarks>
internal sealed record SafeTensorEntry(string Name, DType DType, long[] Shape, long Begin, long End);
