using Orthrus.Tensor;
using Orthrus.Tensor.Cpu;
using Orthrus.TestSupport;

namespace Orthrus.Mamba.Tests;

/// <summary>The embedder against PyTorch's float64 numbers: pooled and per position, alone and among other records.</summary>
public sealed class EmbedderGoldenTests(EmbedderGoldenTests.Models models, ITestOutputHelper output) : IClassFixture<EmbedderGoldenTests.Models>
{
    /// <summary>Embedders of the published sizes, made once.</summary>
    public sealed class Models : IDisposable
    {
        private readonly Dictionary<(string, DType, int), Embedder> _made = [];

        internal Embedder Get(GoldenCase c, DType dtype, int width)
        {
            string path = Path.Combine(c.Folder, c.Text("weights"));
            if (_made.TryGetValue((path, dtype, width), out var embedder)) return embedder;
            var weights = SafeTensorFile.Open(path);
            int layers = weights.Keys.Count(k => k.EndsWith(".A_log", StringComparison.Ordinal));
            var config = new MambaConfig(c.Int("d_model"), layers, c.Int("n_tracks"));
            return _made[(path, dtype, width)] = new Embedder(config, k => weights[k].Values, new EmbedderOptions { DType = dtype, VectorWidth = width, Threads = 2 });
        }

        public void Dispose()
        {
            foreach (var embedder in _made.Values) embedder.Dispose();
        }
    }

    // Widths that the processor only emulates are slow: they are tested on the tiny encoders.
    private static IEnumerable<(DType, int)> Native => [.. VectorWidths.Native.Select(w => (DType.F32, w)), (DType.F64, VectorWidths.Default)];

    private static IEnumerable<(DType, int)> All => from dtype in new[] { DType.F32, DType.F64 } from width in VectorWidths.All select (dtype, width);

    public static IEnumerable<TheoryDataRow<string, DType, int>> Tiny() =>
        from row in GoldenCase.Names("encoder", c => c.Op == "encoder") from kind in All select new TheoryDataRow<string, DType, int>(row.Data, kind.Item1, kind.Item2);

    // Every length in the default precision and width; in the others the long ones take too much time for the default tier.
    public static IEnumerable<TheoryDataRow<string, DType, int>> Real(bool longTier)
    {
        TheoryDataRow<string, DType, int>[] rows =
        [
            .. from row in GoldenCase.Names("encoder", c => c.Op == "encoder_real")
               from kind in Native
               let cost = GoldenCase.Area("encoder").Where(c => c.Name == row.Data && kind != (DType.F32, VectorWidths.Default)).Sum(c => (long)c.Int("L") * c.Int("d_model") * c.Int("d_model"))
               where cost > 500_000_000 == longTier
               select new TheoryDataRow<string, DType, int>(row.Data, kind.Item1, kind.Item2),
        ];
        // A theory without rows fails; the nameless row is skipped with the reason that the set has none.
        return rows.Length > 0 ? rows : [new("", DType.F32, VectorWidths.Default)];
    }

    [Theory]
    [Trait("tier", "long")]
    [MemberData(nameof(Real), true)]
    public void Published_sizes_on_long_transcripts(string name, DType dtype, int width) => Published_sizes_on_real_transcripts(name, dtype, width);

    [Theory]
    [MemberData(nameof(Real), false)]
    public void Published_sizes_on_real_transcripts(string name, DType dtype, int width)
    {
        var c = GoldenCase.Find("encoder", name);
        var (rep, y) = Embed(models.Get(c, dtype, width), c);
        int d = c.Int("d_model"), length = c.Int("L");
        int[] positions = c.Input("positions").ToInt32(), lengths = c.Input("lengths").ToInt32();
        var at = c.Output("y_at");
        var got = new double[at.Values.Length];
        for (int i = 0; i < got.Length; i++)
        {
            int b = i / d / positions.Length, t = positions[i / d % positions.Length];
            // Positions of the padding are nobody's.
            got[i] = t < lengths[b] ? y[(b * length + t) * d + i % d] : at.Values[i];
        }
        double worst = Relative(c.Output("rep"), rep), worstAt = Relative(at, got);
        output.WriteLine($"{name} {dtype} {width}: rep {worst:E2}, y {worstAt:E2} of the largest value");
        Assert.InRange(worst, 0, 1e-4);
        AssertClose(c, "rep", rep, dtype);
        AssertClose(c, "y_at", got, dtype);
    }

    [Theory]
    [MemberData(nameof(Tiny))]
    public void Tiny_encoders_at_every_width(string name, DType dtype, int width)
    {
        var c = GoldenCase.Find("encoder", name);
        var config = new MambaConfig(c.Int("d_model"), c.Int("n_layers"), c.Int("n_tracks"));
        using var embedder = new Embedder(config, k => c.Input(k).Values, new EmbedderOptions { DType = dtype, VectorWidth = width, Threads = 1 });
        var (rep, y) = Embed(embedder, c);
        AssertClose(c, "rep", rep, dtype);
        int d = c.Int("d_model"), length = c.Int("L");
        int[] lengths = c.Input("lengths").ToInt32();
        var want = c.Output("y").Values;
        for (int i = 0; i < y.Length; i++)
            if (i / d % length >= lengths[i / d / length]) y[i] = want[i];
        AssertClose(c, "y", y, dtype);
    }

    [Fact]
    public void Numbers_of_the_specification()
    {
        var c = GoldenCase.Find("anchors", GoldenCase.Area("anchors").FirstOrDefault(c => c.Op == "encoder_anchor")?.Name ?? "");
        var config = new MambaConfig(c.Int("d_model"), c.Int("n_layers"), c.Int("n_tracks"));
        byte[] bytes = c.Input("bytes").ToBytes();
        using var embedder = new Embedder(config, k => c.Input(k).Values, new EmbedderOptions { DType = DType.F64, Threads = 1 });
        double[][] y = new double[14][];
        var results = embedder.EmbedAll([14, 10], n => bytes.AsMemory(0, n), (n, start, _, rows) =>
        {
            for (int t = 0; n == 14 && t < rows.Length / config.DModel; t++) y[start + t] = rows.Slice(config.DModel * t, config.DModel).ToArray();
        }).Select(r => r.Vector64!).ToArray();
        Assert.Equal(20256, EncoderLayout.ParameterCount(config));
        Assert.Equal(26, EncoderLayout.Tensors(config).Count());
        Digits([1.8779225803, 0.1588100443, -1.1592919318, 1.2321119615], y[0]);
        Digits([0.2281780280, -1.0219936277, 1.5427163059, 1.1841280476], y[13]);
        Digits([0.7462727996, -0.1297702788, 0.0747418869, 1.5164690766], results[0]);
        Digits([5.0295986532], [Math.Sqrt(results[0].Sum(v => v * v))]);
        Digits([0.9221462729, -0.0619874491, -0.1603347080, 1.5328393394], results[1]);

        static void Digits(double[] printed, double[] got)
        {
            for (int i = 0; i < printed.Length; i++) Assert.Equal(printed[i], got[i], 6e-11);
        }
    }

    /// <summary>Embeds the rows of a case together; per-position results stand where the case has them, zeros behind a record's end.</summary>
    private static (double[] Rep, double[] Y) Embed(Embedder embedder, GoldenCase c)
    {
        byte[] bytes = c.Input("bytes").ToBytes();
        int[] lengths = c.Input("lengths").ToInt32();
        int length = bytes.Length / lengths.Length, d = embedder.Dimension;
        var y = new double[bytes.Length * d];
        var rep = embedder.EmbedAll(Enumerable.Range(0, lengths.Length), b => bytes.AsMemory(b * length, lengths[b]), (b, start, rows, rows64) =>
        {
            var to = y.AsSpan((b * length + start) * d);
            if (rows64.Length > 0) rows64.CopyTo(to);
            else
                for (int i = 0; i < rows.Length; i++) to[i] = rows[i];
        }).SelectMany(r => r.Vector64 ?? Array.ConvertAll(r.Vector, v => (double)v)).ToArray();
        return (rep, y);
    }

    private static void AssertClose(GoldenCase c, string name, double[] got, DType dtype)
    {
        if (dtype == DType.F64) c.AssertF64(c.Outputs[name], got);
        else c.AssertF32(c.Outputs[name], Array.ConvertAll(got, v => (float)v));
    }

    private static double Relative(GoldenTensor want, double[] got) => want.Values.Zip(got, (w, g) => Math.Abs(w - g)).Max() / want.Values.Max(Math.Abs);
}
