using System.Runtime.InteropServices;
using Orthrus.Rna;

namespace Orthrus.Train;

/// <summary>Genes of a corpus that is being built, known by species and identifier, and what joins them.</summary>
internal sealed class GeneSets
{
    // Identifier and symbol are numbers of texts: hundreds of assemblies name their genes alike.
    private readonly ChunkedList<(int Species, int Id, int Symbol)> _genes = new();
    private readonly Utf8Pool _texts = new();
    private readonly Dictionary<(int Species, int Id), int> _byKey = [];
    private readonly Dictionary<string, int> _species = new(StringComparer.Ordinal);
    private readonly HashSet<string> _transcriptNames = new(StringComparer.Ordinal);
    private readonly HashSet<int> _projected = [];
    private Dictionary<string, List<int>>? _byId, _bySymbol;

    /// <summary>Who is homologous to whom.</summary>
    internal GeneRelation Homology { get; } = new();

    /// <summary>Who belongs to one family, beside homology.</summary>
    internal GeneRelation Family { get; } = new();

    /// <summary>Number of genes.</summary>
    internal int Count => _genes.Count;

    /// <summary>Names of the species, by number.</summary>
    internal List<string> Species => [.. _species.Keys];

    /// <summary>A gene: number of its species, identifier, symbol (empty where unknown).</summary>
    internal (int Species, string Id, string Symbol) this[int gene] => (_genes[gene].Species, _texts.Text(_genes[gene].Id), _texts.Text(_genes[gene].Symbol));

    /// <summary>The gene of this identifier, made where it is new.</summary>
    internal int Gene(string species, string id, string? symbol)
    {
        ref int number = ref CollectionsMarshal.GetValueRefOrAddDefault(_species, species, out bool known);
        if (!known) number = _species.Count - 1;
        int name = _texts.Add(id);
        ref int gene = ref CollectionsMarshal.GetValueRefOrAddDefault(_byKey, (number, name), out known);
        if (!known)
        {
            gene = _genes.Count;
            _genes.Add((number, name, _texts.Add(symbol ?? "")));
            Homology.AddGene();
            Family.AddGene();
            _byId = null;
        }
        else if (symbol is not null && _texts.Bytes(_genes[gene].Symbol).IsEmpty) _genes[gene] = (number, name, _texts.Add(symbol));
        return gene;
    }

    /// <summary>Notes that a gene is the projection of the gene of a reference transcript.</summary>
    internal void AddProjection(int gene, string referenceTranscript)
    {
        _projected.Add(gene);
        Homology.JoinName(gene, StableId.WithoutVersion(referenceTranscript));
    }

    /// <summary>Joins projections that nothing has joined with an annotated gene with the genes of the same symbol; returns how many those are.</summary>
    internal int JoinProjectionsBySymbol()
    {
        if (_projected.Count == 0) return 0;
        var annotated = Enumerable.Range(0, Count).Where(g => !_projected.Contains(g)).Select(Homology.SetOf).ToHashSet();
        int[] left = [.. _projected.Where(g => !annotated.Contains(Homology.SetOf(g)))];
        foreach (int gene in left)
            foreach (int other in Find(_texts.Text(_genes[gene].Id), symbolToo: true)) Homology.Join(gene, other);
        return left.Length;
    }

    /// <summary>
    /// Genes of this identifier, with or without version; where there are none, or always where asked for, those of this symbol in any case.
    /// </summary>
    internal IReadOnlyList<int> Find(string name, bool symbolToo)
    {
        if (_byId is null) Index();
        var byId = _byId!.GetValueOrDefault(name) ?? _byId!.GetValueOrDefault(StableId.WithoutVersion(name));
        if (byId is not null && !symbolToo) return byId;
        var bySymbol = _bySymbol!.GetValueOrDefault(name.ToLowerInvariant());
        if (byId is null || bySymbol is null) return byId ?? bySymbol ?? (IReadOnlyList<int>)[];
        return [.. byId.Union(bySymbol)];
    }

    /// <summary>Joins genes of the same symbol in any case, as upstream does, and returns how many symbols joined several species. A gene without symbol goes by its identifier.</summary>
    internal int JoinSymbols()
    {
        if (_byId is null) Index();
        int across = 0;
        foreach (var genes in _bySymbol!.Values)
        {
            foreach (int g in genes) Homology.Join(genes[0], g);
            if (genes.Any(g => _genes[g].Species != _genes[genes[0]].Species)) across++;
        }
        return across;
    }

    /// <summary>Joins names that are no gene with the genes of the transcripts that are so called, with or without version.</summary>
    internal void ResolveNames(IEnumerable<(string Id, int Gene)> transcripts)
    {
        if (!Homology.NamesWait && !Family.NamesWait) return;
        foreach (var (id, gene) in transcripts)
        {
            Resolve(id, gene);
            string bare = StableId.WithoutVersion(id);
            if (bare.Length != id.Length) Resolve(bare, gene);
        }

        void Resolve(string id, int gene)
        {
            // Both relations are asked.
            if (Homology.Resolve(id, gene) | Family.Resolve(id, gene)) _transcriptNames.Add(id);
        }
    }

    /// <summary>True where a name is that of a gene or, after <see cref="ResolveNames"/>, of a transcript.</summary>
    internal bool IsKnown(string name) => _transcriptNames.Contains(StableId.WithoutVersion(name)) || Find(name, symbolToo: false).Count > 0;

    /// <summary>Genes by group and family, in the order of the file.</summary>
    internal (List<CorpusGene> Genes, int[] Order, List<string> Groups, List<string> Families) Finish()
    {
        string[] species = [.. _species.Keys];
        var (groupOf, groups) = Homology.Number(Name);
        var firstOf = new int[groups.Count];
        Array.Fill(firstOf, -1);
        for (int g = 0; g < Count; g++)
        {
            ref int first = ref firstOf[groupOf[g]];
            if (first < 0) first = g;
            else Family.Join(first, g);
        }
        var (familyOf, families) = Family.Number(Name);
        var genes = new List<CorpusGene>(Count);
        for (int g = 0; g < Count; g++)
        {
            var (of, id, symbol) = this[g];
            genes.Add(new CorpusGene(of, id, symbol, groupOf[g], familyOf[g]));
        }
        int[] order = [.. Enumerable.Range(0, Count).OrderBy(g => groupOf[g]).ThenBy(g => _genes[g].Species)];
        return (genes, order, groups, families);

        string Name(int gene) => $"{species[_genes[gene].Species]}:{_texts.Text(_genes[gene].Id)}";
    }

    private void Index()
    {
        _byId = new Dictionary<string, List<int>>(StringComparer.Ordinal);
        _bySymbol = new Dictionary<string, List<int>>(StringComparer.Ordinal);
        for (int g = 0; g < Count; g++)
        {
            var (_, id, symbol) = this[g];
            string bare = StableId.WithoutVersion(id);
            Put(_byId, id, g);
            if (bare.Length != id.Length) Put(_byId, bare, g);
            Put(_bySymbol, (symbol.Length > 0 ? symbol : id).ToLowerInvariant(), g);
        }

        static void Put(Dictionary<string, List<int>> index, string key, int gene)
        {
            ref var list = ref CollectionsMarshal.GetValueRefOrAddDefault(index, key, out _);
            (list ??= []).Add(gene);
        }
    }
}
