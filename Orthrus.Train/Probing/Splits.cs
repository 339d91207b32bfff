namespace Orthrus.Train.Probing;

/// <summary>Rows of the three parts of a data set.</summary>
/// <param name="Train">Row numbers from 0.</param>
/// <param name="Validation">Row numbers.</param>
/// <param name="Test">Row numbers.</param>
public sealed record ThreeWaySplit(int[] Train, int[] Validation, int[] Test);

/// <summary>Splits by seed that come out row for row as those of the published evaluation. Source: specification 8.1.</summary>
public static class Splits
{
    /// <summary>Seeds of the journal's evaluation.</summary>
    public static IReadOnlyList<uint> DefaultSeeds { get; } = [2541, 413, 411, 412, 2547, 321, 421, 311, 2516, 2515];

    private const double HeldOut = 0.30, Second = 0.50;

    /// <summary>70/15/15 by groups: no group has rows in two parts.</summary>
    /// <param name="groups">Group of each row; a negative number for a row that stands alone.</param>
    /// <param name="seed">Of NumPy's legacy generator; the same for both cuts.</param>
    public static ThreeWaySplit Homology(IReadOnlyList<int> groups, uint seed)
    {
        ArgumentNullException.ThrowIfNull(groups);
        var (train, rest) = Homology(groups, HeldOut, seed);
        var (validation, test) = Homology([.. rest.Select(r => groups[r])], Second, seed);
        return new ThreeWaySplit(train, [.. validation.Select(i => rest[i])], [.. test.Select(i => rest[i])]);
    }

    /// <summary>Rows in two parts: whole groups in the order of a shuffled list of rows, into the first part as long as that has fewer than its share.</summary>
    /// <param name="groups">Group of each row; a negative number for a row that stands alone.</param>
    /// <param name="testSize">Share of the second part.</param>
    /// <param name="seed">Of NumPy's legacy generator.</param>
    public static (int[] First, int[] Second) Homology(IReadOnlyList<int> groups, double testSize, uint seed)
    {
        ArgumentNullException.ThrowIfNull(groups);
        int n = groups.Count, target = (int)(n * (1 - testSize));
        var members = new Dictionary<int, List<int>>();
        for (int i = 0; i < n; i++)
        {
            if (groups[i] < 0) continue;
            if (!members.TryGetValue(groups[i], out var rows)) members.Add(groups[i], rows = []);
            rows.Add(i);
        }
        List<int> first = [], second = [];
        foreach (int row in MersenneTwister.NumPy(seed).Permutation(n))
        {
            var part = first.Count < target ? first : second;
            if (groups[row] < 0) part.Add(row);
            else if (members.Remove(groups[row], out var rows)) part.AddRange(rows);
        }
        return ([.. first], [.. second]);
    }

    /// <summary>70/15/15 of single rows, as two of scikit-learn's train_test_split with one seed.</summary>
    /// <param name="rows">n.</param>
    /// <param name="seed">Of NumPy's legacy generator.</param>
    public static ThreeWaySplit Random(int rows, uint seed)
    {
        var (train, rest) = Random(rows, HeldOut, seed);
        var (validation, test) = Random(rest.Length, Second, seed);
        return new ThreeWaySplit(train, [.. validation.Select(i => rest[i])], [.. test.Select(i => rest[i])]);
    }

    /// <summary>Rows in two parts as scikit-learn's train_test_split cuts them: of a permutation, the first ⌈n testSize⌉ are the second part.</summary>
    /// <param name="rows">n.</param>
    /// <param name="testSize">Share of the second part.</param>
    /// <param name="seed">Of NumPy's legacy generator.</param>
    public static (int[] Train, int[] Test) Random(int rows, double testSize, uint seed)
    {
        int test = (int)Math.Ceiling(rows * testSize);
        int[] order = MersenneTwister.NumPy(seed).Permutation(rows);
        return (order[test..], order[..test]);
    }
}
