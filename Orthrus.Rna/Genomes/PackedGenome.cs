namespace Orthrus.Rna;

/// <summary>
/// A genome in memory at 2 bits a base, with runs of unknown bases apart: 0.8 GB for a mammal. For compressed FASTA, which cannot be
/// read at random, and for FASTA whose lines differ in length.
/// </summary>
internal sealed class PackedGenome : Genome
{
    private const int ChunkBases = 1 << 20;

    private sealed class Contig
    {
        internal readonly List<byte[]> Chunks = [];
        internal readonly List<(long Start, long End)> Unknown = [];
    }

    private readonly List<Contig> _contigs = [];

    private PackedGenome(string path) : base(path) { }

    internal static PackedGenome Read(FastaReader fasta)
    {
        var genome = new PackedGenome(fasta.Path);
        var bases = new byte[1 << 16];
        while (fasta.NextRecord())
        {
            int number = genome.AddContig(fasta.Name, 0);
            var contig = new Contig();
            genome._contigs.Add(contig);
            long length = 0;
            int n;
            while ((n = fasta.ReadBases(bases)) > 0)
            {
                Append(contig, length, bases.AsSpan(0, n));
                length += n;
            }
            genome.SetLength(number, length);
        }
        return genome;
    }

    // The code of a base is the place of its track bit: A 0, C 1, G 2, T 3.
    private static void Append(Contig contig, long at, ReadOnlySpan<byte> bases)
    {
        for (int i = 0; i < bases.Length; i++, at++)
        {
            int inChunk = (int)(at % ChunkBases);
            if (inChunk == 0) contig.Chunks.Add(new byte[ChunkBases / 4]);
            int bits = bases[i];
            if (bits == 0)
            {
                if (contig.Unknown.Count > 0 && contig.Unknown[^1].End == at) contig.Unknown[^1] = (contig.Unknown[^1].Start, at + 1);
                else contig.Unknown.Add((at, at + 1));
                continue;
            }
            int code = System.Numerics.BitOperations.TrailingZeroCount(bits);
            contig.Chunks[^1][inChunk >> 2] |= (byte)(code << (2 * (inChunk & 3)));
        }
    }

    internal override void Read(int contig, long start, Span<byte> bits)
    {
        var source = _contigs[contig];
        for (int i = 0; i < bits.Length; i++)
        {
            long at = start + i;
            int inChunk = (int)(at % ChunkBases);
            bits[i] = (byte)(1 << ((source.Chunks[(int)(at / ChunkBases)][inChunk >> 2] >> (2 * (inChunk & 3))) & 3));
        }
        Runs.Clear(source.Unknown, start, bits);
    }
}

/// <summary>Sorted runs of unknown bases.</summary>
internal static class Runs
{
    /// <summary>Sets to 0 what of [start, start + bits.Length) lies in a run.</summary>
    internal static void Clear(List<(long Start, long End)> runs, long start, Span<byte> bits)
    {
        long end = start + bits.Length;
        int low = 0, high = runs.Count;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (runs[middle].End <= start) low = middle + 1;
            else high = middle;
        }
        for (; low < runs.Count && runs[low].Start < end; low++)
        {
            long from = Math.Max(runs[low].Start, start), to = Math.Min(runs[low].End, end);
            bits.Slice((int)(from - start), (int)(to - from)).Clear();
        }
    }
}
