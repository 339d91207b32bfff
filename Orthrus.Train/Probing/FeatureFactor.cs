using Orthrus.Tensor;
using Orthrus.Tensor.Cpu;

namespace Orthrus.Train.Probing;

/// <summary>
/// The centred features of the training rows by their singular value decomposition, on which every linear probe rests: X - mean = S V' with S'S = diag(λ).
/// It is made once per set of rows and shared by all targets.
/// </summary>
/// <remarks>
/// With more rows than features the eigenvectors of X'X are taken, and S = (X - mean) V. Otherwise those of X X' on the rows' complement of the constant vector
/// (a Householder reflection takes that vector out exactly), and S = U diag(√λ) with U kept: then no row's distance from the fit is found as a
/// difference of nearly equal numbers.
/// </remarks>
internal sealed class FeatureFactor
{
    // Eigenvalues below this share of the largest are rounding.
    private const double Negligible = 1e-14;
    private const int BlockRows = 1024;

    // Rows of S or U; rows of V', or of X - mean where U is complete.
    private readonly double[] _basis, _right;

    private FeatureFactor(int rows, int width, double[] mean, double[] lambda, double[] basis, double[] right, bool complete)
    {
        Rows = rows;
        Width = width;
        Mean = mean;
        Lambda = lambda;
        _basis = basis;
        _right = right;
        Complete = complete;
    }

    /// <summary>n, the training rows.</summary>
    internal int Rows { get; }

    /// <summary>p, the features.</summary>
    internal int Width { get; }

    /// <summary>Mean of each feature.</summary>
    internal double[] Mean { get; }

    /// <summary>Squares of the singular values, largest first, none negative.</summary>
    internal double[] Lambda { get; }

    /// <summary>r, the number of singular values.</summary>
    internal int Rank => Lambda.Length;

    /// <summary>True where <see cref="Row"/> is a row of U, whose columns span every vector of n numbers with mean 0; false where it is a row of S.</summary>
    internal bool Complete { get; }

    /// <summary>Row i of S, or of U where <see cref="Complete"/>; r numbers.</summary>
    internal ReadOnlySpan<double> Row(int i) => _basis.AsSpan(i * Rank, Rank);

    /// <summary>Factor of column j between what <see cref="Row"/> gives and S.</summary>
    internal double Scale(int j) => Complete ? Math.Sqrt(Lambda[j]) : 1;

    /// <summary>Decomposes features.</summary>
    /// <param name="features">n x p, row-major; overwritten.</param>
    /// <param name="rows">n, at least 2.</param>
    /// <param name="width">p, at least 1.</param>
    /// <param name="device">Where to compute.</param>
    /// <exception cref="ArgumentException">Too few rows or features, or a feature that is not finite.</exception>
    internal static unsafe FeatureFactor Create(double[] features, int rows, int width, CpuDevice device)
    {
        if (rows < 2) throw new ArgumentException($"{rows} training rows: a probe needs at least 2", nameof(rows));
        if (width < 1) throw new ArgumentException("no features", nameof(width));
        double[] mean = Centre(features, rows, width);
        using var scope = device.OpenScope();
        if (rows - 1 > width)
        {
            var vectors = new double[width * width];
            fixed (double* x = features, g = vectors) Gemm.TransposedTimes(scope, x, rows, width, x, width, g);
            double[] lambda = Positive(SymmetricEigen.Decompose(vectors, width, device.Workers));
            // The features become S, block by block.
            var block = new double[Math.Min(BlockRows, rows) * width];
            for (int at = 0; at < rows; at += BlockRows)
            {
                int n = Math.Min(BlockRows, rows - at);
                fixed (double* x = &features[(long)at * width], v = vectors, s = block) Gemm.TimesTransposed(scope, x, n, width, v, width, null, s);
                block.AsSpan(0, n * width).CopyTo(features.AsSpan(at * width));
            }
            return new FeatureFactor(rows, width, mean, lambda, features, vectors, complete: false);
        }
        int rank = rows - 1;
        var reflected = (double[])features.Clone();
        Reflect(reflected, rows, width);
        var gram = new double[rank * rank];
        fixed (double* x = &reflected[width], g = gram) Gemm.TimesTransposed(scope, x, rank, width, x, rank, null, g);
        double[] values = Positive(SymmetricEigen.Decompose(gram, rank, device.Workers));
        var basis = new double[rows * rank];
        for (int j = 0; j < rank; j++)
            for (int i = 0; i < rank; i++) basis[(i + 1) * rank + j] = gram[j * rank + i];
        Reflect(basis, rows, rank);
        return new FeatureFactor(rows, width, mean, values, basis, features, complete: true);
    }

    /// <summary>Weights of the features for coefficients of the columns of S.</summary>
    /// <param name="coefficients">r numbers u of a model S u.</param>
    /// <returns>p numbers w with (X - mean) w = S u.</returns>
    internal double[] Weights(ReadOnlySpan<double> coefficients)
    {
        var weights = new double[Width];
        if (!Complete)
        {
            for (int j = 0; j < Rank; j++) Vec.Add(coefficients[j], _right.AsSpan(j * Width, Width), weights);
            return weights;
        }
        // V = (X - mean)' U / √λ
        var scaled = new double[Rank];
        for (int j = 0; j < Rank; j++) scaled[j] = Lambda[j] > 0 ? coefficients[j] / Math.Sqrt(Lambda[j]) : 0;
        for (int i = 0; i < Rows; i++) Vec.Add(Vec.Dot(Row(i), scaled), _right.AsSpan(i * Width, Width), weights);
        return weights;
    }

    // H = I - 2 h h' with h = (1/√n, ..., 1/√n) - e0, normalised: it exchanges the constant vector of length 1 and e0.
    private static void Reflect(double[] x, int rows, int width)
    {
        double unit = 1 / Math.Sqrt(rows), first = unit - 1, scale = 1 / (1 - unit);
        var dot = new double[width];
        for (int i = 0; i < rows; i++) Vec.Add(i == 0 ? first : unit, x.AsSpan(i * width, width), dot);
        for (int i = 0; i < rows; i++) Vec.Add(-scale * (i == 0 ? first : unit), dot, x.AsSpan(i * width, width));
    }

    private static double[] Centre(double[] x, int rows, int width)
    {
        var mean = new double[width];
        for (int i = 0; i < rows; i++) Vec.Add(1.0 / rows, x.AsSpan(i * width, width), mean);
        // What the first pass rounded off, as embeddings have means that are large against their spread.
        var rest = new double[width];
        for (int i = 0; i < rows; i++)
        {
            var row = x.AsSpan(i * width, width);
            Vec.Add(-1, mean, row);
            Vec.Add(1.0 / rows, row, rest);
        }
        for (int j = 0; j < width; j++)
        {
            if (!double.IsFinite(mean[j])) throw new ArgumentException($"feature {j} is not finite in every training row", nameof(x));
            mean[j] += rest[j];
        }
        for (int i = 0; i < rows; i++) Vec.Add(-1, rest, x.AsSpan(i * width, width));
        return mean;
    }

    private static double[] Positive(double[] values)
    {
        double least = values[0] * Negligible;
        for (int j = 0; j < values.Length; j++)
            if (!(values[j] > least)) values[j] = 0;
        return values;
    }
}
