namespace Orthrus.Train.Probing;

/// <summary>
/// Metrics of one regression on any multiset of its rows: row i counts <c>counts[i]</c> times, every row once where that is null. What does not depend on the
/// counts (the order of values) is found once, so that a bootstrap of a thousand resamples takes a thousand passes and no sorting.
/// </summary>
internal sealed class RegressionScorer
{
    private readonly double[] _x, _y;
    private readonly int[] _orderX, _orderY;
    private readonly double[] _ranksX, _ranksY;
    private readonly bool _finite;

    /// <summary>Takes predictions and targets, n each.</summary>
    internal RegressionScorer(ReadOnlySpan<double> prediction, ReadOnlySpan<double> target)
    {
        if (prediction.Length != target.Length) throw new ArgumentException($"{prediction.Length} predictions for {target.Length} targets", nameof(target));
        _x = prediction.ToArray();
        _y = target.ToArray();
        _finite = !_x.Concat(_y).Any(double.IsNaN);
        _orderX = _finite ? Metrics.Order(_x, descending: false) : [];
        _orderY = _finite ? Metrics.Order(_y, descending: false) : [];
        _ranksX = new double[_x.Length];
        _ranksY = new double[_x.Length];
    }

    /// <summary>Pearson's correlation.</summary>
    internal double Pearson(int[]? counts) => _finite ? Correlation(_x, _y, counts) : double.NaN;

    /// <summary>Pearson's correlation of average ranks.</summary>
    internal double Spearman(int[]? counts)
    {
        if (!_finite) return double.NaN;
        Rank(_x, _orderX, counts, _ranksX);
        Rank(_y, _orderY, counts, _ranksY);
        return Correlation(_ranksX, _ranksY, counts);
    }

    /// <summary>Mean squared difference.</summary>
    internal double MeanSquaredError(int[]? counts)
    {
        double sum = 0;
        long n = 0;
        for (int i = 0; i < _x.Length; i++)
        {
            int c = counts is null ? 1 : counts[i];
            n += c;
            sum += c * ((_x[i] - _y[i]) * (_x[i] - _y[i]));
        }
        return sum / n;
    }

    private static void Rank(double[] values, int[] order, int[]? counts, double[] ranks)
    {
        double before = 0;
        for (int i = 0; i < order.Length;)
        {
            int end = i;
            double tied = 0;
            for (; end < order.Length && values[order[end]] == values[order[i]]; end++) tied += counts is null ? 1 : counts[order[end]];
            for (int j = i; j < end; j++) ranks[order[j]] = before + 0.5 * (tied + 1);
            before += tied;
            i = end;
        }
    }

    private static double Correlation(double[] x, double[] y, int[]? counts)
    {
        double n = 0, meanX = 0, meanY = 0;
        double firstX = double.NaN, firstY = double.NaN;
        bool variesX = false, variesY = false;
        for (int i = 0; i < x.Length; i++)
        {
            double c = counts is null ? 1 : counts[i];
            if (c == 0) continue;
            if (n == 0) (firstX, firstY) = (x[i], y[i]);
            variesX |= x[i] != firstX;
            variesY |= y[i] != firstY;
            n += c;
            meanX += c * x[i];
            meanY += c * y[i];
        }
        // A constant side has rounding for its variance.
        if (!variesX || !variesY) return double.NaN;
        meanX /= n;
        meanY /= n;
        double xy = 0, xx = 0, yy = 0;
        for (int i = 0; i < x.Length; i++)
        {
            double c = counts is null ? 1 : counts[i], u = x[i] - meanX, v = y[i] - meanY;
            if (c == 0) continue;
            xy += c * u * v;
            xx += c * u * u;
            yy += c * v * v;
        }
        double r = xy / (Math.Sqrt(xx) * Math.Sqrt(yy));
        return double.IsNaN(r) ? r : Math.Clamp(r, -1, 1);
    }
}

/// <summary>Ranking metrics of one or more labels on any multiset of rows; see <see cref="RegressionScorer"/> for counts.</summary>
internal sealed class RankingScorer
{
    private readonly bool[] _labels;
    private readonly double[] _scores;
    private readonly int[][] _orders;
    private readonly int[] _flat;
    private readonly bool _defined;

    /// <summary>Takes labels and scores, n x <paramref name="classes"/> each, row-major.</summary>
    internal RankingScorer(ReadOnlySpan<bool> labels, ReadOnlySpan<double> scores, int classes)
    {
        if (labels.Length != scores.Length || labels.Length % classes != 0) throw new ArgumentException($"{scores.Length} scores for {labels.Length} labels of {classes} classes", nameof(scores));
        Classes = classes;
        _labels = labels.ToArray();
        _scores = scores.ToArray();
        _defined = !_scores.Any(double.IsNaN);
        _flat = Metrics.Order(_scores, descending: true);
        _orders = new int[classes][];
        if (classes == 1)
        {
            _orders[0] = _flat;
            return;
        }
        for (int k = 0; k < classes; k++) _orders[k] = [.. _flat.Where(at => at % classes == k)];
    }

    internal int Classes { get; }

    /// <summary>AUROC of one class.</summary>
    internal double Auroc(int[]? counts, int label) => Area(_orders[label], counts);

    /// <summary>Average precision of one class; 0 where it has no positives, NaN where there are no rows.</summary>
    internal double AveragePrecision(int[]? counts, int label) => Precision(_orders[label], counts);

    /// <summary>AUROC of all labels of all rows as one list.</summary>
    internal double MicroAuroc(int[]? counts) => Area(_flat, counts);

    /// <summary>Average precision of all labels of all rows as one list.</summary>
    internal double MicroAveragePrecision(int[]? counts) => Precision(_flat, counts);

    /// <summary>Mean AUROC of the classes for which it is defined.</summary>
    internal double MacroAuroc(int[]? counts)
    {
        double sum = 0;
        int n = 0;
        for (int k = 0; k < Classes; k++)
        {
            double area = Auroc(counts, k);
            if (double.IsNaN(area)) continue;
            sum += area;
            n++;
        }
        return n > 0 ? sum / n : double.NaN;
    }

    /// <summary>Mean average precision of the classes that have positives, or of all, where those without count as 0.</summary>
    internal double MacroAveragePrecision(int[]? counts, bool allClasses = false)
    {
        double sum = 0;
        int n = 0;
        for (int k = 0; k < Classes; k++)
        {
            if (!allClasses && !HasPositives(counts, k)) continue;
            sum += AveragePrecision(counts, k);
            n++;
        }
        return n > 0 ? sum / n : double.NaN;
    }

    private bool HasPositives(int[]? counts, int label)
    {
        foreach (int at in _orders[label])
            if (_labels[at] && (counts is null || counts[at / Classes] > 0)) return true;
        return false;
    }

    private double Area(int[] order, int[]? counts)
    {
        if (!_defined) return double.NaN;
        double positives = 0, negatives = 0, area = 0;
        for (int i = 0; i < order.Length;)
        {
            var (end, tiedPositives, tiedNegatives) = Tied(order, i, counts);
            // Each negative of the group lies below all positives before it, and level with those of the group.
            area += tiedNegatives * (positives + 0.5 * tiedPositives);
            positives += tiedPositives;
            negatives += tiedNegatives;
            i = end;
        }
        return positives > 0 && negatives > 0 ? area / (positives * negatives) : double.NaN;
    }

    private double Precision(int[] order, int[]? counts)
    {
        if (!_defined || order.Length == 0) return double.NaN;
        double positives = 0, seen = 0, sum = 0;
        for (int i = 0; i < order.Length;)
        {
            var (end, tiedPositives, tiedNegatives) = Tied(order, i, counts);
            positives += tiedPositives;
            seen += tiedPositives + tiedNegatives;
            if (tiedPositives > 0) sum += tiedPositives * (positives / seen);
            i = end;
        }
        return positives > 0 ? sum / positives : 0;
    }

    private (int End, double Positives, double Negatives) Tied(int[] order, int begin, int[]? counts)
    {
        double positives = 0, negatives = 0, score = _scores[order[begin]];
        int end = begin;
        for (; end < order.Length && _scores[order[end]] == score; end++)
        {
            int at = order[end];
            double c = counts is null ? 1 : counts[at / Classes];
            if (_labels[at]) positives += c;
            else negatives += c;
        }
        return (end, positives, negatives);
    }
}
