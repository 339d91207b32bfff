using System.Numerics;
using System.Runtime.InteropServices;
using Orthrus.Tensor.Cpu;

namespace Orthrus.Tensor;

/// <summary>Weights of the attraction by similarity: w[i] = 2 - n softmax(z0_i . z1_i / sigma)[i] over the local samples; no gradient.</summary>
/// <remarks>z0, z1 (n, D), rows of unit length, F32 or F64; weight (n). Source: Yeh et al. 2022 (von Mises-Fisher weights, DCLW); sigma 0.5 there.</remarks>
public sealed class DclwWeights : IOp<DclwWeights.Attr>
{
    /// <summary>Options.</summary>
    /// <param name="Sigma">Temperature of the weights.</param>
    public readonly record struct Attr(double Sigma);

    /// <inheritdoc/>
    public static string Name => "dclw_weights";
    /// <inheritdoc/>
    public static OpSignature Signature { get; } = new([new("z0", OperandKind.Constant), new("z1", OperandKind.Constant)], [new("weight", OperandKind.Constant)]);
    /// <inheritdoc/>
    public static Saves Saves => Saves.None;

    /// <inheritdoc/>
    public static void Infer(ref ShapeRule rule, in Attr attr)
    {
        var z = rule.Rank(0, 2);
        rule.Exactly(1, z);
        rule.Out(0, new Shape(z[0]));
    }

    /// <inheritdoc/>
    public static void Reference<R>(in RefArgs<R> args, in Attr attr) where R : struct, IReal<R>
    {
        R[] z0 = args.In(0), z1 = args.In(1), w = args.Out(0);
        int D = args.Shape(0)[1], n = w.Length;
        var s = new R[n];
        for (int i = 0; i < n; i++)
        {
            s[i] = R.From(0);
            for (int d = 0; d < D; d++) s[i] += z0[i * D + d] * z1[i * D + d];
            s[i] *= R.From(1 / attr.Sigma);
        }
        var max = R.From(double.NegativeInfinity);
        for (int i = 0; i < n; i++) max = Real.Max(s[i], max);
        var sum = R.From(0);
        for (int i = 0; i < n; i++) sum += R.Exp(s[i] - max);
        for (int i = 0; i < n; i++) w[i] = R.From(2) - R.From(n) * R.Exp(s[i] - max) / sum;
    }

    /// <inheritdoc/>
    public static unsafe void ForwardCpu<T>(in OpArgs args, in Attr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var code = new Code<T>
        {
            Z0 = args.Inputs[0].Pointer<T>(), Z1 = args.Inputs[1].Pointer<T>(), Weight = args.Outputs[0].Pointer<T>(), N = args.Inputs[0].Shape[0],
            D = args.Inputs[0].Shape[1], Scale = T.CreateTruncating(1 / attr.Sigma),
        };
        SimdDispatch.Run<T, Code<T>>(args.VectorWidth, ref code);
    }

    private unsafe struct Code<T> : IVectorCode<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        internal T* Z0, Z1, Weight;
        internal int N, D;
        internal T Scale;

        public readonly void Run<V>() where V : unmanaged, ISimd<V, T>
        {
            for (int i = 0; i < N; i++) Weight[i] = RowMath.Dot<V, T>(Z0 + (long)i * D, Z1 + (long)i * D, D) * Scale;
            RowMath.ExpSum<V, T>(Weight, RowMath.Max<V, T>(Weight, N, T.NegativeInfinity), Weight, N);
            T sum = ChunkedSum.Pairwise(Weight, N), count = T.CreateTruncating(N), two = T.One + T.One;
            for (int i = 0; i < N; i++) Weight[i] = two - count * Weight[i] / sum;
        }
    }

    /// <inheritdoc/>
    /// <remarks>Nothing to do: the loss takes the weights as constants.</remarks>
    public static void BackwardCpu<T>(in GradArgs args, in Attr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T> { }

    private const int WarpsPerBlock = 8, TotalThreads = 1024;

    private static readonly CudaKernel SimilaritiesKernel = new("dclw_weights", "dclw_similarities"), WeightsKernel = new("dclw_weights", "dclw_weights");

    [StructLayout(LayoutKind.Sequential)]
    private struct CudaArgs
    {
        internal nint Z0, Z1, To;
        internal int N, Width, Vector;
        internal float Scale;
    }

    /// <inheritdoc/>
    public static void ForwardCuda(in OpArgs args, in Attr attr)
    {
        var a = new CudaArgs
        {
            Z0 = args.Inputs[0].Address, Z1 = args.Inputs[1].Address, To = args.Outputs[0].Address, N = args.Inputs[0].Shape[0], Width = args.Inputs[0].Shape[1],
            Scale = (float)(1 / attr.Sigma),
        };
        a.Vector = Quads.Fit(a.Width, a.Z0 | a.Z1);
        args.Cuda.Launch(SimilaritiesKernel, DType.F32, CudaGrid.Cover(a.N, WarpsPerBlock), WarpsPerBlock * 32, 0, a);
        args.Cuda.Launch(WeightsKernel, DType.F32, 1, TotalThreads, 0, a);
    }

    /// <inheritdoc/>
    /// <remarks>Nothing to do, as on the CPU.</remarks>
    public static void BackwardCuda(in GradArgs args, in Attr attr) { }

    /// <inheritdoc/>
    public static OpCost Cost(in ShapeRule rule, in Attr attr) => new(2 * rule.In(0).Shape.Count + 6L * rule.In(0).Shape[0], rule.AllBytes(), 0, 0);

    /// <inheritdoc/>
    public static IEnumerable<Sample<Attr>> Samples()
    {
        yield return new("small", new(0.5), SampleInput.Normal(new Shape(7, 5), 0.5), SampleInput.Normal(new Shape(7, 5), 0.5));
        yield return new("one", new(1), SampleInput.Normal(new Shape(1, 9)), SampleInput.Normal(new Shape(1, 9)));
        yield return new("many", new(0.7), SampleInput.Normal(new Shape(41, 12), 0.3), SampleInput.Normal(new Shape(41, 12), 0.3));
    }
}
