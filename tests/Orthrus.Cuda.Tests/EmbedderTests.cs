using Orthrus.Mamba;
using Orthrus.PtxSim;
using Orthrus.Tensor;

namespace Orthrus.Cuda.Tests;

/// <summary>The embedder on a simulated device, against the CPU's.</summary>
public sealed class EmbedderTests : IDisposable
{
    private readonly CudaDevice _device = SimDriver.Open(new SimOptions { Seed = 3 });
    private readonly OrthrusModel _model = OrthrusModel.Create(new MambaConfig(64, 2, 6), 5);

    public void Dispose() => _device.Dispose();

    private static byte[] Record(int length, int seed)
    {
        var random = new Random(seed);
        var bytes = new byte[length];
        for (int i = 0; i < length; i++) bytes[i] = (byte)(1 << random.Next(4) | (i % 3 == 0 ? 16 : 0) | (i % 97 == 0 ? 32 : 0));
        return bytes;
    }

    private static readonly byte[][] Records = [Record(1, 1), Record(33, 2), Record(200, 3), Record(64, 4), Record(190, 5), Record(31, 6)];

    [Theory]
    [InlineData(DType.F32, Pooling.Mean, 2e-6)]
    [InlineData(DType.F32, Pooling.Max, 1e-5)]
    [InlineData(DType.F32, Pooling.Last, 1e-5)]
    [InlineData(DType.BF16, Pooling.Mean, 0.02)]
    public void Agrees_with_the_CPU_in_float64(DType dtype, Pooling pooling, double limit)
    {
        using var reference = new Embedder(_model, new EmbedderOptions { DType = DType.F64, Pooling = pooling });
        using var embedder = new Embedder(_model, new EmbedderOptions { Device = _device, DType = dtype, Pooling = pooling });
        var want = reference.EmbedAll(Records, r => r).Select(e => e.Vector64!).ToArray();
        var got = embedder.EmbedAll(Records, r => r).Select(e => e.Vector).ToArray();
        for (int i = 0; i < Records.Length; i++) AssertNear(want[i], got[i], limit);
        Assert.StartsWith("sim (H100", embedder.Description, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(DType.F32)]
    [InlineData(DType.BF16)]
    public void A_record_is_the_same_bits_whatever_its_batch(DType dtype)
    {
        using var embedder = new Embedder(_model, new EmbedderOptions { Device = _device, DType = dtype });
        var together = embedder.EmbedAll(Records, r => r).Select(e => e.Vector).ToArray();
        for (int i = 0; i < Records.Length; i++) Assert.Equal(embedder.Embed(Records[i]), together[i]);
        var twice = embedder.EmbedAll([Records[4], Records[2], Records[4], Records[4]], r => r).Select(e => e.Vector).ToArray();
        Assert.Equal(together[4], twice[0]);
        Assert.Equal(together[4], twice[3]);
    }

    [Fact]
    public void A_long_record_in_pieces_agrees_with_one_piece()
    {
        byte[] record = Record(150, 9);
        using var whole = new Embedder(_model, new EmbedderOptions { Device = _device });
        using var pieces = new Embedder(_model, new EmbedderOptions { Device = _device, ChunkLength = 47 });
        AssertNear(Array.ConvertAll(whole.Embed(record), v => (double)v), pieces.Embed(record), 2e-6);
    }

    [Fact]
    public void Positions_come_in_order_and_average_to_the_embedding()
    {
        using var embedder = new Embedder(_model, new EmbedderOptions { Device = _device });
        var next = new Dictionary<byte[], int>();
        var sums = new Dictionary<byte[], double[]>();
        foreach (var e in embedder.EmbedAll(Records, r => r, Take))
        {
            Assert.Equal(e.Record.Length, next[e.Record]);
            AssertNear(Array.ConvertAll(sums[e.Record], s => s / e.Record.Length), e.Vector, 1e-6);
        }

        void Take(byte[] record, int start, ReadOnlySpan<float> rows, ReadOnlySpan<double> rows64)
        {
            Assert.Equal(next.GetValueOrDefault(record), start);
            next[record] = start + rows.Length / 64;
            if (!sums.TryGetValue(record, out double[]? sum)) sums[record] = sum = new double[64];
            for (int i = 0; i < rows.Length; i++) sum[i % 64] += rows[i];
        }
    }

    [Fact]
    public void Memory_goes_back()
    {
        using (var embedder = new Embedder(_model, new EmbedderOptions { Device = _device, DType = DType.BF16 }))
        {
            embedder.Embed(Records[2]);
            long live = _device.LiveBytes;
            foreach (var _ in embedder.EmbedAll(Records, r => r)) Assert.True(_device.LiveBytes >= 0);
            Assert.Equal(live, _device.LiveBytes);
        }
        Assert.Equal(0, _device.LiveBlocks);
    }

    [Fact]
    public void Float64_is_refused()
    {
        var e = Assert.Throws<ArgumentException>(() => new Embedder(_model, new EmbedderOptions { Device = _device, DType = DType.F64 }));
        Assert.Contains("choose F32 or BF16", e.Message);
    }

    private static void AssertNear(double[] want, float[] got, double limit)
    {
        double norm = Math.Sqrt(want.Sum(v => v * v)), error = Math.Sqrt(want.Zip(got, (w, g) => (w - g) * (w - g)).Sum());
        Assert.True(error <= limit * norm, $"relative error {error / norm:G3}, limit {limit:G3}");
    }
}
