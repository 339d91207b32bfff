using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Orthrus.Tensor;
using Orthrus.Tensor.Cpu;

namespace Orthrus.Cli.Bench;

/// <summary>One timed call.</summary>
/// <param name="Op">Operator.</param>
/// <param name="Sample">Its sample.</param>
/// <param name="Pass">"forward" or "backward".</param>
/// <param name="Seconds">Median of the calls.</param>
/// <param name="Flops">Operations of a call.</param>
/// <param name="Bytes">Bytes that a call must move.</param>
/// <param name="Limit">"fma" or "memory", whichever takes longer.</param>
/// <param name="Share">Time that the limit allows over the time taken.</param>
internal readonly record struct OpTime(string Op, string Sample, string Pass, double Seconds, long Flops, long Bytes, string Limit, double Share);

/// <summary>Times operators and compares them with the machine's limits.</summary>
internal sealed class OpReport(CpuDevice device, DType dtype, double seconds)
{
    private readonly List<OpTime> _times = [];
    private double _fma, _memory;

    internal void Run(string[] names, TextWriter writer, CancellationToken cancel)
    {
        int threads = device.Workers.Threads;
        _fma = dtype == DType.F32 ? MachineLimits.FmaRate<float>(device.VectorWidth, threads) : MachineLimits.FmaRate<double>(device.VectorWidth, threads);
        var memory = MachineLimits.Memory(threads);
        _memory = Math.Max(memory.Read, memory.Copy);
        writer.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{device.Name}, {dtype}: {_fma / 1e9:F1} GFLOP/s, {_memory / 1e9:F1} GB/s"));
        writer.WriteLine($"{"op",-22}  {"sample",-10}  {"pass",-8}  {"time",10}  {"GFLOP/s",8}  {"GB/s",7}  {"limit",-6}  {"share",6}");
        bool Chosen(string name) => names.Length == 0 || names.Contains(name);
        foreach (var op in OpTable.All.Where(o => Chosen(o.Name)))
            foreach (var sample in OpWork.Timed(op)) Time(() => OpWork.Of(op, sample, dtype, device), writer, cancel);
        foreach (var update in UpdateTable.All.Where(u => Chosen(u.Name)))
            foreach (var sample in OpWork.Timed(update)) Time(() => OpWork.Of(update, sample, dtype, device), writer, cancel);
    }

    internal void WriteJson(Utf8JsonWriter json)
    {
        json.WriteString("device", device.Name);
        json.WriteString("dtype", dtype == DType.F32 ? "f32" : "f64");
        json.WriteNumber("threads", device.Workers.Threads);
        json.WriteNumber("fma_flops", Math.Round(_fma));
        json.WriteNumber("memory_bytes", Math.Round(_memory));
        json.WriteStartArray("rows");
        foreach (var t in _times)
        {
            json.WriteStartObject();
            json.WriteString("op", t.Op);
            json.WriteString("sample", t.Sample);
            json.WriteString("pass", t.Pass);
            json.WriteNumber("seconds", t.Seconds);
            json.WriteNumber("flops", t.Flops);
            json.WriteNumber("bytes", t.Bytes);
            json.WriteString("limit", t.Limit);
            json.WriteNumber("share", t.Share);
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }

    private void Time(Func<OpWork> open, TextWriter writer, CancellationToken cancel)
    {
        using var work = open();
        Add("forward", Median(work.Forward, cancel), work.Cost.Flops, work.Cost.Bytes);
        if (work.HasBackward) Add("backward", Median(work.Backward, cancel), work.Cost.BackwardFlops, work.Cost.BackwardBytes);

        void Add(string pass, double time, long flops, long bytes)
        {
            double compute = flops / _fma, traffic = bytes / _memory;
            var row = new OpTime(work.Op, work.Sample, pass, time, flops, bytes, compute > traffic ? "fma" : "memory", Math.Max(compute, traffic) / time);
            _times.Add(row);
            writer.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"{row.Op,-22}  {row.Sample,-10}  {pass,-8}  {Duration(time),10}  {flops / time / 1e9,8:F1}  {bytes / time / 1e9,7:F1}  {row.Limit,-6}  {100 * row.Share,4:F0} %"));
        }
    }

    private double Median(Action call, CancellationToken cancel)
    {
        var times = new List<double>();
        // The first calls compile the kernel and fill the pool.
        for (int i = 0; i < 2; i++) call();
        var clock = Stopwatch.StartNew();
        while (times.Count < 3 || (clock.Elapsed.TotalSeconds < seconds && times.Count < 10_000))
        {
            cancel.ThrowIfCancellationRequested();
            long start = Stopwatch.GetTimestamp();
            call();
            times.Add(Stopwatch.GetElapsedTime(start).TotalSeconds);
        }
        times.Sort();
        return times[times.Count / 2];
    }

    private static string Duration(double seconds) => seconds switch
    {
        >= 1 => string.Create(CultureInfo.InvariantCulture, $"{seconds:F2} s"),
        >= 1e-3 => string.Create(CultureInfo.InvariantCulture, $"{seconds * 1e3:F2} ms"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{seconds * 1e6:F1} us"),
    };
}
