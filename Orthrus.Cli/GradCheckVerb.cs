using System.CommandLine;
using Orthrus.Autograd;
using Orthrus.Cli.SelfTest;
using Orthrus.Tensor;

namespace Orthrus.Cli;

/// <summary>orthrus gradcheck: the kernels of this machine against the specifications.</summary>
internal static class GradCheckVerb
{
    internal static Command Build()
    {
        var op = new Option<string[]>("--op") { Description = "only this operator (may be given several times)", HelpName = "NAME" };
        var seed = new Option<ulong>("--seed") { Description = "seed of values, output gradients and directions", DefaultValueFactory = _ => 1, HelpName = "N" };
        var dtype = new Option<string>("--dtype") { Description = "precision of the kernels: f32, f64 (CPU), bf16 (GPU), or all that the device has", DefaultValueFactory = _ => "all" };
        dtype.AcceptOnlyFromAmong("f32", "f64", "bf16", "all");
        var device = DeviceOption.Create();
        var gemm = GemmOption.Create("whose matrix products to check on a GPU (default own)");
        var json = new Option<bool>("--json") { Description = "print JSON instead of a table" };
        var command = new Command("gradcheck",
            "Check every operator's kernels on this machine against its specification: values against a computed error bound, gradients against exact\n" +
            "directional derivatives by dual numbers; state updates (optimiser, clipping) by their values. Exit code 0 when all pass, 1 when one fails.\n\n" +
            "Example: orthrus gradcheck --op silu --seed 7\n\n" +
            "The CUDA kernels, where there is no GPU:\n" +
            "  orthrus gradcheck --op softplus --device sim")
        { op, seed, dtype, device, gemm, json };
        command.SetAction(parsed => Run(parsed.GetValue(op) ?? [], parsed.GetValue(seed), parsed.GetValue(dtype)!, DeviceOption.Parse(parsed.GetValue(device)!), GemmOption.Parse(parsed.GetValue(gemm)), parsed.GetValue(json), CliHost.Of(parsed)));
        return command;
    }

    private static int Run(string[] names, ulong seed, string dtype, DeviceChoice choice, GemmBackend? gemm, bool json, CliHost host)
    {
        var (ops, updates) = OpNames.Choose(names);
        var target = choice.Resolve(dtype == "f64" ? "--dtype f64" : null, dtype == "bf16" ? "--dtype bf16" : gemm is not null ? GemmOption.Name : null);
        GemmOption.Check(gemm, target);
        using var devices = new CheckDevices(target, gemm);
        if (target.Why is not null) host.Error.WriteLine(target.Line(devices.Gpu?.Name ?? "cpu"));
        if (dtype == "bf16" && !devices.DTypes.Contains(DType.BF16)) throw new DeviceException($"{devices.Gpu!.Name} has no BF16: that begins with compute capability 8.0; use --dtype f32");
        if (dtype == "bf16" && ops.All(o => !o.Signature.BFloat16)) throw new UsageException($"--dtype bf16: {string.Join(", ", names)} computes in F32 alone");
        GradCheckOptions Options(IEnumerable<DType> has) => new()
        {
            Seed = seed, Devices = devices.Pair, DTypes = [.. has.Where(d => dtype == "all" || d.ToString().Equals(dtype, StringComparison.OrdinalIgnoreCase))],
        };
        List<GradCheckResult> results = [];
        foreach (var op in ops)
            if (Options(devices.DTypesOf(op)) is { DTypes.Count: > 0 } options) Add(GradCheck.Run(op, options));
        foreach (var update in updates)
            if (Options(devices.DTypesOfUpdates) is { DTypes.Count: > 0 } options) Add(UpdateCheck.Run(update, options));
        if (json)
        {
            using var output = host.StandardOutput();
            GradCheckReport.WriteJson(output, results);
        }
        else GradCheckReport.Write(host.Output, results);
        return results.All(r => r.Passed) ? ExitCode.Done : ExitCode.Bug;

        void Add(IReadOnlyList<GradCheckResult> more)
        {
            host.Cancel.ThrowIfCancellationRequested();
            results.AddRange(more);
        }
    }
}
