using Orthrus.Tensor.Cuda;
using Orthrus.TestSupport;

namespace Orthrus.Cli.Tests;

/// <summary>The example that simulates any kernel: what it prints of a right one, a race and bank conflicts, and how it refuses.</summary>
public sealed class SimulateYourKernelTests
{
    private static readonly string Kernels = Path.Combine(TestPaths.Repository, "examples", "SimulateYourKernel", "kernels");

    private static ShellResult Run(params string[] arguments) =>
        Shell.Run(Path.Combine(AppContext.BaseDirectory, OperatingSystem.IsWindows() ? "SimulateYourKernel.exe" : "SimulateYourKernel"), arguments, Kernels);

    [Theory]
    [InlineData("block_sums.ptx")]
    [InlineData("block_sums.cu")]
    public void A_right_kernel_runs_and_is_counted(string file)
    {
        if (file.EndsWith(".cu", StringComparison.Ordinal) && !Nvrtc.IsAvailable) Assert.Skip("needs NVRTC (set ORTHRUS_CUDA_FOLDERS to its folder)");
        var result = Run(file, "--grid", "4", "--block", "256", "f32[1000]:iota", "f32[4]:none", "i32:1000", "--show", "4", "--registers", "16");
        Assert.True(result.ExitCode == 0, result.ToString());
        Assert.Contains("argument 2: 32640 98176 163712 204972", result.Output);
        // 125 sectors of numbers and one of sums, read and written without waste.
        Assert.Matches(@"global loads +32 +125 +125 +1\.00 sectors", result.Output);
        Assert.Contains("DRAM: 4,000 bytes read, 32 written", result.Output);
        foreach (string device in new[] { "A100", "L4", "RTX 4090", "H100 SXM" }) Assert.Matches($@"(?m)^{device} +\w+ [\d.]+ us.*; 64 warps resident|{device} .*; 48 warps resident", result.Output);
    }

    [Fact]
    public void A_race_is_named_with_its_place()
    {
        var result = Run("race.ptx", "--grid", "4", "--block", "256", "f32[1000]:iota", "f32[4]:none", "i32:1000");
        Assert.Equal(1, result.ExitCode);
        Assert.Contains("check failed, SharedRace: race, PTX line", result.Error);
        Assert.Matches(@"kernel race, PTX line \d+, block \(\d,0,0\), thread \(\d+,0,0\), address 0x", result.Error);
    }

    [Fact]
    public void Bank_conflicts_show_in_the_ratio()
    {
        var result = Run("transpose.ptx", "--grid", "2,2", "--block", "32,8", "f32[4096]:random", "f32[4096]:none", "i32:64");
        Assert.True(result.ExitCode == 0, result.ToString());
        Assert.Matches(@"shared loads +128 +4,096 +128 +32\.00 bank cycles", result.Output);
        Assert.Matches(@"shared stores +128 +128 +128 +1\.00 bank cycles", result.Output);
    }

    [Fact]
    public void Memory_that_nobody_wrote_is_found()
    {
        var result = Run("transpose.ptx", "--grid", "1", "--block", "32,8", "f32[1024]:none", "f32[1024]:none", "i32:32");
        Assert.Equal(1, result.ExitCode);
        Assert.Contains("check failed, Uninitialised", result.Error);
    }

    [Theory]
    [InlineData(2, "--grid and --block are needed", "race.ptx")]
    [InlineData(2, "'f16:1' is no argument", "race.ptx", "--grid", "1", "--block", "32", "f16:1")]
    [InlineData(2, "no device 'T4'; there are A100, L4", "race.ptx", "--grid", "1", "--block", "32", "--device", "T4")]
    [InlineData(3, "absent.ptx", "absent.ptx", "--grid", "1", "--block", "32")]
    [InlineData(3, "there is no kernel 'other'; there are race", "race.ptx", "--grid", "1", "--block", "32", "--kernel", "other")]
    [InlineData(1, "2 arguments for 3 parameters", "race.ptx", "--grid", "1", "--block", "32", "f32[32]:1", "f32[1]:none")]
    public void What_it_cannot_do_it_says(int code, string message, params string[] arguments)
    {
        var result = Run(arguments);
        Assert.Equal(code, result.ExitCode);
        Assert.Contains(message, result.Error);
    }
}
