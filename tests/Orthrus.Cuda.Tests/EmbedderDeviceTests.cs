using Orthrus.Cuda.Tests.Driver;
using Orthrus.Mamba;
using Orthrus.Mamba.Streaming;
using Orthrus.PtxSim;
using Orthrus.Tensor;
using Orthrus.Tensor.Cuda;

namespace Orthrus.Cuda.Tests;

/// <summary>The host path of embedding on simulated devices: graphs, the first layer's table, several devices, memory that does not suffice, devices that fail.</summary>
public sealed class EmbedderDeviceTests(ITestOutputHelper output)
{
    private static readonly OrthrusModel Small = OrthrusModel.Create(new MambaConfig(32, 2, 6), 5), FourTracks = OrthrusModel.Create(new MambaConfig(32, 1, 4), 5);

    private static byte[] Record(int length, int seed)
    {
        var random = new Random(seed);
        var bytes = new byte[length];
        for (int i = 0; i < length; i++) bytes[i] = (byte)(1 << random.Next(4) | (i % 3 == 0 ? 16 : 0) | (i % 97 == 0 ? 32 : 0));
        return bytes;
    }

    private static byte[][] Records(int count, int longest, int seed) => [.. Enumerable.Range(0, count).Select(k => Record(1 + (k * 7919 + seed) % longest, seed + k))];

    private static float[][] Embed(Embedder embedder, IEnumerable<byte[]> records) => [.. embedder.EmbedAll(records, r => r).Select(e => e.Vector)];

    private static DeviceEncoder Encoder(CudaDevice device, EmbedderOptions options, OrthrusModel? model = null) =>
        new(device, (model ?? Small).Config, name => (model ?? Small).Encoder[name].ToDouble(), options);

    private sealed class Plain : StreamRecord
    {
        internal override bool WantsPositions => false;
        internal override void Positions(int start, ReadOnlySpan<float> rows, ReadOnlySpan<double> rows64) => throw new NotSupportedException();

        internal static List<StreamRecord> Batch(params byte[][] records) => [.. records.Select(r => new Plain { Tracks = r, Pool = new double[Small.Config.DModel] })];
    }

    [Theory]
    [InlineData(DType.F32, 1)]
    [InlineData(DType.F32, 2)]
    [InlineData(DType.BF16, 1)]
    [InlineData(DType.BF16, 2)]
    public void Graphs_change_no_bit_and_spare_the_calls_of_all_layers(DType dtype, int seed)
    {
        using var device = SimDriver.Open(new SimOptions { Seed = seed });
        int[][] shapes = [[60, 57], [24, 22, 21]];
        double[][][] Run(bool graphs, out long[] calls, out long replays)
        {
            using var encoder = Encoder(device, new EmbedderOptions { DType = dtype, Graphs = graphs });
            var results = new List<double[][]>();
            var counted = new List<long>();
            // Two shapes by turns, with other records of other lengths each time: what a graph left must not reach the next.
            for (int round = 0; round < 4; round++)
                foreach (int[] lengths in shapes)
                {
                    var batch = Plain.Batch([.. lengths.Select((l, k) => Record(l - round, 10 * round + k))]);
                    long before = device.DriverCalls;
                    encoder.Encode(batch);
                    counted.Add(device.DriverCalls - before);
                    results.Add([.. batch.Select(r => r.Pool)]);
                }
            (calls, replays) = ([.. counted], encoder.Graphs.Replays);
            Assert.Null(encoder.Graphs.Why);
            return [.. results];
        }

        var plain = Run(graphs: false, out long[] callsPlain, out _);
        var recorded = Run(graphs: true, out long[] callsRecorded, out long replays);
        Assert.Equal(plain, recorded);
        Assert.Equal(6, replays);
        output.WriteLine($"{dtype}: calls of the driver per batch of {Small.Config.NLayer} layers: {callsPlain[^1]} given one by one, {callsRecorded[^1]} with a graph; {callsRecorded[2]} to record");
        Assert.True(10 * callsRecorded[^1] <= 3 * callsPlain[^1], $"{callsRecorded[^1]} of {callsPlain[^1]} calls");
        // What does not depend on the number of layers is all that is left.
        Assert.InRange(callsRecorded[^1], 1, 24);
        Assert.Equal(0, device.LiveBlocks);
    }

    [Fact]
    public void Memory_of_graphs_is_nobody_elses()
    {
        using var device = SimDriver.Open(new SimOptions { Seed = 4 });
        byte[][] records = [Record(40, 1), Record(39, 2)];
        using var first = Encoder(device, new EmbedderOptions());
        var want = Plain.Batch(records);
        first.Encode(want);
        for (int round = 0; round < 3; round++)
        {
            // Another model comes and goes between two replays; the simulator faults where its blocks are those of a graph.
            using var other = Encoder(device, new EmbedderOptions(), FourTracks);
            other.Encode(Plain.Batch([Record(50, 3)]));
            using var scope = device.OpenScope();
            var held = Enumerable.Range(1, 40).Select(k => scope.Zeros(new Shape(k * 500), DType.F32)).ToArray();
            var got = Plain.Batch(records);
            first.Encode(got);
            Assert.Equal(want.Select(r => r.Pool), got.Select(r => r.Pool));
            foreach (var t in held) Assert.All(t.ToArray<float>(), v => Assert.Equal(0, v));
        }
        Assert.Equal(3, first.Graphs.Replays);
    }

    [Fact]
    public void Shapes_are_few_graphs_are_bounded_and_memory_is_that_of_the_largest()
    {
        // Every length is padded to one of 32 to an octave, never shorter, never by more than a 32nd (long ones an eighth) or 7.
        for (int length = 1; length < 70_000; length++)
        {
            int padded = DeviceEncoder.Padded(length);
            Assert.InRange(padded, length, length + Math.Max(7, length / (length < 4096 ? 32 : 8)));
            Assert.Equal(padded, DeviceEncoder.Padded(padded));
        }
        Assert.InRange(Enumerable.Range(2049, 2000).Select(DeviceEncoder.Padded).Distinct().Count(), 1, 33);
        using var device = SimDriver.Open(new SimOptions { Seed = 2, Checks = false });
        using var encoder = Encoder(device, new EmbedderOptions(), FourTracks);
        encoder.Encode(Plain.Batch([Record(400, 1)]));
        long arena = encoder.Graphs.ArenaBytes;
        for (int k = 1; k <= EncoderGraphs.MostGraphs + 3; k++)
            for (int twice = 0; twice < 2; twice++) encoder.Encode(Plain.Batch([Record(8 * k, k)]));
        Assert.Equal(EncoderGraphs.MostGraphs, encoder.Graphs.Count);
        Assert.Equal(arena, encoder.Graphs.ArenaBytes);
    }

    [Fact]
    public void Where_nothing_can_be_recorded_the_work_is_given_as_it_is()
    {
        using var rig = new Rig(new SimOptions { Seed = 5 });
        byte[][] records = [Record(30, 1), Record(29, 2)];
        double[][] want;
        using (var device = CudaDevice.FromContext(rig.Driver, rig.Context))
        using (var encoder = Encoder(device, new EmbedderOptions { Graphs = false })) want = Vectors(encoder);
        // The default stream cannot be recorded.
        using var onDefault = CudaDevice.FromContext(rig.Driver, rig.Context, CudaStream.Default);
        using var plain = Encoder(onDefault, new EmbedderOptions());
        for (int k = 0; k < 3; k++) Assert.Equal(want, Vectors(plain));
        Assert.Equal(0, plain.Graphs.Replays);
        Assert.Contains("the default stream cannot be recorded", plain.Graphs.Why);

        double[][] Vectors(DeviceEncoder encoder)
        {
            var batch = Plain.Batch(records);
            encoder.Encode(batch);
            return [.. batch.Select(r => r.Pool)];
        }
    }

    [Fact]
    public void Work_that_waits_cannot_be_recorded_and_the_device_goes_on()
    {
        using var device = SimDriver.Open();
        using var scope = device.OpenScope();
        var x = scope.Zeros(new Shape(8), DType.F32);
        Assert.Null(device.Capture(device.Synchronize, out string? why));
        Assert.Contains("cuStreamSynchronize of a stream that is recorded", why);
        Assert.Throws<ShapeException>(() => device.Capture(() => throw new ShapeException("as asked"), out _));
        using (var graph = device.Capture(() => device.Fill(x.Address, 32, 0x3F), out why))
        {
            Assert.Null(why);
            // Recording runs nothing.
            Assert.Equal(0, x.ToArray<float>()[7]);
            graph!.Launch();
            Assert.Equal(0x3F3F3F3F, BitConverter.SingleToInt32Bits(x.ToArray<float>()[7]));
        }
    }

    [Theory]
    [InlineData(DType.F32)]
    [InlineData(DType.BF16)]
    public void The_first_layer_by_track_byte_has_the_same_bits_for_less_work(DType dtype)
    {
        using var driver = new SimDriver(new SimOptions { Seed = 6 });
        using var device = driver.OpenDevice();
        long lanes = 0, bytes = 0;
        driver.Launched = r => (lanes, bytes) = (lanes + r.WithoutMoves.Lane, bytes + r.DramReadBytes + r.DramWriteBytes);
        var results = new List<float[][]>();
        var costs = new List<(long Lanes, long Bytes)>();
        byte[][] records = [Record(150, 1), Record(149, 2), Record(33, 3)];
        foreach (var model in new[] { Small, FourTracks })
            foreach (bool table in new[] { false, true })
            {
                using var embedder = new Embedder(model, new EmbedderOptions { Device = device, DType = dtype, FirstLayerTable = table, Graphs = false });
                device.Synchronize();
                (lanes, bytes) = (0, 0);
                results.Add(Embed(embedder, records));
                costs.Add((lanes, bytes));
            }
        Assert.Equal(results[0], results[1]);
        Assert.Equal(results[2], results[3]);
        int positions = records.Sum(r => r.Length);
        for (int k = 0; k < 4; k += 2)
        {
            double savedLanes = (costs[k].Lanes - costs[k + 1].Lanes) / (double)positions, savedBytes = (costs[k].Bytes - costs[k + 1].Bytes) / (double)positions;
            output.WriteLine($"{dtype}, {(k == 0 ? "2 layers" : "1 layer")}: {costs[k].Lanes / positions} lane instructions and {costs[k].Bytes / positions} bytes per nucleotide, {savedLanes:0} and {savedBytes:0} less by the table (simulated)");
            Assert.True(savedLanes > 0, "lane instructions");
        }
    }

    [Fact]
    public void Long_records_are_the_same_bits_in_whatever_company()
    {
        // Above 4,095 positions the scan's chunks follow the padded length.
        using var device = SimDriver.Open(new SimOptions { Seed = 7, Checks = false });
        using var encoder = Encoder(device, new EmbedderOptions(), FourTracks);
        Assert.NotEqual(SelectiveScan.ChunkLength(DeviceEncoder.Padded(7100), 1024), SelectiveScan.ChunkLength(DeviceEncoder.Padded(6600), 1024));
        Assert.Equal([1, 2], encoder.Batches(Plain.Batch(new byte[7000], new byte[7100], new byte[6600])).Select(b => b.Count).Order());
        byte[][] records = [Record(4700, 1), Record(4650, 2), Record(4600, 3)];
        var batches = encoder.Batches(Plain.Batch(records)).ToList();
        Assert.Equal([1, 2], batches.Select(b => b.Count).Order());
        foreach (var batch in batches) encoder.Encode(batch);
        var together = batches.SelectMany(b => b).OrderByDescending(r => r.Tracks.Length).Select(r => r.Pool).ToArray();
        for (int k = 0; k < 3; k++)
        {
            var alone = Plain.Batch(records[k]);
            encoder.Encode(alone);
            Assert.Equal(together[k], alone[0].Pool);
        }
    }
}
