using System.Numerics;

namespace Orthrus.Tensor;

/// <summary>
/// A differentiable operator. One file holds everything: signature, shape rule, specification, kernels, facts, samples. Nothing is optional: an
/// operator without a backward, or without kernels for one of the two devices, does not compile.
/// </summary>
/// <typeparam name="TAttr">Options of the operator: an unmanaged value.</typeparam>
public interface IOp<TAttr> where TAttr : unmanaged
{
    /// <summary>Name in tables and messages, snake_case.</summary>
    static abstract string Name { get; }

    /// <summary>Operands and results, in order.</summary>
    static abstract OpSignature Signature { get; }

    /// <summary>
    /// Shape and dtype rule: checks inputs (dtype equality of the floating inputs is checked before) and sets outputs.
    /// </summary>
    /// <exception cref="ShapeException">The operands do not fit; the message names operand, shape found and shape wanted.</exception>
    static abstract void Infer(ref ShapeRule rule, in TAttr attr);

    /// <summary>The specification: a plain loop over an abstract real number. It is documentation and oracle; it is never fast.</summary>
    static abstract void Reference<R>(in RefArgs<R> args, in TAttr attr) where R : struct, IReal<R>;

    /// <summary>CPU kernel. Outputs arrive with undefined contents and are overwritten completely. T is float or double.</summary>
    static abstract void ForwardCpu<T>(in OpArgs args, in TAttr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T>;

    /// <summary>
    /// CPU kernel of the vector-Jacobian product. Overwrites <see cref="GradArgs.InputGrads"/>; those that are none are not wanted; output
    /// gradients that are none are zero. T is float or double.
    /// </summary>
    static abstract void BackwardCpu<T>(in GradArgs args, in TAttr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T>;

    /// <summary>
    /// CUDA kernel, launched on the device's stream; as <see cref="ForwardCpu"/>. The call's dtype (<see cref="OpArgs.DType"/>) is F32 or, where the signature allows it, BF16. An operator
    /// for the CPU alone throws <see cref="CudaKernel.Missing"/>.
    /// </summary>
    static abstract void ForwardCuda(in OpArgs args, in TAttr attr);

    /// <summary>CUDA kernel of the vector-Jacobian product; as <see cref="BackwardCpu"/>.</summary>
    static abstract void BackwardCuda(in GradArgs args, in TAttr attr);

    /// <summary>What backward needs kept from the forward pass.</summary>
    static abstract Saves Saves { get; }

    /// <summary>
    /// Shape and dtype of what a forward call leaves for its backward call besides operands and results, where <see cref="Saves.Workspace"/> says that it leaves
    /// anything: what would cost more to compute again than to keep. It is no result: inference does not write it.
    /// </summary>
    static virtual TensorSpec Workspace(in ShapeRule rule, in TAttr attr, DeviceKind device) => TensorSpec.Absent;

    /// <summary>Work of one call, for benchmarks and rooflines.</summary>
    static abstract OpCost Cost(in ShapeRule rule, in TAttr attr);

    /// <summary>Rows that tests, gradient checks and benchmarks share. At least one has every optional operand, one has none.</summary>
    static abstract IEnumerable<Sample<TAttr>> Samples();
}

/// <summary>What a backward kernel reads besides output gradients.</summary>
[Flags]
public enum Saves : byte
{
    /// <summary>Nothing.</summary>
    None = 0,
    /// <summary>The inputs.</summary>
    Inputs = 1,
    /// <summary>The outputs.</summary>
    Outputs = 2,
    /// <summary>The tensor of <see cref="IOp{TAttr}.Workspace"/>, which the forward kernels fill for it. Goes with <see cref="Inputs"/>.</summary>
    Workspace = 4,
}

/// <summary>Work of one call.</summary>
/// <param name="Flops">Floating-point operations of the forward kernel; a fused multiply-add counts two, exp and its like one.</param>
/// <param name="Bytes">Least number of bytes that the forward kernel must move: every operand read or written once.</param>
/// <param name="BackwardFlops">The same for backward.</param>
/// <param name="BackwardBytes">The same for backward.</param>
public readonly record struct OpCost(long Flops, long Bytes, long BackwardFlops, long BackwardBytes);

/// <summary>One operand or result of an operator.</summary>
/// <param name="Name">Its letter or word in the specification.</param>
/// <param name="Kind">Real numbers with or without gradient, or integers.</param>
/// <param name="Optional">May be absent.</param>
/// <param name="Precision">How it is stored where activations are BF16.</param>
public readonly record struct Operand(string Name, OperandKind Kind = OperandKind.Real, bool Optional = false, Precision Precision = Precision.Activation)
{
    /// <summary>Element type of a real operand in a call of some dtype.</summary>
    public DType In(DType call) => call == DType.BF16 && Precision == Precision.Wide ? DType.F32 : call;

    /// <summary>Element type of its gradient.</summary>
    public DType GradientIn(DType call) => call == DType.BF16 && Precision != Precision.Activation ? DType.F32 : call;
}

/// <summary>How a real operand or result is stored in a call whose activations are BF16; in F32 and F64 calls everything has the call's dtype.</summary>
public enum Precision : byte
{
    /// <summary>BF16, and so is its gradient.</summary>
    Activation,
    /// <summary>F32: states, statistics, parameters of norms and scans, biases, the residual stream, losses.</summary>
    Wide,
    /// <summary>BF16 with an F32 gradient: matrices of weights.</summary>
    Weight,
}

/// <summary>Kinds of operand.</summary>
public enum OperandKind : byte
{
    /// <summary>Real numbers through which gradients flow.</summary>
    Real,
    /// <summary>Real numbers without gradient: weights of a loss, running statistics.</summary>
    Constant,
    /// <summary>Integers: track bytes, lengths, labels.</summary>
    Integer,
}

/// <summary>Operands and results of an operator, in order.</summary>
/// <param name="Inputs">Operands.</param>
/// <param name="Outputs">Results.</param>
public sealed record OpSignature(Operand[] Inputs, Operand[] Outputs)
{
    /// <summary>Activations may be BF16 on a CUDA device.</summary>
    public bool BFloat16 { get; init; }
}
