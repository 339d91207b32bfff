using System.Diagnostics;
using static Orthrus.Rna.Tests.ExpectedSet;

namespace Orthrus.Rna.Tests;

/// <summary>Random access to genomes, index files, and the memory that a mammal needs.</summary>
public class GenomeTests
{
    [Fact]
    public void AnyWindowOfAnyGenome()
    {
        var random = new Random(11);
        // Longer than a chunk of the packed form and than a piece of the indexed one, so that windows cross both.
        var bases = new char[2_300_000];
        for (int i = 0; i < bases.Length; i++) bases[i] = "ACGT"[random.Next(4)];
        foreach (var (start, length) in new[] { (0, 5), (1_048_570, 12), (70_000, 30_000), (2_299_999, 1) }) Array.Fill(bases, 'N', start, length);
        var contigs = new List<(string Name, string Bases)> { ("a", "ACGTACG"), ("b", new string(bases)), ("c", "T") };
        using var scratch = new Scratch();
        using var twoBit = Genome.Open(scratch.Put("g.2bit", Write.TwoBit(contigs)), Fail);
        using var plain = Genome.Open(scratch.Put("g.fa", Write.Fasta(contigs, 61)), Fail);
        using var packed = Genome.Open(scratch.Put("g.fa.gz", Write.Gzip(Write.Fasta(contigs))), Fail);
        Assert.IsType<TwoBitGenome>(twoBit);
        Assert.IsType<IndexedFastaGenome>(plain);
        Assert.IsType<PackedGenome>(packed);
        var windows = Enumerable.Range(0, 300).Select(_ => random.Next(bases.Length - 500)).Select(s => (s, random.Next(1, 500))).ToList();
        windows.AddRange([(0, bases.Length), (1_048_000, 1_200_000), (3, 1_048_576), (bases.Length - 1, 1), (1_048_575, 2)]);
        foreach (var genome in new[] { twoBit, plain, packed })
        {
            Assert.Equal(["a", "b", "c"], genome.Names);
            Assert.Equal([7L, bases.Length, 1], Enumerable.Range(0, 3).Select(genome.Length));
            foreach (var (start, length) in windows)
            {
                var bits = new byte[length];
                genome.Read(genome.Find("b"), start, bits);
                for (int i = 0; i < length; i++)
                    if (bits[i] != (bases[start + i] == 'N' ? 0 : 1 << "ACGT".IndexOf(bases[start + i])))
                        Assert.Fail($"{genome.GetType().Name}: base {start + i} of window {start}+{length}");
            }
        }

        static void Fail(string remark) => Assert.Fail(remark);
    }

    [Fact]
    public void IndexThatFitsIsUsed()
    {
        using var scratch = new Scratch();
        var contigs = new List<(string, string)> { ("a", "ACGTACGTAC"), ("b", "GGGCCC") };
        string path = scratch.Put("g.fa", Write.Fasta(contigs, 4));
        scratch.Put("g.fa.fai", FormatTests.Fai(contigs, 4));
        using var genome = Genome.Open(path, r => Assert.Fail(r));
        Assert.Equal("ACGTACGTAC", Letters(genome, "a", 0, 10));
        Assert.Equal("GCC", Letters(genome, "b", 2, 3));
    }

    [Theory]
    [InlineData("a\t12\t14\t4\t5\nb\t6\t41\t4\t5\n")]
    [InlineData("a\t10\t14\t4\t5\n")]
    [InlineData("b\t10\t14\t4\t5\na\t6\t39\t4\t5\n")]
    [InlineData("a\t10\t99999\t4\t5\n")]
    [InlineData("a\tten\t14\t4\t5\n")]
    [InlineData("nonsense\n")]
    [InlineData("")]
    public void IndexOfAnotherFileIsIgnoredAndReported(string fai)
    {
        using var scratch = new Scratch();
        string path = scratch.Put("g.fa", Write.Fasta([("a", "ACGTACGTAC"), ("b", "GGGCCC")], 4));
        scratch.Put("g.fa.fai", fai);
        var remarks = new List<string>();
        using var genome = Genome.Open(path, remarks.Add);
        Assert.Contains("is ignored", Assert.Single(remarks));
        Assert.Equal("ACGTACGTAC", Letters(genome, "a", 0, 10));
        Assert.Equal("GGGCCC", Letters(genome, "b", 0, 6));
    }

    [Theory]
    [Trait("tier", "long")]
    [InlineData("gzip")]
    [InlineData("plain")]
    public void MammalianGenomeAndAnnotationFitInto2Gigabytes(string form)
    {
        using var scratch = new Scratch();
        long free = new DriveInfo(scratch.Folder).AvailableFreeSpace >> 20;
        if (free < 5_000) Assert.Skip($"the temporary folder has {free} MB left, and this needs 5,000");
        const int Contigs = 24, Megabases = 130, TranscriptsPerContig = 10_500;
        var random = new Random(1);
        var million = new char[1_000_000];
        for (int i = 0; i < million.Length; i++) million[i] = "ACGT"[random.Next(4)];
        string text = string.Concat(million.Chunk(80).Select(l => new string(l) + "\n"));
        byte[] megabase = form == "gzip" ? Write.Gzip(text) : System.Text.Encoding.ASCII.GetBytes(text);
        using (var genome = File.Create(scratch["g.fa"]))
            for (int c = 1; c <= Contigs; c++)
            {
                genome.Write(form == "gzip" ? Write.Gzip($">chr{c}\n") : System.Text.Encoding.ASCII.GetBytes($">chr{c}\n"));
                for (int m = 0; m < Megabases; m++) genome.Write(megabase);
            }
        using (var gtf = new StreamWriter(scratch["a.gtf"]))
            for (int t = 0; t < Contigs * TranscriptsPerContig; t++)
            {
                int start = random.Next(1, 129_000_000);
                for (int x = 0; x < 7; x++, start += random.Next(1_000, 20_000))
                    gtf.WriteLine($"chr{t % Contigs + 1}\thavana\texon\t{start}\t{start + random.Next(50, 400)}\t.\t+\t.\tgene_id \"ENSG{t / 4:D11}.1\"; transcript_id \"ENST{t:D11}.1\"; gene_type \"protein_coding\"; gene_name \"G{t / 4}\"; transcript_type \"protein_coding\"; exon_number {x + 1}; level 2; tag \"basic\";");
            }
        var clock = Stopwatch.StartNew();
        using var source = TranscriptSource.Open(new TranscriptInput { Annotation = scratch["a.gtf"], Genome = scratch["g.fa"] });
        TimeSpan opened = clock.Elapsed;
        Assert.Equal(Contigs * TranscriptsPerContig, source.Read().Count(r => r.Transcript is not null));
        long peak = Process.GetCurrentProcess().PeakWorkingSet64 >> 20;
        Console.Error.WriteLine($"{form}: opened in {opened.TotalSeconds:F0} s, read in {(clock.Elapsed - opened).TotalSeconds:F0} s, peak {peak} MB");
        Assert.True(peak < 2000, $"peak resident {peak} MB");
    }

    private static string Letters(Genome genome, string contig, long start, int length)
    {
        var bits = new byte[length];
        genome.Read(genome.Find(contig), start, bits);
        return new string(Array.ConvertAll(bits, b => (char)Nucleotide.Letters[b]));
    }
}
