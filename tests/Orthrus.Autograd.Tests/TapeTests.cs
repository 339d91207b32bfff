using Orthrus.Autograd;
using Orthrus.Tensor;

namespace Orthrus.Autograd.Tests;

using Tensor = Orthrus.Tensor.Tensor;

public class TapeTests
{
    private static readonly double[] Xs = [-2, -0.5, 0, 0.25, 1, 3];

    [Fact]
    public void A_chain_has_the_gradient_of_the_chain_rule()
    {
        using var device = new CpuDevice(1);
        using (var scope = device.OpenScope())
        using (var tape = new Tape(device))
        {
            var x = tape.Input(scope.From<double>(Xs, new Shape(6)));
            var y = SiLU(tape, SiLU(tape, x));
            tape.Backward([y], [Ones(scope, 6)]);
            var got = tape.Grad(x).ToArray<double>();
            for (int i = 0; i < 6; i++) Assert.Equal(DSilu(Silu(Xs[i])) * DSilu(Xs[i]), got[i], 1e-14);
        }
        Assert.Equal(0, device.LiveBlocks);
    }

    [Fact]
    public void Uses_of_a_value_add_up_also_in_both_operands_of_one_operator()
    {
        using var device = new CpuDevice(1);
        using var scope = device.OpenScope();
        using var tape = new Tape(device);
        var x = tape.Input(scope.From<double>(Xs, new Shape(6)));
        var square = Multiply(tape, x, x);
        var y = Add(tape, Add(tape, square, x), SiLU(tape, x));
        tape.Backward([y], [Ones(scope, 6)]);
        var got = tape.Grad(x).ToArray<double>();
        for (int i = 0; i < 6; i++) Assert.Equal(2 * Xs[i] + 1 + DSilu(Xs[i]), got[i], 1e-14);
    }

    [Fact]
    public void A_scalar_loss_starts_with_one_and_leaves_cotangents_alone()
    {
        using var device = new CpuDevice(1);
        using var scope = device.OpenScope();
        using var tape = new Tape(device);
        var x = tape.Input(scope.From<float>([2f], Shape.Scalar));
        tape.Backward(Multiply(tape, x, x));
        Assert.Equal(4f, tape.Grad(x).ToArray<float>()[0]);
        tape.Reset();
        x = tape.Input(scope.From<float>([2f, 3f], new Shape(2)));
        var y = Multiply(tape, x, x);
        Assert.Throws<ShapeException>(() => tape.Backward(y));
        var cotangent = scope.From<float>([5f, 7f], new Shape(2));
        tape.Backward([y, x], [cotangent, cotangent]);
        Assert.Equal([25f, 49f], tape.Grad(x).ToArray<float>());
        Assert.Equal([5f, 7f], cotangent.ToArray<float>());
    }

    [Fact]
    public void Rows_and_reshapes_share_value_and_gradient()
    {
        using var device = new CpuDevice(1);
        using var scope = device.OpenScope();
        using var store = new ParameterStore(device, DType.F64);
        using var tape = new Tape(device);
        var w = store.New(new Shape(4, 3));
        w.Value.CopyFrom<double>([.. Enumerable.Range(0, 12).Select(i => (double)i)]);
        for (int round = 1; round <= 2; round++)
        {
            tape.Reset();
            var v = tape.Use(w);
            var middle = tape.Reshape(tape.Rows(tape.Rows(v, 1, 3), 0, 2), new Shape(6));
            Assert.Equal([3, 4, 5, 6, 7, 8], middle.Value.ToArray<double>());
            var last = tape.Reshape(tape.Rows(v, 2, 2), new Shape(6));
            tape.Backward([Multiply(tape, middle, last)], [Ones(scope, 6)]);
            double[] want = [0, 0, 0, 6, 7, 8, 9 + 3, 10 + 4, 11 + 5, 6, 7, 8];
            Assert.Equal(want.Select(g => g * round), w.Grad.ToArray<double>());
        }
        w.ClearGrad();
        Assert.True(w.Grad.IsNone);
    }

    [Fact]
    public void Detached_and_frozen_values_and_constants_get_no_gradient()
    {
        using var device = new CpuDevice(1);
        using var scope = device.OpenScope();
        using var store = new ParameterStore(device, DType.F64);
        using var tape = new Tape(device);
        var frozen = store.New(new Shape(6));
        frozen.RequiresGrad = false;
        var x = tape.Input(scope.From<double>(Xs, new Shape(6)));
        var c = tape.Constant(x.Value);
        var y = Multiply(tape, Multiply(tape, tape.Detach(SiLU(tape, x)), c), tape.Use(frozen));
        Assert.False(y.RequiresGrad);
        Assert.Equal(1, tape.Count);
        var e = Assert.Throws<GradientException>(() => tape.Backward([y], [Ones(scope, 6)]));
        Assert.Contains("no gradient flows", e.Message);
        var z = Multiply(tape, x, c);
        tape.Backward([z], [Ones(scope, 6)]);
        Assert.Equal(Xs, tape.Grad(x).ToArray<double>());
        Assert.True(tape.Grad(c).IsNone);
        Assert.True(frozen.Grad.IsNone);
    }

    [Fact]
    public void Mistakes_are_errors_that_say_what_to_do()
    {
        using var device = new CpuDevice(1);
        using var scope = device.OpenScope();
        using var tape = new Tape(device);
        using var off = Tape.Off(device);
        var x = tape.Input(scope.From<double>([1.0, 2], new Shape(2)));
        var y = SiLU(tape, x);
        Assert.Throws<GradientException>(() => tape.Grad(y));
        Assert.Throws<LifetimeException>(() => SiLU(off, x));
        Assert.Throws<ShapeException>(() => tape.Input(scope.From<int>([1], new Shape(1))));
        Assert.Throws<ShapeException>(() => tape.Backward([y], [Ones(scope, 3)]));
        Assert.Throws<GradientException>(() => off.Backward(off.Constant(x.Value).IsNone ? default : SiLU(off, off.Constant(scope.From<double>([1.0], new Shape(1))))));
        tape.Backward([y], [Ones(scope, 2)]);
        Assert.Contains("Reset", Assert.Throws<GradientException>(() => tape.Backward([y], [Ones(scope, 2)])).Message);
        Assert.Contains("silu", Assert.Throws<GradientException>(() => SiLU(tape, x)).Message);
        tape.Reset();
        Assert.Throws<LifetimeException>(() => y.Value);
        Assert.Throws<LifetimeException>(() => default(Variable).Value);
    }

    [Fact]
    public void An_operand_without_gradient_is_refused_by_name()
    {
        using var device = new CpuDevice(1);
        using var scope = device.OpenScope();
        using var tape = new Tape(device);
        var w = tape.Input(scope.From<double>([1.0, 2], new Shape(2)));
        var e = Assert.Throws<GradientException>(() => tape.Apply<Weighted, NoAttr>([w, w]));
        Assert.Contains("weighted", e.Message);
        Assert.Contains("scale", e.Message);
        Assert.True(tape.Apply<Weighted, NoAttr>([w, tape.Detach(w)]).RequiresGrad);
    }

    [Fact]
    public void Frames_free_what_backward_does_not_read()
    {
        using var device = new CpuDevice(1);
        using var scope = device.OpenScope();
        using var tape = new Tape(device);
        var x = tape.Input(scope.From<double>(Xs, new Shape(6)));
        var ones = Ones(scope, 6);
        int before = device.LiveBlocks;
        Variable kept, lost;
        using (var frame = tape.Open())
        {
            lost = SiLU(tape, SiLU(tape, x)); // reads its input: the inner result stays
            kept = frame.Keep(Weighted_(tape, lost, x)); // reads only its scale
        }
        Assert.Equal(before + 2, device.LiveBlocks);
        Assert.Throws<LifetimeException>(() => lost.Value.ToArray<double>());
        Assert.Equal(6, kept.Value.Count);
        tape.Backward([kept], [ones]);
        Assert.Equal(before + 2, device.LiveBlocks); // kept, and the gradient of x
        using var off = Tape.Off(device);
        var c = off.Constant(x.Value);
        before = device.LiveBlocks;
        var early = SiLU(off, c);
        off.Free(early);
        off.Free(early);
        off.Free(c);
        Assert.Equal(before, device.LiveBlocks);
        Assert.Throws<LifetimeException>(() => early.Value.ToArray<double>());
        using (var frame = off.Open())
        {
            using (var inner = off.Open()) kept = frame.Keep(inner.Keep(SiLU(off, SiLU(off, c))));
            Assert.Equal(before + 1, device.LiveBlocks);
        }
        Assert.Equal(before + 1, device.LiveBlocks);
        Assert.Throws<LifetimeException>(() => { using var a = off.Open(); off.Reset(); });
        var mine = off.Keep(kept, scope);
        off.Reset();
        Assert.Equal(6, mine.ToArray<double>().Length);
    }

    [Fact]
    public void A_tape_that_is_not_disposed_is_a_leak()
    {
        var device = new CpuDevice(1);
        using var scope = device.OpenScope();
        var tape = new Tape(device);
        SiLU(tape, tape.Constant(scope.From<double>(Xs, new Shape(6))));
        scope.Dispose();
        Assert.Throws<LifetimeException>(device.Dispose);
        tape.Dispose();
        device.Dispose();
    }

    [Fact]
    public void A_step_in_steady_state_allocates_nothing()
    {
        using var device = new CpuDevice(1);
        using var scope = device.OpenScope();
        using var store = new ParameterStore(device, DType.F32);
        using var tape = new Tape(device);
        var w = store.New(new Shape(8, 3));
        var x = scope.Zeros(new Shape(4, 3), DType.F32);
        var ones = scope.Zeros(new Shape(4, 3), DType.F32);
        var block = new TwoLayers();
        long bytes = -1;
        for (int round = 0; round < 8 && bytes != 0; round++)
        {
            long start = GC.GetAllocatedBytesForCurrentThread();
            tape.Reset();
            var v = tape.Use(w);
            Variable y;
            using (var frame = tape.Open())
            {
                y = Multiply(tape, SiLU(tape, tape.Constant(x)), tape.Rows(v, 0, 4));
                Span<Variable> outputs = [default];
                tape.Recompute(block, [y], outputs);
                y = frame.Keep(Multiply(tape, outputs[0], tape.Rows(v, 4, 4)));
            }
            tape.Backward([y], [ones]);
            bytes = GC.GetAllocatedBytesForCurrentThread() - start;
        }
        Assert.Equal(0, bytes);
    }

    [Fact]
    public void Recompute_gives_the_same_bits_with_less_memory()
    {
        var (plain, plainPeak) = Stack(recompute: false);
        var (again, againPeak) = Stack(recompute: true);
        Assert.Equal(plain, again);
        Assert.True(againPeak < 0.6 * plainPeak, $"{againPeak} bytes with recompute, {plainPeak} without");
    }

    private static (float[] Grads, long Peak) Stack(bool recompute)
    {
        const int n = 1 << 15, layers = 12;
        using var device = new CpuDevice(1);
        using var scope = device.OpenScope();
        using var tape = new Tape(device);
        var values = SampleInput.Normal(new Shape(n)).Make(5, 0);
        var x = tape.Input(scope.From<float>(Array.ConvertAll(values, v => (float)v), new Shape(n)));
        var h = x;
        var block = new TwoLayers { Shared = x };
        Span<Variable> outputs = [default];
        for (int i = 0; i < layers; i++)
        {
            using var frame = tape.Open();
            // x is read by every block, so that the order of accumulation matters.
            if (recompute) tape.Recompute(block, [h, x], outputs);
            else block.Forward(tape, [h, x], outputs);
            h = frame.Keep(outputs[0]);
        }
        tape.Backward([h], [scope.From<float>(Array.ConvertAll(values, v => (float)Math.Sin(v)), new Shape(n))]);
        return (tape.Grad(x).ToArray<float>(), device.PeakBytes);
    }

    /// <summary>silu(silu(silu(h) x)) + h, or without x.</summary>
    private sealed class TwoLayers : IRecomputable
    {
        internal Variable Shared;

        public void Forward(Tape tape, ReadOnlySpan<Variable> inputs, Span<Variable> outputs)
        {
            using var frame = tape.Open();
            var h = SiLU(tape, inputs[0]);
            if (inputs.Length > 1) h = Multiply(tape, h, inputs[1]);
            h = SiLU(tape, SiLU(tape, h));
            outputs[0] = frame.Keep(Add(tape, h, inputs[0]));
        }
    }

    [Fact]
    public void A_block_that_returns_its_input_is_refused()
    {
        using var device = new CpuDevice(1);
        using var scope = device.OpenScope();
        using var tape = new Tape(device);
        var x = tape.Input(scope.Zeros(new Shape(2), DType.F32));
        var outputs = new Variable[1];
        Assert.Throws<GradientException>(() => tape.Recompute(new Nothing(), [x], outputs));
    }

    private sealed class Nothing : IRecomputable
    {
        public void Forward(Tape tape, ReadOnlySpan<Variable> inputs, Span<Variable> outputs) => outputs[0] = inputs[0];
    }

    [Fact]
    public void Modules_name_their_parameters()
    {
        using var device = new CpuDevice(1);
        using var store = new ParameterStore(device, DType.F32);
        var m = new Outer(store);
        Assert.Equal(["a", "inner.0.w", "inner.0.running", "inner.1.w", "inner.1.running"], m.NamedParameters().Select(p => p.Key));
        Assert.Equal(2 + 3 + 3, m.ParameterCount());
        Assert.Throws<ShapeException>(() => new ParameterStore(device, DType.BF16));
    }

    private sealed class Outer(ParameterStore store) : Module
    {
        private readonly Parameter _a = store.New(new Shape(2));
        private readonly Inner _x = new(store), _y = new(store);

        public override void Visit(ParameterVisitor visitor)
        {
            visitor.Parameter("a", _a);
            visitor.Child("inner.0", _x);
            visitor.Child("inner.1", _y);
        }
    }

    private sealed class Inner(ParameterStore store) : Module
    {
        private readonly Parameter _w = store.New(new Shape(3)), _running = store.NewBuffer(new Shape(7));

        public override void Visit(ParameterVisitor visitor)
        {
            visitor.Parameter("w", _w);
            visitor.Parameter("running", _running);
        }
    }

    private static Variable SiLU(Tape tape, Variable x) => tape.Apply<SiLU, NoAttr>([x]);
    private static Variable Add(Tape tape, Variable a, Variable b) => tape.Apply<Combine, Combine.Attr>([a, b], new(false));
    private static Variable Multiply(Tape tape, Variable a, Variable b) => tape.Apply<Combine, Combine.Attr>([a, b], new(true));
    private static Variable Weighted_(Tape tape, Variable a, Variable w) => tape.Apply<Weighted, NoAttr>([a, tape.Detach(w)]);
    private static Tensor Ones(Scope scope, int n) => scope.From<double>([.. Enumerable.Repeat(1.0, n)], new Shape(n));
    private static double Silu(double x) => x / (1 + Math.Exp(-x));

    private static double DSilu(double x)
    {
        double s = 1 / (1 + Math.Exp(-x));
        return s * (1 + x * (1 - s));
    }
}
