using Orthrus.Autograd;
using Orthrus.Tensor;
using Orthrus.Tensor.Cpu;

namespace Orthrus.Autograd.Tests;

/// <summary>Every state update of the engine against its own specification, one row per sample and vector width that the processor has.</summary>
public class UpdateCheckTests
{
    public static IEnumerable<TheoryDataRow<string, string, int>> Rows() =>
        from u in UpdateTable.All from s in u.Samples where !s.Bench from width in VectorWidths.Native select new TheoryDataRow<string, string, int>(u.Name, s.Name, width);

    [Theory]
    [MemberData(nameof(Rows))]
    public void Kernels_agree_with_the_specification(string update, string sample, int width)
    {
        var row = UpdateTable.All.First(u => u.Name == update);
        var result = Assert.Single(UpdateCheck.Run(row, Checks.Of(sample, width)));
        Assert.True(result.Passed, string.Join("\n", result.Problems));
    }
}
