using System.Numerics;
using System.Runtime.CompilerServices;
using Orthrus.Tensor.Cpu;

namespace Orthrus.Tensor;

/// <summary>y = log(1 + exp(x)), elementwise; x itself above 20.</summary>
/// <remarks>
/// x, y: any shape, F32 or F64. Computed as max(x, 0) + log1p(exp(-|x|)), which neither overflows nor loses small results. Source: torch.nn.Softplus with its
/// default threshold.
/// </remarks>
public sealed class Softplus : IOp<NoAttr>
{
    private static T Threshold<T>() where T : unmanaged, IBinaryFloatingPointIeee754<T> => T.CreateTruncating(20);

    /// <inheritdoc/>
    public static string Name => "softplus";
    /// <inheritdoc/>
    public static OpSignature Signature { get; } = new([new("x")], [new("y")]) { BFloat16 = true };
    /// <inheritdoc/>
    public static Saves Saves => Saves.Inputs;

    /// <inheritdoc/>
    public static void Infer(ref ShapeRule rule, in NoAttr attr) => rule.Out(0, rule.In(0).Shape);

    /// <inheritdoc/>
    public static void Reference<R>(in RefArgs<R> args, in NoAttr attr) where R : struct, IReal<R>
    {
        R[] x = args.In(0), y = args.Out(0);
        for (int i = 0; i < x.Length; i++) y[i] = Real.Softplus(x[i]);
    }

    /// <inheritdoc/>
    public static void ForwardCpu<T>(in OpArgs args, in NoAttr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T> => ElementwiseUnary.Forward<Function<T>, T>(args);

    /// <inheritdoc/>
    public static void BackwardCpu<T>(in GradArgs args, in NoAttr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T> => ElementwiseUnary.Backward<Function<T>, T>(args);

    private static readonly CudaKernel ForwardKernel = new("unary", "softplus_forward"), BackwardKernel = new("unary", "softplus_backward");

    /// <inheritdoc/>
    public static void ForwardCuda(in OpArgs args, in NoAttr attr) => ElementwiseUnaryCuda.Forward(ForwardKernel, args);

    /// <inheritdoc/>
    public static void BackwardCuda(in GradArgs args, in NoAttr attr) => ElementwiseUnaryCuda.Backward(BackwardKernel, args);

    private readonly struct Function<T> : IUnary<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Value<V>(V x) where V : unmanaged, ISimd<V, T> 
        {
            V y = V.Max(x, V.Zero) + VectorMath.Log1p<V, T>(VectorMath.Exp<V, T>(V.Zero - V.Abs(x)));
            return V.Ordered(x, V.Greater(x, V.Set(Threshold<T>()), x, y), x);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Gradient<V>(V x, V dy) where V : unmanaged, ISimd<V, T> => V.Greater(x, V.Set(Threshold<T>()), dy, dy * VectorMath.Sigmoid<V, T>(x));
    }

    /// <inheritdoc/>
    public static OpCost Cost(in ShapeRule rule, in NoAttr attr)
    {
        long n = rule.In(0).Shape.Count, bytes = n * rule.DType.Size();
        return new(6 * n, 2 * bytes, 5 * n, 3 * bytes);
    }

    /// <inheritdoc/>
    public static IEnumerable<Sample<NoAttr>> Samples()
    {
        yield return new("small", default, SampleInput.Normal(new Shape(2, 7, 5), 3));
        yield return new("edges", default, SampleInput.Values(new Shape(13), -100, -88, -20, -1, -1e-6, 0, 1e-6, 1, 19.99, 20, 20.01, 88, 1e30));
        yield return new("one", default, SampleInput.Normal(Shape.Scalar));
        yield return new("chunks", default, SampleInput.Normal(new Shape(2 * ElementwiseUnary.Chunk + 3), 4));
        yield return new("bench", default, SampleInput.Normal(new Shape(8, 1024, 512))) { Bench = true };
    }
}
