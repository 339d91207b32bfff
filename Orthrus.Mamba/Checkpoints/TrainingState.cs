namespace Orthrus.Mamba;

/// <summary>What a checkpoint of `orthrus train` says of the model that it would become: running means of the weights where there are any, else master copies, else the weights themselves.</summary>
internal static class TrainingState
{
    /// <summary>The entry "format" of its metadata.</summary>
    internal const string Format = "orthrus-train-1";
    /// <summary>What names of the optimiser's state begin with.</summary>
    internal const string OptimiserPrefix = "optimiser.";
    /// <summary>What names of the encoder's tensors begin with.</summary>
    internal const string EncoderPrefix = "model.";

    /// <summary>Whether a file's metadata are those of a training checkpoint.</summary>
    internal static bool Is(IReadOnlyDictionary<string, string> metadata) => metadata.TryGetValue("format", out string? format) && format == Format;

    /// <summary>Encoder and heads under their published names, without the optimiser's state.</summary>
    internal static ParsedCheckpoint Result(StateDict state, IReadOnlyDictionary<string, string> metadata)
    {
        var tensors = new StateDict();
        foreach (var t in state)
        {
            if (t.Name.StartsWith(OptimiserPrefix, StringComparison.Ordinal)) continue;
            var source = new[] { "ema.", "master." }.Select(kind => OptimiserPrefix + kind + t.Name).FirstOrDefault(state.Contains) is { } better ? state[better] : t;
            string name = t.Name.StartsWith(EncoderPrefix, StringComparison.Ordinal) ? t.Name[EncoderPrefix.Length..] : t.Name;
            tensors.Add(source.Named(name));
        }
        var said = new Dictionary<string, string>();
        if (metadata.TryGetValue("step", out string? step)) said["global_step"] = step;
        // The configuration is a whole file; of its entries only this one is not in the tensors.
        if (metadata.TryGetValue("config", out string? config) && config.Contains("\n  bidirectional: true", StringComparison.Ordinal)) said[ModelAssembly.Bidirectional] = bool.TrueString;
        return new ParsedCheckpoint(tensors, "training", said, []);
    }
}
