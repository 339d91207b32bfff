namespace Orthrus.Tensor.Tests;

public class CastTests
{
    private static readonly double[] Values =
        [0, -0.0, 1, -1, 1.0 / 3, 1e-3, 3.14159265358979, 65504, 65520, 1e5, 3.3895313892515355e38, 1e39, 1e-40, double.NaN, double.PositiveInfinity, double.NegativeInfinity];

    [Fact]
    public void Narrowing_rounds_to_nearest_even_and_widening_is_exact()
    {
        using var device = new CpuDevice(1);
        using var scope = device.OpenScope();
        var wide = scope.From<double>(Values, new Shape(4, 4));
        foreach (var dtype in new[] { DType.F32, DType.BF16, DType.F16 })
        {
            double[] back = scope.Cast(scope.Cast(wide, dtype), DType.F64).ToArray<double>();
            for (int i = 0; i < Values.Length; i++) Assert.Equal(Nearest(Values[i], dtype), back[i]);
        }
    }

    [Fact]
    public void Double_to_bf16_rounds_once()
    {
        // 1 + 2^-8 is a tie of BF16; a hair above it must round up although float rounds the hair away first.
        double value = 1 + Math.Pow(2, -8) + Math.Pow(2, -40);
        using var device = new CpuDevice(1);
        using var scope = device.OpenScope();
        double got = scope.Cast(scope.Cast(scope.From<double>([value, -value, 1 + Math.Pow(2, -8) - Math.Pow(2, -40)], new Shape(3)), DType.BF16), DType.F64).ToArray<double>()[0];
        Assert.Equal(1 + Math.Pow(2, -7), got);
    }

    [Fact]
    public void Integers_are_refused()
    {
        using var device = new CpuDevice(1);
        using var scope = device.OpenScope();
        var bytes = scope.From<byte>([1, 2], new Shape(2));
        Assert.Throws<ShapeException>(() => { using var s = device.OpenScope(); s.Cast(bytes, DType.F32); });
    }

    // Brute force over all 65,536 patterns: the nearest, ties to the even pattern.
    private static double Nearest(double value, DType dtype)
    {
        if (dtype == DType.F32) return (float)value;
        if (double.IsNaN(value) || double.IsInfinity(value) || value == 0) return value;
        double largest = dtype == DType.BF16 ? 3.3895313892515355e38 : 65504, step = dtype == DType.BF16 ? Math.Pow(2, 120) : 32;
        if (Math.Abs(value) >= largest + step / 2) return Math.CopySign(double.PositiveInfinity, value);
        double best = double.NaN;
        int bestBits = 0;
        for (int b = 0; b < 65536; b++)
        {
            double x = dtype == DType.BF16 ? (float)BFloat16.FromBits((ushort)b) : (double)BitConverter.UInt16BitsToHalf((ushort)b);
            if (!double.IsFinite(x)) continue;
            double d = Math.Abs(x - value), e = Math.Abs(best - value);
            if (double.IsNaN(best) || d < e || (d == e && (b & 1) == 0 && (bestBits & 1) == 1)) (best, bestBits) = (x, b);
        }
        return best;
    }
}
