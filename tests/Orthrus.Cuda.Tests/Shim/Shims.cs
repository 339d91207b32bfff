using System.Reflection;
using System.Runtime.InteropServices;
using System.Text;
using Orthrus.PtxSim;
using Orthrus.Tensor;
using Orthrus.Tensor.Cuda;
using Orthrus.TestSupport;

namespace Orthrus.Cuda.Tests.Shim;

/// <summary>Builds the C libraries and, inside the child process, gives their functions something to call.</summary>
internal static unsafe class Shims
{
    /// <summary>A new folder with libcuda.so.1 and, where asked for, libnvrtc.so.12, libcublas.so.12 and libnccl.so.2; skips the test where there is no compiler.</summary>
    internal static string Build(bool driver = true, string? nvrtc = null, bool cublas = false, string? nccl = null)
    {
        if (!OperatingSystem.IsLinux() || Shell.Find("gcc") is null) Assert.Skip("needs gcc on Linux");
        if (CudaImages.Embedded(CudaSource.BuiltIn("unary"), 90, false) is null) Assert.Skip("the embedded PTX of unary.cu is older than its source: compile cuda/ptx anew");
        string folder = Directory.CreateTempSubdirectory("orthrus-shim-").FullName, sources = Path.Combine(AppContext.BaseDirectory, "Shim");
        if (driver) Compile("driver.c", "libcuda.so.1", []);
        if (nvrtc is not null) Compile("nvrtc.c", "libnvrtc.so.12", nvrtc == "old" ? ["-DOLD"] : []);
        if (cublas) Compile("cublas.c", "libcublas.so.12", []);
        if (nccl is not null) Compile("nccl.c", "libnccl.so.2", nccl == "old" ? ["-DOLD"] : []);
        return folder;

        void Compile(string source, string library, string[] defines)
        {
            var built = Shell.Run("gcc", ["-shared", "-fPIC", "-Wall", "-Werror", .. defines, "-o", Path.Combine(folder, library), source], sources, seconds: 60);
            Assert.True(built.ExitCode == 0, built.ToString());
        }
    }

    /// <summary>Lets the libraries of a folder call the class that holds the functions; every one of them must be there.</summary>
    internal static void Connect(string folder, string library, Type functions)
    {
        string path = Path.Combine(folder, library);
        if (!File.Exists(path)) return;
        nint handle = NativeLibrary.Load(path);
        var register = (delegate* unmanaged<byte*, nint, int>)NativeLibrary.GetExport(handle, "orthrus_register");
        foreach (var method in functions.GetMethods(BindingFlags.Static | BindingFlags.NonPublic).Where(m => m.GetCustomAttribute<UnmanagedCallersOnlyAttribute>() is not null))
            fixed (byte* name = Encoding.UTF8.GetBytes(method.Name + "\0"))
                register(name, method.MethodHandle.GetFunctionPointer());
        string? missing = Marshal.PtrToStringUTF8((nint)((delegate* unmanaged<byte*>)NativeLibrary.GetExport(handle, "orthrus_missing"))());
        if (missing is not null) throw new InvalidOperationException($"{library}: nothing stands behind {missing}");
    }
}

/// <summary>What the driver's C functions call: a simulated driver.</summary>
internal static unsafe class DriverFunctions
{
    internal static ICudaDriver Driver { get; set; } = null!;

    /// <summary>Names of the functions that were called.</summary>
    internal static HashSet<string> Called { get; } = [];

    private static int As(CudaResult result, [System.Runtime.CompilerServices.CallerMemberName] string name = "")
    {
        lock (Called) Called.Add(name);
        return (int)result;
    }

    [UnmanagedCallersOnly] private static int cuInit(uint flags) => As(Driver.Init(flags));
    [UnmanagedCallersOnly] private static int cuDriverGetVersion(int* version) => As(Driver.DriverGetVersion(version));
    [UnmanagedCallersOnly] private static int cuDeviceGetCount(int* count) => As(Driver.DeviceGetCount(count));
    [UnmanagedCallersOnly] private static int cuDeviceGet(int* device, int ordinal) => As(Driver.DeviceGet(device, ordinal));
    [UnmanagedCallersOnly] private static int cuDeviceGetName(byte* name, int length, int device) => As(Driver.DeviceGetName(name, length, device));
    [UnmanagedCallersOnly] private static int cuDeviceGetUuid(byte* uuid, int device) => As(Driver.DeviceGetUuid(uuid, device));
    [UnmanagedCallersOnly] private static int cuDeviceTotalMem_v2(nuint* bytes, int device) => As(Driver.DeviceTotalMem(bytes, device));
    [UnmanagedCallersOnly] private static int cuDeviceGetAttribute(int* value, int attribute, int device) => As(Driver.DeviceGetAttribute(value, (CudaDeviceAttribute)attribute, device));
    [UnmanagedCallersOnly] private static int cuDevicePrimaryCtxRetain(nint* context, int device) => As(Driver.DevicePrimaryCtxRetain(context, device));
    [UnmanagedCallersOnly] private static int cuDevicePrimaryCtxRelease_v2(int device) => As(Driver.DevicePrimaryCtxRelease(device));
    [UnmanagedCallersOnly] private static int cuCtxGetCurrent(nint* context) => As(Driver.CtxGetCurrent(context));
    [UnmanagedCallersOnly] private static int cuCtxSetCurrent(nint context) => As(Driver.CtxSetCurrent(context));
    [UnmanagedCallersOnly] private static int cuCtxGetDevice(int* device) => As(Driver.CtxGetDevice(device));
    [UnmanagedCallersOnly] private static int cuCtxSynchronize() => As(Driver.CtxSynchronize());
    [UnmanagedCallersOnly] private static int cuMemGetInfo_v2(nuint* free, nuint* total) => As(Driver.MemGetInfo(free, total));
    [UnmanagedCallersOnly] private static int cuMemAlloc_v2(ulong* pointer, nuint bytes) => As(Driver.MemAlloc(pointer, bytes));
    [UnmanagedCallersOnly] private static int cuMemFree_v2(ulong pointer) => As(Driver.MemFree(pointer));
    [UnmanagedCallersOnly] private static int cuMemHostAlloc(void** pointer, nuint bytes, uint flags) => As(Driver.MemHostAlloc(pointer, bytes, flags));
    [UnmanagedCallersOnly] private static int cuMemFreeHost(void* pointer) => As(Driver.MemFreeHost(pointer));
    [UnmanagedCallersOnly] private static int cuMemcpyHtoDAsync_v2(ulong to, void* from, nuint bytes, nint stream) => As(Driver.MemcpyHtoDAsync(to, from, bytes, stream));
    [UnmanagedCallersOnly] private static int cuMemcpyDtoHAsync_v2(void* to, ulong from, nuint bytes, nint stream) => As(Driver.MemcpyDtoHAsync(to, from, bytes, stream));
    [UnmanagedCallersOnly] private static int cuMemcpyDtoDAsync_v2(ulong to, ulong from, nuint bytes, nint stream) => As(Driver.MemcpyDtoDAsync(to, from, bytes, stream));
    [UnmanagedCallersOnly] private static int cuMemsetD8Async(ulong to, byte value, nuint bytes, nint stream) => As(Driver.MemsetD8Async(to, value, bytes, stream));
    [UnmanagedCallersOnly] private static int cuPointerGetAttribute(void* value, int attribute, ulong pointer) => As(Driver.PointerGetAttribute(value, (CudaPointerAttribute)attribute, pointer));
    [UnmanagedCallersOnly] private static int cuModuleLoadDataEx(nint* module, void* image, uint count, int* options, void** values) => As(Driver.ModuleLoadDataEx(module, image, count, (CudaJitOption*)options, values));
    [UnmanagedCallersOnly] private static int cuModuleUnload(nint module) => As(Driver.ModuleUnload(module));
    [UnmanagedCallersOnly] private static int cuModuleGetFunction(nint* function, nint module, byte* name) => As(Driver.ModuleGetFunction(function, module, name));
    [UnmanagedCallersOnly] private static int cuFuncGetAttribute(int* value, int attribute, nint function) => As(Driver.FuncGetAttribute(value, (CudaFunctionAttribute)attribute, function));
    [UnmanagedCallersOnly] private static int cuFuncSetAttribute(nint function, int attribute, int value) => As(Driver.FuncSetAttribute(function, (CudaFunctionAttribute)attribute, value));
    [UnmanagedCallersOnly] private static int cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, nint function, int size, nuint dynamic) => As(Driver.OccupancyMaxActiveBlocks(blocks, function, size, dynamic));
    [UnmanagedCallersOnly] private static int cuLaunchKernel(nint f, uint gx, uint gy, uint gz, uint bx, uint by, uint bz, uint shared, nint stream, void** parameters, void** extra) => As(Driver.LaunchKernel(f, gx, gy, gz, bx, by, bz, shared, stream, parameters, extra));
    [UnmanagedCallersOnly] private static int cuStreamCreate(nint* stream, uint flags) => As(Driver.StreamCreate(stream, flags));
    [UnmanagedCallersOnly] private static int cuStreamDestroy_v2(nint stream) => As(Driver.StreamDestroy(stream));
    [UnmanagedCallersOnly] private static int cuStreamGetCtx(nint stream, nint* context) => As(Driver.StreamGetCtx(stream, context));
    [UnmanagedCallersOnly] private static int cuStreamQuery(nint stream) => As(Driver.StreamQuery(stream));
    [UnmanagedCallersOnly] private static int cuStreamSynchronize(nint stream) => As(Driver.StreamSynchronize(stream));
    [UnmanagedCallersOnly] private static int cuStreamWaitEvent(nint stream, nint e, uint flags) => As(Driver.StreamWaitEvent(stream, e, flags));
    [UnmanagedCallersOnly] private static int cuEventCreate(nint* e, uint flags) => As(Driver.EventCreate(e, flags));
    [UnmanagedCallersOnly] private static int cuEventDestroy_v2(nint e) => As(Driver.EventDestroy(e));
    [UnmanagedCallersOnly] private static int cuEventRecord(nint e, nint stream) => As(Driver.EventRecord(e, stream));
    [UnmanagedCallersOnly] private static int cuEventQuery(nint e) => As(Driver.EventQuery(e));
    [UnmanagedCallersOnly] private static int cuEventSynchronize(nint e) => As(Driver.EventSynchronize(e));
    [UnmanagedCallersOnly] private static int cuEventElapsedTime(float* milliseconds, nint start, nint end) => As(Driver.EventElapsedTime(milliseconds, start, end));
    [UnmanagedCallersOnly] private static int cuStreamBeginCapture_v2(nint stream, int mode) => As(Driver.StreamBeginCapture(stream, (CudaCaptureMode)mode));
    [UnmanagedCallersOnly] private static int cuStreamEndCapture(nint stream, nint* graph) => As(Driver.StreamEndCapture(stream, graph));
    [UnmanagedCallersOnly] private static int cuGraphInstantiateWithFlags(nint* instance, nint graph, ulong flags) => As(Driver.GraphInstantiate(instance, graph, flags));
    [UnmanagedCallersOnly] private static int cuGraphLaunch(nint instance, nint stream) => As(Driver.GraphLaunch(instance, stream));
    [UnmanagedCallersOnly] private static int cuGraphExecDestroy(nint instance) => As(Driver.GraphExecDestroy(instance));
    [UnmanagedCallersOnly] private static int cuGraphDestroy(nint graph) => As(Driver.GraphDestroy(graph));
}

/// <summary>What NVRTC's C functions call: "compiles" by giving back the PTX that comes with the engine, as the simulated driver takes nothing else.</summary>
internal static unsafe class NvrtcFunctions
{
    private static byte[] result = [];
    private static byte[] log = [];
    private static string source = "";
    private static bool machineCode;

    internal static int[] Architectures { get; set; } = [];

    /// <summary>PTX version that this NVRTC writes; empty for that of the embedded PTX.</summary>
    internal static string PtxVersion { get; set; } = "";

    /// <summary>"full": no memory for a program; "builtins": half of the library is missing; "wrong": compiled kernels multiply where they should add; "stray": they write far beside their results.</summary>
    internal static string Fault { get; set; } = "";

    /// <summary>Options of each compilation.</summary>
    internal static List<string> Compiled { get; } = [];

    [UnmanagedCallersOnly]
    private static int nvrtcVersion(int* major, int* minor)
    {
        (*major, *minor) = (12, 4);
        return 0;
    }

    [UnmanagedCallersOnly]
    private static int nvrtcGetNumSupportedArchs(int* count)
    {
        *count = Architectures.Length;
        return 0;
    }

    [UnmanagedCallersOnly]
    private static int nvrtcGetSupportedArchs(int* architectures)
    {
        Architectures.CopyTo(new Span<int>(architectures, Architectures.Length));
        return 0;
    }

    [UnmanagedCallersOnly]
    private static int nvrtcCreateProgram(nint* program, byte* text, byte* name, int count, byte** headers, byte** names)
    {
        if (Fault == "full") return 1;
        source = Marshal.PtrToStringUTF8((nint)name)!;
        *program = 0x77;
        // The header of all kernels, and those that an operator's files share.
        bool found = false;
        for (int i = 0; i < count; i++)
            found |= Marshal.PtrToStringUTF8((nint)names[i]) == CudaResources.HeaderName && Marshal.PtrToStringUTF8((nint)headers[i]) == CudaResources.Header;
        return found && *text != 0 ? 0 : 3;
    }

    [UnmanagedCallersOnly]
    private static int nvrtcDestroyProgram(nint* program)
    {
        bool own = *program == 0x77;
        *program = 0;
        return own ? 0 : 4;
    }

    [UnmanagedCallersOnly]
    private static int nvrtcCompileProgram(nint program, int count, byte** options)
    {
        string[] texts = [.. Enumerable.Range(0, count).Select(k => Marshal.PtrToStringUTF8((nint)options[k])!)];
        Compiled.Add($"{source} {string.Join(' ', texts)}");
        string architecture = texts.Single(t => t.StartsWith("--gpu-architecture=", StringComparison.Ordinal))["--gpu-architecture=".Length..];
        machineCode = architecture.StartsWith("sm_", StringComparison.Ordinal);
        int number = int.Parse(architecture[(architecture.IndexOf('_') + 1)..]);
        result = CudaImages.Embedded(CudaSource.BuiltIn(source[..^3]), number, texts.Contains("-DORTHRUS_BF16")) ?? [];
        if (result.Length == 0) return 6;
        if (Fault == "builtins") return 7;
        if (PtxVersion.Length > 0) result = Encoding.UTF8.GetBytes(System.Text.RegularExpressions.Regex.Replace(Encoding.UTF8.GetString(result), @"\.version \d+\.\d+", $".version {PtxVersion}"));
        if (Fault == "wrong") result = Encoding.UTF8.GetBytes(Encoding.UTF8.GetString(result).Replace("add.f32", "mul.f32", StringComparison.Ordinal));
        if (Fault == "stray") result = Encoding.UTF8.GetBytes(System.Text.RegularExpressions.Regex.Replace(Encoding.UTF8.GetString(result), @"(st\.global[.a-z0-9]*\s+\[%rd\d+)(\+\d+)?\]", "$1+1073741824]"));
        log = Encoding.UTF8.GetBytes("compiled\0");
        return 0;
    }

    [UnmanagedCallersOnly]
    private static int nvrtcGetProgramLogSize(nint program, nuint* size)
    {
        *size = (nuint)log.Length;
        return 0;
    }

    [UnmanagedCallersOnly]
    private static int nvrtcGetProgramLog(nint program, byte* to)
    {
        log.CopyTo(new Span<byte>(to, log.Length));
        return 0;
    }

    [UnmanagedCallersOnly]
    private static int nvrtcGetPTXSize(nint program, nuint* size)
    {
        *size = (nuint)result.Length;
        return 0;
    }

    [UnmanagedCallersOnly]
    private static int nvrtcGetPTX(nint program, byte* to)
    {
        result.CopyTo(new Span<byte>(to, result.Length));
        return 0;
    }

    [UnmanagedCallersOnly]
    private static int nvrtcGetCUBINSize(nint program, nuint* size)
    {
        *size = machineCode ? (nuint)result.Length : 0;
        return 0;
    }

    [UnmanagedCallersOnly]
    private static int nvrtcGetCUBIN(nint program, byte* to)
    {
        result.CopyTo(new Span<byte>(to, result.Length));
        return 0;
    }
}
