using System.Globalization;

namespace Orthrus.Train;

/// <summary>What started this process as one of several, as its environment says.</summary>
/// <param name="Name">The launcher, for messages.</param>
/// <param name="Ranks">Processes of the job; null where MPI alone knows.</param>
/// <param name="Rank">Number of this process; 0 where MPI alone knows.</param>
public sealed record Launcher(string Name, int? Ranks, int Rank)
{
    /// <summary>Reads the environment of this process.</summary>
    /// <returns>Null where the process is alone.</returns>
    /// <exception cref="CollectiveException">It was started as one of several by something that Open MPI's library cannot talk to.</exception>
    public static Launcher? Detect() => Detect(Environment.GetEnvironmentVariable);

    /// <summary>True where the environment of this process gives it a number above 0, whatever the launcher.</summary>
    internal static bool IsFollower() => new[] { "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID" }.Any(name => int.TryParse(Environment.GetEnvironmentVariable(name), out int rank) && rank > 0);

    /// <summary>Reads an environment.</summary>
    /// <remarks>
    /// Variables: Open MPI's mpirun sets OMPI_COMM_WORLD_*; srun SLURM_STEP_NUM_TASKS and, with --mpi=pmix, PMIX_*; Hydra (MPICH, Intel MPI) PMI_*. A batch script of
    /// Slurm has SLURM_NTASKS without being one of several processes, which is why that one counts beside PMIX_RANK only.
    /// </remarks>
    internal static Launcher? Detect(Func<string, string?> variable)
    {
        if (Number("OMPI_COMM_WORLD_SIZE") is { } ompi) return Several(new("mpirun (Open MPI)", ompi, Number("OMPI_COMM_WORLD_RANK") ?? 0));
        bool pmix = Number("PMIX_RANK") is not null;
        if ((Number("SLURM_STEP_NUM_TASKS") ?? (pmix ? Number("SLURM_NTASKS") : null)) is { } tasks)
        {
            if (tasks > 1 && !pmix) throw new CollectiveException($"srun started {tasks} processes that cannot find each other (no PMIX_RANK); use srun --mpi=pmix, or -n 1 for one process");
            return Several(new("srun", tasks, Number("SLURM_PROCID") ?? Number("PMIX_RANK") ?? 0));
        }
        if (pmix) return new("a PMIx launcher", null, 0);
        if (Number("PMI_SIZE") is { } pmi && pmi > 1)
            throw new CollectiveException($"MPICH's or Intel's mpiexec started {pmi} processes (PMI_SIZE), which Open MPI's library cannot talk to; start them with Open MPI's mpirun (mpirun.openmpi on Debian) or srun --mpi=pmix");
        return null;

        int? Number(string name) => int.TryParse(variable(name), NumberStyles.None, CultureInfo.InvariantCulture, out int n) ? n : null;
        static Launcher? Several(Launcher launcher) => launcher.Ranks > 1 ? launcher : null;
    }
}
