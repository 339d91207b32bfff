using System.Runtime.CompilerServices;

namespace Orthrus.Tensor;

[InlineArray(OpLimits.MaxOperands)]
internal struct TensorArray
{
    private Tensor _first;
}

/// <summary>Runs operators: checks operands, allocates results, dispatches by device and dtype. No managed allocation.</summary>
public static class Op
{
    /// <summary>Shapes of a call; throws where the operands do not fit.</summary>
    /// <exception cref="ShapeException">Operands do not fit.</exception>
    public static ShapeRule Infer<TOp, TAttr>(ReadOnlySpan<TensorSpec> inputs, in TAttr attr)
        where TOp : IOp<TAttr> where TAttr : unmanaged
    {
        var signature = TOp.Signature;
        var rule = new ShapeRule(TOp.Name, signature);
        if (inputs.Length != signature.Inputs.Length)
            throw new ShapeException($"{TOp.Name}: {inputs.Length} operands; want {signature.Inputs.Length}");
        bool typed = false;
        for (int i = 0; i < inputs.Length; i++)
        {
            rule.SetIn(i, inputs[i]);
            var operand = signature.Inputs[i];
            if (!inputs[i].Present)
            {
                if (!operand.Optional) throw rule.Wrong(i, "is absent");
                continue;
            }
            if (operand.Kind == OperandKind.Integer)
            {
                if (inputs[i].DType is not (DType.U8 or DType.I32 or DType.I64)) throw rule.Wrong(i, $"is {inputs[i].DType}; want integers");
                continue;
            }
            if (inputs[i].DType is not (DType.F32 or DType.F64)) throw rule.Wrong(i, $"is {inputs[i].DType}; want F32 or F64 (BF16 is converted at the edge)");
            if (!typed) rule.DType = inputs[i].DType;
            else if (inputs[i].DType != rule.DType) throw rule.Wrong(i, $"is {inputs[i].DType}; want {rule.DType} as the other operands");
            typed = true;
        }
        TOp.Infer(ref rule, attr);
        return rule;
    }

    /// <summary>Runs the forward kernel.</summary>
    /// <param name="scope">Owner of the results.</param>
    /// <param name="inputs">Operands in the order of the signature; <see cref="Tensor.None"/> for absent ones.</param>
    /// <param name="attr">Options.</param>
    /// <param name="outputs">Receives the results; as long as the signature's.</param>
    /// <exception cref="ShapeException">Operands do not fit.</exception>
    /// <exception cref="DeviceException">Operands live on different devices.</exception>
    public static void Forward<TOp, TAttr>(Scope scope, ReadOnlySpan<Tensor> inputs, in TAttr attr, Span<Tensor> outputs)
        where TOp : IOp<TAttr> where TAttr : unmanaged
    {
        var rule = InferFrom<TOp, TAttr>(scope.Device, inputs, attr);
        for (int i = 0; i < outputs.Length; i++)
        {
            var spec = rule.OutSpec(i);
            outputs[i] = spec.Present ? scope.Empty(spec.Shape, spec.DType) : Tensor.None;
        }
        using var scratch = scope.Device.OpenScope();
        var args = new OpArgs(inputs, outputs, scratch);
        if (rule.DType == DType.F32) TOp.ForwardCpu<float>(args, attr);
        else TOp.ForwardCpu<double>(args, attr);
    }

    /// <summary>Runs the forward kernel of an operator with one result.</summary>
    /// <inheritdoc cref="Forward{TOp, TAttr}(Scope, ReadOnlySpan{Tensor}, in TAttr, Span{Tensor})"/>
    public static Tensor Forward<TOp, TAttr>(Scope scope, ReadOnlySpan<Tensor> inputs, in TAttr attr)
        where TOp : IOp<TAttr> where TAttr : unmanaged
    {
        var outputs = new TensorArray();
        Forward<TOp, TAttr>(scope, inputs, attr, ((Span<Tensor>)outputs)[..TOp.Signature.Outputs.Length]);
        return outputs[0];
    }

    /// <summary>Runs the backward kernel.</summary>
    /// <param name="scope">Any open scope of the device; nothing is left in it.</param>
    /// <param name="inputs">Operands of the forward call.</param>
    /// <param name="outputs">Its results.</param>
    /// <param name="outputGrads">Gradients of the results; none for zero.</param>
    /// <param name="inputGrads">Tensors to overwrite with the operands' gradients; none for those not wanted.</param>
    /// <param name="attr">Options of the forward call.</param>
    public static void Backward<TOp, TAttr>(Scope scope, ReadOnlySpan<Tensor> inputs, ReadOnlySpan<Tensor> outputs,
        ReadOnlySpan<Tensor> outputGrads, ReadOnlySpan<Tensor> inputGrads, in TAttr attr)
        where TOp : IOp<TAttr> where TAttr : unmanaged
    {
        DType dtype = DType.F32;
        foreach (var t in outputGrads)
            if (!t.IsNone) dtype = t.DType;
        using var scratch = scope.Device.OpenScope();
        var args = new GradArgs(inputs, outputs, outputGrads, inputGrads, scratch);
        if (dtype == DType.F32) TOp.BackwardCpu<float>(args, attr);
        else TOp.BackwardCpu<double>(args, attr);
    }

    private static ShapeRule InferFrom<TOp, TAttr>(Device device, ReadOnlySpan<Tensor> inputs, in TAttr attr)
        where TOp : IOp<TAttr> where TAttr : unmanaged
    {
        var specs = new SpecArray();
        if (inputs.Length > OpLimits.MaxOperands) throw new ShapeException($"{TOp.Name}: {inputs.Length} operands; at most {OpLimits.MaxOperands} are possible");
        for (int i = 0; i < inputs.Length; i++)
        {
            specs[i] = TensorSpec.Of(inputs[i]);
            if (!inputs[i].IsNone && inputs[i].Device != device)
                throw new DeviceException($"{TOp.Name}: operand {TOp.Signature.Inputs[i].Name} lives on {inputs[i].Device.Name}, the call runs on {device.Name}");
        }
        return Infer<TOp, TAttr>(((ReadOnlySpan<TensorSpec>)specs)[..inputs.Length], attr);
    }
}
