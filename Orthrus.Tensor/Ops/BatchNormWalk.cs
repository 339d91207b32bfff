using System.Numerics;
using Orthrus.Tensor.Cpu;

namespace Orthrus.Tensor;

/// <summary>A term of a sum over positions.</summary>
internal interface IPositionTerm<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    static abstract V Of<V>(V x, V mean) where V : unmanaged, ISimd<V, T>;
}

internal readonly struct Identity<T> : IPositionTerm<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    public static V Of<V>(V x, V mean) where V : unmanaged, ISimd<V, T> => x;
}

internal readonly struct SquaredDistance<T> : IPositionTerm<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    public static V Of<V>(V x, V mean) where V : unmanaged, ISimd<V, T> => (x - mean) * (x - mean);
}

/// <summary>How <see cref="BatchNorm"/> goes through its operand: strips of channels in parallel, blocks of positions in each strip.</summary>
internal unsafe struct BatchNormWalk<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    /// <summary>Channels of a strip; a strip is one job item.</summary>
    internal const int Width = 64;
    /// <summary>Positions that are added up before they join the total, so that rounding does not grow with the number of positions.</summary>
    internal const int Block = 64;

    internal T* X;
    internal long Rows;
    internal int C, L;
    internal bool HasLengths;
    internal IntegerView Lengths;

    internal readonly int Items => (C + Width - 1) / Width;

    internal static BatchNormWalk<T> Of(ReadOnlySpan<Tensor> inputs)
    {
        var shape = inputs[0].Shape;
        var walk = new BatchNormWalk<T> { X = inputs[0].Pointer<T>(), Rows = shape.Rows, C = shape.Last, L = shape.Rank == 3 ? shape[1] : 1, HasLengths = !inputs[5].IsNone };
        if (walk.HasLengths) walk.Lengths = new IntegerView(inputs[5]);
        return walk;
    }

    /// <summary>True where a position enters the statistics.</summary>
    internal readonly bool Counts(long row) => !HasLengths || row % L < Lengths[row / L];

    /// <summary>Number of positions that enter the statistics.</summary>
    internal readonly long CountPositions(bool training)
    {
        if (!HasLengths) return Rows;
        long n = 0;
        for (long b = 0; b < Rows / L; b++) n += Math.Clamp(Lengths[b], 0, L);
        if (training && n < 2) throw new ShapeException($"batch_norm: operand lengths leaves {n} positions; statistics of a batch need two");
        return n;
    }

    /// <summary>Sum of a term over the positions that count, per channel of a strip.</summary>
    internal readonly void SumOfPositions<V, TTerm>(int from, int width, T* mean, T* total) where V : unmanaged, ISimd<V, T> where TTerm : IPositionTerm<T>
    {
        T* block = stackalloc T[Width];
        RowMath.Fill(total, T.Zero, width);
        for (long start = 0; start < Rows; start += Block)
        {
            RowMath.Fill(block, T.Zero, width);
            for (long row = start; row < Math.Min(Rows, start + Block); row++)
            {
                if (!Counts(row)) continue;
                T* x = X + row * C + from;
                for (int c = 0; c < width; c += V.Lanes)
                {
                    V term = TTerm.Of(Edge.Load<V, T>(x + c, width - c), mean is null ? V.Zero : Edge.Load<V, T>(mean + c, width - c));
                    Edge.Store(block + c, Edge.Load<V, T>(block + c, width - c) + term, width - c);
                }
            }
            RowMath.Add<V, T>(block, total, width);
        }
    }
}
