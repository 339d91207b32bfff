using System.Numerics;
using Orthrus.Tensor.Cpu;

namespace Orthrus.Mamba.Streaming;

/// <summary>Computes (layer, chunk) steps; one instance per model, dtype and vector width. Steps of one layer must come in the order of chunks.</summary>
internal abstract class StreamEngine : IDisposable
{
    /// <summary>Chunks that may be under way at once.</summary>
    internal const int Slots = 6;

    /// <summary>Rows of a full chunk.</summary>
    internal abstract int ChunkRows { get; }
    internal abstract int Layers { get; }
    /// <summary>Runs one layer of a chunk with the scratch memory of a worker; after the last layer also the pool.</summary>
    internal abstract void Step(Chunk chunk, int worker);
    /// <summary>Turns a finished pool into the embedding.</summary>
    internal abstract void Finish(StreamRecord record, Span<double> result);
    public abstract void Dispose();

    /// <summary>Makes the engine for an element type and vector width.</summary>
    internal static StreamEngine Create(MambaConfig config, Func<string, double[]> tensor, bool f64, int width, int chunkRows, int workers, Pooling pooling) => (f64, width) switch
    {
        (false, 512) => new StreamEngine<V512<float>, float>(config, tensor, chunkRows, workers, pooling),
        (false, 256) => new StreamEngine<V256<float>, float>(config, tensor, chunkRows, workers, pooling),
        (false, _) => new StreamEngine<V128<float>, float>(config, tensor, chunkRows, workers, pooling),
        (true, 512) => new StreamEngine<V512<double>, double>(config, tensor, chunkRows, workers, pooling),
        (true, 256) => new StreamEngine<V256<double>, double>(config, tensor, chunkRows, workers, pooling),
        (true, _) => new StreamEngine<V128<double>, double>(config, tensor, chunkRows, workers, pooling),
    };
}

/// <inheritdoc/>
internal sealed unsafe class StreamEngine<V, T> : StreamEngine where V : unmanaged, ISimd<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    private readonly PackedEncoder<V, T> _encoder;
    private readonly PackedShape _shape;
    private readonly int _stride;
    private readonly Pooling _pooling;
    private readonly NativeBuffer<T> _residuals;
    private readonly NativeBuffer<T>[] _scratch;
    /// <summary>Per layer: convolution tails [Ep / lanes][3][lanes], then states [Ep / lanes][Np][lanes], of the record that crosses a chunk's end.</summary>
    private readonly NativeBuffer<T>[] _carry;

    internal StreamEngine(MambaConfig config, Func<string, double[]> tensor, int chunkRows, int workers, Pooling pooling)
    {
        _encoder = new PackedEncoder<V, T>(config, tensor);
        _shape = _encoder.Shape;
        _pooling = pooling;
        ChunkRows = chunkRows;
        // An odd number of rows keeps the blocks of one row out of the same cache set.
        _stride = chunkRows | 1;
        _residuals = new NativeBuffer<T>((long)Slots * _shape.Dp * _stride);
        _scratch = new NativeBuffer<T>[workers];
        for (int i = 0; i < workers; i++)
            _scratch[i] = new NativeBuffer<T>((long)(_shape.Dp + _shape.Ep + _shape.Xp + 5 * V.Lanes) * _stride + 8 * LayerKernels<V, T>.DecayRows * V.Lanes);
        _carry = new NativeBuffer<T>[config.NLayer];
        for (int i = 0; i < _carry.Length; i++) _carry[i] = new NativeBuffer<T>((long)_shape.Ep * (3 + _shape.Np));
    }

    internal override int ChunkRows { get; }
    internal override int Layers => _carry.Length;

    public override void Dispose()
    {
        _encoder.Dispose();
        _residuals.Dispose();
        foreach (var b in _scratch) b.Dispose();
        foreach (var b in _carry) b.Dispose();
    }

    internal override void Step(Chunk chunk, int worker)
    {
        int lanes = V.Lanes, rows = chunk.Rows, layer = chunk.Layer, dBlocks = _shape.Dp / lanes, eBlocks = _shape.Ep / lanes;
        nint block = (nint)_stride * lanes;
        var w = _encoder.Layers[layer];
        T* residual = _residuals.Pointer + (long)chunk.Slot * _shape.Dp * _stride;
        T* u = _scratch[worker].Pointer, x = u + dBlocks * block, proj = x + eBlocks * block;
        T* p0 = proj + _shape.Xp / lanes * block, p1 = p0 + block, q0 = p1 + block, q1 = q0 + block, partial = q1 + block, decay = partial + block;
        T* tails = _carry[layer].Pointer, states = tails + 3L * _shape.Ep;
        long panelD = 2L * lanes * _shape.Dp, panelE = 2L * lanes * _shape.Ep, panelR = 2L * lanes * _shape.Rp;

        fixed (byte* tracks = chunk.Tracks)
        {
            if (layer == 0)
                for (int b = 0; b < dBlocks; b++) LayerKernels<V, T>.Gather(tracks, _encoder.Embedding + (long)b * 64 * lanes, residual + b * block, rows);
            else
                LayerKernels<V, T>.Normalize(residual, u, block, dBlocks, rows, _shape.D);

            for (int b = 0; b < eBlocks; b += 2)
            {
                if (layer == 0)
                {
                    LayerKernels<V, T>.Gather(tracks, _encoder.X0 + (long)b * 64 * lanes, p0, rows);
                    LayerKernels<V, T>.Gather(tracks, _encoder.X0 + (long)(b + 1) * 64 * lanes, p1, rows);
                }
                else
                {
                    T* panel = w.InX + b / 2 * panelD;
                    PanelGemm.Panel<V, T>(u, block, dBlocks, rows, panel, b + 2 < eBlocks ? panel + panelD : w.XProj, p0, p1, w.BiasX + b * lanes, false);
                }
                Convolve(chunk, w, b, p0, x + b * block, tails);
                Convolve(chunk, w, b + 1, p1, x + (b + 1) * block, tails);
            }

            for (int b = 0; b < _shape.Xp / lanes; b += 2)
            {
                T* panel = w.XProj + b / 2 * panelE;
                PanelGemm.Panel<V, T>(x, block, eBlocks, rows, panel, b + 2 < _shape.Xp / lanes ? panel + panelE : layer == 0 ? w.DtProj : w.InZ, proj + b * block, proj + (b + 1) * block, null, false);
            }

            for (int b = 0; b < eBlocks; b += 2)
            {
                if (layer == 0)
                {
                    LayerKernels<V, T>.Gather(tracks, _encoder.Z0 + (long)b * 64 * lanes, p0, rows);
                    LayerKernels<V, T>.Gather(tracks, _encoder.Z0 + (long)(b + 1) * 64 * lanes, p1, rows);
                }
                else
                {
                    T* panel = w.InZ + b / 2 * panelD;
                    PanelGemm.Panel<V, T>(u, block, dBlocks, rows, panel, b + 2 < eBlocks ? panel + panelD : w.Out, p0, p1, w.BiasZ + b * lanes, false);
                    LayerKernels<V, T>.SiLU(p0, rows);
                    LayerKernels<V, T>.SiLU(p1, rows);
                }
                T* dt = w.DtProj + b / 2 * panelR;
                PanelGemm.Panel<V, T>(proj, block, _shape.Rp / lanes, rows, dt, dt + panelR, q0, q1, w.DtBias + b * lanes, false);
                LayerKernels<V, T>.Softplus(q0, rows);
                LayerKernels<V, T>.Softplus(q1, rows);
                Scan(chunk, w, b, x + b * block, q0, p0, proj, states, partial, decay);
                Scan(chunk, w, b + 1, x + (b + 1) * block, q1, p1, proj, states, partial, decay);
            }

            for (int b = 0; b < dBlocks; b += 2)
            {
                T* panel = w.Out + b / 2 * panelE;
                PanelGemm.Panel<V, T>(x, block, eBlocks, rows, panel, b + 2 < dBlocks ? panel + panelE : _encoder.Layers[Math.Min(layer + 1, Layers - 1)].InX, residual + b * block, residual + (b + 1) * block, null, true);
            }
        }
        if (layer == Layers - 1)
        {
            LayerKernels<V, T>.Normalize(residual, u, block, dBlocks, rows, _shape.D);
            foreach (var segment in chunk.Segments) PoolSegment(segment, u, block);
        }
    }

    // A record's tail and state are used where they are carried. Only the last segment of a chunk can go on in the next, so a shorter record before it
    // may leave anything there.
    private void Convolve(Chunk chunk, PackedLayer<V, T> w, int b, T* from, T* to, T* tails)
    {
        int lanes = V.Lanes;
        T* tail = tails + 3L * b * lanes;
        foreach (var s in chunk.Segments)
        {
            nint at = (nint)s.Start * lanes;
            if (s.Position == 0) new Span<T>(tail, 3 * lanes).Clear();
            LayerKernels<V, T>.Convolve(from + at, to + at, s.Length, w.Taps + 4L * b * lanes, w.ConvBias + (long)b * lanes, tail);
        }
    }

    private void Scan(Chunk chunk, PackedLayer<V, T> w, int b, T* x, T* delta, T* gate, T* proj, T* states, T* partial, T* decay)
    {
        int lanes = V.Lanes, np = _shape.Np;
        nint block = (nint)_stride * lanes;
        T* state = states + (long)np * b * lanes, a2 = w.A2 + (long)np * b * lanes, limit = w.DeltaLimit + (long)b * lanes, skip = w.Skip + (long)b * lanes;
        T* bs = proj + _shape.Rp / lanes * block, cs = bs + np / lanes * block;
        foreach (var s in chunk.Segments)
        {
            nint at = (nint)s.Start * lanes;
            if (s.Position == 0) new Span<T>(state, np * lanes).Clear();
            if (V.ManyRegisters && np == 16)
            {
                LayerKernels<V, T>.Scan16(x + at, delta + at, gate + at, bs + at, cs + at, block, a2, limit, skip, state, s.Length);
                continue;
            }
            for (int t = 0; t < s.Length; t += LayerKernels<V, T>.DecayRows)
            {
                int rows = Math.Min(LayerKernels<V, T>.DecayRows, s.Length - t);
                nint from = at + (nint)t * lanes;
                for (int n = 0; n < np; n += 8)
                {
                    nint group = from + n / lanes * block + n % lanes;
                    LayerKernels<V, T>.Decay8(delta + from, a2 + n * lanes, limit, decay, rows);
                    LayerKernels<V, T>.Scan8(x + from, delta + from, gate + from, bs + group, cs + group, block, decay, skip, state + n * lanes, rows, partial, n == 0, n + 8 >= np);
                }
            }
        }
    }

    private void PoolSegment(Segment s, T* u, nint block)
    {
        int d = _shape.D, lanes = V.Lanes;
        T* rows = u + (nint)s.Start * lanes;
        fixed (double* pool = s.Record.Pool)
            for (int j = 0; j < d; j += lanes, rows += block)
            {
                int count = Math.Min(lanes, d - j);
                if (_pooling == Pooling.Mean) LayerKernels<V, T>.PoolSum(rows, pool + j, s.Length, count);
                else if (_pooling == Pooling.Last)
                    for (int i = 0; i < count; i++) pool[j + i] = double.CreateTruncating(rows[(s.Length - 1) * lanes + i]);
                else PoolMax(rows, pool + j, j, s, count);
            }
        s.Record.Pooled += s.Length;
        if (s.Record.WantsPositions) EmitPositions(s, u, block);
    }

    // norm_f's weight may be negative, so the maximum is taken behind it.
    private void PoolMax(T* rows, double* pool, int channel, Segment s, int count)
    {
        for (int t = 0; t < s.Length; t++)
            for (int i = 0; i < count; i++)
            {
                double v = double.CreateTruncating(rows[t * V.Lanes + i]) * _encoder.FinalWeight[channel + i] + _encoder.FinalBias[channel + i];
                if (s.Position + t == 0 || v > pool[i] || double.IsNaN(v)) pool[i] = v;
            }
    }

    private void EmitPositions(Segment s, T* u, nint block)
    {
        int d = _shape.D, lanes = V.Lanes;
        bool f64 = typeof(T) == typeof(double);
        var rows = new float[s.Length * d];
        var rows64 = f64 ? new double[s.Length * d] : [];
        for (int t = 0; t < s.Length; t++)
            for (int j = 0; j < d; j++)
            {
                T v = u[(nint)(s.Start + t) * lanes + j / lanes * block + j % lanes];
                // In the element type itself, as a layer norm kernel would do it.
                T y = v * T.CreateTruncating(_encoder.FinalWeight[j]) + T.CreateTruncating(_encoder.FinalBias[j]);
                rows[t * d + j] = float.CreateTruncating(y);
                if (f64) rows64[t * d + j] = double.CreateTruncating(y);
            }
        s.Record.Positions(s.Position, rows, rows64);
    }

    internal override void Finish(StreamRecord record, Span<double> result)
    {
        double scale = _pooling == Pooling.Mean ? 1.0 / record.Tracks.Length : 1;
        for (int j = 0; j < result.Length; j++)
            result[j] = _pooling == Pooling.Max ? record.Pool[j] : record.Pool[j] * scale * _encoder.FinalWeight[j] + _encoder.FinalBias[j];
    }
}
