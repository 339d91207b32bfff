namespace Orthrus.PtxSim.Tests;

/// <summary>The approximations from which functions of double are made, at their corners, and those functions as NVRTC compiles them.</summary>
public class DoubleFunctionTests
{
    private const ulong Nan = 0x7FF8000000000000, Inf = 0x7FF0000000000000, NegInf = 0xFFF0000000000000, NegZero = 0x8000000000000000, One = 0x3FF0000000000000;

    // The corners are the tables of the PTX manual; the numbers have 20 bits of mantissa in the upper word and nothing below.
    [Theory]
    [InlineData("rcp.approx.ftz.f64", NegInf, NegZero)]
    [InlineData("rcp.approx.ftz.f64", 0x8000000100000000ul, NegInf)]
    [InlineData("rcp.approx.ftz.f64", NegZero, NegInf)]
    [InlineData("rcp.approx.ftz.f64", 0ul, Inf)]
    [InlineData("rcp.approx.ftz.f64", 0x000FFFFFFFFFFFFFul, Inf)]
    [InlineData("rcp.approx.ftz.f64", Inf, 0ul)]
    [InlineData("rcp.approx.ftz.f64", 0x7FF0000000000001ul, Nan)]
    [InlineData("rcp.approx.ftz.f64", 0x4000000000000000ul, 0x3FE0000000000000ul)]
    [InlineData("rcp.approx.ftz.f64", 0x4008000000000000ul, 0x3FD5555500000000ul)]
    [InlineData("rcp.approx.ftz.f64", 0x3FE8000000000000ul, 0x3FF5555500000000ul)]
    [InlineData("rcp.approx.ftz.f64", 0x4014000000000000ul, 0x3FC9999A00000000ul)]
    // 1 + 2^-21: its bits are in the lower word, which is not read.
    [InlineData("rcp.approx.ftz.f64", 0x3FF0000080000000ul, One)]
    // 2^1023: the result is subnormal.
    [InlineData("rcp.approx.ftz.f64", 0xFFE0000000000000ul, NegZero)]
    [InlineData("rsqrt.approx.ftz.f64", NegInf, Nan)]
    [InlineData("rsqrt.approx.ftz.f64", 0xBFF0000000000000ul, Nan)]
    [InlineData("rsqrt.approx.ftz.f64", NegZero, NegInf)]
    [InlineData("rsqrt.approx.ftz.f64", 0ul, Inf)]
    [InlineData("rsqrt.approx.ftz.f64", 0x0000000000000001ul, Inf)]
    [InlineData("rsqrt.approx.ftz.f64", Inf, 0ul)]
    [InlineData("rsqrt.approx.ftz.f64", Nan, Nan)]
    [InlineData("rsqrt.approx.ftz.f64", 0x4000000000000000ul, 0x3FE6A09E00000000ul)]
    [InlineData("rsqrt.approx.ftz.f64", 0x4010000012345678ul, 0x3FE0000000000000ul)]
    // Rounded twice; CUDA documents one unit in the last place for rsqrt(double).
    [InlineData("rsqrt.approx.f64", 0x4000000000000000ul, 0x3FE6A09E667F3BCCul)]
    [InlineData("rsqrt.approx.f64", 0ul, Inf)]
    [InlineData("rsqrt.approx.f64", NegZero, NegInf)]
    [InlineData("rsqrt.approx.f64", Inf, 0ul)]
    // 2^-1074, subnormal: not flushed; its root's reciprocal is 2^537.
    [InlineData("rsqrt.approx.f64", 1ul, 0x6180000000000000ul)]
    public void Approximations(string opcode, ulong a, ulong expected)
    {
        ulong actual = Ptx.OneWide($"{opcode} %rd20, %rd10;", a);
        if (expected == Nan) Assert.True(double.IsNaN(BitConverter.UInt64BitsToDouble(actual)));
        else Assert.Equal(expected.ToString("x16"), actual.ToString("x16"));
    }

    [Theory]
    [InlineData("rcp.approx.ftz.f64", false)]
    [InlineData("rsqrt.approx.ftz.f64", true)]
    public void TwentyBitsEverywhere(string opcode, bool root)
    {
        var random = new Random(4);
        for (int round = 0; round < 4; round++)
        {
            var cases = new (ulong, ulong, ulong)[32];
            for (int l = 0; l < 32; l++)
                cases[l].Item1 = BitConverter.DoubleToUInt64Bits(Math.ScaleB(1 + random.NextDouble(), random.Next(-900, 900)));
            ulong[] results = Ptx.Lanes($"{opcode} %rd20, %rd10;", true, cases);
            for (int l = 0; l < 32; l++)
            {
                double x = BitConverter.UInt64BitsToDouble(cases[l].Item1 & 0xFFFFFFFF00000000ul), exact = root ? 1 / Math.Sqrt(x) : 1 / x;
                Assert.Equal(0u, (uint)results[l]);
                Assert.InRange(BitConverter.UInt64BitsToDouble(results[l]) / exact, 1 - Math.ScaleB(1, -21), 1 + Math.ScaleB(1, -21));
            }
        }
    }

    [Fact]
    public void FunctionsOfDoubleAsNvrtcCompilesThem()
    {
        string text = Ptx.File("doubles.ptx");
        foreach (string opcode in (string[])["rcp.approx.ftz.f64", "rsqrt.approx.ftz.f64", "rsqrt.approx.f64"])
            Assert.Contains(opcode, text, StringComparison.Ordinal);
        Func<double, double>[] functions =
        [
            Math.Log, v => Math.Pow(v, 1.7), Math.Sin, Math.Cos, Math.Tan, Math.Tanh, Math.Cbrt, v => 1 / Math.Sqrt(v), v => Math.Sqrt((v * v) + 9), Math.Asinh, v => Math.Acos(v / 64), v => Math.Exp(-v),
        ];
        // Small, ordinary, and (for the reduction of angles) large arguments.
        double[] x = [.. Enumerable.Range(1, 60).Select(i => i * 1.0371), 1e-300, 3e-9, 1e-3, 0.499, 63.9, 1e9, 123456789012.0, 1e300];
        using var device = new SimDevice(null, new SimOptions { MemoryBytes = 1 << 22 });
        SimKernel kernel = device.Load(PtxModule.Parse(text))["functions"];
        ulong px = device.Alloc(x.Length * 8), py = device.Alloc(x.Length * 8 * functions.Length);
        device.CopyToDevice<double>(px, x);
        device.Launch(kernel, 1, 96, 0, py, px, x.Length);
        double[] y = device.Read<double>(py, x.Length * functions.Length);
        for (int f = 0; f < functions.Length; f++)
        {
            for (int i = 0; i < x.Length; i++)
            {
                double expected = functions[f](x[i]), actual = y[(f * x.Length) + i];
                // CUDA documents at most 2 ulp for each of them; the host's own functions may be off by one.
                if (double.IsFinite(expected) && !(f == 8 && x[i] > 1e150))
                    Assert.True(Math.Abs(actual - expected) <= 3 * (Math.BitIncrement(Math.Abs(expected)) - Math.Abs(expected)), $"function {f} of {x[i]:R}: {actual:R}, expected {expected:R}");
                else if (f == 10)
                    Assert.True(double.IsNaN(actual));
            }
        }
    }
}
