using System.Globalization;
using System.Text.Json;
using Orthrus.Cli.Embed;
using Orthrus.Cli.Probing;
using Orthrus.Mamba;
using Orthrus.Rna;
using Orthrus.Tensor;
using Orthrus.Train;
using Orthrus.Train.Probing;

namespace Orthrus.Cli.Finetuning;

/// <summary>One run of `orthrus finetune`, from the request to the files.</summary>
internal sealed class FinetuneCommand(FinetuneRequest request, CliHost host)
{
    private const string DefaultSplit = "split";

    private string Folder => request.Output!;

    /// <summary>Runs, shows the figures and returns the exit code.</summary>
    internal int Run()
    {
        var rows = Train();
        foreach (string line in ProbeReport.Lines(rows)) host.Output.WriteLine(line);
        host.Output.Flush();
        return ExitCode.Done;
    }

    /// <summary>Trains, writes the run's folder and returns its figures.</summary>
    /// <param name="goOn">A run that the folder holds is taken as it is, where it is of the same options.</param>
    internal IReadOnlyList<ProbeRow> Train(bool goOn = false)
    {
        var target = request.Device.Resolve(request.Threads is not null ? "--threads" : null);
        using var gpu = target.Open();
        using var cpu = new CpuDevice(request.Threads ?? 0);
        if (gpu is not null) Say(target.Line(gpu.Device.Description));
        var table = Table();
        var start = TaskModel.Load(request.Model, table.HasTracks || request.Policy != CdsPolicy.Annotated, request.Task!);
        if (request.FromScratch) start = OrthrusModel.Create(start.Config, request.Options.Seed);
        long step = 0;
        try
        {
            using var tuner = Open(start, table, gpu?.Device ?? (Device)cpu);
            Describe(start, table, tuner);
            Directory.CreateDirectory(Folder);
            string options = Path.Combine(Folder, "options.json"), metrics = Path.Combine(Folder, "metrics.json");
            if (goOn && Directory.Exists(request.Final))
            {
                if (!File.Exists(options) || !File.ReadAllBytes(options).AsSpan().SequenceEqual(Options(start, tuner))) throw new InputDataException(Folder, null, "holds a run of other options", "give another folder");
                Say($"{request.Final}: finished before");
                return ProbeReport.Read(metrics);
            }
            WholeFile.Write(options, Options(start, tuner));
            // What an interrupted run left; its model was never written.
            if (Directory.Exists(Path.Combine(Folder, "events"))) Directory.Delete(Path.Combine(Folder, "events"), recursive: true);
            var report = new StepReport(host.Error, host.Interactive, request.Quiet, start: 0, mayEndEarly: true, TimeProvider.System);
            var result = tuner.Run(Folder, p =>
            {
                step = p.Step;
                report.Show(p);
            }, host.Cancel);
            report.Clear();
            Say(string.Create(CultureInfo.InvariantCulture, $"{result.Steps:N0} steps{(result.StoppedEarly ? ", stopped early" : "")}; best after step {result.Best.Step:N0}: validation {result.Best.Metric} {result.Best.Score:F4}"));
            var rows = Measure(start, result, cpu, gpu?.Device);
            WholeFile.Write(metrics, ProbeReport.Json(rows));
            // Last: a folder with final/ is a run that is whole.
            result.Model.SaveHuggingFace(request.Final);
            Say($"{request.Final}: give it to `orthrus predict --model`");
            return rows;
        }
        catch (OperationCanceledException)
        {
            throw new InterruptedException($"interrupted after step {step}; no model was written, and the same command starts over");
        }
        catch (DivergedException e)
        {
            throw new OutputException(e.Message, e);
        }
        catch (Exception e) when (IoErrors.IsDiskFull(e) || e is UnauthorizedAccessException)
        {
            throw IoErrors.Writing(Folder, e, resumable: false);
        }
    }

    private ProbeTable Table()
    {
        string path = request.Task!;
        string? split = request.Draws ? null : request.SplitColumn;
        if (split is null && !request.Draws)
            split = ProbeTable.Header(path).Contains(DefaultSplit) ? DefaultSplit
                : throw new UsageException($"{path} has no column {DefaultSplit}: give --split-column COLUMN, --groups COLUMN or --random-split");
        var table = ProbeTable.Read(path, new ProbeColumns { Targets = request.Targets, Split = split, Groups = request.Groups, Units = request.Units, Sequence = request.Sequence }, request.Policy);
        if (!request.Draws) return table;
        uint seed = request.SplitSeed ?? FinetuneRequest.DefaultSplitSeed;
        // As a probe draws them: of the rows that have a value.
        int[] rows = [.. Enumerable.Range(0, table.Rows).Where(r => Enumerable.Range(0, table.Targets.Count).All(t => !double.IsNaN(table.Target(r, t))))];
        var drawn = request.Groups is null ? Splits.Random(rows.Length, seed) : Splits.Homology([.. rows.Select(r => table.Groups[r])], seed);
        int[] At(int[] positions) => [.. positions.Select(i => rows[i])];
        return table.With(new ThreeWaySplit(At(drawn.Train), At(drawn.Validation), At(drawn.Test)));
    }

    private FineTuner Open(OrthrusModel start, ProbeTable table, Device device)
    {
        try
        {
            return new FineTuner(start, table, request.Options, device, line => Say("  " + line));
        }
        catch (ArgumentException e) when (e.ParamName is null)
        {
            throw new UsageException(e.Message);
        }
    }

    private void Describe(OrthrusModel start, ProbeTable table, FineTuner tuner)
    {
        if (!start.Trained) Say($"{start.Name}: random weights");
        if (start.Task is { } task) Say($"{start.Name} was fine-tuned already, for {string.Join(", ", task.Targets)}: its head is not used");
        if (table.HasTracks && table.WithoutCds > 0 && request.Policy != CdsPolicy.Blank && start.Config.NTracks == 6) Say($"  {table.WithoutCds:N0} rows without a known CDS: their codon track is empty");
        Say(string.Create(CultureInfo.InvariantCulture,
            $"{start.Name}, {start.Config.DModel} x {start.Config.NLayer}, {start.Config.NTracks} tracks; {tuner.Kind.ToString().ToLowerInvariant()} of {string.Join(", ", table.Targets)}; {tuner.TrainingRows:N0} training and {tuner.ValidationRows:N0} validation rows; {tuner.TrainedParameters:N0} parameters trained; up to {tuner.Steps:N0} steps"));
    }

    private IReadOnlyList<ProbeRow> Measure(OrthrusModel start, FineTuneResult result, CpuDevice device, CudaDevice? gpu)
    {
        var features = new List<FeatureSet>();
        foreach (string name in request.Baselines)
            features.Add(name == FinetuneRequest.Probe
                ? FeatureSet.Of(start.Name + " probe", Embeddings.Get(start, result.Table.Transcripts, null, request.Threads ?? 0, _ => host.Cancel.ThrowIfCancellationRequested(), gpu))
                : FeatureSet.Baseline(name, result.Table.Transcripts));
        var options = new ProbeOptions { Task = request.TaskName, Kind = KindOf(result), Test = request.Options.Test, Resamples = request.Resamples, BootstrapSeed = request.Options.Seed };
        return Probe.Run(result.Table, [new RowPredictions(start.Name + FineTuner.Suffix, result.Predictions)], features, options, device, _ => { }, host.Cancel);
    }

    private static ProbeKind KindOf(FineTuneResult result) => result.Model.Task!.Kind switch { PredictionKind.Binary => ProbeKind.Binary, PredictionKind.Multilabel => ProbeKind.Multilabel, _ => ProbeKind.Regression };

    /// <summary>Everything on which the result depends, for people who come back to a run.</summary>
    private byte[] Options(OrthrusModel start, FineTuner tuner)
    {
        var o = request.Options;
        using var memory = new MemoryStream();
        using (var json = new Utf8JsonWriter(memory, new JsonWriterOptions { Indented = true, NewLine = "\n" }))
        {
            json.WriteStartObject();
            json.WriteString("version", EmbedRun.Version);
            json.WriteString("model", request.Model);
            json.WriteString("model_sha256", start.Sha256);
            json.WriteString("task", request.Task);
            json.WriteString("task_sha256", Sha256Of(request.Task!));
            json.WriteString("targets", string.Join(',', request.Targets));
            json.WriteString("kind", tuner.Kind.ToString().ToLowerInvariant());
            json.WriteString("split", request.Groups is { } g ? "groups " + g : request.RandomSplit ? "random" : request.SplitColumn ?? DefaultSplit);
            if (request.Draws) json.WriteNumber("split_seed", request.SplitSeed ?? FinetuneRequest.DefaultSplitSeed);
            json.WriteString("preset", request.Preset);
            json.WriteNumber("learning_rate", o.LearningRate);
            json.WriteNumber("head_learning_rate", o.HeadLearningRate ?? o.LearningRate);
            json.WriteNumber("weight_decay", o.WeightDecay);
            json.WriteString("schedule", o.Schedule.ToString());
            if (o.Warmup is { } warmup) json.WriteNumber("warmup", warmup);
            json.WriteNumber("clip_norm", o.ClipNorm);
            json.WriteNumber("clip_value", o.ClipValue);
            json.WriteNumber("batch", o.Batch);
            json.WriteNumber("steps", tuner.Steps);
            json.WriteNumber("patience", o.Patience);
            json.WriteNumber("head_width", o.HeadBody);
            json.WriteNumber("head_layers", o.HeadLayers);
            json.WriteString("trained_layers", o.TrainedLayers?.ToString(CultureInfo.InvariantCulture) ?? "all");
            if (o.Lora is { } lora) json.WriteString("lora", string.Create(CultureInfo.InvariantCulture, $"rank {lora.Rank}, alpha {lora.Alpha}, {string.Join(' ', lora.Matrices)}"));
            if (o.FewShot is { } few) json.WriteNumber("few_shot", few);
            json.WriteBoolean("standardise", o.Standardise);
            json.WriteNumber("max_length", o.MaxLength);
            json.WriteBoolean("crop", o.Crop);
            json.WriteString("marks", o.Marks);
            json.WriteNumber("seed", o.Seed);
            json.WriteNumber("training_rows", tuner.TrainingRows);
            json.WriteNumber("validation_rows", tuner.ValidationRows);
            json.WriteEndObject();
        }
        memory.WriteByte((byte)'\n');
        return memory.ToArray();
    }

    private static string Sha256Of(string path)
    {
        using var stream = File.OpenRead(path);
        return Sha256.OfStream(stream);
    }

    private void Say(string line)
    {
        if (!request.Quiet) host.Error.WriteLine(line);
    }
}
