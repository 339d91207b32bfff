using static Orthrus.Rna.Tests.ExpectedSet;

namespace Orthrus.Rna.Tests;

/// <summary>Every expected transcript of the reference sets, spliced exactly, and the counts that the sets' READMEs give.</summary>
public class ReferenceGenomeTests
{
    public static TheoryData<string, string> Mammals()
    {
        var rows = new TheoryData<string, string>();
        string[] species = ["bos_taurus", "callithrix_jacchus", "canis_familiaris", "equus_caballus", "felis_catus", "gorilla_gorilla", "homo_sapiens",
            "loxodonta_africana", "mus_musculus", "oryctolagus_cuniculus", "pan_troglodytes", "pongo_abelii", "rattus_norvegicus", "tarsius_syrichta"];
        foreach (string s in species) rows.Add(s, "genome.fa.gz");
        rows.Add("homo_sapiens", "genome.2bit");
        rows.Add("mus_musculus", "genome.2bit");
        return rows;
    }

    [Theory]
    [MemberData(nameof(Mammals))]
    public void Ensembl75(string species, string genome)
    {
        string folder = Data("genome-mammals-ensembl75", species);
        var expected = Read(Path.Combine(folder, "transcripts.fa.gz"), Path.Combine(folder, "transcripts.tsv.gz"));
        var got = ReadTranscripts(new TranscriptInput { Annotation = Path.Combine(folder, "genes.gtf.gz"), Genome = Path.Combine(folder, genome) });
        Assert.Equal(expected.Count, got.Count);
        var byId = got.ToDictionary(t => t.Id);
        foreach (var want in expected)
        {
            AssertSame(want, byId.GetValueOrDefault(want.Id));
            Assert.Equal(want.GeneId, byId[want.Id].GeneId);
        }
    }

    [Theory]
    [InlineData("genes.gtf.gz")]
    [InlineData("genes.bed12")]
    public void Hg19Chromosome3(string annotation)
    {
        string folder = Data("genome-human", "hg19-chr3-42M");
        var expected = Read(Path.Combine(folder, "transcripts.fa.gz"), Path.Combine(folder, "transcripts.tsv.gz"));
        var got = ReadTranscripts(new TranscriptInput { Annotation = Path.Combine(folder, annotation), Genome = Path.Combine(folder, "genome.fa.gz") }).ToDictionary(t => t.Id);
        Assert.Equal(20, got.Count);
        foreach (var want in expected) AssertSame(want, got.GetValueOrDefault(want.Id));
    }

    [Fact]
    public void Ensembl91Chromosome9()
    {
        string folder = Data("genome-human", "grch38-chr9-1M");
        var all = ReadAll(new TranscriptInput { Annotation = Path.Combine(folder, "genes.gtf.gz"), Genome = Path.Combine(folder, "genome.fa.gz") }, out var report);
        var inside = all.Where(r => r.Transcript is not null).Select(r => r.Transcript!).ToList();
        Assert.Equal(41, inside.Count(t => t.Cds is not null));
        Assert.Equal(64, inside.Count(t => t.Cds is null));
        Assert.Equal(30, inside.Count(Complete));
        Assert.Equal(0, report.Skipped);
        Assert.Equal(12, Isoforms("CBWD1"));
        Assert.Equal(8, Isoforms("DOCK8"));
        Assert.Equal(4, Isoforms("KANK1"));
        Assert.Equal(2, Isoforms("DMRT1"));

        int Isoforms(string gene) => inside.Count(t => t.GeneName == gene && Complete(t));
    }

    [Fact]
    public void GencodeGff3WithTwoBit()
    {
        string folder = Data("genome-human", "genomekit-mini-hg19");
        var got = ReadTranscripts(new TranscriptInput { Annotation = Path.Combine(folder, "gencode.v47lift37.annotation.gff3.gz"), Genome = Path.Combine(folder, "hg19.mini.2bit") });
        Assert.Equal(507, got.Count);
        Assert.Equal(85, got.Select(t => t.GeneId).Distinct().Count());
        Assert.Equal(263, got.Count(t => t.Cds is not null));
        Assert.Equal(187, got.Count(Complete));
        Assert.Equal(38, got.Where(Complete).Select(t => t.GeneId).Distinct().Count());
        Assert.Equal(33, got.Where(Complete).GroupBy(t => t.GeneId).Count(g => g.Count() > 1));
        Assert.All(got, t => Assert.StartsWith("ENST", t.Id));
        Assert.Contains(got, t => t.Notes.Contains("cds 5' incomplete"));
    }

    [Fact]
    public void RefGeneWithBin()
    {
        string folder = Data("genome-human", "genomekit-mini-hg19");
        var got = ReadTranscripts(new TranscriptInput { Annotation = Path.Combine(folder, "ucsc_refseq.2017-06-25.refGene.txt"), Genome = Path.Combine(folder, "hg19.mini.2bit") });
        string[] rows = File.ReadAllLines(Path.Combine(folder, "ucsc_refseq.2017-06-25.refGene.txt"));
        Assert.Equal(rows.Length, got.Count);
        foreach (var (row, t) in rows.Select(r => r.Split('\t')).Zip(got))
        {
            Assert.Equal(row[1], t.Id);
            Assert.Equal(row[12], t.GeneName);
            Assert.Equal(row[6] != row[7], t.Cds is not null);
        }
        var coding = got.Where(t => t.Cds is not null).ToList();
        Assert.True(coding.Count(Complete) >= coding.Count * 9 / 10, "most RefSeq CDS read from ATG to a stop");
    }

    [Fact]
    public void TogaBedWithTwoBit()
    {
        string folder = Data("genome-human", "toga-micro-2bit");
        var got = ReadTranscripts(new TranscriptInput { Annotation = Path.Combine(folder, "annot_micro_sample.bed"), Genome = Path.Combine(folder, "hg38.micro_sample.2bit") });
        Assert.Equal(5, got.Count);
        Assert.All(got.Where(t => t.Id.StartsWith("ENST")), t => Assert.True(Complete(t), t.Id));
        Assert.Equal(3, got.Count(t => t.Id.StartsWith("ENST")));
        Assert.False(Complete(got.Single(t => t.Id == "OUF_SAMPLE")));
        Assert.Null(got.Single(t => t.Id == "NO_CDS").Cds);
    }

    [Theory]
    [InlineData("caenorhabditis_elegans-1pct", "ce1pct", 300)]
    [InlineData("arabidopsis_thaliana-1pct", "at1pct", 459)]
    public void OnePercentGenomes(string folder, string stem, int messengers)
    {
        folder = Data("genome-model-organisms", folder);
        var all = ReadAll(new TranscriptInput { Annotation = Path.Combine(folder, stem + ".gff3.gz"), Genome = Path.Combine(folder, stem + ".fa.gz") }, out var report);
        // Transcripts whose own row lies past the cut at 1 % keep rows without parent.
        Assert.Subset(new HashSet<string> { "parent row missing" }, report.SkippedByReason.Keys.ToHashSet());
        var got = all.Where(r => r.Transcript is not null).Select(r => r.Transcript!).ToList();
        var coding = got.Where(t => t.Cds is not null).ToList();
        Assert.Equal(messengers, coding.Count);
        Assert.All(coding, t => Assert.True(ReadsThrough(t), t.Id));
        var genes = Text(Path.Combine(folder, stem + ".gff3.gz")).Split('\n').Select(l => l.Split('\t')).Where(f => f.Length == 9 && f[2] == "gene")
            .Select(f => f[8].Split(';')[0]["ID=".Length..].Replace("Gene:", "")).ToHashSet();
        // The row of a gene that crosses the cut is missing as well.
        Assert.True(coding.Count(t => t.GeneId is not null && genes.Contains(t.GeneId)) >= coding.Count - 10);
        Assert.Equal(messengers, got.Count(t => t.Biotype == "protein_coding"));
    }

    [Theory]
    [InlineData("dm6.small.gtf.gz")]
    [InlineData("dm6.small.refflat")]
    public void FlyMatchesFlyBase(string annotation)
    {
        string folder = Data("genome-model-organisms", "drosophila_melanogaster-2L2R");
        var published = Fasta(Path.Combine(folder, "dm6.small.transcriptome.fa.gz"));
        var got = ReadTranscripts(new TranscriptInput { Annotation = Path.Combine(folder, annotation), Genome = Path.Combine(folder, "dm6.small.fa.gz") }).ToDictionary(t => t.Id);
        Assert.Equal(356, got.Count);
        var common = got.Values.Where(t => published.ContainsKey(t.Id)).ToList();
        Assert.Equal(309, common.Count);
        Assert.All(common, t => Assert.True(published[t.Id] == t.ToSequence(), t.Id));
        Assert.All(got.Values, t => Assert.Equal((null, false), (t.Cds, t.CdsKnown)));
    }

    [Fact]
    public void YeastWholeGenome()
    {
        string folder = Data("genome-model-organisms", "saccharomyces_cerevisiae-R64");
        var clock = System.Diagnostics.Stopwatch.StartNew();
        var all = ReadAll(new TranscriptInput
        {
            Annotation = Path.Combine(folder, "GCA_000146045.2_R64_genomic.gff.gz"), Genome = Path.Combine(folder, "GCA_000146045.2_R64_genomic.fna.gz"),
        }, out var report);
        TestContext.Current.SendDiagnosticMessage($"yeast: {clock.Elapsed.TotalSeconds:F2} s, {string.Join("; ", report.ToLines())}");
        Assert.True(clock.Elapsed.TotalSeconds < 20, $"the whole yeast genome took {clock.Elapsed.TotalSeconds:F1} s");
        var coding = all.Where(r => r.Transcript?.Cds is not null).Select(r => r.Transcript!).ToList();
        Assert.Equal(5989, coding.Count);
        // Ribosomal slippage (Ty elements, OAZ1, EST3, ABP140): the mRNA has the base that the ribosome passes over, so that the CDS is one longer.
        var slipping = coding.Where(t => t.Notes.Contains("cds rows overlap or leave a gap")).ToList();
        Assert.Equal(47, slipping.Count);
        Assert.All(slipping, t => Assert.Equal(1, (t.Cds!.Value.End - t.Cds.Value.Start) % 3));
        Assert.All(coding.Except(slipping), t => Assert.True(InFrame(t), t.Id));
        Assert.Empty(report.SkippedByReason);
    }

    /// <summary>As the sets' READMEs define it: ATG, stop, in frame, no inner stop, no unknown base.</summary>
    internal static bool Complete(Transcript t) => ReadsThrough(t) && !t.ToSequence().Contains('N');

    internal static bool ReadsThrough(Transcript t)
    {
        if (!InFrame(t)) return false;
        string cds = t.ToSequence()[t.Cds!.Value.Start..t.Cds.Value.End];
        for (int p = 3; p + 3 < cds.Length; p += 3) if (IsStop(cds.Substring(p, 3))) return false;
        return true;
    }

    private static bool InFrame(Transcript t)
    {
        if (t.Cds is not var (s, e) || (e - s) % 3 != 0) return false;
        string cds = t.ToSequence()[s..e];
        return cds.StartsWith("ATG", StringComparison.Ordinal) && IsStop(cds[^3..]);
    }

    private static bool IsStop(string codon) => codon is "TAA" or "TAG" or "TGA";
}
