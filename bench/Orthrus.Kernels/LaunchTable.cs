using System.Globalization;
using System.Text;
using Orthrus.PtxSim;
using Orthrus.Tensor;

namespace Orthrus.Kernels;

/// <summary>The table of launches: what of a device each kernel holds while it runs, and what its instructions are.</summary>
internal static class LaunchTable
{
    // A device of the table, and the architecture whose registers count on it.
    private static readonly (SimDeviceSpec Device, int Architecture)[] Devices = [(SimDeviceSpec.H100, 90), (SimDeviceSpec.A100, 80), (SimDeviceSpec.Rtx4090, 89), (SimDeviceSpec.L4, 89)];

    private static readonly (string Name, InstructionClass[] Kinds)[] Mix =
    [
        ("f32", [InstructionClass.Float32]),
        ("special", [InstructionClass.Special]),
        ("integer", [InstructionClass.Integer]),
        ("compare, convert, shuffle", [InstructionClass.Compare, InstructionClass.Conversion, InstructionClass.Half, InstructionClass.Float64, InstructionClass.Warp]),
        ("global", [InstructionClass.LoadGlobal, InstructionClass.StoreGlobal, InstructionClass.AsyncCopy, InstructionClass.Atomic, InstructionClass.Local]),
        ("shared", [InstructionClass.LoadShared, InstructionClass.StoreShared, InstructionClass.LoadMatrix]),
        ("mma", [InstructionClass.Matrix]),
        ("control", [InstructionClass.Branch, InstructionClass.Barrier, InstructionClass.Constant, InstructionClass.Other]),
    ];

    /// <summary>One row for each kernel, variant and shape of its blocks.</summary>
    /// <param name="figures">What ran.</param>
    /// <param name="registers">Registers of a thread by kernel, variant and architecture; null where unknown.</param>
    internal static string Of(IEnumerable<SimulatedFigure> figures, Func<string, bool, int, int?> registers)
    {
        var text = new StringBuilder("| kernel | activations | threads | shared bytes, static + dynamic |" + string.Concat(Devices.Select(d => $" warps: {d.Device.Name} |")) + string.Concat(Mix.Select(m => $" {m.Name} |"))
            + "\n|---|---|---:|---:|" + string.Concat(Devices.Select(_ => "---:|")) + string.Concat(Mix.Select(_ => "---:|")) + "\n");
        var groups = figures.SelectMany(f => f.Launches.Select(l => (BFloat16: f.DType == DType.BF16, Launch: l)))
            .GroupBy(l => (l.Launch.Kernel, l.BFloat16, Threads: l.Launch.Block.Count, l.Launch.SharedBytes, l.Launch.DynamicSharedBytes))
            .OrderBy(g => g.Key.Kernel, StringComparer.Ordinal).ThenBy(g => g.Key.BFloat16).ThenBy(g => g.Key.Threads).ThenBy(g => g.Key.SharedBytes);
        foreach (var g in groups)
        {
            var first = g.First().Launch;
            text.Append(CultureInfo.InvariantCulture, $"| {g.Key.Kernel} | {(g.Key.BFloat16 ? "bf16" : "f32")} | {g.Key.Threads} | {g.Key.SharedBytes - g.Key.DynamicSharedBytes} + {g.Key.DynamicSharedBytes} |");
            foreach (var (device, architecture) in Devices)
                text.Append(CultureInfo.InvariantCulture, $" {(registers(g.Key.Kernel, g.Key.BFloat16, architecture) is { } used && first.SharedBytes <= device.SharedPerBlock ? first.ResidentWarps(device, used) : "–")} |");
            double all = g.Sum(l => l.Launch.WithoutMoves.Warp);
            foreach (var (_, kinds) in Mix) text.Append(CultureInfo.InvariantCulture, $" {100 * g.Sum(l => kinds.Sum(k => l.Launch[k].Warp)) / all:F0} % |");
            text.Append('\n');
        }
        return text.ToString();
    }
}
