using System.Numerics;

namespace Orthrus.Tensor;

/// <summary>Squared error: (x - target)^2 per element, its sum, or its mean.</summary>
/// <remarks>
/// x, target: the same shape, F32 or F64; loss: scalar, or the operands' shape without reduction. No gradient reaches target. The mean over no
/// element is 0. Source: torch.nn.MSELoss.
/// </remarks>
public sealed class Mse : IOp<Mse.Attr>
{
    /// <summary>Options.</summary>
    /// <param name="Reduction">Mean, sum or one value per element.</param>
    public readonly record struct Attr(Reduction Reduction);

    /// <inheritdoc/>
    public static string Name => "mse";
    /// <inheritdoc/>
    public static OpSignature Signature { get; } = new([new("x"), new("target", OperandKind.Constant)], [new("loss")]);
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
            var e = x[i] - target[i];
            if (attr.Reduction == Reduction.None) loss[i] = e * e;
            else sum += e * e;
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
        public static T Loss(T x, T target) => (x - target) * (x - target);
        public static T Slope(T x, T target)
        {
            T e = x - target;
            return e + e;
        }
    }

    private static readonly CudaKernel ForwardKernel = new("element_loss", "mse_forward"), BackwardKernel = new("element_loss", "mse_backward");

    /// <inheritdoc/>
    public static void ForwardCuda(in OpArgs args, in Attr attr) => ElementLossCuda.Forward(ForwardKernel, args, attr.Reduction);

    /// <inheritdoc/>
    public static void BackwardCuda(in GradArgs args, in Attr attr) => ElementLossCuda.Backward(BackwardKernel, args, attr.Reduction);

    /// <inheritdoc/>
    public static OpCost Cost(in ShapeRule rule, in Attr attr)
    {
        long n = rule.In(0).Shape.Count;
        return new(3 * n, rule.AllBytes(), 3 * n, rule.GradientBytes() + rule.InBytes(0) + rule.InBytes(1));
    }

    /// <inheritdoc/>
    public static IEnumerable<Sample<Attr>> Samples()
    {
        yield return new("mean", new(Reduction.Mean), SampleInput.Normal(new Shape(5, 3)), SampleInput.Normal(new Shape(5, 3)));
        yield return new("sum", new(Reduction.Sum), SampleInput.Normal(new Shape(7)), SampleInput.Normal(new Shape(7)));
        yield return new("none", new(Reduction.None), SampleInput.Normal(new Shape(2, 3, 4)), SampleInput.Normal(new Shape(2, 3, 4)));
        yield return new("several chunks", new(Reduction.Mean), SampleInput.Normal(new Shape(3, 4099)), SampleInput.Normal(new Shape(3, 4099)));
        yield return new("bench", new(Reduction.Mean), SampleInput.Normal(new Shape(1024, 1024)), SampleInput.Normal(new Shape(1024, 1024))) { Bench = true };
    }
}
