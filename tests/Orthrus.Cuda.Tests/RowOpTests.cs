using Orthrus.Autograd;
using Orthrus.PtxSim;
using Orthrus.Tensor;

namespace Orthrus.Cuda.Tests;

using Tensor = Orthrus.Tensor.Tensor;

/// <summary>
/// Norms, convolution, embedding and pooling at shapes that reach every form of their kernels: several blocks and parts, real widths, rows of one warp and of a
/// block, widths that are no multiple of anything; and what must not depend on the batch.
/// </summary>
public sealed class RowOpTests
{
    private readonly struct NormSamples : ISamples<LayerNorm.Attr>
    {
        public static IEnumerable<Sample<LayerNorm.Attr>> Samples()
        {
            Sample<LayerNorm.Attr> Row(int rows, int d) => new($"{rows} x {d}", new(1e-5), SampleInput.Normal(new Shape(rows, d), 2, 1), SampleInput.Normal(new Shape(d)), SampleInput.Normal(new Shape(d)));
            yield return Row(40, 256);
            yield return Row(5, 300);
            yield return Row(5, 1024);
            yield return Row(3, 2052);
            yield return Row(40, 255);
            yield return Row(40, 259);
        }
    }

    private readonly struct AddNormSamples : ISamples<AddLayerNorm.Attr>
    {
        public static IEnumerable<Sample<AddLayerNorm.Attr>> Samples()
        {
            yield return new("70 x 512", new(1e-5), SampleInput.Normal(new Shape(2, 35, 512)), SampleInput.Normal(new Shape(2, 35, 512), 2), SampleInput.Normal(new Shape(512)), SampleInput.Normal(new Shape(512)));
            yield return new("no rows", new(1e-5), SampleInput.Normal(new Shape(2, 0, 8)), SampleInput.Normal(new Shape(2, 0, 8)), SampleInput.Normal(new Shape(8)), SampleInput.Normal(new Shape(8)));
        }
    }

    private readonly struct ConvSamples : ISamples<CausalConv1d.Attr>
    {
        public static IEnumerable<Sample<CausalConv1d.Attr>> Samples()
        {
            Sample<CausalConv1d.Attr> Row(int b, int l, int e, int k, bool linear = false) => new($"{b} x {l} x {e}, {k} taps", new(linear),
                SampleInput.Normal(new Shape(b, l, e)), SampleInput.Normal(new Shape(e, k)), SampleInput.Normal(new Shape(e)), SampleInput.Normal(new Shape(b, k - 1, e)));
            yield return Row(2, 150, 132, 4);
            yield return Row(1, 8200, 4, 4);
            yield return Row(1, 140, 37, 4);
            yield return Row(2, 33, 12, 3, linear: true);
            yield return Row(1, 70, 8, 2);
            yield return Row(2, 0, 8, 4);
            yield return Row(2, 2, 4, 4);
            yield return Row(1, 300, 5, 9);
            yield return Row(2, 0, 3, 5);
        }
    }

    private readonly struct EmbeddingSamples : ISamples<NoAttr>
    {
        public static IEnumerable<Sample<NoAttr>> Samples()
        {
            Sample<NoAttr> Row(int b, int l, int d, int c) => new($"{b} x {l} x {d}, {c} tracks", default, SampleInput.Ints(new Shape(b, l), 0, 63, DType.U8), SampleInput.Normal(new Shape(d, c)), SampleInput.Normal(new Shape(d)));
            yield return Row(2, 300, 136, 6);
            yield return Row(1, 40, 8, 4);
            yield return Row(1, 16400, 4, 6);
            yield return Row(2, 0, 8, 6);
        }
    }

    private readonly struct PoolSamples : ISamples<NoAttr>
    {
        public static IEnumerable<Sample<NoAttr>> Samples()
        {
            yield return new("two parts and three", default, SampleInput.Normal(new Shape(2, 700, 132)), SampleInput.IntValues(new Shape(2), DType.I64, 699, 257));
            yield return new("odd", default, SampleInput.Normal(new Shape(3, 270, 5)), SampleInput.IntValues(new Shape(3), DType.I32, 256, 1, 1000));
            yield return new("no positions", default, SampleInput.Normal(new Shape(2, 0, 8)), SampleInput.IntValues(new Shape(2), DType.I32, 3, 1));
        }
    }

    public static TheoryData<string> Ops => ["layer_norm", "add_layer_norm", "causal_conv1d", "track_embedding", "masked_mean_pool"];

    private static OpRow Row(string name) => name switch
    {
        "layer_norm" => OpRow.Of<Resampled<LayerNorm, LayerNorm.Attr, NormSamples>, LayerNorm.Attr>(),
        "add_layer_norm" => OpRow.Of<Resampled<AddLayerNorm, AddLayerNorm.Attr, AddNormSamples>, AddLayerNorm.Attr>(),
        "causal_conv1d" => OpRow.Of<Resampled<CausalConv1d, CausalConv1d.Attr, ConvSamples>, CausalConv1d.Attr>(),
        "track_embedding" => OpRow.Of<Resampled<TrackEmbedding, NoAttr, EmbeddingSamples>, NoAttr>(),
        _ => OpRow.Of<Resampled<MaskedMeanPool, NoAttr, PoolSamples>, NoAttr>(),
    };

    [Theory]
    [MemberData(nameof(Ops))]
    public void Large_and_odd_shapes_equal_the_specification(string name)
    {
        using var first = SimDriver.Open(new SimOptions { Seed = 3 });
        using var second = SimDriver.Open(new SimOptions { Seed = 4 });
        var results = GradCheck.Run(Row(name), new GradCheckOptions { Devices = [first, second], Margin = 64, MaxCoordinates = 3, Directions = 1, DTypes = [DType.F32, DType.BF16] });
        Assert.True(results.All(r => r.Passed), string.Join("\n", results.Where(r => !r.Passed).SelectMany(r => r.Problems.Select(p => $"{r.Sample}: {p}"))));
    }

    [Theory]
    [InlineData(DType.F32, false)]
    [InlineData(DType.BF16, false)]
    [InlineData(DType.F32, true)]
    public void A_split_product_has_the_bits_of_three_products(DType dtype, bool cpu)
    {
        using Device device = cpu ? new CpuDevice(2) : SimDriver.Open();
        // Widths that fours divide, and others; columns of one tile and of two; columns left out of the gradient.
        foreach (var (rows, k, p, q, s) in new[] { (70, 64, 8, 16, 16), (9, 33, 1, 3, 2), (40, 32, 64, 4, 96) })
        {
            using var scope = device.OpenScope();
            Tensor x = Fill(scope, new Shape(rows, k), dtype, 3), w = Fill(scope, new Shape(p + q + s, k), dtype, 4);
            var parts = new Tensor[3];
            Op.Forward<LinearSplit, LinearSplit.Attr>(scope, [x, w], new(p, q), parts);
            int first = 0;
            foreach (var part in parts)
            {
                int columns = part.Shape.Last;
                Same(Op.Forward<Linear, NoAttr>(scope, [x, w.Rows(first, columns), Tensor.None], default), part);
                first += columns;
            }
        }
    }

    [Theory]
    [InlineData(DType.F32)]
    [InlineData(DType.BF16)]
    public void A_sequence_has_the_same_results_alone_and_in_a_batch(DType dtype)
    {
        using var device = SimDriver.Open();
        using var scope = device.OpenScope();
        const int length = 300, padded = 520, channels = 64;
        Tensor batch = Fill(scope, new Shape(3, padded, channels), dtype, 5), alone = Copy(scope, batch, padded, length);
        Tensor lengths = scope.From<int>([padded, length, 1], new Shape(3)), one = scope.From<int>([length], new Shape(1));
        Same(Op.Forward<MaskedMeanPool, NoAttr>(scope, [batch, lengths], default).Rows(1, 1), Op.Forward<MaskedMeanPool, NoAttr>(scope, [alone, one], default));

        Tensor weight = Fill(scope, new Shape(channels), DType.F32, 6), bias = Fill(scope, new Shape(channels), DType.F32, 7);
        Tensor normal = Op.Forward<LayerNorm, LayerNorm.Attr>(scope, [batch, weight, bias], new(1e-5)), ownNormal = Op.Forward<LayerNorm, LayerNorm.Attr>(scope, [alone, weight, bias], new(1e-5));
        Same(Copy(scope, normal, padded, length), ownNormal);

        Tensor taps = Fill(scope, new Shape(channels, 4), DType.F32, 8);
        Tensor[] conv = new Tensor[2], ownConv = new Tensor[2];
        Op.Forward<CausalConv1d, CausalConv1d.Attr>(scope, [batch, taps, bias, Tensor.None], default, conv);
        Op.Forward<CausalConv1d, CausalConv1d.Attr>(scope, [alone, taps, bias, Tensor.None], default, ownConv);
        Same(Copy(scope, conv[0], padded, length), ownConv[0]);
    }

    [Fact]
    public void Operands_that_the_host_refuses_give_NaN()
    {
        using var device = SimDriver.Open();
        using var scope = device.OpenScope();
        var y = Op.Forward<TrackEmbedding, NoAttr>(scope, [scope.From<byte>([1, 64, 63], new Shape(1, 3)), Fill(scope, new Shape(8, 4), DType.F32, 1), Fill(scope, new Shape(8), DType.F32, 2)], default).ToArray<float>();
        Assert.All(y[8..16], v => Assert.True(float.IsNaN(v)));
        Assert.DoesNotContain(y[..8], float.IsNaN);
        Assert.DoesNotContain(y[16..], float.IsNaN);
        var means = Op.Forward<MaskedMeanPool, NoAttr>(scope, [Fill(scope, new Shape(2, 3, 4), DType.F32, 3), scope.From<int>([0, 2], new Shape(2))], default).ToArray<float>();
        Assert.All(means[..4], v => Assert.True(float.IsNaN(v)));
        Assert.DoesNotContain(means[4..], float.IsNaN);
    }

    [Fact]
    public void Rows_that_no_kernel_holds_are_refused()
    {
        using var device = SimDriver.Open();
        using var scope = device.OpenScope();
        Tensor x = Fill(scope, new Shape(1, 8196), DType.F32, 1), weight = Fill(scope, new Shape(8196), DType.F32, 2);
        var refused = Assert.Throws<DeviceException>(() => Op.Forward<RmsNorm, RmsNorm.Attr>(scope, [x, weight], new(1e-5)));
        Assert.Contains("8196", refused.Message);
    }

    internal static Tensor Fill(Scope scope, Shape shape, DType dtype, ulong seed)
    {
        var random = new SampleRandom(seed);
        var values = new float[shape.Count];
        for (int i = 0; i < values.Length; i++) values[i] = (float)(2 * random.Uniform() - 1);
        return dtype == DType.F32 ? scope.From<float>(values, shape) : scope.From<BFloat16>(Array.ConvertAll(values, v => (BFloat16)v), shape);
    }

    /// <summary>The first positions of the second of several sequences, as a batch of its own.</summary>
    private static Tensor Copy(Scope scope, Tensor batch, int padded, int length)
    {
        var shape = batch.Shape;
        return scope.Clone(batch.Reshape(new Shape(shape[0] * padded, shape[2])).Rows(padded, length).Reshape(new Shape(1, length, shape[2])));
    }

    private static void Same(Tensor a, Tensor b)
    {
        Assert.Equal(a.Shape, b.Shape);
        if (a.DType == DType.F32) Assert.Equal(a.ToArray<float>().Select(BitConverter.SingleToInt32Bits), b.ToArray<float>().Select(BitConverter.SingleToInt32Bits));
        else Assert.Equal(a.ToArray<BFloat16>(), b.ToArray<BFloat16>());
    }
}
