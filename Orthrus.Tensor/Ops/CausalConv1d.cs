using System.Numerics;

namespace Orthrus.Tensor;

/// <summary>Causal depthwise convolution, then SiLU.</summary>
/// <remarks>x (B, L, E), weight (E, K), bias (E), initial (B, K-1, E). Source: Gu and Dao 2023.</remarks>
public sealed class CausalConv1d : IOp<NoAttr>
{
    /// <inheritdoc/>
    public static string Name => "causal_conv1d";
    /// <inheritdoc/>
    public static OpSignature Signature { get; } = new([new("x"), new("weight"), new("bias"), new("initial", Optional: true)], [new("y"), new("state")]);
    /// <inheritdoc/>
    public static Saves Saves => Saves.Inputs;
    /// <inheritdoc/>
    public static void Infer(ref ShapeRule rule, in NoAttr attr)
    {
        var x = rule.Rank(0, 3);
        var state = new Shape(x[0], rule.Rank(1, 2)[1] - 1, x[2]);
        rule.Exactly(3, state);
        rule.Out(0, x);
        rule.Out(1, state);
    }
    /// <inheritdoc/>
    public static void Reference<R>(in RefArgs<R> args, in NoAttr attr) where R : struct, IReal<R>
    {
        var s = args.Shape(0);
        int L = s[1], E = s[2], K = args.Shape(1)[1];
        R[] x = args.In(0), h = args.In(3);
        bool carried = args.Has(3);
        R At(int b, int t, int e) => t >= 0 ? x[(b * L + t) * E + e] : carried ? h[(b * (K - 1) + t + K - 1) * E + e] : R.From(0);
        for (int b = 0; b < s[0]; b++)
            for (int e = 0; e < E; e++)
            {
                for (int t = 0; t < L; t++)
                {
                    var v = args.In(2)[e];
                    for (int k = 0; k < K; k++) v += args.In(1)[e * K + k] * At(b, t - K + 1 + k, e);
                    args.Out(0)[(b * L + t) * E + e] = Real.SiLU(v);
                }
                for (int k = 0; k < K - 1; k++) args.Out(1)[(b * (K - 1) + k) * E + e] = At(b, L - K + 1 + k, e);
            }
    }
    /// <inheritdoc/>
    public static unsafe void ForwardCpu<T>(in OpArgs args, in NoAttr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var s = args.Inputs[0].Shape;
        int L = s[1], E = s[2], K = args.Inputs[1].Shape[1];
        T* x = args.Inputs[0].Pointer<T>(), w = args.Inputs[1].Pointer<T>(), bias = args.Inputs[2].Pointer<T>(), h = args.Inputs[3].IsNone ? null : args.Inputs[3].Pointer<T>();
        T* y = args.Outputs[0].Pointer<T>(), state = args.Outputs[1].Pointer<T>();
        for (int b = 0; b < s[0]; b++)
        {
            for (int t = 0; t < L; t++)
                for (int e = 0; e < E; e++)
                {
                    T v = bias[e];
                    for (int k = 0; k < K; k++) v += w[e * K + k] * At(x, h, b, t - K + 1 + k, e, L, E, K);
                    y[((long)b * L + t) * E + e] = v / (T.One + T.Exp(-v));
                }
            for (int k = 0; k < K - 1; k++)
                for (int e = 0; e < E; e++) state[((long)b * (K - 1) + k) * E + e] = At(x, h, b, L - K + 1 + k, e, L, E, K);
        }
    }
    private static unsafe T At<T>(T* x, T* h, int b, int t, int e, int L, int E, int K) where T : unmanaged, IBinaryFloatingPointIeee754<T> =>
        t >= 0 ? x[((long)b * L + t) * E + e] : h is null ? T.Zero : h[((long)b * (K - 1) + t + K - 1) * E + e];
    /// <inheritdoc/>
    public static unsafe void BackwardCpu<T>(in GradArgs args, in NoAttr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var s = args.Inputs[0].Shape;
        int L = s[1], E = s[2], K = args.Inputs[1].Shape[1];
        T* x = args.Inputs[0].Pointer<T>(), w = args.Inputs[1].Pointer<T>(), bias = args.Inputs[2].Pointer<T>(), h = args.Inputs[3].IsNone ? null : args.Inputs[3].Pointer<T>();
        T* dy = args.OutputGrads[0].IsNone ? null : args.OutputGrads[0].Pointer<T>(), ds = args.OutputGrads[1].IsNone ? null : args.OutputGrads[1].Pointer<T>();
        T* dx = P<T>(args.InputGrads[0]), dw = P<T>(args.InputGrads[1]), db = P<T>(args.InputGrads[2]), dh = P<T>(args.InputGrads[3]);
        foreach (var g in args.InputGrads)
            if (!g.IsNone) new Span<T>(g.Pointer<T>(), (int)g.Count).Clear();
        for (int b = 0; b < s[0]; b++)
        {
            for (int t = 0; dy is not null && t < L; t++)
                for (int e = 0; e < E; e++)
                {
                    T v = bias[e];
                    for (int k = 0; k < K; k++) v += w[e * K + k] * At(x, h, b, t - K + 1 + k, e, L, E, K);
                    T sg = T.One / (T.One + T.Exp(-v));
                    T g = dy[((long)b * L + t) * E + e] * sg * (T.One + v * (T.One - sg));
                    if (db is not null) db[e] += g;
                    for (int k = 0; k < K; k++)
                    {
                        int at = t - K + 1 + k;
                        if (dw is not null) dw[e * K + k] += g * At(x, h, b, at, e, L, E, K);
                        if (at >= 0 && dx is not null) dx[((long)b * L + at) * E + e] += g * w[e * K + k];
                        if (at < 0 && dh is not null) dh[((long)b * (K - 1) + at + K - 1) * E + e] += g * w[e * K + k];
                    }
                }
            for (int k = 0; ds is not null && k < K - 1; k++)
                for (int e = 0; e < E; e++)
                {
                    int at = L - K + 1 + k;
                    T g = ds[((long)b * (K - 1) + k) * E + e];
                    if (at >= 0 && dx is not null) dx[((long)b * L + at) * E + e] += g;
                    if (at < 0 && dh is not null) dh[((long)b * (K - 1) + at + K - 1) * E + e] += g;
                }
        }
    }
    internal static unsafe T* P<T>(in Tensor t) where T : unmanaged => t.IsNone ? null : t.Pointer<T>();
    /// <inheritdoc/>
    public static OpCost Cost(in ShapeRule rule, in NoAttr attr) => new(12 * rule.In(0).Shape.Count, rule.AllBytes(), 24 * rule.In(0).Shape.Count, rule.AllBytes());
    /// <inheritdoc/>
    public static IEnumerable<Sample<NoAttr>> Samples()
    {
        yield return new("carry", default, SampleInput.Normal(new Shape(2, 5, 3)), SampleInput.Normal(new Shape(3, 4)), SampleInput.Normal(new Shape(3)), SampleInput.Normal(new Shape(2, 3, 3)));
        yield return new("short", default, SampleInput.Normal(new Shape(2, 2, 3)), SampleInput.Normal(new Shape(3, 4)), SampleInput.Normal(new Shape(3)), SampleInput.Absent);
    }
}
