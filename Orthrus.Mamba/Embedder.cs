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
/// Turns transcripts into embeddings, on the CPU or CUDA devices. On the CPU a transcript walks through all layers in chunks with carried state, so memory does not depend
/// on its length, and the result is the same bits whatever the chunk length, the other records, and the number of threads. A bidirectional
/// encoder cannot stream: it takes one whole record after the other, in memory that grows with the longest one (<see cref="BytesPerNucleotide"/>).
/// </summary>
/// <remarks>
/// Not for concurrent use: one call at a time; make several embedders, or pass many records to <see cref="EmbedAll"/>, which uses all threads.
/// After an exception, or an enumeration that was given up, the embedder is as good as new.
/// </remarks>
public sealed class Embedder : IDisposable
{
    private const int LongestChunk = 1 << 16, MostThreads = 1024;
    private readonly StreamEngine? _engine;
    private readonly StreamScheduler? _scheduler;
    private readonly WholeRecordEncoder? _whole;
    private readonly DeviceWorkers? _devices;
    private readonly EmbedderOptions _options;
    private readonly int _threads;
    private readonly Lock _gate = new();
    private bool _busy;
    private volatile bool _disposed;

    /// <summary>Packs the weights of an encoder.</summary>
    /// <param name="config">Sizes.</param>
    /// <param name="tensor">Weights by published name ("layers.0.mixer.in_proj.weight"), row-major; read while packing only.</param>
    /// <param name="options">Threads, precision, pooling.</param>
    internal Embedder(MambaConfig config, Func<string, double[]> tensor, EmbedderOptions? options = null)
    {
        _options = Checked(options ?? new EmbedderOptions());
        _threads = _options.Threads > 0 ? _options.Threads : Math.Min(MostThreads, Environment.ProcessorCount);
        Width = _options.VectorWidth > 0 ? VectorWidths.Checked(_options.VectorWidth) : VectorWidths.Default;
        Dimension = config.DModel;
        var sized = Sized(config, tensor);
        if (DevicesOf(_options) is { Count: > 0 } devices)
        {
            _devices = new DeviceWorkers(devices, config, sized, _options);
            return;
        }
        if (config.Bidirectional)
        {
            _whole = new WholeRecordEncoder(config, sized, _options.DType, Width, _threads, _options.Pooling);
            BytesPerNucleotide = WholeRecordEncoder.BytesPerNucleotide(config, _options.DType);
            return;
        }
        if (config.DConv != 4) throw new ArgumentException($"a convolution over {config.DConv} positions: the streaming encoder has kernels for 4", nameof(config));
        _engine = StreamEngine.Create(config, sized, _options.DType == DType.F64, Width, _options.ChunkLength > 0 ? _options.ChunkLength : DefaultChunk(config), _threads, _options.Pooling);
        _scheduler = new StreamScheduler(_engine, _threads);
    }

    // A layer's weights pass through the caches once for each chunk. Where they are larger than a core's own cache, more positions pay for one passage; where
    // they are not, more positions only push the activations out (measured: 6.7 MB of weights a layer gain 4 % from 192 instead of 96, 1.7 MB lose).
    private static int DefaultChunk(MambaConfig config) => 3L * config.DModel * config.DInner * sizeof(float) > 4 << 20 ? 192 : 96;

    /// <summary>Packs the weights of a model.</summary>
    /// <param name="model">A loaded or random model.</param>
    /// <param name="options">Threads, precision, pooling; null for the defaults.</param>
    /// <exception cref="ArgumentException">Options that do not exist.</exception>
    /// <exception cref="CheckpointException">The model lacks a tensor, or one has another size than its configuration says.</exception>
    public Embedder(OrthrusModel model, EmbedderOptions? options = null)
        : this((model ?? throw new ArgumentNullException(nameof(model))).Config, name => model.Encoder[name].ToDouble(), options) => Model = model;

    /// <summary>Loads a model and packs its weights.</summary>
    /// <param name="pathOrName">A folder, a file, or the name of a built-in model; see <see cref="OrthrusModel.Load"/>.</param>
    /// <param name="options">Threads, precision, pooling; null for the defaults.</param>
    /// <exception cref="CheckpointException">The model cannot be loaded.</exception>
    public static Embedder Load(string pathOrName, EmbedderOptions? options = null) => new(OrthrusModel.Load(pathOrName), options);

    /// <summary>The model; null only for an embedder made from bare tensors.</summary>
    public OrthrusModel? Model { get; }

    /// <summary>Device, dtype, vector width and threads in words.</summary>
    public string Description => _devices is not null ? $"{_devices.Names}, {_options.DType}, {_devices.Encoders[0].Products}" : $"cpu, {_options.DType}, {Width}-bit vectors, {_threads} {(_threads == 1 ? "thread" : "threads")}";

    /// <summary>Width of the embedding.</summary>
    public int Dimension { get; }

    /// <summary>Vector width in use, in bits.</summary>
    public int Width { get; }

    /// <summary>Bytes of memory that each nucleotide of the longest record takes: 0 where records stream in fixed memory, as all but bidirectional encoders do.</summary>
    public long BytesPerNucleotide { get; }

    /// <summary>Bytes of memory per nucleotide of the longest record that a bidirectional encoder takes.</summary>
    /// <param name="config">Sizes.</param>
    /// <param name="dtype">F32 or F64.</param>
    public static long WholeRecordBytes(MambaConfig config, DType dtype) => WholeRecordEncoder.BytesPerNucleotide(config, dtype);

    /// <summary>Embeds one transcript.</summary>
    /// <param name="tracks">Track bytes, 5' to 3', at least one; bits 0 to 3 are A, C, G, T, bit 4 the first base of a codon, bit 5 the last base of an exon. Bits 6 and 7 are not read.</param>
    /// <returns>DModel floats.</returns>
    /// <exception cref="ArgumentException">No positions.</exception>
    /// <exception cref="InvalidOperationException">A call is under way on this embedder.</exception>
    /// <exception cref="ObjectDisposedException">The embedder is disposed.</exception>
    public float[] Embed(ReadOnlyMemory<byte> tracks) => EmbedAll([tracks], t => t).Single().Vector;

    /// <summary>Embeds many records as a stream: results come in the order of input, a few chunks after their record was read.</summary>
    /// <param name="records">Read lazily, on the calling thread. Its exceptions pass through unchanged.</param>
    /// <param name="tracks">Track bytes of a record, at least one; see <see cref="Embed"/>. They must not change before the record's result has come.</param>
    /// <param name="positions">Receives per-position results, or null. Its exceptions pass through unchanged.</param>
    /// <returns>One result per record, computed while it is enumerated.</returns>
    /// <exception cref="ArgumentException">A record without positions.</exception>
    /// <exception cref="InvalidOperationException">Another call is under way on this embedder.</exception>
    /// <exception cref="ObjectDisposedException">The embedder is disposed.</exception>
    public IEnumerable<Embedded<TRecord>> EmbedAll<TRecord>(IEnumerable<TRecord> records, Func<TRecord, ReadOnlyMemory<byte>> tracks, PositionHandler<TRecord>? positions = null)
    {
        ArgumentNullException.ThrowIfNull(records);
        ArgumentNullException.ThrowIfNull(tracks);
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (_devices is not null) return OnDevices(_devices, records, tracks, positions);
        return _whole is null ? Stream(_engine!, _scheduler!, records, tracks, positions) : OneByOne(_whole, records, tracks, positions);
    }

    /// <summary>Ends the threads and frees the packed weights; at once, or with the end of the enumeration that is under way.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            if (_disposed) return;
            _disposed = true;
            if (_busy) return;
        }
        Free();
    }

    private IEnumerable<Embedded<TRecord>> Stream<TRecord>(StreamEngine engine, StreamScheduler scheduler, IEnumerable<TRecord> records, Func<TRecord, ReadOnlyMemory<byte>> tracks, PositionHandler<TRecord>? positions)
    {
        Enter();
        try
        {
            var finished = new Queue<Record<TRecord>>();
            var free = new Stack<Chunk>();
            scheduler.Completed = chunk =>
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
                int version = scheduler.Version;
                while (!ended && scheduler.HasRoom)
                {
                    var chunk = Rent(engine, free);
                    while (chunk.Rows < engine.ChunkRows)
                    {
                        if (current is null)
                        {
                            if (!source.MoveNext())
                            {
                                ended = true;
                                break;
                            }
                            current = Begin(source.Current, tracks, positions);
                        }
                        int take = Math.Min(engine.ChunkRows - chunk.Rows, current.Tracks.Length - current.Fed);
                        current.Tracks.Span.Slice(current.Fed, take).CopyTo(chunk.Tracks.AsSpan(chunk.Rows));
                        chunk.Segments.Add(new Segment(current, chunk.Rows, take, current.Fed));
                        chunk.Rows += take;
                        current.Fed += take;
                        if (current.Fed == current.Tracks.Length) current = null;
                    }
                    if (chunk.Rows > 0) scheduler.Add(chunk);
                }
                while (true)
                {
                    Record<TRecord>? record;
                    lock (finished) if (!finished.TryDequeue(out record)) break;
                    var wide = new double[Dimension];
                    engine.Finish(record, wide);
                    yield return Result(record.Item, wide);
                    ObjectDisposedException.ThrowIf(_disposed, this);
                }
                if (ended && scheduler.Idle)
                {
                    lock (finished) if (finished.Count == 0) yield break;
                    continue;
                }
                scheduler.Help(ref own, version);
            }
        }
        finally
        {
            scheduler.Reset();
            Leave();
        }
    }

    private IEnumerable<Embedded<TRecord>> OneByOne<TRecord>(WholeRecordEncoder encoder, IEnumerable<TRecord> records, Func<TRecord, ReadOnlyMemory<byte>> tracks, PositionHandler<TRecord>? positions)
    {
        Enter();
        try
        {
            foreach (var item in records)
            {
                var record = Begin(item, tracks, positions);
                encoder.Encode(record);
                yield return Result(item, record.Pool);
                ObjectDisposedException.ThrowIf(_disposed, this);
            }
        }
        finally
        {
            Leave();
        }
    }

    private IEnumerable<Embedded<TRecord>> OnDevices<TRecord>(DeviceWorkers workers, IEnumerable<TRecord> records, Func<TRecord, ReadOnlyMemory<byte>> tracks, PositionHandler<TRecord>? positions)
    {
        Enter();
        DeviceWorkers.Run? run = null;
        try
        {
            List<Record<TRecord>> ahead = [], underWay = [];
            long waiting = 0;
            using var source = records.GetEnumerator();
            for (bool more = true; more || run is not null;)
            {
                if (more && (more = source.MoveNext()))
                {
                    ahead.Add(Begin(source.Current, tracks, positions));
                    waiting += ahead[^1].Tracks.Length;
                }
                bool full = waiting >= workers.Window || !more;
                if (!full && run is not { Ended: true }) continue;
                // The devices go on with what has been read while the results of what was under way are taken.
                run?.Wait();
                run = null;
                var done = underWay;
                underWay = [];
                if (full && ahead.Count > 0)
                {
                    (underWay, ahead, waiting) = (ahead, [], 0);
                    run = workers.Start(underWay);
                }
                foreach (var record in done)
                {
                    yield return Result(record.Item, record.Pool);
                    ObjectDisposedException.ThrowIf(_disposed, this);
                }
            }
        }
        finally
        {
            run?.Join();
            Leave();
        }
    }

    private void Enter()
    {
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            if (_busy) throw new InvalidOperationException("this embedder is already at work: use one per concurrent caller");
            _busy = true;
        }
    }

    private void Leave()
    {
        lock (_gate)
        {
            _busy = false;
            if (!_disposed) return;
        }
        Free();
    }

    private void Free()
    {
        _scheduler?.Dispose();
        _engine?.Dispose();
        _whole?.Dispose();
        _devices?.Dispose();
    }

    private static EmbedderOptions Checked(EmbedderOptions o)
    {
        var devices = DevicesOf(o);
        var other = devices.Count == 0 ? DType.F64 : DType.BF16;
        if (o.DType != DType.F32 && o.DType != other) throw new ArgumentException($"embedding in {o.DType} on {(devices.Count == 0 ? "the CPU" : devices[0].Name)}: choose F32 or {other}", nameof(o));
        if (!Enum.IsDefined(o.Gemm)) throw new ArgumentException($"matrix products by {o.Gemm}: choose Auto, Own or Cublas", nameof(o));
        if (o.Gemm == GemmBackend.Cublas && devices.Count == 0) throw new ArgumentException("cuBLAS multiplies on CUDA devices alone: leave Gemm at Auto on the CPU", nameof(o));
        for (int k = 1; k < devices.Count; k++)
        {
            if (devices.Take(k).Contains(devices[k])) throw new ArgumentException($"{devices[k].Name} was given twice", nameof(o));
            if ((devices[k].Model, devices[k].ComputeCapability) != (devices[0].Model, devices[0].ComputeCapability))
                throw new ArgumentException($"{devices[0].Name} and {devices[k].Name} are of two kinds, and a result would depend on which took the record: give devices of one kind", nameof(o));
        }
        if (!Enum.IsDefined(o.Pooling)) throw new ArgumentException($"pooling {o.Pooling}: choose Mean, Last or Max", nameof(o));
        if (o.Threads is < 0 or > MostThreads) throw new ArgumentException($"{o.Threads} threads: choose 1 to {MostThreads}, or 0 for one per processor", nameof(o));
        if (o.ChunkLength is < 0 or > LongestChunk) throw new ArgumentException($"chunks of {o.ChunkLength} positions: choose 1 to {LongestChunk}, or 0 for the default", nameof(o));
        return o;
    }

    private static IReadOnlyList<CudaDevice> DevicesOf(EmbedderOptions o) =>
        o.Devices is not { } several ? o.Device is { } one ? [one] : []
        : o.Device is not null ? throw new ArgumentException("Device and Devices: give one of the two", nameof(o))
        : several.Count == 0 ? throw new ArgumentException("Devices is empty: leave it null for the CPU", nameof(o)) : several;

    // The kernels' memory is laid out by the configuration: a tensor of another size must not get there.
    private static Func<string, double[]> Sized(MambaConfig config, Func<string, double[]> tensor)
    {
        var counts = EncoderLayout.Tensors(config).ToDictionary(t => t.Name, t => t.Shape.Aggregate(1L, (a, b) => a * b));
        return name =>
        {
            double[] values = tensor(name);
            return values.LongLength == counts[name] ? values : throw new CheckpointException(null, name, $"holds {values.LongLength} elements; the configuration wants {counts[name]}");
        };
    }

    private static Chunk Rent(StreamEngine engine, Stack<Chunk> free)
    {
        Chunk? chunk;
        lock (free) if (!free.TryPop(out chunk)) chunk = new Chunk { Tracks = new byte[engine.ChunkRows] };
        chunk.Rows = 0;
        chunk.Segments.Clear();
        return chunk;
    }

    private Record<TRecord> Begin<TRecord>(TRecord item, Func<TRecord, ReadOnlyMemory<byte>> tracks, PositionHandler<TRecord>? positions)
    {
        var bytes = tracks(item);
        if (bytes.Length == 0) throw new ArgumentException("the record has no positions: an embedding needs at least one nucleotide", nameof(tracks));
        return new Record<TRecord> { Item = item, Tracks = bytes, Pool = new double[Dimension], Handler = positions };
    }

    private Embedded<TRecord> Result<TRecord>(TRecord item, double[] wide) =>
        new(item, Array.ConvertAll(wide, v => (float)v), _options.DType == DType.F64 ? wide : null);

    private sealed class Record<TRecord> : StreamRecord
    {
        internal required TRecord Item;
        internal PositionHandler<TRecord>? Handler;
        internal override bool WantsPositions => Handler is not null;
        internal override void Positions(int start, ReadOnlySpan<float> rows, ReadOnlySpan<double> rows64) => Handler!(Item, start, rows, rows64);
    }
}
