using System.Diagnostics;
using Orthrus.Tensor;
using Orthrus.Tensor.Cpu;

namespace Orthrus.Mamba.Tests;

/// <summary>Very long records, and the speed of one.</summary>
[Trait("tier", "long")]
public class StreamingLongTests(ITestOutputHelper output)
{
    private static readonly MambaConfig Base = new(256, 3, 6);

    private static byte[] Record(int length)
    {
        var random = new Random(length);
        var bytes = new byte[length];
        for (int i = 0; i < length; i++) bytes[i] = (byte)(1 << random.Next(4) | (i % 3 == 0 ? 16 : 0) | (i % 150 == 0 ? 32 : 0));
        return bytes;
    }

    [Fact]
    public void A_million_nucleotides_are_the_same_bits_in_any_chunks()
    {
        byte[] record = Record(1_000_000);
        var model = OrthrusModel.Create(Base, 1);
        float[]? want = null;
        foreach (int chunk in new[] { 96, 500, 4096 })
        {
            using var embedder = new Embedder(model, new EmbedderOptions { ChunkLength = chunk, Threads = 2 });
            float[] got = embedder.Embed(record);
            Assert.All(got, v => Assert.True(float.IsFinite(v)));
            want ??= got;
            Assert.Equal(want, got);
        }
    }

    [Fact]
    public void Twenty_thousand_nucleotides_equal_the_modules_on_the_whole_record()
    {
        byte[] record = Record(20_000);
        var weights = StreamingIdentityTests.Weights(Base, 2);
        double[] y = StreamingIdentityTests.ModuleRows(Base, weights, DType.F32, VectorWidths.Default, record);
        using var embedder = new Embedder(Base, weights, new EmbedderOptions { Threads = 2 });
        StreamingIdentityTests.AssertNear(StreamingIdentityTests.Mean(y, 256), Array.ConvertAll(embedder.Embed(record), v => (double)v), 1e-5);
    }

    [Fact]
    [Trait("machine", "alone")]
    public void Two_threads_share_one_long_record()
    {
        if (Environment.ProcessorCount < 2) Assert.Skip("needs two processors");
        byte[] record = Record(60_000);
        var model = OrthrusModel.Create(Base, 1);
        using var one = new Embedder(model, new EmbedderOptions { Threads = 1 });
        using var two = new Embedder(model, new EmbedderOptions { Threads = 2 });
        // What two threads can reach is what they reach here and now with work that shares nothing: a busy or virtual machine often lends less than two
        // whole processors. All three are measured in turn, each by its fastest run: other programs can only slow a run down.
        double alone = double.MaxValue, shared = double.MaxValue, rate1 = 0, rate2 = 0;
        for (int i = 0; i < 9; i++)
        {
            (alone, shared) = (Math.Min(alone, Seconds(one)), Math.Min(shared, Seconds(two)));
            (rate1, rate2) = (Math.Max(rate1, MachineLimits.FmaRate<float>(VectorWidths.Default)), Math.Max(rate2, MachineLimits.FmaRate<float>(VectorWidths.Default, 2)));
        }
        double gain = alone / shared, possible = rate2 / rate1;
        output.WriteLine($"two threads against one: {gain:F2}, of independent work: {possible:F2}");
        Assert.True(gain >= 0.75 * possible, $"two threads are {gain:F2} times as fast as one, independent work {possible:F2} times");

        double Seconds(Embedder embedder)
        {
            var clock = Stopwatch.StartNew();
            embedder.Embed(record);
            return clock.Elapsed.TotalSeconds;
        }
    }
}
