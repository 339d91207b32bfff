using Orthrus.PtxSim;
using Orthrus.Tensor;
using Orthrus.Tensor.Cuda;

namespace Orthrus.Cuda.Tests;

/// <summary>What the engine says where a device fails: one line that names what, how much and what to do.</summary>
public sealed class DeviceErrorTests
{
    private static readonly CudaKernel Missing = new(new CudaSource("stray", """
        #include "orthrus.cuh"
        struct StrayArgs { float* to; };
        ORTHRUS_KERNEL stray(const StrayArgs a) { a.to[threadIdx.x] = 1.0f; }
        """), "stray");

    private struct StrayArgs
    {
        internal nint To;
    }

    [Fact]
    public void Out_of_memory_says_how_much_and_what_to_change_after_the_pool_gave_everything_back()
    {
        using var device = SimDriver.Open(new SimOptions { MemoryBytes = 64 << 20 });
        using (var scope = device.OpenScope()) scope.Empty(new Shape(10 << 20), DType.F32);
        Assert.Equal(40 << 20, device.CachedBytes);
        using (var scope = device.OpenScope())
        {
            // Does not fit beside what the pool keeps, and does once the pool has returned it.
            scope.Empty(new Shape(12 << 20), DType.F32);
            Assert.Equal(0, device.CachedBytes);
            var e = Assert.Throws<DeviceOutOfMemoryException>(() => scope.Empty(new Shape(8 << 20), DType.F32));
            Assert.Equal("sim (H100 SXM, compute 9.0): 33,554,432 bytes more are not to be had; 16,777,216 of the device's 67,108,864 bytes are free; in use: 50,331,648 bytes in 1 blocks, 1 x 50,331,648; use smaller batches or shorter records, or end other programs that use the device", e.Message);
        }
        using (var scope = device.OpenScope()) scope.Empty(new Shape(8 << 20), DType.F32);
    }

    [Fact]
    public void A_fault_of_a_kernel_is_named_once_and_the_device_closes_without_hiding_it()
    {
        if (!Nvrtc.IsAvailable) Assert.Skip(Nvrtc.WhyNot!);
        var e = Assert.Throws<CudaException>(() =>
        {
            using var device = SimDriver.Open();
            using var scope = device.OpenScope();
            var x = scope.Zeros(new Shape(64), DType.F32);
            device.Launch(Missing, DType.F32, 1, 65, 0, new StrayArgs { To = x.Address });
            device.Synchronize();
        });
        Assert.Equal(CudaResult.IllegalAddress, e.Result);
        Assert.True(e.IsSticky);
        Assert.StartsWith("cuStreamSynchronize (stray, PTX line ", e.Message);
        Assert.Contains("thread (64,0,0)", e.Message);
        Assert.EndsWith("CUDA_ERROR_ILLEGAL_ADDRESS (700): a kernel used an address outside of its memory; a kernel is at fault: run the same command with --device sim, which names the line, and report it", e.Message);
        Assert.DoesNotContain('\n', e.Message);
    }

    [Fact]
    public void After_a_fault_every_call_says_why()
    {
        if (!Nvrtc.IsAvailable) Assert.Skip(Nvrtc.WhyNot!);
        using var device = SimDriver.Open();
        using var scope = device.OpenScope();
        device.Launch(Missing, DType.F32, 1, 32, 0, default(StrayArgs));
        Assert.Throws<CudaException>(device.Synchronize);
        var later = Assert.Throws<CudaException>(() => device.Launch(Missing, DType.F32, 1, 32, 0, default(StrayArgs)));
        Assert.Contains("the device was lost before: cuStreamSynchronize (stray, PTX line", later.Message);
        Assert.True(later.IsSticky);
    }

    [Theory]
    [InlineData(100, "CUDA_ERROR_NO_DEVICE (100)")]
    [InlineData(803, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH (803)")]
    public void A_simulated_driver_can_refuse_to_start(int code, string expected) => Assert.Contains(expected, Assert.Throws<CudaException>(() => SimDriver.Open(new SimOptions { InitResult = code })).Message);

    [Fact]
    public void A_damaged_cache_entry_is_none()
    {
        string folder = Directory.CreateTempSubdirectory("orthrus-cache-").FullName;
        try
        {
            string path = Path.Combine(folder, "new", "entry.cubin");
            byte[] image = [.. Enumerable.Range(0, 500).Select(k => (byte)k)];
            Assert.Null(CudaImages.Read(path));
            Assert.True(CudaImages.Write(path, image));
            Assert.Equal(image, CudaImages.Read(path));
            byte[] file = File.ReadAllBytes(path);
            for (int k = 0; k < file.Length; k += 37)
            {
                file[k] ^= 4;
                File.WriteAllBytes(path, file);
                Assert.Null(CudaImages.Read(path));
                file[k] ^= 4;
            }
            foreach (int length in new[] { 0, 32, 33, file.Length - 1 })
            {
                File.WriteAllBytes(path, file[..length]);
                Assert.Null(CudaImages.Read(path));
            }
            Assert.False(CudaImages.Write(Path.Combine(path, "below-a-file.cubin"), image));
            Assert.Equal([path], Directory.GetFiles(folder, "*", SearchOption.AllDirectories));
        }
        finally
        {
            Directory.Delete(folder, true);
        }
    }
}
