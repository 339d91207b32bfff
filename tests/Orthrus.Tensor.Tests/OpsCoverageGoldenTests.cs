using System.Reflection;
using Orthrus.TestSupport;

namespace Orthrus.Tensor.Tests;

/// <summary>No case of the area "ops" is left out: a new set of the same layout may hold operators that no test knows.</summary>
public class OpsCoverageGoldenTests
{
    /// <summary>Operators named in the <c>[MemberData(nameof(Cases), ...)]</c> of a class whose name ends in GoldenTests.</summary>
    private static HashSet<string> Covered() =>
    [
        .. from type in typeof(OpsCoverageGoldenTests).Assembly.GetTypes() where type.Name.EndsWith("GoldenTests", StringComparison.Ordinal)
           from method in type.GetMethods() from data in method.GetCustomAttributes<MemberDataAttribute>() where data.MemberName == "Cases"
           from name in data.Arguments.OfType<string>() select name,
    ];

    [Fact]
    public void Every_operator_of_the_cases_has_a_test()
    {
        string[] known = [.. GoldenCase.Area("ops").Select(c => c.Op).Distinct()];
        Assert.SkipWhen(known.Length == 0, "no golden cases of operators here");
        var covered = Covered();
        string[] unknown = [.. known.Where(op => !covered.Contains(op))];
        Assert.True(unknown.Length == 0, $"golden cases that no test runs: {string.Join(", ", unknown)}");
    }

    [Fact]
    public void The_names_are_read_from_the_tests()
    {
        var covered = Covered();
        Assert.Contains("layer_norm", covered);
        Assert.Contains("adamw", covered);
        Assert.DoesNotContain("no_such_operator", covered);
    }
}
