using System.Globalization;
using Orthrus.PtxSim;
using Orthrus.Tensor;
using Orthrus.TestSupport;

namespace Orthrus.Cuda.Tests;

using Tensor = Orthrus.Tensor.Tensor;

/// <summary>What the scan's kernels cost at a model's width: BF16 activations, 1,024 channels, an H100. All figures are counted on a simulated device; no count depends on the operands' values.</summary>
public sealed class ScanBudgetTests(ITestOutputHelper output)
{
    private const int Channels = 1024, States = 16, Delta = 1, Bias = 7;
    private static readonly SimDeviceSpec Spec = SimDeviceSpec.H100;

    /// <summary>Launches of one call, with the bytes of its operands and results.</summary>
    private sealed class Costs
    {
        internal readonly List<LaunchReport> Reports = [];
        internal readonly double Steps, Units;
        internal readonly long OperandBytes;

        /// <param name="b">Sequences.</param>
        /// <param name="l">Steps of each.</param>
        /// <param name="backward">The call is a training step's, forward and backward; else it is inference.</param>
        internal Costs(int b, int l, bool backward)
        {
            Steps = (double)b * l;
            Units = Steps * Channels * States;
            using var driver = new SimDriver(new SimOptions { Checks = false }, Spec);
            using var device = driver.OpenDevice();
            using var scope = device.OpenScope();
            Shape steps = new(b, l, Channels), states = new(b, l, States), channels = new(Channels);
            Shape[] shapes = [steps, steps, new(Channels, States), states, states, channels, steps, channels, new(b, Channels, States)];
            var operands = SelectiveScan.Signature.Inputs;
            var inputs = shapes.Select((s, i) => Filled(s, operands[i].In(DType.BF16), i == Delta ? -3 : 0.5f)).ToArray();
            var outputs = new Tensor[2];
            device.Synchronize();
            driver.Launched = Reports.Add;
            var workspace = Op.Forward<SelectiveScan, SelectiveScan.Attr>(scope, inputs, default, outputs, forBackward: backward);
            OperandBytes = inputs.Concat(outputs).Sum(t => t.Bytes);
            if (backward)
            {
                var gradients = shapes.Select((s, i) => scope.Empty(s, operands[i].GradientIn(DType.BF16))).ToArray();
                device.Synchronize();
                driver.Launched = null;
                Tensor dy = Filled(steps, DType.BF16, 1), dstate = Filled(shapes[^1], DType.F32, 1);
                device.Synchronize();
                driver.Launched = Reports.Add;
                Op.Backward<SelectiveScan, SelectiveScan.Attr>(scope, inputs, new Tensor[2], [dy, dstate], gradients, default, workspace);
            }
            device.Synchronize();

            Tensor Filled(Shape shape, DType dtype, float value)
            {
                var t = scope.Empty(shape, dtype);
                if (dtype == DType.F32) t.CopyFrom<float>(Enumerable.Repeat(value, (int)shape.Count).ToArray());
                else t.CopyFrom<BFloat16>(Enumerable.Repeat((BFloat16)value, (int)shape.Count).ToArray());
                return t;
            }
        }

        internal LaunchReport Of(params string[] names) => Reports.Single(r => names.Contains(r.Kernel["selective_scan_".Length..]));
        /// <summary>Lane instructions without moves per (step, channel, state).</summary>
        internal double Instructions(params IEnumerable<LaunchReport> of) => of.Sum(r => r.WithoutMoves.Lane) / Units;
        /// <summary>The same of special functions.</summary>
        internal double Special(params IEnumerable<LaunchReport> of) => of.Sum(r => r[InstructionClass.Special].Lane) / Units;
        /// <summary>DRAM bytes per step.</summary>
        internal double Bytes(params IEnumerable<LaunchReport> of) => of.Sum(r => r.DramReadBytes + r.DramWriteBytes) / Steps;
        /// <summary>Nanoseconds of the busiest unit per step.</summary>
        internal double Busiest(LaunchReport r) => r.Bounds(Spec)[0].Seconds * 1e9 / Steps;
    }

    private static double Conflicts(LaunchReport r) => (double)(r.SharedLoads.Units + r.SharedStores.Units) / (r.SharedLoads.Minimum + r.SharedStores.Minimum);

    /// <summary>Warps that a multiprocessor holds on average: at most what fits, and no more than there are.</summary>
    private static double Warps(LaunchReport r)
    {
        int warps = (int)(r.Block.Count + 31) / 32, allocated = (Registers(r.Kernel) + 7) / 8 * 8 * 32 * warps;
        int room = Math.Min(r.ResidentWarps(Spec), Spec.Registers / allocated * warps);
        return Math.Min(room, (double)r.Grid.Count * warps / Spec.Multiprocessors);
    }

    /// <summary>Registers of a thread on sm_90 with BF16 activations, from the page whose table a test compares with the compiler's report.</summary>
    private static int Registers(string kernel)
    {
        string[] lines = File.ReadAllLines(Path.Combine(TestPaths.Repository, "docs", "KERNELS.md"));
        string[] head = Cells(lines.Single(l => l.StartsWith("| kernel |", StringComparison.Ordinal) && l.Contains("sm_90", StringComparison.Ordinal)));
        string[] row = Cells(lines.Single(l => l.Contains($": {kernel} | bf16 |", StringComparison.Ordinal)));
        return int.Parse(row[Array.FindIndex(head, h => h.Contains("sm_90", StringComparison.Ordinal))], CultureInfo.InvariantCulture);

        static string[] Cells(string line) => [.. line.Split('|').Select(c => c.Trim())];
    }

    private void KeepsBudgets(int b, int l)
    {
        var step = new Costs(b, l, backward: true);
        Assert.Equal(3, step.Reports.Count);
        LaunchReport forward = step.Of("forward", "chained"), backward = step.Of("backward"), sums = step.Of("sums");
        var inference = new Costs(b, l, backward: false);
        LaunchReport alone = inference.Of("forward", "chained");
        output.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{b} x {l}: {forward.Kernel} {step.Instructions(forward):F2} instructions, {step.Special(forward):F2} special, {step.Busiest(forward):F2} ns, {Warps(forward):F1} warps, {inference.Bytes(alone) * inference.Steps / inference.OperandBytes:F3} of the least bytes; backward {step.Instructions(backward, sums):F2}, {step.Busiest(backward):F2} + {step.Busiest(sums):F2} ns, {step.Bytes(backward, sums):F0} bytes"));
        Assert.InRange(step.Instructions(forward), 5, 10);
        Assert.InRange(step.Special(forward), 1, 1.25);
        Assert.InRange(step.Busiest(forward), 1, 7.3);
        Assert.InRange(Conflicts(forward), 1, 1.01);
        Assert.InRange(Warps(forward), b >= 8 ? 7 : 1, 64);
        // Every operand and result once.
        Assert.Single(inference.Reports);
        Assert.InRange(inference.Bytes(alone) * inference.Steps / inference.OperandBytes, 0.999, 1.03);

        Assert.InRange(step.Instructions(backward, sums), 10, 27);
        Assert.InRange(Conflicts(backward), 1, 1.01);
        // Its own busiest unit and that of the sums, one after the other.
        Assert.InRange(step.Busiest(backward) + step.Busiest(sums), 1, 16);
        // Eight activations in and out, B, C and their gradients, times 1.4: states and partial sums in float32 come on top.
        Assert.InRange(step.Bytes(backward, sums), 14_000, 1.4 * 16_500);
        Assert.All(step.Reports, r => Assert.Equal(0, r.Atomics.Requests + r.Local.Requests));
    }

    [Fact]
    public void The_kernels_keep_their_budgets() => KeepsBudgets(8, 531);

    // The last one with as many records as give the device enough to do: with fewer the host splits it in time.
    [Theory, Trait("tier", "long"), InlineData(8, 3001), InlineData(8, 11990)]
    public void The_kernels_keep_their_budgets_on_long_sequences(int b, int l) => KeepsBudgets(b, l);

    /// <summary>One long sequence alone: a kernel finds the ends of all chunks but the last, another runs all chunks at once.</summary>
    [Fact, Trait("tier", "long")]
    public void A_scan_split_in_time_fills_the_device_at_less_than_twice_the_work()
    {
        const int l = 11_990;
        Costs split = new(1, l, backward: false), whole = new(3, l, backward: false);
        LaunchReport ends = split.Of("ends"), straight = split.Of("forward"), chained = whole.Of("chained");
        Assert.Equal(2, split.Reports.Count);
        Assert.Single(whole.Reports);
        double instructions = split.Instructions(ends, straight) / whole.Instructions(chained), special = split.Special(ends, straight) / whole.Special(chained), bytes = split.Bytes(ends, straight) / whole.Bytes(chained);
        output.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"1 x {l}: instructions {split.Instructions(ends, straight):F2} / {whole.Instructions(chained):F2} = {instructions:F2}, special {special:F2}, bytes {bytes:F2}, warps {Warps(ends):F1} and {Warps(straight):F1}"));
        // Above one: that the work is done twice in part is what a split costs.
        Assert.InRange(instructions, 1.05, 1.8);
        Assert.InRange(special, 1.05, 2.0);
        Assert.InRange(bytes, 1.05, 1.6);
        Assert.InRange(Warps(ends), 8, 64);
        Assert.InRange(Warps(straight), 8, 64);
        Assert.All(split.Reports, r => Assert.Equal(0, r.Atomics.Requests + r.Local.Requests));
        Assert.All(split.Reports, r => Assert.InRange(Conflicts(r), 1, 1.01));
    }
}
