using Orthrus.Tensor;

namespace Orthrus.Autograd;

using Tensor = Orthrus.Tensor.Tensor;

/// <summary>
/// A value on a <see cref="Tape"/>: a light handle that costs no memory. The default value is "none", for optional operands. A handle ends
/// with the tape's next <see cref="Tape.Reset"/>.
/// </summary>
public readonly struct Variable
{
    private readonly Tape? _tape;
    private readonly int _epoch;

    internal Variable(Tape tape, int epoch, int index) => (_tape, _epoch, Index) = (tape, epoch, index);

    /// <summary>The absent operand.</summary>
    public static Variable None => default;

    /// <summary>True for the absent operand.</summary>
    public bool IsNone => _tape is null;

    /// <summary>The number itself.</summary>
    /// <exception cref="LifetimeException">The tape was reset, or the frame that made the value has ended.</exception>
    public Tensor Value => Owner.ValueOf(this);

    /// <summary>Extents.</summary>
    public Shape Shape => Value.Shape;

    /// <summary>Element type.</summary>
    public DType DType => Value.DType;

    /// <summary>True where a gradient flows to this value.</summary>
    public bool RequiresGrad => Owner.RequiresGrad(this);

    internal int Index { get; }

    internal Tape Owner => _tape ?? throw new LifetimeException("an absent variable was used");

    internal bool IsOf(Tape tape, int epoch) => _tape == tape && _epoch == epoch;
}
