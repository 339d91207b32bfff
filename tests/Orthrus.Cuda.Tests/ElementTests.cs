using Orthrus.Autograd;
using Orthrus.PtxSim;
using Orthrus.Tensor;

namespace Orthrus.Cuda.Tests;

using Tensor = Orthrus.Tensor.Tensor;

/// <summary>What the samples of the elementwise and normalising operators cannot say: bits of the CPU, casts, operands that a device cannot refuse.</summary>
public sealed class ElementTests
{
    [Theory]
    [InlineData(0.3, 0ul)]
    [InlineData(0.3, 7ul)]
    [InlineData(1.0, 7ul)]
    [InlineData(0.1, ulong.MaxValue - 1000)]
    public void Dropout_draws_the_bits_of_the_cpu(double probability, ulong offset)
    {
        using var device = SimDriver.Open();
        using var cpu = new CpuDevice(1);
        using var scope = device.OpenScope();
        using var host = cpu.OpenScope();
        var x = Enumerable.Range(0, 5003).Select(i => (float)Math.Sin(i + 1)).ToArray();
        var attr = new Dropout.Attr(probability, 0xFEDCBA9876543210, 1ul << 40, offset);
        var want = Op.Forward<Dropout, Dropout.Attr>(host, [host.From<float>(x, new Shape(x.Length))], attr).ToArray<float>();
        Assert.Equal(want, Op.Forward<Dropout, Dropout.Attr>(scope, [scope.From<float>(x, new Shape(x.Length))], attr).ToArray<float>());
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void Casts_equal_those_of_the_cpu(int margin)
    {
        using var device = SimDriver.Open();
        using var scope = device.OpenScope();
        float[] special = [0, -0f, 1, 1 + 1f / 256, 1 + 3f / 256, float.MaxValue, float.PositiveInfinity, float.NegativeInfinity, 1e-40f, float.Epsilon, -1.1754944e-38f, float.NaN];
        var x = Enumerable.Range(0, 3000).Select(i => i < special.Length ? special[i] : (float)Math.Tan(i)).ToArray();
        var whole = scope.From<float>([.. new float[margin], .. x], new Shape(margin + x.Length));
        var narrow = scope.Cast(whole.Rows(margin, x.Length), DType.BF16);
        Assert.Equal(x.Select(v => (BFloat16)v).Where(v => !float.IsNaN((float)v)), narrow.ToArray<BFloat16>().Where(v => !float.IsNaN((float)v)));
        Assert.True(float.IsNaN((float)narrow.ToArray<BFloat16>()[special.Length - 1]));
        var wide = scope.Cast(narrow.Rows(margin, x.Length - margin), DType.F32);
        Assert.Equal(narrow.ToArray<BFloat16>().Skip(margin).Select(v => (float)v), wide.ToArray<float>());
    }

    [Fact]
    public void A_cast_between_other_types_says_so()
    {
        using var device = SimDriver.Open();
        using var scope = device.OpenScope();
        var x = scope.From<float>([1], new Shape(1));
        Assert.Contains("between F32 and BF16", Assert.Throws<ShapeException>(() => scope.Cast(x, DType.F16)).Message);
    }

    [Fact]
    public void Lengths_outside_the_sequence_are_taken_as_the_nearest_inside()
    {
        using var device = SimDriver.Open();
        using var scope = device.OpenScope();
        var x = scope.From<float>([1, 2, 3, 4, 5, 6], new Shape(2, 3, 1));
        var y = Op.Forward<ReverseSequence, NoAttr>(scope, [x, scope.From<int>([9, -1], new Shape(2))], default);
        Assert.Equal([3, 2, 1, 4, 5, 6], y.ToArray<float>());
    }

    [Fact]
    public void Statistics_of_no_position_are_NaN()
    {
        using var device = SimDriver.Open();
        using var scope = device.OpenScope();
        var ones = scope.From<float>([1, 1], new Shape(2));
        var outputs = new Tensor[5];
        Op.Forward<BatchNorm, BatchNorm.Attr>(scope, [scope.From<float>([1, 2, 3, 4], new Shape(1, 2, 2)), ones, ones, Tensor.None, Tensor.None, scope.From<int>([0], new Shape(1))], new(true), outputs);
        Assert.All(outputs[0].ToArray<float>(), v => Assert.True(float.IsNaN(v)));
    }

    // With little shared memory every sample goes through the kernels for operands that do not fit.
    [Fact]
    public void Batch_norm_equals_its_specification_where_nothing_stays_in_shared_memory()
    {
        var small = SimDeviceSpec.H100 with { SharedPerBlock = 12 << 10 };
        using var first = SimDriver.Open(new SimOptions { Seed = 1 }, small);
        using var second = SimDriver.Open(new SimOptions { Seed = 2 }, small);
        foreach (int margin in new[] { 17, 64 })
        {
            var results = GradCheck.Run(OpTable.All.Single(r => r.Name == "batch_norm"), new GradCheckOptions { Devices = [first, second], Margin = margin, MaxCoordinates = 12, DTypes = [DType.F32], Sample = "several tiles" });
            Assert.True(results.All(r => r.Passed), string.Join("\n", results.SelectMany(r => r.Problems.Select(p => $"{r.Sample}, margin {margin}: {p}"))));
        }
    }
}
