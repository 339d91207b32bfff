using System.Globalization;
using Orthrus.Kernels;
using Orthrus.Mamba;
using Orthrus.PtxSim;

namespace Orthrus.Cuda.Tests;

/// <summary>What a whole encoder costs at least (simulated): the sum over all launches of the time of each one's busiest unit.</summary>
public sealed class EncoderBoundTests
{
    // The large encoder, BF16, records of a short transcript's length. The field's kernels, counted in the same way, come to about 4.6 million.
    [Fact]
    public void The_large_encoder_takes_nine_million_nucleotides_a_second() => TakesNineMillion(531, "selective_scan_forward");

    // The longest are cut into chunks, which one kernel runs one after the other.
    [Theory, Trait("tier", "long"), InlineData(3001, "selective_scan_forward"), InlineData(11_990, "selective_scan_chained")]
    public void The_large_encoder_takes_as_many_of_longer_transcripts(int length, string scan) => TakesNineMillion(length, scan);

    private static void TakesNineMillion(int length, string scan)
    {
        var figures = new EncoderFigures(new MambaConfig(512, 6, 6), 8, length);
        var parts = figures.Parts(SimDeviceSpec.H100);
        string table = string.Join("\n", parts.Select(p => string.Create(CultureInfo.InvariantCulture, $"{p.Kernel} x {p.Launches}: {p.Nanoseconds:F2} ns, {p.Unit}")));
        TestContext.Current.TestOutputHelper?.WriteLine(table);
        // Six layers, each with one scan and five products: x, z, the rank of delta with B and C, delta, out.
        Assert.Equal(6, parts.Single(p => p.Kernel == scan).Launches);
        Assert.Equal(30, parts.Where(p => p.Kernel.StartsWith("linear_", StringComparison.Ordinal)).Sum(p => p.Launches));
        Assert.True(figures.PositionsPerSecond(SimDeviceSpec.H100) is >= 9e6 and < 30e6, $"{figures.PositionsPerSecond(SimDeviceSpec.H100) / 1e6:F2} million:\n{table}");
    }
}
