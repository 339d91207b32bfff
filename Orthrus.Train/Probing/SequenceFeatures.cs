using System.Numerics;
using Orthrus.Rna;

namespace Orthrus.Train.Probing;

/// <summary>Features that need no model: what an encoder has to beat.</summary>
public static class SequenceFeatures
{
    private const int Codons = 64;

    /// <summary>Share of each of the 4^k words among the windows without an unknown base; zeros where there is none.</summary>
    /// <param name="tracks">Track bytes, 5' to 3'.</param>
    /// <param name="k">Length of a word, 1 to 8.</param>
    /// <param name="into">4^k numbers, in the order A, C, G, T of the words.</param>
    public static void Kmers(ReadOnlySpan<byte> tracks, int k, Span<double> into)
    {
        if (k is < 1 or > 8) throw new ArgumentOutOfRangeException(nameof(k), k, "words have 1 to 8 letters");
        into.Clear();
        int mask = (1 << 2 * k) - 1, word = 0, known = 0, windows = 0;
        foreach (byte b in tracks)
        {
            int letter = Letter(b);
            known = letter < 0 ? 0 : known + 1;
            word = (word << 2 | Math.Max(letter, 0)) & mask;
            if (known < k) continue;
            into[word]++;
            windows++;
        }
        if (windows == 0) return;
        for (int i = 0; i < into.Length; i++) into[i] /= windows;
    }

    /// <summary>Number of features that <see cref="Composition"/> gives.</summary>
    public static int CompositionWidth => 8 + Codons;

    /// <summary>
    /// Length, GC and codon usage: log(1 + nt) of the whole, the 5' UTR, the CDS and the 3' UTR; share of G and C of the four; share of each codon in the CDS. A transcript whose CDS is
    /// not known is taken to have that of <see cref="OpenReadingFrame.Longest"/>, if any; without one all parts but the whole are 0.
    /// </summary>
    /// <param name="transcript">The transcript.</param>
    /// <param name="into"><see cref="CompositionWidth"/> numbers.</param>
    public static void Composition(Transcript transcript, Span<double> into)
    {
        ArgumentNullException.ThrowIfNull(transcript);
        into.Clear();
        var tracks = transcript.Tracks.Span;
        Part(tracks, into, 0);
        var cds = transcript.Cds ?? (transcript.CdsKnown ? null : OpenReadingFrame.Longest(tracks));
        if (cds is not var (start, end)) return;
        Part(tracks[..start], into, 1);
        Part(tracks[start..end], into, 2);
        Part(tracks[end..], into, 3);
        var codons = into[8..];
        int count = 0;
        for (int p = start; p + 3 <= end; p += 3)
        {
            int a = Letter(tracks[p]), b = Letter(tracks[p + 1]), c = Letter(tracks[p + 2]);
            if ((a | b | c) < 0) continue;
            codons[a << 4 | b << 2 | c]++;
            count++;
        }
        if (count == 0) return;
        for (int i = 0; i < Codons; i++) codons[i] /= count;
    }

    private static void Part(ReadOnlySpan<byte> tracks, Span<double> into, int part)
    {
        int known = 0, gc = 0;
        foreach (byte b in tracks)
        {
            if ((b & TrackByte.Bases) == 0) continue;
            known++;
            if ((b & (TrackByte.C | TrackByte.G)) != 0) gc++;
        }
        into[part] = Math.Log(1.0 + tracks.Length);
        into[4 + part] = known > 0 ? (double)gc / known : 0;
    }

    private static int Letter(byte track) => (track & TrackByte.Bases) == 0 ? -1 : BitOperations.TrailingZeroCount((uint)track);
}
