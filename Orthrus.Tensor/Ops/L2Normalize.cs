using System.Numerics;
using System.Runtime.InteropServices;
using Orthrus.Tensor.Cpu;

namespace Orthrus.Tensor;

/// <summary>Rows of unit length: y = x / max(||x||, eps), the norm over the last axis.</summary>
/// <remarks>
/// x, y (..., D), F32 or F64. Below eps the divisor is a constant: a zero row gives zero and its gradient is that of y divided by eps, as PyTorch has it.
/// Source: Orthrus' contrastive loss (torch.nn.functional.normalize).
/// </remarks>
public sealed class L2Normalize : IOp<L2Normalize.Attr>
{
    /// <summary>Options.</summary>
    /// <param name="Eps">Least divisor; 1e-12 upstream.</param>
    public readonly record struct Attr(double Eps)
    {
        /// <summary>Upstream's least divisor.</summary>
        public static Attr Default => new(1e-12);
    }

    private const int RowsPerItem = 32;

    /// <inheritdoc/>
    public static string Name => "l2_normalize";
    /// <inheritdoc/>
    public static OpSignature Signature { get; } = new([new("x")], [new("y")]);
    /// <inheritdoc/>
    public static Saves Saves => Saves.Inputs;

    /// <inheritdoc/>
    public static void Infer(ref ShapeRule rule, in Attr attr)
    {
        rule.Require(0, rule.In(0).Shape.Rank >= 1, "is a scalar; want at least one axis");
        rule.Out(0, rule.In(0).Shape);
    }

    /// <inheritdoc/>
    public static void Reference<R>(in RefArgs<R> args, in Attr attr) where R : struct, IReal<R>
    {
        R[] x = args.In(0), y = args.Out(0);
        int D = args.Shape(0).Last;
        for (int row = 0; row < x.Length; row += D)
        {
            var sum = R.From(0);
            for (int d = 0; d < D; d++) sum += x[row + d] * x[row + d];
            // The branch comes before the root, whose derivative at zero is infinite.
            var divisor = Math.Sqrt(sum.Value) > attr.Eps ? R.Sqrt(sum) : R.From(attr.Eps);
            for (int d = 0; d < D; d++) y[row + d] = x[row + d] / divisor;
        }
    }

    /// <inheritdoc/>
    public static unsafe void ForwardCpu<T>(in OpArgs args, in Attr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var shape = args.Inputs[0].Shape;
        var job = new Job<T>
        {
            X = args.Inputs[0].Pointer<T>(), Y = args.Outputs[0].Pointer<T>(), Rows = shape.Rows, D = shape.Last, Eps = T.CreateTruncating(attr.Eps),
        };
        VectorJobs.Run<T, Job<T>>(args.Workers, args.VectorWidth, job.Items, ref job);
    }

    /// <inheritdoc/>
    public static unsafe void BackwardCpu<T>(in GradArgs args, in Attr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        if (args.InputGrads[0].IsNone) return;
        var shape = args.Inputs[0].Shape;
        var job = new Job<T>
        {
            X = args.Inputs[0].Pointer<T>(), Y = args.InputGrads[0].Pointer<T>(), Dy = args.OutputGrads[0].Pointer<T>(), Rows = shape.Rows,
            D = shape.Last, Eps = T.CreateTruncating(attr.Eps),
        };
        VectorJobs.Run<T, Job<T>>(args.Workers, args.VectorWidth, job.Items, ref job);
    }

    private unsafe struct Job<T> : IVectorJob<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        internal T* X, Y, Dy;
        internal T Eps;
        internal long Rows;
        internal int D;

        internal readonly int Items => checked((int)((Rows + RowsPerItem - 1) / RowsPerItem));

        public readonly void Run<V>(int index) where V : unmanaged, ISimd<V, T>
        {
            long end = Math.Min(Rows, (index + 1L) * RowsPerItem);
            for (long row = (long)index * RowsPerItem; row < end; row++)
            {
                T* x = X + row * D, y = Y + row * D;
                T norm = T.Sqrt(RowMath.Dot<V, T>(x, x, D));
                T divisor = norm > Eps ? norm : Eps;
                // dx = (dy - u (u . dy)) / norm with u = x / norm; u waits in the result. Products of u cannot underflow as those of x would.
                V by = V.Set(divisor);
                for (int d = 0; d < D; d += V.Lanes) Edge.Store(y + d, Edge.Load<V, T>(x + d, D - d) / by, D - d);
                if (Dy is null) continue;
                T* dy = Dy + row * D;
                T along = norm > Eps ? RowMath.Dot<V, T>(y, dy, D) : T.Zero;
                V part = V.Set(along);
                for (int d = 0; d < D; d += V.Lanes) Edge.Store(y + d, (Edge.Load<V, T>(dy + d, D - d) - Edge.Load<V, T>(y + d, D - d) * part) / by, D - d);
            }
        }
    }

    private const int WarpsPerBlock = 8;

    private static readonly CudaKernel ForwardKernel = new("l2_normalize", "l2_normalize_forward"), BackwardKernel = new("l2_normalize", "l2_normalize_backward");

    [StructLayout(LayoutKind.Sequential)]
    private struct CudaArgs
    {
        internal nint X, Dy, To;
        internal long Rows;
        internal int Width, Vector;
        internal float Eps;
    }

    /// <inheritdoc/>
    public static void ForwardCuda(in OpArgs args, in Attr attr) => Launch(ForwardKernel, args.Cuda, args.Inputs[0], 0, args.Outputs[0], attr);

    /// <inheritdoc/>
    public static void BackwardCuda(in GradArgs args, in Attr attr)
    {
        if (!args.InputGrads[0].IsNone) Launch(BackwardKernel, args.Cuda, args.Inputs[0], args.OutputGrads[0].Address, args.InputGrads[0], attr);
    }

    private static void Launch(CudaKernel kernel, CudaDevice device, in Tensor x, nint dy, in Tensor to, in Attr attr)
    {
        var a = new CudaArgs { X = x.Address, Dy = dy, To = to.Address, Rows = x.Shape.Rows, Width = x.Shape.Last, Eps = (float)attr.Eps };
        a.Vector = Quads.Fit(a.Width, a.X | a.Dy | a.To);
        device.Launch(kernel, DType.F32, CudaGrid.Cover(a.Rows, WarpsPerBlock), WarpsPerBlock * 32, 0, a);
    }

    /// <inheritdoc/>
    public static OpCost Cost(in ShapeRule rule, in Attr attr)
    {
        long n = rule.In(0).Shape.Count, size = rule.DType.Size();
        return new(3 * n, 2 * n * size, 8 * n, 3 * n * size);
    }

    /// <inheritdoc/>
    public static IEnumerable<Sample<Attr>> Samples()
    {
        yield return new("small", Attr.Default, SampleInput.Normal(new Shape(4, 3)));
        yield return new("many rows", Attr.Default, SampleInput.Normal(new Shape(3, 23, 33), 2));
        yield return new("below eps", new Attr(0.5), SampleInput.Values(new Shape(3, 4), 0.1, -0.2, 0.3, 0.1, 1, 2, -3, 0.5, 0, 0, 0, 0));
        yield return new("tiny", Attr.Default, SampleInput.Normal(new Shape(5, 8), 1e-6));
        yield return new("bench", Attr.Default, SampleInput.Normal(new Shape(4096, 128))) { Bench = true };
    }
}
