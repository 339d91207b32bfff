using System.Numerics;

namespace Orthrus.Tensor;

/// <summary>Cross-entropy of logits against class indices: log of the sum of exp(logits), minus the logit of the label.</summary>
/// <remarks>
/// logits (..., V), F32 or F64; labels: the leading axes, integers in [0, V) or the ignored one; loss: scalar, or the labels' shape without reduction.
/// Ignored positions give 0 and no gradient, and do not count in the mean. A mean over no position is 0 (PyTorch has NaN there). Source: torch.nn.CrossEntropyLoss.
/// </remarks>
/// <exception cref="ShapeException">On the CPU, a label outside [0, V) that is not the ignored one; on a CUDA device it gives NaN.</exception>
public sealed partial class CrossEntropy : IOp<CrossEntropy.Attr>
{
    /// <summary>Options.</summary>
    /// <param name="Reduction">Mean over positions that are not ignored, sum or one value per position.</param>
    /// <param name="IgnoreIndex">Label of positions that do not count; -100 upstream. U8 labels cannot express it: take 255 there.</param>
    public readonly record struct Attr(Reduction Reduction, long IgnoreIndex = -100);

    private const int RowsPerItem = 256;

    /// <inheritdoc/>
    public static string Name => "cross_entropy";
    /// <inheritdoc/>
    public static OpSignature Signature { get; } = new([new("logits"), new("labels", OperandKind.Integer)], [new("loss")]);
    /// <inheritdoc/>
    public static Saves Saves => Saves.Inputs;

    /// <inheritdoc/>
    public static void Infer(ref ShapeRule rule, in Attr attr)
    {
        var s = rule.In(0).Shape;
        rule.Require(0, s.Rank >= 2 && s.Last > 0, $"has shape {s}; want (..., V) with at least one class");
        var rows = s.Rank switch { 2 => new Shape(s[0]), 3 => new Shape(s[0], s[1]), _ => new Shape(s[0], s[1], s[2]) };
        rule.Exactly(1, rows);
        rule.Out(0, attr.Reduction == Reduction.None ? rows : Shape.Scalar);
    }

    /// <inheritdoc/>
    public static void Reference<R>(in RefArgs<R> args, in Attr attr) where R : struct, IReal<R>
    {
        R[] x = args.In(0), loss = args.Out(0);
        long[] labels = args.Int(1);
        int V = args.Shape(0).Last, valid = 0;
        var total = R.From(0);
        for (int row = 0; row < labels.Length; row++)
        {
            if (labels[row] == attr.IgnoreIndex) continue;
            valid++;
            // Relative to the largest logit, which is then taken against the label's: neither overflows, and large logits cancel exactly.
            var max = x[row * V];
            for (int v = 1; v < V; v++) max = Real.Max(max, x[row * V + v]);
            var sum = R.From(0);
            for (int v = 0; v < V; v++) sum += R.Exp(x[row * V + v] - max);
            var term = R.Log(sum) + (max - x[row * V + labels[row]]);
            if (attr.Reduction == Reduction.None) loss[row] = term;
            else total += term;
        }
        if (attr.Reduction == Reduction.Sum) loss[0] = total;
        if (attr.Reduction == Reduction.Mean && valid > 0) loss[0] = total / R.From(valid);
    }

    /// <inheritdoc/>
    public static unsafe void ForwardCpu<T>(in OpArgs args, in Attr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var job = new Job<T>(args.Inputs, attr);
        long valid = job.CountValid();
        int items = checked((int)((job.Rows + RowsPerItem - 1) / RowsPerItem));
        T* loss = args.Outputs[0].Pointer<T>();
        bool perRow = attr.Reduction == Reduction.None;
        if (perRow) job.PerRow = loss;
        else job.PerItem = args.Scratch.Empty(new Shape(items), args.Outputs[0].DType).Pointer<T>();
        args.Workers.Run(items, ref job);
        if (perRow) return;
        T sum = ChunkedSum.Pairwise(job.PerItem, items);
        *loss = attr.Reduction == Reduction.Mean && valid > 0 ? sum / T.CreateTruncating(valid) : sum;
    }

    /// <inheritdoc/>
    public static unsafe void BackwardCpu<T>(in GradArgs args, in Attr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        if (args.InputGrads[0].IsNone) return;
        var job = new Job<T>(args.Inputs, attr) { Dx = args.InputGrads[0].Pointer<T>(), Dy = args.OutputGrads[0].Pointer<T>() };
        job.DyPerRow = attr.Reduction == Reduction.None;
        job.Divisor = attr.Reduction == Reduction.Mean ? T.CreateTruncating(job.CountValid()) : T.One;
        args.Workers.Run(checked((int)((job.Rows + RowsPerItem - 1) / RowsPerItem)), ref job);
    }

    private unsafe struct Job<T> : IParallelJob where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        internal T* X, PerRow, PerItem, Dx, Dy;
        internal IntegerView Labels;
        internal long Ignore, Rows;
        internal int V;
        internal bool DyPerRow;
        internal T Divisor;

        internal Job(ReadOnlySpan<Tensor> inputs, in Attr attr)
        {
            X = inputs[0].Pointer<T>();
            Labels = new IntegerView(inputs[1]);
            Ignore = attr.IgnoreIndex;
            Rows = inputs[1].Count;
            V = inputs[0].Shape.Last;
        }

        /// <summary>Number of positions that count; checks the labels.</summary>
        internal readonly long CountValid()
        {
            long valid = 0;
            for (long row = 0; row < Rows; row++)
            {
                long label = Labels[row];
                if (label == Ignore) continue;
                if ((ulong)label >= (ulong)V) throw new ShapeException($"cross_entropy: labels[{row}] is {label}; want 0 to {V - 1}, or {Ignore} to ignore it");
                valid++;
            }
            return valid;
        }

        public readonly void Run(int item)
        {
            long end = Math.Min(Rows, (item + 1L) * RowsPerItem);
            T total = T.Zero;
            for (long row = (long)item * RowsPerItem; row < end; row++)
            {
                T loss = Dx is null ? Loss(row) : T.Zero;
                if (Dx is not null) Gradient(row);
                else if (PerRow is not null) PerRow[row] = loss;
                total += loss;
            }
            if (PerItem is not null) PerItem[item] = total;
        }

        private readonly T Loss(long row)
        {
            long label = Labels[row];
            if (label == Ignore) return T.Zero;
            T* x = X + row * V;
            T max = Max(x), sum = T.Zero;
            for (int v = 0; v < V; v++) sum += T.Exp(x[v] - max);
            return T.Log(sum) + (max - x[label]);
        }

        private readonly void Gradient(long row)
        {
            long label = Labels[row];
            T* x = X + row * V, dx = Dx + row * V;
            if (label == Ignore)
            {
                RowMath.Fill(dx, T.Zero, V);
                return;
            }
            T max = Max(x), sum = T.Zero, scale = (DyPerRow ? Dy[row] : *Dy) / Divisor;
            for (int v = 0; v < V; v++)
            {
                dx[v] = T.Exp(x[v] - max);
                sum += dx[v];
            }
            // The label's p - 1 is minus the sum of the other p: a confident row must not lose its gradient to cancellation.
            T others = T.Zero;
            for (int v = 0; v < V; v++)
            {
                if (v != label) others += dx[v];
                dx[v] = dx[v] / sum * scale;
            }
            dx[label] = -(others / sum * scale);
        }

        private readonly T Max(T* x)
        {
            T max = x[0];
            for (int v = 1; v < V; v++) max = T.Max(max, x[v]);
            return max;
        }
    }

    /// <inheritdoc/>
    public static OpCost Cost(in ShapeRule rule, in Attr attr)
    {
        long n = rule.In(0).Shape.Count;
        return new(4 * n, rule.AllBytes(), 6 * n, rule.GradientBytes() + rule.InBytes(0) + rule.InBytes(1));
    }

    /// <inheritdoc/>
    public static IEnumerable<Sample<Attr>> Samples()
    {
        yield return new("mean", new(Reduction.Mean), SampleInput.Normal(new Shape(2, 5, 4), 3), SampleInput.IntValues(new Shape(2, 5), DType.I64, 0, -100, 3, 2, 1, 2));
        yield return new("sum", new(Reduction.Sum), SampleInput.Normal(new Shape(7, 3)), SampleInput.IntValues(new Shape(7), DType.U8, 2, 0, 1, 1));
        yield return new("none", new(Reduction.None, 1), SampleInput.Normal(new Shape(6, 5), 4), SampleInput.IntValues(new Shape(6), DType.I32, 4, 1, 0, 3));
        yield return new("all ignored", new(Reduction.Mean, 255), SampleInput.Normal(new Shape(3, 4)), SampleInput.IntValues(new Shape(3), DType.U8, 255));
        yield return new("large logits", new(Reduction.Mean), SampleInput.Normal(new Shape(4, 4), 200, 1000), SampleInput.IntValues(new Shape(4), DType.I32, 0, 1, 2, 3));
        yield return new("several items", new(Reduction.Mean), SampleInput.Normal(new Shape(3, 201, 2)), SampleInput.IntValues(new Shape(3, 201), DType.I32, 0, 1, -100, 1, 1, 0, 0));
        yield return new("bench", new(Reduction.Mean), SampleInput.Normal(new Shape(8, 4096, 4)), SampleInput.Ints(new Shape(8, 4096), 0, 3)) { Bench = true };
    }
}
