using System.CommandLine;
using Orthrus.Cli.Bench;
using Orthrus.PtxSim;
using Orthrus.Tensor;

namespace Orthrus.Cli;

/// <summary>orthrus bench: what this machine can do at most, and how near the operators come to it.</summary>
internal static class BenchVerb
{
    private const string Help = """
        Time the operators on this machine, forward and backward, against what limits them: the rate of fused multiply-adds or the traffic with
        memory, both measured first (of a GPU the first is its clock times its lanes). A share above 100 % of a memory limit means that the operands
        stayed in the caches, above 100 % of fma on a GPU that tensor cores took part. With --limits print only the machine's limits, for every
        vector width. With --device sim, or --simulate, nothing is timed: the kernels run on a simulated GPU that counts their work, and for each kernel
        the table has the least time that the counts allow on the unit that takes longest (issue, f32, special, shared, dram, matrix).

        Example: orthrus bench --op silu --seconds 0.05

        The CUDA kernels, where there is no GPU:
          orthrus bench --op l2_normalize --simulate --spec a100
        """;

    internal static Command Build()
    {
        var limits = new Option<bool>("--limits") { Description = "only probe the processor: fused multiply-adds by vector width and threads, memory traffic" };
        var op = new Option<string[]>("--op") { Description = "only this operator (may be given several times)", HelpName = "NAME" };
        var device = DeviceOption.Create();
        var simulate = new Option<bool>("--simulate") { Description = "the same as --device sim" };
        var spec = new Option<string?>("--spec") { Description = "the simulated GPU (default h100)", HelpName = string.Join('|', Specs.Keys) };
        spec.AcceptOnlyFromAmong([.. Specs.Keys]);
        var gemm = GemmOption.Create("whose matrix products to time on a GPU (default own)");
        var threads = new Option<int?>("--threads") { Description = "threads of the CPU; 0, the default, takes one per logical processor", HelpName = "N" };
        var dtype = new Option<string?>("--dtype") { Description = "precision of the kernels: f32, f64 (CPU) or bf16 (GPU); f32 by default, on a GPU also bf16" };
        dtype.AcceptOnlyFromAmong("f32", "f64", "bf16");
        var json = new Option<string?>("--json") { Description = "also write the figures to this file, as JSON", HelpName = "FILE" };
        var seconds = new Option<double?>("--seconds") { Description = "about how long to measure each figure (default 0.06 for a limit, 0.2 for an operator)", HelpName = "S" };
        var command = new Command("bench", Help) { limits, op, device, gemm, simulate, spec, threads, dtype, json, seconds };
        command.SetAction(r =>
        {
            bool named = r.GetResult(device) is { Implicit: false };
            return Run(new Request(r.GetValue(limits), r.GetValue(op) ?? [], named ? DeviceOption.Parse(r.GetValue(device)!) : null, GemmOption.Parse(r.GetValue(gemm)), r.GetValue(simulate), r.GetValue(spec),
                r.GetValue(threads), r.GetValue(dtype), r.GetValue(json), r.GetValue(seconds)), CliHost.Of(r));
        });
        return command;
    }

    private static readonly Dictionary<string, SimDeviceSpec> Specs = new()
    {
        ["a100"] = SimDeviceSpec.A100, ["l4"] = SimDeviceSpec.L4, ["4090"] = SimDeviceSpec.Rtx4090, ["h100"] = SimDeviceSpec.H100,
    };

    private sealed record Request(bool Limits, string[] Names, DeviceChoice? Device, GemmBackend? Gemm, bool Simulate, string? Spec, int? Threads, string? DType, string? Json, double? Seconds);

    private static int Run(Request request, CliHost host)
    {
        if (request.Threads is < 0 or > 1024) throw new UsageException($"--threads {request.Threads}: use 0 to 1024");
        if (request.Seconds is { } given && !(given is > 0 and <= 3600)) throw new UsageException("--seconds: use a number above 0, at most 3600");
        int threads = request.Threads is null or 0 ? Environment.ProcessorCount : request.Threads.Value;
        if (request.Limits)
        {
            Refuse(request.Names.Length > 0, "--limits probes the machine, --op times an operator: give one of the two");
            Refuse(request.DType is not null, "--limits probes both precisions, --dtype chooses that of the operators: give one of the two");
            Refuse(request.Device is not null || request.Gemm is not null || request.Simulate || request.Spec is not null, "--limits probes the processor: leave --device, --gemm, --simulate and --spec out");
            var limits = LimitsReport.Measure(threads, request.Seconds ?? 0.06, host.Cancel);
            LimitsReport.Write(host.Output, limits);
            if (request.Json is not null) BenchJson.Write(request.Json, w => LimitsReport.WriteJson(w, limits));
            return ExitCode.Done;
        }
        var (ops, updates) = OpNames.Choose(request.Names);
        bool bfloat16 = request.DType == "bf16";
        if (bfloat16 && ops.All(o => !o.Signature.BFloat16)) throw new UsageException($"--dtype bf16: {string.Join(", ", request.Names)} computes in F32 alone");
        if (request.Simulate && request.Device is { Place: not DevicePlace.Sim } other) throw new UsageException($"--simulate times nothing on --device {other.Text}: give one of the two");
        var choice = request.Simulate ? DeviceOption.Parse("sim") : request.Device ?? DeviceOption.Parse("auto");
        var target = choice.Resolve(request.Threads is not null ? "--threads" : request.DType == "f64" ? "--dtype f64" : null, bfloat16 ? "--dtype bf16" : request.Gemm is not null ? GemmOption.Name : null);
        Refuse(request.Spec is not null && target.Place != DevicePlace.Sim, "--spec says which GPU is simulated: give --simulate with it");
        GemmOption.Check(request.Gemm, target);
        Refuse(request.Seconds is not null && target.Place == DevicePlace.Sim, "--seconds is for what is timed; a simulated GPU counts: leave it out");
        if (target.Place == DevicePlace.Sim)
        {
            var simulated = new SimulatedReport(Specs[request.Spec ?? "h100"]);
            simulated.Run(ops, updates, Chosen([DType.F32, DType.BF16]), host.Output, host.Cancel);
            if (request.Json is not null) BenchJson.Write(request.Json, simulated.WriteJson);
            return ExitCode.Done;
        }
        using var open = target.Open();
        if (open is not null) open.Device.Gemm = request.Gemm ?? GemmBackend.Own;
        if (target.Why is not null) host.Error.WriteLine(target.Line(open?.Device.Name ?? "cpu"));
        using var report = open is null
            ? OpReport.OnCpu(threads, request.DType == "f64" ? DType.F64 : DType.F32, request.Seconds ?? 0.2)
            : OpReport.OnGpu(open.Device, Chosen(open.Device.ComputeCapability >= 80 ? [DType.F32, DType.BF16] : [DType.F32]), request.Seconds ?? 0.2);
        report.Run(ops, updates, host.Output, host.Cancel);
        if (request.Json is not null) BenchJson.Write(request.Json, report.WriteJson);
        return ExitCode.Done;

        DType[] Chosen(DType[] has) => request.DType switch { null => has, "bf16" => [DType.BF16], _ => [DType.F32] };
    }

    private static void Refuse(bool wrong, string message)
    {
        if (wrong) throw new UsageException(message);
    }
}
