using System.CommandLine;
using System.Globalization;
using Orthrus.Rna;
using Orthrus.Tensor;
using Orthrus.Train;

namespace Orthrus.Cli;

/// <summary>orthrus train: pre-trains a model on a corpus.</summary>
internal static class TrainVerb
{
    // A step may take long; Ctrl-C waits for its end so that nothing of the run is lost. A second one ends at once.
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(10);

    private const string Help = """
        Pre-train an encoder on pairs of a corpus (see `orthrus corpus`).

        RUN receives config.yaml, log.jsonl (an object a step), events/ (TensorBoard), checkpoints/, and at the end final/, a model for
        `orthrus embed --model`. The same command with --resume goes on after any interruption and ends in the same bytes.

        Presets: tiny to try things out; base-4track, large-6track, large-4track (first preprint); v1-small-6track, v1-6track, v1-4track,
        v1-mlm-6track, v1-mlm-only (second generation). Parts are laid over them: --preset v1-6track,base,lower-lr. --config FILE sets any
        value of `--print-config`, --set one value. run.micro_pairs encodes a batch in parts with exactly the whole batch's gradient, so
        that thousands of pairs fit in little memory; with loss.masked_bases the statistics of its batch norms are then those of each part.

        Several processes share a batch: mpirun -np 4 orthrus train ... (Open MPI), or srun --mpi=pmix. The result is that of one process but
        for rounding, whatever their number; rank 0 alone writes RUN. With loss.masked_bases the batch norms at positions see a process's part.

        Example: orthrus train --corpus c.safetensors --preset tiny -o run --steps 20 --seed 1
        """;

    internal static Command Build()
    {
        var corpus = new Option<string?>("--corpus") { HelpName = "FILE", Description = "corpus to train on" };
        var preset = new Option<string?>("--preset") { HelpName = "NAME[,NAME]", Description = "named configuration, and parts laid over it" };
        var config = new Option<string?>("--config") { HelpName = "FILE", Description = "YAML with any of the keys that --print-config shows" };
        var set = new Option<string[]>("--set") { HelpName = "KEY=VALUE", Description = "one value, as optimiser.model_lr=1e-3; repeatable", AllowMultipleArgumentsPerToken = false };
        var output = new Option<string?>("--output", "-o") { HelpName = "RUN", Description = "folder of the run" };
        var steps = new Option<long?>("--steps") { HelpName = "N", Description = "updates of the run (run.steps)" };
        var seed = new Option<ulong?>("--seed") { HelpName = "S", Description = "seed of everything random (run.seed)" };
        var device = DeviceOption.Create();
        var gemm = GemmOption.Create("who multiplies matrices on a GPU: cuBLAS where it is found (default, auto), or own kernels");
        var threads = new Option<int?>("--threads") { HelpName = "T", Description = "worker threads (default: all cores, divided among the processes that share them); never changes the numbers" };
        var resume = new Option<bool>("--resume") { Description = "go on with the run in RUN; from the start where it has no checkpoint yet" };
        var stopAt = new Option<long?>("--stop-at") { HelpName = "N", Description = "stop when N updates are done in all, with a checkpoint; --resume goes on" };
        var minutes = new Option<double?>("--max-minutes") { HelpName = "M", Description = "stop after M minutes, with a checkpoint; --resume goes on" };
        var print = new Option<bool>("--print-config") { Description = "print the configuration as YAML and end" };
        var quiet = new Option<bool>("--quiet") { Description = "no progress on stderr" };
        var command = new Command("train", Help) { corpus, preset, config, set, output, steps, seed, device, gemm, threads, resume, stopAt, minutes, print, quiet };
        command.SetAction(r =>
        {
            var host = CliHost.Of(r);
            using var job = RankJob.Join(line => Errors.Report(host.Error, line));
            if (job is null) return Start(host, null);
            try
            {
                return Start(host, job);
            }
            catch (Exception e)
            {
                var (code, line) = Errors.Classify(e);
                if (r.GetValue(Errors.Verbose)) host.Error.WriteLine(e);
                // These two every rank comes to at the same place.
                job.Fail(code, line, everywhere: e is InterruptedException or OutputException { InnerException: DivergedException });
                return code;
            }

            int Start(CliHost host, RankJob? job)
            {
                var chosen = Configure(r.GetValue(preset), r.GetValue(config), r.GetValue(set) ?? [], r.GetValue(steps), r.GetValue(seed));
                if (r.GetValue(print))
                {
                    if (job is null or { Rank: 0 }) host.Output.Write(ConfigKeys.Write(chosen));
                    return ExitCode.Done;
                }
                string path = r.GetValue(corpus) ?? throw new UsageException("--corpus is missing; give a file made by `orthrus corpus`");
                string run = r.GetValue(output) ?? throw new UsageException("--output is missing; give a folder for the run");
                if (r.GetValue(preset) is null && r.GetValue(config) is null) throw new UsageException("--preset is missing; give tiny to try things out, another preset, or --config FILE");
                if (r.GetValue(threads) is < 1 or > 1024) throw new UsageException($"--threads {r.GetValue(threads)}: give a number from 1 to 1024");
                if (r.GetValue(stopAt) is < 1) throw new UsageException("--stop-at takes a number of updates, at least 1");
                if (r.GetValue(minutes) is { } m && !(m > 0 && m < 1e6)) throw new UsageException("--max-minutes takes minutes above 0");
                var limits = new TrainLimits { StopAt = r.GetValue(stopAt), Time = r.GetValue(minutes) is { } limit ? TimeSpan.FromMinutes(limit) : null };
                var where = DeviceOption.Parse(r.GetValue(device)!);
                var multiplier = GemmOption.Parse(r.GetValue(gemm));
                var target = where.Resolve(chosen.DType == DType.F64 ? "run.dtype f64" : r.GetValue(threads) is not null ? "--threads" : null, chosen.DType == DType.BF16 ? "run.dtype bf16" : multiplier is not null ? GemmOption.Name : null);
                // Each rank of a machine has a GPU of its own.
                if (job is not null && target.Place == DevicePlace.Cuda && where.Text is "auto" or "cuda") target = target with { Ordinal = job.LocalRank };
                return Run(chosen, path, run, target, multiplier, r.GetValue(threads) ?? job?.Threads ?? Environment.ProcessorCount, r.GetValue(resume), limits, r.GetValue(quiet) || job is { Rank: > 0 }, host, job);
            }
        });
        return command;
    }

    /// <summary>The configuration that the options name; a later one wins: preset, file, values.</summary>
    private static TrainConfig Configure(string? preset, string? file, string[] values, long? steps, ulong? seed)
    {
        try
        {
            var config = preset is null ? new TrainConfig() : TrainPresets.Find(preset);
            if (file is not null) config = ConfigKeys.Read(config, file, File.ReadAllText(file));
            foreach (string value in values)
            {
                int equals = value.IndexOf('=');
                if (equals < 1) throw new UsageException($"--set {value}: want KEY=VALUE");
                config = ConfigKeys.Set(config, value[..equals], value[(equals + 1)..]);
            }
            config = config with { Steps = steps ?? config.Steps, Seed = seed ?? config.Seed };
            config.Validate();
            return config;
        }
        catch (Exception e) when (e is ArgumentException or FormatException)
        {
            throw new UsageException(e.Message);
        }
    }

    private static int Run(TrainConfig config, string corpus, string run, DeviceTarget target, GemmBackend? gemm, int threads, bool resume, TrainLimits limits, bool quiet, CliHost host, RankJob? job)
    {
        OutputGuard.Refuse(run, [run], [corpus]);
        (Interrupt.Patience, Interrupt.Remedy) = (Patience, Interrupt.Resume);
        using var gpu = target.Open();
        using var cpu = gpu is null ? new CpuDevice(threads) : null;
        Device device = gpu?.Device ?? (Device)cpu!;
        if (gpu is not null && gemm is { } multiplier) gpu.Device.Gemm = multiplier;
        if (!quiet && gpu is not null) host.Error.WriteLine(target.Line(gpu.Device.Description));
        using var file = CorpusFile.Open(corpus);
        var pairs = config.Pairs with { Seed = config.Seed };
        PairSource[] sources = config.ByRank
            ? [.. Enumerable.Range(0, config.VirtualRanks).Select(r => PairSource.Of(file, pairs with { Rank = r, Ranks = config.VirtualRanks }))] : [PairSource.Of(file, pairs)];
        using var closing = new Sources(sources);
        var training = new RankBatches(sources);
        long batches = sources.Sum(s => (long)s.BatchesPerEpoch);
        using var validation = config.ValidateEvery > 0 ? OpenValidation(file, config) : null;
        using var ranks = job?.On(device);
        ranks?.Same(System.Text.Encoding.UTF8.GetBytes(file.Identity), "corpus");
        try
        {
            using var trainer = new Trainer(config, device, training, validation, run, resume, batches, validation?.BatchesPerEpoch ?? 0, ranks: ranks, corpus: file.Identity);
            if (job is not null) job.Standing = () => trainer.LastSaved is { } saved ? $"the checkpoint of step {saved} is whole: the same command with --resume goes on" : "there is no checkpoint yet";
            var progress = new StepReport(host.Error, host.Interactive, quiet, trainer.Step, mayEndEarly: false, TimeProvider.System);
            if (!quiet)
            {
                if (job is not null) host.Error.WriteLine($"{job.Description}, {ranks!.Name}, {(gpu is null ? $"{threads} thread{(threads == 1 ? "" : "s")} each" : "a GPU each")}");
                host.Error.WriteLine(string.Create(CultureInfo.InvariantCulture,
                    $"{config.Width} x {config.Layers}, {config.Tracks} tracks, {trainer.Model.ParameterCount():N0} parameters; {sources.Sum(s => s.Keys):N0} transcripts, {batches:N0} batches an epoch; {(trainer.Resumed ? $"going on at step {trainer.Step}" : "from the start")}"));
                if (validation is null && config.ValidateEvery > 0) host.Error.WriteLine("no validation: the corpus has no validation pairs for it");
            }
            var end = trainer.Run(limits, p => progress.Show(p, config.Steps), host.Cancel);
            progress.Clear();
            return end switch
            {
                TrainEnd.Interrupted => throw new InterruptedException($"interrupted after step {trainer.Step}, which is saved; the same command with --resume goes on"),
                TrainEnd.Stopped => Say($"stopped after step {trainer.Step}, which is saved; --resume goes on"),
                _ => Say($"{trainer.Step} steps done: {Path.Combine(run, "final")}"),
            };
        }
        catch (DivergedException e)
        {
            throw new OutputException(e.Message, e);
        }
        catch (Exception e) when (IoErrors.IsDiskFull(e) || e is UnauthorizedAccessException)
        {
            throw IoErrors.Writing(run, e, resumable: true);
        }
        catch (ArgumentException e) when (e.ParamName is null)
        {
            throw new UsageException(e.Message);
        }

        int Say(string line)
        {
            if (!quiet) host.Error.WriteLine(line);
            return ExitCode.Done;
        }
    }

    private sealed class Sources(PairSource[] all) : IDisposable
    {
        public void Dispose()
        {
            foreach (var source in all) source.Dispose();
        }
    }

    /// <summary>Held-out pairs, or null where the corpus has too few.</summary>
    private static PairSource? OpenValidation(CorpusFile corpus, TrainConfig config)
    {
        try
        {
            return PairSource.Of(corpus, (config.Pairs with { Seed = config.Seed, Pairs = config.ValidationPairs }).ForValidation(config.ValidationCombinesUtr));
        }
        catch (InputDataException)
        {
            // Training pairs came from the same file, so what is missing is a validation part.
            return null;
        }
    }
}
