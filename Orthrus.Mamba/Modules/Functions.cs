using Orthrus.Autograd;
using Orthrus.Tensor;

namespace Orthrus.Mamba;

/// <summary>The operators as the modules call them: one place that knows their operand orders and options.</summary>
internal static class Functions
{
    internal static Variable EmbedTracks(Tape tape, Variable tracks, Variable weight, Variable bias) => tape.Apply<TrackEmbedding, NoAttr>([tracks, weight, bias]);

    /// <summary>Rows of a table (1, R, D).</summary>
    internal static Variable RowsOfTracks(Tape tape, Variable tracks, Variable table)
    {
        var s = table.Shape;
        return tape.Apply<TrackRows, NoAttr>([tracks, tape.Reshape(table, new Shape(s[-2], s[-1]))]);
    }

    internal static Variable Linear(Tape tape, Variable x, Variable weight, Variable bias) => tape.Apply<Linear, NoAttr>([x, weight, bias]);

    /// <summary>Products with the first p rows of a weight, the next q, and the rest.</summary>
    internal static (Variable First, Variable Second, Variable Third) LinearSplit(Tape tape, Variable x, Variable weight, int p, int q)
    {
        Span<Variable> outputs = [default, default, default];
        tape.Apply<LinearSplit, LinearSplit.Attr>([x, weight], new(p, q), outputs);
        return (outputs[0], outputs[1], outputs[2]);
    }

    internal static Variable LayerNorm(Tape tape, Variable x, Variable weight, Variable bias) =>
        tape.Apply<LayerNorm, LayerNorm.Attr>([x, weight, bias], new(LayerNormLayer.Eps));

    internal static (Variable Y, Variable Sum) AddNorm(Tape tape, Variable h, Variable residual, Variable weight, Variable bias)
    {
        Span<Variable> outputs = [default, default];
        tape.Apply<AddLayerNorm, AddLayerNorm.Attr>([h, residual, weight, bias], new(LayerNormLayer.Eps), outputs);
        return (outputs[0], outputs[1]);
    }

    internal static (Variable Y, Variable State) ConvSiLU(Tape tape, Variable x, Variable weight, Variable bias, Variable initial)
    {
        Span<Variable> outputs = [default, default];
        tape.Apply<CausalConv1d, CausalConv1d.Attr>([x, weight, bias, initial], default, outputs);
        return (outputs[0], outputs[1]);
    }

    internal static (Variable Y, Variable State) SelectiveScan(Tape tape, Variable x, Variable delta, Variable aLog, Variable b, Variable c, Variable d, Variable z, Variable deltaBias, Variable initial)
    {
        Span<Variable> outputs = [default, default];
        tape.Apply<SelectiveScan, SelectiveScan.Attr>([x, delta, aLog, b, c, d, z, deltaBias, initial], default, outputs);
        return (outputs[0], outputs[1]);
    }

    internal static Variable Reverse(Tape tape, Variable x, Variable lengths) => tape.Apply<ReverseSequence, NoAttr>([x, lengths]);

    internal static Variable MeanPool(Tape tape, Variable x, Variable lengths) => tape.Apply<MaskedMeanPool, NoAttr>([x, lengths]);

    internal static Variable ReLU(Tape tape, Variable x) => tape.Apply<ReLU, NoAttr>([x]);

    internal static Variable Sigmoid(Tape tape, Variable x) => tape.Apply<Sigmoid, NoAttr>([x]);
}
