using Orthrus.Mamba.Streaming;
using Orthrus.Tensor;
using Orthrus.Tensor.Cpu;

namespace Orthrus.Mamba;

/// <summary>One embedded record.</summary>
/// <param name="Record">What was given.</param>
/// <param name="Vector">The embedding, DModel floats.</param>
/// <param name="Vector64">The same in double where the embedder computes in F64, else null.</param>
public readonly record struct Embedded<TRecord>(TRecord Record, float[] Vector, double[]? Vector64);

/// <summary>Receives per-position results of a record in ascending order; records come in the order of input. It runs on a worker thread, never twice at once.</summary>
/// <param name="record">Whose.</param>
/// <param name="start">First position, 0-based.</param>
/// <param name="rows">n x DModel floats, row-major.</param>
/// <param name="rows64">The same in double where the embedder computes in F64, else empty.</param>
public delegate void PositionHandler<in TRecord>(TRecord record, int start, ReadOnlySpan<float> rows, ReadOnlySpan<double> rows64);

/// <summary>
/// Turns transcripts into embeddings on the CPU. A transcript walks through all layers in chunks with carried state, so memory does not depend
/// on its length, and the result is the same bits whatever the chunk length, the other records, and the number of threads.
/// </summary>
/// <remarks>Not for concurrent use: one call at a time; make several embedders, or pass many records to <see cref="EmbedAll"/>, which uses all threads.</remarks>
public sealed class Embedder : IDisposable
{
    private readonly StreamEngine _engine;
    private readonly StreamScheduler _scheduler;
    private readonly EmbedderOptions _options;
    private readonly int _threads;
    private int _busy;

    /// <summary>Packs the weights of an encoder.</summary>
    /// <param name="config">Sizes.</param>
    /// <param name="tensor">Weights by published name ("layers.0.mixer.in_proj.weight"), row-major; asked for once each.</param>
    /// <param name="options">Threads, precision, pooling.</param>
    internal Embedder(MambaConfig config, Func<string, double[]> tensor, EmbedderOptions? options = null)
    {
        _options = options ?? new EmbedderOptions();
        if (_options.DType is not (DType.F32 or DType.F64)) throw new ArgumentException($"embedding in {_options.DType}: choose F32 or F64", nameof(options));
        if (config.Bidirectional) throw new NotSupportedException("the bidirectional encoder does not stream");
        _threads = _options.Threads > 0 ? _options.Threads : Environment.ProcessorCount;
        Width = _options.VectorWidth > 0 ? VectorWidths.Checked(_options.VectorWidth) : VectorWidths.Default;
        _engine = StreamEngine.Create(config, tensor, _options.DType == DType.F64, Width, _options.ChunkLength > 0 ? _options.ChunkLength : 96, _threads, _options.Pooling);
        _scheduler = new StreamScheduler(_engine, _threads);
        Dimension = config.DModel;
    }

    /// <summary>Packs the weights of a model.</summary>
    /// <param name="model">A loaded or random model.</param>
    /// <param name="options">Threads, precision, pooling; null for the defaults.</param>
    /// <exception cref="ArgumentException">Options that do not exist.</exception>
    public Embedder(OrthrusModel model, EmbedderOptions? options = null) : this(model.Config, name => model.Encoder[name].ToDouble(), options) => Model = model;

    /// <summary>Loads a model and packs its weights.</summary>
    /// <param name="pathOrName">A folder, a file, or the name of a built-in model; see <see cref="OrthrusModel.Load"/>.</param>
    /// <param name="options">Threads, precision, pooling; null for the defaults.</param>
    /// <exception cref="CheckpointException">The model cannot be loaded.</exception>
    public static Embedder Load(string pathOrName, EmbedderOptions? options = null) => new(OrthrusModel.Load(pathOrName), options);

    /// <summary>The model; null only for an embedder made from bare tensors.</summary>
    public OrthrusModel? Model { get; }

    /// <summary>Device, dtype, vector width and threads in words.</summary>
    public string Description => $"cpu, {_options.DType}, {Width}-bit vectors, {_threads} {(_threads == 1 ? "thread" : "threads")}";

    /// <summary>Width of the embedding.</summary>
    public int Dimension { get; }

    /// <summary>Vector width in use, in bits.</summary>
    public int Width { get; }

    /// <summary>Embeds one transcript.</summary>
    /// <param name="tracks">Track bytes, 5' to 3', at least one.</param>
    /// <returns>DModel floats.</returns>
    /// <exception cref="ArgumentException">No positions.</exception>
    public float[] Embed(ReadOnlyMemory<byte> tracks)
    {
        foreach (var result in EmbedAll([tracks], t => t)) return result.Vector;
        throw new InvalidOperationException("no result");
    }

    /// <summary>Embeds many records as a stream: results come in the order of input, a few chunks after their record was read.</summary>
    /// <param name="records">Read lazily, on the calling thread. Its exceptions pass through unchanged.</param>
    /// <param name="tracks">Track bytes of a record, at least one.</param>
    /// <param name="positions">Receives per-position results, or null.</param>
    /// <exception cref="ArgumentException">A record without positions.</exception>
    public IEnumerable<Embedded<TRecord>> EmbedAll<TRecord>(IEnumerable<TRecord> records, Func<TRecord, ReadOnlyMemory<byte>> tracks, PositionHandler<TRecord>? positions = null)
    {
        if (Interlocked.Exchange(ref _busy, 1) != 0) throw new InvalidOperationException("this embedder is already at work: use one per concurrent caller");
        try
        {
            var finished = new Queue<Record<TRecord>>();
            var free = new Stack<Chunk>();
            _scheduler.Completed = chunk =>
            {
                foreach (var s in chunk.Segments)
                    if (s.IsLast) lock (finished) finished.Enqueue((Record<TRecord>)s.Record);
                lock (free) free.Push(chunk);
            };
            using var source = records.GetEnumerator();
            Record<TRecord>? current = null;
            bool ended = false;
            Chunk? own = null;
            while (true)
            {
                int version = _scheduler.Version;
                while (!ended && _scheduler.HasRoom)
                {
                    var chunk = Rent(free);
                    while (chunk.Rows < _engine.ChunkRows)
                    {
                        if (current is null)
                        {
                            if (!source.MoveNext())
                            {
                                ended = true;
                                break;
                            }
                            current = Begin(source.Current, tracks(source.Current), positions);
                        }
                        int take = Math.Min(_engine.ChunkRows - chunk.Rows, current.Tracks.Length - current.Fed);
                        current.Tracks.Span.Slice(current.Fed, take).CopyTo(chunk.Tracks.AsSpan(chunk.Rows));
                        chunk.Segments.Add(new Segment(current, chunk.Rows, take, current.Fed));
                        chunk.Rows += take;
                        current.Fed += take;
                        if (current.Fed == current.Tracks.Length) current = null;
                    }
                    if (chunk.Rows > 0) _scheduler.Add(chunk);
                }
                while (true)
                {
                    Record<TRecord>? record;
                    lock (finished) if (!finished.TryDequeue(out record)) break;
                    yield return Result(record);
                }
                if (ended && _scheduler.Idle)
                {
                    lock (finished) if (finished.Count == 0) yield break;
                    continue;
                }
                _scheduler.Help(ref own, version);
            }
        }
        finally
        {
            _scheduler.Reset();
            Volatile.Write(ref _busy, 0);
        }
    }

    /// <summary>Ends the threads and frees the packed weights.</summary>
    public void Dispose()
    {
        _scheduler.Dispose();
        _engine.Dispose();
    }

    private Chunk Rent(Stack<Chunk> free)
    {
        Chunk? chunk;
        lock (free) if (!free.TryPop(out chunk)) chunk = new Chunk { Tracks = new byte[_engine.ChunkRows] };
        chunk.Rows = 0;
        chunk.Segments.Clear();
        return chunk;
    }

    private Record<TRecord> Begin<TRecord>(TRecord item, ReadOnlyMemory<byte> tracks, PositionHandler<TRecord>? positions)
    {
        if (tracks.Length == 0) throw new ArgumentException("a record without positions cannot be embedded");
        return new Record<TRecord> { Item = item, Tracks = tracks, Pool = new double[Dimension], Handler = positions };
    }

    private Embedded<TRecord> Result<TRecord>(Record<TRecord> record)
    {
        var wide = new double[Dimension];
        _engine.Finish(record, wide);
        return new Embedded<TRecord>(record.Item, Array.ConvertAll(wide, v => (float)v), _options.DType == DType.F64 ? wide : null);
    }

    private sealed class Record<TRecord> : StreamRecord
    {
        internal required TRecord Item;
        internal PositionHandler<TRecord>? Handler;
        internal override bool WantsPositions => Handler is not null;
        internal override void Positions(int start, ReadOnlySpan<float> rows, ReadOnlySpan<double> rows64) => Handler!(Item, start, rows, rows64);
    }
}
