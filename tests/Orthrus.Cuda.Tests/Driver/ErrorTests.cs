using Orthrus.PtxSim;
using Orthrus.Tensor.Cuda;

namespace Orthrus.Cuda.Tests.Driver;

/// <summary>Results of the simulated driver where something is wrong: those of the driver API.</summary>
public sealed unsafe class ErrorTests
{
    [Fact]
    public void Nothing_works_before_the_driver_is_initialised_or_without_a_context()
    {
        using var sim = new SimDriver();
        ICudaDriver driver = sim;
        int value;
        nint handle;
        ulong pointer;
        Assert.Equal(CudaResult.NotInitialized, driver.DeviceGetCount(&value));
        Assert.Equal(CudaResult.NotInitialized, driver.DevicePrimaryCtxRetain(&handle, 0));
        Assert.Equal(CudaResult.NotInitialized, driver.MemAlloc(&pointer, 4));
        Assert.Equal(CudaResult.InvalidValue, driver.Init(1));
        Rig.Ok(driver.Init(0));
        Assert.Equal(CudaResult.InvalidDevice, driver.DeviceGet(&value, 1));
        Assert.Equal(CudaResult.InvalidContext, driver.MemAlloc(&pointer, 4));
        Assert.Equal(CudaResult.InvalidContext, driver.CtxGetDevice(&value));
        Assert.Equal(CudaResult.InvalidContext, driver.CtxSetCurrent(1234));
        Rig.Ok(driver.CtxGetCurrent(&handle));
        Assert.Equal(0, handle);
    }

    [Fact]
    public void Contexts_are_current_for_each_thread_and_end_with_their_last_user()
    {
        using var rig = new Rig(null, SimDeviceSpec.A100, SimDeviceSpec.H100);
        var driver = rig.Driver;
        nint retained, seen;
        int device;
        Rig.Ok(driver.DevicePrimaryCtxRetain(&retained, 1));
        nint second = retained;
        Assert.NotEqual(rig.Context, second);
        var thread = new Thread(() =>
        {
            nint own;
            int number;
            Rig.Ok(driver.CtxGetCurrent(&own));
            Assert.Equal(0, own);
            Rig.Ok(driver.CtxSetCurrent(second));
            Rig.Ok(driver.CtxGetDevice(&number));
            Assert.Equal(1, number);
        });
        thread.Start();
        thread.Join();
        Rig.Ok(driver.CtxGetCurrent(&seen));
        Assert.Equal(rig.Context, seen);
        Rig.Ok(driver.CtxGetDevice(&device));
        Assert.Equal(0, device);

        nint again, stream = rig.Stream();
        ulong x = rig.Memory(32);
        Rig.Ok(driver.DevicePrimaryCtxRetain(&again, 0));
        Assert.Equal(rig.Context, again);
        Rig.Ok(driver.DevicePrimaryCtxRelease(0));
        Rig.Ok(rig.Add(x, x, stream));
        Rig.Ok(driver.DevicePrimaryCtxRelease(0));
        Assert.Equal(CudaResult.InvalidContext, driver.DevicePrimaryCtxRelease(0));
        Assert.Equal(CudaResult.InvalidHandle, rig.Add(x, x, stream));
        Assert.Equal(CudaResult.InvalidHandle, driver.StreamSynchronize(stream));
        Assert.Equal(CudaResult.ContextIsDestroyed, driver.MemFree(x));
        Assert.Equal(CudaResult.InvalidContext, driver.CtxSetCurrent(rig.Context));
        Assert.Equal(0, rig.Sim.Devices[0].UsedBytes);
    }

    [Fact]
    public void A_fault_ends_the_context_and_a_new_one_works()
    {
        using var rig = new Rig();
        nint stream = rig.Stream(), e = rig.Event();
        ulong x = rig.Memory(32), p;
        Rig.Ok(rig.LaunchStray(stream));
        Rig.Ok(rig.Driver.EventRecord(e, stream));
        rig.Fails(CudaResult.IllegalAddress, rig.Driver.EventSynchronize(e), "stray, PTX line");
        int pageable;
        nint made;
        CudaResult[] later =
        [
            rig.Driver.CtxSynchronize(), rig.Driver.StreamQuery(stream), rig.Driver.EventQuery(e), rig.Add(x, x, stream), rig.Driver.MemAlloc(&p, 4), rig.Driver.MemFree(x),
            rig.Driver.MemcpyDtoHAsync(&pageable, x, 4, stream), rig.Driver.StreamCreate(&made, 0), rig.Driver.EventRecord(e, stream), rig.TryLoad(Rig.Ptx, out _),
        ];
        Assert.All(later, r => Assert.Equal(CudaResult.IllegalAddress, r));
        rig.Fails(CudaResult.IllegalAddress, rig.Driver.CtxSynchronize(), "the context was lost before: stray");
        // Another context of the process is not concerned, and a new one of this device works.
        Rig.Ok(rig.Driver.DevicePrimaryCtxRelease(0));
        nint context;
        Rig.Ok(rig.Driver.DevicePrimaryCtxRetain(&context, 0));
        Rig.Ok(rig.Driver.CtxSetCurrent(context));
        Rig.Ok(rig.Driver.MemAlloc(&p, 4));
        Rig.Ok(rig.Driver.CtxSynchronize());
    }

    [Fact]
    public void Memory_runs_out()
    {
        using var rig = new Rig(new SimOptions { MemoryBytes = 1 << 20 });
        nuint free, total;
        ulong p;
        Rig.Ok(rig.Driver.MemGetInfo(&free, &total));
        Assert.Equal(1u << 20, total);
        Rig.Ok(rig.Driver.MemAlloc(&p, free));
        rig.Fails(CudaResult.OutOfMemory, rig.Driver.MemAlloc(&p, 1), "1048576 bytes are in use");
        Rig.Ok(rig.Driver.CtxSynchronize());
        Rig.Ok(rig.Driver.MemFree(p));
        Rig.Ok(rig.Driver.MemAlloc(&p, 1 << 20));
        Assert.Equal(CudaResult.InvalidValue, rig.Driver.MemAlloc(&p, 0));
    }

    [Fact]
    public void Modules_that_the_driver_does_not_take()
    {
        using var rig = new Rig(new SimOptions { DriverVersion = 11080 }, SimDeviceSpec.A100);
        rig.Fails(CudaResult.UnsupportedPtxVersion, rig.TryLoad(Rig.Ptx.Replace("7.8", "8.0", StringComparison.Ordinal), out _), "the PTX has version 8.0; a driver of CUDA 11.8 takes 7.8 at most");
        rig.Fails(CudaResult.InvalidPtx, rig.TryLoad(Rig.Ptx.Replace("sm_80", "sm_90", StringComparison.Ordinal), out _), "the PTX is for sm_90, the device (A100) is sm_80");
        rig.Fails(CudaResult.InvalidPtx, rig.TryLoad("nonsense", out _));
        rig.Fails(CudaResult.NoBinaryForGpu, rig.TryLoad("\x7F" + "ELF", out _), "takes PTX, not machine code");
        int version;
        Rig.Ok(rig.Driver.DriverGetVersion(&version));
        Assert.Equal(11080, version);
    }

    [Fact]
    public void The_compiler_s_log_reaches_the_caller()
    {
        using var rig = new Rig();
        byte* log = stackalloc byte[256];
        CudaJitOption* options = stackalloc CudaJitOption[] { CudaJitOption.ErrorLogBuffer, CudaJitOption.ErrorLogBufferBytes };
        void** values = stackalloc void*[] { log, (void*)256 };
        nint module;
        fixed (byte* text = "\n.version 7.8 .target sm_80 .address_size 64 .oops\0"u8) Assert.Equal(CudaResult.InvalidPtx, rig.Driver.ModuleLoadDataEx(&module, text, 2, options, values));
        Assert.Equal((int)(nuint)values[1], new ReadOnlySpan<byte>(log, 256).IndexOf((byte)0));
        Assert.Contains("oops", System.Text.Encoding.UTF8.GetString(log, (int)(nuint)values[1]));
    }

    [Fact]
    public void Handles_and_launches_that_are_wrong()
    {
        using var rig = new Rig();
        nint stream = rig.Stream(), function, other;
        var d = rig.Driver;
        int value;
        fixed (byte* name = "missing\0"u8) rig.Fails(CudaResult.NotFound, d.ModuleGetFunction(&function, rig.Module, name), "add_one");
        CudaResult Launch(uint grid, uint block, uint shared)
        {
            ulong to = 0;
            void* parameter = &to;
            return d.LaunchKernel(rig.Stray, grid, 1, 1, block, 1, 1, shared, stream, &parameter, null);
        }

        rig.Fails(CudaResult.InvalidValue, Launch(1, 1025, 0), "1024");
        rig.Fails(CudaResult.InvalidValue, Launch(0, 32, 0), "a grid of (0,1,1)");
        rig.Fails(CudaResult.InvalidValue, Launch(1, 32, 49153), "raise MaxDynamicShared");
        rig.Fails(CudaResult.InvalidValue, d.FuncSetAttribute(rig.Stray, CudaFunctionAttribute.MaxDynamicSharedBytes, 228 * 1024), "232448");
        Rig.Ok(d.FuncSetAttribute(rig.Stray, CudaFunctionAttribute.MaxDynamicSharedBytes, 64 * 1024));
        Rig.Ok(d.FuncGetAttribute(&value, CudaFunctionAttribute.MaxDynamicSharedBytes, rig.Stray));
        Assert.Equal(64 * 1024, value);
        Rig.Ok(d.OccupancyMaxActiveBlocks(&value, rig.Stray, 256, 64 * 1024));
        Assert.Equal(3, value);
        Rig.Ok(d.OccupancyMaxActiveBlocks(&value, rig.Stray, 256, 0));
        Assert.Equal(8, value);
        foreach (nint wrong in new nint[] { stream, 4711 })
        {
            Assert.Equal(CudaResult.InvalidHandle, d.ModuleUnload(wrong));
            Assert.Equal(CudaResult.InvalidHandle, d.FuncGetAttribute(&value, CudaFunctionAttribute.Registers, wrong));
            Assert.Equal(CudaResult.InvalidHandle, d.EventRecord(wrong, stream));
            Assert.Equal(CudaResult.InvalidHandle, d.EventDestroy(wrong));
            Assert.Equal(CudaResult.InvalidHandle, d.GraphLaunch(wrong, stream));
        }
        Rig.Ok(d.ModuleUnload(rig.Module));
        Assert.Equal(CudaResult.InvalidHandle, Launch(1, 32, 0));
        Rig.Ok(d.StreamDestroy(stream));
        Assert.Equal(CudaResult.InvalidHandle, d.StreamDestroy(stream));
        Assert.Equal(CudaResult.InvalidHandle, d.StreamSynchronize(stream));
        Assert.Equal(CudaResult.InvalidValue, d.StreamCreate(&other, 2));
        Assert.Equal(CudaResult.InvalidValue, d.EventCreate(&other, 8));
        // The results above were of single calls: the context goes on.
        Rig.Ok(d.CtxSynchronize());
    }
}
