namespace Orthrus.Train;

/// <summary>
/// Rows of a batch that an encoder can take together with little padding. The two views of a pair may differ in length whatever the batch, so that a bound on the
/// padding needs groups of rows: the encoder looks at each row alone, head and loss at all of them.
/// </summary>
public static class RowGroups
{
    /// <summary>Most padding of a group, as a share of its positions.</summary>
    public const double MostPadding = 0.125;

    /// <summary>Cuts rows into groups of which at most a share is padding, longest rows first; as few as a walk in order of length gives.</summary>
    /// <param name="lengths">True length of each row, such as <see cref="PairBatch.Lengths"/>.</param>
    /// <param name="mostPadding">Greatest share of padding, 0 to below 1.</param>
    /// <returns>Row numbers of each group; the first row of a group is its longest.</returns>
    public static IReadOnlyList<int[]> Of(ReadOnlySpan<int> lengths, double mostPadding = MostPadding)
    {
        if (mostPadding is not (>= 0 and < 1)) throw new ArgumentOutOfRangeException(nameof(mostPadding), mostPadding, "is a share from 0 to below 1");
        int[] order = [.. Enumerable.Range(0, lengths.Length)];
        int[] descending = Array.ConvertAll(lengths.ToArray(), l => -l);
        // Rows of one length keep their order.
        Array.Sort(Array.ConvertAll(order, i => ((long)descending[i] << 32) + i), order);
        var groups = new List<int[]>();
        for (int first = 0, end; first < order.Length; first = end)
        {
            long longest = lengths[order[first]], sum = 0;
            for (end = first; end < order.Length; end++)
            {
                long with = sum + lengths[order[end]];
                if (longest * (end - first + 1) - with > mostPadding * longest * (end - first + 1)) break;
                sum = with;
            }
            groups.Add(order[first..end]);
        }
        return groups;
    }

    /// <summary>The rows of a group as one array of rows x L bytes, padded with zeros on the right; L is the length of the group's first row.</summary>
    public static byte[] Pack(PairBatch batch, ReadOnlySpan<int> rows)
    {
        ArgumentNullException.ThrowIfNull(batch);
        int length = batch.Lengths[rows[0]];
        var tracks = new byte[(long)rows.Length * length];
        for (int i = 0; i < rows.Length; i++)
            batch.Tracks.AsSpan(rows[i] * batch.Length, batch.Lengths[rows[i]]).CopyTo(tracks.AsSpan(i * length));
        return tracks;
    }
}
