namespace Orthrus.Tensor.Tests;

/// <summary>What samples cannot say about norms and the track embedding: numbers that are not finite, bytes that are no tracks, exact copies.</summary>
public class RowOpTests
{
    private const int Rows = 5, D = 21;

    [Theory]
    [InlineData(double.NaN)]
    [InlineData(double.PositiveInfinity)]
    public void What_is_not_finite_stays_in_its_row(double bad)
    {
        Stays<LayerNorm, LayerNorm.Attr>(new(1e-5), bad, [true, false, false]);
        Stays<RmsNorm, RmsNorm.Attr>(new(1e-5), bad, [true, false]);
        Stays<AddLayerNorm, AddLayerNorm.Attr>(new(1e-5), bad, [true, true, false, false]);
        Stays<AddRmsNorm, AddRmsNorm.Attr>(new(1e-5), bad, [true, true, false]);
    }

    private static void Stays<TOp, TAttr>(TAttr attr, double bad, bool[] isRows) where TOp : IOp<TAttr> where TAttr : unmanaged
    {
        using var call = new GoldenCall(DType.F32);
        var clean = Run<TOp, TAttr>(call, attr, isRows, 0);
        var dirty = Run<TOp, TAttr>(call, attr, isRows, bad);
        foreach (var (want, got) in clean.Zip(dirty))
            for (int i = 0; i < want.Length; i++)
                if (i / D != 2) Assert.Equal(want[i], got[i]);
        Assert.False(float.IsFinite(dirty[0][2 * D + 7]), TOp.Name);
        if (TOp.Name.EndsWith("layer_norm", StringComparison.Ordinal)) Assert.All(dirty[0][(2 * D)..(3 * D)], y => Assert.True(float.IsNaN(y)));
    }

    /// <summary>Results and gradients of rows; element (2, 7) of the first operand is replaced where <paramref name="bad"/> is not 0.</summary>
    private static List<float[]> Run<TOp, TAttr>(GoldenCall call, TAttr attr, bool[] isRows, double bad) where TOp : IOp<TAttr> where TAttr : unmanaged
    {
        Tensor[] inputs = [.. isRows.Select((rows, i) =>
        {
            var shape = rows ? new Shape(Rows, D) : new Shape(D);
            double[] values = SampleInput.Normal(shape).Make(3, i);
            if (i == 0 && bad != 0) values[2 * D + 7] = bad;
            return call.Place(values, shape);
        })];
        var outputs = call.Forward<TOp, TAttr>(attr, inputs);
        var grads = call.Backward<TOp, TAttr>(attr, inputs, outputs, [.. outputs.Select((y, k) => call.Place(SampleInput.Normal(y.Shape).Make(4, k), y.Shape))]);
        return [.. outputs.Concat(grads).Where(t => t.Count == Rows * D).Select(t => t.ToArray<float>())];
    }

    [Fact]
    public void A_large_mean_costs_no_digits_beyond_those_of_the_operand()
    {
        // Spread 1e-2 about 1e4: in float32 the row's own steps are 1e-3. The exact answer for the rounded row is computed in double.
        var shape = new Shape(8, 512);
        double[] x = SampleInput.Normal(shape, 1e-2, 1e4).Make(1, 0), one = [.. Enumerable.Repeat(1.0, 512)], zero = new double[512];
        double[][] y = [.. new[] { DType.F32, DType.F64 }.Select(dtype =>
        {
            using var call = new GoldenCall(dtype);
            var t = call.Forward<LayerNorm, LayerNorm.Attr>(new(1e-12), call.Place(x, shape), call.Place(one, new Shape(512)), call.Place(zero, new Shape(512)))[0];
            return dtype == DType.F32 ? Array.ConvertAll(t.ToArray<float>(), v => (double)v) : t.ToArray<double>();
        })];
        Assert.All(y[0].Zip(y[1]), p => Assert.Equal(p.Second, p.First, 2e-6));
    }

    [Theory]
    [InlineData(64)]
    [InlineData(255)]
    public void A_byte_that_is_no_track_is_an_error_that_names_its_position(byte value)
    {
        using var call = new GoldenCall(DType.F32);
        var bytes = new byte[2 * 40];
        bytes[40 + 33] = value;
        var tracks = call.Scope.From<byte>(bytes, new Shape(2, 40));
        Tensor weight = call.Scope.Zeros(new Shape(3, 4), DType.F32), bias = call.Scope.Zeros(new Shape(3), DType.F32);
        var e = Assert.Throws<ShapeException>(() => call.Forward<TrackEmbedding, NoAttr>(default, tracks, weight, bias));
        Assert.Contains($"tracks[1, 33] is {value}", e.Message);
        var y = call.Scope.Zeros(new Shape(2, 40, 3), DType.F32);
        Assert.Throws<ShapeException>(() => call.Backward<TrackEmbedding, NoAttr>(default, [tracks, weight, bias], [y], [y]));
        var table = call.Scope.Zeros(new Shape(16, 3), DType.F32);
        Assert.Contains($"tracks[1, 33] is {value}", Assert.Throws<ShapeException>(() => call.Forward<TrackRows, NoAttr>(default, tracks, table)).Message);
        Assert.Contains($"tracks[1, 33] is {value}", Assert.Throws<ShapeException>(() => call.Backward<TrackRows, NoAttr>(default, [tracks, table], [y], [y])).Message);
    }

    [Fact]
    public void Weights_of_other_widths_and_bytes_of_other_types_are_refused()
    {
        using var call = new GoldenCall(DType.F32);
        Tensor bias = call.Scope.Zeros(new Shape(3), DType.F32), six = call.Scope.Zeros(new Shape(3, 6), DType.F32);
        Tensor bytes = call.Scope.Zeros(new Shape(1, 4), DType.U8);
        Assert.Contains("(D, 4) or (D, 6)", Assert.Throws<ShapeException>(() => call.Forward<TrackEmbedding, NoAttr>(default, bytes, call.Scope.Zeros(new Shape(3, 5), DType.F32), bias)).Message);
        Assert.Contains("want U8", Assert.Throws<ShapeException>(() => call.Forward<TrackEmbedding, NoAttr>(default, call.Scope.Zeros(new Shape(1, 4), DType.I32), six, bias)).Message);
        Assert.Contains("bias", Assert.Throws<ShapeException>(() => call.Forward<TrackEmbedding, NoAttr>(default, bytes, six, call.Scope.Zeros(new Shape(4), DType.F32))).Message);
        Assert.Contains("(16, D) or (64, D)", Assert.Throws<ShapeException>(() => call.Forward<TrackRows, NoAttr>(default, bytes, call.Scope.Zeros(new Shape(32, 3), DType.F32))).Message);
        Assert.Contains("want U8", Assert.Throws<ShapeException>(() => call.Forward<TrackRows, NoAttr>(default, call.Scope.Zeros(new Shape(1, 4), DType.I32), call.Scope.Zeros(new Shape(64, 3), DType.F32))).Message);
        Assert.Contains("more than 2 + 1 rows", Assert.Throws<ShapeException>(() => call.Forward<LinearSplit, LinearSplit.Attr>(new(2, 1), six, six)).Message);
    }

    [Fact]
    public void Four_tracks_do_not_see_the_marks()
    {
        using var call = new GoldenCall(DType.F64);
        byte[] plain = [.. Enumerable.Range(0, 16).Select(i => (byte)i)], marked = [.. plain.Select(b => (byte)(b | 48))];
        Tensor weight = call.Place(SampleInput.Normal(new Shape(5, 4)).Make(1, 0), new Shape(5, 4)), bias = call.Place(SampleInput.Normal(new Shape(5)).Make(1, 1), new Shape(5));
        double[] Of(byte[] bytes) => call.Forward<TrackEmbedding, NoAttr>(default, call.Scope.From<byte>(bytes, new Shape(1, 16)), weight, bias)[0].ToArray<double>();
        Assert.Equal(Of(plain), Of(marked));
    }
}
