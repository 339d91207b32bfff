using System.Globalization;
using Orthrus.PtxSim;

namespace SimulateYourKernel;

/// <summary>Prints what a launch did. All figures are simulated: counts, and bounds that follow from them.</summary>
internal static class Report
{
    internal static void Print(TextWriter to, LaunchReport r)
    {
        to.WriteLine($"{r.Kernel}: grid {r.Grid}, block {r.Block}, {r.SharedBytes} bytes of shared memory; simulated, nothing is measured");
        to.WriteLine();
        to.WriteLine($"{"instructions",-16}{"of warps",14}{"of lanes",16}");
        foreach (var kind in Enum.GetValues<InstructionClass>().Where(k => r[k].Warp > 0).OrderByDescending(k => r[k].Warp)) Row(to, kind.ToString(), r[kind]);
        Row(to, "all but Move", r.WithoutMoves);
        to.WriteLine();
        to.WriteLine($"{"memory",-16}{"requests",14}{"units",16}{"packed minimum",16}{"ratio",8}");
        Row(to, "global loads", r.GlobalLoads, "sectors");
        Row(to, "global stores", r.GlobalStores, "sectors");
        Row(to, "atomics", r.Atomics, "sectors");
        Row(to, "shared loads", r.SharedLoads, "bank cycles");
        Row(to, "shared stores", r.SharedStores, "bank cycles");
        Row(to, "local", r.Local, "sectors");
        to.WriteLine(Text($"DRAM: {r.DramReadBytes:N0} bytes read, {r.DramWriteBytes:N0} written, each distinct sector once"));
        to.WriteLine();
        to.WriteLine("least time by unit, limiting unit first");
        foreach (var device in SimDeviceSpec.All)
            to.WriteLine($"{device.Name,-10}{string.Join("  ", r.Bounds(device).Where(b => b.Seconds > 0).Select(b => Text($"{b.Unit} {b.Seconds * 1e6:F2} us")))}; {r.ResidentWarps(device)} warps resident");
    }

    private static void Row(TextWriter to, string name, InstructionCount count) => to.WriteLine(Text($"{name,-16}{count.Warp,14:N0}{count.Lane,16:N0}"));

    private static void Row(TextWriter to, string name, AccessCount count, string unit)
    {
        if (count.Requests > 0) to.WriteLine(Text($"{name,-16}{count.Requests,14:N0}{count.Units,16:N0}{count.Minimum,16:N0}{(double)count.Units / count.Minimum,8:F2} {unit}"));
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
