using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;

namespace Orthrus.Rna.Tests;

/// <summary>A transcript as the tests think of it: exons ascending, positions 0-based half-open, CDS as outer bounds in the genome.</summary>
internal sealed record Model(string Id, string Gene, string Contig, bool Minus, (int Start, int End)[] Exons, (int Start, int End)? Cds)
{
    /// <summary>Track bytes by walking over the genome one base at a time.</summary>
    internal byte[] Splice(string contig)
    {
        var positions = new List<int>();
        foreach (var (s, e) in Exons) for (int p = s; p < e; p++) positions.Add(p);
        var lastOfExon = Exons.Select(x => Minus ? x.Start : x.End - 1).ToHashSet();
        if (Minus) positions.Reverse();
        var tracks = new byte[positions.Count];
        int codon = 0;
        for (int i = 0; i < tracks.Length; i++)
        {
            int p = positions[i];
            tracks[i] = (byte)(char.ToUpperInvariant(contig[p]) switch
            {
                'A' => Minus ? 8 : 1,
                'C' => Minus ? 4 : 2,
                'G' => Minus ? 2 : 4,
                'T' => Minus ? 1 : 8,
                _ => 0,
            });
            if (Cds is var (cs, ce) && p >= cs && p < ce && codon++ % 3 == 0) tracks[i] |= 16;
            if (lastOfExon.Contains(p)) tracks[i] |= 32;
        }
        return tracks;
    }

    /// <summary>CDS pieces in the genome, ascending.</summary>
    internal (int Start, int End)[] CdsPieces() => Cds is var (cs, ce)
        ? Exons.Select(x => (Math.Max(x.Start, cs), Math.Min(x.End, ce))).Where(x => x.Item1 < x.Item2).ToArray()
        : [];

    /// <summary>CDS pieces without the last codon, and that codon, in the transcript's sense: what GTF wants.</summary>
    internal ((int, int)[] Cds, (int, int)[] Stop) SplitStop()
    {
        var pieces = CdsPieces();
        var bases = pieces.SelectMany(x => Enumerable.Range(x.Start, x.End - x.Start)).ToList();
        if (bases.Count < 6) return (pieces, []);
        var stop = Minus ? bases.Take(3) : bases.TakeLast(3);
        var rest = Minus ? bases.Skip(3) : bases.SkipLast(3);
        return (Runs(rest), Runs(stop));

        // Pieces end where exons end, also where two exons touch.
        (int, int)[] Runs(IEnumerable<int> positions) =>
            Exons.Select(x => positions.Where(p => p >= x.Start && p < x.End).ToList()).Where(x => x.Count > 0).Select(x => (x[0], x[^1] + 1)).ToArray();
    }
}

/// <summary>Writes models in each annotation format, and genomes in each genome format.</summary>
internal static class Write
{
    internal static string Gtf(IEnumerable<Model> models, Random? shuffle = null)
    {
        var rows = new List<string>();
        foreach (var m in models)
        {
            string tail = $".\t{(m.Minus ? '-' : '+')}\t.\tgene_id \"{m.Gene}\"; transcript_id \"{m.Id}\"; note \"a; b\";";
            void Row(string type, (int Start, int End) x) => rows.Add($"{m.Contig}\ttest\t{type}\t{x.Start + 1}\t{x.End}\t{tail}");
            Row("transcript", (m.Exons[0].Start, m.Exons[^1].End));
            foreach (var x in m.Exons) Row("exon", x);
            var (cds, stop) = m.SplitStop();
            foreach (var x in cds) Row("CDS", x);
            foreach (var x in stop) Row("stop_codon", x);
        }
        return Join(rows, shuffle);
    }

    internal static string Gff3(IEnumerable<Model> models, Random? shuffle = null)
    {
        var rows = new List<string>();
        foreach (var gene in models.GroupBy(m => (m.Gene, m.Contig, m.Minus)))
        {
            char strand = gene.Key.Minus ? '-' : '+';
            void Row(string type, int start, int end, string attributes) => rows.Add($"{gene.Key.Contig}\ttest\t{type}\t{start + 1}\t{end}\t.\t{strand}\t.\t{attributes}");
            Row("gene", gene.Min(m => m.Exons[0].Start), gene.Max(m => m.Exons[^1].End), $"ID=gene:{gene.Key.Gene};Name=a%3Bb");
            foreach (var m in gene) Row("mRNA", m.Exons[0].Start, m.Exons[^1].End, $"ID=transcript:{m.Id};Parent=gene:{gene.Key.Gene}");
            // One row for exons that several transcripts share.
            foreach (var exon in gene.SelectMany(m => m.Exons.Select(x => (x, m.Id))).GroupBy(x => x.x))
                Row("exon", exon.Key.Start, exon.Key.End, "Parent=" + string.Join(',', exon.Select(x => "transcript:" + x.Id)));
            foreach (var m in gene) foreach (var (s, e) in m.CdsPieces()) Row("CDS", s, e, $"ID=cds:{m.Id};Parent=transcript:{m.Id}");
        }
        return "##gff-version 3\n" + Join(rows, shuffle);
    }

    internal static string GenePred(IEnumerable<Model> models, string kind)
    {
        var text = new StringBuilder();
        if (kind == "header") text.Append("name\tname2\tchrom\tstrand\ttxStart\ttxEnd\tcdsStart\tcdsEnd\texonCount\texonStarts\texonEnds\n");
        foreach (var m in models)
        {
            var (cs, ce) = m.Cds ?? (m.Exons[^1].End, m.Exons[^1].End);
            string place = $"{m.Contig}\t{(m.Minus ? '-' : '+')}\t{m.Exons[0].Start}\t{m.Exons[^1].End}\t{cs}\t{ce}\t{m.Exons.Length}\t{string.Concat(m.Exons.Select(x => x.Start + ","))}\t{string.Concat(m.Exons.Select(x => x.End + ","))}";
            text.Append(kind switch
            {
                "genePred" => $"{m.Id}\t{place}",
                "bin" => $"585\t{m.Id}\t{place}\t0\t{m.Gene}\tcmpl\tcmpl\t{string.Concat(m.Exons.Select(_ => "0,"))}",
                "ext" => $"{m.Id}\t{place}\t0\t{m.Gene}\tcmpl\tcmpl\t{string.Concat(m.Exons.Select(_ => "0,"))}",
                "refFlat" => $"{m.Gene}\t{m.Id}\t{place}",
                _ => $"{m.Id}\t{m.Gene}\t{place}",
            }).Append('\n');
        }
        return text.ToString();
    }

    internal static string Bed12(IEnumerable<Model> models) => string.Concat(models.Select(m =>
    {
        int start = m.Exons[0].Start, end = m.Exons[^1].End;
        var (cs, ce) = m.Cds ?? (start, start);
        return $"{m.Contig}\t{start}\t{end}\t{m.Id}\t0\t{(m.Minus ? '-' : '+')}\t{cs}\t{ce}\t0\t{m.Exons.Length}\t{string.Concat(m.Exons.Select(x => x.End - x.Start + ","))}\t{string.Concat(m.Exons.Select(x => x.Start - start + ","))}\n";
    }));

    private static string Join(List<string> rows, Random? shuffle)
    {
        var all = rows.ToArray();
        shuffle?.Shuffle(all);
        return string.Join('\n', all) + "\n";
    }

    internal static string Fasta(IEnumerable<(string Name, string Bases)> contigs, int width = 60, string lineEnd = "\n")
    {
        var text = new StringBuilder();
        foreach (var (name, bases) in contigs)
        {
            text.Append('>').Append(name).Append(" some words").Append(lineEnd);
            for (int at = 0; at < bases.Length; at += Math.Min(width, bases.Length - at)) text.Append(bases, at, Math.Min(width, bases.Length - at)).Append(lineEnd);
        }
        return text.ToString();
    }

    internal static byte[] Gzip(byte[] data)
    {
        var memory = new MemoryStream();
        using (var gzip = new GZipStream(memory, CompressionLevel.Fastest, leaveOpen: true)) gzip.Write(data);
        return memory.ToArray();
    }

    internal static byte[] Gzip(string text) => Gzip(Encoding.UTF8.GetBytes(text));

    /// <summary>bgzip: members of at most 64 kB that state their size, and an empty one at the end.</summary>
    internal static byte[] Bgzip(string text, bool endBlock = true)
    {
        var file = new MemoryStream();
        foreach (var block in Encoding.UTF8.GetBytes(text).Chunk(60_000)) Block(block);
        if (endBlock) file.Write([0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff, 6, 0, 0x42, 0x43, 2, 0, 0x1b, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        return file.ToArray();

        void Block(byte[] data)
        {
            var plain = Gzip(data);
            var body = plain.AsSpan(10);
            int size = 18 + body.Length;
            file.Write([0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff, 6, 0, 0x42, 0x43, 2, 0, (byte)((size - 1) & 255), (byte)((size - 1) >> 8)]);
            file.Write(body);
        }
    }

    // T 0, C 1, A 2, G 3; every other letter is packed as T and lies in an N block, as faToTwoBit does it.
    private static readonly byte[] TwoBitCodes = [.. Enumerable.Range(0, 128).Select(c => (byte)(char.ToUpperInvariant((char)c) switch { 'C' => 1, 'A' => 2, 'G' => 3, _ => 0 }))];

    /// <summary>2bit with N blocks for letters that are no base and mask blocks for lower case.</summary>
    internal static byte[] TwoBit(IReadOnlyList<(string Name, string Bases)> contigs, bool bigEndian = false, bool wide = false, uint? version = null)
    {
        var records = contigs.Select(c => Record(c.Bases)).ToList();
        var file = new MemoryStream();
        Word(file, 0x1A412743);
        Word(file, version ?? (wide ? 1u : 0u));
        Word(file, (uint)contigs.Count);
        Word(file, 0);
        long at = 16 + contigs.Sum(c => 1 + c.Name.Length + (wide ? 8 : 4));
        for (int i = 0; i < contigs.Count; i++)
        {
            file.WriteByte((byte)contigs[i].Name.Length);
            file.Write(Encoding.ASCII.GetBytes(contigs[i].Name));
            if (wide && bigEndian) Word(file, 0);
            Word(file, (uint)at);
            if (wide && !bigEndian) Word(file, 0);
            at += records[i].Length;
        }
        foreach (var record in records) file.Write(record);
        return file.ToArray();

        void Word(Stream to, uint value)
        {
            var bytes = new byte[4];
            if (bigEndian) BinaryPrimitives.WriteUInt32BigEndian(bytes, value);
            else BinaryPrimitives.WriteUInt32LittleEndian(bytes, value);
            to.Write(bytes);
        }

        byte[] Record(string bases)
        {
            var to = new MemoryStream();
            Word(to, (uint)bases.Length);
            Blocks(to, bases, c => TwoBitCodes[c] == 0 && c is not ('T' or 't'));
            Blocks(to, bases, char.IsAsciiLetterLower);
            Word(to, 0);
            for (int i = 0; i < bases.Length; i += 4)
            {
                int packed = 0;
                for (int k = 0; k < 4; k++) packed = packed * 4 + (i + k < bases.Length ? TwoBitCodes[bases[i + k]] : 0);
                to.WriteByte((byte)packed);
            }
            return to.ToArray();
        }

        void Blocks(Stream to, string bases, Func<char, bool> inside)
        {
            var runs = new List<(int Start, int Length)>();
            for (int i = 0; i < bases.Length; i++)
                if (inside(bases[i]))
                {
                    int start = i;
                    while (i < bases.Length && inside(bases[i])) i++;
                    runs.Add((start, i - start));
                }
            Word(to, (uint)runs.Count);
            foreach (var r in runs) Word(to, (uint)r.Start);
            foreach (var r in runs) Word(to, (uint)r.Length);
        }
    }
}

/// <summary>A folder of a test's own that vanishes with it.</summary>
internal sealed class Scratch : IDisposable
{
    internal string Folder { get; } = Directory.CreateTempSubdirectory("orthrus-rna-").FullName;

    internal string this[string name] => Path.Combine(Folder, name);

    internal string Put(string name, string text) => Put(name, Encoding.UTF8.GetBytes(text));

    internal string Put(string name, byte[] data)
    {
        File.WriteAllBytes(this[name], data);
        return this[name];
    }

    public void Dispose() => Directory.Delete(Folder, recursive: true);
}
