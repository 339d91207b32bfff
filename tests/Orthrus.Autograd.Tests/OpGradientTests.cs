using Orthrus.Autograd;
using Orthrus.Tensor;

namespace Orthrus.Autograd.Tests;

/// <summary>Every operator of the engine against its own specification, one row per sample.</summary>
public class OpGradientTests
{
    public static IEnumerable<TheoryDataRow<string, string>> Rows() =>
        from op in OpTable.All from s in op.Samples where !s.Bench select new TheoryDataRow<string, string>(op.Name, s.Name);

    [Theory]
    [MemberData(nameof(Rows))]
    public void Kernels_agree_with_the_specification(string op, string sample)
    {
        var row = OpTable.All.First(o => o.Name == op);
        var result = Assert.Single(GradCheck.Run(row, new() { Sample = sample }));
        Assert.True(result.Passed, string.Join("\n", result.Problems));
    }

    [Fact]
    public void Names_are_unique()
    {
        Assert.Equal(OpTable.All.Count, OpTable.All.Select(o => o.Name).Distinct().Count());
        foreach (var op in OpTable.All)
        {
            Assert.NotEmpty(op.Samples);
            Assert.True(op.Samples.Count == op.Samples.Select(s => s.Name).Distinct().Count(), $"{op.Name}: two samples share a name");
        }
    }

    [Fact]
    public void Samples_cover_every_operand_and_its_absence()
    {
        foreach (var op in OpTable.All)
        {
            var rows = op.Samples.Where(s => !s.Bench).ToArray();
            Assert.True(rows.Any(s => s.Inputs.All(i => i.Present)), $"{op.Name}: no sample has all operands");
            if (op.Signature.Inputs.Any(i => i.Optional))
                Assert.True(rows.Any(s => s.Inputs.Zip(op.Signature.Inputs).All(p => p.First.Present != p.Second.Optional)), $"{op.Name}: no sample without optional operands");
        }
    }

    [Fact]
    public void An_unknown_sample_is_an_error_that_names_the_known_ones()
    {
        var e = Assert.Throws<ArgumentException>(() => GradCheck.Run(OpTable.All[0], new() { Sample = "no such sample" }));
        Assert.Contains(OpTable.All[0].Samples[0].Name, e.Message);
    }
}
