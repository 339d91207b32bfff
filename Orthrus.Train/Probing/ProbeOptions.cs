using Orthrus.Rna;

namespace Orthrus.Train.Probing;

/// <summary>What the values of a target are.</summary>
public enum ProbeKind
{
    /// <summary>Real numbers: ridge regression of each target.</summary>
    Regression,
    /// <summary>0 or 1: a logistic regression of each target, each a task of its own.</summary>
    Binary,
    /// <summary>0 or 1: one logistic regression per label, measured together.</summary>
    Multilabel,
}

/// <summary>How a probe is done.</summary>
public sealed record ProbeOptions
{
    /// <summary>Name of the task in the results.</summary>
    public required string Task { get; init; }

    /// <summary>Kind of the targets; null decides by the values.</summary>
    public ProbeKind? Kind { get; init; }

    /// <summary>Seeds of splits that are drawn; empty takes the table's own parts.</summary>
    public IReadOnlyList<uint> Seeds { get; init; } = [];

    /// <summary>Whether drawn splits keep groups together; otherwise rows are drawn singly.</summary>
    public bool ByGroups { get; init; } = true;

    /// <summary>Whether test rows are measured as well.</summary>
    public bool Test { get; init; }

    /// <summary>Penalties that a ridge regression chooses from.</summary>
    public IReadOnlyList<double> Alphas { get; init; } = RidgeProbe.DefaultAlphas;

    /// <summary>C of the logistic regression.</summary>
    public double C { get; init; } = 1;

    /// <summary>
    /// Sum of the features' variances over the training rows that every feature set is brought to, so that a penalty means the same to all; null takes embeddings as they are, and
    /// brings baselines to 1.
    /// </summary>
    public double? TotalVariance { get; init; }

    /// <summary>Resamples of the bootstrap; 0 for none. Drawn splits have their intervals over seeds instead.</summary>
    public int Resamples { get; init; } = 1000;

    /// <summary>Seed of the bootstrap.</summary>
    public uint BootstrapSeed { get; init; }

    /// <summary>Decides what kind targets are.</summary>
    /// <param name="table">The table.</param>
    public static ProbeKind KindOf(ProbeTable table)
    {
        ArgumentNullException.ThrowIfNull(table);
        for (int t = 0; t < table.Targets.Count; t++)
            for (int i = 0; i < table.Rows; i++)
                if (table.Target(i, t) is var v && !double.IsNaN(v) && v is not (0 or 1)) return ProbeKind.Regression;
        return table.Targets.Count > 1 ? ProbeKind.Multilabel : ProbeKind.Binary;
    }
}

/// <summary>Numbers that something else than a probe predicted for the rows of a table.</summary>
/// <param name="Name">Name in the results.</param>
/// <param name="Values">Rows x targets of the table, row-major; for labels any score that is larger for the positive class. Rows that are not measured are not read.</param>
public sealed record RowPredictions(string Name, double[] Values);

/// <summary>One figure.</summary>
/// <param name="Task">Name of the task.</param>
/// <param name="Target">Column, or "all" for labels together, or the class of a retrieval.</param>
/// <param name="Model">Feature set, or "A - B" for a paired difference.</param>
/// <param name="Split">"val" or "test".</param>
/// <param name="Metric">Name of the metric.</param>
/// <param name="Value">Its value; NaN where it is not defined.</param>
/// <param name="Low">Lower end of the 95 % interval; NaN where there is none.</param>
/// <param name="High">Upper end.</param>
/// <param name="N">Rows measured; of several splits their mean.</param>
public sealed record ProbeRow(string Task, string Target, string Model, string Split, string Metric, double Value, double Low, double High, int N);

/// <summary>Something about the data that people should know, and that stops nothing.</summary>
/// <param name="message">Receives one line.</param>
public delegate void ProbeRemark(string message);

/// <summary>Labelled rows that cannot be probed.</summary>
internal static class Refusal
{
    internal static InputDataException Of(ProbeTable table, string target, string problem, string remedy) => new(table.Path, $"column {target}", problem, remedy);
}
