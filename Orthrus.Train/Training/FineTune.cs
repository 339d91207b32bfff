using Orthrus.Autograd;
using Orthrus.Mamba;
using Orthrus.Tensor;

namespace Orthrus.Train;

using Tensor = Orthrus.Tensor.Tensor;

/// <summary>What a fine-tuned model minimises.</summary>
public enum FineTuneLoss : byte
{
    /// <summary>Mean squared error of the raw targets: regression.</summary>
    MeanSquaredError,
    /// <summary>Binary cross-entropy of logits: one label or many.</summary>
    BinaryCrossEntropy,
}

/// <summary>An encoder with a head on the pooled vector, under the names of upstream's fine-tuned checkpoints.</summary>
public sealed class FineTuneModel : Module
{
    /// <summary>Makes the modules; their weights are zeros until initialised or loaded.</summary>
    /// <param name="store">Owner of the weights.</param>
    /// <param name="config">Sizes of the encoder.</param>
    /// <param name="targets">Targets of a record.</param>
    /// <param name="body">Width of the head's hidden layers; 256 upstream.</param>
    /// <param name="layers">Linear layers of the head; 2 upstream.</param>
    public FineTuneModel(ParameterStore store, MambaConfig config, int targets, int body = 256, int layers = 2)
    {
        Encoder = new(store, config);
        Head = new(store, new ProjectionHeadConfig(config.DModel, body, targets, layers, HeadNorm.BatchNorm, BiasOut: true));
    }

    /// <summary>The encoder.</summary>
    public MixerModel Encoder { get; }

    /// <summary>Linear, batch normalisation, ReLU, Linear with bias.</summary>
    public ProjectionHead Head { get; }

    /// <inheritdoc/>
    public override void Visit(ParameterVisitor visitor)
    {
        visitor.Child("model", Encoder);
        visitor.Child("projection_head", Head);
    }

    /// <summary>Encoder and head as groups of an optimiser.</summary>
    public IReadOnlyList<ParameterGroup> Groups(double encoderRate, double encoderDecay, double headRate, double headDecay)
    {
        var all = NamedParameters();
        return
        [
            new("encoder", [.. all.Where(p => p.Key.StartsWith("model.", StringComparison.Ordinal))], encoderRate, encoderDecay),
            new("head", [.. all.Where(p => !p.Key.StartsWith("model.", StringComparison.Ordinal))], headRate, headDecay),
        ];
    }

    /// <summary>Predictions (B, targets): raw numbers, or logits.</summary>
    /// <param name="tape">Where to record.</param>
    /// <param name="tracks">(B, L) U8.</param>
    /// <param name="lengths">(B) I32.</param>
    /// <param name="training">Batch statistics in the head, which also move the running ones; else the running ones.</param>
    public Variable Forward(Tape tape, in Tensor tracks, in Tensor lengths, bool training) => Head.Forward(tape, Encoder.Represent(tape, tracks, lengths), training);

    /// <summary>The loss of a batch, its mean over all targets of all records; gradients are added to the parameters'.</summary>
    /// <param name="tape">Where to record; it is reset first.</param>
    /// <param name="tracks">B x L track bytes, padded with zeros.</param>
    /// <param name="lengths">The B lengths.</param>
    /// <param name="targets">B x targets numbers, or labels 0 and 1.</param>
    /// <param name="kind">What is minimised.</param>
    public double Loss(Tape tape, byte[] tracks, int[] lengths, double[] targets, FineTuneLoss kind)
    {
        tape.Reset();
        using var scope = tape.Device.OpenScope();
        var bytes = scope.From<byte>(tracks, new Shape(lengths.Length, tracks.Length / lengths.Length));
        var y = Forward(tape, bytes, scope.From<int>(lengths, new Shape(lengths.Length)), training: true);
        var target = tape.Constant(scope.Reals(targets, y.Shape, y.DType));
        var loss = kind == FineTuneLoss.MeanSquaredError
            ? tape.Apply<Mse, Mse.Attr>([y, target], new(Reduction.Mean))
            : tape.Apply<BceWithLogits, BceWithLogits.Attr>([y, target], new(Reduction.Mean));
        double value = loss.Value.ToDoubles()[0];
        tape.Backward(loss);
        return value;
    }
}
