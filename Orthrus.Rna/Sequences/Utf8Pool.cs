using System.Buffers;
using System.Text;

namespace Orthrus.Rna;

/// <summary>
/// Numbers distinct byte strings 0, 1, 2, ... and keeps each once: an annotation repeats the same few names millions of times.
/// </summary>
internal sealed class Utf8Pool
{
    private const int ChunkSize = 1 << 20;

    private readonly List<byte[]> _chunks = [];
    private readonly ChunkedList<(int Chunk, int Start, int Length)> _items = new();
    private string?[] _strings = [];
    private int[] _slots = new int[1024];
    private int[] _hashes = new int[256];
    private int _used;

    internal int Count => _items.Count;

    /// <summary>The string with this number, which is made once and kept.</summary>
    internal string this[int number]
    {
        get
        {
            if (number >= _strings.Length) Array.Resize(ref _strings, Math.Max(Count, Math.Min(2 * _strings.Length, _hashes.Length)));
            return _strings[number] ??= Text(number);
        }
    }

    /// <summary>The string with this number, made anew: for names that are asked for once and would fill memory.</summary>
    internal string Text(int number) => FastaReader.Text(Bytes(number));

    internal ReadOnlySpan<byte> Bytes(int number)
    {
        var (chunk, start, length) = _items[number];
        return _chunks[chunk].AsSpan(start, length);
    }

    /// <summary>The number of a string, which is taken in where it is new.</summary>
    internal int Add(ReadOnlySpan<byte> text)
    {
        int hash = Hash(text), number = Find(text, hash);
        return number < 0 ? Insert(text, hash) : number;
    }

    /// <summary>The number of a string, -1 where it is not there.</summary>
    internal int Find(ReadOnlySpan<byte> text) => Find(text, Hash(text));

    /// <summary>The number of a string, which is taken in where it is new.</summary>
    internal int Add(string text) => Ask(text, add: true);

    /// <summary>The number of a string, -1 where it is not there.</summary>
    internal int Find(string text) => Ask(text, add: false);

    private int Ask(string text, bool add)
    {
        int most = Encoding.UTF8.GetMaxByteCount(text.Length);
        byte[]? rented = most <= 256 ? null : ArrayPool<byte>.Shared.Rent(most);
        Span<byte> bytes = rented is null ? stackalloc byte[256] : rented;
        bytes = bytes[..Encoding.UTF8.GetBytes(text, bytes)];
        int number = add ? Add(bytes) : Find(bytes);
        if (rented is not null) ArrayPool<byte>.Shared.Return(rented);
        return number;
    }

    private int Find(ReadOnlySpan<byte> text, int hash)
    {
        int mask = _slots.Length - 1;
        for (int slot = hash & mask; ; slot = (slot + 1) & mask)
        {
            int number = _slots[slot] - 1;
            if (number < 0 || (_hashes[number] == hash && Bytes(number).SequenceEqual(text))) return number;
        }
    }

    private int Insert(ReadOnlySpan<byte> text, int hash)
    {
        if (_chunks.Count == 0 || _used + text.Length > _chunks[^1].Length)
        {
            _chunks.Add(new byte[Math.Max(ChunkSize, text.Length)]);
            _used = 0;
        }
        text.CopyTo(_chunks[^1].AsSpan(_used));
        int number = _items.Count;
        _items.Add((_chunks.Count - 1, _used, text.Length));
        _used += text.Length;
        if (number == _hashes.Length) Array.Resize(ref _hashes, number * 2);
        _hashes[number] = hash;
        if (_items.Count * 2 > _slots.Length) Rebuild();
        else Place(number);
        return number;
    }

    private void Rebuild()
    {
        _slots = new int[_slots.Length * 2];
        for (int i = 0; i < _items.Count; i++) Place(i);
    }

    private void Place(int number)
    {
        int mask = _slots.Length - 1, slot = _hashes[number] & mask;
        while (_slots[slot] != 0) slot = (slot + 1) & mask;
        _slots[slot] = number + 1;
    }

    // FNV-1a over bytes with a final mix, so that identifiers that differ in their last digits spread.
    private static int Hash(ReadOnlySpan<byte> text)
    {
        ulong h = 14695981039346656037;
        foreach (byte b in text) h = (h ^ b) * 1099511628211;
        h ^= h >> 32;
        h *= 0x9E3779B97F4A7C15;
        return (int)(h >> 33);
    }
}
