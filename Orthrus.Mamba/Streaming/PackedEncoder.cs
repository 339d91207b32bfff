using System.Numerics;
using Orthrus.Tensor.Cpu;

namespace Orthrus.Mamba.Streaming;

/// <summary>
/// All weights of an encoder, packed, with layer 0's input side as tables: the embedding, in_proj's x and SiLU of in_proj's z depend on the track
/// byte alone, so each is 64 rows, computed in double.
/// </summary>
internal sealed unsafe class PackedEncoder<V, T> : IDisposable where V : unmanaged, ISimd<V, T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    private const int TrackBytes = 64;
    private const double Epsilon = 1e-5;
    private readonly NativeBuffer<T> _tables;

    internal PackedEncoder(MambaConfig config, Func<string, double[]> tensor)
    {
        Shape = new PackedShape(config, V.Lanes);
        Layers = new PackedLayer<V, T>[config.NLayer];
        for (int i = 0; i < Layers.Length; i++) Layers[i] = new PackedLayer<V, T>(Shape, tensor, $"layers.{i}.");
        FinalWeight = tensor("norm_f.weight");
        FinalBias = tensor("norm_f.bias");
        _tables = new NativeBuffer<T>((long)TrackBytes * (Shape.Dp + 2 * Shape.Ep));
        Embedding = _tables.Pointer;
        X0 = Embedding + (long)TrackBytes * Shape.Dp;
        Z0 = X0 + (long)TrackBytes * Shape.Ep;
        MakeTables(config, tensor);
    }

    internal PackedShape Shape { get; }
    internal PackedLayer<V, T>[] Layers { get; }
    /// <summary>norm_f's weight and bias; applied to the pooled mean in double.</summary>
    internal double[] FinalWeight { get; }
    internal double[] FinalBias { get; }
    /// <summary>Tables in blocks of one vector: [blocks][64][lanes].</summary>
    internal T* Embedding { get; }
    internal T* X0 { get; }
    internal T* Z0 { get; }

    public void Dispose()
    {
        foreach (var layer in Layers) layer.Dispose();
        _tables.Dispose();
    }

    private void MakeTables(MambaConfig config, Func<string, double[]> tensor)
    {
        int d = config.DModel, e = config.DInner, c = config.NTracks, lanes = V.Lanes;
        double[] we = tensor("embedding.weight"), be = tensor("embedding.bias"), w = tensor("layers.0.mixer.in_proj.weight");
        double[] gain = tensor("layers.0.norm.weight"), shift = tensor("layers.0.norm.bias");
        var h = new double[d];
        for (int b = 0; b < TrackBytes; b++)
        {
            double mean = 0, variance = 0;
            for (int i = 0; i < d; i++)
            {
                double v = be[i];
                for (int track = 0; track < c; track++)
                    if ((b >> track & 1) != 0) v += we[i * c + track];
                h[i] = v;
                mean += v / d;
                Embedding[((long)(i / lanes) * TrackBytes + b) * lanes + i % lanes] = T.CreateTruncating(v);
            }
            for (int i = 0; i < d; i++) variance += (h[i] - mean) * (h[i] - mean) / d;
            double scale = 1 / Math.Sqrt(variance + Epsilon);
            for (int i = 0; i < d; i++) h[i] = (h[i] - mean) * scale * gain[i] + shift[i];
            for (int j = 0; j < 2 * e; j++)
            {
                double v = 0;
                long row = (long)j * d;
                for (int i = 0; i < d; i++) v += w[row + i] * h[i];
                int at = j % e;
                T* table = j < e ? X0 : Z0;
                table[((long)(at / lanes) * TrackBytes + b) * lanes + at % lanes] = T.CreateTruncating(j < e ? v : v / (1 + Math.Exp(-v)));
            }
        }
    }
}
