using System.Numerics;
using Orthrus.Rna;

namespace Orthrus.Train;

/// <summary>A piece of one of the two transcripts of a pair.</summary>
/// <param name="OfPair">True: of the second transcript.</param>
/// <param name="Start">First position.</param>
/// <param name="Length">Number of positions.</param>
internal readonly record struct Piece(bool OfPair, int Start, int Length);

/// <summary>A view as pieces that are laid end to end, with its length and the places of its codon marks (-1, -1 without).</summary>
internal readonly record struct ViewShape(Piece A, Piece B, Piece C, int Length, int First, int Last)
{
    internal static ViewShape Whole(bool ofPair, int length, (int First, int Last) marks) => new(new Piece(ofPair, 0, length), default, default, length, marks.First, marks.Last);

    /// <summary>The part [start, end) of the view.</summary>
    internal ViewShape Cut(int start, int end)
    {
        int at = 0;
        Piece a = Part(A), b = Part(B), c = Part(C);
        bool marks = First >= start && Last < end && First >= 0;
        return new ViewShape(a, b, c, end - start, marks ? First - start : -1, marks ? Last - start : -1);

        Piece Part(Piece piece)
        {
            int from = Math.Clamp(start - at, 0, piece.Length), to = Math.Clamp(end - at, 0, piece.Length);
            at += piece.Length;
            return new Piece(piece.OfPair, piece.Start + from, to - from);
        }
    }

    /// <summary>Writes the view.</summary>
    internal void CopyTo(ReadOnlySpan<byte> first, ReadOnlySpan<byte> second, Span<byte> view)
    {
        foreach (var piece in (ReadOnlySpan<Piece>)[A, B, C])
        {
            (piece.OfPair ? second : first).Slice(piece.Start, piece.Length).CopyTo(view);
            view = view[piece.Length..];
        }
    }
}

/// <summary>The transforms on track bytes, without the draws that choose them.</summary>
internal static class Augment
{
    /// <summary>Positions of the first and the last codon mark, (-1, -1) where there is none.</summary>
    internal static (int First, int Last) Marks(ReadOnlySpan<byte> tracks)
    {
        int first = 0, last = tracks.Length - 1;
        while (first < tracks.Length && (tracks[first] & TrackByte.Cds) == 0) first++;
        if (first == tracks.Length) return (-1, -1);
        while ((tracks[last] & TrackByte.Cds) == 0) last--;
        return (first, last);
    }

    /// <summary>Second view as 5' UTR of the first, CDS of the second, 3' UTR of the first; unchanged where one has no CDS or more than <paramref name="limit"/> would come of it.</summary>
    internal static ViewShape CombineUtr(ViewShape first, ViewShape second, int limit)
    {
        if (first.First < 0 || second.First < 0) return second;
        int cdsEnd = Math.Min(second.Last + 3, second.Length), threeStart = Math.Min(first.Last + 3, first.Length);
        int cds = cdsEnd - second.First, three = first.Length - threeStart, length = first.First + cds + three;
        if (length > limit) return second;
        return new ViewShape(new Piece(false, 0, first.First), new Piece(true, second.First, cds), new Piece(false, threeStart, three),
            length, first.First, first.First + second.Last - second.First);
    }

    /// <summary>Both views cut to [first mark, last mark + 3), where both have marks.</summary>
    internal static void CdsOnly(ref ViewShape first, ref ViewShape second)
    {
        if (first.First < 0 || second.First < 0) return;
        first = first.Cut(first.First, Math.Min(first.Last + 3, first.Length));
        second = second.Cut(second.First, Math.Min(second.Last + 3, second.Length));
    }

    /// <summary>Clears bits at the positions of a set (255 in, 0 out).</summary>
    internal static void Clear(Span<byte> tracks, ReadOnlySpan<byte> set, byte bits)
    {
        int i = 0;
        var keep = new Vector<byte>(bits);
        for (; i + Vector<byte>.Count <= tracks.Length; i += Vector<byte>.Count)
        {
            var window = tracks[i..];
            Vector.AndNot(new Vector<byte>(window), new Vector<byte>(set[i..]) & keep).CopyTo(window);
        }
        for (; i < tracks.Length; i++) tracks[i] &= (byte)~(set[i] & bits);
    }

    /// <summary>Clears bits everywhere.</summary>
    internal static void Clear(Span<byte> tracks, byte bits)
    {
        byte keep = (byte)~bits;
        int i = 0;
        for (; i + Vector<byte>.Count <= tracks.Length; i += Vector<byte>.Count) (new Vector<byte>(tracks[i..]) & new Vector<byte>(keep)).CopyTo(tracks[i..]);
        for (; i < tracks.Length; i++) tracks[i] &= keep;
    }
}
