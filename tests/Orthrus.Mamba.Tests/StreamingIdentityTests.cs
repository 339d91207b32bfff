using Orthrus.Autograd;
using Orthrus.Tensor;
using Orthrus.Tensor.Cpu;

namespace Orthrus.Mamba.Tests;

/// <summary>The same bits whatever the chunks, threads, batch mates and order; and the modules' numbers within rounding.</summary>
public class StreamingIdentityTests
{
    private static byte[][] Records(int seed, int count, int shortest, int longest)
    {
        var random = new SampleRandom((ulong)seed);
        return [.. Enumerable.Range(0, count).Select(_ => Record(random, shortest + (int)(random.Uniform() * (longest - shortest + 1))))];
    }

    private static byte[] Record(SampleRandom random, int length)
    {
        var bytes = new byte[length];
        for (int i = 0; i < length; i++)
            bytes[i] = (byte)((random.Uniform() < 0.03 ? 0 : 1 << (int)(random.Uniform() * 4)) | (random.Uniform() < 0.3 ? 16 : 0) | (random.Uniform() < 0.05 ? 32 : 0));
        return bytes;
    }

    /// <summary>Weights of upstream's distribution, with norms, skips and biases moved off their constants.</summary>
    internal static Func<string, double[]> Weights(MambaConfig config, ulong seed)
    {
        var state = EncoderLayout.Initialise(config, seed);
        var random = new SampleRandom(seed + 99);
        var moved = state.ToDictionary(t => t.Name, t => Array.ConvertAll(t.ToDouble(), v => t.Shape.Count == 1 ? v + 0.2 * (random.Uniform() - 0.5) : v));
        return name => moved[name];
    }

    /// <summary>Results by record, whatever the order in which they were given.</summary>
    private static (double[][] Pooled, double[][]? Positions) Run(MambaConfig config, Func<string, double[]> weights, EmbedderOptions options, byte[][] records, int[]? order = null, bool positions = false)
    {
        using var embedder = new Embedder(config, weights, options);
        int d = config.DModel;
        var pooled = new double[records.Length][];
        var rows = positions ? Array.ConvertAll(records, r => new double[r.Length * d]) : null;
        int next = 0;
        PositionHandler<int>? handler = rows is null ? null : (i, start, single, wide) =>
        {
            for (int k = 0; k < single.Length; k++) rows[i][start * d + k] = wide.Length > 0 ? wide[k] : single[k];
        };
        order ??= [.. Enumerable.Range(0, records.Length)];
        foreach (var r in embedder.EmbedAll(order, i => records[i], handler))
        {
            Assert.Equal(order[next++], r.Record);
            pooled[r.Record] = r.Vector64 ?? Array.ConvertAll(r.Vector, v => (double)v);
            Assert.All(pooled[r.Record], v => Assert.True(double.IsFinite(v)));
        }
        Assert.Equal(order.Length, next);
        return (pooled, rows);
    }

    private static void AssertSame(double[][] want, double[][] got, string what)
    {
        for (int i = 0; i < want.Length; i++) Assert.True(want[i].AsSpan().SequenceEqual(got[i]), $"record {i} differs: {what}");
    }

    public static IEnumerable<TheoryDataRow<int, int, int, DType, int>> Encoders() =>
        from dtype in new[] { DType.F32, DType.F64 }
        from width in VectorWidths.All
        from size in new[] { (8, 1, 16), (20, 2, 16), (48, 4, 4), (72, 3, 32) }
        select new TheoryDataRow<int, int, int, DType, int>(size.Item1, size.Item2, size.Item3, dtype, width);

    [Theory]
    [MemberData(nameof(Encoders))]
    public void Chunks_threads_order_and_mates_change_no_bit(int d, int layers, int states, DType dtype, int width)
    {
        var config = new MambaConfig(d, layers, 6) { DState = states };
        var weights = Weights(config, (ulong)(d + states));
        // Fewer and shorter records where the processor only emulates the width.
        bool native = VectorWidths.Native.Contains(width);
        byte[][] records = [.. Records(d, native ? 30 : 6, 1, 50), .. Records(d + 1, native ? 4 : 1, 120, native ? 700 : 130)];
        var options = new EmbedderOptions { DType = dtype, VectorWidth = width, Threads = 1, ChunkLength = 96 };
        var (want, wantRows) = Run(config, weights, options, records, positions: true);
        int[] order = [.. Enumerable.Range(0, records.Length)];
        var random = new Random(d);
        foreach (int chunk in new[] { 1, 7, 60, 96, 504 })
        {
            random.Shuffle(order);
            int threads = chunk % 4 + 1;
            bool positions = chunk != 60;
            var (got, rows) = Run(config, weights, options with { Threads = threads, ChunkLength = chunk }, records, order, positions);
            AssertSame(want, got, $"chunk {chunk}, {threads} threads");
            if (positions) AssertSame(wantRows!, rows!, $"positions, chunk {chunk}, {threads} threads");
        }
        // Alone.
        using var embedder = new Embedder(config, weights, options with { Threads = 3 });
        for (int i = records.Length - 1; i >= 0; i -= 3)
        {
            var result = embedder.EmbedAll([records[i]], r => r).Single();
            Assert.Equal(want[i], result.Vector64 ?? Array.ConvertAll(result.Vector, v => (double)v));
        }
        AssertModules(config, weights, dtype, width, records, want, wantRows!);
    }

    private static void AssertModules(MambaConfig config, Func<string, double[]> weights, DType dtype, int width, byte[][] records, double[][] pooled, double[][] positions)
    {
        for (int i = records.Length - 2; i < records.Length; i++)
        {
            double[] y = ModuleRows(config, weights, dtype, width, records[i]);
            double tolerance = dtype == DType.F64 ? 1e-11 : 2e-5;
            AssertNear(y, positions[i], tolerance);
            AssertNear(Mean(y, config.DModel), pooled[i], tolerance);
        }
    }

    internal static double[] Mean(double[] y, int d) => [.. Enumerable.Range(0, d).Select(j => Enumerable.Range(0, y.Length / d).Average(t => y[t * d + j]))];

    internal static double[] ModuleRows(MambaConfig config, Func<string, double[]> weights, DType dtype, int width, byte[] record)
    {
        using var device = new CpuDevice(2, width);
        using var scope = device.OpenScope();
        using var store = new ParameterStore(device, dtype);
        using var tape = Tape.Off(device);
        var model = new MixerModel(store, config);
        foreach (var (name, p) in model.NamedParameters())
        {
            if (dtype == DType.F64) p.Value.CopyFrom<double>(weights(name));
            else p.Value.CopyFrom<float>(Array.ConvertAll(weights(name), v => (float)v));
        }
        return GoldenModel.Numbers(model.Forward(tape, scope.From<byte>(record, new Shape(1, record.Length))).Value);
    }

    internal static void AssertNear(double[] want, double[] got, double relative)
    {
        Assert.Equal(want.Length, got.Length);
        double largest = want.Max(Math.Abs), worst = want.Zip(got, (a, b) => Math.Abs(a - b)).Max();
        Assert.True(worst <= relative * largest, $"worst deviation {worst:E2}, largest value {largest:G4}");
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public void Every_number_of_threads_on_many_short_records(int threads)
    {
        var config = new MambaConfig(32, 3, 4);
        var weights = Weights(config, 7);
        byte[][] records = Records(17, 400, 1, 50);
        var options = new EmbedderOptions { Threads = 1 };
        AssertSame(Run(config, weights, options, records).Pooled, Run(config, weights, options with { Threads = threads, ChunkLength = 33 }, records).Pooled, $"{threads} threads");
    }

    [Theory]
    [InlineData(Pooling.Last)]
    [InlineData(Pooling.Max)]
    [InlineData(Pooling.Mean)]
    public void Pooling_agrees_with_the_positions(Pooling pooling)
    {
        var config = new MambaConfig(24, 2, 6);
        byte[][] records = Records(5, 12, 1, 300);
        foreach (var dtype in new[] { DType.F32, DType.F64 })
        {
            var (pooled, positions) = Run(config, Weights(config, 3), new EmbedderOptions { Pooling = pooling, DType = dtype, ChunkLength = 40, Threads = 2 }, records, positions: true);
            for (int i = 0; i < records.Length; i++)
            {
                double[] y = positions![i], want = pooling switch
                {
                    Pooling.Mean => Mean(y, 24),
                    Pooling.Last => y[^24..],
                    _ => [.. Enumerable.Range(0, 24).Select(j => Enumerable.Range(0, y.Length / 24).Max(t => y[t * 24 + j]))],
                };
                AssertNear(want, pooled[i], dtype == DType.F64 ? 1e-13 : 1e-6);
            }
        }
    }

    [Fact]
    public void Bits_beyond_the_model_are_not_read()
    {
        var config = new MambaConfig(16, 2, 4);
        byte[] bases = Records(3, 1, 90, 90)[0], marked = Array.ConvertAll(bases, b => (byte)(b ^ 0xF0)), plain = Array.ConvertAll(bases, b => (byte)(b & 15));
        using var embedder = new Embedder(config, Weights(config, 1), new EmbedderOptions { Threads = 1 });
        Assert.Equal(embedder.Embed(plain), embedder.Embed(marked));
        plain[89] ^= 3;
        Assert.NotEqual(embedder.Embed(plain), embedder.Embed(marked));
    }
}
