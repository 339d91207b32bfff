using Orthrus.Tensor;

namespace Orthrus.Mamba;

/// <summary>An encoder with its heads as they stand in a checkpoint: configuration, named tensors, provenance. Nothing is computed here.</summary>
public sealed class OrthrusModel
{
    /// <summary>
    /// Built-in models: "orthrus-mini-4track" and "orthrus-mini-6track" are trained, "random-mamba-4track" and "random-mamba-6track" have random weights (64 x 3). Without the last part a
    /// name stands for the 6-track form.
    /// </summary>
    public static IReadOnlyList<string> BuiltIn => BuiltInModels.Names;

    /// <summary>Sizes of the encoder.</summary>
    public required MambaConfig Config { get; init; }
    /// <summary>The encoder's tensors by published name, without prefix.</summary>
    public required StateDict Encoder { get; init; }
    /// <summary>Tensors of the heads under their full names; empty where the file has none.</summary>
    public StateDict Heads { get; init; } = new();
    /// <summary>Short name: a built-in's, or that of the file or folder.</summary>
    public required string Name { get; init; }
    /// <summary>Path as the user named it; "built-in" for built-ins.</summary>
    public required string Source { get; init; }
    /// <summary>Form of the file: "hugging-face", "safetensors", "training" for a checkpoint of `orthrus train`, "torch", "lightning", "random", "built-in" for trained weights that the library carries.</summary>
    public required string Format { get; init; }
    /// <summary>SHA-256 of the weights file, lower-case hex; for random weights of the canonical bytes of all tensors in order.</summary>
    public required string Sha256 { get; init; }
    /// <summary>False for random weights.</summary>
    public bool Trained { get; init; } = true;
    /// <summary>What a fine-tuned model predicts; null for an encoder alone.</summary>
    public PredictionTask? Task { get; init; }
    /// <summary>What the file says of its origin: step, epoch, library versions, configuration entries.</summary>
    public IReadOnlyDictionary<string, string> Provenance { get; init; } = new Dictionary<string, string>();
    /// <summary>Optimiser states of a training checkpoint in file order; empty otherwise.</summary>
    public IReadOnlyList<OptimizerTensorState> Optimizer { get; init; } = [];

    /// <summary>Number of parameters of the encoder without heads.</summary>
    public long ParameterCount => EncoderLayout.ParameterCount(Config);

    /// <summary>Loads a model.</summary>
    /// <param name="pathOrName">A folder, a file of any supported form, or the name of a built-in model.</param>
    /// <param name="expected">
    /// Sizes that the encoder must have; null takes what the file says. A bare weights file whose last layers are missing can be told no other way, nor one of
    /// a bidirectional encoder that does not say that it is one.
    /// </param>
    /// <exception cref="CheckpointException">Missing, broken, hostile or unfitting files.</exception>
    public static OrthrusModel Load(string pathOrName, MambaConfig? expected = null)
    {
        var model = Read(pathOrName, expected);
        if (expected is not null && Compared(model.Config) != Compared(expected))
            throw new CheckpointException(pathOrName, null, $"holds an encoder of {Words(model.Config)}, not {Words(expected)}", "give the configuration that belongs to it");
        return model;
    }

    private static (int, int, int, bool) Compared(MambaConfig c) => (c.DModel, c.NLayer, c.NTracks, c.Bidirectional);

    private static string Words(MambaConfig c) => $"{c.DModel} x {c.NLayer} with {c.NTracks} tracks{(c.Bidirectional ? ", bidirectional" : "")}";

    private static OrthrusModel Read(string pathOrName, MambaConfig? expected)
    {
        if (BuiltIn.Contains(pathOrName) && !Path.Exists(pathOrName)) return BuiltInModels.Load(pathOrName);
        if (Directory.Exists(pathOrName)) return HuggingFaceFolder.Load(pathOrName);
        if (File.Exists(pathOrName)) return CheckpointFile.Load(pathOrName, expected);
        throw new CheckpointException(pathOrName, null, "no such model", $"give a file, a folder, or one of {string.Join(", ", BuiltIn)}");
    }

    /// <summary>A model with random weights by upstream's initialisation.</summary>
    /// <param name="config">Sizes.</param>
    /// <param name="seed">Same seed, same weights, on every machine.</param>
    public static OrthrusModel Create(MambaConfig config, ulong seed) => Random(config, seed, $"random-{config.DModel}x{config.NLayer}-{config.NTracks}track{(config.Bidirectional ? "-bidirectional" : "")}", "random");

    /// <summary>Writes config.json and model.safetensors as upstream's code reads them; aside first, then renamed.</summary>
    /// <param name="folder">The folder to make or fill.</param>
    public void SaveHuggingFace(string folder) => HuggingFaceFolder.Save(this, folder);

    /// <summary>Writes encoder and heads into one safetensors file, under the names of the published form; aside first, then renamed.</summary>
    /// <param name="path">The file to make or replace.</param>
    public void SaveSafeTensors(string path)
    {
        var metadata = new Dictionary<string, string> { ["format"] = "pt" };
        if (!Trained) metadata["trained"] = bool.FalseString;
        if (Config.Bidirectional) metadata[ModelAssembly.Bidirectional] = "true";
        SafeTensors.Write(path, [.. Encoder, .. Heads], metadata);
    }

    /// <summary>Writes encoder and heads as a Lightning checkpoint under the names of upstream's training code; aside first, then renamed.</summary>
    /// <param name="path">The file to make or replace.</param>
    public void SaveLightning(string path) => Torch.LightningFile.Write(path, this);

    internal static OrthrusModel Random(MambaConfig config, ulong seed, string name, string source)
    {
        var weights = EncoderLayout.Initialise(config, seed);
        var sum = new Sha256();
        foreach (var t in weights) sum.Append(t.ToBytes());
        return new OrthrusModel
        {
            Config = config, Encoder = weights, Name = name, Source = source, Format = "random", Trained = false,
            Sha256 = sum.Finish(),
            Provenance = new Dictionary<string, string> { ["seed"] = seed.ToString(), ["initialisation"] = "random, untrained" },
        };
    }

    // Only what this library saved from random weights says otherwise.
    internal static bool SaysTrained(IReadOnlyDictionary<string, string> entries) => !entries.TryGetValue("trained", out string? said) || said != bool.FalseString;

    internal static string HashFile(string path)
    {
        using var stream = File.OpenRead(path);
        return Mamba.Sha256.OfStream(stream);
    }
}

/// <summary>Moments of one parameter in a training checkpoint.</summary>
/// <param name="Index">Index over all parameter groups.</param>
/// <param name="Step">Updates done.</param>
/// <param name="ExpAvg">First moment.</param>
/// <param name="ExpAvgSq">Second moment.</param>
public sealed record OptimizerTensorState(int Index, double Step, StateTensor ExpAvg, StateTensor ExpAvgSq);
