using Orthrus.Autograd;
using Orthrus.Tensor;

namespace Orthrus.Mamba.Streaming;

/// <summary>
/// The bidirectional encoder at inference: a mixer that also reads a record from its end needs all of it, so the modules run over one whole record at
/// a time, on a tape that records nothing. A record never shares a batch, hence never sees padding or other records.
/// </summary>
internal sealed class WholeRecordEncoder : IDisposable
{
    private const int RowsAtOnce = 256;
    private readonly CpuDevice _device;
    private readonly ParameterStore _store;
    private readonly Tape _tape;
    private readonly MixerModel _model;
    private readonly Pooling _pooling;
    private readonly long _bytesPerNucleotide;

    internal WholeRecordEncoder(MambaConfig config, Func<string, double[]> tensor, DType dtype, int width, int threads, Pooling pooling)
    {
        _pooling = pooling;
        _bytesPerNucleotide = BytesPerNucleotide(config, dtype);
        _device = new CpuDevice(threads, width);
        _store = new ParameterStore(_device, dtype);
        _tape = Tape.Off(_device);
        _model = new MixerModel(_store, config);
        foreach (var (name, p) in _model.NamedParameters())
        {
            double[] values = tensor(name);
            if (dtype == DType.F64) p.Value.CopyFrom<double>(values);
            else p.Value.CopyFrom<float>(Array.ConvertAll(values, v => (float)v));
        }
    }

    /// <summary>Activations alive at once while the reverse mixer runs: residual stream, norm, both directions (D each), x', z, delta and gate (E each), B and C.</summary>
    internal static long BytesPerNucleotide(MambaConfig c, DType dtype) => (7L * c.DModel + 4L * c.DInner + 2L * c.DState) * dtype.Size();

    /// <summary>Encodes a record into its pool, and hands out its positions.</summary>
    internal void Encode(StreamRecord record)
    {
        int length = record.Tracks.Length;
        try
        {
            using var scope = _device.OpenScope();
            var tracks = scope.From<byte>(record.Tracks.Span, new Shape(1, length));
            var y = _model.Forward(_tape, tracks).Value.Reshape(new Shape(length, record.Pool.Length));
            for (int t = 0; t < length; t += RowsAtOnce)
            {
                var rows = y.Rows(t, Math.Min(RowsAtOnce, length - t));
                if (rows.DType == DType.F64) Take<double>(record, t, rows.AsSpan<double>());
                else Take<float>(record, t, rows.AsSpan<float>());
            }
        }
        finally
        {
            _tape.Reset();
            // Records have many lengths: blocks of all of them would pile up.
            if (_device.CachedBytes > 1.5 * length * _bytesPerNucleotide) _device.Trim();
        }
        if (_pooling == Pooling.Mean)
            for (int j = 0; j < record.Pool.Length; j++) record.Pool[j] /= length;
    }

    private void Take<T>(StreamRecord record, int start, ReadOnlySpan<T> rows) where T : unmanaged, System.Numerics.IBinaryFloatingPointIeee754<T>
    {
        double[] pool = record.Pool;
        for (int i = 0; i < rows.Length; i++)
        {
            int j = i % pool.Length;
            double v = double.CreateTruncating(rows[i]);
            pool[j] = _pooling switch
            {
                Pooling.Mean => pool[j] + v,
                // NaN stays: it is never less than what follows.
                Pooling.Max => start + i / pool.Length == 0 || v > pool[j] || double.IsNaN(v) ? v : pool[j],
                _ => v,
            };
        }
        if (!record.WantsPositions) return;
        var single = new float[rows.Length];
        double[] wide = typeof(T) == typeof(double) ? new double[rows.Length] : [];
        for (int i = 0; i < rows.Length; i++)
        {
            single[i] = float.CreateTruncating(rows[i]);
            if (wide.Length > 0) wide[i] = double.CreateTruncating(rows[i]);
        }
        record.Positions(start, single, wide);
    }

    public void Dispose()
    {
        _tape.Dispose();
        _store.Dispose();
        _device.Dispose();
    }
}
