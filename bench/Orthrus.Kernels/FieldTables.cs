using System.Globalization;
using System.Text;
using Orthrus.PtxSim;
using Orthrus.Tensor;

namespace Orthrus.Kernels;

/// <summary>
/// The tables that set the selective scan and the convolution beside the field's kernels and beside the prototypes from which ours were designed. All of them in one
/// model of the H100: nothing is measured.
/// </summary>
internal static class FieldTables
{
    /// <summary>Sizes of the scan: three batches of records, and one record alone, which is split in time.</summary>
    internal static readonly (int Batch, int Length)[] Sizes = [(8, 531), (8, 3001), (8, 11990), (1, 11990)];

    private const string
        Mamba = "state-spaces/mamba v1.2.0.post1", Conv = "causal-conv1d v1.2.0.post2", Prototype = "prototype",
        ScanHead = "| kernel | activations | batch x length | registers | warps per multiprocessor | lane instructions per (t,c,n) | special per (t,c,n) | DRAM bytes per nt | issue | f32 | special | DRAM | shared | limit |\n"
            + "|---|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|\n",
        ConvHead = "| kernel | activations | batch x length | registers | issue | DRAM | shared |\n|---|---|---|---:|---:|---:|---:|\n";

    // Figures that others' kernels and the prototypes reached, counted by a simulator of PTX too; where one is not known the cell has a dash.
    private static readonly string[][] ScanAnchors =
    [
        [$"forward, {Mamba}", "f32", "8 x 4,096", "137", "–", "26.5", "1.19", "20,672", "10.9", "4.8", "5.2", "6.2", "27", "shared"],
        [$"forward, {Mamba}", "f32", "8 x 12,000", "168", "–", "60.3", "1.19", "20,674", "26.4", "5.0", "5.4", "6.2", "12", "issue"],
        [$"forward, {Mamba}", "bf16", "8 x 4,096", "128", "–", "25.6", "1.19", "10,368", "12.0", "4.8", "5.2", "3.1", "9.2", "issue"],
        [$"forward, {Mamba}", "bf16", "8 x 12,000", "168, spills", "–", "64.6", "1.19", "10,370", "28.5", "5.0", "5.4", "3.1", "15", "issue"],
        [$"backward, {Mamba}", "f32", "8 x 4,096", "168, spills", "–", "64.4", "1.31", "37,280", "32.4", "13.4", "5.8", "11.1", "42", "shared"],
        [$"backward, {Mamba}", "f32", "8 x 12,000", "168, spills", "–", "103", "1.31", "37,303", "53.8", "14.1", "5.9", "11.1", "25", "issue"],
        [$"backward, {Mamba}", "bf16", "8 x 4,096", "168, spills", "–", "69.4", "1.31", "18,784", "35.1", "13.4", "5.8", "5.6", "22", "issue"],
        [$"backward, {Mamba}", "bf16", "8 x 12,000", "168, spills", "–", "111", "1.31", "18,807", "57.0", "13.8", "5.9", "5.6", "28", "issue"],
        [$"forward, {Prototype}", "bf16", "8", "108", "7.8", "9.1", "1.28", "8,263", "5.2", "–", "5.9", "2.5", "7.2", "shared"],
        [$"forward, {Prototype}, split", "bf16", "1 x 12,000", "112", "11.6", "15.5", "2.43", "12,560", "–", "–", "–", "–", "–", "–"],
        [$"backward, {Prototype}, 8 warps", "bf16", "8", "156", "7.8", "27.4", "2.24", "23,000", "14.6", "–", "9.9", "6.9", "23.7", "shared"],
        [$"backward, {Prototype}, 4 warps", "bf16", "8", "223", "3.9", "24.5", "2.24", "23,000", "13.1", "–", "9.9", "6.9", "15.4", "shared"],
    ];

    private static readonly string[][] ConvAnchors =
    [
        [$"forward, {Conv}", "f32", "8 x 2,048", "29", "0.66", "2.44", "–"],
        [$"forward, {Conv}", "bf16", "8 x 2,048", "32", "0.59", "1.22", "–"],
        [$"backward, {Conv}", "f32", "8 x 2,048", "36", "1.45", "3.67", "–"],
        [$"backward, {Conv}", "bf16", "8 x 2,048", "40", "1.33", "1.83", "–"],
    ];

    /// <summary>Both tables.</summary>
    /// <param name="sizes">Sizes of the scan.</param>
    /// <param name="registers">Registers of a thread on the H100 by kernel and variant; null where unknown.</param>
    internal static string Of(IEnumerable<(int Batch, int Length)> sizes, Func<string, bool, int?> registers)
    {
        var text = new StringBuilder(ScanHead);
        foreach (var (batch, length) in sizes)
        {
            var launches = FieldFigures.Scan(batch, length, DType.BF16, backward: true);
            Scan(text, "forward", DType.BF16, batch, length, [.. launches.Where(l => !IsBackward(l))], registers);
            Scan(text, "backward", DType.BF16, batch, length, [.. launches.Where(IsBackward)], registers);
        }
        Scan(text, "forward", DType.F32, 8, 531, [.. FieldFigures.Scan(8, 531, DType.F32, backward: false)], registers);
        foreach (string[] row in ScanAnchors) Row(text, row);
        text.Append('\n').Append(ConvHead);
        foreach (var dtype in new[] { DType.F32, DType.BF16 })
        {
            var (forward, backward) = FieldFigures.Convolution(8, 2048, dtype);
            Convolution(text, "forward", dtype, 8, 2048, forward, registers);
            Convolution(text, "backward", dtype, 8, 2048, backward, registers);
        }
        foreach (string[] row in ConvAnchors) Row(text, row);
        return text.ToString();
    }

    private static bool IsBackward(LaunchReport l) => l.Kernel.Contains("backward", StringComparison.Ordinal) || l.Kernel.EndsWith("sums", StringComparison.Ordinal);

    private static void Scan(StringBuilder text, string pass, DType dtype, int batch, int length, IReadOnlyList<LaunchReport> launches, Func<string, bool, int?> registers)
    {
        double steps = (double)batch * length, units = steps * FieldFigures.Channels * FieldFigures.States;
        var main = launches.MaxBy(l => l.WithoutMoves.Warp)!;
        int? used = registers(main.Kernel, dtype == DType.BF16);
        Row(text,
        [
            $"{pass}: {string.Join(", ", launches.Select(l => l.Kernel["selective_scan_".Length..]))}", Name(dtype), Size(batch, length), Text(used), Number(WarpsAtWork(main, used), 1),
            Number(launches.Sum(l => l.WithoutMoves.Lane) / units, 1), Number(launches.Sum(l => l[InstructionClass.Special].Lane) / units, 2),
            (launches.Sum(l => l.DramReadBytes + l.DramWriteBytes) / steps).ToString("N0", CultureInfo.InvariantCulture),
            Unit("issue"), Unit("f32"), Unit("special"), Unit("dram"), Unit("shared"), main.Bounds(SimDeviceSpec.H100)[0].Unit,
        ]);

        string Unit(string unit) => Number(Nanoseconds(launches, unit, steps), 1);
    }

    private static void Convolution(StringBuilder text, string pass, DType dtype, int batch, int length, IReadOnlyList<LaunchReport> launches, Func<string, bool, int?> registers)
    {
        double steps = (double)batch * length;
        var main = launches.MaxBy(l => l.WithoutMoves.Warp)!;
        Row(text,
        [
            $"{pass}: {string.Join(", ", launches.Select(l => l.Kernel))}", Name(dtype), Size(batch, length), Text(registers(main.Kernel, dtype == DType.BF16)),
            Unit("issue"), Unit("dram"), Unit("shared"),
        ]);

        string Unit(string unit) => Number(Nanoseconds(launches, unit, steps), 2);
    }

    /// <summary>Warps that a multiprocessor has at the same time: as many as fit, or as the launch has.</summary>
    private static double WarpsAtWork(LaunchReport launch, int? registers)
    {
        double launched = (double)launch.Grid.Count * ((launch.Block.Count + 31) / 32) / SimDeviceSpec.H100.Multiprocessors;
        return Math.Min(launched, launch.ResidentWarps(SimDeviceSpec.H100, registers ?? 0));
    }

    private static double Nanoseconds(IEnumerable<LaunchReport> launches, string unit, double steps) =>
        launches.Sum(l => l.Bounds(SimDeviceSpec.H100).Single(b => b.Unit == unit).Seconds) * 1e9 / steps;

    private static void Row(StringBuilder text, string[] cells) => text.Append("| ").AppendJoin(" | ", cells).Append(" |\n");

    private static string Name(DType dtype) => dtype == DType.BF16 ? "bf16" : "f32";

    private static string Size(int batch, int length) => $"{batch} x {length.ToString("N0", CultureInfo.InvariantCulture)}";

    private static string Text(int? registers) => registers?.ToString(CultureInfo.InvariantCulture) ?? "–";

    private static string Number(double value, int digits) => value.ToString($"F{digits}", CultureInfo.InvariantCulture);
}
