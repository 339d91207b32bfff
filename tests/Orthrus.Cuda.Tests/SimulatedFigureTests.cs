using System.Globalization;
using Orthrus.PtxSim;
using Orthrus.Tensor;

namespace Orthrus.Cuda.Tests;

/// <summary>The column "DRAM bytes / minimum" of docs/KERNELS.md: what an operator calls its least bytes is at most what its kernels move, and near it where memory limits them.</summary>
[Trait("tier", "long")]
public sealed class SimulatedFigureTests(ITestOutputHelper output)
{
    // Tiles of a product, of similarities and of the scan's backward come again; batch norm reads its rows twice going back; cross-entropy counts its labels first.
    private static readonly Dictionary<string, double> Most = new()
    {
        ["linear"] = 2.1, ["similarity_log_sum_exp"] = 10, ["dcl"] = 10, ["dclw_weights"] = 1.2, ["selective_scan"] = 1.5, ["batch_norm"] = 1.7, ["cross_entropy"] = 1.12, ["linear_split"] = 1.25, ["track_rows"] = 1.7,
    };

    public static TheoryData<string> Ops => new(OpTable.All.Select(r => r.Name));

    [Theory]
    [MemberData(nameof(Ops))]
    public void No_operator_moves_less_than_its_least_bytes(string name)
    {
        var figures = SimulatedFigures.Of(OpTable.All.Where(r => r.Name == name), [], [DType.F32, DType.BF16], SimDeviceSpec.H100).ToArray();
        Assert.NotEmpty(figures);
        foreach (var f in figures)
        {
            double ratio = (double)f.Launches.Sum(l => l.DramReadBytes + l.DramWriteBytes) / f.MinimumBytes;
            string what = string.Create(CultureInfo.InvariantCulture, $"{f.Op} {f.DType} {(f.Backward ? "backward" : "forward")}: {ratio:F3}");
            output.WriteLine(what);
            Assert.True(ratio >= 0.999 && ratio <= Most.GetValueOrDefault(name, 1.09), what);
        }
    }
}
