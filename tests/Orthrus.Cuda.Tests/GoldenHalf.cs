using Orthrus.Autograd;
using Orthrus.Tensor;
using Orthrus.TestSupport;

namespace Orthrus.Cuda.Tests;

/// <summary>
/// Operators with BF16 activations on the operands of golden cases. The stored results belong to operands that BF16 does not hold, so that the operands are rounded first and
/// the specification, which is held to the stored results in F64, gives value and error bound: the bound of F32 arithmetic, and half a unit of BF16 where a result is BF16.
/// </summary>
internal static class GoldenHalf
{
    internal static void Check<TOp, TAttr>(GoldenCase c, TAttr attr, GoldenTensor?[] inputs) where TOp : IOp<TAttr> where TAttr : unmanaged
    {
        var sample = new Sample<TAttr>(c.Name, attr, [.. inputs.Select(Recipe)]);
        CudaDevice[] devices = [.. (GoldenRun.Current?.Seeds ?? [1, 2]).Select(GoldenRun.Open)];
        try
        {
            // All devices must give the same bits.
            var result = Assert.Single(GradCheck.Run(new GoldenRow(OpRow.Of<TOp, TAttr>(), new SampleRow.Typed<TOp, TAttr>(sample)),
                new GradCheckOptions { Devices = devices, Margin = 64, MaxCoordinates = 5, Directions = 2, DTypes = [DType.BF16] }));
            Assert.True(result.Passed, string.Join("\n", result.Problems));
        }
        finally
        {
            foreach (var device in devices) device.Dispose();
        }
    }

    private static SampleInput Recipe(GoldenTensor? t)
    {
        if (t is null) return SampleInput.Absent;
        var shape = Shape.Of(t.Dims);
        return t.DType is "I64" or "I32" or "U8"
            ? SampleInput.IntValues(shape, t.DType == "U8" ? DType.U8 : t.DType == "I64" ? DType.I64 : DType.I32, Array.ConvertAll(t.Values, v => (long)v))
            : SampleInput.Values(shape, t.Values);
    }

    private sealed class GoldenRow(OpRow of, SampleRow sample) : OpRow
    {
        public override string Name => of.Name;
        public override OpSignature Signature => of.Signature;
        public override string TypeName => of.TypeName;
        public override Saves Saves => of.Saves;
        public override IReadOnlyList<SampleRow> Samples => [sample];
    }
}
