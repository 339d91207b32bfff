namespace Orthrus.Rna;

/// <summary>
/// Finds the contig of the genome that an annotation means: the same name, an alias the user gave, or the name with or without "chr"
/// (chr1 and 1; chrM, MT and M). Nothing else is guessed.
/// </summary>
internal sealed class ContigMap
{
    private readonly Genome _genome;
    private readonly Dictionary<string, List<string>> _aliases;
    private readonly Dictionary<string, int> _found = new(StringComparer.Ordinal);

    internal ContigMap(Genome genome, string? aliasFile)
    {
        _genome = genome;
        _aliases = aliasFile is null ? [] : ReadAliases(aliasFile);
    }

    /// <summary>First name that was matched by prefix, with its partner, and how many were.</summary>
    internal (string Annotation, string Genome)? PrefixExample { get; private set; }

    internal int PrefixMatches { get; private set; }

    /// <summary>Number of the contig in the genome, or -1.</summary>
    internal int Find(string name)
    {
        if (_found.TryGetValue(name, out int number)) return number;
        number = _genome.Find(name);
        if (number < 0 && _aliases.TryGetValue(name, out var synonyms))
            number = synonyms.Select(_genome.Find).FirstOrDefault(n => n >= 0, -1);
        if (number < 0)
        {
            number = WithOtherPrefix(name).Select(_genome.Find).FirstOrDefault(n => n >= 0, -1);
            if (number >= 0)
            {
                PrefixMatches++;
                PrefixExample ??= (name, _genome.Names[number]);
            }
        }
        _found.Add(name, number);
        return number;
    }

    /// <summary>The error for an annotation of which no contig is in the genome.</summary>
    internal InputDataException NothingInCommon(string annotation, IEnumerable<string> annotationNames) => new(annotation, null,
        $"no contig of the annotation ({Examples(annotationNames)}) is in the genome {_genome.Path} ({Examples(_genome.Names)})",
        "give a table of names that mean the same with --contig-aliases FILE, or the genome that belongs to the annotation");

    /// <summary>The remark on contigs of the annotation that the genome lacks.</summary>
    internal string SomeMissing(IReadOnlyCollection<string> missing, int all) =>
        $"{missing.Count:N0} of {all:N0} contigs of the annotation ({Examples(missing)}) are not in the genome {_genome.Path} ({Examples(_genome.Names)}): "
        + "--contig-aliases FILE tells which names mean the same";

    private static string Examples(IEnumerable<string> names)
    {
        var some = names.Distinct(StringComparer.Ordinal).Take(4).ToList();
        return string.Join(", ", some.Take(3)) + (some.Count > 3 ? ", ..." : "");
    }

    private static IEnumerable<string> WithOtherPrefix(string name)
    {
        if (name is "MT" or "M" or "chrM" or "chrMT") return new[] { "chrM", "MT", "M", "chrMT" }.Where(n => n != name);
        return [name.StartsWith("chr", StringComparison.Ordinal) ? name[3..] : "chr" + name];
    }

    // Every name of a line is a synonym of the others, so that two-column tables of either direction and UCSC's chromAlias work.
    private static Dictionary<string, List<string>> ReadAliases(string path)
    {
        var aliases = new Dictionary<string, List<string>>(StringComparer.Ordinal);
        using var lines = new LineReader(path, InputFile.Open(path));
        while (lines.Next())
        {
            if (lines.Line.IsEmpty || lines.Line[0] == '#') continue;
            string[] names = FastaReader.Text(lines.Line).Split(['\t', ' '], StringSplitOptions.RemoveEmptyEntries);
            if (names.Length < 2) throw lines.Error("one name where two or more are needed", "a line of the alias file holds names that mean the same contig, separated by tabs");
            foreach (string name in names)
            {
                if (!aliases.TryGetValue(name, out var others)) aliases.Add(name, others = []);
                others.AddRange(names.Where(n => n != name));
            }
        }
        if (aliases.Count == 0) throw new InputDataException(path, null, "holds no names", "a line holds names that mean the same contig, separated by tabs");
        return aliases;
    }
}
