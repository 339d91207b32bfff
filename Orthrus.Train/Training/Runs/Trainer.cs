using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using Orthrus.Autograd;
using Orthrus.Mamba;
using Orthrus.Rna;
using Orthrus.Tensor;

namespace Orthrus.Train;

/// <summary>How a call of <see cref="Trainer.Run"/> ended.</summary>
public enum TrainEnd
{
    /// <summary>All steps are done and final/ is written.</summary>
    Finished,
    /// <summary>A limit of the call was reached; a checkpoint is written.</summary>
    Stopped,
    /// <summary>It was cancelled; a checkpoint is written.</summary>
    Interrupted,
}

/// <summary>Limits of one call, which change no result: the next call goes on.</summary>
public sealed record TrainLimits
{
    /// <summary>Stop when so many steps are done in all.</summary>
    public long? StopAt { get; init; }
    /// <summary>Stop after this time.</summary>
    public TimeSpan? Time { get; init; }
}

/// <summary>State of a run after a step.</summary>
/// <param name="Step">Steps done.</param>
/// <param name="Losses">Losses of the step.</param>
/// <param name="Nucleotides">Nucleotides of the step, both views, without padding.</param>
/// <param name="Validation">Result of a validation after the step, or null.</param>
public sealed record TrainProgress(long Step, StepLosses Losses, long Nucleotides, ValidationResult? Validation);

/// <summary>
/// Pre-trains a model: batches by number, steps, validation, log, checkpoints. The result is a function of the configuration and the batches alone: threads,
/// stops and kills in between change no bit of it.
/// </summary>
/// <remarks>
/// With several ranks each has a trainer over the same batches and shares the work of every step; rank 0 alone reads and writes the folder. As many ranks give the same
/// bytes every time; another number of them changes results by rounding, and a run may go on with it.
/// </remarks>
public sealed class Trainer : IDisposable
{
    // Numbers of validation batches in the counters of the masks; a run does not come near them.
    private const long ValidationNumbers = 1L << 31;

    private readonly TrainConfig _config;
    private readonly IPairBatches _training;
    private readonly IPairBatches? _validation;
    private readonly int _validationBatches;
    // Rank 0 alone has one.
    private readonly RunFolder? _folder;
    private readonly ICollective? _ranks;
    private readonly string? _corpus;
    private readonly TimeProvider _clock;
    private readonly ParameterStore _store;
    private readonly PretrainModel _model;
    private readonly Optimiser _optimiser;
    private readonly PretrainStep _step;
    private readonly WeightDecaySchedule? _decay;
    private readonly bool _resumed;
    private long _bestStep;
    private double _bestLoss = double.PositiveInfinity;

    /// <summary>Opens a run: new, or with <paramref name="resume"/> at its newest checkpoint, from the start where there is none.</summary>
    /// <param name="config">What to do.</param>
    /// <param name="device">Where; it stays open.</param>
    /// <param name="training">Batches of pairs to train on.</param>
    /// <param name="validation">Batches to validate on, or null.</param>
    /// <param name="folder">Folder of the run.</param>
    /// <param name="resume">Go on with the run that the folder holds.</param>
    /// <param name="batchesPerEpoch">Batches of an epoch, for a weight decay that moves by epochs; 0 where unknown.</param>
    /// <param name="validationBatches">Batches that <paramref name="validation"/> has.</param>
    /// <param name="clock">For limits and the wall times of event files; null takes the system's.</param>
    /// <param name="ranks">Processes that train together, each with a trainer like this one; null for this process alone. It stays open.</param>
    /// <param name="corpus">What the batches are drawn from, such as <see cref="CorpusFile.Identity"/>: a run goes on with the same alone. Null where nobody knows.</param>
    /// <exception cref="InputDataException">The folder holds a run and <paramref name="resume"/> is false, or one of another configuration or corpus, or a damaged checkpoint.</exception>
    /// <exception cref="ArgumentException">The configuration makes no sense.</exception>
    /// <exception cref="CheckpointException">The model to begin with cannot be read, or has other sizes.</exception>
    public Trainer(TrainConfig config, Device device, IPairBatches training, IPairBatches? validation, string folder, bool resume = false, long batchesPerEpoch = 0, int validationBatches = int.MaxValue, TimeProvider? clock = null,
        ICollective? ranks = null, string? corpus = null)
    {
        config.Validate();
        (_ranks, _corpus) = (ranks, corpus);
        if (ranks is not null && config.VirtualRanks > 1 && config.VirtualRanks < ranks.Ranks)
            throw new ArgumentException($"loss.virtual_ranks: is {config.VirtualRanks}, too few for {ranks.Ranks} processes; start at most as many, or set it to 1");
        (_config, _training, _validation, _clock) = (config, training, validation, clock ?? TimeProvider.System);
        _validationBatches = Math.Min(config.ValidationBatches, validationBatches);
        if (config.LargestDecay >= 0)
        {
            long perEpoch = config.StepsPerEpoch > 0 ? config.StepsPerEpoch : batchesPerEpoch / ((long)config.Accumulate * config.VirtualRanks);
            if (perEpoch < 1) throw new ArgumentException("optimiser.max_wd moves by epochs; give optimiser.steps_per_epoch");
            _decay = new(config.LargestDecay, config.Rates.Warmup, config.Steps, perEpoch);
        }
        _folder = ranks is { Rank: > 0 } ? null : new RunFolder(folder, resume);
        TrainCheckpoint.Header? header = null;
        string? newest = _folder?.Newest?.File;
        if (newest is not null)
        {
            header = TrainCheckpoint.ReadHeader(newest);
            if (ConfigKeys.Differences(header.Config, config) is [var first, ..] different)
                throw new InputDataException(folder, null, $"its run has another configuration ({first}{(different.Count > 1 ? $", and {different.Count - 1} more" : "")})", "give the same options, or another folder");
            if (header.Corpus is { } begun && corpus is not null && begun != corpus)
                throw new InputDataException(folder, null, $"its run was begun with another corpus (content {Short(begun)}, now {Short(corpus)})", "give the corpus it was begun with, or another folder");
            // A run of a program that noted none takes the one it goes on with.
            _corpus ??= header.Corpus;
            if (header.Step > config.Steps) throw new InputDataException(folder, null, $"its run has {header.Step} steps already, more than the {config.Steps} asked for", "give at least as many");
        }
        _store = new ParameterStore(device, config.DType);
        try
        {
            _model = new PretrainModel(_store, config.Encoder, config.Model);
            _model.Initialise(config.Seed);
            // A run that goes on has its weights in its checkpoint; the model that it began with may be gone.
            if (config.Init.Length > 0 && header is null) _model.Begin(OrthrusModel.Load(config.Init));
            _optimiser = new Optimiser(device, _model.Groups(config.ModelRate, config.ModelDecay, config.HeadRate, config.HeadDecay), config.Optimiser);
            _step = new PretrainStep(_model, _store, config.Step, ranks);
            if (header is not null)
            {
                TrainCheckpoint.Load(newest!, _model, _optimiser, header.Step);
                (Step, _resumed) = (header.Step, true);
                if (header.BestIsComparable) (_bestStep, _bestLoss) = (header.BestStep, header.BestLoss);
            }
            if (ranks is not null) _resumed = ShareState(ranks, _resumed);
            LastSaved = _resumed ? Step : null;
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    private static string Short(string identity) => identity.Length > 12 ? identity[..12] : identity;

    /// <summary>What rank 0 read, to the others: weights, running statistics, the optimiser's state, the step.</summary>
    private bool ShareState(ICollective ranks, bool resumed)
    {
        ranks.Same(Encoding.UTF8.GetBytes(ConfigKeys.Write(_config)), "configuration");
        double[] head = [Step, _bestStep, _bestLoss, resumed ? 1 : 0];
        ranks.Broadcast(MemoryMarshal.AsBytes(head.AsSpan()));
        (Step, _bestStep, _bestLoss) = ((long)head[0], (long)head[1], head[2]);
        _optimiser.Steps = Step;
        if (head[3] == 0) return false;
        foreach (var (_, p) in _model.NamedParameters()) ranks.Broadcast(p.Value);
        foreach (var (_, value) in _optimiser.State()) ranks.Broadcast(value);
        return true;
    }

    /// <summary>Steps done.</summary>
    public long Step { get; private set; }

    /// <summary>Step of the newest checkpoint, or null.</summary>
    public long? LastSaved { get; private set; }

    /// <summary>True where the run went on from a checkpoint.</summary>
    public bool Resumed => _resumed;

    /// <summary>The model, as it is now.</summary>
    public PretrainModel Model => _model;

    /// <summary>Trains until the end, a limit, or cancellation. A checkpoint is written in each case.</summary>
    /// <param name="limits">Limits of this call.</param>
    /// <param name="report">Called after every step.</param>
    /// <param name="cancel">Ends the call after the step in work.</param>
    /// <exception cref="DivergedException">A number that is not finite arose; nothing is written, and what was written stays.</exception>
    /// <exception cref="IOException">A file cannot be written; the newest checkpoint is still whole.</exception>
    public TrainEnd Run(TrainLimits? limits = null, Action<TrainProgress>? report = null, CancellationToken cancel = default)
    {
        limits ??= new();
        long start = _clock.GetTimestamp();
        _folder?.SaveConfig(_config);
        using var log = _folder is null ? null : new RunLog(_folder.LogPath, Step);
        using var events = _folder is null ? null : new TensorBoard(_folder.EventsPath, Step, _clock);
        while (Step < _config.Steps)
        {
            bool limit = Step >= limits.StopAt || _clock.GetElapsedTime(start) >= limits.Time, cancelled = cancel.IsCancellationRequested;
            // Ranks stop together, after the same step.
            if (_ranks is not null) (limit, cancelled) = (_ranks.Any(limit), _ranks.Any(cancelled));
            if (limit || cancelled)
            {
                Save(log);
                return cancelled ? TrainEnd.Interrupted : TrainEnd.Stopped;
            }
            var progress = Advance(log, events);
            report?.Invoke(progress);
            if (_config.CheckpointEvery > 0 && Step % _config.CheckpointEvery == 0) Save(log);
        }
        Save(log);
        if (_folder is not null)
        {
            var model = TrainCheckpoint.Export(_model, _optimiser, Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(_folder.Path))), Step);
            model.SaveLightning(_folder.FinalPath + ".ckpt");
            // Last: a folder with final/ is a run that is whole.
            model.SaveHuggingFace(_folder.FinalPath);
        }
        return TrainEnd.Finished;
    }

    private void Save(RunLog? log)
    {
        if (LastSaved == Step) return;
        log?.Save();
        _folder?.Save(_model, _optimiser, new(Step, _config, _bestStep, _bestLoss, true, _corpus));
        // What the others say of the last checkpoint is true only when it is there.
        _ranks?.Barrier();
        LastSaved = Step;
    }

    private TrainProgress Advance(RunLog? log, TensorBoard? events)
    {
        var weights = _config.WeightsAt(Step);
        double factor = _config.Rates.Factor(Step);
        _model.ClearGrads();
        var parts = new StepLosses[_config.Accumulate];
        var batches = new TrainBatch[_config.Accumulate][];
        for (int a = 0; a < parts.Length; a++)
        {
            batches[a] = [.. Enumerable.Range(0, _config.VirtualRanks).Select(r => Batch(_training, (Step * _config.Accumulate + a) * _config.VirtualRanks + r, 0))];
            parts[a] = _step.Run(batches[a], weights, 1.0 / _config.Accumulate);
        }
        _step.Reduce();
        var losses = Mean(parts);
        double norm = _optimiser.GradientNorm();
        if (!double.IsFinite(losses.Total) || !double.IsFinite(norm)) throw Diverged(batches, weights, losses.Total, norm);
        _optimiser.Step(factor, _decay is null ? null : wd => _decay.At(wd, Step));
        Step++;
        var validation = _validation is not null && _validationBatches > 0 && _config.ValidateEvery > 0 && Step % _config.ValidateEvery == 0 ? Validate() : null;
        double rate = _config.ModelRate * factor;
        log?.Add(json => Describe(json, losses, rate, norm, validation));
        events?.Add(Step, [.. Scalars(losses, rate, norm, validation)]);
        long nucleotides = batches.Sum(ranks => ranks.Sum(b => b.Pairs.Lengths.Sum(l => (long)l)));
        return new(Step, losses, nucleotides, validation);
    }

    private TrainBatch Batch(IPairBatches source, long number, long masks) => TrainBatch.Of(source.Batch(number), _config.Masking, _config.Seed, number + masks);

    // With the weights that the losses have in the end: while some of them rise, sums of different steps could not be compared.
    private ValidationResult Validate()
    {
        var weights = _config.WeightsAt(long.MaxValue);
        var result = Validation.Run(_model, _store, _config, weights, Enumerable.Range(0, _validationBatches).Select(i => Batch(_validation!, i, ValidationNumbers)));
        if (result.Loss < _bestLoss) (_bestStep, _bestLoss) = (Step, result.Loss);
        return result;
    }

    private static StepLosses Mean(StepLosses[] parts)
    {
        if (parts.Length == 1) return parts[0];
        double Of(Func<StepLosses, double> value) => parts.Average(value);
        return new()
        {
            Total = Of(p => p.Total), Contrastive = [.. parts[0].Contrastive.Select((_, h) => Of(p => p.Contrastive[h]))], MaskedLanguage = Of(p => p.MaskedLanguage), SpliceCodon = Of(p => p.SpliceCodon), Words = Of(p => p.Words),
            Ranks = [.. parts[0].Ranks.Select((_, r) => Of(p => p.Ranks[r]))], Accuracy = Of(p => p.Accuracy), PositiveSimilarity = Of(p => p.PositiveSimilarity), NegativeSimilarity = Of(p => p.NegativeSimilarity),
        };
    }

    private DivergedException Diverged(TrainBatch[][] batches, in LossWeights weights, double loss, double norm)
    {
        string where = string.Create(CultureInfo.InvariantCulture, $"the loss is {loss} and the norm of the gradients {norm}");
        // One process looks alone; the others wait for its word.
        using var alone = _ranks is null ? null : new PretrainStep(_model, _store, _config.Step with { MicroPairs = _config.MicroPairs > 0 ? _config.MicroPairs : Math.Max(2, _config.Pairs.Pairs / _ranks.Ranks) });
        var step = alone ?? _step;
        var search = new NonFinite(_model, step);
        for (int a = 0; a < batches.Length && _folder is not null; a++)
        {
            try
            {
                if (search.Parameter() is { } broken) where = $"parameter {broken} is not finite";
                _model.ClearGrads();
                step.Run(batches[a], weights, 1, search.Look);
            }
            catch (NonFinite.FoundException found)
            {
                where = found.Message + (batches.Length > 1 ? $" (batch {a} of the step's {batches.Length})" : "");
                break;
            }
        }
        return new($"step {Step + 1} (batch {Step * _config.Accumulate * _config.VirtualRanks}): {where}; nothing was written" +
            (_folder?.Newest is { } newest ? $", the last checkpoint is that of step {newest.Step}" : ", there is no checkpoint yet") + "; lower the learning rate, or set optimiser.clip_norm");
    }

    private void Describe(Utf8JsonWriter json, StepLosses losses, double rate, double norm, ValidationResult? validation)
    {
        json.WriteNumber("step", Step);
        foreach (var (tag, value) in Scalars(losses, rate, norm, null)) json.WriteNumber(tag, value);
        if (validation is null) return;
        json.WriteStartObject("validation");
        foreach (var (tag, value) in Scalars(validation)) json.WriteNumber(tag, value);
        json.WriteNumber("pairs", validation.Pairs);
        json.WriteEndObject();
    }

    private IEnumerable<(string Tag, double Value)> Scalars(StepLosses losses, double rate, double norm, ValidationResult? validation)
    {
        yield return ("loss", losses.Total);
        yield return ("lr", rate);
        yield return ("grad_norm", norm);
        if (_config.Contrastive)
        {
            yield return (losses.Contrastive.Length > 1 ? "contrastive_splice_self" : "contrastive", losses.Contrastive[0]);
            if (losses.Contrastive.Length > 1) yield return ("contrastive_ortholog", losses.Contrastive[1]);
            yield return ("accuracy", losses.Accuracy);
            yield return ("positive_similarity", losses.PositiveSimilarity);
            yield return ("negative_similarity", losses.NegativeSimilarity);
        }
        if (_config.MaskedBases) yield return ("masked_bases", losses.MaskedLanguage);
        if (_config.SpliceCodon) yield return ("splice_codon", losses.SpliceCodon);
        if (_config.TellsWords) yield return ("words", losses.Words);
        if (validation is not null)
            foreach (var (tag, value) in Scalars(validation)) yield return ("validation/" + tag, value);
    }

    private IEnumerable<(string Tag, double Value)> Scalars(ValidationResult v)
    {
        yield return ("loss", v.Loss);
        if (_config.Contrastive) yield return ("contrastive", v.Contrastive);
        if (_config.MaskedBases) yield return ("masked_bases", v.MaskedBases);
        if (_config.SpliceCodon) yield return ("splice_codon", v.SpliceCodon);
        if (_config.TellsWords) yield return ("words", v.Words);
        yield return ("retrieval", v.Retrieval);
        yield return ("alignment", v.Alignment);
        yield return ("uniformity", v.Uniformity);
    }

    /// <summary>Frees the model.</summary>
    public void Dispose()
    {
        _step?.Dispose();
        _optimiser?.Dispose();
        _store.Dispose();
    }
}
