namespace Orthrus.Tensor.Tests;

/// <summary>The counter-based generator against published words, and the operator that draws from it.</summary>
public class PhiloxTests
{
    /// <summary>Known answers of Random123 for philox4x32 with 10 rounds: zeros, ones, digits of pi.</summary>
    [Theory]
    [InlineData(0x00000000u, 0x00000000u, 0x00000000u, 0x00000000u, 0x00000000u, 0x00000000u, 0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u)]
    [InlineData(0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu)]
    [InlineData(0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u, 0xa4093822u, 0x299f31d0u, 0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u)]
    public void Words_are_the_published_ones(uint c0, uint c1, uint c2, uint c3, uint k0, uint k1, uint w0, uint w1, uint w2, uint w3)
    {
        Assert.Equal((w0, w1, w2, w3), Philox.Words(c0, c1, c2, c3, k0, k1));
        Assert.Equal((w0, w1, w2, w3), Philox.Words(k0 | (ulong)k1 << 32, c2 | (ulong)c3 << 32, c0 | (ulong)c1 << 32));
    }

    [Fact]
    public void Pieces_of_a_batch_drop_what_the_whole_drops()
    {
        var whole = Kept(10_001, new(0.4, 7, 3));
        var pieces = Kept(4_099, new(0.4, 7, 3)).Concat(Kept(10_001 - 4_099, new(0.4, 7, 3, 4_099)));
        Assert.Equal(whole, pieces);
    }

    [Fact]
    public void Share_and_scale_are_those_of_the_probability()
    {
        foreach (double p in new[] { 0.1, 0.5, 0.9 })
        {
            var kept = Kept(100_000, new(p, 11));
            // Five standard deviations of a binomial share.
            Assert.InRange(kept.Count(k => k != 0) / 1e5, 1 - p - 5 * Math.Sqrt(p * (1 - p) / 1e5), 1 - p + 5 * Math.Sqrt(p * (1 - p) / 1e5));
            Assert.All(kept.Where(k => k != 0), k => Assert.Equal(1 / (1 - p), k, 1e-12));
        }
    }

    [Fact]
    public void Seed_and_stream_make_other_masks()
    {
        var first = Kept(1000, new(0.5, 1, 1));
        Assert.NotEqual(first, Kept(1000, new(0.5, 2, 1)));
        Assert.NotEqual(first, Kept(1000, new(0.5, 1, 2)));
    }

    [Theory]
    [InlineData(-0.1)]
    [InlineData(1.1)]
    [InlineData(double.NaN)]
    public void A_probability_that_is_none_is_an_error(double p) => Assert.Contains("probability", Assert.Throws<ShapeException>(() => Kept(1, new(p, 1))).Message);

    private static double[] Kept(int count, Dropout.Attr attr)
    {
        using var call = new GoldenCall(DType.F64);
        return call.Forward<Dropout, Dropout.Attr>(attr, call.Place(Enumerable.Repeat(1.0, count).ToArray(), new Shape(count)))[0].ToArray<double>();
    }
}
