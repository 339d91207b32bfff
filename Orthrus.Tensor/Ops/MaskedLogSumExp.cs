using System.Numerics;

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
        args.Workers.Run((shape[0] + RowsPerItem - 1) / RowsPerItem, ref job);
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
        args.Workers.Run((shape[0] + RowsPerItem - 1) / RowsPerItem, ref job);
    }

    private unsafe struct Job<T> : IParallelJob where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        internal T* S, Y, Ds, Dy;
        internal int N, M, Offset;

        public readonly void Run(int item)
        {
            for (int i = item * RowsPerItem; i < Math.Min(N, (item + 1) * RowsPerItem); i++)
            {
                T* s = S + (long)i * M;
                if (Ds is not null) Gradient(s, Ds + (long)i * M, Dy[i], Offset + i);
                else Y[i] = LogSumExp(s, Offset + i);
            }
        }

        private readonly T LogSumExp(T* s, int masked)
        {
            T max = Max(s, masked), sum = T.Zero;
            for (int j = 0; j < M; j++)
                if (j != masked) sum += T.Exp(s[j] - max);
            return max + T.Log(sum);
        }

        /// <summary>ds = dy softmax(s), from the row itself: exp(s - y) would carry the rounding of a large y.</summary>
        private readonly void Gradient(T* s, T* ds, T dy, int masked)
        {
            T max = Max(s, masked), sum = T.Zero;
            for (int j = 0; j < M; j++)
            {
                ds[j] = j == masked ? T.Zero : T.Exp(s[j] - max);
                sum += ds[j];
            }
            for (int j = 0; j < M; j++) ds[j] = ds[j] / sum * dy;
        }

        private readonly T Max(T* s, int masked)
        {
            T max = T.NegativeInfinity;
            for (int j = 0; j < M; j++)
                if (j != masked) max = T.Max(max, s[j]);
            return max;
        }
    }

    /// <inheritdoc/>
    public static OpCost Cost(in ShapeRule rule, in Attr attr)
    {
        long n = rule.In(0).Shape.Count, size = rule.DType.Size();
        return new(4 * n, n * size, 3 * n, 2 * n * size);
    }

    /// <inheritdoc/>
    public static IEnumerable<Sample<Attr>> Samples()
    {
        yield return new("square", new(0), SampleInput.Normal(new Shape(5, 5), 3));
        yield return new("offset", new(4), SampleInput.Normal(new Shape(3, 9), 3));
        yield return new("several items", new(7), SampleInput.Normal(new Shape(33, 40), 4));
        yield return new("two columns", new(0), SampleInput.Normal(new Shape(2, 2)));
        yield return new("spread", new(1), SampleInput.Normal(new Shape(3, 6), 60, 500));
        yield return new("bench", new(0), SampleInput.Normal(new Shape(1024, 1024), 3)) { Bench = true };
    }
}
