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
        // Auto says what it takes.
        Assert.Single(error.Trim().Split('\n'));
        Assert.StartsWith("device: ", error);
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

    [Fact]
    public void A_simulated_device_is_checked_in_float32_and_bfloat16()
    {
        var (code, text, error) = Run("gradcheck", "--op", "softplus", "--op", "clip_grad_value", "--device", "sim");
        Assert.Equal((0, ""), (code, error));
        string[] lines = text.ReplaceLineEndings("\n").Split('\n');
        foreach (string dtype in new[] { " F32 ", " BF16 " }) Assert.Contains(lines, l => l.StartsWith("softplus") && l.Contains(dtype) && l.EndsWith("ok"));
        Assert.Contains(lines, l => l.StartsWith("clip_grad_value") && l.Contains(" F32 ") && l.EndsWith("ok"));
        Assert.DoesNotContain("F64", text);
        Assert.DoesNotContain("F32", Run("gradcheck", "--op", "softplus", "--device", "sim", "--dtype", "bf16").Out);
    }

    [Theory]
    [InlineData("gradcheck", "--op", "nonsense")]
    [InlineData("gradcheck", "--device", "sim", "--dtype", "f64")]
    [InlineData("gradcheck", "--device", "cpu", "--dtype", "bf16")]
    [InlineData("gradcheck", "--device", "sim", "--dtype", "bf16", "--op", "batch_norm")]
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
