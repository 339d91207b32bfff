using System.Runtime.InteropServices;
using System.Text;
using Orthrus.Tensor.Cuda;

namespace Orthrus.Train;

/// <summary>
/// Open MPI's library, found at run time from a table of names; nothing is linked. Other MPIs (MPICH, Intel MPI, MVAPICH) have another binary interface, handles that
/// are numbers where these are addresses of variables: they are recognised before any of their functions runs with such a handle, and refused.
/// </summary>
/// <remarks>Source: MPI 3.1 for the functions, mpi.h of Open MPI 4.1 for the names of the variables behind its handles.</remarks>
internal sealed unsafe class MpiLibrary
{
    /// <summary>Environment variable: the library's file, tried before the table and instead of it.</summary>
    internal const string Variable = "ORTHRUS_MPI";

    private const string Install = "install Open MPI 3 to 5 (libopenmpi3 and openmpi-bin on Debian), or name its libmpi.so.40 in " + Variable;
    private const int Success = 0, Serialized = 2, MostText = 8192;

    // The one name of Open MPI 3 to 5; then that of the developer's link, and last those under which others lie, so that they can be named and refused.
    private static readonly string[] Linux = ["libmpi.so.40", "libmpi.so", "libmpi.so.12", "libmpich.so.12"],
        Mac = ["libmpi.40.dylib", "/opt/homebrew/lib/libmpi.40.dylib", "/usr/local/lib/libmpi.40.dylib", "libmpi.dylib"];

    private readonly delegate* unmanaged<int*, byte***, int, int*, int> _init;
    private readonly delegate* unmanaged<nint, int*, int> _rank, _size;
    private readonly delegate* unmanaged<nint, nint, int> _handler;
    private readonly delegate* unmanaged<void*, int, nint, void*, int, nint, nint, int> _allGather, _allToAll;
    private readonly delegate* unmanaged<void*, int, nint, int, nint, int> _broadcast;
    private readonly delegate* unmanaged<nint, int> _barrier;
    private readonly delegate* unmanaged<nint, int, int> _abort;
    private readonly delegate* unmanaged<int> _finalize;
    private readonly delegate* unmanaged<int, byte*, int*, int> _errorText;
    private readonly nint _world, _byte;

    private MpiLibrary(string path, nint handle)
    {
        Path = path;
        Version = ReadVersion(path, handle);
        if (!NativeLibrary.TryGetExport(handle, "ompi_mpi_comm_world", out _world))
            throw new CollectiveException($"{path} is {Version}, which has another binary interface than Open MPI; {Install}");
        _byte = Of("ompi_mpi_byte");
        _init = (delegate* unmanaged<int*, byte***, int, int*, int>)Of("MPI_Init_thread");
        _rank = (delegate* unmanaged<nint, int*, int>)Of("MPI_Comm_rank");
        _size = (delegate* unmanaged<nint, int*, int>)Of("MPI_Comm_size");
        _handler = (delegate* unmanaged<nint, nint, int>)Of("MPI_Comm_set_errhandler");
        _allGather = (delegate* unmanaged<void*, int, nint, void*, int, nint, nint, int>)Of("MPI_Allgather");
        _allToAll = (delegate* unmanaged<void*, int, nint, void*, int, nint, nint, int>)Of("MPI_Alltoall");
        _broadcast = (delegate* unmanaged<void*, int, nint, int, nint, int>)Of("MPI_Bcast");
        _barrier = (delegate* unmanaged<nint, int>)Of("MPI_Barrier");
        _abort = (delegate* unmanaged<nint, int, int>)Of("MPI_Abort");
        _finalize = (delegate* unmanaged<int>)Of("MPI_Finalize");
        _errorText = (delegate* unmanaged<int, byte*, int*, int>)Of("MPI_Error_string");
        ReturnErrors = Of("ompi_mpi_errors_return");

        nint Of(string name) => NativeLibrary.TryGetExport(handle, name, out nint address) ? address
            : throw new CollectiveException($"{path} ({Version}) lacks {name}; {Install}");
    }

    private nint ReturnErrors { get; }

    /// <summary>What was loaded.</summary>
    internal string Path { get; }

    /// <summary>"Open MPI 4.1.4".</summary>
    internal string Version { get; }

    /// <summary>Loads the library.</summary>
    /// <exception cref="CollectiveException">There is none, or it is not Open MPI's; the message says what was tried.</exception>
    internal static MpiLibrary Load()
    {
        string[] names = Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } given ? [given]
            : OperatingSystem.IsLinux() ? Linux : OperatingSystem.IsMacOS() ? Mac : throw new CollectiveException("several processes are for Linux and macOS; start one");
        List<string> tried = [];
        foreach (string name in names)
        {
            try
            {
                return new(name, NativeLibrary.Load(name));
            }
            catch (Exception e) when (e is DllNotFoundException or BadImageFormatException)
            {
                tried.Add($"{name}: {NativeLibraries.Reason(e, name)}");
            }
        }
        throw new CollectiveException($"no MPI library was found ({string.Join("; ", tried)}); {Install}");
    }

    /// <summary>Name and number from what the library says of itself; this function needs no handle and may be called at any time.</summary>
    private static string ReadVersion(string path, nint handle)
    {
        if (!NativeLibrary.TryGetExport(handle, "MPI_Get_library_version", out nint address)) throw new CollectiveException($"{path} is no MPI library (it lacks MPI_Get_library_version); {Install}");
        byte* text = stackalloc byte[MostText];
        int length;
        _ = ((delegate* unmanaged<byte*, int*, int>)address)(text, &length);
        return ShortVersion(Encoding.UTF8.GetString(text, Math.Clamp(length, 0, MostText)));
    }

    /// <summary>"Open MPI 4.1.4" of "Open MPI v4.1.4, package: Debian ...", "MPICH 4.0.2" of "MPICH Version: 4.0.2 ...".</summary>
    internal static string ShortVersion(string text)
    {
        string line = text.Split('\n', ',')[0].TrimEnd('\0').Trim().Replace('\t', ' ');
        return line.Replace("Version:", "", StringComparison.Ordinal).Replace(" v", " ", StringComparison.Ordinal).Replace("  ", " ", StringComparison.Ordinal).Trim(' ');
    }

    /// <summary>Joins the job; once for the life of the process. Messages may come from any thread, one at a time.</summary>
    internal (int Rank, int Ranks) Initialise()
    {
        int provided, rank, ranks;
        Check("MPI_Init_thread", _init(null, null, Serialized, &provided));
        Check("MPI_Comm_set_errhandler", _handler(_world, ReturnErrors));
        if (provided < Serialized) throw new CollectiveException($"{Path} ({Version}) was built without threads; {Install}");
        Check("MPI_Comm_rank", _rank(_world, &rank));
        Check("MPI_Comm_size", _size(_world, &ranks));
        return (rank, ranks);
    }

    internal void AllGather(void* mine, long bytes, void* all) => Check("MPI_Allgather", _allGather(mine, Count(bytes), _byte, all, Count(bytes), _byte, _world));

    internal void AllToAll(void* mine, long bytesOfBlock, void* got) => Check("MPI_Alltoall", _allToAll(mine, Count(bytesOfBlock), _byte, got, Count(bytesOfBlock), _byte, _world));

    internal void Broadcast(void* data, long bytes) => Check("MPI_Bcast", _broadcast(data, Count(bytes), _byte, 0, _world));

    internal void Barrier() => Check("MPI_Barrier", _barrier(_world));

    /// <summary>Ends all processes of the job; the launcher does it.</summary>
    internal void Abort(int code) => _ = _abort(_world, code);

    internal void FinalizeJob() => Check("MPI_Finalize", _finalize());

    private static int Count(long bytes) => bytes <= int.MaxValue ? (int)bytes : throw new CollectiveException($"a message of {bytes:N0} bytes is more than MPI carries; use more ranks or a smaller batch");

    private void Check(string call, int code)
    {
        if (code == Success) return;
        byte* text = stackalloc byte[MostText];
        int length = 0;
        _ = _errorText(code, text, &length);
        throw new CollectiveException($"{call}: {Encoding.UTF8.GetString(text, Math.Clamp(length, 0, MostText))}; check the network and the other ranks, then go on with --resume");
    }
}
