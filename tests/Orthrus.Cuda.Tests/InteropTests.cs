using Orthrus.Cuda.Tests.Driver;
using Orthrus.PtxSim;
using Orthrus.Tensor;
using Orthrus.Tensor.Cuda;

namespace Orthrus.Cuda.Tests;

using Tensor = Orthrus.Tensor.Tensor;

/// <summary>Contexts, streams and memory of another owner, who calls the driver directly: shared by raw handle, ordered, refused where they do not fit, and never destroyed.</summary>
public sealed class InteropTests
{
    private static readonly Shape Words = new(32);

    private static int[] Numbers(Rig rig, ulong at) => rig.Sim.Devices[0].Read<int>(at, 32);

    private static void Finish(Rig rig) => Rig.Ok(rig.Driver.CtxSynchronize());

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public void A_device_on_the_owners_stream_runs_in_one_order_with_the_owner(int seed)
    {
        using var rig = new Rig(new SimOptions { Seed = seed });
        nint stream = rig.Stream();
        ulong x = rig.Memory(32, 1), y = rig.Memory(32);
        using var device = CudaDevice.FromContext(rig.Driver, rig.Context, CudaStream.FromHandle(stream));
        Assert.Equal(stream, device.Stream.Handle);
        Rig.Ok(rig.Add(x, x, stream));
        using (var scope = device.OpenScope())
        {
            Tensor from = Tensor.FromDevicePointer(scope, (nint)x, Words, DType.I32), to = Tensor.FromDevicePointer(scope, (nint)y, Words, DType.I32);
            Assert.Equal((nint)x, from.Address);
            to.CopyFrom(scope.Clone(from));
            Rig.Ok(rig.Add(y, y, stream));
            Assert.Equal(3, to.ToArray<int>()[31]);
        }
        Assert.All(Numbers(rig, y), v => Assert.Equal(3, v));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Two_streams_are_ordered_by_request_in_both_directions(int seed)
    {
        using var rig = new Rig(new SimOptions { Seed = seed });
        nint stream = rig.Stream(), e = rig.Event();
        ulong x = rig.Memory(32, 5), y = rig.Memory(32);
        using var device = CudaDevice.FromContext(rig.Driver, rig.Context);
        Assert.NotEqual(stream, device.Stream.Handle);
        using var scope = device.OpenScope();
        var tensor = Tensor.FromDevicePointer(scope, (nint)x, Words, DType.I32);
        for (int round = 0; round < 3; round++)
        {
            Rig.Ok(rig.Add(x, x, stream));
            device.WaitFor(CudaStream.FromHandle(stream));
            tensor.CopyFrom(scope.Clone(tensor));
            device.Precede(CudaStream.FromHandle(stream));
            Rig.Ok(rig.Add(y, x, stream));
            // The other way to say the same, by an event of the owner's.
            Rig.Ok(rig.Driver.EventRecord(e, stream));
            device.WaitFor(CudaEvent.FromHandle(e));
            tensor.CopyFrom(scope.Clone(tensor));
            device.Record(CudaEvent.FromHandle(e));
            Rig.Ok(rig.Driver.StreamWaitEvent(stream, e, 0));
        }
        device.WaitFor(device.Stream);
        Finish(rig);
        Assert.All(Numbers(rig, x), v => Assert.Equal(8, v));
        Assert.All(Numbers(rig, y), v => Assert.Equal(9, v));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Without_the_request_the_simulator_finds_the_missing_order(bool before)
    {
        using var rig = new Rig(new SimOptions { Seed = 1 });
        nint stream = rig.Stream();
        ulong x = rig.Memory(32, 5);
        var device = CudaDevice.FromContext(rig.Driver, rig.Context);
        var scope = device.OpenScope();
        var tensor = Tensor.FromDevicePointer(scope, (nint)x, Words, DType.I32);
        if (before) Rig.Ok(rig.Add(x, x, stream));
        tensor.CopyFrom(scope.Clone(tensor));
        if (!before) Rig.Ok(rig.Add(x, x, stream));
        rig.Fails(CudaResult.LaunchFailed, rig.Driver.CtxSynchronize(), "nothing orders the two");
    }

    [Fact]
    public void Ownership_stays_where_it_was()
    {
        using var rig = new Rig();
        nint stream = rig.Stream();
        ulong x = rig.Memory(32, 1);
        int blocks = rig.Sim.Devices[0].LiveBlocks;
        long bytes = rig.Sim.Devices[0].UsedBytes;
        Tensor kept;
        using (var device = CudaDevice.FromContext(rig.Driver, rig.Context, CudaStream.FromHandle(stream)))
        {
            var outer = device.OpenScope();
            using (var scope = device.OpenScope())
            {
                kept = scope.Keep(Tensor.FromDevicePointer(scope, (nint)x, Words, DType.I32), outer);
                scope.Free(Tensor.FromDevicePointer(scope, (nint)x, Words, DType.I32));
                scope.Empty(Words, DType.I32);
            }
            Assert.Equal(1, kept.ToArray<int>()[0]);
            Assert.Equal(0, device.LiveBlocks);
            outer.Dispose();
            Assert.Throws<LifetimeException>(() => kept.Address);
        }
        Assert.Equal(blocks, rig.Sim.Devices[0].LiveBlocks);
        Assert.Equal(bytes, rig.Sim.Devices[0].UsedBytes);
        // Context, stream and memory are as they were.
        Rig.Ok(rig.Driver.CtxSetCurrent(rig.Context));
        Rig.Ok(rig.Add(x, x, stream));
        Rig.Ok(rig.Driver.StreamSynchronize(stream));
        Assert.Equal(2, Numbers(rig, x)[0]);
        Rig.Ok(rig.Driver.MemFree(x));
        Rig.Ok(rig.Driver.StreamDestroy(stream));
        Rig.Ok(rig.Driver.DevicePrimaryCtxRelease(0));
    }

    [Fact]
    public void The_default_stream_can_be_the_devices()
    {
        using var rig = new Rig();
        ulong x = rig.Memory(32, 4);
        using var device = CudaDevice.FromContext(rig.Driver, rig.Context, CudaStream.Default);
        Rig.Ok(rig.Add(x, x, 0));
        using var scope = device.OpenScope();
        Assert.Equal(5, scope.Clone(Tensor.FromDevicePointer(scope, (nint)x, Words, DType.I32)).ToArray<int>()[7]);
    }

    [Fact]
    public unsafe void What_belongs_elsewhere_is_refused()
    {
        using var rig = new Rig(null, SimDeviceSpec.H100, SimDeviceSpec.H100);
        nint other;
        ulong x = rig.Memory(32, 1), gone = rig.Memory(32, 1);
        Rig.Ok(rig.Driver.MemFree(gone));
        Rig.Ok(rig.Driver.DevicePrimaryCtxRetain(&other, 1));
        Rig.Ok(rig.Driver.CtxSetCurrent(other));
        nint foreign = rig.Stream();
        ulong far = rig.Memory(32, null);
        using var device = CudaDevice.FromContext(rig.Driver, rig.Context);
        using var second = CudaDevice.FromContext(rig.Driver, other);
        Assert.Equal((0, 1), (device.Ordinal, second.Ordinal));
        using var scope = device.OpenScope();
        using var cpu = new CpuDevice();
        using var onCpu = cpu.OpenScope();

        string Says<T>(Action act) where T : Exception => Assert.Throws<T>(act).Message;
        void Wrap(Scope s, ulong at, int count = 32, DType dtype = DType.F32) => Tensor.FromDevicePointer(s, (nint)at, new Shape(count), dtype);

        Assert.Contains("a device from context 0: give the CUcontext", Says<DeviceException>(() => CudaDevice.FromContext(rig.Driver, 0)));
        Assert.Equal("cuCtxSetCurrent (context 0x99): CUDA_ERROR_INVALID_CONTEXT (201): no context is current on this thread, or it was destroyed; keep the owner of the context alive while Orthrus uses it",
            Says<CudaException>(() => CudaDevice.FromContext(rig.Driver, 0x99)));
        Assert.Contains("belongs to another context than sim (H100 SXM, compute 9.0): record an event there", Says<DeviceException>(() => CudaDevice.FromContext(rig.Driver, rig.Context, CudaStream.FromHandle(foreign))));
        Assert.Contains("belongs to another context", Says<DeviceException>(() => device.WaitFor(CudaStream.FromHandle(foreign))));
        Assert.Contains("belongs to another context", Says<DeviceException>(() => device.Precede(CudaStream.FromHandle(foreign))));
        Assert.Contains("cuStreamGetCtx (stream 0x77: 0x77 is no stream): CUDA_ERROR_INVALID_HANDLE (400)", Says<CudaException>(() => device.WaitFor(CudaStream.FromHandle(0x77))));
        Assert.Contains("CUDA_ERROR_INVALID_HANDLE (400)", Says<CudaException>(() => device.WaitFor(CudaEvent.FromHandle(0x77))));

        Wrap(scope, x);
        Wrap(scope, x + 4, 31);
        Wrap(scope, x + 128, 0);
        Assert.Contains("is no multiple of 4 bytes, as F32 needs", Says<ShapeException>(() => Wrap(scope, x + 2, 1)));
        Wrap(scope, x + 2, 1, DType.BF16);
        Assert.Contains("132 bytes from 0x", Says<ShapeException>(() => Wrap(scope, x, 33)));
        Assert.Contains("the allocation has 124 from there", Says<ShapeException>(() => Wrap(scope, x + 4, 32)));
        Assert.Contains("is memory of CUDA device 1, not of sim (H100 SXM, compute 9.0)", Says<DeviceException>(() => Wrap(scope, far)));
        Assert.Contains("is no memory of a CUDA device", Says<DeviceException>(() => Wrap(scope, gone)));
        Assert.Contains("is no memory of a CUDA device", Says<DeviceException>(() => Wrap(scope, 0)));
        Assert.Contains("use a scope of a CUDA device", Says<DeviceException>(() => Wrap(onCpu, x)));
    }

    [Fact]
    public void A_context_that_its_owner_destroyed_is_named()
    {
        using var rig = new Rig();
        var device = CudaDevice.FromContext(rig.Driver, rig.Context);
        Rig.Ok(rig.Driver.DevicePrimaryCtxRelease(0));
        Assert.Contains("keep the owner of the context alive while Orthrus uses it", Assert.Throws<CudaException>(device.Synchronize).Message);
    }
}
