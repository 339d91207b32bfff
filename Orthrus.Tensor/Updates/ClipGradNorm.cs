using System.Numerics;
using System.Runtime.InteropServices;
using Orthrus.Tensor.Cpu;

namespace Orthrus.Tensor;

/// <summary>Scales gradients so that their joint Euclidean norm is at most a limit: g = g min(1, limit / (norm + 1e-6)).</summary>
/// <remarks>
/// List: gradient, F32 or F64, all parameters together. Result: the norm before scaling. Squares are added in double precision whatever the dtype, so
/// that the norm neither overflows nor drifts with the number of parameters. On a CUDA device the norm stays there: nothing waits for it. Source: Pascanu et al. 2013; torch.nn.utils.clip_grad_norm_.
/// </remarks>
public sealed class ClipGradNorm : IStateUpdate<ClipGradNorm.Attr>
{
    /// <summary>Options.</summary>
    /// <param name="MaxNorm">Largest norm; infinity measures without scaling.</param>
    public readonly record struct Attr(double MaxNorm);

    private const double Eps = 1e-6;

    /// <inheritdoc/>
    public static string Name => "clip_grad_norm";
    /// <inheritdoc/>
    public static UpdateSignature Signature { get; } = new([new("gradient", true)], ["norm"]);

    /// <inheritdoc/>
    public static void Reference<R>(in UpdateRefArgs<R> args, in Attr attr) where R : struct, IReal<R>
    {
        var sum = R.From(0);
        foreach (var g in args.List(0))
            for (int i = 0; i < g.Length; i++) sum += g[i] * g[i];
        var norm = R.Sqrt(sum);
        args.Results[0] = norm;
        if (norm.Value + Eps <= attr.MaxNorm) return;
        var factor = R.From(attr.MaxNorm) / (norm + R.From(Eps));
        foreach (var g in args.List(0))
            for (int i = 0; i < g.Length; i++) g[i] *= factor;
    }

    /// <inheritdoc/>
    public static unsafe void RunCpu<T>(in UpdateArgs args, in Attr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var lists = MultiTensor<T>.Of(args);
        double* squares = args.Scratch.Empty(new Shape(lists.Chunks), DType.F64).Pointer<double>();
        var measure = new SquareJob<T> { Lists = lists, Squares = squares };
        args.Workers.Run(lists.Chunks, ref measure);
        double norm = Math.Sqrt(ChunkedSum.Pairwise(squares, lists.Chunks)), factor = attr.MaxNorm / (norm + Eps);
        *args.Results[0].Pointer<T>() = T.CreateTruncating(norm);
        if (factor >= 1) return;
        var scale = new ScaleJob<T> { Lists = lists, Factor = T.CreateTruncating(factor) };
        VectorJobs.Run<T, ScaleJob<T>>(args.Workers, args.VectorWidth, lists.Chunks, ref scale);
    }

    private static readonly CudaKernel Squares = new("updates", "clip_norm_squares"), Finish = new("updates", "clip_norm_finish"), Scale = new("updates", "clip_norm_scale");

    [StructLayout(LayoutKind.Sequential)]
    private struct CudaArgs
    {
        internal MultiTensorCuda Lists;
        internal nint Squares, Norm, Factor;
        internal double Limit;
        internal int First, Blocks;
    }

    /// <inheritdoc/>
    public static void RunCuda(in UpdateArgs args, in Attr attr)
    {
        const int threadsOfFinish = 1024;
        var device = args.Cuda;
        var a = new CudaArgs { Norm = args.Results[0].Address, Factor = args.Scratch.Empty(Shape.Scalar, DType.F32).Address, Limit = attr.MaxNorm, Blocks = MultiTensorCuda.Blocks(args) };
        a.Squares = args.Scratch.Empty(new Shape(a.Blocks), DType.F64).Address;
        for (int next = 0; next < args.Count;)
        {
            int blocks = a.Lists.Take(args, ref next);
            device.Launch(Squares, DType.F32, blocks, MultiTensorCuda.Threads, 0, a);
            a.First += blocks;
        }
        device.Launch(Finish, DType.F32, 1, threadsOfFinish, 0, a);
        for (int next = 0; next < args.Count;)
        {
            int blocks = a.Lists.Take(args, ref next);
            device.Launch(Scale, DType.F32, blocks, MultiTensorCuda.Threads, 0, a);
        }
    }

    private unsafe struct SquareJob<T> : IParallelJob where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        internal MultiTensor<T> Lists;
        internal double* Squares;

        public readonly void Run(int chunk)
        {
            T* g = Lists.At(0, chunk);
            int n = Lists.Length(chunk), i = 0;
            // Four running sums keep the adder busy.
            double s0 = 0, s1 = 0, s2 = 0, s3 = 0;
            for (; i + 4 <= n; i += 4)
            {
                double a = double.CreateTruncating(g[i]), b = double.CreateTruncating(g[i + 1]), c = double.CreateTruncating(g[i + 2]), d = double.CreateTruncating(g[i + 3]);
                s0 += a * a;
                s1 += b * b;
                s2 += c * c;
                s3 += d * d;
            }
            for (; i < n; i++) s0 += double.CreateTruncating(g[i]) * double.CreateTruncating(g[i]);
            Squares[chunk] = s0 + s1 + (s2 + s3);
        }
    }

    private unsafe struct ScaleJob<T> : IVectorJob<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        internal MultiTensor<T> Lists;
        internal T Factor;

        public readonly void Run<V>(int chunk) where V : unmanaged, ISimd<V, T> => RowMath.Scale<V, T>(Factor, Lists.At(0, chunk), Lists.Length(chunk));
    }

    /// <inheritdoc/>
    public static OpCost Cost(long elements, DType dtype, in Attr attr) => new(3 * elements, 3 * elements * dtype.Size(), 0, 0);

    /// <inheritdoc/>
    public static IEnumerable<UpdateSample<Attr>> Samples()
    {
        yield return new("above", new(5), [SampleInput.Normal(new Shape(3, 7), 4), SampleInput.Normal(new Shape(5), 2), SampleInput.Normal(new Shape(1))]);
        yield return new("below", new(1000), [SampleInput.Normal(new Shape(3, 7)), SampleInput.Normal(new Shape(5))]);
        yield return new("several chunks", new(0.5), [SampleInput.Normal(new Shape(2, 9001), 0.1), SampleInput.Normal(new Shape(16384))]);
        yield return new("zero", new(1), [SampleInput.Values(new Shape(6), 0)]);
        yield return new("tiny limit", new(1e-6), [SampleInput.Normal(new Shape(9), 1e-6)]);
        yield return new("bench", new(1), [SampleInput.Normal(new Shape(1 << 22))]) { Bench = true };
    }
}
