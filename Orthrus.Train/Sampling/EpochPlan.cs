namespace Orthrus.Train;

/// <summary>Which keys make up which batch of an epoch.</summary>
internal sealed class EpochPlan
{
    // Greatest lengths of the buckets: within one, lengths are more than 7/8 of the greatest, so that at most an eighth of a row is padding.
    private static readonly int[] Edges = [.. MakeEdges()];

    private readonly int[] _order;
    private readonly (int First, int Count)[] _batches;

    private EpochPlan(int[] order, (int, int)[] batches)
    {
        _order = order;
        _batches = batches;
    }

    /// <summary>Number of batches.</summary>
    internal int Batches => _batches.Length;

    /// <summary>Keys of a batch.</summary>
    internal ReadOnlySpan<int> Keys(int batch) => _order.AsSpan(_batches[batch].First, _batches[batch].Count);

    /// <summary>Plans an epoch.</summary>
    /// <param name="options">How batches are put together.</param>
    /// <param name="epoch">The epoch, which decides the order.</param>
    /// <param name="keys">Keys that there are.</param>
    /// <param name="length">Length of the longer view of a key's pair in this epoch.</param>
    internal static EpochPlan Build(PairOptions options, uint epoch, int keys, Func<int, int> length)
    {
        int pairs = options.Rank == 0 ? options.LongPairs : options.Pairs;
        int[] order = Shard(options, epoch, keys);
        if (options.Order == BatchOrder.Mixed && options.Nucleotides is null) return new EpochPlan(order, Cuts(options, order.Length, pairs));
        var lengths = new int[order.Length];
        Parallel.For(0, (order.Length + 4095) / 4096, new ParallelOptions { MaxDegreeOfParallelism = options.Threads }, chunk =>
        {
            for (int i = chunk * 4096; i < Math.Min(order.Length, (chunk + 1) * 4096); i++) lengths[i] = length(order[i]);
        });
        return options.Order == BatchOrder.Mixed ? InOrder(options, order, lengths, pairs) : ByLength(options, epoch, order, lengths, pairs);
    }

    // The keys of this rank in random order. Ranks other than 0 share the short keys, each its part; rank 0 takes its part of the long ones.
    private static int[] Shard(PairOptions options, uint epoch, int keys)
    {
        int[] order = [.. Enumerable.Range(0, keys)];
        if (!options.Fixed) new Draws(options.Seed, epoch, 0, DrawFor.Order).Shuffle<int>(order);
        if (options.Rank is not { } rank) return order;
        return [.. order.Where((_, i) => i % options.Ranks == rank)];
    }

    private static (int, int)[] Cuts(PairOptions options, int count, int pairs)
    {
        int batches = options.Fixed ? (count + pairs - 1) / pairs : count / pairs;
        return [.. Enumerable.Range(0, batches).Select(b => (b * pairs, Math.Min(pairs, count - b * pairs)))];
    }

    private static EpochPlan InOrder(PairOptions options, int[] order, int[] lengths, int pairs)
    {
        var batches = new List<(int, int)>();
        for (int first = 0, end; first < order.Length; first = end)
        {
            int longest = 0;
            for (end = first; end < order.Length && end - first < pairs; end++)
            {
                int with = Math.Max(longest, lengths[end]);
                if (end > first && 2L * with * (end - first + 1) > options.Nucleotides) break;
                longest = with;
            }
            batches.Add((first, end - first));
        }
        return new EpochPlan(order, [.. batches]);
    }

    // Whole batches of each bucket; then, in order of length, what is left of the buckets.
    private static EpochPlan ByLength(PairOptions options, uint epoch, int[] order, int[] lengths, int pairs)
    {
        // Counting keeps the random order inside a bucket.
        int[] bucketOf = Array.ConvertAll(lengths, Bucket), next = new int[Edges.Length + 1];
        foreach (int b in bucketOf) next[b + 1]++;
        for (int b = 0; b < Edges.Length; b++) next[b + 1] += next[b];
        int[] start = [.. next];
        var sorted = new int[order.Length];
        for (int i = 0; i < order.Length; i++) sorted[next[bucketOf[i]]++] = order[i];

        var packed = new int[order.Length];
        var batches = new List<(int, int)>();
        var left = new List<(int Key, int Size)>();
        int at = 0;
        for (int b = 0; b < Edges.Length; b++)
        {
            int size = options.Nucleotides is { } budget ? (int)Math.Clamp(budget / (2L * Edges[b]), 1, pairs) : pairs, from = start[b];
            for (; from + size <= start[b + 1]; from += size, at += size)
            {
                Array.Copy(sorted, from, packed, at, size);
                batches.Add((at, size));
            }
            for (; from < start[b + 1]; from++) left.Add((sorted[from], size));
        }
        for (int i = 0; i < left.Count; i++) packed[at + i] = left[i].Key;
        // From the longest down: the longest pair decides how many go together. What is too few for a batch waits for an epoch in which chance leaves out
        // others; where batches are fixed nothing is left out.
        for (int end = left.Count, first; end > 0; end = first)
        {
            first = end - left[end - 1].Size;
            if (first < 0 && !options.Fixed) break;
            first = Math.Max(0, first);
            batches.Add((at + first, end - first));
        }
        var list = batches.ToArray();
        if (!options.Fixed) new Draws(options.Seed, epoch, 0, DrawFor.Batches).Shuffle<(int, int)>(list);
        return new EpochPlan(packed, list);
    }

    private static int Bucket(int length)
    {
        int b = Array.BinarySearch(Edges, length);
        return b < 0 ? ~b : b;
    }

    private static IEnumerable<int> MakeEdges()
    {
        for (int edge = 8; edge < int.MaxValue; edge = (int)Math.Min(int.MaxValue, edge * 8L / 7)) yield return edge;
        yield return int.MaxValue;
    }
}
