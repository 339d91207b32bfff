using System.Globalization;
using System.Text;

namespace Orthrus.Mamba.Outputs;

/// <summary>
/// Names for the arrays of records: the identifier; "identifier.2" and so on where it was used before; "record_N" (1-based) where it is
/// empty, too long for the format, or reserved by it. Control characters become "_", and in names of files so do the separators of an
/// identifier that would lead out of the folder in which the archive is unpacked.
/// </summary>
internal sealed class UniqueNames(int longestBytes, string? reserved = null, bool files = false)
{
    private readonly HashSet<string> _used = new(StringComparer.Ordinal);
    private readonly Dictionary<string, int> _copies = new(StringComparer.Ordinal);

    internal string Next(string id, long index)
    {
        string name = id.Length == 0 || id == reserved || Encoding.UTF8.GetByteCount(id) > longestBytes
            ? "record_" + (index + 1).ToString(CultureInfo.InvariantCulture)
            : Inside(Plain(id));
        if (_used.Add(name)) return name;
        int copy = _copies.GetValueOrDefault(name, 1);
        string numbered;
        do numbered = name + "." + (++copy).ToString(CultureInfo.InvariantCulture);
        while (!_used.Add(numbered));
        _copies[name] = copy;
        return numbered;
    }

    private string Inside(string id)
    {
        bool climbs = files && (id.Contains('\\') || id.Contains(':') || (id.Contains('/') && id.Split('/').Any(part => part is "" or "." or "..")));
        return climbs ? id.Replace('/', '_').Replace('\\', '_').Replace(':', '_') : id;
    }

    // A name with control characters or a lone surrogate would not come back from a reader as it was written.
    private static string Plain(string id)
    {
        bool plain = true;
        foreach (var rune in id.EnumerateRunes()) plain &= rune != Rune.ReplacementChar && !Rune.IsControl(rune);
        if (plain) return id;
        var text = new StringBuilder();
        foreach (var rune in id.EnumerateRunes()) text.Append(Rune.IsControl(rune) ? "_" : rune.ToString());
        return text.ToString();
    }
}
