using System.Runtime.CompilerServices;
using Orthrus.Tensor;

namespace Orthrus.Autograd;

using Tensor = Orthrus.Tensor.Tensor;

public sealed unsafe partial class Tape
{
    /// <summary>Computes the gradients of a loss.</summary>
    /// <param name="loss">One number.</param>
    /// <exception cref="GradientException">It has no gradient, or the tape has run backward already.</exception>
    /// <exception cref="ShapeException">It has more than one element.</exception>
    public void Backward(Variable loss)
    {
        var value = ValueOf(loss);
        if (value.Count != 1) throw new ShapeException($"backward starts from one number, not from {value}: give the cotangents");
        using var scope = Device.OpenScope();
        var one = scope.Empty(value.Shape, value.DType);
        if (value.DType == DType.F32) one.CopyFrom<float>([1]);
        else one.CopyFrom<double>([1]);
        Backward([loss], [one]);
    }

    /// <summary>Computes the gradients of the sum over all outputs of output x cotangent.</summary>
    /// <param name="outputs">Where to begin.</param>
    /// <param name="cotangents">A tensor of the same shape for each; none for zero. They are not changed.</param>
    /// <exception cref="GradientException">An output has no gradient, or the tape has run backward already.</exception>
    /// <exception cref="ShapeException">A cotangent does not fit its output.</exception>
    public void Backward(ReadOnlySpan<Variable> outputs, ReadOnlySpan<Tensor> cotangents)
    {
        if (_ran) throw new GradientException("backward ran already on this tape; call Reset and run the forward pass again");
        if (_off) throw new GradientException("this tape records nothing (Tape.Off): there are no gradients");
        for (int i = 0; i < outputs.Length; i++)
        {
            int index = Index(outputs[i]);
            if ((_values[index].Flags & Flags.RequiresGrad) == 0)
                throw new GradientException($"no gradient flows from a result {_values[index].Tensor}: it is an integer or constant result, was detached, or depends on nothing that requires a gradient");
            if (cotangents[i].IsNone) continue;
            if (cotangents[i].Shape != _values[index].Tensor.Shape || cotangents[i].DType != _values[index].Tensor.DType)
                throw new ShapeException($"cotangent {cotangents[i]} of an output {_values[index].Tensor}");
            AddGrad(index, cotangents[i]);
        }
        _ran = true;
        for (int n = _nodeCount - 1; n >= 0; n--)
        {
            _nodes[n].Backward(this, n);
            ReleaseOutputs(n);
        }
    }

    /// <summary>Gradient of an <see cref="Input"/> after backward; none where no gradient reached it.</summary>
    /// <exception cref="GradientException">The variable is a result, whose gradient is freed on the way.</exception>
    public Tensor Grad(Variable input)
    {
        ref var v = ref _values[Index(input)];
        if ((v.Flags & Flags.Result) != 0) throw new GradientException("gradients of results are freed on the way: make it an Input");
        if (v.Parameter is { } p) return p.Grad;
        return (v.Flags & Flags.HasGrad) != 0 ? v.Grad : Tensor.None;
    }

    private static void BackwardNode<TOp, TAttr>(Tape tape, int n) where TOp : IOp<TAttr> where TAttr : unmanaged
    {
        var node = tape._nodes[n];
        var inputs = new TensorArray();
        var outputs = new TensorArray();
        var outputGrads = new TensorArray();
        var inputGrads = new TensorArray();
        if (!tape.OutputGrads(node, outputGrads)) return;
        if ((TOp.Saves & Saves.Inputs) != 0) tape.Saved(node.Operands, node.Inputs, inputs);
        if ((TOp.Saves & Saves.Outputs) != 0) tape.Saved(node.Operands + node.Inputs, node.Outputs, outputs);
        using var scope = tape.Device.OpenScope();
        int pending = tape.InputGrads(node, inputGrads, scope);
        var attr = Unsafe.ReadUnaligned<TAttr>(ref tape._attrs[node.Attr]);
        Op.Backward<TOp, TAttr>(scope, ((ReadOnlySpan<Tensor>)inputs)[..node.Inputs], ((ReadOnlySpan<Tensor>)outputs)[..node.Outputs],
            ((ReadOnlySpan<Tensor>)outputGrads)[..node.Outputs], ((ReadOnlySpan<Tensor>)inputGrads)[..node.Inputs], attr, node.Workspace < 0 ? Tensor.None : tape._values[node.Workspace].Tensor);
        for (int i = 0; pending != 0; i++, pending >>= 1)
            if ((pending & 1) != 0) tape.AddGrad(tape._operands[node.Operands + i], inputGrads[i]);
    }

    private static void BackwardCast(Tape tape, int n)
    {
        var node = tape._nodes[n];
        var outputGrads = new TensorArray();
        if (!tape.OutputGrads(node, outputGrads)) return;
        int index = tape._operands[node.Operands];
        using var scope = tape.Device.OpenScope();
        tape.AddGrad(index, scope.Cast(outputGrads[0], tape._values[index].Tensor.DType));
    }

    private bool OutputGrads(in Node node, Span<Tensor> grads)
    {
        bool any = false;
        for (int k = 0; k < node.Outputs; k++)
        {
            int index = _operands[node.Operands + node.Inputs + k];
            if (index < 0 || (_values[index].Flags & Flags.HasGrad) == 0) continue;
            grads[k] = _values[index].Grad;
            any = true;
        }
        return any;
    }

    private void Saved(int first, int count, Span<Tensor> tensors)
    {
        for (int i = 0; i < count; i++)
            if (_operands[first + i] is >= 0 and var index) tensors[i] = _values[index].Tensor;
    }

    /// <summary>
    /// Where the kernel writes: the gradient itself where this is the first contribution, else temporary memory, whose bit is set in the result.
    /// </summary>
    private int InputGrads(in Node node, Span<Tensor> grads, Scope temporary)
    {
        int pending = 0;
        for (int i = 0; i < node.Inputs; i++)
        {
            int index = _operands[node.Operands + i];
            if (index < 0 || (_values[index].Flags & Flags.RequiresGrad) == 0) continue;
            ref var v = ref _values[index];
            ref var root = ref _values[v.Root];
            if (v.Tensor.Count == root.Tensor.Count && !HasGrad(root))
            {
                NeedGrad(ref root);
                SetHasGrad(ref root);
                grads[i] = root.Grad.Reshape(v.Tensor.Shape);
            }
            else
            {
                grads[i] = temporary.Empty(v.Tensor.Shape, root.Parameter is { } p ? p.GradType : v.Tensor.DType);
                pending |= 1 << i;
            }
        }
        return pending;
    }

    /// <summary>Adds to a value's gradient, that is, to its part of the root's.</summary>
    private void AddGrad(int index, in Tensor term)
    {
        ref var v = ref _values[index];
        ref var root = ref _values[v.Root];
        bool whole = v.Tensor.Count == root.Tensor.Count;
        bool had = HasGrad(root);
        NeedGrad(ref root);
        if (!had && !whole) Device.Fill(root.Grad.Address, root.Grad.Bytes, 0);
        SetHasGrad(ref root);
        var part = whole ? root.Grad : root.Grad.Part(v.Offset, v.Tensor.Shape);
        if (!had && whole) Device.Copy(part.Address, term.Address, term.Bytes);
        else Accumulate.Into(part, term);
    }

    private static bool HasGrad(in Value root) => root.Parameter is { } p ? p.HasGrad : (root.Flags & Flags.HasGrad) != 0;

    private static void SetHasGrad(ref Value root)
    {
        root.Flags |= Flags.HasGrad;
        if (root.Parameter is { } p) p.HasGrad = true;
    }

    private void NeedGrad(ref Value root)
    {
        if (root.Parameter is { } p) root.Grad = p.NeedGradBuffer();
        else if (root.Grad.IsNone) root.Grad = _scope.Empty(root.Tensor.Shape, root.Tensor.DType);
    }

    /// <summary>After a node's backward nobody reads its results' gradients any more, nor its workspace, nor results whose frame has ended.</summary>
    private void ReleaseOutputs(int n)
    {
        if (_nodes[n].Workspace >= 0) Release(ref _values[_nodes[n].Workspace]);
        for (int k = 0; k < _nodes[n].Outputs; k++)
        {
            int index = _operands[_nodes[n].Operands + _nodes[n].Inputs + k];
            if (index < 0) continue;
            ref var v = ref _values[index];
            if (!v.Grad.IsNone)
            {
                _scope.Free(v.Grad);
                v.Grad = Tensor.None;
                v.Flags &= ~Flags.HasGrad;
            }
            if ((v.Flags & (Flags.Ended | Flags.Owned)) == (Flags.Ended | Flags.Owned)) Release(ref v);
        }
    }
}
