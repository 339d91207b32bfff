using Orthrus.Rna;
using Orthrus.Tensor;

namespace Orthrus.Train.Probing;

/// <summary>
/// Linear probes: a ridge or logistic regression on frozen features, fitted on training rows and measured on validation rows, on test rows only where asked.
/// All feature sets see the same rows and the same resamples. Source: specification 8.2 and 8.3.
/// </summary>
public sealed class Probe
{
    private readonly ProbeTable _table;
    private readonly IReadOnlyList<FeatureSet> _features;
    private readonly IReadOnlyList<RowPredictions> _predictions;
    private readonly string[] _names;
    private readonly ProbeOptions _options;
    private readonly CpuDevice _device;
    private readonly ProbeRemark _remark;
    private readonly CancellationToken _cancel;
    private readonly ProbeKind _kind;

    private Probe(ProbeTable table, IReadOnlyList<RowPredictions> predictions, IReadOnlyList<FeatureSet> features, ProbeOptions options, CpuDevice device, ProbeRemark remark, CancellationToken cancel)
    {
        _table = table;
        _predictions = predictions;
        _features = features;
        _names = [.. predictions.Select(p => p.Name), .. features.Select(f => f.Name)];
        _options = options;
        _device = device;
        _remark = remark;
        _cancel = cancel;
        _kind = options.Kind ?? ProbeOptions.KindOf(table);
    }

    /// <summary>Probes a table.</summary>
    /// <param name="table">Labelled rows.</param>
    /// <param name="features">What to probe; differences are between the first and each other.</param>
    /// <param name="options">How.</param>
    /// <param name="device">Where to compute.</param>
    /// <param name="remark">Receives what people should know: missing targets, labels left out, penalties at the end of their range.</param>
    /// <param name="cancel">Stops between fits.</param>
    /// <returns>Rows by target and part.</returns>
    /// <exception cref="InputDataException">The rows cannot be probed: no training or validation rows, one class only, values that are no labels.</exception>
    public static IReadOnlyList<ProbeRow> Run(ProbeTable table, IReadOnlyList<FeatureSet> features, ProbeOptions options, CpuDevice device, ProbeRemark remark, CancellationToken cancel = default) =>
        Run(table, [], features, options, device, remark, cancel);

    /// <summary>Measures predictions that were made otherwise, such as those of a fine-tuned model, and probes beside them.</summary>
    /// <param name="table">Labelled rows.</param>
    /// <param name="predictions">What was predicted; these come first in the results.</param>
    /// <param name="features">What to probe; may be empty where there are predictions.</param>
    /// <param name="options">How; predictions are of one split, so that no seeds may be given with them.</param>
    /// <param name="device">Where to compute.</param>
    /// <param name="remark">Receives what people should know.</param>
    /// <param name="cancel">Stops between fits.</param>
    /// <returns>Rows by target and part.</returns>
    /// <exception cref="InputDataException">The rows cannot be probed.</exception>
    public static IReadOnlyList<ProbeRow> Run(ProbeTable table, IReadOnlyList<RowPredictions> predictions, IReadOnlyList<FeatureSet> features, ProbeOptions options, CpuDevice device, ProbeRemark remark, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(table);
        ArgumentNullException.ThrowIfNull(predictions);
        ArgumentNullException.ThrowIfNull(features);
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(device);
        ArgumentNullException.ThrowIfNull(remark);
        if (features.Count + predictions.Count == 0) throw new ArgumentException("nothing to probe", nameof(features));
        if (predictions.Any(p => p.Values.Length != (long)table.Rows * table.Targets.Count)) throw new ArgumentException($"want a prediction for each of {table.Rows} rows and {table.Targets.Count} targets", nameof(predictions));
        if (predictions.Count > 0 && options.Seeds.Count > 0) throw new ArgumentException("predictions belong to one split: no seeds", nameof(options));
        return new Probe(table, predictions, features, options, device, remark, cancel).Run();
    }

    // Targets that are measured together, and the rows that have all of them.
    private sealed record Group(string Name, int[] Targets, int[] Rows);

    // The rows of one group in one split.
    private sealed record Work(Group Group, int[] Train, (string Name, int[] Rows)[] Parts);

    private List<ProbeRow> Run()
    {
        var groups = Groups();
        if (_kind != ProbeKind.Regression) RequireLabels(groups);
        if (_options.Seeds.Count == 0) return OwnParts(groups);
        // [group][part] -> model -> metric -> value per seed
        var rows = new List<ProbeRow>();
        var runs = _options.Seeds.Select(seed => groups.Select(g => Drawn(g, seed)).ToArray()).ToArray();
        var measured = runs.Select(Measure).ToArray();
        for (int g = 0; g < groups.Count; g++)
            for (int p = 0; p < runs[0][g].Parts.Length; p++)
                rows.AddRange(Results.OverSeeds(_options.Task, runs[0][g].Parts[p].Name, runs.Average(r => r[g].Parts[p].Rows.Length), [.. _names.Select((name, m) => (name, Collected(g, p, m)))]));
        return rows;

        IReadOnlyList<(string, string, double[])> Collected(int g, int p, int m)
        {
            // A label that some training rows have in one class only is missing there.
            var all = measured.Select(run => run[g][p][m].ToDictionary(x => (x.Target, x.Metric), x => x.Of(null))).ToArray();
            return [.. all.SelectMany(a => a.Keys).Distinct().Select(key => (key.Target, key.Metric, all.Select(a => a.GetValueOrDefault(key, double.NaN)).ToArray()))];
        }
    }

    private List<ProbeRow> OwnParts(List<Group> groups)
    {
        var works = groups.Select(Own).ToArray();
        var measured = Measure(works);
        var rows = new List<ProbeRow>();
        for (int g = 0; g < works.Length; g++)
            for (int p = 0; p < works[g].Parts.Length; p++)
            {
                _cancel.ThrowIfCancellationRequested();
                int[] part = works[g].Parts[p].Rows;
                var bootstrap = new Bootstrap(part.Length, _options.Resamples, _options.BootstrapSeed, [.. part.Select(r => _table.Units[r])]);
                rows.AddRange(Results.Resampled(_options.Task, works[g].Parts[p].Name, part.Length, bootstrap, [.. _names.Select((name, m) => (name, measured[g][p][m]))]));
            }
        return rows;
    }

    private List<Group> Groups()
    {
        int[] all = [.. Enumerable.Range(0, _table.Targets.Count)];
        var groups = _kind == ProbeKind.Multilabel
            ? new List<Group> { new("all", all, With(all)) }
            : [.. all.Select(t => new Group(_table.Targets[t], [t], With([t])))];
        foreach (var g in groups)
        {
            int missing = _table.Rows - g.Rows.Length;
            if (missing > 0) _remark($"{(_kind == ProbeKind.Multilabel ? "labels" : g.Name)}: {missing:N0} of {_table.Rows:N0} rows have no value and are left out");
        }
        return groups;

        int[] With(int[] targets) => [.. Enumerable.Range(0, _table.Rows).Where(i => targets.All(t => !double.IsNaN(_table.Target(i, t))))];
    }

    private void RequireLabels(List<Group> groups)
    {
        foreach (var g in groups)
            foreach (int i in g.Rows)
                foreach (int t in g.Targets)
                    if (_table.Target(i, t) is not (0 or 1))
                        throw Refusal.Of(_table, _table.Targets[t], $"holds {_table.Target(i, t)} where a label is 0 or 1", "use --kind regression");
    }

    private Work Own(Group g)
    {
        int[] Of(Part part) => [.. g.Rows.Where(r => _table.PartOf(r) == part)];
        int none = g.Rows.Count(r => _table.PartOf(r) == Part.None);
        if (none > 0) _remark($"{g.Name}: {none:N0} rows belong to no part and are left out");
        return Checked(g, new ThreeWaySplit(Of(Part.Train), Of(Part.Validation), Of(Part.Test)), "the split column");
    }

    private Work Drawn(Group g, uint seed)
    {
        var split = _options.ByGroups ? Splits.Homology([.. g.Rows.Select(r => _table.Groups[r])], seed) : Splits.Random(g.Rows.Length, seed);
        int[] At(int[] positions) => [.. positions.Select(i => g.Rows[i])];
        return Checked(g, new ThreeWaySplit(At(split.Train), At(split.Validation), At(split.Test)), $"seed {seed}");
    }

    private Work Checked(Group g, ThreeWaySplit s, string by)
    {
        if (s.Train.Length < 2 || s.Validation.Length == 0 || (_options.Test && s.Test.Length == 0))
            throw Refusal.Of(_table, g.Name, $"{s.Train.Length} train, {s.Validation.Length} validation and {s.Test.Length} test rows with a value by {by}",
                "a probe needs at least 2 rows to train on and rows to measure");
        return new Work(g, s.Train, [("val", s.Validation), .. _options.Test ? [("test", s.Test)] : Array.Empty<(string, int[])>()]);
    }

    // [group][part][model] -> measurements. One decomposition serves all groups that have the same training rows.
    private IReadOnlyList<Measurement>[][][] Measure(Work[] works)
    {
        var result = works.Select(w => w.Parts.Select(_ => new IReadOnlyList<Measurement>[_names.Length]).ToArray()).ToArray();
        var labels = _kind == ProbeKind.Regression ? [] : Array.ConvertAll(works, Fitting);
        for (int m = 0; m < _predictions.Count; m++)
            for (int g = 0; g < works.Length; g++)
                for (int p = 0; p < works[g].Parts.Length; p++) result[g][p][m] = Measured(_predictions[m], works[g].Group, labels.Length > 0 ? labels[g] : works[g].Group.Targets, works[g].Parts[p].Rows);
        for (int m = _predictions.Count; m < _names.Length; m++)
        {
            var features = _features[m - _predictions.Count];
            FeatureFactor? factor = null;
            double[]? scale = null;
            int[] rows = [];
            for (int g = 0; g < works.Length; g++)
            {
                _cancel.ThrowIfCancellationRequested();
                if (factor is null || !rows.AsSpan().SequenceEqual(works[g].Train))
                {
                    rows = works[g].Train;
                    factor = FeatureFactor.Create(features.Matrix(rows, _options.TotalVariance, out scale), rows.Length, features.Width, _device);
                }
                if (_kind == ProbeKind.Regression) Regress(works[g], features, factor, scale, (p, measured) => result[g][p][m] = measured);
                else Classify(works[g], labels[g], features, factor, scale, (p, measured) => result[g][p][m] = measured);
            }
        }
        return result;
    }

    private List<Measurement> Measured(RowPredictions predictions, Group group, int[] targets, int[] rows)
    {
        double[] given = [.. rows.SelectMany(r => targets.Select(t => predictions.Values[r * _table.Targets.Count + t]))], truth = [.. rows.SelectMany(r => targets.Select(t => _table.Target(r, t)))];
        return [.. _kind == ProbeKind.Regression ? Measurement.Regression(group.Name, given, truth) : Measurement.Labels([.. targets.Select(t => _table.Targets[t])], given, Array.ConvertAll(truth, v => v == 1))];
    }

    private void Regress(Work work, FeatureSet features, FeatureFactor factor, double[]? scale, Action<int, IReadOnlyList<Measurement>> found)
    {
        int target = work.Group.Targets[0];
        double[] Truth(int[] rows) => [.. rows.Select(r => _table.Target(r, target))];
        var fit = RidgeProbe.Fit(factor, Truth(work.Train), _options.Alphas);
        if (_options.Seeds.Count == 0 && _options.Alphas.Count > 1 && (fit.Alpha == _options.Alphas.Max() || fit.Alpha == _options.Alphas.Min()))
            _remark($"{features.Name}, {work.Group.Name}: the penalty {fit.Alpha} is at the end of its range");
        for (int p = 0; p < work.Parts.Length; p++)
        {
            int[] rows = work.Parts[p].Rows;
            found(p, [.. Measurement.Regression(work.Group.Name, Predict(features, scale, fit.Model, rows, 1), Truth(rows))]);
        }
    }

    // The targets of which both classes are there to train on.
    private int[] Fitting(Work work)
    {
        bool Both(int t) => work.Train.Any(r => _table.Target(r, t) == 1) && work.Train.Any(r => _table.Target(r, t) == 0);
        int[] fitting = [.. work.Group.Targets.Where(Both)];
        if (fitting.Length == 0) throw Refusal.Of(_table, work.Group.Name, "has one class only in the training rows", "a probe needs both to tell them apart");
        string[] left = [.. work.Group.Targets.Except(fitting).Select(t => _table.Targets[t])];
        if (left.Length > 0) _remark($"left out, one class only in the training rows: {string.Join(", ", left)}");
        return fitting;
    }

    private void Classify(Work work, int[] targets, FeatureSet features, FeatureFactor factor, double[]? scale, Action<int, IReadOnlyList<Measurement>> found)
    {
        bool[] Labels(int[] rows) => [.. rows.SelectMany(r => targets.Select(t => _table.Target(r, t) == 1))];
        var fit = LogisticProbe.Fit(factor, Labels(work.Train), _options.C, _device.Workers);
        string[] names = [.. targets.Select(t => _table.Targets[t])];
        for (int p = 0; p < work.Parts.Length; p++)
        {
            int[] rows = work.Parts[p].Rows;
            // Log-odds order rows of one label as probabilities do; rows of several labels as well, since each is the same function of its own.
            found(p, [.. Measurement.Labels(names, Predict(features, scale, fit.Model, rows, targets.Length), Labels(rows))]);
        }
    }

    private static double[] Predict(FeatureSet features, double[]? scale, LinearModel model, int[] rows, int outputs)
    {
        var x = new double[features.Width];
        var predicted = new double[rows.Length * outputs];
        for (int i = 0; i < rows.Length; i++)
        {
            features.Fill(rows[i], x);
            if (scale is not null)
                for (int j = 0; j < x.Length; j++) x[j] *= scale[j];
            for (int k = 0; k < outputs; k++) predicted[i * outputs + k] = model.Predict(x, k);
        }
        return predicted;
    }
}
