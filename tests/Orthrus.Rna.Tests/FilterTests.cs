using static Orthrus.Rna.Tests.ExpectedSet;

namespace Orthrus.Rna.Tests;

/// <summary>Filters, identifiers with and without version, contig names.</summary>
public class FilterTests
{
    private const string Genome = ">chr1\nACGTACGTACGTACGTACGTACGTACGTACGTACGTACGT\n>chrM\nACGTACGTAC\n";

    private const string Gtf =
        "chr1\tx\texon\t1\t10\t.\t+\t.\ttranscript_id \"ENST00000000001.2\"; gene_id \"g1\"; transcript_biotype \"lncRNA\";\n" +
        "chr1\tx\texon\t1\t20\t.\t+\t.\ttranscript_id \"ENST00000000002.1\"; gene_id \"g1\"; transcript_biotype \"protein_coding\";\n" +
        "chr1\tx\tCDS\t1\t20\t.\t+\t.\ttranscript_id \"ENST00000000002.1\"; gene_id \"g1\"; transcript_biotype \"protein_coding\";\n" +
        "chr1\tx\texon\t25\t30\t.\t-\t.\ttranscript_id \"ENST00000000003.1\"; gene_id \"g2\"; transcript_biotype \"protein_coding\";\n" +
        "chr1\tx\tCDS\t25\t30\t.\t-\t.\ttranscript_id \"ENST00000000003.1\"; gene_id \"g2\"; transcript_biotype \"protein_coding\";\n";

    [Fact]
    public void EachFilter()
    {
        Assert.Equal("1 2 3", Kept(i => i));
        Assert.Equal("2 3", Kept(i => i with { CodingOnly = true }));
        Assert.Equal("2 3", Kept(i => i with { CodingOnly = true, Cds = CdsPolicy.Blank }));
        Assert.Equal("1", Kept(i => i with { Biotypes = ["LNCRNA"] }));
        Assert.Equal("1 2 3", Kept(i => i with { Biotypes = ["lncRNA", "protein_coding"] }));
        Assert.Equal("2 3", Kept(i => i with { LongestPerGene = true }));
        Assert.Equal("1 2", Kept(i => i with { MinLength = 10 }));
        Assert.Equal("1 3", Kept(i => i with { MaxLength = 10 }));
        Assert.Equal("1", Kept(i => i with { MaxLength = 10, MinLength = 7 }));
        Assert.Equal("1 2 3", Kept(i => i with { Region = "chr1" }));
        Assert.Equal("1 2 3", Kept(i => i with { Region = "1" }));
        Assert.Equal("1 2", Kept(i => i with { Region = "chr1:1-24" }));
        Assert.Equal("2", Kept(i => i with { Region = "chr1:11-24" }));
        Assert.Equal("2 3", Kept(i => i with { Region = "chr1:20-2,500" }));
        Assert.Equal("3", Kept(i => i with { Region = "chr1:30" }));
    }

    [Theory]
    [InlineData("ENST00000000002.1", "2")]
    [InlineData("ENST00000000002", "2")]
    [InlineData("# some\nENST00000000003\r\n\n  ENST00000000001.2  \n", "1 3")]
    [InlineData("ENST00000000001.3\nENST00000000002", "2")]
    public void IdsWithAndWithoutVersion(string ids, string kept)
    {
        using var scratch = new Scratch();
        Assert.Equal(kept, Kept(i => i with { IdsFile = scratch.Put("ids", ids) }));
    }

    [Fact]
    public void IdsAreReported()
    {
        using var scratch = new Scratch();
        var input = Input(scratch) with { IdsFile = scratch.Put("ids", "ENST00000000002\nabsent\n") };
        ReadAll(input, out var report);
        Assert.Contains(report.Remarks, r => r.StartsWith("1 of the listed ids matched without regard to the version"));
        Assert.Contains(report.Remarks, r => r.Contains("1 of the listed ids are not in the input (absent)"));
        Assert.Equal(2, report.Filtered);
        Assert.Contains("absent", Assert.Throws<InputDataException>(() => ReadAll(input with { Strict = true }, out _)).Message);
        Assert.Contains("none of its 1 ids", Assert.Throws<InputDataException>(() => ReadAll(input with { IdsFile = scratch.Put("ids", "absent\n") }, out _)).Message);
        Assert.Contains("holds no ids", Assert.Throws<InputDataException>(() => ReadAll(input with { IdsFile = scratch.Put("ids", "# none\n") }, out _)).Message);
        Assert.Contains("one transcript id a line", Assert.Throws<InputDataException>(() => ReadAll(input with { IdsFile = scratch.Put("ids", "a b\n") }, out _)).Message);
    }

    [Theory]
    [InlineData("AT1G01010.1", "AT1G01010")]
    [InlineData("Y74C9A.3.1", "Y74C9A.3")]
    public void IsoformNumbersAreNoVersions(string id, string listed)
    {
        using var scratch = new Scratch();
        var input = new TranscriptInput { Fasta = scratch.Put("x.fa", $">{id}\nACGT\n"), IdsFile = scratch.Put("ids", listed) };
        Assert.Throws<InputDataException>(() => ReadAll(input, out _));
    }

    [Theory]
    [InlineData("NM_000546.6", "NM_000546")]
    [InlineData("NM_000546", "NM_000546.6")]
    [InlineData("ENSMUST00000000001.4", "ENSMUST00000000001")]
    public void TableMatchesAcrossVersions(string fasta, string table)
    {
        using var scratch = new Scratch();
        var got = ReadAll(new TranscriptInput { Fasta = scratch.Put("x.fa", $">{fasta}\nATGTAA\n"), TracksTable = scratch.Put("t", $"transcript_id\tcds_start\tcds_end\n{table}\t0\t6\n") }, out var report);
        Assert.Equal((0, 6), got[0].Transcript!.Cds);
        Assert.Contains(report.Remarks, r => r.Contains("without regard to the version"));
    }

    [Fact]
    public void AmbiguousVersionsDoNotMatch()
    {
        using var scratch = new Scratch();
        var input = new TranscriptInput
        {
            Fasta = scratch.Put("x.fa", ">NM_1\nATGTAA\n>NM_000002.1\nACGTAC\n"),
            TracksTable = scratch.Put("t", "transcript_id\tcds_start\tcds_end\nNM_1.1\t0\t3\nNM_1.2\t0\t6\nNM_000002.1\t0\t3\n"),
        };
        var got = ReadAll(input, out _);
        Assert.NotNull(got[0].SkipReason);
        Assert.Equal((0, 3), got[1].Transcript!.Cds);
    }

    [Theory]
    [InlineData("chr1", "1")]
    [InlineData("1", "chr1")]
    [InlineData("MT", "chrM")]
    [InlineData("chrM", "MT")]
    [InlineData("M", "MT")]
    public void ChromosomePrefixIsMatchedAndReported(string annotation, string genome)
    {
        using var scratch = new Scratch();
        ReadAll(new TranscriptInput { Annotation = scratch.Put("a", $"{annotation}\tx\texon\t1\t4\t.\t+\t.\ttranscript_id \"t\";\n"), Genome = scratch.Put("g", $">{genome}\nACGT\n") }, out var report);
        Assert.Contains(report.Remarks, r => r == $"1 contig names matched by chr prefix ({annotation} in the annotation, {genome} in the genome)");
    }

    [Theory]
    [InlineData("NC_000001.11\tchr1\n")]
    [InlineData("chr1 NC_000001.11\n")]
    [InlineData("# ucsc genbank refseq\nchr1\tCM000663.2\tNC_000001.11\n")]
    public void Aliases(string table)
    {
        using var scratch = new Scratch();
        var input = new TranscriptInput { Annotation = scratch.Put("a", Gtf.Replace("chr1", "NC_000001.11")), Genome = scratch.Put("g", Genome) };
        var e = Assert.Throws<InputDataException>(() => ReadAll(input, out _));
        Assert.Contains("NC_000001.11", e.Message);
        Assert.Contains("chr1, chrM", e.Message);
        Assert.Contains("--contig-aliases", e.Message);
        Assert.Equal(3, ReadTranscripts(input with { ContigAliases = scratch.Put("al", table) }).Count);
        Assert.Contains("one name", Assert.Throws<InputDataException>(() => ReadAll(input with { ContigAliases = scratch.Put("al", "chr1\n") }, out _)).Message);
    }

    [Fact]
    public void RegionErrors()
    {
        using var scratch = new Scratch();
        foreach (string region in new[] { "chr1:5-2", "chr1:x", "chr1:0-4" })
            Assert.Contains("is not understood", Assert.Throws<InputDataException>(() => ReadAll(Input(scratch) with { Region = region }, out _)).Message);
        Assert.Contains("no transcript lies on contig chr9", Assert.Throws<InputDataException>(() => ReadAll(Input(scratch) with { Region = "chr9:1-4" }, out _)).Message);
    }

    [Fact]
    public void FiltersNarrowEachOther()
    {
        using var scratch = new Scratch();
        string ids = scratch.Put("ids", "ENST00000000001\nENST00000000003\n");
        Assert.Equal("3", Kept(i => i with { IdsFile = ids, CodingOnly = true }));
        Assert.Equal("1", Kept(i => i with { IdsFile = ids, LongestPerGene = true, Biotypes = ["lncRNA"] }));
        Assert.Equal("2", Kept(i => i with { Region = "chr1:1-24", CodingOnly = true, Biotypes = ["protein_coding"] }));
        // The longest of a gene is chosen among what the other filters leave.
        Assert.Equal("1 3", Kept(i => i with { LongestPerGene = true, MaxLength = 15 }));
    }

    [Fact]
    public void FilterThatAsksForWhatTheInputDoesNotTell()
    {
        using var scratch = new Scratch();
        var bare = new TranscriptInput { Fasta = scratch.Put("x.fa", ">a\nACGT\n>b\nAC\n") };
        string Says(TranscriptInput input) => Assert.Throws<InputDataException>(() => ReadAll(input, out _)).Message;
        Assert.Contains("no record names its gene", Says(bare with { LongestPerGene = true }));
        Assert.Contains("no record has a known CDS", Says(bare with { CodingOnly = true }));
        Assert.Contains("no record has a biotype", Says(bare with { Biotypes = ["lncRNA"] }));
        Assert.Contains("no record names its gene", Says(new TranscriptInput
        {
            Annotation = scratch.Put("a.bed", "chr1\t0\t10\tt\t0\t+\t0\t0\t0\t1\t10,\t0,\n"), Genome = scratch.Put("g.fa", Genome), LongestPerGene = true,
        }));
    }

    [Fact]
    public void NothingLeftIsAnError()
    {
        using var scratch = new Scratch();
        Assert.Contains("passes the filters", Assert.Throws<InputDataException>(() => ReadAll(Input(scratch) with { MinLength = 1000 }, out _)).Message);
    }

    [Fact]
    public void LongestPerGeneOfFastaKeepsOrderAndSkips()
    {
        using var scratch = new Scratch();
        var got = ReadAll(new TranscriptInput { Fasta = scratch.Put("x", ">a gene:g\nAC\n>b\nA\n>c gene:g\nACGT\n>d\n>e gene:g\nACGA\n"), LongestPerGene = true }, out var report);
        Assert.Equal(["b", "c", "d"], got.Select(r => r.Id));
        Assert.Equal(2, report.Filtered);
    }

    private static TranscriptInput Input(Scratch scratch) => new() { Annotation = scratch.Put("a.gtf", Gtf), Genome = scratch.Put("g.fa", Genome) };

    private static string Kept(Func<TranscriptInput, TranscriptInput> with)
    {
        using var scratch = new Scratch();
        return string.Join(' ', ReadTranscripts(with(Input(scratch))).Select(t => t.Id[14]));
    }
}
