using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Orthrus.TestSupport;

namespace Orthrus.Cli.Tests;

/// <summary>`orthrus train` in several real processes: started by mpirun, joined by Open MPI, killed one at a time.</summary>
public sealed class MpiTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("orthrus-mpi-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private string PathOf(string name) => Path.Combine(_folder, name);

    /// <summary>Open MPI's launcher; skips the test where it is absent.</summary>
    private static string Launcher()
    {
        string? found = Shell.Find("mpirun.openmpi") ?? Shell.Find("mpirun");
        if (!OperatingSystem.IsLinux() || found is null || Shell.Run(found, ["--version"], environment: Surroundings()).Output is var version && !version.Contains("Open MPI", StringComparison.Ordinal) && !version.Contains("OpenRTE", StringComparison.Ordinal)) Assert.Skip("needs Open MPI's mpirun (openmpi-bin on Debian)");
        return found;
    }

    /// <summary>What mpirun needs where the tests run: root in a container, fewer cores than ranks, no reading of another process's memory.</summary>
    internal static Dictionary<string, string> Surroundings(params (string, string)[] more) => new[]
    {
        ("OMPI_ALLOW_RUN_AS_ROOT", "1"), ("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"), ("OMPI_MCA_rmaps_base_oversubscribe", "1"), ("OMPI_MCA_btl_vader_single_copy_mechanism", "none"),
    }.Concat(more).ToDictionary(v => v.Item1, v => v.Item2);

    private string[] Command(string run, int steps, params string[] more)
    {
        string corpus = PathOf("c.safetensors"), data = Path.Combine(TestPaths.Repository, "examples", "data");
        if (!File.Exists(corpus)) CliRun.Of("corpus", "--transcripts", Path.Combine(data, "transcripts.fa.gz"), "--table", Path.Combine(data, "transcripts.tsv"), "-o", corpus).Succeeded();
        // Seven pairs: no number of ranks from 2 to 4 divides them.
        return ["train", "--corpus", corpus, "--preset", "tiny", "-o", PathOf(run), "--steps", $"{steps}", "--seed", "1", "--set", "model.width=16", "--set", "data.pairs=7", "--set", "data.crop=64",
            "--set", "run.validate_every=0", "--set", "run.checkpoint_every=2", "--threads", "1", .. more];
    }

    private ShellResult Ranks(int ranks, string[] command, params (string, string)[] environment) =>
        Shell.Run(Launcher(), ["-np", $"{ranks}", ChildProcess.Executable, .. command], _folder, Surroundings(environment), seconds: 180);

    private static string[] Ours(ShellResult result) => [.. result.Error.Split('\n').Select(l => l.TrimEnd('\r')).Where(l => l.Contains("orthrus: ", StringComparison.Ordinal))];

    private double[] Log(string run) => [.. File.ReadAllLines(Path.Combine(PathOf(run), "log.jsonl")).SelectMany(l =>
    {
        using var json = JsonDocument.Parse(l);
        return new[] { json.RootElement.GetProperty("loss").GetDouble(), json.RootElement.GetProperty("grad_norm").GetDouble() };
    })];

    /// <summary>Losses within a tolerance; norms of gradients, which move with the curvature where the loss hardly does, within ten times as much.</summary>
    private static void Same(double[] want, double[] got, double relative, string which)
    {
        Assert.Equal(want.Length, got.Length);
        for (int i = 0; i < want.Length; i++)
            Assert.True(Math.Abs(got[i] - want[i]) <= (i % 2 == 0 ? 1 : 10) * relative * Math.Abs(want[i]), string.Create(CultureInfo.InvariantCulture, $"{which}, {(i % 2 == 0 ? "loss" : "norm")} of step {i / 2 + 1}: {got[i]:R}, want {want[i]:R}"));
    }

    [Theory]
    [InlineData("f64", 1e-10)]
    [InlineData("f32", 1e-5)]
    public void Two_and_four_processes_train_as_one(string dtype, double relative)
    {
        Launcher();
        // Adam turns the rounding of small gradients into steps of the learning rate: at a tenth of the preset's, float32 shows the agreement of the ranks and not its own drift.
        string[] options = ["--set", $"run.dtype={dtype}", "--set", "optimiser.model_lr=1e-4", "--set", "optimiser.head_lr=1e-4"];
        CliRun.Of(Command("one", 6, options)).Succeeded();
        double[] want = Log("one");
        Assert.Equal(12, want.Length);
        foreach (int ranks in new[] { 2, 4 })
        {
            var result = Ranks(ranks, Command($"r{ranks}", 6, options));
            Assert.True(result.ExitCode == 0, result.ToString());
            // One process speaks.
            Assert.Single(result.Error.Split('\n'), l => l.Contains($"{ranks} ranks on 1 machine, Open MPI ", StringComparison.Ordinal));
            Assert.Single(result.Error.Split('\n'), l => l.Contains("6 steps done", StringComparison.Ordinal));
            Same(want, Log($"r{ranks}"), relative, $"{ranks} ranks");
        }
    }

    [Fact]
    public void Processes_without_a_pair_of_their_own_change_nothing()
    {
        Launcher();
        string[] options = ["--set", "run.dtype=f64", "--set", "data.pairs=2", "--set", "loss.masked_bases=true", "--set", "masking.body=8"];
        // Statistics at positions are those of a process: here one has both pairs, or each its own, so the contrastive loss alone is compared.
        string[] contrast = options[..4];
        CliRun.Of(Command("one", 4, contrast)).Succeeded();
        var result = Ranks(3, Command("three", 4, contrast));
        Assert.True(result.ExitCode == 0, result.ToString());
        Same(Log("one"), Log("three"), 1e-10, "3 ranks, 2 pairs");
        var masked = Ranks(3, Command("masked", 3, options));
        Assert.True(masked.ExitCode == 0, masked.ToString());
        Assert.All(Log("masked"), v => Assert.True(double.IsFinite(v)));
    }

    [Fact]
    public void Stopping_and_another_number_of_processes_in_between()
    {
        Launcher();
        CliRun.Of(Command("one", 6)).Succeeded();
        Assert.Contains("stopped after step 3", Ranks(2, Command("changing", 6, "--stop-at", "3")).Error);
        var rest = Ranks(3, Command("changing", 6, "--resume"));
        Assert.True(rest.ExitCode == 0 && rest.Error.Contains("going on at step 3", StringComparison.Ordinal), rest.ToString());
        Same(Log("one"), Log("changing"), 1e-4, "1, 2 and 3 ranks");
        CliRun.Of(Command("changing", 8, "--resume")).Succeeded();
        // The same number twice gives the same bytes.
        foreach (string run in new[] { "a", "b" }) Assert.Equal(0, Ranks(2, Command(run, 4)).ExitCode);
        foreach (string file in new[] { "log.jsonl", "final/model.safetensors" }) Assert.Equal(File.ReadAllBytes(Path.Combine(PathOf("a"), file)), File.ReadAllBytes(Path.Combine(PathOf("b"), file)));
    }

    [Fact]
    public void The_devices_of_upstream_are_processes()
    {
        Launcher();
        string[] upstream = ["--set", "run.dtype=f64", "--set", "loss.virtual_ranks=3", "--set", "loss.gather=own_rank"];
        CliRun.Of(Command("one", 4, upstream)).Succeeded();
        var result = Ranks(3, Command("three", 4, upstream));
        Assert.True(result.ExitCode == 0, result.ToString());
        Same(Log("one"), Log("three"), 1e-10, "3 ranks");
        var many = Ranks(4, Command("four", 4, upstream));
        Assert.Equal(2, many.ExitCode);
        Assert.Contains("too few for 4 processes", Assert.Single(Ours(many)));
    }

    [Theory]
    [InlineData(3, 1)]
    [InlineData(2, 0)]
    [InlineData(4, 3)]
    public void A_process_that_is_killed_ends_all_with_a_word_and_a_whole_checkpoint(int ranks, int victim)
    {
        string launcher = Launcher();
        string[] command = Command("killed", 100_000);
        var info = new ProcessStartInfo(launcher) { RedirectStandardError = true, RedirectStandardOutput = true, WorkingDirectory = _folder };
        foreach (string a in (string[])["-np", $"{ranks}", ChildProcess.Executable, .. command]) info.ArgumentList.Add(a);
        foreach (var (name, value) in Surroundings()) info.Environment[name] = value;
        using var mpirun = Process.Start(info)!;
        using var limit = new Timer(_ => mpirun.Kill(entireProcessTree: true), null, TimeSpan.FromSeconds(200), Timeout.InfiniteTimeSpan);
        string checkpoint = Path.Combine(PathOf("killed"), "checkpoints", "step-00000004.safetensors");
        for (int i = 0; i < 1500 && !File.Exists(checkpoint); i++) Thread.Sleep(100);
        Assert.True(File.Exists(checkpoint), "no checkpoint within minutes");
        using (var process = Process.GetProcessById(OfRank(mpirun.Id, victim))) process.Kill();
        var (code, _, error) = ChildProcess.Finish(mpirun);
        Assert.NotEqual(0, code);
        string line = Assert.Single(error.Split('\n'), l => l.Contains("orthrus: ", StringComparison.Ordinal));
        var said = System.Text.RegularExpressions.Regex.Match(line, $@"orthrus: rank {victim} \(.+, process \d+\) died, and the job ends; the checkpoint of step (\d+) is whole: the same command with --resume goes on");
        Assert.True(said.Success, line);
        long step = long.Parse(said.Groups[1].Value, CultureInfo.InvariantCulture);
        Assert.True(File.Exists(Path.Combine(PathOf("killed"), "checkpoints", $"step-{step:D8}.safetensors")));
        CliRun.Of([.. command, "--resume", "--stop-at", $"{step + 3}", "--quiet"]).Succeeded();
        CliRun.Of([.. Command("alone", 100_000), "--stop-at", $"{step + 3}", "--quiet"]).Succeeded();
        // Rounding grows with the steps, of which there are as many as the machine made before the kill.
        Same(Log("alone"), Log("killed"), 1e-3, "killed");
    }

    /// <summary>The process of a rank below a launcher.</summary>
    private static int OfRank(int launcher, int rank)
    {
        foreach (string folder in Directory.EnumerateDirectories("/proc").Where(d => int.TryParse(Path.GetFileName(d), out _)))
        {
            try
            {
                string[] stat = File.ReadAllText(Path.Combine(folder, "stat")).Split(' ');
                if (stat[3] == $"{launcher}" && File.ReadAllText(Path.Combine(folder, "environ")).Split('\0').Contains($"OMPI_COMM_WORLD_RANK={rank}")) return int.Parse(Path.GetFileName(folder), CultureInfo.InvariantCulture);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // It ended while we looked.
            }
        }
        throw new InvalidOperationException($"mpirun has no process of rank {rank}");
    }

    [Fact]
    public void Trouble_is_one_line_and_one_exit_code()
    {
        Launcher();
        string[] command = Command("trouble", 4);
        command[2] = PathOf("nosuch.safetensors");
        var missing = Ranks(3, command);
        Assert.Equal(3, missing.ExitCode);
        Assert.Contains("nosuch.safetensors", Assert.Single(Ours(missing)));
        // A folder with a run: rank 0 alone knows.
        Assert.Equal(0, Ranks(2, Command("run", 2)).ExitCode);
        var again = Ranks(2, Command("run", 2));
        Assert.Equal(3, again.ExitCode);
        Assert.Contains("--resume", Assert.Single(Ours(again)));
        var diverges = Ranks(2, Command("diverges", 50, "--set", "optimiser.model_lr=1e30", "--set", "optimiser.warmup_steps=0", "--set", "optimiser.clip_norm=0"));
        Assert.Equal(3, diverges.ExitCode);
        Assert.Matches("step [0-9]+ .batch [0-9]+.: .*nothing was written", Assert.Single(Ours(diverges)));
    }

    [Fact]
    public void Another_library_is_refused_and_a_missing_one_is_no_licence_to_run_apart()
    {
        Launcher();
        var none = Ranks(2, Command("none", 4), ("ORTHRUS_MPI", "/nowhere/libmpi.so.40"));
        Assert.Equal(4, none.ExitCode);
        Assert.Contains("no MPI library was found (/nowhere/libmpi.so.40: ", Assert.Single(Ours(none)));
        Assert.False(Directory.Exists(PathOf("none")));
        if (!new[] { "/usr/lib", "/usr/lib64", "/lib" }.Any(d => Directory.Exists(d) && Directory.EnumerateFiles(d, "libmpich.so.12", new EnumerationOptions { RecurseSubdirectories = true, MaxRecursionDepth = 2 }).Any())) Assert.Skip("needs MPICH's library (libmpich12 on Debian)");
        var mpich = Ranks(2, Command("mpich", 4), ("ORTHRUS_MPI", "libmpich.so.12"));
        Assert.Equal(4, mpich.ExitCode);
        Assert.Matches(@"libmpich.so.12 is MPICH \d\S*, which has another binary interface than Open MPI; install ", Assert.Single(Ours(mpich)));
        Assert.False(Directory.Exists(PathOf("mpich")));
    }

    [Fact]
    public void Processes_of_another_launcher_are_refused()
    {
        if (!OperatingSystem.IsLinux()) Assert.Skip("needs Linux");
        var result = Shell.Run(ChildProcess.Executable, Command("hydra", 4), _folder, new Dictionary<string, string> { ["PMI_SIZE"] = "2", ["PMI_RANK"] = "0" });
        Assert.Equal(4, result.ExitCode);
        Assert.Contains("Open MPI's mpirun", Assert.Single(Ours(result)));
        Assert.False(Directory.Exists(PathOf("hydra")));
    }
}
