using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using Orthrus.Mamba;
using Orthrus.Rna;

namespace Orthrus.Train;

/// <summary>A gene of a corpus that is being written.</summary>
/// <param name="Species">Number of its species.</param>
/// <param name="Id">Identifier within the species.</param>
/// <param name="Symbol">Symbol, empty where there is none.</param>
/// <param name="Group">Number of its homology group.</param>
/// <param name="Family">Number of its family.</param>
internal readonly record struct CorpusGene(int Species, string Id, string Symbol, int Group, int Family);

/// <summary>
/// Writes a corpus file. Tracks go to disk as they come; about eighty bytes a transcript stay in memory. The file is written aside and renamed at the end, so
/// that whatever stops it leaves no half corpus under the name.
/// </summary>
internal sealed class CorpusWriter : IDisposable
{
    // Tensors follow the header, and it is known last: room is left for it and what is not used is filled with spaces, as the format allows.
    private const int LeastHeader = 1 << 14;

    private readonly FilesAside _aside = new();
    private readonly Stream _file;
    private readonly FileStream _ids;
    private readonly int _header;
    private readonly Sha256 _trackSum = new();
    private readonly ChunkedList<long> _offsets = new(), _idOffsets = new();
    private readonly ChunkedList<int> _genes = new(), _first = new(), _last = new();
    private readonly ChunkedList<byte> _flags = new();
    private readonly SumSet<UInt128> _seen = new();
    private long _nucleotides;

    /// <summary>Begins a file.</summary>
    /// <param name="path">The file to make or replace.</param>
    /// <param name="metadataRoom">Bytes that the metadata may take.</param>
    internal CorpusWriter(string path, int metadataRoom)
    {
        _offsets.Add(0);
        _idOffsets.Add(0);
        _header = (LeastHeader + metadataRoom + 7) / 8 * 8;
        _file = new BufferedStream(_aside.Create(path), 1 << 20);
        try
        {
            _file.Position = 8 + _header;
            _ids = new FileStream(path + ".ids.partial", FileMode.Create, FileAccess.ReadWrite, FileShare.None, 1 << 16, FileOptions.DeleteOnClose);
        }
        catch
        {
            _aside.Dispose();
            throw;
        }
    }

    internal int Count => _genes.Count;

    internal long Nucleotides => _nucleotides;

    /// <summary>True where an identifier was not there before in its species.</summary>
    internal bool IsNew(string species, string id) => _seen.Add(Hash(species, id));

    /// <summary>Appends a transcript.</summary>
    /// <param name="id">Identifier.</param>
    /// <param name="tracks">Track bytes, at least one.</param>
    /// <param name="gene">Number of its gene; what the numbers mean is said to <see cref="Finish"/>.</param>
    /// <param name="flags">What is known of it; <see cref="TranscriptFlags.Coding"/> is set here.</param>
    internal void Add(string id, ReadOnlySpan<byte> tracks, int gene, TranscriptFlags flags)
    {
        var (first, last) = Augment.Marks(tracks);
        _file.Write(tracks);
        _trackSum.Append(tracks);
        _ids.Write(Encoding.UTF8.GetBytes(id));
        _offsets.Add(_nucleotides += tracks.Length);
        _idOffsets.Add(_ids.Position);
        _genes.Add(gene);
        _first.Add(first);
        _last.Add(last);
        _flags.Add((byte)(first < 0 ? flags : flags | TranscriptFlags.Coding));
    }

    /// <summary>Gene of a transcript, as it was given to <see cref="Add"/>.</summary>
    internal int GeneOf(int transcript) => _genes[transcript];

    /// <summary>Length of a transcript.</summary>
    internal int LengthOf(int transcript) => (int)(_offsets[transcript + 1] - _offsets[transcript]);

    /// <summary>Identifier and gene of every transcript, read back from disk.</summary>
    internal IEnumerable<(string Id, int Gene)> Ids()
    {
        _ids.Flush();
        using var copy = new BinaryReader(_ids, Encoding.UTF8, leaveOpen: true);
        _ids.Position = 0;
        for (int i = 0; i < Count; i++) yield return (Encoding.UTF8.GetString(copy.ReadBytes((int)(_idOffsets[i + 1] - _idOffsets[i]))), _genes[i]);
        _ids.Position = _idOffsets[Count];
    }

    /// <summary>Writes the tables and gives the file its name.</summary>
    /// <param name="genes">Genes by the numbers of <see cref="Add"/>, in any order.</param>
    /// <param name="order">All numbers of genes, sorted by group, then species: the order of the file.</param>
    /// <param name="groups">Names of the homology groups.</param>
    /// <param name="families">Names of the families.</param>
    /// <param name="species">Names of the species.</param>
    /// <param name="splits">Split of each transcript.</param>
    /// <param name="metadata">Strings for __metadata__.</param>
    internal void Finish(IReadOnlyList<CorpusGene> genes, int[] order, IReadOnlyList<string> groups, IReadOnlyList<string> families, IReadOnlyList<string> species,
        byte[] splits, IReadOnlyDictionary<string, string> metadata)
    {
        var place = new int[genes.Count];
        for (int i = 0; i < order.Length; i++) place[order[i]] = i;
        var geneOf = new int[Count];
        for (int i = 0; i < geneOf.Length; i++) geneOf[i] = place[_genes[i]];
        var sorted = order.Select(g => genes[g]).ToArray();
        long[] geneFirst = Firsts(geneOf, genes.Count), groupFirst = Firsts([.. sorted.Select(g => g.Group)], groups.Count);
        var members = new int[Count];
        var next = geneFirst[..^1];
        for (int i = 0; i < geneOf.Length; i++) members[next[geneOf[i]]++] = i;

        long padding = (8 - _nucleotides % 8) % 8;
        Span<byte> zeros = stackalloc byte[(int)padding];
        zeros.Clear();
        _file.Write(zeros);
        _trackSum.Append(zeros);
        var tensors = new List<(string Name, string Type, long Count, long Bytes)> { (CorpusFormat.Tracks, "U8", _nucleotides + padding, _nucleotides + padding) };
        var sum = new Sha256();
        var names = new (string Name, IReadOnlyList<string> Values)[]
        {
            (CorpusFormat.GeneId, [.. sorted.Select(g => g.Id)]), (CorpusFormat.GeneSymbol, [.. sorted.Select(g => g.Symbol)]),
            (CorpusFormat.GroupName, groups), (CorpusFormat.FamilyName, families), (CorpusFormat.SpeciesName, species),
        };
        // By element size, largest first: each tensor is aligned to its elements without gaps.
        PutList(CorpusFormat.Offset, "I64", _offsets);
        Put(CorpusFormat.GeneFirst, "I64", geneFirst);
        Put(CorpusFormat.GroupFirst, "I64", groupFirst);
        PutList(CorpusFormat.IdOffset, "I64", _idOffsets);
        foreach (var (name, values) in names) Put(name + "_offset", "I64", Offsets(values));
        Put(CorpusFormat.Member, "I32", members);
        Put(CorpusFormat.Gene, "I32", geneOf);
        PutList(CorpusFormat.FirstMark, "I32", _first);
        PutList(CorpusFormat.LastMark, "I32", _last);
        Put(CorpusFormat.GeneGroup, "I32", sorted.Select(g => g.Group).ToArray());
        Put(CorpusFormat.GeneFamily, "I32", sorted.Select(g => g.Family).ToArray());
        Put(CorpusFormat.GeneSpecies, "I32", sorted.Select(g => g.Species).ToArray());
        PutList(CorpusFormat.Flags, "U8", _flags);
        Put(CorpusFormat.Split, "U8", splits);
        PutIds();
        foreach (var (name, values) in names) PutText(name + "_text", values);

        var all = new Dictionary<string, string>(metadata)
        {
            [CorpusFormat.KeyFormat] = CorpusFormat.Kind, [CorpusFormat.KeyVersion] = CorpusFormat.Version,
            [CorpusFormat.KeyTracksHash] = _trackSum.Finish(), [CorpusFormat.KeyIndexHash] = sum.Finish(),
        };
        WriteHeader(tensors, all);
        _file.Flush();
        _aside.Commit();

        void Put<T>(string name, string type, ReadOnlySpan<T> values) where T : unmanaged => PutBytes(name, type, values.Length, MemoryMarshal.AsBytes(values));

        void PutBytes(string name, string type, long count, ReadOnlySpan<byte> bytes)
        {
            _file.Write(bytes);
            sum.Append(bytes);
            tensors.Add((name, type, count, bytes.Length));
        }

        void PutList<T>(string name, string type, ChunkedList<T> values) where T : unmanaged
        {
            long bytes = 0;
            foreach (var piece in values.Pieces())
            {
                var part = MemoryMarshal.AsBytes(piece.Span);
                _file.Write(part);
                sum.Append(part);
                bytes += part.Length;
            }
            tensors.Add((name, type, values.Count, bytes));
        }

        void PutText(string name, IReadOnlyList<string> values)
        {
            long bytes = 0;
            foreach (string value in values)
            {
                byte[] text = Encoding.UTF8.GetBytes(value);
                _file.Write(text);
                sum.Append(text);
                bytes += text.Length;
            }
            tensors.Add((name, "U8", bytes, bytes));
        }

        void PutIds()
        {
            _ids.Flush();
            _ids.Position = 0;
            var buffer = new byte[1 << 16];
            while (_ids.Read(buffer) is > 0 and var n)
            {
                _file.Write(buffer.AsSpan(0, n));
                sum.Append(buffer.AsSpan(0, n));
            }
            tensors.Add((CorpusFormat.IdText, "U8", _idOffsets[Count], _idOffsets[Count]));
        }
    }

    public void Dispose()
    {
        _ids.Dispose();
        _aside.Dispose();
    }

    private void WriteHeader(List<(string Name, string Type, long Count, long Bytes)> tensors, Dictionary<string, string> metadata)
    {
        using var header = new MemoryStream();
        using (var json = new Utf8JsonWriter(header))
        {
            json.WriteStartObject();
            json.WriteStartObject("__metadata__");
            foreach (var (k, v) in metadata.OrderBy(m => m.Key, StringComparer.Ordinal)) json.WriteString(k, v);
            json.WriteEndObject();
            long at = 0;
            foreach (var t in tensors)
            {
                json.WriteStartObject(t.Name);
                json.WriteString("dtype", t.Type);
                json.WriteStartArray("shape");
                json.WriteNumberValue(t.Count);
                json.WriteEndArray();
                json.WriteStartArray("data_offsets");
                json.WriteNumberValue(at);
                json.WriteNumberValue(at += t.Bytes);
                json.WriteEndArray();
                json.WriteEndObject();
            }
            json.WriteEndObject();
        }
        if (header.Length > _header) throw new InvalidOperationException($"the header takes {header.Length} bytes, room was left for {_header}");
        Span<byte> prefix = stackalloc byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(prefix, _header);
        _file.Position = 0;
        _file.Write(prefix);
        header.WriteTo(_file);
        _file.Write(Enumerable.Repeat((byte)' ', _header - (int)header.Length).ToArray());
    }

    // Where the entries of each number begin, when those are sorted by number.
    private static long[] Firsts(ReadOnlySpan<int> numbers, int limit)
    {
        var first = new long[limit + 1];
        foreach (int n in numbers) first[n + 1]++;
        for (int i = 0; i < limit; i++) first[i + 1] += first[i];
        return first;
    }

    private static long[] Offsets(IReadOnlyList<string> values)
    {
        var offsets = new long[values.Count + 1];
        for (int i = 0; i < values.Count; i++) offsets[i + 1] = offsets[i] + Encoding.UTF8.GetByteCount(values[i]);
        return offsets;
    }

    // Two independent 64-bit sums (FNV-1a and a multiplicative one): at fifty million ids a false "twice" has a chance below 1e-22.
    private static UInt128 Hash(string species, string id)
    {
        ulong a = 14695981039346656037, b = 0x9E3779B97F4A7C15;
        foreach (char c in species) Mix(c);
        Mix('\n');
        foreach (char c in id) Mix(c);
        return new UInt128(a, b);

        void Mix(char c)
        {
            a = (a ^ c) * 1099511628211;
            b = System.Numerics.BitOperations.RotateLeft((b ^ c) * 0xD6E8FEB86659FD93, 29);
        }
    }
}
