using System.Runtime.InteropServices;
using System.Text;

namespace Orthrus.Tensor.Cuda;

/// <summary>What NVRTC made of one source.</summary>
/// <param name="Image">PTX text (UTF-8 without closing zero) or a cubin.</param>
/// <param name="Log">What the compiler said; with --ptxas-options=-v registers, spills and shared memory of each kernel.</param>
public sealed record NvrtcResult(byte[] Image, string Log);

/// <summary>NVRTC, NVIDIA's run-time compiler for CUDA C++. It needs neither GPU nor driver nor toolkit.</summary>
/// <remarks>Source: NVRTC 11.8 documentation. Not safe against options that no compiler takes: they are passed on as they are.</remarks>
public static unsafe partial class Nvrtc
{
    private static readonly Lazy<string?> Reason = new(() =>
        !NativeLibraries.NvrtcStatus.Found ? $"NVRTC was not found ({NativeLibraries.NvrtcStatus.Why})"
        : !NativeLibraries.Exports(NativeLibraries.Nvrtc, nameof(nvrtcGetCUBIN)) || !NativeLibraries.Exports(NativeLibraries.Nvrtc, nameof(nvrtcGetSupportedArchs))
            ? $"NVRTC ({NativeLibraries.NvrtcStatus.Path}) is older than CUDA 11.2" : null);

    // NVRTC_ERROR_COMPILATION: the source is at fault, and the log says where.
    private const int CompilationError = 6;

    /// <summary>True where the library is here and not too old; <see cref="WhyNot"/> says why not.</summary>
    public static bool IsAvailable => Reason.Value is null;

    /// <summary>Why NVRTC cannot be used, or null where it can.</summary>
    public static string? WhyNot => Reason.Value;

    /// <summary>Version of the library.</summary>
    /// <exception cref="CudaException">NVRTC is missing.</exception>
    public static Version Version
    {
        get
        {
            Require();
            int major, minor;
            Check(nameof(nvrtcVersion), nvrtcVersion(&major, &minor));
            return new Version(major, minor);
        }
    }

    /// <summary>Compute capabilities that it compiles for, ascending: 70 for 7.0.</summary>
    /// <exception cref="CudaException">NVRTC is missing.</exception>
    public static IReadOnlyList<int> Architectures
    {
        get
        {
            Require();
            int count;
            Check(nameof(nvrtcGetNumSupportedArchs), nvrtcGetNumSupportedArchs(&count));
            var architectures = new int[count];
            fixed (int* p = architectures) Check(nameof(nvrtcGetSupportedArchs), nvrtcGetSupportedArchs(p));
            return architectures;
        }
    }

    /// <summary>Compiles one source for a virtual architecture (compute_80: PTX) or a real one (sm_80: cubin).</summary>
    /// <param name="source">CUDA C++.</param>
    /// <param name="name">File name for messages.</param>
    /// <param name="headers">Headers by the name under which the source includes them.</param>
    /// <param name="options">Options, --gpu-architecture=... among them.</param>
    /// <exception cref="CudaException">NVRTC is missing, or the source does not compile: the message has the first error and the architecture.</exception>
    public static NvrtcResult Compile(string source, string name, IReadOnlyDictionary<string, string> headers, IReadOnlyList<string> options)
    {
        Require();
        using var strings = new NativeStrings();
        byte** texts = strings.Array(headers.Values), names = strings.Array(headers.Keys);
        nint program = Create(strings.Add(source), strings.Add(name), headers.Count, texts, names);
        try
        {
            int result = nvrtcCompileProgram(program, options.Count, strings.Array(options));
            nuint size;
            Check(nameof(nvrtcGetProgramLogSize), nvrtcGetProgramLogSize(program, &size));
            string log = Text(size, p => nvrtcGetProgramLog(program, p));
            if (result != 0)
                throw new CudaException(nameof(nvrtcCompileProgram), $"{nameof(nvrtcCompileProgram)} ({name}): {Describe(result)} ({result}), NVRTC {Version.Major}.{Version.Minor} ({string.Join(' ', options)}){(FirstError(log) is { } error ? ": " + error : "")}; {Remedy(result)}");
            // A virtual architecture leaves no cubin.
            if (nvrtcGetCUBINSize(program, &size) == 0 && size > 0)
                return new(Bytes(size, nameof(nvrtcGetCUBIN), p => nvrtcGetCUBIN(program, p)), log);
            Check(nameof(nvrtcGetPTXSize), nvrtcGetPTXSize(program, &size));
            // The size counts the closing zero.
            return new(Bytes(size, nameof(nvrtcGetPTX), p => nvrtcGetPTX(program, p))[..^1], log);
        }
        finally
        {
            Destroy(program);
        }
    }

    private static nint Create(byte* source, byte* name, int headers, byte** texts, byte** names)
    {
        nint program;
        Check(nameof(nvrtcCreateProgram), nvrtcCreateProgram(&program, source, name, headers, texts, names));
        return program;
    }

    private static void Destroy(nint program) => _ = nvrtcDestroyProgram(&program);

    private static void Require()
    {
        if (WhyNot is { } why) throw new CudaException("dlopen", $"{why}; install it (package libnvrtc of CUDA 11.8 to 13), or use the compiled kernels that come with the program");
    }

    private delegate int Fill(byte* to);

    private static byte[] Bytes(nuint size, string call, Fill fill)
    {
        var bytes = new byte[checked((int)size)];
        fixed (byte* p = bytes) Check(call, fill(p));
        return bytes;
    }

    private static string Text(nuint size, Fill fill) => size <= 1 ? "" : Encoding.UTF8.GetString(Bytes(size, nameof(nvrtcGetProgramLog), fill)).TrimEnd('\0', '\n');

    private static string? FirstError(string log) => log.Split('\n').FirstOrDefault(l => l.Contains("error", StringComparison.OrdinalIgnoreCase))?.Trim();

    private static string Describe(int result) => Marshal.PtrToStringUTF8((nint)nvrtcGetErrorString(result)) ?? $"NVRTC error {result}";

    private static void Check(string call, int result)
    {
        if (result != 0) throw new CudaException(call, $"{call}: {Describe(result)} ({result}); {Remedy(result)}");
    }

    // nvrtc.h: 1 NVRTC_ERROR_OUT_OF_MEMORY, 2 PROGRAM_CREATION_FAILURE, 6 COMPILATION, 7 BUILTIN_OPERATION_FAILURE; the others are calls that this class does not make wrongly.
    private static string Remedy(int result) => result switch
    {
        1 => "the host's memory is full: free some and try again",
        CompilationError => "correct the source; one that comes with the program is to be reported",
        7 => $"libnvrtc-builtins of the same version must stand beside {NativeLibraries.NvrtcStatus.Path}",
        _ => $"the library {NativeLibraries.NvrtcStatus.Path} is damaged or of no version from 11.8 to 13: install it anew, or name another folder in {NativeLibraries.FoldersVariable}",
    };

    /// <summary>Zero-terminated UTF-8 copies that live as long as this object.</summary>
    private sealed class NativeStrings : IDisposable
    {
        private readonly List<nint> _blocks = [];

        internal byte* Add(string text)
        {
            nint block = Marshal.StringToCoTaskMemUTF8(text);
            _blocks.Add(block);
            return (byte*)block;
        }

        internal byte** Array(IEnumerable<string> texts)
        {
            nint[] pointers = [.. texts.Select(t => (nint)Add(t))];
            nint block = Marshal.AllocCoTaskMem(Math.Max(1, pointers.Length) * sizeof(nint));
            _blocks.Add(block);
            Marshal.Copy(pointers, 0, block, pointers.Length);
            return (byte**)block;
        }

        public void Dispose()
        {
            foreach (nint block in _blocks) Marshal.FreeCoTaskMem(block);
        }
    }

    [LibraryImport(NativeLibraries.Nvrtc)]
    private static partial int nvrtcVersion(int* major, int* minor);
    [LibraryImport(NativeLibraries.Nvrtc)]
    private static partial int nvrtcGetNumSupportedArchs(int* count);
    [LibraryImport(NativeLibraries.Nvrtc)]
    private static partial int nvrtcGetSupportedArchs(int* architectures);
    [LibraryImport(NativeLibraries.Nvrtc)]
    private static partial int nvrtcCreateProgram(nint* program, byte* source, byte* name, int headers, byte** texts, byte** names);
    [LibraryImport(NativeLibraries.Nvrtc)]
    private static partial int nvrtcDestroyProgram(nint* program);
    [LibraryImport(NativeLibraries.Nvrtc)]
    private static partial int nvrtcCompileProgram(nint program, int count, byte** options);
    [LibraryImport(NativeLibraries.Nvrtc)]
    private static partial int nvrtcGetProgramLogSize(nint program, nuint* size);
    [LibraryImport(NativeLibraries.Nvrtc)]
    private static partial int nvrtcGetProgramLog(nint program, byte* log);
    [LibraryImport(NativeLibraries.Nvrtc)]
    private static partial int nvrtcGetPTXSize(nint program, nuint* size);
    [LibraryImport(NativeLibraries.Nvrtc)]
    private static partial int nvrtcGetPTX(nint program, byte* ptx);
    [LibraryImport(NativeLibraries.Nvrtc)]
    private static partial int nvrtcGetCUBINSize(nint program, nuint* size);
    [LibraryImport(NativeLibraries.Nvrtc)]
    private static partial int nvrtcGetCUBIN(nint program, byte* cubin);
    [LibraryImport(NativeLibraries.Nvrtc)]
    private static partial byte* nvrtcGetErrorString(int result);
}
