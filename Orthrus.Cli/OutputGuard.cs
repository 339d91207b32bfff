namespace Orthrus.Cli;

/// <summary>Keeps a command from writing over what it reads.</summary>
internal static class OutputGuard
{
    // As many as Linux follows.
    private const int MostLinks = 40;

    private static readonly StringComparison Names =
        OperatingSystem.IsWindows() || OperatingSystem.IsMacOS() ? StringComparison.OrdinalIgnoreCase : StringComparison.Ordinal;

    /// <summary>Refuses an output of which a file is, or a folder holds, an input; links are followed.</summary>
    /// <param name="output">The output as the user named it.</param>
    /// <param name="written">Files and folders that are written or replaced.</param>
    /// <param name="inputs">Files and folders that are read, as the user named them; "-" and null are passed over.</param>
    /// <exception cref="UsageException">One of them is an input.</exception>
    internal static void Refuse(string output, IEnumerable<string> written, IEnumerable<string?> inputs)
    {
        string[] targets = [.. written];
        foreach (string? input in inputs)
        {
            if (input is null or "-") continue;
            string read = Real(input);
            foreach (string target in targets)
                if (IsIn(read, Real(target))) throw Over(output, target, input);
        }
    }

    /// <summary>Refuses an output that would replace the model, or a file that is in the model's folder already.</summary>
    /// <param name="output">The output as the user named it.</param>
    /// <param name="written">Files that are written or replaced.</param>
    /// <param name="model">The model as the user named it; a built-in name that is no path is passed over.</param>
    /// <exception cref="UsageException">One of them belongs to the model.</exception>
    internal static void RefuseModel(string output, IEnumerable<string> written, string model)
    {
        if (!Path.Exists(model)) return;
        string read = Real(model);
        foreach (string target in written)
            if (Path.Exists(target) && IsIn(Real(target), read)) throw Over(output, target, model);
    }

    /// <summary>The full path with every link in it followed, as far as it exists.</summary>
    internal static string Real(string path) => Real(path, MostLinks);

    private static string Real(string path, int links)
    {
        string full = Path.GetFullPath(path), root = Path.GetPathRoot(full) ?? "";
        string at = root;
        foreach (string part in full[root.Length..].Split([Path.DirectorySeparatorChar, Path.AltDirectorySeparatorChar], StringSplitOptions.RemoveEmptyEntries))
        {
            at = Path.Combine(at, part);
            if (links > 0 && Target(at) is { } target) at = Real(target, --links);
        }
        return at;
    }

    private static string? Target(string path)
    {
        try
        {
            return File.ResolveLinkTarget(path, returnFinalTarget: false)?.FullName;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    private static bool IsIn(string path, string place) =>
        path.Equals(place, Names) || path.StartsWith(Path.TrimEndingDirectorySeparator(place) + Path.DirectorySeparatorChar, Names);

    private static UsageException Over(string output, string target, string input)
    {
        string which = Real(target).Equals(Real(output), Names) ? "" : $" (its {Path.GetFileName(target)})";
        return new UsageException($"--output {output}{which} would write over the input {input}; give another name");
    }
}
