namespace Orthrus.Tensor.Cuda;

/// <summary>What a GPU can do at most, for comparison with what kernels reach.</summary>
/// <param name="Float32Flops">Float32 operations a second outside of the tensor cores, by the clock that the driver states (a fused multiply-add is two).</param>
/// <param name="MemoryBytes">Bytes a second that a copy within device memory moves, read and written, measured.</param>
public sealed record CudaLimits(double Float32Flops, double MemoryBytes)
{
    private const long CopyBytes = 256 << 20;
    private const int Copies = 8;

    /// <summary>Asks the driver and measures.</summary>
    /// <param name="device">The device; a 256th of its memory, at most twice 256 MB, is used.</param>
    /// <exception cref="CudaException">The device fails.</exception>
    public static unsafe CudaLimits Measure(CudaDevice device)
    {
        ArgumentNullException.ThrowIfNull(device);
        using var timer = new CudaTimer(device);
        int handle, kilohertz;
        nuint memory;
        device.Check(device.Driver.DeviceGet(&handle, device.Ordinal), "cuDeviceGet");
        device.Check(device.Driver.DeviceGetAttribute(&kilohertz, CudaDeviceAttribute.ClockRateKilohertz, handle), "cuDeviceGetAttribute");
        device.Check(device.Driver.DeviceTotalMem(&memory, handle), "cuDeviceTotalMem");
        // CUDA C++ Programming Guide, arithmetic throughput: 64 results a clock and multiprocessor up to 8.0, 128 from 8.6 on.
        int lanes = device.ComputeCapability <= 80 ? 64 : 128;
        using var scope = device.OpenScope();
        int count = (int)Math.Min(CopyBytes, (long)memory / 512);
        var source = scope.Zeros(new Shape(count), DType.U8);
        var target = scope.Zeros(new Shape(count), DType.U8);
        double best = double.PositiveInfinity;
        for (int i = 0; i < Copies; i++) best = Math.Min(best, timer.Time(() => device.Copy(target.Address, source.Address, count)));
        return new(2.0 * lanes * device.Multiprocessors * kilohertz * 1e3, 2.0 * count / best);
    }
}
