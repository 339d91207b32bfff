using Orthrus.Train.Probing;

namespace Orthrus.Train.Tests.Probing;

/// <summary>Metrics on multisets of rows, intervals, and the forms that the golden numbers do not cover.</summary>
public class MetricTests
{
    // What a resample says must be what the repeated rows say.
    [Theory]
    [InlineData(1u)]
    [InlineData(2u)]
    [InlineData(3u)]
    public void Counted_rows_are_repeated_rows(uint seed)
    {
        const int n = 40, classes = 3;
        var generator = MersenneTwister.NumPy(seed);
        double[] x = Numbers(n), y = Numbers(n), scores = Numbers(n * classes);
        bool[] labels = [.. Numbers(n * classes).Select(v => v > 0.5)];
        int[] counts = [.. Enumerable.Range(0, n).Select(_ => (int)(generator.NextUInt32() % 3))];
        int[] rows = [.. Enumerable.Range(0, n).SelectMany(i => Enumerable.Repeat(i, counts[i]))];
        var counted = new RegressionScorer(x, y);
        var repeated = new RegressionScorer([.. rows.Select(i => x[i])], [.. rows.Select(i => y[i])]);
        Assert.Equal(repeated.Pearson(null), counted.Pearson(counts), 1e-13);
        Assert.Equal(repeated.Spearman(null), counted.Spearman(counts), 1e-13);
        Assert.Equal(repeated.MeanSquaredError(null), counted.MeanSquaredError(counts), 1e-13);
        IEnumerable<T> Wide<T>(T[] values) => rows.SelectMany(i => values[(i * classes)..((i + 1) * classes)]);
        var ranked = new RankingScorer(labels, scores, classes);
        var again = new RankingScorer([.. Wide(labels)], [.. Wide(scores)], classes);
        foreach (var metric in new Func<RankingScorer, int[]?, double>[]
        {
            (s, c) => s.Auroc(c, 1), (s, c) => s.AveragePrecision(c, 2), (s, c) => s.MicroAuroc(c), (s, c) => s.MicroAveragePrecision(c),
            (s, c) => s.MacroAuroc(c), (s, c) => s.MacroAveragePrecision(c),
        })
            Assert.Equal(metric(again, null), metric(ranked, counts), 1e-13);

        // With ties.
        double[] Numbers(int count) => [.. Enumerable.Range(0, count).Select(_ => generator.NextUInt32() % 12 / 12.0)];
    }

    // Ranks 0 1 2 3 and 0 2 1 3 of equal values in order of rows: covariance 1, variances 1.25.
    [Fact]
    public void Spearman_by_position_gives_equal_values_distinct_ranks()
    {
        Assert.Equal(1 / (1.25 + 1e-8), Metrics.SpearmanByPosition([1, 1, 2, 2], [0, 5, 4, 6]), 1e-15);
        Assert.Equal(1, Metrics.SpearmanByPosition([1, 1, 1], [2, 2, 2]), 1e-7);
        Assert.True(double.IsNaN(Metrics.Spearman([1, 1, 1], [2, 2, 2])));
    }

    [Fact]
    public void A_second_side_of_next_to_no_variance_gives_0()
    {
        Assert.Equal(0, Metrics.PearsonStreaming([1, 2, 3], [0, 1e-7, 2e-7]));
        Assert.Equal(1, Metrics.PearsonStreaming([1, 2, 3], [0, 1e-5, 2e-5]), 1e-9);
        Assert.Equal(1, Metrics.PearsonStreaming([0, 1e-7, 2e-7], [1, 2, 3]), 1e-6);
    }

    [Fact]
    public void An_interval_covers_about_as_often_as_it_says()
    {
        var generator = MersenneTwister.NumPy(7);
        int covered = 0;
        const int runs = 200, n = 60;
        for (int run = 0; run < runs; run++)
        {
            double[] x = [.. Enumerable.Range(0, n).Select(_ => Uniform())], y = [.. x.Select(v => v + Uniform())];
            var scorer = new RegressionScorer(x, y);
            var (low, high) = Bootstrap.Interval(new Bootstrap(n, 200, (uint)run).Values(scorer.Pearson));
            // The correlation of u and u + v is 1/√2.
            if (low <= Math.Sqrt(0.5) && Math.Sqrt(0.5) <= high) covered++;
        }
        Assert.InRange(covered, 0.88 * runs, 0.99 * runs);

        double Uniform() => generator.NextUInt32() / 4294967296.0;
    }

    [Fact]
    public void Units_are_drawn_whole()
    {
        int[] units = [5, 9, 5, 9, 9, -1];
        var counts = new List<int[]>();
        new Bootstrap(units.Length, 50, 3, units).Values(c =>
        {
            counts.Add(c!);
            return 0;
        });
        Assert.All(counts, c => Assert.True(c[0] == c[2] && c[1] == c[3] && c[3] == c[4] && c[0] + c[1] + c[5] == 3));
        Assert.True(counts.Select(c => (c[0], c[1])).Distinct().Count() > 5);
    }

    [Fact]
    public void A_model_is_resampled_as_its_rival_is()
    {
        double[] truth = [.. Enumerable.Range(0, 30).Select(i => Math.Sin(i))], near = [.. truth.Select((v, i) => v + 0.1 * (i % 3))];
        var model = (IReadOnlyList<Measurement>)[.. Measurement.Regression("y", near, truth)];
        var rows = Results.Resampled("t", "val", 30, new Bootstrap(30, 100, 1), [("a", model), ("b", model)]).ToArray();
        var differences = rows.Where(r => r.Model == "a - b").ToArray();
        Assert.Equal(3, differences.Length);
        Assert.All(differences, r => Assert.Equal((0, 0, 0), (r.Value, r.Low, r.High)));
        Assert.All(rows.Where(r => r.Model == "a"), r => Assert.True(r.Low < r.Value && r.Value < r.High));
    }

    [Fact]
    public void Seeds_give_a_mean_and_its_standard_error()
    {
        double[] a = [1, 2, 3, double.NaN], b = [0, 2, 4, 5];
        var rows = Results.OverSeeds("t", "val", 9.6, [("m", [("y", "pearson", a)]), ("o", [("y", "pearson", b)])]).ToArray();
        Assert.Equal(["m", "o", "m - o"], rows.Select(r => r.Model));
        double half = 1.96 * Math.Sqrt(2.0 / 3) / Math.Sqrt(3);
        Assert.Equal((2, 2 - half, 2 + half, 10), (rows[0].Value, rows[0].Low, rows[0].High, rows[0].N));
        Assert.Equal(0, rows[2].Value);
    }
}
