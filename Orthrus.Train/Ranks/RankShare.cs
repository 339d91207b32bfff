namespace Orthrus.Train;

/// <summary>Who of several ranks works on what: a function of the batch and the number of ranks alone, so that nobody has to be asked.</summary>
internal static class RankShare
{
    /// <summary>Pairs of each rank: a run of neighbours, cut where the nucleotides before a pair's middle pass a rank's part. A rank may have none.</summary>
    /// <param name="lengths">Lengths of the 2B rows of a batch.</param>
    /// <param name="ranks">Number of ranks.</param>
    internal static int[][] Pairs(ReadOnlySpan<int> lengths, int ranks)
    {
        int n = lengths.Length / 2;
        var cost = new long[n];
        for (int i = 0; i < n; i++) cost[i] = (long)lengths[i] + lengths[n + i] + 1;
        long total = cost.Sum(), before = 0;
        var shares = new List<int>[ranks];
        for (int r = 0; r < ranks; r++) shares[r] = [];
        for (int i = 0; i < n; i++)
        {
            shares[(int)((2 * before + cost[i]) * ranks / (2 * total))].Add(i);
            before += cost[i];
        }
        return [.. shares.Select(s => s.ToArray())];
    }

    /// <summary>The rows of pairs: first views, then second ones.</summary>
    internal static int[] Rows(int[] pairs, int batch) => [.. pairs, .. pairs.Select(pair => batch + pair)];

    /// <summary>The process that a virtual rank lives in: neighbours share one.</summary>
    internal static int Process(int virtualRank, int virtualRanks, int ranks) => (int)((long)virtualRank * ranks / virtualRanks);
}
