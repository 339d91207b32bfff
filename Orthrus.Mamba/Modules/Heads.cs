using Orthrus.Autograd;

namespace Orthrus.Mamba;

/// <summary>What stands between the linear layers of a head.</summary>
public enum HeadNorm : byte
{
    /// <summary>Nothing.</summary>
    Identity,
    /// <summary>Batch normalisation.</summary>
    BatchNorm,
    /// <summary>Layer normalisation.</summary>
    LayerNorm,
}

/// <summary>Sizes of a projection head.</summary>
/// <param name="DIn">Width of what it projects.</param>
/// <param name="Body">Width of the hidden layers; 512 in the published runs.</param>
/// <param name="DOut">Width of the result; 128 in the published runs.</param>
/// <param name="Layers">Linear layers; 3 in the published runs. With none the head is the norm alone, without weights of its own, and the result as wide as what it projects.</param>
/// <param name="Norm">Between them.</param>
/// <param name="BiasOut">The last layer has a bias.</param>
/// <param name="Sigmoid">The result goes through a sigmoid.</param>
public sealed record ProjectionHeadConfig(int DIn, int Body = 512, int DOut = 128, int Layers = 3, HeadNorm Norm = HeadNorm.BatchNorm, bool BiasOut = false, bool Sigmoid = false)
{
    /// <summary>The norm that a configuration file names.</summary>
    /// <exception cref="ArgumentException">An unknown name. Upstream takes any name but batchnorm for none; that was a trap.</exception>
    public static HeadNorm ParseNorm(string name) => name switch
    {
        "batchnorm" => HeadNorm.BatchNorm,
        "layernorm" => HeadNorm.LayerNorm,
        "identity" or "none" => HeadNorm.Identity,
        _ => throw new ArgumentException($"unknown norm {name} of a head; known: batchnorm, layernorm, identity"),
    };
}

/// <summary>
/// Projection head: Linear, norm, ReLU, repeated, and a last Linear. Names layers.0, layers.1, ...: linear layers at even places, norms at odd ones.
/// It maps a batch of vectors (B, D_in) to (B, D_out). Without linear layers it is a norm, layers.0.
/// </summary>
public sealed class ProjectionHead : Module
{
    private readonly LinearLayer[] _linear;
    private readonly Module?[] _norms;
    private readonly Module? _alone;

    /// <summary>Makes the head; its weights are zeros until initialised or loaded.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A negative number of layers.</exception>
    public ProjectionHead(ParameterStore store, ProjectionHeadConfig config)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(config.Layers);
        Config = config.Layers == 0 ? config with { Body = config.DIn, DOut = config.DIn } : config;
        _linear = new LinearLayer[config.Layers];
        _norms = new Module?[Math.Max(1, config.Layers) - 1];
        if (config.Layers == 0) _alone = config.Norm switch { HeadNorm.BatchNorm => new BatchNormLayer(store, config.DIn, affine: false), HeadNorm.LayerNorm => new LayerNormLayer(store, config.DIn), _ => null };
        for (int i = 0; i < config.Layers; i++)
        {
            bool last = i == config.Layers - 1;
            _linear[i] = new(store, i == 0 ? config.DIn : config.Body, last ? config.DOut : config.Body, !last || config.BiasOut);
            if (!last) _norms[i] = config.Norm switch { HeadNorm.BatchNorm => new BatchNormLayer(store, config.Body), HeadNorm.LayerNorm => new LayerNormLayer(store, config.Body), _ => null };
        }
    }

    /// <summary>Sizes.</summary>
    public ProjectionHeadConfig Config { get; }

    /// <inheritdoc/>
    public override void Visit(ParameterVisitor visitor)
    {
        if (_alone is not null) visitor.Child("layers.0", _alone);
        for (int i = 0; i < _linear.Length; i++)
        {
            visitor.Child($"layers.{2 * i}", _linear[i]);
            if (i < _norms.Length && _norms[i] is { } norm) visitor.Child($"layers.{2 * i + 1}", norm);
        }
    }

    /// <summary>Projects x (B, D_in).</summary>
    /// <param name="tape">Where to record.</param>
    /// <param name="x">The batch.</param>
    /// <param name="training">Batch statistics, which also move the running ones; else the running ones.</param>
    /// <exception cref="Orthrus.Tensor.ShapeException">Batch normalisation of a single row in training.</exception>
    public Variable Forward(Tape tape, Variable x, bool training)
    {
        using var frame = tape.Open();
        if (_linear.Length == 0) x = Normalise(tape, _alone, x, training);
        for (int i = 0; i < _linear.Length; i++)
        {
            x = _linear[i].Forward(tape, x);
            if (i < _linear.Length - 1) x = Functions.ReLU(tape, Normalise(tape, _norms[i], x, training));
        }
        return frame.Keep(Config.Sigmoid ? Functions.Sigmoid(tape, x) : x);
    }

    private static Variable Normalise(Tape tape, Module? norm, Variable x, bool training) => norm switch
    {
        BatchNormLayer batch => batch.Forward(tape, x, training),
        LayerNormLayer layer => layer.Forward(tape, x),
        _ => x,
    };
}

/// <summary>Two projection heads on the same vector: one for isoforms and the record itself, one for orthologs.</summary>
public sealed class DualHeads : Module
{
    /// <summary>Makes both heads.</summary>
    public DualHeads(ParameterStore store, ProjectionHeadConfig config) => (SpliceSelf, Ortho) = (new(store, config), new(store, config));

    /// <summary>For pairs of isoforms, and of a record with itself.</summary>
    public ProjectionHead SpliceSelf { get; }
    /// <summary>For pairs of orthologs.</summary>
    public ProjectionHead Ortho { get; }

    /// <inheritdoc/>
    public override void Visit(ParameterVisitor visitor)
    {
        visitor.Child("splice_self_head", SpliceSelf);
        visitor.Child("ortho_head", Ortho);
    }
}

/// <summary>
/// Head at every position: fc1, norm1, ReLU, fc2, norm2, ReLU, fc3. (B, L, D) to (B, L, out): 4 logits of A, C, G, T for masked bases, 1 for splice or codon.
/// </summary>
public sealed class PositionHead : Module
{
    private readonly LinearLayer _fc1, _fc2, _fc3;
    private readonly BatchNormLayer _norm1, _norm2;

    /// <summary>Makes the head; its weights are zeros until initialised or loaded.</summary>
    /// <param name="store">Owner of the weights.</param>
    /// <param name="dModel">Width of the encoder.</param>
    /// <param name="body">Width of the hidden layers.</param>
    /// <param name="dOut">Results per position.</param>
    public PositionHead(ParameterStore store, int dModel, int body = 512, int dOut = 4)
    {
        _fc1 = new(store, dModel, body, bias: true);
        _norm1 = new(store, body);
        _fc2 = new(store, body, body, bias: true);
        _norm2 = new(store, body);
        _fc3 = new(store, body, dOut, bias: false);
    }

    /// <inheritdoc/>
    public override void Visit(ParameterVisitor visitor)
    {
        visitor.Child("fc1", _fc1);
        visitor.Child("norm1", _norm1);
        visitor.Child("fc2", _fc2);
        visitor.Child("norm2", _norm2);
        visitor.Child("fc3", _fc3);
    }

    /// <summary>Maps y (B, L, D).</summary>
    /// <param name="tape">Where to record.</param>
    /// <param name="y">The encoder's output.</param>
    /// <param name="training">Batch statistics, which also move the running ones; else the running ones.</param>
    /// <param name="lengths">In training: keep padding out of the statistics; none counts it, as upstream does.</param>
    public Variable Forward(Tape tape, Variable y, bool training, Variable lengths = default)
    {
        using var frame = tape.Open();
        var x = Functions.ReLU(tape, _norm1.Forward(tape, _fc1.Forward(tape, y), training, lengths));
        x = Functions.ReLU(tape, _norm2.Forward(tape, _fc2.Forward(tape, x), training, lengths));
        return frame.Keep(_fc3.Forward(tape, x));
    }
}
