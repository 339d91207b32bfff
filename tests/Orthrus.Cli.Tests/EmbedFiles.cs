using System.Text;

namespace Orthrus.Cli.Tests;

/// <summary>Transcripts made from a seed, and what a run of `orthrus embed` left.</summary>
internal static class EmbedFiles
{
    /// <summary>A FASTA of random transcripts; every seventh record is empty and is skipped.</summary>
    internal static string Fasta(string path, int records, int shortest = 20, int longest = 400, int seed = 1)
    {
        var random = new Random(seed);
        var text = new StringBuilder();
        for (int i = 0; i < records; i++)
        {
            text.Append(">tx").Append(i).Append('\n');
            if (i % 7 == 6) continue;
            int length = random.Next(shortest, longest + 1);
            for (int k = 0; k < length; k++) text.Append("ACGT"[random.Next(4)]);
            text.Append('\n');
        }
        File.WriteAllText(path, text.ToString());
        return path;
    }

    /// <summary>Output, index and description as one value to compare.</summary>
    internal static (string Data, string Index, string Description) Read(string output)
    {
        string stem = Path.Combine(Path.GetDirectoryName(output)!, Path.GetFileNameWithoutExtension(output));
        return (Convert.ToHexString(System.Security.Cryptography.SHA256.HashData(File.ReadAllBytes(output))) + " " + new FileInfo(output).Length,
            File.ReadAllText(stem + ".index.tsv"), File.ReadAllText(stem + ".json"));
    }

    internal static void Delete(string output)
    {
        string stem = Path.Combine(Path.GetDirectoryName(output)!, Path.GetFileNameWithoutExtension(output));
        foreach (string path in new[] { output, stem + ".index.tsv", stem + ".json" }) File.Delete(path);
        Assert.False(Directory.Exists(output + ".partial"));
    }
}
