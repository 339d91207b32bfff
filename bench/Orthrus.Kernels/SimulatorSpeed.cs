using System.Diagnostics;
using System.Globalization;
using System.Reflection;
using System.Runtime.Intrinsics;
using Orthrus.PtxSim;

namespace Orthrus.Kernels;

/// <summary>How fast the simulator is here, with all checks and counters: these are measurements of this machine's processor, not of any GPU.</summary>
internal static class SimulatorSpeed
{
    private const int Rounds = 3;
    private static readonly TimeSpan RoundTime = TimeSpan.FromMilliseconds(700);

    /// <param name="Name">Kernel of bench.ptx.</param>
    /// <param name="InMean">Part of the geometric mean.</param>
    /// <param name="Grid">Blocks.</param>
    /// <param name="Block">Threads of a block.</param>
    /// <param name="Arguments">Makes the operands on a device.</param>
    private sealed record Load(string Name, bool InMean, Dim3 Grid, Dim3 Block, Func<SimDevice, KernelArgument[]> Arguments);

    private static readonly Load[] Loads =
    [
        new("scan", true, 1024 / 64, 64, d => [Floats(d, 256 * 1024, 0.01f), Floats(d, 256 * 1024, 1), Floats(d, 16 * 1024, -1), Floats(d, 256 * 16, 1), Floats(d, 256 * 16, 1), d.Alloc(4 * 256 * 1024), 256, 1024]),
        new("sgemm", true, new Dim3(4, 4), 256, d => [Floats(d, 256 * 256, 1), Floats(d, 256 * 256, 1), d.Alloc(4 * 256 * 256), 256, 256, 256]),
        new("rms_norm", true, 512, 256, d => [Floats(d, 512 * 1024, 1), Floats(d, 1024, 1), d.Alloc(4 * 512 * 1024), 1024]),
        new("silu", true, 128, 256, d => [Floats(d, 1 << 20, 1), d.Alloc(4 << 20), 1 << 20]),
        new("mma_gemm", false, new Dim3(6, 6), 128, d => [Halves(d, 384 * 384), Halves(d, 384 * 384), d.Alloc(4 * 384 * 384), 384, 384, 384]),
        new("gather", false, 128, 128, d => [Floats(d, 1 << 16, 1), Integers(d, 32 << 14, 1 << 16), d.Alloc(4 << 14), 1 << 14]),
        new("diverge", false, 128, 128, d => [Integers(d, 1 << 14, 64), d.Alloc(4 << 14), 1 << 14]),
    ];

    /// <summary>Prints lane instructions a second of each kernel, their geometric mean, the worst, GFLOP/s on the tensor cores' instruction and the time to a first result.</summary>
    internal static int Run()
    {
        int threads = Math.Min(2, Environment.ProcessorCount);
        Console.WriteLine($"simulator on {threads} threads, a device each, all checks and counters on; {(Vector512.IsHardwareAccelerated ? "512" : Vector256.IsHardwareAccelerated ? "256" : "128")}-bit vectors");
        var rates = new Dictionary<string, double>();
        double matrix = 0;
        foreach (var load in Loads)
        {
            (rates[load.Name], double flops) = Measure(load, threads);
            matrix = Math.Max(matrix, flops);
            Console.WriteLine(Text($"{load.Name,-10}{rates[load.Name] / 1e9,8:F2} G lane instructions/s{(flops > 0 ? Text($", {flops / 1e9:F1} GFLOP/s") : "")}"));
        }
        double mean = Math.Exp(Loads.Where(l => l.InMean).Average(l => Math.Log(rates[l.Name])));
        var worst = rates.MinBy(r => r.Key == "mma_gemm" ? double.PositiveInfinity : r.Value);
        double[][] cold = [.. Enumerable.Range(0, 7).Select(_ => FirstResult()).OrderBy(c => c[0])];
        // Without 512-bit vectors half of it.
        double share = Vector512.IsHardwareAccelerated ? 1 : 0.5;
        Console.WriteLine(Text($"geometric mean of scan, sgemm, rms_norm, silu: {mean / 1e9:F2} G lane instructions/s (goal {2 * share:F1})"));
        Console.WriteLine(Text($"worst: {worst.Key}, {worst.Value / 1e6:F0} M lane instructions/s (goal 400)"));
        Console.WriteLine(Text($"mma_gemm: {matrix / 1e9:F1} GFLOP/s (goal {15 * share:F1})"));
        double[] middle = cold[cold.Length / 2];
        Console.WriteLine(Text($"text to first result in a new process, kernel of {Instructions()} instructions: {middle[0]:F0} ms, best {cold[0][0]:F0} (goal 150); processor time {middle[1]:F0} ms: reading {middle[2]:F0}, decoding {middle[3]:F0}, running {middle[4]:F0}"));
        return 0;
    }

    /// <summary>What a new process needs from the text to a result on the host: milliseconds by the clock and of the processor, the latter also for reading, decoding and running.</summary>
    internal static int Cold()
    {
        string text = Ptx();
        var clock = Stopwatch.StartNew();
        double begin = Processor(), at = begin;
        double Lap()
        {
            double now = Processor(), lap = now - at;
            at = now;
            return lap;
        }
        var module = PtxModule.Parse(text);
        double parse = Lap();
        using var device = new SimDevice();
        var kernel = device.Load(module)["mma_gemm"];
        double decode = Lap();
        ulong c = device.Alloc(4 * 64 * 64);
        device.Launch(kernel, 1, 128, 0, Halves(device, 64 * 64), Halves(device, 64 * 64), c, 64, 64, 64);
        float[] result = device.Read<float>(c, 64 * 64);
        double ms = clock.Elapsed.TotalMilliseconds, run = Lap();
        Console.WriteLine(Text($"{ms:F1} {at - begin:F1} {parse:F1} {decode:F1} {run:F1} {result.Sum()}"));
        return 0;
    }

    private static double Processor() => Environment.CpuUsage.TotalTime.TotalMilliseconds;

    private static double[] FirstResult()
    {
        var start = new ProcessStartInfo(Environment.ProcessPath!) { RedirectStandardOutput = true };
        if (Path.GetFileNameWithoutExtension(start.FileName) == "dotnet") start.ArgumentList.Add(typeof(SimulatorSpeed).Assembly.Location);
        start.ArgumentList.Add("sim-speed");
        start.ArgumentList.Add("--cold");
        using var process = Process.Start(start)!;
        string line = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return [.. line.Split(' ')[..5].Select(w => double.Parse(w, CultureInfo.InvariantCulture))];
    }

    private static (double LanesPerSecond, double FlopsPerSecond) Measure(Load load, int threads)
    {
        string text = Ptx();
        var module = PtxModule.Parse(text);
        double lanes = 0, flops = 0;
        var gate = new Lock();
        using var start = new Barrier(threads);
        var workers = Enumerable.Range(0, threads).Select(t => new Thread(() =>
        {
            using var device = new SimDevice(null, new SimOptions { Seed = t, MemoryBytes = 1 << 28 });
            var kernel = device.Load(module)[load.Name];
            KernelArgument[] arguments = load.Arguments(device);
            LaunchReport report = device.Launch(kernel, load.Grid, load.Block, 0, arguments);
            for (int k = 0; k < 3; k++) report = device.Launch(kernel, load.Grid, load.Block, 0, arguments);
            double best = double.PositiveInfinity;
            for (int round = 0; round < Rounds; round++)
            {
                start.SignalAndWait();
                var clock = Stopwatch.StartNew();
                int launches = 0;
                do
                {
                    device.Launch(kernel, load.Grid, load.Block, 0, arguments);
                    launches++;
                }
                while (clock.Elapsed < RoundTime);
                best = Math.Min(best, clock.Elapsed.TotalSeconds / launches);
            }
            lock (gate)
            {
                lanes += report.Total.Lane / best;
                flops += report.MatrixFlops / best;
            }
        })).ToArray();
        foreach (var w in workers) w.Start();
        foreach (var w in workers) w.Join();
        return (lanes, flops);
    }

    private static KernelArgument Floats(SimDevice device, int count, float scale)
    {
        ulong address = device.Alloc(4L * count);
        device.CopyToDevice<float>(address, [.. Enumerable.Range(0, count).Select(i => scale * (0.5f + 0.5f * MathF.Sin(i)))]);
        return address;
    }

    private static KernelArgument Halves(SimDevice device, int count)
    {
        ulong address = device.Alloc(2L * count);
        device.CopyToDevice<ushort>(address, [.. Enumerable.Range(0, count).Select(i => (ushort)(BitConverter.SingleToUInt32Bits(MathF.Sin(i)) >> 16))]);
        return address;
    }

    private static KernelArgument Integers(SimDevice device, int count, int below)
    {
        ulong address = device.Alloc(4L * count);
        device.CopyToDevice<int>(address, [.. Enumerable.Range(0, count).Select(i => (int)((uint)i * 2654435761u % (uint)below))]);
        return address;
    }

    private static int Instructions()
    {
        string text = Ptx();
        int from = text.IndexOf(".entry mma_gemm(", StringComparison.Ordinal), to = text.IndexOf(".entry ", from + 1, StringComparison.Ordinal);
        return text[from..to].Split('\n').Count(l => l.EndsWith(';') && !l.TrimStart().StartsWith('.'));
    }

    private static string Ptx()
    {
        using var reader = new StreamReader(Assembly.GetExecutingAssembly().GetManifestResourceStream("bench.ptx")!);
        return reader.ReadToEnd();
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
