namespace Orthrus.Tensor;

/// <summary>One sample of an operator or a state update with its operands on a device, ready to be run and timed.</summary>
public sealed class OpWork : IDisposable
{
    private readonly Scope _scope;
    private readonly Action<Scope> _forward;
    private readonly Action<Scope>? _backward;

    private OpWork(string op, string sample, OpCost cost, Scope scope, Action<Scope> forward, Action<Scope>? backward)
    {
        (Op, Sample, Cost, _scope, _forward, _backward) = (op, sample, cost, scope, forward, backward);
    }

    /// <summary>Name of the operator.</summary>
    public string Op { get; }
    /// <summary>Name of the sample.</summary>
    public string Sample { get; }
    /// <summary>Work of one call.</summary>
    public OpCost Cost { get; }
    /// <summary>False for state updates, and where no result has a gradient.</summary>
    public bool HasBackward => _backward is not null;

    /// <summary>The samples of an operator that are worth timing; where none is marked so, the one with the largest operands.</summary>
    public static IEnumerable<SampleRow> Timed(OpRow op)
    {
        var marked = op.Samples.Where(s => s.Bench).ToArray();
        return marked.Length > 0 ? marked : op.Samples.OrderByDescending(s => s.Inputs.Sum(i => i.Present ? i.Shape.Count : 0)).Take(1);
    }

    /// <inheritdoc cref="Timed(OpRow)"/>
    public static IEnumerable<UpdateSampleRow> Timed(UpdateRow update)
    {
        var marked = update.Samples.Where(s => s.Bench).ToArray();
        return marked.Length > 0 ? marked : update.Samples.OrderByDescending(s => s.Lists[0].Sum(i => i.Shape.Count)).Take(1);
    }

    /// <summary>Places the operands of an operator's sample.</summary>
    /// <param name="op">The operator.</param>
    /// <param name="sample">One of its samples.</param>
    /// <param name="dtype">F32 or F64; F32 or BF16 on a CUDA device.</param>
    /// <param name="device">Where to compute.</param>
    /// <param name="seed">Seed of the values.</param>
    public static OpWork Of(OpRow op, SampleRow sample, DType dtype, Device device, ulong seed = 1)
    {
        var scope = device.OpenScope();
        var signature = op.Signature;
        var inputs = new Tensor[signature.Inputs.Length];
        var gradients = new Tensor[inputs.Length];
        for (int i = 0; i < inputs.Length; i++)
        {
            var recipe = sample.Inputs[i];
            if (!recipe.Present) continue;
            inputs[i] = Place(scope, recipe.Shape, recipe.IsInteger ? recipe.IntegerType : signature.Inputs[i].In(dtype), recipe.Make(seed, i));
            if (signature.Inputs[i].Kind == OperandKind.Real) gradients[i] = scope.Empty(recipe.Shape, signature.Inputs[i].GradientIn(dtype));
        }
        var outputs = new Tensor[signature.Outputs.Length];
        var workspace = sample.Forward(scope, inputs, outputs, forBackward: true);
        var given = new Tensor[outputs.Length];
        for (int k = 0; k < outputs.Length; k++)
            if (!outputs[k].IsNone && signature.Outputs[k].Kind == OperandKind.Real)
                given[k] = Place(scope, outputs[k].Shape, outputs[k].DType, SampleInput.Normal(outputs[k].Shape).Make(seed, 1000 + k));
        var results = new Tensor[outputs.Length];
        return new OpWork(op.Name, sample.Name, sample.Cost(dtype), scope,
            s => sample.Forward(s, inputs, results),
            given.Any(g => !g.IsNone) && gradients.Any(g => !g.IsNone) ? s => sample.Backward(s, inputs, outputs, given, gradients, workspace) : null);
    }

    /// <summary>Places the tensors of a state update's sample.</summary>
    /// <inheritdoc cref="Of(OpRow, SampleRow, DType, Device, ulong)"/>
    public static OpWork Of(UpdateRow update, UpdateSampleRow sample, DType dtype, Device device, ulong seed = 1)
    {
        var scope = device.OpenScope();
        int next = 0;
        Tensor[] tensors = [.. sample.Lists.SelectMany(list => list.Select(r => Place(scope, r.Shape, dtype, r.Make(seed, next++))))];
        var results = new Tensor[update.Signature.Results.Length];
        return new OpWork(update.Name, sample.Name, sample.Cost(dtype), scope, s => sample.Run(s, tensors, results), null);
    }

    /// <summary>One forward call; its results are freed at once.</summary>
    public void Forward()
    {
        using var scope = _scope.Device.OpenScope();
        _forward(scope);
    }

    /// <summary>One backward call.</summary>
    /// <exception cref="InvalidOperationException">The operator has no gradient.</exception>
    public void Backward()
    {
        if (_backward is null) throw new InvalidOperationException($"{Op} has no gradient");
        using var scope = _scope.Device.OpenScope();
        _backward(scope);
    }

    /// <summary>Frees the operands.</summary>
    public void Dispose() => _scope.Dispose();

    private static Tensor Place(Scope scope, Shape shape, DType dtype, double[] values) => dtype switch
    {
        DType.F32 => scope.From<float>(Array.ConvertAll(values, v => (float)v), shape),
        DType.F64 => scope.From<double>(values, shape),
        DType.BF16 => scope.From<BFloat16>(Array.ConvertAll(values, v => (BFloat16)(float)v), shape),
        DType.U8 => scope.From<byte>(Array.ConvertAll(values, v => (byte)v), shape),
        DType.I32 => scope.From<int>(Array.ConvertAll(values, v => (int)v), shape),
        _ => scope.From<long>(Array.ConvertAll(values, v => (long)v), shape),
    };
}
