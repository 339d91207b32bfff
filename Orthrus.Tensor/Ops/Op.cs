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
        rule.DType = CallType(signature, inputs);
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
            if (inputs[i].DType == DType.BF16 && !signature.BFloat16) throw rule.Wrong(i, "is BF16; want F32 or F64 (BF16 is converted at the edge)");
            if (inputs[i].DType is not (DType.F32 or DType.F64 or DType.BF16)) throw rule.Wrong(i, $"is {inputs[i].DType}; want F32 or F64");
            DType want = operand.In(rule.DType);
            if (inputs[i].DType != want) throw rule.Wrong(i, $"is {inputs[i].DType}; want {want} {(want == rule.DType ? "as the other operands" : "beside BF16 activations")}");
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
        where TOp : IOp<TAttr> where TAttr : unmanaged => Forward<TOp, TAttr>(scope, inputs, attr, outputs, forBackward: false);

    /// <summary>Runs the forward kernel, and where a backward call will follow makes it leave what that wants besides operands and results.</summary>
    /// <returns>The workspace for <see cref="Backward"/>, owned by the scope; none where the operator has none, or none is asked for.</returns>
    /// <inheritdoc cref="Forward{TOp, TAttr}(Scope, ReadOnlySpan{Tensor}, in TAttr, Span{Tensor})"/>
    /// <param name="scope">Owner of the results.</param>
    /// <param name="inputs">Operands in the order of the signature; <see cref="Tensor.None"/> for absent ones.</param>
    /// <param name="attr">Options.</param>
    /// <param name="outputs">Receives the results; as long as the signature's.</param>
    /// <param name="forBackward">A backward call will follow.</param>
    public static Tensor Forward<TOp, TAttr>(Scope scope, ReadOnlySpan<Tensor> inputs, in TAttr attr, Span<Tensor> outputs, bool forBackward)
        where TOp : IOp<TAttr> where TAttr : unmanaged
    {
        var rule = InferFrom<TOp, TAttr>(scope.Device, inputs, attr);
        for (int i = 0; i < outputs.Length; i++)
        {
            var spec = rule.OutSpec(i);
            outputs[i] = spec.Present ? scope.Empty(spec.Shape, spec.DType) : Tensor.None;
        }
        var workspace = Tensor.None;
        if (forBackward && (TOp.Saves & Saves.Workspace) != 0 && TOp.Workspace(rule, attr, scope.Device.Kind) is { Present: true } wanted) workspace = scope.Empty(wanted.Shape, wanted.DType);
        using var scratch = scope.Device.OpenScope();
        var args = new OpArgs(inputs, outputs, scratch, rule.DType, workspace);
        CheckType<TOp, TAttr>(scope.Device, rule.DType);
        if (scope.Device.Kind == DeviceKind.Cuda) TOp.ForwardCuda(args, attr);
        else if (rule.DType == DType.F32) TOp.ForwardCpu<float>(args, attr);
        else TOp.ForwardCpu<double>(args, attr);
        return workspace;
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
    /// <param name="workspace">What the forward call returned; none makes an operator that wants it run forward once more.</param>
    public static void Backward<TOp, TAttr>(Scope scope, ReadOnlySpan<Tensor> inputs, ReadOnlySpan<Tensor> outputs,
        ReadOnlySpan<Tensor> outputGrads, ReadOnlySpan<Tensor> inputGrads, in TAttr attr, in Tensor workspace = default)
        where TOp : IOp<TAttr> where TAttr : unmanaged
    {
        var signature = TOp.Signature;
        DType dtype = GradientCallType(signature, inputs, outputs, outputGrads, inputGrads);
        CheckType<TOp, TAttr>(scope.Device, dtype);
        using var scratch = scope.Device.OpenScope();
        var left = workspace;
        if (left.IsNone && (TOp.Saves & Saves.Workspace) != 0)
        {
            var again = new TensorArray();
            left = Forward<TOp, TAttr>(scratch, inputs, attr, ((Span<Tensor>)again)[..signature.Outputs.Length], forBackward: true);
        }
        var args = new GradArgs(inputs, outputs, outputGrads, inputGrads, scratch, dtype, left);
        if (scope.Device.Kind == DeviceKind.Cuda) TOp.BackwardCuda(args, attr);
        else if (dtype == DType.F32) TOp.BackwardCpu<float>(args, attr);
        else TOp.BackwardCpu<double>(args, attr);
    }

    private static void CheckType<TOp, TAttr>(Device device, DType dtype) where TOp : IOp<TAttr> where TAttr : unmanaged
    {
        if (device.Kind == DeviceKind.Cuda ? dtype == DType.F64 : dtype == DType.BF16)
            throw new DeviceException(dtype == DType.F64
                ? $"{TOp.Name}: {device.Name} computes in F32 and BF16; F64 is for --device cpu"
                : $"{TOp.Name}: {device.Name} computes in F32 and F64; BF16 is for CUDA devices");
    }

    /// <summary>Dtype of the activations of a backward call: whatever of them is there tells.</summary>
    private static DType GradientCallType(OpSignature signature, ReadOnlySpan<Tensor> inputs, ReadOnlySpan<Tensor> outputs, ReadOnlySpan<Tensor> outputGrads, ReadOnlySpan<Tensor> inputGrads)
    {
        for (int k = 0; k < outputGrads.Length; k++)
            if (!outputGrads[k].IsNone && signature.Outputs[k].Precision == Precision.Activation) return outputGrads[k].DType;
        for (int i = 0; i < inputGrads.Length; i++)
            if (!inputGrads[i].IsNone && signature.Inputs[i].Precision == Precision.Activation) return inputGrads[i].DType;
        for (int i = 0; i < inputs.Length; i++)
            if (!inputs[i].IsNone && signature.Inputs[i] is { Kind: not OperandKind.Integer, Precision: not Precision.Wide }) return inputs[i].DType;
        for (int k = 0; k < outputs.Length; k++)
            if (!outputs[k].IsNone && signature.Outputs[k] is { Kind: not OperandKind.Integer, Precision: Precision.Activation }) return outputs[k].DType;
        foreach (var t in outputGrads)
            if (!t.IsNone) return t.DType;
        return DType.F32;
    }

    private static DType CallType(OpSignature signature, ReadOnlySpan<TensorSpec> inputs)
    {
        int wide = -1;
        for (int i = 0; i < inputs.Length; i++)
        {
            if (!inputs[i].Present || signature.Inputs[i].Kind == OperandKind.Integer) continue;
            if (signature.Inputs[i].Precision != Precision.Wide) return inputs[i].DType;
            if (wide < 0) wide = i;
        }
        return wide < 0 ? DType.F32 : inputs[wide].DType;
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
