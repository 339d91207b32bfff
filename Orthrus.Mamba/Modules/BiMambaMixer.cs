using Orthrus.Autograd;
using Orthrus.Tensor;

namespace Orthrus.Mamba;

/// <summary>How the two directions of a bidirectional mixer are joined.</summary>
public enum BidirectionalStrategy : byte
{
    /// <summary>Sum.</summary>
    Add,
    /// <summary>Elementwise product.</summary>
    Multiply,
}

/// <summary>
/// A mixer over each record and one over its reverse: y = F(u) + R(G(R(u))), or the product. Every record is reversed within its own length, so that
/// padding never reaches it (upstream's draft reverses the padded batch). The two share in_proj and out_proj. It needs the whole record.
/// </summary>
public sealed class BiMambaMixer : Module
{
    private readonly BidirectionalStrategy _strategy;

    /// <summary>Makes both mixers.</summary>
    public BiMambaMixer(ParameterStore store, MambaConfig config, BidirectionalStrategy strategy = BidirectionalStrategy.Add)
    {
        _strategy = strategy;
        Fwd = new(store, config);
        Rev = new(store, config, shared: Fwd);
    }

    /// <summary>Over the record.</summary>
    public MambaMixer Fwd { get; }
    /// <summary>Over its reverse.</summary>
    public MambaMixer Rev { get; }

    /// <inheritdoc/>
    public override void Visit(ParameterVisitor visitor)
    {
        visitor.Child("mamba_fwd", Fwd);
        visitor.Child("mamba_rev", Rev);
    }

    /// <summary>Mixes u (B, L, D) over time in both directions.</summary>
    /// <param name="tape">Where to record.</param>
    /// <param name="u">(B, L, D).</param>
    /// <param name="lengths">(B) I32; none where all records have length L.</param>
    public Variable Forward(Tape tape, Variable u, Variable lengths)
    {
        using var frame = tape.Open();
        var forward = Fwd.Forward(tape, u);
        var reverse = Functions.Reverse(tape, Rev.Forward(tape, Functions.Reverse(tape, u, lengths)), lengths);
        return frame.Keep(tape.Apply<Combine, Combine.Attr>([forward, reverse], new(_strategy == BidirectionalStrategy.Multiply)));
    }
}
