using System.Numerics;

namespace Orthrus.Tensor;

/// <summary>Layer norm of the last axis: y = (x - mean) / sqrt(variance + eps) weight + bias, with the row's own mean and biased variance.</summary>
/// <remarks>
/// x, y (..., D); weight, bias (D), F32 or F64.
/// On a CUDA device D is at most 8,192; wider rows are refused.
/// A NaN or an infinity makes its row NaN and no other. The variance is taken about the mean, and what
/// rounding took from the mean is subtracted too, so that a mean much larger than the spread costs no digits beyond those of x. Source: Ba et al. 2016;
/// torch.nn.LayerNorm.
/// </remarks>
public sealed class LayerNorm : IOp<LayerNorm.Attr>
{
    /// <summary>Options.</summary>
    /// <param name="Eps">Added to the variance; 1e-5 upstream.</param>
    public readonly record struct Attr(double Eps);

    private const int X = 0, Weight = 1, Bias = 2;

    /// <inheritdoc/>
    public static string Name => "layer_norm";
    /// <inheritdoc/>
    public static OpSignature Signature { get; } = new([new("x"), new("weight", Precision: Precision.Wide), new("bias", Precision: Precision.Wide)], [new("y")]) { BFloat16 = true };
    /// <inheritdoc/>
    public static Saves Saves => Saves.Inputs;

    /// <inheritdoc/>
    public static void Infer(ref ShapeRule rule, in Attr attr) => NormRows.Infer(ref rule, Weight, 3);

    /// <inheritdoc/>
    public static void Reference<R>(in RefArgs<R> args, in Attr attr) where R : struct, IReal<R>
    {
        int D = args.Shape(X).Last;
        for (int row = 0; row < args.In(X).Length; row += D)
            NormRows.Reference(args.In(X).AsSpan(row, D), args.In(Weight), args.In(Bias), true, attr.Eps, args.Out(0).AsSpan(row, D));
    }

    /// <inheritdoc/>
    public static void ForwardCpu<T>(in OpArgs args, in Attr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T> =>
        NormRows.Forward<T>(args, -1, Weight, Bias, attr.Eps);

    /// <inheritdoc/>
    public static void BackwardCpu<T>(in GradArgs args, in Attr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T> =>
        NormRows.Backward<T>(args, -1, Weight, Bias, attr.Eps);

    /// <inheritdoc/>
    public static void ForwardCuda(in OpArgs args, in Attr attr) => NormRowsCuda.Forward(args, -1, Weight, Bias, attr.Eps);

    /// <inheritdoc/>
    public static void BackwardCuda(in GradArgs args, in Attr attr) => NormRowsCuda.Backward(args, -1, Weight, Bias, attr.Eps);

    /// <inheritdoc/>
    public static OpCost Cost(in ShapeRule rule, in Attr attr)
    {
        long n = rule.In(X).Shape.Count;
        return new(9 * n, rule.AllBytes(), 21 * n, rule.GradientBytes() + rule.InBytes(X) + rule.InBytes(Weight));
    }

    /// <inheritdoc/>
    public static IEnumerable<Sample<Attr>> Samples()
    {
        SampleInput Channels(int d) => SampleInput.Normal(new Shape(d));
        yield return new("small", new(1e-5), SampleInput.Normal(new Shape(2, 3, 7)), Channels(7), Channels(7));
        yield return new("one channel", new(1e-2), SampleInput.Normal(new Shape(4, 1)), Channels(1), Channels(1));
        yield return new("several blocks", new(1e-5), SampleInput.Normal(new Shape(3, 15, 35), 2, 1), Channels(35), Channels(35));
        yield return new("large mean", new(1e-5), SampleInput.Normal(new Shape(5, 48), 0.5, 4000), Channels(48), Channels(48));
        yield return new("one row, large eps", new(0.5), SampleInput.Normal(new Shape(33)), Channels(33), Channels(33));
        yield return new("constant row", new(1e-5), SampleInput.Values(new Shape(3, 5), 2.5, 2.5, 2.5, 2.5, 2.5, 1, 2, 3, 4, 5, 0, 0, 0, 0, 0), Channels(5), Channels(5));
        yield return new("bench", new(1e-5), SampleInput.Normal(new Shape(8, 1024, 512)), Channels(512), Channels(512)) { Bench = true };
    }
}
