using System.Runtime.InteropServices;
using Orthrus.PtxSim;
using Orthrus.Tensor.Cuda;

namespace Orthrus.Cuda.Tests.Shim;

/// <summary>What NCCL's C functions call: exchanges by the library's documentation between the memories of simulated devices. Ranks are threads.</summary>
internal static unsafe class NcclFunctions
{
    private const int Success = 0, InvalidArgument = 4, InvalidUsage = 5, MostRanks = 8;
    private const byte First = 17;

    private static readonly Barrier Meeting = new(1);
    private static readonly Dictionary<nint, int> Communicators = [];
    private static readonly byte[]?[,] Table = new byte[MostRanks, MostRanks][];
    private static int ranks;

    [ThreadStatic] private static List<(bool Send, nint Address, int Bytes, int Peer)>? group;

    /// <summary>What ncclCommGetAsyncError reports from the so manieth call on; 0 for never.</summary>
    internal static int FailsAfter { get; set; }

    /// <summary>Names of the functions that were called.</summary>
    internal static HashSet<string> Called { get; } = [];

    private static SimDriver Sim => (SimDriver)DriverFunctions.Driver;

    private static void Note(string name)
    {
        lock (Called) Called.Add(name);
    }

    private static byte[] Read(void* from, int bytes, nint stream)
    {
        // The library's kernels run behind what the stream holds; this one waits for it.
        if (DriverFunctions.Driver.StreamSynchronize(stream) != CudaResult.Success) throw new InvalidOperationException("the stream has failed");
        return Device().Read<byte>((ulong)from, bytes);
    }

    private static SimDevice Device()
    {
        int ordinal;
        if (DriverFunctions.Driver.CtxGetDevice(&ordinal) != CudaResult.Success) throw new InvalidOperationException("no context is current");
        return Sim.Devices[ordinal];
    }

    private static bool Valid(nint communicator, int type, out int rank)
    {
        lock (Communicators) return Communicators.TryGetValue(communicator, out rank) && type == 0;
    }

    [UnmanagedCallersOnly]
    private static int ncclGetVersion(int* version)
    {
        Note(nameof(ncclGetVersion));
        *version = 21803;
        return Success;
    }

    [UnmanagedCallersOnly]
    private static int ncclGetUniqueId(NcclUniqueId* id)
    {
        Note(nameof(ncclGetUniqueId));
        for (int i = 0; i < NcclUniqueId.Length; i++) id->Bytes[i] = (byte)(First + i);
        return Success;
    }

    [UnmanagedCallersOnly]
    private static int ncclCommInitRank(nint* communicator, int count, NcclUniqueId id, int rank)
    {
        Note(nameof(ncclCommInitRank));
        if (count is < 1 or > MostRanks || rank < 0 || rank >= count) return InvalidArgument;
        // Passed by value, all of it.
        for (int i = 0; i < NcclUniqueId.Length; i++)
            if (id.Bytes[i] != (byte)(First + i)) return InvalidArgument;
        lock (Communicators)
        {
            if (Communicators.ContainsValue(rank)) return InvalidUsage;
            *communicator = 0xCC00 + rank;
            Communicators.Add(*communicator, rank);
            if (ranks++ > 0) Meeting.AddParticipant();
        }
        SpinWait.SpinUntil(() => Volatile.Read(ref ranks) == count, 10_000);
        return ranks == count ? Success : InvalidUsage;
    }

    [UnmanagedCallersOnly]
    private static int ncclCommDestroy(nint communicator)
    {
        Note(nameof(ncclCommDestroy));
        lock (Communicators)
        {
            if (!Communicators.Remove(communicator)) return InvalidArgument;
            if (--ranks > 0) Meeting.RemoveParticipant();
        }
        return Success;
    }

    [UnmanagedCallersOnly]
    private static int ncclCommGetAsyncError(nint communicator, int* error)
    {
        Note(nameof(ncclCommGetAsyncError));
        *error = FailsAfter > 0 && --FailsAfter == 0 ? 6 : 0;
        return Success;
    }

    [UnmanagedCallersOnly]
    private static int ncclGroupStart()
    {
        Note(nameof(ncclGroupStart));
        group = [];
        return Success;
    }

    [UnmanagedCallersOnly]
    private static int ncclGroupEnd()
    {
        Note(nameof(ncclGroupEnd));
        if (group is not { } calls) return InvalidUsage;
        group = null;
        int own = sender;
        foreach (var (send, address, bytes, peer) in calls)
            if (send) Table[own, peer] = Read((void*)address, bytes, streamOfGroup);
        Meeting.SignalAndWait();
        foreach (var (send, address, bytes, peer) in calls)
        {
            if (send) continue;
            if (Table[peer, own] is not { } got || got.Length != bytes) return InvalidUsage;
            Device().CopyToDevice<byte>((ulong)address, got);
        }
        Meeting.SignalAndWait();
        return Success;
    }

    [ThreadStatic] private static int sender;
    [ThreadStatic] private static nint streamOfGroup;

    [UnmanagedCallersOnly]
    private static int ncclSend(void* from, nuint count, int type, int peer, nint communicator, nint stream) => Add(nameof(ncclSend), true, from, count, type, peer, communicator, stream);

    [UnmanagedCallersOnly]
    private static int ncclRecv(void* to, nuint count, int type, int peer, nint communicator, nint stream) => Add(nameof(ncclRecv), false, to, count, type, peer, communicator, stream);

    private static int Add(string name, bool send, void* address, nuint count, int type, int peer, nint communicator, nint stream)
    {
        Note(name);
        if (!Valid(communicator, type, out int rank) || peer < 0 || peer >= ranks) return InvalidArgument;
        // Outside a group a send would wait for its receiver, which waits, too.
        if (group is null) return InvalidUsage;
        (sender, streamOfGroup) = (rank, stream);
        group.Add((send, (nint)address, (int)count, peer));
        return Success;
    }

    [UnmanagedCallersOnly]
    private static int ncclAllGather(void* from, void* to, nuint count, int type, nint communicator, nint stream)
    {
        Note(nameof(ncclAllGather));
        if (!Valid(communicator, type, out int rank)) return InvalidArgument;
        Table[rank, 0] = Read(from, (int)count, stream);
        Meeting.SignalAndWait();
        for (int r = 0; r < ranks; r++)
        {
            if (Table[r, 0]!.Length != (int)count) return InvalidUsage;
            Device().CopyToDevice<byte>((ulong)to + (ulong)r * count, Table[r, 0]!);
        }
        Meeting.SignalAndWait();
        return Success;
    }

    [UnmanagedCallersOnly]
    private static int ncclBroadcast(void* from, void* to, nuint count, int type, int root, nint communicator, nint stream)
    {
        Note(nameof(ncclBroadcast));
        if (!Valid(communicator, type, out int rank) || root < 0 || root >= ranks) return InvalidArgument;
        byte[] mine = Read(from, (int)count, stream);
        if (rank == root) Table[root, 0] = mine;
        Meeting.SignalAndWait();
        if (Table[root, 0]!.Length != (int)count) return InvalidUsage;
        Device().CopyToDevice<byte>((ulong)to, Table[root, 0]!);
        Meeting.SignalAndWait();
        return Success;
    }
}
