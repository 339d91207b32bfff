using System.CommandLine;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Orthrus.Train;

namespace Orthrus.Cli;

/// <summary>orthrus corpus info: what is in a corpus file.</summary>
internal static class CorpusInfo
{
    internal static Command Build()
    {
        var file = new Argument<string>("file") { Description = "corpus file" };
        var json = new Option<bool>("--json") { Description = "as one JSON object" };
        var verify = new Option<bool>("--verify") { Description = "read every byte and compare with the sums in the file" };
        var command = new Command("info", "Counts, lengths, pairs of each kind, species, splits and provenance of a corpus file.") { file, json, verify };
        command.SetAction(r =>
        {
            using var corpus = CorpusFile.Open(r.GetValue(file)!);
            if (r.GetValue(verify)) corpus.Verify();
            var output = CliHost.Of(r).Output;
            if (r.GetValue(json)) output.WriteLine(Json(corpus, CorpusSummary.Of(corpus)));
            else Text(output, corpus, CorpusSummary.Of(corpus), r.GetValue(verify));
            return ExitCode.Done;
        });
        return command;
    }

    private static void Text(TextWriter output, CorpusFile corpus, CorpusSummary summary, bool verified)
    {
        Row("corpus", corpus.Path + (verified ? " (every byte as written)" : ""));
        Row("transcripts", $"{N(corpus.Count)} ({N(corpus.Nucleotides)} nt; median {N(summary.Length.Median)}, longest {N(summary.Length.Longest)})");
        Row("genes", N(corpus.Genes));
        Row("groups", $"{N(corpus.Groups)} of homology, {N(summary.SharedGroups)} with several transcripts, {N(summary.GroupsAcrossSpecies)} across species");
        Row("families", N(corpus.Families) + (summary.CutFamilies > 0 ? $", {N(summary.CutFamilies)} of them in several splits" : ", none of them in several splits"));
        Row("pairs", $"{N(summary.SplicePairs)} splice, {N(summary.OrthologPairs)} ortholog");
        foreach (var (flag, n) in summary.Flags) Row(flag, N(n));
        int from = 0;
        foreach (var (below, n) in summary.Lengths)
        {
            Row("length", $"{(below is { } b ? $"{N(from)} to {N(b - 1)}" : $"{N(from)} and more"),-18} {N(n)}");
            from = below ?? 0;
        }
        foreach (var s in summary.Splits)
            Row("split", $"{s.Name,-6} {N(s.Transcripts)} transcripts; keys {N(s.ShortKeys)} short, {N(s.LongKeys)} long; choices {N(s.SplicePairs)} splice, {N(s.OrthologPairs)} ortholog");
        foreach (var s in summary.Species) Row("species", $"{s.Name}: {N(s.Transcripts)} transcripts of {N(s.Genes)} genes, {N(s.Nucleotides)} nt");
        foreach (var (key, value) in corpus.Metadata.OrderBy(m => m.Key, StringComparer.Ordinal))
            if (value.StartsWith('{') || value.StartsWith('[') || key.EndsWith("sha256", StringComparison.Ordinal)) Row(key, value);

        void Row(string key, string value) => output.WriteLine($"{key,-18} {value}");

        static string N(long n) => n.ToString("N0", CultureInfo.InvariantCulture);
    }

    private static string Json(CorpusFile corpus, CorpusSummary summary)
    {
        using var memory = new MemoryStream();
        using (var json = new Utf8JsonWriter(memory, new JsonWriterOptions { Indented = true }))
        {
            json.WriteStartObject();
            json.WriteString("file", corpus.Path);
            json.WriteNumber("transcripts", corpus.Count);
            json.WriteNumber("nucleotides", corpus.Nucleotides);
            json.WriteNumber("median_length", summary.Length.Median);
            json.WriteNumber("longest", summary.Length.Longest);
            json.WriteNumber("genes", corpus.Genes);
            json.WriteNumber("groups", corpus.Groups);
            json.WriteNumber("groups_with_several_transcripts", summary.SharedGroups);
            json.WriteNumber("groups_across_species", summary.GroupsAcrossSpecies);
            json.WriteNumber("families", corpus.Families);
            json.WriteNumber("families_in_several_splits", summary.CutFamilies);
            json.WriteStartObject("pairs");
            json.WriteNumber("splice", summary.SplicePairs);
            json.WriteNumber("ortholog", summary.OrthologPairs);
            json.WriteEndObject();
            json.WriteStartObject("flags");
            foreach (var (flag, n) in summary.Flags) json.WriteNumber(flag.Replace(' ', '_'), n);
            json.WriteEndObject();
            json.WriteStartArray("lengths");
            foreach (var (below, n) in summary.Lengths)
            {
                json.WriteStartObject();
                if (below is { } b) json.WriteNumber("below", b);
                else json.WriteNull("below");
                json.WriteNumber("transcripts", n);
                json.WriteEndObject();
            }
            json.WriteEndArray();
            json.WriteStartObject("splits");
            foreach (var s in summary.Splits)
            {
                json.WriteStartObject(s.Name);
                json.WriteNumber("transcripts", s.Transcripts);
                json.WriteNumber("short_keys", s.ShortKeys);
                json.WriteNumber("long_keys", s.LongKeys);
                json.WriteNumber("splice_choices", s.SplicePairs);
                json.WriteNumber("ortholog_choices", s.OrthologPairs);
                json.WriteEndObject();
            }
            json.WriteEndObject();
            json.WriteStartObject("species");
            foreach (var s in summary.Species)
            {
                json.WriteStartObject(s.Name);
                json.WriteNumber("transcripts", s.Transcripts);
                json.WriteNumber("genes", s.Genes);
                json.WriteNumber("nucleotides", s.Nucleotides);
                json.WriteEndObject();
            }
            json.WriteEndObject();
            json.WriteStartObject("provenance");
            foreach (var (key, value) in corpus.Metadata.OrderBy(m => m.Key, StringComparer.Ordinal))
            {
                // What was written as JSON stays JSON.
                json.WritePropertyName(key);
                if (value.StartsWith('{') || value.StartsWith('[')) json.WriteRawValue(value);
                else json.WriteStringValue(value);
            }
            json.WriteEndObject();
            json.WriteEndObject();
        }
        return Encoding.UTF8.GetString(memory.GetBuffer(), 0, (int)memory.Length);
    }
}
