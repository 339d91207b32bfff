using System.Numerics;
using Orthrus.Tensor.Cpu;

namespace Orthrus.Tensor;

/// <summary>
/// Batch normalisation of the last axis: y = (x - mean) / sqrt(variance + eps) weight + bias, with the statistics of the batch (training) or the
/// running ones (evaluation).
/// </summary>
/// <remarks>
/// x, y (N, C) or (B, L, C), F32 or F64; weight, bias, running_mean, running_var (C). All leading axes are the batch. The batch variance is biased where
/// it normalises; the running variance takes the unbiased one: running = (1 - momentum) running + momentum batch. With lengths (B), for (B, L, C) in
/// training, positions at or past a length do not enter the statistics (they are normalised like all others); upstream counts them.
/// Results beside y, without gradient: new running statistics where running ones came in, and mean and 1 / sqrt(variance + eps) for backward.
/// In evaluation y is the only result. The CPU refuses lengths that leave fewer than two positions; a CUDA device, which would have to wait for its lengths, gives NaN
/// (with one position, in the running variance alone). Source: Ioffe and Szegedy 2015; torch.nn.BatchNorm1d.
/// </remarks>
/// <exception cref="ShapeException">Shapes that do not fit, evaluation without running statistics, or fewer than two positions in training.</exception>
public sealed partial class BatchNorm : IOp<BatchNorm.Attr>
{
    /// <summary>Options.</summary>
    /// <param name="Training">Statistics of the batch rather than the running ones.</param>
    /// <param name="Eps">Added to the variance; 1e-5 upstream.</param>
    /// <param name="Momentum">Share of the batch in the new running statistics; 0.1 upstream.</param>
    public readonly record struct Attr(bool Training, double Eps = 1e-5, double Momentum = 0.1);

    private const int X = 0, Weight = 1, Bias = 2, RunningMean = 3, RunningVar = 4, Lengths = 5;
    private const int Y = 0, NewMean = 1, NewVar = 2, SavedMean = 3, SavedScale = 4;

    /// <inheritdoc/>
    public static string Name => "batch_norm";
    /// <inheritdoc/>
    public static OpSignature Signature { get; } = new(
        [new("x"), new("weight"), new("bias"), new("running_mean", OperandKind.Constant, true), new("running_var", OperandKind.Constant, true), new("lengths", OperandKind.Integer, true)],
        [new("y"), new("running_mean", OperandKind.Constant, true), new("running_var", OperandKind.Constant, true), new("mean", OperandKind.Constant, true), new("scale", OperandKind.Constant, true)]);
    /// <inheritdoc/>
    public static Saves Saves => Saves.Inputs | Saves.Outputs;

    /// <inheritdoc/>
    public static void Infer(ref ShapeRule rule, in Attr attr)
    {
        var s = rule.In(X).Shape;
        rule.Require(X, s.Rank is 2 or 3, $"has shape {s}; want (N, C) or (B, L, C)");
        var channels = new Shape(s.Last);
        for (int i = Weight; i <= RunningVar; i++) rule.Exactly(i, channels);
        rule.Require(RunningMean, rule.Has(RunningMean) == rule.Has(RunningVar), "and running_var must come together");
        rule.Require(RunningMean, attr.Training || rule.Has(RunningMean), "is absent; evaluation needs it");
        if (rule.Has(Lengths))
        {
            rule.Require(Lengths, attr.Training, "is given; it is for training only");
            rule.Require(Lengths, s.Rank == 3, $"is given; x has shape {s}, want (B, L, C)");
            rule.Exactly(Lengths, new Shape(s[0]));
        }
        rule.Require(X, !attr.Training || s.Rows > 1, $"has shape {s}; statistics of a batch need two positions");
        rule.Out(Y, s);
        if (!attr.Training) return;
        if (rule.Has(RunningMean))
        {
            rule.Out(NewMean, channels);
            rule.Out(NewVar, channels);
        }
        rule.Out(SavedMean, channels);
        rule.Out(SavedScale, channels);
    }

    /// <inheritdoc/>
    public static void Reference<R>(in RefArgs<R> args, in Attr attr) where R : struct, IReal<R>
    {
        var shape = args.Shape(X);
        R[] x = args.In(X), weight = args.In(Weight), bias = args.In(Bias), y = args.Out(Y);
        int C = shape.Last, rows = (int)shape.Rows, L = shape.Rank == 3 ? shape[1] : rows;
        for (int c = 0; c < C; c++)
        {
            R mean, variance;
            if (attr.Training)
            {
                int n = 0;
                R sum = R.From(0), squares = R.From(0);
                for (int row = 0; row < rows; row++)
                    if (!args.Has(Lengths) || row % L < args.Int(Lengths)[row / L])
                    {
                        sum += x[row * C + c];
                        n++;
                    }
                mean = sum / R.From(n);
                for (int row = 0; row < rows; row++)
                    if (!args.Has(Lengths) || row % L < args.Int(Lengths)[row / L])
                    {
                        var e = x[row * C + c] - mean;
                        squares += e * e;
                    }
                variance = squares / R.From(n);
                if (args.HasOut(NewMean))
                {
                    R old = R.From(1 - attr.Momentum), now = R.From(attr.Momentum);
                    args.Out(NewMean)[c] = old * args.In(RunningMean)[c] + now * mean;
                    args.Out(NewVar)[c] = old * args.In(RunningVar)[c] + now * (squares / R.From(n - 1));
                }
                args.Out(SavedMean)[c] = mean;
                args.Out(SavedScale)[c] = R.From(1) / R.Sqrt(variance + R.From(attr.Eps));
            }
            else
            {
                mean = args.In(RunningMean)[c];
                variance = args.In(RunningVar)[c];
            }
            var scale = R.From(1) / R.Sqrt(variance + R.From(attr.Eps));
            for (int row = 0; row < rows; row++) y[row * C + c] = (x[row * C + c] - mean) * scale * weight[c] + bias[c];
        }
    }

    /// <inheritdoc/>
    public static unsafe void ForwardCpu<T>(in OpArgs args, in Attr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var walk = BatchNormWalk<T>.Of(args.Inputs);
        var job = new ForwardJob<T>
        {
            Walk = walk, Attr = attr, Positions = walk.CountPositions(attr.Training), Y = args.Outputs[Y].Pointer<T>(),
            Weight = args.Inputs[Weight].Pointer<T>(), Bias = args.Inputs[Bias].Pointer<T>(),
            RunningMean = PointerOrNull<T>(args.Inputs[RunningMean]), RunningVar = PointerOrNull<T>(args.Inputs[RunningVar]),
            NewMean = PointerOrNull<T>(args.Outputs[NewMean]), NewVar = PointerOrNull<T>(args.Outputs[NewVar]),
            SavedMean = PointerOrNull<T>(args.Outputs[SavedMean]), SavedScale = PointerOrNull<T>(args.Outputs[SavedScale]),
        };
        VectorJobs.Run<T, ForwardJob<T>>(args.Workers, args.VectorWidth, walk.Items, ref job);
    }

    /// <inheritdoc/>
    public static unsafe void BackwardCpu<T>(in GradArgs args, in Attr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var walk = BatchNormWalk<T>.Of(args.Inputs);
        var job = new BackwardJob<T>
        {
            Walk = walk, Attr = attr, Positions = walk.CountPositions(attr.Training), Dy = args.OutputGrads[Y].Pointer<T>(),
            Weight = args.Inputs[Weight].Pointer<T>(),
            Mean = attr.Training ? args.Outputs[SavedMean].Pointer<T>() : args.Inputs[RunningMean].Pointer<T>(),
            SavedScale = attr.Training ? args.Outputs[SavedScale].Pointer<T>() : null, RunningVar = PointerOrNull<T>(args.Inputs[RunningVar]),
            Dx = PointerOrNull<T>(args.InputGrads[X]), DWeight = PointerOrNull<T>(args.InputGrads[Weight]), DBias = PointerOrNull<T>(args.InputGrads[Bias]),
        };
        VectorJobs.Run<T, BackwardJob<T>>(args.Workers, args.VectorWidth, walk.Items, ref job);
    }

    private static unsafe T* PointerOrNull<T>(in Tensor t) where T : unmanaged => t.IsNone ? null : t.Pointer<T>();

    private unsafe struct ForwardJob<T> : IVectorJob<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        internal BatchNormWalk<T> Walk;
        internal Attr Attr;
        internal long Positions;
        internal T* Y, Weight, Bias, RunningMean, RunningVar, NewMean, NewVar, SavedMean, SavedScale;

        public readonly void Run<V>(int item) where V : unmanaged, ISimd<V, T>
        {
            int from = item * BatchNormWalk<T>.Width, width = Math.Min(BatchNormWalk<T>.Width, Walk.C - from);
            T* mean = stackalloc T[BatchNormWalk<T>.Width], scale = stackalloc T[BatchNormWalk<T>.Width];
            if (Attr.Training) Statistics<V>(from, width, mean, scale);
            else
                for (int c = 0; c < width; c++)
                {
                    mean[c] = RunningMean[from + c];
                    scale[c] = T.One / T.Sqrt(RunningVar[from + c] + T.CreateTruncating(Attr.Eps));
                }
            for (long row = 0; row < Walk.Rows; row++)
            {
                T* x = Walk.X + row * Walk.C + from, y = Y + row * Walk.C + from;
                for (int c = 0; c < width; c += V.Lanes)
                {
                    V normal = (Edge.Load<V, T>(x + c, width - c) - Edge.Load<V, T>(mean + c, width - c)) * Edge.Load<V, T>(scale + c, width - c);
                    Edge.Store(y + c, V.Fma(normal, Edge.Load<V, T>(Weight + from + c, width - c), Edge.Load<V, T>(Bias + from + c, width - c)), width - c);
                }
            }
        }

        private readonly void Statistics<V>(int from, int width, T* mean, T* scale) where V : unmanaged, ISimd<V, T>
        {
            T n = T.CreateTruncating(Positions), momentum = T.CreateTruncating(Attr.Momentum), old = T.CreateTruncating(1 - Attr.Momentum);
            T* squares = stackalloc T[BatchNormWalk<T>.Width];
            Walk.SumOfPositions<V, Identity<T>>(from, width, null, mean);
            for (int c = 0; c < width; c++) mean[c] /= n;
            Walk.SumOfPositions<V, SquaredDistance<T>>(from, width, mean, squares);
            for (int c = 0; c < width; c++)
            {
                scale[c] = T.One / T.Sqrt(squares[c] / n + T.CreateTruncating(Attr.Eps));
                SavedMean[from + c] = mean[c];
                SavedScale[from + c] = scale[c];
                if (NewMean is null) continue;
                NewMean[from + c] = old * RunningMean[from + c] + momentum * mean[c];
                NewVar[from + c] = old * RunningVar[from + c] + momentum * (squares[c] / (n - T.One));
            }
        }
    }

    private unsafe struct BackwardJob<T> : IVectorJob<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        internal BatchNormWalk<T> Walk;
        internal Attr Attr;
        internal long Positions;
        internal T* Dy, Weight, Mean, SavedScale, RunningVar, Dx, DWeight, DBias;

        public readonly void Run<V>(int item) where V : unmanaged, ISimd<V, T>
        {
            int from = item * BatchNormWalk<T>.Width, width = Math.Min(BatchNormWalk<T>.Width, Walk.C - from);
            T* scale = stackalloc T[BatchNormWalk<T>.Width], sum = stackalloc T[BatchNormWalk<T>.Width], along = stackalloc T[BatchNormWalk<T>.Width];
            for (int c = 0; c < width; c++)
                scale[c] = SavedScale is not null ? SavedScale[from + c] : T.One / T.Sqrt(RunningVar[from + c] + T.CreateTruncating(Attr.Eps));
            GradientSums<V>(from, width, scale, sum, along);
            for (int c = 0; c < width; c++)
            {
                if (DBias is not null) DBias[from + c] = sum[c];
                if (DWeight is not null) DWeight[from + c] = along[c];
            }
            if (Dx is null) return;
            // In training mean and variance move with every position that entered them: subtract the mean of dy and its part along x hat.
            V n = V.Set(T.CreateTruncating(Positions));
            for (long row = 0; row < Walk.Rows; row++)
            {
                long at = row * Walk.C + from;
                bool entered = Attr.Training && Walk.Counts(row);
                for (int c = 0; c < width; c += V.Lanes)
                {
                    int left = width - c;
                    V g = Edge.Load<V, T>(Dy + at + c, left), s = Edge.Load<V, T>(scale + c, left);
                    if (entered) g -= V.Fma(Normal<V>(at + c, from + c, s, left), Edge.Load<V, T>(along + c, left), Edge.Load<V, T>(sum + c, left)) / n;
                    Edge.Store(Dx + at + c, g * s * Edge.Load<V, T>(Weight + from + c, left), left);
                }
            }
        }

        /// <summary>x hat from element <paramref name="at"/> on, which is of channel <paramref name="c"/>.</summary>
        private readonly V Normal<V>(long at, int c, V scale, int left) where V : unmanaged, ISimd<V, T> =>
            (Edge.Load<V, T>(Walk.X + at, left) - Edge.Load<V, T>(Mean + c, left)) * scale;

        /// <summary>Sums over all positions of dy and of dy x hat: block by block, then the blocks.</summary>
        private readonly void GradientSums<V>(int from, int width, T* scale, T* sum, T* along) where V : unmanaged, ISimd<V, T>
        {
            T* blockSum = stackalloc T[BatchNormWalk<T>.Width], blockAlong = stackalloc T[BatchNormWalk<T>.Width];
            RowMath.Fill(sum, T.Zero, width);
            RowMath.Fill(along, T.Zero, width);
            for (long start = 0; start < Walk.Rows; start += BatchNormWalk<T>.Block)
            {
                RowMath.Fill(blockSum, T.Zero, width);
                RowMath.Fill(blockAlong, T.Zero, width);
                for (long row = start; row < Math.Min(Walk.Rows, start + BatchNormWalk<T>.Block); row++)
                {
                    long at = row * Walk.C + from;
                    for (int c = 0; c < width; c += V.Lanes)
                    {
                        int left = width - c;
                        V g = Edge.Load<V, T>(Dy + at + c, left), normal = Normal<V>(at + c, from + c, Edge.Load<V, T>(scale + c, left), left);
                        Edge.Store(blockSum + c, Edge.Load<V, T>(blockSum + c, left) + g, left);
                        Edge.Store(blockAlong + c, V.Fma(g, normal, Edge.Load<V, T>(blockAlong + c, left)), left);
                    }
                }
                RowMath.Add<V, T>(blockSum, sum, width);
                RowMath.Add<V, T>(blockAlong, along, width);
            }
        }
    }

    /// <inheritdoc/>
    public static OpCost Cost(in ShapeRule rule, in Attr attr)
    {
        // One reading of x: a device may keep what it has read.
        long n = rule.In(X).Shape.Count, channels = rule.InBytes(Weight) + rule.OutBytes(SavedMean) + rule.OutBytes(SavedScale) + rule.InBytes(Lengths);
        return new((attr.Training ? 8 : 4) * n, rule.AllBytes(), 10 * n, rule.GradientBytes() + rule.InBytes(X) + channels);
    }

    /// <inheritdoc/>
    public static IEnumerable<Sample<Attr>> Samples()
    {
        SampleInput Channels(int c) => SampleInput.Normal(new Shape(c));
        SampleInput Positive(int c) => SampleInput.Uniform(new Shape(c), 0.3, 2);
        SampleInput none = SampleInput.Absent;
        yield return new("training", new(true), SampleInput.Normal(new Shape(9, 5), 1, 0.5), Channels(5), Channels(5), Channels(5), Positive(5), none);
        yield return new("without running", new(true, 1e-3), SampleInput.Normal(new Shape(4, 3), 2), Channels(3), Channels(3), none, none, none);
        yield return new("lengths", new(true, 1e-5, 0.3), SampleInput.Normal(new Shape(3, 4, 67)), Channels(67), Channels(67), Channels(67), Positive(67),
            SampleInput.IntValues(new Shape(3), DType.I32, 2, 4, 1));
        yield return new("several blocks", new(true), SampleInput.Normal(new Shape(2, 77, 3), 1, 3), Channels(3), Channels(3), none, none, none);
        // A variance taken as mean of squares less square of mean loses its digits here.
        yield return new("large mean", new(true), SampleInput.Normal(new Shape(40, 3), 1, 300), Channels(3), Channels(3), none, none, none);
        // Several tiles of rows and several blocks of channels, where a GPU does not keep the operand in its shared memory.
        yield return new("several tiles", new(true), SampleInput.Normal(new Shape(2, 240, 132), 1, 2), Channels(132), Channels(132), Channels(132), Positive(132),
            SampleInput.IntValues(new Shape(2), DType.U8, 130, 240));
        yield return new("long lengths", new(true), SampleInput.Normal(new Shape(2, 4, 6)), Channels(6), Channels(6), none, none, SampleInput.IntValues(new Shape(2), DType.I64, 0, 3));
        yield return new("evaluation, several tiles", new(false), SampleInput.Normal(new Shape(300, 8)), Channels(8), Channels(8), Channels(8), Positive(8), none);
        yield return new("evaluation", new(false), SampleInput.Normal(new Shape(2, 7, 5)), Channels(5), Channels(5), Channels(5), Positive(5), none);
        yield return new("evaluation, large eps", new(false, 0.1), SampleInput.Normal(new Shape(1, 70)), Channels(70), Channels(70), Channels(70), Positive(70), none);
        yield return new("bench", new(true), SampleInput.Normal(new Shape(4096, 512)), Channels(512), Channels(512), Channels(512), Positive(512), none) { Bench = true };
    }
}
