using Orthrus.TestSupport;
using Orthrus.Train.Probing;

namespace Orthrus.Train.Tests.Probing;

/// <summary>Metrics against SciPy and scikit-learn.</summary>
public class MetricGoldenTests
{
    public static IEnumerable<TheoryDataRow<string>> Rows(string op) => GoldenCase.Names("metrics", c => c.Op == op);

    [Theory]
    [MemberData(nameof(Rows), "ranking_metrics")]
    public void Ranking(string name)
    {
        var c = GoldenCase.Find("metrics", name);
        int classes = c.Int("classes");
        bool[] labels = [.. c.Input("y").Values.Select(v => v == 1)];
        double[] scores = c.Input("score").Values;
        var scorer = new RankingScorer(labels, scores, classes);
        Check(c, "micro_auroc", scorer.MicroAuroc(null));
        Check(c, "micro_auprc", scorer.MicroAveragePrecision(null));
        Check(c, "auroc_per_class", [.. Enumerable.Range(0, classes).Select(k => scorer.Auroc(null, k))]);
        Check(c, "auprc_per_class", [.. Enumerable.Range(0, classes).Select(k => scorer.AveragePrecision(null, k))]);
        Check(c, "macro_auroc_defined_classes", scorer.MacroAuroc(null));
        Check(c, "macro_auprc_all_classes", scorer.MacroAveragePrecision(null, allClasses: true));
        Check(c, "macro_auprc_classes_with_positives", scorer.MacroAveragePrecision(null));
        if (classes > 1) return;
        Check(c, "micro_auroc", Metrics.Auroc(labels, scores));
        Check(c, "micro_auprc", Metrics.AveragePrecision(labels, scores));
    }

    [Theory]
    [MemberData(nameof(Rows), "correlation")]
    public void Correlation(string name)
    {
        var c = GoldenCase.Find("metrics", name);
        double[] x = c.Input("prediction").Values, y = c.Input("target").Values;
        Check(c, "pearson", Metrics.Pearson(x, y));
        Check(c, "spearman", Metrics.Spearman(x, y));
        Check(c, "mse", Metrics.MeanSquaredError(x, y));
        Check(c, "mae", Metrics.MeanAbsoluteError(x, y));
        int[] finite = [.. Enumerable.Range(0, x.Length).Where(i => double.IsFinite(x[i]) && double.IsFinite(y[i]))];
        double[] a = [.. finite.Select(i => x[i])], b = [.. finite.Select(i => y[i])];
        Check(c, "n_finite", finite.Length);
        Check(c, "pearson_finite_rows", Metrics.Pearson(a, b));
        Check(c, "spearman_finite_rows", Metrics.Spearman(a, b));
        Check(c, "r2_finite_rows", Metrics.R2(a, b));
        Check(c, "ranks_x", Metrics.AverageRanks(a));
        Check(c, "ranks_y", Metrics.AverageRanks(b));
    }

    [Theory]
    [MemberData(nameof(Rows), "pearson_streaming")]
    public void Guarded_pearson(string name)
    {
        var c = GoldenCase.Find("metrics", name);
        for (int i = 0; i < 2; i++) Check(c, $"r{i}", Metrics.PearsonStreaming(c.Input($"first{i}").Values, c.Input($"second{i}").Values));
    }

    [Theory]
    [MemberData(nameof(Rows), "aggregate")]
    public void Aggregate(string name)
    {
        var c = GoldenCase.Find("metrics", name);
        var (mean, half, deviation) = Aggregation.Summarise(c.Input("values").Values);
        Check(c, "mean", mean);
        Check(c, "half_width", half);
        Check(c, "std_sample", deviation);
    }

    [Theory]
    [MemberData(nameof(Rows), "z_scores")]
    public void Z_scores(string name)
    {
        var c = GoldenCase.Find("metrics", name);
        var r = c.Input("r");
        int models = r.Dims[0], tasks = r.Dims[1], seeds = r.Dims[2];
        double[] fisher = Array.ConvertAll(r.Values, Aggregation.Fisher);
        Check(c, "fisher", fisher);
        foreach (bool sample in new[] { false, true })
        {
            var z = new double[fisher.Length];
            for (int t = 0; t < tasks; t++)
            {
                int[] at = [.. from m in Enumerable.Range(0, models) from s in Enumerable.Range(0, seeds) select (m * tasks + t) * seeds + s];
                double[] scores = Aggregation.ZScores([.. at.Select(i => fisher[i])], sample);
                for (int i = 0; i < at.Length; i++) z[at[i]] = scores[i];
            }
            string kind = sample ? "sample" : "population";
            Check(c, $"z_{kind}_std", z);
            Check(c, $"score_{kind}_std", [.. Enumerable.Range(0, models).Select(m => z[(m * tasks * seeds)..((m + 1) * tasks * seeds)].Average())]);
        }
    }

    [Theory]
    [MemberData(nameof(Rows), "paired_t_test")]
    public void Paired_t_test(string name)
    {
        var c = GoldenCase.Find("metrics", name);
        var (t, p) = Aggregation.PairedTTest(c.Input("a").Values, c.Input("b").Values);
        Check(c, "t", t);
        Check(c, "p", p);
    }

    [Theory]
    [MemberData(nameof(Rows), "accuracy")]
    public void Accuracy(string name)
    {
        var c = GoldenCase.Find("metrics", name);
        Check(c, "accuracy", Metrics.Accuracy([.. c.Input("y").Values.Select(v => (int)v)], c.Input("logits").Values));
    }

    [Fact]
    public void Every_kind_of_case_is_tested() =>
        Assert.Empty(GoldenCase.Area("metrics").Select(c => c.Op).Except(["ranking_metrics", "correlation", "pearson_streaming", "aggregate", "z_scores", "paired_t_test", "accuracy"]));

    private static void Check(GoldenCase c, string output, params double[] got) => c.AssertF64(c.Outputs[output], got, 1e-10);
}
