using static Orthrus.Rna.Tests.ExpectedSet;

namespace Orthrus.Rna.Tests;

/// <summary>Random access to genomes, and index files.</summary>
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

    private static string Letters(Genome genome, string contig, long start, int length)
    {
        var bits = new byte[length];
        genome.Read(genome.Find(contig), start, bits);
        return new string(Array.ConvertAll(bits, b => (char)Nucleotide.Letters[b]));
    }
}
