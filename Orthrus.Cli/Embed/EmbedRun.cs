using System.Reflection;
using System.Text.Json.Nodes;
using Orthrus.Mamba.Outputs;
using Orthrus.Rna;
using Orthrus.Tensor;

namespace Orthrus.Cli.Embed;

/// <summary>One run of `orthrus embed`, from options to files.</summary>
internal sealed class EmbedRun(EmbedOptions options, CliHost host)
{
    private bool Stdout => options.ToStdout;

    /// <summary>Runs and returns the exit code.</summary>
    internal int Run()
    {
        var paths = Stdout ? null : new OutputPaths(options.Output);
        paths?.Check();
        var target = options.Device.Resolve(
            options.Threads is not null ? "--threads" : options.DType == DType.F64 ? "--dtype f64" : null, options.DType == DType.BF16 ? "--dtype bf16" : options.Gemm is not null ? GemmOption.Name : null);
        GemmOption.Check(options.Gemm, target);
        using var device = target.Open();
        using var folder = paths is null ? null : RunFolder.Take(paths);
        var fingerprints = RunIdentity.Fingerprints(options.InputFiles(), options.Resume);

        using var source = TranscriptSource.Open(options.Input);
        using var encoder = Encoder.Open(options, source.HasTracks, device?.Devices, Say);
        Say(target.Line(encoder.Device));
        var identity = Identity(encoder, device?.Device, fingerprints);
        if (folder is null)
        {
            WriteToPipe(source, encoder);
            return ExitCode.Done;
        }
        if (!Guard(() => folder.Prepare(identity, options.Resume)))
        {
            Say($"{options.Output} is complete already");
            return ExitCode.Done;
        }
        if (folder.StartedOver) Say($"starting over: an unfinished {options.Output} was there, which --resume would have gone on with");
        Interrupt.Remedy = Interrupt.Resume;
        try
        {
            WriteToFile(source, encoder, identity, folder);
        }
        catch (InputDataException)
        {
            folder.Discard = true;
            throw;
        }
        return ExitCode.Done;
    }

    private void WriteToFile(TranscriptSource source, Encoder encoder, RunIdentity identity, RunFolder folder)
    {
        var layout = new EmbeddingLayout(options.Format, encoder.Width, options.OutputDType, options.PerPosition);
        long held = folder.Records;
        var (writer, index) = Guard(() => (EmbeddingWriter.Create(folder.Data, layout), new EmbeddingIndex(folder.Index, held)));
        if (held > 0) Say($"going on after {held:N0} transcripts");
        var progress = new Progress(host.Error, host.Interactive, options.Quiet, () => source.Progress, TimeProvider.System);
        var queue = new EmbedQueue(source, options.Shard, held, t =>
        {
            writer.Replay(t.Id, t.Length);
            progress.Restart();
        });
        long lastSave = Environment.TickCount64;
        Guard(() =>
        {
            Save();
            return 0;
        });
        foreach (var (item, vector) in options.PerPosition ? encoder.RunPositions(queue, writer, CannotWrite) : encoder.Run(queue))
        {
            Guard(() =>
            {
                foreach (var skipped in item.SkippedBefore) index.AddSkipped(skipped.Id, skipped.SkipReason ?? "");
                index.Add(item.Transcript, encoder.Blank, writer.ArrayName);
                if (!options.PerPosition) vector.WriteTo(writer, item.Transcript);
                if (host.Cancel.IsCancellationRequested || Environment.TickCount64 - lastSave >= options.SaveEvery.TotalMilliseconds)
                {
                    Save();
                    lastSave = Environment.TickCount64;
                }
                return 0;
            });
            if (host.Cancel.IsCancellationRequested)
            {
                progress.Clear();
                throw new InterruptedException($"interrupted after {writer.Records:N0} transcripts; run the same command with --resume to go on");
            }
            progress.Tick(queue.Records, queue.Nucleotides, encoder.Nucleotides);
        }
        RequireReplayed(queue, held);
        progress.Clear();
        Guard(() =>
        {
            Save();
            foreach (var skipped in queue.Trailing) index.AddSkipped(skipped.Id, skipped.SkipReason ?? "");
            var head = writer.Finish();
            folder.Publish(head, (size, indexSize) => Description(identity, queue, source, size, indexSize));
            return 0;
        });
        Summarise(source, queue, encoder, progress.Elapsed);

        void Save()
        {
            writer.Flush();
            folder.Save(writer.Records);
        }
    }

    private void WriteToPipe(TranscriptSource source, Encoder encoder)
    {
        var layout = new EmbeddingLayout(options.Format, encoder.Width, options.OutputDType);
        var stdout = new BufferedStream(host.StandardOutput(), 1 << 16);
        var queue = new EmbedQueue(source, options.Shard, 0, static _ => { });
        var progress = new Progress(host.Error, host.Interactive, options.Quiet, () => source.Progress, TimeProvider.System);
        var writer = Guard(() => EmbeddingWriter.Create(stdout, layout));
        foreach (var (item, vector) in encoder.Run(queue))
        {
            Guard(() =>
            {
                vector.WriteTo(writer, item.Transcript);
                return 0;
            });
            if (host.Cancel.IsCancellationRequested) throw new InterruptedException("interrupted");
            progress.Tick(queue.Records, queue.Nucleotides, encoder.Nucleotides);
        }
        progress.Clear();
        Guard(() => writer.Finish());
        Summarise(source, queue, encoder, progress.Elapsed);
    }

    private static void RequireReplayed(EmbedQueue queue, long held)
    {
        if (queue.Records < held)
            throw new InputDataException(null, null, $"the input has {queue.Records} transcripts, the unfinished output {held}", "start over without --resume");
    }

    private RunIdentity Identity(Encoder encoder, CudaDevice? device, JsonObject fingerprints)
    {
        var input = options.Input;
        return new RunIdentity(new JsonObject
        {
            ["version"] = Version,
            ["model"] = encoder.Name,
            ["model_sha256"] = encoder.Sha256,
            ["trained"] = encoder.Trained,
            ["tracks"] = encoder.Tracks,
            ["tracks_from"] = encoder.TracksFrom,
            // Another GPU of the same kind gives the same bits, so that its number is not compared.
            ["device"] = device is null ? "cpu" : device.IsSimulated ? "sim" : "cuda",
            ["device_name"] = device is null ? null : $"{device.Model}, compute {device.ComputeCapability / 10}.{device.ComputeCapability % 10}",
            ["simulated"] = device is { IsSimulated: true },
            ["gemm"] = device is null ? null : options.Gemm == GemmBackend.Cublas ? "cublas" : "own",
            ["vector_bits"] = device is null ? encoder.VectorBits : null,
            ["dtype"] = options.DType.ToString().ToLowerInvariant(),
            ["per_position"] = options.PerPosition,
            ["pool"] = options.PerPosition ? "none" : options.Pool.ToString().ToLowerInvariant(),
            ["width"] = encoder.Width,
            ["format"] = options.Format.ToString().ToLowerInvariant(),
            ["cds"] = input.Cds switch { CdsPolicy.LongestOrf => "longest-orf", CdsPolicy.Blank => "blank", _ => "annotated" },
            ["shard"] = options.Shard.ToString(),
            ["strict"] = input.Strict,
            ["region"] = input.Region,
            ["biotype"] = new JsonArray(input.Biotypes.Select(b => (JsonNode?)b).ToArray()),
            ["coding_only"] = input.CodingOnly,
            ["longest_per_gene"] = input.LongestPerGene,
            ["min_length"] = input.MinLength,
            ["max_length"] = input.MaxLength,
            ["input_sha256"] = fingerprints,
        });
    }

    private byte[] Description(RunIdentity identity, EmbedQueue queue, TranscriptSource source, long size, long indexSize)
    {
        var json = identity.Fields;
        var files = new JsonObject();
        foreach (var (role, path) in options.InputFiles()) files[role] = path;
        json["input_files"] = files;
        json["output"] = new OutputPaths(options.Output).Name;
        json["output_bytes"] = size;
        json["index_bytes"] = indexSize;
        json["records"] = queue.Records;
        json["nucleotides"] = queue.Nucleotides;
        var skipped = new JsonObject();
        foreach (var (reason, n) in queue.SkippedByReason) skipped[reason] = n;
        json["skipped"] = skipped;
        json["input_report"] = new JsonArray(source.Report.ToLines().Select(l => (JsonNode?)l).ToArray());
        return RunIdentity.Serialize(json);
    }

    private void Summarise(TranscriptSource source, EmbedQueue queue, Encoder encoder, TimeSpan elapsed)
    {
        if (options.Quiet) return;
        string shard = options.Shard == Shard.Whole ? "" : $" (shard {options.Shard})";
        string target = Stdout ? "" : $" -> {options.Output}";
        host.Error.WriteLine($"{queue.Records:N0} transcripts{shard}, {queue.Nucleotides:N0} nt, {Progress.Duration(elapsed)}, {Progress.Rate(encoder.Nucleotides, elapsed)}, {queue.Skipped:N0} skipped{target}");
        // The first line of the report repeats the counts.
        foreach (string line in source.Report.ToLines().Skip(1)) host.Error.WriteLine("  " + line);
        if (encoder.Tracks == 6 && !encoder.Blank && queue.WithoutCds > 0)
            host.Error.WriteLine($"  {queue.WithoutCds:N0} without a known CDS: their codon track is empty");
        if (queue.Records == 0) host.Error.WriteLine("  nothing was embedded: see the filters and the skipped records");
    }

    private void Say(string line)
    {
        if (!options.Quiet) host.Error.WriteLine(line);
    }

    /// <summary>Runs something that writes output; what the system says against it names the output.</summary>
    private T Guard<T>(Func<T> write)
    {
        try
        {
            return write();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw CannotWrite(e);
        }
    }

    private OutputException CannotWrite(Exception e) => IoErrors.Writing(Stdout ? "stdout" : options.Output, e, resumable: !Stdout);

    internal static string Version { get; } =
        typeof(EmbedRun).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+')[0] ?? "0.0.0";
}
