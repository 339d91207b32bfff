using System.Numerics;

namespace Orthrus.Tensor;

/// <summary>Residual sum and its root-mean-square norm: sum = h + residual, y = RMS norm of sum; without a residual the sum is h itself and not a result.</summary>
/// <remarks>
/// h, residual, y, sum (..., D); weight (D), F32 or F64.
/// On a CUDA device D is at most 8,192; wider rows are refused.
/// The gradient of sum, where there is one, joins that of y; h and residual get the
/// same. A NaN makes its row of y NaN and no other. Source: the pre-norm block of Mamba (its fused add + norm); Zhang and Sennrich 2019.
/// </remarks>
public sealed class AddRmsNorm : IOp<AddRmsNorm.Attr>
{
    /// <summary>Options.</summary>
    /// <param name="Eps">Added to the mean square; 1e-5 upstream.</param>
    public readonly record struct Attr(double Eps);

    private const int H = 0, Residual = 1, Weight = 2, Sum = 1;

    /// <inheritdoc/>
    public static string Name => "add_rms_norm";
    /// <inheritdoc/>
    public static OpSignature Signature { get; } =
        new([new("h"), new("residual", Optional: true, Precision: Precision.Wide), new("weight", Precision: Precision.Wide)], [new("y"), new("sum", Optional: true, Precision: Precision.Wide)]) { BFloat16 = true };
    /// <inheritdoc/>
    public static Saves Saves => Saves.Inputs | Saves.Outputs;

    /// <inheritdoc/>
    public static void Infer(ref ShapeRule rule, in Attr attr)
    {
        NormRows.Infer(ref rule, Weight, 3);
        if (rule.Has(Residual)) rule.Out(1, rule.In(H).Shape);
    }

    /// <inheritdoc/>
    public static void Reference<R>(in RefArgs<R> args, in Attr attr) where R : struct, IReal<R>
    {
        int D = args.Shape(H).Last;
        R[] sum = args.In(H);
        if (args.Has(Residual))
        {
            sum = args.Out(1);
            for (int i = 0; i < sum.Length; i++) sum[i] = args.In(H)[i] + args.In(Residual)[i];
        }
        for (int row = 0; row < sum.Length; row += D)
            NormRows.Reference(sum.AsSpan(row, D), args.In(Weight), null, false, attr.Eps, args.Out(0).AsSpan(row, D));
    }

    /// <inheritdoc/>
    public static void ForwardCpu<T>(in OpArgs args, in Attr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T> =>
        NormRows.Forward<T>(args, Residual, Weight, -1, attr.Eps);

    /// <inheritdoc/>
    public static void BackwardCpu<T>(in GradArgs args, in Attr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T> =>
        NormRows.Backward<T>(args, Residual, Weight, -1, attr.Eps);

    /// <inheritdoc/>
    public static void ForwardCuda(in OpArgs args, in Attr attr) => NormRowsCuda.Forward(args, Residual, Weight, -1, attr.Eps);

    /// <inheritdoc/>
    public static void BackwardCuda(in GradArgs args, in Attr attr) => NormRowsCuda.Backward(args, Residual, Weight, -1, attr.Eps);

    /// <inheritdoc/>
    public static OpCost Cost(in ShapeRule rule, in Attr attr)
    {
        long n = rule.In(H).Shape.Count, bytes = rule.AllBytes(), backward = rule.GradientBytes() + rule.InBytes(Weight) + (rule.Has(Residual) ? rule.OutBytes(Sum) : rule.InBytes(H));
        return rule.Has(Residual) ? new(5 * n, bytes, 13 * n, backward) : new(4 * n, bytes, 12 * n, backward);
    }

    /// <inheritdoc/>
    public static IEnumerable<Sample<Attr>> Samples()
    {
        SampleInput Channels(int d) => SampleInput.Normal(new Shape(d));
        SampleInput Rows(Shape s, double scale = 1, double mean = 0) => SampleInput.Normal(s, scale, mean);
        yield return new("sum", new(1e-5), Rows(new Shape(4, 7)), Rows(new Shape(4, 7)), Channels(7));
        yield return new("without residual", new(1e-5), Rows(new Shape(4, 7)), SampleInput.Absent, Channels(7));
        yield return new("one channel", new(1e-2), Rows(new Shape(2, 3, 1)), Rows(new Shape(2, 3, 1)), Channels(1));
        yield return new("several blocks", new(1e-3), Rows(new Shape(3, 11, 37)), Rows(new Shape(3, 11, 37), 2, 5), Channels(37));
        yield return new("bench", new(1e-5), Rows(new Shape(8, 1024, 512)), Rows(new Shape(8, 1024, 512)), Channels(512)) { Bench = true };
    }
}
