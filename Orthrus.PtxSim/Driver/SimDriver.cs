using System.Text;
using Orthrus.PtxSim.Parsing;
using Orthrus.Tensor;
using Orthrus.Tensor.Cuda;

namespace Orthrus.PtxSim;

/// <summary>The simulated device behind the calls of the CUDA driver: the engine's whole host path runs on it.</summary>
public sealed unsafe class SimDriver : ICudaDriver, IBlockObserver, IDisposable
{
    private readonly SimDevice[] devices;
    private readonly SimHandles handles = new();
    private readonly HashSet<nint> pinned = [];
    private int current = -1;
    private string? explanation;
    private CudaResult sticky;

    /// <summary>A driver that shows some devices.</summary>
    /// <param name="options">Checks, seed, memory; null for the defaults.</param>
    /// <param name="specs">The devices; none for one H100.</param>
    public SimDriver(SimOptions? options = null, params SimDeviceSpec[] specs) =>
        devices = [.. (specs.Length == 0 ? [SimDeviceSpec.H100] : specs).Select(s => new SimDevice(s, options))];

    /// <summary>A CUDA device of the engine that is simulated.</summary>
    /// <param name="options">Checks, seed, memory; null for the defaults.</param>
    /// <param name="spec">Which device; null for an H100.</param>
    public static CudaDevice Open(SimOptions? options = null, SimDeviceSpec? spec = null) =>
        new SimDriver(options, spec is null ? [] : [spec]).OpenDevice();

    /// <summary>A CUDA device of the engine on one of this driver's devices.</summary>
    /// <param name="ordinal">Its number.</param>
    public CudaDevice OpenDevice(int ordinal = 0) => new(this, ordinal);

    /// <summary>The devices.</summary>
    public IReadOnlyList<SimDevice> Devices => devices;

    /// <summary>Called after each launch with what it did and cost.</summary>
    public Action<LaunchReport>? Launched { get; set; }

    string ICudaDriver.Name => "sim";

    bool ICudaDriver.IsSimulated => true;

    string? ICudaDriver.Explain(CudaResult result) => explanation;

    private SimDevice Device => devices[current];

    CudaResult ICudaDriver.Init(uint flags) => flags == 0 ? CudaResult.Success : CudaResult.InvalidValue;

    CudaResult ICudaDriver.DriverGetVersion(int* version) => Set(version, 11080);

    CudaResult ICudaDriver.DeviceGetCount(int* count) => Set(count, devices.Length);

    CudaResult ICudaDriver.DeviceGet(int* device, int ordinal) => ordinal < 0 || ordinal >= devices.Length ? CudaResult.InvalidDevice : Set(device, ordinal);

    CudaResult ICudaDriver.DeviceGetName(byte* name, int length, int device)
    {
        byte[] text = Encoding.UTF8.GetBytes(devices[device].Spec.Name);
        int n = Math.Min(text.Length, length - 1);
        text.AsSpan(0, n).CopyTo(new Span<byte>(name, n));
        name[n] = 0;
        return CudaResult.Success;
    }

    CudaResult ICudaDriver.DeviceGetUuid(byte* uuid, int device)
    {
        new Span<byte>(uuid, 16).Clear();
        uuid[15] = (byte)(device + 1);
        return CudaResult.Success;
    }

    CudaResult ICudaDriver.DeviceTotalMem(nuint* bytes, int device)
    {
        *bytes = (nuint)devices[device].MemoryBytes;
        return CudaResult.Success;
    }

    CudaResult ICudaDriver.DeviceGetAttribute(int* value, CudaDeviceAttribute attribute, int device)
    {
        SimDeviceSpec s = devices[device].Spec;
        return attribute switch
        {
            CudaDeviceAttribute.MaxThreadsPerBlock => Set(value, s.ThreadsPerBlock),
            CudaDeviceAttribute.MaxGridDimX => Set(value, int.MaxValue),
            CudaDeviceAttribute.MaxGridDimY => Set(value, 65535),
            CudaDeviceAttribute.MaxSharedMemoryPerBlock => Set(value, s.SharedWithoutOptIn),
            CudaDeviceAttribute.WarpSize => Set(value, 32),
            CudaDeviceAttribute.ClockRateKilohertz => Set(value, (int)(s.ClockGHz * 1e6)),
            CudaDeviceAttribute.MultiprocessorCount => Set(value, s.Multiprocessors),
            CudaDeviceAttribute.MaxThreadsPerMultiprocessor => Set(value, s.ThreadsPerMultiprocessor),
            CudaDeviceAttribute.ComputeCapabilityMajor => Set(value, s.ComputeCapability / 10),
            CudaDeviceAttribute.ComputeCapabilityMinor => Set(value, s.ComputeCapability % 10),
            CudaDeviceAttribute.MaxSharedMemoryPerMultiprocessor => Set(value, s.SharedPerMultiprocessor),
            CudaDeviceAttribute.MaxRegistersPerMultiprocessor => Set(value, s.Registers),
            CudaDeviceAttribute.MaxSharedMemoryPerBlockOptIn => Set(value, s.SharedPerBlock),
            _ => CudaResult.InvalidValue,
        };
    }

    CudaResult ICudaDriver.DevicePrimaryCtxRetain(nint* context, int device) => Set(context, device + 1);

    CudaResult ICudaDriver.DevicePrimaryCtxRelease(int device) => CudaResult.Success;

    CudaResult ICudaDriver.CtxGetCurrent(nint* context) => Set(context, current + 1);

    CudaResult ICudaDriver.CtxSetCurrent(nint context)
    {
        if (context < 0 || context > devices.Length)
            return CudaResult.InvalidContext;
        current = (int)context - 1;
        return CudaResult.Success;
    }

    CudaResult ICudaDriver.CtxGetDevice(int* device) => current < 0 ? CudaResult.InvalidContext : Set(device, current);

    CudaResult ICudaDriver.CtxSynchronize() => sticky;

    CudaResult ICudaDriver.MemGetInfo(nuint* free, nuint* total)
    {
        *total = (nuint)Device.MemoryBytes;
        *free = (nuint)(Device.MemoryBytes - Device.UsedBytes);
        return CudaResult.Success;
    }

    CudaResult ICudaDriver.MemAlloc(ulong* pointer, nuint bytes)
    {
        if (bytes == 0)
            return CudaResult.InvalidValue;
        return Guarded(() => *pointer = Device.Alloc((long)bytes));
    }

    CudaResult ICudaDriver.MemFree(ulong pointer) => Guarded(() => Device.Free(pointer));

    CudaResult ICudaDriver.MemHostAlloc(void** pointer, nuint bytes, uint flags)
    {
        void* p = System.Runtime.InteropServices.NativeMemory.AlignedAlloc(bytes, 4096);
        pinned.Add((nint)p);
        *pointer = p;
        return CudaResult.Success;
    }

    CudaResult ICudaDriver.MemFreeHost(void* pointer)
    {
        if (!pinned.Remove((nint)pointer))
            return CudaResult.InvalidValue;
        System.Runtime.InteropServices.NativeMemory.AlignedFree(pointer);
        return CudaResult.Success;
    }

    CudaResult ICudaDriver.MemcpyHtoDAsync(ulong to, void* from, nuint bytes, nint stream) => Guarded(() => Device.CopyToDevice(to, new ReadOnlySpan<byte>(from, (int)bytes)));

    CudaResult ICudaDriver.MemcpyDtoHAsync(void* to, ulong from, nuint bytes, nint stream) => Guarded(() => Device.CopyToHost(new Span<byte>(to, (int)bytes), from));

    CudaResult ICudaDriver.MemcpyDtoDAsync(ulong to, ulong from, nuint bytes, nint stream) => Guarded(() => Device.CopyDevice(to, from, (long)bytes));

    CudaResult ICudaDriver.MemsetD8Async(ulong to, byte value, nuint bytes, nint stream) => Guarded(() => Device.Fill(to, value, (long)bytes));

    CudaResult ICudaDriver.ModuleLoadDataEx(nint* module, void* image, uint count, CudaJitOption* options, void** values)
    {
        string text = Encoding.UTF8.GetString(System.Runtime.InteropServices.MemoryMarshal.CreateReadOnlySpanFromNullTerminated((byte*)image));
        return Guarded(() => *module = handles.Add(Device.Load(PtxModule.Parse(text))));
    }

    CudaResult ICudaDriver.ModuleUnload(nint module)
    {
        if (handles.Remove(module) is not SimModule loaded)
            return CudaResult.InvalidHandle;
        loaded.Device.Unload(loaded);
        return CudaResult.Success;
    }

    CudaResult ICudaDriver.ModuleGetFunction(nint* function, nint module, byte* name)
    {
        if (handles.Get(module) is not SimModule loaded)
            return CudaResult.InvalidHandle;
        string text = Encoding.UTF8.GetString(System.Runtime.InteropServices.MemoryMarshal.CreateReadOnlySpanFromNullTerminated(name));
        if (!loaded.Source.Kernels.Contains(text))
            return CudaResult.NotFound;
        return Guarded(() => *function = handles.Add(loaded[text]));
    }

    CudaResult ICudaDriver.FuncGetAttribute(int* value, CudaFunctionAttribute attribute, nint function)
    {
        if (handles.Get(function) is not SimKernel kernel)
            return CudaResult.InvalidHandle;
        return attribute switch
        {
            CudaFunctionAttribute.MaxThreadsPerBlock => Set(value, kernel.Module.Device.Spec.ThreadsPerBlock),
            CudaFunctionAttribute.SharedBytes => Set(value, kernel.StaticShared),
            CudaFunctionAttribute.LocalBytes => Set(value, kernel.LocalBytes),
            CudaFunctionAttribute.Registers => Set(value, kernel.RegistersPerThread),
            CudaFunctionAttribute.MaxDynamicSharedBytes => Set(value, kernel.MaxDynamicShared),
            CudaFunctionAttribute.ConstBytes or CudaFunctionAttribute.PtxVersion or CudaFunctionAttribute.BinaryVersion => Set(value, 0),
            _ => CudaResult.InvalidValue,
        };
    }

    CudaResult ICudaDriver.FuncSetAttribute(nint function, CudaFunctionAttribute attribute, int value)
    {
        if (handles.Get(function) is not SimKernel kernel)
            return CudaResult.InvalidHandle;
        if (attribute == CudaFunctionAttribute.PreferredSharedCarveout)
            return CudaResult.Success;
        if (attribute != CudaFunctionAttribute.MaxDynamicSharedBytes || value < 0 || value + kernel.StaticShared > kernel.Module.Device.Spec.SharedPerBlock)
            return CudaResult.InvalidValue;
        kernel.MaxDynamicShared = value;
        return CudaResult.Success;
    }

    CudaResult ICudaDriver.OccupancyMaxActiveBlocks(int* blocks, nint function, int blockSize, nuint dynamicShared)
    {
        if (handles.Get(function) is not SimKernel kernel)
            return CudaResult.InvalidHandle;
        SimDevice device = kernel.Module.Device;
        return Set(blocks, device.ResidentBlocks(kernel.Program, blockSize, kernel.StaticShared + (int)dynamicShared) / device.Spec.Multiprocessors);
    }

    CudaResult ICudaDriver.LaunchKernel(nint function, uint gridX, uint gridY, uint gridZ, uint blockX, uint blockY, uint blockZ, uint dynamicShared, nint stream, void** parameters, void** extra)
    {
        if (handles.Get(function) is not SimKernel kernel)
            return CudaResult.InvalidHandle;
        if (sticky != CudaResult.Success)
            return sticky;
        var buffer = new byte[kernel.ParameterBytes];
        for (int k = 0; k < kernel.Parameters.Count; k++)
            new ReadOnlySpan<byte>(parameters[k], kernel.Parameters[k].Bytes).CopyTo(buffer.AsSpan(kernel.Parameters[k].Offset));
        return Guarded(() =>
        {
            LaunchReport report = kernel.Module.Device.LaunchPacked(kernel, new Dim3((int)gridX, (int)gridY, (int)gridZ), new Dim3((int)blockX, (int)blockY, (int)blockZ), (int)dynamicShared, buffer);
            Launched?.Invoke(report);
        });
    }

    CudaResult ICudaDriver.StreamCreate(nint* stream, uint flags) => Set(stream, handles.Add(new object()));

    CudaResult ICudaDriver.StreamDestroy(nint stream) => handles.Remove(stream) is null ? CudaResult.InvalidHandle : CudaResult.Success;

    CudaResult ICudaDriver.StreamQuery(nint stream) => sticky;

    CudaResult ICudaDriver.StreamSynchronize(nint stream) => sticky;

    CudaResult ICudaDriver.StreamWaitEvent(nint stream, nint @event, uint flags) => sticky;

    CudaResult ICudaDriver.EventCreate(nint* @event, uint flags) => Set(@event, handles.Add(new object()));

    CudaResult ICudaDriver.EventDestroy(nint @event) => handles.Remove(@event) is null ? CudaResult.InvalidHandle : CudaResult.Success;

    CudaResult ICudaDriver.EventRecord(nint @event, nint stream) => sticky;

    CudaResult ICudaDriver.EventQuery(nint @event) => sticky;

    CudaResult ICudaDriver.EventSynchronize(nint @event) => sticky;

    CudaResult ICudaDriver.EventElapsedTime(float* milliseconds, nint start, nint end) => CudaResult.NotSupported;

    CudaResult ICudaDriver.StreamBeginCapture(nint stream, CudaCaptureMode mode) => CudaResult.NotSupported;

    CudaResult ICudaDriver.StreamEndCapture(nint stream, nint* graph) => CudaResult.NotSupported;

    CudaResult ICudaDriver.GraphInstantiate(nint* instance, nint graph, ulong flags) => CudaResult.NotSupported;

    CudaResult ICudaDriver.GraphLaunch(nint instance, nint stream) => CudaResult.NotSupported;

    CudaResult ICudaDriver.GraphExecDestroy(nint instance) => CudaResult.NotSupported;

    CudaResult ICudaDriver.GraphDestroy(nint graph) => CudaResult.NotSupported;

    void IBlockObserver.BlockRented(ulong pointer, long bytes) => Device.Carve(pointer, Math.Max(1, bytes));

    void IBlockObserver.BlockReturned(ulong pointer) => Device.Return(pointer);

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (SimDevice device in devices)
            device.Dispose();
    }

    private static CudaResult Set(int* target, int value)
    {
        *target = value;
        return CudaResult.Success;
    }

    private static CudaResult Set(nint* target, nint value)
    {
        *target = value;
        return CudaResult.Success;
    }

    private CudaResult Guarded(Action action)
    {
        explanation = null;
        try
        {
            action();
            return CudaResult.Success;
        }
        catch (SimFault fault)
        {
            explanation = fault.Message;
            (CudaResult result, bool lasting) = fault.Kind switch
            {
                FaultKind.OutOfMemory => (CudaResult.OutOfMemory, false),
                FaultKind.LaunchLimit or FaultKind.HostCall => (CudaResult.InvalidValue, false),
                FaultKind.Misaligned => (CudaResult.MisalignedAddress, true),
                FaultKind.OutOfBounds or FaultKind.UseAfterFree or FaultKind.ReadOnly => (CudaResult.IllegalAddress, true),
                FaultKind.Trap => (CudaResult.Assert, true),
                FaultKind.NoProgress => (CudaResult.LaunchTimeout, true),
                _ => (CudaResult.LaunchFailed, true),
            };
            if (lasting)
                sticky = result;
            return result;
        }
        catch (PtxException fault)
        {
            explanation = fault.Message;
            return CudaResult.InvalidPtx;
        }
    }
}
