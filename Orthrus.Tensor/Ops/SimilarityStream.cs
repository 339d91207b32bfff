using System.Numerics;
using Orthrus.Tensor.Cpu;

namespace Orthrus.Tensor;

/// <summary>
/// Products of all anchors with all keys, z_i . k_j / tau, a tile at a time: what the contrastive losses share. Tiles live on the stack; the matrix is
/// never kept. Every sum runs over columns in ascending order, whatever the number of threads.
/// </summary>
internal static unsafe class SimilarityStream
{
    /// <summary>Rows of a tile; one job item.</summary>
    internal const int TileRows = 16;
    /// <summary>Columns of a tile; a multiple of 4.</summary>
    internal const int TileColumns = 64;

    internal static int Items(int rows) => (rows + TileRows - 1) / TileRows;

    /// <summary>tile[r, c] = x[r] . y[c] scale, for rows x and y of length d.</summary>
    internal static void Tile<V, T>(T* x, int rows, T* y, int columns, int d, T scale, T* tile)
        where V : unmanaged, ISimd<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        for (int c = 0; c < columns; c += 4)
            for (int r = 0; r < rows; r++)
            {
                T* to = tile + r * TileColumns + c;
                if (c + 4 <= columns) RowMath.Dot4<V, T>(x + (long)r * d, y + (long)c * d, d, d, to);
                else
                    for (int rest = c; rest < columns; rest++) tile[r * TileColumns + rest] = RowMath.Dot<V, T>(x + (long)r * d, y + (long)rest * d, d);
                for (int k = 0; k < Math.Min(4, columns - c); k++) to[k] *= scale;
            }
    }
}

/// <summary>Log of the sum of exponentials over the keys, the key of the anchor's own sample left out; item = a tile's height of anchors.</summary>
internal unsafe struct SimilarityForward<T> : IVectorJob<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    internal T* Anchors, Keys, LogSumExp;
    /// <summary>Optional, one per anchor: similarity with its own key; sum of similarities over all keys but that one; 1 where no key is nearer.</summary>
    internal T* Own, SumOfOthers, Nearest;
    internal int Count, KeyCount, Width, Offset;
    internal T Scale;

    public readonly void Run<V>(int item) where V : unmanaged, ISimd<V, T>
    {
        const int R = SimilarityStream.TileRows, C = SimilarityStream.TileColumns;
        int first = item * R, rows = Math.Min(R, Count - first);
        T* tile = stackalloc T[R * C], max = stackalloc T[R], sum = stackalloc T[R], others = stackalloc T[R], best = stackalloc T[R];
        int* bestAt = stackalloc int[R];
        for (int r = 0; r < rows; r++)
        {
            max[r] = best[r] = T.NegativeInfinity;
            sum[r] = others[r] = T.Zero;
            bestAt[r] = -1;
        }
        for (int column = 0; column < KeyCount; column += C)
        {
            int columns = Math.Min(C, KeyCount - column);
            SimilarityStream.Tile<V, T>(Anchors + (long)first * Width, rows, Keys + (long)column * Width, columns, Width, Scale, tile);
            for (int r = 0; r < rows; r++)
            {
                T* s = tile + r * C;
                int own = first + r + Offset - column;
                if (Nearest is not null) Look(s, columns, column, ref best[r], ref bestAt[r]);
                bool here = own >= 0 && own < columns;
                if (here && Own is not null) Own[first + r] = s[own];
                if (here) s[own] = T.Zero;
                others[r] += RowMath.Sum<V, T>(s, columns);
                if (here) s[own] = T.NegativeInfinity;
                Accumulate<V>(s, columns, ref max[r], ref sum[r]);
            }
        }
        for (int r = 0; r < rows; r++)
        {
            LogSumExp[first + r] = max[r] + T.Log(sum[r]);
            if (SumOfOthers is not null) SumOfOthers[first + r] = others[r];
            if (Nearest is not null) Nearest[first + r] = bestAt[r] == first + r + Offset ? T.One : T.Zero;
        }
    }

    /// <summary>Of equal similarities the first wins.</summary>
    private static void Look(T* s, int columns, int column, ref T best, ref int bestAt)
    {
        for (int c = 0; c < columns; c++)
            if (s[c] > best)
            {
                best = s[c];
                bestAt = column + c;
            }
    }

    /// <summary>Adds a row of a tile to the running sum, relative to the largest similarity so far.</summary>
    private static void Accumulate<V>(T* s, int columns, ref T max, ref T sum) where V : unmanaged, ISimd<V, T>
    {
        T largest = RowMath.Max<V, T>(s, columns, max);
        // A tile that holds nothing but the own key, as the first of all.
        if (T.IsNegativeInfinity(largest)) return;
        sum = sum * T.Exp(max - largest) + RowMath.ExpSum<V, T>(s, largest, null, columns);
        max = largest;
    }
}

/// <summary>
/// One source of gradient for the rows of a tensor: dx += sum over partners y of weight(x, y) y. The weight is that of a softmax in which x is the
/// anchor, one in which y is, or both at once, plus a term on the pairs that belong together.
/// </summary>
internal unsafe struct SimilarityPair<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    internal T* Partners;
    internal int Count;
    /// <summary>Row x's own partner is x + Shift.</summary>
    internal int Shift;
    /// <summary>Where x is the anchor: its softmax' weight and log-sum-exp, one per row; else null.</summary>
    internal T* RowWeight, RowLogSumExp;
    /// <summary>Where the partner is the anchor; else null.</summary>
    internal T* PartnerWeight, PartnerLogSumExp;
    /// <summary>Weight of pairs that belong together, by row or by partner; both null for none.</summary>
    internal T* OwnByRow, OwnByPartner;
}

/// <summary>Gradient of the rows of one tensor from up to two sets of partners; item = a tile's height of rows. Weights include 1 / tau.</summary>
internal unsafe struct SimilarityBackward<T> : IVectorJob<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    internal T* Rows, Gradient;
    internal int Count, Width;
    internal T Scale;
    internal SimilarityPair<T> First, Second;
    internal bool HasSecond;

    public readonly void Run<V>(int item) where V : unmanaged, ISimd<V, T>
    {
        int first = item * SimilarityStream.TileRows, rows = Math.Min(SimilarityStream.TileRows, Count - first);
        RowMath.Fill(Gradient + (long)first * Width, T.Zero, (long)rows * Width);
        Add<V>(First, first, rows);
        if (HasSecond) Add<V>(Second, first, rows);
    }

    private readonly void Add<V>(in SimilarityPair<T> pair, int first, int rows) where V : unmanaged, ISimd<V, T>
    {
        const int C = SimilarityStream.TileColumns;
        T* tile = stackalloc T[SimilarityStream.TileRows * C];
        for (int column = 0; column < pair.Count; column += C)
        {
            int columns = Math.Min(C, pair.Count - column);
            T* partners = pair.Partners + (long)column * Width;
            SimilarityStream.Tile<V, T>(Rows + (long)first * Width, rows, partners, columns, Width, Scale, tile);
            for (int r = 0; r < rows; r++)
            {
                T* weights = tile + r * C;
                ToWeights<V>(pair, weights, first + r, column, columns);
                for (int c = 0; c < columns; c++) RowMath.AddScaled<V, T>(weights[c], partners + (long)c * Width, Gradient + (long)(first + r) * Width, Width);
            }
        }
    }

    /// <summary>Turns similarities of row x with partners from <paramref name="column"/> on into weights.</summary>
    private static void ToWeights<V>(in SimilarityPair<T> pair, T* s, int x, int column, int columns) where V : unmanaged, ISimd<V, T>
    {
        for (int c = 0; c < columns; c += V.Lanes)
        {
            int left = columns - c;
            V similarity = Edge.Load<V, T>(s + c, left), weight = V.Zero;
            if (pair.RowWeight is not null) weight = V.Set(pair.RowWeight[x]) * VectorMath.Exp<V, T>(similarity - V.Set(pair.RowLogSumExp[x]));
            if (pair.PartnerWeight is not null)
                weight = V.Fma(Edge.Load<V, T>(pair.PartnerWeight + column + c, left), VectorMath.Exp<V, T>(similarity - Edge.Load<V, T>(pair.PartnerLogSumExp + column + c, left)), weight);
            Edge.Store(s + c, weight, left);
        }
        // The own pair is in no softmax; what the line above made of it, an overflow perhaps, is dropped.
        int own = x + pair.Shift - column;
        if (own >= 0 && own < columns) s[own] = pair.OwnByRow is not null ? pair.OwnByRow[x] : pair.OwnByPartner is not null ? pair.OwnByPartner[own + column] : T.Zero;
    }
}
