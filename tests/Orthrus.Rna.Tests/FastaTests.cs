using System.Text;
using static Orthrus.Rna.Tests.ExpectedSet;

namespace Orthrus.Rna.Tests;

/// <summary>FASTA of transcripts: containers, line ends, headers, letters.</summary>
public class FastaTests
{
    private const string Two = ">a first\nACGTN\nACG\n>b\nTTTT\n";

    public static TheoryData<string, byte[]> Containers()
    {
        byte[] plain = Encoding.ASCII.GetBytes(Two);
        return new TheoryData<string, byte[]>
        {
            { "plain", plain },
            { "gzip", Write.Gzip(plain) },
            { "gzip of two members", [.. Write.Gzip(plain[..11]), .. Write.Gzip(plain[11..])] },
            { "bgzip", Write.Bgzip(Two) },
            { "crlf", Encoding.ASCII.GetBytes(Two.Replace("\n", "\r\n")) },
            { "cr", Encoding.ASCII.GetBytes(Two.Replace("\n", "\r")) },
            { "byte order mark", [0xef, 0xbb, 0xbf, .. plain] },
            { "blank lines", Encoding.ASCII.GetBytes("\n\n" + Two.Replace("\n", "\n\n")) },
            { "no last line end", plain[..^1] },
            { "blanks and tabs in sequences", Encoding.ASCII.GetBytes(Two.Replace("ACGTN", "AC GT\tN ")) },
            { "comment line", Encoding.ASCII.GetBytes(";made by hand\n" + Two) },
        };
    }

    [Theory]
    [MemberData(nameof(Containers))]
    public void SameRecordsFromEveryContainer(string kind, byte[] data)
    {
        using var scratch = new Scratch();
        // The name says nothing: content decides.
        var got = ReadTranscripts(new TranscriptInput { Fasta = scratch.Put("x.dat", data) });
        Assert.Equal([("a", "ACGTNACG"), ("b", "TTTT")], got.Select(t => (t.Id, t.ToSequence())));
        Assert.True(kind.Length > 0);
    }

    [Fact]
    public void EveryCutOfAGzipFileIsRefused()
    {
        using var scratch = new Scratch();
        var random = new Random(3);
        string text = ">a\n" + string.Concat(Enumerable.Range(0, 300).Select(_ => "ACGT"[random.Next(4)])) + "\n";
        foreach (byte[] whole in new[] { Write.Gzip(text), Write.Bgzip(text), (byte[])[.. Write.Gzip(text), .. Write.Gzip(text)] })
        {
            int member = Write.Gzip(text).Length;
            for (int length = 2; length < whole.Length; length++)
            {
                // Two members cut between them are a complete file of one.
                if (whole.Length == 2 * member && length == member) continue;
                string path = scratch.Put("x.gz", whole[..length]);
                Assert.Throws<InputDataException>(() => ReadTranscripts(new TranscriptInput { Fasta = path }));
            }
        }
    }

    [Fact]
    public void GencodeHeader()
    {
        const string Header = "ENST00000641515.2|ENSG00000186092.7|OTTHUMG00000001094.4|OTTHUMT00000003223.4|OR4F5-201|OR4F5|12|UTR5:1-3|CDS:4-9|UTR3:10-12|";
        var t = Assert.Single(Parse($">{Header}\nAAAATGTAACCC\n"));
        Assert.Equal(("ENST00000641515.2", "ENSG00000186092.7", "OR4F5"), (t.Id, t.GeneId, t.GeneName));
        Assert.Equal(((3, 9), true, CdsSource.Annotated), (t.Cds!.Value, t.CdsKnown, t.CdsSource));
        Assert.Equal(Tracks("AAAATGTAACCC", (3, 9), []), t.Tracks.ToArray());
        Assert.Null(t.Junctions);
    }

    [Fact]
    public void GencodeHeaderWithoutCdsIsNonCoding()
    {
        var t = Assert.Single(Parse(">ENST1.1|ENSG1.1|-|-|X-201|X|4|lncRNA|\nACGT\n"));
        Assert.Equal((null, true, CdsSource.None, "lncRNA"), (t.Cds, t.CdsKnown, t.CdsSource, t.Biotype));
    }

    [Fact]
    public void BareHeaderKnowsNothing()
    {
        using var scratch = new Scratch();
        using var source = TranscriptSource.Open(new TranscriptInput { Fasta = scratch.Put("x", ">t\nACGT\n") });
        Assert.False(source.HasTracks);
        var t = source.Read().Single().Transcript!;
        Assert.Equal((null, false, CdsSource.Unknown), (t.Cds, t.CdsKnown, t.CdsSource));
        // The last base of a transcript ends its last exon, known or not.
        Assert.Equal(Tracks("ACGT", null, []), t.Tracks.ToArray());
    }

    [Fact]
    public void EnsemblHeaderWords()
    {
        var t = Assert.Single(Parse(">ENST1.1 cdna chromosome:GRCh38:1:1:4:1 gene:ENSG1.1 gene_biotype:x transcript_biotype:lncRNA gene_symbol:ABC\nACGT\n"));
        Assert.Equal(("ENST1.1", "ENSG1.1", "ABC", "lncRNA"), (t.Id, t.GeneId, t.GeneName, t.Biotype));
    }

    [Fact]
    public void LettersAreCountedAndReported()
    {
        using var scratch = new Scratch();
        var got = ReadAll(new TranscriptInput { Fasta = scratch.Put("x", ">a\nacgu\nUNNR\n>b\nACGT\n") }, out var report);
        Assert.Equal("ACGTTNNN", got[0].Transcript!.ToSequence());
        Assert.Equal((2, 4, 2, 1), (report.Uracils, report.LowerCase, report.UnknownBases, report.AmbiguousBases));
        Assert.Equal("2 N; 1 IUPAC", got[0].Transcript!.Notes);
        Assert.Contains("2 U read as T", report.ToLines());
        Assert.Equal((2, 12), (report.Records, report.Nucleotides));
    }

    [Fact]
    public void EveryIupacCodeInEitherCase()
    {
        const string Codes = "RYSWKMBDHVNryswkmbdhvn";
        Assert.Equal(new string('N', Codes.Length), Assert.Single(Parse($">a\n{Codes}\n")).ToSequence());
    }

    [Fact]
    public void DuplicateIdsAreKeptAndNoted()
    {
        var got = Parse(">a\nACGT\n>a\nAC\n");
        Assert.Equal(["", "duplicate id"], got.Select(t => t.Notes));
    }

    [Fact]
    public void IdsWithNonAsciiLettersComeThrough() => Assert.Equal("tränskript", Assert.Single(Parse(">tränskript x\nACGT\n")).Id);

    [Fact]
    public void SourceIsReadOnce()
    {
        using var scratch = new Scratch();
        using var source = TranscriptSource.Open(new TranscriptInput { Fasta = scratch.Put("x", Two) });
        Assert.Equal(2, source.Read().Count());
        Assert.Throws<InvalidOperationException>(source.Read);
    }

    [Fact]
    public void ALineOf100MegabytesNeedsNoMemory()
    {
        var chunk = new byte[4096];
        long before = GC.GetAllocatedBytesForCurrentThread();
        using var reader = new FastaReader("-", new Endless(100_000_000));
        Assert.True(reader.NextRecord());
        long bases = 0;
        for (int n; (n = reader.ReadBases(chunk)) > 0;) bases += n;
        Assert.Equal(100_000_000, bases);
        Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < 8_000_000);
    }

    [Fact]
    public void LongestOrfPolicyCallsOnlyWhereNothingIsKnown()
    {
        string orf = "CC" + "ATG" + string.Concat(Enumerable.Repeat("GTAACTGAG", 20)) + "TAA" + "CCTAGCTAACTGA";
        using var scratch = new Scratch();
        var got = ReadAll(new TranscriptInput { Fasta = scratch.Put("x", $">a\n{orf}\n>b CDS:3-8\n{orf}\n>c\nACGT\n"), Cds = CdsPolicy.LongestOrf }, out var report);
        Assert.Equal([(2, 188), (2, 8), null], got.Select(r => r.Transcript!.Cds));
        Assert.Equal([CdsSource.LongestOrf, CdsSource.Annotated, CdsSource.None], got.Select(r => r.Transcript!.CdsSource));
        Assert.Equal(1, report.Observed["cds called as longest ORF"]);
        Assert.Equal(1, report.Observed["no ORF called"]);
    }

    [Fact]
    public void BlankPolicyLeavesMarksOut()
    {
        using var scratch = new Scratch();
        var t = ReadAll(new TranscriptInput { Fasta = scratch.Put("x", ">a CDS:1-6\nATGTAA\n"), Cds = CdsPolicy.Blank }, out _)[0].Transcript!;
        Assert.Equal([1, 8, 4, 8, 1, 1], t.Tracks.ToArray());
    }

    private static List<Transcript> Parse(string text)
    {
        using var scratch = new Scratch();
        return ReadTranscripts(new TranscriptInput { Fasta = scratch.Put("x.fa", text) });
    }

    /// <summary>One record whose sequence is a single line.</summary>
    private sealed class Endless(long bases) : ReadOnlyStream
    {
        private long _left = bases + 3;

        public override int Read(Span<byte> buffer)
        {
            int n = (int)Math.Min(buffer.Length, _left);
            buffer[..n].Fill((byte)'A');
            if (_left == bases + 3) ">a\n"u8.CopyTo(buffer);
            _left -= n;
            return n;
        }
    }
}
