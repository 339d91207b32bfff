using System.Runtime.CompilerServices;
using System.Text;
using Orthrus.Tensor.Cuda;

namespace Orthrus.Tensor;

/// <summary>
/// An NVIDIA GPU, or a simulated one behind the same driver calls. Everything runs in order on one stream, so that memory may go from one operator to the
/// next without waiting; the host runs ahead until it reads a result.
/// </summary>
public sealed unsafe partial class CudaDevice : Device
{
    private readonly ICudaDriver _driver;
    private readonly IBlockObserver? _observer;
    private readonly int _device;
    private readonly nint _context, _stream;
    private readonly bool _ownsContext, _ownsStream;
    private readonly StagingRing _staging;
    private readonly Dictionary<(string Source, bool BFloat16), nint> _modules = [];
    private readonly Lock _gate = new();
    private Function[] _functions = [];
    private CudaException? _lost;

    private struct Function
    {
        internal nint Handle;
        internal int MaxDynamicShared;
    }

    internal CudaDevice(ICudaDriver driver, int ordinal) : this(driver, Retain(driver, ordinal, out int device), device, null, ownsContext: true) { }

    private CudaDevice(ICudaDriver driver, nint context, int device, CudaStream? stream, bool ownsContext)
    {
        _driver = driver;
        _observer = driver as IBlockObserver;
        (_context, _device, _ownsContext, _ownsStream) = (context, device, ownsContext, stream is null);
        Ordinal = device;
        Enter();
        ComputeCapability = 10 * Attribute(CudaDeviceAttribute.ComputeCapabilityMajor) + Attribute(CudaDeviceAttribute.ComputeCapabilityMinor);
        Multiprocessors = Attribute(CudaDeviceAttribute.MultiprocessorCount);
        SharedPerBlock = Attribute(CudaDeviceAttribute.MaxSharedMemoryPerBlockOptIn);
        byte* name = stackalloc byte[256];
        Check(driver.DeviceGetName(name, 256, device), "cuDeviceGetName");
        Model = Encoding.UTF8.GetString(System.Runtime.InteropServices.MemoryMarshal.CreateReadOnlySpanFromNullTerminated(name));
        if (stream is { } given) _stream = Own(given);
        else
        {
            const uint nonBlocking = 1;
            nint made;
            Check(driver.StreamCreate(&made, nonBlocking), "cuStreamCreate");
            _stream = made;
        }
        _staging = new StagingRing(this, driver, _stream);
    }

    private static nint Retain(ICudaDriver driver, int ordinal, out int device)
    {
        int count = CountOf(driver), found;
        if (ordinal < 0 || ordinal >= count) throw new DeviceException(NoSuchDevice(ordinal, count));
        Check(driver, driver.DeviceGet(&found, ordinal), "cuDeviceGet");
        nint context;
        Check(driver, driver.DevicePrimaryCtxRetain(&context, found), "cuDevicePrimaryCtxRetain");
        device = found;
        return context;
    }

    private static int CountOf(ICudaDriver driver)
    {
        int count;
        Check(driver, driver.Init(0), "cuInit");
        Check(driver, driver.DeviceGetCount(&count), "cuDeviceGetCount");
        return count;
    }

    /// <summary>Opens a GPU.</summary>
    /// <param name="ordinal">Its number among those the driver shows.</param>
    /// <exception cref="CudaException">No driver, no device, or one that does not work; the message says what to do.</exception>
    /// <exception cref="DeviceException">No device of that number.</exception>
    public static CudaDevice Open(int ordinal = 0)
    {
        var driver = LibCuda.Open();
        try
        {
            return new(driver, ordinal);
        }
        catch (EntryPointNotFoundException e)
        {
            throw CudaInventory.TooOld(driver, e);
        }
    }

    /// <summary>Opens all GPUs that the driver shows; CUDA_VISIBLE_DEVICES hides some and sets their order.</summary>
    /// <exception cref="CudaException">No driver, no device, or one that does not work; the message says what to do.</exception>
    public static IReadOnlyList<CudaDevice> OpenAll() => OpenAll(LibCuda.Open());

    internal static IReadOnlyList<CudaDevice> OpenAll(ICudaDriver driver)
    {
        var opened = new List<CudaDevice>();
        try
        {
            for (int k = CountOf(driver); k > 0; k--) opened.Add(new(driver, opened.Count));
            return opened;
        }
        catch (Exception e)
        {
            foreach (var device in opened) device.Dispose();
            if (e is EntryPointNotFoundException missing) throw CudaInventory.TooOld(driver, missing);
            throw;
        }
    }

    /// <inheritdoc/>
    public override DeviceKind Kind => DeviceKind.Cuda;

    /// <inheritdoc/>
    public override string Name => $"{(!_driver.IsSimulated ? $"cuda:{Ordinal}" : Ordinal == 0 ? "sim" : $"sim:{Ordinal}")} ({Model}, compute {ComputeCapability / 10}.{ComputeCapability % 10})";

    /// <summary>Number among the driver's devices.</summary>
    public int Ordinal { get; }
    /// <summary>Marketing name.</summary>
    public string Model { get; }
    /// <summary>Compute capability times ten: 80 for 8.0.</summary>
    public int ComputeCapability { get; }
    /// <summary>Streaming multiprocessors.</summary>
    public int Multiprocessors { get; }
    /// <summary>Most shared memory of a block in bytes.</summary>
    public int SharedPerBlock { get; }
    /// <summary>True for a simulated device: its figures are not measurements.</summary>
    public bool IsSimulated => _driver.IsSimulated;
    /// <summary>The stream on which everything runs.</summary>
    public CudaStream Stream => CudaStream.FromHandle(_stream);

    internal ICudaDriver Driver => _driver;

    /// <summary>Called just before (false) and just after (true) each launch is given to the driver, with the kernel's name; for <see cref="CudaTimer"/>.</summary>
    internal Action<string, bool>? LaunchWatcher { get; set; }

    /// <summary>Calls of the driver so far.</summary>
    internal long DriverCalls { get; private set; }

    /// <summary>Launches a kernel for operands of a dtype, in order with everything before.</summary>
    /// <typeparam name="TArgs">The kernel's struct.</typeparam>
    /// <param name="kernel">The kernel; loaded at its first launch.</param>
    /// <param name="dtype">F32 or BF16 activations.</param>
    /// <param name="grid">Blocks; where one extent is 0 nothing is launched.</param>
    /// <param name="threads">Threads of a block.</param>
    /// <param name="dynamicShared">Dynamic shared memory of a block in bytes.</param>
    /// <param name="args">The kernel's only parameter.</param>
    /// <exception cref="CudaException">The driver refuses the launch, or an earlier one has failed.</exception>
    public void Launch<TArgs>(CudaKernel kernel, DType dtype, CudaGrid grid, int threads, int dynamicShared, in TArgs args) where TArgs : unmanaged
    {
        if (grid.X == 0 || grid.Y == 0 || grid.Z == 0) return;
        Enter();
        bool bfloat16 = dtype == DType.BF16;
        int index = 2 * kernel.Id + (bfloat16 ? 1 : 0);
        if (index >= _functions.Length || _functions[index].Handle == 0) Load(kernel, bfloat16, index);
        ref var function = ref _functions[index];
        if (dynamicShared > function.MaxDynamicShared)
        {
            Check(_driver.FuncSetAttribute(function.Handle, CudaFunctionAttribute.MaxDynamicSharedBytes, dynamicShared), "cuFuncSetAttribute", kernel.Entry);
            function.MaxDynamicShared = dynamicShared;
        }
        fixed (TArgs* p = &args)
        {
            void* parameter = p;
            LaunchWatcher?.Invoke(kernel.Entry, false);
            Check(_driver.LaunchKernel(function.Handle, (uint)grid.X, (uint)grid.Y, (uint)grid.Z, (uint)threads, 1, 1, (uint)dynamicShared, _stream, &parameter, null), "cuLaunchKernel", kernel.Entry);
            LaunchWatcher?.Invoke(kernel.Entry, true);
        }
    }

    /// <summary>Registers, shared memory and the like of a kernel.</summary>
    internal int FunctionAttribute(CudaKernel kernel, bool bfloat16, CudaFunctionAttribute attribute)
    {
        Enter();
        int index = 2 * kernel.Id + (bfloat16 ? 1 : 0), value;
        if (index >= _functions.Length || _functions[index].Handle == 0) Load(kernel, bfloat16, index);
        Check(_driver.FuncGetAttribute(&value, attribute, _functions[index].Handle), "cuFuncGetAttribute", kernel.Entry);
        return value;
    }

    /// <summary>Loads the kernels of a source before their first launch; returns where their image came from.</summary>
    internal string LoadAhead(CudaSource source, bool bfloat16)
    {
        Enter();
        lock (_gate)
        {
            string origin = "loaded before";
            if (!_modules.ContainsKey((source.Name, bfloat16))) _modules[(source.Name, bfloat16)] = LoadModule(source, bfloat16, out origin);
            return origin;
        }
    }

    private void Load(CudaKernel kernel, bool bfloat16, int index)
    {
        lock (_gate)
        {
            if (!_modules.TryGetValue((kernel.Source.Name, bfloat16), out nint module))
            {
                module = LoadModule(kernel.Source, bfloat16, out _);
                _modules[(kernel.Source.Name, bfloat16)] = module;
            }
            nint handle;
            fixed (byte* name = Encoding.UTF8.GetBytes(kernel.Entry + "\0")) Check(_driver.ModuleGetFunction(&handle, module, name), "cuModuleGetFunction", $"{kernel.Source.Name}: {kernel.Entry}");
            if (index >= _functions.Length) Array.Resize(ref _functions, Math.Max(64, 2 * index));
            const int withoutOptIn = 48 << 10;
            int fixedShared;
            Check(_driver.FuncGetAttribute(&fixedShared, CudaFunctionAttribute.SharedBytes, handle), "cuFuncGetAttribute", kernel.Entry);
            _functions[index] = new Function { Handle = handle, MaxDynamicShared = Math.Max(0, withoutOptIn - fixedShared) };
        }
    }

    // An NVRTC newer than the driver makes images that the driver refuses; what comes with the engine is as old as the oldest driver supported.
    private nint LoadModule(CudaSource source, bool bfloat16, out string origin)
    {
        byte[] image = CudaImages.Find(source, ComputeCapability, bfloat16, !_driver.IsSimulated, out origin);
        var result = TryLoadModule(image, out nint module, out string log);
        // Built for another card of this number, say, or by a broken library: once more from the source.
        if (result is CudaResult.InvalidImage or CudaResult.NoBinaryForGpu or CudaResult.InvalidPtx && origin == CudaImages.FromCache)
        {
            CudaImages.Forget(source, ComputeCapability, bfloat16);
            image = CudaImages.Find(source, ComputeCapability, bfloat16, !_driver.IsSimulated, out origin);
            result = TryLoadModule(image, out module, out log);
        }
        if (result is CudaResult.InvalidImage or CudaResult.NoBinaryForGpu or CudaResult.UnsupportedPtxVersion && origin != CudaImages.FromEmbedded
            && CudaImages.Embedded(source, ComputeCapability, bfloat16) is { } embedded && TryLoadModule(embedded, out nint own, out _) == CudaResult.Success)
        {
            origin = CudaImages.FromEmbedded;
            return own;
        }
        Check(result, "cuModuleLoadDataEx", $"{source.Name}, {origin}{(log.Length > 0 ? ": " + log : "")}");
        return module;
    }

    private CudaResult TryLoadModule(byte[] image, out nint module, out string log)
    {
        const int logBytes = 4096;
        byte* text = stackalloc byte[logBytes];
        text[0] = 0;
        var options = stackalloc CudaJitOption[] { CudaJitOption.ErrorLogBuffer, CudaJitOption.ErrorLogBufferBytes };
        void** values = stackalloc void*[] { text, (void*)logBytes };
        nint loaded = 0;
        CudaResult result;
        fixed (byte* p = image) result = _driver.ModuleLoadDataEx(&loaded, p, 2, options, values);
        module = loaded;
        // A simulated driver explains itself.
        log = result == CudaResult.Success || _driver.IsSimulated ? ""
            : Encoding.UTF8.GetString(System.Runtime.InteropServices.MemoryMarshal.CreateReadOnlySpanFromNullTerminated(text)).Split('\n').FirstOrDefault(l => l.Trim().Length > 0)?.Trim() ?? "";
        return result;
    }

    private static string NoSuchDevice(int ordinal, int count)
    {
        string? visible = Environment.GetEnvironmentVariable("CUDA_VISIBLE_DEVICES");
        return $"there is no CUDA device {ordinal}: the driver shows {count}{(count > 0 ? $", 0 to {count - 1}" : "")} ({(visible is null ? "nvidia-smi -L lists those of the machine" : $"CUDA_VISIBLE_DEVICES={visible} hides others and renumbers")})";
    }

    internal override nint Allocate(long bytes)
    {
        Enter();
        ulong pointer;
        var result = _driver.MemAlloc(&pointer, (nuint)bytes);
        if (result == CudaResult.OutOfMemory)
        {
            DriverCalls++;
            string facts = $"{bytes:N0} bytes more are not to be had; {Room().TrimEnd(' ', ';')}";
            throw new DeviceOutOfMemoryException($"{Name}: {facts}; end other programs that use the device", null) { Facts = facts };
        }
        Check(result, "cuMemAlloc", $"{bytes:N0} bytes");
        return (nint)pointer;
    }

    internal override string Room()
    {
        nuint free, total;
        Enter();
        Check(_driver.MemGetInfo(&free, &total), "cuMemGetInfo");
        return $"{(ulong)free:N0} of the device's {(ulong)total:N0} bytes are free; ";
    }

    internal override void Free(nint block, long bytes)
    {
        // With the context its memory is lost; saying so once more would hide the error that tells why.
        if (_lost is not null) return;
        Enter();
        Check(_driver.MemFree((ulong)block), "cuMemFree");
    }

    internal override void Rented(nint block, long bytes) => _observer?.BlockRented((ulong)block, bytes, _stream);

    internal override void Returned(nint block) => _observer?.BlockReturned((ulong)block, _stream);

    internal override void Upload(nint to, ReadOnlySpan<byte> from)
    {
        Enter();
        _staging.Upload((ulong)to, from);
    }

    internal override void Download(Span<byte> to, nint from)
    {
        Enter();
        _staging.Download(to, (ulong)from);
    }

    internal override void Copy(nint to, nint from, long bytes)
    {
        if (bytes == 0) return;
        Enter();
        Check(_driver.MemcpyDtoDAsync((ulong)to, (ulong)from, (nuint)bytes, _stream), "cuMemcpyDtoDAsync");
    }

    internal override void Fill(nint block, long bytes, byte value)
    {
        if (bytes == 0) return;
        Enter();
        Check(_driver.MemsetD8Async((ulong)block, value, (nuint)bytes, _stream), "cuMemsetD8Async");
    }

    /// <inheritdoc/>
    public override void Synchronize()
    {
        Enter();
        Check(_driver.StreamSynchronize(_stream), "cuStreamSynchronize");
    }

    /// <inheritdoc/>
    protected override void Close()
    {
        // What a lost context held has gone with it; the calls only end the books.
        if (_lost is null) Enter();
        else _driver.CtxSetCurrent(_context);
        CloseCublas();
        if (_mark != 0) _driver.EventDestroy(_mark);
        _staging.Dispose();
        foreach (nint module in _modules.Values) _driver.ModuleUnload(module);
        if (_ownsStream) _driver.StreamDestroy(_stream);
        if (_ownsContext) _driver.DevicePrimaryCtxRelease(_device);
    }

    // Other owners of contexts may share the thread; setting what is already set costs a few nanoseconds.
    internal void Enter()
    {
        if (_lost is not null) throw new CudaException(_lost);
        Check(_driver.CtxSetCurrent(_context), "cuCtxSetCurrent");
    }

    private int Attribute(CudaDeviceAttribute attribute)
    {
        int value;
        Check(_driver.DeviceGetAttribute(&value, attribute, _device), "cuDeviceGetAttribute", attribute.ToString());
        return value;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void Check(CudaResult result, string call, string? subject = null)
    {
        DriverCalls++;
        if (result != CudaResult.Success) Throw(result, call, subject);
    }

    private void Throw(CudaResult result, string call, string? subject)
    {
        // The first error tells why; those that follow from it do not.
        if (_lost is not null) throw new CudaException(_lost);
        var e = Error(_driver, result, call, subject);
        if (e.IsSticky) _lost = e;
        throw e;
    }

    private static void Check(ICudaDriver driver, CudaResult result, string call, string? subject = null)
    {
        if (result != CudaResult.Success) throw Error(driver, result, call, subject);
    }

    private static CudaException Error(ICudaDriver driver, CudaResult result, string call, string? subject) =>
        new(call, result, driver.Explain(result) is { } detail ? subject is null ? detail : $"{subject}: {detail}" : subject);
}
