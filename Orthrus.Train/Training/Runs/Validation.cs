using Orthrus.Autograd;
using Orthrus.Mamba;
using Orthrus.Tensor;

namespace Orthrus.Train;

using Tensor = Orthrus.Tensor.Tensor;

/// <summary>What a validation found, over all its pairs.</summary>
/// <param name="Loss">Sum of the losses with their weights, mean over batches; heads with running statistics.</param>
/// <param name="Contrastive">Contrastive loss, all heads together.</param>
/// <param name="MaskedBases">Masked-base loss.</param>
/// <param name="Retrieval">Share of representations, of both views, whose nearest of the other view by cosine, among all pairs, is their own.</param>
/// <param name="Alignment">Mean squared distance of the two views' representations of unit length (Wang and Isola 2020).</param>
/// <param name="Uniformity">Log of the mean over pairs of different representations of exp(-2 squared distance), mean of both views.</param>
/// <param name="Pairs">Pairs.</param>
public sealed record ValidationResult(double Loss, double Contrastive, double MaskedBases, double Retrieval, double Alignment, double Uniformity, int Pairs);

/// <summary>Measures a model on held-out pairs without changing it.</summary>
internal static class Validation
{
    private const int RowsAtOnce = 32;

    internal static ValidationResult Run(PretrainModel model, ParameterStore store, TrainConfig config, in LossWeights weights, IEnumerable<TrainBatch> batches)
    {
        double contrastive = 0, masked = 0;
        int count = 0, contrasts = 0;
        var first = new List<double[]>();
        var second = new List<double[]>();
        foreach (var batch in batches)
        {
            using var scope = store.Device.OpenScope();
            int n = batch.Pairs.Pairs;
            var reps = scope.Empty(new Shape(2 * n, model.Encoder.Config.DModel), store.DType);
            double sum = 0;
            long labelled = 0;
            foreach (int[] rows in RowGroups.Of(batch.Pairs.Lengths).SelectMany(group => group.Chunk(RowsAtOnce))) Encode(model, store, batch.Rows(rows), reps, ref sum, ref labelled);
            // The loss of training adds the means of the two views; their labelled positions are about as many.
            masked += labelled == 0 ? 0 : 2 * sum / labelled;
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
        masked /= count;
        return new(weights.Contrastive * contrastive + weights.MaskedLanguage * masked, contrastive, masked, (Retrieval(first, second) + Retrieval(second, first)) / 2,
            first.Zip(second, SquaredDistance).Average(), (Uniformity(first) + Uniformity(second)) / 2, first.Count);
    }

    private static void Encode(PretrainModel model, ParameterStore store, EncoderRows rows, Tensor reps, ref double sum, ref long labelled)
    {
        using var tape = Tape.Off(store.Device);
        using var scope = store.Device.OpenScope();
        int count = rows.Numbers.Length;
        var tracks = scope.From<byte>(rows.Tracks, new Shape(count, rows.Length));
        var lengths = scope.From<int>(rows.Lengths, new Shape(count));
        var y = model.Encoder.Forward(tape, tracks, lengths);
        var rep = tape.Apply<MaskedMeanPool, NoAttr>([y, tape.Constant(lengths)]).Value;
        for (int i = 0; i < count; i++) reps.Rows(rows.Numbers[i], 1).Assign(rep.Rows(i, 1));
        if (model.SequenceHead is null || rows.Labels is null) return;
        var logits = model.SequenceHead.Forward(tape, tape.Cast(y, store.DType), training: false);
        var labels = tape.Constant(scope.From<int>(rows.Labels, new Shape(count, rows.Length)));
        sum += tape.Apply<CrossEntropy, CrossEntropy.Attr>([logits, labels], new(Reduction.Sum, MaskedLanguage.Ignored)).Value.ToDoubles()[0];
        labelled += MaskedLanguage.Count(rows.Labels);
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
