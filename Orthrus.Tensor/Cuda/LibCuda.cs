using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

[assembly: DisableRuntimeMarshalling]

namespace Orthrus.Tensor.Cuda;

/// <summary>The NVIDIA driver, found at run time by <see cref="NativeLibraries"/>.</summary>
internal sealed unsafe partial class LibCuda : ICudaDriver
{
    private LibCuda(string name) => Name = name;

    /// <summary>Opens the library; a device may still be missing.</summary>
    /// <exception cref="CudaException">There is no driver; the message lists what was tried.</exception>
    internal static LibCuda Open()
    {
        var status = NativeLibraries.CudaDriverStatus;
        return status.Found ? new LibCuda(status.Path)
            : throw new CudaException("dlopen", $"no CUDA driver was found ({status.Why}); install the NVIDIA driver, {CudaErrors.UseCpu}");
    }

    /// <inheritdoc/>
    public string Name { get; }
    /// <inheritdoc/>
    public bool IsSimulated => false;
    /// <inheritdoc/>
    public string? Explain(CudaResult result) => null;

    // Driver and devices.
    public CudaResult Init(uint flags) => cuInit(flags);
    public CudaResult DriverGetVersion(int* version) => cuDriverGetVersion(version);
    public CudaResult DeviceGetCount(int* count) => cuDeviceGetCount(count);
    public CudaResult DeviceGet(int* device, int ordinal) => cuDeviceGet(device, ordinal);
    public CudaResult DeviceGetName(byte* name, int length, int device) => cuDeviceGetName(name, length, device);
    public CudaResult DeviceGetUuid(byte* uuid, int device) => cuDeviceGetUuid(uuid, device);
    public CudaResult DeviceTotalMem(nuint* bytes, int device) => cuDeviceTotalMem_v2(bytes, device);
    public CudaResult DeviceGetAttribute(int* value, CudaDeviceAttribute attribute, int device) => cuDeviceGetAttribute(value, attribute, device);

    // Contexts.
    public CudaResult DevicePrimaryCtxRetain(nint* context, int device) => cuDevicePrimaryCtxRetain(context, device);
    public CudaResult DevicePrimaryCtxRelease(int device) => cuDevicePrimaryCtxRelease_v2(device);
    public CudaResult CtxGetCurrent(nint* context) => cuCtxGetCurrent(context);
    public CudaResult CtxSetCurrent(nint context) => cuCtxSetCurrent(context);
    public CudaResult CtxGetDevice(int* device) => cuCtxGetDevice(device);
    public CudaResult CtxSynchronize() => cuCtxSynchronize();

    // Memory.
    public CudaResult MemGetInfo(nuint* free, nuint* total) => cuMemGetInfo_v2(free, total);
    public CudaResult MemAlloc(ulong* pointer, nuint bytes) => cuMemAlloc_v2(pointer, bytes);
    public CudaResult MemFree(ulong pointer) => cuMemFree_v2(pointer);
    public CudaResult MemHostAlloc(void** pointer, nuint bytes, uint flags) => cuMemHostAlloc(pointer, bytes, flags);
    public CudaResult MemFreeHost(void* pointer) => cuMemFreeHost(pointer);
    public CudaResult MemcpyHtoDAsync(ulong to, void* from, nuint bytes, nint stream) => cuMemcpyHtoDAsync_v2(to, from, bytes, stream);
    public CudaResult MemcpyDtoHAsync(void* to, ulong from, nuint bytes, nint stream) => cuMemcpyDtoHAsync_v2(to, from, bytes, stream);
    public CudaResult MemcpyDtoDAsync(ulong to, ulong from, nuint bytes, nint stream) => cuMemcpyDtoDAsync_v2(to, from, bytes, stream);
    public CudaResult MemsetD8Async(ulong to, byte value, nuint bytes, nint stream) => cuMemsetD8Async(to, value, bytes, stream);
    public CudaResult PointerGetAttribute(void* value, CudaPointerAttribute attribute, ulong pointer) => cuPointerGetAttribute(value, attribute, pointer);

    // Modules and launches.
    public CudaResult ModuleLoadDataEx(nint* module, void* image, uint count, CudaJitOption* options, void** values) => cuModuleLoadDataEx(module, image, count, options, values);
    public CudaResult ModuleUnload(nint module) => cuModuleUnload(module);
    public CudaResult ModuleGetFunction(nint* function, nint module, byte* name) => cuModuleGetFunction(function, module, name);
    public CudaResult FuncGetAttribute(int* value, CudaFunctionAttribute attribute, nint function) => cuFuncGetAttribute(value, attribute, function);
    public CudaResult FuncSetAttribute(nint function, CudaFunctionAttribute attribute, int value) => cuFuncSetAttribute(function, attribute, value);
    public CudaResult OccupancyMaxActiveBlocks(int* blocks, nint function, int blockSize, nuint dynamicShared) => cuOccupancyMaxActiveBlocksPerMultiprocessor(blocks, function, blockSize, dynamicShared);
    public CudaResult LaunchKernel(nint function, uint gridX, uint gridY, uint gridZ, uint blockX, uint blockY, uint blockZ, uint dynamicShared, nint stream, void** parameters, void** extra) => cuLaunchKernel(function, gridX, gridY, gridZ, blockX, blockY, blockZ, dynamicShared, stream, parameters, extra);

    // Streams and events.
    public CudaResult StreamCreate(nint* stream, uint flags) => cuStreamCreate(stream, flags);
    public CudaResult StreamDestroy(nint stream) => cuStreamDestroy_v2(stream);
    public CudaResult StreamGetCtx(nint stream, nint* context) => cuStreamGetCtx(stream, context);
    public CudaResult StreamQuery(nint stream) => cuStreamQuery(stream);
    public CudaResult StreamSynchronize(nint stream) => cuStreamSynchronize(stream);
    public CudaResult StreamWaitEvent(nint stream, nint @event, uint flags) => cuStreamWaitEvent(stream, @event, flags);
    public CudaResult EventCreate(nint* @event, uint flags) => cuEventCreate(@event, flags);
    public CudaResult EventDestroy(nint @event) => cuEventDestroy_v2(@event);
    public CudaResult EventRecord(nint @event, nint stream) => cuEventRecord(@event, stream);
    public CudaResult EventQuery(nint @event) => cuEventQuery(@event);
    public CudaResult EventSynchronize(nint @event) => cuEventSynchronize(@event);
    public CudaResult EventElapsedTime(float* milliseconds, nint start, nint end) => cuEventElapsedTime(milliseconds, start, end);

    // Graphs.
    public CudaResult StreamBeginCapture(nint stream, CudaCaptureMode mode) => cuStreamBeginCapture_v2(stream, mode);
    public CudaResult StreamEndCapture(nint stream, nint* graph) => cuStreamEndCapture(stream, graph);
    public CudaResult GraphInstantiate(nint* instance, nint graph, ulong flags) => cuGraphInstantiateWithFlags(instance, graph, flags);
    public CudaResult GraphLaunch(nint instance, nint stream) => cuGraphLaunch(instance, stream);
    public CudaResult GraphExecDestroy(nint instance) => cuGraphExecDestroy(instance);
    public CudaResult GraphDestroy(nint graph) => cuGraphDestroy(graph);

    [LibraryImport(NativeLibraries.Driver)]
    private static partial CudaResult cuInit(uint flags);
    [LibraryImport(NativeLibraries.Driver)]
    private static partial CudaResult cuDriverGetVersion(int* version);
    [LibraryImport(NativeLibraries.Driver)]
    private static partial CudaResult cuDeviceGetCount(int* count);
    [LibraryImport(NativeLibraries.Driver)]
    private static partial CudaResult cuDeviceGet(int* device, int ordinal);
    [LibraryImport(NativeLibraries.Driver)]
    private static partial CudaResult cuDeviceGetName(byte* name, int length, int device);
    [LibraryImport(NativeLibraries.Driver)]
    private static partial CudaResult cuDeviceGetUuid(byte* uuid, int device);
    [LibraryImport(NativeLibraries.Driver)]
    private static partial CudaResult cuDeviceTotalMem_v2(nuint* bytes, int device);
    [LibraryImport(NativeLibraries.Driver)]
    private static partial CudaResult cuDeviceGetAttribute(int* value, CudaDeviceAttribute attribute, int device);
    [LibraryImport(NativeLibraries.Driver)]
    private static partial CudaResult cuDevicePrimaryCtxRetain(nint* context, int device);
    [LibraryImport(NativeLibraries.Driver)]
    private static partial CudaResult cuDevicePrimaryCtxRelease_v2(int device);
    [LibraryImport(NativeLibraries.Driver)]
    private static partial CudaResult cuCtxGetCurrent(nint* context);
    [LibraryImport(NativeLibraries.Driver)]
    private static partial CudaResult cuCtxSetCurrent(nint context);
    [LibraryImport(NativeLibraries.Driver)]
    private static partial CudaResult cuCtxGetDevice(int* device);
    [LibraryImport(NativeLibraries.Driver)]
    private static partial CudaResult cuCtxSynchronize();
    [LibraryImport(NativeLibraries.Driver)]
    private static partial CudaResult cuMemGetInfo_v2(nuint* free, nuint* total);
    [LibraryImport(NativeLibraries.Driver)]
    private static partial CudaResult cuMemAlloc_v2(ulong* pointer, nuint bytes);
    [LibraryImport(NativeLibraries.Driver)]
    private static partial CudaResult cuMemFree_v2(ulong pointer);
    [LibraryImport(NativeLibraries.Driver)]
    private static partial CudaResult cuMemHostAlloc(void** pointer, nuint bytes, uint flags);
    [LibraryImport(NativeLibraries.Driver)]
    private static partial CudaResult cuMemFreeHost(void* pointer);
    [LibraryImport(NativeLibraries.Driver)]
    private static partial CudaResult cuMemcpyHtoDAsync_v2(ulong to, void* from, nuint bytes, nint stream);
    [LibraryImport(NativeLibraries.Driver)]
    private static partial CudaResult cuMemcpyDtoHAsync_v2(void* to, ulong from, nuint bytes, nint stream);
    [LibraryImport(NativeLibraries.Driver)]
    private static partial CudaResult cuMemcpyDtoDAsync_v2(ulong to, ulong from, nuint bytes, nint stream);
    [LibraryImport(NativeLibraries.Driver)]
    private static partial CudaResult cuMemsetD8Async(ulong to, byte value, nuint bytes, nint stream);
    [LibraryImport(NativeLibraries.Driver)]
    private static partial CudaResult cuPointerGetAttribute(void* value, CudaPointerAttribute attribute, ulong pointer);
    [LibraryImport(NativeLibraries.Driver)]
    private static partial CudaResult cuModuleLoadDataEx(nint* module, void* image, uint count, CudaJitOption* options, void** values);
    [LibraryImport(NativeLibraries.Driver)]
    private static partial CudaResult cuModuleUnload(nint module);
    [LibraryImport(NativeLibraries.Driver)]
    private static partial CudaResult cuModuleGetFunction(nint* function, nint module, byte* name);
    [LibraryImport(NativeLibraries.Driver)]
    private static partial CudaResult cuFuncGetAttribute(int* value, CudaFunctionAttribute attribute, nint function);
    [LibraryImport(NativeLibraries.Driver)]
    private static partial CudaResult cuFuncSetAttribute(nint function, CudaFunctionAttribute attribute, int value);
    [LibraryImport(NativeLibraries.Driver)]
    private static partial CudaResult cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, nint function, int blockSize, nuint dynamicShared);
    [LibraryImport(NativeLibraries.Driver)]
    private static partial CudaResult cuLaunchKernel(nint function, uint gridX, uint gridY, uint gridZ, uint blockX, uint blockY, uint blockZ, uint dynamicShared, nint stream, void** parameters, void** extra);
    [LibraryImport(NativeLibraries.Driver)]
    private static partial CudaResult cuStreamCreate(nint* stream, uint flags);
    [LibraryImport(NativeLibraries.Driver)]
    private static partial CudaResult cuStreamDestroy_v2(nint stream);
    [LibraryImport(NativeLibraries.Driver)]
    private static partial CudaResult cuStreamGetCtx(nint stream, nint* context);
    [LibraryImport(NativeLibraries.Driver)]
    private static partial CudaResult cuStreamQuery(nint stream);
    [LibraryImport(NativeLibraries.Driver)]
    private static partial CudaResult cuStreamSynchronize(nint stream);
    [LibraryImport(NativeLibraries.Driver)]
    private static partial CudaResult cuStreamWaitEvent(nint stream, nint @event, uint flags);
    [LibraryImport(NativeLibraries.Driver)]
    private static partial CudaResult cuEventCreate(nint* @event, uint flags);
    [LibraryImport(NativeLibraries.Driver)]
    private static partial CudaResult cuEventDestroy_v2(nint @event);
    [LibraryImport(NativeLibraries.Driver)]
    private static partial CudaResult cuEventRecord(nint @event, nint stream);
    [LibraryImport(NativeLibraries.Driver)]
    private static partial CudaResult cuEventQuery(nint @event);
    [LibraryImport(NativeLibraries.Driver)]
    private static partial CudaResult cuEventSynchronize(nint @event);
    [LibraryImport(NativeLibraries.Driver)]
    private static partial CudaResult cuEventElapsedTime(float* milliseconds, nint start, nint end);
    [LibraryImport(NativeLibraries.Driver)]
    private static partial CudaResult cuStreamBeginCapture_v2(nint stream, CudaCaptureMode mode);
    [LibraryImport(NativeLibraries.Driver)]
    private static partial CudaResult cuStreamEndCapture(nint stream, nint* graph);
    [LibraryImport(NativeLibraries.Driver)]
    private static partial CudaResult cuGraphInstantiateWithFlags(nint* instance, nint graph, ulong flags);
    [LibraryImport(NativeLibraries.Driver)]
    private static partial CudaResult cuGraphLaunch(nint instance, nint stream);
    [LibraryImport(NativeLibraries.Driver)]
    private static partial CudaResult cuGraphExecDestroy(nint instance);
    [LibraryImport(NativeLibraries.Driver)]
    private static partial CudaResult cuGraphDestroy(nint graph);
}
