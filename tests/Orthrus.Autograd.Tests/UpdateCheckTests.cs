using Orthrus.Autograd;
using Orthrus.Tensor;

namespace Orthrus.Autograd.Tests;

/// <summary>Every state update of the engine against its own specification, one row per sample.</summary>
public class UpdateCheckTests
{
    public static IEnumerable<TheoryDataRow<string, string>> Rows() =>
        from u in UpdateTable.All from s in u.Samples where !s.Bench select new TheoryDataRow<string, string>(u.Name, s.Name);

    [Theory]
    [MemberData(nameof(Rows))]
    public void Kernels_agree_with_the_specification(string update, string sample)
    {
        var row = UpdateTable.All.First(u => u.Name == update);
        var result = Assert.Single(UpdateCheck.Run(row, new() { Sample = sample }));
        Assert.True(result.Passed, string.Join("\n", result.Problems));
    }
}
