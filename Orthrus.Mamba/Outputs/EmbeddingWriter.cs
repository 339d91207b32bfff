using System.Runtime.InteropServices;
using Orthrus.Rna;

namespace Orthrus.Mamba.Outputs;

/// <summary>
/// Writes embeddings to a stream, record after record, in memory that grows only with the identifiers. Everything before
/// <see cref="Finish"/> is appended, so that a stream cut back to a length that <see cref="Flush"/> returned can be gone on with: a new
/// writer on it is told of the records that it holds by <see cref="Replay"/>.
/// </summary>
/// <remarks>
/// A pooled layout takes <see cref="Add(string, long, ReadOnlySpan{float})"/> per record. A per-position layout takes
/// <see cref="BeginRecord"/>, then <see cref="AddPositions(ReadOnlySpan{float})"/> until all positions were given, then
/// <see cref="EndRecord"/>.
/// </remarks>
public abstract class EmbeddingWriter
{
    private readonly Stream _stream;
    private long _recordBytes = -1;

    private protected EmbeddingWriter(Stream stream, EmbeddingLayout layout)
    {
        _stream = stream;
        Layout = layout;
    }

    /// <summary>What is written.</summary>
    public EmbeddingLayout Layout { get; }

    /// <summary>Records written or replayed.</summary>
    public long Records { get; private protected set; }

    /// <summary>
    /// Name of the array of the record that was begun last, in a per-position layout; null before the first and in other layouts. It is the
    /// identifier unless that was used before or is no name for the format.
    /// </summary>
    public string? ArrayName { get; private protected set; }

    private protected Stream Stream => _stream;

    /// <summary>
    /// Creates the writer of a layout. The stream stands at its beginning; the binary formats also need it to seek and to read. It
    /// stays the caller's to close.
    /// </summary>
    /// <exception cref="ArgumentException">The format cannot hold the layout, or the stream cannot seek where it must.</exception>
    public static EmbeddingWriter Create(Stream stream, EmbeddingLayout layout)
    {
        ArgumentNullException.ThrowIfNull(stream);
        ArgumentNullException.ThrowIfNull(layout);
        ArgumentOutOfRangeException.ThrowIfLessThan(layout.Width, 1, nameof(layout));
        if (layout.PerPosition && layout.Format is not (EmbeddingFormat.Npz or EmbeddingFormat.Safetensors))
            throw new ArgumentException("one array per record needs npz or safetensors", nameof(layout));
        if (!EmbeddingLayout.IsText(layout.Format) && !stream.CanSeek)
            throw new ArgumentException("binary formats need a stream that can seek", nameof(stream));
        return (layout.Format, layout.PerPosition) switch
        {
            (EmbeddingFormat.Npy, _) => new NpyEmbeddings(stream, layout),
            (EmbeddingFormat.Npz, false) => new NpzEmbeddings(stream, layout),
            (EmbeddingFormat.Npz, true) => new NpzPositions(stream, layout),
            (EmbeddingFormat.Csv, _) => new DelimitedEmbeddings(stream, layout, (byte)','),
            (EmbeddingFormat.Tsv, _) => new DelimitedEmbeddings(stream, layout, (byte)'\t'),
            (EmbeddingFormat.Jsonl, _) => new JsonEmbeddings(stream, layout),
            (EmbeddingFormat.Safetensors, false) => new SafetensorsEmbeddings(stream, layout),
            _ => new SafetensorsPositions(stream, layout),
        };
    }

    /// <summary>Appends a record.</summary>
    /// <param name="id">Identifier; need not be unique.</param>
    /// <param name="length">Length of the transcript in nucleotides.</param>
    /// <param name="vector">Its embedding, <see cref="EmbeddingLayout.Width"/> numbers.</param>
    public void Add(string id, long length, ReadOnlySpan<float> vector)
    {
        CheckVector(EmbeddingDType.F32, vector.Length);
        AddVector(id, length, vector, default);
        Records++;
    }

    /// <inheritdoc cref="Add(string, long, ReadOnlySpan{float})"/>
    public void Add(string id, long length, ReadOnlySpan<double> vector)
    {
        CheckVector(EmbeddingDType.F64, vector.Length);
        AddVector(id, length, default, vector);
        Records++;
    }

    /// <summary>Begins a record of a per-position layout.</summary>
    /// <param name="id">Identifier; a second record of one identifier is named "identifier.2".</param>
    /// <param name="length">Number of positions that follow.</param>
    public void BeginRecord(string id, long length)
    {
        if (!Layout.PerPosition) throw new InvalidOperationException("the layout has one vector per record");
        if (_recordBytes >= 0) throw new InvalidOperationException("the record before is not ended");
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        _recordBytes = checked(length * Layout.VectorBytes);
        BeginArray(id, length);
    }

    /// <summary>Appends positions of the record: a whole number of vectors, in order.</summary>
    public void AddPositions(ReadOnlySpan<float> vectors)
    {
        CheckPositions(EmbeddingDType.F32, vectors.Length);
        AppendArray(Take(MemoryMarshal.AsBytes(vectors)));
    }

    /// <inheritdoc cref="AddPositions(ReadOnlySpan{float})"/>
    public void AddPositions(ReadOnlySpan<double> vectors)
    {
        CheckPositions(EmbeddingDType.F64, vectors.Length);
        AppendArray(Take(MemoryMarshal.AsBytes(vectors)));
    }

    /// <summary>Ends the record, of which all positions must have been given.</summary>
    public void EndRecord()
    {
        if (_recordBytes != 0) throw new InvalidOperationException("positions of the record are missing");
        _recordBytes = -1;
        EndArray();
        Records++;
    }

    /// <summary>Takes note of a record that the stream already holds, in the order in which they were written.</summary>
    /// <param name="id">Identifier, as it was given.</param>
    /// <param name="length">Length, as it was given.</param>
    /// <exception cref="InputDataException">The stream does not hold that record.</exception>
    public void Replay(string id, long length)
    {
        ReplayRecord(id, length);
        Records++;
    }

    /// <summary>Gives everything to the stream and returns the length at which a new writer can go on.</summary>
    public long Flush()
    {
        if (_recordBytes >= 0) throw new InvalidOperationException("inside a record");
        _stream.Flush();
        return _stream.CanSeek ? _stream.Position : 0;
    }

    /// <summary>
    /// Writes what stands at the end and corrects what stands at the beginning. Where the beginning can only be known now (safetensors
    /// with one array per record), it is returned, and the complete file is these bytes followed by the stream's.
    /// </summary>
    public ReadOnlyMemory<byte> Finish()
    {
        if (_recordBytes >= 0) throw new InvalidOperationException("inside a record");
        var head = FinishStream();
        _stream.Flush();
        return head;
    }

    private protected abstract void AddVector(string id, long length, ReadOnlySpan<float> single, ReadOnlySpan<double> wide);
    private protected virtual void BeginArray(string id, long length) => throw new NotSupportedException();
    private protected virtual void AppendArray(ReadOnlySpan<byte> values) => throw new NotSupportedException();
    private protected virtual void EndArray() => throw new NotSupportedException();
    private protected abstract void ReplayRecord(string id, long length);
    private protected abstract ReadOnlyMemory<byte> FinishStream();

    private protected static ReadOnlySpan<byte> Bytes(ReadOnlySpan<float> single, ReadOnlySpan<double> wide) =>
        wide.Length > 0 ? MemoryMarshal.AsBytes(wide) : MemoryMarshal.AsBytes(single);

    /// <summary>Overwrites bytes near the beginning and goes back to the end.</summary>
    private protected void Patch(long position, ReadOnlySpan<byte> bytes)
    {
        long end = _stream.Position;
        _stream.Position = position;
        _stream.Write(bytes);
        _stream.Position = end;
    }

    private protected static InputDataException NotHeld(string id) =>
        new(null, "record " + id, "the unfinished output does not hold this record", "start over without --resume");

    private void CheckVector(EmbeddingDType type, int length)
    {
        if (Layout.PerPosition) throw new InvalidOperationException("the layout has one array per record");
        if (type != Layout.DType) throw new ArgumentException($"the layout holds {Layout.DType}, not {type}");
        if (length != Layout.Width) throw new ArgumentException($"{length} numbers where the layout has {Layout.Width}");
    }

    private void CheckPositions(EmbeddingDType type, int length)
    {
        if (_recordBytes < 0) throw new InvalidOperationException("no record was begun");
        if (type != Layout.DType) throw new ArgumentException($"the layout holds {Layout.DType}, not {type}");
        if (length % Layout.Width != 0) throw new ArgumentException($"{length} numbers are no whole number of vectors of {Layout.Width}");
    }

    private ReadOnlySpan<byte> Take(ReadOnlySpan<byte> values)
    {
        if (values.Length > _recordBytes) throw new InvalidOperationException("more positions than the record has");
        _recordBytes -= values.Length;
        return values;
    }
}
