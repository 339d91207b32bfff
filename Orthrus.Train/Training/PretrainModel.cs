using Orthrus.Autograd;
using Orthrus.Mamba;

namespace Orthrus.Train;

/// <summary>What a pre-training run trains besides the encoder.</summary>
public sealed record PretrainModelOptions
{
    /// <summary>Width of the contrastive head's hidden layers.</summary>
    public int HeadBody { get; init; } = 512;
    /// <summary>Width of its result.</summary>
    public int HeadOut { get; init; } = 128;
    /// <summary>Its linear layers; with none the contrast is between normalised embeddings themselves.</summary>
    public int HeadLayers { get; init; } = 3;
    /// <summary>Between them.</summary>
    public HeadNorm HeadNorm { get; init; } = HeadNorm.BatchNorm;
    /// <summary>A contrastive head; false trains on the masked bases alone.</summary>
    public bool Contrastive { get; init; } = true;
    /// <summary>Two contrastive heads, one for isoforms and the record itself, one for orthologs.</summary>
    public bool Dual { get; init; }
    /// <summary>Width of the hidden layers of the masked-base head; 0 for no such head.</summary>
    public int MaskedLanguageBody { get; init; }
    /// <summary>Classes of the masked-base head.</summary>
    public int MaskedLanguageClasses { get; init; } = 4;
    /// <summary>Heads that predict the splice and codon tracks from the bases; the encoder then has 4 tracks.</summary>
    public bool SpliceCodon { get; init; }
    /// <summary>Letters of the words whose shares a linear head reads from embeddings; 0 for no such head.</summary>
    public int WordLetters { get; init; }
    /// <summary>That head reads the shares of codons in frame too; the encoder then has 6 tracks.</summary>
    public bool WordCodons { get; init; }

    internal WordShares Words => new(WordLetters, WordCodons);
}

/// <summary>Encoder and heads of a pre-training run, under the names of upstream's training checkpoints.</summary>
public sealed class PretrainModel : Module
{
    private readonly (string Name, Module Head)[] _heads;

    /// <summary>Makes the modules; their weights are zeros until <see cref="Initialise"/> or loading.</summary>
    public PretrainModel(ParameterStore store, MambaConfig config, PretrainModelOptions options)
    {
        if (!options.Contrastive && options.MaskedLanguageBody == 0) throw new ArgumentException("a run needs the contrastive loss or the masked-base loss");
        if (options.SpliceCodon && config.NTracks != 4) throw new ArgumentException("splice and codon tracks are predicted from the bases: the encoder must have 4 tracks");
        Encoder = new(store, config);
        var head = new ProjectionHeadConfig(config.DModel, options.HeadBody, options.HeadOut, options.HeadLayers, options.HeadNorm);
        if (options.Contrastive && options.Dual) DualHeads = new(store, head);
        else if (options.Contrastive) ContrastiveHead = new(store, head);
        if (options.MaskedLanguageBody > 0) SequenceHead = new(store, config.DModel, options.MaskedLanguageBody, options.MaskedLanguageClasses);
        if (options.SpliceCodon) (SpliceHead, CodonHead) = (new(store, config.DModel, HeadBody(options), 1), new(store, config.DModel, HeadBody(options), 1));
        if (options.WordCodons && config.NTracks != 6) throw new ArgumentException("codons are read in the frame of the codon track: the encoder must have 6 tracks");
        Words = options.Words;
        if (Words.Count > 0) WordHead = new(store, new(config.DModel, DOut: Words.Count, Layers: 1, Norm: HeadNorm.Identity, BiasOut: true));
        _heads = [.. new (string, Module?)[]
        {
            ("contrastive_projection_head", ContrastiveHead), ("", DualHeads), ("sequence_head", SequenceHead), ("splice_head", SpliceHead), ("codon_head", CodonHead), ("word_head", WordHead),
        }.Where(h => h.Item2 is not null).Select(h => (h.Item1, h.Item2!))];
    }

    private static int HeadBody(PretrainModelOptions options) => options.MaskedLanguageBody > 0 ? options.MaskedLanguageBody : options.HeadBody;

    /// <summary>The encoder.</summary>
    public MixerModel Encoder { get; }
    /// <summary>Contrastive head on pooled vectors, or null.</summary>
    public ProjectionHead? ContrastiveHead { get; }
    /// <summary>Two contrastive heads, or null.</summary>
    public DualHeads? DualHeads { get; }
    /// <summary>Masked-base head, or null.</summary>
    public PositionHead? SequenceHead { get; }
    /// <summary>Head of the splice track, or null.</summary>
    public PositionHead? SpliceHead { get; }
    /// <summary>Head of the codon track, or null.</summary>
    public PositionHead? CodonHead { get; }
    /// <summary>Linear head of the shares of words, on pooled vectors, or null.</summary>
    public ProjectionHead? WordHead { get; }
    /// <summary>What that head is to tell.</summary>
    internal WordShares Words { get; }

    /// <inheritdoc/>
    public override void Visit(ParameterVisitor visitor)
    {
        visitor.Child("model", Encoder);
        foreach (var (name, head) in _heads) visitor.Child(name, head);
    }

    /// <summary>Draws weights by upstream's rules; every tensor from a stream of its own.</summary>
    public void Initialise(ulong seed)
    {
        ModelInit.Initialise(Encoder, seed);
        foreach (var (name, head) in _heads) ModelInit.InitialiseHead(head, seed, name.Length == 0 ? "" : name + ".");
    }

    /// <summary>Takes over the weights of a model: its encoder, and those of its heads that are the same head here, with their running statistics.</summary>
    /// <exception cref="CheckpointException">The encoder has other sizes.</exception>
    public void Begin(OrthrusModel model)
    {
        ArgumentNullException.ThrowIfNull(model);
        if (model.Config != Encoder.Config)
            throw new CheckpointException(model.Source, null, $"is {model.Config.DModel} x {model.Config.NLayer} with {model.Config.NTracks} tracks and cannot begin a run of {Encoder.Config.DModel} x {Encoder.Config.NLayer} with {Encoder.Config.NTracks}", "give model.width, model.layers and model.tracks of that model");
        ModelModules.Fill(Encoder, model.Encoder, "", model.Source);
        foreach (var (name, head) in _heads)
        {
            string prefix = name.Length == 0 ? "" : name + ".";
            bool same = head.NamedParameters().All(p => model.Heads.Contains(prefix + p.Key) && model.Heads[prefix + p.Key].Shape.SequenceEqual(Enumerable.Range(0, p.Value.Shape.Rank).Select(i => (long)p.Value.Shape[i])));
            if (same) ModelModules.Fill(head, model.Heads, prefix, model.Source);
        }
    }

    /// <summary>Encoder and heads as groups of an optimiser, as upstream has them.</summary>
    public IReadOnlyList<ParameterGroup> Groups(double encoderRate, double encoderDecay, double headRate, double headDecay)
    {
        var all = NamedParameters();
        return
        [
            new("encoder", [.. all.Where(p => p.Key.StartsWith("model.", StringComparison.Ordinal))], encoderRate, encoderDecay),
            new("heads", [.. all.Where(p => !p.Key.StartsWith("model.", StringComparison.Ordinal))], headRate, headDecay),
        ];
    }
}
