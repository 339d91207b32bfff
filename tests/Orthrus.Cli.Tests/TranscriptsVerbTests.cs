using Orthrus.TestSupport;

namespace Orthrus.Cli.Tests;

/// <summary>`orthrus transcripts` as a user types it.</summary>
public sealed class TranscriptsVerbTests : IDisposable
{
    private static readonly string Examples = Path.Combine(TestPaths.Repository, "examples", "data");
    private static readonly string[] Annotated = ["--annotation", Path.Combine(Examples, "genes.gtf"), "--genome", Path.Combine(Examples, "genome.fa.gz")];
    private static readonly string Fasta = Path.Combine(Examples, "transcripts.fa.gz"), Table = Path.Combine(Examples, "transcripts.tsv");

    private readonly string _folder = Directory.CreateTempSubdirectory("orthrus-transcripts-").FullName;

    [Fact]
    public void WritesFastaAndTable()
    {
        string output = At("x.fa");
        var run = CliRun.Of(["transcripts", .. Annotated, "-o", output]).Succeeded();
        Assert.Contains("11 transcripts", run.Error);
        Assert.Equal(11, File.ReadLines(output).Count(l => l[0] == '>'));
        string[] table = File.ReadAllLines(At("x.tsv"));
        Assert.Equal("transcript_id\tgene_id\tspecies\tcds_start\tcds_end\texon_junctions\thomology_group\tgene_symbol\tfamily_group\tsplit\tcds_source\tlength\tsource", table[0]);
        Assert.Equal(12, table.Length);
        // What it wrote reads back as the same transcripts.
        CliRun.Of("transcripts", output, "--tracks", At("x.tsv"), "-o", At("y.fa")).Succeeded();
        Assert.Equal(File.ReadAllBytes(output), File.ReadAllBytes(At("y.fa")));
        Assert.Equal(table.Select(WithoutSource), File.ReadAllLines(At("y.tsv")).Select(WithoutSource));

        static string WithoutSource(string row) => row[..row.LastIndexOf('\t')];
    }

    [Fact]
    public void TheTableKeepsWhatTheInputTableSays()
    {
        string fasta = At("in.fa"), table = At("in.txt");
        File.WriteAllText(fasta, ">t1\nACATGAAATAGCC\n>t2\nACATGAAATAGCC\n>t3\nACGT\n>t4\nACGT\n");
        string[] rows =
        [
            "transcript_id\tgene_id\tspecies\tcds_start\tcds_end\texon_junctions\thomology_group\tgene_symbol\tfamily_group\tsplit\tcds_source\tlength",
            "t1\tg1\thomo_sapiens\t2\t11\t5\th7\tTP53\tf3\ttrain\tannotated\t13",
            "t2\tg1\tmus_musculus\t2\t11\tNA\th7\tTrp53\tf3\ttest\tlongest_orf\t13",
            "t3\tNA\tNA\t-1\t-1\t-\tNA\tNA\tNA\tvalidation\tnone\t4",
            "t4\tNA\tNA\t-1\t-1\tNA\tNA\tNA\tNA\tNA\tNA\t4",
        ];
        File.WriteAllLines(table, rows);
        CliRun.Of("transcripts", fasta, "--tracks", table, "-o", At("out.fa")).Succeeded();
        Assert.Equal(rows.Skip(1).Select(r => r + "\tin.fa"), File.ReadAllLines(At("out.tsv")).Skip(1));
        // The columns may stand in any order.
        File.WriteAllLines(table, rows.Select(r => string.Join('\t', r.Split('\t').Reverse())));
        CliRun.Of("transcripts", fasta, "--tracks", table, "-o", At("again.fa")).Succeeded();
        Assert.Equal(File.ReadAllLines(At("out.tsv")), File.ReadAllLines(At("again.tsv")));
    }

    [Fact]
    public void DashWritesTheFastaAlone()
    {
        var run = CliRun.Of(["transcripts", .. Annotated, "-o", "-"]).Succeeded();
        Assert.Equal(11, run.Out.Split('\n').Count(l => l.StartsWith('>')));
        Assert.Empty(Directory.GetFiles(_folder));
    }

    [Theory]
    [InlineData("--coding-only --longest-per-gene", 20)]
    [InlineData("--coding-only --min-length 1000 --max-length 2000", 7)]
    [InlineData("--longest-per-gene --min-length 3000", 5)]
    [InlineData("--blank-tracks --coding-only", 22)]
    public void FiltersWorkTogether(string filters, int kept)
    {
        CliRun.Of(["transcripts", Fasta, "--tracks", Table, "-o", At("x.fa"), .. filters.Split(' ')]).Succeeded();
        Assert.Equal(kept, File.ReadLines(At("x.fa")).Count(l => l[0] == '>'));
    }

    [Theory]
    [InlineData("--coding-only", 3, "no record has a known CDS")]
    [InlineData("--biotype lncRNA", 3, "no record has a biotype")]
    [InlineData("--longest-per-gene", 3, "no record names its gene")]
    [InlineData("--region 1:1-100", 2, "--region needs --annotation")]
    [InlineData("--contig-aliases x", 2, "--contig-aliases needs --annotation")]
    [InlineData("--min-length 9 --max-length 3", 2, "leave no length")]
    [InlineData("--min-length 999999", 3, "none of its 34 transcripts passes the filters")]
    public void FilterThatCannotApplyToBareFasta(string filters, int code, string says)
    {
        var run = CliRun.Of(["transcripts", Fasta, "-o", At("x.fa"), .. filters.Split(' ')]);
        Assert.Equal(code, run.Code);
        Assert.Contains(says, Assert.Single(run.ErrorLines));
        Assert.Empty(Directory.GetFiles(_folder));
    }

    [Fact]
    public void TheOutputNeverReplacesAnInput()
    {
        foreach (string name in new[] { "genes.gtf", "genome.fa.gz", "transcripts.tsv", "transcripts.fa.gz" }) File.Copy(Path.Combine(Examples, name), At(name));
        string[] annotated = ["--annotation", At("genes.gtf"), "--genome", At("genome.fa.gz")];
        foreach (string[] args in new string[][]
        {
            [.. annotated, "-o", At("genes.gtf")],
            [.. annotated, "-o", At("genome.fa.gz")],
            [At("transcripts.fa.gz"), "-o", Path.Combine(_folder, ".", "transcripts.fa.gz")],
            [At("transcripts.fa.gz"), "--tracks", At("transcripts.tsv"), "-o", At("transcripts.fa")],
        })
        {
            var run = CliRun.Of(["transcripts", .. args]);
            Assert.Equal(2, run.Code);
            Assert.Contains("would write over the input", Assert.Single(run.ErrorLines));
        }
        Assert.Equal(4, Directory.GetFiles(_folder).Length);
        Assert.Equal(File.ReadAllBytes(Path.Combine(Examples, "genome.fa.gz")), File.ReadAllBytes(At("genome.fa.gz")));
    }

    [Fact]
    public void AFullDiskIsOneLine()
    {
        using var full = new FullDisk();
        using var error = new StringWriter();
        Assert.Equal(3, Cli.Run(["transcripts", .. Annotated, "-o", "-"], full, error));
        Assert.Contains("stdout: no space left to write to; free some", Assert.Single(error.ToString().Split('\n', StringSplitOptions.RemoveEmptyEntries)));
    }

    [Fact]
    public void AnInterruptLeavesNothing()
    {
        using var cancelled = new CancellationTokenSource();
        cancelled.Cancel();
        var run = CliRun.Of(["transcripts", .. Annotated, "-o", At("x.fa")], cancelled.Token);
        Assert.Equal(130, run.Code);
        Assert.Empty(Directory.GetFiles(_folder));
    }

    [Fact]
    public void ContigsInPartMissingNameBothSides()
    {
        string gtf = At("a.gtf");
        File.WriteAllText(gtf, File.ReadAllText(Path.Combine(Examples, "genes.gtf")) + "NC_000001.11\tx\texon\t1\t9\t.\t+\t.\ttranscript_id \"t\"; gene_id \"g\";\n");
        var run = CliRun.Of("transcripts", "--annotation", gtf, "--genome", Path.Combine(Examples, "genome.fa.gz"), "-o", At("x.fa")).Succeeded();
        Assert.Contains(run.ErrorLines, l => l.Contains("1 of 5 contigs of the annotation (NC_000001.11) are not in the genome") && l.Contains("--contig-aliases"));
        Assert.Contains(run.ErrorLines, l => l == "1 skipped: contig not in the genome");
        var strict = CliRun.Of("transcripts", "--annotation", gtf, "--genome", Path.Combine(Examples, "genome.fa.gz"), "-o", At("y.fa"), "--strict");
        Assert.Equal(3, strict.Code);
        Assert.Contains("contig NC_000001.11 is not in the genome", Assert.Single(strict.ErrorLines));
        Assert.False(File.Exists(At("y.fa")));
    }

    private sealed class FullDisk : MemoryStream
    {
        public override void Write(byte[] buffer, int offset, int count) => throw Enospc();

        public override void Write(ReadOnlySpan<byte> buffer) => throw Enospc();

        private static IOException Enospc() => new("No space left on device", OperatingSystem.IsWindows() ? unchecked((int)0x80070070) : 28);
    }

    private string At(string name) => Path.Combine(_folder, name);

    public void Dispose() => Directory.Delete(_folder, recursive: true);
}
