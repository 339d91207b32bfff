using static Orthrus.Cli.Tests.HostileFiles;

namespace Orthrus.Cli.Tests;

/// <summary>One command line on hostile input: what it must end with and what its one line must name.</summary>
/// <param name="Name">Unique name.</param>
/// <param name="Code">Exit code.</param>
/// <param name="Arguments">Makes the files and gives the arguments after "embed"; "-o" is added where it is absent.</param>
/// <param name="Says">What the error line (or, with exit code 0, the index or stderr) must contain: file, record, remedy.</param>
internal sealed record HostileCase(string Name, int Code, Func<HostileFiles, string[]> Arguments, params string[] Says);

/// <summary>The table of hostile inputs; each row runs `orthrus embed` from end to end.</summary>
internal static class HostileCases
{
    private const string Six = "random-mamba-6track";

    internal static readonly IReadOnlyList<HostileCase> All = [.. Compressed(), .. Fastas(), .. Tables(), .. Annotations(), .. Models(), .. Outputs(), .. Usage()];

    private static IEnumerable<HostileCase> Compressed() =>
    [
        new("gzip cut in the middle", 3, f => [f.Bytes("t.fa.gz", Gzip(FastaText(500))[..^40])], "t.fa.gz", "cut short", "download"),
        new("gzip cut in its header", 3, f => [f.Bytes("t.fa.gz", Gzip(FastaText(5))[..6])], "t.fa.gz", "cut short"),
        new("gzip without its last byte", 3, f => [f.Bytes("t.fa.gz", Gzip(FastaText(5))[..^1])], "t.fa.gz", "cut short"),
        new("gzip with a wrong sum", 3, f => { var b = Gzip(FastaText(5)); b[^6] ^= 1; return [f.Bytes("t.fa.gz", b)]; }, "t.fa.gz", "damaged"),
        new("gzip of nothing", 3, f => [f.Bytes("t.fa.gz", Gzip(""))], "t.fa.gz", "empty"),
        new("bgzip without its end block", 3, f => [f.Bytes("t.fa.gz", Bgzip(FastaText(30), endBlock: false))], "t.fa.gz", "end block", "download"),
        new("bgzip whole, any name", 0, f => [f.Bytes("t.data", Bgzip(FastaText(30), endBlock: true))]),
        new("zip archive", 3, f => [f.Bytes("t.fa", 0x50, 0x4b, 3, 4, 0, 0, 0, 0)], "t.fa", "zip", "unpack"),
        new("bzip2", 3, f => [f.Text("t.fa.bz2", "BZh91AY&SY")], "t.fa.bz2", "bzip2", "gzip"),
        new("xz", 3, f => [f.Bytes("t.fa.xz", 0xfd, 0x37, 0x7a, 0x58, 0x5a, 0)], "t.fa.xz", "xz", "gzip"),
        new("zstd", 3, f => [f.Bytes("t.fa.zst", 0x28, 0xb5, 0x2f, 0xfd, 0, 0)], "t.fa.zst", "zstd", "gzip"),
    ];

    private static IEnumerable<HostileCase> Fastas() =>
    [
        new("empty file", 3, f => [f.Text("t.fa", "")], "t.fa", "empty"),
        new("blank lines only", 3, f => [f.Text("t.fa", "\n\n \n")], "t.fa", "empty"),
        new("no such file", 3, f => [f.PathOf("absent.fa")], "absent.fa", "no such file", "path"),
        new("a file that cannot be read", 3, f => [Unreadable(f)], "cannot be", "permissions"),
        new("a folder for a file", 3, f => [f.Folder], "folder"),
        new("CRLF", 0, f => [f.Text("t.fa", FastaText(2).Replace("\n", "\r\n"))]),
        new("CR alone", 0, f => [f.Text("t.fa", FastaText(2).Replace("\n", "\r"))]),
        new("byte order mark", 0, f => [f.Bytes("t.fa", [0xef, 0xbb, 0xbf, .. System.Text.Encoding.ASCII.GetBytes(FastaText(2))])]),
        new("no line end at the end", 0, f => [f.Text("t.fa", ">a\nACGT")]),
        new("empty record", 0, f => [f.Text("t.fa", ">a\nACGT\n>hollow\n>b\nACGT\n")], "hollow", "skipped: empty sequence"),
        new("empty record, strict", 3, f => [f.Text("t.fa", ">a\nACGT\n>hollow\n>b\nACGT\n"), "--strict"], "t.fa", "record hollow", "empty sequence", "--strict"),
        new("every record empty", 0, f => [f.Text("t.fa", ">a\n>b\n")], "skipped: empty sequence"),
        new("duplicate ids", 0, f => [f.Text("t.fa", ">a\nACGT\n>a\nACGT\n")], "duplicate id"),
        new("header without identifier", 0, f => [f.Text("t.fa", "> \nACGT\n>b\nACGT\n")], "skipped: header without identifier"),
        new("header without identifier, strict", 3, f => [f.Text("t.fa", ">b\nACGT\n>\nACGT\n"), "--strict"], "t.fa", "record_2", "identifier"),
        new("lower case and U", 0, f => [f.Text("t.fa", ">a\nacguACGU\n")], "U read as T", "lower-case"),
        new("N and IUPAC codes", 0, f => [f.Text("t.fa", ">a\nACGTNNRYK\n")], "IUPAC"),
        new("protein", 3, f => [f.Text("t.fa", ">p1\nMEEPQSDPSVEPPLSQETFSDLWKLLPENNVLSPLPSQ\n")], "t.fa", "record p1", "protein", "nucleotides"),
        new("FASTQ", 3, f => [f.Text("t.fq", "@read1\nACGT\n+\nIIII\n")], "t.fq", "FASTQ", "spliced transcripts"),
        new("NUL in a sequence", 3, f => [f.Text("t.fa", ">a\nACGT\n>b\nAC\0GT\n")], "t.fa", "record b", "NUL", "download"),
        new("NUL in a header", 3, f => [f.Text("t.fa", ">a\0b\nACGT\n")], "t.fa", "record 1", "NUL"),
        new("binary", 3, f => [f.Bytes("t.fa", 1, 2, 0, 4, 5, 6, 7, 8, 9)], "t.fa", "binary", "check the file"),
        new("non-ASCII in a sequence", 3, f => [f.Text("t.fa", ">a\nACGT\u00e9ACGT\n")], "t.fa", "record a", "nucleotide"),
        new("non-ASCII in a header", 0, f => [f.Text("t.fa", ">caf\u00e9\nACGT\n")], "caf\u00e9"),
        new("UTF-16", 3, f => [f.Bytes("t.fa", [0xff, 0xfe, .. System.Text.Encoding.Unicode.GetBytes(FastaText(1))])], "t.fa", "UTF-16", "UTF-8"),
        new("digits in a sequence", 3, f => [f.Text("t.fa", ">a\n1 ACGT 5\n")], "t.fa", "record a", "'1'"),
        new("> inside a sequence line", 3, f => [f.Text("t.fa", ">a\nACGT>b\nACGT\n")], "t.fa", "record a", "line break"),
        new("alignment gaps", 0, f => [f.Text("t.fa", ">a\nAC--GT\n>b\nACGT\n")], "skipped", "gap"),
        new("alignment gaps, strict", 3, f => [f.Text("t.fa", ">a\nAC--GT\n"), "--strict"], "t.fa", "record a", "alignment"),
        new("text that is no FASTA", 3, f => [f.Text("t.fa", "hello world\n")], "t.fa", "hello world", "FASTA"),
        new("a web page", 3, f => [f.Text("t.fa", "<html><body>404</body></html>")], "t.fa", "FASTA"),
        new("GFF3 for FASTA", 3, f => [f.Text("t.gff3", "##gff-version 3\n")], "t.gff3", "GFF3", "--annotation"),
        new("GTF for FASTA", 3, f => [f.Gtf(Row("exon", 1, 40))], "genes.gtf", "annotation", "--annotation"),
        new("table of tracks for FASTA", 3, f => [f.Text("t.tsv", Header)], "t.tsv", "a table", "--tracks"),
        new("another table for FASTA", 3, f => [f.Text("t.tsv", "name\tlength\n")], "t.tsv", "a table", "--tracks"),
        new("2bit for FASTA", 3, f => [f.Bytes("g.2bit", 0x43, 0x27, 0x41, 0x1a, 0, 0, 0, 0)], "g.2bit", "2bit", "--genome"),
        new("BAM for FASTA", 3, f => [f.Bytes("t.bam", 0x42, 0x41, 0x4d, 1, 0, 0, 0, 0)], "t.bam", "BAM"),
        new("GenBank for FASTA", 3, f => [f.Text("t.gb", "LOCUS       NM_000546\n")], "t.gb", "GenBank", "FASTA"),
        new("header of more than 1 MiB", 3, f => [f.Text("t.fa", ">" + new string('x', (1 << 20) + 10) + "\nACGT\n")], "t.fa", "record 1", "1 MiB"),
        new("a line of 100 MB", 3, f => [HundredMegabytes(f), "--max-length", "1000"], "t.fa", "none of its 1 transcripts passes"),
        new("header CDS outside the sequence", 0, f => [f.Text("t.fa", ">a CDS:1-9\nACGTACGTACGT\n>b CDS:5-900\nACGTACGTACGT\n")], "skipped: CDS", "12 nt"),
        new("header CDS outside the sequence, strict", 3, f => [f.Text("t.fa", ">b CDS:5-900\nACGTACGTACGT\n"), "--strict"], "t.fa", "record b", "CDS"),
    ];

    private static IEnumerable<HostileCase> Tables() =>
    [
        new("table missing", 3, f => [f.Fasta(), "--tracks", f.PathOf("absent.tsv")], "absent.tsv", "no such file"),
        new("table empty", 3, f => [f.Fasta(), "--tracks", f.Text("t.tsv", "")], "t.tsv", "empty", "header"),
        new("table with a header alone", 3, f => Table(f), "t.tsv", "no rows"),
        new("table lacks a column", 3, f => [f.Fasta(), "--tracks", f.Text("t.tsv", "transcript_id\tlength\ntx1\t38\n")], "t.tsv", "line 1", "columns", "cds_start"),
        new("table with a wrong column count", 3, f => Table(f, "tx1\t0\t27\t-\t38\textra"), "t.tsv", "line 2", "6 columns", "tabs"),
        new("table with an id twice", 3, f => Table(f, "tx1\t0\t27\t-\t38", "tx1\t0\t27\t-\t38"), "t.tsv", "line 3", "tx1", "twice"),
        new("table with a word for a number", 3, f => Table(f, "tx1\tzero\t27\t-\t38"), "t.tsv", "line 2", "cds_start", "zero"),
        new("table with CDS end before start", 3, f => Table(f, "tx1\t20\t10\t-\t38"), "t.tsv", "line 2", "cds_end"),
        new("table with falling junctions", 3, f => Table(f, "tx1\t0\t27\t30,10\t38"), "t.tsv", "line 2", "exon_junctions"),
        new("table of other transcripts", 3, f => Table(f, "other1\t0\t27\t-\t38"), "t.tsv", "none of its ids", "other1", "tx1"),
        new("table lacks a record", 0, f => Table(f, "tx1\t0\t27\t-\t38"), "skipped", "no row"),
        new("table lacks a record, strict", 3, f => [.. Table(f, "tx1\t0\t27\t-\t38"), "--strict"], "good.fa", "record tx2", "t.tsv"),
        new("table with CDS outside the sequence, strict", 3, f => [.. Table(f, "tx1\t0\t99\t-\tNA"), "--strict"], "record tx1", "CDS 0-99", "38 nt"),
        new("table with junction outside the sequence, strict", 3, f => [.. Table(f, "tx1\t0\t27\t38\tNA"), "--strict"], "record tx1", "junction"),
        new("table with another length, strict", 3, f => [.. Table(f, "tx1\t0\t27\t-\t37"), "--strict"], "record tx1", "t.tsv line 2", "37"),
        new("ids of versions against bare ids", 0, f => [f.Text("v.fa", $">ENST00000263946.3\n{Sequence}\n"), "--tracks", f.Text("t.tsv", Header + "ENST00000263946\t0\t27\t-\t38\n")], "version"),
        new("ids file missing", 3, f => [f.Fasta(), "--ids", f.PathOf("absent.txt")], "absent.txt", "no such file"),
        new("ids file empty", 3, f => [f.Fasta(), "--ids", f.Text("ids.txt", "")], "ids.txt"),
        new("ids file with two words a line", 3, f => [f.Fasta(), "--ids", f.Text("ids.txt", "tx1 tx2\n")], "ids.txt", "line 1"),
        new("ids file without a match", 3, f => [f.Fasta(), "--ids", f.Text("ids.txt", "nobody\n")], "ids.txt", "nobody", "good.fa"),
        new("filters that leave nothing", 3, f => [f.Fasta(), "--min-length", "5000"], "good.fa", "passes the filters"),
        new("filters that leave what cannot be used", 3, f => [f.Text("t.fa", ">a\nACGT\n>hollow\n"), "--min-length", "5000"], "t.fa", "nothing is left", "empty sequence", "relax"),
    ];

    private static IEnumerable<HostileCase> Annotations() =>
    [
        new("annotation without genome", 3, f => ["--annotation", f.Gtf(Row("exon", 1, 40))], "genes.gtf", "--genome"),
        new("annotation missing", 3, f => ["--annotation", f.PathOf("absent.gtf"), "--genome", f.Genome()], "absent.gtf", "no such file"),
        new("annotation empty", 3, f => Annotated(f), "genes.gtf", "empty"),
        new("genome missing", 3, f => ["--annotation", f.Gtf(Row("exon", 1, 40)), "--genome", f.PathOf("absent.fa")], "absent.fa", "no such file"),
        new("genome and annotation changed places", 3, f => ["--annotation", f.Genome(), "--genome", f.Gtf(Row("exon", 1, 40))], "genome.fa", "FASTA", "--genome"),
        new("no contig in common", 3, f => ["--annotation", f.Gtf(Row("exon", 1, 40, contig: "NC_000001.11")), "--genome", f.Genome("chr7")], "NC_000001.11", "chr7", "--contig-aliases"),
        new("chr prefix", 0, f => ["--annotation", f.Gtf(Row("exon", 1, 40, contig: "1")), "--genome", f.Genome("chr1")], "chr prefix"),
        new("one contig missing, strict", 3, f => Annotated(f, "--strict", Row("exon", 1, 40), Row("exon", 1, 40, "tx2", "chrUn")), "genes.gtf", "tx2", "chrUn"),
        new("one contig missing", 0, f => Annotated(f, Row("exon", 1, 40), Row("exon", 1, 40, "tx2", "chrUn")), "skipped: contig"),
        new("off the end of a contig, strict", 3, f => Annotated(f, "--strict", Row("exon", 1, 40), Row("exon", 380, 500, "tx2")), "genes.gtf", "tx2", "past the end of contig chr1"),
        new("off the end of a contig", 0, f => Annotated(f, Row("exon", 1, 40), Row("exon", 380, 500, "tx2")), "skipped", "past the end"),
        new("overlapping exons, strict", 3, f => Annotated(f, "--strict", Row("exon", 1, 40), Row("exon", 30, 60)), "genes.gtf", "tx1", "overlap"),
        new("CDS outside exons, strict", 3, f => Annotated(f, "--strict", Row("exon", 1, 40), Row("CDS", 50, 61)), "genes.gtf", "tx1", "CDS"),
        new("zero length, strict", 3, f => Annotated(f, "--strict", Row("exon", 40, 39)), "genes.gtf", "tx1"),
        new("trans-splicing, strict", 3, f => Annotated(f, "--strict", Row("exon", 1, 40), Row("exon", 60, 90, strand: '-')), "genes.gtf", "tx1", "both strands"),
        new("unknown strand, strict", 3, f => Annotated(f, "--strict", Row("exon", 1, 40, strand: '.')), "genes.gtf", "tx1", "strand"),
        new("start is no number", 3, f => Annotated(f, "chr1\tt\texon\tone\t40\t.\t+\t.\tgene_id \"g\"; transcript_id \"t\";"), "genes.gtf", "line 1"),
        new("start of more than 2^31", 3, f => Annotated(f, "chr1\tt\texon\t99999999999\t99999999999\t.\t+\t.\tgene_id \"g\"; transcript_id \"t\";"), "genes.gtf", "line 1"),
        new("wrong column count in GTF", 3, f => Annotated(f, Row("exon", 1, 40), "chr1\tt\texon\t1\t40"), "genes.gtf", "line 2"),
        new("wrong column count in BED", 3, f => ["--annotation", f.Text("t.bed", "chr1\t0\t40\ttx1\t0\t+\n"), "--genome", f.Genome()], "t.bed"),
        new("BED12 block counts differ, strict", 3, f => ["--annotation", f.Text("t.bed", "chr1\t0\t40\ttx1\t0\t+\t0\t40\t0\t2\t40,\t0,\n"), "--genome", f.Genome(), "--strict"], "t.bed", "tx1", "block"),
        new("genePred exonCount differs, strict", 3, f => ["--annotation", f.Text("t.gp", "tx1\tchr1\t+\t0\t40\t0\t40\t3\t0,\t40,\n"), "--genome", f.Genome(), "--strict"], "t.gp", "tx1", "exonCount"),
        new("GFF3 parent that no row defines, strict", 3, f => ["--annotation", f.Text("t.gff3", "##gff-version 3\nchr1\tt\texon\t1\t40\t.\t+\t.\tParent=ghost\n"), "--genome", f.Genome(), "--strict"], "t.gff3", "ghost"),
        new("semicolon inside quotes", 0, f => Annotated(f, Row("exon", 1, 40, extra: " gene_name \"a;b; transcript_id c\";")), "tx1"),
        new("ribosomal slippage", 0, f => ["--annotation", f.Text("t.gff3",
            "##gff-version 3\nchr1\tt\tmRNA\t1\t90\t.\t+\t.\tID=tx1\nchr1\tt\texon\t1\t90\t.\t+\t.\tParent=tx1\n" +
            "chr1\tt\tCDS\t1\t30\t.\t+\t0\tID=c;Parent=tx1;exception=ribosomal slippage\nchr1\tt\tCDS\t30\t59\t.\t+\t0\tID=c;Parent=tx1;exception=ribosomal slippage\n"), "--genome", f.Genome()], "tx1"),
        new("one id on X and Y", 0, f => ["--annotation", f.Gtf(Row("exon", 1, 40, "par1", "chrX"), Row("exon", 1, 40, "par1", "chrY")),
            "--genome", f.Text("xy.fa", ">chrX\n" + new string('A', 60) + "\n>chrY\n" + new string('C', 60) + "\n")], "duplicate id"),
        new("contig twice in the genome", 3, f => ["--annotation", f.Gtf(Row("exon", 1, 40)), "--genome", f.Text("g.fa", ">chr1\n" + new string('A', 60) + "\n>chr1\n" + new string('C', 60) + "\n")], "g.fa", "chr1", "twice"),
        new("2bit cut short", 3, f => ["--annotation", f.Gtf(Row("exon", 1, 40)), "--genome", f.Bytes("g.2bit", 0x43, 0x27, 0x41, 0x1a, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0)], "g.2bit"),
        new("region on no contig", 3, f => [.. Annotated(f, Row("exon", 1, 40)), "--region", "chr9:1-50"], "genes.gtf", "chr9"),
        new("region that is none", 3, f => [.. Annotated(f, Row("exon", 1, 40)), "--region", "chr1:90-10"], "chr1:90-10", "1-based"),
        new("table of tracks for a genome", 3, f => ["--annotation", f.Gtf(Row("exon", 1, 40)), "--genome", f.Text("t.tsv", Header)], "t.tsv", "--tracks"),
        new("contig aliases missing", 3, f => [.. Annotated(f, Row("exon", 1, 40)), "--contig-aliases", f.PathOf("absent.txt")], "absent.txt", "no such file"),
    ];

    private static IEnumerable<HostileCase> Models() =>
    [
        new("model missing", 3, f => [f.Fasta(), "--model", f.PathOf("absent.safetensors")], "absent.safetensors"),
        new("model name unknown", 3, f => [f.Fasta(), "--model", "no-such-model"], "no-such-model", "random-mamba"),
        new("model is a FASTA", 3, f => [f.Fasta(), "--model", f.Text("m.ckpt", FastaText(3))], "m.ckpt"),
        new("model is empty", 3, f => [f.Fasta(), "--model", f.Text("m.safetensors", "")], "m.safetensors"),
        new("model cut short", 3, f => [f.Fasta(), "--model", f.Bytes("m.safetensors", 200, 0, 0, 0, 0, 0, 0, 0, (byte)'{')], "m.safetensors"),
        new("model with a NaN weight", 3, f => [f.Fasta(), "--model", Weights(f, float.NaN)], "m.safetensors", "norm_f.bias", "NaN", "damaged"),
        new("model with an infinite weight", 3, f => [f.Fasta(), "--model", Weights(f, float.NegativeInfinity)], "m.safetensors", "norm_f.bias", "infinity", "damaged"),
        new("model of another configuration", 3, f => [f.Fasta(), "--model", OtherTracks(f)], "model.safetensors", "embedding.weight", "(8, 6)", "(8, 4)"),
        new("model whose pickle runs a command", 3, f => [f.Fasta(), "--model", f.Bytes("m.ckpt", [0x80, 2, .. "cos\nsystem\nX\u0004\0\0\0true"u8, 0x85, .. "R."u8])], "m.ckpt", "os.system", "nothing was executed"),
        new("model is a web page", 3, f => [f.Fasta(), "--model", f.Text("m.ckpt", "<!DOCTYPE html>\n<html>")], "m.ckpt", "web page", "download"),
        new("model folder without files", 3, f => [f.Fasta(), "--model", Directory.CreateDirectory(f.PathOf("hub")).FullName], "hub"),
        new("6-track model on bare FASTA", 3, f => [f.Fasta(), "--model", Six], "good.fa", Six, "--annotation", "--tracks", "CDS:", "--cds longest-orf", "--blank-tracks"),
        new("6-track model with blank tracks", 0, f => [f.Fasta(), "--model", Six, "--blank-tracks"]),
        new("4-track model with an annotation", 0, f => [.. Annotated(f, Row("exon", 1, 40)), "--model", "random-mamba-4track"], "ignore"),
    ];

    private static IEnumerable<HostileCase> Outputs() =>
    [
        new("output folder missing", 3, f => [f.Fasta(), "-o", Path.Combine(f.OutputFolder, "no", "x.npy")], "x.npy", "does not exist", "create"),
        new("output is a folder", 3, f => [f.Fasta(), "-o", Directory.CreateDirectory(f.PathOf("x.npy")).FullName], "x.npy", "is a folder"),
        new("output folder is a file", 3, f => [f.Fasta(), "-o", Path.Combine(f.Text("plain", ""), "x.npy")], "x.npy"),
        new("npz with an identifier of 5000 letters", 3, f => [f.Text("t.fa", ">" + new string('q', 5000) + "\nACGT\n"), "-o", f.Out("x.npz")], "qqq", "1024"),
    ];

    private static IEnumerable<HostileCase> Usage() =>
    [
        new("no input", 2, f => [], "--annotation"),
        new("two inputs", 2, f => [f.Fasta(), "--annotation", f.Gtf(Row("exon", 1, 40))], "not both"),
        new("genome without annotation", 2, f => [f.Fasta(), "--genome", f.Genome()], "--genome"),
        new("tracks with annotation", 2, f => [.. Annotated(f, Row("exon", 1, 40)), "--tracks", f.Text("t.tsv", "")], "--tracks"),
        new("region of a FASTA", 2, f => [f.Fasta(), "--region", "chr1"], "--region"),
        new("stdin with --resume", 2, f => ["-", "--resume"], "--resume", "stdin", "file"),
        new("stdin twice", 2, f => ["-", "--tracks", "-"], "stdin"),
        new("--resume to stdout", 2, f => [f.Fasta(), "-o", "-", "--resume"], "--resume"),
        new("npy to stdout", 2, f => [f.Fasta(), "-o", "-", "--format", "npy"], "csv", "file"),
        new("extension that names no format", 2, f => [f.Fasta(), "-o", f.Out("x.dat")], "x.dat", "--format"),
        new("unknown format", 2, f => [f.Fasta(), "--format", "parquet"], "parquet", "npy"),
        new("format in capitals", 2, f => [f.Fasta(), "--format", "NPY"], "NPY", "'npy'"),
        new("positions and pooling", 2, f => [f.Fasta(), "--per-position", "--pool", "max", "-o", f.Out("x.npz")], "--per-position", "--pool"),
        new("empty name of the input", 2, f => [""], "argument 2 is empty"),
        new("empty name of the output", 2, f => [f.Fasta(), "-o", ""], "-o is empty"),
        new("empty value after =", 2, f => [f.Fasta(), "--ids="], "--ids is empty"),
        new("positions as csv", 2, f => [f.Fasta(), "--per-position", "-o", f.Out("x.csv")], "npz"),
        new("shard 0", 2, f => [f.Fasta(), "--shard", "0/4"], "0/4", "1 <= i"),
        new("shard 5 of 4", 2, f => [f.Fasta(), "--shard", "5/4"], "5/4"),
        new("shard that is none", 2, f => [f.Fasta(), "--shard", "half"], "half"),
        new("no threads", 2, f => [f.Fasta(), "--threads", "0"], "--threads", "1024"),
        new("threads that are no number", 2, f => [f.Fasta(), "--threads", "many"], "many"),
        new("unknown pooling", 2, f => [f.Fasta(), "--pool", "median"], "median", "mean"),
        new("unknown dtype", 2, f => [f.Fasta(), "--dtype", "f16"], "f16", "f32"),
        new("unknown option", 2, f => [f.Fasta(), "--gpu"], "--gpu"),
        new("unknown device", 2, f => [f.Fasta(), "--device", "tpu"], "tpu", "cpu"),
        new("device number that is none", 2, f => [f.Fasta(), "--device", "cuda:first"], "cuda:first", "cuda:N"),
        new("device that this machine has not", 4, f => [f.Fasta(), "--device", "cuda:4095"], "CUDA"),
        new("threads of a GPU", 2, f => [f.Fasta(), "--device", "sim", "--threads", "2"], "--threads", "--device cpu"),
        new("doubles on a GPU", 2, f => [f.Fasta(), "--device", "cuda", "--dtype", "f64"], "--dtype f64", "--device cpu"),
        new("bfloat16 on the CPU", 2, f => [f.Fasta(), "--device", "cpu", "--dtype", "bf16"], "--dtype bf16", "cuda or sim"),
        new("threads and bfloat16", 2, f => [f.Fasta(), "--threads", "2", "--dtype", "bf16"], "--threads", "--dtype bf16"),
        new("contradicting CDS options", 2, f => [f.Fasta(), "--blank-tracks", "--cds", "longest-orf"], "--blank-tracks"),
        new("lengths that leave nothing", 2, f => [f.Fasta(), "--min-length", "9", "--max-length", "3"], "length"),
    ];

    private const string Header = "transcript_id\tcds_start\tcds_end\texon_junctions\tlength\n";

    private static string[] Table(HostileFiles f, params string[] rows) => [f.Fasta(), "--tracks", f.Text("t.tsv", Header + string.Concat(rows.Select(r => r + "\n")))];

    private static string[] Annotated(HostileFiles f, params string[] rows)
    {
        string[] options = rows.Where(r => r.StartsWith('-')).ToArray();
        return ["--annotation", f.Gtf(rows.Except(options).ToArray()), "--genome", f.Genome(), .. options];
    }

    // A correct file but for its last number.
    private static string Weights(HostileFiles f, float last)
    {
        string path = f.PathOf("m.safetensors");
        Mamba.OrthrusModel.Create(new Mamba.MambaConfig(8, 1, 4), seed: 1).SaveSafeTensors(path);
        byte[] bytes = File.ReadAllBytes(path);
        BitConverter.TryWriteBytes(bytes.AsSpan(bytes.Length - 4), last);
        return f.Bytes("m.safetensors", bytes);
    }

    private static string OtherTracks(HostileFiles f)
    {
        string folder = f.PathOf("hub"), config = Path.Combine(folder, "config.json");
        Mamba.OrthrusModel.Create(new Mamba.MambaConfig(8, 1, 6), seed: 1).SaveHuggingFace(folder);
        File.WriteAllText(config, File.ReadAllText(config).Replace("\"n_tracks\": 6", "\"n_tracks\": 4"));
        return folder;
    }

    // Root may read what nobody may; the memory of a process is a file whose first page nobody can read.
    private static string Unreadable(HostileFiles f)
    {
        if (OperatingSystem.IsWindows()) Assert.Skip("needs Unix permissions");
        if (Environment.UserName == "root" && OperatingSystem.IsLinux()) return "/proc/self/mem";
        if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(f.Fasta(), UnixFileMode.None);
        return f.PathOf("good.fa");
    }

    private static string HundredMegabytes(HostileFiles f)
    {
        string path = f.Text("t.fa", ">long\n");
        using var file = new FileStream(path, FileMode.Append);
        var part = new byte[1 << 20];
        Array.Fill(part, (byte)'G');
        for (int i = 0; i < 100; i++) file.Write(part);
        return path;
    }
}
