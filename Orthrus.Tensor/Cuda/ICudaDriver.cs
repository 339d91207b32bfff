namespace Orthrus.Tensor.Cuda;

/// <summary>
/// The seam: the calls of the CUDA driver API that the engine uses, one method each, under the driver's names without prefix and version suffix, with its
/// arguments and results. <see cref="LibCuda"/> is the real driver; a simulated device stands behind the same interface.
/// </summary>
/// <remarks>
/// Device pointers are ulong; contexts, modules, functions, streams, events and graphs are opaque nint; stream 0 is the default stream. Nothing throws:
/// callers turn results into <see cref="CudaException"/>s. Source: CUDA Driver API, 11.8.
/// </remarks>
internal unsafe interface ICudaDriver
{
    /// <summary>Which driver, for messages: "libcuda.so.1" or "sim".</summary>
    string Name { get; }

    /// <summary>True where no hardware stands behind it; it then takes PTX, not machine code.</summary>
    bool IsSimulated { get; }

    /// <summary>More about a result that has just been returned than its code says, or null.</summary>
    string? Explain(CudaResult result);

    // Driver and devices.
    CudaResult Init(uint flags);
    CudaResult DriverGetVersion(int* version);
    CudaResult DeviceGetCount(int* count);
    CudaResult DeviceGet(int* device, int ordinal);
    CudaResult DeviceGetName(byte* name, int length, int device);
    CudaResult DeviceGetUuid(byte* uuid, int device);
    CudaResult DeviceTotalMem(nuint* bytes, int device);
    CudaResult DeviceGetAttribute(int* value, CudaDeviceAttribute attribute, int device);

    // Contexts.
    CudaResult DevicePrimaryCtxRetain(nint* context, int device);
    CudaResult DevicePrimaryCtxRelease(int device);
    CudaResult CtxGetCurrent(nint* context);
    CudaResult CtxSetCurrent(nint context);
    CudaResult CtxGetDevice(int* device);
    CudaResult CtxSynchronize();

    // Memory.
    CudaResult MemGetInfo(nuint* free, nuint* total);
    CudaResult MemAlloc(ulong* pointer, nuint bytes);
    CudaResult MemFree(ulong pointer);
    CudaResult MemHostAlloc(void** pointer, nuint bytes, uint flags);
    CudaResult MemFreeHost(void* pointer);
    CudaResult MemcpyHtoDAsync(ulong to, void* from, nuint bytes, nint stream);
    CudaResult MemcpyDtoHAsync(void* to, ulong from, nuint bytes, nint stream);
    CudaResult MemcpyDtoDAsync(ulong to, ulong from, nuint bytes, nint stream);
    CudaResult MemsetD8Async(ulong to, byte value, nuint bytes, nint stream);
    CudaResult PointerGetAttribute(void* value, CudaPointerAttribute attribute, ulong pointer);

    // Modules and launches.
    CudaResult ModuleLoadDataEx(nint* module, void* image, uint count, CudaJitOption* options, void** values);
    CudaResult ModuleUnload(nint module);
    CudaResult ModuleGetFunction(nint* function, nint module, byte* name);
    CudaResult FuncGetAttribute(int* value, CudaFunctionAttribute attribute, nint function);
    CudaResult FuncSetAttribute(nint function, CudaFunctionAttribute attribute, int value);
    CudaResult OccupancyMaxActiveBlocks(int* blocks, nint function, int blockSize, nuint dynamicShared);
    CudaResult LaunchKernel(nint function, uint gridX, uint gridY, uint gridZ, uint blockX, uint blockY, uint blockZ, uint dynamicShared, nint stream, void** parameters, void** extra);

    // Streams and events.
    CudaResult StreamCreate(nint* stream, uint flags);
    CudaResult StreamDestroy(nint stream);
    CudaResult StreamGetCtx(nint stream, nint* context);
    CudaResult StreamQuery(nint stream);
    CudaResult StreamSynchronize(nint stream);
    CudaResult StreamWaitEvent(nint stream, nint @event, uint flags);
    CudaResult EventCreate(nint* @event, uint flags);
    CudaResult EventDestroy(nint @event);
    CudaResult EventRecord(nint @event, nint stream);
    CudaResult EventQuery(nint @event);
    CudaResult EventSynchronize(nint @event);
    CudaResult EventElapsedTime(float* milliseconds, nint start, nint end);

    // Graphs.
    CudaResult StreamBeginCapture(nint stream, CudaCaptureMode mode);
    CudaResult StreamEndCapture(nint stream, nint* graph);
    CudaResult GraphInstantiate(nint* instance, nint graph, ulong flags);
    CudaResult GraphLaunch(nint instance, nint stream);
    CudaResult GraphExecDestroy(nint instance);
    CudaResult GraphDestroy(nint graph);
}

/// <summary>What a driver that watches memory wants to know about blocks which a pool hands out and takes back without asking it, in the order of the pool's stream.</summary>
internal interface IBlockObserver
{
    /// <summary>A block begins here for work that the stream gets from now on; so many bytes may be used, and their contents are undefined.</summary>
    void BlockRented(ulong pointer, long bytes, nint stream);
    /// <summary>The block may no longer be touched by work that the stream, or one that waits for it, gets from now on.</summary>
    void BlockReturned(ulong pointer, nint stream);
}
