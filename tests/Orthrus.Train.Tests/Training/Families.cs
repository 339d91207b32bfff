namespace Orthrus.Train.Tests.Training;

/// <summary>
/// Pairs of isoforms of synthetic genes: a gene is a row of exons of random bases with its own composition, an isoform leaves one inner exon out. A batch is a function of its number.
/// </summary>
internal sealed class Families(int genes, int pairs, int exon = 12, ulong seed = 1, int shift = 0) : IPairBatches
{
    private const int Exons = 5;

    public PairBatch Batch(long step)
    {
        var random = new Random(unchecked((int)seed * 7919 + ((int)step + shift) * 104_729 + 7));
        int[] chosen = [.. Enumerable.Range(0, genes).OrderBy(_ => random.Next()).Take(pairs)];
        byte[][] rows = [.. Enumerable.Range(0, 2 * pairs).Select(i => Isoform(chosen[i % pairs], random.Next(1, Exons - 1)))];
        int length = rows.Max(r => r.Length);
        var tracks = new byte[rows.Length * length];
        for (int i = 0; i < rows.Length; i++) rows[i].CopyTo(tracks, i * length);
        return new(tracks, length, [.. rows.Select(r => r.Length)], [.. chosen.Select(g => (PairKind)(g % 3))]);
    }

    private byte[] Isoform(int gene, int without)
    {
        var random = new Random(unchecked((int)seed * 15_485_863 + gene * 32_452_843));
        double gc = 0.2 + 0.6 * random.NextDouble();
        var bases = new List<byte>();
        for (int e = 0; e < Exons; e++)
        {
            int length = exon + random.Next(exon / 2 + 1);
            for (int i = 0; i < length; i++)
            {
                byte b = random.NextDouble() < gc ? (random.Next(2) == 0 ? (byte)2 : (byte)4) : random.Next(2) == 0 ? (byte)1 : (byte)8;
                if (e == without) continue;
                if (bases.Count % 3 == 0) b |= 16;
                if (i == length - 1) b |= 32;
                bases.Add(b);
            }
        }
        return [.. bases];
    }
}
