using Orthrus.Autograd;
using Orthrus.Tensor;

namespace Orthrus.Mamba;

/// <summary>y = x W' + b over the last axis; weight (out, in), bias (out) or none.</summary>
public sealed class LinearLayer : Module
{
    /// <summary>Makes the layer; its weights are zeros until initialised or loaded.</summary>
    public LinearLayer(ParameterStore store, int dIn, int dOut, bool bias)
    {
        Weight = store.New(new Shape(dOut, dIn));
        Bias = bias ? store.New(new Shape(dOut)) : null;
    }

    /// <summary>(out, in).</summary>
    public Parameter Weight { get; }
    /// <summary>(out), or null.</summary>
    public Parameter? Bias { get; }

    /// <inheritdoc/>
    public override void Visit(ParameterVisitor visitor)
    {
        visitor.Parameter("weight", Weight);
        if (Bias is not null) visitor.Parameter("bias", Bias);
    }

    /// <summary>Applies the layer to x (..., in).</summary>
    public Variable Forward(Tape tape, Variable x) => Functions.Linear(tape, x, tape.Use(Weight), Bias is null ? Variable.None : tape.Use(Bias));
}

/// <summary>Layer normalisation over the last axis with weight and bias, biased variance, eps 1e-5.</summary>
public sealed class LayerNormLayer : Module
{
    /// <summary>Added to the variance.</summary>
    public const double Eps = 1e-5;

    /// <summary>Makes the layer for rows of <paramref name="width"/>.</summary>
    public LayerNormLayer(ParameterStore store, int width)
    {
        Weight = store.New(new Shape(width));
        Bias = store.New(new Shape(width));
    }

    /// <summary>(width).</summary>
    public Parameter Weight { get; }
    /// <summary>(width).</summary>
    public Parameter Bias { get; }

    /// <inheritdoc/>
    public override void Visit(ParameterVisitor visitor)
    {
        visitor.Parameter("weight", Weight);
        visitor.Parameter("bias", Bias);
    }

    /// <summary>Normalises x (..., width).</summary>
    public Variable Forward(Tape tape, Variable x) => Functions.LayerNorm(tape, x, tape.Use(Weight), tape.Use(Bias));

    /// <summary>Normalises h + residual, and returns that sum beside it.</summary>
    public (Variable Y, Variable Sum) AddForward(Tape tape, Variable h, Variable residual) =>
        Functions.AddNorm(tape, h, residual, tape.Use(Weight), tape.Use(Bias));
}

/// <summary>Batch normalisation of the last axis with running statistics; eps 1e-5, momentum 0.1, as BatchNorm1d.</summary>
public sealed class BatchNormLayer : Module
{
    private readonly Parameter _weight, _bias, _mean, _variance, _batches;

    /// <summary>Makes the layer for <paramref name="channels"/> channels.</summary>
    /// <param name="store">Owner of the weights.</param>
    /// <param name="channels">Channels.</param>
    /// <param name="affine">Weight and bias are trained; else they stay as they are, which is 1 and 0 after initialisation.</param>
    public BatchNormLayer(ParameterStore store, int channels, bool affine = true)
    {
        _weight = affine ? store.New(new Shape(channels)) : store.NewBuffer(new Shape(channels));
        _bias = affine ? store.New(new Shape(channels)) : store.NewBuffer(new Shape(channels));
        _mean = store.NewBuffer(new Shape(channels));
        _variance = store.NewBuffer(new Shape(channels));
        _batches = store.NewBuffer(Shape.Scalar, DType.I64);
    }

    /// <inheritdoc/>
    public override void Visit(ParameterVisitor visitor)
    {
        visitor.Parameter("weight", _weight);
        visitor.Parameter("bias", _bias);
        visitor.Parameter("running_mean", _mean);
        visitor.Parameter("running_var", _variance);
        visitor.Parameter("num_batches_tracked", _batches);
    }

    /// <summary>Normalises x (N, C) or (B, L, C).</summary>
    /// <param name="tape">Where to record.</param>
    /// <param name="x">The batch.</param>
    /// <param name="training">Statistics of this batch, which also move the running ones; else the running ones.</param>
    /// <param name="lengths">In training of (B, L, C): positions at or past a length stay out of the statistics; none counts all, as upstream does.</param>
    public Variable Forward(Tape tape, Variable x, bool training, Variable lengths = default)
    {
        var outputs = new VariableArray5();
        tape.Apply<BatchNorm, BatchNorm.Attr>([x, tape.Use(_weight), tape.Use(_bias), tape.Use(_mean), tape.Use(_variance), lengths], new(training), outputs);
        if (training)
        {
            _mean.Assign(outputs[1].Value);
            _variance.Assign(outputs[2].Value);
            _batches.Value.CopyFrom<long>([_batches.Value.ToArray<long>()[0] + 1]);
        }
        return outputs[0];
    }

    [System.Runtime.CompilerServices.InlineArray(5)]
    private struct VariableArray5
    {
        private Variable _first;
    }
}
