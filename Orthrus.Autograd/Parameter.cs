using Orthrus.Tensor;

namespace Orthrus.Autograd;

using Tensor = Orthrus.Tensor.Tensor;

/// <summary>
/// A tensor that belongs to a module and outlives tapes: a weight with its gradient, or a buffer (running statistics), which has none.
/// </summary>
public sealed class Parameter
{
    private readonly Scope _scope;
    private Tape? _tape;
    private int _epoch, _index;

    internal Parameter(Scope scope, Shape shape, DType dtype, bool buffer)
    {
        _scope = scope;
        IsBuffer = buffer;
        RequiresGrad = !buffer;
        Value = scope.Zeros(shape, dtype);
    }

    /// <summary>The weights; zeros until initialised or loaded.</summary>
    public Tensor Value { get; }

    /// <summary>Extents of <see cref="Value"/>.</summary>
    public Shape Shape => Value.Shape;

    /// <summary>Element type of the gradient: F32 also where the weights are BF16.</summary>
    public DType GradType => Value.DType == DType.BF16 ? DType.F32 : Value.DType;

    /// <summary>State that is saved with the weights but not trained.</summary>
    public bool IsBuffer { get; }

    /// <summary>False freezes the parameter: tapes compute no gradient for it.</summary>
    public bool RequiresGrad { get; set; }

    /// <summary>
    /// The gradient that <see cref="Tape.Backward(Variable)"/> has added up since <see cref="ClearGrad"/>; none where there is none yet.
    /// </summary>
    public Tensor Grad => HasGrad ? GradBuffer : Tensor.None;

    /// <summary>Memory of the gradient, whatever it holds.</summary>
    internal Tensor GradBuffer { get; private set; }

    internal bool HasGrad { get; set; }

    /// <summary>Forgets the gradient. The next one overwrites it, so that nothing is cleared.</summary>
    public void ClearGrad() => HasGrad = false;

    /// <summary>Overwrites the value with another tensor's.</summary>
    /// <param name="source">Same extents, element type and device.</param>
    /// <exception cref="ShapeException">It does not fit.</exception>
    public void Assign(in Tensor source)
    {
        if (source.Shape != Value.Shape || source.DType != Value.DType) throw new ShapeException($"a parameter {Value} cannot take {source}");
        if (source.Device != Value.Device) throw new DeviceException($"a parameter of {Value.Device.Name} cannot take a tensor of {source.Device.Name}");
        Value.Device.Copy(Value.Address, source.Address, source.Bytes);
    }

    /// <summary>Overwrites the gradient, as after a sum over processes.</summary>
    /// <param name="source">As many elements as the parameter has, of the gradient's element type, on the same device.</param>
    /// <exception cref="ShapeException">It does not fit, or the parameter is a buffer.</exception>
    public void SetGrad(in Tensor source)
    {
        if (IsBuffer || source.Count != Value.Count || source.DType != GradType) throw new ShapeException($"the gradient of a parameter {Value} cannot take {source}");
        if (source.Device != Value.Device) throw new DeviceException($"a parameter of {Value.Device.Name} cannot take a tensor of {source.Device.Name}");
        Value.Device.Copy(NeedGradBuffer().Address, source.Address, source.Bytes);
        HasGrad = true;
    }

    internal Tensor NeedGradBuffer()
    {
        if (GradBuffer.IsNone) GradBuffer = _scope.Empty(Value.Shape, GradType);
        return GradBuffer;
    }

    internal bool TryFind(Tape tape, int epoch, out int index)
    {
        index = _index;
        return _tape == tape && _epoch == epoch;
    }

    internal void Remember(Tape tape, int epoch, int index) => (_tape, _epoch, _index) = (tape, epoch, index);
}

/// <summary>Owns the memory of parameters on one device in one precision; disposed with the model.</summary>
public sealed class ParameterStore : IDisposable
{
    private readonly Scope _scope;

    /// <summary>Opens a store.</summary>
    /// <param name="device">Where the parameters live.</param>
    /// <param name="dtype">F32; F64 for checking; BF16 on a CUDA device: matrices are then BF16, everything else F32.</param>
    /// <exception cref="ShapeException">Another element type.</exception>
    public ParameterStore(Device device, DType dtype)
    {
        if (dtype is not (DType.F32 or DType.F64) && (dtype != DType.BF16 || device.Kind != DeviceKind.Cuda)) throw new ShapeException($"parameters on {device.Name} are F32 or F64, not {dtype}");
        Activations = dtype;
        (Device, DType) = (device, dtype == DType.BF16 ? DType.F32 : dtype);
        _scope = device.OpenScope();
    }

    /// <summary>Where the parameters live.</summary>
    public Device Device { get; }

    /// <summary>Element type of parameters that are no matrices, and of real buffers.</summary>
    public DType DType { get; }

    /// <summary>Element type of the activations that the parameters are made for: BF16, or that of the parameters.</summary>
    public DType Activations { get; }

    /// <summary>A new trainable tensor of zeros.</summary>
    /// <param name="shape">Extents.</param>
    /// <param name="precision"><see cref="Precision.Weight"/> for a matrix that operators multiply activations with; it follows their element type.</param>
    public Parameter New(Shape shape, Precision precision = Precision.Wide) => new(_scope, shape, precision == Precision.Weight ? Activations : DType, buffer: false);

    /// <summary>A new tensor of zeros that is saved but not trained.</summary>
    public Parameter NewBuffer(Shape shape, DType? dtype = null) => new(_scope, shape, dtype ?? DType, buffer: true);

    /// <summary>Frees all parameters and gradients.</summary>
    public void Dispose() => _scope.Dispose();
}
