using Orthrus.Autograd;

namespace Orthrus.Mamba;

/// <summary>Layer norm of the residual stream, then the mixer. The residual stream itself passes by.</summary>
public sealed class MambaBlock : Module, IRecomputable
{
    private readonly MambaMixer? _mixer;
    private readonly BiMambaMixer? _bidirectional;

    /// <summary>Makes the block; its weights are zeros until initialised or loaded.</summary>
    public MambaBlock(ParameterStore store, MambaConfig config)
    {
        if (config.Bidirectional) _bidirectional = new(store, config);
        else _mixer = new(store, config);
        Norm = new(store, config.DModel);
    }

    /// <summary>Before the mixer.</summary>
    public LayerNormLayer Norm { get; }

    /// <inheritdoc/>
    public override void Visit(ParameterVisitor visitor)
    {
        visitor.Child("mixer", _mixer ?? (Module)_bidirectional!);
        visitor.Child("norm", Norm);
    }

    /// <summary>One step of the residual stream.</summary>
    /// <param name="tape">Where to record.</param>
    /// <param name="inputs">Output of the block before (B, L, D); residual stream before that output was added, none in the first block; lengths (B) or none.</param>
    /// <param name="outputs">The mixer's output; the stream that was normalised, none in the first block, where it is the first input.</param>
    public void Forward(Tape tape, ReadOnlySpan<Variable> inputs, Span<Variable> outputs) => Forward(tape, inputs, outputs, null, "");

    internal void Forward(Tape tape, ReadOnlySpan<Variable> inputs, Span<Variable> outputs, Action<string, Variable>? observe, string name)
    {
        using var frame = tape.Open();
        Variable h = inputs[0], residual = inputs[1], lengths = inputs[2], u, sum = Variable.None;
        if (residual.IsNone) u = Norm.Forward(tape, h);
        else (u, sum) = Norm.AddForward(tape, h, residual);
        var y = _mixer is not null ? _mixer.Forward(tape, u) : _bidirectional!.Forward(tape, u, lengths);
        observe?.Invoke(name + "residual", residual.IsNone ? h : sum);
        observe?.Invoke(name + "norm", u);
        observe?.Invoke(name + "mixer", y);
        outputs[0] = frame.Keep(y);
        outputs[1] = frame.Keep(sum);
    }

    /// <summary>The input projection of a first block; null where there is a reverse direction, which projects reversed records.</summary>
    internal (Variable X, Variable Z)? Project(Tape tape, Variable h) => _mixer?.Project(tape, Norm.Forward(tape, h));

    /// <summary>The step of a first block whose input projection is known. Ends x.</summary>
    internal Variable Mix(Tape tape, Variable x, Variable z, CarriedStates? states)
    {
        using var frame = tape.Open();
        var y = frame.Keep(_mixer!.Mix(tape, x, z, states is null ? default : states.Of(tape, 0), out var final));
        states?.Set(tape, 0, final);
        return y;
    }

    /// <summary>The step at inference, for a stretch that goes on where another ended.</summary>
    internal void Forward(Tape tape, Variable h, Variable residual, CarriedStates states, int layer, Span<Variable> outputs)
    {
        using var frame = tape.Open();
        Variable u, sum = Variable.None;
        if (residual.IsNone) u = Norm.Forward(tape, h);
        else (u, sum) = Norm.AddForward(tape, h, residual);
        outputs[0] = frame.Keep(_mixer!.Forward(tape, u, states.Of(tape, layer), out var final));
        outputs[1] = frame.Keep(sum);
        states.Set(tape, layer, final);
    }
}
