using Orthrus.TestSupport;

namespace Orthrus.Tensor.Tests;

/// <summary>The losses of masked positions against PyTorch's numbers: cross-entropy of the masked bases of both views, and the splice and codon option. Masking itself is the trainer's.</summary>
public class MlmGoldenTests
{
    public static IEnumerable<TheoryDataRow<string, DType>> Cases(string op)
    {
        foreach (var row in GoldenCase.Names("mlm", c => c.Op == op))
            foreach (var dtype in GoldenDevice.DTypes) yield return new(row.Data, dtype);
    }

    [Theory, MemberData(nameof(Cases), "mlm_loss")]
    public void Cross_entropy_of_masked_positions(string name, DType dtype)
    {
        var c = GoldenCase.Find("mlm", name);
        using var call = new GoldenCall(dtype);
        var attr = new CrossEntropy.Attr(Reduction.Mean, c.Int("ignore_index"));
        double sum = 0;
        for (int v = 0; v < c.Int("n_views"); v++)
        {
            Tensor[] inputs = [call.Place(c.Input($"logits{v}")), call.Place(c.Output($"target{v}"))];
            var loss = call.Forward<CrossEntropy, CrossEntropy.Attr>(attr, inputs);
            var gradient = call.Backward<CrossEntropy, CrossEntropy.Attr>(attr, inputs, loss, [call.Place([1], Shape.Scalar)])[0];
            // Over no position PyTorch's mean is NaN; here it is 0.
            if (c.Output($"count{v}").Values[0] == 0) Assert.Equal(0, GoldenCall.Numbers(loss[0])[0]);
            else call.Matches(c, c.Outputs[$"loss{v}"], loss[0], 1e-9);
            if (Array.TrueForAll(c.Grad($"logits{v}").Values, double.IsFinite)) call.Matches(c, c.Grads[$"logits{v}"], gradient, 1e-9);
            else Assert.All(GoldenCall.Numbers(gradient), g => Assert.Equal(0, g));
            sum += GoldenCall.Numbers(loss[0])[0];
        }
        if (double.IsFinite(c.Output("loss").Values[0])) call.Matches(c, c.Outputs["loss"], call.Place([sum], Shape.Scalar), 1e-9);
    }

    [Theory, MemberData(nameof(Cases), "splice_codon_loss")]
    public void Splice_and_codon_tracks(string name, DType dtype)
    {
        var c = GoldenCase.Find("mlm", name);
        using var call = new GoldenCall(dtype);
        var attr = new BceWithLogits.Attr(Reduction.Mean);
        double sum = 0;
        for (int v = 0; v < 2; v++)
        {
            var x = c.Input($"x{v}");
            int length = x.Dims[1], channels = x.Dims[2];
            int[] lengths = c.Input($"lengths{v}").ToInt32(), valid = [.. Enumerable.Range(0, x.Dims[0] * length).Where(i => i % length < lengths[i / length])];
            foreach (string track in new[] { "codon", "splice" })
            {
                var logits = c.Input($"{track}_logits{v}");
                int channel = c.Int($"{track}_channel");
                Tensor[] inputs = [call.Place(Array.ConvertAll(valid, i => logits.Values[i]), new Shape(valid.Length)), call.Place(Array.ConvertAll(valid, i => x.Values[i * channels + channel]), new Shape(valid.Length))];
                var loss = call.Forward<BceWithLogits, BceWithLogits.Attr>(attr, inputs);
                call.Matches(c, c.Outputs[$"{track}_loss{v}"], loss[0], 1e-9);
                sum += GoldenCall.Numbers(loss[0])[0];
                var gradient = new double[logits.Values.Length];
                double[] packed = GoldenCall.Numbers(call.Backward<BceWithLogits, BceWithLogits.Attr>(attr, inputs, loss, [call.Place([1], Shape.Scalar)])[0]);
                for (int k = 0; k < valid.Length; k++) gradient[valid[k]] = packed[k];
                call.Matches(c, c.Grads[$"{track}_logits{v}"], call.Place(gradient, Shape.Of(logits.Dims)), 1e-9);
            }
        }
        call.Matches(c, c.Outputs["loss"], call.Place([sum], Shape.Scalar), 1e-9);
    }
}
