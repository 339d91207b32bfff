using static Orthrus.Rna.Tests.ExpectedSet;

namespace Orthrus.Rna.Tests;

/// <summary>
/// Every transcript of every reference genome through every format: the set's own files in all combinations, then the same transcripts
/// written in each annotation format and the same bases in each genome format. All must give the bytes of a loop over the letters.
/// </summary>
public class RealFormatTests
{
    /// <summary>Folder, annotation files, genome files, transcripts, transcripts with CDS (the numbers of the sets' READMEs, where they give them).</summary>
    public static TheoryData<string, string, string, int, int> Sets()
    {
        const string Mammals = "genome-mammals-ensembl75/", Human = "genome-human/", Models = "genome-model-organisms/", Gtf = "genes.gtf.gz", Fa = "genome.fa.gz";
        return new TheoryData<string, string, string, int, int>
        {
            { Mammals + "homo_sapiens", Gtf, Fa + " genome.2bit", 535, 291 },
            { Mammals + "mus_musculus", Gtf, Fa + " genome.2bit", 286, 154 },
            { Mammals + "rattus_norvegicus", Gtf, Fa, 55, 51 },
            { Mammals + "pan_troglodytes", Gtf, Fa, 62, 47 },
            { Mammals + "gorilla_gorilla", Gtf, Fa, 87, 73 },
            { Mammals + "pongo_abelii", Gtf, Fa, 67, 56 },
            { Mammals + "callithrix_jacchus", Gtf, Fa, 108, 96 },
            { Mammals + "tarsius_syrichta", Gtf, Fa, 39, 30 },
            { Mammals + "oryctolagus_cuniculus", Gtf, Fa, 74, 65 },
            { Mammals + "bos_taurus", Gtf, Fa, 51, 45 },
            { Mammals + "equus_caballus", Gtf, Fa, 50, 45 },
            { Mammals + "canis_familiaris", Gtf, Fa, 54, 48 },
            { Mammals + "felis_catus", Gtf, Fa, 50, 43 },
            { Mammals + "loxodonta_africana", Gtf, Fa, 75, 69 },
            { Human + "hg19-chr3-42M", Gtf + " genes.bed12", Fa, 20, 20 },
            { Human + "grch38-chr9-1M", Gtf, Fa, 105, 41 },
            { Human + "genomekit-mini-hg19", "gencode.v47lift37.annotation.gff3.gz", "hg19.mini.2bit", 507, 263 },
            { Human + "genomekit-mini-hg19", "ucsc_refseq.2017-06-25.refGene.txt", "hg19.mini.2bit", 110, 88 },
            { Human + "toga-micro-2bit", "annot_micro_sample.bed", "hg38.micro_sample.2bit", 5, 4 },
            { Models + "caenorhabditis_elegans-1pct", "ce1pct.gff3.gz", "ce1pct.fa.gz", 417, 300 },
            { Models + "arabidopsis_thaliana-1pct", "at1pct.gff3.gz", "at1pct.fa.gz", 500, 459 },
            { Models + "drosophila_melanogaster-2L2R", "dm6.small.gtf.gz dm6.small.refflat", "dm6.small.fa.gz", 356, 0 },
            { Models + "saccharomyces_cerevisiae-R64", "GCA_000146045.2_R64_genomic.gff.gz", "GCA_000146045.2_R64_genomic.fna.gz", 6399, 5989 },
        };
    }

    [Theory]
    [MemberData(nameof(Sets))]
    public void OwnFiles(string folder, string annotations, string genomes, int transcripts, int coding)
    {
        var set = RealSet.Load(folder, annotations, genomes);
        Assert.Equal((transcripts, coding), (set.Models.Count, set.Models.Count(m => m.Cds is not null)));
        var want = set.Splice();
        foreach (string annotation in set.Annotations)
            foreach (string genome in set.Genomes) AssertSame(set.Models, want, annotation, genome);
    }

    [Theory]
    [MemberData(nameof(Sets))]
    public void EveryAnnotationFormat(string folder, string annotations, string genomes, int transcripts, int coding)
    {
        var set = Distinct(RealSet.Load(folder, annotations, genomes), transcripts, coding);
        var want = set.Splice();
        using var scratch = new Scratch();
        string twoBit = scratch.Put("g.2bit", Write.TwoBit(set.Contigs));
        foreach (string format in FormatTests.Annotations().Select(r => r.Data))
            AssertSame(set.Models, want, FormatTests.PutAnnotation(scratch, format, set.Contigs, set.Models, 5), format == "gff3 with genome" ? null : twoBit);
    }

    [Theory]
    [Trait("tier", "long")]
    [MemberData(nameof(Sets))]
    public void EveryGenomeFormat(string folder, string annotations, string genomes, int transcripts, int coding)
    {
        var set = Distinct(RealSet.Load(folder, annotations, genomes), transcripts, coding);
        var want = set.Splice();
        using var scratch = new Scratch();
        string bed = scratch.Put("a.bed", Write.Bed12(set.Models));
        foreach (string format in FormatTests.Genomes().Select(r => r.Data)) AssertSame(set.Models, want, bed, FormatTests.PutGenome(scratch, format, set.Contigs));
    }

    // RefSeq maps two ids twice, which a format that knows a transcript by its id cannot hold.
    private static RealSet Distinct(RealSet set, int transcripts, int coding)
    {
        Assert.Equal((transcripts, coding), (set.Models.Count, set.Models.Count(m => m.Cds is not null)));
        return set with { Models = set.Models.DistinctBy(m => m.Id).ToList() };
    }

    private static void AssertSame(List<Model> models, List<byte[]> want, string annotation, string? genome)
    {
        var got = ReadAll(new TranscriptInput { Annotation = annotation, Genome = genome }, out _).Where(r => r.Transcript is not null).Select(r => r.Transcript!).ToLookup(t => t.Id);
        Assert.True(models.Count == got.Sum(g => g.Count()), $"{annotation}, {genome}: {got.Sum(g => g.Count())} of {models.Count} transcripts; {string.Join(' ', models.Select(m => m.Id).Except(got.Select(g => g.Key)).Take(5))} missing");
        foreach (var same in models.Zip(want).GroupBy(x => x.First.Id))
        {
            Assert.Equal(same.Count(), got[same.Key].Count());
            foreach (var ((model, tracks), t) in same.Zip(got[same.Key]))
                Assert.True(tracks.AsSpan().SequenceEqual(t.Tracks.Span), $"{annotation}, {genome}: {model.Id}");
        }
    }
}
