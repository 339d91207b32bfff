using System.Runtime.CompilerServices;
using Orthrus.Tensor;

namespace Orthrus.Autograd;

using Tensor = Orthrus.Tensor.Tensor;

/// <summary>
/// Records operators in order of execution (a Wengert list) and runs their backward kernels in reverse. An explicit argument, never ambient
/// state. The tape owns what the operators produce; <see cref="Open"/> bounds how long. Records stand in arrays that are reused after
/// <see cref="Reset"/>: a step in steady state allocates no managed memory.
/// </summary>
/// <remarks>Not thread-safe. Gradients of a value used several times are added in reverse order of use, so that results are the same bits in every run.</remarks>
public sealed unsafe partial class Tape : IDisposable
{
    private Value[] _values = new Value[64];
    private Node[] _nodes = new Node[32];
    private int[] _operands = new int[256];
    private byte[] _attrs = new byte[1024];
    private int _valueCount, _nodeCount, _operandCount, _attrCount, _epoch = 1, _depth;
    private Scope _scope;
    private readonly bool _off;
    private bool _suspended, _ran, _disposed;

    /// <summary>Opens a tape that records.</summary>
    /// <param name="device">Where its operators run.</param>
    public Tape(Device device) : this(device, off: false) { }

    private Tape(Device device, bool off)
    {
        (Device, _off) = (device, off);
        _scope = device.OpenScope();
    }

    /// <summary>A tape that records nothing, for inference: with <see cref="Open"/> around each block memory does not grow with depth.</summary>
    public static Tape Off(Device device) => new(device, off: true);

    /// <summary>Where its operators run.</summary>
    public Device Device { get; }

    /// <summary>True where operators are recorded for <see cref="Backward(Variable)"/>.</summary>
    public bool IsRecording => !_off && !_suspended;

    /// <summary>Number of recorded operators.</summary>
    public int Count => _nodeCount;

    private struct Value
    {
        internal Tensor Tensor;
        /// <summary>Gradient so far; for the root of views only.</summary>
        internal Tensor Grad;
        internal Parameter? Parameter;
        /// <summary>Index of the value whose memory this one shares, itself where it has its own.</summary>
        internal int Root;
        /// <summary>Distance from the root's first element, in elements.</summary>
        internal long Offset;
        /// <summary>Nesting of the frame at whose end the memory goes back.</summary>
        internal int Depth;
        internal Flags Flags;
    }

    [Flags]
    private enum Flags : byte
    {
        RequiresGrad = 1,
        /// <summary>The tape owns the memory.</summary>
        Owned = 2,
        /// <summary>A recorded backward reads the value.</summary>
        Saved = 4,
        /// <summary>Its frame has ended; it lives only for backward.</summary>
        Ended = 8,
        /// <summary>Grad holds numbers, rather than undefined memory.</summary>
        HasGrad = 16,
        /// <summary>Result of an operator, rather than a leaf.</summary>
        Result = 32,
    }

    private struct Node
    {
        internal delegate*<Tape, int, void> Backward;
        /// <summary>Where operands and results stand among the operands; the options among the options; the workspace among the values, -1 for none.</summary>
        internal int Operands, Inputs, Outputs, Attr, Workspace;
    }

    /// <summary>A tensor through which no gradient flows. The tape does not own it; it must live as long as the tape needs it.</summary>
    public Variable Constant(in Tensor value) => value.IsNone ? Variable.None : Leaf(value, 0);

    /// <summary>A tensor whose gradient <see cref="Grad"/> returns after backward. The tape does not own it.</summary>
    /// <exception cref="ShapeException">It is not made of real numbers.</exception>
    public Variable Input(in Tensor value)
    {
        if (value.DType is not (DType.F32 or DType.F64 or DType.BF16)) throw new ShapeException($"an input of {value.DType} has no gradient: use Constant");
        return Leaf(value, _off ? 0 : Flags.RequiresGrad);
    }

    /// <summary>The value of a parameter; its gradient is added to <see cref="Parameter.Grad"/>.</summary>
    public Variable Use(Parameter parameter)
    {
        if (parameter.TryFind(this, _epoch, out int index)) return new(this, _epoch, index);
        var v = Leaf(parameter.Value, parameter.RequiresGrad && !_off ? Flags.RequiresGrad : 0);
        _values[v.Index].Parameter = parameter;
        parameter.Remember(this, _epoch, v.Index);
        return v;
    }

    /// <summary>The same numbers, without a gradient.</summary>
    public Variable Detach(Variable variable)
    {
        if (variable.IsNone) return variable;
        int index = Index(variable);
        return Alias(index, _values[index].Tensor, 0, keepGrad: false);
    }

    /// <summary>The same elements with other extents; shares memory and gradient.</summary>
    public Variable Reshape(Variable variable, Shape shape)
    {
        int index = Index(variable);
        return Alias(index, _values[index].Tensor.Reshape(shape), 0, keepGrad: true);
    }

    /// <summary>A range of the leading extent, such as rows of a weight; shares memory and gradient.</summary>
    public Variable Rows(Variable variable, int start, int count)
    {
        int index = Index(variable);
        var whole = _values[index].Tensor;
        long row = whole.Shape[0] == 0 ? 0 : whole.Count / whole.Shape[0];
        return Alias(index, whole.Rows(start, count), start * row, keepGrad: true);
    }

    /// <summary>The same numbers as another floating element type, rounded where it is narrower; the gradient is converted back. The variable itself where the type is the same.</summary>
    /// <param name="variable">Real numbers.</param>
    /// <param name="dtype">F32, F64, or BF16 on a CUDA device.</param>
    public Variable Cast(Variable variable, DType dtype)
    {
        int index = Index(variable);
        if (_values[index].Tensor.DType == dtype) return variable;
        bool gradient = IsRecording && (_values[index].Flags & Flags.RequiresGrad) != 0;
        var result = Add(_scope.Cast(_values[index].Tensor, dtype), Flags.Owned | Flags.Result | (gradient ? Flags.RequiresGrad : 0));
        if (gradient) Record(&BackwardCast, [variable], [result], 0);
        return result;
    }

    /// <summary>Runs an operator of one result.</summary>
    /// <param name="inputs">Operands in the order of the signature; <see cref="Variable.None"/> for absent ones.</param>
    /// <param name="attr">Options.</param>
    /// <exception cref="ShapeException">Operands do not fit.</exception>
    /// <exception cref="GradientException">An operand that needs a gradient stands where the operator gives none.</exception>
    public Variable Apply<TOp, TAttr>(ReadOnlySpan<Variable> inputs, in TAttr attr = default)
        where TOp : IOp<TAttr> where TAttr : unmanaged
    {
        var outputs = new VariableArray();
        Apply<TOp, TAttr>(inputs, attr, ((Span<Variable>)outputs)[..TOp.Signature.Outputs.Length]);
        return outputs[0];
    }

    /// <summary>Runs an operator of several results.</summary>
    /// <param name="inputs">Operands in the order of the signature; <see cref="Variable.None"/> for absent ones.</param>
    /// <param name="attr">Options.</param>
    /// <param name="outputs">Receives the results; as long as the signature's.</param>
    /// <inheritdoc cref="Apply{TOp, TAttr}(ReadOnlySpan{Variable}, in TAttr)"/>
    public void Apply<TOp, TAttr>(ReadOnlySpan<Variable> inputs, in TAttr attr, Span<Variable> outputs)
        where TOp : IOp<TAttr> where TAttr : unmanaged
    {
        if (_ran) throw new GradientException($"{TOp.Name}: the tape has run backward; call Reset before the next forward pass");
        var signature = TOp.Signature;
        var tensors = new TensorArray();
        var results = new TensorArray();
        bool gradient = false;
        for (int i = 0; i < inputs.Length; i++)
        {
            if (inputs[i].IsNone) continue;
            int index = Index(inputs[i]);
            tensors[i] = _values[index].Tensor;
            if (!IsRecording || (_values[index].Flags & Flags.RequiresGrad) == 0) continue;
            if (i < signature.Inputs.Length && signature.Inputs[i].Kind != OperandKind.Real)
                throw new GradientException($"{TOp.Name} has no gradient with respect to {signature.Inputs[i].Name}: pass Tape.Detach of it");
            gradient = true;
        }
        var workspace = Op.Forward<TOp, TAttr>(_scope, ((ReadOnlySpan<Tensor>)tensors)[..inputs.Length], attr, ((Span<Tensor>)results)[..outputs.Length], forBackward: gradient);
        for (int k = 0; k < outputs.Length; k++)
        {
            var flags = Flags.Owned | Flags.Result | (gradient && signature.Outputs[k].Kind == OperandKind.Real ? Flags.RequiresGrad : 0);
            outputs[k] = results[k].IsNone ? Variable.None : Add(results[k], flags);
        }
        if (!gradient) return;
        if ((TOp.Saves & Saves.Inputs) != 0) foreach (var v in inputs) MarkSaved(v);
        if ((TOp.Saves & Saves.Outputs) != 0) foreach (var v in outputs) MarkSaved(v);
        int at = _attrCount;
        Grow(ref _attrs, at + sizeof(TAttr));
        Unsafe.WriteUnaligned(ref _attrs[at], attr);
        _attrCount += sizeof(TAttr);
        Record(&BackwardNode<TOp, TAttr>, inputs, outputs, at);
        // No frame ends it: it goes with its node.
        if (!workspace.IsNone) _nodes[_nodeCount - 1].Workspace = Add(workspace, Flags.Owned | Flags.Saved | Flags.Ended).Index;
    }

    /// <summary>
    /// Opens a frame: what is computed until it is disposed goes back to the pool then, except what was kept and what backward reads.
    /// </summary>
    public Frame Open()
    {
        _depth++;
        return new Frame(this, _valueCount, _depth);
    }

    /// <summary>Ends a value before its frame does, in a loop that hands values on. What backward reads stays until its node has run.</summary>
    public void Free(Variable variable)
    {
        if (!variable.IsNone) End(ref _values[_values[Index(variable)].Root]);
    }

    /// <summary>Moves the memory of a result to a scope of the caller's, which then frees it.</summary>
    /// <exception cref="LifetimeException">The variable is a leaf or view, or backward still reads it.</exception>
    public Tensor Keep(Variable variable, Scope outer)
    {
        ref var v = ref _values[Index(variable)];
        if ((v.Flags & Flags.Owned) == 0 || (v.Flags & Flags.Saved) != 0) throw new LifetimeException("Tape.Keep: the tape does not own the value, or backward reads it: clone it");
        v.Flags &= ~Flags.Owned;
        return _scope.Keep(v.Tensor, outer);
    }

    /// <summary>Takes over a tensor that was computed without the tape, as if an operator had: it ends with the open frame. No gradient flows through it.</summary>
    /// <param name="value">Owned by <paramref name="from"/>.</param>
    /// <param name="from">Its scope, which no longer frees it.</param>
    public Variable Adopt(in Tensor value, Scope from) => Add(from.Keep(value, _scope), Flags.Owned | Flags.Result);

    /// <summary>Forgets everything recorded and gives the memory back. All variables of the tape end.</summary>
    public void Reset()
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (_depth != 0) throw new LifetimeException($"Tape.Reset inside {_depth} open frames");
        _scope.Dispose();
        Array.Clear(_values, 0, _valueCount);
        _blocks.Clear();
        (_valueCount, _nodeCount, _operandCount, _attrCount, _ran) = (0, 0, 0, 0, false);
        _epoch++;
        _scope = Device.OpenScope();
    }

    /// <summary>Gives all memory back.</summary>
    public void Dispose()
    {
        if (_disposed) return;
        _disposed = true;
        _child?.Dispose();
        _scope.Dispose();
    }

    internal Tensor ValueOf(Variable v) => _values[Index(v)].Tensor;

    internal bool RequiresGrad(Variable v) => (_values[Index(v)].Flags & Flags.RequiresGrad) != 0;

    internal void EndFrame(int first, int depth)
    {
        if (_depth != depth) throw new LifetimeException("frames of a tape must end in reverse order of their opening");
        _depth--;
        for (int i = first; i < _valueCount; i++)
            if (_values[i].Depth == depth) End(ref _values[i]);
    }

    private void End(ref Value v)
    {
        if ((v.Flags & (Flags.Owned | Flags.Ended)) != Flags.Owned) return;
        if ((v.Flags & Flags.Saved) != 0) v.Flags |= Flags.Ended;
        else Release(ref v);
    }

    internal Variable KeepFrom(Variable variable, int depth)
    {
        if (variable.IsNone) return variable;
        ref var root = ref _values[_values[Index(variable)].Root];
        if (root.Depth == depth) root.Depth--;
        return variable;
    }

    private void Release(ref Value v)
    {
        v.Flags &= ~Flags.Owned;
        _scope.Free(v.Tensor);
    }

    private int Index(Variable v)
    {
        if (v.IsNone) throw new LifetimeException("an absent variable was used");
        if (!v.IsOf(this, _epoch)) throw new LifetimeException("a variable of another tape, or from before Tape.Reset, was used");
        return v.Index;
    }

    private Variable Leaf(in Tensor value, Flags flags)
    {
        if (value.Device != Device) throw new DeviceException($"a tensor of {value.Device.Name} was given to a tape of {Device.Name}");
        return Add(value, flags);
    }

    private Variable Add(in Tensor value, Flags flags)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        Grow(ref _values, _valueCount + 1);
        _values[_valueCount] = new Value { Tensor = value, Flags = flags, Root = _valueCount, Depth = _depth };
        return new(this, _epoch, _valueCount++);
    }

    private Variable Alias(int index, in Tensor view, long offset, bool keepGrad)
    {
        var flags = _values[index].Flags;
        int root = _values[index].Root;
        offset += _values[index].Offset;
        var v = Add(view, keepGrad ? flags & Flags.RequiresGrad : 0);
        (_values[v.Index].Root, _values[v.Index].Offset) = (root, offset);
        return v;
    }

    private void MarkSaved(Variable variable)
    {
        if (!variable.IsNone) _values[_values[variable.Index].Root].Flags |= Flags.Saved;
    }

    private void Record(delegate*<Tape, int, void> backward, ReadOnlySpan<Variable> inputs, ReadOnlySpan<Variable> outputs, int attr)
    {
        Grow(ref _nodes, _nodeCount + 1);
        Grow(ref _operands, _operandCount + inputs.Length + outputs.Length);
        _nodes[_nodeCount++] = new Node { Backward = backward, Operands = _operandCount, Inputs = inputs.Length, Outputs = outputs.Length, Attr = attr, Workspace = -1 };
        foreach (var v in inputs) _operands[_operandCount++] = v.IsNone ? -1 : v.Index;
        foreach (var v in outputs) _operands[_operandCount++] = v.IsNone ? -1 : v.Index;
    }

    private static void Grow<T>(ref T[] array, int count)
    {
        if (count > array.Length) Array.Resize(ref array, Math.Max(count, 2 * array.Length));
    }

    [InlineArray(OpLimits.MaxOperands)]
    private struct VariableArray
    {
        private Variable _first;
    }

    /// <summary>A stretch of the forward pass whose intermediate values end with it. See <see cref="Open"/>.</summary>
    public readonly struct Frame : IDisposable
    {
        private readonly Tape _tape;
        private readonly int _first, _depth;

        internal Frame(Tape tape, int first, int depth) => (_tape, _first, _depth) = (tape, first, depth);

        /// <summary>Lets a value outlive the frame; it then belongs to the frame around it.</summary>
        public Variable Keep(Variable variable) => _tape.KeepFrom(variable, _depth);

        /// <summary>Ends the frame.</summary>
        /// <exception cref="LifetimeException">A frame opened later is still open.</exception>
        public void Dispose() => _tape.EndFrame(_first, _depth);
    }
}

/// <summary>A gradient was asked of something that has none, or at the wrong time. The message names the operator.</summary>
public sealed class GradientException(string message) : InvalidOperationException(message);
