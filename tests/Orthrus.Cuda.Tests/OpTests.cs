using Orthrus.Autograd;
using Orthrus.PtxSim;
using Orthrus.Tensor;

namespace Orthrus.Cuda.Tests;

/// <summary>Every sample of every operator on simulated devices, against its specification: values, gradients, both precisions, aligned operands and others.</summary>
public sealed class OpTests
{
    public static TheoryData<string> Ops => new(OpTable.All.Select(r => r.Name));

    [Theory]
    [MemberData(nameof(Ops))]
    public void Equals_its_specification(string name)
    {
        var row = OpTable.All.Single(r => r.Name == name);
        // Another order of blocks and warps must give the same bits.
        using var first = SimDriver.Open(new SimOptions { Seed = 1 });
        using var second = SimDriver.Open(new SimOptions { Seed = 2 });
        foreach (int margin in new[] { 17, 64 })
        {
            var results = GradCheck.Run(row, new GradCheckOptions
            {
                Devices = [first, second], Margin = margin, MaxCoordinates = 12, DTypes = row.Signature.BFloat16 ? [DType.F32, DType.BF16] : [DType.F32],
            });
            Assert.True(results.All(r => r.Passed), string.Join("\n", results.Where(r => !r.Passed).SelectMany(r => r.Problems.Select(p => $"{r.Sample}, margin {margin}: {p}"))));
        }
    }
}
