using Orthrus.Autograd;
using Orthrus.Mamba;
using Orthrus.Tensor;

namespace Orthrus.Train;

using Tensor = Orthrus.Tensor.Tensor;

/// <summary>What a validation found, over all its pairs. Losses are as in training, heads with running statistics, means over batches.</summary>
/// <param name="Loss">Sum of the losses with their weights.</param>
/// <param name="Contrastive">Contrastive loss, all heads together.</param>
/// <param name="MaskedBases">Masked-base loss.</param>
/// <param name="SpliceCodon">Loss of the splice and codon tracks.</param>
/// <param name="Words">Squared error of the scaled shares of words.</param>
/// <param name="Retrieval">Share of representations, of both views, whose nearest of the other view by cosine, among all pairs, is their own.</param>
/// <param name="Alignment">Mean squared distance of the two views' representations of unit length (Wang and Isola 2020).</param>
/// <param name="Uniformity">Log of the mean over pairs of different representations of exp(-2 squared distance), mean of both views.</param>
/// <param name="Pairs">Pairs.</param>
public sealed record ValidationResult(double Loss, double Contrastive, double MaskedBases, double SpliceCodon, double Words, double Retrieval, double Alignment, double Uniformity, int Pairs);

/// <summary>Measures a model on held-out pairs without changing it.</summary>
internal static class Validation
{
    private const int RowsAtOnce = 32;

    internal static ValidationResult Run(PretrainModel model, ParameterStore store, TrainConfig config, in LossWeights weights, IEnumerable<TrainBatch> batches)
    {
        double contrastive = 0;
        var beside = default(Beside);
        int count = 0, contrasts = 0;
        var first = new List<double[]>();
        var second = new List<double[]>();
        foreach (var batch in batches)
        {
            using var scope = store.Device.OpenScope();
            int n = batch.Pairs.Pairs;
            var reps = scope.Empty(new Shape(2 * n, model.Encoder.Config.DModel), store.DType);
            for (int view = 0; view < 2; view++) beside += EncodeView(model, store, batch, view, reps);
            // The last batch of a split may be a single pair, which has no negatives.
            if (n >= 2)
            {
                contrastive += Contrast(model, store, config, reps, n, batch.Pairs.Kinds);
                contrasts++;
            }
            double[] all = reps.ToDoubles();
            int width = all.Length / (2 * n);
            for (int i = 0; i < n; i++)
            {
                first.Add(Unit(all.AsSpan(i * width, width)));
                second.Add(Unit(all.AsSpan((n + i) * width, width)));
            }
            count++;
        }
        if (count == 0) throw new ArgumentException("validation has no batch");
        contrastive /= Math.Max(1, contrasts);
        var (masked, tracks, words) = (beside.MaskedBases / count, beside.SpliceCodon / count, beside.Words / count);
        return new(weights.Contrastive * contrastive + weights.MaskedLanguage * masked + weights.SpliceCodon * tracks + weights.Words * words, contrastive, masked, tracks, words,
            (Retrieval(first, second) + Retrieval(second, first)) / 2, first.Zip(second, SquaredDistance).Average(), (Uniformity(first) + Uniformity(second)) / 2, first.Count);
    }

    /// <summary>Losses of single views.</summary>
    private readonly record struct Beside(double MaskedBases, double SpliceCodon, double Words)
    {
        public static Beside operator +(in Beside a, in Beside b) => new(a.MaskedBases + b.MaskedBases, a.SpliceCodon + b.SpliceCodon, a.Words + b.Words);
    }

    /// <summary>Representations of a view's rows, and its part of the losses beside the contrast.</summary>
    private static Beside EncodeView(PretrainModel model, ParameterStore store, TrainBatch batch, int view, Tensor reps)
    {
        int n = batch.Pairs.Pairs;
        int[] lengths = batch.Pairs.Lengths[(view * n)..((view + 1) * n)];
        double positions = lengths.Sum(l => (double)l), labelled = batch.Labels is null ? 0 : MaskedLanguage.Count(batch.Labels.AsSpan(view * (batch.Labels.Length / 2), batch.Labels.Length / 2));
        var sums = default(Beside);
        foreach (int[] rows in RowGroups.Of(lengths).SelectMany(group => group.Chunk(RowsAtOnce))) sums += Encode(model, store, batch.Rows(Array.ConvertAll(rows, row => view * n + row)), reps);
        return new(labelled == 0 ? 0 : sums.MaskedBases / labelled, sums.SpliceCodon / positions, sums.Words / Math.Max(1.0, 2 * n * model.Words.Count));
    }

    /// <summary>Representations of some rows; the losses are sums over positions or numbers.</summary>
    private static Beside Encode(PretrainModel model, ParameterStore store, EncoderRows rows, Tensor reps)
    {
        using var tape = Tape.Off(store.Device);
        using var scope = store.Device.OpenScope();
        int count = rows.Numbers.Length;
        var tracks = scope.From<byte>(rows.Tracks, new Shape(count, rows.Length));
        var lengths = scope.From<int>(rows.Lengths, new Shape(count));
        var y = model.Encoder.Forward(tape, tracks, lengths);
        var rep = tape.Apply<MaskedMeanPool, NoAttr>([y, tape.Constant(lengths)]);
        for (int i = 0; i < count; i++) reps.Rows(rows.Numbers[i], 1).Assign(rep.Value.Rows(i, 1));
        double masked = 0, spliceCodon = 0, words = 0;
        if (model.WordHead is { } wordHead)
        {
            var shares = wordHead.Forward(tape, rep, training: false);
            var target = tape.Constant(scope.Reals(model.Words.Of(rows.Tracks, rows.Lengths), shares.Shape, shares.DType));
            words = tape.Apply<Mse, Mse.Attr>([shares, target], new(Reduction.Sum)).Value.ToDoubles()[0];
        }
        if (model.SequenceHead is null && model.SpliceHead is null) return new(0, 0, words);
        y = tape.Cast(y, store.DType);
        if (model.SequenceHead is { } sequence && rows.Labels is not null)
        {
            var labels = tape.Constant(scope.From<int>(rows.Labels, new Shape(count, rows.Length)));
            masked = tape.Apply<CrossEntropy, CrossEntropy.Attr>([sequence.Forward(tape, y, training: false), labels], new(Reduction.Sum, MaskedLanguage.Ignored)).Value.ToDoubles()[0];
        }
        if (model.SpliceHead is not null)
            foreach (var (head, bit) in new[] { (model.CodonHead!, Train.SpliceCodon.CodonBit), (model.SpliceHead, Train.SpliceCodon.SpliceBit) })
                spliceCodon += Train.SpliceCodon.Of(tape, scope, head.Forward(tape, y, training: false), rows.Unmasked ?? rows.Tracks, rows.Lengths, bit, scale: 0, total: 1).Loss;
        return new(masked, spliceCodon, words);
    }

    private static double Contrast(PretrainModel model, ParameterStore store, TrainConfig config, Tensor reps, int n, PairKind[] kinds)
    {
        double total = 0;
        var w = config.Step.PairWeights;
        foreach (var (head, weights) in new[] { (model.ContrastiveHead, w), (model.DualHeads?.SpliceSelf, w with { Ortholog = 0 }), (model.DualHeads?.Ortho, new PairWeights(0, 0, w.Ortholog)) })
        {
            if (head is null) continue;
            using var tape = Tape.Off(store.Device);
            var z = PretrainStep.Normalise(tape, head.Forward(tape, tape.Constant(reps), training: false)).Value;
            using var loss = new ContrastiveLoss(store.Device, config.Step.Contrastive);
            total += loss.Run([new(z.Rows(0, n), z.Rows(n, n), weights.Of(kinds))], [1], default, [])[0].Loss;
        }
        return total;
    }

    private static double[] Unit(ReadOnlySpan<double> row)
    {
        double norm = Math.Max(Math.Sqrt(Dot(row, row)), 1e-12);
        return Array.ConvertAll(row.ToArray(), v => v / norm);
    }

    private static double Dot(ReadOnlySpan<double> a, ReadOnlySpan<double> b)
    {
        double sum = 0;
        for (int i = 0; i < a.Length; i++) sum += a[i] * b[i];
        return sum;
    }

    private static double SquaredDistance(double[] a, double[] b) => Math.Max(0, 2 - 2 * Dot(a, b));

    private static double Retrieval(List<double[]> anchors, List<double[]> keys)
    {
        int found = 0;
        for (int i = 0; i < anchors.Count; i++)
        {
            int best = 0;
            double most = double.NegativeInfinity;
            for (int j = 0; j < keys.Count; j++)
                if (Dot(anchors[i], keys[j]) is var s && s > most) (most, best) = (s, j);
            if (best == i) found++;
        }
        return (double)found / anchors.Count;
    }

    private static double Uniformity(List<double[]> rows)
    {
        double sum = 0;
        long count = 0;
        for (int i = 0; i < rows.Count; i++)
            for (int j = i + 1; j < rows.Count; j++, count++) sum += Math.Exp(-2 * SquaredDistance(rows[i], rows[j]));
        return count == 0 ? 0 : Math.Log(sum / count);
    }
}
