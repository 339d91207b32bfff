namespace Orthrus.Cli.Tests;

public class GradCheckVerbTests
{
    private static (int Code, string Out, string Error) Run(params string[] args)
    {
        var run = CliRun.Of(args);
        return (run.Code, run.Out, run.Error);
    }

    [Fact]
    public void The_example_of_the_help_passes()
    {
        var (code, text, error) = Run("gradcheck", "--op", "silu", "--seed", "7");
        Assert.Equal(0, code);
        Assert.Equal("", error);
        string[] lines = text.ReplaceLineEndings("\n").Split('\n');
        Assert.StartsWith("op", lines[0]);
        Assert.Contains(lines, l => l.StartsWith("silu") && l.Contains("F32") && l.EndsWith("ok"));
        Assert.Contains(lines, l => l.StartsWith("silu") && l.Contains("F64") && l.EndsWith("ok"));
        Assert.Contains("gradcheck --op silu --seed 7", GradCheckVerb.Build().Description);
    }

    [Fact]
    public void One_precision_can_be_chosen()
    {
        var (code, text, _) = Run("gradcheck", "--op", "silu", "--dtype", "f64");
        Assert.Equal(0, code);
        Assert.DoesNotContain("F32", text);
    }

    [Theory]
    [InlineData("gradcheck", "--op", "nonsense")]
    [InlineData("gradcheck", "--dtype", "f16")]
    [InlineData("gradcheck", "--seed", "x")]
    public void Wrong_arguments_are_usage_errors(params string[] args)
    {
        var (code, _, error) = Run(args);
        Assert.Equal(2, code);
        Assert.Single(error.Trim().Split('\n'));
        if (args.Contains("nonsense")) Assert.Contains("silu", error);
    }
}
