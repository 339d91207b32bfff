using System.Text.Json;
using System.Text.Json.Nodes;
using Orthrus.Mamba.Outputs;

namespace Orthrus.Cli.Embed;

/// <summary>The files of an output x.npy: x.npy itself, x.index.tsv and x.json, and the folder x.npy.partial while it is unfinished.</summary>
internal sealed class OutputPaths
{
    private const string PartialEnd = ".partial";
    private const long LargestDescription = 1 << 24;

    private readonly string _full;

    internal OutputPaths(string output)
    {
        Output = output;
        _full = Path.GetFullPath(output);
        string stem = Path.Combine(Path.GetDirectoryName(_full) ?? "", Path.GetFileNameWithoutExtension(_full));
        // An output that is itself called x.json or x.index.tsv keeps its whole name in those of its companions.
        if (stem + ".json" == _full || stem + ".index.tsv" == _full) stem = _full;
        (Index, Description, Partial) = (stem + ".index.tsv", stem + ".json", _full + PartialEnd);
    }

    internal string Output { get; }
    internal string Index { get; }
    internal string Description { get; }
    internal string Partial { get; }

    /// <summary>Name of the output in its folder, which its description repeats.</summary>
    internal string Name => Path.GetFileName(_full);

    /// <summary>Refuses an output that cannot be written, before any work is done.</summary>
    /// <exception cref="OutputException">It is a folder or device, or its folder does not exist.</exception>
    internal void Check()
    {
        string? folder = Path.GetDirectoryName(_full);
        if (Directory.Exists(_full) || Path.EndsInDirectorySeparator(Output))
            throw new OutputException($"{Output}: is a folder; give the name of a file in it");
        if (folder is not null && !Directory.Exists(folder))
            throw new OutputException($"{Output}: the output folder {folder} does not exist; create it first");
        // The file attributes of .NET do not tell a device on Unix.
        if (_full.StartsWith("/dev/", StringComparison.Ordinal) && File.Exists(_full))
            throw new OutputException($"{Output}: is a device, not a file; use -o - and redirect stdout");
    }

    /// <summary>
    /// Refuses an output while a run writes another whose companions have the same names, as x.npy and x.csv do. To be asked while the
    /// output's own lock is held: of two runs that take theirs at the same time each sees the other's.
    /// </summary>
    /// <exception cref="OutputException">Such a run is at work.</exception>
    internal void RefuseRivals()
    {
        foreach (string partial in Directory.EnumerateDirectories(Path.GetDirectoryName(_full)!, "*" + PartialEnd))
        {
            if (partial == Partial) continue;
            var other = new OutputPaths(partial[..^PartialEnd.Length]);
            if (other.Index == Index && other.IsHeld())
                throw new OutputException($"{Output}: {other.Owner()} is writing {other.Name}, whose index has the same name; wait until it ends, or give the output another name");
        }
    }

    /// <summary>
    /// Refuses an output whose companions would replace files that are not about it. The same embeddings in another format share index and
    /// description; a later description takes the earlier one's place.
    /// </summary>
    /// <exception cref="OutputException">A companion is another's.</exception>
    internal void RefuseOthers(RunIdentity identity)
    {
        const string remedy = "give the output another name, or move that file away";
        if (ReadDescription() is { } description)
        {
            if (DescribesOutput() || identity.IsSameInAnotherFormat(description)) return;
            throw new OutputException($"{Output}: its description would replace {Description}, which is about {description["output"]?.ToJsonString()}; {remedy}");
        }
        if (File.Exists(Description))
            throw new OutputException($"{Output}: its description would replace {Description}, which is about something else; {remedy}");
        // Without its description an index is this output's where a run ended between its renames, or where the two still lie together.
        if (File.Exists(Index) && !File.Exists(Path.Combine(Partial, "publish")) && !(File.Exists(_full) && IsIndex(Index)))
            throw new OutputException($"{Output}: its index would replace {Index}, which is about something else; {remedy}");
    }

    /// <summary>True where the description beside the output says that it is about it.</summary>
    internal bool DescribesOutput() => ReadDescription()?["output"] is JsonValue name && name.TryGetValue(out string? described) && described == Name;

    /// <summary>Who holds the output, in words.</summary>
    internal string Owner()
    {
        try
        {
            return File.ReadAllText(Path.Combine(Partial, "owner"));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return "another process";
        }
    }

    // Null where there is none, or where the file is no description that this command wrote.
    private JsonObject? ReadDescription()
    {
        try
        {
            var file = new FileInfo(Description);
            if (!file.Exists || file.Length > LargestDescription) return null;
            return JsonNode.Parse(File.ReadAllBytes(Description)) is JsonObject json && json.ContainsKey("output") && json.ContainsKey("output_bytes") ? json : null;
        }
        catch (Exception e) when (e is JsonException or ArgumentException or IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    private bool IsHeld()
    {
        string held = Path.Combine(Partial, "lock");
        try
        {
            using var free = new FileStream(held, FileMode.Open, FileAccess.ReadWrite, FileShare.None, 1);
            return false;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return File.Exists(held);
        }
    }

    private static bool IsIndex(string path)
    {
        using var text = new StreamReader(path);
        var begin = new char[EmbeddingIndex.Columns.Length];
        return text.ReadBlock(begin) == begin.Length && begin.AsSpan().SequenceEqual(EmbeddingIndex.Columns);
    }
}
