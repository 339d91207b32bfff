using Orthrus.Rna;

namespace Orthrus.Train;

/// <summary>The transcripts of a set, one after the other, whatever it comes from.</summary>
internal static class CorpusSetReader
{
    private const int SkipsShown = 3;

    // Species of which upstream keeps chromosomes 1 to 22 alone.
    private static readonly string[] Filtered = ["homo_sapiens", "mus_musculus", "human", "mouse"];

    /// <summary>Reads a set. What is left out is counted by reason.</summary>
    internal static IEnumerable<Transcript> Read(CorpusSet set, CorpusOptions options, SortedDictionary<string, long> leftOut, Action<string> remark) => set.Kind switch
    {
        CorpusSetKind.Store => Kept(Store(set, remark), options, leftOut),
        CorpusSetKind.Evaluation => Kept(Evaluation(set), options, leftOut),
        _ => Source(set, options, leftOut, remark),
    };

    private static IEnumerable<Transcript> Source(CorpusSet set, CorpusOptions options, SortedDictionary<string, long> leftOut, Action<string> remark)
    {
        bool fasta = set.Kind == CorpusSetKind.Transcripts;
        using var source = TranscriptSource.Open(new TranscriptInput
        {
            Fasta = fasta ? set.Path : null, TracksTable = set.Table, Annotation = fasta ? null : set.Path, Genome = set.Genome, ContigAliases = set.ContigAliases,
            Cds = options.Cds, Strict = options.Strict || (fasta && set.Table is not null && !options.Lenient), CodingOnly = options.CodingOnly,
            MinLength = options.MinLength, MaxLength = options.MaxLength,
            AutosomesOnly = options.AutosomesOnly && set.Kind == CorpusSetKind.Annotation && Filtered.Contains(set.Species, StringComparer.OrdinalIgnoreCase),
        });
        int skipped = 0;
        foreach (var record in source.Read())
        {
            if (record.Transcript is { } transcript) yield return transcript;
            else if (++skipped <= SkipsShown) remark($"skipped {record.Id}: {record.SkipReason}");
        }
        foreach (string text in source.Report.Remarks) remark($"{set.Path}: {text}");
        foreach (var (why, n) in source.Report.SkippedByReason) leftOut[why] = n;
        if (source.Report.Filtered > 0) leftOut["filters"] = source.Report.Filtered;
    }

    private static IEnumerable<Transcript> Kept(IEnumerable<Transcript> all, CorpusOptions options, SortedDictionary<string, long> leftOut)
    {
        foreach (var t in all)
        {
            if (t.Length >= options.MinLength && t.Length <= options.MaxLength && (t.Cds is not null || !options.CodingOnly)) yield return t;
            else leftOut["filters"] = leftOut.GetValueOrDefault("filters") + 1;
        }
    }

    // The table says which transcripts there are; upstream registers those of which the file exists.
    private static IEnumerable<Transcript> Store(CorpusSet set, Action<string> remark)
    {
        if (set.Table is null) throw new InputDataException(set.Path, null, "a store does not say which genes its transcripts are of", "give --table with columns transcript_id and gene_id");
        if (!Directory.Exists(set.Path)) throw new InputDataException(set.Path, null, "there is no such folder", "give the folder that holds ENST, NM and the like");
        using var lines = new LineReader(set.Table, InputFile.Open(set.Table));
        if (!lines.Next()) throw new InputDataException(set.Table, null, "is empty", "give a table with a header line");
        string[] header = FastaReader.Text(lines.Line).Split('\t');
        int id = Array.IndexOf(header, "transcript_id"), gene = Array.IndexOf(header, "gene_id");
        if (id < 0 || gene < 0) throw lines.Error("the header lacks columns", "needed are transcript_id and gene_id, separated by tabs");
        long missing = 0, found = 0;
        while (lines.Next())
        {
            if (lines.Line.IsEmpty) continue;
            string[] row = FastaReader.Text(lines.Line).Split('\t');
            if (row.Length != header.Length) throw lines.Error($"{row.Length} columns where the header has {header.Length}", "check that the table is complete and separated by tabs");
            string? path = UpstreamStore.RelativePath(row[id]);
            string full = Path.Combine(set.Path, path ?? row[id]);
            if (path is null || path.Contains("..", StringComparison.Ordinal) || !File.Exists(full))
            {
                missing++;
                continue;
            }
            found++;
            yield return FromTracks(row[id], UpstreamStore.Read(full), row[gene], Text("gene_symbol")) with
            {
                Species = Text("species"), HomologyGroup = Text("homology_group"), FamilyGroup = Text("family_group"), Split = Text("split"),
            };

            string? Text(string name) => Array.IndexOf(header, name) is >= 0 and var c && row[c] is not ("" or "NA") ? row[c] : null;
        }
        if (found == 0) throw new InputDataException(set.Table, null, $"none of its {missing:N0} transcripts has a file in {set.Path}", "give the table that belongs to the store");
        if (missing > 0) remark($"{set.Path}: {missing:N0} transcripts of the table have no file");
    }

    private static IEnumerable<Transcript> Evaluation(CorpusSet set)
    {
        string[] genes = EvaluationNpz.Genes(set.Path);
        string stem = Path.GetFileNameWithoutExtension(set.Path);
        int row = 0;
        foreach (byte[] tracks in EvaluationNpz.Rows(set.Path))
        {
            if (row == genes.Length) throw new InputDataException(set.Path, null, $"has more rows in X than in genes ({genes.Length:N0})", "copy or make the file again");
            yield return FromTracks($"{stem}_{row}", tracks, genes[row++], null);
        }
        if (row < genes.Length) throw new InputDataException(set.Path, null, $"has {row:N0} rows in X and {genes.Length:N0} in genes", "copy or make the file again");
    }

    // Of stored tracks everything is known that the tracks say; bounds of the CDS are those of its marks.
    private static Transcript FromTracks(string id, byte[] tracks, string gene, string? symbol)
    {
        var (first, last) = Augment.Marks(tracks);
        return new Transcript
        {
            Id = id, Tracks = tracks, GeneId = gene, GeneName = symbol, Cds = first < 0 ? null : (first, Math.Min(last + 3, tracks.Length)), CdsKnown = true,
            CdsSource = first < 0 ? CdsSource.None : CdsSource.Annotated,
            Junctions = [.. Enumerable.Range(0, tracks.Length - 1).Where(i => (tracks[i] & TrackByte.Splice) != 0)],
        };
    }
}
