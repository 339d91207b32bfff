using Orthrus.Tensor;

namespace Orthrus.Autograd;

using Tensor = Orthrus.Tensor.Tensor;

/// <summary>A stretch of the forward pass that can be run again. It must compute the same numbers both times and change no state.</summary>
public interface IRecomputable
{
    /// <summary>Runs forward.</summary>
    /// <param name="tape">Where to record; not the same tape each time.</param>
    /// <param name="inputs">What it reads besides parameters.</param>
    /// <param name="outputs">Receives what it computes; new values, none of the inputs.</param>
    void Forward(Tape tape, ReadOnlySpan<Variable> inputs, Span<Variable> outputs);
}

public sealed unsafe partial class Tape
{
    private readonly List<IRecomputable> _blocks = [];
    private Tape? _child;

    /// <summary>
    /// Runs a block without keeping its intermediate values; backward runs it again (checkpointing). Gradients are the same bits as without.
    /// Memory of a stack of such blocks is that of one block and of the values between them; the price is a second forward pass.
    /// </summary>
    /// <param name="block">What to run.</param>
    /// <param name="inputs">What it reads besides parameters.</param>
    /// <param name="outputs">Receives its results.</param>
    public void Recompute(IRecomputable block, ReadOnlySpan<Variable> inputs, Span<Variable> outputs)
    {
        int first = _valueCount;
        bool recording = IsRecording, before = _suspended;
        _suspended = true;
        try
        {
            using var frame = Open();
            block.Forward(this, inputs, outputs);
            foreach (var v in outputs) frame.Keep(v);
        }
        finally
        {
            _suspended = before;
        }
        if (!recording) return;
        foreach (var v in inputs) MarkSaved(v);
        foreach (var v in outputs)
        {
            if (v.IsNone) continue;
            ref var value = ref _values[Index(v)];
            if (v.Index < first || value.Root != v.Index) throw new GradientException("Recompute: a block returned one of its inputs or a view; it must return new values");
            if (value.Tensor.DType is DType.F32 or DType.F64 or DType.BF16) value.Flags |= Flags.RequiresGrad;
        }
        _blocks.Add(block);
        Record(&BackwardBlock, inputs, outputs, _blocks.Count - 1);
    }

    private static void BackwardBlock(Tape tape, int n)
    {
        var node = tape._nodes[n];
        var outputGrads = new TensorArray();
        if (!tape.OutputGrads(node, outputGrads)) return;
        var child = tape._child ??= new Tape(tape.Device);
        var inputs = new VariableArray();
        var outputs = new VariableArray();
        for (int i = 0; i < node.Inputs; i++)
        {
            int index = tape._operands[node.Operands + i];
            if (index < 0) continue;
            ref var v = ref tape._values[index];
            bool wanted = (v.Flags & Flags.RequiresGrad) != 0;
            inputs[i] = wanted ? child.Input(v.Tensor) : child.Constant(v.Tensor);
            // The block's contributions are added one by one to what has come from later uses, in the order in which they would be without Recompute.
            if (wanted) tape.LendGrad(index, ref child._values[inputs[i].Index]);
        }
        try
        {
            var results = ((Span<Variable>)outputs)[..node.Outputs];
            using (var frame = child.Open())
            {
                tape._blocks[node.Attr].Forward(child, ((ReadOnlySpan<Variable>)inputs)[..node.Inputs], results);
                foreach (var v in results) frame.Keep(v);
            }
            child.BackwardPresent(results, outputGrads);
            for (int i = 0; i < node.Inputs; i++)
                if (!inputs[i].IsNone && (child._values[inputs[i].Index].Flags & Flags.HasGrad) != 0) tape.SetLent(tape._operands[node.Operands + i]);
        }
        finally
        {
            child._depth = 0;
            child.Reset();
        }
    }

    private void BackwardPresent(ReadOnlySpan<Variable> results, ReadOnlySpan<Tensor> grads)
    {
        var outputs = new VariableArray();
        var cotangents = new TensorArray();
        int count = 0;
        for (int k = 0; k < results.Length; k++)
        {
            if (results[k].IsNone || grads[k].IsNone || !RequiresGrad(results[k])) continue;
            outputs[count] = results[k];
            cotangents[count++] = grads[k];
        }
        if (count > 0) Backward(((ReadOnlySpan<Variable>)outputs)[..count], ((ReadOnlySpan<Tensor>)cotangents)[..count]);
    }

    private void LendGrad(int index, ref Value borrower)
    {
        ref var v = ref _values[index];
        ref var root = ref _values[v.Root];
        bool whole = v.Tensor.Count == root.Tensor.Count;
        bool had = HasGrad(root);
        NeedGrad(ref root);
        if (!whole && !had)
        {
            Device.Fill(root.Grad.Address, root.Grad.Bytes, 0);
            SetHasGrad(ref root);
            had = true;
        }
        borrower.Grad = whole ? root.Grad.Reshape(v.Tensor.Shape) : root.Grad.Part(v.Offset, v.Tensor.Shape);
        if (had) borrower.Flags |= Flags.HasGrad;
    }

    private void SetLent(int index) => SetHasGrad(ref _values[_values[index].Root]);
}
