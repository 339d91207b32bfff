using System.Runtime.InteropServices;
using Orthrus.Tensor;
using Orthrus.Tensor.Cuda;

namespace Orthrus.Train;

using Tensor = Orthrus.Tensor.Tensor;

/// <summary>Exchanges between GPUs by NCCL; what the processes say of themselves goes where the id went.</summary>
internal sealed unsafe class NcclCollective : ICollective
{
    private readonly ICollective _host;
    private readonly CudaDevice _device;
    private readonly NcclCommunicator _nccl;

    /// <summary>Starts NCCL among all ranks; each calls it with a GPU of its own.</summary>
    /// <param name="host">How the ranks find each other; stays open.</param>
    /// <param name="device">This rank's GPU.</param>
    /// <exception cref="CollectiveException">NCCL is missing on some rank, or cannot start.</exception>
    internal NcclCollective(ICollective host, CudaDevice device)
    {
        (_host, _device) = (host, device);
        NcclUniqueId id = default;
        try
        {
            // A rank without the library must not leave the others waiting in it.
            string missing = NativeLibraries.NcclStatus.Found ? "" : NativeLibraries.NcclStatus.Why;
            if (host.Any(missing.Length > 0) && missing.Length == 0) missing = "not on every rank";
            if (missing.Length > 0)
                throw new CollectiveException($"NCCL was not found ({missing}); install it (libnccl2, NCCL 2.7 or later) or name its folder in {NativeLibraries.FoldersVariable}; GPUs of several processes need it");
            if (host.Rank == 0) id = NcclCommunicator.NewId();
            host.Broadcast(MemoryMarshal.AsBytes(new Span<NcclUniqueId>(ref id)));
            _nccl = new(device, id, host.Rank, host.Ranks);
            Name = $"NCCL {NcclCommunicator.Version}, {host.Name}";
        }
        catch (CudaException e)
        {
            throw new CollectiveException(e.Message, e);
        }
    }

    /// <inheritdoc/>
    public int Rank => _host.Rank;
    /// <inheritdoc/>
    public int Ranks => _host.Ranks;
    /// <inheritdoc/>
    public string Name { get; }
    /// <inheritdoc/>
    public void AllGather(ReadOnlySpan<byte> mine, Span<byte> all) => _host.AllGather(mine, all);
    /// <inheritdoc/>
    public void Broadcast(Span<byte> data) => _host.Broadcast(data);
    /// <inheritdoc/>
    public void Barrier() => _host.Barrier();

    /// <inheritdoc/>
    public void AllGather(in Tensor mine, in Tensor all)
    {
        CollectiveShapes.Gather(mine, all, Ranks);
        Own(mine);
        _nccl.AllGather(mine.Address, all.Address, mine.Bytes);
    }

    /// <inheritdoc/>
    public void AllToAll(in Tensor mine, in Tensor got)
    {
        CollectiveShapes.Exchange(mine, got, Ranks);
        Own(mine);
        _nccl.AllToAll(mine.Address, got.Address, mine.Bytes / Ranks);
    }

    /// <inheritdoc/>
    public void Broadcast(in Tensor data)
    {
        Own(data);
        _nccl.Broadcast(data.Address, data.Bytes);
    }

    /// <summary>Leaves NCCL; the host's exchange stays.</summary>
    public void Dispose() => _nccl.Dispose();

    private void Own(in Tensor t)
    {
        if (t.Device != _device) throw new DeviceException($"NCCL of {_device.Name} cannot move a tensor of {t.Device.Name}");
    }
}
