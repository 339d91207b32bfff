using System.CommandLine;
using Orthrus.Autograd;
using Orthrus.Tensor;

namespace Orthrus.Cli;

/// <summary>orthrus gradcheck: the kernels of this machine against the specifications.</summary>
internal static class GradCheckVerb
{
    internal static Command Build()
    {
        var op = new Option<string[]>("--op") { Description = "only this operator (may be given several times)", HelpName = "NAME" };
        var seed = new Option<ulong>("--seed") { Description = "seed of values, output gradients and directions", DefaultValueFactory = _ => 1, HelpName = "N" };
        var dtype = new Option<string>("--dtype") { Description = "precision of the kernels: f32, f64 or both", DefaultValueFactory = _ => "both" };
        dtype.AcceptOnlyFromAmong("f32", "f64", "both");
        var json = new Option<bool>("--json") { Description = "print JSON instead of a table" };
        var command = new Command("gradcheck",
            "Check every operator's kernels on this machine against its specification: values against a computed error bound, gradients against exact\n" +
            "directional derivatives by dual numbers; state updates (optimiser, clipping) by their values. Exit code 0 when all pass, 1 when one fails.\n\n" +
            "Example: orthrus gradcheck --op silu --seed 7")
        { op, seed, dtype, json };
        command.SetAction(parsed => Run(parsed.GetValue(op) ?? [], parsed.GetValue(seed), parsed.GetValue(dtype)!, parsed.GetValue(json), CliHost.Of(parsed)));
        return command;
    }

    private static IEnumerable<string> Known => OpTable.All.Select(o => o.Name).Concat(UpdateTable.All.Select(u => u.Name));

    private static int Run(string[] names, ulong seed, string dtype, bool json, CliHost host)
    {
        foreach (string name in names)
            if (!Known.Contains(name))
                throw new UsageException($"there is no operator {name}; known: {string.Join(", ", Known.Order(StringComparer.Ordinal))}");
        var options = new GradCheckOptions
        {
            Seed = seed,
            DTypes = dtype switch { "f32" => [DType.F32], "f64" => [DType.F64], _ => [DType.F32, DType.F64] },
        };
        bool Chosen(string name) => names.Length == 0 || names.Contains(name);
        GradCheckResult[] results =
        [
            .. OpTable.All.Where(o => Chosen(o.Name)).SelectMany(o => GradCheck.Run(o, options)),
            .. UpdateTable.All.Where(u => Chosen(u.Name)).SelectMany(u => UpdateCheck.Run(u, options)),
        ];
        if (json)
        {
            using var output = host.StandardOutput();
            GradCheckReport.WriteJson(output, results);
        }
        else GradCheckReport.Write(host.Output, results);
        return results.All(r => r.Passed) ? ExitCode.Done : ExitCode.Bug;
    }
}
