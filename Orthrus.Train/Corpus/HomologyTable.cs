using Orthrus.Rna;

namespace Orthrus.Train;

/// <summary>Tables of homology or families, told apart by their header.</summary>
/// <remarks>
/// <list type="table">
/// <item><term>upstream's map</term><description>comma-separated, name and group; a name is a symbol in any case, or an identifier</description></item>
/// <item><term>Ensembl Compara</term><description>tab-separated with columns gene_stable_id, homology_gene_stable_id and homology_type; rows of type ortholog*</description></item>
/// <item><term>OrthoFinder</term><description>Orthogroups.tsv: group, then one column a species with names separated by commas</description></item>
/// <item><term>plain</term><description>two columns, separated by a tab: name and group, or the names of two genes</description></item>
/// </list>
/// Names are identifiers of genes, with or without version, else symbols in any case, else identifiers of transcripts.
/// </remarks>
internal sealed class HomologyTable
{
    private const int NamesShown = 2;

    private readonly string _path;
    private readonly GeneSets _genes;
    private readonly GeneRelation _relation;
    private readonly HashSet<string> _names = new(StringComparer.Ordinal);
    private string _form = "";
    private long _rows;

    private readonly string _prefix;

    private HomologyTable(string path, string prefix, GeneSets genes, GeneRelation relation)
    {
        _path = path;
        _prefix = prefix;
        _genes = genes;
        _relation = relation;
    }

    /// <summary>Reads a table and joins what it says belongs together; names of transcripts wait for <see cref="GeneSets.ResolveNames"/>.</summary>
    /// <param name="path">The file, plain or gzip.</param>
    /// <param name="prefix">Put before the labels of its groups: two tables may call different groups the same.</param>
    /// <param name="genes">All genes.</param>
    /// <param name="relation">What is joined: <see cref="GeneSets.Homology"/> or <see cref="GeneSets.Family"/>.</param>
    /// <exception cref="InputDataException">It is none of these tables.</exception>
    internal static HomologyTable Read(string path, string prefix, GeneSets genes, GeneRelation relation)
    {
        var table = new HomologyTable(path, prefix, genes, relation);
        using var lines = new LineReader(path, InputFile.Open(path));
        if (!lines.Next()) throw new InputDataException(path, null, "is empty", "give a table of homology");
        string first = FastaReader.Text(lines.Line);
        char separator = first.Contains('\t') ? '\t' : ',';
        string[] header = first.Split(separator);
        if (header.Contains("gene_stable_id") && header.Contains("homology_gene_stable_id")) table.Compara(lines, header);
        else if (header[0] == "Orthogroup" && separator == '\t') table.OrthoFinder(lines, header);
        else if (header.Length == 2) table.Plain(lines, header, separator);
        else
        {
            throw lines.Error($"{header.Length} columns ({string.Join(", ", header.Take(4))}{(header.Length > 4 ? ", ..." : "")}) are no table of homology",
                "give a Compara homology TSV, OrthoFinder's Orthogroups.tsv, or two columns: name and group");
        }
        return table;
    }

    /// <summary>What was read, as a line; an error where nothing of it is in the corpus.</summary>
    internal string Report()
    {
        int known = _names.Count(_genes.IsKnown);
        if (known == 0)
        {
            string mine = _genes.Count == 0 ? "" : $", the corpus has genes such as {_genes[0].Id}";
            throw new InputDataException(_path, null,
                $"none of its {_names.Count:N0} names ({string.Join(", ", _names.Take(NamesShown))}, ...) is a gene, symbol or transcript of the corpus{mine}", "give the table of these genes and species");
        }
        return $"{_path}: {_form}, {_rows:N0} rows; {known:N0} of its {_names.Count:N0} names are in the corpus";
    }

    private void Compara(LineReader lines, string[] header)
    {
        _form = "Ensembl Compara homologies";
        int a = Array.IndexOf(header, "gene_stable_id"), b = Array.IndexOf(header, "homology_gene_stable_id"), type = Array.IndexOf(header, "homology_type");
        if (type < 0) throw lines.Error("the header lacks homology_type", "give Ensembl's homology TSV as it is");
        while (Next(lines, '\t', header.Length) is { } row)
        {
            if (!row[type].StartsWith("ortholog", StringComparison.Ordinal)) continue;
            _rows++;
            _names.Add(row[a]);
            _names.Add(row[b]);
            var (mine, theirs) = (_genes.Find(row[a], symbolToo: false), _genes.Find(row[b], symbolToo: false));
            // A homolog in a species that is not here joins nobody.
            if (mine.Count == 0 || theirs.Count == 0) continue;
            foreach (int g in mine.Concat(theirs)) _relation.Join(mine[0], g);
        }
    }

    private void OrthoFinder(LineReader lines, string[] header)
    {
        _form = "OrthoFinder groups";
        while (Next(lines, '\t', header.Length) is { } row)
        {
            _rows++;
            foreach (string cell in row.Skip(1))
                foreach (string name in cell.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries)) Put(name, row[0], symbolToo: false);
        }
    }

    private void Plain(LineReader lines, string[] header, char separator)
    {
        bool group = header[1].Contains("group", StringComparison.OrdinalIgnoreCase);
        var rows = new List<(string Name, string Other)>();
        if (!group) rows.Add((header[0], header[1]));
        while (Next(lines, separator, 2) is { } row) rows.Add((row[0], row[1]));
        // The second column is one of genes where half of it is: labels of groups are no genes.
        bool pairs = !group && 2L * rows.Count(r => _genes.Find(r.Other, symbolToo: false).Count > 0) >= rows.Count;
        bool symbols = separator == ',';
        _form = pairs ? "pairs of genes" : symbols ? "names and groups" : "genes and groups";
        _rows = rows.Count;
        foreach (var (name, other) in rows)
        {
            string label = pairs ? "pair:" + other : other;
            Put(name, label, symbols);
            if (pairs) Put(other, label, symbols);
        }
    }

    private void Put(string name, string label, bool symbolToo)
    {
        if (name.Length == 0 || label.Length == 0) return;
        label = _prefix + label;
        _names.Add(name);
        var genes = _genes.Find(name, symbolToo);
        foreach (int g in genes) _relation.JoinLabel(g, label);
        if (genes.Count == 0) _relation.JoinNameToLabel(StableId.WithoutVersion(name), label);
    }

    private static string[]? Next(LineReader lines, char separator, int columns)
    {
        while (lines.Next())
        {
            if (lines.Line.IsEmpty) continue;
            string[] row = FastaReader.Text(lines.Line).Split(separator);
            // OrthoFinder leaves trailing empty cells away.
            if (row.Length > columns || row.Length < 2) throw lines.Error($"{row.Length} columns where the header has {columns}", "check that the table is complete");
            return [.. row.Concat(Enumerable.Repeat("", columns - row.Length)).Select(c => c.Trim())];
        }
        return null;
    }
}
