using System.Diagnostics;
using static Orthrus.Rna.Tests.ExpectedSet;

namespace Orthrus.Rna.Tests;

/// <summary>The same transcripts as others splice them: gffread, and the makers of the corpus.</summary>
public class OtherToolsTests
{
    /// <summary>Folder, annotation, genome, transcripts compared, complete CDS compared.</summary>
    public static TheoryData<string, string, string, int, int> Gffread()
    {
        var rows = new TheoryData<string, string, string, int, int> { { "", "genes.gtf", "genome.fa.gz", 11, 3 } };
        foreach (var (species, transcripts, complete) in new[]
        {
            ("homo_sapiens", 535, 204), ("mus_musculus", 286, 109), ("rattus_norvegicus", 55, 38), ("pan_troglodytes", 62, 40), ("gorilla_gorilla", 87, 49),
            ("pongo_abelii", 67, 39), ("callithrix_jacchus", 108, 69), ("tarsius_syrichta", 39, 5), ("oryctolagus_cuniculus", 74, 26), ("bos_taurus", 51, 38),
            ("equus_caballus", 50, 31), ("canis_familiaris", 54, 37), ("felis_catus", 50, 15), ("loxodonta_africana", 75, 35),
        }) rows.Add("genome-mammals-ensembl75/" + species, "genes.gtf.gz", "genome.fa.gz", transcripts, complete);
        rows.Add("genome-human/hg19-chr3-42M", "genes.gtf.gz", "genome.fa.gz", 20, 20);
        rows.Add("genome-human/grch38-chr9-1M", "genes.gtf.gz", "genome.fa.gz", 105, 30);
        rows.Add("genome-human/genomekit-mini-hg19", "gencode.v47lift37.annotation.gff3.gz", "hg19.mini.2bit", 507, 187);
        rows.Add("genome-model-organisms/caenorhabditis_elegans-1pct", "ce1pct.gff3.gz", "ce1pct.fa.gz", 417, 300);
        rows.Add("genome-model-organisms/arabidopsis_thaliana-1pct", "at1pct.gff3.gz", "at1pct.fa.gz", 500, 457);
        rows.Add("genome-model-organisms/drosophila_melanogaster-2L2R", "dm6.small.gtf.gz", "dm6.small.fa.gz", 356, 0);
        rows.Add("genome-model-organisms/saccharomyces_cerevisiae-R64", "GCA_000146045.2_R64_genomic.gff.gz", "GCA_000146045.2_R64_genomic.fna.gz", 6399, 5936);
        return rows;
    }

    [Theory]
    [MemberData(nameof(Gffread))]
    public void GffreadGivesTheSameTranscripts(string folder, string annotation, string genome, int transcripts, int complete)
    {
        string? tool = Environment.GetEnvironmentVariable("PATH")!.Split(Path.PathSeparator).Select(p => Path.Combine(p, "gffread")).FirstOrDefault(File.Exists);
        if (tool is null) Assert.Skip("gffread is not installed");
        folder = folder.Length == 0 ? Path.Combine(TestSupport.TestPaths.Repository, "examples", "data") : Data(folder.Split('/'));
        (annotation, genome) = (Path.Combine(folder, annotation), Path.Combine(folder, genome));
        using var scratch = new Scratch();
        scratch.Put("g.fa", Write.Fasta(RealSet.ReadGenome(genome)));
        // gffread takes the introns seen by RNA-seq, which have no ID, for transcripts.
        scratch.Put("a", string.Join('\n', Text(annotation).Split('\n').Where(l => !l.Contains("\tRNASeq_splice\t"))));
        using (var process = Process.Start(new ProcessStartInfo(tool, ["-w", scratch["w.fa"], "-x", scratch["x.fa"], "-g", scratch["g.fa"], scratch["a"]]) { RedirectStandardError = true })!)
        {
            process.StandardError.ReadToEnd();
            process.WaitForExit();
            Assert.Equal(0, process.ExitCode);
        }
        var spliced = ByBareId(scratch["w.fa"]);
        var coding = ByBareId(scratch["x.fa"]);
        int same = 0, sameCds = 0;
        foreach (var t in ReadAll(new TranscriptInput { Annotation = annotation, Genome = genome }, out _).Where(r => r.Transcript is not null).Select(r => r.Transcript!))
        {
            string id = WithoutLift(t.Id);
            // What gffread keeps of an ambiguous base is not compared here.
            string? theirs = spliced.TryGetValue(id, out string? found) ? OnlyBases(found) : null;
            Assert.True(theirs is null || theirs == t.ToSequence(), $"{id}: gffread splices another sequence");
            if (theirs is not null) same++;
            if (!ReferenceGenomeTests.Complete(t) || !coding.TryGetValue(id, out string? cds)) continue;
            Assert.True(cds == t.ToSequence()[t.Cds!.Value.Start..t.Cds.Value.End], $"{id}: gffread has another CDS");
            sameCds++;
        }
        Assert.Equal((transcripts, complete), (same, sameCds));
    }

    /// <summary>Source in the corpus, folder, annotation, genome, transcripts of that source that come from this genome.</summary>
    [Theory]
    [InlineData("ensembl91_chr9_hg38", "genome-human/grch38-chr9-1M", "genes.gtf.gz", "genome.fa.gz", 30)]
    [InlineData("gencode47lift37_genomekit_mini", "genome-human/genomekit-mini-hg19", "gencode.v47lift37.annotation.gff3.gz", "hg19.mini.2bit", 186)]
    [InlineData("korflab_1pct_genome", "genome-model-organisms/caenorhabditis_elegans-1pct", "ce1pct.gff3.gz", "ce1pct.fa.gz", 297)]
    [InlineData("korflab_1pct_genome", "genome-model-organisms/arabidopsis_thaliana-1pct", "at1pct.gff3.gz", "at1pct.fa.gz", 339)]
    [InlineData("flybase_lcdb_dm6", "genome-model-organisms/drosophila_melanogaster-2L2R", "dm6.small.refflat", "dm6.small.fa.gz", 201)]
    public void CorpusHasTheSameTranscripts(string source, string folder, string annotation, string genome, int transcripts)
    {
        folder = Data(folder.Split('/'));
        var spliced = ReadAll(new TranscriptInput { Annotation = Path.Combine(folder, annotation), Genome = Path.Combine(folder, genome) }, out _)
            .Where(r => r.Transcript is not null).ToDictionary(r => WithoutLift(r.Id), r => r.Transcript!);
        int same = 0;
        var sequences = Fasta(Data("pretrain-corpus", "transcripts.fa.gz"));
        foreach (string[] f in Text(Data("pretrain-corpus", "transcripts.tsv.gz")).Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => l.Split('\t')))
        {
            if (f[12] != source || !spliced.TryGetValue(f[0], out var t)) continue;
            Assert.True(sequences[f[0]] == t.ToSequence(), f[0]);
            Assert.Equal(f[5], t.Junctions!.Count == 0 ? "-" : string.Join(',', t.Junctions.Select(p => p + 1)));
            if (f[10] == "annotated") Assert.Equal((int.Parse(f[3]), int.Parse(f[4])), t.Cds);
            same++;
        }
        Assert.Equal(transcripts, same);
    }

    // gffread names a transcript by its ID, with the prefix of its kind, and makes one of a gene whose CDS hangs on it as well: gene-X beside rna-X.
    private static Dictionary<string, string> ByBareId(string fasta) =>
        Fasta(fasta).OrderBy(p => p.Key.StartsWith("gene-", StringComparison.Ordinal)).DistinctBy(p => RealSet.Bare(p.Key)).ToDictionary(p => RealSet.Bare(p.Key), p => p.Value);

    private static string OnlyBases(string sequence) => string.Concat(sequence.Select(c => c is 'A' or 'C' or 'G' or 'T' ? c : 'N'));

    // GENCODE's mapping to GRCh37 numbers its transcripts behind the version, in transcript_id but not in ID.
    private static string WithoutLift(string id) => id.StartsWith("ENST", StringComparison.Ordinal) && id.IndexOf('_') is >= 0 and var at ? id[..at] : id;
}
