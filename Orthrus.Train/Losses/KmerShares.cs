using System.Numerics;
using Orthrus.Rna;

namespace Orthrus.Train;

/// <summary>
/// What a view's embedding is to tell by one linear layer: for each word of k letters the share of positions at which it begins, times 4^k, so that words of chance
/// level are 1. The loss is the squared error, mean over words and views. A mean over positions can hold exactly such shares, whatever the length, and linear
/// models of short sequences live on them; the contrastive loss gives them away. Source: Orthrus; upstream has no such loss.
/// </summary>
internal static class KmerShares
{
    /// <summary>Most letters of a word.</summary>
    internal const int MostLetters = 6;

    /// <summary>Number of words.</summary>
    internal static int Words(int letters) => 1 << (2 * letters);

    /// <summary>Scaled shares of each row's words. Words with a cleared or unknown base count nowhere; rows shorter than a word have zeros.</summary>
    /// <param name="tracks">B x L track bytes.</param>
    /// <param name="lengths">Their B lengths.</param>
    /// <param name="letters">k.</param>
    /// <returns>B x 4^k; words in the order of A, C, G, T, first letter first.</returns>
    internal static double[] Of(ReadOnlySpan<byte> tracks, ReadOnlySpan<int> lengths, int letters)
    {
        int words = Words(letters), width = tracks.Length / Math.Max(1, lengths.Length);
        var shares = new double[lengths.Length * words];
        for (int row = 0; row < lengths.Length; row++)
        {
            var bases = tracks.Slice(row * width, lengths[row]);
            var counts = shares.AsSpan(row * words, words);
            int word = 0, known = 0;
            foreach (byte b in bases)
            {
                int letter = b & TrackByte.Bases;
                known = BitOperations.IsPow2(letter) ? known + 1 : 0;
                word = (word << 2 | BitOperations.TrailingZeroCount(letter) & 3) & (words - 1);
                if (known >= letters) counts[word]++;
            }
            double scale = words / (double)Math.Max(1, bases.Length - letters + 1);
            for (int i = 0; i < words; i++) counts[i] *= scale;
        }
        return shares;
    }
}
