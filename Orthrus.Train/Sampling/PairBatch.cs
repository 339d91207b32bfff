namespace Orthrus.Train;

/// <summary>How the two transcripts of a pair are related; the numbers are upstream's.</summary>
public enum PairKind : byte
{
    /// <summary>A transcript with itself, augmented twice.</summary>
    Self = 0,
    /// <summary>Two splice isoforms of one gene.</summary>
    Splice = 1,
    /// <summary>Transcripts of orthologous genes of two species.</summary>
    Ortholog = 2,
}

/// <summary>A batch of B pairs: first views, then second views, as track bytes padded with zeros on the right.</summary>
/// <param name="Tracks">2B x L track bytes; row i and row B + i are the two views of pair i.</param>
/// <param name="Length">L: positions of a row.</param>
/// <param name="Lengths">True length of each of the 2B rows, in nucleotides.</param>
/// <param name="Kinds">Kind of each of the B pairs.</param>
public sealed record PairBatch(byte[] Tracks, int Length, int[] Lengths, PairKind[] Kinds)
{
    /// <summary>B.</summary>
    public int Pairs => Kinds.Length;
}

/// <summary>
/// Where batches come from. A batch is a function of its number alone, so that a run that goes on after a stop, or has other threads, sees the same ones.
/// </summary>
public interface IPairBatches
{
    /// <summary>The batch of an optimiser step.</summary>
    /// <param name="step">Steps already done, from 0.</param>
    PairBatch Batch(long step);
}
