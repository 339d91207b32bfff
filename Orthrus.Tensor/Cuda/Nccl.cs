using System.Runtime.InteropServices;

namespace Orthrus.Tensor.Cuda;

/// <summary>Result codes of NCCL (ncclResult_t). Values: nccl.h of NCCL 2.7 to 2.27.</summary>
internal enum NcclResult
{
    Success = 0,
    UnhandledCudaError = 1,
    SystemError = 2,
    InternalError = 3,
    InvalidArgument = 4,
    InvalidUsage = 5,
    RemoteError = 6,
    InProgress = 7,
}

/// <summary>The number by which the ranks of a communicator find each other (ncclUniqueId): 128 bytes, passed by value.</summary>
internal unsafe struct NcclUniqueId
{
    internal const int Length = 128;
    internal fixed byte Bytes[Length];
}

/// <summary>One rank of NCCL's exchanges between GPUs, on the stream of its device. The library is found at run time.</summary>
/// <remarks>
/// Every rank calls the same members in the same order. A call returns when it is queued on the device's stream; what the stream holds later sees its result. Data are
/// moved as bytes and never added here, so that sums have the engine's order, whatever rings or trees the library makes. Source: NCCL 2.7 and later.
/// </remarks>
internal sealed unsafe partial class NcclCommunicator : IDisposable
{
    private const int Int8 = 0;

    private readonly CudaDevice _device;
    private readonly int _ranks;
    private nint _communicator;

    /// <summary>Joins the communicator of an id; returns when all ranks have.</summary>
    /// <exception cref="CudaException">NCCL is missing, or the ranks do not find each other.</exception>
    internal NcclCommunicator(CudaDevice device, in NcclUniqueId id, int rank, int ranks)
    {
        Require();
        (_device, _ranks) = (device, ranks);
        device.Enter();
        nint communicator;
        Check(nameof(ncclCommInitRank), ncclCommInitRank(&communicator, ranks, id, rank));
        _communicator = communicator;
    }

    /// <summary>"2.18.3".</summary>
    internal static string Version
    {
        get
        {
            Require();
            int v;
            Check(nameof(ncclGetVersion), ncclGetVersion(&v));
            // Two digits for the minor number since 2.9.
            return v < 10_000 ? $"{v / 1000}.{v / 100 % 10}.{v % 100}" : $"{v / 10_000}.{v / 100 % 100}.{v % 100}";
        }
    }

    /// <summary>An id for a new communicator; one rank makes it and tells the others.</summary>
    internal static NcclUniqueId NewId()
    {
        Require();
        NcclUniqueId id;
        Check(nameof(ncclGetUniqueId), ncclGetUniqueId(&id));
        return id;
    }

    /// <summary>Bytes of all ranks, in their order, to all.</summary>
    internal void AllGather(nint mine, nint all, long bytes) => Queue(nameof(ncclAllGather), ncclAllGather((void*)mine, (void*)all, (nuint)bytes, Int8, _communicator, Enter()));

    /// <summary>Bytes of rank 0 to all.</summary>
    internal void Broadcast(nint data, long bytes) => Queue(nameof(ncclBroadcast), ncclBroadcast((void*)data, (void*)data, (nuint)bytes, Int8, 0, _communicator, Enter()));

    /// <summary>Block s of each rank to rank s.</summary>
    internal void AllToAll(nint mine, nint got, long bytesOfBlock)
    {
        nint stream = Enter();
        Check(nameof(ncclGroupStart), ncclGroupStart());
        for (int r = 0; r < _ranks; r++)
        {
            Check(nameof(ncclSend), ncclSend((void*)(mine + (nint)(r * bytesOfBlock)), (nuint)bytesOfBlock, Int8, r, _communicator, stream));
            Check(nameof(ncclRecv), ncclRecv((void*)(got + (nint)(r * bytesOfBlock)), (nuint)bytesOfBlock, Int8, r, _communicator, stream));
        }
        Queue(nameof(ncclGroupEnd), ncclGroupEnd());
    }

    /// <summary>Leaves the communicator.</summary>
    public void Dispose()
    {
        if (_communicator == 0) return;
        _device.Enter();
        _ = ncclCommDestroy(_communicator);
        _communicator = 0;
    }

    private nint Enter()
    {
        ObjectDisposedException.ThrowIf(_communicator == 0, this);
        _device.Enter();
        return _device.Stream.Handle;
    }

    /// <summary>The call itself, and what went wrong since the last one.</summary>
    private void Queue(string call, NcclResult result)
    {
        Check(call, result);
        NcclResult late;
        Check(nameof(ncclCommGetAsyncError), ncclCommGetAsyncError(_communicator, &late));
        Check(call, late);
    }

    private static void Require()
    {
        var status = NativeLibraries.NcclStatus;
        if (!status.Found)
            throw new CudaException("dlopen", $"NCCL was not found ({status.Why}); install it (libnccl2, of NCCL 2.7 or later), name its folder in {NativeLibraries.FoldersVariable}, or train with one process on each machine");
        if (!NativeLibraries.Exports(NativeLibraries.Nccl, nameof(ncclSend))) throw new CudaException("dlopen", $"{status.Path} is older than NCCL 2.7; install a newer libnccl2");
    }

    private static void Check(string call, NcclResult result)
    {
        if (result is NcclResult.Success or NcclResult.InProgress) return;
        string text = Marshal.PtrToStringUTF8((nint)ncclGetErrorString(result)) ?? "unknown";
        string remedy = result switch
        {
            NcclResult.RemoteError => "another rank ended or cannot be reached; the launcher's messages name it",
            NcclResult.UnhandledCudaError => "run with NCCL_DEBUG=INFO, which names the call of CUDA that failed",
            NcclResult.InvalidUsage => "give every rank a GPU of its own",
            _ => "run with NCCL_DEBUG=INFO, which says more",
        };
        throw new CudaException(call, $"{call}: NCCL: {text} (ncclResult {(int)result}); {remedy}");
    }

    [LibraryImport(NativeLibraries.Nccl)]
    private static partial NcclResult ncclGetVersion(int* version);
    [LibraryImport(NativeLibraries.Nccl)]
    private static partial byte* ncclGetErrorString(NcclResult result);
    [LibraryImport(NativeLibraries.Nccl)]
    private static partial NcclResult ncclGetUniqueId(NcclUniqueId* id);
    [LibraryImport(NativeLibraries.Nccl)]
    private static partial NcclResult ncclCommInitRank(nint* communicator, int ranks, NcclUniqueId id, int rank);
    [LibraryImport(NativeLibraries.Nccl)]
    private static partial NcclResult ncclCommDestroy(nint communicator);
    [LibraryImport(NativeLibraries.Nccl)]
    private static partial NcclResult ncclCommGetAsyncError(nint communicator, NcclResult* error);
    [LibraryImport(NativeLibraries.Nccl)]
    private static partial NcclResult ncclGroupStart();
    [LibraryImport(NativeLibraries.Nccl)]
    private static partial NcclResult ncclGroupEnd();
    [LibraryImport(NativeLibraries.Nccl)]
    private static partial NcclResult ncclAllGather(void* send, void* receive, nuint count, int type, nint communicator, nint stream);
    [LibraryImport(NativeLibraries.Nccl)]
    private static partial NcclResult ncclBroadcast(void* send, void* receive, nuint count, int type, int root, nint communicator, nint stream);
    [LibraryImport(NativeLibraries.Nccl)]
    private static partial NcclResult ncclSend(void* send, nuint count, int type, int peer, nint communicator, nint stream);
    [LibraryImport(NativeLibraries.Nccl)]
    private static partial NcclResult ncclRecv(void* receive, nuint count, int type, int peer, nint communicator, nint stream);
}
