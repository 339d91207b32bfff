namespace Orthrus.Tensor;

/// <summary>Operands of a forward kernel.</summary>
public readonly ref struct OpArgs
{
    internal OpArgs(ReadOnlySpan<Tensor> inputs, ReadOnlySpan<Tensor> outputs, Scope scratch, DType dtype, in Tensor workspace = default)
    {
        DType = dtype;
        Inputs = inputs;
        Outputs = outputs;
        Workspace = workspace;
        Scratch = scratch;
    }

    /// <summary>Operands in the order of the signature; absent optional ones are <see cref="Tensor.None"/>.</summary>
    public ReadOnlySpan<Tensor> Inputs { get; }
    /// <summary>Results, allocated by the shape rule, contents undefined. A result the rule left out is none.</summary>
    public ReadOnlySpan<Tensor> Outputs { get; }
    /// <summary>What to fill for backward, see <see cref="IOp{TAttr}.Workspace"/>, contents undefined; none at inference.</summary>
    public Tensor Workspace { get; }
    /// <summary>Scope for temporary memory; it ends with the call.</summary>
    public Scope Scratch { get; }
    /// <summary>Element type of the call's activations: F32, F64 or BF16.</summary>
    public DType DType { get; }
    /// <summary>The CUDA device, for CUDA kernels.</summary>
    public CudaDevice Cuda => (CudaDevice)Scratch.Device;
    /// <summary>Threads of the device.</summary>
    public WorkerPool Workers => ((CpuDevice)Scratch.Device).Workers;
    /// <summary>Vector width of the device in bits, for <see cref="Cpu.SimdDispatch"/>.</summary>
    public int VectorWidth => ((CpuDevice)Scratch.Device).VectorWidth;
}

/// <summary>Operands of a backward kernel.</summary>
public readonly ref struct GradArgs
{
    internal GradArgs(ReadOnlySpan<Tensor> inputs, ReadOnlySpan<Tensor> outputs, ReadOnlySpan<Tensor> outputGrads, ReadOnlySpan<Tensor> inputGrads, Scope scratch, DType dtype, in Tensor workspace = default)
    {
        Workspace = workspace;
        DType = dtype;
        Inputs = inputs;
        Outputs = outputs;
        OutputGrads = outputGrads;
        InputGrads = inputGrads;
        Scratch = scratch;
    }

    /// <summary>Operands of the forward call; none unless <see cref="Saves.Inputs"/> (shapes of absent ones are gone, too).</summary>
    public ReadOnlySpan<Tensor> Inputs { get; }
    /// <summary>Results of the forward call; none unless <see cref="Saves.Outputs"/>.</summary>
    public ReadOnlySpan<Tensor> Outputs { get; }
    /// <summary>What the forward call left; none unless <see cref="Saves.Workspace"/>.</summary>
    public Tensor Workspace { get; }
    /// <summary>Gradient of the loss with respect to each result; none means zero.</summary>
    public ReadOnlySpan<Tensor> OutputGrads { get; }
    /// <summary>Where to write the gradient of each operand; none means not wanted. Contents undefined on entry.</summary>
    public ReadOnlySpan<Tensor> InputGrads { get; }
    /// <summary>Scope for temporary memory; it ends with the call.</summary>
    public Scope Scratch { get; }
    /// <summary>Element type of the call's activations: F32, F64 or BF16.</summary>
    public DType DType { get; }
    /// <summary>The CUDA device, for CUDA kernels.</summary>
    public CudaDevice Cuda => (CudaDevice)Scratch.Device;
    /// <summary>Threads of the device.</summary>
    public WorkerPool Workers => ((CpuDevice)Scratch.Device).Workers;
    /// <summary>Vector width of the device in bits, for <see cref="Cpu.SimdDispatch"/>.</summary>
    public int VectorWidth => ((CpuDevice)Scratch.Device).VectorWidth;
}

/// <summary>
/// Operands of a specification, as flat row-major arrays of abstract reals, with their shapes. Integer operands stand in <see cref="Int"/>.
/// </summary>
public readonly ref struct RefArgs<R> where R : struct, IReal<R>
{
    private readonly R[]?[] _in;
    private readonly R[]?[] _out;
    private readonly long[]?[] _ints;

    internal RefArgs(R[]?[] inputs, long[]?[] ints, R[]?[] outputs, ShapeRule rule)
    {
        _in = inputs;
        _ints = ints;
        _out = outputs;
        Rule = rule;
    }

    /// <summary>Shapes and dtypes of operands and results.</summary>
    public ShapeRule Rule { get; }
    /// <summary>True where optional operand <paramref name="i"/> is present.</summary>
    public bool Has(int i) => _in[i] is not null || _ints[i] is not null;
    /// <summary>True where result <paramref name="i"/> is produced.</summary>
    public bool HasOut(int i) => _out[i] is not null;
    /// <summary>Real operand <paramref name="i"/>; empty where absent.</summary>
    public R[] In(int i) => _in[i] ?? [];
    /// <summary>Integer operand <paramref name="i"/>; empty where absent.</summary>
    public long[] Int(int i) => _ints[i] ?? [];
    /// <summary>Result <paramref name="i"/>, to be filled; initially zeros.</summary>
    public R[] Out(int i) => _out[i] ?? [];
    /// <summary>Shape of operand <paramref name="i"/>.</summary>
    public Shape Shape(int i) => Rule.In(i).Shape;
    /// <summary>Shape of result <paramref name="i"/>.</summary>
    public Shape OutShape(int i) => Rule.OutSpec(i).Shape;
}
