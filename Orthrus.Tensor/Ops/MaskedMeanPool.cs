using System.Numerics;
using Orthrus.Tensor.Cpu;

namespace Orthrus.Tensor;

/// <summary>Mean over the valid positions of every sequence: y[b,d] = sum over t &lt; lengths[b] of x[b,t,d], divided by lengths[b].</summary>
/// <remarks>
/// x (B, L, D), F32 or F64; lengths (B), integers of at least 1; y (B, D). The divisor is the length as given, as upstream has it: a length above L
/// adds all L positions and still divides by itself. On a CUDA device, which does not show its operands to the host, a length below 1 gives NaN. There as on
/// the CPU the order of the sum follows the length alone. Source: Orthrus, mean over unpadded positions after the final norm.
/// </remarks>
/// <exception cref="ShapeException">A length below 1, on the CPU (its mean would be 0/0), or shapes that do not fit.</exception>
public sealed class MaskedMeanPool : IOp<NoAttr>
{
    private const int Chunk = 64;

    /// <inheritdoc/>
    public static string Name => "masked_mean_pool";
    /// <inheritdoc/>
    public static OpSignature Signature { get; } = new([new("x"), new("lengths", OperandKind.Integer)], [new("y", Precision: Precision.Wide)]) { BFloat16 = true };
    /// <inheritdoc/>
    public static Saves Saves => Saves.Inputs;

    /// <inheritdoc/>
    public static void Infer(ref ShapeRule rule, in NoAttr attr)
    {
        var s = rule.Rank(0, 3);
        rule.Exactly(1, new Shape(s[0]));
        rule.Out(0, new Shape(s[0], s[2]));
    }

    /// <inheritdoc/>
    public static void Reference<R>(in RefArgs<R> args, in NoAttr attr) where R : struct, IReal<R>
    {
        R[] x = args.In(0), y = args.Out(0);
        long[] lengths = args.Int(1);
        int L = args.Shape(0)[1], D = args.Shape(0)[2];
        for (int b = 0; b < lengths.Length; b++)
            for (int d = 0; d < D; d++)
            {
                var sum = R.From(0);
                for (int t = 0; t < Math.Min(L, lengths[b]); t++) sum += x[((long)b * L + t) * D + d];
                y[b * D + d] = sum / R.From(lengths[b]);
            }
    }

    /// <inheritdoc/>
    public static unsafe void ForwardCpu<T>(in OpArgs args, in NoAttr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var shape = args.Inputs[0].Shape;
        var job = new ForwardJob<T>
        {
            X = args.Inputs[0].Pointer<T>(), Y = args.Outputs[0].Pointer<T>(), Lengths = new IntegerView(args.Inputs[1]),
            L = shape[1], D = shape[2], Chunks = (shape[2] + Chunk - 1) / Chunk,
        };
        Check(job.Lengths, shape[0]);
        VectorJobs.Run<T, ForwardJob<T>>(args.Workers, args.VectorWidth, shape[0] * job.Chunks, ref job);
    }

    /// <inheritdoc/>
    public static unsafe void BackwardCpu<T>(in GradArgs args, in NoAttr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        if (args.InputGrads[0].IsNone) return;
        var shape = args.InputGrads[0].Shape;
        var job = new BackwardJob<T>
        {
            Dx = args.InputGrads[0].Pointer<T>(), Dy = args.OutputGrads[0].Pointer<T>(), Lengths = new IntegerView(args.Inputs[1]),
            L = shape[1], D = shape[2],
        };
        VectorJobs.Run<T, BackwardJob<T>>(args.Workers, args.VectorWidth, shape[0], ref job);
    }

    /// <inheritdoc/>
    public static void ForwardCuda(in OpArgs args, in NoAttr attr) => MaskedMeanPoolCuda.Forward(args);

    /// <inheritdoc/>
    public static void BackwardCuda(in GradArgs args, in NoAttr attr) => MaskedMeanPoolCuda.Backward(args);

    private static void Check(IntegerView lengths, int count)
    {
        for (int b = 0; b < count; b++)
            if (lengths[b] < 1) throw new ShapeException($"masked_mean_pool: lengths[{b}] is {lengths[b]}; want at least 1: an empty sequence has no mean");
    }

    private unsafe struct ForwardJob<T> : IVectorJob<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        internal T* X, Y;
        internal IntegerView Lengths;
        internal int L, D, Chunks;

        public readonly void Run<V>(int index) where V : unmanaged, ISimd<V, T>
        {
            int b = index / Chunks, from = index % Chunks * Chunk, width = Math.Min(Chunk, D - from);
            // Two levels, block and total, so that rounding does not grow with the length of the sequence.
            T* block = stackalloc T[Chunk];
            T* y = Y + (long)b * D + from;
            int valid = (int)Math.Min(L, Lengths[b]);
            RowMath.Fill(y, T.Zero, width);
            for (int start = 0; start < valid; start += Chunk)
            {
                int end = Math.Min(valid, start + Chunk);
                RowMath.Fill(block, T.Zero, width);
                for (int t = start; t < end; t++) RowMath.Add<V, T>(X + ((long)b * L + t) * D + from, block, width);
                RowMath.Add<V, T>(block, y, width);
            }
            T length = T.CreateTruncating(Lengths[b]);
            for (int d = 0; d < width; d++) y[d] /= length;
        }
    }

    private unsafe struct BackwardJob<T> : IVectorJob<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        internal T* Dx, Dy;
        internal IntegerView Lengths;
        internal int L, D;

        public readonly void Run<V>(int b) where V : unmanaged, ISimd<V, T>
        {
            T* dy = Dy + (long)b * D, dx = Dx + (long)b * L * D;
            int valid = (int)Math.Min(L, Lengths[b]);
            V divisor = V.Set(T.CreateTruncating(Lengths[b]));
            if (valid > 0)
                for (int d = 0; d < D; d += V.Lanes) Edge.Store(dx + d, Edge.Load<V, T>(dy + d, D - d) / divisor, D - d);
            for (int t = 1; t < valid; t++) new ReadOnlySpan<T>(dx, D).CopyTo(new Span<T>(dx + (long)t * D, D));
            RowMath.Fill(dx + (long)valid * D, T.Zero, (long)(L - valid) * D);
        }
    }

    /// <inheritdoc/>
    public static OpCost Cost(in ShapeRule rule, in NoAttr attr)
    {
        long n = rule.In(0).Shape.Count;
        return new(n, rule.AllBytes(), n, rule.AllBytes());
    }

    /// <inheritdoc/>
    public static IEnumerable<Sample<NoAttr>> Samples()
    {
        yield return new("small", default, SampleInput.Normal(new Shape(3, 7, 5)), SampleInput.IntValues(new Shape(3), DType.I32, 1, 7, 4));
        yield return new("long", default, SampleInput.Normal(new Shape(2, 150, 67), 1, 2), SampleInput.IntValues(new Shape(2), DType.I64, 129, 64));
        yield return new("length above L", default, SampleInput.Normal(new Shape(2, 3, 2)), SampleInput.IntValues(new Shape(2), DType.U8, 200, 2));
        // Whole rows: a cost is computed from shapes, and positions behind a length are not read.
        yield return new("bench", default, SampleInput.Normal(new Shape(8, 4096, 512)), SampleInput.IntValues(new Shape(8), DType.I32, 4096)) { Bench = true };
    }
}
