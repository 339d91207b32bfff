using Orthrus.Kernels;

namespace Orthrus.Cuda.Tests;

/// <summary>How fast the simulator is on this machine; docs/SIMULATOR.md has the goals.</summary>
public sealed class SimulatorSpeedTests(ITestOutputHelper output)
{
    // By processor time: what else the machine does then weighs less, but it does.
    private const double Enough = 0.7;

    [Fact]
    [Trait("tier", "long")]
    [Trait("machine", "alone")]
    public void Reaches_seven_tenths_of_its_goals()
    {
        var text = new StringWriter();
        var shares = SimulatorSpeed.Run(text);
        output.WriteLine(text.ToString());
        foreach (var (what, share) in new[] { ("geometric mean", shares.Mean), ("worst kernel", shares.Worst), ("matrix product", shares.Matrix), ("first result", shares.Cold) })
            Assert.True(share >= Enough, $"{what}: {share:P0} of the goal\n{text}");
    }

    [Fact]
    public void The_kernel_of_the_first_result_has_seven_hundred_instructions() => Assert.InRange(SimulatorSpeed.Instructions(SimulatorSpeed.ColdText()), 700, 900);
}
