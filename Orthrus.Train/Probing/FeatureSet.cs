using Orthrus.Rna;

namespace Orthrus.Train.Probing;

/// <summary>What a probe is fitted on: a vector per row of a table.</summary>
public sealed class FeatureSet
{
    private readonly Action<int, Span<double>> _fill;

    private FeatureSet(string name, int width, bool scaled, Action<int, Span<double>> fill)
    {
        Name = name;
        Width = width;
        Scaled = scaled;
        _fill = fill;
    }

    /// <summary>Name in the results.</summary>
    public string Name { get; }

    /// <summary>Number of features.</summary>
    public int Width { get; }

    /// <summary>
    /// True where features are divided by √p times their standard deviation over the training rows, as those of the baselines are: their units differ, and so they meet the same
    /// penalties as an embedding. Embeddings are taken as they are unless <see cref="ProbeOptions.TotalVariance"/> says otherwise.
    /// </summary>
    public bool Scaled { get; }

    /// <summary>Names of the baselines that need no weights.</summary>
    public static IReadOnlyList<string> Baselines { get; } = ["kmer3", "kmer4", "kmer5", "kmer6", "composition"];

    /// <summary>The embeddings of a model.</summary>
    /// <param name="name">Name in the results.</param>
    /// <param name="embeddings">A row per row of the table.</param>
    public static FeatureSet Of(string name, Embeddings embeddings)
    {
        ArgumentNullException.ThrowIfNull(embeddings);
        int width = embeddings.Width;
        return new FeatureSet(name, width, scaled: false, (row, into) =>
        {
            var from = embeddings.Values.AsSpan(row * width, width);
            for (int i = 0; i < width; i++) into[i] = from[i];
        });
    }

    /// <summary>A baseline: the shares of all words of k letters, or <see cref="SequenceFeatures.Composition"/>.</summary>
    /// <param name="name">One of <see cref="Baselines"/>.</param>
    /// <param name="transcripts">A transcript per row of the table.</param>
    public static FeatureSet Baseline(string name, IReadOnlyList<Transcript> transcripts)
    {
        ArgumentNullException.ThrowIfNull(name);
        if (!Baselines.Contains(name)) throw new ArgumentException($"there is no baseline {name}: use {string.Join(", ", Baselines)}", nameof(name));
        if (name == "composition") return new FeatureSet(name, SequenceFeatures.CompositionWidth, scaled: true, (row, into) => SequenceFeatures.Composition(transcripts[row], into));
        int k = name[^1] - '0';
        return new FeatureSet(name, 1 << 2 * k, scaled: true, (row, into) => SequenceFeatures.Kmers(transcripts[row].Tracks.Span, k, into));
    }

    /// <summary>The features of one row.</summary>
    /// <param name="row">Row of the table.</param>
    /// <param name="into"><see cref="Width"/> numbers.</param>
    internal void Fill(int row, Span<double> into) => _fill(row, into);

    /// <summary>Features of rows as a matrix, and what each was multiplied by.</summary>
    /// <param name="rows">Rows of the table.</param>
    /// <param name="variance">Sum of the features' variances over these rows that they are brought to, embeddings by one factor; null leaves embeddings as they are and baselines at 1.</param>
    /// <param name="scale">Factors of the features; null where they are taken as they are.</param>
    /// <exception cref="ArgumentException">More numbers than an array holds.</exception>
    internal double[] Matrix(int[] rows, double? variance, out double[]? scale)
    {
        if ((long)rows.Length * Width > int.MaxValue / 2)
            throw new ArgumentException($"{rows.Length:N0} rows of {Width:N0} features are more than a probe takes", nameof(rows));
        var matrix = new double[rows.Length * Width];
        for (int i = 0; i < rows.Length; i++) Fill(rows[i], matrix.AsSpan(i * Width, Width));
        scale = Scaled ? Scales(matrix, rows.Length) : null;
        if (variance is { } wanted)
        {
            double[] variances = Variances(matrix, rows.Length, out double[] mean), factors = scale ?? [.. Enumerable.Repeat(1.0, Width)];
            double total = variances.Select((v, j) => v * factors[j] * factors[j]).Sum();
            // Features that never vary but for rounding stay as they are: nothing can be told from them.
            double rounding = 1e-24 * mean.Select((m, j) => m * m * factors[j] * factors[j]).Sum();
            scale = total > rounding ? Array.ConvertAll(factors, f => f * Math.Sqrt(wanted / total)) : factors;
        }
        if (scale is null) return matrix;
        for (int i = 0; i < rows.Length; i++)
            for (int j = 0; j < Width; j++) matrix[i * Width + j] *= scale[j];
        return matrix;
    }

    private double[] Scales(double[] matrix, int rows) =>
        // A feature that never varies says nothing; its rounding must not be blown up.
        [.. Variances(matrix, rows, out double[] mean).Select((v, j) => Math.Sqrt(v) is var deviation && deviation > 1e-12 * Math.Max(Math.Abs(mean[j]), 1e-12) ? 1 / (deviation * Math.Sqrt(Width)) : 0)];

    private double[] Variances(double[] matrix, int rows, out double[] mean)
    {
        var squares = new double[Width];
        mean = new double[Width];
        for (int i = 0; i < rows; i++) Vec.Add(1.0 / rows, matrix.AsSpan(i * Width, Width), mean);
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < Width; j++)
            {
                double d = matrix[i * Width + j] - mean[j];
                squares[j] += d * d;
            }
        return Array.ConvertAll(squares, s => s / rows);
    }
}
