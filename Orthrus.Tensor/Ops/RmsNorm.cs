using System.Numerics;

namespace Orthrus.Tensor;

/// <summary>Root-mean-square norm of the last axis: y = x / sqrt(mean of x^2 + eps) weight, the mean over the row.</summary>
/// <remarks>
/// x, y (..., D); weight (D), F32 or F64.
/// On a CUDA device D is at most 8,192; wider rows are refused.
/// A NaN makes its row NaN and no other. Source: Zhang and Sennrich 2019; Mamba's RMSNorm, which has no bias.
/// </remarks>
public sealed class RmsNorm : IOp<RmsNorm.Attr>
{
    /// <summary>Options.</summary>
    /// <param name="Eps">Added to the mean square; 1e-5 upstream.</param>
    public readonly record struct Attr(double Eps);

    private const int X = 0, Weight = 1;

    /// <inheritdoc/>
    public static string Name => "rms_norm";
    /// <inheritdoc/>
    public static OpSignature Signature { get; } = new([new("x"), new("weight", Precision: Precision.Wide)], [new("y")]) { BFloat16 = true };
    /// <inheritdoc/>
    public static Saves Saves => Saves.Inputs;

    /// <inheritdoc/>
    public static void Infer(ref ShapeRule rule, in Attr attr) => NormRows.Infer(ref rule, Weight, 2);

    /// <inheritdoc/>
    public static void Reference<R>(in RefArgs<R> args, in Attr attr) where R : struct, IReal<R>
    {
        int D = args.Shape(X).Last;
        for (int row = 0; row < args.In(X).Length; row += D)
            NormRows.Reference(args.In(X).AsSpan(row, D), args.In(Weight), null, false, attr.Eps, args.Out(0).AsSpan(row, D));
    }

    /// <inheritdoc/>
    public static void ForwardCpu<T>(in OpArgs args, in Attr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T> =>
        NormRows.Forward<T>(args, -1, Weight, -1, attr.Eps);

    /// <inheritdoc/>
    public static void BackwardCpu<T>(in GradArgs args, in Attr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T> =>
        NormRows.Backward<T>(args, -1, Weight, -1, attr.Eps);

    /// <inheritdoc/>
    public static void ForwardCuda(in OpArgs args, in Attr attr) => NormRowsCuda.Forward(args, -1, Weight, -1, attr.Eps);

    /// <inheritdoc/>
    public static void BackwardCuda(in GradArgs args, in Attr attr) => NormRowsCuda.Backward(args, -1, Weight, -1, attr.Eps);

    /// <inheritdoc/>
    public static OpCost Cost(in ShapeRule rule, in Attr attr)
    {
        long n = rule.In(X).Shape.Count;
        return new(4 * n, rule.AllBytes(), 12 * n, rule.GradientBytes() + rule.InBytes(X) + rule.InBytes(Weight));
    }

    /// <inheritdoc/>
    public static IEnumerable<Sample<Attr>> Samples()
    {
        SampleInput Channels(int d) => SampleInput.Normal(new Shape(d));
        yield return new("small", new(1e-5), SampleInput.Normal(new Shape(2, 3, 7)), Channels(7));
        yield return new("one channel", new(1e-2), SampleInput.Normal(new Shape(4, 1)), Channels(1));
        yield return new("several blocks", new(1e-5), SampleInput.Normal(new Shape(3, 15, 35), 2, 1), Channels(35));
        yield return new("unlike sizes", new(1e-5), SampleInput.Values(new Shape(3, 5), 1e-3, 2e-3, -1e-3, 0, 3e-3, 1e3, -2e3, 0, 5e3, 1, 0, 0, 0, 0, 0), Channels(5));
        yield return new("one row, large eps", new(0.5), SampleInput.Normal(new Shape(33)), Channels(33));
        yield return new("bench", new(1e-5), SampleInput.Normal(new Shape(8, 1024, 512)), Channels(512)) { Bench = true };
    }
}
