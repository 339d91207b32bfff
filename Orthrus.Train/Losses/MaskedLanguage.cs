using Orthrus.Tensor;

namespace Orthrus.Train;

/// <summary>Options of the masked-base loss.</summary>
public sealed record MaskedLanguageOptions
{
    /// <summary>Probability of a position to be masked; 0.15 upstream.</summary>
    public double MaskProbability { get; init; } = 0.15;

    /// <summary>Probability of an unmasked position to enter the loss as well; 0 upstream.</summary>
    public double ReconstructUnmasked { get; init; }

    /// <summary>Keep padding out of the head's batch statistics; upstream counts it.</summary>
    public bool MaskedStatistics { get; init; }

    /// <summary>Width of the head; 512 upstream.</summary>
    public int Body { get; init; } = 512;
}

/// <summary>
/// Masking for the masked-base loss: at masked positions all tracks vanish, and the base that stood there is the label. The masked input feeds the
/// contrastive loss as well.
/// </summary>
/// <remarks>
/// Label: 0 to 3 for A, C, G, T; <see cref="Ignored"/> where there is no base (N, padding, or blanked by augmentation) and outside the loss. Every
/// position's fate is a function of (seed, step, sample, view, position) alone. Source: Orthrus, with the label taken over the four bases.
/// </remarks>
internal static class MaskedLanguage
{
    /// <summary>Label of positions that do not count.</summary>
    internal const int Ignored = -100;

    private const byte MaskStream = 100, ExtraStream = 101;

    /// <summary>The base at a position as a label.</summary>
    internal static int Label(byte track) => (track & 15) == 0 ? Ignored : System.Numerics.BitOperations.TrailingZeroCount(track);

    /// <summary>MaskDraws masks for a batch and applies them.</summary>
    /// <param name="batch">The batch; not changed.</param>
    /// <param name="options">Probabilities.</param>
    /// <param name="seed">Seed of the run.</param>
    /// <param name="batchNumber">Number of the batch in the run.</param>
    /// <returns>2B x L track bytes with masked positions blank, and 2B x L labels.</returns>
    internal static (byte[] Tracks, int[] Labels) Mask(PairBatch batch, MaskedLanguageOptions options, ulong seed, long batchNumber)
    {
        var masked = (byte[])batch.Tracks.Clone();
        var labels = new int[masked.Length];
        Array.Fill(labels, Ignored);
        for (int row = 0; row < batch.Lengths.Length; row++)
        {
            int sample = row % batch.Pairs, view = row / batch.Pairs;
            var mask = new MaskDraws(seed, batchNumber, sample, view, MaskStream, options.MaskProbability);
            var extra = new MaskDraws(seed, batchNumber, sample, view, ExtraStream, options.ReconstructUnmasked);
            for (int t = 0; t < batch.Lengths[row]; t++)
                Apply(ref masked[(long)row * batch.Length + t], ref labels[(long)row * batch.Length + t], mask.At(t), extra.At(t));
        }
        return (masked, labels);
    }

    /// <summary>Masks one position.</summary>
    internal static void Apply(ref byte track, ref int label, bool mask, bool extra)
    {
        if (mask || extra) label = Label(track);
        if (mask) track = 0;
    }

    /// <summary>Labelled positions of a range of rows.</summary>
    internal static long Count(ReadOnlySpan<int> labels)
    {
        long n = 0;
        foreach (int label in labels) n += label == Ignored ? 0 : 1;
        return n;
    }
}

/// <summary>A stream of events of one probability, by position.</summary>
/// <param name="seed">Seed of the run.</param>
/// <param name="batch">Number of the batch in the run.</param>
/// <param name="sample">Pair within the batch.</param>
/// <param name="view">0 or 1.</param>
/// <param name="transform">What is drawn.</param>
/// <param name="probability">Of the event.</param>
internal struct MaskDraws(ulong seed, long batch, int sample, int view, byte transform, double probability)
{
    private readonly ulong _stream = (ulong)batch << 32 | (ulong)(uint)sample << 8 | (ulong)(uint)view << 7 | (uint)(transform & 127);
    private readonly ulong _threshold = (ulong)Math.Round(Math.Clamp(probability, 0, 1) * 4294967296.0);
    private (uint W0, uint W1, uint W2, uint W3) _words;
    private long _block = -1;

    /// <summary>Whether the event happens at a position.</summary>
    internal bool At(int position)
    {
        if (_threshold == 0) return false;
        if (position / 4 != _block)
        {
            _block = position / 4;
            _words = Philox.Words(seed, _stream, (ulong)_block);
        }
        uint word = (position & 3) switch { 0 => _words.W0, 1 => _words.W1, 2 => _words.W2, _ => _words.W3 };
        return word < _threshold;
    }
}
