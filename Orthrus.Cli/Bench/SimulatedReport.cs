using System.Globalization;
using System.Text.Json;
using Orthrus.PtxSim;
using Orthrus.Tensor;

namespace Orthrus.Cli.Bench;

/// <summary>
/// What the kernels of an operator cost by the counts of a simulated device: for each kernel a lower bound of its time on every unit of the device, and the
/// unit that takes longest. Nothing in it is measured.
/// </summary>
internal sealed class SimulatedReport(SimDeviceSpec spec)
{
    private readonly List<SimulatedFigure> _figures = [];

    internal void Run(IReadOnlyList<OpRow> ops, IReadOnlyList<UpdateRow> updates, IReadOnlyCollection<DType> dtypes, TextWriter writer, CancellationToken cancel)
    {
        writer.WriteLine($"simulated {spec.Name}, compute {spec.ComputeCapability / 10}.{spec.ComputeCapability % 10}: bounds by counted work, nothing is measured; the share is that of the device's peak rate for the operator's own bytes and operations");
        writer.WriteLine($"{"op, kernel",-38}  {"sample",-10}  {"type",-4}  {"pass",-8}  {"bound",10}  {"limit",-7}  {"share",6}  {"instructions",12}  {"DRAM bytes",13}  {"minimum",13}  {"FLOP",15}");
        foreach (var figure in SimulatedFigures.Of(ops, updates, dtypes, spec))
        {
            cancel.ThrowIfCancellationRequested();
            _figures.Add(figure);
            string pass = Pass(figure);
            writer.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"{figure.Op,-38}  {figure.Sample,-10}  {figure.DType,-4}  {pass,-8}  {OpReport.Duration(Bound(figure)),10}  {Limit(figure),-7}  {100 * Share(figure),4:F0} %  {figure.Launches.Sum(l => l.WithoutMoves.Lane),12:N0}  {figure.Launches.Sum(Dram),13:N0}  {figure.MinimumBytes,13:N0}  {figure.Flops,15:N0}"));
            foreach (var l in figure.Launches)
                writer.WriteLine(string.Create(CultureInfo.InvariantCulture,
                    $"  {l.Kernel,-36}  {"",-10}  {"",-4}  {"",-8}  {OpReport.Duration(l.Bounds(spec)[0].Seconds),10}  {l.Bounds(spec)[0].Unit,-7}  {"",6}  {l.WithoutMoves.Lane,12:N0}  {Dram(l),13:N0}"));
        }
    }

    internal void WriteJson(Utf8JsonWriter json)
    {
        json.WriteString("device", spec.Name);
        json.WriteString("kind", "simulated");
        json.WriteStartArray("rows");
        foreach (var f in _figures)
        {
            json.WriteStartObject();
            json.WriteString("op", f.Op);
            json.WriteString("sample", f.Sample);
            json.WriteString("dtype", f.DType.ToString().ToLowerInvariant());
            json.WriteString("pass", Pass(f));
            json.WriteNumber("bound_seconds", Bound(f));
            json.WriteString("limit", Limit(f));
            json.WriteNumber("share", Share(f));
            json.WriteNumber("flops", f.Flops);
            json.WriteNumber("minimum_bytes", f.MinimumBytes);
            json.WriteNumber("dram_bytes", f.Launches.Sum(Dram));
            json.WriteStartArray("kernels");
            foreach (var l in f.Launches) Kernel(json, l);
            json.WriteEndArray();
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }

    private void Kernel(Utf8JsonWriter json, LaunchReport l)
    {
        json.WriteStartObject();
        json.WriteString("kernel", l.Kernel);
        json.WriteNumber("blocks", l.Grid.Count);
        json.WriteNumber("threads", l.Block.Count);
        json.WriteNumber("shared_bytes", l.SharedBytes);
        json.WriteNumber("lane_instructions", l.WithoutMoves.Lane);
        json.WriteNumber("special", l[InstructionClass.Special].Lane);
        json.WriteNumber("sectors", l.GlobalLoads.Units + l.GlobalStores.Units);
        json.WriteNumber("minimum_sectors", l.GlobalLoads.Minimum + l.GlobalStores.Minimum);
        json.WriteNumber("bank_cycles", l.SharedLoads.Units + l.SharedStores.Units);
        json.WriteNumber("minimum_bank_cycles", l.SharedLoads.Minimum + l.SharedStores.Minimum);
        json.WriteNumber("dram_bytes", Dram(l));
        json.WriteNumber("matrix_flops", l.MatrixFlops);
        json.WriteStartObject("bound_seconds");
        foreach (var bound in l.Bounds(spec)) json.WriteNumber(bound.Unit, bound.Seconds);
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private static string Pass(SimulatedFigure f) => f.Backward ? "backward" : "forward";

    private static long Dram(LaunchReport l) => l.DramReadBytes + l.DramWriteBytes;

    // Kernels of one pass run one after the other.
    private double Bound(SimulatedFigure f) => f.Launches.Sum(l => l.Bounds(spec)[0].Seconds);

    private string Limit(SimulatedFigure f) => f.Launches.Count == 0 ? "-" : f.Launches.Select(l => l.Bounds(spec)[0]).MaxBy(b => b.Seconds).Unit;

    // The time that the operator's own bytes or operations take at the peak rate, over the bound.
    private double Share(SimulatedFigure f)
    {
        double clocks = spec.ClockGHz * 1e9 * spec.Multiprocessors;
        long matrix = f.Launches.Sum(l => l.MatrixFlops), tf32 = f.Launches.Sum(l => l.Tf32Flops);
        double peak = clocks * (matrix > tf32 ? spec.MatrixFlopsPerClock : matrix > 0 ? spec.Tf32FlopsPerClock : 2 * spec.Float32PerClock);
        return Bound(f) is var bound and > 0 ? Math.Max(f.MinimumBytes / spec.DramBytesPerSecond, f.Flops / peak) / bound : 0;
    }
}
