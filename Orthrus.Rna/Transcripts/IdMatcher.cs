namespace Orthrus.Rna;

/// <summary>
/// Finds entries by identifier, also where one side carries a version and the other does not (ENST00000263946.3, NM_000546.6), as long as
/// only one entry can be meant. Identifiers of other kinds are compared as they stand: AT1G01010.1 is an isoform, not a version.
/// </summary>
/// <remarks>Memory: an identifier takes its UTF-8 and about thirty bytes, one with a version about twice that, and its value.</remarks>
internal sealed class IdMatcher<T> where T : struct
{
    private const int Several = -1;

    private readonly Utf8Pool _exact = new();
    private readonly ChunkedList<T> _values = new();

    // Identifiers with a version, by what they are without it: the number of the only one, or Several.
    private readonly Utf8Pool _bare = new();
    private readonly List<int> _versioned = [];

    internal int Count => _exact.Count;

    internal IEnumerable<string> Ids => Enumerable.Range(0, Count).Select(_exact.Text);

    internal bool TryAdd(string id, T value)
    {
        int count = Count, number = _exact.Add(id);
        if (number < count) return false;
        _values.Add(value);
        string bare = StableId.WithoutVersion(id);
        if (bare.Length == id.Length) return true;
        int place = _bare.Add(bare);
        if (place == _versioned.Count) _versioned.Add(number);
        else _versioned[place] = Several;
        return true;
    }

    /// <summary>Finds the entry for an identifier; <paramref name="matched"/> is the entry's own identifier.</summary>
    internal bool TryFind(string id, out T value, out string matched)
    {
        matched = id;
        value = default;
        int number = _exact.Find(id);
        if (number < 0)
        {
            string bare = StableId.WithoutVersion(id);
            int place = _bare.Find(bare);
            // Two different versions are two different sequences; beside them, one without version does not say which it is.
            if (bare.Length != id.Length) number = place < 0 ? _exact.Find(bare) : -1;
            else if (place >= 0 && _versioned[place] != Several) number = _versioned[place];
            if (number < 0) return false;
            matched = _exact.Text(number);
        }
        value = _values[number];
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
