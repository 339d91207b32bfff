using static Orthrus.Rna.Tests.ExpectedSet;

namespace Orthrus.Rna.Tests;

/// <summary>Small real pieces of each dialect that travel with the project, and dialects written out here.</summary>
public class DialectTests
{
    private const string Genome = ">c\nAAATGCCCGGGTTTAAACCCATGGGTAACCCGGGTTTACGTACGTACGTTTTACCCATGA\n";

    [Theory]
    [InlineData("wormbase", 5)]
    [InlineData("tair", 4)]
    public void OnePercentPieces(string folder, int messengers)
    {
        var got = ReadTranscripts(new TranscriptInput { Annotation = Fixture(folder + "/genes.gff3"), Genome = Fixture(folder + "/genome.fa.gz") });
        var coding = got.Where(t => t.Cds is not null).ToList();
        Assert.Equal(messengers, coding.Count);
        Assert.All(coding, t => Assert.True(ReferenceGenomeTests.ReadsThrough(t), t.Id));
        Assert.All(got, t => Assert.DoesNotContain(":", t.Id));
        Assert.All(coding, t => Assert.Equal("protein_coding", t.Biotype));
        if (folder == "wormbase") Assert.All(coding, t => Assert.StartsWith("WBGene", t.GeneId));
        else Assert.All(coding, t => Assert.StartsWith("AT1G", t.GeneId));
    }

    [Theory]
    [InlineData("genes.gtf")]
    [InlineData("genes.refflat")]
    public void FlyBasePiece(string annotation)
    {
        var published = Fasta(Fixture("flybase/transcripts.fa.gz"));
        using var source = TranscriptSource.Open(new TranscriptInput { Annotation = Fixture("flybase/" + annotation), Genome = Fixture("flybase/genome.fa.gz") });
        Assert.False(source.HasTracks);
        var got = source.Read().Select(r => r.Transcript!).ToDictionary(t => t.Id);
        Assert.Equal(16, got.Count);
        Assert.Equal(15, published.Count);
        Assert.All(published, p => Assert.Equal(p.Value, got[p.Key].ToSequence()));
    }

    [Fact]
    public void GencodePiece()
    {
        var got = ReadTranscripts(new TranscriptInput { Annotation = Fixture("gencode/genes.gff3.gz"), Genome = Fixture("gencode/chr2.2bit") });
        Assert.Equal(46, got.Count);
        Assert.Contains(got, ReferenceGenomeTests.Complete);
        Assert.All(got, t => Assert.StartsWith("ENSG", t.GeneId));
        Assert.Contains(got, t => t.GeneName == "INO80B" && t.Biotype == "protein_coding");
        var incomplete = got.Where(t => t.Notes.Contains("cds 5' incomplete")).ToList();
        Assert.NotEmpty(incomplete);
        // No phase correction: the first base of the CDS is marked whatever the phase.
        Assert.All(incomplete, t => Assert.NotEqual(0, t.Tracks.Span[t.Cds!.Value.Start] & TrackByte.Cds));
    }

    [Fact]
    public void RefGenePiece()
    {
        var got = ReadTranscripts(new TranscriptInput { Annotation = Fixture("gencode/refGene.txt"), Genome = Fixture("gencode/chr2.2bit") }).ToDictionary(t => t.Id);
        Assert.Equal(5, got.Count);
        Assert.True(ReferenceGenomeTests.Complete(got["NM_031288"]));
        Assert.Equal("INO80B", got["NM_031288"].GeneName);
        Assert.Null(got["NR_037849"].Cds);
        Assert.True(got["NR_037849"].CdsKnown);
    }

    [Fact]
    public void GtfStopCodonBelongsToTheCdsWhetherOrNotTheCdsRowsHaveIt()
    {
        var apart = One("c\tx\texon\t3\t26\t.\t+\t.\ttranscript_id \"t\";\nc\tx\tCDS\t4\t12\t.\t+\t0\ttranscript_id \"t\";\nc\tx\tstop_codon\t13\t15\t.\t+\t0\ttranscript_id \"t\";\n");
        var within = One("c\tx\texon\t3\t26\t.\t+\t.\ttranscript_id \"t\";\nc\tx\tCDS\t4\t15\t.\t+\t0\ttranscript_id \"t\";\nc\tx\tstop_codon\t13\t15\t.\t+\t0\ttranscript_id \"t\";\n");
        Assert.Equal((1, 13), apart.Cds);
        Assert.Equal(apart.Tracks.ToArray(), within.Tracks.ToArray());
    }

    [Fact]
    public void StopCodonSplitByAnIntron()
    {
        var t = One("c\tx\texon\t3\t14\t.\t+\t.\ttranscript_id \"t\";\nc\tx\texon\t20\t30\t.\t+\t.\ttranscript_id \"t\";\nc\tx\tCDS\t4\t12\t.\t+\t0\ttranscript_id \"t\";\n"
            + "c\tx\tstop_codon\t13\t14\t.\t+\t0\ttranscript_id \"t\";\nc\tx\tstop_codon\t20\t20\t.\t+\t1\ttranscript_id \"t\";\n");
        Assert.Equal((1, 13), t.Cds);
        Assert.Equal([11], t.Junctions!);
    }

    [Fact]
    public void Gff3CdsRowsWithoutExonRowsBecomeExons()
    {
        var t = One("##gff-version 3\nc\tx\tgene\t3\t30\t.\t-\t.\tID=gene-g;gene_biotype=protein_coding\nc\tx\tCDS\t3\t8\t.\t-\t0\tID=cds-p;Parent=gene-g;protein_id=p.1\nc\tx\tCDS\t20\t30\t.\t-\t0\tID=cds-p;Parent=gene-g;protein_id=p.1\n");
        Assert.Equal(("p.1", "g", 17), (t.Id, t.GeneId, t.Length));
        Assert.Equal((0, 17), t.Cds);
        Assert.Equal([10], t.Junctions!);
    }

    [Fact]
    public void Gff3ExonsFromUtrAndCdsRows()
    {
        var t = One("##gff-version 3\nc\tx\tmRNA\t3\t30\t.\t+\t.\tID=m\nc\tx\tfive_prime_UTR\t3\t5\t.\t+\t.\tParent=m\nc\tx\tCDS\t6\t10\t.\t+\t0\tParent=m\nc\tx\tCDS\t20\t23\t.\t+\t1\tParent=m\nc\tx\tthree_prime_UTR\t24\t30\t.\t+\t.\tParent=m\n");
        Assert.Equal((3, 12), t.Cds);
        Assert.Equal([7], t.Junctions!);
        Assert.Equal(19, t.Length);
    }

    [Fact]
    public void Gff3GeneLevelCdsJoinsItsMessenger()
    {
        var all = Read("##gff-version 3\nc\tx\tgene\t3\t30\t.\t+\t.\tID=g\nc\tx\tmRNA\t3\t30\t.\t+\t.\tID=m;Parent=g\nc\tx\texon\t3\t30\t.\t+\t.\tParent=m\nc\tx\tCDS\t6\t14\t.\t+\t0\tID=p;Parent=g\n");
        Assert.Equal((3, 12), Assert.Single(all).Transcript!.Cds);
    }

    [Fact]
    public void Gff3CdsWithoutParentIsGroupedById()
    {
        var all = Read("##gff-version 3\nc\tx\tCDS\t3\t8\t.\t+\t0\tID=a\nc\tx\tCDS\t11\t16\t.\t+\t0\tID=a\nc\tx\tCDS\t20\t28\t.\t+\t0\tID=b\n");
        Assert.Equal([("a", 12), ("b", 9)], all.Select(r => (r.Id, r.Transcript!.Length)));
    }

    [Fact]
    public void Gff3SlippageKeepsTheSequenceOfTheExonsAndIsNoted()
    {
        var t = One("##gff-version 3\nc\tx\tmRNA\t3\t30\t.\t+\t.\tID=m\nc\tx\texon\t3\t30\t.\t+\t.\tParent=m\nc\tx\tCDS\t4\t12\t.\t+\t0\tID=p;Parent=m;exception=ribosomal slippage\nc\tx\tCDS\t12\t20\t.\t+\t0\tID=p;Parent=m;exception=ribosomal slippage\n");
        Assert.Equal(28, t.Length);
        Assert.Equal((1, 18), t.Cds);
        Assert.Contains("overlap or leave a gap", t.Notes);
    }

    [Fact]
    public void PercentEncodingAndQuotedSemicolons()
    {
        Assert.Equal("a,b;c", One("##gff-version 3\nc\tx\tmRNA\t3\t30\t.\t+\t.\tID=a%2Cb%3Bc\nc\tx\texon\t3\t30\t.\t+\t.\tParent=a%2Cb%3Bc\n").Id);
        Assert.Equal("t;1", One("c\tx\texon\t3\t26\t.\t+\t.\tgene_id \"g; x\"; note \"transcript_id \"; transcript_id \"t;1\";\n").Id);
    }

    [Fact]
    public void FlyBaseRowsWithSeveralParents()
    {
        var all = Read("##gff-version 3\nc\tFlyBase\tgene\t3\t30\t.\t+\t.\tID=FBgn1;Name=al\nc\tFlyBase\tmRNA\t3\t30\t.\t+\t.\tID=FBtr1;Name=al-RA;Parent=FBgn1\nc\tFlyBase\tmRNA\t5\t30\t.\t+\t.\tID=FBtr2;Name=al-RB;Parent=FBgn1\n"
            + "c\tFlyBase\texon\t3\t10\t.\t+\t.\tParent=FBtr1\nc\tFlyBase\texon\t5\t10\t.\t+\t.\tParent=FBtr2\nc\tFlyBase\texon\t20\t30\t.\t+\t.\tParent=FBtr1,FBtr2\n"
            + "c\tFlyBase\tCDS\t6\t10\t.\t+\t0\tParent=FBtr1,FBtr2\nc\tFlyBase\tCDS\t20\t23\t.\t+\t1\tParent=FBtr1,FBtr2\nc\tFlyBase\tprotein\t6\t23\t.\t+\t.\tID=FBpp1;Derives_from=FBtr1\n");
        Assert.Equal([("FBtr1", "FBgn1", "al"), ("FBtr2", "FBgn1", "al")], all.Select(r => (r.Id, r.Transcript!.GeneId, r.Transcript.GeneName)));
        Assert.Equal([(3, 12), (1, 10)], all.Select(r => r.Transcript!.Cds!.Value));
    }

    [Fact]
    public void RefSeqRows()
    {
        var all = Read("##gff-version 3\nc\tBestRefSeq\tgene\t3\t30\t.\t-\t.\tID=gene-A;Dbxref=GeneID:1;Name=A;gbkey=Gene;gene=A;gene_biotype=protein_coding\n"
            + "c\tBestRefSeq\tmRNA\t3\t30\t.\t-\t.\tID=rna-NM_000001.2;Parent=gene-A;Name=NM_000001.2;gene=A;transcript_id=NM_000001.2\n"
            + "c\tBestRefSeq\texon\t3\t30\t.\t-\t.\tID=exon-NM_000001.2-1;Parent=rna-NM_000001.2;gene=A;transcript_id=NM_000001.2\n"
            + "c\tBestRefSeq\tCDS\t7\t27\t.\t-\t0\tID=cds-NP_000001.1;Parent=rna-NM_000001.2;gene=A;protein_id=NP_000001.1\n"
            + "c\tBestRefSeq\tmRNA\t31\t40\t.\t+\t.\tID=rna-NM_000001.2-2;Parent=gene-A;gene=A;transcript_id=NM_000001.2\nc\tBestRefSeq\texon\t31\t40\t.\t+\t.\tParent=rna-NM_000001.2-2;gene=A\n"
            + "c\tGnomon\tgene\t41\t50\t.\t+\t.\tID=gene-P;gene=P;gene_biotype=pseudogene;pseudo=true\nc\tGnomon\texon\t41\t50\t.\t+\t.\tID=id-P;Parent=gene-P;gene=P\n"
            + "c\tBestRefSeq\tmRNA\t3\t9\t.\t+\t.\tID=rna-T;exception=trans-splicing;gene=T\nc\tBestRefSeq\texon\t3\t9\t.\t+\t.\tParent=rna-T;exception=trans_splicing\n");
        Assert.Equal(["NM_000001.2", "NM_000001.2", "P", "T"], all.Select(r => r.Id));
        Assert.Equal((3, 24), all[0].Transcript!.Cds);
        Assert.Equal(("A", "A", "protein_coding"), (all[0].Transcript!.GeneId, all[0].Transcript!.GeneName, all[0].Transcript!.Biotype));
        // One accession mapped to two places stays two records.
        Assert.Contains("duplicate id", all[1].Transcript!.Notes);
        Assert.Equal("pseudogene", all[2].Transcript!.Biotype);
        Assert.Contains("trans-splicing", all[3].SkipReason);
    }

    [Theory]
    [InlineData("tag \"basic\"; tag \"cds_start_NF\"; tag \"mRNA_start_NF\";", "cds 5' incomplete")]
    [InlineData("tag \"cds_end_NF\"; tag \"basic\";", "cds 3' incomplete")]
    [InlineData("exception \"ribosomal slippage\";", "cds rows overlap or leave a gap")]
    public void GtfTags(string attributes, string note)
    {
        string tail = $"transcript_id \"t\"; {attributes}\n";
        var t = One($"c\tx\texon\t3\t26\t.\t+\t.\t{tail}c\tx\tCDS\t4\t12\t.\t+\t0\t{tail}c\tx\tstart_codon\t4\t6\t.\t+\t0\t{tail}");
        Assert.Equal((note, (1, 10)), (t.Notes, t.Cds));
    }

    [Fact]
    public void FivePrimeIncompleteCdsIsMarkedFromItsFirstBaseAndCounted()
    {
        using var scratch = new Scratch();
        string gtf = scratch.Put("a.gtf", "c\tx\texon\t3\t26\t.\t+\t.\ttranscript_id \"t\";\nc\tx\tCDS\t3\t13\t.\t+\t2\ttranscript_id \"t\";\n");
        var t = ReadAll(new TranscriptInput { Annotation = gtf, Genome = scratch.Put("g.fa", Genome) }, out var report)[0].Transcript!;
        Assert.Equal([0, 3, 6, 9], Enumerable.Range(0, t.Length).Where(i => (t.Tracks.Span[i] & TrackByte.Cds) != 0));
        Assert.Equal(1, report.Observed["cds 5' incomplete"]);
    }

    [Fact]
    public void OneIdOnXAndYStaysTwoTranscripts()
    {
        using var scratch = new Scratch();
        string gtf = scratch.Put("a.gtf", "chrX\tx\texon\t1\t9\t.\t+\t.\ttranscript_id \"t\"; gene_id \"g\";\nchrY\tx\texon\t4\t9\t.\t+\t.\ttranscript_id \"t\"; gene_id \"g\";\n");
        var got = ReadTranscripts(new TranscriptInput { Annotation = gtf, Genome = scratch.Put("g.fa", ">chrX\nACGTACGTACGT\n>chrY\nACGTACGTACGT\n") });
        Assert.Equal([9, 6], got.Select(t => t.Length));
        Assert.Equal("duplicate id", got[1].Notes);
    }

    [Fact]
    public void RowsOfATranscriptMayStandAnywhere()
    {
        string a = "c\tx\texon\t3\t8\t.\t+\t.\ttranscript_id \"a\";\n", b = "c\tx\texon\t4\t9\t.\t+\t.\ttranscript_id \"b\";\n";
        var all = Read(a + b + a.Replace("3\t8", "20\t25") + b.Replace("4\t9", "11\t15"));
        Assert.Equal([("a", 12), ("b", 11)], all.Select(r => (r.Id, r.Transcript!.Length)));
    }

    private static Transcript One(string annotation) => Assert.Single(Read(annotation)).Transcript ?? throw new InvalidDataException("skipped");

    private static List<TranscriptRecord> Read(string annotation)
    {
        using var scratch = new Scratch();
        return ReadAll(new TranscriptInput { Annotation = scratch.Put("a.txt", annotation), Genome = scratch.Put("g.fa", Genome) }, out _);
    }
}
