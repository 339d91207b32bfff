using System.Numerics;

namespace Orthrus.Tensor;

/// <summary>y = x sigmoid(x), elementwise.</summary>
/// <remarks>x, y: any shape, F32 or F64. Source: Elfwing, Uchibe and Doya 2018.</remarks>
public sealed class SiLU : IOp<NoAttr>
{
    /// <inheritdoc/>
    public static string Name => "silu";
    /// <inheritdoc/>
    public static OpSignature Signature { get; } = new([new("x")], [new("y")]);
    /// <inheritdoc/>
    public static Saves Saves => Saves.Inputs;

    /// <inheritdoc/>
    public static void Infer(ref ShapeRule rule, in NoAttr attr) => rule.Out(0, rule.In(0).Shape);

    /// <inheritdoc/>
    public static void Reference<R>(in RefArgs<R> args, in NoAttr attr) where R : struct, IReal<R>
    {
        R[] x = args.In(0), y = args.Out(0);
        for (int i = 0; i < x.Length; i++) y[i] = Real.SiLU(x[i]);
    }

    /// <inheritdoc/>
    public static unsafe void ForwardCpu<T>(in OpArgs args, in NoAttr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        T* x = args.Inputs[0].Pointer<T>(), y = args.Outputs[0].Pointer<T>();
        for (long i = 0, n = args.Inputs[0].Count; i < n; i++) y[i] = x[i] / (T.One + T.Exp(-x[i]));
    }

    /// <inheritdoc/>
    public static unsafe void BackwardCpu<T>(in GradArgs args, in NoAttr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        if (args.InputGrads[0].IsNone) return;
        T* x = args.Inputs[0].Pointer<T>(), dy = args.OutputGrads[0].Pointer<T>(), dx = args.InputGrads[0].Pointer<T>();
        for (long i = 0, n = args.Inputs[0].Count; i < n; i++)
        {
            T s = T.One / (T.One + T.Exp(-x[i]));
            dx[i] = dy[i] * s * (T.One + x[i] * (T.One - s));
        }
    }

    /// <inheritdoc/>
    public static OpCost Cost(in ShapeRule rule, in NoAttr attr)
    {
        long n = rule.In(0).Shape.Count, size = rule.DType.Size();
        return new(4 * n, 2 * n * size, 8 * n, 3 * n * size);
    }

    /// <inheritdoc/>
    public static IEnumerable<Sample<NoAttr>> Samples()
    {
        yield return new("small", default, SampleInput.Normal(new Shape(2, 7, 5), 3));
        yield return new("edges", default, SampleInput.Values(new Shape(9), -80, -20, -1, -1e-6, 0, 1e-6, 1, 20, 80));
        yield return new("bench", default, SampleInput.Normal(new Shape(8, 1024, 512))) { Bench = true };
    }
}
