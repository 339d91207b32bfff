using Orthrus.PtxSim;
using Orthrus.Tensor;

namespace Orthrus.Cuda.Tests;

using Tensor = Orthrus.Tensor.Tensor;

/// <summary>The contrastive losses' tiles at sizes at which a block takes several of them: values, memory, accesses.</summary>
public sealed class SimilarityTests
{
    private sealed record Result(float[][] Outputs, float[][] Gradients, long Scratch);

    private static float[] Rows(int n, int d, ulong seed)
    {
        var random = new SampleRandom(seed);
        var x = new float[n * d];
        for (int i = 0; i < x.Length; i++) x[i] = (float)(random.Normal() / Math.Sqrt(d));
        return x;
    }

    /// <summary>dcl of n pairs of width d, forward and with every gradient; the operands begin some elements behind a boundary.</summary>
    private static Result Run(CudaDevice device, int n, int d, int shift, bool backward)
    {
        using var scope = device.OpenScope();
        var attr = new Dcl.Attr(0.2);
        Tensor Place(float[] values)
        {
            var whole = scope.Empty(new Shape(values.Length + shift), DType.F32);
            var t = whole.Rows(shift, values.Length);
            t.CopyFrom<float>(values);
            return t.Reshape(new Shape(n, d));
        }
        Tensor[] inputs = [Place(Rows(n, d, 1)), Place(Rows(n, d, 2)), default, default, default], outputs = new Tensor[5], gradients = new Tensor[5];
        long before = device.PeakBytes;
        Op.Forward<Dcl, Dcl.Attr>(scope, inputs, attr, outputs);
        float[][] gradientValues = [];
        if (backward)
        {
            for (int v = 0; v < 2; v++) gradients[v] = Place(new float[n * d]);
            Op.Backward<Dcl, Dcl.Attr>(scope, inputs, outputs, [scope.From<float>([1], Shape.Scalar), default, default, default, default], gradients, attr);
            gradientValues = [.. gradients[..2].Select(g => g.ToArray<float>())];
        }
        return new([.. outputs.Select(o => o.ToArray<float>())], gradientValues, device.PeakBytes - before);
    }

    /// <summary>The same in double precision on the CPU.</summary>
    private static (double[][] Outputs, double[][] Gradients) Expected(int n, int d, bool backward)
    {
        using var device = new CpuDevice(2);
        using var scope = device.OpenScope();
        var attr = new Dcl.Attr(0.2);
        Tensor Place(float[] values) => scope.From<double>(Array.ConvertAll(values, v => (double)v), new Shape(n, d));
        Tensor[] inputs = [Place(Rows(n, d, 1)), Place(Rows(n, d, 2)), default, default, default], outputs = new Tensor[5], gradients = new Tensor[5];
        Op.Forward<Dcl, Dcl.Attr>(scope, inputs, attr, outputs);
        if (!backward) return ([.. outputs.Select(o => o.ToArray<double>())], []);
        for (int v = 0; v < 2; v++) gradients[v] = scope.Empty(new Shape(n, d), DType.F64);
        Op.Backward<Dcl, Dcl.Attr>(scope, inputs, outputs, [scope.From<double>([1], Shape.Scalar), default, default, default, default], gradients, attr);
        return ([.. outputs.Select(o => o.ToArray<double>())], [.. gradients[..2].Select(g => g.ToArray<double>())]);
    }

    private static void Near(double[] want, float[] got, double relative)
    {
        double largest = want.Max(Math.Abs);
        for (int i = 0; i < want.Length; i++)
            Assert.True(Math.Abs(want[i] - got[i]) <= relative * largest, $"[{i}] is {got[i]}, expected {want[i]}, largest {largest}");
    }

    [Theory]
    [InlineData(1603, 5, false)]
    [InlineData(1163, 3, true)]
    public void A_block_of_several_tiles_equals_the_CPU_in_double_precision(int n, int d, bool backward)
    {
        int tiles = SimilarityCuda.Tiles(n);
        // Uneven splits of several tiles are what this is about.
        Assert.True(backward ? 2 * tiles % SimilarityCuda.BackwardSplits(n, 2, 2 * tiles) != 0 : tiles % SimilarityCuda.ForwardSplits(n, n, 4) != 0);
        var (outputs, gradients) = Expected(n, d, backward);
        using var device = SimDriver.Open(new SimOptions { Seed = 7 });
        var got = Run(device, n, d, 0, backward);
        for (int k = 0; k < outputs.Length; k++) Near(outputs[k], got.Outputs[k], 2e-6);
        for (int v = 0; v < gradients.Length; v++) Near(gradients[v], got.Gradients[v], 2e-6);
    }

    [Theory]
    [InlineData(20)]
    [InlineData(132)]
    public void Alignment_architecture_and_order_of_blocks_change_no_bit(int d)
    {
        const int n = 150;
        var spec = SimDeviceSpec.H100;
        using var device = SimDriver.Open(new SimOptions { Seed = 1 }, spec);
        var aligned = Run(device, n, d, 0, true);
        using var shuffled = SimDriver.Open(new SimOptions { Seed = 2 }, spec);
        Same(aligned, Run(shuffled, n, d, 1, true));
        // Before 8.0 stages pass through registers.
        using var older = SimDriver.Open(new SimOptions { Seed = 3 }, spec with { Name = "7.0", ComputeCapability = 70 });
        Same(aligned, Run(older, n, d, 0, true));
        Same(aligned, Run(older, n, d, 3, true));
    }

    private static void Same(Result a, Result b)
    {
        foreach (var (x, y) in a.Outputs.Concat(a.Gradients).Zip(b.Outputs.Concat(b.Gradients)))
            Assert.Equal(Array.ConvertAll(x, BitConverter.SingleToInt32Bits), Array.ConvertAll(y, BitConverter.SingleToInt32Bits));
    }

    [Fact]
    public void Memory_grows_with_rows_times_width_not_with_their_square()
    {
        const int n = 640, d = 4;
        int tiles = SimilarityCuda.Tiles(n);
        using var device = SimDriver.Open();
        long used = Run(device, n, d, 0, true).Scratch;
        // Results, the gradients and what backward makes of the anchors' weights come on top of the scratch of the larger pass; the pool rounds blocks up.
        long said = Math.Max(SimilarityCuda.ForwardScratch(n, n, 4), SimilarityCuda.BackwardScratch(n, d, 2, 2 * tiles)) + (2L * n * d + (2 + 4 + 7 + 8) * n) * sizeof(float);
        Assert.InRange(used, said / 2, said + said / 4 + (64 << 10));
        Assert.True(used < (long)n * n * sizeof(float));

        foreach (int width in new[] { 128, 256, 512 })
        {
            long operands = 2L * 4096 * width * sizeof(float);
            Assert.True(SimilarityCuda.ForwardScratch(4096, 4096, 4) <= operands);
            Assert.True(SimilarityCuda.BackwardScratch(4096, width, 2, 2 * SimilarityCuda.Tiles(4096)) <= 4 * operands);
            // Twice the rows, at most twice the memory.
            foreach (int rows in new[] { 4096, 8192, 16384, 65536 })
            {
                int twice = 2 * SimilarityCuda.Tiles(rows);
                Assert.True(SimilarityCuda.ForwardScratch(2 * rows, 2 * rows, 4) <= 2 * SimilarityCuda.ForwardScratch(rows, rows, 4));
                Assert.True(SimilarityCuda.BackwardScratch(2 * rows, width, 2, 2 * twice) <= 2 * SimilarityCuda.BackwardScratch(rows, width, 2, twice));
            }
        }
    }

    // The similarities alone would be 67 MB.
    [Fact, Trait("tier", "long")]
    public void Four_thousand_pairs_need_no_matrix_of_similarities()
    {
        const int n = 4096, d = 128;
        const long square = (long)n * n * sizeof(float), operands = 2L * n * d * sizeof(float);
        using var device = SimDriver.Open(new SimOptions { Checks = false });
        long peak = Run(device, n, d, 0, true).Scratch;
        TestContext.Current.TestOutputHelper?.WriteLine($"n = {n}, d = {d}: at most {peak:N0} bytes above the operands of {operands:N0}; similarities would be {square:N0}");
        Assert.InRange(peak, operands, 6 * operands);
        Assert.True(peak < square / 2);
    }

    [Fact]
    public void Tiles_meet_in_no_bank_and_waste_no_sector()
    {
        var driver = new SimDriver();
        var reports = new List<LaunchReport>();
        driver.Launched = reports.Add;
        using var device = driver.OpenDevice();
        Run(device, 256, 128, 0, true);
        foreach (string kernel in new[] { "similarity_forward", "similarity_backward" })
        {
            var r = reports.Single(x => x.Kernel == kernel);
            Assert.Equal(r.GlobalLoads.Minimum, r.GlobalLoads.Units);
            Assert.Equal(r.GlobalStores.Minimum, r.GlobalStores.Units);
            Assert.Equal(r.SharedLoads.Minimum, r.SharedLoads.Units);
            Assert.Equal(r.SharedStores.Minimum, r.SharedStores.Units);
            Assert.Equal(0, r.Atomics.Requests);
            Assert.Equal(0, r.Local.Requests);
            // Multiply-adds are what a tile is for; here half the tiles hold own pairs, which cost more.
            Assert.InRange(r[InstructionClass.Float32].Lane, 0.7 * r.WithoutMoves.Lane, r.WithoutMoves.Lane);
            TestContext.Current.TestOutputHelper?.WriteLine($"{kernel}: {r.WithoutMoves.Warp} warp instructions, f32 {r[InstructionClass.Float32].Warp}, shared {r.SharedLoads.Units + r.SharedStores.Units}, special {r[InstructionClass.Special].Warp}, global {r.GlobalLoads.Units} + {r.GlobalStores.Units} (minimum {r.GlobalLoads.Minimum} + {r.GlobalStores.Minimum}), DRAM {r.DramReadBytes} + {r.DramWriteBytes}");
        }
    }
}
