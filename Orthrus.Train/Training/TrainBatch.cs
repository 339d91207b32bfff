namespace Orthrus.Train;

/// <summary>What a step works on: pairs, the track bytes that the encoder sees of them, and labels where bases were masked.</summary>
/// <param name="Pairs">Lengths and kinds; its track bytes are those before masking.</param>
/// <param name="Tracks">2B x L track bytes for the encoder.</param>
/// <param name="Labels">2B x L labels 0 to 3, or <see cref="MaskedLanguage.Ignored"/>; null without the masked-base loss.</param>
internal sealed record TrainBatch(PairBatch Pairs, byte[] Tracks, int[]? Labels)
{
    /// <summary>The batch as it is, or with masks drawn for its number.</summary>
    internal static TrainBatch Of(PairBatch pairs, MaskedLanguageOptions? masking, ulong seed, long number)
    {
        if (masking is null) return new(pairs, pairs.Tracks, null);
        var (tracks, labels) = MaskedLanguage.Mask(pairs, masking, seed, number);
        return new(pairs, tracks, labels);
    }

    /// <summary>Some rows, with as many columns as the longest of them needs.</summary>
    internal EncoderRows Rows(int[] rows)
    {
        int width = rows.Max(row => Pairs.Lengths[row]);
        return new(rows, width, Cut(Tracks), Array.ConvertAll(rows, row => Pairs.Lengths[row]), ReferenceEquals(Tracks, Pairs.Tracks) ? null : Cut(Pairs.Tracks), Labels is null ? null : Cut(Labels));

        T[] Cut<T>(T[] source)
        {
            var cut = new T[(long)rows.Length * width];
            for (int i = 0; i < rows.Length; i++) source.AsSpan(rows[i] * Pairs.Length, width).CopyTo(cut.AsSpan(i * width));
            return cut;
        }
    }
}

/// <summary>Rows of a batch that the encoder takes together.</summary>
/// <param name="Numbers">Their numbers in the batch.</param>
/// <param name="Length">L: positions of a row.</param>
/// <param name="Tracks">Rows x L track bytes.</param>
/// <param name="Lengths">True length of each row.</param>
/// <param name="Unmasked">Track bytes before masking where they differ, or null.</param>
/// <param name="Labels">Rows x L labels, or null.</param>
internal sealed record EncoderRows(int[] Numbers, int Length, byte[] Tracks, int[] Lengths, byte[]? Unmasked, int[]? Labels);

/// <summary>Weights of the losses at a step.</summary>
/// <param name="Contrastive">Of the contrastive loss.</param>
/// <param name="MaskedLanguage">Of the masked-base loss.</param>
/// <param name="SpliceCodon">Of the prediction of splice and codon tracks.</param>
/// <param name="Words">Of the prediction of the shares of words.</param>
public readonly record struct LossWeights(double Contrastive, double MaskedLanguage, double SpliceCodon, double Words = 0);

/// <summary>What the losses of a step came to, without their weights unless said otherwise; means over ranks.</summary>
public sealed record StepLosses
{
    /// <summary>The weighted sum, which is minimised.</summary>
    public double Total { get; init; }
    /// <summary>Contrastive loss of each head.</summary>
    public double[] Contrastive { get; init; } = [];
    /// <summary>Masked-base loss: mean over the labelled positions of each view, both views added.</summary>
    public double MaskedLanguage { get; init; }
    /// <summary>Loss of the splice and codon tracks.</summary>
    public double SpliceCodon { get; init; }
    /// <summary>Squared error of the scaled shares of words, mean over words and both views.</summary>
    public double Words { get; init; }
    /// <summary>Weighted sum of each rank.</summary>
    public double[] Ranks { get; init; } = [];
    /// <summary>Share of anchors whose nearest key of the other view is their own; first head.</summary>
    public double Accuracy { get; init; }
    /// <summary>Mean cosine of pairs; first head.</summary>
    public double PositiveSimilarity { get; init; }
    /// <summary>Mean cosine of other samples; first head.</summary>
    public double NegativeSimilarity { get; init; }
}
