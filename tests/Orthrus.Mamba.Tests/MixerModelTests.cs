using Orthrus.Autograd;
using Orthrus.Tensor;

namespace Orthrus.Mamba.Tests;

using Tensor = Orthrus.Tensor.Tensor;

public class MixerModelTests
{
    [Theory]
    [InlineData(256, 3, 4, 1_316_608)]
    [InlineData(256, 3, 6, 1_317_120)]
    [InlineData(512, 6, 6, 10_179_072)]
    [InlineData(512, 6, 4, 10_178_048)]
    [InlineData(512, 4, 6, 6_787_584)]
    [InlineData(512, 4, 4, 6_786_560)]
    [InlineData(512, 3, 4, 5_090_816)]
    [InlineData(512, 12, 4, 20_352_512)]
    [InlineData(1024, 6, 6, 40_018_944)]
    [InlineData(64, 3, 6, 98_880)]
    public void Parameter_counts(int d, int n, int tracks, long count)
    {
        using var device = new CpuDevice(1);
        using var store = new ParameterStore(device, DType.F32);
        var model = new MixerModel(store, new(d, n, tracks));
        Assert.Equal(count, model.ParameterCount());
        Assert.Equal(count, EncoderLayout.ParameterCount(new(d, n, tracks)));
        Assert.Equal(4 + 11 * n, model.NamedParameters().Count);
    }

    [Theory]
    [InlineData(1024, 12, 6, 80_028_672)]
    [InlineData(512, 80, 6, 135_664_128)]
    public void Parameter_counts_of_the_largest(int d, int n, int tracks, long count) => Assert.Equal(count, EncoderLayout.ParameterCount(new(d, n, tracks)));

    [Theory]
    [InlineData(256, 461_824)]
    [InlineData(512, 592_896)]
    [InlineData(1024, 855_040)]
    public void Parameter_counts_of_the_projector(int d, long count)
    {
        using var device = new CpuDevice(1);
        using var store = new ParameterStore(device, DType.F32);
        var head = new ProjectionHead(store, new(d));
        Assert.Equal(count, head.ParameterCount());
        // Encoder and projector of the published runs together.
        foreach (var (layers, tracks, sum) in d switch { 256 => [(3, 4, 1_778_432), (3, 6, 1_778_944)], 512 => [(6, 6, 10_771_968), (6, 4, 10_770_944)], _ => Array.Empty<(int, int, int)>() })
            Assert.Equal(sum, EncoderLayout.ParameterCount(new(d, layers, tracks)) + head.ParameterCount());
        if (d == 512) Assert.Equal(529_408, new PositionHead(store, d).ParameterCount());
    }

    [Fact]
    public void Initial_weights_have_the_published_distributions()
    {
        using var device = new CpuDevice(1);
        using var store = new ParameterStore(device, DType.F32);
        var config = new MambaConfig(64, 4, 6);
        var model = new MixerModel(store, config);
        ModelInit.Initialise(model, 3);
        var p = model.NamedParameters().ToDictionary(x => x.Key, x => x.Value.Value.ToArray<float>());
        Uniform("embedding.weight", 1 / Math.Sqrt(6));
        Uniform("layers.2.mixer.in_proj.weight", 1.0 / 8);
        Uniform("layers.2.mixer.conv1d.weight", 0.5);
        Uniform("layers.2.mixer.conv1d.bias", 0.5);
        Uniform("layers.2.mixer.x_proj.weight", 1 / Math.Sqrt(128));
        Uniform("layers.2.mixer.dt_proj.weight", 0.5);
        Uniform("layers.2.mixer.out_proj.weight", 1 / Math.Sqrt(128) / 2);
        Assert.All(p["embedding.bias"].Concat(p["layers.1.norm.bias"]).Concat(p["norm_f.bias"]), v => Assert.Equal(0, v));
        Assert.All(p["layers.1.norm.weight"].Concat(p["norm_f.weight"]).Concat(p["layers.3.mixer.D"]), v => Assert.Equal(1, v));
        Assert.Equal(Enumerable.Range(1, 16).Select(i => (float)Math.Log(i)), p["layers.0.mixer.A_log"].Skip(32).Take(16));
        var steps = p["layers.0.mixer.dt_proj.bias"].Select(v => Math.Log(1 + Math.Exp(v))).ToArray();
        Assert.InRange(steps.Min(), 0.00099, 0.002);
        Assert.InRange(steps.Max(), 0.05, 0.101);
        Assert.NotEqual(p["layers.0.mixer.in_proj.weight"], p["layers.1.mixer.in_proj.weight"]);
        // A stream per tensor: the same name and seed give the same values whatever stands around it.
        Assert.Equal(p["layers.2.mixer.dt_proj.bias"], ModelInit.Encoder("layers.2.mixer.dt_proj.bias", new Shape(128), config, 3));
        Assert.Throws<ArgumentException>(() => ModelInit.Encoder("layers.0.mixer.unknown", new Shape(1), config, 3));

        void Uniform(string name, double limit)
        {
            Assert.InRange(p[name].Max(), 0.9 * limit, limit);
            Assert.InRange(p[name].Min(), -limit, -0.9 * limit);
            double spread = Math.Sqrt(p[name].Average(v => (double)v * v));
            Assert.InRange(spread / limit, 0.5, 0.65);
        }
    }

    [Fact]
    public void Heads_start_as_linear_layers_do()
    {
        using var device = new CpuDevice(1);
        using var store = new ParameterStore(device, DType.F64);
        var head = new ProjectionHead(store, new(64));
        ModelInit.InitialiseHead(head, 1, "projection_head.");
        var p = head.NamedParameters().ToDictionary(x => x.Key, x => x.Value);
        Assert.InRange(p["layers.0.bias"].Value.ToArray<double>().Max(), 0.1, 0.125);
        Assert.InRange(p["layers.4.weight"].Value.ToArray<double>().Max(), 0.04, 1 / Math.Sqrt(512));
        Assert.All(p["layers.1.weight"].Value.ToArray<double>(), v => Assert.Equal(1, v));
        Assert.All(p["layers.3.running_var"].Value.ToArray<double>(), v => Assert.Equal(1, v));
        Assert.All(p["layers.3.bias"].Value.ToArray<double>(), v => Assert.Equal(0, v));
        Assert.Equal(0, p["layers.3.num_batches_tracked"].Value.ToArray<long>()[0]);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Recompute_gives_the_same_bits_with_less_memory(bool bidirectional)
    {
        var (plain, plainPeak) = Gradients(false, bidirectional);
        var (again, againPeak) = Gradients(true, bidirectional);
        for (int i = 0; i < plain.Length; i++) Assert.True(plain[i].AsSpan().SequenceEqual(again[i]), $"parameter {i}");
        Assert.True(againPeak < 0.5 * plainPeak, $"{againPeak:N0} bytes with recompute, {plainPeak:N0} without");
    }

    private static (float[][] Grads, long Peak) Gradients(bool recompute, bool bidirectional)
    {
        using var device = new CpuDevice(1);
        using var scope = device.OpenScope();
        using var store = new ParameterStore(device, DType.F32);
        using var tape = new Tape(device);
        var model = new MixerModel(store, new(16, 8, 6) { Bidirectional = bidirectional }) { Recompute = recompute };
        ModelInit.Initialise(model, 11);
        var (tracks, lengths) = Batch(scope, 64, 50);
        long before = device.LiveBytes;
        var rep = model.Represent(tape, tracks, lengths);
        tape.Backward([rep], [scope.From<float>([.. Enumerable.Range(0, 32).Select(i => (float)Math.Sin(i))], new Shape(2, 16))]);
        // Gradients of parameters outlive the tape in both forms.
        long gradients = model.NamedParameters().Count * 512L;
        return ([.. model.NamedParameters().Select(p => p.Value.Grad.ToArray<float>())], device.PeakBytes - before - gradients);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Padding_and_batch_mates_do_not_change_a_record(bool bidirectional)
    {
        using var device = new CpuDevice(2);
        using var scope = device.OpenScope();
        using var store = new ParameterStore(device, DType.F64);
        using var tape = Tape.Off(device);
        var model = new MixerModel(store, new(16, 2, 6) { Bidirectional = bidirectional });
        ModelInit.Initialise(model, 5);
        var (tracks, lengths) = Batch(scope, 40, 23);
        var together = model.Represent(tape, tracks, lengths).Value.ToArray<double>();
        var alone = model.Represent(tape, tracks.Rows(1, 1).Reshape(new Shape(40)).Rows(0, 23).Reshape(new Shape(1, 23)), lengths.Rows(1, 1)).Value.ToArray<double>();
        Assert.Equal(alone, together[16..]);
    }

    [Fact]
    public void Inference_memory_does_not_grow_with_depth()
    {
        Assert.Equal(Peak(3), Peak(12));

        static long Peak(int layers)
        {
            using var device = new CpuDevice(1);
            using var scope = device.OpenScope();
            using var store = new ParameterStore(device, DType.F32);
            using var tape = Tape.Off(device);
            var model = new MixerModel(store, new(16, layers, 4));
            ModelInit.Initialise(model, 5);
            var (tracks, lengths) = Batch(scope, 64, 50);
            long before = device.LiveBytes;
            model.Represent(tape, tracks, lengths);
            return device.PeakBytes - before;
        }
    }

    /// <summary>Two records of random track bytes, the second one padded.</summary>
    private static (Tensor Tracks, Tensor Lengths) Batch(Scope scope, int longest, int second)
    {
        var random = new SampleRandom(9);
        var bytes = new byte[2 * longest];
        for (int i = 0; i < longest + second; i++) bytes[i] = (byte)(1 << (int)(random.Uniform() * 4) | (random.Uniform() < 0.3 ? 16 : 0));
        return (scope.From<byte>(bytes, new Shape(2, longest)), scope.From<int>([longest, second], new Shape(2)));
    }
}
