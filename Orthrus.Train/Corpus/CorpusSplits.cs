using Orthrus.Rna;

namespace Orthrus.Train;

/// <summary>Splits that never cut a family: whatever homology or families join is in one part.</summary>
internal static class CorpusSplits
{
    /// <summary>No split is given.</summary>
    internal const byte Open = 255;

    /// <summary>Reads the name of a split; null for none.</summary>
    /// <exception cref="InputDataException">It is another word.</exception>
    internal static byte Parse(string? name, string file, string record) => name?.ToLowerInvariant() switch
    {
        null => Open,
        "train" or "training" => (byte)CorpusSplit.Train,
        "valid" or "validation" or "val" or "dev" => (byte)CorpusSplit.Valid,
        "test" => (byte)CorpusSplit.Test,
        _ => throw new InputDataException(file, record, $"split '{name}' is not train, valid or test", "correct the table, or draw splits with --new-splits"),
    };

    /// <summary>Fills in the open splits: those of a family that has a given one follow it, other families are drawn.</summary>
    /// <param name="given">Split of each transcript, <see cref="Open"/> where none is given; filled in place.</param>
    /// <param name="familyOf">Family of each transcript.</param>
    /// <param name="families">Number of families.</param>
    /// <param name="shares">Shares of the drawn transcripts.</param>
    /// <param name="seed">Key of the draw.</param>
    /// <returns>Families that the given splits cut.</returns>
    internal static int Fill(byte[] given, ReadOnlySpan<int> familyOf, int families, (double Train, double Valid, double Test) shares, ulong seed)
    {
        var counts = new int[families, 3];
        var sizes = new int[families];
        for (int t = 0; t < given.Length; t++)
        {
            sizes[familyOf[t]]++;
            if (given[t] != Open) counts[familyOf[t], given[t]]++;
        }
        var choice = new byte[families];
        var open = new List<int>();
        int cut = 0;
        for (int f = 0; f < families; f++)
        {
            int most = Enumerable.Range(0, 3).MaxBy(s => counts[f, s]), kinds = Enumerable.Range(0, 3).Count(s => counts[f, s] > 0);
            choice[f] = (byte)most;
            if (kinds == 0) open.Add(f);
            if (kinds > 1) cut++;
        }
        Draw(open, sizes, choice, shares, seed);
        for (int t = 0; t < given.Length; t++)
            if (given[t] == Open) given[t] = choice[familyOf[t]];
        return cut;
    }

    // In random order, each family into the part that lacks most; the largest families find their part first only by chance, so that each part is a sample.
    private static void Draw(List<int> open, int[] sizes, byte[] choice, (double Train, double Valid, double Test) shares, ulong seed)
    {
        int[] order = [.. open];
        new Draws(seed, 0, 0, DrawFor.Split).Shuffle<int>(order);
        long all = order.Sum(f => (long)sizes[f]);
        double[] lacks = [all * shares.Train, all * shares.Valid, all * shares.Test];
        double[] wanted = [.. lacks];
        foreach (int f in order)
        {
            // By share of what is wanted, so that small parts are filled along with large ones.
            int part = Enumerable.Range(0, 3).Where(s => wanted[s] > 0).MaxBy(s => lacks[s] / wanted[s]);
            choice[f] = (byte)part;
            lacks[part] -= sizes[f];
        }
    }
}
