using System.Runtime.InteropServices;

namespace Orthrus.Tensor.Cuda;

/// <summary>What a GPU can do at most, for comparison with what kernels reach.</summary>
/// <param name="Float32Flops">Float32 operations a second outside of the tensor cores, by the clock that the driver states (a fused multiply-add is two).</param>
/// <param name="MemoryBytes">Bytes a second that a copy within device memory moves, read and written, measured.</param>
/// <param name="MatrixFlops">Operations a second that the tensor cores do with BF16 summed in float32, measured by a kernel that does nothing else; null where that is not to be had.</param>
/// <param name="WhyNoMatrix">Why not, or null.</param>
public sealed record CudaLimits(double Float32Flops, double MemoryBytes, double? MatrixFlops, string? WhyNoMatrix)
{
    // As in the source.
    private const int Chains = 8, FlopsOfProduct = 2 * 16 * 8 * 16;
    private const int PeakThreads = 256, PeakBlocksPerMultiprocessor = 2, PeakRounds = 4096, FirstWithBFloat16 = 80;

    private static readonly CudaKernel Peak = new(new CudaSource("matrix_peak", CudaResources.Text("limits/matrix_peak.cu")!), "matrix_peak");

    [StructLayout(LayoutKind.Sequential)]
    private struct PeakArgs
    {
        internal nint To;
        internal int Rounds;
    }

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
        double? matrix = Matrix(device, timer, out string? why);
        return new(2.0 * lanes * device.Multiprocessors * kilohertz * 1e3, 2.0 * count / best, matrix, why);
    }

    private static double? Matrix(CudaDevice device, CudaTimer timer, out string? why)
    {
        why = null;
        if (device.ComputeCapability < FirstWithBFloat16)
        {
            why = "products of BF16 begin with compute capability 8.0";
            return null;
        }
        int blocks = PeakBlocksPerMultiprocessor * device.Multiprocessors;
        using var scope = device.OpenScope();
        var to = scope.Empty(new Shape(blocks * PeakThreads), DType.F32);
        double best = double.PositiveInfinity;
        try
        {
            for (int i = 0; i < Copies; i++) best = Math.Min(best, timer.Time(() => Multiply(device, to, blocks, PeakRounds)));
        }
        catch (CudaException e) when (e.Call is "image" or "dlopen" || e.Call.StartsWith("nvrtc", StringComparison.Ordinal))
        {
            // The kernel does not come compiled: it belongs to no operator.
            why = $"the kernel that measures them needs NVRTC: {Nvrtc.WhyNot ?? e.Message}";
            return null;
        }
        return (double)FlopsOfProduct * Chains * PeakRounds * blocks * (PeakThreads / 32) / best;
    }

    /// <summary>Launches the kernel of products: the number that each thread leaves is a sum over its results of all rounds.</summary>
    internal static void Multiply(CudaDevice device, Tensor to, int blocks, int rounds) =>
        device.Launch(Peak, DType.F32, blocks, PeakThreads, 0, new PeakArgs { To = to.Address, Rounds = rounds });
}
