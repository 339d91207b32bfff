using System.Text.Json;
using Orthrus.TestSupport;
using Orthrus.Train;

namespace Orthrus.Cli.Tests;

/// <summary>`orthrus corpus` as a user types it.</summary>
public sealed class CorpusVerbTests : IDisposable
{
    private static readonly string Examples = Path.Combine(TestPaths.Repository, "examples", "data"), Mammals = Path.Combine(Examples, "mammals");
    private static readonly string[] Set = ["--transcripts", Path.Combine(Mammals, "transcripts.fa.gz"), "--table", Path.Combine(Mammals, "transcripts.tsv")];
    private static readonly string[] Orthologs = ["--homology", Path.Combine(Mammals, "orthologs.tsv")];
    private static readonly string[] Annotated = ["--annotation", Path.Combine(Examples, "genes.gtf"), "--genome", Path.Combine(Examples, "genome.fa.gz")];

    private readonly string _folder = Directory.CreateTempSubdirectory("orthrus-corpus-").FullName;

    [Fact]
    public void BuildsAndDescribes()
    {
        var run = CliRun.Of(["corpus", .. Set, .. Orthologs, "-o", At("c.safetensors")]).Succeeded();
        Assert.Contains("pairs of genes", run.Error);
        Assert.Equal([At("c.safetensors")], Directory.GetFiles(_folder));
        string text = CliRun.Of("corpus", "info", At("c.safetensors"), "--verify").Succeeded().Out;
        Assert.Contains("345 (", text);
        Assert.Contains("every byte as written", text);
        using var json = JsonDocument.Parse(CliRun.Of("corpus", "info", At("c.safetensors"), "--json").Succeeded().Out);
        var root = json.RootElement;
        Assert.Equal(345, root.GetProperty("transcripts").GetInt32());
        Assert.Equal(5, root.GetProperty("species").EnumerateObject().Count());
        Assert.Equal(345, root.GetProperty("lengths").EnumerateArray().Sum(b => b.GetProperty("transcripts").GetInt64()));
        Assert.Equal(345, root.GetProperty("splits").EnumerateObject().Sum(s => s.Value.GetProperty("transcripts").GetInt64()));
        Assert.Equal(0, root.GetProperty("families_in_several_splits").GetInt32());
        Assert.True(root.GetProperty("pairs").GetProperty("ortholog").GetInt64() > 200);
        var sources = root.GetProperty("provenance").GetProperty("sources")[0];
        Assert.Equal(345, sources.GetProperty("transcripts").GetInt32());
        Assert.Equal(Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(File.ReadAllBytes(Set[1]))), sources.GetProperty("files")[0].GetProperty("sha256").GetString());
        Assert.Equal("orthologs.tsv", root.GetProperty("provenance").GetProperty("homology").GetProperty("tables")[0].GetProperty("name").GetString());
    }

    [Fact]
    public void SetsAreToldApartByTheOrderOfTheirOptions()
    {
        string[] mouse = [.. Annotated, "--species", "mus_musculus"];
        string[][] forms = [[.. Set, .. mouse], [.. mouse, .. Set], ["--species", "mus_musculus", .. Annotated, .. Set]];
        foreach (string[] form in forms)
        {
            CliRun.Of(["corpus", .. form, .. Orthologs, "-o", At("c")]).Succeeded();
            using var corpus = CorpusFile.Open(At("c"));
            Assert.Equal(345 + 11, corpus.Count);
            var ofMouse = Enumerable.Range(0, corpus.Count).Where(t => corpus.SpeciesName(corpus.Species(t)) == "mus_musculus").ToList();
            Assert.Equal(84 + 11, ofMouse.Count);
        }
        // The same transcripts twice are no larger corpus.
        var twice = CliRun.Of(["corpus", .. Set, .. Set, "-o", At("d")]);
        Assert.Equal(3, twice.Code);
        Assert.Contains("the transcript occurs twice in species", Assert.Single(twice.ErrorLines));
        // What stands before a set belongs to the set before where that can take it.
        var wrong = CliRun.Of(["corpus", .. Set, "--species", "mus_musculus", "--genome", Annotated[3], "--annotation", Annotated[1], "-o", At("d")]);
        Assert.Equal(3, wrong.Code);
        Assert.Contains("--species says mus_musculus", wrong.ErrorLines[^1]);
    }

    [Theory]
    [InlineData(2, "say which file to write", "SET")]
    [InlineData(2, "give transcripts", "-o", "OUT")]
    [InlineData(2, "--genome G.fa belongs to no set", "SET", "--genome", "G.fa", "-o", "OUT")]
    [InlineData(2, "--table B belongs to no set", "SET", "--table", "B", "-o", "OUT")]
    [InlineData(2, "three shares that add up to 1", "SET", "--splits", "0.5,0.2", "-o", "OUT")]
    [InlineData(2, "three shares that add up to 1", "SET", "--splits", "0.5,0.2,0.2", "-o", "OUT")]
    [InlineData(2, "leave no length", "SET", "--min-length", "9", "--max-length", "3", "-o", "OUT")]
    [InlineData(2, "exclude each other", "SET", "--homology", "none", "--homology", "symbols", "-o", "OUT")]
    [InlineData(2, "exclude each other", "SET", "--strict", "--lenient", "-o", "OUT")]
    [InlineData(2, "--toga T.bed needs --species", "--toga", "T.bed", "-o", "OUT")]
    [InlineData(2, "needs --table", "--store", "S", "--species", "x", "-o", "OUT")]
    [InlineData(2, "give files, not stdin", "--transcripts", "-", "--species", "x", "-o", "OUT")]
    [InlineData(2, "cannot be written to stdout", "SET", "-o", "-")]
    [InlineData(2, "would write over the input", "SET", "-o", "FASTA")]
    [InlineData(3, "the output folder does not exist", "SET", "HOMOLOGY", "-o", "OUT/absent/c")]
    [InlineData(3, "is a folder", "SET", "-o", "FOLDER")]
    [InlineData(3, "no such file", "--transcripts", "absent.fa", "--species", "x", "-o", "OUT")]
    [InlineData(3, "has no species", "--transcripts", "FASTA", "-o", "OUT")]
    [InlineData(3, "give the genome it belongs to", "--annotation", "GTF", "--species", "mus_musculus", "-o", "OUT")]
    [InlineData(3, "is of species", "SET", "--species", "x", "-o", "OUT")]
    [InlineData(3, "none of its", "SET", "--homology", "OTHER", "-o", "OUT")]
    [InlineData(3, "is a safetensors file but no corpus", "info", "MODEL")]
    [InlineData(3, "no whole corpus file", "info", "FASTA")]
    [InlineData(3, "no such file", "info", "absent")]
    public void WhatCannotBeMeantIsOneLine(int code, string says, params string[] arguments)
    {
        File.WriteAllText(At("other.tsv"), "x1\tg\nx2\tg\n");
        if (arguments.Contains("MODEL")) Mamba.OrthrusModel.Create(new Mamba.MambaConfig(16, 1, 4), seed: 1).SaveSafeTensors(At("m.safetensors"));
        string[] args = [.. arguments.SelectMany(a => a switch
        {
            "SET" => Set,
            "HOMOLOGY" => Orthologs,
            "OUT" => [At("c")],
            "OUT/absent/c" => [At("absent/c")],
            "FASTA" => [Set[1]],
            "GTF" => [Annotated[1]],
            "FOLDER" => [_folder],
            "OTHER" => [At("other.tsv")],
            "MODEL" => [At("m.safetensors")],
            _ => new[] { a },
        })];
        var run = CliRun.Of(["corpus", .. args]);
        Assert.Equal(code, run.Code);
        Assert.Contains(says, Assert.Single(run.ErrorLines));
        Assert.False(File.Exists(At("c")) || File.Exists(At("c.partial")) || File.Exists(At("c.ids.partial")));
    }

    [Theory]
    [InlineData(3, "no row in the tracks table|has no row for it", ">a\nACGT\n>b\nACGT\n", "transcript_id\tgene_id\tspecies\tcds_start\tcds_end\na\tg\tman\t-1\t-1\n")]
    [InlineData(3, "says 5 nt, the sequence has 4", ">a\nACGT\n", "transcript_id\tspecies\tcds_start\tcds_end\tlength\na\tman\t-1\t-1\t5\n")]
    [InlineData(3, "has no row for it", ">a\nACGT\n", "transcript_id\tspecies\tcds_start\tcds_end\nb\tman\t-1\t-1\n")]
    [InlineData(3, "the header lacks columns", ">a\nACGT\n", "transcript_id\tspecies\na\tman\n")]
    [InlineData(3, "has no species", ">a\nACGT\n", "transcript_id\tcds_start\tcds_end\na\t-1\t-1\n")]
    [InlineData(3, "occurs twice", ">a\nACGT\n", "transcript_id\tspecies\tcds_start\tcds_end\na\tman\t-1\t-1\na\tman\t-1\t-1\n")]
    [InlineData(3, "record a: the transcript occurs twice", ">a\nACGT\n>a\nACGT\n", "transcript_id\tspecies\tcds_start\tcds_end\na\tman\t-1\t-1\n")]
    [InlineData(3, "split 'dunno' is not train, valid or test", ">a\nACGT\n", "transcript_id\tspecies\tcds_start\tcds_end\tsplit\na\tman\t-1\t-1\tdunno\n")]
    [InlineData(3, "CDS 1-9 (0-based) in a sequence of 4 nt", ">a\nACGT\n", "transcript_id\tspecies\tcds_start\tcds_end\na\tman\t1\t9\n")]
    [InlineData(3, "2 columns where the header has 4", ">a\nACGT\n", "transcript_id\tspecies\tcds_start\tcds_end\na\tman\n")]
    public void TablesThatDoNotFitAreOneLine(int code, string says, string fasta, string table)
    {
        File.WriteAllText(At("x.fa"), fasta);
        File.WriteAllText(At("x.tsv"), table);
        var run = CliRun.Of("corpus", "--transcripts", At("x.fa"), "--table", At("x.tsv"), "-o", At("c"));
        Assert.Equal(code, run.Code);
        string line = Assert.Single(run.ErrorLines);
        Assert.Contains(says.Split('|'), s => line.Contains(s));
        Assert.False(File.Exists(At("c")));
    }

    [Fact]
    public void LenientSkipsRecordsThatDoNotFitAndCountsThem()
    {
        File.WriteAllText(At("x.fa"), ">a\nACGT\n>b\nACGTA\n");
        File.WriteAllText(At("x.tsv"), "transcript_id\tspecies\tcds_start\tcds_end\na\tman\t-1\t-1\n");
        var run = CliRun.Of("corpus", "--transcripts", At("x.fa"), "--table", At("x.tsv"), "--lenient", "-o", At("c")).Succeeded();
        Assert.Contains("1 left out: no row in the tracks table", run.Error);
        using var corpus = CorpusFile.Open(At("c"));
        Assert.Equal(1, corpus.Count);
    }

    [Fact]
    public void ATruncatedCorpusAndAChangedByteAreOneLine()
    {
        CliRun.Of(["corpus", .. Set, .. Orthologs, "-o", At("c")]).Succeeded();
        byte[] bytes = File.ReadAllBytes(At("c"));
        File.WriteAllBytes(At("cut"), bytes[..(bytes.Length / 2)]);
        var cut = CliRun.Of("corpus", "info", At("cut"));
        Assert.Equal(3, cut.Code);
        Assert.Contains("build it again", Assert.Single(cut.ErrorLines));
        bytes[bytes.Length / 2] ^= 1;
        File.WriteAllBytes(At("changed"), bytes);
        var changed = CliRun.Of("corpus", "info", At("changed"), "--verify");
        Assert.Equal(3, changed.Code);
        Assert.Contains("is not that of its bytes", Assert.Single(changed.ErrorLines));
    }

    [Fact]
    public void AFullDiskIsOneLineAndLeavesNothing()
    {
        if (!File.Exists("/dev/full")) Assert.Skip("needs /dev/full");
        File.CreateSymbolicLink(At("c.partial"), "/dev/full");
        var run = CliRun.Of(["corpus", .. Set, "--homology", "none", "-o", At("c")]);
        Assert.Equal(3, run.Code);
        Assert.Contains("no space left to write to", Assert.Single(run.ErrorLines));
        Assert.Empty(Directory.GetFiles(_folder));
    }

    [Fact]
    public void AnInterruptLeavesNothing()
    {
        using var cancel = new CancellationTokenSource();
        cancel.Cancel();
        Assert.Equal(130, CliRun.Of(["corpus", .. Set, "-o", At("c")], cancel.Token).Code);
        Assert.Empty(Directory.GetFiles(_folder));
    }

    private string At(string name) => Path.Combine(_folder, name);

    public void Dispose() => Directory.Delete(_folder, recursive: true);
}
