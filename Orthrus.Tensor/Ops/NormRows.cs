using System.Numerics;
using Orthrus.Tensor.Cpu;

namespace Orthrus.Tensor;

/// <summary>
/// What layer norm and RMS norm share, with and without a residual: blocks of rows in parallel. Backward computes the statistics again from the row:
/// it reads the row anyway, and the tape keeps nothing more.
/// </summary>
internal static class NormRows
{
    /// <summary>Shape rule: rows of length D in operands before <paramref name="weight"/>, (D) from there on.</summary>
    internal static void Infer(ref ShapeRule rule, int weight, int inputs)
    {
        var s = rule.In(0).Shape;
        rule.Require(0, s.Rank >= 1 && s.Last > 0, $"has shape {s}; want (..., D) with D of at least 1");
        for (int i = 1; i < weight; i++) rule.Exactly(i, s);
        for (int i = weight; i < inputs; i++) rule.Exactly(i, new Shape(s.Last));
        rule.Out(0, s);
    }

    /// <summary>The specification of one row: y = (x - mean) / sqrt(mean of (x - mean)^2 + eps) weight + bias, with mean 0 for RMS norm.</summary>
    internal static void Reference<R>(ReadOnlySpan<R> x, R[] weight, R[]? bias, bool centred, double eps, Span<R> y) where R : struct, IReal<R>
    {
        R n = R.From(x.Length), mean = R.From(0), squares = R.From(0);
        if (centred)
        {
            foreach (var v in x) mean += v;
            mean /= n;
        }
        foreach (var v in x)
        {
            var e = centred ? v - mean : v;
            squares += e * e;
        }
        var scale = R.From(1) / R.Sqrt(squares / n + R.From(eps));
        for (int i = 0; i < y.Length; i++)
        {
            y[i] = (centred ? x[i] - mean : x[i]) * scale * weight[i];
            if (bias is not null) y[i] += bias[i];
        }
    }

    /// <summary>Runs the forward kernel. Layer norm where <paramref name="bias"/> is an operand's index, RMS norm where it is negative.</summary>
    internal static unsafe void Forward<T>(in OpArgs args, int residual, int weight, int bias, double eps) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var shape = args.Inputs[0].Shape;
        var job = new NormForward<T>
        {
            X = args.Inputs[0].Pointer<T>(), Residual = residual < 0 ? null : PointerOrNull<T>(args.Inputs[residual]), Weight = args.Inputs[weight].Pointer<T>(),
            Bias = bias < 0 ? null : args.Inputs[bias].Pointer<T>(), Y = args.Outputs[0].Pointer<T>(), Sum = residual < 0 ? null : PointerOrNull<T>(args.Outputs[1]),
            Rows = shape.Rows, D = shape.Last, Eps = T.CreateTruncating(eps), Centred = bias >= 0,
        };
        VectorJobs.Run<T, NormForward<T>>(args.Workers, args.VectorWidth, BlockSums.Blocks(job.Rows), ref job);
    }

    /// <summary>Runs the backward kernel; operands as for <see cref="Forward"/>.</summary>
    internal static unsafe void Backward<T>(in GradArgs args, int residual, int weight, int bias, double eps) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var shape = args.Inputs[0].Shape;
        bool added = residual >= 0 && !args.Inputs[residual].IsNone;
        int blocks = BlockSums.Blocks(shape.Rows);
        T* dWeight = PointerOrNull<T>(args.InputGrads[weight]), dBias = bias < 0 ? null : PointerOrNull<T>(args.InputGrads[bias]);
        var job = new NormBackward<T>
        {
            X = (added ? args.Outputs[1] : args.Inputs[0]).Pointer<T>(), Weight = args.Inputs[weight].Pointer<T>(), Dy = PointerOrNull<T>(args.OutputGrads[0]),
            DSum = added ? PointerOrNull<T>(args.OutputGrads[1]) : null, Dx = PointerOrNull<T>(args.InputGrads[0]),
            DResidual = added ? PointerOrNull<T>(args.InputGrads[residual]) : null,
            DWeight = Parts(args, dWeight, blocks, shape.Last), DBias = Parts(args, dBias, blocks, shape.Last),
            Rows = shape.Rows, D = shape.Last, Eps = T.CreateTruncating(eps), Centred = bias >= 0,
        };
        VectorJobs.Run<T, NormBackward<T>>(args.Workers, args.VectorWidth, blocks, ref job);
        BlockSums.Total(args.Workers, args.VectorWidth, job.DWeight, blocks, shape.Last, dWeight);
        BlockSums.Total(args.Workers, args.VectorWidth, job.DBias, blocks, shape.Last, dBias);
    }

    private static unsafe T* PointerOrNull<T>(in Tensor t) where T : unmanaged => t.IsNone ? null : t.Pointer<T>();

    private static unsafe T* Parts<T>(in GradArgs args, T* total, int blocks, int d) where T : unmanaged =>
        total is null ? null : args.Scratch.Empty(new Shape(blocks, d), Tensor.DTypeOf<T>()).Pointer<T>();
}

/// <summary>Mean and scale of a row.</summary>
internal readonly unsafe struct NormStatistics<V, T> where V : unmanaged, ISimd<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    /// <summary>The mean is Shift + Rest: where it is large, its rounding would be as large as the spread. Both 0 for RMS norm.</summary>
    private readonly V _shift, _rest;

    /// <summary>1 / sqrt(variance + eps).</summary>
    internal V Scale { get; }

    internal NormStatistics(T* x, int d, T eps, bool centred)
    {
        T n = T.CreateTruncating(d), rest = T.Zero;
        _shift = centred ? V.Set(RowMath.Sum<V, T>(x, d) / n) : V.Zero;
        V sum = V.Zero, squares = V.Zero;
        for (int i = 0; i < d; i += V.Lanes)
        {
            V e = Edge.Load(x + i, d - i, _shift) - _shift;
            sum += e;
            squares = V.Fma(e, e, squares);
        }
        T variance = V.Sum(squares) / n;
        if (centred)
        {
            rest = V.Sum(sum) / n;
            variance = T.Max(variance - rest * rest, T.Zero);
        }
        _rest = V.Set(rest);
        Scale = V.Set(T.One / T.Sqrt(variance + eps));
    }

    /// <summary>(x - mean) scale.</summary>
    internal V Normal(V x) => (x - _shift - _rest) * Scale;
}

/// <summary>y and, with a residual, the sum; item = a block of rows.</summary>
internal unsafe struct NormForward<T> : IVectorJob<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    internal T* X, Residual, Weight, Bias, Y, Sum;
    internal long Rows;
    internal int D;
    internal T Eps;
    internal bool Centred;

    public readonly void Run<V>(int block) where V : unmanaged, ISimd<V, T>
    {
        long size = BlockSums.RowsPerBlock(Rows), end = Math.Min(Rows, (block + 1) * size);
        for (long row = block * size; row < end; row++)
        {
            T* x = X + row * D;
            if (Residual is not null) x = Add<V>(x, Residual + row * D, Sum + row * D);
            Normalize<V>(x, Y + row * D);
        }
    }

    private readonly T* Add<V>(T* a, T* b, T* sum) where V : unmanaged, ISimd<V, T>
    {
        for (int i = 0; i < D; i += V.Lanes) Edge.Store(sum + i, Edge.Load<V, T>(a + i, D - i) + Edge.Load<V, T>(b + i, D - i), D - i);
        return sum;
    }

    private readonly void Normalize<V>(T* x, T* y) where V : unmanaged, ISimd<V, T>
    {
        var statistics = new NormStatistics<V, T>(x, D, Eps, Centred);
        for (int i = 0; i < D; i += V.Lanes)
        {
            V normal = statistics.Normal(Edge.Load<V, T>(x + i, D - i)), bias = Bias is null ? V.Zero : Edge.Load<V, T>(Bias + i, D - i);
            Edge.Store(y + i, V.Fma(normal, Edge.Load<V, T>(Weight + i, D - i), bias), D - i);
        }
    }
}

/// <summary>Gradients of the rows, and the block's part of those of weight and bias; item = a block of rows.</summary>
internal unsafe struct NormBackward<T> : IVectorJob<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    internal T* X, Weight, Dy, DSum, Dx, DResidual, DWeight, DBias;
    internal long Rows;
    internal int D;
    internal T Eps;
    internal bool Centred;

    public readonly void Run<V>(int block) where V : unmanaged, ISimd<V, T>
    {
        T* dWeight = DWeight is null ? null : DWeight + (long)block * D, dBias = DBias is null ? null : DBias + (long)block * D;
        if (dWeight is not null) RowMath.Fill(dWeight, T.Zero, D);
        if (dBias is not null) RowMath.Fill(dBias, T.Zero, D);
        long size = BlockSums.RowsPerBlock(Rows), end = Math.Min(Rows, (block + 1) * size);
        for (long row = block * size; row < end; row++)
        {
            T* dSum = DSum is null ? null : DSum + row * D, dx = Dx is null ? null : Dx + row * D, dResidual = DResidual is null ? null : DResidual + row * D;
            if (Dy is null) PassOn<V>(dSum, dx, dResidual);
            else Row<V>(X + row * D, Dy + row * D, dSum, dx, dResidual, dWeight, dBias);
        }
    }

    /// <summary>Where y has no gradient, that of the sum goes on alone.</summary>
    private readonly void PassOn<V>(T* dSum, T* dx, T* dResidual) where V : unmanaged, ISimd<V, T>
    {
        for (int i = 0; i < D; i += V.Lanes) Give(dSum is null ? V.Zero : Edge.Load<V, T>(dSum + i, D - i), dx, dResidual, i);
    }

    private readonly void Row<V>(T* x, T* dy, T* dSum, T* dx, T* dResidual, T* dWeight, T* dBias) where V : unmanaged, ISimd<V, T>
    {
        var statistics = new NormStatistics<V, T>(x, D, Eps, Centred);
        V sum = V.Zero, along = V.Zero;
        for (int i = 0; i < D; i += V.Lanes)
        {
            V normal = statistics.Normal(Edge.Load<V, T>(x + i, D - i)), g = Edge.Load<V, T>(dy + i, D - i), weighted = g * Edge.Load<V, T>(Weight + i, D - i);
            sum += weighted;
            along = V.Fma(weighted, normal, along);
            if (dWeight is not null) Edge.Store(dWeight + i, V.Fma(g, normal, Edge.Load<V, T>(dWeight + i, D - i)), D - i);
            if (dBias is not null) Edge.Store(dBias + i, g + Edge.Load<V, T>(dBias + i, D - i), D - i);
        }
        if (dx is null && dResidual is null) return;
        // The mean and the scale move with x: subtract from the weighted gradient its mean and its part along the normalised row.
        T n = T.CreateTruncating(D);
        V mean = Centred ? V.Set(V.Sum(sum) / n) : V.Zero, part = V.Set(V.Sum(along) / n);
        for (int i = 0; i < D; i += V.Lanes)
        {
            V normal = statistics.Normal(Edge.Load<V, T>(x + i, D - i)), weighted = Edge.Load<V, T>(dy + i, D - i) * Edge.Load<V, T>(Weight + i, D - i);
            V g = (weighted - mean - normal * part) * statistics.Scale;
            if (dSum is not null) g += Edge.Load<V, T>(dSum + i, D - i);
            Give(g, dx, dResidual, i);
        }
    }

    private readonly void Give<V>(V g, T* dx, T* dResidual, int i) where V : unmanaged, ISimd<V, T>
    {
        if (dx is not null) Edge.Store(dx + i, g, D - i);
        if (dResidual is not null) Edge.Store(dResidual + i, g, D - i);
    }
}
