using Orthrus.Autograd;
using Orthrus.PtxSim;
using Orthrus.Tensor;

namespace Orthrus.Cuda.Tests;

using Tensor = Orthrus.Tensor.Tensor;

/// <summary>What the samples of the operator do not show: long sequences, both regimes, company in the batch, other devices.</summary>
public sealed class SelectiveScanTests
{
    private const int U = 0, Delta = 1, A = 2, Bt = 3, Ct = 4, D = 5, Z = 6, Bias = 7, Initial = 8;
    private static readonly DType[] DTypes = [DType.F32, DType.BF16];

    public static TheoryData<DType> Both => new(DTypes);

    /// <summary>Operands of a call, as numbers that BF16 holds where activations may be BF16.</summary>
    private sealed class Case
    {
        internal readonly int B, L, E, N;
        internal readonly float[]?[] Values = new float[9][];
        internal readonly Shape[] Shapes;

        internal Case(int b, int l, int e, int n, bool optional = true)
        {
            (B, L, E, N) = (b, l, e, n);
            Shape steps = new(b, l, e), states = new(b, l, n), channels = new(e);
            Shapes = [steps, steps, new(e, n), states, states, channels, steps, channels, new(b, e, n)];
            for (int i = 0; i < 9; i++)
            {
                if (!optional && i >= D) continue;
                var recipe = i == A ? SampleInput.Uniform(Shapes[i], 0, 2.5) : SampleInput.Normal(Shapes[i], 1, i == Delta ? -3 : 0);
                Values[i] = Array.ConvertAll(recipe.Make(7, i), v => IsActivation(i) ? (float)(BFloat16)(float)v : (float)v);
            }
        }

        private Case(Case from, int record)
        {
            (B, L, E, N) = (1, from.L, from.E, from.N);
            Shapes = [.. from.Shapes.Select((s, i) => PerRecord(i) ? new Shape(1, s[1], s[2]) : s)];
            for (int i = 0; i < 9; i++)
            {
                int size = (int)Shapes[i].Count;
                Values[i] = from.Values[i] is { } v && PerRecord(i) ? v[(record * size)..((record + 1) * size)] : from.Values[i];
            }
        }

        internal Case Record(int record) => new(this, record);

        internal static bool IsActivation(int i) => i is U or Delta or Bt or Ct or Z;

        internal static bool PerRecord(int i) => i is not (A or D or Bias);
    }

    private sealed record Result(float[] Y, float[] State, float[]?[] Gradients);

    private static Tensor Place(Scope scope, float[]? values, Shape shape, DType dtype)
    {
        if (values is null) return Tensor.None;
        var t = scope.Empty(shape, dtype);
        if (dtype == DType.F32) t.CopyFrom<float>(values);
        else if (dtype == DType.F64) t.CopyFrom<double>(Array.ConvertAll(values, v => (double)v));
        else t.CopyFrom<BFloat16>(Array.ConvertAll(values, v => (BFloat16)v));
        return t;
    }

    private static float[] Numbers(Tensor t) => t.DType switch
    {
        DType.F32 => t.ToArray<float>(),
        DType.F64 => Array.ConvertAll(t.ToArray<double>(), v => (float)v),
        _ => Array.ConvertAll(t.ToArray<BFloat16>(), v => (float)v),
    };

    private static Result Run(Device device, Case c, DType dtype, bool? split = null, bool gradients = false, bool workspace = true)
    {
        using var scope = device.OpenScope();
        var signature = SelectiveScan.Signature;
        var inputs = new Tensor[9];
        for (int i = 0; i < 9; i++) inputs[i] = Place(scope, c.Values[i], c.Shapes[i], signature.Inputs[i].In(dtype));
        Shape state = new(c.B, c.E, c.N);
        var outputs = new Tensor[2];
        Tensor states = Tensor.None;
        if (split is null) states = Op.Forward<SelectiveScan, SelectiveScan.Attr>(scope, inputs, default, outputs, forBackward: gradients && workspace);
        else
        {
            outputs = [scope.Empty(c.Shapes[U], dtype), scope.Empty(state, DType.F32)];
            using var scratch = device.OpenScope();
            SelectiveScan.ForwardCuda(new OpArgs(inputs, outputs, scratch, dtype), default, split);
        }
        var grads = new float[]?[9];
        if (gradients)
        {
            float[] Cotangent(Shape s, int k) => Array.ConvertAll(SampleInput.Normal(s).Make(11, k), v => (float)(BFloat16)(float)v);
            // A record's cotangents are those that it has in the batch.
            Tensor dy = Place(scope, Cotangent(new Shape(1, c.L, c.E), 0) is var one ? [.. Enumerable.Repeat(one, c.B).SelectMany(v => v)] : null, c.Shapes[U], dtype);
            Tensor dstate = Place(scope, Cotangent(new Shape(1, c.E, c.N), 1) is var end ? [.. Enumerable.Repeat(end, c.B).SelectMany(v => v)] : null, state, signature.Outputs[1].In(dtype));
            var to = new Tensor[9];
            for (int i = 0; i < 9; i++) to[i] = inputs[i].IsNone ? Tensor.None : scope.Empty(c.Shapes[i], signature.Inputs[i].GradientIn(dtype));
            Op.Backward<SelectiveScan, SelectiveScan.Attr>(scope, inputs, new Tensor[2], [dy, dstate], to, default, states);
            for (int i = 0; i < 9; i++) grads[i] = to[i].IsNone ? null : Numbers(to[i]);
        }
        return new(Numbers(outputs[0]), Numbers(outputs[1]), grads);
    }

    private static void Close(float[] want, float[] got, double relative, string what)
    {
        Assert.Equal(want.Length, got.Length);
        double size = want.Select(v => (double)v * v).DefaultIfEmpty(0).Average();
        for (int i = 0; i < want.Length; i++)
            Assert.True(Math.Abs(want[i] - (double)got[i]) <= relative * (Math.Abs(want[i]) + Math.Sqrt(size)), $"{what}[{i}] is {got[i]}, want {want[i]}");
    }

    // Several tiles, a ragged last one, channels that do not fill a block, odd and even rows; 16 states and another number.
    [Theory]
    [InlineData(2, 71, 70, 16, true)]
    [InlineData(1, 33, 37, 16, true)]
    [InlineData(3, 64, 64, 16, false)]
    [InlineData(2, 67, 11, 5, true)]
    [InlineData(1, 40, 3, 133, true)]
    public void Values_and_gradients_over_several_tiles_are_those_of_the_CPU_in_double_precision(int b, int l, int e, int n, bool optional)
    {
        var c = new Case(b, l, e, n, optional);
        using var cpu = new CpuDevice(1);
        Result want = Run(cpu, c, DType.F64, gradients: true);
        using var sim = SimDriver.Open(new SimOptions { Seed = 3 });
        using var other = SimDriver.Open(new SimOptions { Seed = 4 });
        foreach (var dtype in DTypes)
        {
            Result got = Run(sim, c, dtype, gradients: true), again = Run(other, c, dtype, gradients: true);
            double limit = dtype == DType.F32 ? 4e-6 : 1.0 / 128;
            Close(want.Y, got.Y, limit, "y");
            Close(want.State, got.State, 4e-6, "state");
            Assert.Equal(got.Y, again.Y);
            Assert.Equal(got.State, again.State);
            for (int i = 0; i < 9; i++)
            {
                if (want.Gradients[i] is null) continue;
                Close(want.Gradients[i]!, got.Gradients[i]!, Case.IsActivation(i) ? limit : 4e-6, $"{dtype} gradient of {SelectiveScan.Signature.Inputs[i].Name}");
                Assert.Equal(got.Gradients[i], again.Gradients[i]);
            }
        }
    }

    [Theory, MemberData(nameof(Both))]
    public void One_pass_and_a_split_in_time_give_the_same_bits_and_those_of_the_specification_within_rounding(DType dtype)
    {
        var c = new Case(2, 4140, 5, 16);
        int chunk = SelectiveScan.ChunkLength(c.L, c.E);
        Assert.True(chunk % 32 == 0 && c.L / chunk >= 3 && c.L % chunk != 0);
        using var sim = SimDriver.Open(new SimOptions { Seed = 5 });
        Result split = Run(sim, c, dtype, split: true), one = Run(sim, c, dtype, split: false), alone = Run(sim, c.Record(1), dtype);
        Assert.Equal(split.Y, one.Y);
        Assert.Equal(split.State, one.State);
        // Whatever the host chooses for a batch of one.
        Assert.Equal(alone.Y, one.Y[(c.L * c.E)..]);
        Assert.Equal(alone.State, one.State[(c.E * c.N)..]);
        using var cpu = new CpuDevice(1);
        Result want = Run(cpu, c, DType.F64);
        Close(want.Y, one.Y, dtype == DType.F32 ? 2e-5 : 1.0 / 128, "y");
        Close(want.State, one.State, 2e-5, "state");
    }

    [Fact]
    public void The_host_splits_in_time_where_one_pass_would_leave_the_device_idle()
    {
        var kernels = new List<string>();
        using var driver = new SimDriver(new SimOptions { Checks = false }) { Launched = r => kernels.Add(r.Kernel) };
        using var device = driver.OpenDevice();
        Run(device, new Case(1, 4096, 3, 16), DType.BF16);
        Assert.Equal(["selective_scan_ends", "selective_scan_forward"], kernels);
        kernels.Clear();
        Run(device, new Case(1, 100, 3, 16), DType.BF16);
        Assert.Equal(["selective_scan_forward"], kernels);
        kernels.Clear();
        // Sixty-seven groups of channels are more than half of 132 multiprocessors.
        Run(device, new Case(1, 4096, 66 * 32 + 1, 16), DType.BF16);
        Assert.Equal(["selective_scan_chained"], kernels);
    }

    [Theory, MemberData(nameof(Both))]
    public void Results_of_a_record_do_not_depend_on_its_batch(DType dtype)
    {
        var c = new Case(3, 50, 34, 16);
        using var sim = SimDriver.Open();
        Result all = Run(sim, c, dtype, gradients: true);
        for (int r = 0; r < c.B; r++)
        {
            Result alone = Run(sim, c.Record(r), dtype, gradients: true);
            Assert.Equal(alone.Y, Part(all.Y, r));
            Assert.Equal(alone.State, Part(all.State, r));
            foreach (int i in Enumerable.Range(0, 9).Where(Case.PerRecord)) Assert.Equal(alone.Gradients[i], Part(all.Gradients[i]!, r));
        }

        float[] Part(float[] x, int r) => x[(x.Length / c.B * r)..(x.Length / c.B * (r + 1))];
    }

    [Theory, InlineData(16, DType.F32), InlineData(16, DType.BF16), InlineData(5, DType.F32)]
    public void Forward_leaves_states_for_backward_only_where_it_will_follow(int n, DType dtype)
    {
        var reports = new List<LaunchReport>();
        using var driver = new SimDriver(new SimOptions { Seed = 2 }) { Launched = reports.Add };
        using var device = driver.OpenDevice();
        var c = new Case(2, 71, 32, n);
        int live = device.LiveBlocks;
        Result kept = Run(device, c, dtype, gradients: true);
        LaunchReport training = reports[0];
        Assert.Equal(["forward", "backward", "sums"], reports.Select(r => r.Kernel["selective_scan_".Length..].Replace("_any", "", StringComparison.Ordinal)));
        reports.Clear();
        // Without them backward has to run forward once more, to the same end.
        Result made = Run(device, c, dtype, gradients: true, workspace: false);
        Assert.Equal(4, reports.Count);
        for (int i = 0; i < 9; i++) Assert.Equal(kept.Gradients[i], made.Gradients[i]);
        Assert.Equal(kept.Y, made.Y);
        Assert.Equal(kept.State, made.State);
        // Three tiles.
        Assert.Equal(2L * 3 * 32 * n * sizeof(float), training.DramWriteBytes - reports[0].DramWriteBytes);
        Assert.Equal(live, device.LiveBlocks);
    }

    [Fact]
    public void A_tape_keeps_the_states_until_backward_and_records_none_at_inference()
    {
        var reports = new List<LaunchReport>();
        using var driver = new SimDriver(new SimOptions { Seed = 2 }) { Launched = reports.Add };
        using var device = driver.OpenDevice();
        var c = new Case(2, 71, 32, 16);
        using var scope = device.OpenScope();
        var inputs = new Tensor[9];
        for (int i = 0; i < 9; i++) inputs[i] = Place(scope, c.Values[i], c.Shapes[i], DType.F32);
        int live = device.LiveBlocks;
        long Written(bool record)
        {
            using var tape = record ? new Tape(device) : Tape.Off(device);
            reports.Clear();
            var outputs = new Variable[2];
            using (tape.Open()) tape.Apply<SelectiveScan, SelectiveScan.Attr>([.. inputs.Select(t => record ? tape.Input(t) : tape.Constant(t))], default, outputs);
            device.Synchronize();
            // The frame has ended: what is left is for backward.
            Assert.Equal(record ? 1 : 0, device.LiveBlocks - live);
            return reports.Single(r => r.Kernel == "selective_scan_forward").DramWriteBytes;
        }

        Assert.Equal(2L * 3 * 32 * 16 * sizeof(float), Written(true) - Written(false));
        using (var tape = new Tape(device))
        {
            var outputs = new Variable[2];
            tape.Apply<SelectiveScan, SelectiveScan.Attr>([.. inputs.Select(t => tape.Input(t))], default, outputs);
            device.Synchronize();
            reports.Clear();
            tape.Backward([outputs[0]], [outputs[0].Value]);
            device.Synchronize();
            Assert.DoesNotContain(reports, r => r.Kernel == "selective_scan_forward");
            // y and state, nine gradients.
            Assert.Equal(11, device.LiveBlocks - live);
        }
        Assert.Equal(live, device.LiveBlocks);
    }

    [Theory, InlineData(16), InlineData(5)]
    public void NaN_stays_in_its_channel_and_sequence(int n)
    {
        Case clean = new(2, 40, 6, n), dirty = new(2, 40, 6, n);
        // Channel 3 of sequence 1 at step 35.
        int at = (40 + 35) * 6 + 3;
        dirty.Values[U]![at] = float.NaN;
        using var sim = SimDriver.Open();
        Result want = Run(sim, clean, DType.F32, gradients: true), got = Run(sim, dirty, DType.F32, gradients: true);
        for (int i = 0; i < want.Y.Length; i++)
            if (i % 6 == 3 && i >= at) Assert.True(float.IsNaN(got.Y[i]));
            else Assert.Equal(want.Y[i], got.Y[i]);
        for (int i = 0; i < want.State.Length; i++) Assert.Equal(i / n == 9, float.IsNaN(got.State[i]));
        foreach (int k in new[] { U, Delta, Z })
            for (int i = 0; i < want.Y.Length; i++)
                if (i % 6 != 3 || i < 40 * 6) Assert.Equal(want.Gradients[k]![i], got.Gradients[k]![i]);
        for (int i = 0; i < 6 * n; i++)
            if (i / n != 3) Assert.Equal(want.Gradients[A]![i], got.Gradients[A]![i]);
    }

    [Theory, InlineData(16), InlineData(3)]
    public void An_empty_sequence_hands_its_state_on(int n)
    {
        var c = new Case(2, 0, 5, n);
        using var sim = SimDriver.Open();
        foreach (var dtype in DTypes)
        {
            Result r = Run(sim, c, dtype, gradients: true);
            Assert.Empty(r.Y);
            Assert.Equal(c.Values[Initial], r.State);
            Assert.All(r.Gradients[A]!, v => Assert.Equal(0, v));
            Assert.All(r.Gradients[Bias]!, v => Assert.Equal(0, v));
            float[] dstate = Array.ConvertAll(SampleInput.Normal(new Shape(1, 5, n)).Make(11, 1), v => (float)(BFloat16)(float)v);
            Assert.Equal([.. dstate, .. dstate], r.Gradients[Initial]!);
        }
    }

    // Smaller shared memory takes smaller blocks; before compute 8.0 there is only F32.
    [Theory, InlineData(89, 99), InlineData(75, 64)]
    public void Devices_with_less_shared_memory_pass_the_samples(int capability, int kilobytes)
    {
        var spec = SimDeviceSpec.L4 with { Name = "small", ComputeCapability = capability, SharedPerBlock = kilobytes << 10, SharedPerMultiprocessor = (kilobytes + 1) << 10 };
        using var device = SimDriver.Open(new SimOptions { Seed = 6 }, spec);
        var row = OpTable.All.Single(r => r.Name == SelectiveScan.Name);
        foreach (string sample in new[] { "all", "many states" })
        {
            var results = GradCheck.Run(row, new GradCheckOptions { Devices = [device], Sample = sample, MaxCoordinates = 4, DTypes = capability < 80 ? [DType.F32] : DTypes });
            Assert.All(results, r => Assert.True(r.Passed, string.Join("\n", r.Problems)));
        }
        var c = new Case(1, 71, 70, 16);
        using var cpu = new CpuDevice(1);
        Result want = Run(cpu, c, DType.F64, gradients: true), got = Run(device, c, DType.F32, gradients: true);
        for (int i = 0; i < 9; i++) Close(want.Gradients[i]!, got.Gradients[i]!, 4e-6, SelectiveScan.Signature.Inputs[i].Name);
    }
}
