namespace Orthrus.Train.Probing;

/// <summary>
/// Metrics of predictions. NaN says that a metric is not defined: one class only, a constant side, no rows, or a NaN among the values. Source: specification 8.6;
/// definitions of SciPy and scikit-learn.
/// </summary>
public static class Metrics
{
    /// <summary>Pearson's correlation, from centred sums.</summary>
    /// <param name="x">One side, n values.</param>
    /// <param name="y">The other, n values.</param>
    public static double Pearson(ReadOnlySpan<double> x, ReadOnlySpan<double> y) => new RegressionScorer(x, y).Pearson(null);

    /// <summary>Spearman's correlation: Pearson's of average ranks, as SciPy has it.</summary>
    /// <inheritdoc cref="Pearson"/>
    public static double Spearman(ReadOnlySpan<double> x, ReadOnlySpan<double> y) => new RegressionScorer(x, y).Spearman(null);

    /// <summary>Mean squared difference.</summary>
    /// <inheritdoc cref="Pearson"/>
    public static double MeanSquaredError(ReadOnlySpan<double> x, ReadOnlySpan<double> y) => new RegressionScorer(x, y).MeanSquaredError(null);

    /// <summary>Mean absolute difference.</summary>
    /// <inheritdoc cref="Pearson"/>
    public static double MeanAbsoluteError(ReadOnlySpan<double> x, ReadOnlySpan<double> y)
    {
        double sum = 0;
        for (int i = 0; i < x.Length; i++) sum += Math.Abs(x[i] - y[i]);
        return sum / x.Length;
    }

    /// <summary>Share of the target's variance that the prediction explains; NaN for a constant target.</summary>
    /// <param name="prediction">n values.</param>
    /// <param name="target">n values.</param>
    public static double R2(ReadOnlySpan<double> prediction, ReadOnlySpan<double> target)
    {
        double mean = Mean(target), left = 0, total = 0;
        for (int i = 0; i < target.Length; i++)
        {
            left += (target[i] - prediction[i]) * (target[i] - prediction[i]);
            total += (target[i] - mean) * (target[i] - mean);
        }
        return total > 0 ? 1 - left / total : double.NaN;
    }

    /// <summary>
    /// Pearson's correlation by sums of squares, as upstream's training code has it: where the second side's n times variance is at most 1e-12 the result is 0.
    /// </summary>
    /// <param name="first">n values.</param>
    /// <param name="second">n values; the guarded side.</param>
    public static double PearsonStreaming(ReadOnlySpan<double> first, ReadOnlySpan<double> second)
    {
        double n = first.Length, a = 0, b = 0, aa = 0, bb = 0, ab = 0;
        for (int i = 0; i < first.Length; i++)
        {
            a += first[i];
            b += second[i];
            aa += first[i] * first[i];
            bb += second[i] * second[i];
            ab += first[i] * second[i];
        }
        double varianceFirst = aa - a * a / n, varianceSecond = bb - b * b / n;
        if (varianceSecond <= 1e-12) varianceSecond = double.PositiveInfinity;
        return (ab - a * b / n) / (Math.Sqrt(varianceFirst) * Math.Sqrt(varianceSecond));
    }

    /// <summary>Spearman's correlation as upstream's training code has it: ranks by position in a stable order, so that equal values get distinct ranks; 1e-8 in the denominator; clamped to [-1, 1].</summary>
    /// <inheritdoc cref="Pearson"/>
    public static double SpearmanByPosition(ReadOnlySpan<double> x, ReadOnlySpan<double> y)
    {
        double[] a = Positions(x), b = Positions(y);
        double meanA = Mean(a), meanB = Mean(b), ab = 0, aa = 0, bb = 0;
        for (int i = 0; i < a.Length; i++)
        {
            ab += (a[i] - meanA) * (b[i] - meanB);
            aa += (a[i] - meanA) * (a[i] - meanA);
            bb += (b[i] - meanB) * (b[i] - meanB);
        }
        return Math.Clamp(ab / a.Length / (Math.Sqrt(aa / a.Length) * Math.Sqrt(bb / a.Length) + 1e-8), -1, 1);
    }

    /// <summary>Ranks from 1; equal values share the mean of their ranks.</summary>
    /// <param name="x">n values; where one is NaN, every rank is.</param>
    public static double[] AverageRanks(ReadOnlySpan<double> x)
    {
        var ranks = new double[x.Length];
        foreach (double v in x)
            if (double.IsNaN(v))
            {
                Array.Fill(ranks, double.NaN);
                return ranks;
            }
        double[] values = x.ToArray();
        int[] order = Order(values, descending: false);
        for (int i = 0; i < order.Length;)
        {
            int end = i + 1;
            while (end < order.Length && values[order[end]] == values[order[i]]) end++;
            for (int j = i; j < end; j++) ranks[order[j]] = 0.5 * (i + 1 + end);
            i = end;
        }
        return ranks;
    }

    /// <summary>Area under the receiver operating characteristic; ties count half. NaN with one class only.</summary>
    /// <param name="labels">n labels.</param>
    /// <param name="scores">n scores, larger for the positive class.</param>
    public static double Auroc(ReadOnlySpan<bool> labels, ReadOnlySpan<double> scores) => new RankingScorer(labels, scores, 1).Auroc(null, 0);

    /// <summary>Average precision, one threshold per distinct score: the area under the precision-recall curve as scikit-learn has it. 0 without positives, as there.</summary>
    /// <inheritdoc cref="Auroc"/>
    public static double AveragePrecision(ReadOnlySpan<bool> labels, ReadOnlySpan<double> scores) => new RankingScorer(labels, scores, 1).AveragePrecision(null, 0);

    /// <summary>Share of rows whose largest score is that of their class; the first of equal scores counts.</summary>
    /// <param name="classes">n classes from 0.</param>
    /// <param name="scores">n x k, row-major.</param>
    public static double Accuracy(ReadOnlySpan<int> classes, ReadOnlySpan<double> scores)
    {
        int width = scores.Length / classes.Length, right = 0;
        for (int i = 0; i < classes.Length; i++)
        {
            int best = 0;
            for (int k = 1; k < width; k++)
                if (scores[i * width + k] > scores[i * width + best]) best = k;
            if (best == classes[i]) right++;
        }
        return (double)right / classes.Length;
    }

    internal static double Mean(ReadOnlySpan<double> x)
    {
        double sum = 0;
        foreach (double v in x) sum += v;
        return sum / x.Length;
    }

    // Stable: equal values stand in the order of rows.
    internal static int[] Order(double[] values, bool descending)
    {
        int[] order = [.. Enumerable.Range(0, values.Length)];
        int sign = descending ? -1 : 1;
        Array.Sort(order, (a, b) => values[a] == values[b] ? a.CompareTo(b) : sign * values[a].CompareTo(values[b]));
        return order;
    }

    private static double[] Positions(ReadOnlySpan<double> x)
    {
        int[] order = Order(x.ToArray(), descending: false);
        var ranks = new double[order.Length];
        for (int i = 0; i < order.Length; i++) ranks[order[i]] = i;
        return ranks;
    }
}
