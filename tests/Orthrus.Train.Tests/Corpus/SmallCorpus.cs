using System.Text;
using Orthrus.Rna;

namespace Orthrus.Train.Tests.Corpus;

/// <summary>Corpora made of a few lines of text, in a folder that vanishes with the test.</summary>
internal sealed class SmallCorpus : IDisposable
{
    private const string Header = "transcript_id\tgene_id\tspecies\tcds_start\tcds_end\texon_junctions\thomology_group\tgene_symbol\tfamily_group\tsplit";

    private readonly StringBuilder _fasta = new();
    private readonly StringBuilder _table = new(Header + "\n");

    internal string Folder { get; } = Directory.CreateTempSubdirectory("orthrus-corpus-").FullName;

    internal List<string> Remarks { get; } = [];

    internal string At(string name) => Path.Combine(Folder, name);

    internal string Text(string name, string text)
    {
        File.WriteAllText(At(name), text);
        return At(name);
    }

    /// <summary>Adds a transcript to the FASTA and the table.</summary>
    internal SmallCorpus Add(string id, string gene, string species = "man", string? sequence = null, string cds = "NA\tNA", string junctions = "-", string group = "NA",
        string symbol = "NA", string family = "NA", string split = "NA", int length = 60)
    {
        _fasta.Append($">{id}\n{sequence ?? Bases(id, length)}\n");
        _table.Append($"{id}\t{gene}\t{species}\t{cds}\t{junctions}\t{group}\t{symbol}\t{family}\t{split}\n");
        return this;
    }

    /// <summary>Builds and opens the corpus.</summary>
    internal CorpusFile Build(Func<CorpusOptions, CorpusOptions>? with = null, string output = "c.safetensors") => CorpusFile.Open(Write(with, output));

    /// <summary>Builds the corpus and gives its path.</summary>
    internal string Write(Func<CorpusOptions, CorpusOptions>? with = null, string output = "c.safetensors")
    {
        var set = new CorpusSet(CorpusSetKind.Transcripts, Text("t.fa", _fasta.ToString())) { Table = Text("t.tsv", _table.ToString()) };
        var options = new CorpusOptions { Sets = [set] };
        CorpusBuilder.Build(with is null ? options : with(options), At(output), Remarks.Add, TestContext.Current.CancellationToken);
        return At(output);
    }

    /// <summary>Bases that depend on a word alone.</summary>
    internal static string Bases(string word, int length)
    {
        uint sample = (uint)word.Aggregate(17, (h, c) => h * 31 + c);
        var draws = new Draws(5, 0, sample, DrawFor.Order);
        var text = new StringBuilder();
        for (int i = 0; i < length; i++) text.Append("ACGT"[draws.Below(4)]);
        return text.ToString();
    }

    /// <summary>A corpus to draw from: groups of two species with several isoforms, lengths from 60 to 5,000, CDS and junctions known or not.</summary>
    internal static SmallCorpus ToDraw(int groups = 120)
    {
        var corpus = new SmallCorpus();
        for (int g = 0; g < groups; g++)
        {
            string split = g % 5 == 4 ? "valid" : "train";
            for (int m = 0; m < 2 + g % 3; m++)
            {
                int length = 60 + (g * 7919 + m * 104729) % (g % 11 == 0 ? 5000 : 1500);
                int start = length / 4, end = start + length / 6 * 3;
                corpus.Add($"g{g}t{m}", $"g{g}", m % 2 == 0 ? "man" : "mouse", length: length, cds: g % 4 == 3 ? "-1\t-1" : $"{start}\t{end}",
                    junctions: (g + m) % 3 == 0 ? "NA" : $"{length / 3},{length / 2}", group: $"og{g}", split: split);
            }
        }
        return corpus;
    }

    internal static int Index(CorpusFile corpus, string id) => Enumerable.Range(0, corpus.Count).Single(t => corpus.Id(t) == id);

    public void Dispose() => Directory.Delete(Folder, recursive: true);
}
