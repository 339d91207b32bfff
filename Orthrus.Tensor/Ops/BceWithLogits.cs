using System.Numerics;

namespace Orthrus.Tensor;

/// <summary>Binary cross-entropy of logits: -target log s(x) - (1 - target) log(1 - s(x)) with s the logistic function.</summary>
/// <remarks>
/// logits, target (in [0, 1]): the same shape, F32 or F64; loss: scalar, or the operands' shape without reduction. Computed as
/// max(x, 0) - x target + log(1 + exp(-|x|)), which neither overflows nor loses small losses. No gradient reaches target. The mean over no
/// element is 0. Source: torch.nn.BCEWithLogitsLoss.
/// </remarks>
public sealed class BceWithLogits : IOp<BceWithLogits.Attr>
{
    /// <summary>Options.</summary>
    /// <param name="Reduction">Mean, sum or one value per element.</param>
    public readonly record struct Attr(Reduction Reduction);

    /// <inheritdoc/>
    public static string Name => "bce_with_logits";
    /// <inheritdoc/>
    public static OpSignature Signature { get; } = new([new("logits"), new("target", OperandKind.Constant)], [new("loss")]);
    /// <inheritdoc/>
    public static Saves Saves => Saves.Inputs;

    /// <inheritdoc/>
    public static void Infer(ref ShapeRule rule, in Attr attr)
    {
        rule.Exactly(1, rule.In(0).Shape);
        rule.Out(0, attr.Reduction == Reduction.None ? rule.In(0).Shape : Shape.Scalar);
    }

    /// <inheritdoc/>
    public static void Reference<R>(in RefArgs<R> args, in Attr attr) where R : struct, IReal<R>
    {
        R[] x = args.In(0), target = args.In(1), loss = args.Out(0);
        var sum = R.From(0);
        for (int i = 0; i < x.Length; i++)
        {
            // Both branches are log(1 + exp(x)) - x target, factored so that exp sees no positive number and nothing cancels.
            var term = x[i].Value > 0 ? x[i] * (R.From(1) - target[i]) + R.Log1p(R.Exp(-x[i])) : R.Log1p(R.Exp(x[i])) - x[i] * target[i];
            if (attr.Reduction == Reduction.None) loss[i] = term;
            else sum += term;
        }
        if (attr.Reduction == Reduction.Sum) loss[0] = sum;
        if (attr.Reduction == Reduction.Mean && x.Length > 0) loss[0] = sum / R.From(x.Length);
    }

    /// <inheritdoc/>
    public static unsafe void ForwardCpu<T>(in OpArgs args, in Attr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T> =>
        ElementLoss.Forward<Term<T>, T>(args, attr.Reduction);

    /// <inheritdoc/>
    public static unsafe void BackwardCpu<T>(in GradArgs args, in Attr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T> =>
        ElementLoss.Backward<Term<T>, T>(args, attr.Reduction);

    private readonly struct Term<T> : IElementLoss<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        public static T Loss(T x, T target)
        {
            T tail = T.CreateTruncating(SpecialFunctions.Log1p(double.CreateTruncating(T.Exp(-T.Abs(x)))));
            return (x > T.Zero ? x * (T.One - target) : -(x * target)) + tail;
        }

        public static T Slope(T x, T target)
        {
            // s(x) - target, from exp(-|x|): for x > 0 as (1 - target) - s(-x), exact where the target is 1 and s(x) would round to 1.
            T e = T.Exp(-T.Abs(x));
            return x > T.Zero ? T.One - target - e / (T.One + e) : e / (T.One + e) - target;
        }
    }

    private static readonly CudaKernel ForwardKernel = new("element_loss", "bce_with_logits_forward"), BackwardKernel = new("element_loss", "bce_with_logits_backward");

    /// <inheritdoc/>
    public static void ForwardCuda(in OpArgs args, in Attr attr) => ElementLossCuda.Forward(ForwardKernel, args, attr.Reduction);

    /// <inheritdoc/>
    public static void BackwardCuda(in GradArgs args, in Attr attr) => ElementLossCuda.Backward(BackwardKernel, args, attr.Reduction);

    /// <inheritdoc/>
    public static OpCost Cost(in ShapeRule rule, in Attr attr)
    {
        long n = rule.In(0).Shape.Count;
        return new(7 * n, rule.AllBytes(), 6 * n, rule.GradientBytes() + rule.InBytes(0) + rule.InBytes(1));
    }

    /// <inheritdoc/>
    public static IEnumerable<Sample<Attr>> Samples()
    {
        yield return new("mean", new(Reduction.Mean), SampleInput.Normal(new Shape(5, 3), 3), SampleInput.Values(new Shape(5, 3), 0, 1, 1, 0, 0.25));
        yield return new("sum", new(Reduction.Sum), SampleInput.Normal(new Shape(7), 3), SampleInput.Uniform(new Shape(7), 0, 1));
        yield return new("edges", new(Reduction.None), SampleInput.Values(new Shape(10), -80, 80, -20, 20, -1e-6, 1e-6, 0, 30, -30, 5),
            SampleInput.Values(new Shape(10), 0, 1, 1, 0, 0.5, 0, 1, 1, 0));
        yield return new("several chunks", new(Reduction.Mean), SampleInput.Normal(new Shape(3, 4099)), SampleInput.Uniform(new Shape(3, 4099), 0, 1));
        yield return new("bench", new(Reduction.Mean), SampleInput.Normal(new Shape(1024, 1024)), SampleInput.Uniform(new Shape(1024, 1024), 0, 1)) { Bench = true };
    }
}
