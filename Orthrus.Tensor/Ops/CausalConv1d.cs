using System.Numerics;
using Orthrus.Tensor.Cpu;

namespace Orthrus.Tensor;

/// <summary>Causal depthwise convolution, then SiLU: y[t] = silu(bias + sum over k of weight[k] x[t - K + 1 + k]), for every sequence and channel.</summary>
/// <remarks>
/// x, y (B, L, E), F32 or F64; weight (E, K) with any K of at least 1, the last tap for the current position; bias (E), absent: 0; initial (B, K - 1, E): the
/// inputs before the first, oldest first, absent: 0; state (B, K - 1, E): the last K - 1 inputs, to be carried on. L may be 0 and may be less than K.
/// CPU: vectors of channels, items of 128 positions of one sequence; gradients of weight and bias are sums per item, added in the items' order.
/// Source: Gu and Dao 2023, Mamba; upstream's causal_conv1d_fn.
/// </remarks>
/// <exception cref="ShapeException">Shapes that do not fit.</exception>
public sealed class CausalConv1d : IOp<CausalConv1d.Attr>
{
    /// <summary>Options.</summary>
    /// <param name="Linear">The convolution alone, without SiLU.</param>
    public readonly record struct Attr(bool Linear = false);

    internal const int X = 0, Weight = 1, Bias = 2, Initial = 3, Y = 0, State = 1;

    /// <inheritdoc/>
    public static string Name => "causal_conv1d";
    /// <inheritdoc/>
    public static OpSignature Signature { get; } = new(
        [new("x"), new("weight", Precision: Precision.Wide), new("bias", Optional: true, Precision: Precision.Wide), new("initial", Optional: true, Precision: Precision.Wide)],
        [new("y"), new("state", Precision: Precision.Wide)]) { BFloat16 = true };
    /// <inheritdoc/>
    public static Saves Saves => Saves.Inputs;

    /// <inheritdoc/>
    public static void Infer(ref ShapeRule rule, in Attr attr)
    {
        Shape x = rule.Rank(X, 3), w = rule.Rank(Weight, 2);
        rule.Require(Weight, w[1] >= 1, $"has shape {w}; want at least one tap");
        rule.Exactly(Weight, new Shape(x[2], w[1]));
        rule.Exactly(Bias, new Shape(x[2]));
        var state = new Shape(x[0], w[1] - 1, x[2]);
        rule.Exactly(Initial, state);
        rule.Out(Y, x);
        rule.Out(State, state);
    }

    /// <inheritdoc/>
    public static void Reference<R>(in RefArgs<R> args, in Attr attr) where R : struct, IReal<R>
    {
        var s = args.Shape(X);
        int L = s[1], E = s[2], K = args.Shape(Weight)[1];
        R[] x = args.In(X), initial = args.In(Initial);
        bool carried = args.Has(Initial);
        R At(int b, int t, int e) => t >= 0 ? x[(b * L + t) * E + e] : carried ? initial[(b * (K - 1) + t + K - 1) * E + e] : R.From(0);
        for (int b = 0; b < s[0]; b++)
            for (int e = 0; e < E; e++)
            {
                for (int t = 0; t < L; t++)
                {
                    var v = args.Has(Bias) ? args.In(Bias)[e] : R.From(0);
                    for (int k = 0; k < K; k++) v += args.In(Weight)[e * K + k] * At(b, t - K + 1 + k, e);
                    args.Out(Y)[(b * L + t) * E + e] = attr.Linear ? v : Real.SiLU(v);
                }
                for (int k = 0; k < K - 1; k++) args.Out(State)[(b * (K - 1) + k) * E + e] = At(b, L - K + 1 + k, e);
            }
    }

    /// <inheritdoc/>
    public static unsafe void ForwardCpu<T>(in OpArgs args, in Attr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var code = new ConvForward<T>
        {
            Call = ConvCall<T>.Of(args.Inputs, attr), Y = args.Outputs[Y].Pointer<T>(), State = args.Outputs[State].Pointer<T>(), Scratch = args.Scratch, Workers = args.Workers,
        };
        SimdDispatch.Run<T, ConvForward<T>>(args.VectorWidth, ref code);
    }

    /// <inheritdoc/>
    public static unsafe void BackwardCpu<T>(in GradArgs args, in Attr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var code = new ConvBackward<T>
        {
            Call = ConvCall<T>.Of(args.Inputs, attr), Scratch = args.Scratch, Workers = args.Workers,
            Dy = ConvCall<T>.PointerOrNull(args.OutputGrads[Y]), DState = ConvCall<T>.PointerOrNull(args.OutputGrads[State]),
            Dx = ConvCall<T>.PointerOrNull(args.InputGrads[X]), DWeight = ConvCall<T>.PointerOrNull(args.InputGrads[Weight]),
            DBias = ConvCall<T>.PointerOrNull(args.InputGrads[Bias]), DInitial = ConvCall<T>.PointerOrNull(args.InputGrads[Initial]),
        };
        SimdDispatch.Run<T, ConvBackward<T>>(args.VectorWidth, ref code);
    }

    /// <inheritdoc/>
    public static void ForwardCuda(in OpArgs args, in Attr attr) => CausalConv1dCuda.Forward(args, attr);

    /// <inheritdoc/>
    public static void BackwardCuda(in GradArgs args, in Attr attr) => CausalConv1dCuda.Backward(args, attr);

    /// <inheritdoc/>
    public static OpCost Cost(in ShapeRule rule, in Attr attr)
    {
        // Per element: K fused operations and, with SiLU, five more; backward repeats them and adds two sums of K each.
        long n = rule.In(X).Shape.Count, taps = rule.In(Weight).Shape.Last, operands = rule.AllBytes() - rule.OutBytes(0) - rule.OutBytes(State);
        return new(n * (2 * taps + (attr.Linear ? 0 : 5)), rule.AllBytes(), n * (attr.Linear ? 4 * taps + 1 : 6 * taps + 12), rule.GradientBytes() + operands);
    }

    /// <inheritdoc/>
    public static IEnumerable<Sample<Attr>> Samples()
    {
        SampleInput none = SampleInput.Absent;
        Sample<Attr> Row(string name, int b, int l, int e, int k, bool bias = true, bool initial = true, Attr attr = default) => new(name, attr, SampleInput.Normal(new Shape(b, l, e)),
            SampleInput.Normal(new Shape(e, k)), bias ? SampleInput.Normal(new Shape(e)) : none, initial ? SampleInput.Normal(new Shape(b, k - 1, e)) : none);

        yield return Row("all", 2, 5, 3, 4);
        yield return Row("from rest", 2, 7, 5, 4, initial: false);
        yield return Row("bare", 1, 6, 4, 4, bias: false, initial: false, attr: new(true));
        yield return Row("linear", 2, 9, 6, 4, attr: new(true));
        yield return Row("shorter than the taps", 2, 2, 3, 4);
        yield return Row("one tap", 2, 3, 3, 1);
        yield return Row("many taps", 1, 6, 2, 9, bias: false);
        yield return Row("several items", 2, 261, 2, 4);
        yield return Row("many channels", 1, 3, 149, 3);
        yield return Row("edges of SiLU", 1, 8, 2, 1, bias: false) with { Inputs = [SampleInput.Values(new Shape(1, 8, 2), 0, 1, 30, -30, 100, -100, 1000, -1000, -1.2784645), SampleInput.Values(new Shape(2, 1), 1, -1), none, SampleInput.Normal(new Shape(1, 0, 2))] };
        yield return Row("bench", 4, 1000, 1024, 4, initial: false) with { Bench = true };
    }
}
