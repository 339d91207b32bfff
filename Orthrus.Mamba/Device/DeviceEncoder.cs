using Orthrus.Autograd;
using Orthrus.Mamba.Streaming;
using Orthrus.Tensor;

namespace Orthrus.Mamba;

using Tensor = Orthrus.Tensor.Tensor;

/// <summary>
/// The encoder at inference on a CUDA device: the modules over batches of records of nearly equal length, on a tape that records nothing. Every kernel
/// computes a record without looking at its batch mates and padding comes after it, so that results do not depend on the batch. A record longer than
/// a piece goes alone and in pieces, with carried state; that depends on its length only.
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
    private readonly Pooling _pooling;
    private readonly int _width, _piece;
    private readonly byte[] _tracks = new byte[BatchPositions];

    internal DeviceEncoder(CudaDevice device, MambaConfig config, Func<string, double[]> tensor, DType dtype, Pooling pooling, int pieceLength)
    {
        (_device, _pooling, _width, _piece) = (device, pooling, config.DModel, pieceLength > 0 ? pieceLength : DefaultPiece);
        _store = new ParameterStore(device, dtype);
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
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>
    /// Cuts records into batches: longest first, a batch takes what is at least seven eighths of its longest, so that at most an eighth is padding.
    /// </summary>
    internal IEnumerable<List<StreamRecord>> Batches(IEnumerable<StreamRecord> records)
    {
        List<StreamRecord> batch = [];
        int longest = 0;
        foreach (var record in records.OrderByDescending(r => r.Tracks.Length))
        {
            int length = record.Tracks.Length;
            if (batch.Count > 0 && (longest > _piece || 8L * length < 7L * longest || (batch.Count + 1L) * longest > BatchPositions))
            {
                yield return batch;
                batch = [];
            }
            if (batch.Count == 0) longest = length;
            batch.Add(record);
        }
        if (batch.Count > 0) yield return batch;
    }

    /// <summary>Encodes one batch into the records' pools, and hands out positions.</summary>
    internal void Encode(List<StreamRecord> batch)
    {
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

    private void EncodeBatch(List<StreamRecord> batch)
    {
        int longest = batch[0].Tracks.Length;
        var bytes = (long)batch.Count * longest <= _tracks.Length ? _tracks.AsSpan(0, batch.Count * longest) : new byte[checked(batch.Count * longest)];
        bytes.Clear();
        var lengths = new int[batch.Count];
        for (int b = 0; b < batch.Count; b++)
        {
            batch[b].Tracks.Span.CopyTo(bytes[(b * longest)..]);
            lengths[b] = batch[b].Tracks.Length;
        }
        using var scope = _device.OpenScope();
        var counts = scope.From<int>(lengths, new Shape(batch.Count));
        var y = _model.Forward(_tape, scope.From<byte>(bytes, new Shape(batch.Count, longest)), counts);
        if (_pooling == Pooling.Mean)
        {
            float[] means = Functions.MeanPool(_tape, y, _tape.Constant(counts)).Value.ToArray<float>();
            for (int b = 0; b < batch.Count; b++)
                for (int j = 0; j < _width; j++) batch[b].Pool[j] = means[b * _width + j];
        }
        if (_pooling == Pooling.Mean && !batch.Any(r => r.WantsPositions)) return;
        var rows = y.Value.Reshape(new Shape(batch.Count * longest, _width));
        for (int b = 0; b < batch.Count; b++) Take(batch[b], rows.Rows(b * longest, lengths[b]), 0);
    }

    private void EncodeLong(StreamRecord record)
    {
        int length = record.Tracks.Length;
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
            if (record.WantsPositions) record.Positions(start + t, rows, []);
        }
    }

    public void Dispose()
    {
        _tape.Dispose();
        _store.Dispose();
    }
}
