using System.Buffers.Binary;
using System.Globalization;
using Orthrus.Rna;

namespace Orthrus.Mamba.Outputs;

/// <summary>npz: members embeddings (records, width), ids (text) and lengths (int64).</summary>
internal sealed class NpzEmbeddings : EmbeddingWriter
{
    private const string Member = "embeddings.npy";
    private const int LongestId = 1024;

    private readonly ZipMembers _zip;
    private readonly List<string> _ids = [];
    private readonly List<long> _lengths = [];
    private bool _begun;
    private int _widest = 1;

    internal NpzEmbeddings(Stream stream, EmbeddingLayout layout) : base(stream, layout) => _zip = new ZipMembers(stream);

    private protected override void AddVector(string id, long length, ReadOnlySpan<float> single, ReadOnlySpan<double> wide)
    {
        Begin();
        Note(id, length);
        _zip.Append(Bytes(single, wide));
    }

    private protected override void ReplayRecord(string id, long length)
    {
        if (!_begun)
        {
            _begun = true;
            if (!_zip.Reopen(Member) || !_zip.SkipData(NpyHeader.Size)) throw NotHeld(id);
        }
        if (!_zip.SkipData(Layout.VectorBytes)) throw NotHeld(id);
        Note(id, length);
    }

    private protected override ReadOnlyMemory<byte> FinishStream()
    {
        Begin();
        _zip.ReplaceHead(NpyHeader.Of(NpyHeader.Descr(Layout.DType), Records, Layout.Width));
        _zip.End();

        // NumPy's text is UTF-32, as wide as the longest; a row at a time keeps it out of memory.
        _zip.Begin("ids.npy");
        _zip.Append(NpyHeader.Of("<U" + _widest.ToString(CultureInfo.InvariantCulture), Records));
        var cell = new byte[4 * _widest];
        foreach (string id in _ids)
        {
            Array.Clear(cell);
            int at = 0;
            foreach (var rune in id.EnumerateRunes())
            {
                BinaryPrimitives.WriteInt32LittleEndian(cell.AsSpan(at), rune.Value);
                at += 4;
            }
            _zip.Append(cell);
        }
        _zip.End();

        _zip.Begin("lengths.npy");
        _zip.Append(NpyHeader.Of("<i8", Records));
        var number = new byte[8];
        foreach (long length in _lengths)
        {
            BinaryPrimitives.WriteInt64LittleEndian(number, length);
            _zip.Append(number);
        }
        _zip.End();
        _zip.Finish();
        return default;
    }

    private void Begin()
    {
        if (_begun) return;
        _begun = true;
        _zip.Begin(Member);
        _zip.Append(NpyHeader.Of(NpyHeader.Descr(Layout.DType), 0, Layout.Width));
    }

    private void Note(string id, long length)
    {
        if (id.Length > LongestId)
            throw new InputDataException(null, "record " + id[..40] + "...", $"npz holds identifiers of at most {LongestId} characters, this one has {id.Length}", "shorten it, or write npy");
        _ids.Add(id);
        _lengths.Add(length);
        int runes = 0;
        foreach (var _ in id.EnumerateRunes()) runes++;
        _widest = Math.Max(_widest, runes);
    }
}

/// <summary>npz with one member (length, width) per record, named by its identifier.</summary>
internal sealed class NpzPositions : EmbeddingWriter
{
    private readonly ZipMembers _zip;
    private readonly UniqueNames _names = new(ZipMembers.LongestName, files: true);

    internal NpzPositions(Stream stream, EmbeddingLayout layout) : base(stream, layout) => _zip = new ZipMembers(stream);

    private protected override void AddVector(string id, long length, ReadOnlySpan<float> single, ReadOnlySpan<double> wide) =>
        throw new InvalidOperationException("the layout has one array per record");

    private protected override void BeginArray(string id, long length)
    {
        ArrayName = _names.Next(id, Records);
        _zip.Begin(ArrayName + ".npy");
        _zip.Append(NpyHeader.Of(NpyHeader.Descr(Layout.DType), length, Layout.Width));
    }

    private protected override void AppendArray(ReadOnlySpan<byte> values) => _zip.Append(values);

    private protected override void EndArray() => _zip.End();

    private protected override void ReplayRecord(string id, long length)
    {
        if (!_zip.SkipMember(_names.Next(id, Records) + ".npy", NpyHeader.Size + length * Layout.VectorBytes)) throw NotHeld(id);
    }

    private protected override ReadOnlyMemory<byte> FinishStream()
    {
        _zip.Finish();
        return default;
    }
}
