using System.Numerics;

namespace Orthrus.Tensor;

/// <summary>y = x W' + b over the last axis.</summary>
/// <remarks>x (..., K), weight (O, K), bias (O), y (..., O), F32 or F64. Source: torch.nn.Linear.</remarks>
public sealed class Linear : IOp<NoAttr>
{
    private const int RowBlock = 32, OutBlock = 16;

    /// <inheritdoc/>
    public static string Name => "linear";
    /// <inheritdoc/>
    public static OpSignature Signature { get; } = new([new("x"), new("weight"), new("bias", Optional: true)], [new("y")]);
    /// <inheritdoc/>
    public static Saves Saves => Saves.Inputs;

    /// <inheritdoc/>
    public static void Infer(ref ShapeRule rule, in NoAttr attr)
    {
        var w = rule.Rank(1, 2);
        var x = rule.In(0).Shape;
        if (x.Rank < 1 || x.Last != w[1]) throw rule.Wrong(0, $"has shape {x}; want rows of {w[1]}");
        rule.Exactly(2, new Shape(w[0]));
        rule.Out(0, x.WithLast(w[0]));
    }

    /// <inheritdoc/>
    public static void Reference<R>(in RefArgs<R> args, in NoAttr attr) where R : struct, IReal<R>
    {
        R[] x = args.In(0), w = args.In(1), b = args.In(2), y = args.Out(0);
        int k = args.Shape(1)[1], o = args.Shape(1)[0];
        for (int r = 0; r < x.Length / Math.Max(1, k); r++)
            for (int j = 0; j < o; j++)
            {
                var s = R.From(0);
                for (int i = 0; i < k; i++) s += x[r * k + i] * w[j * k + i];
                y[r * o + j] = args.Has(2) ? s + b[j] : s;
            }
    }

    /// <inheritdoc/>
    public static unsafe void ForwardCpu<T>(in OpArgs args, in NoAttr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var s = args.Inputs[1].Shape;
        var job = new Job<T>
        {
            X = args.Inputs[0].Pointer<T>(), W = args.Inputs[1].Pointer<T>(), B = args.Inputs[2].IsNone ? null : args.Inputs[2].Pointer<T>(), Y = args.Outputs[0].Pointer<T>(),
            K = s[1], O = s[0], Rows = args.Inputs[0].Shape.Rows,
        };
        args.Workers.Run((int)((job.Rows + RowBlock - 1) / RowBlock), ref job);
    }

    private unsafe struct Job<T> : IParallelJob where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        internal T* X, W, B, Y;
        internal int K, O;
        internal long Rows;

        public readonly void Run(int index)
        {
            long last = Math.Min(Rows, (index + 1L) * RowBlock);
            for (int j = 0; j < O; j++)
                for (long r = index * (long)RowBlock; r < last; r++)
                {
                    T* x = X + r * K, w = W + (long)j * K;
                    var v = Vector<T>.Zero;
                    int i = 0;
                    for (; i <= K - Vector<T>.Count; i += Vector<T>.Count) v += Vector.Load(x + i) * Vector.Load(w + i);
                    T s = Vector.Sum(v);
                    for (; i < K; i++) s += x[i] * w[i];
                    Y[r * O + j] = B is null ? s : s + B[j];
                }
        }
    }

    /// <inheritdoc/>
    public static unsafe void BackwardCpu<T>(in GradArgs args, in NoAttr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var s = args.Inputs[1].Shape;
        var job = new BackJob<T>
        {
            X = args.Inputs[0].Pointer<T>(), W = args.Inputs[1].Pointer<T>(), Dy = args.OutputGrads[0].Pointer<T>(),
            Dx = args.InputGrads[0].IsNone ? null : args.InputGrads[0].Pointer<T>(), Dw = args.InputGrads[1].IsNone ? null : args.InputGrads[1].Pointer<T>(),
            Db = args.InputGrads[2].IsNone ? null : args.InputGrads[2].Pointer<T>(), K = s[1], O = s[0], Rows = args.Inputs[0].Shape.Rows,
        };
        job.RowItems = (int)((job.Rows + RowBlock - 1) / RowBlock);
        args.Workers.Run(job.RowItems + (s[0] + OutBlock - 1) / OutBlock, ref job);
    }

    private unsafe struct BackJob<T> : IParallelJob where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        internal T* X, W, Dy, Dx, Dw, Db;
        internal int K, O, RowItems;
        internal long Rows;

        public readonly void Run(int index)
        {
            if (index < RowItems)
            {
                if (Dx is null) return;
                for (long r = index * (long)RowBlock; r < Math.Min(Rows, (index + 1L) * RowBlock); r++)
                {
                    new Span<T>(Dx + r * K, K).Clear();
                    for (int j = 0; j < O; j++) Axpy(Dy[r * O + j], W + (long)j * K, Dx + r * K);
                }
                return;
            }
            for (int j = (index - RowItems) * OutBlock; j < Math.Min(O, (index - RowItems + 1) * OutBlock); j++)
            {
                if (Dw is not null)
                {
                    new Span<T>(Dw + (long)j * K, K).Clear();
                    for (long r = 0; r < Rows; r++) Axpy(Dy[r * O + j], X + r * K, Dw + (long)j * K);
                }
                if (Db is null) continue;
                T s = T.Zero;
                for (long r = 0; r < Rows; r++) s += Dy[r * O + j];
                Db[j] = s;
            }
        }

        private readonly void Axpy(T a, T* x, T* y)
        {
            int i = 0;
            var v = new Vector<T>(a);
            for (; i <= K - Vector<T>.Count; i += Vector<T>.Count) Vector.Store(Vector.Load(y + i) + v * Vector.Load(x + i), y + i);
            for (; i < K; i++) y[i] += a * x[i];
        }
    }

    /// <inheritdoc/>
    public static OpCost Cost(in ShapeRule rule, in NoAttr attr)
    {
        long n = rule.In(0).Shape.Rows * rule.In(1).Shape.Count;
        return new(2 * n, rule.AllBytes(), 4 * n, 2 * rule.AllBytes());
    }

    /// <inheritdoc/>
    public static IEnumerable<Sample<NoAttr>> Samples()
    {
        yield return new("bias", default, SampleInput.Normal(new Shape(2, 3, 5)), SampleInput.Normal(new Shape(4, 5)), SampleInput.Normal(new Shape(4)));
        yield return new("plain", default, SampleInput.Normal(new Shape(37, 33)), SampleInput.Normal(new Shape(19, 33)), SampleInput.Absent);
    }
}
