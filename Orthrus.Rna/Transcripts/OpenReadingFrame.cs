namespace Orthrus.Rna;

/// <summary>
/// Calls a CDS from sequence alone: the longest ATG..stop frame of the sense strand, the 5'-most of equals, where it has at least
/// <see cref="ShortestCall"/> nucleotides and no longer frame runs off an end of the transcript.
/// </summary>
/// <remarks>
/// Off the 3' end runs a frame from an ATG that meets no stop; off the 5' end one that has no ATG before its first stop, so that its start
/// may lie upstream. A transcript with such a longer frame is probably a fragment, and a shorter call inside it would be wrong.
/// </remarks>
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
            int start = -1, p = frame;
            bool fromEnd = true;
            for (; p + 3 <= tracks.Length; p += 3)
            {
                if (IsStop(tracks, p))
                {
                    int length = start < 0 ? 0 : p + 3 - start;
                    if (length > bestLength || (length == bestLength && length > 0 && start < bestStart)) (bestStart, bestLength) = (start, length);
                    if (fromEnd && start < 0) longestOpen = Math.Max(longestOpen, p + 3 - frame);
                    (start, fromEnd) = (-1, false);
                }
                else if (start < 0 && IsStart(tracks, p)) start = p;
            }
            if (start >= 0) longestOpen = Math.Max(longestOpen, p - start);
            else if (fromEnd) longestOpen = Math.Max(longestOpen, p - frame);
        }
        return bestLength >= ShortestCall && bestLength >= longestOpen ? (bestStart, bestStart + bestLength) : null;
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
