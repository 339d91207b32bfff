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

    /// <summary>Pairs [from, from + count): 2 count rows of the columns that the longest of them needs.</summary>
    internal TrainBatch Part(int from, int count)
    {
        if (from == 0 && count == Pairs.Pairs) return this;
        int[] lengths = [.. Pairs.Lengths.AsSpan(from, count), .. Pairs.Lengths.AsSpan(Pairs.Pairs + from, count)];
        int width = lengths.Max();
        var part = new PairBatch(Cut(Pairs.Tracks), width, lengths, Pairs.Kinds.AsSpan(from, count).ToArray());
        return new(part, ReferenceEquals(Tracks, Pairs.Tracks) ? part.Tracks : Cut(Tracks), Labels is null ? null : Cut(Labels));

        T[] Cut<T>(T[] rows)
        {
            var cut = new T[2 * count * width];
            for (int row = 0; row < 2 * count; row++)
            {
                int source = row < count ? from + row : Pairs.Pairs + from + row - count;
                rows.AsSpan(source * Pairs.Length, width).CopyTo(cut.AsSpan(row * width));
            }
            return cut;
        }
    }
}

/// <summary>Weights of the losses at a step.</summary>
/// <param name="Contrastive">Of the contrastive loss.</param>
/// <param name="MaskedLanguage">Of the masked-base loss.</param>
/// <param name="SpliceCodon">Of the prediction of splice and codon tracks.</param>
public readonly record struct LossWeights(double Contrastive, double MaskedLanguage, double SpliceCodon);

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
    /// <summary>Weighted sum of each rank.</summary>
    public double[] Ranks { get; init; } = [];
    /// <summary>Share of anchors whose nearest key of the other view is their own; first head.</summary>
    public double Accuracy { get; init; }
    /// <summary>Mean cosine of pairs; first head.</summary>
    public double PositiveSimilarity { get; init; }
    /// <summary>Mean cosine of other samples; first head.</summary>
    public double NegativeSimilarity { get; init; }
}
