using FsCheck;
using FsCheck.Fluent;
using static Orthrus.Rna.Tests.ExpectedSet;

namespace Orthrus.Rna.Tests;

/// <summary>The same transcript through every annotation format and every genome format gives the same bytes, those of a naive loop.</summary>
public class FormatTests
{
    public static TheoryData<string> Annotations() => ["gtf", "gtf shuffled", "gtf.gz", "gff3", "gff3 shuffled", "gff3 with genome", "genePred", "ext", "bin", "refFlat", "header", "bed12", "bed12.gz"];

    public static TheoryData<string> Genomes() => ["fa", "fa crlf", "fa with fai", "fa uneven", "fa one line", "fa.gz", "bgzip", "2bit", "2bit big-endian", "2bit wide", "2bit wide big-endian"];

    [Theory]
    [MemberData(nameof(Annotations))]
    public void AnnotationFormat(string format)
    {
        using var scratch = new Scratch();
        for (int seed = 0; seed < 20; seed++)
        {
            var (contigs, models) = RandomSet(new Random(seed));
            Check(contigs, models, PutAnnotation(scratch, format, contigs, models, seed), format == "gff3 with genome" ? null : scratch.Put("g.2bit", Write.TwoBit(contigs)));
        }
    }

    [Theory]
    [MemberData(nameof(Genomes))]
    public void GenomeFormat(string format)
    {
        using var scratch = new Scratch();
        for (int seed = 100; seed < 120; seed++)
        {
            var (contigs, models) = RandomSet(new Random(seed));
            Check(contigs, models, scratch.Put("a.bed", Write.Bed12(models)), PutGenome(scratch, format, contigs));
        }
    }

    [Fact]
    public void AnySetThroughAnyPairOfFormats()
    {
        string[] annotations = Annotations().Select(r => r.Data).Where(f => f != "gff3 with genome").ToArray(), genomes = Genomes().Select(r => r.Data).ToArray();
        using var scratch = new Scratch();
        Prop.ForAll(ArbMap.Default.ArbFor<int>(), seed =>
        {
            var random = new Random(seed);
            var (contigs, models) = RandomSet(random);
            string genome = PutGenome(scratch, genomes[random.Next(genomes.Length)], contigs);
            Check(contigs, models, PutAnnotation(scratch, annotations[random.Next(annotations.Length)], contigs, models, seed), genome);
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(60).WithReplay(20251, 77));
    }

    [Fact]
    public void RealTranscriptsThroughEveryFormat()
    {
        string folder = Path.Combine(TestSupport.TestPaths.Repository, "examples", "data");
        var contigs = Fasta(Path.Combine(folder, "genome.fa.gz")).Select(c => (c.Key, c.Value)).ToList();
        var models = ModelsOfGtf(File.ReadAllLines(Path.Combine(folder, "genes.gtf")));
        Assert.True(models.Count >= 10);
        using var scratch = new Scratch();
        string genome = scratch.Put("g.2bit", Write.TwoBit(contigs));
        foreach (string format in Annotations().Select(r => r.Data).Where(f => f != "gff3 with genome"))
            Check(contigs, models, PutAnnotation(scratch, format, contigs, models, 1), genome);
        Check(contigs, models, Path.Combine(folder, "genes.gtf"), Path.Combine(folder, "genome.fa.gz"));
    }

    private static void Check(List<(string Name, string Bases)> contigs, List<Model> models, string annotation, string? genome)
    {
        var got = ReadTranscripts(new TranscriptInput { Annotation = annotation, Genome = genome });
        Assert.Equal(models.Count, got.Count);
        var byId = got.ToDictionary(t => t.Id);
        var bases = contigs.ToDictionary(c => c.Name, c => c.Bases);
        foreach (var m in models)
            Assert.True(byId.TryGetValue(m.Id, out var t) && m.Splice(bases[m.Contig]).AsSpan().SequenceEqual(t.Tracks.Span), $"{annotation}: {m}");
    }

    internal static string PutAnnotation(Scratch scratch, string format, List<(string, string)> contigs, List<Model> models, int seed) => format switch
    {
        "gtf" => scratch.Put("a.gtf", Write.Gtf(models)),
        "gtf shuffled" => scratch.Put("a.gtf", Write.Gtf(models, new Random(seed))),
        "gtf.gz" => scratch.Put("a.txt", Write.Gzip(Write.Gtf(models).Replace("\n", "\r\n"))),
        "gff3" => scratch.Put("a.gff3", Write.Gff3(models)),
        "gff3 shuffled" => scratch.Put("a.gff3", Write.Gff3(models, new Random(seed))),
        "gff3 with genome" => scratch.Put("a.gff3", Write.Gff3(models) + "##FASTA\n" + Write.Fasta(contigs)),
        "bed12" => scratch.Put("a.bed", "browser position chr1\ntrack name=x\n" + Write.Bed12(models)),
        "bed12.gz" => scratch.Put("a.bed", Write.Gzip(Write.Bed12(models))),
        _ => scratch.Put("a.txt", Write.GenePred(models, format)),
    };

    internal static string PutGenome(Scratch scratch, string format, List<(string Name, string Bases)> contigs)
    {
        File.Delete(scratch["g.fa.fai"]);
        switch (format)
        {
            case "fa": return scratch.Put("g.fa", Write.Fasta(contigs));
            case "fa crlf": return scratch.Put("g.fa", Write.Fasta(contigs, lineEnd: "\r\n"));
            case "fa one line": return scratch.Put("g.fa", Write.Fasta(contigs, int.MaxValue).TrimEnd('\n'));
            case "fa.gz": return scratch.Put("g.fa", Write.Gzip(Write.Fasta(contigs)));
            case "bgzip": return scratch.Put("g.txt", Write.Bgzip(Write.Fasta(contigs)));
            case "fa uneven": return scratch.Put("g.fa", string.Concat(contigs.Select(c => $">{c.Name}\n{c.Bases[..17]}\n\n{c.Bases[17..40]}\n{c.Bases[40..]}\n")));
            case "fa with fai":
                scratch.Put("g.fa.fai", Fai(contigs, 60));
                return scratch.Put("g.fa", Write.Fasta(contigs));
            default: return scratch.Put("g.2bit", Write.TwoBit(contigs, format.Contains("big"), format.Contains("wide")));
        }
    }

    internal static string Fai(List<(string Name, string Bases)> contigs, int width)
    {
        long at = 0;
        return string.Concat(contigs.Select(c =>
        {
            at += $">{c.Name} some words\n".Length;
            string line = $"{c.Name}\t{c.Bases.Length}\t{at}\t{width}\t{width + 1}\n";
            at += c.Bases.Length + (c.Bases.Length + width - 1) / width;
            return line;
        }));
    }

    /// <summary>Contigs with N runs and lower case, and transcripts on both strands with 1 to 6 exons, some of them touching.</summary>
    private static (List<(string Name, string Bases)>, List<Model>) RandomSet(Random random)
    {
        var contigs = new List<(string, string)>();
        var models = new List<Model>();
        for (int c = 0; c < random.Next(1, 4); c++)
        {
            int length = random.Next(300, 2500);
            string letters = random.Next(3) == 0 ? "ACGTacgtN" : "ACGT";
            var bases = new char[length];
            for (int i = 0; i < length; i++) bases[i] = letters[random.Next(letters.Length)];
            if (random.Next(2) == 0) Array.Fill(bases, 'N', random.Next(length / 2), random.Next(1, 60));
            contigs.Add(($"chr{c + 1}", new string(bases)));
            for (int g = 0; g < 3; g++)
            {
                bool minus = random.Next(2) == 0;
                for (int t = 0; t < random.Next(1, 4); t++) models.Add(RandomTranscript(random, $"G{c}_{g}", $"T{c}_{g}.{t}", $"chr{c + 1}", minus, length));
            }
        }
        return (contigs, models);
    }

    private static Model RandomTranscript(Random random, string gene, string id, string contig, bool minus, int length)
    {
        int exons = random.Next(1, 7);
        int[] cuts = Enumerable.Range(0, 2 * exons).Select(_ => random.Next(0, length + 1)).Distinct().Order().ToArray();
        var list = new List<(int, int)>();
        for (int i = 0; i + 1 < cuts.Length; i += 2) list.Add((cuts[i], cuts[i + 1]));
        if (list.Count == 0) list.Add((0, length));
        // Sometimes two exons touch without an intron.
        if (list.Count > 1 && random.Next(4) == 0) list[0] = (list[0].Item1, list[1].Item1);
        var positions = list.SelectMany(x => Enumerable.Range(x.Item1, x.Item2 - x.Item1)).ToList();
        (int, int)? cds = null;
        if (random.Next(4) > 0 && positions.Count >= 6)
        {
            int from = random.Next(positions.Count - 5), to = random.Next(from + 5, positions.Count);
            cds = (positions[from], positions[to] + 1);
        }
        return new Model(id, gene, contig, minus, [.. list], cds);
    }

    // Rows of the example's GTF by string splitting, stop codons added to the CDS.
    private static List<Model> ModelsOfGtf(string[] lines)
    {
        var rows = lines.Select(l => l.Split('\t')).Select(f => (Id: f[8].Split("transcript_id \"")[1].Split('"')[0], Gene: f[8].Split("gene_id \"")[1].Split('"')[0],
            Contig: f[0], Type: f[2], Minus: f[6] == "-", Start: int.Parse(f[3]) - 1, End: int.Parse(f[4])));
        return rows.GroupBy(r => r.Id).Select(g =>
        {
            var cds = g.Where(r => r.Type is "CDS" or "stop_codon").ToList();
            return new Model(g.Key, g.First().Gene, g.First().Contig, g.First().Minus,
                [.. g.Where(r => r.Type == "exon").Select(r => (r.Start, r.End)).Order()], cds.Count == 0 ? null : (cds.Min(r => r.Start), cds.Max(r => r.End)));
        }).ToList();
    }
}
