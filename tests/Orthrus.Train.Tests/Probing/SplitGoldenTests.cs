using Orthrus.TestSupport;
using Orthrus.Train.Probing;

namespace Orthrus.Train.Tests.Probing;

/// <summary>Shuffles and splits row for row.</summary>
public class SplitGoldenTests
{
    public static IEnumerable<TheoryDataRow<string>> Rows(string op) => GoldenCase.Names("split", c => c.Op == op);

    private static uint[] Seeds(GoldenCase c) => [.. c.Attrs.GetProperty("seeds").EnumerateArray().Select(e => e.GetUInt32())];

    [Theory]
    [MemberData(nameof(Rows), "numpy_mt19937_raw")]
    public void Raw_numbers(string name)
    {
        var c = GoldenCase.Find("split", name);
        foreach (uint seed in Seeds(c))
        {
            var generator = MersenneTwister.NumPy(seed);
            Same(c, $"seed{seed}.uint32", Enumerable.Range(0, c.Int("count")).Select(_ => (long)generator.NextUInt32()));
        }
    }

    [Theory]
    [MemberData(nameof(Rows), "numpy_legacy_shuffle")]
    [MemberData(nameof(Rows), "numpy_legacy_permutation")]
    public void Shuffles(string name)
    {
        var c = GoldenCase.Find("split", name);
        Assert.All(c.Outputs.Keys, key =>
        {
            string[] parts = key.Split('.');
            Same(c, key, MersenneTwister.NumPy(uint.Parse(parts[0][4..])).Permutation(int.Parse(parts[1][1..])).Select(i => (long)i));
        });
    }

    [Theory]
    [MemberData(nameof(Rows), "numpy_legacy_choice")]
    public void Choices(string name)
    {
        var c = GoldenCase.Find("split", name);
        Assert.All(c.Outputs.Keys, key =>
        {
            string[] parts = key.Split('.');
            Same(c, key, MersenneTwister.NumPy(uint.Parse(parts[0][4..])).Permutation(int.Parse(parts[1][1..])).Take(int.Parse(parts[2][1..])).Select(i => (long)i));
        });
    }

    [Theory]
    [MemberData(nameof(Rows), "numpy_legacy_consecutive")]
    public void Shuffles_one_after_the_other(string name)
    {
        var c = GoldenCase.Find("split", name);
        var generator = MersenneTwister.NumPy(c.Attrs.GetProperty("seed").GetUInt32());
        for (int i = 0; i < c.Int("draws"); i++) Same(c, $"draw{i}", generator.Permutation(c.Int("size")).Select(v => (long)v));
    }

    [Theory]
    [MemberData(nameof(Rows), "homology_split")]
    public void Homology(string name)
    {
        var c = GoldenCase.Find("split", name);
        Three(c, [.. c.Input("group").Values.Select(v => (int)v)]);
    }

    [Theory]
    [MemberData(nameof(Rows), "homology_split_genes")]
    public void Homology_of_genes(string name)
    {
        var c = GoldenCase.Find("split", name);
        string[] Texts(string attr) => [.. c.Attrs.GetProperty(attr).EnumerateArray().Select(e => e.GetString()!)];
        string[] gene = Texts("gene_name"), group = Texts("gene_group");
        var groups = group.Distinct().Select((g, i) => (g, i)).ToDictionary();
        // The last row of a gene counts, as in a dictionary built from the table.
        var of = new Dictionary<string, int>();
        for (int i = 0; i < gene.Length; i++) of[gene[i]] = groups[group[i]];
        Three(c, [.. Texts("genes").Select(g => of.GetValueOrDefault(g, -1))]);
    }

    private static void Three(GoldenCase c, int[] groups)
    {
        Assert.Equal((0.3, 0.5), (c.Double("held_out"), c.Double("second")));
        foreach (uint seed in Seeds(c))
        {
            var split = Splits.Homology(groups, seed);
            Same(c, $"seed{seed}.train", split.Train.Select(i => (long)i));
            Same(c, $"seed{seed}.val", split.Validation.Select(i => (long)i));
            Same(c, $"seed{seed}.test", split.Test.Select(i => (long)i));
        }
    }

    [Theory]
    [MemberData(nameof(Rows), "sklearn_train_test_split")]
    public void Random(string name)
    {
        var c = GoldenCase.Find("split", name);
        Assert.All(c.Outputs.Keys, key =>
        {
            // seed<s>.n<n>.t<share>.<part>, whose share has a dot of its own, or seed<s>.n<n>.tvt.<part>
            string[] parts = key.Split('.');
            uint seed = uint.Parse(parts[0][4..]);
            int n = int.Parse(parts[1][1..]);
            if (parts[2] == "tvt")
            {
                var split = Splits.Random(n, seed);
                Same(c, key, (parts[3] == "val" ? split.Validation : split.Test).Select(i => (long)i));
                return;
            }
            var (train, test) = Splits.Random(n, double.Parse(string.Join('.', parts[2..^1])[1..]), seed);
            Same(c, key, (parts[^1] == "train" ? train : test).Select(i => (long)i));
        });
    }

    [Theory]
    [MemberData(nameof(Rows), "python_random")]
    public void Shuffles_of_cpython(string name)
    {
        var c = GoldenCase.Find("split", name);
        // A seed of one word; CPython takes a negative one for its absolute value.
        string[] seeds = [.. c.Attrs.GetProperty("seeds").EnumerateArray().Select(e => e.GetString()!).Where(s => long.Parse(s) is > int.MinValue and <= uint.MaxValue)];
        Assert.NotEmpty(seeds);
        foreach (string text in seeds)
        {
            uint seed = (uint)Math.Abs(long.Parse(text));
            var generator = MersenneTwister.Python(seed);
            Same(c, $"seed{text}.uint32", c.Output($"seed{text}.uint32").Values.Select(_ => (long)generator.NextUInt32()));
            foreach (int n in c.Attrs.GetProperty("sizes").EnumerateArray().Select(e => e.GetInt32()))
                if (c.Outputs.ContainsKey($"seed{text}.shuffle{n}")) Same(c, $"seed{text}.shuffle{n}", MersenneTwister.Python(seed).Permutation(n).Select(i => (long)i));
        }
    }

    private static void Same(GoldenCase c, string output, IEnumerable<long> got)
    {
        var want = c.Output(output);
        // Numbers of 32 bits may stand in a file as signed ones.
        Assert.Equal(want.Values.Select(v => (long)v & uint.MaxValue), got.Select(v => v & uint.MaxValue));
    }
}
