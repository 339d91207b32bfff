using Orthrus.Autograd;
using Orthrus.Tensor;
using Orthrus.Tensor.Cpu;

namespace Orthrus.Autograd.Tests;

/// <summary>Every operator of the engine against its own specification, one row per sample and vector width that the processor has.</summary>
public class OpGradientTests
{
    public static IEnumerable<TheoryDataRow<string, string, int>> Rows() =>
        from op in OpTable.All from s in op.Samples where !s.Bench from width in VectorWidths.Native select new TheoryDataRow<string, string, int>(op.Name, s.Name, width);

    [Theory]
    [MemberData(nameof(Rows))]
    public void Kernels_agree_with_the_specification(string op, string sample, int width)
    {
        var row = OpTable.All.First(o => o.Name == op);
        var result = Assert.Single(GradCheck.Run(row, Checks.Of(sample, width)));
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

internal static class Checks
{
    /// <summary>Options of a check on devices of 1, 2, 3 and 5 threads; fewer coordinates for the narrower widths, whose kernels are the same source.</summary>
    internal static GradCheckOptions Of(string sample, int width) => width == VectorWidths.Native[0]
        ? new() { Sample = sample, Threads = [1, 2, 3, 5], VectorWidth = width }
        : new() { Sample = sample, Threads = [1, 2, 3, 5], VectorWidth = width, MaxCoordinates = 16, Directions = 2 };
}
