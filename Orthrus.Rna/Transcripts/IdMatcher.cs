namespace Orthrus.Rna;

/// <summary>
/// Finds entries by identifier, also where one side carries a version and the other does not (ENST00000263946.3, NM_000546.6), as long as
/// only one entry can be meant. Identifiers of other kinds are compared as they stand: AT1G01010.1 is an isoform, not a version.
/// </summary>
internal sealed class IdMatcher<T>
{
    private readonly Dictionary<string, T> _exact = new(StringComparer.Ordinal);
    private readonly Dictionary<string, (string Id, int Count)> _bare = new(StringComparer.Ordinal);

    internal int Count => _exact.Count;

    internal IEnumerable<string> Ids => _exact.Keys;

    internal bool TryAdd(string id, T value)
    {
        if (!_exact.TryAdd(id, value)) return false;
        string bare = StableId.WithoutVersion(id);
        _bare[bare] = _bare.TryGetValue(bare, out var known) ? (known.Id, known.Count + 1) : (id, 1);
        return true;
    }

    /// <summary>Finds the entry for an identifier; <paramref name="matched"/> is the entry's own identifier.</summary>
    internal bool TryFind(string id, out T value, out string matched)
    {
        matched = id;
        if (_exact.TryGetValue(id, out value!)) return true;
        string bare = StableId.WithoutVersion(id);
        if (!_bare.TryGetValue(bare, out var candidate) || candidate.Count > 1) return false;
        // Two different versions are two different sequences.
        if (bare.Length != id.Length && candidate.Id.Length != bare.Length) return false;
        matched = candidate.Id;
        value = _exact[matched];
        return true;
    }
}

/// <summary>Versions of Ensembl and RefSeq identifiers.</summary>
internal static class StableId
{
    /// <summary>The identifier without ".version", where it is of a kind that has versions; otherwise the identifier itself.</summary>
    internal static string WithoutVersion(string id)
    {
        int dot = id.LastIndexOf('.');
        if (dot <= 0 || dot == id.Length - 1) return id;
        foreach (char c in id.AsSpan(dot + 1)) if (!char.IsAsciiDigit(c)) return id;
        var stem = id.AsSpan(0, dot);
        bool ensembl = stem.StartsWith("ENS") && char.IsAsciiDigit(stem[^1]) && stem.Length >= 11;
        bool refSeq = stem.Length >= 5 && stem[2] == '_' && char.IsAsciiLetterUpper(stem[0]) && char.IsAsciiLetterUpper(stem[1]) && stem[3..].IndexOfAnyExceptInRange('0', '9') < 0;
        return ensembl || refSeq ? id[..dot] : id;
    }
}
