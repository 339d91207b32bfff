namespace Orthrus.Tensor;

/// <summary>What the specifications of the contrastive losses share.</summary>
internal static class SimilaritySpecification
{
    /// <summary>Similarities of anchor <paramref name="i"/> with all keys: z[i] . k[j] / tau.</summary>
    internal static R[] Row<R>(R[] z, int i, R[] keys, int width, double tau) where R : struct, IReal<R>
    {
        var s = new R[keys.Length / width];
        for (int j = 0; j < s.Length; j++)
        {
            s[j] = R.From(0);
            for (int d = 0; d < width; d++) s[j] += z[i * width + d] * keys[j * width + d];
            s[j] *= R.From(1 / tau);
        }
        return s;
    }

    /// <summary>Log of the sum of exponentials over all entries but one.</summary>
    internal static R LogSumExp<R>(R[] s, int leftOut) where R : struct, IReal<R>
    {
        var max = s[leftOut == 0 ? 1 : 0];
        for (int j = 0; j < s.Length; j++) if (j != leftOut) max = Real.Max(max, s[j]);
        var sum = R.From(0);
        for (int j = 0; j < s.Length; j++) if (j != leftOut) sum += R.Exp(s[j] - max);
        return max + R.Log(sum);
    }
}
