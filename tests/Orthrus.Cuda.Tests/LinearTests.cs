using Orthrus.PtxSim;
using Orthrus.Tensor;

namespace Orthrus.Cuda.Tests;

using Tensor = Orthrus.Tensor.Tensor;

/// <summary>cuda/linear.cu beyond the samples of the operator: every tile, epilogues, independence of rows, special values, long sums, and what its main loop costs (simulated).</summary>
public sealed class LinearTests
{
    public enum Product
    {
        Forward,
        InputGrad,
        WeightGrad,
    }

    public static TheoryData<DType, int> Variants => new() { { DType.F32, 70 }, { DType.F32, 80 }, { DType.BF16, 80 } };

    public static TheoryData<DType, int, Product> Products =>
        new(from v in Variants from p in Enum.GetValues<Product>() select (v.Data.Item1, v.Data.Item2, p));

    /// <summary>Operands of c (M, N) = sum over k of A (M, k) B (N, k), as the product lays them out.</summary>
    private sealed record Operands(Product Product, int M, int N, int K, float[] A, float[] B, float[]? Bias = null, float[]? Residual = null, Linear.CudaEpilogue Epilogue = default)
    {
        internal static Operands Random(Product product, DType dtype, int m, int n, int k, int seed, bool full = false) =>
            new(product, m, n, k, Numbers(m * k, dtype, seed), Numbers(n * k, dtype, seed + 1), full ? Numbers(n, DType.F32, seed + 2) : null, full ? Numbers(m * n, dtype, seed + 3) : null,
                full ? Linear.CudaEpilogue.Silu | Linear.CudaEpilogue.Residual : default);

        internal bool AcrossA => Product == Product.WeightGrad;
        internal bool AcrossB => Product != Product.Forward;
        internal float AtA(int m, int k) => A[AcrossA ? k * M + m : m * K + k];
        internal float AtB(int n, int k) => B[AcrossB ? k * N + n : n * K + k];
        internal DType Result(DType dtype) => Product == Product.WeightGrad ? DType.F32 : dtype;

        /// <summary>Numbers that the dtype represents, standard normal.</summary>
        internal static float[] Numbers(int count, DType dtype, int seed)
        {
            var random = new Random(seed);
            var values = new float[count];
            for (int i = 0; i < count; i++)
            {
                float v = (float)(Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble()));
                values[i] = dtype == DType.BF16 ? (float)(BFloat16)v : v;
            }
            return values;
        }

        /// <summary>An element in double precision, with a bound of its error by GradCheck's rules.</summary>
        internal (double Value, double Limit) Exact(DType dtype, int m, int n)
        {
            var sum = new Bound(0, 0);
            for (int k = 0; k < K; k++) sum += new Bound(AtA(m, k), 0) * new Bound(AtB(n, k), 0);
            if (Bias is not null) sum += new Bound(Bias[n], 0);
            if (Epilogue.HasFlag(Linear.CudaEpilogue.Silu)) sum /= new Bound(1, 0) + Bound.Exp(-sum);
            if (Epilogue.HasFlag(Linear.CudaEpilogue.Residual)) sum += new Bound(Residual![m * N + n], 0);
            return (sum.Value, 4 * sum.Error / (1 << 24) + (Result(dtype) == DType.BF16 ? Math.Abs(sum.Value) / 256 : 0));
        }
    }

    private static SimDriver Driver(int architecture, int seed = 0) => new(new SimOptions { Seed = seed }, SimDeviceSpec.H100 with { ComputeCapability = architecture });

    /// <summary>Numbers of the tiles that a dtype's product has.</summary>
    private static IEnumerable<int> Tiles(DType dtype, Product product) => Enumerable.Range(0, Linear.CudaTiles.Length).Where(t => t != Tile("huge") || (dtype == DType.BF16 && product != Product.WeightGrad));

    private static int Tile(string name) => Array.FindIndex(Linear.CudaTiles, t => t.Name == name);

    private static float[] Run(CudaDevice device, DType dtype, Operands o, int tile)
    {
        using var scope = device.OpenScope();
        var result = o.Result(dtype);
        var c = scope.Empty(new Shape(o.M, o.N), result);
        var kernels = o.Product switch { Product.Forward => Linear.ForwardKernels, Product.InputGrad => Linear.InputGradKernels, _ => Linear.WeightGradKernels };
        var a = new Linear.CudaArgs
        {
            A = Upload(scope, o.A, dtype).Address, B = Upload(scope, o.B, dtype).Address, C = c.Address, M = o.M, N = o.N, K = o.K, Slice = Math.Max(1, o.K), Epilogue = o.Epilogue,
            Bias = o.Bias is null ? 0 : Upload(scope, o.Bias, DType.F32).Address, Residual = o.Residual is null ? 0 : Upload(scope, o.Residual, result).Address,
            PitchA = o.AcrossA ? o.M : o.K, PitchB = o.AcrossB ? o.N : o.K, PitchC = o.N,
        };
        var shape = Linear.CudaTiles[tile];
        device.Launch(kernels[tile], dtype, checked((int)shape.Blocks(o.M, o.N)), shape.Threads(dtype), shape.DynamicShared, a);
        return result == DType.BF16 ? Array.ConvertAll(c.ToArray<BFloat16>(), v => (float)v) : c.ToArray<float>();
    }

    private static Tensor Upload(Scope scope, float[] values, DType dtype)
    {
        if (values.Length == 0) return scope.Empty(new Shape(1), dtype);
        return dtype == DType.BF16 ? scope.From<BFloat16>(Array.ConvertAll(values, v => (BFloat16)v), new Shape(values.Length)) : scope.From<float>(values, new Shape(values.Length));
    }

    private static void AssertExact(DType dtype, Operands o, float[] got)
    {
        for (int m = 0; m < o.M; m++)
            for (int n = 0; n < o.N; n++)
            {
                var (value, limit) = o.Exact(dtype, m, n);
                Assert.True(Math.Abs(got[m * o.N + n] - value) <= limit, $"{o.Product} {dtype} [{m}, {n}] is {got[m * o.N + n]}, want {value} within {limit:G3}");
            }
    }

    [Theory]
    [MemberData(nameof(Products))]
    public void Every_tile_gives_the_same_bits(DType dtype, int architecture, Product product)
    {
        using var driver = Driver(architecture);
        using var device = driver.OpenDevice();
        // More than a tile in both directions; k of whole tiles, of several with a short one, of less than one, of none.
        foreach (var (m, n, k) in new[] { (136, 136, 64), (72, 40, 88), (16, 72, 8), (8, 8, 0) })
        {
            var o = Operands.Random(product, dtype, m, n, k, m + k, full: product == Product.Forward);
            var first = Run(device, dtype, o, Tile("large"));
            AssertExact(dtype, o, first);
            foreach (int tile in Tiles(dtype, product)) Assert.Equal(first, Run(device, dtype, o, tile));
        }
    }

    [Theory]
    [MemberData(nameof(Variants))]
    public void A_row_depends_on_itself_alone(DType dtype, int architecture)
    {
        const int n = 40, k = 72;
        var all = Operands.Random(Product.Forward, dtype, 130, n, k, 5);
        // What goes wrong in one row stays there.
        all.A[3 * k + 7] = float.NaN;
        all.A[64 * k + 71] = float.PositiveInfinity;
        using var driver = Driver(architecture, seed: 1);
        using var device = driver.OpenDevice();
        var together = Run(device, dtype, all, Tile("large"));
        foreach (var (from, rows) in new[] { (0, 1), (2, 5), (60, 70), (129, 1) })
            foreach (int tile in Tiles(dtype, Product.Forward))
            {
                var some = Run(device, dtype, all with { M = rows, A = all.A[(from * k)..((from + rows) * k)] }, tile);
                Assert.Equal(together[(from * n)..((from + rows) * n)], some);
            }
        for (int i = 0; i < together.Length; i++) Assert.Equal(i / n is 3 or 64, !float.IsFinite(together[i]));
    }

    [Theory]
    [MemberData(nameof(Variants))]
    public void Special_values_are_those_of_IEEE_arithmetic(DType dtype, int architecture)
    {
        // Rows: infinity times one, times zero, minus infinity; NaN; the largest numbers, whose sum overflows; whose sum does not; none of these.
        float inf = float.PositiveInfinity, big = dtype == DType.BF16 ? 3.3895314e38f : float.MaxValue;
        float[][] rows =
        [
            [inf, 1, 1, 1, 1, 1, 1, 1], [1, inf, 1, 1, 1, 1, 1, 1], [inf, 0, 0, 0, -inf, 0, 0, 0], [1, 1, 1, float.NaN, 1, 1, 1, 1],
            [big, 0, 0, 0, big, 0, 0, 0], [big, 0, 0, 0, 0, 0, 0, 0], [1, 2, 3, 4, 5, 6, 7, 8],
        ];
        var b = new float[8 * 8];
        for (int i = 0; i < 8; i++) b[i * 8] = b[i * 8 + 4] = i == 1 ? -1 : 1;
        var o = new Operands(Product.Forward, rows.Length, 8, 8, [.. rows.SelectMany(r => r)], b, Bias: [1, 1, 1, 1, 1, 1, 1, 1]);
        using var driver = Driver(architecture);
        using var device = driver.OpenDevice();
        foreach (int tile in Tiles(dtype, Product.Forward))
        {
            var got = Run(device, dtype, o, tile);
            for (int m = 0; m < o.M; m++)
                for (int n = 0; n < o.N; n++)
                {
                    float want = 0;
                    for (int k = 0; k < o.K; k++) want += o.AtA(m, k) * o.AtB(n, k);
                    Assert.Equal(want + 1, got[m * o.N + n]);
                }
        }
    }

    [Theory]
    [InlineData(70)]
    [InlineData(80)]
    public void Long_sums_keep_the_precision_of_F32(int architecture)
    {
        const int m = 8, n = 8;
        using var driver = Driver(architecture);
        using var device = driver.OpenDevice();
        foreach (int k in new[] { 4, 16, 300, 2048 })
        {
            var o = Operands.Random(Product.Forward, DType.F32, m, n, k, k);
            for (int i = 0; i < m; i++)
                for (int j = k / 2; j < k; j++)
                {
                    // The second half takes back the first, but for its last digits.
                    o.A[i * k + j] = -o.A[i * k + j - k / 2] * (1 + (i - 3) * 1e-6f);
                    o.B[i * k + j] = o.B[i * k + j - k / 2];
                }
            AssertExact(DType.F32, o, Run(device, DType.F32, o, Tile("thin")));
        }
    }

    [Theory]
    [InlineData(Product.Forward, "huge", 0.55, 1.375)]
    [InlineData(Product.InputGrad, "huge", 0.65, 1.375)]
    [InlineData(Product.Forward, "large", 0.6, 1.5)]
    [InlineData(Product.InputGrad, "large", 0.7, 1.5)]
    [InlineData(Product.WeightGrad, "large", 0.75, 1.5)]
    [InlineData(Product.Forward, "medium", 0.95, 2.25)]
    [InlineData(Product.InputGrad, "medium", 1, 2.25)]
    public void Tensor_cores_get_an_instruction_for_at_most_one_other(Product product, string tile, double limit, double sharedCycles)
    {
        using var driver = Driver(90);
        using var device = driver.OpenDevice();
        var reports = new List<LaunchReport>();
        driver.Launched = reports.Add;
        foreach (int k in new[] { 192, 384 }) Run(device, DType.BF16, Operands.Random(product, DType.BF16, 256, 128, k, 1), Tile(tile));
        long mma = reports[1][InstructionClass.Matrix].Warp - reports[0][InstructionClass.Matrix].Warp, all = reports[1].WithoutMoves.Warp - reports[0].WithoutMoves.Warp;
        Assert.Equal(256 / 16 * (128 / 8) * (192 / 16), mma);
        Assert.InRange((all - mma) / (double)mma, 0, limit);
        static long Shared(LaunchReport r) => r.SharedLoads.Units + r.SharedStores.Units;
        Assert.Equal(sharedCycles, (Shared(reports[1]) - Shared(reports[0])) / (double)mma);
        foreach (var report in reports)
        {
            Assert.Equal(report.SharedLoads.Minimum, report.SharedLoads.Units);
            Assert.Equal(report.SharedStores.Minimum, report.SharedStores.Units);
            Assert.Equal(report.GlobalLoads.Minimum, report.GlobalLoads.Units);
            Assert.Equal(report.GlobalStores.Minimum, report.GlobalStores.Units);
        }
    }

    // On the H100, whose full rate is that of another instruction, shared memory limits: docs/KERNELS.md says why no tile of mma.sync does better.
    [Theory]
    [InlineData("huge", "A100", "matrix")]
    [InlineData("huge", "L4", "matrix")]
    [InlineData("huge", "RTX 4090", "matrix")]
    [InlineData("huge", "H100 SXM", "shared")]
    [InlineData("large", "A100", "matrix")]
    [InlineData("large", "L4", "matrix")]
    [InlineData("large", "RTX 4090", "matrix")]
    [InlineData("large", "H100 SXM", "shared")]
    [InlineData("medium", "A100", "shared")]
    [InlineData("medium", "L4", "matrix")]
    [InlineData("medium", "RTX 4090", "matrix")]
    public void The_busiest_unit_of_the_main_loop_is(string tile, string gpu, string unit)
    {
        using var driver = Driver(90);
        using var device = driver.OpenDevice();
        var reports = new List<LaunchReport>();
        driver.Launched = reports.Add;
        foreach (int k in new[] { 192, 384 }) Run(device, DType.BF16, Operands.Random(Product.Forward, DType.BF16, 256, 128, k, 1), Tile(tile));
        var spec = SimDeviceSpec.Named(gpu)!;
        // What further steps along k add. How much of the operands comes from memory each time is up to the L2 cache and the number of blocks.
        var first = reports[0].Bounds(spec).ToDictionary(b => b.Unit, b => b.Seconds);
        Assert.Equal(unit, reports[1].Bounds(spec).Where(b => b.Unit != "dram").MaxBy(b => b.Seconds - first[b.Unit]).Unit);
    }

    [Theory]
    [MemberData(nameof(Products))]
    public void Shared_memory_has_no_conflicts_in_any_tile(DType dtype, int architecture, Product product)
    {
        using var driver = Driver(architecture);
        using var device = driver.OpenDevice();
        LaunchReport? report = null;
        driver.Launched = r => report = r;
        foreach (int tile in Tiles(dtype, product))
        {
            Run(device, dtype, Operands.Random(product, dtype, 128, 128, 128, 1), tile);
            Assert.Equal(report!.SharedLoads.Minimum, report.SharedLoads.Units);
            Assert.Equal(report.SharedStores.Minimum, report.SharedStores.Units);
        }
    }

    [Fact]
    public void The_tile_fits_the_result_and_the_device()
    {
        int Choose(long m, int n, int k, nint a = 1024) =>
            Linear.Choose(new Linear.CudaArgs { A = a, B = 1024, C = 1024, M = (int)m, N = n, K = k, PitchA = k, PitchB = k, PitchC = n }, DType.BF16, DType.BF16, 132);
        string Name(int tile) => Linear.CudaTiles[tile].Name;
        // 132 multiprocessors take 128 huge blocks in one round, 136 in two; 128 large ones, 64.
        Assert.Equal("huge", Name(Choose(4096, 1024, 512)));
        Assert.Equal("large", Name(Choose(4248, 1024, 512)));
        Assert.Equal("large", Name(Choose(4096, 512, 1024)));
        Assert.Equal("medium", Name(Choose(2048, 512, 1024)));
        Assert.Equal("thin", Name(Choose(4096, 32, 1024)));
        Assert.Equal("thin", Name(Choose(40, 1024, 512)));
        Assert.Equal("loose", Name(Choose(4096, 1024, 512, 1026)));
        Assert.Equal("loose", Name(Choose(4096, 1024, 7)));
    }
}
