using Orthrus.Autograd;
using Orthrus.Tensor;

namespace Orthrus.Mamba;

/// <summary>What a mixer carries from one stretch of a sequence to the next; none for zeros.</summary>
/// <param name="Conv">Last K - 1 inputs of the convolution, oldest first (B, K - 1, E).</param>
/// <param name="Scan">State of the scan (B, E, N).</param>
public readonly record struct MixerState(Variable Conv, Variable Scan);

/// <summary>
/// Mamba-1 mixer: causal convolution and selective scan over time, gated; input and output (B, L, D). Source: Gu and Dao 2023.
/// </summary>
/// <remarks>Rows of in_proj and x_proj give x, z, delta, B and C as tensors of their own.</remarks>
public sealed class MambaMixer : Module
{
    private readonly int _inner, _rank, _state;

    /// <summary>Makes the mixer; its weights are zeros until initialised or loaded.</summary>
    /// <param name="store">Owner of the weights.</param>
    /// <param name="config">Sizes.</param>
    /// <param name="shared">A mixer whose in_proj and out_proj this one uses instead of having its own (the reverse direction of a tied pair).</param>
    public MambaMixer(ParameterStore store, MambaConfig config, MambaMixer? shared = null)
    {
        (_inner, _rank, _state) = (config.DInner, config.DtRank, config.DState);
        IsTied = shared is not null;
        ALog = store.New(new Shape(_inner, _state));
        D = store.New(new Shape(_inner));
        InProj = shared?.InProj ?? store.New(new Shape(2 * _inner, config.DModel), Precision.Weight);
        ConvWeight = store.New(new Shape(_inner, 1, config.DConv));
        ConvBias = store.New(new Shape(_inner));
        XProj = store.New(new Shape(_rank + 2 * _state, _inner), Precision.Weight);
        DtWeight = store.New(new Shape(_inner, _rank), Precision.Weight);
        DtBias = store.New(new Shape(_inner));
        OutProj = shared?.OutProj ?? store.New(new Shape(config.DModel, _inner), Precision.Weight);
    }

    /// <summary>True where in_proj and out_proj belong to another mixer.</summary>
    public bool IsTied { get; }
    /// <summary>(E, N); A = -exp(A_log).</summary>
    public Parameter ALog { get; }
    /// <summary>Skip weights (E).</summary>
    public Parameter D { get; }
    /// <summary>(2E, D): the rows of x, then those of the gate z.</summary>
    public Parameter InProj { get; }
    /// <summary>(E, 1, K).</summary>
    public Parameter ConvWeight { get; }
    /// <summary>(E).</summary>
    public Parameter ConvBias { get; }
    /// <summary>(R + 2N, E): the rows of delta, B and C.</summary>
    public Parameter XProj { get; }
    /// <summary>(E, R).</summary>
    public Parameter DtWeight { get; }
    /// <summary>(E), added to delta before softplus.</summary>
    public Parameter DtBias { get; }
    /// <summary>(D, E).</summary>
    public Parameter OutProj { get; }

    /// <inheritdoc/>
    public override void Visit(ParameterVisitor visitor)
    {
        visitor.Parameter("A_log", ALog);
        visitor.Parameter("D", D);
        if (!IsTied) visitor.Parameter("in_proj.weight", InProj);
        visitor.Parameter("conv1d.weight", ConvWeight);
        visitor.Parameter("conv1d.bias", ConvBias);
        visitor.Parameter("x_proj.weight", XProj);
        visitor.Parameter("dt_proj.weight", DtWeight);
        visitor.Parameter("dt_proj.bias", DtBias);
        if (!IsTied) visitor.Parameter("out_proj.weight", OutProj);
    }

    /// <summary>Mixes u (B, L, D) over time.</summary>
    public Variable Forward(Tape tape, Variable u) => Forward(tape, u, default, out _);

    /// <summary>Mixes a stretch of a sequence that goes on where another ended.</summary>
    /// <param name="tape">Where to record.</param>
    /// <param name="u">(B, L, D).</param>
    /// <param name="initial">What the stretch before left; default at the start.</param>
    /// <param name="final">What the next stretch needs. It carries gradients.</param>
    public Variable Forward(Tape tape, Variable u, MixerState initial, out MixerState final)
    {
        using var frame = tape.Open();
        var (x, z) = Project(tape, u);
        var y = Mix(tape, x, z, initial, out final);
        final = new(frame.Keep(final.Conv), frame.Keep(final.Scan));
        return frame.Keep(y);
    }

    /// <summary>The input projection: what is mixed, and its gate, (B, L, E) each.</summary>
    internal (Variable X, Variable Z) Project(Tape tape, Variable u)
    {
        var inProj = tape.Use(InProj);
        return (Functions.Linear(tape, u, tape.Rows(inProj, 0, _inner), Variable.None), Functions.Linear(tape, u, tape.Rows(inProj, _inner, _inner), Variable.None));
    }

    /// <summary>Everything behind the input projection. Ends x.</summary>
    internal Variable Mix(Tape tape, Variable x, Variable z, MixerState initial, out MixerState final)
    {
        using var frame = tape.Open();
        var kernel = tape.Reshape(tape.Use(ConvWeight), new Shape(_inner, ConvWeight.Shape.Last));
        var (c, conv) = Functions.ConvSiLU(tape, x, kernel, tape.Use(ConvBias), initial.Conv);
        tape.Free(x);
        var (dt, b, readout) = Functions.LinearSplit(tape, c, tape.Use(XProj), _rank, _state);
        var delta = Functions.Linear(tape, dt, tape.Use(DtWeight), Variable.None);
        tape.Free(dt);
        var (g, scan) = Functions.SelectiveScan(tape, c, delta, tape.Use(ALog), b, readout, tape.Use(D), z, tape.Use(DtBias), initial.Scan);
        final = new(frame.Keep(conv), frame.Keep(scan));
        return frame.Keep(Functions.Linear(tape, g, tape.Use(OutProj), Variable.None));
    }
}
