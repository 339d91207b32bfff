using System.Numerics;
using System.Runtime.InteropServices;
using Orthrus.Tensor.Cpu;

namespace Orthrus.Tensor;

/// <summary>Log of the sum of exponentials of every row, one column left out: y[i] = log of the sum over j != offset + i of exp(s[i,j]).</summary>
/// <remarks>s (n, m) with m of at least 2, F32 or F64; y (n). 0 &lt;= offset and offset + n &lt;= m. Source: the negatives of Orthrus' contrastive loss.</remarks>
public sealed class MaskedLogSumExp : IOp<MaskedLogSumExp.Attr>
{
    /// <summary>Options.</summary>
    /// <param name="Offset">Column that row 0 leaves out.</param>
    public readonly record struct Attr(int Offset);

    private const int RowsPerItem = 16;

    /// <inheritdoc/>
    public static string Name => "masked_log_sum_exp";
    /// <inheritdoc/>
    public static OpSignature Signature { get; } = new([new("s")], [new("y")]);
    /// <inheritdoc/>
    public static Saves Saves => Saves.Inputs;

    /// <inheritdoc/>
    public static void Infer(ref ShapeRule rule, in Attr attr)
    {
        var s = rule.Rank(0, 2);
        rule.Require(0, s[1] >= 2, $"has shape {s}; want at least two columns: one is left out");
        rule.Require(0, attr.Offset >= 0 && attr.Offset + (long)s[0] <= s[1], $"has shape {s}; row i has no column {attr.Offset} + i to leave out");
        rule.Out(0, new Shape(s[0]));
    }

    /// <inheritdoc/>
    public static void Reference<R>(in RefArgs<R> args, in Attr attr) where R : struct, IReal<R>
    {
        R[] s = args.In(0), y = args.Out(0);
        int n = args.Shape(0)[0], m = args.Shape(0)[1];
        for (int i = 0; i < n; i++)
        {
            int masked = attr.Offset + i;
            var max = s[i * m + (masked == 0 ? 1 : 0)];
            for (int j = 0; j < m; j++) if (j != masked) max = Real.Max(max, s[i * m + j]);
            var sum = R.From(0);
            for (int j = 0; j < m; j++) if (j != masked) sum += R.Exp(s[i * m + j] - max);
            y[i] = max + R.Log(sum);
        }
    }

    /// <inheritdoc/>
    public static unsafe void ForwardCpu<T>(in OpArgs args, in Attr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var shape = args.Inputs[0].Shape;
        var job = new Job<T> { S = args.Inputs[0].Pointer<T>(), Y = args.Outputs[0].Pointer<T>(), N = shape[0], M = shape[1], Offset = attr.Offset };
        VectorJobs.Run<T, Job<T>>(args.Workers, args.VectorWidth, (shape[0] + RowsPerItem - 1) / RowsPerItem, ref job);
    }

    /// <inheritdoc/>
    public static unsafe void BackwardCpu<T>(in GradArgs args, in Attr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        if (args.InputGrads[0].IsNone) return;
        var shape = args.Inputs[0].Shape;
        var job = new Job<T>
        {
            S = args.Inputs[0].Pointer<T>(), Ds = args.InputGrads[0].Pointer<T>(), Dy = args.OutputGrads[0].Pointer<T>(),
            N = shape[0], M = shape[1], Offset = attr.Offset,
        };
        VectorJobs.Run<T, Job<T>>(args.Workers, args.VectorWidth, (shape[0] + RowsPerItem - 1) / RowsPerItem, ref job);
    }

    private unsafe struct Job<T> : IVectorJob<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        internal T* S, Y, Ds, Dy;
        internal int N, M, Offset;

        public readonly void Run<V>(int item) where V : unmanaged, ISimd<V, T>
        {
            for (int i = item * RowsPerItem; i < Math.Min(N, (item + 1) * RowsPerItem); i++)
            {
                T* s = S + (long)i * M;
                int masked = Offset + i;
                if (Ds is not null) Gradient<V>(s, Ds + (long)i * M, Dy[i], masked);
                else
                {
                    T max = Max<V>(s, masked);
                    Y[i] = max + T.Log(ExpSum<V>(s, max, null, masked));
                }
            }
        }

        /// <summary>ds = dy softmax(s), from the row itself: exp(s - y) would carry the rounding of a large y.</summary>
        private readonly void Gradient<V>(T* s, T* ds, T dy, int masked) where V : unmanaged, ISimd<V, T>
        {
            T sum = ExpSum<V>(s, Max<V>(s, masked), ds, masked);
            ds[masked] = T.Zero;
            RowMath.Scale<V, T>(dy / sum, ds, M);
        }

        private readonly T ExpSum<V>(T* s, T max, T* e, int masked) where V : unmanaged, ISimd<V, T>
        {
            int after = masked + 1;
            return RowMath.ExpSum<V, T>(s, max, e, masked) + RowMath.ExpSum<V, T>(s + after, max, e is null ? null : e + after, M - after);
        }

        private readonly T Max<V>(T* s, int masked) where V : unmanaged, ISimd<V, T> =>
            RowMath.Max<V, T>(s + masked + 1, M - masked - 1, RowMath.Max<V, T>(s, masked, T.NegativeInfinity));
    }

    private const int Threads = 128;

    private static readonly CudaKernel ForwardKernel = new("masked_log_sum_exp", "masked_log_sum_exp_forward"), BackwardKernel = new("masked_log_sum_exp", "masked_log_sum_exp_backward");

    [StructLayout(LayoutKind.Sequential)]
    private struct CudaArgs
    {
        internal nint S, Dy, To;
        internal long Columns;
        internal int Offset, Vector;
    }

    /// <inheritdoc/>
    public static void ForwardCuda(in OpArgs args, in Attr attr) => Launch(ForwardKernel, args.Cuda, args.Inputs[0], 0, args.Outputs[0].Address, 0, attr);

    /// <inheritdoc/>
    public static void BackwardCuda(in GradArgs args, in Attr attr)
    {
        if (args.InputGrads[0].IsNone) return;
        nint ds = args.InputGrads[0].Address;
        Launch(BackwardKernel, args.Cuda, args.Inputs[0], args.OutputGrads[0].Address, ds, ds, attr);
    }

    private static void Launch(CudaKernel kernel, CudaDevice device, in Tensor s, nint dy, nint to, nint rows, in Attr attr)
    {
        int n = s.Shape[0], m = s.Shape[1];
        var a = new CudaArgs { S = s.Address, Dy = dy, To = to, Columns = m, Offset = attr.Offset, Vector = Quads.Fit(m, s.Address | rows) };
        device.Launch(kernel, DType.F32, n, Threads, 0, a);
    }

    /// <inheritdoc/>
    public static OpCost Cost(in ShapeRule rule, in Attr attr)
    {
        long n = rule.In(0).Shape.Count;
        return new(4 * n, rule.AllBytes(), 3 * n, rule.GradientBytes() + rule.InBytes(0));
    }

    /// <inheritdoc/>
    public static IEnumerable<Sample<Attr>> Samples()
    {
        yield return new("square", new(0), SampleInput.Normal(new Shape(5, 5), 3));
        yield return new("offset", new(4), SampleInput.Normal(new Shape(3, 9), 3));
        yield return new("several items", new(7), SampleInput.Normal(new Shape(33, 40), 4));
        yield return new("two columns", new(0), SampleInput.Normal(new Shape(2, 2)));
        yield return new("spread", new(1), SampleInput.Normal(new Shape(3, 6), 60, 500));
        yield return new("largest last", new(0), SampleInput.Values(new Shape(3, 7), 1, -2, 0, 3, 2, -1, 400));
        yield return new("bench", new(0), SampleInput.Normal(new Shape(1024, 1024), 3)) { Bench = true };
    }
}
