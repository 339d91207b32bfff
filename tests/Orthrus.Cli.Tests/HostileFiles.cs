using System.IO.Compression;
using System.Text;

namespace Orthrus.Cli.Tests;

/// <summary>A folder of files of one hostile case, deleted afterwards.</summary>
internal sealed class HostileFiles : IDisposable
{
    internal const string Sequence = "ATGGCCAAGTTTGGCCTGAACTGATTTACGGCATTACG"; // 38 nt

    internal string Folder { get; } = Directory.CreateTempSubdirectory("orthrus-cli-").FullName;

    /// <summary>Where the command under test writes; holds nothing else.</summary>
    internal string OutputFolder => Directory.CreateDirectory(Path.Combine(Folder, "out")).FullName;

    internal string Out(string name = "x.npy") => Path.Combine(OutputFolder, name);

    internal string PathOf(string name) => Path.Combine(Folder, name);

    internal string Text(string name, string content) => Bytes(name, Encoding.UTF8.GetBytes(content));

    internal string Bytes(string name, params byte[] content)
    {
        File.WriteAllBytes(PathOf(name), content);
        return PathOf(name);
    }

    internal string Fasta(int records = 3) => Text("good.fa", FastaText(records));

    internal static string FastaText(int records) => string.Concat(Enumerable.Range(1, records).Select(i => $">tx{i}\n{Sequence}\n"));

    internal static byte[] Gzip(string text)
    {
        using var memory = new MemoryStream();
        using (var gzip = new GZipStream(memory, CompressionLevel.Optimal, leaveOpen: true)) gzip.Write(Encoding.ASCII.GetBytes(text));
        return memory.ToArray();
    }

    /// <summary>bgzip: blocks of at most 200 letters, each a gzip member with its size in an extra field.</summary>
    internal static byte[] Bgzip(string text, bool endBlock)
    {
        using var memory = new MemoryStream();
        for (int at = 0; at < text.Length; at += 200) Block(text.Substring(at, Math.Min(200, text.Length - at)));
        if (endBlock) Block("");
        return memory.ToArray();

        void Block(string part)
        {
            byte[] plain = Encoding.ASCII.GetBytes(part);
            using var deflated = new MemoryStream();
            using (var d = new DeflateStream(deflated, CompressionLevel.Optimal, leaveOpen: true)) d.Write(plain);
            byte[] body = deflated.ToArray();
            if (plain.Length == 0) body = [3, 0];
            int size = 18 + body.Length + 8 - 1;
            memory.Write([0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff, 6, 0, (byte)'B', (byte)'C', 2, 0, (byte)size, (byte)(size >> 8)]);
            memory.Write(body);
            memory.Write(BitConverter.GetBytes(Crc(plain)));
            memory.Write(BitConverter.GetBytes(plain.Length));
        }
    }

    internal string Genome(string contig = "chr1", int length = 400)
    {
        var text = new StringBuilder($">{contig}\n");
        for (int i = 0; i < length; i++) text.Append("ACGT"[(i * i + i / 3) % 4]).Append(i % 60 == 59 ? "\n" : "");
        return Text("genome.fa", text.Append('\n').ToString());
    }

    /// <summary>A GTF of one transcript with the given rows (feature, first, last), on contig chr1 unless the row says otherwise.</summary>
    internal string Gtf(params string[] rows) => Text("genes.gtf", string.Concat(rows.Select(r => r + "\n")));

    internal static string Row(string feature, int first, int last, string id = "tx1", string contig = "chr1", char strand = '+', string extra = "") =>
        $"{contig}\ttest\t{feature}\t{first}\t{last}\t.\t{strand}\t.\tgene_id \"g1\"; transcript_id \"{id}\";{extra}";

    private static uint Crc(byte[] data)
    {
        uint crc = uint.MaxValue;
        foreach (byte b in data)
        {
            crc ^= b;
            for (int k = 0; k < 8; k++) crc = (crc & 1) != 0 ? (crc >> 1) ^ 0xEDB88320 : crc >> 1;
        }
        return ~crc;
    }

    public void Dispose() => Directory.Delete(Folder, recursive: true);
}
