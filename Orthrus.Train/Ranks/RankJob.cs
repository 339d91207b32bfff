using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using Orthrus.Tensor;

namespace Orthrus.Train;

/// <summary>This process as one of several that a launcher (mpirun, srun) started for one piece of work: how to exchange with the others, and how to end with them.</summary>
public sealed partial class RankJob : IDisposable
{
    private const int PlaceBytes = 512;
    private static readonly TimeSpan OwnWord = TimeSpan.FromSeconds(3);

    private readonly MpiCollective _mpi;
    private readonly RankGuard? _guard;
    private readonly Action<string> _report;

    private RankJob(MpiCollective mpi, Action<string> report)
    {
        (_mpi, _report) = (mpi, report);
        var all = new byte[PlaceBytes * mpi.Ranks];
        mpi.AllGather(Place(), all);
        string[][] facts = [.. Enumerable.Range(0, mpi.Ranks).Select(r => Encoding.UTF8.GetString(all, r * PlaceBytes, PlaceBytes).TrimEnd('\0').Split('\n'))];
        RankPlace[] places = [.. facts.Select(f => new RankPlace(f[0], int.Parse(f[1], CultureInfo.InvariantCulture)))];
        // Ranks that may run on the same cores share them.
        int sharing = facts.Count(f => f[0] == facts[mpi.Rank][0] && f[2] == facts[mpi.Rank][2]);
        LocalRank = facts.Take(mpi.Rank).Count(f => f[0] == facts[mpi.Rank][0]);
        Threads = Math.Max(1, Environment.ProcessorCount / sharing);
        _guard = RankGuard.Open(mpi, places, report, End, out string? why);
        if (_guard is null && mpi.Rank == 0) report($"the ranks cannot watch each other over TCP ({why}): only the launcher notices one that dies");
        Description = $"{mpi.Ranks} ranks on {places.Select(p => p.Host).Distinct().Count()} machine{(places.All(p => p.Host == places[0].Host) ? "" : "s")}";
    }

    /// <summary>Number of this process, from 0. Rank 0 alone writes files and speaks.</summary>
    public int Rank => _mpi.Rank;

    /// <summary>Number of processes.</summary>
    public int Ranks => _mpi.Ranks;

    /// <summary>Number of this process among those of its machine, from 0.</summary>
    public int LocalRank { get; }

    /// <summary>"4 ranks on 1 machine".</summary>
    public string Description { get; }

    /// <summary>Worker threads that suit this rank: the cores it may run on, divided by the ranks that may run on them.</summary>
    public int Threads { get; }

    /// <summary>What is said of the state of the work where a rank died; a clause without full stop.</summary>
    public Func<string> Standing
    {
        set
        {
            if (_guard is not null) _guard.Standing = value;
        }
    }

    /// <summary>Joins the job that this process was started in.</summary>
    /// <param name="report">Prints a line of trouble; called on one rank.</param>
    /// <returns>Null where the process was started alone.</returns>
    /// <exception cref="CollectiveException">It was started as one of several, but there is no Open MPI to find the others with.</exception>
    public static RankJob? Join(Action<string> report)
    {
        ArgumentNullException.ThrowIfNull(report);
        MpiCollective mpi;
        try
        {
            if (Launcher.Detect() is not { } launcher) return null;
            mpi = MpiCollective.Join(launcher);
        }
        catch (CollectiveException) when (Launcher.IsFollower())
        {
            // Most likely rank 0 says the same; then the launcher ends this process before it does.
            Thread.Sleep(OwnWord);
            throw;
        }
        if (mpi.Ranks > 1) return new(mpi, report);
        mpi.Dispose();
        return null;
    }

    /// <summary>The exchange for tensors of a device: NCCL between GPUs, MPI otherwise.</summary>
    /// <param name="device">Where the tensors of this rank live; it stays open longer than the result.</param>
    /// <exception cref="CollectiveException">The device is a GPU, and NCCL is missing or cannot start.</exception>
    public ICollective On(Device device) => device is CudaDevice { IsSimulated: false } gpu ? new NcclCollective(_mpi, gpu) : new Borrowed(_mpi);

    /// <summary>Ends the whole job because this rank cannot go on. Does not come back.</summary>
    /// <param name="code">Exit code of every process.</param>
    /// <param name="line">What is wrong; printed once.</param>
    /// <param name="everywhere">Every rank has the same trouble at the same place: rank 0 speaks and ends the others.</param>
    public void Fail(int code, string line, bool everywhere = false)
    {
        if (_guard is null)
        {
            if (everywhere) _mpi.Barrier();
            if (!everywhere || Rank == 0) _report(Rank == 0 ? line : $"rank {Rank}: {line}");
            _mpi.Abort(code);
        }
        else if (!everywhere || Rank == 0) _guard.Fail(code, line);
        // The word of rank 0 ends this process. Where it does not come the connection breaks, which does the same.
        Thread.Sleep(Timeout.Infinite);
    }

    /// <summary>Leaves the job when every rank is done.</summary>
    public void Dispose()
    {
        _mpi.Barrier();
        _guard?.Dispose();
        _mpi.Dispose();
    }

    private static byte[] Place()
    {
        string cores = File.Exists("/proc/self/status") ? File.ReadLines("/proc/self/status").FirstOrDefault(l => l.StartsWith("Cpus_allowed_list:", StringComparison.Ordinal)) ?? "" : "";
        byte[] text = Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{Environment.MachineName}\n{Environment.ProcessId}\n{cores}")), place = new byte[PlaceBytes];
        text.AsSpan(0, Math.Min(text.Length, place.Length)).CopyTo(place);
        return place;
    }

    /// <summary>Ends at once: another thread may be inside MPI, waiting for a process that is no more, so nothing may be cleaned up.</summary>
    private static void End(int code)
    {
        Console.Error.Flush();
        if (OperatingSystem.IsWindows()) Environment.Exit(code);
        ExitNow(code);
    }

    [LibraryImport("libc", EntryPoint = "_exit")]
    private static partial void ExitNow(int code);

    /// <summary>MPI for whoever must not end it.</summary>
    private sealed class Borrowed(MpiCollective mpi) : ICollective
    {
        public int Rank => mpi.Rank;
        public int Ranks => mpi.Ranks;
        public string Name => mpi.Name;
        public void AllGather(ReadOnlySpan<byte> mine, Span<byte> all) => mpi.AllGather(mine, all);
        public void Broadcast(Span<byte> data) => mpi.Broadcast(data);
        public void AllGather(in Orthrus.Tensor.Tensor mine, in Orthrus.Tensor.Tensor all) => mpi.AllGather(mine, all);
        public void AllToAll(in Orthrus.Tensor.Tensor mine, in Orthrus.Tensor.Tensor got) => mpi.AllToAll(mine, got);
        public void Broadcast(in Orthrus.Tensor.Tensor data) => mpi.Broadcast(data);
        public void Barrier() => mpi.Barrier();
        public void Dispose()
        {
        }
    }
}
