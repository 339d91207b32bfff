using System.Text;

namespace Orthrus.Rna;

/// <summary>Names what a file is that is not what was asked for, so that the error can say so.</summary>
internal static class FileSignature
{
    /// <summary>Problem and remedy for a file that begins with these bytes and was to be <paramref name="wanted"/>.</summary>
    internal static InputDataException Refuse(string path, string wanted, ReadOnlySpan<byte> head)
    {
        var (found, remedy) = Recognise(head);
        return new InputDataException(path, null, $"is {found}, not {wanted}", remedy);
    }

    private static (string Found, string Remedy) Recognise(ReadOnlySpan<byte> head)
    {
        if (head.StartsWith("PK\u0003\u0004"u8)) return ("a zip archive", "unpack it first");
        if (head.StartsWith("BZh"u8)) return ("compressed with bzip2", "decompress it first, or use gzip");
        if (head.StartsWith(new byte[] { 0xfd, 0x37, 0x7a, 0x58 })) return ("compressed with xz", "decompress it first, or use gzip");
        if (head.StartsWith(new byte[] { 0x28, 0xb5, 0x2f, 0xfd })) return ("compressed with zstd", "decompress it first, or use gzip");
        if (head.StartsWith(new byte[] { 0xff, 0xfe }) || head.StartsWith(new byte[] { 0xfe, 0xff })) return ("UTF-16 text", "save it as UTF-8");
        if (head.StartsWith("BAM\u0001"u8)) return ("BAM", "extract the transcripts as FASTA first");
        if (head.StartsWith("CRAM"u8)) return ("CRAM", "extract the transcripts as FASTA first");
        if (TwoBitGenome.HasSignature(head)) return ("a 2bit genome", "give it as --genome, with --annotation");
        if (head.StartsWith("##gff-version"u8)) return ("GFF3", "give it as --annotation, with --genome");
        if (head.StartsWith("@HD\t"u8) || head.StartsWith("@SQ\t"u8)) return ("SAM", "extract the transcripts as FASTA first");
        if (head.StartsWith("@"u8)) return ("FASTQ", "sequencing reads are not transcripts; give spliced transcripts as FASTA");
        if (head.StartsWith(">"u8)) return ("FASTA", "give transcripts as the first argument and a genome as --genome");
        if (head.StartsWith("LOCUS "u8)) return ("a GenBank flat file", "export it as FASTA, or as GFF3 with its genome");
        if (head.StartsWith("ID   "u8)) return ("an EMBL flat file", "export it as FASTA, or as GFF3 with its genome");
        if (head.StartsWith("CLUSTAL"u8)) return ("a Clustal alignment", "give unaligned FASTA");
        if (head.StartsWith("track "u8) || head.StartsWith("browser "u8)) return ("a browser track", "give it as --annotation, with --genome");
        if (head.Contains((byte)0)) return ("binary data", "check the file");
        if (head.StartsWith("transcript_id\t"u8)) return ("a table of transcripts", "give it as --tracks, beside the FASTA of its transcripts");
        int columns = 1 + head[..(head.IndexOf((byte)'\n') is >= 0 and var n ? n : head.Length)].Count((byte)'\t');
        if (columns >= 9) return ("a table of annotation", "give it as --annotation, with --genome");
        if (columns > 1) return ("a table", "a table of CDS and exons goes to --tracks, beside a FASTA; an annotation to --annotation, with --genome");
        string begin = Encoding.Latin1.GetString(head[..Math.Min(head.Length, 12)]);
        return ($"something that begins with \"{begin}\"", "check the file");
    }
}
