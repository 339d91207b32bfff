namespace Orthrus.Rna;

/// <summary>Sets codon and splice marks, the same for every kind of input.</summary>
/// <remarks>
/// Codon marks stand at the CDS start and every third base after it while inside the CDS, also where the CDS is incomplete at its 5' end or
/// its length is no multiple of three. Splice marks stand at every junction, and at the last base of every transcript: that base
/// ends the last exon whether or not the other junctions are known.
/// </remarks>
internal static class TranscriptBuilder
{
    internal const string FiveIncomplete = "cds 5' incomplete", ThreeIncomplete = "cds 3' incomplete", Shifted = "cds rows overlap or leave a gap",
        Called = "cds called as longest ORF", NotCalled = "no ORF called", CdsUnknown = "cds unknown", JunctionsUnknown = "exon junctions unknown",
        NoStop = "cds without stop codon at its end", Ragged = "cds length is no multiple of 3";

    internal static Fault? CheckMarks(int length, (int Start, int End)? cds, IReadOnlyList<int>? junctions)
    {
        if (cds is var (start, end) && (start < 0 || end > length || end <= start))
            return new Fault("CDS outside the sequence", $"CDS {start}-{end} (0-based) in a sequence of {length} nt");
        if (junctions is not null)
            for (int i = 0; i < junctions.Count; i++)
                if (junctions[i] < 0 || junctions[i] >= length - 1 || (i > 0 && junctions[i] <= junctions[i - 1]))
                    return new Fault("exon junctions outside the sequence", $"junction after base {junctions[i]} (0-based) in a sequence of {length} nt");
        return null;
    }

    internal static void Mark(Span<byte> tracks, (int Start, int End)? cds, IReadOnlyList<int>? junctions)
    {
        if (cds is var (start, end))
            for (int p = start; p < end; p += 3) tracks[p] |= TrackByte.Cds;
        if (junctions is not null)
            for (int i = 0; i < junctions.Count; i++) tracks[junctions[i]] |= TrackByte.Splice;
        tracks[^1] |= TrackByte.Splice;
    }

    /// <summary>
    /// Applies the policy to a transcript whose <see cref="Transcript.Tracks"/> are the array <paramref name="bases"/> without marks; what is
    /// noticed joins the notes.
    /// </summary>
    internal static Transcript Finish(Transcript transcript, byte[] bases, CdsPolicy policy, List<string> notes)
    {
        if (policy == CdsPolicy.Blank) return transcript with { Cds = null, CdsKnown = false, Junctions = null };
        var source = transcript.Cds is not null ? CdsSource.Annotated : transcript.CdsKnown ? CdsSource.None : CdsSource.Unknown;
        if (source == CdsSource.Annotated) Inspect(transcript, bases, notes);
        if (policy == CdsPolicy.LongestOrf && source == CdsSource.Unknown)
        {
            var called = OpenReadingFrame.Longest(bases);
            source = called is null ? CdsSource.None : CdsSource.LongestOrf;
            notes.Add(called is null ? NotCalled : Called);
            transcript = transcript with { Cds = called, CdsKnown = true };
        }
        Mark(bases, transcript.Cds, transcript.Junctions);
        return transcript with { CdsSource = source };
    }

    private static void Inspect(Transcript transcript, ReadOnlySpan<byte> bases, List<string> notes)
    {
        var (start, end) = transcript.Cds!.Value;
        if (notes.Contains(FiveIncomplete) || notes.Contains(ThreeIncomplete) || notes.Contains(Shifted)) return;
        if ((end - start) % 3 != 0) notes.Add(Ragged);
        else if (!OpenReadingFrame.IsStop(bases, end - 3)) notes.Add(NoStop);
    }

    internal static int CountUnknown(ReadOnlySpan<byte> bases)
    {
        int n = 0;
        foreach (byte b in bases) if ((b & TrackByte.Bases) == 0) n++;
        return n;
    }
}
