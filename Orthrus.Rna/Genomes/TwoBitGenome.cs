using System.Buffers.Binary;
using Microsoft.Win32.SafeHandles;

namespace Orthrus.Rna;

/// <summary>
/// A 2bit genome that stays on disk: versions 0 and 1 (64-bit offsets), either byte order. N blocks give unknown bases; mask blocks (lower
/// case) are passed over, since case carries no meaning here.
/// </summary>
internal sealed class TwoBitGenome : Genome
{
    private const uint Signature = 0x1A412743;

    private sealed class Contig
    {
        internal long Record, Packed;
        internal List<(long Start, long End)>? Unknown;
    }

    private readonly SafeFileHandle _file;
    private readonly bool _bigEndian;
    private readonly long _size;
    private readonly List<Contig> _contigs = [];
    private byte[] _buffer = new byte[1 << 14];

    private TwoBitGenome(string path, SafeFileHandle file) : base(path)
    {
        _file = file;
        _size = RandomAccess.GetLength(file);
        Span<byte> head = stackalloc byte[16];
        ReadFully(head, 0, "header");
        _bigEndian = BinaryPrimitives.ReadUInt32LittleEndian(head) != Signature;
        uint version = Word(head[4..]), count = Word(head[8..]);
        if (version > 1) throw Damaged(null, $"2bit version {version} is unknown", "convert it with faToTwoBit");
        ReadIndex(count, version == 1);
    }

    internal static bool HasSignature(ReadOnlySpan<byte> head) => head.Length >= 4
        && (BinaryPrimitives.ReadUInt32LittleEndian(head) == Signature || BinaryPrimitives.ReadUInt32BigEndian(head) == Signature);

    internal static TwoBitGenome OpenFile(string path)
    {
        var file = File.OpenHandle(path);
        try
        {
            return new TwoBitGenome(path, file);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    private void ReadIndex(uint count, bool wide)
    {
        long at = 16;
        Span<byte> entry = stackalloc byte[256 + 8], size = stackalloc byte[4];
        for (uint i = 0; i < count; i++)
        {
            ReadFully(entry[..1], at, "index");
            int nameLength = entry[0], width = wide ? 8 : 4;
            ReadFully(entry[..(nameLength + width)], at + 1, "index");
            string name = FastaReader.Text(entry[..nameLength]);
            var offset = entry.Slice(nameLength, width);
            long record = wide ? (long)Math.Min(long.MaxValue, _bigEndian ? BinaryPrimitives.ReadUInt64BigEndian(offset) : BinaryPrimitives.ReadUInt64LittleEndian(offset)) : Word(offset);
            at += 1 + nameLength + width;
            if (record > _size - 16) throw Damaged(name, "lies past the end of the file: it was cut short", "copy or download it again");
            ReadFully(size, record, name);
            // Four words stand before the bases: a length that the file cannot hold must not become an allocation.
            if (record + 16 + (Word(size) + 3L) / 4 > _size) throw Damaged(name, "the 2bit file is cut short", "copy or download it again");
            AddContig(name, Word(size));
            _contigs.Add(new Contig { Record = record });
        }
    }

    internal override void Read(int contig, long start, Span<byte> bits)
    {
        var source = _contigs[contig];
        if (source.Unknown is null) ReadBlocks(source, Names[contig], Length(contig));
        long firstByte = start / 4;
        int filled = 0;
        // T 0, C 1, A 2, G 3; the first base of four in the highest bits.
        ReadOnlySpan<byte> letters = [TrackByte.T, TrackByte.C, TrackByte.A, TrackByte.G];
        while (filled < bits.Length)
        {
            int wanted = (int)Math.Min(_buffer.Length, (start + bits.Length + 3) / 4 - firstByte);
            ReadFully(_buffer.AsSpan(0, wanted), source.Packed + firstByte, Names[contig]);
            long bufferEnd = (firstByte + wanted) * 4;
            for (long p = start + filled; p < bufferEnd && filled < bits.Length; p++, filled++)
                bits[filled] = letters[(_buffer[(int)(p / 4 - firstByte)] >> (6 - 2 * (int)(p & 3))) & 3];
            firstByte += wanted;
        }
        Runs.Clear(source.Unknown!, start, bits);
    }

    private void ReadBlocks(Contig contig, string name, long length)
    {
        long at = contig.Record + 4;
        var unknown = ReadRuns(ref at, name, length);
        var masks = ReadCount(ref at, name);
        contig.Packed = at + masks * 8L + 4;
        if (contig.Packed + (length + 3) / 4 > _size) throw Damaged(name, "the 2bit file is cut short", "copy or download it again");
        contig.Unknown = unknown;
    }

    private List<(long, long)> ReadRuns(ref long at, string name, long length)
    {
        int count = ReadCount(ref at, name);
        var bytes = new byte[count * 8L];
        ReadFully(bytes, at, name);
        at += bytes.Length;
        var runs = new List<(long, long)>(count);
        long previous = 0;
        for (int i = 0; i < count; i++)
        {
            long start = Word(bytes.AsSpan(4 * i)), size = Word(bytes.AsSpan(4 * (count + i)));
            if (start < previous || start + size > length) throw Damaged(name, "its N blocks contradict its length", "convert it again with faToTwoBit");
            runs.Add((start, previous = start + size));
        }
        return runs;
    }

    private int ReadCount(ref long at, string name)
    {
        Span<byte> word = stackalloc byte[4];
        ReadFully(word, at, name);
        at += 4;
        uint count = Word(word);
        // Each block takes 8 bytes: a greater count than the file can hold is damage, and must not become an allocation.
        if (count * 8L > _size - at) throw Damaged(name, "the 2bit file is cut short or damaged", "copy or download it again");
        return (int)count;
    }

    private uint Word(ReadOnlySpan<byte> at) => _bigEndian ? BinaryPrimitives.ReadUInt32BigEndian(at) : BinaryPrimitives.ReadUInt32LittleEndian(at);

    private void ReadFully(Span<byte> into, long offset, string what)
    {
        while (!into.IsEmpty)
        {
            int n = RandomAccess.Read(_file, into, offset);
            if (n == 0) throw Damaged(what, "the 2bit file is cut short", "copy or download it again");
            into = into[n..];
            offset += n;
        }
    }

    private InputDataException Damaged(string? contig, string problem, string remedy) => new(Path, contig, problem, remedy);

    public override void Dispose()
    {
        _file.Dispose();
        base.Dispose();
    }
}
