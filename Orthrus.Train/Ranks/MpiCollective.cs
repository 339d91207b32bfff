using Orthrus.Tensor;

namespace Orthrus.Train;

using Tensor = Orthrus.Tensor.Tensor;

/// <summary>Exchanges by MPI, from memory to memory; tensors of a CUDA device go through host memory.</summary>
internal sealed unsafe class MpiCollective : ICollective
{
    private static bool used;

    private readonly MpiLibrary _mpi;
    private bool _closed;

    private MpiCollective(MpiLibrary mpi, int rank, int ranks) => (_mpi, Rank, Ranks) = (mpi, rank, ranks);

    /// <inheritdoc/>
    public int Rank { get; }
    /// <inheritdoc/>
    public int Ranks { get; }
    /// <inheritdoc/>
    public string Name => _mpi.Version;

    /// <summary>Joins the job that a launcher started. MPI can be begun once in a process.</summary>
    /// <exception cref="CollectiveException">There is no Open MPI, or it sees another job than the launcher.</exception>
    internal static MpiCollective Join(Launcher launcher)
    {
        if (used) throw new CollectiveException("MPI was used in this process already; start a new one");
        var mpi = MpiLibrary.Load();
        used = true;
        var (rank, ranks) = mpi.Initialise();
        if (launcher.Ranks is { } started && started != ranks)
            throw new CollectiveException($"{launcher.Name} started {started} processes, but {mpi.Path} ({mpi.Version}) sees {ranks}; use the mpirun of the same Open MPI, or srun --mpi=pmix with one built for PMIx");
        return new(mpi, rank, ranks);
    }

    /// <inheritdoc/>
    public void AllGather(ReadOnlySpan<byte> mine, Span<byte> all)
    {
        if (all.Length != (long)mine.Length * Ranks) throw new ArgumentException($"{mine.Length} bytes of {Ranks} ranks do not make {all.Length}");
        fixed (byte* from = mine, to = all) _mpi.AllGather(from, mine.Length, to);
    }

    /// <inheritdoc/>
    public void Broadcast(Span<byte> data)
    {
        fixed (byte* p = data) _mpi.Broadcast(p, data.Length);
    }

    /// <inheritdoc/>
    public void AllGather(in Tensor mine, in Tensor all)
    {
        CollectiveShapes.Gather(mine, all, Ranks);
        if (mine.Device.Kind == DeviceKind.Cpu) _mpi.AllGather((void*)mine.Address, mine.Bytes, (void*)all.Address);
        else
        {
            byte[] from = Down(mine), to = new byte[all.Bytes];
            AllGather(from, to);
            all.Device.Upload(all.Address, to);
        }
    }

    /// <inheritdoc/>
    public void AllToAll(in Tensor mine, in Tensor got)
    {
        CollectiveShapes.Exchange(mine, got, Ranks);
        if (mine.Device.Kind == DeviceKind.Cpu) _mpi.AllToAll((void*)mine.Address, mine.Bytes / Ranks, (void*)got.Address);
        else
        {
            byte[] from = Down(mine), to = new byte[got.Bytes];
            fixed (byte* f = from, t = to) _mpi.AllToAll(f, from.Length / Ranks, t);
            got.Device.Upload(got.Address, to);
        }
    }

    /// <inheritdoc/>
    public void Broadcast(in Tensor data)
    {
        if (data.Device.Kind == DeviceKind.Cpu) _mpi.Broadcast((void*)data.Address, data.Bytes);
        else
        {
            byte[] bytes = Down(data);
            Broadcast(bytes);
            if (Rank != 0) data.Device.Upload(data.Address, bytes);
        }
    }

    /// <inheritdoc/>
    public void Barrier() => _mpi.Barrier();

    /// <summary>Ends all processes of the job.</summary>
    internal void Abort(int code) => _mpi.Abort(code);

    /// <summary>Leaves the job, in which every rank must be at its end.</summary>
    public void Dispose()
    {
        if (_closed) return;
        _closed = true;
        _mpi.FinalizeJob();
    }

    private static byte[] Down(in Tensor t)
    {
        var bytes = new byte[t.Bytes];
        t.Device.Synchronize();
        t.Device.Download(bytes, t.Address);
        return bytes;
    }
}

/// <summary>Rules of the exchanges between tensors, whatever carries them.</summary>
internal static class CollectiveShapes
{
    /// <summary>All is ranks times mine.</summary>
    internal static void Gather(in Tensor mine, in Tensor all, int ranks)
    {
        if (mine.DType != all.DType || mine.Device != all.Device || all.Count != mine.Count * ranks) throw new ShapeException($"all-gather over {ranks} ranks: {mine} does not give {all}");
    }

    /// <summary>Both are as many elements, in whole blocks.</summary>
    internal static void Exchange(in Tensor mine, in Tensor got, int ranks)
    {
        if (mine.DType != got.DType || mine.Device != got.Device || got.Count != mine.Count || mine.Count % ranks != 0) throw new ShapeException($"all-to-all over {ranks} ranks: {mine} does not give {got}");
    }
}
