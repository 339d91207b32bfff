using System.Diagnostics.CodeAnalysis;
using System.Reflection;
using System.Runtime.InteropServices;

namespace Orthrus.Tensor.Cuda;

/// <summary>Where a native library was looked for, and what came of it.</summary>
/// <param name="Title">"CUDA driver", "NVRTC", "cuBLAS" or "NCCL".</param>
/// <param name="Path">What was loaded: a path, or a name that the system's loader resolved; null where nothing was.</param>
/// <param name="Attempts">Every candidate tried before, with the loader's reason against it.</param>
public sealed record NativeLibraryStatus(string Title, string? Path, IReadOnlyList<(string Candidate, string Reason)> Attempts)
{
    /// <summary>True where the library is loaded.</summary>
    [MemberNotNullWhen(true, nameof(Path))]
    public bool Found => Path is not null;

    /// <summary>One line that names every candidate and why it failed.</summary>
    public string Why => Attempts.Count == 0 ? "nothing was tried" : string.Join("; ", Attempts.Select(a => $"{a.Candidate}: {a.Reason}"));
}

/// <summary>
/// Finds NVIDIA's libraries at run time. Nothing is linked, and nothing but the driver is needed for work: CUDA 11.8 to 13, Linux and Windows.
/// </summary>
/// <remarks>
/// Candidates, in order: the folders of <see cref="FoldersVariable"/>; names for the system's own loader; the folders of an installed toolkit
/// (CUDA_HOME, CUDA_PATH, /usr/local/cuda). The first that loads is kept for the life of the process.
/// </remarks>
public static class NativeLibraries
{
    /// <summary>Environment variable: folders to search first, separated as in PATH.</summary>
    public const string FoldersVariable = "ORTHRUS_CUDA_FOLDERS";

    internal const string Driver = "orthrus.cuda", Nvrtc = "orthrus.nvrtc", CuBlas = "orthrus.cublas", Nccl = "orthrus.nccl";

    private static readonly Lock Gate = new();
    private static readonly Dictionary<string, (NativeLibraryStatus Status, nint Handle)> Loaded = [];

    static NativeLibraries() => NativeLibrary.SetDllImportResolver(typeof(NativeLibraries).Assembly, Resolve);

    /// <summary>The driver library (libcuda, nvcuda).</summary>
    public static NativeLibraryStatus CudaDriverStatus => Load(Driver).Status;
    /// <summary>The run-time compiler; optional.</summary>
    public static NativeLibraryStatus NvrtcStatus => Load(Nvrtc).Status;
    /// <summary>NVIDIA's matrix products; optional.</summary>
    public static NativeLibraryStatus CuBlasStatus => Load(CuBlas).Status;
    /// <summary>NVIDIA's exchanges between GPUs of several processes; needed by those alone.</summary>
    public static NativeLibraryStatus NcclStatus => Load(Nccl).Status;

    /// <summary>File names by library, preferred first.</summary>
    internal static (string Title, string[] Names, string[] Before) Candidates(string library, bool windows) => (library, windows) switch
    {
        // WSL keeps the driver where the loader does not look.
        (Driver, false) => ("CUDA driver", ["libcuda.so.1", "/usr/lib/wsl/lib/libcuda.so.1", "libcuda.so"], []),
        (Driver, true) => ("CUDA driver", ["nvcuda.dll"], []),
        // NVRTC opens its built-ins by bare name: loaded from the same folder first, they are found wherever they lie.
        (Nvrtc, false) => ("NVRTC", ["libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so.11.2", "libnvrtc.so"], ["libnvrtc-builtins.so*"]),
        (Nvrtc, true) => ("NVRTC", ["nvrtc64_130_0.dll", "nvrtc64_120_0.dll", "nvrtc64_112_0.dll"], ["nvrtc-builtins64_*.dll"]),
        (CuBlas, false) => ("cuBLAS", ["libcublas.so.13", "libcublas.so.12", "libcublas.so.11", "libcublas.so"], ["libcublasLt.so*"]),
        (CuBlas, true) => ("cuBLAS", ["cublas64_13.dll", "cublas64_12.dll", "cublas64_11.dll"], ["cublasLt64_*.dll"]),
        (Nccl, false) => ("NCCL", ["libnccl.so.2", "libnccl.so"], []),
        (Nccl, true) => ("NCCL", ["nccl.dll"], []),
        _ => throw new ArgumentException($"{library}: no such library"),
    };

    /// <summary>Loads a library once; a failure is remembered, too.</summary>
    internal static (NativeLibraryStatus Status, nint Handle) Load(string library)
    {
        lock (Gate)
        {
            if (Loaded.TryGetValue(library, out var known)) return known;
            return Loaded[library] = Find(library, SearchFolders(), OperatingSystem.IsWindows());
        }
    }

    /// <summary>Whether a library that was loaded has a function.</summary>
    internal static bool Exports(string library, string function) => Load(library).Handle is var handle && handle != 0 && NativeLibrary.TryGetExport(handle, function, out _);

    internal static (NativeLibraryStatus Status, nint Handle) Find(string library, IReadOnlyList<(string Folder, bool First)> folders, bool windows)
    {
        var (title, names, before) = Candidates(library, windows);
        List<(string, string)> attempts = [];
        var candidates = folders.Where(f => f.First).SelectMany(f => names.Select(n => System.IO.Path.Combine(f.Folder, n)).Where(File.Exists))
            .Concat(names)
            .Concat(folders.Where(f => !f.First).SelectMany(f => names.Select(n => System.IO.Path.Combine(f.Folder, n)).Where(File.Exists)));
        foreach (string candidate in candidates)
        {
            if (System.IO.Path.IsPathRooted(candidate))
                foreach (string pattern in before)
                    foreach (string companion in Directory.EnumerateFiles(System.IO.Path.GetDirectoryName(candidate)!, pattern).Order(StringComparer.Ordinal))
                        NativeLibrary.TryLoad(companion, out _);
            try
            {
                nint handle = NativeLibrary.Load(candidate);
                return (new(title, candidate, attempts), handle);
            }
            catch (Exception e) when (e is DllNotFoundException or BadImageFormatException)
            {
                attempts.Add((candidate, Reason(e, candidate)));
            }
        }
        return (new(title, null, attempts), 0);
    }

    private static IReadOnlyList<(string Folder, bool First)> SearchFolders()
    {
        List<(string, bool)> folders = [];
        foreach (string folder in (Environment.GetEnvironmentVariable(FoldersVariable) ?? "").Split(System.IO.Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries))
            folders.Add((System.IO.Path.GetFullPath(folder), true));
        foreach (string variable in new[] { "CUDA_HOME", "CUDA_PATH" })
            if (Environment.GetEnvironmentVariable(variable) is { Length: > 0 } root)
                foreach (string sub in OperatingSystem.IsWindows() ? new[] { "bin", @"bin\x64" } : ["lib64", "lib"])
                    folders.Add((System.IO.Path.Combine(root, sub), false));
        if (!OperatingSystem.IsWindows()) folders.Add(("/usr/local/cuda/lib64", false));
        return folders;
    }

    // The runtime's message repeats its own advice for every name it tried; the line about the candidate is what the system's loader said.
    internal static string Reason(Exception e, string candidate)
    {
        var lines = e.Message.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        string line = lines.FirstOrDefault(l => l.StartsWith(candidate + ":", StringComparison.Ordinal)) ?? lines.FirstOrDefault() ?? e.GetType().Name;
        return line.StartsWith(candidate + ":", StringComparison.Ordinal) ? line[(candidate.Length + 1)..].Trim() : line;
    }

    private static nint Resolve(string name, Assembly assembly, DllImportSearchPath? path)
    {
        if (name is not (Driver or Nvrtc or CuBlas or Nccl)) return 0;
        var (status, handle) = Load(name);
        return handle != 0 ? handle : throw new DllNotFoundException($"{status.Title}: {status.Why}");
    }
}
