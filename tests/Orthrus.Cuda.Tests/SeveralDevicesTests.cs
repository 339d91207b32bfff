using Orthrus.Mamba;
using Orthrus.PtxSim;
using Orthrus.Tensor;
using Orthrus.Tensor.Cuda;

namespace Orthrus.Cuda.Tests;

/// <summary>Embedding on several simulated devices, on devices without enough memory, and on devices that fail.</summary>
public sealed class SeveralDevicesTests
{
    private static readonly OrthrusModel Model = OrthrusModel.Create(new MambaConfig(32, 1, 6), 5);

    private static byte[] Record(int length, int seed)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, length).Select(_ => (byte)(1 << random.Next(4)))];
    }

    private static readonly byte[][] Records = [.. Enumerable.Range(0, 24).Select(k => Record(1 + k * 37 % 150, k))];

    private static float[][] Embed(EmbedderOptions options, IEnumerable<byte[]>? records = null)
    {
        using var embedder = new Embedder(Model, options);
        return [.. embedder.EmbedAll(records ?? Records, r => r).Select(e => e.Vector)];
    }

    [Fact]
    public void Several_devices_give_the_results_of_one_in_the_order_of_input()
    {
        using var one = SimDriver.Open(new SimOptions { Seed = 9 });
        var want = Embed(new EmbedderOptions { Device = one });
        using var driver = new SimDriver(new SimOptions { Seed = 3 }, SimDeviceSpec.H100, SimDeviceSpec.H100, SimDeviceSpec.H100);
        var devices = driver.OpenDevices();
        Assert.Equal([0, 1, 2], devices.Select(d => d.Ordinal));
        using var embedder = new Embedder(Model, new EmbedderOptions { Devices = devices });
        Assert.Equal("3 x H100 SXM (sim, sim:1, sim:2), F32, own matrix products", embedder.Description);
        var seen = new List<byte[]>();
        long[] before = [.. devices.Select(d => d.DriverCalls)];
        // The order is that of input whichever device was first.
        foreach (var e in embedder.EmbedAll(Records, r => r))
        {
            Assert.Same(Records[seen.Count], e.Record);
            Assert.Equal(want[seen.Count], e.Vector);
            seen.Add(e.Record);
        }
        Assert.Equal(Records.Length, seen.Count);
        Assert.All(devices.Zip(before), d => Assert.True(d.First.DriverCalls - d.Second > 40, "a device had nothing to do"));

        // Positions come in the order of input as well, never twice at once.
        var next = new List<byte[]>();
        var sums = new Dictionary<byte[], double>();
        int inside = 0;
        foreach (var e in embedder.EmbedAll(Records[..7], r => r, (record, start, rows, _) =>
        {
            Assert.Equal(1, Interlocked.Increment(ref inside));
            if (start == 0) next.Add(record);
            Assert.Same(next[^1], record);
            sums[record] = sums.GetValueOrDefault(record) + rows[0];
            Interlocked.Decrement(ref inside);
        })) Assert.Equal(want[Array.IndexOf(Records, e.Record)], e.Vector);
        Assert.Equal(Records[..7], next);
        embedder.Dispose();
        foreach (var device in devices) device.Dispose();
    }

    [Fact]
    public void The_error_of_one_device_ends_the_work_of_all_and_names_it()
    {
        using var driver = new SimDriver(new SimOptions(), SimDeviceSpec.H100, SimDeviceSpec.H100);
        var devices = driver.OpenDevices();
        using (var embedder = new Embedder(Model, new EmbedderOptions { Devices = devices }))
        {
            Fault(driver, devices[1]);
            // Enough work that the other device cannot have done it all before this one begins.
            var e = Assert.Throws<DeviceException>(() => embedder.EmbedAll(Enumerable.Repeat(Records, 10_000).SelectMany(r => r), r => r).Count());
            Assert.StartsWith("sim:1 (H100 SXM, compute 9.0): cu", e.Message);
            Assert.Contains("CUDA_ERROR_ILLEGAL_ADDRESS (700)", e.Message);
            Assert.DoesNotContain('\n', e.Message);
            // Again, at once, with the same cause.
            Assert.Contains("the device was lost before: cu", Assert.Throws<DeviceException>(() => embedder.EmbedAll(Records, r => r).Count()).Message);
        }
        // The other works on.
        Assert.Equal(Records.Length, Embed(new EmbedderOptions { Device = devices[0] }).Length);
        foreach (var device in devices) device.Dispose();
    }

    [Fact]
    public void An_error_of_the_source_or_the_receiver_passes_through()
    {
        using var driver = new SimDriver(new SimOptions(), SimDeviceSpec.H100, SimDeviceSpec.H100);
        var devices = driver.OpenDevices();
        using (var embedder = new Embedder(Model, new EmbedderOptions { Devices = devices }))
        {
            IEnumerable<byte[]> Broken()
            {
                yield return Records[3];
                throw new InvalidDataException("line 7");
            }

            Assert.Equal("line 7", Assert.Throws<InvalidDataException>(() => embedder.EmbedAll(Broken(), r => r).Count()).Message);
            Assert.Equal("full", Assert.Throws<IOException>(() => embedder.EmbedAll(Records, r => r, (_, _, _, _) => throw new IOException("full")).Count()).Message);
            // A consumer that gives up, and then another call.
            Assert.Same(Records[0], embedder.EmbedAll(Records, r => r).First().Record);
            Assert.Equal(Records.Length, embedder.EmbedAll(Records, r => r).Count());
        }
        foreach (var device in devices) device.Dispose();
    }

    [Fact]
    public void Devices_that_do_not_fit_are_refused()
    {
        using var driver = new SimDriver(new SimOptions(), SimDeviceSpec.H100, SimDeviceSpec.A100);
        var devices = driver.OpenDevices();
        string Says(EmbedderOptions o) => Assert.Throws<ArgumentException>(() => new Embedder(Model, o)).Message;
        Assert.Contains("are of two kinds, and a result would depend on which took the record", Says(new EmbedderOptions { Devices = devices }));
        Assert.Contains("was given twice", Says(new EmbedderOptions { Devices = [devices[0], devices[0]] }));
        Assert.Contains("Devices is empty", Says(new EmbedderOptions { Devices = [] }));
        Assert.Contains("give one of the two", Says(new EmbedderOptions { Devices = devices, Device = devices[0] }));
        Assert.Contains("cuBLAS multiplies on CUDA devices alone", Says(new EmbedderOptions { Gemm = GemmBackend.Cublas }));
        Assert.Equal("sim (H100 SXM, compute 9.0) has no cuBLAS, which runs on NVIDIA's hardware alone: use --gemm own",
            Assert.Throws<DeviceException>(() => new Embedder(Model, new EmbedderOptions { Device = devices[0], Gemm = GemmBackend.Cublas })).Message);
        Assert.Equal(0, devices[0].LiveBlocks);
        Assert.Equal("sim (H100 SXM, compute 9.0), own matrix products (a simulated device has no others)", devices[0].Description);
        foreach (var device in devices) device.Dispose();
    }

    [Fact]
    public void Memory_that_does_not_suffice_halves_the_batches_and_changes_no_bit()
    {
        byte[][] records = [.. Enumerable.Range(0, 16).Select(k => Record(200, k))];
        using var roomy = SimDriver.Open(new SimOptions { Checks = false });
        var want = Embed(new EmbedderOptions { Device = roomy }, records);
        long peak = roomy.PeakBytes;
        foreach (double share in new[] { 0.7, 0.4 })
        {
            using var tight = SimDriver.Open(new SimOptions { Checks = false, MemoryBytes = (long)(share * peak) });
            Assert.Equal(want, Embed(new EmbedderOptions { Device = tight }, records));
            Assert.True(tight.PeakBytes < peak);
            Assert.Equal(0, tight.LiveBlocks);
        }
    }

    [Fact]
    public void One_record_that_does_not_fit_says_what_was_asked_what_is_free_and_what_to_change()
    {
        using var device = SimDriver.Open(new SimOptions { Checks = false, MemoryBytes = 3 << 20 });
        using var embedder = new Embedder(Model, new EmbedderOptions { Device = device });
        var e = Assert.Throws<DeviceOutOfMemoryException>(() => embedder.Embed(Record(20_000, 1)));
        Assert.Matches(@"^one record of 20,000 nucleotides does not fit on sim \(H100 SXM, compute 9\.0\): [\d,]+ bytes more are not to be had; [\d,]+ of the device's 3,145,728 bytes are free; in use: .*; "
            + "compute in bf16, use a device with more memory or the CPU, or end other programs on this one$", e.Message);
        // The embedder works on with records that fit.
        Assert.Equal(32, embedder.Embed(Record(50, 2)).Length);
    }

    [Fact]
    public void A_fault_is_one_line_and_everything_after_it_fails_at_once_with_the_same_cause()
    {
        using var driver = new SimDriver(new SimOptions());
        var device = driver.OpenDevice();
        using (var embedder = new Embedder(Model, new EmbedderOptions { Device = device }))
        {
            Fault(driver, device);
            var first = Assert.Throws<CudaException>(() => embedder.Embed(Records[5]));
            Assert.True(first.IsSticky);
            Assert.Contains("(stray, PTX line ", first.Message);
            long calls = device.DriverCalls;
            var second = Assert.Throws<CudaException>(() => embedder.Embed(Records[5]));
            Assert.Equal($"the device was lost before: {first.Message}", second.Message);
            Assert.True(second.IsSticky);
            // Nothing reached the driver any more.
            Assert.Equal(calls, device.DriverCalls);
        }
        device.Dispose();
    }

    private static unsafe void Fault(SimDriver sim, CudaDevice device)
    {
        ICudaDriver driver = sim;
        nint module, function;
        device.Synchronize();
        fixed (byte* ptx = System.Text.Encoding.UTF8.GetBytes(Driver.Rig.Ptx + "\0")) Driver.Rig.Ok(driver.ModuleLoadDataEx(&module, ptx, 0, null, null));
        fixed (byte* name = "stray\0"u8) Driver.Rig.Ok(driver.ModuleGetFunction(&function, module, name));
        ulong to = 64;
        void* parameter = &to;
        Driver.Rig.Ok(driver.LaunchKernel(function, 1, 1, 1, 32, 1, 1, 0, device.Stream.Handle, &parameter, null));
    }
}
