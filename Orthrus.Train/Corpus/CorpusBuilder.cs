using System.Text.Json.Nodes;
using Orthrus.Mamba;
using Orthrus.Rna;

namespace Orthrus.Train;

/// <summary>Builds a corpus file from annotation, FASTA, projections and upstream's storage, record by record.</summary>
/// <remarks>Memory: about eighty bytes a transcript, the genes with their names, one annotation or table at a time, and the longest record.</remarks>
public sealed class CorpusBuilder : IDisposable
{
    // Room in the header for what is said of a set: names of its files, counts, reasons.
    private const int RoomPerSet = 1 << 13, RoomPerCharacter = 12;

    private readonly CorpusOptions _options;
    private readonly string _output;
    private readonly Action<string> _remark;
    private readonly CorpusWriter _writer;
    private readonly GeneSets _genes = new();
    private readonly List<byte> _splits = [];
    private readonly JsonArray _sources = [];
    private readonly JsonArray _tables = [];
    private bool _anyGroup;

    private CorpusBuilder(CorpusOptions options, string output, Action<string> remark)
    {
        _options = options;
        _output = output;
        _remark = remark;
        string[] names = [.. options.Sets.SelectMany(s => s.Files().Select(f => f.Path).Append(s.Path).Append(s.Species ?? "")), .. options.Homology, .. options.Families];
        _writer = new CorpusWriter(output, RoomPerSet * (options.Sets.Count + 1) + names.Sum(n => 256 + RoomPerCharacter * n.Length));
    }

    /// <summary>Builds the file, written aside and renamed when complete.</summary>
    /// <param name="options">What goes in.</param>
    /// <param name="output">The file to make or replace.</param>
    /// <param name="remark">Takes lines for people: what was left out, joined, warned of.</param>
    /// <param name="cancel">Ends it without a file.</param>
    /// <exception cref="InputDataException">An input cannot be used; the message names it.</exception>
    /// <exception cref="IOException">The output cannot be written.</exception>
    public static void Build(CorpusOptions options, string output, Action<string> remark, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(remark);
        using var builder = new CorpusBuilder(options, output, remark);
        foreach (var set in options.Sets) builder.Add(set, cancel);
        builder.Finish();
    }

    /// <inheritdoc/>
    public void Dispose() => _writer.Dispose();

    private void Add(CorpusSet set, CancellationToken cancel)
    {
        int before = _writer.Count;
        long nucleotides = _writer.Nucleotides;
        var leftOut = new SortedDictionary<string, long>(StringComparer.Ordinal);
        foreach (var record in CorpusSetReader.Read(set, _options, leftOut, _remark))
        {
            cancel.ThrowIfCancellationRequested();
            Add(set, record, leftOut);
        }
        if (_writer.Count == before) throw new InputDataException(set.Path, null, "gives no transcript to the corpus", "check filters and file");
        foreach (var (why, n) in leftOut) _remark($"{set.Path}: {n:N0} left out: {why}");
        var files = new JsonArray();
        foreach (var (role, path) in set.Files()) files.Add((JsonNode)FileNode(role, path));
        _sources.Add((JsonNode)new JsonObject
        {
            ["kind"] = set.Kind.ToString().ToLowerInvariant(), ["species"] = set.Species, ["files"] = files, ["transcripts"] = _writer.Count - before,
            ["nucleotides"] = _writer.Nucleotides - nucleotides, ["left_out"] = new JsonObject(leftOut.Select(l => KeyValuePair.Create(l.Key, (JsonNode?)JsonValue.Create(l.Value)))),
        });
    }

    private void Add(CorpusSet set, Transcript t, SortedDictionary<string, long> leftOut)
    {
        string species = Species(set, t), id = t.Id, gene = t.GeneId ?? t.GeneName ?? t.Id;
        string? symbol = t.GeneName;
        var flags = (t.Junctions is null ? TranscriptFlags.JunctionsUnknown : 0) | (t.CdsSource == CdsSource.Unknown ? TranscriptFlags.CdsUnknown : 0)
            | (t.CdsSource == CdsSource.LongestOrf ? TranscriptFlags.CdsCalled : 0);
        string? reference = null;
        if (set.Kind == CorpusSetKind.Toga)
        {
            if (!TogaId.TryParse(t.Id, out var toga)) throw new InputDataException(set.Path, "transcript " + t.Id, "is no name of a projection", "TOGA names them transcript.gene.chain; give other annotation with --annotation");
            (id, gene, symbol, reference) = (toga.TranscriptId(species), toga.Gene ?? toga.Reference, toga.Gene, toga.Reference);
            flags |= TranscriptFlags.Projected;
        }
        if (set.Kind == CorpusSetKind.Store && UpstreamStore.IsProjection(t.Id)) flags |= TranscriptFlags.Projected;
        if (!_writer.IsNew(species, id))
        {
            if (set.Kind is not (CorpusSetKind.Annotation or CorpusSetKind.Toga) || _options.Strict)
                throw new InputDataException(set.Path, "record " + id, $"the transcript occurs twice in species {species}", "give each transcript once");
            leftOut["identifier twice"] = leftOut.GetValueOrDefault("identifier twice") + 1;
            return;
        }
        int number = _genes.Gene(species, gene, symbol);
        if (t.HomologyGroup is { } group)
        {
            _genes.Homology.JoinLabel(number, group);
            _anyGroup = true;
        }
        if (t.FamilyGroup is { } family) _genes.Family.JoinLabel(number, family);
        if (reference is not null) _genes.AddProjection(number, reference);
        _writer.Add(id, t.Tracks.Span, number, flags);
        _splits.Add(_options.IgnoreSplitColumn ? CorpusSplits.Open : CorpusSplits.Parse(t.Split, set.Table ?? set.Path, "record " + id));
    }

    private static string Species(CorpusSet set, Transcript t)
    {
        if (t.Species is not null && set.Species is not null && t.Species != set.Species)
            throw new InputDataException(set.Table ?? set.Path, "record " + t.Id, $"is of species {t.Species}, but --species says {set.Species}", "leave --species out, or give the table of that species");
        return t.Species ?? set.Species
            ?? throw new InputDataException(set.Path, "record " + t.Id, "has no species", "give --species NAME, or a --table with a species column");
    }

    private void Finish()
    {
        // Tables and annotations are read and gone; the collector would come for them only after what follows lies on top. Once a corpus, some tens of milliseconds.
        GC.Collect();
        var read = new List<HomologyTable>();
        foreach (var (paths, relation, role) in new[] { (_options.Homology, _genes.Homology, "homology"), (_options.Families, _genes.Family, "families") })
        {
            foreach (string path in paths)
            {
                read.Add(HomologyTable.Read(path, $"{Path.GetFileName(path)}{(read.Count == 0 ? "" : "#" + (read.Count + 1))}:", _genes, relation));
                _tables.Add((JsonNode)FileNode(role, path));
            }
        }
        _genes.ResolveNames(_writer.Ids());
        foreach (var table in read) _remark(table.Report());
        int unlinked = _genes.JoinProjectionsBySymbol();
        if (unlinked > 0) _remark($"{unlinked:N0} genes of projections belong to no annotated gene here and go by their symbol");
        string how = Symbols();
        var (genes, order, groups, families) = _genes.Finish();

        byte[] splits = [.. _splits];
        bool given = splits.Any(s => s != CorpusSplits.Open);
        var familyOf = new int[_writer.Count];
        for (int t = 0; t < familyOf.Length; t++) familyOf[t] = genes[_writer.GeneOf(t)].Family;
        int cut = CorpusSplits.Fill(splits, familyOf, families.Count, _options.Splits, _options.SplitSeed);
        if (cut > 0) _remark($"warning: {cut:N0} families have transcripts in several splits, as the tables say; --new-splits draws splits that cut none");
        long[] parts = [.. Enumerable.Range(0, 3).Select(s => splits.LongCount(x => x == s))];
        _writer.Finish(genes, order, groups, families, _genes.Species, splits, Metadata(how, given, genes.Count, groups.Count, families.Count));
        _remark($"{_writer.Count:N0} transcripts, {_writer.Nucleotides:N0} nt, {genes.Count:N0} genes of {_genes.Species.Count:N0} species in {groups.Count:N0} homology groups and {families.Count:N0} families; "
            + $"train {parts[0]:N0}, valid {parts[1]:N0}, test {parts[2]:N0}");
    }

    private string Symbols()
    {
        bool known = _anyGroup || _options.Homology.Count > 0;
        if (_options.Fallback == HomologyFallback.None || (_options.Fallback == HomologyFallback.Automatic && (known || _genes.Species.Count < 2))) return known ? "tables" : "none";
        int across = _genes.JoinSymbols();
        _remark($"warning: genes of the same symbol are taken as orthologs, {across:N0} symbols join genes of several species; paralogs and unrelated genes may share a symbol, a --homology table is safer");
        return known ? "tables and symbols" : "symbols";
    }

    private Dictionary<string, string> Metadata(string how, bool given, int genes, int groups, int families)
    {
        var splits = _options.Splits;
        return new Dictionary<string, string>
        {
            [CorpusFormat.KeyCount] = Number(_writer.Count), ["nucleotides"] = Number(_writer.Nucleotides), ["genes"] = Number(genes), ["groups"] = Number(groups),
            ["families"] = Number(families), ["species"] = Number(_genes.Species.Count), [CorpusFormat.KeySources] = _sources.ToJsonString(),
            [CorpusFormat.KeyFilters] = new JsonObject
            {
                ["min_length"] = _options.MinLength, ["max_length"] = _options.MaxLength, ["autosomes_only"] = _options.AutosomesOnly, ["coding_only"] = _options.CodingOnly,
                ["cds"] = _options.Cds.ToString().ToLowerInvariant(),
            }.ToJsonString(),
            [CorpusFormat.KeyHomology] = new JsonObject { ["from"] = how, ["tables"] = _tables }.ToJsonString(),
            [CorpusFormat.KeySplits] = new JsonObject
            {
                ["from"] = given ? "tables" : "drawn", ["seed"] = _options.SplitSeed, ["train"] = splits.Train, ["valid"] = splits.Valid, ["test"] = splits.Test,
            }.ToJsonString(),
        };

        static string Number(long n) => n.ToString(System.Globalization.CultureInfo.InvariantCulture);
    }

    private static JsonObject FileNode(string role, string path)
    {
        using var file = InputFile.OpenRaw(path);
        return new JsonObject { ["role"] = role, ["name"] = Path.GetFileName(path), ["bytes"] = file.Length, ["sha256"] = Sha256.OfStream(file) };
    }
}
