using System.Reflection;

namespace Orthrus.Mamba;

/// <summary>Models that the library carries: trained ones as resources (folder models), and random weights of a small encoder as a baseline.</summary>
internal static class BuiltInModels
{
    private const string Trained = "orthrus-mini", Random = "random-mamba";
    private const ulong RandomSeed = 0;

    /// <summary>The default; like <c>random-mamba</c> it stands for two models, and for its 6-track form where nothing is known of the input.</summary>
    internal const string Default = Trained;

    internal static IReadOnlyList<string> Names { get; } = [.. from family in (string[])[Trained, Random] from form in (string[])["", "-4track", "-6track"] select family + form];

    /// <summary>The form of a built-in model that fits an input; other names stay as they are.</summary>
    /// <param name="pathOrName">Path or name of a model.</param>
    /// <param name="marks">Whether the input has codon and splice marks.</param>
    internal static string ForInput(string pathOrName, bool marks) =>
        pathOrName is Trained or Random && !Path.Exists(pathOrName) ? pathOrName + (marks ? "-6track" : "-4track") : pathOrName;

    /// <summary>Loads one of <see cref="Names"/>.</summary>
    internal static OrthrusModel Load(string name)
    {
        if (name is Trained or Random) name += "-6track";
        return name.StartsWith(Random, StringComparison.Ordinal)
            ? OrthrusModel.Random(new MambaConfig(64, 3, name.EndsWith("-4track", StringComparison.Ordinal) ? 4 : 6), RandomSeed, name, "built-in")
            : FromResources(name);
    }

    private static OrthrusModel FromResources(string name)
    {
        var weights = Resource($"{name}/model.safetensors");
        return HuggingFaceFolder.Assemble($"{name}/config.json", Resource($"{name}/config.json"), $"{name}/model.safetensors", SafeTensors.Read($"{name}/model.safetensors", weights),
            name, "built-in", "built-in", Sha256.OfStream(new MemoryStream(weights)));
    }

    private static byte[] Resource(string name)
    {
        using var stream = Assembly.GetExecutingAssembly().GetManifestResourceStream(name) ?? throw new InvalidOperationException($"resource {name} is missing");
        var bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        return bytes;
    }
}
