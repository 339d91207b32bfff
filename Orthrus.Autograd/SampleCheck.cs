using System.Globalization;
using System.Runtime.InteropServices;
using Orthrus.Tensor;

namespace Orthrus.Autograd;

using Tensor = Orthrus.Tensor.Tensor;

/// <summary>The work behind <see cref="GradCheck"/>: one sample, both precisions, every thread count.</summary>
internal sealed class SampleCheck
{
    // Reference operations spent on one operand's coordinates; a dual number with error bound costs some 20 ns per operation.
    private const long CoordinateBudget = 2_000_000;
    private const int MaxProblems = 12;
    // Twice the rounding error of one result.
    private const double BFloat16Roundoff = 1.0 / 256;

    private readonly OpRow _op;
    private readonly SampleRow _sample;
    private readonly GradCheckOptions _options;
    private readonly Device[] _devices;
    private readonly double[][] _values;
    private readonly ShapeRule _rule;
    private readonly int _inputs, _outputs;
    private readonly double[]?[] _cotangents;
    private readonly List<string> _problems = [];

    internal SampleCheck(OpRow op, SampleRow sample, GradCheckOptions options, Device[] devices)
    {
        (_op, _sample, _options, _devices) = (op, sample, options, devices);
        _inputs = op.Signature.Inputs.Length;
        _outputs = op.Signature.Outputs.Length;
        // Where BF16 is checked all precisions compute from numbers that it represents.
        bool rounded = options.DTypes.Contains(DType.BF16);
        _values = [.. sample.Inputs.Select((recipe, i) => rounded && !recipe.IsInteger ? Rounded(recipe.Make(options.Seed, i)) : recipe.Make(options.Seed, i))];
        _rule = sample.Rule(DType.F64);
        _cotangents = new double[]?[_outputs];
        for (int k = 0; k < _outputs; k++)
            if (_rule.OutSpec(k).Present && op.Signature.Outputs[k].Kind == OperandKind.Real)
                _cotangents[k] = SampleInput.Normal(_rule.OutSpec(k).Shape).Make(options.Seed, 1000 + k);
        if (rounded) _cotangents = Array.ConvertAll(_cotangents, c => c is null ? null : Rounded(c));
    }

    private static double[] Rounded(double[] values) => Array.ConvertAll(values, v => (double)(float)(BFloat16)(float)v);

    internal GradCheckResult Run()
    {
        var single = new PrecisionCheck();
        var full = new PrecisionCheck();
        var half = new PrecisionCheck();
        try
        {
            var reference = _sample.Reference(Lift(Bound.From), Integers());
            var g32 = _options.DTypes.Contains(DType.F32) ? Precision(DType.F32, reference, ref single) : new double[]?[_inputs];
            var g64 = _options.DTypes.Contains(DType.F64) ? Precision(DType.F64, reference, ref full) : new double[]?[_inputs];
            var g16 = _options.DTypes.Contains(DType.BF16) ? Precision(DType.BF16, reference, ref half) : new double[]?[_inputs];
            for (int i = 0; i < _inputs; i++)
                if (Wanted(i)) Derivative(i, [(DType.F32, g32[i]), (DType.F64, g64[i]), (DType.BF16, g16[i])], ref single, ref full, ref half);
            // Its memory has no guard zones, so that a kernel which writes astray must not come here.
            foreach (var dtype in _options.DTypes)
                if (_options.Allocations && _problems.Count == 0) CheckAllocations(dtype);
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            // A kernel that throws is a finding about that kernel; the other samples still get their verdict.
            Problem($"{e.GetType().Name}: {e.Message}");
        }
        finally
        {
            foreach (var d in _devices) d.Pool.Guard = false;
        }
        return new(_op.Name, _sample.Name, single, full, _problems, _options.DTypes) { BF16 = half };
    }

    private bool Wanted(int i) => _op.Signature.Inputs[i].Kind == OperandKind.Real && _sample.Inputs[i].Present;

    private R[]?[] Lift<R>(Func<double, R> from) where R : struct, IReal<R> =>
        [.. _sample.Inputs.Select((recipe, i) => !recipe.Present || recipe.IsInteger ? null : Array.ConvertAll(_values[i], v => from(v)))];

    private long[]?[] Integers() =>
        [.. _sample.Inputs.Select((recipe, i) => recipe.Present && recipe.IsInteger ? Array.ConvertAll(_values[i], v => (long)v) : null)];

    /// <summary>Values, bits and side effects in one precision; returns the gradients of the first device.</summary>
    private double[]?[] Precision(DType dtype, Bound[]?[] reference, ref PrecisionCheck worst)
    {
        byte[][]? outputBits = null, gradientBits = null;
        double[]?[]? gradients = null;
        foreach (var device in _devices)
        {
            int live = device.LiveBlocks, overruns = device.Pool.Overruns;
            device.Pool.Guard = true;
            using (var scope = device.OpenScope())
            {
                var zones = new List<(string Name, Tensor Whole)>();
                var inputs = new Tensor[_inputs];
                for (int i = 0; i < _inputs; i++) inputs[i] = PlaceInput(scope, i, dtype, zones);
                var before = Bits(inputs);
                var outputs = new Tensor[_outputs];
                _sample.Forward(scope, inputs, outputs);
                if (!Same(before, Bits(inputs))) Problem($"{dtype}: forward changed an operand");
                var bits = Bits(outputs);
                if (outputBits is null)
                {
                    outputBits = bits;
                    for (int k = 0; k < _outputs; k++) CompareForward(dtype, k, reference[k], outputs[k], ref worst);
                }
                else if (!Same(outputBits, bits)) Problem($"{dtype}: forward on {device.Name} differs from {_devices[0].Name}");

                var all = Enumerable.Range(0, _inputs).Select(Wanted).ToArray();
                var given = _cotangents.Select(c => c is not null).ToArray();
                if (!given.Any(g => g)) continue;
                var grads = Backward(scope, dtype, inputs, outputs, all, given, zones);
                if (!Same(before, Bits(inputs)) || !Same(bits, Bits(outputs))) Problem($"{dtype}: backward changed an operand or a result");
                if (gradientBits is null)
                {
                    gradientBits = Bits(grads);
                    gradients = [.. grads.Select(g => g.IsNone ? null : Numbers(g))];
                    Subsets(scope, dtype, inputs, outputs, all, given, gradientBits, zones);
                }
                else if (!Same(gradientBits, Bits(grads))) Problem($"{dtype}: backward on {device.Name} differs from {_devices[0].Name}");
                foreach (var (name, whole) in zones)
                    if (!ZonesIntact(whole)) Problem($"{dtype}: something was written beside {name}");
            }
            if (device.LiveBlocks != live) Problem($"{dtype}: {device.LiveBlocks - live} blocks stay in use");
            if (device.Pool.Overruns != overruns) Problem($"{dtype}: something was written behind a result or scratch block");
            device.Pool.Guard = false;
        }
        return gradients ?? new double[]?[_inputs];
    }

    /// <summary>Gradients must not depend on which others are wanted; an absent output gradient must act as zero.</summary>
    private void Subsets(Scope scope, DType dtype, Tensor[] inputs, Tensor[] outputs, bool[] all, bool[] given, byte[][] full, List<(string, Tensor)> zones)
    {
        Backward(scope, dtype, inputs, outputs, new bool[_inputs], given, zones);
        for (int i = 0; i < _inputs; i++)
        {
            if (!all[i]) continue;
            var one = new bool[_inputs];
            one[i] = true;
            var alone = Backward(scope, dtype, inputs, outputs, one, given, zones);
            if (!full[i].AsSpan().SequenceEqual(Bits(alone)[i])) Problem($"{dtype}: gradient of {Name(i)} alone differs from the one among all");
        }
        if (given.Count(g => g) < 2) return;
        for (int k = 0; k < _outputs; k++)
        {
            if (!given[k]) continue;
            var less = (bool[])given.Clone();
            less[k] = false;
            var absent = Backward(scope, dtype, inputs, outputs, all, less, zones);
            var zero = Backward(scope, dtype, inputs, outputs, all, given, zones, zero: k);
            for (int i = 0; i < _inputs; i++)
            {
                if (!all[i]) continue;
                double[] a = Numbers(absent[i]), z = Numbers(zero[i]);
                // Equality of numbers, not bits: adding a zero may turn -0 into +0, and 0 x infinity is NaN only where the zero is spelled out.
                for (int j = 0; j < a.Length; j++)
                    if (a[j] != z[j] && double.IsFinite(z[j]))
                    {
                        Problem($"{dtype}: gradient of {Name(i)}[{j}] is {Text(a[j])} without an output gradient of {_op.Signature.Outputs[k].Name}, {Text(z[j])} with zeros");
                        break;
                    }
            }
        }
    }

    private Tensor[] Backward(Scope scope, DType dtype, Tensor[] inputs, Tensor[] outputs, bool[] wanted, bool[] given, List<(string, Tensor)> zones, int zero = -1)
    {
        var none = new Tensor[Math.Max(_inputs, _outputs)];
        var outputGrads = new Tensor[_outputs];
        for (int k = 0; k < _outputs; k++)
            if (given[k])
                outputGrads[k] = Place(scope, outputs[k].Shape, _op.Signature.Outputs[k].In(dtype), k == zero ? new double[outputs[k].Count] : _cotangents[k]!, $"the gradient of {_op.Signature.Outputs[k].Name}", zones);
        var inputGrads = new Tensor[_inputs];
        for (int i = 0; i < _inputs; i++)
            if (wanted[i]) inputGrads[i] = Place(scope, inputs[i].Shape, _op.Signature.Inputs[i].GradientIn(dtype), null, $"the gradient of {Name(i)}", zones);
        var before = Bits(outputGrads);
        _sample.Backward(scope, (_op.Saves & Saves.Inputs) != 0 ? inputs : none.AsSpan(0, _inputs),
            (_op.Saves & Saves.Outputs) != 0 ? outputs : none.AsSpan(0, _outputs), outputGrads, inputGrads);
        if (!Same(before, Bits(outputGrads))) Problem($"{dtype}: backward changed an output gradient");
        return inputGrads;
    }

    private void CompareForward(DType dtype, int k, Bound[]? want, Tensor got, ref PrecisionCheck worst)
    {
        string name = _op.Signature.Outputs[k].Name;
        if (want is null || got.IsNone)
        {
            if (want is not null || !got.IsNone) Problem($"{dtype}: result {name} is {(got.IsNone ? "absent" : "present")} against the specification");
            return;
        }
        var values = Numbers(got);
        // Wide results of a BF16 call are as exact as those of an F32 call.
        if (dtype == DType.BF16 && got.DType != DType.BF16) dtype = DType.F32;
        int bad = -1;
        for (int j = 0; j < values.Length; j++)
        {
            double w = want[j].Value, g = values[j];
            if (!double.IsFinite(w))
            {
                if (!w.Equals(g) && bad < 0) bad = j;
                continue;
            }
            double limit = Limit(dtype, want[j].Error, w);
            if (Math.Abs(w) + limit > Largest(dtype) && double.IsInfinity(g) && g > 0 == w > 0) continue;
            double error = Math.Abs(g - w);
            worst = worst.WorseForward(error, limit);
            if (!(error <= limit) && bad < 0) bad = j;
        }
        if (bad >= 0)
            Problem($"{dtype}: {name}[{bad}] is {Text(values[bad])}, specification {Text(want[bad].Value)}, error {Text(values[bad] - want[bad].Value, 3)}, limit {Text(Limit(dtype, want[bad].Error, want[bad].Value), 3)}");
    }

    /// <summary>Compares xbar with ybar J along coordinates and random directions of operand <paramref name="i"/>.</summary>
    private void Derivative(int i, (DType, double[]?)[] gradients, ref PrecisionCheck single, ref PrecisionCheck full, ref PrecisionCheck half)
    {
        int n = _values[i].Length;
        if (n == 0) return;
        long flops = Math.Max(1, _sample.Cost(DType.F64).Flops);
        int coordinates = (int)Math.Clamp(CoordinateBudget / flops, Math.Min(4, _options.MaxCoordinates), _options.MaxCoordinates);
        var random = new SampleRandom(_options.Seed * 7919 + (ulong)i);
        bool everyPlace = n <= coordinates;
        for (int c = 0; c < Math.Min(n, coordinates); c++)
        {
            int j = everyPlace ? c : c == 0 ? 0 : c == 1 ? n - 1 : (int)(random.Uniform() * n);
            var direction = new double[n];
            direction[j] = 1;
            Along(i, direction, $"{Name(i)}[{j}]", gradients, ref single, ref full, ref half);
        }
        for (int d = 0; d < (everyPlace ? 0 : _options.Directions); d++)
        {
            var direction = new double[n];
            for (int j = 0; j < n; j++) direction[j] = (float)random.Normal();
            Along(i, direction, $"{Name(i)} along direction {d}", gradients, ref single, ref full, ref half);
        }
    }

    private void Along(int i, double[] direction, string what, (DType, double[]?)[] gradients, ref PrecisionCheck single, ref PrecisionCheck full, ref PrecisionCheck half)
    {
        var inputs = Lift(Dual<Bound>.From);
        for (int j = 0; j < direction.Length; j++) inputs[i]![j] = new(inputs[i]![j].X, Bound.From(direction[j]));
        var outputs = _sample.Reference(inputs, Integers());
        // The sum itself is evaluated with its error bound, because a kernel forms it in its own precision.
        var want = Bound.From(0);
        double terms = 0;
        for (int k = 0; k < _outputs; k++)
        {
            if (_cotangents[k] is not { } cotangent || outputs[k] is not { } tangent) continue;
            for (int j = 0; j < tangent.Length; j++)
            {
                if (tangent[j].D.Value == 0 && tangent[j].D.Error == 0) continue;
                var term = Bound.From(cotangent[j]) * tangent[j].D;
                want += term;
                terms += Math.Abs(term.Value);
            }
        }
        // Where the derivative does not exist there is nothing to compare with.
        if (!double.IsFinite(want.Value) || !double.IsFinite(want.Error)) return;
        foreach (var (dtype, gradient) in gradients)
        {
            if (gradient is null) continue;
            double got = 0, size = 0;
            for (int j = 0; j < direction.Length; j++)
            {
                if (direction[j] == 0) continue;
                got += direction[j] * gradient[j];
                size += Math.Abs(direction[j] * gradient[j]);
            }
            double sum = terms + (size == Math.Abs(got) ? 0 : size);
            // In BF16 the gradients themselves, or results that backward reads, are rounded.
            double limit = Limit(dtype, want.Error + sum, 0) + (dtype == DType.F64 ? 1e-9 * sum : dtype == DType.BF16 ? BFloat16Roundoff * (terms + size) : 0);
            if (!double.IsFinite(limit)) limit = 0;
            if (terms > Largest(dtype) && !double.IsFinite(got)) continue;
            double error = Math.Abs(got - want.Value);
            ref var worst = ref dtype == DType.F32 ? ref single : ref dtype == DType.F64 ? ref full : ref half;
            worst = worst.WorseGradient(error, limit);
            if (!(error <= limit)) Problem($"{dtype}: gradient of {what} is {Text(got)}, specification {Text(want.Value)}, error {Text(error, 3)}, limit {Text(limit, 3)}");
        }
    }

    /// <summary>Managed bytes of a call in steady state, on one thread.</summary>
    private void CheckAllocations(DType dtype)
    {
        var device = _devices[0];
        // A simulated device itself allocates.
        if (device is CudaDevice { IsSimulated: true }) return;
        using var scope = device.OpenScope();
        var inputs = new Tensor[_inputs];
        var inputGrads = new Tensor[_inputs];
        for (int i = 0; i < _inputs; i++)
        {
            inputs[i] = PlaceInput(scope, i, dtype, null);
            if (Wanted(i)) inputGrads[i] = scope.Empty(inputs[i].Shape, _op.Signature.Inputs[i].GradientIn(dtype));
        }
        var outputs = new Tensor[_outputs];
        _sample.Forward(scope, inputs, outputs);
        var outputGrads = new Tensor[_outputs];
        for (int k = 0; k < _outputs; k++)
            if (_cotangents[k] is { } c) outputGrads[k] = Place(scope, outputs[k].Shape, _op.Signature.Outputs[k].In(dtype), c, "", null);
        var none = new Tensor[Math.Max(_inputs, _outputs)];
        bool differentiable = _cotangents.Any(c => c is not null);
        long bytes = 0;
        for (int round = 0; round < 6; round++)
        {
            long start = GC.GetAllocatedBytesForCurrentThread();
            using (var inner = device.OpenScope())
            {
                _sample.Forward(inner, inputs, outputs);
                if (differentiable)
                    _sample.Backward(inner, (_op.Saves & Saves.Inputs) != 0 ? inputs : none.AsSpan(0, _inputs),
                        (_op.Saves & Saves.Outputs) != 0 ? outputs : none.AsSpan(0, _outputs), outputGrads, inputGrads);
            }
            bytes = GC.GetAllocatedBytesForCurrentThread() - start;
            if (round >= 3 && bytes == 0) return;
        }
        Problem($"{dtype}: forward and backward allocate {bytes} managed bytes per call");
    }

    private Tensor PlaceInput(Scope scope, int i, DType dtype, List<(string, Tensor)>? zones)
    {
        var recipe = _sample.Inputs[i];
        return recipe.Present ? Place(scope, recipe.Shape, recipe.IsInteger ? recipe.IntegerType : _op.Signature.Inputs[i].In(dtype), _values[i], Name(i), zones) : Tensor.None;
    }

    /// <summary>A tensor in the middle of a larger one whose margins hold 0xFF; contents undefined (0xFF) without values.</summary>
    private Tensor Place(Scope scope, Shape shape, DType dtype, double[]? values, string name, List<(string, Tensor)>? zones)
    {
        int count = checked((int)shape.Count);
        var whole = scope.Empty(new Shape(count + 2 * _options.Margin), dtype);
        zones?.Add((name, whole));
        var t = whole.Rows(_options.Margin, count).Reshape(shape);
        if (values is not null) Fill(t, values);
        return t;
    }

    private static void Fill(Tensor t, double[] values)
    {
        switch (t.DType)
        {
            case DType.F32: t.CopyFrom<float>(Array.ConvertAll(values, v => (float)v)); break;
            case DType.F64: t.CopyFrom<double>(values); break;
            case DType.BF16: t.CopyFrom<BFloat16>(Array.ConvertAll(values, v => (BFloat16)(float)v)); break;
            case DType.I32: t.CopyFrom<int>(Array.ConvertAll(values, v => (int)v)); break;
            case DType.I64: t.CopyFrom<long>(Array.ConvertAll(values, v => (long)v)); break;
            case DType.U8: t.CopyFrom<byte>(Array.ConvertAll(values, v => (byte)v)); break;
            default: throw new ShapeException($"samples have no operands of {t.DType}");
        }
    }

    private static double[] Numbers(Tensor t) => t.DType switch
    {
        DType.F32 => Array.ConvertAll(t.ToArray<float>(), v => (double)v),
        DType.F64 => t.ToArray<double>(),
        DType.BF16 => Array.ConvertAll(t.ToArray<BFloat16>(), v => (double)(float)v),
        DType.I32 => Array.ConvertAll(t.ToArray<int>(), v => (double)v),
        DType.I64 => Array.ConvertAll(t.ToArray<long>(), v => (double)v),
        DType.U8 => Array.ConvertAll(t.ToArray<byte>(), v => (double)v),
        _ => throw new ShapeException($"results of {t.DType} cannot be checked"),
    };

    private static byte[][] Bits(Tensor[] tensors) => Array.ConvertAll(tensors, t =>
    {
        if (t.IsNone) return [];
        var bytes = new byte[t.Bytes];
        t.Device.Download(bytes, t.Address);
        return bytes;
    });

    private bool ZonesIntact(Tensor whole)
    {
        var bytes = Bits([whole])[0];
        int guard = _options.Margin * whole.DType.Size();
        return !bytes.AsSpan(0, guard).ContainsAnyExcept((byte)0xFF) && !bytes.AsSpan(bytes.Length - guard).ContainsAnyExcept((byte)0xFF);
    }

    private static bool Same(byte[][] a, byte[][] b) => a.Zip(b).All(p => p.First.AsSpan().SequenceEqual(p.Second));

    /// <summary>
    /// Slack x roundoff x error, and the smallest normal number for results below it. Without a finite bound (a division by zero that the value
    /// does not show) a plain relative limit.
    /// </summary>
    private double Limit(DType dtype, double error, double value)
    {
        bool single = dtype != DType.F64;
        double roundoff = single ? 1.0 / (1 << 24) : 1.0 / (1L << 53);
        double floor = single ? 1.1754943508222875e-38 : 2.2250738585072014e-308;
        // In float64 the specification's own rounding is as large as the kernel's.
        double slack = single ? _sample.Slack : _sample.Slack + 1;
        double limit = slack * (double.IsFinite(error) ? roundoff * error + floor : 100 * roundoff * Math.Abs(value) + floor);
        return dtype == DType.BF16 ? limit + BFloat16Roundoff * Math.Abs(value) : limit;
    }

    private static double Largest(DType dtype) => dtype == DType.F64 ? double.MaxValue : float.MaxValue;

    private string Name(int i) => _op.Signature.Inputs[i].Name;

    private static string Text(double v, int digits = 9) => v.ToString("G" + digits, CultureInfo.InvariantCulture);

    private void Problem(string text)
    {
        if (_problems.Count < MaxProblems) _problems.Add(text);
    }
}
