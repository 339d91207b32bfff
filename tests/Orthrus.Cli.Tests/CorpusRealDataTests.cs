using System.Diagnostics;
using System.IO.Compression;
using Orthrus.TestSupport;
using Orthrus.Train;

namespace Orthrus.Cli.Tests;

/// <summary>Corpora of real genomes and transcripts, compared with what others say of them; rows are read with code of the tests' own.</summary>
public sealed class CorpusRealDataTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("orthrus-real-").FullName;

    [Fact]
    public void Fourteen_mammals_in_one_command()
    {
        string root = Data("genome-mammals-ensembl75"), reference = Data("pretrain-corpus");
        string[] species = [.. Directory.GetDirectories(root).Select(d => Path.GetFileName(d)).Order(StringComparer.Ordinal)];
        var groups = Rows(Path.Combine(reference, "transcripts.tsv.gz")).ToDictionary(r => r["transcript_id"], r => r["homology_group"]);
        string table = Path.Combine(_folder, "homology.tsv");
        File.WriteAllLines(table, groups.Select(g => g.Key + "\t" + g.Value).Prepend("transcript\tgroup"));
        var run = CliRun.Of(["corpus", .. species.SelectMany(s => new[] { "--annotation", Path.Combine(root, s, "genes.gtf.gz"), "--genome", Path.Combine(root, s, "genome.fa.gz"), "--species", s }),
            "--homology", table, "--max-length", "1000000", "-o", Path.Combine(_folder, "c")]).Succeeded();

        using var corpus = CorpusFile.Open(Path.Combine(_folder, "c"));
        var found = Enumerable.Range(0, corpus.Count).ToDictionary(t => (corpus.SpeciesName(corpus.Species(t)), corpus.Id(t)));
        int compared = 0;
        foreach (string s in species)
        {
            var letters = Fasta(Path.Combine(root, s, "transcripts.fa.gz"));
            foreach (var row in Rows(Path.Combine(root, s, "transcripts.tsv.gz")))
            {
                int t = found[(s, row["transcript_id"])];
                Assert.True(Tracks(letters[row["transcript_id"]], row).AsSpan().SequenceEqual(corpus.Tracks(t)), row["transcript_id"]);
                Assert.Equal(row["gene_id"], corpus.GeneId(corpus.Gene(t)));
                Assert.Equal(TranscriptFlags.None, corpus.Flags(t) & (TranscriptFlags.JunctionsUnknown | TranscriptFlags.CdsUnknown));
                compared++;
            }
        }
        Assert.Equal(compared, corpus.Count);
        Assert.True(compared >= 1500, run.Error);

        // Transcripts that the reference groups: the same groups, no more and no less.
        var mine = new Dictionary<string, int>();
        var theirs = new Dictionary<int, string>();
        int known = 0;
        foreach (var ((_, id), t) in found)
        {
            if (!groups.TryGetValue(id, out string? group)) continue;
            known++;
            Assert.Equal(corpus.Group(t), mine.TryGetValue(group, out int g) ? g : mine[group] = corpus.Group(t));
            Assert.Equal(group, theirs.TryGetValue(corpus.Group(t), out string? other) ? other : theirs[corpus.Group(t)] = group);
        }
        Assert.True(known > 500 && CorpusSummary.Of(corpus).OrthologPairs > 1000, $"{known}");
    }

    [Fact]
    public void The_whole_pretraining_set_builds_in_seconds()
    {
        string root = Data("pretrain-corpus");
        var clock = Stopwatch.StartNew();
        using var child = ChildProcess.Start("corpus", "--transcripts", Path.Combine(root, "transcripts.fa.gz"), "--table", Path.Combine(root, "transcripts.tsv.gz"), "-o", Path.Combine(_folder, "c"));
        child.StandardInput.Close();
        long peak = Peak(child);
        Assert.True(child.ExitCode == 0, child.StandardError.ReadToEnd());
        TestContext.Current.SendDiagnosticMessage($"pretrain-corpus: {clock.Elapsed.TotalSeconds:F1} s, peak {peak:N0} MB");
        Assert.InRange(peak, 1, 400);
        using var corpus = CorpusFile.Open(Path.Combine(_folder, "c"));
        var rows = Rows(Path.Combine(root, "transcripts.tsv.gz")).ToDictionary(r => r["transcript_id"]);
        var letters = Fasta(Path.Combine(root, "transcripts.fa.gz"));
        Assert.Equal(rows.Values.Count(r => int.Parse(r["length"]) <= 12_288), corpus.Count);
        for (int t = 0; t < corpus.Count; t++)
        {
            var row = rows[corpus.Id(t)];
            Assert.True(Tracks(letters[corpus.Id(t)], row).AsSpan().SequenceEqual(corpus.Tracks(t)), corpus.Id(t));
            Assert.Equal(row["homology_group"], corpus.GroupName(corpus.Group(t)));
            Assert.Equal(row["family_group"], corpus.FamilyName(corpus.GeneOf(corpus.Gene(t)).Family));
            Assert.Equal(row["split"], corpus.Split(t).ToString().ToLowerInvariant());
            Assert.Equal(row["exon_junctions"] == "NA", corpus.Flags(t).HasFlag(TranscriptFlags.JunctionsUnknown));
        }
        corpus.Verify();
    }

    internal static long Peak(Process child)
    {
        long peak = 0;
        while (!child.WaitForExit(20))
        {
            child.Refresh();
            if (!child.HasExited) peak = Math.Max(peak, child.PeakWorkingSet64 >> 20);
        }
        return peak;
    }

    private static byte[] Tracks(string letters, Dictionary<string, string> row)
    {
        byte[] tracks = [.. letters.Select(c => c switch { 'A' => (byte)1, 'C' => (byte)2, 'G' => (byte)4, 'T' => (byte)8, _ => (byte)0 })];
        int start = int.Parse(row["cds_start"]), end = int.Parse(row["cds_end"]);
        for (int p = start; start >= 0 && p < end; p += 3) tracks[p] |= 16;
        if (row["exon_junctions"] is not ("-" or "NA"))
            foreach (string p in row["exon_junctions"].Split(',')) tracks[int.Parse(p) - 1] |= 32;
        tracks[^1] |= 32;
        return tracks;
    }

    private static string Data(string name)
    {
        if (TestPaths.Data is null) Assert.Skip("no reference data (ORTHRUS_DATA or ../shared/data)");
        string path = Path.Combine(TestPaths.Data, name);
        if (!Directory.Exists(path)) Assert.Skip($"{path} is absent");
        return path;
    }

    private static IEnumerable<Dictionary<string, string>> Rows(string path)
    {
        string[] lines = Text(path).Split('\n', StringSplitOptions.RemoveEmptyEntries), header = lines[0].Split('\t');
        return lines.Skip(1).Select(l => header.Zip(l.Split('\t')).ToDictionary(x => x.First, x => x.Second));
    }

    private static Dictionary<string, string> Fasta(string path) => Text(path).Split('>', StringSplitOptions.RemoveEmptyEntries)
        .ToDictionary(r => r[..r.IndexOf('\n')].Split(' ')[0], r => r[r.IndexOf('\n')..].Replace("\n", "").ToUpperInvariant());

    private static string Text(string path)
    {
        using var reader = new StreamReader(new GZipStream(File.OpenRead(path), CompressionMode.Decompress));
        return reader.ReadToEnd();
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);
}
