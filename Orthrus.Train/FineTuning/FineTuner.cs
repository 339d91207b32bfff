using System.Runtime.InteropServices;
using System.Text.Json;
using Orthrus.Autograd;
using Orthrus.Mamba;
using Orthrus.Rna;
using Orthrus.Tensor;
using Orthrus.Train.Probing;

namespace Orthrus.Train;

/// <summary>What the validation rows said after an update.</summary>
/// <param name="Step">Updates done.</param>
/// <param name="Loss">Mean loss, heads with running statistics.</param>
/// <param name="Metric">Name of the score: pearson (mean over targets), auprc or auprc_micro.</param>
/// <param name="Score">The larger the better; NaN where it is not defined.</param>
/// <param name="Best">True for the best so far.</param>
public sealed record FineTuneValidation(long Step, double Loss, string Metric, double Score, bool Best);

/// <summary>State after an update.</summary>
/// <param name="Step">Updates done.</param>
/// <param name="Steps">Updates of the whole run, unless it stops early.</param>
/// <param name="Loss">Loss of the batch.</param>
/// <param name="Nucleotides">Nucleotides of the batch.</param>
/// <param name="Validation">Result of a validation after the update, or null.</param>
public sealed record FineTuneProgress(long Step, long Steps, double Loss, long Nucleotides, FineTuneValidation? Validation);

/// <summary>What fine-tuning gave.</summary>
/// <param name="Model">The best weights as an ordinary model with its head and task; low-rank updates are merged.</param>
/// <param name="Best">The validation that chose them.</param>
/// <param name="Steps">Updates done.</param>
/// <param name="StoppedEarly">True where patience ended the run.</param>
/// <param name="Predictions">What the model says of validation rows (and of test rows, where asked), by row of the table: values, or logits of labels; NaN for other rows.</param>
/// <param name="Table">The table with the parts that were really used, for <see cref="Probe"/>.</param>
public sealed record FineTuneResult(OrthrusModel Model, FineTuneValidation Best, long Steps, bool StoppedEarly, double[] Predictions, ProbeTable Table);

/// <summary>
/// Fine-tunes a model on a labelled table: encoder, last layers, low-rank updates or the head alone. The result depends on model, table and options alone: it is the same bits
/// whatever the threads. A frozen encoder embeds every row once.
/// </summary>
/// <example><code>
/// using var device = new CpuDevice(0);
/// var table = ProbeTable.Read("t.tsv", new ProbeColumns { Targets = ["halflife"], Split = "split" }, CdsPolicy.Annotated);
/// using var tuner = new FineTuner(OrthrusModel.Load("model"), table, FineTunePresets.Find("quick"), device);
/// tuner.Run().Model.SaveHuggingFace("final");
/// </code></example>
public sealed class FineTuner : IDisposable
{
    private const int MostValidations = 50;

    // Of the operator, as of PyTorch's BatchNorm1d.
    private const double BatchNormMomentum = 0.1;

    private readonly OrthrusModel _start;
    private readonly FineTuneOptions _options;
    private readonly Device _device;
    private readonly FineTuneData _data;
    private readonly FineTuneBatches _batches;
    private readonly ParameterStore _store;
    private readonly FineTuneModel _model;
    private readonly LowRankUpdate[] _updates;
    private readonly Optimiser _optimiser;
    private readonly FineTuneStep _step;
    private readonly PredictionTask _task;
    private readonly TaskHead _head;
    private readonly LearningRateSchedule _schedule;
    private readonly long _every;
    private double[]? _vectors;

    /// <summary>Prepares a run: rows, weights, optimiser.</summary>
    /// <param name="start">The model to begin with; its heads are not used.</param>
    /// <param name="table">Labelled rows with parts: train, validation, and test where asked.</param>
    /// <param name="options">How.</param>
    /// <param name="device">Where; it stays open.</param>
    /// <param name="remark">Receives what people should know: rows left out, labels with one class only. Null for nobody.</param>
    /// <param name="dtype">F32, or on the CPU F64 for checking.</param>
    /// <exception cref="ArgumentException">Options that make no sense.</exception>
    /// <exception cref="InputDataException">The rows cannot be trained on.</exception>
    public FineTuner(OrthrusModel start, ProbeTable table, FineTuneOptions options, Device device, ProbeRemark? remark = null, DType dtype = DType.F32)
    {
        ArgumentNullException.ThrowIfNull(start);
        ArgumentNullException.ThrowIfNull(table);
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(device);
        options.Validate();
        if (options.TrainedLayers > start.Config.NLayer) throw new ArgumentException($"{options.TrainedLayers} trained layers: {start.Name} has {start.Config.NLayer}");
        (_start, _options, _device) = (start, options, device);
        _data = new(table, options, remark ?? (_ => { }));
        _batches = new(_data.Train, options.Batch, options.Seed);
        Steps = options.Steps ?? (long)options.Epochs * _batches.PerEpoch;
        _every = options.ValidateEvery ?? Math.Max(_batches.PerEpoch, (Steps + MostValidations - 1) / MostValidations);
        _schedule = new(options.Schedule, Steps, options.Warmup, options.FirstFactor);
        _task = new()
        {
            Name = options.Task, Kind = _data.Kind switch { ProbeKind.Binary => PredictionKind.Binary, ProbeKind.Multilabel => PredictionKind.Multilabel, _ => PredictionKind.Regression },
            Targets = [.. table.Targets], Mean = _data.Mean, Scale = _data.Scale, Marks = start.Config.NTracks == 4 ? "none" : options.Marks, Crop = options.Crop ? options.MaxLength : 0,
            Base = start.Name, BaseSha256 = start.Sha256,
        };
        _store = new(device, dtype);
        try
        {
            _model = new(_store, start.Config, table.Targets.Count, options.HeadBody, options.HeadLayers);
            ModelModules.Fill(_model.Encoder, start.Encoder, "", start.Source);
            ModelInit.InitialiseHead(_model.Head, options.Seed, PredictionTask.Head + ".");
            _model.TrainLast(options.TrainedLayers);
            _updates = options.Lora is { } lora ? LowRankUpdate.Of(_store, _model.Encoder, lora, options.TrainedLayers, options.Seed) : [];
            foreach (var update in _updates) update.Apply();
            var groups = _model.Groups(options.LearningRate, options.WeightDecay, options.HeadLearningRate ?? options.LearningRate, options.WeightDecay);
            if (_updates.Length > 0)
                groups = [new("updates", [.. _updates.SelectMany(u => new KeyValuePair<string, Parameter>[] { new(u.Name + ".lora_A", u.A), new(u.Name + ".lora_B", u.B) })], options.LearningRate, options.WeightDecay), groups[1]];
            _optimiser = new(device, groups, new OptimiserOptions { ClipNorm = options.ClipNorm, ClipValue = options.ClipValue });
            _step = new(_model, _store, _updates, options.ActivationBytes);
            _head = new(_model.Head, device, _task);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Updates of the run, unless it stops early.</summary>
    public long Steps { get; }

    /// <summary>Training rows.</summary>
    public int TrainingRows => _data.Train.Length;

    /// <summary>Validation rows.</summary>
    public int ValidationRows => _data.Validation.Length;

    /// <summary>Kind of the task.</summary>
    public ProbeKind Kind => _data.Kind;

    /// <summary>Numbers that are trained: weights that are not frozen, or the low-rank updates, and the head.</summary>
    public long TrainedParameters => (_updates.Length > 0 ? _updates.Sum(u => u.A.Shape.Count + u.B.Shape.Count) : Trainable(_model.Encoder)) + Trainable(_model.Head);

    private static long Trainable(Module module) => module.NamedParameters().Where(p => !p.Value.IsBuffer && p.Value.RequiresGrad).Sum(p => p.Value.Shape.Count);

    /// <summary>Trains to the end or until patience is lost, and takes the best weights. Once.</summary>
    /// <param name="folder">Receives log.jsonl (an object per update) and events/ (TensorBoard); null for neither.</param>
    /// <param name="report">Called after every update.</param>
    /// <param name="cancel">Ends the call between updates.</param>
    /// <exception cref="DivergedException">A number that is not finite arose.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    /// <exception cref="IOException">A file cannot be written.</exception>
    public FineTuneResult Run(string? folder = null, Action<FineTuneProgress>? report = null, CancellationToken cancel = default)
    {
        if (_optimiser.Steps > 0) throw new InvalidOperationException("this run is over: make another FineTuner");
        if (folder is not null) Directory.CreateDirectory(folder);
        using var log = folder is null ? null : new RunLog(Path.Combine(folder, "log.jsonl"), 0);
        using var events = folder is null ? null : new TensorBoard(Path.Combine(folder, "events"), 0, TimeProvider.System);
        if (_options.TrainedLayers == 0) _vectors = EmbedOnce(cancel);
        FineTuneValidation? best = null;
        byte[][] kept = [];
        long step = 0;
        int misses = 0;
        while (step < Steps && !(_options.Patience > 0 && misses >= _options.Patience))
        {
            cancel.ThrowIfCancellationRequested();
            int[] rows = _batches.Of(step);
            double factor = _schedule.Factor(step), loss = Update(step, rows, factor, out double norm);
            step++;
            FineTuneValidation? found = null;
            if (step % _every == 0 || step == Steps)
            {
                var running = Debiased();
                found = Validate(step, best, cancel);
                (misses, best) = found.Best ? (0, found) : (misses + 1, best);
                if (found.Best) kept = Snapshot();
                foreach (var (p, bytes) in running) _device.Upload(p.Value.Address, bytes);
            }
            log?.Add(json => Describe(json, step, loss, _options.LearningRate * factor, norm, found));
            events?.Add(step, [("loss", loss), ("lr", _options.LearningRate * factor), ("grad_norm", norm), .. found is null ? Array.Empty<(string, double)>() : [("validation/loss", found.Loss), ("validation/" + found.Metric, found.Score)]]);
            report?.Invoke(new(step, Steps, loss, rows.Sum(r => (long)_data.Tracks(r).Length), found));
        }
        log?.Save();
        Restore(kept);
        return new(Export(), best!, step, step < Steps, Predictions(cancel), _data.Table);
    }

    private double Update(long step, int[] rows, double factor, out double norm)
    {
        _model.ClearGrads();
        foreach (var u in _updates)
        {
            u.A.ClearGrad();
            u.B.ClearGrad();
        }
        double[] targets = _data.Targets(rows);
        double loss = _vectors is not null ? _step.RunHead(Gathered(rows), targets, _data.Loss) : _step.Run([.. rows.Select(_data.Tracks)], targets, _data.Loss);
        norm = _optimiser.GradientNorm();
        if (!double.IsFinite(loss) || !double.IsFinite(norm))
            throw new DivergedException(FormattableString.Invariant($"step {step + 1}: the loss is {loss} and the norm of the gradients {norm}; no model was written; lower the learning rate (now {_options.LearningRate}), or clip by norm"));
        _optimiser.Step(factor);
        foreach (var update in _updates) update.Apply();
        return loss;
    }

    private double[] Gathered(int[] rows)
    {
        int width = _start.Config.DModel;
        var part = new double[rows.Length * width];
        for (int i = 0; i < rows.Length; i++) _vectors.AsSpan(rows[i] * width, width).CopyTo(part.AsSpan(i * width));
        return part;
    }

    private int Threads => _device is CpuDevice cpu ? cpu.Workers.Threads : 0;

    /// <summary>Vectors of all rows that are used, by an encoder that will not change: from the cache of <see cref="Embeddings"/> where they are known.</summary>
    private double[] EmbedOnce(CancellationToken cancel)
    {
        int[] rows = [.. Enumerable.Range(0, _data.Table.Rows).Where(r => _data.Table.PartOf(r) != Part.None)];
        if (_store.DType == DType.F64) return Embed(rows, cancel);
        var found = Embeddings.Get(_start, [.. rows.Select(r => _data.Table.Transcripts[r] with { Tracks = _data.Tracks(r) })], null, Threads, _ => cancel.ThrowIfCancellationRequested(), _device as CudaDevice);
        var vectors = new double[_data.Table.Rows * found.Width];
        for (int i = 0; i < rows.Length; i++)
            for (int d = 0; d < found.Width; d++) vectors[rows[i] * found.Width + d] = found.Values[i * found.Width + d];
        return vectors;
    }

    /// <summary>Vectors of rows by the encoder as it is now, at their places in table x DModel; the streaming encoder, as predictions have it.</summary>
    private double[] Embed(IEnumerable<int> rows, CancellationToken cancel)
    {
        int width = _start.Config.DModel;
        var vectors = new double[_data.Table.Rows * width];
        var weights = _model.Encoder.NamedParameters().ToDictionary(p => p.Key, p => p.Value);
        using var embedder = new Embedder(_start.Config, name => weights[name].Value.ToDoubles(), new EmbedderOptions { Threads = Threads, Device = _device as CudaDevice, DType = _store.DType });
        foreach (var e in embedder.EmbedAll(rows, _data.Tracks))
        {
            cancel.ThrowIfCancellationRequested();
            for (int i = 0; i < width; i++) vectors[e.Record * width + i] = e.Vector64 is { } wide ? wide[i] : e.Vector[i];
        }
        return vectors;
    }

    /// <summary>The head's numbers for rows, row-major.</summary>
    private double[] Raw(int[] rows, CancellationToken cancel)
    {
        double[] vectors = _vectors ?? Embed(rows, cancel);
        int width = _start.Config.DModel;
        return [.. rows.SelectMany(r =>
        {
            double[] v = vectors[(r * width)..((r + 1) * width)];
            return _head.Raw(Array.ConvertAll(v, x => (float)x), _store.DType == DType.F64 ? v : null);
        })];
    }

    private FineTuneValidation Validate(long step, FineTuneValidation? best, CancellationToken cancel)
    {
        int[] rows = _data.Validation;
        double[] raw = Raw(rows, cancel), targets = _data.Targets(rows);
        int n = _task.Targets.Count;
        double loss = raw.Zip(targets, (y, t) => _data.Kind == ProbeKind.Regression ? (y - t) * (y - t) : Math.Max(y, 0) - y * t + Math.Log(1 + Math.Exp(-Math.Abs(y)))).Average();
        double[] Column(double[] values, int target) => [.. rows.Select((_, i) => values[i * n + target])];
        if (!double.IsFinite(loss)) throw new DivergedException(FormattableString.Invariant($"step {step}: the validation loss is {loss}; no model was written; lower the learning rate (now {_options.LearningRate}), or clip by norm"));
        double score = _data.Kind == ProbeKind.Regression
            ? Enumerable.Range(0, n).Average(t => Metrics.Pearson(Column(raw, t), Column(targets, t)))
            : new RankingScorer(Array.ConvertAll(targets, t => t == 1), raw, n).MicroAveragePrecision(null);
        // Where the score says nothing (one validation row, one class), the loss decides.
        bool better = best is null || (double.IsNaN(score) && double.IsNaN(best.Score) ? loss < best.Loss : score > best.Score || !double.IsNaN(score) && double.IsNaN(best.Score));
        return new(step, loss, _data.Kind switch { ProbeKind.Regression => "pearson", ProbeKind.Binary => "auprc", _ => "auprc_micro" }, score, better);
    }

    private static void Describe(Utf8JsonWriter json, long step, double loss, double rate, double norm, FineTuneValidation? found)
    {
        json.WriteNumber("step", step);
        json.WriteNumber("loss", loss);
        json.WriteNumber("lr", rate);
        json.WriteNumber("grad_norm", norm);
        if (found is null) return;
        json.WriteStartObject("validation");
        json.WriteNumber("loss", found.Loss);
        if (double.IsNaN(found.Score)) json.WriteNull(found.Metric);
        else json.WriteNumber(found.Metric, found.Score);
        json.WriteBoolean("best", found.Best);
        json.WriteEndObject();
    }

    // Frozen weights are the same in every snapshot.
    private IEnumerable<Parameter> Changing() => _model.NamedParameters().Where(p => p.Value.IsBuffer || p.Value.RequiresGrad).Select(p => p.Value);

    /// <summary>Takes the start out of the head's running statistics; returns what they were.</summary>
    private List<(Parameter Parameter, byte[] Bytes)> Debiased()
    {
        var before = new List<(Parameter, byte[])>();
        if (!_options.DebiasStatistics) return before;
        double left = Math.Pow(1 - BatchNormMomentum, _optimiser.Steps);
        foreach (var (name, p) in _model.Head.NamedParameters())
        {
            bool variance = name.EndsWith("running_var", StringComparison.Ordinal);
            if (!variance && !name.EndsWith("running_mean", StringComparison.Ordinal)) continue;
            before.Add((p, TrainCheckpoint.Of("", p.Value).ToBytes()));
            using var scope = _device.OpenScope();
            p.Assign(scope.Reals([.. p.Value.ToDoubles().Select(v => variance ? Math.Max(0, (v - left) / (1 - left)) : v / (1 - left))], p.Shape, _store.DType));
        }
        return before;
    }

    private byte[][] Snapshot() => [.. Changing().Select(p => TrainCheckpoint.Of("", p.Value).ToBytes())];

    private void Restore(byte[][] kept)
    {
        foreach (var (p, bytes) in Changing().Zip(kept)) p.Value.Device.Upload(p.Value.Address, bytes);
    }

    private double[] Predictions(CancellationToken cancel)
    {
        int n = _task.Targets.Count;
        var all = new double[_data.Table.Rows * n];
        Array.Fill(all, double.NaN);
        int[] rows = [.. _data.Validation, .. _data.Test];
        double[] raw = Raw(rows, cancel);
        for (int i = 0; i < rows.Length; i++)
        {
            double[] of = raw[(i * n)..((i + 1) * n)];
            (_data.Kind == ProbeKind.Regression ? _head.Finish(of) : of).CopyTo(all, rows[i] * n);
        }
        return all;
    }

    private OrthrusModel Export()
    {
        var encoder = new StateDict();
        var heads = new StateDict();
        var sum = new Sha256();
        foreach (var (name, p) in _model.NamedParameters())
        {
            const string prefix = "model.";
            bool inEncoder = name.StartsWith(prefix, StringComparison.Ordinal);
            var tensor = p.Value.DType == DType.I64 ? Kept(name, p.Value) : StateTensor.FromSingle(inEncoder ? name[prefix.Length..] : name, Array.ConvertAll(p.Value.ToDoubles(), v => (float)v), Extents(p.Value));
            (inEncoder ? encoder : heads).Add(tensor);
            sum.Append(tensor.ToBytes());
        }
        bool changed = _options.TrainedLayers != 0;
        return new() { Config = _start.Config, Encoder = encoder, Heads = heads, Name = _start.Name + Suffix, Source = _start.Source, Format = "training", Sha256 = sum.Finish(), Trained = _start.Trained || changed, Task = _task };

        static StateTensor Kept(string name, Tensor.Tensor value)
        {
            byte[] bytes = MemoryMarshal.AsBytes(value.ToArray<long>().AsSpan()).ToArray();
            return new(name, DType.I64, Extents(value), to => bytes.CopyTo(to));
        }

        static long[] Extents(Tensor.Tensor value) => [.. Enumerable.Range(0, value.Shape.Rank).Select(i => (long)value.Shape[i])];
    }

    /// <summary>What follows the name of the model in results.</summary>
    public const string Suffix = " fine-tuned";

    /// <summary>Frees the model.</summary>
    public void Dispose()
    {
        _head?.Dispose();
        _step?.Dispose();
        _optimiser?.Dispose();
        foreach (var update in _updates ?? []) update.Dispose();
        _store.Dispose();
    }
}
