using System.Runtime.InteropServices;
using Orthrus.Autograd;
using Orthrus.Tensor;

namespace Orthrus.Train;

using Tensor = Orthrus.Tensor.Tensor;

/// <summary>
/// Loss and gradient of one batch. The encoder takes rows of nearly one length together; head and loss see the whole batch, so that batch normalisation does as well. Rows whose
/// activations do not fit are encoded a second time for their gradient, with the same bits.
/// </summary>
internal sealed class FineTuneStep : IDisposable
{
    // More positions at once gain nothing: one row of this length keeps all threads busy.
    private const int GroupPositions = 1 << 14;

    private readonly FineTuneModel _model;
    private readonly ParameterStore _store;
    private readonly IReadOnlyList<LowRankUpdate> _updates;
    private readonly long _budget, _bytesPerPosition;
    private readonly bool _frozen;
    private readonly Tape _kept, _again, _off, _head;

    /// <summary>Prepares the tapes.</summary>
    /// <param name="model">Encoder and head.</param>
    /// <param name="store">Their owner.</param>
    /// <param name="updates">Low-rank updates of the encoder; empty for none.</param>
    /// <param name="budget">Bytes of activations to keep between forward and backward.</param>
    internal FineTuneStep(FineTuneModel model, ParameterStore store, IReadOnlyList<LowRankUpdate>? updates = null, long budget = 1L << 30)
    {
        (_model, _store, _updates, _budget) = (model, store, updates ?? [], budget);
        var named = model.Encoder.NamedParameters();
        _frozen = named.All(p => !p.Value.RequiresGrad);
        var c = model.Encoder.Config;
        int trained = Enumerable.Range(0, c.NLayer).Count(layer => named.Any(p => p.Value.RequiresGrad && p.Key.StartsWith($"layers.{layer}.", StringComparison.Ordinal)));
        // What a block keeps: x, z, c, delta and g of the inner width, twice that for the scan and the convolution, and the stream with its norm.
        _bytesPerPosition = (long)(Math.Max(1, trained) * (7 * c.DInner + 4 * c.DModel + c.DtRank + 2 * c.DState)) * store.DType.Size();
        (_kept, _again, _off, _head) = (new(store.Device), new(store.Device), Tape.Off(store.Device), new(store.Device));
    }

    /// <summary>The mean loss over all targets of all rows; gradients are added to the parameters' and the updates'.</summary>
    /// <param name="rows">Track bytes of each row, at least one.</param>
    /// <param name="targets">Rows x targets, row-major.</param>
    /// <param name="kind">What is minimised.</param>
    internal double Run(IReadOnlyList<ReadOnlyMemory<byte>> rows, double[] targets, FineTuneLoss kind)
    {
        using var scope = _store.Device.OpenScope();
        _kept.Reset();
        var outputs = new List<Variable>();
        var keptGroups = new List<int[]>();
        var laterGroups = new List<int[]>();
        var reps = scope.Empty(new Shape(rows.Count, _model.Encoder.Config.DModel), _store.DType);
        long bytes = 0;
        foreach (int[] group in Groups(rows))
        {
            bytes += (long)group.Length * rows[group[0]].Length * _bytesPerPosition;
            bool keep = !_frozen && bytes <= _budget;
            if (keep)
            {
                outputs.Add(Encode(_kept, scope, rows, group));
                keptGroups.Add(group);
            }
            else laterGroups.Add(group);
            using var inner = _store.Device.OpenScope();
            var part = keep ? outputs[^1].Value : Encode(_off, inner, rows, group).Value;
            for (int i = 0; i < group.Length; i++) reps.Rows(group[i], 1).Assign(part.Rows(i, 1));
            _off.Reset();
        }
        double loss = Head(scope, reps, targets, kind, out var gradient);
        if (_frozen) return loss;
        // From the last group to the first, as the tape of the kept ones runs: so sums over groups have one order, wherever the budget ends.
        for (int i = laterGroups.Count - 1; i >= 0; i--)
        {
            using var inner = _store.Device.OpenScope();
            Backward(_again, inner, [Encode(_again, inner, rows, laterGroups[i])], [laterGroups[i]], gradient);
            _again.Reset();
        }
        Backward(_kept, scope, outputs, keptGroups, gradient);
        _kept.Reset();
        foreach (var update in _updates) update.TakeGradient();
        return loss;
    }

    /// <summary>The same for an encoder that does not change, whose vectors are known: gradients are those of the head.</summary>
    /// <param name="vectors">Rows x DModel.</param>
    /// <param name="targets">Rows x targets.</param>
    /// <param name="kind">What is minimised.</param>
    internal double RunHead(double[] vectors, double[] targets, FineTuneLoss kind)
    {
        using var scope = _store.Device.OpenScope();
        int width = _model.Encoder.Config.DModel;
        return Head(scope, scope.Reals(vectors, new Shape(vectors.Length / width, width), _store.DType), targets, kind, out _);
    }

    private double Head(Scope scope, in Tensor reps, double[] targets, FineTuneLoss kind, out Tensor gradient)
    {
        _head.Reset();
        var x = _frozen ? _head.Constant(reps) : _head.Input(reps);
        var y = _model.Head.Forward(_head, x, training: true);
        var loss = FineTuneModel.Loss(_head, y, scope.Reals(targets, y.Shape, y.DType), kind);
        double value = loss.Value.ToDoubles()[0];
        _head.Backward(loss);
        gradient = _frozen ? Tensor.None : _head.Grad(x);
        return value;
    }

    private Variable Encode(Tape tape, Scope scope, IReadOnlyList<ReadOnlyMemory<byte>> rows, int[] group)
    {
        int length = rows[group[0]].Length;
        var tracks = new byte[(long)group.Length * length];
        for (int i = 0; i < group.Length; i++) rows[group[i]].Span.CopyTo(tracks.AsSpan(i * length));
        int[] lengths = Array.ConvertAll(group, row => rows[row].Length);
        return _model.Encoder.Represent(tape, scope.From<byte>(tracks, new Shape(group.Length, length)), scope.From<int>(lengths, new Shape(group.Length)));
    }

    private void Backward(Tape tape, Scope scope, List<Variable> outputs, List<int[]> groups, in Tensor gradient)
    {
        if (outputs.Count == 0) return;
        var cotangents = new List<Tensor>();
        foreach (int[] group in groups)
        {
            var part = scope.Empty(new Shape(group.Length, gradient.Shape[1]), _store.DType);
            for (int i = 0; i < group.Length; i++) part.Rows(i, 1).Assign(gradient.Rows(group[i], 1));
            cotangents.Add(part);
        }
        tape.Backward(CollectionsMarshal.AsSpan(outputs), CollectionsMarshal.AsSpan(cotangents));
    }

    // Longest rows first, as RowGroups has them: the first of a group is its longest.
    private static IEnumerable<int[]> Groups(IReadOnlyList<ReadOnlyMemory<byte>> rows)
    {
        int[] lengths = [.. rows.Select(r => r.Length)];
        foreach (int[] group in RowGroups.Of(lengths))
            foreach (int[] part in group.Chunk(Math.Max(1, GroupPositions / lengths[group[0]]))) yield return part;
    }

    public void Dispose()
    {
        foreach (var tape in new[] { _kept, _again, _off, _head }) tape.Dispose();
    }
}
