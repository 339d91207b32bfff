using System.Globalization;
using System.Text.Json;
using Orthrus.Tensor.Cpu;

namespace Orthrus.Cli.Bench;

/// <summary>Limits of one number of threads.</summary>
/// <param name="Threads">Threads at once.</param>
/// <param name="Fma">By vector width, widest first: FLOP/s in single and double precision.</param>
/// <param name="Memory">Traffic with memory.</param>
internal sealed record ThreadLimits(int Threads, (int Width, double Single, double Double)[] Fma, MemoryRate Memory);

/// <summary>Probes the machine and prints what it found.</summary>
internal static class LimitsReport
{
    internal static ThreadLimits[] Measure(int threads, double seconds, CancellationToken cancel)
    {
        int[] counts = threads == 1 ? [1] : [1, threads];
        return [.. counts.Select(n => new ThreadLimits(n, [.. VectorWidths.Native.Select(w => Fma(w, n))], Memory(n)))];

        (int, double, double) Fma(int width, int n)
        {
            cancel.ThrowIfCancellationRequested();
            return (width, MachineLimits.FmaRate<float>(width, n, seconds), MachineLimits.FmaRate<double>(width, n, seconds));
        }

        MemoryRate Memory(int n)
        {
            cancel.ThrowIfCancellationRequested();
            return MachineLimits.Memory(n);
        }
    }

    internal static void Write(TextWriter writer, IReadOnlyList<ThreadLimits> limits)
    {
        writer.WriteLine("vector bits  threads  f32 GFLOP/s  f64 GFLOP/s");
        foreach (var l in limits)
            foreach (var (width, single, full) in l.Fma)
                writer.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{width,11}  {l.Threads,7}  {single / 1e9,11:F1}  {full / 1e9,11:F1}"));
        writer.WriteLine();
        writer.WriteLine("     memory  threads    read GB/s    copy GB/s");
        foreach (var l in limits)
            writer.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{"",11}  {l.Threads,7}  {l.Memory.Read / 1e9,11:F1}  {l.Memory.Copy / 1e9,11:F1}"));
    }

    internal static void WriteJson(Utf8JsonWriter json, IReadOnlyList<ThreadLimits> limits)
    {
        json.WriteStartArray("limits");
        foreach (var l in limits)
        {
            json.WriteStartObject();
            json.WriteNumber("threads", l.Threads);
            json.WriteStartArray("fma");
            foreach (var (width, single, full) in l.Fma)
            {
                json.WriteStartObject();
                json.WriteNumber("vector_bits", width);
                json.WriteNumber("f32_flops", Math.Round(single));
                json.WriteNumber("f64_flops", Math.Round(full));
                json.WriteEndObject();
            }
            json.WriteEndArray();
            json.WriteNumber("memory_read_bytes", Math.Round(l.Memory.Read));
            json.WriteNumber("memory_copy_bytes", Math.Round(l.Memory.Copy));
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }
}
