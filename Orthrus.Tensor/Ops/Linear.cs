using System.Numerics;
using Orthrus.Tensor.Cpu;

namespace Orthrus.Tensor;

/// <summary>y = x W' + b over the last axis.</summary>
/// <remarks>
/// x (..., K), weight (O, K), bias (O), y (..., O), F32, F64 or on CUDA devices BF16; all leading axes are rows. Every row depends on itself alone, NaN and infinity included. The
/// gradients of weight and bias sum over rows in blocks whose size depends on the shapes alone. Source: torch.nn.Linear.
/// </remarks>
/// <exception cref="ShapeException">Shapes that do not fit.</exception>
public sealed partial class Linear : IOp<NoAttr>
{
    private const int X = 0, Weight = 1, Bias = 2;

    /// <inheritdoc/>
    public static string Name => "linear";
    /// <inheritdoc/>
    public static OpSignature Signature { get; } = new([new("x"), new("weight", Precision: Precision.Weight), new("bias", Optional: true, Precision: Precision.Wide)], [new("y")]) { BFloat16 = true };
    /// <inheritdoc/>
    public static Saves Saves => Saves.Inputs;

    /// <inheritdoc/>
    public static void Infer(ref ShapeRule rule, in NoAttr attr)
    {
        var w = rule.Rank(Weight, 2);
        var x = rule.In(X).Shape;
        rule.Require(X, x.Rank >= 1 && x.Last == w[1], $"has shape {x}; want rows of {w[1]}");
        rule.Exactly(Bias, new Shape(w[0]));
        rule.Out(0, x.WithLast(w[0]));
    }

    /// <inheritdoc/>
    public static void Reference<R>(in RefArgs<R> args, in NoAttr attr) where R : struct, IReal<R>
    {
        R[] x = args.In(X), w = args.In(Weight), b = args.In(Bias), y = args.Out(0);
        int K = args.Shape(Weight)[1], O = args.Shape(Weight)[0], rows = (int)args.Shape(X).Rows;
        for (int row = 0; row < rows; row++)
            for (int o = 0; o < O; o++)
            {
                var sum = R.From(0);
                for (int k = 0; k < K; k++) sum += x[row * K + k] * w[o * K + k];
                y[row * O + o] = args.Has(Bias) ? sum + b[o] : sum;
            }
    }

    /// <inheritdoc/>
    public static unsafe void ForwardCpu<T>(in OpArgs args, in NoAttr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var w = args.Inputs[Weight];
        Gemm.TimesTransposed(args.Scratch, args.Inputs[X].Pointer<T>(), args.Inputs[X].Shape.Rows, w.Shape[1], w.Pointer<T>(), w.Shape[0],
            args.Inputs[Bias].IsNone ? null : args.Inputs[Bias].Pointer<T>(), args.Outputs[0].Pointer<T>());
    }

    /// <inheritdoc/>
    public static unsafe void BackwardCpu<T>(in GradArgs args, in NoAttr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        Tensor x = args.Inputs[X], w = args.Inputs[Weight], dy = args.OutputGrads[0];
        long rows = x.Shape.Rows;
        int K = w.Shape[1], O = w.Shape[0];
        if (!args.InputGrads[X].IsNone) Gemm.Times(args.Scratch, dy.Pointer<T>(), rows, O, w.Pointer<T>(), K, args.InputGrads[X].Pointer<T>());
        if (!args.InputGrads[Weight].IsNone) Gemm.TransposedTimes(args.Scratch, dy.Pointer<T>(), rows, O, x.Pointer<T>(), K, args.InputGrads[Weight].Pointer<T>());
        if (!args.InputGrads[Bias].IsNone) BlockSums.OfColumns(args, dy.Pointer<T>(), rows, O, args.InputGrads[Bias].Pointer<T>());
    }

    /// <inheritdoc/>
    public static OpCost Cost(in ShapeRule rule, in NoAttr attr)
    {
        long products = rule.In(X).Shape.Rows * rule.In(Weight).Shape.Count, sums = rule.Has(Bias) ? rule.OutSpec(0).Shape.Count : 0;
        return new(2 * products + sums, rule.AllBytes(), 4 * products + sums, rule.GradientBytes() + rule.InBytes(X) + rule.InBytes(Weight));
    }

    /// <inheritdoc/>
    public static IEnumerable<Sample<NoAttr>> Samples()
    {
        Sample<NoAttr> Of(string name, Shape x, int o, bool bias) =>
            new(name, default, SampleInput.Normal(x), SampleInput.Normal(new Shape(o, x.Last)), bias ? SampleInput.Normal(new Shape(o)) : SampleInput.Absent);
        yield return Of("bias", new Shape(2, 3, 5), 4, true);
        yield return Of("plain", new Shape(37, 33), 19, false);
        yield return Of("one of each", new Shape(1, 1), 1, true);
        yield return Of("one vector of columns", new Shape(13, 16), 48, true);
        yield return Of("one row", new Shape(67), 35, true);
        yield return Of("one column", new Shape(9, 3, 40), 1, true);
        yield return Of("several row blocks", new Shape(2, 131, 3), 5, true);
        yield return Of("several column blocks", new Shape(3, 2), 261, true);
        yield return Of("several depth blocks", new Shape(2, 530), 3, true);
        yield return Of("depth in parts", new Shape(1100, 2), 3, true);
        yield return new("bench", default, SampleInput.Normal(new Shape(4, 1024, 512)), SampleInput.Normal(new Shape(2048, 512)), SampleInput.Absent) { Bench = true };
    }
}
