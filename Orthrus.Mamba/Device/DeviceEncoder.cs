using System.Numerics;
using Orthrus.Autograd;
using Orthrus.Mamba.Streaming;
using Orthrus.Tensor;

namespace Orthrus.Mamba;

using Tensor = Orthrus.Tensor.Tensor;

/// <summary>
/// The encoder at inference on a CUDA device: the modules over batches of records of nearly equal length, on a tape that records nothing. Every kernel
/// computes a record without looking at its batch mates, padding comes after it, and where the padded length matters it follows from the record's own: results do
/// not depend on the batch. A record longer than a piece goes alone and in pieces, with carried state; that depends on its length only.
/// </summary>
internal sealed class DeviceEncoder : IDisposable
{
    private const int DefaultPiece = 1 << 15;
    /// <summary>Padded positions of a batch.</summary>
    internal const int BatchPositions = 1 << 16;
    private const int RowsAtOnce = 1 << 12;

    private readonly CudaDevice _device;
    private readonly ParameterStore _store;
    private readonly Tape _tape;
    private readonly MixerModel _model;
    private readonly EncoderGraphs _graphs;
    private readonly FirstLayerTable? _firstLayer;
    private readonly Pooling _pooling;
    private readonly GemmBackend _gemm;
    private readonly int _width, _piece;
    private readonly bool _recorded;
    private readonly byte[] _tracks = new byte[BatchPositions];
    private long _positions = BatchPositions;
    private bool _handedOut;

    internal DeviceEncoder(CudaDevice device, MambaConfig config, Func<string, double[]> tensor, EmbedderOptions options)
    {
        (_device, _pooling, _width, _piece) = (device, options.Pooling, config.DModel, options.ChunkLength > 0 ? options.ChunkLength : DefaultPiece);
        _gemm = options.Gemm == GemmBackend.Cublas ? GemmBackend.Cublas : GemmBackend.Own;
        // cuBLAS may allocate when it is called.
        _recorded = options.Graphs && _gemm == GemmBackend.Own;
        using var products = Multiply();
        _graphs = new EncoderGraphs(device);
        _store = new ParameterStore(device, options.DType);
        _tape = Tape.Off(device);
        try
        {
            _model = new MixerModel(_store, config);
            foreach (var (name, p) in _model.NamedParameters())
            {
                double[] values = tensor(name);
                if (p.Value.DType == DType.BF16) p.Value.CopyFrom<BFloat16>(Array.ConvertAll(values, v => (BFloat16)(float)v));
                else p.Value.CopyFrom<float>(Array.ConvertAll(values, v => (float)v));
            }
            if (options.FirstLayerTable) _model.FirstLayer = _firstLayer = FirstLayerTable.Of(_tape, _model);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Who multiplies, in words.</summary>
    internal string Products => _device.Products(_gemm);

    /// <summary>What is recorded.</summary>
    internal EncoderGraphs Graphs => _graphs;

    /// <summary>
    /// Length that a record is padded to in whatever company, so that few shapes come often: at most a 32nd more, and an eighth where the bits of a result depend on the
    /// padded length.
    /// </summary>
    internal static int Padded(int length)
    {
        int step = Math.Max(8, (int)(BitOperations.RoundUpToPowerOf2((uint)length) >> (length < SelectiveScan.Cut ? 6 : 4)));
        return checked((length + step - 1) / step * step);
    }

    /// <summary>
    /// Cuts records into batches: longest first, a batch takes what is at least seven eighths of its longest, so that at most an eighth is padding; long records only those
    /// that are padded to the same length.
    /// </summary>
    internal IEnumerable<List<StreamRecord>> Batches(IEnumerable<StreamRecord> records)
    {
        List<StreamRecord> batch = [];
        int padded = 0;
        foreach (var record in records.OrderByDescending(r => r.Tracks.Length))
        {
            int length = record.Tracks.Length;
            if (batch.Count > 0 && (batch[0].Tracks.Length > _piece || !(padded >= SelectiveScan.Cut ? Padded(length) == padded : 8L * length >= 7L * padded) || (batch.Count + 1L) * padded > _positions))
            {
                yield return batch;
                batch = [];
            }
            if (batch.Count == 0) padded = Padded(length);
            batch.Add(record);
        }
        if (batch.Count > 0) yield return batch;
    }

    /// <summary>Encodes one batch into the records' pools, and hands out positions. Where memory does not suffice it goes on with halves of the batch, and with smaller batches from then on.</summary>
    /// <exception cref="DeviceOutOfMemoryException">One record alone does not fit.</exception>
    internal void Encode(List<StreamRecord> batch)
    {
        bool spare = _graphs.ArenaBytes > 0;
        try
        {
            Once(batch);
            return;
        }
        catch (DeviceOutOfMemoryException e)
        {
            _graphs.Drop();
            _device.Trim();
            // Once more with what other shapes held, unless a receiver of positions would see some twice.
            bool again = batch.Count > 1 || (spare && !_handedOut);
            if (!again)
                throw new DeviceOutOfMemoryException($"one record of {batch[0].Tracks.Length:N0} nucleotides does not fit on {_device.Name}: {e.Facts ?? e.Message}; {(_store.Activations == DType.F32 ? "compute in bf16, " : "")}use a device with more memory or the CPU, or end other programs on this one", e);
        }
        if (batch.Count == 1)
        {
            Encode(batch);
            return;
        }
        int half = batch.Count / 2;
        _positions = Math.Min(_positions, Math.Max(1, (long)half * Padded(batch[0].Tracks.Length)));
        Encode(batch[..half]);
        Encode(batch[half..]);
    }

    private void Once(List<StreamRecord> batch)
    {
        _handedOut = false;
        using var products = Multiply();
        using var loan = _graphs.Borrow();
        try
        {
            if (batch[0].Tracks.Length > _piece && !_model.Config.Bidirectional) EncodeLong(batch[0]);
            else EncodeBatch(batch);
        }
        finally
        {
            _tape.Reset();
        }
    }

    // The device's own choice is for others that use it.
    private Choice Multiply() => new(_device, _gemm);

    private readonly struct Choice : IDisposable
    {
        private readonly CudaDevice _device;
        private readonly GemmBackend _before;

        internal Choice(CudaDevice device, GemmBackend gemm)
        {
            (_device, _before) = (device, device.Gemm);
            device.Gemm = gemm;
        }

        public void Dispose() => _device.Gemm = _before;
    }

    private void EncodeBatch(List<StreamRecord> batch)
    {
        int padded = Padded(batch[0].Tracks.Length);
        var bytes = (long)batch.Count * padded <= _tracks.Length ? _tracks.AsSpan(0, batch.Count * padded) : new byte[checked(batch.Count * padded)];
        bytes.Clear();
        var lengths = new int[batch.Count];
        for (int b = 0; b < batch.Count; b++)
        {
            batch[b].Tracks.Span.CopyTo(bytes[(b * padded)..]);
            lengths[b] = batch[b].Tracks.Length;
        }
        bool positions = _pooling != Pooling.Mean || batch.Any(r => r.WantsPositions);
        if (!positions && _recorded && _graphs.TryRun(bytes, lengths, _width, Means, out float[] recorded))
        {
            Spread(batch, recorded);
            return;
        }
        using var scope = _device.OpenScope();
        Tensor tracks = scope.From<byte>(bytes, new Shape(batch.Count, padded)), counts = scope.From<int>(lengths, new Shape(batch.Count));
        if (!positions)
        {
            var means = scope.Empty(new Shape(batch.Count, _width), DType.F32);
            Means(tracks, counts, means);
            Spread(batch, means.ToArray<float>());
            return;
        }
        var y = _model.Forward(_tape, tracks, counts);
        if (_pooling == Pooling.Mean) Spread(batch, Functions.MeanPool(_tape, y, _tape.Constant(counts)).Value.ToArray<float>());
        var rows = y.Value.Reshape(new Shape(batch.Count * padded, _width));
        for (int b = 0; b < batch.Count; b++) Take(batch[b], rows.Rows(b * padded, lengths[b]), 0);
    }

    /// <summary>The whole work of a batch of which means are wanted. It gives all memory back before it ends, so that it can be recorded.</summary>
    private void Means(Tensor tracks, Tensor lengths, Tensor result)
    {
        try
        {
            var means = Functions.MeanPool(_tape, _model.Forward(_tape, tracks, lengths), _tape.Constant(lengths)).Value;
            _device.Copy(result.Address, means.Address, means.Bytes);
        }
        finally
        {
            _tape.Reset();
        }
    }

    private void Spread(List<StreamRecord> batch, float[] means)
    {
        for (int b = 0; b < batch.Count; b++)
            for (int j = 0; j < _width; j++) batch[b].Pool[j] = means[b * _width + j];
    }

    private void EncodeLong(StreamRecord record)
    {
        int length = record.Tracks.Length;
        Array.Clear(record.Pool);
        using var states = new CarriedStates(_device, _model.Config.NLayer);
        for (int start = 0; start < length; start += _piece)
        {
            int n = Math.Min(_piece, length - start);
            using (var scope = _device.OpenScope())
            {
                var tracks = scope.From<byte>(record.Tracks.Span.Slice(start, n), new Shape(1, n));
                var y = _model.Forward(_tape, tracks, states);
                if (_pooling == Pooling.Mean)
                {
                    float[] mean = Functions.MeanPool(_tape, y, _tape.Constant(scope.From<int>([n], new Shape(1)))).Value.ToArray<float>();
                    for (int j = 0; j < _width; j++) record.Pool[j] += (double)mean[j] * n / length;
                }
                if (_pooling != Pooling.Mean || record.WantsPositions) Take(record, y.Value.Reshape(new Shape(n, _width)), start);
            }
            _tape.Reset();
        }
    }

    /// <summary>Brings positions to the host, for their receiver and for the pools that are not means.</summary>
    private void Take(StreamRecord record, Tensor y, int start)
    {
        if (_pooling == Pooling.Last && !record.WantsPositions)
        {
            (y, start) = (y.Rows(y.Shape[0] - 1, 1), start + y.Shape[0] - 1);
        }
        for (int t = 0; t < y.Shape[0]; t += RowsAtOnce)
        {
            var part = y.Rows(t, Math.Min(RowsAtOnce, y.Shape[0] - t));
            float[] rows = part.DType == DType.BF16 ? Array.ConvertAll(part.ToArray<BFloat16>(), v => (float)v) : part.ToArray<float>();
            if (_pooling != Pooling.Mean)
                for (int i = 0; i < rows.Length; i++)
                {
                    double[] pool = record.Pool;
                    int j = i % _width;
                    // NaN stays: it is never less than what follows.
                    if (_pooling == Pooling.Last || start + t + i / _width == 0 || rows[i] > pool[j] || float.IsNaN(rows[i])) pool[j] = rows[i];
                }
            if (!record.WantsPositions) continue;
            _handedOut = true;
            record.Positions(start + t, rows, []);
        }
    }

    public void Dispose()
    {
        _tape.Dispose();
        _firstLayer?.Dispose();
        _store.Dispose();
        _graphs.Dispose();
    }
}
