using System.IO.MemoryMappedFiles;
using System.Runtime.InteropServices;
using System.Text;
using Orthrus.Mamba;
using Orthrus.Rna;
using Orthrus.Tensor;

namespace Orthrus.Train;

/// <summary>
/// A corpus: transcripts as track bytes with their genes, homology groups, families, species and splits, in one safetensors file that is mapped into memory. Any
/// transcript is at hand without those before it; opening reads the tables of offsets, not the tracks. Safe to use from several threads.
/// </summary>
/// <remarks>
/// Genes stand sorted by homology group and species, and each gene lists its transcripts, so that the transcripts of a group, and in it those of a species, are
/// neighbours. The layout is in docs/CORPUS.md.
/// </remarks>
public sealed unsafe class CorpusFile : IDisposable
{
    private readonly MemoryMappedFile _map;
    private readonly MemoryMappedViewAccessor _view;
    private readonly byte* _base;
    private readonly Dictionary<string, SafeTensorEntry> _entries;
    private readonly byte* _tracks, _flags, _splits;
    private readonly long* _offsets, _geneFirst, _groupFirst;
    private readonly int* _members, _geneOf, _firstMark, _lastMark, _geneGroup, _geneFamily, _geneSpecies;
    private readonly NameTable _ids, _geneIds, _symbols, _groups, _families, _species;
    private int _disposed;

    private CorpusFile(string path, Dictionary<string, SafeTensorEntry> entries, IReadOnlyDictionary<string, string> metadata)
    {
        Path = path;
        Metadata = metadata;
        _entries = entries;
        // Extents are checked before anything is mapped: all pointers below stay inside the file.
        long offsets = Extent(CorpusFormat.Offset, DType.I64), genes = Extent(CorpusFormat.GeneFirst, DType.I64) - 1, groups = Extent(CorpusFormat.GroupFirst, DType.I64) - 1;
        if (offsets is < 2 or > int.MaxValue) throw Damaged(path, "it has no transcripts, or more than 2,147,483,646");
        if (genes is < 1 or > int.MaxValue || groups is < 1 or > int.MaxValue) throw Damaged(path, "it has no genes or no homology groups");
        Count = (int)(offsets - 1);
        Genes = (int)genes;
        Groups = (int)groups;
        foreach (string name in new[] { CorpusFormat.Member, CorpusFormat.Gene, CorpusFormat.FirstMark, CorpusFormat.LastMark }) Extent(name, DType.I32, Count);
        foreach (string name in new[] { CorpusFormat.GeneGroup, CorpusFormat.GeneFamily, CorpusFormat.GeneSpecies }) Extent(name, DType.I32, genes);
        foreach (string name in new[] { CorpusFormat.Flags, CorpusFormat.Split }) Extent(name, DType.U8, Count);
        TrackBytes = Extent(CorpusFormat.Tracks, DType.U8);
        var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0);
        _map = MemoryMappedFile.CreateFromFile(file, null, 0, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: false);
        _view = _map.CreateViewAccessor(0, 0, MemoryMappedFileAccess.Read);
        _view.SafeMemoryMappedViewHandle.AcquirePointer(ref _base);
        try
        {
            _tracks = At(CorpusFormat.Tracks);
            _flags = At(CorpusFormat.Flags);
            _splits = At(CorpusFormat.Split);
            _offsets = (long*)At(CorpusFormat.Offset);
            _geneFirst = (long*)At(CorpusFormat.GeneFirst);
            _groupFirst = (long*)At(CorpusFormat.GroupFirst);
            _members = (int*)At(CorpusFormat.Member);
            _geneOf = (int*)At(CorpusFormat.Gene);
            _firstMark = (int*)At(CorpusFormat.FirstMark);
            _lastMark = (int*)At(CorpusFormat.LastMark);
            _geneGroup = (int*)At(CorpusFormat.GeneGroup);
            _geneFamily = (int*)At(CorpusFormat.GeneFamily);
            _geneSpecies = (int*)At(CorpusFormat.GeneSpecies);
            _ids = Names("id", Count);
            _geneIds = Names(CorpusFormat.GeneId, genes);
            _symbols = Names(CorpusFormat.GeneSymbol, genes);
            _groups = Names(CorpusFormat.GroupName, groups);
            _families = Names(CorpusFormat.FamilyName, null);
            _species = Names(CorpusFormat.SpeciesName, null);
            CheckTables();
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>The file as the user named it.</summary>
    public string Path { get; }

    /// <summary>Provenance and counts: the strings of the file's __metadata__.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; }

    /// <summary>
    /// SHA-256, in hexadecimal, of what the file says of the hashes of its tracks and its tables: the same for two files from which the same pairs are drawn, whatever their
    /// names and sources. Nothing is read for it.
    /// </summary>
    public string Identity
    {
        get
        {
            using var text = new MemoryStream(Encoding.UTF8.GetBytes($"{Metadata[CorpusFormat.KeyTracksHash]} {Metadata[CorpusFormat.KeyIndexHash]}"));
            return Sha256.OfStream(text);
        }
    }

    /// <summary>Number of transcripts.</summary>
    public int Count { get; }

    /// <summary>Number of genes, each of one species.</summary>
    public int Genes { get; }

    /// <summary>Number of homology groups; a gene without homologs is a group of its own.</summary>
    public int Groups { get; }

    /// <summary>Number of families: what a split never cuts.</summary>
    public int Families => _families.Count;

    /// <summary>Number of species.</summary>
    public int SpeciesCount => _species.Count;

    /// <summary>Nucleotides of all transcripts.</summary>
    public long Nucleotides => _offsets[Count];

    /// <summary>Bytes of the tensor of tracks: the nucleotides, and zeros up to a multiple of eight.</summary>
    internal long TrackBytes { get; }

    /// <summary>Opens a corpus file and checks that all its tables agree.</summary>
    /// <exception cref="InputDataException">It cannot be read, is cut off or damaged, or is no corpus.</exception>
    public static CorpusFile Open(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        try
        {
            if (Directory.Exists(path)) throw new InputDataException(path, null, "is a folder", "name the corpus file");
            if (!File.Exists(path)) throw new InputDataException(path, null, "there is no such file", "build it with `orthrus corpus`, or check the path");
            var layout = SafeTensors.Layout(path, out var metadata);
            if (!metadata.TryGetValue(CorpusFormat.KeyFormat, out string? kind) || kind != CorpusFormat.Kind)
                throw new InputDataException(path, null, "is a safetensors file but no corpus", "give a file that `orthrus corpus` made");
            if (!metadata.TryGetValue(CorpusFormat.KeyVersion, out string? version) || version != CorpusFormat.Version)
                throw new InputDataException(path, null, $"is a corpus of format version {version ?? "unknown"}, this program reads version {CorpusFormat.Version}", "build it again with this program");
            var corpus = new CorpusFile(path, layout.ToDictionary(e => e.Name, StringComparer.Ordinal), metadata);
            if (metadata.ContainsKey(CorpusFormat.KeyTracksHash) && metadata.ContainsKey(CorpusFormat.KeyIndexHash)) return corpus;
            corpus.Dispose();
            throw Damaged(path, "it does not say the hashes of its tracks and tables");
        }
        catch (CheckpointException e)
        {
            string text = e.Message.StartsWith(path + ": ", StringComparison.Ordinal) ? e.Message[(path.Length + 2)..] : e.Message;
            int remedy = text.LastIndexOf(';');
            throw new InputDataException(path, null, "is no whole corpus file: " + (remedy < 0 ? text : text[..remedy]), "build it again with `orthrus corpus`", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new InputDataException(path, null, "the file cannot be read", "check its permissions", e);
        }
    }

    /// <summary>Length of a transcript in nucleotides.</summary>
    public int Length(int transcript) => (int)(_offsets[Check(transcript) + 1] - _offsets[transcript]);

    /// <summary>Track bytes of a transcript; see <see cref="TrackByte"/>. Valid until the file is disposed of.</summary>
    public ReadOnlySpan<byte> Tracks(int transcript) => new(_tracks + _offsets[Check(transcript)], Length(transcript));

    /// <summary>Identifier of a transcript.</summary>
    public string Id(int transcript) => _ids[Check(transcript)];

    /// <summary>What is known of a transcript.</summary>
    public TranscriptFlags Flags(int transcript) => (TranscriptFlags)_flags[Check(transcript)];

    /// <summary>Part of the corpus that a transcript belongs to.</summary>
    public CorpusSplit Split(int transcript) => (CorpusSplit)_splits[Check(transcript)];

    /// <summary>Gene of a transcript.</summary>
    public int Gene(int transcript) => _geneOf[Check(transcript)];

    /// <summary>Homology group of a transcript.</summary>
    public int Group(int transcript) => _geneGroup[Gene(transcript)];

    /// <summary>Species of a transcript.</summary>
    public int Species(int transcript) => _geneSpecies[Gene(transcript)];

    /// <summary>Positions of the first and the last codon mark of a transcript, (-1, -1) where it has none.</summary>
    public (int First, int Last) Marks(int transcript) => (_firstMark[Check(transcript)], _lastMark[transcript]);

    /// <summary>Homology group, family and species of a gene.</summary>
    public (int Group, int Family, int Species) GeneOf(int gene) => (_geneGroup[CheckGene(gene)], _geneFamily[gene], _geneSpecies[gene]);

    /// <summary>Transcripts of a gene, ascending. Valid until the file is disposed of.</summary>
    public ReadOnlySpan<int> TranscriptsOfGene(int gene) => new(_members + _geneFirst[CheckGene(gene)], (int)(_geneFirst[gene + 1] - _geneFirst[gene]));

    /// <summary>Genes of a homology group: first one and number; they are sorted by species.</summary>
    public (int First, int Count) GenesOfGroup(int group)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)group, (uint)Groups, nameof(group));
        return ((int)_groupFirst[group], (int)(_groupFirst[group + 1] - _groupFirst[group]));
    }

    /// <summary>Identifier of a gene within its species.</summary>
    public string GeneId(int gene) => _geneIds[CheckGene(gene)];

    /// <summary>Symbol of a gene, empty where it has none.</summary>
    public string GeneSymbol(int gene) => _symbols[CheckGene(gene)];

    /// <summary>Name of a homology group.</summary>
    public string GroupName(int group) => _groups[group];

    /// <summary>Name of a family.</summary>
    public string FamilyName(int family) => _families[family];

    /// <summary>Name of a species.</summary>
    public string SpeciesName(int species) => _species[species];

    /// <summary>Reads every byte and compares with the sums that were written into the file.</summary>
    /// <exception cref="InputDataException">A byte is not what was written.</exception>
    public void Verify()
    {
        Compare(CorpusFormat.KeyTracksHash, new UnmanagedMemoryStream(_tracks, TrackBytes));
        var sum = new Sha256();
        foreach (var e in _entries.Values.Where(e => e.Name != CorpusFormat.Tracks).OrderBy(e => e.Begin))
            for (long at = e.Begin; at < e.End; at += 1 << 20) sum.Append(new ReadOnlySpan<byte>(_base + at, (int)Math.Min(1 << 20, e.End - at)));
        Compare(CorpusFormat.KeyIndexHash, sum.Finish());

        void Compare(string key, object bytes)
        {
            string got = bytes is Stream stream ? Sha256.OfStream(stream) : (string)bytes;
            if (!Metadata.TryGetValue(key, out string? want) || want != got) throw Damaged(Path, $"{key} is not that of its bytes");
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0) return;
        if (_base is not null) _view.SafeMemoryMappedViewHandle.ReleasePointer();
        _view.Dispose();
        _map.Dispose();
    }

    internal static InputDataException Damaged(string path, string problem) => new(path, null, "the corpus is damaged: " + problem, "build it again with `orthrus corpus`");

    private byte* At(string name) => _base + _entries[name].Begin;

    private long Extent(string name, DType type, long? wanted = null)
    {
        if (!_entries.TryGetValue(name, out var e)) throw Damaged(Path, $"tensor {name} is missing");
        if (e.DType != type || e.Shape.Length != 1) throw Damaged(Path, $"tensor {name} is not a list of {type}");
        if (wanted is { } n && e.Shape[0] != n) throw Damaged(Path, $"tensor {name} has {e.Shape[0]} elements, {n} are wanted");
        if (e.Begin % type.Size() != 0) throw Damaged(Path, $"tensor {name} is not aligned");
        return e.Shape[0];
    }

    private NameTable Names(string name, long? count)
    {
        long n = Extent(name + "_offset", DType.I64) - 1, bytes = Extent(name + "_text", DType.U8);
        if (n is < 1 or > int.MaxValue || (count is { } wanted && n != wanted)) throw Damaged(Path, $"the table of names {name} has {n} entries");
        var offsets = new ReadOnlySpan<long>(At(name + "_offset"), (int)n + 1);
        CheckAscending(offsets, bytes, name + "_offset");
        return new NameTable((long*)At(name + "_offset"), At(name + "_text"), (int)n);
    }

    private void CheckTables()
    {
        var offsets = new ReadOnlySpan<long>(_offsets, Count + 1);
        if (offsets[^1] > TrackBytes || TrackBytes - offsets[^1] >= 8 || offsets[0] != 0) throw Damaged(Path, "the offsets do not cover the tracks");
        for (int i = 0; i < Count; i++)
            if (offsets[i + 1] - offsets[i] is <= 0 or > int.MaxValue) throw Damaged(Path, $"transcript {i} has no length");
        CheckAscending(new ReadOnlySpan<long>(_geneFirst, Genes + 1), Count, CorpusFormat.GeneFirst);
        CheckAscending(new ReadOnlySpan<long>(_groupFirst, Groups + 1), Genes, CorpusFormat.GroupFirst);
        CheckBelow(_geneOf, Count, Genes, CorpusFormat.Gene);
        CheckBelow(_members, Count, Count, CorpusFormat.Member);
        CheckBelow(_geneGroup, Genes, Groups, CorpusFormat.GeneGroup);
        CheckBelow(_geneFamily, Genes, Families, CorpusFormat.GeneFamily);
        CheckBelow(_geneSpecies, Genes, SpeciesCount, CorpusFormat.GeneSpecies);
        for (int g = 0; g < Genes; g++)
            foreach (int t in TranscriptsOfGene(g))
                if (_geneOf[t] != g) throw Damaged(Path, $"transcript {t} is listed under a gene that is not its own");
        for (int g = 0; g < Groups; g++)
            for (long gene = _groupFirst[g]; gene < _groupFirst[g + 1]; gene++)
                if (_geneGroup[gene] != g) throw Damaged(Path, $"gene {gene} is listed under a homology group that is not its own");
        for (int i = 0; i < Count; i++)
        {
            int length = (int)(offsets[i + 1] - offsets[i]), first = _firstMark[i], last = _lastMark[i];
            if (_splits[i] > (byte)CorpusSplit.Test) throw Damaged(Path, $"transcript {i} has an unknown split");
            if (first < 0 ? (first, last) != (-1, -1) : last < first || last >= length) throw Damaged(Path, $"codon marks of transcript {i} lie outside it");
        }
    }

    private void CheckBelow(int* values, int count, int limit, string name)
    {
        if (new ReadOnlySpan<int>(values, count).IndexOfAnyExceptInRange(0, limit - 1) is >= 0 and var i) throw Damaged(Path, $"element {i} of {name} is out of range");
    }

    private void CheckAscending(ReadOnlySpan<long> offsets, long last, string name)
    {
        bool ascending = offsets[0] == 0 && offsets[^1] == last;
        for (int i = 1; ascending && i < offsets.Length; i++) ascending = offsets[i] >= offsets[i - 1];
        if (!ascending) throw Damaged(Path, $"{name} does not ascend from 0 to {last}");
    }

    private int Check(int transcript)
    {
        ObjectDisposedException.ThrowIf(_disposed != 0, this);
        if ((uint)transcript >= (uint)Count) throw new ArgumentOutOfRangeException(nameof(transcript), transcript, $"the corpus has {Count} transcripts");
        return transcript;
    }

    private int CheckGene(int gene)
    {
        ObjectDisposedException.ThrowIf(_disposed != 0, this);
        if ((uint)gene >= (uint)Genes) throw new ArgumentOutOfRangeException(nameof(gene), gene, $"the corpus has {Genes} genes");
        return gene;
    }

    [StructLayout(LayoutKind.Auto)]
    private readonly struct NameTable(long* offsets, byte* text, int count)
    {
        internal int Count => count;

        internal string this[int i]
        {
            get
            {
                ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)i, (uint)count, nameof(i));
                return Encoding.UTF8.GetString(text + offsets[i], (int)(offsets[i + 1] - offsets[i]));
            }
        }
    }
}
