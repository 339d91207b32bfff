using Orthrus.Autograd;
using Orthrus.Tensor;

namespace Orthrus.Mamba;

/// <summary>One predicted record.</summary>
/// <param name="Record">What was given.</param>
/// <param name="Values">A number per target: a value in the units of the training table, or a probability.</param>
public readonly record struct Predicted<TRecord>(TRecord Record, double[] Values);

/// <summary>
/// Applies a fine-tuned model to transcripts: the streaming encoder of <see cref="Embedder"/>, then the head, then the units of the training table. Results are the same bits
/// whatever the threads and the other records.
/// </summary>
/// <remarks>Not for concurrent use, as an embedder.</remarks>
public sealed class Predictor : IDisposable
{
    private readonly CpuDevice _device = new(1);
    private readonly ParameterStore _store;
    private readonly TaskHead _head;
    private readonly Embedder _embedder;

    /// <summary>Prepares a model.</summary>
    /// <param name="model">A fine-tuned model, with its head and <see cref="OrthrusModel.Task"/>.</param>
    /// <param name="options">Threads and device; F32 and the mean over positions. Null for the defaults.</param>
    /// <exception cref="CheckpointException">The model has no fine-tuned head, or one that does not fit its task.</exception>
    /// <exception cref="ArgumentException">Another precision or pooling.</exception>
    public Predictor(OrthrusModel model, EmbedderOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        options ??= new();
        if (options.DType != DType.F32 || options.Pooling != Pooling.Mean) throw new ArgumentException("heads are trained on F32 means over positions: leave DType and Pooling", nameof(options));
        Task = model.Task ?? throw new CheckpointException(model.Source, null, "the model has no fine-tuned head: it gives embeddings, no predictions", "fine-tune it first with `orthrus finetune`, and give that run's final/");
        Model = model;
        _store = new(_device, DType.F32);
        try
        {
            var head = model.CreateProjectionHead(_store, PredictionTask.Head);
            if (head.Config.DIn != model.Config.DModel || head.Config.DOut != Task.Targets.Count)
                throw new CheckpointException(model.Source, PredictionTask.Head, $"the head maps {head.Config.DIn} numbers to {head.Config.DOut}; want {model.Config.DModel} to {Task.Targets.Count}", "take config.json and weights of one run");
            _head = new(head, _device, Task);
            _embedder = new(model, options);
        }
        catch
        {
            _head?.Dispose();
            _store.Dispose();
            _device.Dispose();
            throw;
        }
    }

    /// <summary>Loads a fine-tuned model.</summary>
    /// <param name="path">Its folder: RUN/final of `orthrus finetune`.</param>
    /// <param name="options">Threads and device; null for the defaults.</param>
    /// <exception cref="CheckpointException">The model cannot be loaded, or has no fine-tuned head.</exception>
    public static Predictor Load(string path, EmbedderOptions? options = null) => new(OrthrusModel.Load(path), options);

    /// <summary>The model.</summary>
    public OrthrusModel Model { get; }

    /// <summary>What it predicts.</summary>
    public PredictionTask Task { get; }

    /// <summary>Device, dtype, vector width and threads in words.</summary>
    public string Description => _embedder.Description;

    /// <summary>Predicts one transcript.</summary>
    /// <param name="tracks">Track bytes, 5' to 3', at least one; see <see cref="Embedder.Embed"/>.</param>
    /// <returns>A number per target.</returns>
    /// <exception cref="ArgumentException">No positions.</exception>
    public double[] Predict(ReadOnlyMemory<byte> tracks) => PredictAll([tracks], t => t).Single().Values;

    /// <summary>Predicts many records as a stream, in the order of input.</summary>
    /// <param name="records">Read lazily, on the calling thread. Its exceptions pass through unchanged.</param>
    /// <param name="tracks">Track bytes of a record, at least one.</param>
    /// <returns>One result per record, computed while it is enumerated. NaN says that a number of the encoder or the head overflowed.</returns>
    public IEnumerable<Predicted<TRecord>> PredictAll<TRecord>(IEnumerable<TRecord> records, Func<TRecord, ReadOnlyMemory<byte>> tracks)
    {
        ArgumentNullException.ThrowIfNull(tracks);
        return _embedder.EmbedAll(records, r => Cropped(tracks(r), Task.Crop)).Select(e => new Predicted<TRecord>(e.Record, _head.Finish(_head.Raw(e.Vector, null))));
    }

    /// <summary>The part of a record that a model reads.</summary>
    internal static ReadOnlyMemory<byte> Cropped(ReadOnlyMemory<byte> tracks, int crop) => crop > 0 && tracks.Length > crop ? tracks[..crop] : tracks;

    /// <summary>Frees weights and threads.</summary>
    public void Dispose()
    {
        _embedder.Dispose();
        _head.Dispose();
        _store.Dispose();
        _device.Dispose();
    }
}

/// <summary>A head at inference, one vector at a time, so that a result does not depend on the others.</summary>
internal sealed class TaskHead(ProjectionHead head, Device device, PredictionTask task) : IDisposable
{
    private readonly Tape _tape = Tape.Off(device);

    /// <summary>The head's own numbers: standardised values, or logits.</summary>
    /// <param name="vector">The embedding.</param>
    /// <param name="wide">The same in double for a head in F64; else null.</param>
    internal double[] Raw(float[] vector, double[]? wide)
    {
        _tape.Reset();
        using var scope = device.OpenScope();
        var shape = new Shape(1, vector.Length);
        var x = wide is null ? scope.From<float>(vector, shape) : scope.From<double>(wide, shape);
        var y = head.Forward(_tape, _tape.Constant(x), training: false).Value;
        return wide is null ? Array.ConvertAll(y.ToArray<float>(), v => (double)v) : y.ToArray<double>();
    }

    /// <summary>Values in the units of the table, or probabilities.</summary>
    internal double[] Finish(double[] raw) =>
        task.Kind != PredictionKind.Regression ? Array.ConvertAll(raw, v => v >= 0 ? 1 / (1 + Math.Exp(-v)) : 1 - 1 / (1 + Math.Exp(v)))
        : task.Mean.Count == 0 ? raw : [.. raw.Select((v, k) => task.Mean[k] + task.Scale[k] * v)];

    public void Dispose() => _tape.Dispose();
}
