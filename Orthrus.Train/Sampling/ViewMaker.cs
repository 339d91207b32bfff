using Orthrus.Rna;

namespace Orthrus.Train;

/// <summary>What is known of the two transcripts of a pair before their bytes are read.</summary>
internal readonly record struct PairFacts(int First, int Second, PairKind Kind, int FirstLength, int SecondLength, (int, int) FirstMarks, (int, int) SecondMarks,
    TranscriptFlags FirstFlags, TranscriptFlags SecondFlags, int Limit);

/// <summary>Makes the views of a pair: first their shapes, from lengths and codon marks alone, then their bytes.</summary>
internal sealed class ViewMaker(CorpusFile corpus, Augmentation how, ulong seed)
{
    /// <summary>What the corpus says of a pair.</summary>
    /// <param name="first">First transcript.</param>
    /// <param name="second">Second transcript.</param>
    /// <param name="kind">How they are related.</param>
    /// <param name="limit">Greatest length of a view with combined UTRs.</param>
    internal PairFacts Facts(int first, int second, PairKind kind, int limit) =>
        new(first, second, kind, corpus.Length(first), corpus.Length(second), corpus.Marks(first), corpus.Marks(second), corpus.Flags(first), corpus.Flags(second), limit);

    private bool BlankCds(in PairFacts pair) => how.BlankUnknownCds && ((pair.FirstFlags | pair.SecondFlags) & TranscriptFlags.CdsUnknown) != 0;

    private bool BlankJunctions(in PairFacts pair) => how.BlankUnknownJunctions && ((pair.FirstFlags | pair.SecondFlags) & TranscriptFlags.JunctionsUnknown) != 0;

    /// <summary>The shapes of both views.</summary>
    internal (ViewShape First, ViewShape Second) Shapes(in PairFacts pair, uint epoch)
    {
        bool blank = BlankCds(pair);
        var first = ViewShape.Whole(false, pair.FirstLength, blank ? (-1, -1) : pair.FirstMarks);
        var second = ViewShape.Whole(true, pair.SecondLength, blank ? (-1, -1) : pair.SecondMarks);
        uint sample = (uint)pair.First;
        bool projected = (pair.SecondFlags & TranscriptFlags.Projected) != 0;
        bool ortholog = pair.Kind == PairKind.Ortholog && (projected || how.UtrOfAnnotated);
        if (ortholog && how.CombineUtr > 0 && new Draws(seed, epoch, sample, DrawFor.CombineUtr).Chance(how.CombineUtr))
            second = Augment.CombineUtr(first, second, pair.Limit);
        if (how.CdsOnly || (how.UtrDropping && ortholog && (pair.FirstFlags & TranscriptFlags.Projected) == 0)) Augment.CdsOnly(ref first, ref second);
        if (how.Fragment < 1)
        {
            first = Fragment(first, new Draws(seed, epoch, sample, DrawFor.Fragment));
            second = Fragment(second, new Draws(seed, epoch, sample, DrawFor.Fragment, 1));
        }
        if (how.Crop > 0)
        {
            int size = how.CropLeast == 0 ? how.Crop : (int)(how.CropLeast * Math.Pow((double)how.Crop / how.CropLeast, new Draws(seed, epoch, sample, DrawFor.CropSize).Share()));
            first = Crop(first, size, new Draws(seed, epoch, sample, DrawFor.Crop));
            second = Crop(second, size, new Draws(seed, epoch, sample, DrawFor.Crop, how.CropTogether ? 0 : 1));
        }
        return (first, second);
    }

    /// <summary>Writes one view, of the shape that <see cref="Shapes"/> gave.</summary>
    /// <param name="pair">The pair.</param>
    /// <param name="shape">Shape of the view.</param>
    /// <param name="view">0 for the first, 1 for the second.</param>
    /// <param name="epoch">Epoch.</param>
    /// <param name="to">Where it is written: exactly its length.</param>
    /// <param name="scratch">Room for as many bytes.</param>
    internal void Write(in PairFacts pair, in ViewShape shape, int view, uint epoch, Span<byte> to, Span<byte> scratch)
    {
        shape.CopyTo(corpus.Tracks(pair.First), corpus.Tracks(pair.Second), to);
        if (BlankJunctions(pair)) BlankInner(shape, pair, to);
        if (BlankCds(pair)) Augment.Clear(to, TrackByte.Cds);
        uint sample = (uint)pair.First;
        new Draws(seed, epoch, sample, DrawFor.MaskCds, view).Thin(to, TrackByte.Cds, (int)(to.Length * how.MaskCds));
        new Draws(seed, epoch, sample, DrawFor.MaskSplice, view).Thin(to, TrackByte.Splice, (int)(to.Length * how.MaskSplice));
        Drop(how.DropCds, TrackByte.Cds, DrawFor.DropCds, to);
        Drop(how.DropSplice, TrackByte.Splice, DrawFor.DropSplice, to);
        Mask(how.MaskSequence, TrackByte.Bases, DrawFor.MaskSequence, to, scratch);
        Mask(how.MaskAll, TrackByte.Bases | TrackByte.Cds | TrackByte.Splice, DrawFor.MaskAll, to, scratch);

        void Mask(double share, byte bits, DrawFor purpose, Span<byte> tracks, Span<byte> set)
        {
            int count = (int)(tracks.Length * share);
            if (count == 0) return;
            set = set[..tracks.Length];
            new Draws(seed, epoch, sample, purpose, view).Positions(set, count);
            Augment.Clear(tracks, set, bits);
        }

        void Drop(double probability, byte bits, DrawFor purpose, Span<byte> tracks)
        {
            if (probability > 0 && new Draws(seed, epoch, sample, purpose, view).Chance(probability)) Augment.Clear(tracks, bits);
        }
    }

    private ViewShape Fragment(ViewShape shape, Draws draws)
    {
        int length = Math.Max(1, (int)(shape.Length * (how.Fragment + (1 - how.Fragment) * draws.Share()))), start = (int)(draws.Share() * (shape.Length - length + 1));
        return shape.Cut(start, start + length);
    }

    private static ViewShape Crop(ViewShape shape, int size, Draws draws)
    {
        int spare = shape.Length - size;
        if (spare <= 0) return shape;
        int start = (int)(draws.Share() * (spare + 1));
        return shape.Cut(start, start + size);
    }

    // The last base of a transcript keeps its mark, wherever the view shows it.
    private static void BlankInner(in ViewShape shape, in PairFacts pair, Span<byte> to)
    {
        int at = 0;
        foreach (var piece in (ReadOnlySpan<Piece>)[shape.A, shape.B, shape.C])
        {
            int length = piece.OfPair ? pair.SecondLength : pair.FirstLength;
            bool last = piece.Length > 0 && piece.Start + piece.Length == length;
            Augment.Clear(to.Slice(at, last ? piece.Length - 1 : piece.Length), TrackByte.Splice);
            at += piece.Length;
        }
    }
}
