using System.Security.Cryptography;
using System.Text;

namespace Orthrus.Mutation;

/// <summary>What the commands that plant faults share: where the sources are, which faults are tried in which order.</summary>
internal static class Plan
{
    /// <summary>Root of the working copy.</summary>
    public static string FindRoot()
    {
        for (var d = new DirectoryInfo(AppContext.BaseDirectory); d is not null; d = d.Parent)
            if (File.Exists(Path.Combine(d.FullName, "Orthrus.sln"))) return d.FullName;
        throw new DirectoryNotFoundException("run this from a working copy");
    }

    public static string Hash(IEnumerable<string> parts) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(string.Join('\0', parts))));

    public static string HashOfFile(string path) => Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(path)));

    /// <summary>
    /// Files take turns, so that a small operator gets as many faults as a large one while it has any; within a file, kinds take turns. A fault's place depends on
    /// itself alone: a change of the code leaves the draw of what it does not touch as it was.
    /// </summary>
    public static List<Fault> Draw(Fault[] all, int seed)
    {
        string Place(Fault f) => Hash([$"{seed}", f.File, f.Member, f.Kind, f.Before, f.After]);
        IEnumerable<Fault> Alternate(IEnumerable<Fault> faults) =>
            Turns(faults.GroupBy(f => f.Kind).Select(g => g.OrderBy(Place, StringComparer.Ordinal).ToArray()).OrderBy(k => Place(k[0]), StringComparer.Ordinal));
        return [.. Turns(all.GroupBy(f => f.File).OrderBy(g => g.Key, StringComparer.Ordinal).Select(g => Alternate(g).ToArray()))];
    }

    private static IEnumerable<Fault> Turns(IEnumerable<Fault[]> groups)
    {
        var queues = groups.Select(g => new Queue<Fault>(g)).ToList();
        while (queues.Count > 0)
        {
            foreach (var q in queues) yield return q.Dequeue();
            queues.RemoveAll(q => q.Count == 0);
        }
    }
}

/// <summary>Remembers texts by the hash of everything they depend on.</summary>
/// <param name="folder">Where they lie; empty for nowhere.</param>
internal sealed class VerdictCache(string folder)
{
    public string Get(string key, Func<string> make)
    {
        string known = folder.Length > 0 ? Path.Combine(folder, key) : "";
        if (known.Length > 0 && File.Exists(known)) return File.ReadAllText(known);
        string text = make();
        if (known.Length == 0) return text;
        Directory.CreateDirectory(folder);
        File.WriteAllText(known + ".part", text);
        File.Move(known + ".part", known, true);
        return text;
    }
}
