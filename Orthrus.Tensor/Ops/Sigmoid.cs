using System.Numerics;
using System.Runtime.CompilerServices;
using Orthrus.Tensor.Cpu;

namespace Orthrus.Tensor;

/// <summary>y = 1 / (1 + exp(-x)), elementwise.</summary>
/// <remarks>
/// x, y: any shape, F32 or F64, within 2.5 units in the last place. The gradient is dy sigmoid(x) sigmoid(-x), which keeps its digits at
/// both ends. Source: torch.sigmoid.
/// </remarks>
public sealed class Sigmoid : IOp<NoAttr>
{
    /// <inheritdoc/>
    public static string Name => "sigmoid";
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
        for (int i = 0; i < x.Length; i++) y[i] = Real.Sigmoid(x[i]);
    }

    /// <inheritdoc/>
    public static void ForwardCpu<T>(in OpArgs args, in NoAttr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T> => ElementwiseUnary.Forward<Function<T>, T>(args);

    /// <inheritdoc/>
    public static void BackwardCpu<T>(in GradArgs args, in NoAttr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T> => ElementwiseUnary.Backward<Function<T>, T>(args);

    private static readonly CudaKernel ForwardKernel = new("unary", "sigmoid_forward"), BackwardKernel = new("unary", "sigmoid_backward");

    /// <inheritdoc/>
    public static void ForwardCuda(in OpArgs args, in NoAttr attr) => ElementwiseUnaryCuda.Forward(ForwardKernel, args);

    /// <inheritdoc/>
    public static void BackwardCuda(in GradArgs args, in NoAttr attr) => ElementwiseUnaryCuda.Backward(BackwardKernel, args);

    private readonly struct Function<T> : IUnary<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Value<V>(V x) where V : unmanaged, ISimd<V, T> => VectorMath.Sigmoid<V, T>(x);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Gradient<V>(V x, V dy) where V : unmanaged, ISimd<V, T> 
        {
            V s = VectorMath.Sigmoid<V, T>(x, out V complement);
            return dy * s * complement;
        }
    }

    /// <inheritdoc/>
    public static OpCost Cost(in ShapeRule rule, in NoAttr attr)
    {
        long n = rule.In(0).Shape.Count, bytes = n * rule.DType.Size();
        return new(4 * n, 2 * bytes, 6 * n, 3 * bytes);
    }

    /// <inheritdoc/>
    public static IEnumerable<Sample<NoAttr>> Samples()
    {
        yield return new("small", default, SampleInput.Normal(new Shape(2, 7, 5), 3));
        yield return new("edges", default, SampleInput.Values(new Shape(11), -100, -88, -20, -1, -1e-6, 0, 1e-6, 1, 20, 88, 100));
        yield return new("one", default, SampleInput.Normal(Shape.Scalar));
        yield return new("chunks", default, SampleInput.Normal(new Shape(2 * ElementwiseUnary.Chunk + 3), 4));
        yield return new("bench", default, SampleInput.Normal(new Shape(8, 1024, 512))) { Bench = true };
    }
}
