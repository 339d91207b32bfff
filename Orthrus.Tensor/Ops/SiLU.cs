using System.Numerics;
using System.Runtime.CompilerServices;
using Orthrus.Tensor.Cpu;

namespace Orthrus.Tensor;

/// <summary>y = x sigmoid(x), elementwise.</summary>
/// <remarks>
/// x, y: any shape, F32 or F64. The sigmoid is good to 2.5 units in the last place; -infinity gives NaN, as 0 times infinity does. Source: Elfwing, Uchibe
/// and Doya 2018; torch.nn.SiLU.
/// </remarks>
public sealed class SiLU : IOp<NoAttr>
{
    /// <inheritdoc/>
    public static string Name => "silu";
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
        for (int i = 0; i < x.Length; i++) y[i] = Real.SiLU(x[i]);
    }

    /// <inheritdoc/>
    public static void ForwardCpu<T>(in OpArgs args, in NoAttr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T> => ElementwiseUnary.Forward<Function<T>, T>(args);

    /// <inheritdoc/>
    public static void BackwardCpu<T>(in GradArgs args, in NoAttr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T> => ElementwiseUnary.Backward<Function<T>, T>(args);

    private static readonly CudaKernel ForwardKernel = new("unary", "silu_forward"), BackwardKernel = new("unary", "silu_backward");

    /// <inheritdoc/>
    public static void ForwardCuda(in OpArgs args, in NoAttr attr) => ElementwiseUnaryCuda.Forward(ForwardKernel, args);

    /// <inheritdoc/>
    public static void BackwardCuda(in GradArgs args, in NoAttr attr) => ElementwiseUnaryCuda.Backward(BackwardKernel, args);

    private readonly struct Function<T> : IUnary<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Value<V>(V x) where V : unmanaged, ISimd<V, T> => x * VectorMath.Sigmoid<V, T>(x);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Gradient<V>(V x, V dy) where V : unmanaged, ISimd<V, T> 
        {
            // 1 - s without a difference: near s = 1 it would keep few digits, and x multiplies them.
            V s = VectorMath.Sigmoid<V, T>(x, out V complement);
            return dy * s * V.Fma(x, complement, V.Set(T.One));
        }
    }

    /// <inheritdoc/>
    public static OpCost Cost(in ShapeRule rule, in NoAttr attr)
    {
        long n = rule.In(0).Shape.Count, bytes = n * rule.DType.Size();
        return new(5 * n, 2 * bytes, 8 * n, 3 * bytes);
    }

    /// <inheritdoc/>
    public static IEnumerable<Sample<NoAttr>> Samples()
    {
        yield return new("small", default, SampleInput.Normal(new Shape(2, 7, 5), 3));
        yield return new("edges", default, SampleInput.Values(new Shape(9), -80, -20, -1, -1e-6, 0, 1e-6, 1, 20, 80));
        yield return new("one", default, SampleInput.Normal(Shape.Scalar));
        yield return new("chunks", default, SampleInput.Normal(new Shape(2 * ElementwiseUnary.Chunk + 3), 4));
        yield return new("bench", default, SampleInput.Normal(new Shape(8, 1024, 512))) { Bench = true };
    }
}
