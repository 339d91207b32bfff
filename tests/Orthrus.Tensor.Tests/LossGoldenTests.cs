using Orthrus.TestSupport;

namespace Orthrus.Tensor.Tests;

/// <summary>Reductions, normalisations and losses against PyTorch's numbers, forward and backward, in both precisions.</summary>
public class LossGoldenTests
{
    public static IEnumerable<TheoryDataRow<string, DType>> Cases(string op) => GoldenOp.Cases(op);

    [Theory, MemberData(nameof(Cases), "masked_mean_pool")]
    public void Masked_mean_pool(string name, DType dtype) => Run<MaskedMeanPool, NoAttr>(name, dtype, _ => default, ["x", "lengths"], ["y"]);

    [Theory, MemberData(nameof(Cases), "l2_normalize")]
    public void L2_normalize(string name, DType dtype) => Run<L2Normalize, L2Normalize.Attr>(name, dtype, c => new(c.Double("eps")), ["x"], ["y"]);

    [Theory, MemberData(nameof(Cases), "logsumexp_masked_diagonal")]
    public void Masked_log_sum_exp(string name, DType dtype) => Run<MaskedLogSumExp, MaskedLogSumExp.Attr>(name, dtype, c => new(c.Int("offset")), ["s"], ["y"]);

    [Theory, MemberData(nameof(Cases), "logsumexp_masked_diagonal")]
    public void Similarity_log_sum_exp_with_unit_vectors_as_keys(string name, DType dtype)
    {
        // Against the rows of the unit matrix the similarities are the matrix itself: the streaming operator sees the same numbers.
        var c = GoldenCase.Find("ops", name);
        using var call = new GoldenCall(dtype);
        var s = call.Place(c.Input("s"));
        int m = s.Shape[1];
        var unit = new double[m * m];
        for (int i = 0; i < m; i++) unit[i * m + i] = 1;
        Tensor[] inputs = [s, call.Place(unit, new Shape(m, m))];
        var attr = new SimilarityLogSumExp.Attr(1, c.Int("offset"));
        var outputs = call.Forward<SimilarityLogSumExp, SimilarityLogSumExp.Attr>(attr, inputs);
        call.Matches(c, c.Outputs["y"], outputs[0]);
        // With entries near 1e5 the gradient exp(s - y) carries the rounding of y; the matrix form does not.
        if (name.EndsWith("extreme", StringComparison.Ordinal)) return;
        var grads = call.Backward<SimilarityLogSumExp, SimilarityLogSumExp.Attr>(attr, inputs, outputs, [call.Place(c.Cotangent("y"))]);
        call.Matches(c, c.Grads["s"], grads[0]);
    }

    [Theory, MemberData(nameof(Cases), "batch_norm")]
    public void Batch_norm(string name, DType dtype) => Run<BatchNorm, BatchNorm.Attr>(name, dtype,
        c => c.Text("mode") == "train" ? new(true, c.Double("eps"), c.Double("momentum")) : new(false, c.Double("eps")),
        ["x", "weight", "bias", "running_mean", "running_var", "lengths"], ["y", "running_mean", "running_var"]);

    [Theory, MemberData(nameof(Cases), "cross_entropy")]
    public void Cross_entropy(string name, DType dtype)
    {
        var c = GoldenCase.Find("ops", name);
        var attr = new CrossEntropy.Attr(ReductionOf(c), c.Int("ignore_index"));
        if (name != "cross_entropy_all_ignored")
        {
            Run<CrossEntropy, CrossEntropy.Attr>(name, dtype, _ => attr, ["logits", "labels"], ["loss"]);
            return;
        }
        // A mean over nothing: NaN in PyTorch, 0 without gradient here (documented at the operator).
        using var call = new GoldenCall(dtype);
        Tensor[] inputs = [call.Place(c.Input("logits")), call.Place(c.Input("labels"))];
        var outputs = call.Forward<CrossEntropy, CrossEntropy.Attr>(attr, inputs);
        var grads = call.Backward<CrossEntropy, CrossEntropy.Attr>(attr, inputs, outputs, [call.Place([1], Shape.Scalar)]);
        call.Note("loss", outputs[0]);
        call.Note("logits", grads[0]);
        Assert.Equal(0, GoldenCall.Numbers(outputs[0])[0]);
        Assert.All(GoldenCall.Numbers(grads[0]), g => Assert.Equal(0, g));
    }

    [Theory, MemberData(nameof(Cases), "bce_with_logits")]
    public void Bce_with_logits(string name, DType dtype) => Run<BceWithLogits, BceWithLogits.Attr>(name, dtype, c => new(ReductionOf(c)), ["logits", "target"], ["loss"]);

    [Theory, MemberData(nameof(Cases), "mse")]
    public void Mse_loss(string name, DType dtype) => Run<Mse, Mse.Attr>(name, dtype, c => new(ReductionOf(c)), ["x", "target"], ["loss"]);

    private static void Run<TOp, TAttr>(string name, DType dtype, Func<GoldenCase, TAttr> attrOf, string[] inputNames, string[] outputNames)
        where TOp : IOp<TAttr> where TAttr : unmanaged =>
        GoldenOp.Run<TOp, TAttr>(name, dtype, attrOf, inputNames, outputNames, c =>
        {
            // Where the gradient is what large terms leave of each other, the expected double itself is off by more than 1e-12 of what is left: a batch of
            // two (everything cancels but eps), and exp(s - y) with y near 1e5.
            bool cancels = name.EndsWith("extreme", StringComparison.Ordinal) || (c.Op == "batch_norm" && c.Input("x").Shape[..^1].Aggregate(1L, (a, b) => a * b) == 2);
            return cancels ? 1e-9 : 1e-12;
        });

    private static Reduction ReductionOf(GoldenCase c) => c.Text("reduction") switch { "mean" => Reduction.Mean, "sum" => Reduction.Sum, "none" => Reduction.None, var other => throw new InvalidDataException(other) };
}
