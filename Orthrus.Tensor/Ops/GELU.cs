using System.Numerics;
using System.Runtime.CompilerServices;
using Orthrus.Tensor.Cpu;

namespace Orthrus.Tensor;

/// <summary>Gaussian error linear unit, elementwise: y = x Phi(x), Phi the standard normal distribution, or its approximation by tanh.</summary>
/// <remarks>
/// x, y: any shape, F32 or F64. Exact: Phi(x) = (1 + erf(x / sqrt 2)) / 2. Approximation: Phi(x) = (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2. For x below
/// about -5 (float) both leave an absolute error of one rounding of 1, as upstream's do. -infinity gives NaN. Source: Hendrycks and Gimpel 2016; torch.nn.GELU.
/// </remarks>
public sealed class GELU : IOp<GELU.Attr>
{
    /// <summary>Options.</summary>
    /// <param name="Tanh">The approximation.</param>
    public readonly record struct Attr(bool Tanh);

    private const double InverseRoot2 = 0.70710678118654752440, InverseRoot2Pi = 0.39894228040143267794, Slope = 0.79788456080286535588, Cubic = 0.044715;

    /// <inheritdoc/>
    public static string Name => "gelu";
    /// <inheritdoc/>
    public static OpSignature Signature { get; } = new([new("x")], [new("y")]) { BFloat16 = true };
    /// <inheritdoc/>
    public static Saves Saves => Saves.Inputs;

    /// <inheritdoc/>
    public static void Infer(ref ShapeRule rule, in Attr attr) => rule.Out(0, rule.In(0).Shape);

    /// <inheritdoc/>
    public static void Reference<R>(in RefArgs<R> args, in Attr attr) where R : struct, IReal<R>
    {
        R[] x = args.In(0), y = args.Out(0);
        R half = R.From(0.5), one = R.From(1);
        for (int i = 0; i < x.Length; i++)
        {
            var inner = attr.Tanh ? R.Tanh(R.From(Slope) * (x[i] + R.From(Cubic) * x[i] * x[i] * x[i])) : R.Erf(x[i] * R.From(InverseRoot2));
            y[i] = half * x[i] * (one + inner);
        }
    }

    /// <inheritdoc/>
    public static void ForwardCpu<T>(in OpArgs args, in Attr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        if (attr.Tanh) ElementwiseUnary.Forward<Approximate<T>, T>(args);
        else ElementwiseUnary.Forward<Exact<T>, T>(args);
    }

    /// <inheritdoc/>
    public static void BackwardCpu<T>(in GradArgs args, in Attr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        if (attr.Tanh) ElementwiseUnary.Backward<Approximate<T>, T>(args);
        else ElementwiseUnary.Backward<Exact<T>, T>(args);
    }

    private static readonly CudaKernel ForwardKernel = new("unary", "gelu_forward"), BackwardKernel = new("unary", "gelu_backward"),
        TanhForwardKernel = new("unary", "gelu_tanh_forward"), TanhBackwardKernel = new("unary", "gelu_tanh_backward");

    /// <inheritdoc/>
    public static void ForwardCuda(in OpArgs args, in Attr attr) => ElementwiseUnaryCuda.Forward(attr.Tanh ? TanhForwardKernel : ForwardKernel, args);

    /// <inheritdoc/>
    public static void BackwardCuda(in GradArgs args, in Attr attr) => ElementwiseUnaryCuda.Backward(attr.Tanh ? TanhBackwardKernel : BackwardKernel, args);

    private static V Constant<V, T>(double value) where V : unmanaged, ISimd<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T> => V.Set(T.CreateTruncating(value));

    private readonly struct Exact<T> : IUnary<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Value<V>(V x) where V : unmanaged, ISimd<V, T> 
        {
            V half = Constant<V, T>(0.5);
            return x * V.Fma(half, VectorMath.Erf<V, T>(x * Constant<V, T>(InverseRoot2)), half);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Gradient<V>(V x, V dy) where V : unmanaged, ISimd<V, T> 
        {
            // Phi(x) + x phi(x), phi the density; beyond the limit the second term is below the smallest number.
            V half = Constant<V, T>(0.5), c = Limited<V, T>(x, 40);
            V phi = VectorMath.Exp<V, T>(c * c * Constant<V, T>(-0.5)) * Constant<V, T>(InverseRoot2Pi);
            return dy * V.Ordered(x, V.Fma(c, phi, V.Fma(half, VectorMath.Erf<V, T>(x * Constant<V, T>(InverseRoot2)), half)), x);
        }
    }

    private readonly struct Approximate<T> : IUnary<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Value<V>(V x) where V : unmanaged, ISimd<V, T> 
        {
            V half = Constant<V, T>(0.5);
            return x * V.Fma(half, VectorMath.Tanh<V, T>(Inner<V, T>(Limited<V, T>(x, 12))), half);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Gradient<V>(V x, V dy) where V : unmanaged, ISimd<V, T> 
        {
            // Beyond the limit tanh is 1 to the last place.
            V half = Constant<V, T>(0.5), one = V.Set(T.One), c = Limited<V, T>(x, 12), t = VectorMath.Tanh<V, T>(Inner<V, T>(c));
            V slope = Constant<V, T>(Slope) * V.Fma(c * c, Constant<V, T>(3 * Cubic), one);
            return dy * V.Ordered(x, V.Fma(half * c * slope, (one - t) * (one + t), V.Fma(half, t, half)), x);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V Inner<V, T>(V x) where V : unmanaged, ISimd<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T> =>
        Constant<V, T>(Slope) * V.Fma(x * x * Constant<V, T>(Cubic), x, x);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V Limited<V, T>(V x, double limit) where V : unmanaged, ISimd<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T> =>
        V.Max(V.Min(x, Constant<V, T>(limit)), Constant<V, T>(-limit));

    /// <inheritdoc/>
    public static OpCost Cost(in ShapeRule rule, in Attr attr)
    {
        long n = rule.In(0).Shape.Count, bytes = n * rule.DType.Size();
        return new((attr.Tanh ? 9 : 5) * n, 2 * bytes, (attr.Tanh ? 17 : 11) * n, 3 * bytes);
    }

    /// <inheritdoc/>
    public static IEnumerable<Sample<Attr>> Samples()
    {
        yield return new("small", new(false), SampleInput.Normal(new Shape(2, 7, 5), 3));
        yield return new("edges", new(false), SampleInput.Values(new Shape(11), -100, -12, -5, -1, -1e-6, 0, 1e-6, 1, 5, 12, 100));
        yield return new("one", new(false), SampleInput.Normal(Shape.Scalar));
        yield return new("chunks", new(false), SampleInput.Normal(new Shape(2 * ElementwiseUnary.Chunk + 3), 4));
        yield return new("tanh", new(true), SampleInput.Normal(new Shape(2, 7, 5), 3));
        yield return new("tanh, edges", new(true), SampleInput.Values(new Shape(11), -100, -12, -5, -1, -1e-6, 0, 1e-6, 1, 5, 12, 100));
        yield return new("tanh, chunks", new(true), SampleInput.Normal(new Shape(ElementwiseUnary.Chunk + 1), 2));
        yield return new("bench", new(false), SampleInput.Normal(new Shape(8, 1024, 512))) { Bench = true };
    }
}
