using Orthrus.Autograd;
using Orthrus.PtxSim;
using Orthrus.Tensor;

namespace Orthrus.Cuda.Tests;

using Tensor = Orthrus.Tensor.Tensor;

/// <summary>Optimiser steps and clipping on simulated devices.</summary>
public sealed class UpdateTests
{
    public static TheoryData<string> Updates => new(UpdateTable.All.Select(r => r.Name));

    [Theory]
    [MemberData(nameof(Updates))]
    public void Equals_its_specification(string name)
    {
        using var first = SimDriver.Open(new SimOptions { Seed = 1 });
        using var second = SimDriver.Open(new SimOptions { Seed = 2 });
        var results = UpdateCheck.Run(UpdateTable.All.Single(r => r.Name == name), new GradCheckOptions { Devices = [first, second], DTypes = [DType.F32] });
        Assert.True(results.All(r => r.Passed), string.Join("\n", results.Where(r => !r.Passed).SelectMany(r => r.Problems.Select(p => $"{r.Sample}: {p}"))));
    }

    // More tensors than one launch takes, empty ones and such that do not begin at a vector's boundary among them.
    private static Tensor[] Many(Scope scope, int lists, out float[][] values)
    {
        var tensors = new List<Tensor>();
        var all = new List<float[]>();
        for (int list = 0; list < lists; list++)
            for (int k = 0; k < 200; k++)
            {
                int n = k % 17 == 3 ? 0 : k == 100 ? 4096 + 5 : k == 150 ? 2 * 4096 : k, margin = k % 5 == 0 ? 1 : 4;
                var v = Enumerable.Range(0, n).Select(i => (float)Math.Sin(1 + i + 100 * k + 1000 * list) + (list == 3 ? 1.5f : 0)).ToArray();
                var whole = scope.Empty(new Shape(n + margin), DType.F32);
                var t = whole.Rows(margin, n);
                t.CopyFrom<float>(v);
                tensors.Add(t);
                all.Add(v);
            }
        values = [.. all];
        return [.. tensors];
    }

    [Fact]
    public void Adamw_takes_any_number_of_tensors()
    {
        using var device = SimDriver.Open();
        using var cpu = new CpuDevice(1);
        using var scope = device.OpenScope();
        using var host = cpu.OpenScope();
        var there = Many(scope, 4, out var values);
        var here = values.Select(v => host.From<float>(v, new Shape(v.Length))).ToArray();
        var attr = new AdamW.Attr(1e-2, 0.1, 3);
        Update.Run<AdamW, AdamW.Attr>(scope, there, attr, []);
        Update.Run<AdamW, AdamW.Attr>(host, here, attr, []);
        for (int i = 0; i < there.Length; i++) AssertNear(here[i].ToArray<float>(), there[i].ToArray<float>(), 4e-7f);
    }

    [Fact]
    public void Clipping_takes_any_number_of_tensors()
    {
        using var device = SimDriver.Open();
        using var scope = device.OpenScope();
        var there = Many(scope, 1, out var values);
        double norm = Math.Sqrt(values.Sum(v => v.Sum(x => (double)x * x)));
        var result = new Tensor[1];
        Update.Run<ClipGradNorm, ClipGradNorm.Attr>(scope, there, new(1), result);
        Assert.Equal((float)norm, result[0].ToArray<float>()[0], 1e-6f * norm);
        for (int i = 0; i < there.Length; i++) AssertNear([.. values[i].Select(x => (float)(x / (norm + 1e-6)))], there[i].ToArray<float>(), 1e-7f);
        Update.Run<ClipGradValue, ClipGradValue.Attr>(scope, there, new(0.001), []);
        Assert.All(there, t => Assert.All(t.ToArray<float>(), x => Assert.InRange(x, -0.001f, 0.001f)));
    }

    // Squares of float32 end at 1.8e19 and begin at 1e-19.
    [Theory]
    [InlineData(1e30f)]
    [InlineData(1e-30f)]
    public void A_norm_neither_overflows_nor_vanishes(float size)
    {
        using var device = SimDriver.Open();
        using var scope = device.OpenScope();
        var result = new Tensor[1];
        Update.Run<ClipGradNorm, ClipGradNorm.Attr>(scope, [scope.From<float>([3 * size, -4 * size], new Shape(2))], new(double.PositiveInfinity), result);
        Assert.Equal(5 * size, result[0].ToArray<float>()[0], size * 1e-6f);
    }

    [Fact]
    public void Nothing_to_clip_has_norm_zero()
    {
        using var device = SimDriver.Open();
        using var scope = device.OpenScope();
        var result = new Tensor[1];
        Update.Run<ClipGradNorm, ClipGradNorm.Attr>(scope, [scope.Empty(new Shape(0), DType.F32)], new(1), result);
        Assert.Equal(0, result[0].ToArray<float>()[0]);
    }

    private static void AssertNear(float[] want, float[] got, float tolerance)
    {
        Assert.Equal(want.Length, got.Length);
        for (int i = 0; i < want.Length; i++) Assert.True(Math.Abs(want[i] - got[i]) <= tolerance * Math.Max(1, Math.Abs(want[i])), $"{i}: {got[i]}, want {want[i]}");
    }
}
