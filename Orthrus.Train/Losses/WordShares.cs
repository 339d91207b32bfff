using System.Numerics;
using Orthrus.Rna;

namespace Orthrus.Train;

/// <summary>
/// What a view's embedding is to tell by one linear layer: for each word of k letters the share of positions at which it begins, times 4^k, so that words of chance
/// level are 1; and for each codon the share of positions at which it begins in frame, by the codon track, times 64. The loss is the squared error, mean over words and
/// views. A mean over positions can hold exactly such shares, whatever the length, and linear models of short sequences live on them; the contrastive loss gives them
/// away. Source: Orthrus; upstream has no such loss.
/// </summary>
/// <param name="Letters">k; 0 for codons alone.</param>
/// <param name="Codons">Codons too.</param>
internal readonly record struct WordShares(int Letters, bool Codons)
{
    /// <summary>Most letters of a word.</summary>
    internal const int MostLetters = 6;

    private const int CodonCount = 64;

    /// <summary>Numbers of a view.</summary>
    internal int Count => Words + (Codons ? CodonCount : 0);

    private int Words => Letters == 0 ? 0 : 1 << (2 * Letters);

    /// <summary>Scaled shares of each row's words, then codons. Those with a cleared or unknown base count nowhere; rows shorter than a word have zeros.</summary>
    /// <param name="tracks">B x L track bytes.</param>
    /// <param name="lengths">Their B lengths.</param>
    /// <returns>B x Count; words in the order of A, C, G, T, first letter first.</returns>
    internal double[] Of(ReadOnlySpan<byte> tracks, ReadOnlySpan<int> lengths)
    {
        int width = tracks.Length / Math.Max(1, lengths.Length);
        var shares = new double[lengths.Length * Count];
        for (int row = 0; row < lengths.Length; row++)
        {
            var bases = tracks.Slice(row * width, lengths[row]);
            var ofRow = shares.AsSpan(row * Count, Count);
            if (Letters > 0) Add(bases, Letters, inFrame: false, ofRow[..Words]);
            if (Codons) Add(bases, 3, inFrame: true, ofRow[Words..]);
        }
        return shares;
    }

    private static void Add(ReadOnlySpan<byte> bases, int letters, bool inFrame, Span<double> counts)
    {
        int word = 0, known = 0;
        for (int i = 0; i < bases.Length; i++)
        {
            int letter = bases[i] & TrackByte.Bases;
            known = BitOperations.IsPow2(letter) ? known + 1 : 0;
            word = (word << 2 | BitOperations.TrailingZeroCount(letter) & 3) & (counts.Length - 1);
            if (known >= letters && (!inFrame || (bases[i - letters + 1] & TrackByte.Cds) != 0)) counts[word]++;
        }
        double positions = Math.Max(1, bases.Length - letters + 1);
        foreach (ref double count in counts) count = count * counts.Length / positions;
    }
}
