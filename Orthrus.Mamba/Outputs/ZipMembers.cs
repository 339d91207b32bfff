using System.Buffers.Binary;
using System.Text;

namespace Orthrus.Mamba.Outputs;

/// <summary>
/// Stored (uncompressed) members of a zip file, appended to a stream that can seek, with 64-bit sizes everywhere (APPNOTE 4.3.9.2,
/// 4.5.3), so that one rule serves small and large members. Time stamps are the format's zero (1980-01-01): same members, same bytes.
/// </summary>
internal sealed class ZipMembers(Stream stream)
{
    private const uint LocalSignature = 0x04034b50, CentralSignature = 0x02014b50;
    private const int LocalFixed = 30, LocalExtra = 20;
    private const ushort Version = 45, Utf8Names = 1 << 11, FirstDay = (1 << 5) | 1;

    private readonly List<(byte[] Name, uint Crc, long Size, long Offset)> _members = [];
    private byte[] _name = [];
    private long _offset;
    private Crc32 _crc;
    private long _size;

    /// <summary>Longest name of a member in bytes, less what an ending needs.</summary>
    internal const int LongestName = 60_000;

    internal void Begin(string name)
    {
        _name = Encoding.UTF8.GetBytes(name);
        _offset = stream.Position;
        _crc = default;
        _size = 0;
        stream.Write(LocalHeader());
    }

    internal void Append(ReadOnlySpan<byte> data)
    {
        stream.Write(data);
        _crc.Append(data);
        _size += data.Length;
    }

    /// <summary>Bytes of the open member before now, e.g. its array header, replaced by others of the same length.</summary>
    internal void ReplaceHead(ReadOnlySpan<byte> head)
    {
        // The sum runs over the whole member, so that a changed beginning means reading the rest again.
        long end = stream.Position, begin = _offset + LocalFixed + _name.Length + LocalExtra;
        stream.Position = begin;
        stream.Write(head);
        stream.Flush();
        stream.Position = begin;
        Rescan(end - begin);
    }

    internal void End()
    {
        long end = stream.Position;
        stream.Position = _offset;
        stream.Write(LocalHeader());
        stream.Position = end;
        _members.Add((_name, _crc.Value, _size, _offset));
    }

    /// <summary>Steps over an open member's data that the stream already holds; false where it ends too early.</summary>
    internal bool SkipData(long bytes)
    {
        if (stream.Position + bytes > stream.Length) return false;
        stream.Position += bytes;
        _size += bytes;
        return true;
    }

    /// <summary>Begins a member whose header the stream already holds; false where it holds another.</summary>
    internal bool Reopen(string name)
    {
        _name = Encoding.UTF8.GetBytes(name);
        _offset = stream.Position;
        _crc = default;
        _size = 0;
        return Held(out _, out _);
    }

    /// <summary>Steps over a complete member that the stream already holds; false where it holds another.</summary>
    internal bool SkipMember(string name, long size)
    {
        _name = Encoding.UTF8.GetBytes(name);
        _offset = stream.Position;
        if (!Held(out uint crc, out long held) || held != size || stream.Position + size > stream.Length) return false;
        stream.Position += size;
        _members.Add((_name, crc, size, _offset));
        return true;
    }

    /// <summary>Writes the directory, after which the file is complete.</summary>
    internal void Finish()
    {
        long directory = stream.Position;
        foreach (var (name, crc, size, offset) in _members)
        {
            var h = new byte[46 + name.Length + 28];
            var at = new Fields(h);
            at.U32(CentralSignature); at.U16(Version); at.U16(Version); at.U16(Utf8Names); at.U16(0);
            at.U16(0); at.U16(FirstDay); at.U32(crc); at.U32(uint.MaxValue); at.U32(uint.MaxValue);
            at.U16(name.Length); at.U16(28); at.U16(0); at.U16(0); at.U16(0); at.U32(0); at.U32(uint.MaxValue);
            at.Raw(name);
            at.U16(1); at.U16(24); at.U64(size); at.U64(size); at.U64(offset);
            stream.Write(h);
        }
        long end = stream.Position;
        var tail = new byte[56 + 20 + 22];
        var t = new Fields(tail);
        t.U32(0x06064b50); t.U64(44); t.U16(Version); t.U16(Version); t.U32(0); t.U32(0);
        t.U64(_members.Count); t.U64(_members.Count); t.U64(end - directory); t.U64(directory);
        t.U32(0x07064b50); t.U32(0); t.U64(end); t.U32(1);
        t.U32(0x06054b50); t.U16(0); t.U16(0); t.U16(ushort.MaxValue); t.U16(ushort.MaxValue);
        t.U32(uint.MaxValue); t.U32(uint.MaxValue); t.U16(0);
        stream.Write(tail);
    }

    private byte[] LocalHeader()
    {
        var h = new byte[LocalFixed + _name.Length + LocalExtra];
        var at = new Fields(h);
        at.U32(LocalSignature); at.U16(Version); at.U16(Utf8Names); at.U16(0); at.U16(0); at.U16(FirstDay);
        at.U32(_crc.Value); at.U32(uint.MaxValue); at.U32(uint.MaxValue); at.U16(_name.Length); at.U16(LocalExtra);
        at.Raw(_name);
        at.U16(1); at.U16(16); at.U64(_size); at.U64(_size);
        return h;
    }

    private bool Held(out uint crc, out long size)
    {
        (crc, size) = (0, 0);
        var h = new byte[LocalFixed + _name.Length + LocalExtra];
        if (stream.ReadAtLeast(h, h.Length, throwOnEndOfStream: false) < h.Length) return false;
        if (BinaryPrimitives.ReadUInt32LittleEndian(h) != LocalSignature || !h.AsSpan(LocalFixed, _name.Length).SequenceEqual(_name)) return false;
        if (BinaryPrimitives.ReadUInt16LittleEndian(h.AsSpan(26)) != _name.Length) return false;
        crc = BinaryPrimitives.ReadUInt32LittleEndian(h.AsSpan(14));
        size = BinaryPrimitives.ReadInt64LittleEndian(h.AsSpan(LocalFixed + _name.Length + 4));
        return true;
    }

    private void Rescan(long bytes)
    {
        _crc = default;
        var buffer = new byte[1 << 20];
        for (long left = bytes; left > 0;)
        {
            int n = stream.Read(buffer, 0, (int)Math.Min(buffer.Length, left));
            if (n == 0) throw new EndOfStreamException();
            _crc.Append(buffer.AsSpan(0, n));
            left -= n;
        }
    }

    /// <summary>Little-endian fields one after the other.</summary>
    private ref struct Fields(Span<byte> bytes)
    {
        private Span<byte> _rest = bytes;

        internal void U16(int v) { BinaryPrimitives.WriteUInt16LittleEndian(_rest, checked((ushort)v)); _rest = _rest[2..]; }
        internal void U32(uint v) { BinaryPrimitives.WriteUInt32LittleEndian(_rest, v); _rest = _rest[4..]; }
        internal void U64(long v) { BinaryPrimitives.WriteInt64LittleEndian(_rest, v); _rest = _rest[8..]; }
        internal void Raw(ReadOnlySpan<byte> v) { v.CopyTo(_rest); _rest = _rest[v.Length..]; }
    }
}
