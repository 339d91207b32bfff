using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using System.Text;
using Orthrus.Tensor;
using Orthrus.Tensor.Cuda;

namespace Orthrus.PtxSim;

/// <summary>
/// Simulated devices behind the calls of the CUDA driver: the engine's whole host path runs on them. Contexts are current per thread, streams are queues whose
/// work runs in a random legal order when somebody waits for it (<see cref="SimOptions.Eager"/>), a fault of a kernel ends its context, and results are those
/// of the driver API (CUDA 11.8).
/// </summary>
/// <remarks>Calls may come from several threads; those to one device wait for each other, different devices run in parallel.</remarks>
public sealed unsafe partial class SimDriver : ICudaDriver, IBlockObserver, IDisposable
{
    [ThreadStatic]
    private static string? explanation;

    private readonly SimOptions options;
    private readonly SimDevice[] devices;
    private readonly SimContext?[] contexts;
    private readonly SimHandles handles = new();
    private readonly ThreadLocal<SimContext?> current = new();
    private readonly ConcurrentDictionary<nint, nuint> pinned = new();
    private readonly Lock gate = new();
    private readonly SimIntervention? intervention = SimIntervention.Current;
    private volatile bool initialised;

    /// <summary>A driver that shows some devices.</summary>
    /// <param name="options">Checks, seed, memory; null for the defaults.</param>
    /// <param name="specs">The devices; none for one H100.</param>
    public SimDriver(SimOptions? options = null, params SimDeviceSpec[] specs)
    {
        this.options = options ?? new SimOptions();
        devices = [.. (specs.Length == 0 ? [SimDeviceSpec.H100] : specs).Select((s, k) => new SimDevice(s, options, k))];
        contexts = new SimContext?[devices.Length];
    }

    /// <summary>A CUDA device of the engine that is simulated.</summary>
    /// <param name="options">Checks, seed, memory; null for the defaults.</param>
    /// <param name="spec">Which device; null for an H100.</param>
    /// <exception cref="CudaException">The options ask for a driver that does not work.</exception>
    public static CudaDevice Open(SimOptions? options = null, SimDeviceSpec? spec = null) =>
        new SimDriver(options, spec is null ? [] : [spec]).OpenDevice();

    /// <summary>A CUDA device of the engine on one of this driver's devices.</summary>
    /// <param name="ordinal">Its number.</param>
    /// <exception cref="CudaException">The options ask for a driver that does not work.</exception>
    /// <exception cref="DeviceException">There is no device of this number.</exception>
    public CudaDevice OpenDevice(int ordinal = 0) => new(this, ordinal);

    /// <summary>CUDA devices of the engine on all of this driver's devices.</summary>
    /// <inheritdoc cref="OpenDevice"/>
    public IReadOnlyList<CudaDevice> OpenDevices() => CudaDevice.OpenAll(this);

    /// <summary>The devices.</summary>
    public IReadOnlyList<SimDevice> Devices => devices;

    /// <summary>Called when a launch has run, with what it did and cost. Unless the driver is eager that is not at the call, but when somebody waits for it.</summary>
    public Action<LaunchReport>? Launched { get; set; }

    string ICudaDriver.Name => "sim";

    bool ICudaDriver.IsSimulated => true;

    string? ICudaDriver.Explain(CudaResult result) => explanation;

    /// <summary>A result with what is to be said about it.</summary>
    internal static CudaResult Fail(CudaResult result, string? why = null)
    {
        explanation = why;
        return result;
    }

    internal void Faulted(SimFault fault) => intervention?.Failed(fault);

    CudaResult ICudaDriver.Init(uint flags)
    {
        if (flags != 0)
            return Fail(CudaResult.InvalidValue);
        if (options.InitResult != 0)
            return Fail((CudaResult)options.InitResult);
        initialised = true;
        return CudaResult.Success;
    }

    CudaResult ICudaDriver.DriverGetVersion(int* version) => Set(version, options.DriverVersion);

    CudaResult ICudaDriver.DeviceGetCount(int* count) => initialised ? Set(count, devices.Length) : Fail(CudaResult.NotInitialized);

    CudaResult ICudaDriver.DeviceGet(int* device, int ordinal) => Valid(ordinal) is var result && result == CudaResult.Success ? Set(device, ordinal) : result;

    CudaResult ICudaDriver.DeviceGetName(byte* name, int length, int device)
    {
        if (Valid(device) is var result && result != CudaResult.Success)
            return result;
        byte[] text = Encoding.UTF8.GetBytes(devices[device].Spec.Name);
        int n = Math.Min(text.Length, length - 1);
        text.AsSpan(0, n).CopyTo(new Span<byte>(name, n));
        name[n] = 0;
        return CudaResult.Success;
    }

    CudaResult ICudaDriver.DeviceGetUuid(byte* uuid, int device)
    {
        if (Valid(device) is var result && result != CudaResult.Success)
            return result;
        new Span<byte>(uuid, 16).Clear();
        uuid[15] = (byte)(device + 1);
        return CudaResult.Success;
    }

    CudaResult ICudaDriver.DeviceTotalMem(nuint* bytes, int device)
    {
        if (Valid(device) is var result && result != CudaResult.Success)
            return result;
        *bytes = (nuint)devices[device].MemoryBytes;
        return CudaResult.Success;
    }

    CudaResult ICudaDriver.DeviceGetAttribute(int* value, CudaDeviceAttribute attribute, int device)
    {
        if (Valid(device) is var result && result != CudaResult.Success)
            return result;
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
            _ => Fail(CudaResult.InvalidValue, $"attribute {(int)attribute} is not in the table of simulated devices"),
        };
    }

    CudaResult ICudaDriver.DevicePrimaryCtxRetain(nint* context, int device)
    {
        if (Valid(device) is var result && result != CudaResult.Success)
            return result;
        lock (gate)
        {
            SimContext c = contexts[device] ??= new SimContext(this, devices[device], device);
            if (c.Users++ == 0)
                c.Handle = handles.Add(c);
            return Set(context, c.Handle);
        }
    }

    CudaResult ICudaDriver.DevicePrimaryCtxRelease(int device)
    {
        if (Valid(device) is var result && result != CudaResult.Success)
            return result;
        lock (gate)
        {
            if (contexts[device] is not { } c)
                return Fail(CudaResult.InvalidContext);
            if (--c.Users > 0)
                return CudaResult.Success;
            contexts[device] = null;
            handles.RemoveAll(o => ContextOf(o) == c);
            lock (c.Gate)
            {
                if (c.Error == CudaResult.Success)
                    c.SynchroniseAll();
                devices[device].Clear();
            }

            return CudaResult.Success;
        }
    }

    CudaResult ICudaDriver.CtxGetCurrent(nint* context) => initialised ? Set(context, current.Value?.Handle ?? 0) : Fail(CudaResult.NotInitialized);

    CudaResult ICudaDriver.CtxSetCurrent(nint context)
    {
        if (!initialised)
            return Fail(CudaResult.NotInitialized);
        if (context == 0)
            current.Value = null;
        else if (current.Value is not { } own || own.Handle != context || own.Users == 0)
        {
            if (handles.Get(context) is not SimContext c)
                return Fail(CudaResult.InvalidContext);
            current.Value = c;
        }

        return CudaResult.Success;
    }

    CudaResult ICudaDriver.CtxGetDevice(int* device) => Enter(out SimContext c) is var result && result == CudaResult.Success ? Set(device, c.Ordinal) : result;

    CudaResult ICudaDriver.CtxSynchronize()
    {
        if (Enter(out SimContext c) is var result && result != CudaResult.Success)
            return result;
        lock (c.Gate)
        {
            foreach (SimCapture capture in CapturesOf(c))
                return Spoil(capture, CudaResult.StreamCaptureUnsupported, "cuCtxSynchronize while a stream of the context is recorded");
            return c.SynchroniseAll();
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (SimDevice device in devices)
            device.Dispose();
        foreach (nint pointer in pinned.Keys)
            NativeMemory.AlignedFree((void*)pointer);
        pinned.Clear();
        current.Dispose();
    }

    private static SimContext? ContextOf(object o) => o switch
    {
        SimContext c => c,
        SimStream s => s.Context,
        SimEvent e => e.Context,
        SimGraph g => g.Context,
        SimGraphInstance i => i.Graph.Context,
        LoadedModule m => m.Context,
        LoadedFunction f => f.Module.Context,
        _ => null,
    };

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

    private CudaResult Valid(int device) =>
        !initialised ? Fail(CudaResult.NotInitialized) : device < 0 || device >= devices.Length ? Fail(CudaResult.InvalidDevice) : CudaResult.Success;

    /// <summary>The context that is current on this thread.</summary>
    private CudaResult Enter(out SimContext context)
    {
        context = current.Value!;
        if (context is null)
            return Fail(initialised ? CudaResult.InvalidContext : CudaResult.NotInitialized);
        return context.Users > 0 ? CudaResult.Success : Fail(CudaResult.ContextIsDestroyed);
    }
}
