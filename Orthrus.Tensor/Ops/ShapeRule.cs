using System.Runtime.CompilerServices;

namespace Orthrus.Tensor;

/// <summary>Shape and dtype of an operand; default is "absent".</summary>
/// <param name="Shape">Extents.</param>
/// <param name="DType">Element type.</param>
/// <param name="Present">False for an absent optional operand.</param>
public readonly record struct TensorSpec(Shape Shape, DType DType, bool Present = true)
{
    /// <summary>The absent operand.</summary>
    public static TensorSpec Absent => default;
    /// <summary>The description of a tensor.</summary>
    public static TensorSpec Of(in Tensor t) => t.IsNone ? default : new(t.Shape, t.DType);
}

/// <summary>Largest number of operands or results of an operator.</summary>
internal static class OpLimits
{
    internal const int MaxOperands = 12;
}

[InlineArray(OpLimits.MaxOperands)]
internal struct SpecArray
{
    private TensorSpec _first;
}

/// <summary>Shapes of one call: filled with the operands, completed by the operator's rule. A value, so that inference costs no memory.</summary>
public struct ShapeRule
{
    private SpecArray _in, _out;
    private readonly string _op;
    private readonly OpSignature _signature;

    internal ShapeRule(string op, OpSignature signature)
    {
        _op = op;
        _signature = signature;
        DType = DType.F32;
    }

    /// <summary>Element type of the call's activations: that of the first real operand that is not wide, or else of the first real operand.</summary>
    public DType DType { get; internal set; }

    internal void SetIn(int i, TensorSpec spec) => _in[i] = spec;

    /// <summary>Operand <paramref name="i"/>.</summary>
    public readonly TensorSpec In(int i) => _in[i];
    /// <summary>True where optional operand <paramref name="i"/> is present.</summary>
    public readonly bool Has(int i) => _in[i].Present;
    /// <summary>Result <paramref name="i"/> as the rule set it.</summary>
    public readonly TensorSpec OutSpec(int i) => _out[i];

    /// <summary>Declares result <paramref name="i"/> with the call's dtype, or F32 where the signature makes it wide and the call is BF16.</summary>
    public void Out(int i, Shape shape) => _out[i] = new(shape, _signature.Outputs[i].In(DType));
    /// <summary>Declares result <paramref name="i"/>.</summary>
    public void Out(int i, Shape shape, DType dtype) => _out[i] = new(shape, dtype);

    /// <summary>Requires operand <paramref name="i"/> to have rank <paramref name="rank"/>, and returns its shape.</summary>
    public readonly Shape Rank(int i, int rank)
    {
        var s = _in[i].Shape;
        if (s.Rank != rank) throw Wrong(i, $"has shape {s}; want rank {rank}");
        return s;
    }

    /// <summary>Requires operand <paramref name="i"/>, where present, to have exactly this shape.</summary>
    public readonly void Exactly(int i, Shape want)
    {
        if (_in[i].Present && _in[i].Shape != want) throw Wrong(i, $"has shape {_in[i].Shape}; want {want}");
    }

    /// <summary>Requires operand <paramref name="i"/>, where present, to have this element type.</summary>
    public readonly void Type(int i, DType want)
    {
        if (_in[i].Present && _in[i].DType != want) throw Wrong(i, $"is {_in[i].DType}; want {want}");
    }

    /// <summary>Requires a condition on operand <paramref name="i"/>; the text completes "operand x ...".</summary>
    public readonly void Require(int i, bool condition, string text)
    {
        if (!condition) throw Wrong(i, text);
    }

    /// <inheritdoc cref="Require(int, bool, string)"/>
    /// <remarks>An interpolated text is put together only where the condition does not hold: a rule costs no memory.</remarks>
    public readonly void Require(int i, bool condition, [InterpolatedStringHandlerArgument(nameof(condition))] ref RequirementText text)
    {
        if (!condition) throw Wrong(i, text.ToString());
    }

    internal readonly ShapeException Wrong(int i, string text) => new($"{_op}: operand {_signature.Inputs[i].Name} {text}");

    /// <summary>Size of operand <paramref name="i"/> in bytes, 0 where it is absent.</summary>
    public readonly long InBytes(int i) => Bytes(_in[i]);

    /// <summary>Size of result <paramref name="i"/> in bytes, 0 where it is absent.</summary>
    public readonly long OutBytes(int i) => Bytes(_out[i]);

    /// <summary>Sum of the sizes of all operands and results in bytes, each in its own element type: what forward must move.</summary>
    public readonly long AllBytes()
    {
        long bytes = 0;
        for (int i = 0; i < _signature.Inputs.Length; i++) bytes += InBytes(i);
        for (int i = 0; i < _signature.Outputs.Length; i++) bytes += OutBytes(i);
        return bytes;
    }

    /// <summary>
    /// Sum of the sizes of the gradients of all real results (read) and all real operands (written) in bytes, each in its own element type: what backward
    /// must move besides the operands and results that it reads.
    /// </summary>
    public readonly long GradientBytes()
    {
        long bytes = 0;
        for (int i = 0; i < _signature.Inputs.Length; i++)
            if (_signature.Inputs[i].Kind == OperandKind.Real) bytes += Bytes(_in[i] with { DType = _signature.Inputs[i].GradientIn(DType) });
        for (int i = 0; i < _signature.Outputs.Length; i++)
            if (_signature.Outputs[i].Kind == OperandKind.Real) bytes += OutBytes(i);
        return bytes;
    }

    private static long Bytes(in TensorSpec spec) => spec.Present ? spec.Shape.Count * spec.DType.Size() : 0;
}

/// <summary>Text of a requirement, evaluated only where the requirement does not hold.</summary>
[InterpolatedStringHandler]
public ref struct RequirementText
{
    private DefaultInterpolatedStringHandler _text;

    /// <summary>Begins a text; the compiler calls it.</summary>
    public RequirementText(int literalLength, int formattedCount, bool condition, out bool wanted)
    {
        wanted = !condition;
        if (wanted) _text = new DefaultInterpolatedStringHandler(literalLength, formattedCount);
    }

    /// <summary>Adds fixed text; the compiler calls it.</summary>
    public void AppendLiteral(string text) => _text.AppendLiteral(text);

    /// <summary>Adds a value; the compiler calls it.</summary>
    public void AppendFormatted<T>(T value) => _text.AppendFormatted(value);

    /// <summary>The text.</summary>
    public override string ToString() => _text.ToString();
}
