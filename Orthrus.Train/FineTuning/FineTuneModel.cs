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

    /// <summary>Freezes the encoder but for its last blocks and its last norm.</summary>
    /// <param name="layers">Blocks that are trained; 0 freezes everything, null nothing.</param>
    public void TrainLast(int? layers)
    {
        foreach (var (name, p) in Encoder.NamedParameters()) p.RequiresGrad = layers != 0 && (IsOfLastLayers(name, Encoder.Config.NLayer, layers) || layers is not null && name.StartsWith("norm_f.", StringComparison.Ordinal));
    }

    /// <summary>Whether a parameter of an encoder belongs to its last blocks; to any part of it where all are meant.</summary>
    internal static bool IsOfLastLayers(string name, int depth, int? layers) =>
        layers is not { } last || name.Split('.') is ["layers", var number, ..] && int.Parse(number, System.Globalization.CultureInfo.InvariantCulture) >= depth - last;

    /// <summary>Predictions (B, targets): raw numbers, or logits.</summary>
    /// <param name="tape">Where to record.</param>
    /// <param name="tracks">(B, L) U8.</param>
    /// <param name="lengths">(B) I32.</param>
    /// <param name="training">Batch statistics in the head, which also move the running ones; else the running ones.</param>
    public Variable Forward(Tape tape, in Tensor tracks, in Tensor lengths, bool training) => Head.Forward(tape, Encoder.Represent(tape, tracks, lengths), training);

    /// <summary>The mean loss over all targets of all rows.</summary>
    /// <param name="tape">Where to record.</param>
    /// <param name="y">Predictions (B, targets).</param>
    /// <param name="targets">(B, targets) numbers, or labels 0 and 1.</param>
    /// <param name="kind">What is minimised.</param>
    public static Variable Loss(Tape tape, Variable y, in Tensor targets, FineTuneLoss kind)
    {
        ArgumentNullException.ThrowIfNull(tape);
        var target = tape.Constant(targets);
        return kind == FineTuneLoss.MeanSquaredError
            ? tape.Apply<Mse, Mse.Attr>([y, target], new(Reduction.Mean))
            : tape.Apply<BceWithLogits, BceWithLogits.Attr>([y, target], new(Reduction.Mean));
    }
}
