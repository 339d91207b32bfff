namespace Orthrus.Train.Probing;

/// <summary>A metric of one model on one part: its name, the target it belongs to, and its value for counts of the rows.</summary>
internal sealed record Measurement(string Target, string Metric, Func<int[]?, double> Of)
{
    /// <summary>The metrics of a regression.</summary>
    internal static IEnumerable<Measurement> Regression(string target, double[] prediction, double[] truth)
    {
        var scorer = new RegressionScorer(prediction, truth);
        return
        [
            new(target, "pearson", scorer.Pearson),
            new(target, "spearman", scorer.Spearman),
            new(target, "mse", scorer.MeanSquaredError),
        ];
    }

    /// <summary>The metrics of labels: each on its own, and where there are several, all together.</summary>
    /// <param name="targets">k names.</param>
    /// <param name="scores">n x k.</param>
    /// <param name="labels">n x k.</param>
    internal static IEnumerable<Measurement> Labels(IReadOnlyList<string> targets, double[] scores, bool[] labels)
    {
        var scorer = new RankingScorer(labels, scores, targets.Count);
        if (targets.Count > 1)
        {
            yield return new("all", "auroc_micro", scorer.MicroAuroc);
            yield return new("all", "auprc_micro", scorer.MicroAveragePrecision);
            yield return new("all", "auroc_macro", scorer.MacroAuroc);
            yield return new("all", "auprc_macro", c => scorer.MacroAveragePrecision(c));
        }
        for (int k = 0; k < targets.Count; k++)
        {
            int label = k;
            yield return new(targets[k], "auroc", c => scorer.Auroc(c, label));
            yield return new(targets[k], "auprc", c => scorer.AveragePrecision(c, label));
        }
    }
}

/// <summary>Rows of results from measurements of several models, with intervals and paired differences between the first model and each other.</summary>
internal static class Results
{
    internal const string Minus = " - ";

    /// <summary>One set of rows, resampled.</summary>
    internal static IEnumerable<ProbeRow> Resampled(string task, string split, int n, Bootstrap bootstrap, IReadOnlyList<(string Model, IReadOnlyList<Measurement> Measured)> models)
    {
        double[][]? firsts = null;
        foreach (var (model, measured) in models)
        {
            var values = measured.Select(m => bootstrap.Values(m.Of)).ToArray();
            for (int i = 0; i < measured.Count; i++) yield return Row(model, measured[i], measured[i].Of(null), values[i]);
            if (firsts is null)
            {
                firsts = values;
                continue;
            }
            var (first, original) = models[0];
            for (int i = 0; i < measured.Count; i++)
                yield return Row(first + Minus + model, measured[i], original[i].Of(null) - measured[i].Of(null), [.. values[i].Select((v, b) => firsts[i][b] - v)]);
        }

        ProbeRow Row(string model, Measurement m, double value, double[] resampled)
        {
            var (low, high) = Bootstrap.Interval(resampled);
            return new ProbeRow(task, m.Target, model, split, m.Metric, value, low, high, n);
        }
    }

    /// <summary>Several splits: the mean, and 1.96 standard errors about it. Splits where a value is not defined are left out of it.</summary>
    internal static IEnumerable<ProbeRow> OverSeeds(string task, string split, double n, IReadOnlyList<(string Model, IReadOnlyList<(string Target, string Metric, double[] Values)> Measured)> models)
    {
        foreach (var (model, measured) in models)
        {
            foreach (var (target, metric, values) in measured) yield return Row(model, target, metric, values);
            if (ReferenceEquals(measured, models[0].Measured)) continue;
            for (int i = 0; i < measured.Count; i++)
                yield return Row(models[0].Model + Minus + model, measured[i].Target, measured[i].Metric, [.. models[0].Measured[i].Values.Zip(measured[i].Values, (a, b) => a - b)]);
        }

        ProbeRow Row(string model, string target, string metric, double[] values) => Mean(task, target, model, split, metric, values, n);
    }

    /// <summary>Rows of several runs of the same models on the same table: the mean of each figure, and 1.96 standard errors about it. Differences stay paired.</summary>
    internal static List<ProbeRow> OverRuns(IReadOnlyList<IReadOnlyList<ProbeRow>> runs)
    {
        var all = runs.Select(run => run.ToDictionary(r => (r.Task, r.Target, r.Model, r.Split, r.Metric))).ToArray();
        // A label that some training rows have in one class only is missing in that run.
        return [.. all.SelectMany(a => a.Keys).Distinct().Select(key => Mean(key.Task, key.Target, key.Model, key.Split, key.Metric,
            [.. all.Select(a => a.TryGetValue(key, out var row) ? row.Value : double.NaN)], all.Where(a => a.ContainsKey(key)).Average(a => a[key].N)))];
    }

    private static ProbeRow Mean(string task, string target, string model, string split, string metric, double[] values, double n)
    {
        double[] defined = [.. values.Where(v => !double.IsNaN(v))];
        var (mean, half, _) = defined.Length > 0 ? Aggregation.Summarise(defined) : (double.NaN, double.NaN, double.NaN);
        if (defined.Length < 2) half = double.NaN;
        return new ProbeRow(task, target, model, split, metric, mean, mean - half, mean + half, (int)Math.Round(n));
    }
}
