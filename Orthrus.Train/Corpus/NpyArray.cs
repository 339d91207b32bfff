using System.Globalization;
using System.IO.Compression;
using System.Text;
using System.Text.RegularExpressions;
using Orthrus.Rna;

namespace Orthrus.Train;

/// <summary>Header of an array in NumPy's npy format: type of the elements, order of the axes, extents. Pickled objects are refused, never executed.</summary>
/// <param name="Kind">'i', 'u', 'f', 'b' (bool), 'U' (text, UTF-32) or 'S' (text, bytes).</param>
/// <param name="Size">Bytes of an element; characters for 'U'.</param>
/// <param name="Fortran">True where the first axis varies fastest.</param>
/// <param name="Shape">Extents.</param>
internal sealed partial record NpyArray(char Kind, int Size, bool Fortran, long[] Shape)
{
    private const int LongestHeader = 1 << 16;

    /// <summary>Bytes of an element.</summary>
    internal int ElementBytes => Kind == 'U' ? 4 * Size : Size;

    /// <summary>Number of elements.</summary>
    internal long Count => Shape.Aggregate(1L, (n, e) => checked(n * e));

    /// <summary>Reads a header; the stream then stands at the data.</summary>
    internal static NpyArray ReadHeader(Stream stream, string file, string member)
    {
        var head = new byte[12];
        if (stream.ReadAtLeast(head.AsSpan(0, 10), 10, throwOnEndOfStream: false) < 10 || head[0] != 0x93 || !head.AsSpan(1, 5).SequenceEqual("NUMPY"u8))
            throw Bad(file, member, "is no npy array");
        int length = head[8] | head[9] << 8;
        if (head[6] >= 2)
        {
            if (stream.ReadAtLeast(head.AsSpan(10, 2), 2, throwOnEndOfStream: false) < 2) throw Bad(file, member, "is cut off");
            length |= head[10] << 16 | head[11] << 24;
        }
        if (length is <= 0 or > LongestHeader) throw Bad(file, member, "has a header of an impossible length");
        var text = new byte[length];
        if (stream.ReadAtLeast(text, length, throwOnEndOfStream: false) < length) throw Bad(file, member, "is cut off");
        string header = Encoding.Latin1.GetString(text);
        var type = TypeText().Match(header);
        var order = OrderText().Match(header);
        var shape = ShapeText().Match(header);
        if (!type.Success || !order.Success || !shape.Success) throw Bad(file, member, "has a header that is not understood");
        string descr = type.Groups[1].Value;
        if (descr.Contains('O')) throw new InputDataException(file, member, "holds pickled Python objects, which are never executed", "save it as numbers or text: np.array(x, dtype=str)");
        if (descr.StartsWith('>')) throw Bad(file, member, "is big-endian");
        char kind = descr.TrimStart('<', '|', '=')[0];
        if (!"iufbUS".Contains(kind) || !int.TryParse(descr.TrimStart('<', '|', '=').AsSpan(1), NumberStyles.None, CultureInfo.InvariantCulture, out int size))
            throw Bad(file, member, $"has elements of type {descr}");
        if (size is < 0 or > 1 << 20 || (kind is 'i' or 'u' && size is not (1 or 2 or 4 or 8)) || (kind == 'f' && size is not (2 or 4 or 8))) throw Bad(file, member, $"has elements of type {descr}");
        var extents = new List<long>();
        foreach (string part in shape.Groups[1].Value.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            if (!long.TryParse(part.TrimEnd('L'), NumberStyles.None, CultureInfo.InvariantCulture, out long n)) throw Bad(file, member, "has a shape that is not understood");
            extents.Add(n);
        }
        if (extents.Aggregate(1.0, (n, e) => n * e) * Math.Max(1, size) > 1e15) throw Bad(file, member, "has an impossible shape");
        return new NpyArray(kind, size, order.Groups[1].Value == "True", [.. extents]);
    }

    /// <summary>An element as a number.</summary>
    internal double Number(ReadOnlySpan<byte> element) => (Kind, Size) switch
    {
        ('b', 1) or ('u', 1) => element[0],
        ('i', 1) => (sbyte)element[0],
        ('i', 2) => BitConverter.ToInt16(element),
        ('u', 2) => BitConverter.ToUInt16(element),
        ('i', 4) => BitConverter.ToInt32(element),
        ('u', 4) => BitConverter.ToUInt32(element),
        ('i', 8) => BitConverter.ToInt64(element),
        ('u', 8) => BitConverter.ToUInt64(element),
        ('f', 2) => (double)BitConverter.ToHalf(element),
        ('f', 4) => BitConverter.ToSingle(element),
        ('f', 8) => BitConverter.ToDouble(element),
        _ => double.NaN,
    };

    /// <summary>An element as text.</summary>
    internal string Text(ReadOnlySpan<byte> element) => Kind switch
    {
        'U' => Encoding.UTF32.GetString(element).TrimEnd('\0'),
        'S' => Encoding.UTF8.GetString(element).TrimEnd('\0'),
        _ => Number(element).ToString(CultureInfo.InvariantCulture),
    };

    internal static InputDataException Bad(string file, string member, string problem) => new(file, member, problem, "copy or make the file again");

    [GeneratedRegex("'descr'\\s*:\\s*'([^']+)'")]
    private static partial Regex TypeText();

    [GeneratedRegex("'fortran_order'\\s*:\\s*(True|False)")]
    private static partial Regex OrderText();

    [GeneratedRegex("'shape'\\s*:\\s*\\(([^)]*)\\)")]
    private static partial Regex ShapeText();
}

/// <summary>A NumPy npz file: a zip archive of npy arrays.</summary>
internal sealed class NpzFile : IDisposable
{
    private readonly string _path;
    private readonly ZipArchive _zip;

    private NpzFile(string path, ZipArchive zip)
    {
        _path = path;
        _zip = zip;
    }

    /// <summary>Opens an archive.</summary>
    /// <exception cref="InputDataException">There is none, or it is damaged.</exception>
    internal static NpzFile Open(string path)
    {
        var raw = InputFile.OpenRaw(path);
        try
        {
            return new NpzFile(path, new ZipArchive(raw, ZipArchiveMode.Read));
        }
        catch (Exception e) when (e is InvalidDataException or IOException or NotSupportedException)
        {
            raw.Dispose();
            throw new InputDataException(path, null, "is no npz file or it is cut off", "copy or make the file again", e);
        }
    }

    /// <summary>True where the archive holds an array of this name.</summary>
    internal bool Has(string name) => _zip.GetEntry(name + ".npy") is not null;

    /// <summary>Reads an array: its header, then its data by what <paramref name="read"/> does with the stream.</summary>
    /// <exception cref="InputDataException">It is missing or damaged.</exception>
    internal T Read<T>(string name, Func<NpyArray, Stream, T> read)
    {
        try
        {
            var (array, stream) = OpenArray(name);
            using (stream) return read(array, stream);
        }
        catch (Exception e) when (e is InvalidDataException or EndOfStreamException)
        {
            throw new InputDataException(_path, name, "is damaged or cut off", "copy or make the file again", e);
        }
    }

    /// <summary>The header of an array and a stream of its data.</summary>
    internal (NpyArray Array, Stream Data) OpenArray(string name)
    {
        var entry = _zip.GetEntry(name + ".npy") ?? throw new InputDataException(_path, null, $"holds no array {name}", "give a file of upstream's form");
        var stream = entry.Open();
        try
        {
            return (NpyArray.ReadHeader(stream, _path, name), stream);
        }
        catch
        {
            stream.Dispose();
            throw;
        }
    }

    public void Dispose() => _zip.Dispose();
}
