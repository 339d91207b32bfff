using System.CommandLine;
using Orthrus.Cli.Bench;
using Orthrus.Tensor;
using Orthrus.Tensor.Cpu;

namespace Orthrus.Cli;

/// <summary>orthrus bench: what this machine can do at most, and how near the operators come to it.</summary>
internal static class BenchVerb
{
    private const string Help = """
        Time the operators on this machine, forward and backward, against what limits them: the rate of fused multiply-adds or the traffic with
        memory, both measured first. A share above 100 % of a memory limit means that the operands stayed in the caches.
        With --limits print only the machine's limits, for every vector width.

        Example: orthrus bench --op silu --seconds 0.05
        """;

    internal static Command Build()
    {
        var limits = new Option<bool>("--limits") { Description = "only probe the machine: fused multiply-adds by vector width and threads, memory traffic" };
        var op = new Option<string[]>("--op") { Description = "only this operator (may be given several times)", HelpName = "NAME" };
        var threads = new Option<int>("--threads") { Description = "threads; 0 takes one per logical processor", HelpName = "N" };
        var dtype = new Option<string>("--dtype") { Description = "precision of the kernels: f32 or f64", DefaultValueFactory = _ => "f32" };
        dtype.AcceptOnlyFromAmong("f32", "f64");
        var json = new Option<string?>("--json") { Description = "also write the figures to this file, as JSON", HelpName = "FILE" };
        var seconds = new Option<double?>("--seconds") { Description = "about how long to measure each figure (default 0.06 for a limit, 0.2 for an operator)", HelpName = "S" };
        var command = new Command("bench", Help) { limits, op, threads, dtype, json, seconds };
        command.SetAction(r => r.GetValue(limits) && r.GetResult(dtype) is { Implicit: false }
            ? throw new UsageException("--limits probes both precisions, --dtype chooses that of the operators: give one of the two")
            : Run(r.GetValue(limits), r.GetValue(op) ?? [], r.GetValue(threads), r.GetValue(dtype) == "f64" ? DType.F64 : DType.F32, r.GetValue(json), r.GetValue(seconds), CliHost.Of(r)));
        return command;
    }

    private static int Run(bool limitsOnly, string[] names, int threads, DType dtype, string? json, double? seconds, CliHost host)
    {
        if (threads is < 0 or > 1024) throw new UsageException($"--threads {threads}: use 0 to 1024");
        if (seconds is { } given && !(given is > 0 and <= 3600)) throw new UsageException("--seconds: use a number above 0, at most 3600");
        if (limitsOnly && names.Length > 0) throw new UsageException("--limits probes the machine, --op times an operator: give one of the two");
        string[] known = [.. OpTable.All.Select(o => o.Name).Concat(UpdateTable.All.Select(u => u.Name))];
        foreach (string name in names)
            if (!known.Contains(name)) throw new UsageException($"there is no operator {name}; known: {string.Join(", ", known.Order(StringComparer.Ordinal))}");
        if (threads == 0) threads = Environment.ProcessorCount;
        if (limitsOnly)
        {
            var limits = LimitsReport.Measure(threads, seconds ?? 0.06, host.Cancel);
            LimitsReport.Write(host.Output, limits);
            if (json is not null) BenchJson.Write(json, w => LimitsReport.WriteJson(w, limits));
            return ExitCode.Done;
        }
        using var device = new CpuDevice(threads);
        var report = new OpReport(device, dtype, seconds ?? 0.2);
        report.Run(names, host.Output, host.Cancel);
        if (json is not null) BenchJson.Write(json, report.WriteJson);
        return ExitCode.Done;
    }
}
