using Orthrus.PtxSim;
using Orthrus.Tensor;
using Orthrus.Tensor.Cuda;

namespace Orthrus.Cuda.Tests;

/// <summary>The kernel by which `orthrus bench` measures what tensor cores do at most, on a simulated device.</summary>
public sealed class MatrixPeakTests
{
    [Fact]
    public void It_does_nothing_but_products_and_leaves_their_sums()
    {
        if (!Nvrtc.IsAvailable) Assert.Skip("needs NVRTC (set ORTHRUS_CUDA_FOLDERS to its folder)");
        const int blocks = 3, rounds = 64, threads = 256;
        var launches = new List<LaunchReport>();
        using var driver = new SimDriver(new SimOptions { Seed = 1 }, SimDeviceSpec.H100) { Launched = launches.Add };
        using var device = driver.OpenDevice();
        using var scope = device.OpenScope();
        var to = scope.Empty(new Shape(blocks * threads), DType.F32);
        CudaLimits.Multiply(device, to, blocks, rounds);
        float[] sums = to.ToArray<float>();
        LaunchReport report = Assert.Single(launches);
        Assert.Equal(8L * rounds * blocks * (threads / 32) * 2 * 16 * 8 * 16, report.MatrixFlops);
        Assert.Equal(0, report.Tf32Flops + report.SharedLoads.Requests + report.GlobalLoads.Requests + report.Local.Requests);
        // Tensor cores are the limit by far: the loop issues little besides.
        var bounds = report.Bounds(SimDeviceSpec.H100);
        Assert.Equal("matrix", bounds[0].Unit);
        Assert.True(bounds[0].Seconds > 2 * bounds.Single(b => b.Unit == "issue").Seconds);
        // Every result is an integer of at most 16, once a round and chain; a thread has four.
        Assert.All(sums, s => Assert.True(s % (8 * rounds) == 0 && Math.Abs(s) <= 4 * 16 * 8 * rounds, $"{s}"));
        Assert.Contains(sums, s => s != 0);
        // Threads at the same place of their warps see other signs, so that not all warps have the same sums.
        Assert.True(sums.Distinct().Count() > 8);
    }

    [Fact]
    public void A_device_without_such_products_says_why()
    {
        using var device = SimDriver.Open(new SimOptions { Seed = 1 }, SimDeviceSpec.A100 with { Name = "older", ComputeCapability = 75, SharedPerBlock = 64 << 10 });
        var limits = CudaLimits.Measure(device);
        Assert.Null(limits.MatrixFlops);
        Assert.Equal("products of BF16 begin with compute capability 8.0", limits.WhyNoMatrix);
        Assert.True(limits.Float32Flops > 0 && limits.MemoryBytes > 0);
    }
}
