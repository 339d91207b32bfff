namespace Orthrus.Tensor;

/// <summary>
/// An operator without its types, for code that walks all of them: checks, tables, benchmarks. Users make rows of their own operators with
/// <see cref="Of{TOp, TAttr}"/>.
/// </summary>
public abstract class OpRow
{
    /// <summary>Name of the operator.</summary>
    public abstract string Name { get; }
    /// <summary>Operands and results.</summary>
    public abstract OpSignature Signature { get; }
    /// <summary>Full name of the operator's type, under which its documentation stands.</summary>
    public abstract string TypeName { get; }
    /// <summary>What backward needs.</summary>
    public abstract Saves Saves { get; }
    /// <summary>Its samples.</summary>
    public abstract IReadOnlyList<SampleRow> Samples { get; }

    /// <summary>The row of an operator.</summary>
    public static OpRow Of<TOp, TAttr>() where TOp : IOp<TAttr> where TAttr : unmanaged => new Typed<TOp, TAttr>();

    private sealed class Typed<TOp, TAttr> : OpRow where TOp : IOp<TAttr> where TAttr : unmanaged
    {
        private readonly Lazy<SampleRow[]> _samples = new(() => [.. TOp.Samples().Select(s => new SampleRow.Typed<TOp, TAttr>(s))]);
        public override string Name => TOp.Name;
        public override string TypeName => typeof(TOp).FullName!;
        public override OpSignature Signature => TOp.Signature;
        public override Saves Saves => TOp.Saves;
        public override IReadOnlyList<SampleRow> Samples => _samples.Value;
    }
}

/// <summary>One sample of one operator, ready to run in every precision and on every number type.</summary>
public abstract class SampleRow
{
    /// <summary>Name of the sample.</summary>
    public abstract string Name { get; }
    /// <summary>Recipes of the operands.</summary>
    public abstract IReadOnlyList<SampleInput> Inputs { get; }
    /// <summary>Only for timing.</summary>
    public abstract bool Bench { get; }
    /// <summary>Factor on the error bound.</summary>
    public abstract double Slack { get; }
    /// <summary>Shapes of the call.</summary>
    public abstract ShapeRule Rule(DType dtype);
    /// <summary>Work of the call.</summary>
    public abstract OpCost Cost(DType dtype);
    /// <summary>Runs the specification.</summary>
    /// <param name="inputs">Flat real operands; null for absent and integer ones.</param>
    /// <param name="ints">Flat integer operands; null for others.</param>
    /// <returns>Flat results; null for those not produced.</returns>
    public abstract R[]?[] Reference<R>(R[]?[] inputs, long[]?[] ints) where R : struct, IReal<R>;
    /// <summary>Runs the forward kernel; with <paramref name="forBackward"/> it returns the workspace that backward wants, see <see cref="Op"/>.</summary>
    public abstract Tensor Forward(Scope scope, ReadOnlySpan<Tensor> inputs, Span<Tensor> outputs, bool forBackward = false);
    /// <summary>Runs the backward kernel.</summary>
    public abstract void Backward(Scope scope, ReadOnlySpan<Tensor> inputs, ReadOnlySpan<Tensor> outputs, ReadOnlySpan<Tensor> outputGrads, ReadOnlySpan<Tensor> inputGrads, in Tensor workspace = default);

    internal sealed class Typed<TOp, TAttr>(Sample<TAttr> sample) : SampleRow where TOp : IOp<TAttr> where TAttr : unmanaged
    {
        public override string Name => sample.Name;
        public override IReadOnlyList<SampleInput> Inputs => sample.Inputs;
        public override bool Bench => sample.Bench;
        public override double Slack => sample.Slack;

        public override ShapeRule Rule(DType dtype)
        {
            var specs = sample.Inputs.Select((x, i) => x.Present ? new TensorSpec(x.Shape, x.IsInteger ? x.IntegerType : TOp.Signature.Inputs[i].In(dtype)) : TensorSpec.Absent).ToArray();
            return Op.Infer<TOp, TAttr>(specs, sample.Attr);
        }

        public override OpCost Cost(DType dtype) => TOp.Cost(Rule(dtype), sample.Attr);

        public override R[]?[] Reference<R>(R[]?[] inputs, long[]?[] ints)
        {
            var rule = Rule(DType.F64);
            var outputs = new R[]?[TOp.Signature.Outputs.Length];
            for (int i = 0; i < outputs.Length; i++)
            {
                if (!rule.OutSpec(i).Present) continue;
                outputs[i] = new R[rule.OutSpec(i).Shape.Count];
                Array.Fill(outputs[i]!, R.From(0));
            }
            TOp.Reference(new RefArgs<R>(inputs, ints, outputs, rule), sample.Attr);
            return outputs;
        }

        public override Tensor Forward(Scope scope, ReadOnlySpan<Tensor> inputs, Span<Tensor> outputs, bool forBackward = false) =>
            Op.Forward<TOp, TAttr>(scope, inputs, sample.Attr, outputs, forBackward);

        public override void Backward(Scope scope, ReadOnlySpan<Tensor> inputs, ReadOnlySpan<Tensor> outputs, ReadOnlySpan<Tensor> outputGrads, ReadOnlySpan<Tensor> inputGrads, in Tensor workspace = default) =>
            Op.Backward<TOp, TAttr>(scope, inputs, outputs, outputGrads, inputGrads, sample.Attr, workspace);
    }
}
