using System.Text.Json;

namespace Orthrus.Mamba;

/// <summary>What the numbers of a fine-tuned model are.</summary>
public enum PredictionKind : byte
{
    /// <summary>Real numbers in the units of the training table.</summary>
    Regression,
    /// <summary>The probability of one label.</summary>
    Binary,
    /// <summary>A probability for each of several labels, which do not exclude each other.</summary>
    Multilabel,
}

/// <summary>What a fine-tuned model predicts. It stands in config.json under "orthrus_task", its head in the weights under "projection_head".</summary>
public sealed record PredictionTask
{
    internal const string Entry = "orthrus_task", Head = "projection_head";

    /// <summary>Name of the task, usually that of its table.</summary>
    public required string Name { get; init; }

    /// <summary>What the results are.</summary>
    public required PredictionKind Kind { get; init; }

    /// <summary>Names of the results, in order; at least one.</summary>
    public required IReadOnlyList<string> Targets { get; init; }

    /// <summary>Regression: result = <see cref="Mean"/> + <see cref="Scale"/> x the head's number, one for each target. Empty: the head's numbers as they are.</summary>
    public IReadOnlyList<double> Mean { get; init; } = [];

    /// <summary>See <see cref="Mean"/>; finite and above 0.</summary>
    public IReadOnlyList<double> Scale { get; init; } = [];

    /// <summary>Where codon and splice marks came from in training: "annotated", "longest-orf", "blank"; "none" for a 4-track model.</summary>
    public string Marks { get; init; } = "annotated";

    /// <summary>Nucleotides from the 5' end that the model was trained to read; the rest of a record is not read. 0 reads all.</summary>
    public int Crop { get; init; }

    /// <summary>Name of the model that was fine-tuned.</summary>
    public string Base { get; init; } = "";

    /// <summary>SHA-256 of its weights; empty where unknown.</summary>
    public string BaseSha256 { get; init; } = "";

    internal void Write(Utf8JsonWriter json)
    {
        json.WriteStartObject(Entry);
        json.WriteString("name", Name);
        json.WriteString("kind", Kind.ToString().ToLowerInvariant());
        json.WriteStartArray("targets");
        foreach (string t in Targets) json.WriteStringValue(t);
        json.WriteEndArray();
        Numbers(json, "mean", Mean);
        Numbers(json, "scale", Scale);
        json.WriteString("marks", Marks);
        json.WriteNumber("crop", Crop);
        json.WriteString("base", Base);
        json.WriteString("base_sha256", BaseSha256);
        json.WriteEndObject();
    }

    private static void Numbers(Utf8JsonWriter json, string name, IReadOnlyList<double> values)
    {
        if (values.Count == 0) return;
        json.WriteStartArray(name);
        foreach (double v in values) json.WriteNumberValue(v);
        json.WriteEndArray();
    }

    /// <summary>The task that a configuration states, or null.</summary>
    /// <exception cref="CheckpointException">It is stated in a way that cannot be read.</exception>
    internal static PredictionTask? Read(string file, JsonElement root)
    {
        if (!root.TryGetProperty(Entry, out var e)) return null;
        CheckpointException Bad(string key, string what) => new(file, $"{Entry}.{key}", what, "take the config.json that `orthrus finetune` wrote");
        if (e.ValueKind != JsonValueKind.Object) throw new CheckpointException(file, Entry, "is not an object", "take the config.json that `orthrus finetune` wrote");
        string Text(string key, string otherwise) => !e.TryGetProperty(key, out var v) ? otherwise : v.ValueKind == JsonValueKind.String ? v.GetString()! : throw Bad(key, "is not a text");
        double[] Reals(string key) => !e.TryGetProperty(key, out var v) ? [] : v.ValueKind == JsonValueKind.Array && v.EnumerateArray().All(n => n.ValueKind == JsonValueKind.Number)
            ? [.. v.EnumerateArray().Select(n => n.GetDouble())] : throw Bad(key, "is not a list of numbers");
        if (!e.TryGetProperty("targets", out var list) || list.ValueKind != JsonValueKind.Array || list.GetArrayLength() == 0 || list.EnumerateArray().Any(t => t.ValueKind != JsonValueKind.String))
            throw Bad("targets", "is not a list of names");
        var kind = Text("kind", "") switch
        {
            "regression" => PredictionKind.Regression,
            "binary" => PredictionKind.Binary,
            "multilabel" => PredictionKind.Multilabel,
            var other => throw Bad("kind", $"is '{(other.Length > 40 ? other[..40] : other)}'; want regression, binary or multilabel"),
        };
        var task = new PredictionTask
        {
            Name = Text("name", ""), Kind = kind, Targets = [.. list.EnumerateArray().Select(t => t.GetString()!)], Mean = Reals("mean"), Scale = Reals("scale"), Marks = Text("marks", "annotated"),
            Crop = !e.TryGetProperty("crop", out var crop) ? 0 : crop.TryGetInt32(out int n) && n >= 0 ? n : throw Bad("crop", "is no length"),
            Base = Text("base", ""), BaseSha256 = Text("base_sha256", ""),
        };
        foreach (var (key, values) in new[] { ("mean", task.Mean), ("scale", task.Scale) })
            if (values.Count != task.Mean.Count || values.Count != 0 && values.Count != task.Targets.Count || values.Any(v => !double.IsFinite(v)))
                throw Bad(key, $"want a finite number for each of the {task.Targets.Count} targets, or neither mean nor scale");
        return task.Scale.All(s => s > 0) ? task : throw Bad("scale", "holds a number that is not above 0");
    }
}
