using System.Diagnostics;
using System.Globalization;
using System.Reflection;
using System.Runtime.Intrinsics;
using Orthrus.PtxSim;
using Orthrus.Tensor;
using Orthrus.Tensor.Cuda;

namespace Orthrus.Kernels;

/// <summary>How fast the simulator is here, with all checks and counters: these are measurements of this machine's processor, not of any GPU.</summary>
internal static class SimulatorSpeed
{
    private const int Rounds = 3, ColdRuns = 7;
    // Without 512-bit vectors half of the rates.
    private const double MeanGoal = 2e9, WorstGoal = 0.4e9, MatrixGoal = 15e9, ColdGoal = 150;
    private const string ColdKernel = "linear_forward_thin", ColdFile = "cuda/ptx/linear.bf16.80.ptx";
    private static readonly TimeSpan RoundTime = TimeSpan.FromMilliseconds(700);

    /// <param name="Name">Kernel of bench.ptx.</param>
    /// <param name="InMean">Part of the geometric mean.</param>
    /// <param name="Grid">Blocks.</param>
    /// <param name="Block">Threads of a block.</param>
    /// <param name="Arguments">Makes the operands on a device.</param>
    private sealed record Load(string Name, bool InMean, Dim3 Grid, Dim3 Block, Func<SimDevice, KernelArgument[]> Arguments);

    /// <summary>Of all threads together; by processor time, what they would reach with a core for each.</summary>
    private readonly record struct Rate(double Lanes, double LanesByProcessor, double Flops, double FlopsByProcessor);

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

    /// <summary>What was reached over what is wanted, by processor time; above 1 is better.</summary>
    /// <param name="Mean">Geometric mean of the rates of ordinary kernels.</param>
    /// <param name="Worst">The lowest rate.</param>
    /// <param name="Matrix">A matrix product by mma.</param>
    /// <param name="Cold">The time to a first result: wanted over needed.</param>
    internal readonly record struct Shares(double Mean, double Worst, double Matrix, double Cold);

    /// <summary>Prints lane instructions a second of each kernel, their geometric mean, the worst, GFLOP/s on the tensor cores' instruction and the time to a first result.</summary>
    /// <param name="output">Where to.</param>
    internal static Shares Run(TextWriter output)
    {
        int threads = Math.Min(2, Environment.ProcessorCount);
        output.WriteLine($"simulator on {threads} threads, a device each, all checks and counters on; {(Vector512.IsHardwareAccelerated ? "512" : Vector256.IsHardwareAccelerated ? "256" : "128")}-bit vectors");
        output.WriteLine($"{"",-10}{"by the clock",16}{"by processor time",20}");
        var rates = Loads.ToDictionary(l => l.Name, l => Measure(l, threads));
        foreach (var (name, r) in rates)
            output.WriteLine(Text($"{name,-10}{r.Lanes / 1e9,16:F2}{r.LanesByProcessor / 1e9,20:F2} G lane instructions/s{(r.Flops > 0 ? Text($"; {r.Flops / 1e9:F1} and {r.FlopsByProcessor / 1e9:F1} GFLOP/s") : "")}"));
        double Mean(Func<Rate, double> of) => Math.Exp(Loads.Where(l => l.InMean).Average(l => Math.Log(of(rates[l.Name])))) / 1e9;
        var worst = rates.Where(r => r.Key != "mma_gemm").MinBy(r => r.Value.LanesByProcessor);
        Rate matrix = rates["mma_gemm"];
        double[][] cold = [.. Enumerable.Range(0, ColdRuns).Select(_ => FirstResult()).OrderBy(c => c[0])];
        double share = Vector512.IsHardwareAccelerated ? 1 : 0.5;
        output.WriteLine(Text($"geometric mean of scan, sgemm, rms_norm, silu: {Mean(r => r.Lanes):F2}, by processor time {Mean(r => r.LanesByProcessor):F2} G lane instructions/s (goal {MeanGoal * share / 1e9:F1})"));
        output.WriteLine(Text($"worst: {worst.Key}, {worst.Value.Lanes / 1e6:F0}, by processor time {worst.Value.LanesByProcessor / 1e6:F0} M lane instructions/s (goal {WorstGoal * share / 1e6:F0})"));
        output.WriteLine(Text($"mma_gemm: {matrix.Flops / 1e9:F1}, by processor time {matrix.FlopsByProcessor / 1e9:F1} GFLOP/s (goal {MatrixGoal * share / 1e9:F1})"));
        double[] middle = cold[cold.Length / 2];
        output.WriteLine(Text($"text to first result in a new process, kernel of {Instructions(ColdText())} instructions: {middle[0]:F0} ms, best {cold[0][0]:F0} (goal {ColdGoal:F0}); processor time {middle[1]:F0} ms: reading {middle[2]:F0}, decoding {middle[3]:F0}, running {middle[4]:F0}"));
        double processor = cold.Select(c => c[1]).Order().ElementAt(ColdRuns / 2);
        return new(Mean(r => r.LanesByProcessor) * 1e9 / (MeanGoal * share), worst.Value.LanesByProcessor / (WorstGoal * share), matrix.FlopsByProcessor / (MatrixGoal * share), ColdGoal / processor);
    }

    /// <summary>What a new process needs from the text to a result on the host: milliseconds by the clock and of the processor, the latter also for reading, decoding and running.</summary>
    internal static int Cold()
    {
        string text = ColdText();
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
        var kernel = device.Load(module)[ColdKernel];
        double decode = Lap();
        const int rows = 64, columns = 32, depth = 64;
        ulong a = Halves(device, rows * depth), b = Halves(device, columns * depth), c = device.Alloc(2 * rows * columns);
        device.Launch(kernel, 1, 128, 0, KernelArgument.Of(new Linear.CudaArgs { A = (nint)a, B = (nint)b, C = (nint)c, PitchA = depth, PitchB = depth, PitchC = columns, M = rows, N = columns, K = depth, Slice = depth }));
        ushort[] result = device.Read<ushort>(c, rows * columns);
        double ms = clock.Elapsed.TotalMilliseconds, run = Lap();
        Console.WriteLine(Text($"{ms:F1} {at - begin:F1} {parse:F1} {decode:F1} {run:F1} {result.Sum(v => (double)BitConverter.UInt32BitsToSingle((uint)v << 16))}"));
        return 0;
    }

    private static double Processor() => Environment.CpuUsage.TotalTime.TotalMilliseconds;

    private static double[] FirstResult()
    {
        // The program beside this assembly: tests measure from a process of their own.
        string program = Path.ChangeExtension(typeof(SimulatorSpeed).Assembly.Location, OperatingSystem.IsWindows() ? ".exe" : null);
        var start = new ProcessStartInfo(program) { RedirectStandardOutput = true };
        start.ArgumentList.Add("sim-speed");
        start.ArgumentList.Add("--cold");
        using var process = Process.Start(start)!;
        string line = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return [.. line.Split(' ')[..5].Select(w => double.Parse(w, CultureInfo.InvariantCulture))];
    }

    private static Rate Measure(Load load, int threads)
    {
        var module = PtxModule.Parse(Ptx());
        LaunchReport? report = null;
        var launches = new int[threads];
        double clockBest = double.PositiveInfinity, processorBest = double.PositiveInfinity;
        var clock = new Stopwatch();
        TimeSpan processor = default;
        int phase = 0;
        // Between a barrier and the next one all threads launch; what lies between is the barrier's own work.
        using var gate = new Barrier(threads, _ =>
        {
            if (phase++ % 2 == 1)
            {
                clockBest = Math.Min(clockBest, clock.Elapsed.TotalSeconds / launches.Sum());
                processorBest = Math.Min(processorBest, (Environment.CpuUsage.TotalTime - processor).TotalSeconds / launches.Sum());
            }
            processor = Environment.CpuUsage.TotalTime;
            clock.Restart();
        });
        var workers = Enumerable.Range(0, threads).Select(t => new Thread(() =>
        {
            using var device = new SimDevice(null, new SimOptions { Seed = t, MemoryBytes = 1 << 28 });
            var kernel = device.Load(module)[load.Name];
            KernelArgument[] arguments = load.Arguments(device);
            for (int k = 0; k < 4; k++) report = device.Launch(kernel, load.Grid, load.Block, 0, arguments);
            for (int round = 0; round < Rounds; round++)
            {
                gate.SignalAndWait();
                launches[t] = 0;
                var own = Stopwatch.StartNew();
                do
                {
                    device.Launch(kernel, load.Grid, load.Block, 0, arguments);
                    launches[t]++;
                }
                while (own.Elapsed < RoundTime);
                gate.SignalAndWait();
            }
        })).ToArray();
        foreach (var w in workers) w.Start();
        foreach (var w in workers) w.Join();
        return new(report!.Total.Lane / clockBest, threads * report.Total.Lane / processorBest, report.MatrixFlops / clockBest, threads * report.MatrixFlops / processorBest);
    }

    private static KernelArgument Floats(SimDevice device, int count, float scale)
    {
        ulong address = device.Alloc(4L * count);
        device.CopyToDevice<float>(address, [.. Enumerable.Range(0, count).Select(i => scale * (0.5f + 0.5f * MathF.Sin(i)))]);
        return address;
    }

    private static ulong Halves(SimDevice device, int count)
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

    /// <summary>Instructions of a text with one kernel.</summary>
    internal static int Instructions(string text) => text[text.IndexOf(".entry ", StringComparison.Ordinal)..].Split('\n').Count(l => l.EndsWith(';') && !l.TrimStart().StartsWith('.'));

    /// <summary>The text of one of the engine's own kernels alone, with what its file declares before the first.</summary>
    internal static string ColdText()
    {
        string file = CudaResources.Text(ColdFile) ?? throw new InvalidOperationException($"{ColdFile} is not embedded");
        int from = file.IndexOf($".visible .entry {ColdKernel}(", StringComparison.Ordinal), to = file.IndexOf("\n}\n", from, StringComparison.Ordinal);
        return file[..file.IndexOf(".visible .entry", StringComparison.Ordinal)] + file[from..(to + 3)];
    }

    private static string Ptx()
    {
        using var reader = new StreamReader(Assembly.GetExecutingAssembly().GetManifestResourceStream("bench.ptx")!);
        return reader.ReadToEnd();
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
