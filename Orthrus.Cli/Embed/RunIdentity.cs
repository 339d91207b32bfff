using System.Text.Json;
using System.Text.Json.Nodes;
using Orthrus.Mamba;
using Orthrus.Rna;

namespace Orthrus.Cli.Embed;

/// <summary>
/// Everything on which the bytes of an output depend: version, model, inputs by content, options. Two runs of one identity give the same
/// files. Threads, paths and times are no part of it.
/// </summary>
internal sealed class RunIdentity(JsonObject fields)
{
    /// <summary>A fresh copy of the fields.</summary>
    internal JsonObject Fields => (JsonObject)fields.DeepClone();

    internal byte[] ToJson() => Serialize(fields);

    /// <summary>Compares with the identity of a run that came before.</summary>
    /// <exception cref="InputDataException">They differ; the message names the first difference.</exception>
    internal void RequireSame(JsonNode before, string output, string what)
    {
        foreach (var (key, now) in fields)
        {
            var then = before is JsonObject o ? o[key] : null;
            if (JsonNode.DeepEquals(then, now)) continue;
            throw new InputDataException(output, null,
                $"{what} was made with another {key.Replace('_', ' ')} ({Brief(then)}, now {Brief(now)})",
                "run without --resume to start over, or write to another file");
        }
    }

    /// <summary>True where a description is of the same embeddings, perhaps in another file format. Of stdin and pipes that cannot be known.</summary>
    internal bool IsSameInAnotherFormat(JsonObject description) =>
        fields["input_sha256"] is JsonObject inputs && inputs.All(i => i.Value is not null)
        && fields.All(f => f.Key == "format" || JsonNode.DeepEquals(description[f.Key], f.Value));

    /// <summary>Indented JSON with a line end.</summary>
    internal static byte[] Serialize(JsonObject json)
    {
        using var memory = new MemoryStream();
        using (var w = new Utf8JsonWriter(memory, new JsonWriterOptions { Indented = true, NewLine = "\n" })) json.WriteTo(w);
        memory.WriteByte((byte)'\n');
        return memory.ToArray();
    }

    /// <summary>SHA-256 of each input file's content by role; null for stdin and pipes, which can be read only once.</summary>
    internal static JsonObject Fingerprints(IEnumerable<(string Role, string Path)> files, bool resume)
    {
        var json = new JsonObject();
        foreach (var (role, path) in files) json[role] = Fingerprint(path, resume);
        return json;
    }

    private static string? Fingerprint(string path, bool resume)
    {
        if (path == "-") return null;
        if (Directory.Exists(path)) throw new InputDataException(path, null, "is a folder", "name a file in it");
        try
        {
            using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, 0, FileOptions.SequentialScan);
            if (!file.CanSeek)
                return resume ? throw new UsageException($"--resume reads its input again, which the pipe {path} cannot: save it to a file first") : null;
            return Sha256.OfStream(file);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new InputDataException(path, null, "there is no such file", "check the path", e);
        }
        catch (Exception e) when (e is UnauthorizedAccessException or IOException)
        {
            throw new InputDataException(path, null, "the file cannot be read", "check its permissions", e);
        }
    }

    private static string Brief(JsonNode? value)
    {
        string text = value?.ToJsonString() ?? "not recorded";
        return text.Length <= 100 ? text : text[..100] + "...";
    }
}
