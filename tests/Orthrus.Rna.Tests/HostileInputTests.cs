using System.Text;
using static Orthrus.Rna.Tests.ExpectedSet;

namespace Orthrus.Rna.Tests;

/// <summary>
/// Input that is broken, hostile or merely careless. Each case is either refused with one line that names the file and the trouble, or its
/// record is skipped with a reason (and refused with strict), or it is read with a note.
/// </summary>
public class HostileInputTests
{
    private const string Genome = ">chr1\nACGTACGTACGTACGTACGTACGTACGTACGTACGTACGT\n>chr2\nACGTACGTAC\n";
    private const string GoodBed = "chr1\t0\t10\tgood\t0\t+\t0\t0\t0\t1\t10,\t0,\n";
    private const string GoodGtf = "chr1\tx\texon\t1\t10\t.\t+\t.\ttranscript_id \"good\";\n";
    private const string GoodGff = "##gff-version 3\nchr1\tx\tmRNA\t1\t10\t.\t+\t.\tID=good\nchr1\tx\texon\t1\t10\t.\t+\t.\tParent=good\n";
    private const string GoodPred = "good\tchr1\t+\t0\t10\t10\t10\t1\t0,\t10,\n";

    public static TheoryData<string, string, string> RefusedFasta() => new()
    {
        { "empty file", "", "holds no sequences" },
        { "only blank lines", "\n\n  \n", "holds no sequences" },
        { "FASTQ", "@r1\nACGT\n+\nIIII\n", "is FASTQ" },
        { "SAM", "@HD\tVN:1.6\n", "is SAM" },
        { "protein", ">sp|P12345\nMKLVFEEQ\n", "protein" },
        { "protein after nucleotides", ">a\nACGT\n>b\nMEFLP\n", "record b: 'E' is no nucleotide" },
        { "stop character of a protein", ">a\nACGT*\n", "protein" },
        { "digits in a sequence", ">a\n1 ACGT\n", "'1' is no nucleotide" },
        { "greater-than inside a line", ">a\nACGT>b\nACGT\n", "inside a sequence line" },
        { "NUL in a sequence", ">a\nAC\0GT\n", "NUL" },
        { "NUL in a header", ">a\0b\nACGT\n", "NUL" },
        { "non-ASCII letter in a sequence", ">a\nACGTé\n", "byte 0xc3" },
        { "plain text", "hello world\n", "not FASTA" },
        { "GFF3 as FASTA", GoodGff, "is GFF3" },
        { "GTF as FASTA", GoodGtf, "table of annotation" },
        { "GenBank", "LOCUS       X 10 bp\n", "GenBank" },
        { "EMBL", "ID   X; SV 1; linear\n", "EMBL" },
        { "UTF-16", "\ufeff>a\nACGT\n", "UTF-16" },
        { "zip archive", "PK\u0003\u0004abc", "zip archive" },
        { "bzip2", "BZh91AY", "bzip2" },
        { "2bit as FASTA", "\u0043\u0027\u0041\u001a\0\0\0\0", "2bit genome" },
    };

    [Theory]
    [MemberData(nameof(RefusedFasta))]
    public void FastaIsRefused(string name, string text, string says)
    {
        using var scratch = new Scratch();
        byte[] data = name == "UTF-16" ? Encoding.Unicode.GetBytes(text) : Encoding.UTF8.GetBytes(text);
        Refused(new TranscriptInput { Fasta = scratch.Put("in.fa", data) }, scratch["in.fa"], says);
    }

    public static TheoryData<string, string, string> SkippedFasta() => new()
    {
        { "empty record", ">bad\n>good\nACGT\n", "empty sequence" },
        { "empty record at the end", ">good\nACGT\n>bad\n", "empty sequence" },
        { "record of blanks", ">bad\n  \n\n>good\nACGT\n", "empty sequence" },
        { "header without id", ">\nACGT\n>good\nACGT\n", "header without identifier" },
        { "header that begins with a blank", "> x\nACGT\n>good\nACGT\n", "header without identifier" },
        { "alignment gaps", ">bad\nAC--GT\n>good\nACGT\n", "alignment gaps in the sequence" },
        { "header CDS past the end", ">bad CDS:2-9\nACGT\n>good\nACGT\n", "CDS outside the sequence" },
        { "header CDS from 0", ">bad CDS:0-3\nACGT\n>good\nACGT\n", "CDS outside the sequence" },
        { "header CDS backwards", ">bad CDS:4-2\nACGT\n>good\nACGT\n", "CDS outside the sequence" },
        { "header CDS beyond 2^31", ">bad CDS:1-99999999999\nACGT\n>good\nACGT\n", "CDS outside the sequence" },
    };

    [Theory]
    [MemberData(nameof(SkippedFasta))]
    public void FastaRecordIsSkipped(string name, string text, string kind)
    {
        using var scratch = new Scratch();
        Skipped(new TranscriptInput { Fasta = scratch.Put("in.fa", text) }, kind, name);
    }

    public static TheoryData<string, string, string> RefusedTables() => new()
    {
        { "empty", "", "is empty" },
        { "header alone", "transcript_id\tcds_start\tcds_end\n", "no rows" },
        { "no transcript_id", "id\tcds_start\tcds_end\na\t0\t3\n", "lacks columns" },
        { "cds_start without cds_end", "transcript_id\tcds_start\na\t0\n", "lacks columns" },
        { "too few columns", "transcript_id\tcds_start\tcds_end\ngood\t0\n", "line 2: 2 columns where the header has 3" },
        { "too many columns", "transcript_id\tcds_start\tcds_end\ngood\t0\t3\t4\n", "4 columns" },
        { "commas for tabs", "transcript_id,cds_start,cds_end\ngood,0,3\n", "lacks columns" },
        { "text for a number", "transcript_id\tcds_start\tcds_end\ngood\tx\t3\n", "cds_start is not a position: 'x'" },
        { "cds backwards", "transcript_id\tcds_start\tcds_end\ngood\t3\t1\n", "not after cds_start" },
        { "half unknown", "transcript_id\tcds_start\tcds_end\ngood\tNA\t3\n", "cds_start is not a position" },
        { "junctions not increasing", "transcript_id\texon_junctions\ngood\t3,2\n", "not increasing" },
        { "junction at 0", "transcript_id\texon_junctions\ngood\t0\n", "not increasing" },
        { "duplicate id", "transcript_id\texon_junctions\ngood\t-\ngood\t-\n", "occurs twice" },
        { "empty id", "transcript_id\texon_junctions\n\t-\n", "empty transcript_id" },
        { "nothing in common", "transcript_id\texon_junctions\nother\t-\n", "none of its ids (other" },
        { "NUL", "transcript_id\texon_junctions\ngo\0od\t-\n", "NUL" },
    };

    [Theory]
    [MemberData(nameof(RefusedTables))]
    public void TableIsRefused(string name, string table, string says)
    {
        using var scratch = new Scratch();
        var input = new TranscriptInput { Fasta = scratch.Put("in.fa", ">good\nACGTACGT\n"), TracksTable = scratch.Put("in.tsv", table) };
        Assert.True(name.Length > 0);
        Refused(input, scratch["in.tsv"], says);
    }

    public static TheoryData<string, string, string> SkippedByTable() => new()
    {
        { "no row", "transcript_id\tcds_start\tcds_end\ngood\t0\t3\n", "no row in the tracks table" },
        { "cds past the end", "transcript_id\tcds_start\tcds_end\ngood\t0\t3\nbad\t0\t9\n", "CDS outside the sequence" },
        { "junction at the end", "transcript_id\texon_junctions\ngood\t-\nbad\t8\n", "exon junctions outside the sequence" },
        { "another length", "transcript_id\texon_junctions\tlength\ngood\t-\t8\nbad\t-\t9\n", "length differs from the tracks table" },
    };

    [Theory]
    [MemberData(nameof(SkippedByTable))]
    public void RecordIsSkippedByItsTable(string name, string table, string kind)
    {
        using var scratch = new Scratch();
        Skipped(new TranscriptInput { Fasta = scratch.Put("in.fa", ">bad\nACGTACGT\n>good\nACGTACGT\n"), TracksTable = scratch.Put("in.tsv", table) }, kind, name);
    }

    public static TheoryData<string, string, string> RefusedAnnotations() => new()
    {
        { "empty", "", "is empty" },
        { "comments alone", "# nothing\n", "has no rows" },
        { "FASTA as annotation", Genome, "is FASTA, not an annotation" },
        { "GTF with 8 columns", GoodGtf + "chr1\tx\texon\t1\t10\t.\t+\t.\n", "line 2: 8 columns where GTF has 9" },
        { "GTF cut inside a row", GoodGtf + "chr1\tx\tex", "line 2: 3 columns" },
        { "GTF with blanks for tabs", "chr1 x exon 1 10 . + . transcript_id \"t\";\n", "not an annotation" },
        { "GTF start is text", GoodGtf + "chr1\tx\texon\tone\t10\t.\t+\t.\ttranscript_id \"t\";\n", "the start is not a position: 'one'" },
        { "GTF negative start", GoodGtf + "chr1\tx\texon\t-5\t10\t.\t+\t.\ttranscript_id \"t\";\n", "the start is not a position" },
        { "GTF position beyond 2^31", GoodGtf + "chr1\tx\texon\t1\t9999999999\t.\t+\t.\ttranscript_id \"t\";\n", "the end is not a position" },
        { "GTF without transcripts", "chr1\tx\tgene\t1\t10\t.\t+\t.\tgene_id \"g\";\n", "no transcript" },
        { "GTF NUL", GoodGtf + "chr1\tx\0\texon\t1\t10\t.\t+\t.\ttranscript_id \"t\";\n", "line 2: NUL" },
        { "GFF3 with 10 columns", GoodGff + "chr1\tx\texon\t1\t10\t.\t+\t.\tParent=a\tb\n", "10 columns where GFF3 has 9" },
        { "GFF3 without transcripts", "##gff-version 3\nchr1\tx\tregion\t1\t10\t.\t+\t.\tID=r\n", "no transcript" },
        { "BED6", "chr1\t0\t10\tx\t0\t+\n", "BED with 6 columns" },
        { "BED12 cut", GoodBed + "chr1\t0\t10\tbad\t0\t+\t0\n", "7 columns where BED12 has 12" },
        { "BED12 text for a number", GoodBed + GoodBed.Replace("\t10\t", "\tten\t"), "line 2" },
        { "genePred cut", GoodPred + "bad\tchr1\t+\t0\t10\n", "5 columns" },
        { "genePred text in a list", GoodPred + GoodPred.Replace("0,\t10,", "x,\t10,"), "not a position: 'x'" },
        { "genePred header without columns", "#name\tchrom\tstrand\texonStarts\texonEnds\n" + GoodPred, "no column cdsStart" },
        { "a table of something else", "a\tb\tc\td\n1\t2\t3\t4\n", "fit neither" },
        { "no contig in common", GoodGtf.Replace("chr1", "NC_000001.11"), "no contig of the annotation (NC_000001.11) is in the genome" },
        { "2bit as annotation", "\u0043\u0027\u0041\u001a", "2bit genome" },
    };

    [Theory]
    [MemberData(nameof(RefusedAnnotations))]
    public void AnnotationIsRefused(string name, string text, string says)
    {
        using var scratch = new Scratch();
        Assert.True(name.Length > 0);
        Refused(new TranscriptInput { Annotation = scratch.Put("a.txt", text), Genome = scratch.Put("g.fa", Genome) }, scratch["a.txt"], says);
    }

    public static TheoryData<string, string, string> SkippedAnnotations() => new()
    {
        { "GTF off the end of the contig", GoodGtf + "chr2\tx\texon\t5\t11\t.\t+\t.\ttranscript_id \"bad\";\n", "runs off the end of the contig" },
        { "GTF contig missing", GoodGtf + "chr3\tx\texon\t5\t8\t.\t+\t.\ttranscript_id \"bad\";\n", "contig not in the genome" },
        { "GTF overlapping exons", GoodGtf + Gtf("exon", 1, 10) + Gtf("exon", 9, 20), "overlapping exons" },
        { "GTF end before start", GoodGtf + Gtf("exon", 10, 5), "end before start" },
        { "GTF zero length", GoodGtf + Gtf("exon", 10, 9), "end before start" },
        { "GTF start 0", GoodGtf + Gtf("exon", 0, 9), "start below 1" },
        { "GTF unknown strand", GoodGtf + Gtf("exon", 1, 10, "."), "strand is unknown" },
        { "GTF strand is a word", GoodGtf + Gtf("exon", 1, 10, "plus"), "strand is unknown" },
        { "GTF both strands", GoodGtf + Gtf("exon", 1, 10) + Gtf("exon", 15, 20, "-"), "rows on both strands (trans-splicing)" },
        { "GTF CDS outside exons", GoodGtf + Gtf("exon", 1, 10) + Gtf("CDS", 5, 15), "CDS outside exons" },
        { "GTF CDS in an intron", GoodGtf + Gtf("exon", 1, 10) + Gtf("exon", 20, 30) + Gtf("CDS", 12, 14), "CDS outside exons" },
        { "GTF stop codon outside exons", GoodGtf + Gtf("exon", 1, 10) + Gtf("CDS", 5, 10) + Gtf("stop_codon", 11, 13), "CDS outside exons" },
        { "GTF transcript row alone", GoodGtf + Gtf("transcript", 1, 10), "no exon or CDS rows" },
        { "GTF one id for two transcripts", GoodGtf + Gtf("transcript", 1, 10) + Gtf("exon", 1, 10) + Gtf("transcript", 20, 30) + Gtf("exon", 20, 30), "one id for two transcripts of a contig" },
        { "GTF marked trans-splicing", GoodGtf + "chr1\tx\texon\t1\t9\t.\t+\t.\ttranscript_id \"bad\"; exception \"trans-splicing\";\n", "rows on both strands (trans-splicing)" },
        { "GFF3 parent missing", GoodGff + "chr1\tx\texon\t1\t10\t.\t+\t.\tParent=bad\n", "parent row missing" },
        { "GFF3 mRNA without rows", GoodGff + "chr1\tx\tmRNA\t1\t10\t.\t+\t.\tID=bad\n", "no exon or CDS rows" },
        { "GFF3 trans-splicing in two rows", GoodGff + "chr1\tx\tmRNA\t1\t10\t.\t+\t.\tID=bad;part=1\nchr1\tx\tmRNA\t20\t30\t.\t-\t.\tID=bad;part=2\nchr1\tx\texon\t1\t10\t.\t+\t.\tParent=bad\n", "rows on both strands (trans-splicing)" },
        { "GFF3 exception trans-splicing", GoodGff + "chr1\tx\tmRNA\t1\t10\t.\t+\t.\tID=bad;exception=trans-splicing\nchr1\tx\texon\t1\t10\t.\t+\t.\tParent=bad\n", "rows on both strands (trans-splicing)" },
        { "GFF3 overlapping exons", GoodGff + "chr1\tx\tmRNA\t1\t20\t.\t+\t.\tID=bad\nchr1\tx\texon\t1\t10\t.\t+\t.\tParent=bad\nchr1\tx\texon\t5\t20\t.\t+\t.\tParent=bad\n", "overlapping exons" },
        { "BED12 blockCount", GoodBed + "chr1\t0\t10\tbad\t0\t+\t0\t0\t0\t2\t10,\t0,\n", "block lists and blockCount differ" },
        { "BED12 no blocks", GoodBed + "chr1\t0\t10\tbad\t0\t+\t0\t0\t0\t0\t\t\n", "block lists and blockCount differ" },
        { "BED12 block past chromEnd", GoodBed + "chr1\t0\t10\tbad\t0\t+\t0\t0\t0\t1\t12,\t0,\n", "a block ends after chromEnd" },
        { "BED12 zero-length block", GoodBed + "chr1\t0\t10\tbad\t0\t+\t0\t0\t0\t2\t5,0,\t0,8,\n", "end before start" },
        { "BED12 overlapping blocks", GoodBed + "chr1\t0\t10\tbad\t0\t+\t0\t0\t0\t2\t6,5,\t0,5,\n", "overlapping exons" },
        { "BED12 thick outside", GoodBed + "chr1\t0\t10\tbad\t0\t+\t5\t12\t0\t1\t10,\t0,\n", "CDS outside exons" },
        { "BED12 thick backwards", GoodBed + "chr1\t0\t10\tbad\t0\t+\t5\t2\t0\t1\t10,\t0,\n", "CDS ends before it starts" },
        { "BED12 off the end", GoodBed + "chr2\t0\t11\tbad\t0\t+\t0\t0\t0\t1\t11,\t0,\n", "runs off the end of the contig" },
        { "genePred exonCount", GoodPred + GoodPred.Replace("good", "bad").Replace("\t1\t0,", "\t2\t0,"), "exon lists and exonCount differ" },
        { "genePred cds in an intron", GoodPred + "bad\tchr1\t+\t0\t30\t12\t14\t2\t0,20,\t10,30,\n", "CDS outside exons" },
        { "genePred overlapping exons", GoodPred + "bad\tchr1\t+\t0\t30\t30\t30\t2\t0,5,\t10,30,\n", "overlapping exons" },
        { "genePred strand", GoodPred + GoodPred.Replace("good", "bad").Replace("\t+\t", "\t.\t"), "strand is unknown" },
    };

    [Theory]
    [MemberData(nameof(SkippedAnnotations))]
    public void TranscriptIsSkipped(string name, string text, string kind)
    {
        using var scratch = new Scratch();
        Skipped(new TranscriptInput { Annotation = scratch.Put("a.txt", text), Genome = scratch.Put("g.fa", Genome) }, kind, name);
    }

    public static TheoryData<string, string, string> RefusedGenomes() => new()
    {
        { "empty", "", "holds no sequences" },
        { "contig twice", ">chr1\nACGTACGTACGT\n>chr1\nACGTACGTACGT\n", "occurs twice" },
        { "protein", ">chr1\nMEFLPMEFLPMEFLP\n", "no nucleotides" },
        { "GTF", GoodGtf, "not FASTA" },
        { "2bit header alone", "\u0043\u0027\u0041\u001a\0\0\0\0\u0001\0\0\0\0\0\0\0", "cut short" },
        { "2bit of an unknown version", "\u0043\u0027\u0041\u001a\u0007\0\0\0\u0001\0\0\0\0\0\0\0", "version 7" },
    };

    [Theory]
    [MemberData(nameof(RefusedGenomes))]
    public void GenomeIsRefused(string name, string genome, string says)
    {
        using var scratch = new Scratch();
        Assert.True(name.Length > 0);
        Refused(new TranscriptInput { Annotation = scratch.Put("a.gtf", GoodGtf), Genome = scratch.Put("g.fa", Encoding.Latin1.GetBytes(genome)) }, scratch["g.fa"], says);
    }

    [Fact]
    public void EveryCutOfA2bitIsRefusedOrHarmless()
    {
        using var scratch = new Scratch();
        byte[] whole = Write.TwoBit([("chr1", "ACGTNNACGTACGTACGTAC"), ("chr2", "ACGTAC")]);
        string gtf = scratch.Put("a.gtf", GoodGtf + "chr2\tx\texon\t1\t6\t.\t+\t.\ttranscript_id \"u\";\n");
        for (int length = 4; length < whole.Length; length++)
        {
            string path = scratch.Put("g.2bit", whole[..length]);
            Assert.Throws<InputDataException>(() => ReadAll(new TranscriptInput { Annotation = gtf, Genome = path }, out _));
        }
    }

    [Fact]
    public void DamagedTwoBitCountsAllocateNothing()
    {
        byte[] whole = Write.TwoBit([("chr1", "ACGTACGTACGTACGT")]);
        int nBlockCount = 16 + 1 + 4 + 4 + 4;
        whole.AsSpan(nBlockCount, 4).Fill(0xff);
        using var scratch = new Scratch();
        Refused(new TranscriptInput { Annotation = scratch.Put("a.gtf", GoodGtf), Genome = scratch.Put("g.2bit", whole) }, scratch["g.2bit"], "cut short or damaged");
    }

    [Fact]
    public void MissingFilesAndFolders()
    {
        using var scratch = new Scratch();
        string fasta = scratch.Put("x.fa", ">a\nACGT\n"), gtf = scratch.Put("a.gtf", GoodGtf), genome = scratch.Put("g.fa", Genome), absent = scratch["absent"];
        Refused(new TranscriptInput { Fasta = absent }, absent, "no such file");
        Refused(new TranscriptInput { Fasta = scratch.Folder }, scratch.Folder, "is a folder");
        Refused(new TranscriptInput { Fasta = fasta, TracksTable = absent }, absent, "no such file");
        Refused(new TranscriptInput { Fasta = fasta, IdsFile = absent }, absent, "no such file");
        Refused(new TranscriptInput { Annotation = absent, Genome = genome }, absent, "no such file");
        Refused(new TranscriptInput { Annotation = gtf, Genome = absent }, absent, "no such file");
        Refused(new TranscriptInput { Annotation = gtf, Genome = genome, ContigAliases = absent }, absent, "no such file");
        Refused(new TranscriptInput { Annotation = gtf }, gtf, "--genome");
        Refused(new TranscriptInput { Annotation = "-", Genome = "-" }, "-", "stdin");
        Refused(new TranscriptInput { Fasta = fasta, Region = "chr1" }, fasta, "--annotation");
        Assert.Throws<ArgumentException>(() => TranscriptSource.Open(new TranscriptInput()));
    }

    [Fact]
    public void ErrorsAreOneLineWhateverTheFileHolds()
    {
        using var scratch = new Scratch();
        var e = Assert.Throws<InputDataException>(() => ReadAll(new TranscriptInput { Fasta = scratch.Put("x.fa", ">a\u001b[31m\u0007\nMEFL\n") }, out _));
        Assert.DoesNotContain(e.Message, char.IsControl);
    }

    private static string Gtf(string type, int start, int end, string strand = "+") => $"chr1\tx\t{type}\t{start}\t{end}\t.\t{strand}\t.\ttranscript_id \"bad\";\n";

    private static void Refused(TranscriptInput input, string file, string says)
    {
        var e = Assert.Throws<InputDataException>(() => ReadAll(input, out _));
        Assert.Contains(says, e.Message);
        Assert.Contains(file, e.Message);
        Assert.DoesNotContain('\n', e.Message);
        Assert.True(e.Message.Contains("; ", StringComparison.Ordinal), $"no remedy: {e.Message}");
    }

    private static void Skipped(TranscriptInput input, string kind, string name)
    {
        var all = ReadAll(input, out var report);
        var bad = Assert.Single(all, r => r.SkipReason is not null);
        Assert.Null(bad.Transcript);
        Assert.Contains(all, r => r.Id == "good" && r.Transcript is not null);
        Assert.Equal([kind], report.SkippedByReason.Keys);
        Assert.Contains(report.ToLines(), l => l == $"1 skipped: {kind}");
        Assert.Equal(all.Select((_, i) => (long)i), all.Select(r => r.Row));
        var e = Assert.Throws<InputDataException>(() => ReadAll(input with { Strict = true }, out _));
        Assert.True(e.Message.Contains(bad.SkipReason!, StringComparison.Ordinal) && e.Message.Contains(bad.Id, StringComparison.Ordinal), $"{name}: {e.Message}");
    }
}
