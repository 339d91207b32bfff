using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Orthrus.Tensor;
using Orthrus.Tensor.Cpu;
using Orthrus.Tensor.Cuda;

namespace Orthrus.Cli.Bench;

/// <summary>One timed call.</summary>
/// <param name="Op">Operator.</param>
/// <param name="Sample">Its sample.</param>
/// <param name="DType">Precision.</param>
/// <param name="Pass">"forward" or "backward".</param>
/// <param name="Seconds">Median of the calls.</param>
/// <param name="Flops">Operations of a call.</param>
/// <param name="Bytes">Bytes that a call must move.</param>
/// <param name="Limit">"fma" (or "matrix", the tensor cores) or "memory", whichever takes longer.</param>
/// <param name="Share">Time that the limit allows over the time taken.</param>
/// <param name="Kernels">Kernels of a GPU, by name: launches, and seconds of all of them; empty on a CPU.</param>
internal readonly record struct OpTime(string Op, string Sample, DType DType, string Pass, double Seconds, long Flops, long Bytes, string Limit, double Share, IReadOnlyList<KernelTime> Kernels);

/// <summary>What a kernel takes of a call.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Launches">Launches of a call.</param>
/// <param name="Seconds">Seconds of these together, each between two events of the driver.</param>
internal readonly record struct KernelTime(string Name, int Launches, double Seconds);

/// <summary>Times operators on a device and compares them with what the device can do at most.</summary>
internal abstract class OpReport : IDisposable
{
    private readonly List<OpTime> _times = [];

    /// <summary>Opens the report of a CPU.</summary>
    internal static OpReport OnCpu(int threads, DType dtype, double seconds) => new Cpu(threads, dtype, seconds);

    /// <summary>Opens the report of a GPU that stays open.</summary>
    internal static OpReport OnGpu(CudaDevice device, IReadOnlyList<DType> dtypes, double seconds) => new Gpu(device, dtypes, seconds);

    private OpReport(Device device, IReadOnlyList<DType> dtypes, double seconds) => (Device, DTypes, Seconds) = (device, dtypes, seconds);

    private Device Device { get; }
    private IReadOnlyList<DType> DTypes { get; }
    private double Seconds { get; }

    /// <summary>Operations a second at most.</summary>
    private protected abstract double Flops { get; }

    /// <summary>Bytes a second at most.</summary>
    private protected abstract double Memory { get; }

    /// <summary>Operations a second that tensor cores add for an operator, and their name; the others' where there are none.</summary>
    private protected virtual (double Flops, string Name) Compute(string op, DType dtype) => (Flops, "fma");

    /// <summary>What each kernel of a call takes, where there are kernels.</summary>
    private protected virtual IReadOnlyList<KernelTime> Kernels(Action call) => [];

    /// <summary>What the head says besides.</summary>
    private protected virtual string More => "";

    private protected abstract double Time(Action call);

    private protected abstract void WriteDevice(Utf8JsonWriter json);

    internal void Run(IReadOnlyList<OpRow> ops, IReadOnlyList<UpdateRow> updates, TextWriter writer, CancellationToken cancel)
    {
        writer.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{Device.Name}, {string.Join(" and ", DTypes)}, measured: {Flops / 1e9:F1} GFLOP/s, {Memory / 1e9:F1} GB/s{More}"));
        writer.WriteLine($"{"op",-22}  {"sample",-10}  {"type",-4}  {"pass",-8}  {"time",10}  {"GFLOP/s",8}  {"GB/s",7}  {"limit",-6}  {"share",6}");
        foreach (var op in ops)
            foreach (var sample in OpWork.Timed(op))
                foreach (var dtype in DTypes.Where(d => d != DType.BF16 || op.Signature.BFloat16)) Add(dtype, OpWork.Of(op, sample, dtype, Device), writer, cancel);
        foreach (var update in updates)
            foreach (var sample in OpWork.Timed(update))
                foreach (var dtype in DTypes.Where(d => d != DType.BF16)) Add(dtype, OpWork.Of(update, sample, dtype, Device), writer, cancel);
    }

    internal void WriteJson(Utf8JsonWriter json)
    {
        json.WriteString("device", Device.Name);
        json.WriteString("kind", "measured");
        json.WriteString("dtype", string.Join(' ', DTypes).ToLowerInvariant());
        WriteDevice(json);
        json.WriteNumber("fma_flops", Math.Round(Flops));
        json.WriteNumber("memory_bytes", Math.Round(Memory));
        json.WriteStartArray("rows");
        foreach (var t in _times)
        {
            json.WriteStartObject();
            json.WriteString("op", t.Op);
            json.WriteString("sample", t.Sample);
            json.WriteString("dtype", t.DType.ToString().ToLowerInvariant());
            json.WriteString("pass", t.Pass);
            json.WriteNumber("seconds", t.Seconds);
            json.WriteNumber("flops", t.Flops);
            json.WriteNumber("bytes", t.Bytes);
            json.WriteString("limit", t.Limit);
            json.WriteNumber("share", t.Share);
            json.WriteStartArray("kernels");
            foreach (var k in t.Kernels)
            {
                json.WriteStartObject();
                json.WriteString("kernel", k.Name);
                json.WriteNumber("launches", k.Launches);
                json.WriteNumber("seconds", k.Seconds);
                json.WriteEndObject();
            }
            json.WriteEndArray();
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }

    public abstract void Dispose();

    private void Add(DType dtype, OpWork open, TextWriter writer, CancellationToken cancel)
    {
        using var work = open;
        Add("forward", work.Forward, work.Cost.Flops, work.Cost.Bytes);
        if (work.HasBackward) Add("backward", work.Backward, work.Cost.BackwardFlops, work.Cost.BackwardBytes);

        void Add(string pass, Action call, long flops, long bytes)
        {
            double time = Median(call, cancel);
            var (rate, unit) = Compute(work.Op, dtype);
            double compute = flops / rate, traffic = bytes / Memory;
            var row = new OpTime(work.Op, work.Sample, dtype, pass, time, flops, bytes, compute > traffic ? unit : "memory", Math.Max(compute, traffic) / time, Kernels(call));
            _times.Add(row);
            writer.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"{row.Op,-22}  {row.Sample,-10}  {dtype,-4}  {row.Pass,-8}  {Duration(time),10}  {flops / time / 1e9,8:F1}  {bytes / time / 1e9,7:F1}  {row.Limit,-6}  {100 * row.Share,4:F0} %"));
            foreach (var k in row.Kernels) writer.WriteLine(string.Create(CultureInfo.InvariantCulture, $"  {k.Name,-36}  x {k.Launches,-8}  {Duration(k.Seconds),10}"));
        }
    }

    private double Median(Action call, CancellationToken cancel)
    {
        var times = new List<double>();
        // The first calls compile the kernel and fill the pool.
        for (int i = 0; i < 2; i++) call();
        var clock = Stopwatch.StartNew();
        while (times.Count < 3 || (clock.Elapsed.TotalSeconds < Seconds && times.Count < 10_000))
        {
            cancel.ThrowIfCancellationRequested();
            times.Add(Time(call));
        }
        times.Sort();
        return times[times.Count / 2];
    }

    internal static string Duration(double seconds) => seconds switch
    {
        >= 1 => string.Create(CultureInfo.InvariantCulture, $"{seconds:F2} s"),
        >= 1e-3 => string.Create(CultureInfo.InvariantCulture, $"{seconds * 1e3:F2} ms"),
        >= 1e-7 => string.Create(CultureInfo.InvariantCulture, $"{seconds * 1e6:F1} us"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{seconds * 1e9:F1} ns"),
    };

    private sealed class Cpu : OpReport
    {
        private readonly CpuDevice _device;
        private readonly int _threads;

        internal Cpu(int threads, DType dtype, double seconds) : this(new CpuDevice(threads), threads, dtype, seconds) { }

        private Cpu(CpuDevice device, int threads, DType dtype, double seconds) : base(device, [dtype], seconds)
        {
            (_device, _threads) = (device, threads);
            Flops = dtype == DType.F32 ? MachineLimits.FmaRate<float>(device.VectorWidth, threads) : MachineLimits.FmaRate<double>(device.VectorWidth, threads);
            var memory = MachineLimits.Memory(threads);
            Memory = Math.Max(memory.Read, memory.Copy);
        }

        private protected override double Flops { get; }
        private protected override double Memory { get; }

        private protected override double Time(Action call)
        {
            long start = Stopwatch.GetTimestamp();
            call();
            return Stopwatch.GetElapsedTime(start).TotalSeconds;
        }

        private protected override void WriteDevice(Utf8JsonWriter json) => json.WriteNumber("threads", _threads);

        public override void Dispose() => _device.Dispose();
    }

    private sealed class Gpu : OpReport
    {
        // Below this the time between two launches would be measured instead of the kernels.
        private const double Shortest = 1e-3;
        private const int MostCalls = 100;
        private readonly CudaTimer _timer;
        private readonly CudaLimits _limits;

        internal Gpu(CudaDevice device, IReadOnlyList<DType> dtypes, double seconds) : base(device, dtypes, seconds)
        {
            _limits = CudaLimits.Measure(device);
            _timer = new CudaTimer(device);
        }

        private protected override double Flops => _limits.Float32Flops;
        private protected override double Memory => _limits.MemoryBytes;
        private protected override string More => _limits.MatrixFlops is { } flops ? string.Create(CultureInfo.InvariantCulture, $"; tensor cores {flops / 1e9:F1} GFLOP/s") : $"; tensor cores not measured: {_limits.WhyNoMatrix}";

        // Products of F32 are six of BF16 each (cuda/linear.cu); where those are slower than plain ones, plain ones are the limit.
        private protected override (double Flops, string Name) Compute(string op, DType dtype) =>
            op != Linear.Name && op != LinearSplit.Name || _limits.MatrixFlops is not { } matrix ? base.Compute(op, dtype)
            : dtype == DType.BF16 ? (matrix, "matrix")
            : matrix / 6 > Flops ? (matrix / 6, "matrix") : (Flops, "fma");

        private protected override double Time(Action call)
        {
            double once = _timer.Time(call);
            int calls = (int)Math.Clamp(Shortest / once, 1, MostCalls);
            return calls == 1 ? once : _timer.Time(() =>
            {
                for (int i = 0; i < calls; i++) call();
            }) / calls;
        }

        private protected override IReadOnlyList<KernelTime> Kernels(Action call)
        {
            const int rounds = 5;
            var runs = Enumerable.Range(0, rounds).Select(_ => _timer.TimeLaunches(call)).ToArray();
            // A call launches the same kernels every time; of each launch the middle run counts.
            return [.. runs[0].Select((l, i) => (l.Kernel, Seconds: runs.Select(r => r[i].Seconds).Order().ElementAt(rounds / 2))).GroupBy(l => l.Kernel).Select(g => new KernelTime(g.Key, g.Count(), g.Sum(l => l.Seconds)))];
        }

        private protected override void WriteDevice(Utf8JsonWriter json)
        {
            json.WriteBoolean("simulated", false);
            if (_limits.MatrixFlops is { } matrix) json.WriteNumber("matrix_flops", Math.Round(matrix));
            else json.WriteNull("matrix_flops");
        }

        public override void Dispose() => _timer.Dispose();
    }
}
