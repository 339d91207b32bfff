using System.Collections.Concurrent;

namespace Orthrus.Train.Tests.Ranks;

/// <summary>How ranks find, share and watch: environments of launchers, shares of a batch, deaths.</summary>
public class RankTests
{
    [Theory]
    [InlineData("", null, 0, 0)]
    [InlineData("OMPI_COMM_WORLD_SIZE=4 OMPI_COMM_WORLD_RANK=3", "mpirun (Open MPI)", 4, 3)]
    [InlineData("OMPI_COMM_WORLD_SIZE=1 OMPI_COMM_WORLD_RANK=0", null, 0, 0)]
    // mpirun inside a job of Slurm, whose own step is that of the daemons.
    [InlineData("OMPI_COMM_WORLD_SIZE=4 OMPI_COMM_WORLD_RANK=1 SLURM_STEP_NUM_TASKS=2 SLURM_PROCID=0 PMIX_RANK=1", "mpirun (Open MPI)", 4, 1)]
    [InlineData("SLURM_STEP_NUM_TASKS=8 SLURM_NTASKS=8 SLURM_PROCID=5 PMIX_RANK=5", "srun", 8, 5)]
    [InlineData("SLURM_NTASKS=8 SLURM_PROCID=5 PMIX_RANK=5", "srun", 8, 5)]
    [InlineData("SLURM_STEP_NUM_TASKS=1 SLURM_NTASKS=1 SLURM_PROCID=0", null, 0, 0)]
    // A batch script: several tasks may follow, but this process is alone.
    [InlineData("SLURM_NTASKS=8 SLURM_PROCID=0", null, 0, 0)]
    [InlineData("PMIX_RANK=2", "a PMIx launcher", null, 0)]
    [InlineData("PMI_SIZE=1 PMI_RANK=0", null, 0, 0)]
    public void Launchers_are_known_by_their_environment(string environment, string? name, int? ranks, int rank)
    {
        var launcher = Launcher.Detect(Variables(environment));
        Assert.Equal(name is null ? null : new Launcher(name, ranks, rank), launcher);
    }

    [Theory]
    [InlineData("PMI_SIZE=2 PMI_RANK=1", "Open MPI's mpirun")]
    [InlineData("SLURM_STEP_NUM_TASKS=4 SLURM_PROCID=1", "srun --mpi=pmix")]
    [InlineData("SLURM_STEP_NUM_TASKS=4 SLURM_PROCID=1 PMI_SIZE=4 PMI_RANK=1", "srun --mpi=pmix")]
    public void Processes_that_cannot_find_each_other_are_no_independent_runs(string environment, string remedy) =>
        Assert.Contains(remedy, Assert.Throws<CollectiveException>(() => Launcher.Detect(Variables(environment))).Message);

    private static Func<string, string?> Variables(string environment)
    {
        var all = environment.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(v => v.Split('=')).ToDictionary(v => v[0], v => v[1]);
        return name => all.GetValueOrDefault(name);
    }

    [Theory]
    [InlineData("Open MPI v4.1.4, package: Debian OpenMPI, ident: 4.1.4, repo rev: v4.1.4, May 26, 2022\0", "Open MPI 4.1.4")]
    [InlineData("MPICH Version:      4.0.2\nMPICH Release date: Thu Apr  7 12:34:45 CDT 2022\n", "MPICH 4.0.2")]
    [InlineData("MPICH Version:\t3.4\n", "MPICH 3.4")]
    [InlineData("Intel(R) MPI Library 2021.9 for Linux* OS\n", "Intel(R) MPI Library 2021.9 for Linux* OS")]
    public void A_library_says_what_it_is(string text, string want) => Assert.Equal(want, string.Join(' ', MpiLibrary.ShortVersion(text).Split(' ', StringSplitOptions.RemoveEmptyEntries)));

    [Fact]
    public void Shares_are_whole_in_order_and_even()
    {
        var random = new Random(4);
        for (int trial = 0; trial < 300; trial++)
        {
            int n = random.Next(1, 70), ranks = random.Next(1, 9);
            int[] lengths = [.. Enumerable.Range(0, 2 * n).Select(_ => random.Next(1, 3000))];
            int[][] shares = RankShare.Pairs(lengths, ranks);
            Assert.Equal(ranks, shares.Length);
            Assert.Equal(Enumerable.Range(0, n), shares.SelectMany(s => s));
            double total = lengths.Sum(l => (double)l) + n, most = shares.Max(s => s.Sum(p => (double)lengths[p] + lengths[n + p] + 1));
            // A pair is not divided: a share is over its part by less than one.
            Assert.True(most <= total / ranks + 2 * 3000 + 1, $"{most} of {total} over {ranks}");
        }
        int[] processes = [.. Enumerable.Range(0, 7).Select(v => RankShare.Process(v, 7, 3))];
        Assert.Equal([0, 0, 0, 1, 1, 2, 2], processes);
    }

    private sealed record Ends(ConcurrentQueue<(int Rank, string Line)> Lines, ConcurrentQueue<(int Rank, int Code)> Codes);

    /// <summary>Opens a watch on every rank, does something, waits until so many ranks have ended.</summary>
    private static Ends Watch(int ranks, bool oneHost, int ending, Action<int, RankGuard> act)
    {
        var ends = new Ends([], []);
        RankPlace[] places = [.. Enumerable.Range(0, ranks).Select(r => new RankPlace(oneHost ? "here" : $"node{r}", 100 + r))];
        using var all = new CountdownEvent(Math.Max(1, ending));
        if (ending == 0) all.Signal();
        ThreadRanks.Run(ranks, r =>
        {
            var guard = RankGuard.Open(r, places, line => ends.Lines.Enqueue((r.Rank, line)), code =>
            {
                ends.Codes.Enqueue((r.Rank, code));
                all.Signal();
            }, out string? why);
            Assert.True(guard is not null, why);
            guard.Standing = () => "the rest is well";
            r.Barrier();
            act(r.Rank, guard);
            return 0;
        });
        Assert.True(all.Wait(TimeSpan.FromSeconds(20)), $"ended: {string.Join(", ", ends.Codes)}");
        return ends;
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void All_goes_well_without_a_word(bool oneHost)
    {
        if (!oneHost && RankGuard.Addresses().Length == 0) Assert.Skip("needs a network");
        var ends = Watch(3, oneHost, 0, (_, guard) => guard.Dispose());
        Thread.Sleep(200);
        Assert.Empty(ends.Lines);
        Assert.Empty(ends.Codes);
    }

    [Fact]
    public void A_rank_that_fails_is_quoted_once_and_ends_all_with_its_code()
    {
        var ends = Watch(3, true, 3, (rank, guard) =>
        {
            if (rank == 2) guard.Fail(5, "out of memory");
        });
        Assert.Equal((0, "rank 2 (here, process 102): out of memory"), Assert.Single(ends.Lines));
        Assert.All(ends.Codes, c => Assert.Equal(5, c.Code));
    }

    [Fact]
    public void Trouble_of_all_ranks_is_one_line_of_rank_0()
    {
        var ends = Watch(4, true, 4, (rank, guard) => guard.Fail(3, "no such file"));
        Assert.Equal((0, "no such file"), Assert.Single(ends.Lines));
        Assert.All(ends.Codes, c => Assert.Equal(3, c.Code));
    }

    [Theory]
    [InlineData(2, 0)]
    [InlineData(1, 0)]
    [InlineData(0, 1)]
    public void A_rank_that_dies_is_named_by_one_that_lives(int victim, int speaker)
    {
        var ends = Watch(3, true, 2, (rank, guard) =>
        {
            if (rank == victim) guard.Break();
        });
        Assert.Equal((speaker, $"rank {victim} (here, process {100 + victim}) died, and the job ends; the rest is well"), Assert.Single(ends.Lines));
        Assert.All(ends.Codes, c => Assert.Equal(RankGuard.Died, c.Code));
        Assert.DoesNotContain(ends.Codes, c => c.Rank == victim);
    }
}
