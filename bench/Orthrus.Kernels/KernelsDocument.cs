using System.Globalization;
using System.Text;
using Orthrus.Mamba;
using Orthrus.PtxSim;
using Orthrus.Tensor;

namespace Orthrus.Kernels;

/// <summary>The tables of docs/KERNELS.md. The text between them is written by hand and kept.</summary>
internal static class KernelsDocument
{
    private static readonly SimDeviceSpec[] Devices = [SimDeviceSpec.H100, SimDeviceSpec.A100, SimDeviceSpec.Rtx4090, SimDeviceSpec.L4];

    internal const string StaticMark = "static", SimulatedMark = "simulated", LaunchesMark = "launches", FieldMark = "field", EncoderMark = "encoder";

    /// <summary>The page with all its tables written anew.</summary>
    /// <param name="page">The page.</param>
    /// <param name="lengths">Lengths of the encoder's bound.</param>
    internal static string Report(string page, IReadOnlyList<int> lengths)
    {
        var figures = StaticFigures.All();
        var registers = figures.ToDictionary(f => (f.Kernel, f.BFloat16, f.Architecture), f => f.Registers);
        page = Replace(page, StaticMark, Static(figures));
        page = Simulate(page, (kernel, bfloat16, architecture) => registers.TryGetValue((kernel, bfloat16, architecture), out int n) ? n : null, lengths);
        return page;
    }

    /// <summary>The page with its static table written anew.</summary>
    internal static string ReportStatic(string page) => Replace(page, StaticMark, Static(StaticFigures.All()));

    // The operators do not depend on each other; each has a device of its own.
    private static string Simulate(string page, Func<string, bool, int, int?> registers, IReadOnlyList<int> lengths)
    {
        DType[] dtypes = [DType.F32, DType.BF16];
        SimulatedFigure[] simulated =
        [
            .. OpTable.All.AsParallel().AsOrdered().WithDegreeOfParallelism(Environment.ProcessorCount).SelectMany(op => SimulatedFigures.Of([op], [], dtypes, SimDeviceSpec.H100).ToArray()),
            .. SimulatedFigures.Of([], UpdateTable.All, dtypes, SimDeviceSpec.H100),
        ];
        page = Replace(page, SimulatedMark, Simulated(simulated));
        page = Replace(page, LaunchesMark, LaunchTable.Of(simulated, registers));
        page = Replace(page, FieldMark, FieldTables.Of(FieldTables.Sizes, (kernel, bfloat16) => registers(kernel, bfloat16, 90)));
        return Replace(page, EncoderMark, Encoder([.. lengths.Select(l => ($"length {l.ToString("N0", CultureInfo.InvariantCulture)}", new EncoderFigures(new MambaConfig(512, 6, 6), 8, l)))]));
    }

    /// <summary>Replaces what stands between the marks of one table.</summary>
    /// <exception cref="FormatException">The page has no such marks.</exception>
    internal static string Replace(string page, string mark, string table)
    {
        string begin = $"<!-- {mark}: written by the command above -->\n", end = $"<!-- end of {mark} -->";
        int from = page.IndexOf(begin, StringComparison.Ordinal), to = page.IndexOf(end, StringComparison.Ordinal);
        if (from < 0 || to < from) throw new FormatException($"the page has no lines \"{begin.Trim()}\" and \"{end}\"");
        return page[..(from + begin.Length)] + "\n" + table + "\n" + page[to..];
    }

    /// <summary>Registers, shared and local memory of every kernel and architecture.</summary>
    internal static string Static(IEnumerable<StaticFigure> figures)
    {
        var text = new StringBuilder("| kernel | activations |" + string.Concat(StaticFigures.Architectures.Select(a => $" sm_{a} |")) + " shared bytes | dynamic shared bytes | local bytes | spilled bytes |\n|---|---|" +
            string.Concat(StaticFigures.Architectures.Select(_ => "---:|")) + "---:|---:|---:|---:|\n");
        foreach (var g in figures.GroupBy(f => (f.Source, f.Kernel, f.BFloat16)).OrderBy(g => g.Key.Source, StringComparer.Ordinal).ThenBy(g => g.Key.Kernel, StringComparer.Ordinal).ThenBy(g => g.Key.BFloat16))
        {
            text.Append(CultureInfo.InvariantCulture, $"| {g.Key.Source}: {g.Key.Kernel} | {(g.Key.BFloat16 ? "bf16" : "f32")} |");
            foreach (int a in StaticFigures.Architectures) text.Append(CultureInfo.InvariantCulture, $" {g.FirstOrDefault(f => f.Architecture == a)?.Registers.ToString(CultureInfo.InvariantCulture) ?? "–"} |");
            string dynamicBytes = DynamicShared.Budgets.TryGetValue(g.Key.Kernel, out var budget) ? budget.Text(g.Key.BFloat16) : "0";
            text.Append(CultureInfo.InvariantCulture, $" {g.Max(f => f.SharedBytes)} | {dynamicBytes} | {g.Max(f => f.LocalBytes)} | {g.Max(f => f.SpillBytes)} |\n");
        }
        return text.ToString();
    }

    /// <summary>Bounds of a whole encoder, kernel by kernel on the H100, in total on every device; one column for each length.</summary>
    internal static string Encoder(IReadOnlyList<(string Title, EncoderFigures Figures)> runs)
    {
        var parts = runs.Select(r => r.Figures.Parts(SimDeviceSpec.H100).ToDictionary(p => p.Kernel)).ToArray();
        var text = new StringBuilder("| kernel | launches |" + string.Concat(runs.Select(r => $" {r.Title}: ns per nucleotide |")) + "\n|---|---:|" + string.Concat(runs.Select(_ => "---:|")) + "\n");
        foreach (string kernel in parts.SelectMany(p => p.Values).GroupBy(p => p.Kernel).OrderByDescending(g => g.Max(p => p.Nanoseconds)).Select(g => g.Key))
        {
            text.Append(CultureInfo.InvariantCulture, $"| {kernel} | {string.Join(" / ", parts.Select(p => p.TryGetValue(kernel, out var part) ? part.Launches : 0).Distinct())} |");
            foreach (var part in parts) text.Append(CultureInfo.InvariantCulture, $" {(part.TryGetValue(kernel, out var p) ? $"{p.Nanoseconds.ToString("F2", CultureInfo.InvariantCulture)} {p.Unit}" : "–")} |");
            text.Append('\n');
        }
        text.Append("| **sum** | |");
        foreach (var part in parts) text.Append(CultureInfo.InvariantCulture, $" **{part.Values.Sum(p => p.Nanoseconds):F2}** |");
        foreach (var device in Devices)
        {
            text.Append(CultureInfo.InvariantCulture, $"\n| million nucleotides a second, {device.Name} | |");
            foreach (var (_, figures) in runs) text.Append(CultureInfo.InvariantCulture, $" {figures.PositionsPerSecond(device) / 1e6:F2} |");
        }
        return text.Append('\n').ToString();
    }

    /// <summary>Counts and bounds of every operator's timing samples.</summary>
    internal static string Simulated(IEnumerable<SimulatedFigure> figures)
    {
        var text = new StringBuilder("| operator | activations | direction | launches | lane instructions, millions | special | sectors / minimum | bank cycles / minimum | DRAM bytes / minimum |" +
            string.Concat(Devices.Select(d => $" {d.Name}: bound, us |")) + "\n|---|---|---|---:|---:|---:|---:|---:|---:|" + string.Concat(Devices.Select(_ => "---:|")) + "\n");
        foreach (var f in figures)
        {
            var all = f.Launches;
            long Sum(Func<LaunchReport, long> of) => all.Sum(of);
            string Ratio(long a, long b) => b == 0 ? "–" : ((double)a / b).ToString("F2", CultureInfo.InvariantCulture);
            text.Append(CultureInfo.InvariantCulture, $"| {f.Op} | {(f.DType == DType.BF16 ? "bf16" : "f32")} | {(f.Backward ? "backward" : "forward")} | {all.Count} | {Sum(l => l.WithoutMoves.Lane) / 1e6:F1} | {Sum(l => l[InstructionClass.Special].Lane) / 1e6:F1} |");
            text.Append(CultureInfo.InvariantCulture, $" {Ratio(Sum(l => l.GlobalLoads.Units + l.GlobalStores.Units), Sum(l => l.GlobalLoads.Minimum + l.GlobalStores.Minimum))} |");
            text.Append(CultureInfo.InvariantCulture, $" {Ratio(Sum(l => l.SharedLoads.Units + l.SharedStores.Units), Sum(l => l.SharedLoads.Minimum + l.SharedStores.Minimum))} |");
            text.Append(CultureInfo.InvariantCulture, $" {Ratio(Sum(l => l.DramReadBytes + l.DramWriteBytes), f.MinimumBytes)} |");
            foreach (var device in Devices)
            {
                double seconds = all.Sum(l => l.Bounds(device)[0].Seconds);
                string unit = all.Count == 0 ? "–" : all.SelectMany(l => l.Bounds(device).Take(1)).MaxBy(b => b.Seconds).Unit;
                text.Append(CultureInfo.InvariantCulture, $" {seconds * 1e6:F1} {unit} |");
            }
            text.Append('\n');
        }
        return text.ToString();
    }
}
