namespace Orthrus.Train.Probing;

/// <summary>An estimate with its interval.</summary>
/// <param name="Value">On the rows as they are.</param>
/// <param name="Low">Lower end of the 95 % interval; NaN where it is not defined.</param>
/// <param name="High">Upper end.</param>
public readonly record struct Estimate(double Value, double Low, double High);

/// <summary>
/// Percentile intervals from resampling rows with replacement (Efron 1979). The resamples depend on the seed, the number of rows and the units alone, so that two
/// models measured on the same rows are resampled alike, and the interval of their difference is a paired one.
/// </summary>
internal sealed class Bootstrap
{
    private const double Tail = 0.025;

    private readonly int[][] _counts;

    /// <summary>Draws the resamples.</summary>
    /// <param name="rows">n.</param>
    /// <param name="resamples">How many; 0 for none.</param>
    /// <param name="seed">Of the generator.</param>
    /// <param name="units">The unit that each row belongs to: units are drawn, with all their rows, so that rows that resemble each other do not pass for independent ones. Null: rows.</param>
    internal Bootstrap(int rows, int resamples, uint seed, IReadOnlyList<int>? units = null)
    {
        var generator = MersenneTwister.NumPy(seed);
        int[]? numbers = units is null ? null : Numbered(units);
        int drawn = numbers is null ? rows : numbers.Length == 0 ? 0 : numbers.Max() + 1;
        _counts = new int[resamples][];
        for (int b = 0; b < resamples; b++)
        {
            var counts = new int[drawn];
            for (int i = 0; i < drawn; i++) counts[(int)((ulong)generator.NextUInt32() * (uint)drawn >> 32)]++;
            _counts[b] = numbers is null ? counts : Array.ConvertAll(numbers, u => counts[u]);
        }
    }

    /// <summary>Every resample's value, NaN where it is not defined.</summary>
    /// <param name="metric">The metric for counts of the rows.</param>
    internal double[] Values(Func<int[]?, double> metric) => Array.ConvertAll(_counts, c => metric(c));

    /// <summary>The interval of resampled values: their 2.5 % and 97.5 % points. NaN where more than half are not defined.</summary>
    internal static (double Low, double High) Interval(double[] values)
    {
        double[] defined = [.. values.Where(v => !double.IsNaN(v)).Order()];
        return 2 * defined.Length > values.Length ? (Quantile(defined, Tail), Quantile(defined, 1 - Tail)) : (double.NaN, double.NaN);
    }

    // Linear between the values, as NumPy's quantile has it.
    private static double Quantile(double[] sorted, double share)
    {
        double at = share * (sorted.Length - 1);
        int below = (int)at;
        return below + 1 < sorted.Length ? sorted[below] + (at - below) * (sorted[below + 1] - sorted[below]) : sorted[below];
    }

    private static int[] Numbered(IReadOnlyList<int> units)
    {
        var numbers = new Dictionary<int, int>();
        var result = new int[units.Count];
        for (int i = 0; i < result.Length; i++)
        {
            if (!numbers.TryGetValue(units[i], out int number)) numbers.Add(units[i], number = numbers.Count);
            result[i] = number;
        }
        return result;
    }
}
