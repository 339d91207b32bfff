namespace Orthrus.Rna;

/// <summary>
/// Calls a CDS from sequence alone: the longest ATG..stop frame of the sense strand, the 5'-most of equals, where it has at least
/// <see cref="ShortestCall"/> nucleotides and no longer open frame runs off either end of the transcript.
/// </summary>
public static class OpenReadingFrame
{
    /// <summary>Shortest frame that is called, in nucleotides, stop codon included.</summary>
    public const int ShortestCall = 180;

    /// <summary>The called CDS as 0-based half-open positions, stop codon included; null where none is called.</summary>
    /// <param name="tracks">Track bytes of a transcript, 5' to 3'; an unknown base closes no frame and starts none.</param>
    public static (int Start, int End)? Longest(ReadOnlySpan<byte> tracks)
    {
        int bestStart = 0, bestLength = 0, longestOpen = 0;
        for (int frame = 0; frame < 3; frame++)
        {
            int start = -1, codonsFrom = frame;
            bool fromEnd = true;
            int p = frame;
            for (; p + 3 <= tracks.Length; p += 3)
            {
                if (IsStop(tracks, p))
                {
                    if (start >= 0 && Better(p + 3 - start, start)) (bestStart, bestLength) = (start, p + 3 - start);
                    // Before the first stop of a frame the reading may have begun upstream of the transcript.
                    if (fromEnd) longestOpen = Math.Max(longestOpen, p + 3 - codonsFrom);
                    (start, fromEnd, codonsFrom) = (-1, false, p + 3);
                }
                else if (start < 0 && IsStart(tracks, p)) start = p;
            }
            // After the last stop a frame runs off the 3' end: from its ATG, or through the whole transcript.
            if (start >= 0 || fromEnd) longestOpen = Math.Max(longestOpen, p - (fromEnd ? frame : start));
        }
        return bestLength >= ShortestCall && bestLength >= longestOpen ? (bestStart, bestStart + bestLength) : null;

        bool Better(int length, int start) => length > bestLength || (length == bestLength && start < bestStart);
    }

    private static bool IsStart(ReadOnlySpan<byte> t, int p) =>
        (t[p] & 15) == TrackByte.A && (t[p + 1] & 15) == TrackByte.T && (t[p + 2] & 15) == TrackByte.G;

    internal static bool IsStop(ReadOnlySpan<byte> t, int p)
    {
        if ((t[p] & 15) != TrackByte.T) return false;
        int second = t[p + 1] & 15, third = t[p + 2] & 15;
        return (second == TrackByte.A && third is TrackByte.A or TrackByte.G) || (second == TrackByte.G && third == TrackByte.A);
    }
}
