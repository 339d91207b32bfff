using System.Numerics;

namespace Orthrus.Tensor;

/// <summary>How a loss over many elements becomes its result.</summary>
public enum Reduction : byte
{
    /// <summary>Sum divided by the number of elements that count.</summary>
    Mean,
    /// <summary>Sum.</summary>
    Sum,
    /// <summary>One value per element.</summary>
    None,
}

/// <summary>Sums over chunks of fixed length: the order of additions depends on the number of elements alone, not on threads.</summary>
internal static unsafe class ChunkedSum
{
    /// <summary>Elements that one job item adds up.</summary>
    internal const int Chunk = 4096;

    internal static int Count(long elements) => checked((int)((elements + Chunk - 1) / Chunk));

    /// <summary>Sum of the chunks' results by halving, so that rounding grows with the logarithm of their number.</summary>
    internal static T Pairwise<T>(T* x, int n) where T : unmanaged, INumberBase<T>
    {
        if (n <= 8)
        {
            T sum = T.Zero;
            for (int i = 0; i < n; i++) sum += x[i];
            return sum;
        }
        int half = n / 2;
        return Pairwise(x, half) + Pairwise(x + half, n - half);
    }
}
