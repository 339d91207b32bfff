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
        // A GPU's special functions err, within what the PTX manual allows.
        using var rough = SimDriver.Open(new SimOptions { Seed = 3, SpecialFunctionError = true });
        foreach (int margin in new[] { 17, 64 })
            foreach (CudaDevice[] devices in new CudaDevice[][] { [first, second], [rough] })
            {
                var results = GradCheck.Run(row, new GradCheckOptions
                {
                    Devices = devices, Margin = margin, DTypes = row.Signature.BFloat16 ? [DType.F32, DType.BF16] : [DType.F32],
                });
                Assert.True(results.All(r => r.Passed), string.Join("\n", results.Where(r => !r.Passed).SelectMany(r => r.Problems.Select(p => $"{r.Sample}, margin {margin}{(devices[0] == rough ? ", rough" : "")}: {p}"))));
            }
    }

    // Steps behind a sequence's end pass through with a decay of 2^0: the manual says that this is 1 exactly, whatever the error elsewhere.
    [Fact]
    public void A_scan_is_within_its_bound_for_every_draw_of_the_special_functions()
    {
        var row = OpTable.All.Single(r => r.Name == SelectiveScan.Name);
        for (int seed = 0; seed < 20; seed++)
        {
            using var rough = SimDriver.Open(new SimOptions { Seed = seed, SpecialFunctionError = true });
            var result = Assert.Single(GradCheck.Run(row, new GradCheckOptions { Devices = [rough], Sample = "all", MaxCoordinates = 4, Directions = 1, DTypes = [DType.F32] }));
            Assert.True(result.Passed, string.Join("\n", result.Problems));
            // Not by far: a bound that half fits hides a fault.
            Assert.InRange(result.F32.ForwardError / result.F32.ForwardBound, 0.01, 0.5);
        }
    }
}
