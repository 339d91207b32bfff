using Orthrus.Tensor;
using Orthrus.TestSupport;
using Orthrus.Train.Probing;

namespace Orthrus.Train.Tests.Probing;

/// <summary>scikit-learn's ridge regression with its leave-one-out errors, and the optimum of its logistic regression.</summary>
public sealed class ProbeGoldenTests : IDisposable
{
    // What the set promises of double precision in this area.
    private const double Relative = 1e-6;

    private readonly CpuDevice _device = new(2);

    public static IEnumerable<TheoryDataRow<string>> Rows(string op) => GoldenCase.Names("probe", c => c.Op == op);

    [Theory]
    [MemberData(nameof(Rows), "ridge_cv")]
    public void Ridge(string name)
    {
        var c = GoldenCase.Find("probe", name);
        var x = c.Input("x_train");
        int n = x.Dims[0], width = x.Dims[1];
        double[] alphas = [.. c.Attrs.GetProperty("alphas").EnumerateArray().Select(GoldenCase.Number)], y = c.Input("y_train").Values;
        int targets = y.Length / n;
        var fit = RidgeProbe.Fit(FeatureFactor.Create((double[])x.Values.Clone(), n, width, _device), y, alphas);
        Assert.Equal(c.Output("best_alpha").Values[0], fit.Alpha);
        c.AssertF64(c.Outputs["coef"], fit.Model.Weights.SelectMany(w => w).ToArray(), Relative);
        c.AssertF64(c.Outputs["intercept"], fit.Model.Intercepts, Relative);
        c.AssertF64(c.Outputs["loo_squared_errors"], Enumerable.Range(0, y.Length).SelectMany(i => fit.SquaredErrors.Select(e => e[i])).ToArray(), Relative);
        c.AssertF64(c.Outputs["loo_mse"], fit.MeanSquaredErrors, Relative);
        double[] prediction = Predict(fit.Model, c.Input("x_test"), targets), truth = c.Input("y_test").Values;
        c.AssertF64(c.Outputs["prediction"], prediction, Relative);
        AssertScalar(c, "test_mse", Metrics.MeanSquaredError(prediction, truth));
        if (targets > 1) return;
        AssertScalar(c, "test_pearson", Metrics.Pearson(prediction, truth));
        AssertScalar(c, "test_spearman", Metrics.Spearman(prediction, truth));
    }

    [Theory]
    [MemberData(nameof(Rows), "logistic_regression")]
    public void Logistic(string name)
    {
        var c = GoldenCase.Find("probe", name);
        var x = c.Input("x_train");
        int n = x.Dims[0], width = x.Dims[1], labels = c.Int("labels");
        var factor = FeatureFactor.Create((double[])x.Values.Clone(), n, width, _device);
        bool[] y = [.. c.Input("y_train").Values.Select(v => v == 1)];
        if (c.Bool("expect_error"))
        {
            Assert.Contains("one class only", Assert.Throws<ArgumentException>(() => LogisticProbe.Fit(factor, y, c.Double("C"), _device.Workers)).Message);
            return;
        }
        var fit = LogisticProbe.Fit(factor, y, c.Double("C"), _device.Workers);
        c.AssertF64(c.Outputs["coef"], fit.Model.Weights.SelectMany(w => w).ToArray(), Relative);
        c.AssertF64(c.Outputs["intercept"], fit.Model.Intercepts, Relative);
        c.AssertF64(c.Outputs["objective"], fit.Objectives, Relative);
        var test = c.Input("x_test");
        int rows = test.Dims[0];
        var probability = new double[rows * labels];
        for (int i = 0; i < rows; i++)
            for (int k = 0; k < labels; k++) probability[i * labels + k] = fit.Probability(test.Values.AsSpan(i * width, width), k);
        c.AssertF64(c.Outputs["probability"], probability, Relative);
        bool[] truth = [.. c.Input("y_test").Values.Select(v => v == 1)];
        var scorer = new RankingScorer(truth, probability, labels);
        AssertScalar(c, "micro_auroc", scorer.MicroAuroc(null));
        AssertScalar(c, "micro_auprc", scorer.MicroAveragePrecision(null));
        AssertScalar(c, "macro_auroc", scorer.MacroAuroc(null));
        AssertScalar(c, "macro_auprc", scorer.MacroAveragePrecision(null));
        AssertScalar(c, "accuracy", probability.Zip(truth, (p, t) => p > 0.5 == t ? 1.0 : 0).Average());
    }

    private static void AssertScalar(GoldenCase c, string output, double got) => c.AssertF64(c.Outputs[output], [got], Relative);

    private static double[] Predict(LinearModel model, GoldenTensor x, int outputs)
    {
        int n = x.Dims[0], width = x.Dims[1];
        return [.. Enumerable.Range(0, n).SelectMany(i => Enumerable.Range(0, outputs).Select(k => model.Predict(x.Values.AsSpan(i * width, width), k)))];
    }

    public void Dispose() => _device.Dispose();
}
