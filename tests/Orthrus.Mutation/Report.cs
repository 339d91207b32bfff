namespace Orthrus.Mutation;

/// <summary>The accepted survivors: faults that change no result, each with the reason why.</summary>
internal static class Survivors
{
    /// <summary>Identity of a fault to its reason. The file has a header and the columns file, member, before, after, reason.</summary>
    public static Dictionary<string, string> Read(string path)
    {
        var explained = new Dictionary<string, string>();
        if (!File.Exists(path)) return explained;
        foreach (string line in File.ReadLines(path).Skip(1))
        {
            if (line.Length == 0) continue;
            string[] cells = line.Split('\t');
            if (cells.Length != 5 || cells[4].Length == 0) throw new InvalidDataException($"{path}: want five columns, the last one a reason: {line}");
            explained[string.Join('\t', cells[..4])] = cells[4];
        }
        return explained;
    }
}

/// <summary>The table at the end.</summary>
internal static class Report
{
    /// <summary>Prints all verdicts and a summary; returns the exit code.</summary>
    public static int Print(Verdict[] verdicts, Dictionary<string, string> explained, TimeSpan time)
    {
        var ordered = verdicts.OrderBy(v => v.Fault.File, StringComparer.Ordinal).ThenBy(v => v.Fault.Line).ThenBy(v => v.Fault.After, StringComparer.Ordinal).ToArray();
        foreach (var v in ordered)
            Console.WriteLine($"{v.Fault.File}:{v.Fault.Line}\t{v.Fault.Kind}\t{v.Fault.After}\t{(v.Killed ? v.By : explained.TryGetValue(v.Fault.Identity, out string? why) ? "accepted: " + why : "SURVIVED")}");
        Console.WriteLine();
        foreach (var g in ordered.GroupBy(v => v.Fault.File))
            Console.WriteLine($"{g.Key,-32} {g.Count(v => v.Killed),4} killed of {g.Count()}");
        var open = ordered.Where(v => !v.Killed && !explained.ContainsKey(v.Fault.Identity)).ToArray();
        Console.WriteLine();
        Console.WriteLine($"{ordered.Length} mutants: {ordered.Count(v => v.Killed)} killed, {ordered.Count(v => !v.Killed) - open.Length} survivors explained, {open.Length} not; {time:hh\\:mm\\:ss}");
        foreach (var v in open) Console.WriteLine($"unexplained\t{v.Fault.Identity}");
        return open.Length == 0 ? 0 : 1;
    }
}
