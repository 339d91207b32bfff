using System.IO.Compression;
using Orthrus.TestSupport;

namespace Orthrus.Rna.Tests;

/// <summary>One expected transcript, as files made by others say it should be.</summary>
internal sealed record Expected(string Id, string Sequence, (int Start, int End)? Cds, int[] Junctions, string GeneId);

/// <summary>Reads expected transcripts with code of the tests' own, so that the product's readers are not judged by themselves.</summary>
internal static class ExpectedSet
{
    internal static string Data(params string[] parts)
    {
        if (TestPaths.Data is null) Assert.Skip("no reference data (ORTHRUS_DATA or ../shared/data)");
        string path = Path.Combine([TestPaths.Data, .. parts]);
        if (!File.Exists(path) && !Directory.Exists(path)) Assert.Skip($"{path} is absent");
        return path;
    }

    internal static string Fixture(string name) => Path.Combine(TestPaths.Repository, "tests", "data", name);

    internal static string Text(string path)
    {
        using var file = File.OpenRead(path);
        using Stream stream = path.EndsWith(".gz", StringComparison.Ordinal) ? new GZipStream(file, CompressionMode.Decompress) : file;
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd();
    }

    internal static Dictionary<string, string> Fasta(string path)
    {
        var all = new Dictionary<string, string>();
        foreach (string record in ("\n" + Text(path)).Split("\n>", StringSplitOptions.RemoveEmptyEntries))
        {
            int lineEnd = record.IndexOf('\n');
            all.Add(record[..lineEnd].Split(' ')[0].Trim(), record[lineEnd..].Replace("\n", "").Replace("\r", "").ToUpperInvariant());
        }
        return all;
    }

    internal static List<Expected> Read(string fasta, string table)
    {
        var sequences = Fasta(fasta);
        string[] lines = Text(table).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        string[] header = lines[0].Split('\t');
        int Column(string name) => Array.IndexOf(header, name);
        return lines.Skip(1).Select(l => l.Split('\t')).Select(f =>
        {
            int start = int.Parse(f[Column("cds_start")]), end = int.Parse(f[Column("cds_end")]);
            string junctions = f[Column("exon_junctions")];
            return new Expected(f[0], sequences[f[0]], start < 0 ? null : (start, end),
                junctions == "-" ? [] : junctions.Split(',').Select(p => int.Parse(p) - 1).ToArray(), f[Column("gene_id")]);
        }).ToList();
    }

    /// <summary>Track bytes by the plainest reading of the specification, 1.1.</summary>
    internal static byte[] Tracks(string sequence, (int Start, int End)? cds, IEnumerable<int> junctions)
    {
        var tracks = new byte[sequence.Length];
        for (int i = 0; i < tracks.Length; i++)
        {
            tracks[i] = sequence[i] switch { 'A' => 1, 'C' => 2, 'G' => 4, 'T' => 8, _ => 0 };
            if (cds is var (s, e) && i >= s && i < e && (i - s) % 3 == 0) tracks[i] += 16;
            if (junctions.Contains(i) || i == tracks.Length - 1) tracks[i] += 32;
        }
        return tracks;
    }

    internal static List<TranscriptRecord> ReadAll(TranscriptInput input, out InputReport report)
    {
        using var source = TranscriptSource.Open(input);
        var all = source.Read().ToList();
        report = source.Report;
        return all;
    }

    internal static List<Transcript> ReadTranscripts(TranscriptInput input) => ReadAll(input, out _).Select(r => r.Transcript ?? throw new InvalidDataException(r.SkipReason)).ToList();

    internal static void AssertSame(Expected want, Transcript? got)
    {
        Assert.True(got is not null, $"{want.Id} is missing");
        Assert.True(want.Sequence == got.ToSequence(), $"{want.Id}: the sequence differs");
        Assert.True(want.Cds == got.Cds, $"{want.Id}: CDS {got.Cds}, want {want.Cds}");
        Assert.True(got.Junctions is not null && want.Junctions.SequenceEqual(got.Junctions), $"{want.Id}: junctions differ");
        Assert.True(Tracks(want.Sequence, want.Cds, want.Junctions).AsSpan().SequenceEqual(got.Tracks.Span), $"{want.Id}: track bytes differ");
    }
}
