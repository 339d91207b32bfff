namespace Orthrus.PtxSim.Tests;

/// <summary>Kernels as NVRTC compiled them (kernels/*.cu), against plain C#, under several orders of blocks and warps.</summary>
public class KernelTests
{
    private static readonly PtxModule Features = PtxModule.Parse(Ptx.File("features.ptx"));
    private static readonly PtxModule Bench = PtxModule.Parse(Ptx.File("bench.ptx"));

    private static SimDevice Device(int seed = 0, bool checks = true) => new(null, new SimOptions { Seed = seed, Checks = checks, MemoryBytes = 1 << 27 });

    private static ulong Up<T>(SimDevice device, T[] values, string tag = "values")
        where T : unmanaged
    {
        ulong address = device.Alloc(System.Runtime.InteropServices.MemoryMarshal.AsBytes(values.AsSpan()).Length, tag);
        device.CopyToDevice<T>(address, values);
        return address;
    }

    private static float[] Random(int n, int seed, float low = -1, float high = 1)
    {
        var random = new Random(seed);
        float[] values = new float[n];
        for (int i = 0; i < n; i++)
            values[i] = low + ((high - low) * random.NextSingle());
        return values;
    }

    [Fact]
    public void PrintfAndAssert()
    {
        using SimDevice device = Device();
        LaunchReport report = device.Launch(device.Load(Features)["say"], 1, 3, 0, 3);
        Assert.Equal(["thread 0 of 3: 0.00 done%\n", "thread 1 of 3: 0.50 done%\n", "thread 2 of 3: 1.00 done%\n"], report.Output);
        SimFault fault = Assert.Throws<SimFault>(() => device.Launch(device.Load(Features)["say"], 1, 4, 0, 3));
        Assert.Equal(FaultKind.Trap, fault.Kind);
        Assert.Contains("assertion 'threadIdx.x < n' failed in void say(int)", fault.Message, StringComparison.Ordinal);
    }

    private struct Params
    {
        public int A0, A1, A2, A3, A4;
        public ulong B;
        public short C;
    }

    [Fact]
    public void CallsStructParametersConstantsAndGlobals()
    {
        using SimDevice device = Device();
        SimModule module = device.Load(Features);
        ulong b = Up(device, Random(40, 1)), y = device.Alloc(160);
        var p = new Params { A0 = 1, A1 = 20, A2 = 300, A3 = 4000, A4 = 50000, B = b, C = -3 };
        device.Launch(module["calls"], 1, 40, 0, y, KernelArgument.Of(p), 2);
        float[] d = device.Read<float>(y, 40), added = device.Read<float>(b, 40);
        float[] table = [0.5f, 1.5f, 2.5f];
        for (int i = 0; i < 40; i++)
        {
            double polynomial = 1 + (2.0 * i) + (3.0 * i * i) + (4.0 * i * i * i);
            double expected = polynomial + (i % 2 == 0 ? 300 : 4000) + added[i] - 3 + table[i % 3] + 2.5;
            Assert.Equal(expected, d[i], expected * 1e-6);
        }

        ulong weights = module.Variable("weights", out long bytes);
        Assert.Equal(16, bytes);
        device.CopyToDevice<float>(weights, [0f, 0f, 0f, 0f]);
        device.Launch(module["calls"], 1, 40, 0, y, KernelArgument.Of(p), 2);
        Assert.Equal(added[0] + 300 - 3 + 0.5 + 2.5, device.Read<float>(y, 1)[0], 1e-4);
    }

    [Fact]
    public void LocalArrays()
    {
        using SimDevice device = Device();
        int[] x = [.. Enumerable.Range(0, 64 * 8).Select(i => (i * 7919) % 1000)];
        ulong px = Up(device, x), py = device.Alloc(x.Length * 4);
        LaunchReport report = device.Launch(device.Load(Features)["local_array"], 1, 64, 0, py, px, 21);
        int[] y = device.Read<int>(py, x.Length);
        for (int t = 0; t < 64; t++)
        {
            int[] v = x[(t * 8)..((t * 8) + 8)];
            for (int k = 0; k < 21; k++)
                v[(k + 3) & 7] += v[k & 7];
            for (int k = 0; k < 8; k++)
                Assert.Equal(v[(k + t) & 7], y[(t * 8) + k]);
        }

        Assert.True(report.Local.Requests > 0);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public void ThreadsThatWaitForOthersProceed(int seed)
    {
        using SimDevice device = Device(seed);
        SimModule module = device.Load(Features);
        ulong mutex = Up(device, new int[1]), value = Up(device, new int[1]);
        device.Launch(module["lock"], 3, 64, 0, mutex, value);
        Assert.Equal(192, device.Read<int>(value, 1)[0]);
        ulong flag = Up(device, new int[1]), y = Up(device, new int[1]);
        device.Launch(module["spin"], 1, 32, 0, flag, y);
        Assert.Equal(7, device.Read<int>(y, 1)[0]);
        ulong flags = Up(device, new int[12]), chain = device.Alloc(48);
        device.Launch(module["chain"], 12, 32, 0, flags, chain);
        Assert.Equal(Enumerable.Range(100, 12), device.Read<int>(chain, 12));
    }

    [Fact]
    public void TheLastBlockMayReadWhatFencesReleased()
    {
        for (int seed = 0; seed < 3; seed++)
        {
            using SimDevice device = Device(seed);
            float[] x = [.. Enumerable.Range(0, 5000).Select(i => (float)(i % 17))];
            ulong px = Up(device, x), partial = device.Alloc(64), y = device.Alloc(4);
            device.Launch(device.Load(Features)["sum_last"], 16, 256, 0, px, partial, y, x.Length);
            Assert.Equal(x.Sum(), device.Read<float>(y, 1)[0]);
        }
    }

    [Fact]
    public void SharedAndGlobalAtomics()
    {
        using SimDevice device = Device();
        int[] x = [.. Enumerable.Range(0, 4000).Select(i => i * i % 31)], bins = new int[16];
        foreach (int v in x)
            bins[v & 15]++;
        ulong px = Up(device, x), py = Up(device, new int[16]);
        device.Launch(device.Load(Features)["histogram"], 4, 96, 0, px, py, x.Length);
        Assert.Equal(bins, device.Read<int>(py, 16));
    }

    [Fact]
    public void DivergentBranches()
    {
        using SimDevice device = Device();
        ulong py = device.Alloc(64 * 4);
        device.Launch(device.Load(Features)["branches"], 1, 64, 0, py);
        int[] v = new int[64], y = device.Read<int>(py, 64);
        for (int i = 0; i < 64; i++)
        {
            for (int k = 0; k <= (i & 7); k++)
                v[i] = ((i + k) % 3) switch { 0 => v[i] + k, 1 => v[i] - i, _ => v[i] ^ k };
            v[i] = (i & 7) switch { 0 => v[i] + 10, 1 => v[i] * 3, 2 => v[i] - 7, 3 => v[i] ^ 5, 4 => v[i] << 2, 5 => ~v[i], _ => v[i] + i };
        }

        for (int i = 0; i < 64; i++)
        {
            int lower = Enumerable.Range(i & ~31, i & 31).Count(k => (v[k] & 1) != 0);
            Assert.Equal((v[i] * 1000) + v[i ^ 5] + lower, y[i]);
        }
    }

    [Fact]
    public void LongIntegers()
    {
        using SimDevice device = Device();
        ulong a = 0xFEDCBA9876543210, b = 1234567891011;
        ulong py = device.Alloc(32 * 32);
        device.Launch(device.Load(Features)["wide"], 1, 32, 0, py, a, b);
        ulong[] y = device.Read<ulong>(py, 128);
        for (int i = 0; i < 32; i++)
        {
            ulong x = a + (ulong)i;
            Assert.Equal([x / b, x % b, Math.BigMul(x, b, out _), (ulong)((long)x / -7)], y[(4 * i)..((4 * i) + 4)]);
        }
    }

    [Fact]
    public void LibraryFunctions()
    {
        using SimDevice device = Device();
        float[] x = [.. Random(60, 5, -5, 5), 1e6f, -3e5f, 0, 100];
        x[63] = 12;
        ulong px = Up(device, x), py = device.Alloc(x.Length * 4);
        device.Launch(device.Load(Features)["trig"], 1, 64, 0, py, px);
        float[] y = device.Read<float>(py, 64);
        for (int i = 0; i < 60; i++)
            Assert.Equal(Math.Sin(x[i]) + Math.Exp(x[i]) + Math.Pow(Math.Abs(x[i]), 0.3f), y[i], 1e-5 * (1 + Math.Exp(x[i])));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void MatrixProducts(int seed)
    {
        using SimDevice device = Device(seed);
        SimModule module = device.Load(Bench);
        int n = 128;
        float[] a = [.. Random(n * n, 1, -9, 9).Select(v => MathF.Round(v))], b = [.. Random(n * n, 2, -9, 9).Select(v => MathF.Round(v))];
        ulong pa = Up(device, a), pb = Up(device, b), pc = device.Alloc(n * n * 4);
        LaunchReport report = device.Launch(module["sgemm"], new Dim3(n / 64, n / 64), 256, 0, pa, pb, pc, n, n, n);
        float[] c = device.Read<float>(pc, n * n);
        ulong qa = Up(device, a.Select(v => (ushort)(BitConverter.SingleToUInt32Bits(v) >> 16)).ToArray());
        var transposed = new ushort[n * n];
        for (int i = 0; i < n * n; i++)
            transposed[i] = (ushort)(BitConverter.SingleToUInt32Bits(b[((i % n) * n) + (i / n)]) >> 16);
        ulong qb = Up(device, transposed), qc = device.Alloc(n * n * 4);
        LaunchReport matrix = device.Launch(module["mma_gemm"], new Dim3(n / 64, n / 64), 128, 0, qa, qb, qc, n, n, n);
        float[] d = device.Read<float>(qc, n * n);
        for (int i = 0; i < n; i += 3)
        {
            for (int j = 0; j < n; j++)
            {
                double sum = 0;
                for (int k = 0; k < n; k++)
                    sum += a[(i * n) + k] * b[(k * n) + j];
                Assert.Equal(sum, c[(i * n) + j]);
                Assert.Equal(sum, d[(i * n) + j]);
            }
        }

        Assert.Equal(2L * n * n * n, matrix.MatrixFlops);
        Assert.Equal(2L * 2 * n * n * n / 2 / 2, report[InstructionClass.Float32].Lane);
        Assert.Equal(matrix.SharedLoads.Minimum, matrix.SharedLoads.Units);
    }

    [Fact]
    public void ScansAgreeWithDoublesAndAreBitIdenticalUnderEverySeed()
    {
        int length = 96, channels = 128;
        float[] delta = Random(length * channels, 1, 0.01f, 0.5f), u = Random(length * channels, 2), a = Random(16 * channels, 3, -2, -0.1f), b = Random(length * 16, 4), c = Random(length * 16, 5);
        float[]? first = null;
        foreach ((int seed, bool checks) in ((int, bool)[])[(0, true), (1, true), (2, true), (3, false)])
        {
            using SimDevice device = Device(seed, checks);
            ulong py = device.Alloc(length * channels * 4);
            device.Launch(device.Load(Bench)["scan"], channels / 64, 64, 0, Up(device, delta), Up(device, u), Up(device, a), Up(device, b), Up(device, c), py, length, channels);
            float[] y = device.Read<float>(py, length * channels);
            first ??= y;
            Assert.Equal(first, y);
        }

        for (int k = 0; k < channels; k += 5)
        {
            var h = new double[16];
            for (int t = 0; t < length; t++)
            {
                double sum = 0;
                for (int n = 0; n < 16; n++)
                {
                    double d = delta[(t * channels) + k];
                    h[n] = (Math.Exp(d * a[(n * channels) + k]) * h[n]) + (d * u[(t * channels) + k] * b[(t * 16) + n]);
                    sum += h[n] * c[(t * 16) + n];
                }

                Assert.Equal(sum, first![(t * channels) + k], 2e-5);
            }
        }
    }

    [Fact]
    public void NormsElementwiseGathersAndDivergence()
    {
        using SimDevice device = Device();
        SimModule module = device.Load(Bench);
        int width = 300, rows = 5;
        float[] x = Random(rows * width, 1), w = Random(width, 2);
        ulong px = Up(device, x), pw = Up(device, w), py = device.Alloc(rows * width * 4);
        device.Launch(module["rms_norm"], rows, 256, 0, px, pw, py, width);
        float[] y = device.Read<float>(py, rows * width);
        for (int r = 0; r < rows; r++)
        {
            double scale = 1 / Math.Sqrt((Enumerable.Range(0, width).Sum(k => (double)x[(r * width) + k] * x[(r * width) + k]) / width) + 1e-5);
            for (int k = 0; k < width; k++)
                Assert.Equal(x[(r * width) + k] * scale * w[k], y[(r * width) + k], 1e-5);
        }

        device.Launch(module["silu"], 3, 96, 0, px, py, 1000);
        y = device.Read<float>(py, 1000);
        for (int k = 0; k < 1000; k++)
            Assert.Equal(x[k] / (1 + Math.Exp(-x[k])), y[k], 1e-6);
        int[] index = [.. Enumerable.Range(0, 32 * 100).Select(i => i * 7919 % (rows * width))];
        device.Launch(module["gather"], 1, 128, 0, px, Up(device, index), py, 100);
        y = device.Read<float>(py, 100);
        for (int i = 0; i < 100; i++)
            Assert.Equal(Enumerable.Range(0, 32).Sum(k => (double)x[index[(k * 100) + i]]), y[i], 1e-4);
        int[] steps = [.. Enumerable.Range(0, 100).Select(i => i * 37 % 64)];
        device.Launch(module["diverge"], 1, 128, 0, Up(device, steps), py, 100);
        y = device.Read<float>(py, 100);
        for (int i = 0; i < 100; i++)
        {
            float v = i;
            for (int k = 0; k < steps[i]; k++)
                v = ((k ^ i) & 1) != 0 ? MathF.FusedMultiplyAdd(v, 0.5f, 1) : MathF.FusedMultiplyAdd(v, 0.25f, -k);
            Assert.Equal(v, y[i]);
        }
    }
}
