using Orthrus.Autograd;
using Orthrus.Tensor;

namespace Orthrus.Train;

using Tensor = Orthrus.Tensor.Tensor;

/// <summary>Parameters that share a learning rate and a weight decay.</summary>
/// <param name="Name">For messages.</param>
/// <param name="Parameters">Named parameters; buffers are passed over.</param>
/// <param name="LearningRate">Base learning rate.</param>
/// <param name="WeightDecay">Weight decay.</param>
public sealed record ParameterGroup(string Name, IReadOnlyList<KeyValuePair<string, Parameter>> Parameters, double LearningRate, double WeightDecay);

/// <summary>Options of the optimiser.</summary>
public sealed record OptimiserOptions
{
    /// <summary>AdamW; false for Adam, whose decay joins the gradient.</summary>
    public bool Decoupled { get; init; } = true;
    /// <summary>Decay of the mean gradient.</summary>
    public double Beta1 { get; init; } = 0.9;
    /// <summary>Decay of the mean squared gradient.</summary>
    public double Beta2 { get; init; } = 0.999;
    /// <summary>Added to the root of the mean squared gradient.</summary>
    public double Eps { get; init; } = 1e-8;
    /// <summary>Largest norm of all gradients together; 0 for none. 5 in the first published runs.</summary>
    public double ClipNorm { get; init; } = 5;
    /// <summary>Largest absolute value of a gradient element; 0 for none.</summary>
    public double ClipValue { get; init; }
    /// <summary>Share of every trainable weight that is subtracted after backward, whatever the learning rate; 0 for none.</summary>
    public double ExplicitL2 { get; init; }
    /// <summary>Decay the weights of linear layers, convolutions and the embedding alone: no biases, norms, A_log, D. Upstream decays everything.</summary>
    public bool Exempt { get; init; }
    /// <summary>Decay of the running mean of the weights, at most t / (t + 9) at update t so that the initial weights soon weigh nothing; 0 for none.</summary>
    public double EmaDecay { get; init; }
}

/// <summary>
/// AdamW or Adam over groups of parameters, with clipping before and, where wanted, a running mean of the weights after the update. Parameters whose
/// elements are BF16 keep a float32 master copy here, on which the update works.
/// </summary>
public sealed class Optimiser : IDisposable
{
    private readonly Device _device;
    private readonly OptimiserOptions _options;
    private readonly Scope _scope;
    private readonly List<Slot> _slots = [];
    private readonly ParameterGroup[] _groups;

    private sealed record Slot(string Name, Parameter Parameter, int Group, bool Decays, Tensor Master, Tensor Mean, Tensor Square, Tensor Ema);

    /// <summary>Prepares the state of every parameter: moments of zero, master copies and running means of the present weights.</summary>
    /// <param name="device">Where the parameters live.</param>
    /// <param name="groups">Groups; no parameter may be in two.</param>
    /// <param name="options">Options.</param>
    public Optimiser(Device device, IEnumerable<ParameterGroup> groups, OptimiserOptions options)
    {
        (_device, _options, _groups) = (device, options, [.. groups]);
        _scope = device.OpenScope();
        for (int g = 0; g < _groups.Length; g++)
            foreach (var (name, p) in _groups[g].Parameters)
            {
                if (p.IsBuffer || !p.RequiresGrad) continue;
                var dtype = p.Value.DType == DType.BF16 ? DType.F32 : p.Value.DType;
                bool decays = !options.Exempt || (p.Shape.Rank >= 2 && name.EndsWith(".weight", StringComparison.Ordinal));
                _slots.Add(new(name, p, g, decays, dtype == p.Value.DType ? p.Value : _scope.Cast(p.Value, dtype), _scope.Zeros(p.Shape, dtype), _scope.Zeros(p.Shape, dtype),
                    options.EmaDecay > 0 ? _scope.Cast(p.Value, dtype) : default));
            }
    }

    /// <summary>Updates already done.</summary>
    public long Steps { get; set; }

    /// <summary>State by name: exp_avg.NAME, exp_avg_sq.NAME, where there are any master.NAME and ema.NAME. Overwriting the tensors restores a state.</summary>
    internal IEnumerable<(string Name, Tensor Value)> State()
    {
        foreach (var s in _slots)
        {
            yield return ("exp_avg." + s.Name, s.Mean);
            yield return ("exp_avg_sq." + s.Name, s.Square);
            if (s.Parameter.Value.DType == DType.BF16) yield return ("master." + s.Name, s.Master);
            if (!s.Ema.IsNone) yield return ("ema." + s.Name, s.Ema);
        }
    }

    /// <summary>By parameter name the weights that are the result: running means where there are any, else master copies.</summary>
    internal IReadOnlyDictionary<string, Tensor> Result => _slots.ToDictionary(s => s.Name, s => s.Ema.IsNone ? s.Master : s.Ema);

    /// <summary>Norm of all gradients together, before any clipping.</summary>
    public double GradientNorm()
    {
        using var scope = _device.OpenScope();
        var norm = new Tensor[1];
        Tensor[] gradients = [.. Present().Select(s => s.Parameter.Grad)];
        if (gradients.Length == 0) return 0;
        Update.Run<ClipGradNorm, ClipGradNorm.Attr>(scope, gradients, new(double.PositiveInfinity), norm);
        return norm[0].ToDoubles()[0];
    }

    /// <summary>Clips and updates. Gradients stay for whoever wants to look at them; <see cref="Module.ClearGrads"/> forgets them.</summary>
    /// <param name="factor">Factor on the groups' learning rates.</param>
    /// <param name="decay">Weight decay of a group from its own; null leaves it.</param>
    public void Step(double factor, Func<double, double>? decay = null)
    {
        Steps++;
        using var scope = _device.OpenScope();
        var present = Present();
        if (present.Length == 0) return;
        if (_options.ExplicitL2 > 0)
            foreach (var s in present) Mix(s.Master, 1 - _options.ExplicitL2, default, 0);
        Tensor[] gradients = [.. present.Select(s => s.Parameter.Grad)];
        if (_options.ClipNorm > 0) Update.Run<ClipGradNorm, ClipGradNorm.Attr>(scope, gradients, new(_options.ClipNorm), new Tensor[1]);
        if (_options.ClipValue > 0) Update.Run<ClipGradValue, ClipGradValue.Attr>(scope, gradients, new(_options.ClipValue), []);
        foreach (var same in present.GroupBy(s => (s.Group, s.Decays)))
        {
            var group = _groups[same.Key.Group];
            double wd = !same.Key.Decays ? 0 : decay is null ? group.WeightDecay : decay(group.WeightDecay);
            Tensor[] lists = [.. same.Select(s => s.Master), .. same.Select(s => s.Parameter.Grad), .. same.Select(s => s.Mean), .. same.Select(s => s.Square)];
            Update.Run<AdamW, AdamW.Attr>(scope, lists, new(group.LearningRate * factor, wd, Steps, _options.Beta1, _options.Beta2, _options.Eps, _options.Decoupled), []);
        }
        Narrow();
        if (_options.EmaDecay > 0)
        {
            double kept = Math.Min(_options.EmaDecay, Steps / (Steps + 9.0));
            foreach (var s in present) Mix(s.Ema, kept, s.Master, 1 - kept);
        }
    }

    /// <summary>Writes the master copies to the parameters that are BF16.</summary>
    internal void Narrow()
    {
        foreach (var s in _slots)
        {
            if (s.Parameter.Value.DType != DType.BF16) continue;
            using var scope = _device.OpenScope();
            s.Parameter.Assign(scope.Cast(s.Master, DType.BF16));
        }
    }

    private Slot[] Present() => [.. _slots.Where(s => !s.Parameter.Grad.IsNone)];

    /// <summary>target = a target + b other, on any device.</summary>
    private void Mix(in Tensor target, double a, in Tensor other, double b)
    {
        using var scope = _device.OpenScope();
        var mixed = Scaled(scope, target, a);
        if (!other.IsNone) mixed = Op.Forward<Combine, Combine.Attr>(scope, [mixed, Scaled(scope, other, b)], new(Multiply: false));
        target.Assign(mixed);
    }

    private static Tensor Scaled(Scope scope, in Tensor x, double factor)
    {
        var factors = new double[x.Count];
        Array.Fill(factors, factor);
        return Op.Forward<Combine, Combine.Attr>(scope, [x, scope.Reals(factors, x.Shape, x.DType)], new(Multiply: true));
    }

    /// <summary>Frees the state.</summary>
    public void Dispose() => _scope.Dispose();
}
