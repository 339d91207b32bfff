using System.Buffers.Binary;
using System.Text;
using Microsoft.Win32.SafeHandles;
using Orthrus.Mamba.Outputs;
using Orthrus.Tensor;

namespace Orthrus.Mamba.Torch;

/// <summary>
/// The zip form of torch.save: stored records root/data.pkl and root/data/KEY. Strict where archives lie: names that repeat or climb out, compressed records,
/// sizes past the end of the file and wrong sums are refused, and nothing is allocated on the word of a header alone.
/// </summary>
internal sealed class TorchZip
{
    private const uint LocalHeader = 0x04034b50, Entry = 0x02014b50, End = 0x06054b50, End64 = 0x06064b50, Locator64 = 0x07064b50;
    private const int LargestDirectory = 64 << 20, LargestPickle = 512 << 20;
    private readonly string _path;
    private readonly long _length;
    private readonly Dictionary<string, (long Begin, long Size, uint Sum)> _records = new(StringComparer.Ordinal);

    private TorchZip(string path, long length) => (_path, _length) = (path, length);

    /// <summary>Reads the directory, checks every record's sum, and reads the pickle.</summary>
    /// <param name="path">The file.</param>
    /// <param name="tensor">Makes a named tensor of a view in the pickle.</param>
    /// <returns>The top object of data.pkl.</returns>
    internal static object? Read(string path, out Func<string, TorchTensor, StateTensor> tensor)
    {
        using var file = SafeTensors.Open(path);
        var zip = new TorchZip(path, RandomAccess.GetLength(file));
        zip.ReadDirectory(file);
        string[] roots = [.. zip._records.Keys.Where(n => n.EndsWith("/data.pkl", StringComparison.Ordinal) || n == "data.pkl")];
        if (roots.Length == 0) throw zip.Broken("the archive has no data.pkl: it is not a PyTorch checkpoint", null);
        if (roots.Length > 1) throw zip.Broken("the archive has data.pkl in two folders");
        string root = roots[0][..^"data.pkl".Length];
        foreach (var (name, r) in zip._records) zip.CheckSum(file, name, r);
        if (zip._records.TryGetValue(root + "byteorder", out var order) && order.Size <= 16 && Encoding.ASCII.GetString(zip.Bytes(file, order)).Trim() == "big")
            throw zip.Broken("the numbers are big-endian", "save the checkpoint on a little-endian machine");
        var pickle = zip._records[roots[0]];
        if (pickle.Size > LargestPickle) throw zip.Broken($"data.pkl of {pickle.Size} bytes");
        int at = 0;
        object? top = Unpickler.Read(path, zip.Bytes(file, pickle), ref at);
        tensor = (name, t) => zip.Open(root, name, t);
        return top;
    }

    private StateTensor Open(string root, string name, TorchTensor t)
    {
        if (!_records.TryGetValue(root + "data/" + t.Storage.Key, out var record)) throw new CheckpointException(_path, name, $"storage {t.Storage.Key} is not in the archive");
        if (t.Storage.DType is { } dtype && t.Storage.Count > record.Size / dtype.Size())
            throw new CheckpointException(_path, name, $"storage {t.Storage.Key} is said to hold {t.Storage.Count} elements, its record has {record.Size} bytes");
        return StorageView.Open(_path, _length, name, t, record.Begin);
    }

    private void ReadDirectory(SafeFileHandle file)
    {
        int tail = (int)Math.Min(_length, 22 + 65_535 + 20);
        var bytes = new byte[tail];
        SafeTensors.ReadExactly(file, bytes, _length - tail, _path);
        int end = -1;
        for (int i = tail - 22; i >= 0 && end < 0; i--)
            if (BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(i)) == End) end = i;
        if (end < 0) throw Broken("the archive's end is missing: the file was cut short");
        var e = bytes.AsSpan(end);
        long count = U16(e, 10), size = U32(e, 12), offset = U32(e, 16);
        if ((count == 0xffff || size == 0xffffffff || offset == 0xffffffff) && end >= 20 && U32(bytes.AsSpan(end - 20), 0) == Locator64)
        {
            long at = (long)U64(bytes.AsSpan(end - 20), 8);
            if (at < 0 || at > _length - 56) throw Broken("the archive's directory lies outside the file");
            var wide = new byte[56];
            SafeTensors.ReadExactly(file, wide, at, _path);
            if (U32(wide, 0) != End64) throw Broken("the archive's zip64 directory is damaged");
            (count, size, offset) = ((long)U64(wide, 32), (long)U64(wide, 40), (long)U64(wide, 48));
        }
        if (offset < 0 || size < 0 || size > LargestDirectory || offset > _length - size) throw Broken("the archive's directory lies outside the file");
        var directory = new byte[size];
        SafeTensors.ReadExactly(file, directory, offset, _path);
        ReadEntries(file, directory, count);
    }

    private void ReadEntries(SafeFileHandle file, byte[] directory, long count)
    {
        int at = 0;
        for (long i = 0; i < count; i++)
        {
            if (at > directory.Length - 46 || U32(directory.AsSpan(at), 0) != Entry) throw Broken("the archive's directory is damaged");
            var e = directory.AsSpan(at);
            int nameLength = U16(e, 28), extraLength = U16(e, 30), commentLength = U16(e, 32);
            if (at + 46L + nameLength + extraLength + commentLength > directory.Length) throw Broken("the archive's directory is damaged");
            string name = Encoding.UTF8.GetString(e.Slice(46, nameLength));
            long packed = U32(e, 20), size = U32(e, 24), local = U32(e, 42);
            Zip64(e.Slice(46 + nameLength, extraLength), ref size, ref packed, ref local);
            if (name.StartsWith('/') || name.Contains('\\') || name.Contains(':') || name.Split('/').Contains("..")) throw new CheckpointException(_path, name, "the record's name climbs out of the archive");
            if (U16(e, 10) != 0 || packed != size) throw new CheckpointException(_path, name, "the record is compressed, which PyTorch never does; it may expand without bound", "save the checkpoint again with torch.save");
            if ((U16(e, 8) & 1) != 0) throw new CheckpointException(_path, name, "the record is encrypted");
            if (size < 0 || local < 0 || local > _length - 30) throw new CheckpointException(_path, name, "the record lies outside the file");
            var header = new byte[30];
            SafeTensors.ReadExactly(file, header, local, _path);
            long begin = local + 30 + U16(header, 26) + U16(header, 28);
            if (U32(header, 0) != LocalHeader || begin > _length || size > _length - begin) throw new CheckpointException(_path, name, "the record lies outside the file: it was cut short");
            if (!_records.TryAdd(name, (begin, size, U32(e, 16)))) throw new CheckpointException(_path, name, "the record appears twice");
            at += 46 + nameLength + extraLength + commentLength;
        }
    }

    private static void Zip64(ReadOnlySpan<byte> extra, ref long size, ref long packed, ref long local)
    {
        while (extra.Length >= 4)
        {
            int length = U16(extra, 2);
            if (length > extra.Length - 4) return;
            if (U16(extra, 0) == 1)
            {
                var field = extra.Slice(4, length);
                if (size == 0xffffffff && field.Length >= 8) { size = (long)U64(field, 0); field = field[8..]; }
                if (packed == 0xffffffff && field.Length >= 8) { packed = (long)U64(field, 0); field = field[8..]; }
                if (local == 0xffffffff && field.Length >= 8) local = (long)U64(field, 0);
                return;
            }
            extra = extra[(4 + length)..];
        }
    }

    private void CheckSum(SafeFileHandle file, string name, (long Begin, long Size, uint Sum) record)
    {
        var sum = new Crc32();
        var buffer = new byte[(int)Math.Min(1 << 16, Math.Max(1, record.Size))];
        for (long done = 0; done < record.Size;)
        {
            var part = buffer.AsSpan(0, (int)Math.Min(buffer.Length, record.Size - done));
            SafeTensors.ReadExactly(file, part, record.Begin + done, _path);
            sum.Append(part);
            done += part.Length;
        }
        if (sum.Value != record.Sum) throw new CheckpointException(_path, name, "the record's sum is wrong: the file is damaged", "download it again");
    }

    private byte[] Bytes(SafeFileHandle file, (long Begin, long Size, uint Sum) record)
    {
        var bytes = new byte[record.Size];
        SafeTensors.ReadExactly(file, bytes, record.Begin, _path);
        return bytes;
    }

    private static int U16(ReadOnlySpan<byte> b, int at) => BinaryPrimitives.ReadUInt16LittleEndian(b[at..]);
    private static uint U32(ReadOnlySpan<byte> b, int at) => BinaryPrimitives.ReadUInt32LittleEndian(b[at..]);
    private static ulong U64(ReadOnlySpan<byte> b, int at) => BinaryPrimitives.ReadUInt64LittleEndian(b[at..]);

    private CheckpointException Broken(string problem, string? remedy = "download it again") => new(_path, null, problem, remedy);
}
