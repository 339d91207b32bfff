using Orthrus.Mamba;
using Orthrus.Mamba.Outputs;
using Orthrus.Rna;
using Orthrus.Tensor;

namespace Orthrus.Cli.Embed;

/// <summary>One embedding in the run's type.</summary>
internal readonly record struct EmbeddedVector(float[] Single, double[]? Wide)
{
    internal void WriteTo(EmbeddingWriter writer, Transcript transcript)
    {
        if (Wide is not null) writer.Add(transcript.Id, transcript.Length, Wide);
        else writer.Add(transcript.Id, transcript.Length, Single);
    }
}

/// <summary>The model of a run, ready to embed, and what the description says of it.</summary>
internal sealed class Encoder : IDisposable
{
    private readonly Embedder _embedder;
    private readonly OrthrusModel _model;
    private readonly DType _dtype;
    private long _nucleotides;

    private Encoder(OrthrusModel model, EmbedOptions options, IReadOnlyList<CudaDevice>? devices, string tracksFrom)
    {
        _model = model;
        _dtype = options.DType;
        TracksFrom = tracksFrom;
        Blank = Tracks == 6 && options.Input.Cds == CdsPolicy.Blank;
        _embedder = new Embedder(model, new EmbedderOptions
        {
            Device = devices is [var one] ? one : null,
            Devices = devices is { Count: > 1 } ? devices : null,
            Gemm = options.Gemm ?? GemmBackend.Auto,
            Threads = options.Threads ?? 0,
            DType = _dtype,
            Pooling = options.Pool switch { Pool.Last => Pooling.Last, Pool.Max => Pooling.Max, _ => Pooling.Mean },
        });
    }

    internal int Width => _embedder.Dimension;
    internal string Name => _model.Name;
    internal string Sha256 => _model.Sha256;
    internal bool Trained => _model.Trained;

    /// <summary>4 or 6.</summary>
    internal int Tracks => _model.Config.NTracks;

    /// <summary>Where codon and splice marks come from: annotation, table, header, longest-orf, blank; none for a 4-track model.</summary>
    internal string TracksFrom { get; }
    internal int VectorBits => _embedder.Width;

    /// <summary>Device, dtype, vector width and threads in words.</summary>
    internal string Device => _embedder.Description;

    /// <summary>True where the model's codon and splice tracks were left empty on purpose.</summary>
    internal bool Blank { get; }

    /// <summary>Nucleotides embedded so far.</summary>
    internal long Nucleotides => Interlocked.Read(ref _nucleotides);

    /// <summary>Loads the model that fits the input.</summary>
    /// <param name="options">The run's options.</param>
    /// <param name="hasTracks">Whether the input brings CDS and exons.</param>
    /// <param name="devices">The GPUs to compute on; null for the CPU.</param>
    /// <param name="say">Receives lines for stderr.</param>
    /// <exception cref="InputDataException">The model is missing or broken, or wants tracks that the input does not bring.</exception>
    internal static Encoder Open(EmbedOptions options, bool hasTracks, IReadOnlyList<CudaDevice>? devices, Action<string> say)
    {
        bool marks = hasTracks || options.Input.Cds != CdsPolicy.Annotated;
        string name = BuiltInModels.ForInput(options.Model, marks);
        var model = OrthrusModel.Load(name);
        if (model.Config.NTracks == 6 && !marks)
            throw new InputDataException(options.Input.Fasta, null,
                $"model {model.Name} reads 6 tracks, but a bare FASTA has neither CDS nor exons",
                "give --annotation with --genome, --tracks TABLE, headers with CDS:a-b, --cds longest-orf, or --blank-tracks");
        if (model.Config.NTracks is not (4 or 6))
            throw new InputDataException(name, null, $"the model reads {model.Config.NTracks} tracks; transcripts have 4 or 6", "use a model with 4 or 6 tracks");
        var encoder = new Encoder(model, options, devices, model.Config.NTracks == 6 ? Origin(options.Input) : "none");
        if (!model.Trained) say($"model: {model.Name}, random weights: its embeddings are a baseline, not a trained model's (give --model PATH for one)");
        else say($"model: {model.Name}, {model.Config.DModel} x {model.Config.NLayer}, {model.Config.NTracks} tracks");
        if (encoder._embedder.BytesPerNucleotide is > 0 and var bytes)
            say($"the model is bidirectional: records are held whole in memory, {bytes / 1000.0:0.0} kB per nucleotide of the longest one");
        if (model.Config.NTracks == 4 && (hasTracks || options.Input.Annotation is not null)) say("the model reads 4 tracks: CDS and exons of the input are ignored");
        return encoder;
    }

    private static string Origin(TranscriptInput input)
    {
        if (input.Cds == CdsPolicy.Blank) return "blank";
        string given = input.Annotation is not null ? "annotation" : input.TracksTable is not null ? "table" : "header";
        return input.Cds == CdsPolicy.LongestOrf ? given == "header" ? "longest-orf" : given + ", longest-orf" : given;
    }

    /// <summary>Embeds the queue in order.</summary>
    internal IEnumerable<(EmbedItem, EmbeddedVector)> Run(EmbedQueue queue) => Vectors(queue.Items(), null, static _ => { }, static () => { });

    /// <summary>Embeds the queue in order: rows go to the writer, and the vectors are not used.</summary>
    /// <param name="queue">The transcripts.</param>
    /// <param name="writer">A writer of one array per record.</param>
    /// <param name="failed">What to throw where the system refuses a write.</param>
    internal IEnumerable<(EmbedItem, EmbeddedVector)> RunPositions(EmbedQueue queue, EmbeddingWriter writer, Func<Exception, Exception> failed) =>
        _dtype == DType.F64 ? Positions<double>(queue, writer, failed) : Positions<float>(queue, writer, failed);

    private IEnumerable<(EmbedItem, EmbeddedVector)> Positions<T>(EmbedQueue queue, EmbeddingWriter writer, Func<Exception, Exception> failed) where T : unmanaged
    {
        var order = new PositionQueue<T>(writer, failed);
        return Vectors(Announced(), Take, order.Complete, order.GoOn);

        IEnumerable<EmbedItem> Announced()
        {
            foreach (var item in queue.Items())
            {
                order.Enter(item);
                yield return item;
            }
        }

        void Take(EmbedItem item, int start, ReadOnlySpan<float> rows, ReadOnlySpan<double> rows64)
        {
            RequireFinite(item.Transcript.Id, rows, rows64);
            order.Add(item, typeof(T) == typeof(float)
                ? System.Runtime.InteropServices.MemoryMarshal.Cast<float, T>(rows)
                : System.Runtime.InteropServices.MemoryMarshal.Cast<double, T>(rows64));
        }
    }

    private IEnumerable<(EmbedItem, EmbeddedVector)> Vectors(IEnumerable<EmbedItem> items, PositionHandler<EmbedItem>? positions, Action<EmbedItem> done, Action goOn)
    {
        foreach (var result in _embedder.EmbedAll(items, static i => i.Transcript.Tracks, positions))
        {
            RequireFinite(result.Record.Transcript.Id, result.Vector, result.Vector64);
            done(result.Record);
            Interlocked.Add(ref _nucleotides, result.Record.Transcript.Length);
            yield return (result.Record, new EmbeddedVector(result.Vector, result.Vector64));
            goOn();
        }
    }

    // Weights are finite, but products of large ones need not be.
    private void RequireFinite(string id, ReadOnlySpan<float> single, ReadOnlySpan<double> wide)
    {
        bool finite = true;
        if (_dtype == DType.F64)
            foreach (double v in wide) finite &= double.IsFinite(v);
        else
            foreach (float v in single) finite &= float.IsFinite(v);
        if (!finite)
            throw new InputDataException(_model.Source, "record " + id, $"the model's numbers overflow {_dtype}: the embedding is not finite",
                _dtype == DType.F64 ? "the model's training diverged: use another model" : "try --dtype f64 on the CPU, or another model");
    }

    public void Dispose() => _embedder.Dispose();
}
