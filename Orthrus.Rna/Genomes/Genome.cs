namespace Orthrus.Rna;

/// <summary>
/// Random access to the bases of a genome as track bits (one of A, C, G, T, or 0 for unknown), by contig and 0-based position.
/// </summary>
internal abstract class Genome : IDisposable
{
    private readonly Dictionary<string, int> _byName = new(StringComparer.Ordinal);
    private readonly List<string> _names = [];
    private readonly List<long> _lengths = [];

    protected Genome(string path) => Path = path;

    internal string Path { get; }

    internal IReadOnlyList<string> Names => _names;

    /// <summary>Number of the contig, or -1.</summary>
    internal int Find(string name) => _byName.GetValueOrDefault(name, -1);

    internal long Length(int contig) => _lengths[contig];

    /// <summary>Bases [start, start + bits.Length) of a contig; the range must lie inside it.</summary>
    internal abstract void Read(int contig, long start, Span<byte> bits);

    /// <summary>Opens a 2bit file, a plain FASTA (indexed in place) or a compressed one (kept in memory at 2 bits a base).</summary>
    /// <param name="path">The file as typed, or "-".</param>
    /// <param name="remark">Takes remarks for the report.</param>
    internal static Genome Open(string path, Action<string> remark)
    {
        if (path != "-")
        {
            using var raw = InputFile.OpenRaw(path);
            Span<byte> head = stackalloc byte[4];
            int n = raw.ReadAtLeast(head, head.Length, throwOnEndOfStream: false);
            if (TwoBitGenome.HasSignature(head[..n])) return TwoBitGenome.OpenFile(path);
            if (n > 0 && raw.CanSeek && !GzipInput.IsGzip(head[..n]) && FastaIndex.Open(path, remark) is { } index) return new IndexedFastaGenome(path, index);
        }
        using var fasta = new FastaReader(path);
        return PackedGenome.Read(fasta);
    }

    protected int AddContig(string name, long length)
    {
        if (!_byName.TryAdd(name, _names.Count))
            throw new InputDataException(Path, "contig " + name, "occurs twice in the genome", "give each contig once");
        _names.Add(name);
        _lengths.Add(length);
        return _names.Count - 1;
    }

    protected void SetLength(int contig, long length) => _lengths[contig] = length;

    public virtual void Dispose() { }
}
