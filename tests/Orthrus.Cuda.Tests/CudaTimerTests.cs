using Orthrus.PtxSim;
using Orthrus.Tensor;
using Orthrus.Tensor.Cuda;

namespace Orthrus.Cuda.Tests;

/// <summary>Times by the driver's events: which kernels they belong to. What they are says nothing on a simulated device.</summary>
public sealed class CudaTimerTests
{
    [Fact]
    public void Every_launch_has_its_kernel_and_its_time()
    {
        var launched = new List<string>();
        using var driver = new SimDriver(new SimOptions(), SimDeviceSpec.H100) { Launched = l => launched.Add(l.Kernel) };
        using var device = driver.OpenDevice();
        using var work = OpWork.Of(OpTable.All.Single(r => r.Name == LinearSplit.Name), OpTable.All.Single(r => r.Name == LinearSplit.Name).Samples.First(s => !s.Bench), DType.BF16, device);
        work.Forward();
        work.Backward();
        device.Synchronize();
        launched.Clear();
        using var timer = new CudaTimer(device);
        var times = timer.TimeLaunches(() =>
        {
            work.Forward();
            work.Backward();
        });
        Assert.Equal(launched, times.Select(t => t.Kernel));
        Assert.Contains("split_columns", launched);
        Assert.Contains("join_columns", launched);
        Assert.All(times, t => Assert.True(double.IsFinite(t.Seconds) && t.Seconds >= 0));
        // Nobody listens afterwards, whatever happened.
        Assert.Throws<TimeoutException>(() => timer.TimeLaunches(() =>
        {
            work.Forward();
            throw new TimeoutException();
        }));
        Assert.Null(device.LaunchWatcher);
        Assert.True(timer.Time(work.Forward) >= 0);
    }
}
