using Orthrus.Mamba;
using Orthrus.Rna;
using Orthrus.Train.Probing;

namespace Orthrus.Train;

/// <summary>The rows of a table as fine-tuning sees them: parts, lengths, few-shot draw, targets in training units.</summary>
internal sealed class FineTuneData
{
    // A draw that a label's positives are in; one in a million is rarer than a table can show.
    private const int MostDraws = 10_000;

    private readonly ProbeTable _table;
    private readonly int _crop;

    /// <summary>Takes a table apart.</summary>
    /// <exception cref="InputDataException">No rows to train on or to validate with, values that are no labels, one class only, too few rows for the draw.</exception>
    internal FineTuneData(ProbeTable table, FineTuneOptions options, ProbeRemark remark)
    {
        Kind = options.Kind ?? ProbeOptions.KindOf(table);
        string name = table.Targets.Count == 1 ? table.Targets[0] : string.Join(", ", table.Targets);
        if (Kind == ProbeKind.Binary && table.Targets.Count > 1) throw Refusal.Of(table, name, "are several targets where a binary task has one", "use --kind multilabel, or fine-tune one model for each");
        int targets = table.Targets.Count;
        bool Complete(int row) => Enumerable.Range(0, targets).All(t => !double.IsNaN(table.Target(row, t)));
        int[] complete = [.. Enumerable.Range(0, table.Rows).Where(Complete)];
        if (complete.Length < table.Rows) remark($"{name}: {table.Rows - complete.Length:N0} of {table.Rows:N0} rows lack a value and are left out");
        if (Kind != ProbeKind.Regression)
            foreach (int row in complete)
                for (int t = 0; t < targets; t++)
                    if (table.Target(row, t) is not (0 or 1)) throw Refusal.Of(table, table.Targets[t], $"holds {table.Target(row, t)} where a label is 0 or 1", "use --kind regression");
        int[] longer = [.. complete.Where(r => table.Transcripts[r].Length > options.MaxLength)];
        _crop = options.Crop ? options.MaxLength : 0;
        if (longer.Length > 0) remark($"{longer.Length:N0} rows are longer than {options.MaxLength:N0} nt and are {(options.Crop ? "read up to there" : "left out")}");
        int[] usable = options.Crop ? complete : [.. complete.Except(longer)];
        int[] Of(Part part) => [.. usable.Where(r => table.PartOf(r) == part)];
        Train = Of(Part.Train);
        Validation = Of(Part.Validation);
        Test = options.Test ? Of(Part.Test) : [];
        if (Train.Length < 2 || Validation.Length == 0 || options.Test && Test.Length == 0)
            throw Refusal.Of(table, name, $"has {Train.Length} train, {Validation.Length} validation{(options.Test ? $" and {Test.Length} test" : "")} rows with a value",
                "fine-tuning needs at least 2 rows to train on and rows to choose the best weights by");
        if (options.FewShot is { } few) Train = Draw(table, Train, few, options.Seed, Kind);
        if (Kind != ProbeKind.Regression) RequireClasses(table, name, remark);
        if (Kind == ProbeKind.Regression && options.Standardise) (Mean, Scale) = Moments(table);
        _table = table;
        Table = table.With(new ThreeWaySplit(Train, Validation, Test));
    }

    internal ProbeKind Kind { get; }
    internal int[] Train { get; private set; }
    internal int[] Validation { get; }
    internal int[] Test { get; }

    /// <summary>Means of the targets over the training rows; empty where they are taken as they are.</summary>
    internal double[] Mean { get; } = [];

    /// <summary>Their standard deviations; 1 for a constant one.</summary>
    internal double[] Scale { get; } = [];

    /// <summary>The table with the parts that are really used.</summary>
    internal ProbeTable Table { get; }

    internal FineTuneLoss Loss => Kind == ProbeKind.Regression ? FineTuneLoss.MeanSquaredError : FineTuneLoss.BinaryCrossEntropy;

    /// <summary>What the model reads of a row.</summary>
    internal ReadOnlyMemory<byte> Tracks(int row) => Predictor.Cropped(_table.Transcripts[row].Tracks, _crop);

    /// <summary>Targets of rows as the loss takes them, row-major.</summary>
    internal double[] Targets(int[] rows)
    {
        int n = _table.Targets.Count;
        var values = new double[rows.Length * n];
        for (int i = 0; i < values.Length; i++)
        {
            double v = _table.Target(rows[i / n], i % n);
            values[i] = Mean.Length == 0 ? v : (v - Mean[i % n]) / Scale[i % n];
        }
        return values;
    }

    /// <summary>
    /// Training rows of a few-shot run: the first k of NumPy's legacy permutation of the rows, drawn again until every label has a positive and a single label both classes.
    /// Source: specification 8.4.
    /// </summary>
    internal static int[] Draw(ProbeTable table, int[] train, int rows, uint seed, ProbeKind kind)
    {
        if (rows > train.Length) throw new InputDataException(table.Path, null, $"has {train.Length:N0} usable training rows, fewer than the {rows:N0} to draw", "draw fewer");
        // A label without a positive in all of them cannot have one in a few.
        int[] labels = kind == ProbeKind.Regression ? [] : [.. Enumerable.Range(0, table.Targets.Count).Where(t => train.Any(r => table.Target(r, t) == 1))];
        var generator = MersenneTwister.NumPy(seed);
        for (int attempt = 0; attempt < MostDraws; attempt++)
        {
            int[] drawn = [.. generator.Permutation(train.Length).Take(rows).Select(i => train[i])];
            if (labels.All(t => drawn.Any(r => table.Target(r, t) == 1)) && (kind != ProbeKind.Binary || drawn.Any(r => table.Target(r, 0) == 0))) return drawn;
        }
        throw new InputDataException(table.Path, null, $"{MostDraws:N0} draws of {rows:N0} training rows had a label without a positive each time", "draw more rows, or leave rare labels out");
    }

    private void RequireClasses(ProbeTable table, string name, ProbeRemark remark)
    {
        bool Both(int t) => Train.Any(r => table.Target(r, t) == 1) && Train.Any(r => table.Target(r, t) == 0);
        string[] single = [.. Enumerable.Range(0, table.Targets.Count).Where(t => !Both(t)).Select(t => table.Targets[t])];
        if (single.Length == table.Targets.Count) throw Refusal.Of(table, name, "has one class only in the training rows", "give rows of both classes");
        if (single.Length > 0) remark($"one class only in the training rows: {string.Join(", ", single)}");
    }

    private (double[] Mean, double[] Scale) Moments(ProbeTable table)
    {
        int n = table.Targets.Count;
        double[] mean = new double[n], scale = new double[n];
        for (int t = 0; t < n; t++)
        {
            mean[t] = Train.Average(r => table.Target(r, t));
            double variance = Train.Average(r => (table.Target(r, t) - mean[t]) * (table.Target(r, t) - mean[t]));
            scale[t] = variance > 1e-24 * Math.Max(1e-300, mean[t] * mean[t]) ? Math.Sqrt(variance) : 1;
        }
        return (mean, scale);
    }
}
