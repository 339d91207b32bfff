using Orthrus.Tensor;
using Orthrus.Train.Probing;

namespace Orthrus.Train.Tests.Probing;

/// <summary>Eigenvectors and probes against their definitions.</summary>
public sealed class LinearAlgebraTests : IDisposable
{
    private readonly CpuDevice _one = new(1), _two = new(2);

    // Sizes about the widths of slices and vectors, and above the size from which a reduction is shared among threads.
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(15)]
    [InlineData(16)]
    [InlineData(17)]
    [InlineData(50)]
    [InlineData(211)]
    public void Eigenvectors_satisfy_their_equation(int n)
    {
        foreach (string kind in new[] { "random", "rank 2", "tiny off-diagonals", "two blocks", "diagonal", "zero" })
        {
            double[] a = Symmetric(n, kind), vectors = (double[])a.Clone(), again = (double[])a.Clone();
            double[] values = SymmetricEigen.Decompose(vectors, n, _two.Workers);
            Assert.Equal(values, SymmetricEigen.Decompose(again, n, _one.Workers));
            Assert.Equal(vectors, again);
            double scale = Math.Max(values.Max(Math.Abs), double.Epsilon) * n;
            for (int i = 0; i < n; i++)
            {
                if (i > 0) Assert.True(values[i] <= values[i - 1]);
                var v = vectors.AsSpan(i * n, n);
                for (int j = 0; j < n; j++)
                {
                    double image = 0;
                    for (int k = 0; k < n; k++) image += a[Math.Max(j, k) * n + Math.Min(j, k)] * v[k];
                    Assert.True(Math.Abs(image - values[i] * v[j]) <= 1e-14 * scale, $"{kind} {n}: equation of vector {i} off by {image - values[i] * v[j]:G3}");
                    double product = Vec.Dot(v, vectors.AsSpan(j * n, n));
                    Assert.True(Math.Abs(product - (i == j ? 1 : 0)) <= 1e-13 * Math.Sqrt(n), $"{kind} {n}: vectors {i} and {j} have the product {product:G17}");
                }
            }
        }
    }

    [Fact]
    public void A_matrix_that_is_not_finite_is_refused() =>
        Assert.Throws<ArithmeticException>(() => SymmetricEigen.Decompose([1, 0, 0, double.NaN, 2, 0, 0, 1, 3], 3, _one.Workers));

    // More rows than features, one row more than features, fewer.
    [Theory]
    [InlineData(40, 7)]
    [InlineData(21, 20)]
    [InlineData(22, 20)]
    [InlineData(14, 30)]
    public void Leave_one_out_errors_are_those_of_fits_without_the_row(int n, int width)
    {
        var (x, y) = Data(n, width);
        double[] alphas = [0.01, 1, 30];
        var fit = RidgeProbe.Fit(FeatureFactor.Create((double[])x.Clone(), n, width, _two), y, alphas);
        for (int a = 0; a < alphas.Length; a++)
            for (int left = 0; left < n; left += 3)
            {
                int[] rest = [.. Enumerable.Range(0, n).Where(i => i != left)];
                double[] others = [.. rest.SelectMany(i => x[(i * width)..((i + 1) * width)])];
                var model = RidgeProbe.Fit(FeatureFactor.Create(others, n - 1, width, _two), [.. rest.Select(i => y[i])], [alphas[a]]).Model;
                double error = y[left] - model.Predict(x.AsSpan(left * width, width), 0);
                Assert.Equal(error * error, fit.SquaredErrors[a][left], 1e-9 * (1 + error * error));
            }
    }

    [Theory]
    [InlineData(60, 5, 1)]
    [InlineData(25, 40, 100)]
    public void The_gradient_of_a_logistic_regression_vanishes(int n, int width, double c)
    {
        var (x, y) = Data(n, width);
        bool[] labels = [.. y.Select(v => v > 0.3)];
        var model = LogisticProbe.Fit(FeatureFactor.Create((double[])x.Clone(), n, width, _two), labels, c, _two.Workers).Model;
        var gradient = (double[])model.Weights[0].Clone();
        double offset = 0;
        for (int i = 0; i < n; i++)
        {
            double error = 1 / (1 + Math.Exp(-model.Predict(x.AsSpan(i * width, width), 0))) - (labels[i] ? 1 : 0);
            Vec.Add(c * error, x.AsSpan(i * width, width), gradient);
            offset += error;
        }
        Assert.All(gradient.Append(c * offset), g => Assert.Equal(0, g, 1e-9 * c));
    }

    [Fact]
    public void Threads_change_no_bit_of_a_probe()
    {
        var (x, y) = Data(300, 280);
        bool[] labels = [.. y.Concat(y.Reverse()).Select(v => v > 0)];
        var fits = new[] { _one, _two }.Select(d =>
        {
            var factor = FeatureFactor.Create((double[])x.Clone(), 300, 280, d);
            return (Ridge: RidgeProbe.Fit(factor, y, RidgeProbe.DefaultAlphas), Logistic: LogisticProbe.Fit(factor, labels, 1, d.Workers));
        }).ToArray();
        Assert.Equal(fits[0].Ridge.MeanSquaredErrors, fits[1].Ridge.MeanSquaredErrors);
        Assert.Equal(fits[0].Ridge.Model.Weights[0], fits[1].Ridge.Model.Weights[0]);
        Assert.Equal(fits[0].Logistic.Model.Weights[1], fits[1].Logistic.Model.Weights[1]);
    }

    [Fact]
    public void A_feature_that_is_not_finite_is_refused() =>
        Assert.Contains("feature 1", Assert.Throws<ArgumentException>(() => FeatureFactor.Create([1, 2, 3, double.PositiveInfinity, 5, 6, 7, 8], 4, 2, _one)).Message);

    private static (double[] X, double[] Y) Data(int n, int width)
    {
        var random = new Random(n * 1000 + width);
        double[] x = [.. Enumerable.Range(0, n * width).Select(_ => 3 + random.NextDouble() * 2)], y = new double[n];
        for (int i = 0; i < n; i++) y[i] = x[i * width] - x[i * width + 1] + 0.5 * random.NextDouble();
        return (x, y);
    }

    // Only the lower triangle is written: the other must not be read.
    private static double[] Symmetric(int n, string kind)
    {
        var random = new Random(n);
        var a = new double[n * n];
        double[] u = [.. Enumerable.Range(0, n).Select(_ => random.NextDouble() - 0.5)], w = [.. u.Select(_ => random.NextDouble() - 0.5)];
        for (int i = 0; i < n; i++)
            for (int j = 0; j <= i; j++)
                a[i * n + j] = kind switch
                {
                    "random" => random.NextDouble() - 0.5,
                    "rank 2" => u[i] * u[j] + 1e3 * w[i] * w[j],
                    "tiny off-diagonals" => i == j ? 1 + i : 1e-9 * (random.NextDouble() - 0.5),
                    // The reduction has nothing to do at its first step, and something later.
                    "two blocks" => (i == 0) == (j == 0) ? random.NextDouble() : 0,
                    "diagonal" => i == j ? random.NextDouble() : 0,
                    _ => 0,
                };
        return a;
    }

    public void Dispose()
    {
        _one.Dispose();
        _two.Dispose();
    }
}
