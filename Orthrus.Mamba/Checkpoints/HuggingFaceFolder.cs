using System.Text.Json;
using Orthrus.Tensor;

namespace Orthrus.Mamba;

/// <summary>The published form: a folder with config.json and model.safetensors (or, in old repositories, a pickled weights file).</summary>
internal static class HuggingFaceFolder
{
    private static readonly string[] WeightFiles = ["model.safetensors", "pytorch_model.bin"];

    internal static OrthrusModel Load(string folder)
    {
        string configPath = Path.Combine(folder, "config.json");
        if (!File.Exists(configPath)) throw new CheckpointException(folder, null, "the folder has no config.json", "give a Hugging Face folder, or a weights file");
        string? weights = WeightFiles.Select(f => Path.Combine(folder, f)).FirstOrDefault(File.Exists)
            ?? throw new CheckpointException(folder, null, "the folder has no model.safetensors", "put the weights beside config.json, or give a weights file");
        var parsed = CheckpointFile.ReadTensors(weights);
        return Assemble(configPath, ReadBytes(configPath), weights, parsed.Tensors, Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder))), folder, "hugging-face", OrthrusModel.HashFile(weights));
    }

    /// <summary>Makes a model of the folder's two files, wherever they lie.</summary>
    /// <param name="configName">Name of the configuration, for messages.</param>
    /// <param name="config">Its bytes.</param>
    /// <param name="weights">Name of the weights, for messages.</param>
    /// <param name="tensors">The tensors of encoder and heads.</param>
    /// <param name="name">The model's name.</param>
    /// <param name="source">Where it comes from.</param>
    /// <param name="format">Form of the file.</param>
    /// <param name="sha256">Hash of the weights file.</param>
    /// <exception cref="CheckpointException">The files are broken, or do not belong together.</exception>
    internal static OrthrusModel Assemble(string configName, ReadOnlyMemory<byte> config, string weights, StateDict tensors, string name, string source, string format, string sha256)
    {
        var sizes = ReadConfig(configName, config, out var entries, out bool hasMlmHead, out var task);
        var encoder = new StateDict();
        var heads = new StateDict();
        foreach (var t in tensors) (ModelAssembly.IsHead(t.Name) ? heads : encoder).Add(t);
        if (sizes.Bidirectional) encoder = ModelAssembly.WithoutTiedCopies(weights, encoder);
        ModelAssembly.Validate(weights, sizes, encoder);
        if (hasMlmHead && !heads.Any(t => t.Name.StartsWith("sequence_head.", StringComparison.Ordinal)))
            throw new CheckpointException(weights, "sequence_head.fc1.weight", "config.json says has_mlm_head, the weights hold none", "give the config.json that belongs to the weights");
        foreach (var t in heads)
            if (!t.Name.EndsWith("num_batches_tracked", StringComparison.Ordinal)) ModelAssembly.RequireFinite(weights, t);
        return new OrthrusModel
        {
            Config = sizes, Encoder = encoder, Heads = heads, Name = name, Source = source, Format = format, Sha256 = sha256, Provenance = entries,
            Trained = OrthrusModel.SaysTrained(entries), Task = task,
        };
    }

    /// <summary>Writes both files of the folder, or neither; a folder that was made for them goes again.</summary>
    internal static void Save(OrthrusModel model, string folder)
    {
        bool made = !Directory.Exists(folder);
        Directory.CreateDirectory(folder);
        try
        {
            using var aside = new FilesAside();
            // A projection head without a task may be one of pre-training, which the published form leaves out.
            var heads = model.Heads.Where(t => t.Name.StartsWith("sequence_head.", StringComparison.Ordinal)
                || model.Task is not null && t.Name.StartsWith(PredictionTask.Head + ".", StringComparison.Ordinal)).ToArray();
            SafeTensors.Write(aside.Create(Path.Combine(folder, "model.safetensors")), [.. model.Encoder, .. heads], new Dictionary<string, string> { ["format"] = "pt" });
            WriteConfig(aside.Create(Path.Combine(folder, "config.json")), model, heads.Any(t => t.Name.StartsWith("sequence_head.", StringComparison.Ordinal)));
            aside.Commit();
        }
        catch
        {
            if (made && !Directory.EnumerateFileSystemEntries(folder).Any()) Directory.Delete(folder);
            throw;
        }
    }

    private static void WriteConfig(Stream file, OrthrusModel model, bool hasMlmHead)
    {
        var mlm = model.DescribeHeads().FirstOrDefault(h => h.Name == "sequence_head");
        using var json = new Utf8JsonWriter(file, new JsonWriterOptions { Indented = true });
        json.WriteStartObject();
        json.WriteStartArray("architectures");
        json.WriteStringValue("OrthrusPretrainedModel");
        json.WriteEndArray();
        json.WriteStartObject("auto_map");
        json.WriteString("AutoConfig", "orthrus_hf.OrthrusConfig");
        json.WriteString("AutoModel", "orthrus_hf.OrthrusPretrainedModel");
        json.WriteEndObject();
        if (model.Config.Bidirectional)
        {
            json.WriteBoolean(ModelAssembly.Bidirectional, true);
            json.WriteString(ModelAssembly.BidirectionalStrategyName, "add");
            json.WriteBoolean(ModelAssembly.BidirectionalTie, true);
        }
        json.WriteBoolean("has_mlm_head", hasMlmHead);
        json.WriteNumber("mlm_head_body", mlm?.Body ?? 512);
        json.WriteNumber("mlm_head_dim", mlm?.DOut ?? 4);
        json.WriteString("mlm_head_norm_type", "batchnorm");
        json.WriteString("model_type", "orthrus");
        json.WriteNumber("n_tracks", model.Config.NTracks);
        model.Task?.Write(json);
        json.WriteNumber("ssm_model_dim", model.Config.DModel);
        json.WriteNumber("ssm_n_layers", model.Config.NLayer);
        json.WriteString("torch_dtype", model.Encoder.First().DType switch { DType.F16 => "float16", DType.BF16 => "bfloat16", DType.F64 => "float64", _ => "float32" });
        if (!model.Trained) json.WriteBoolean("trained", false);
        json.WriteString("transformers_version", "4.45.2");
        json.WriteEndObject();
    }

    private static byte[] ReadBytes(string path)
    {
        try
        {
            return File.ReadAllBytes(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Unreadable(path, e);
        }
    }

    private static CheckpointException Unreadable(string path, Exception e) => new(path, null, "not a readable JSON configuration", "correct it, or download it again", e);

    private static MambaConfig ReadConfig(string path, ReadOnlyMemory<byte> file, out IReadOnlyDictionary<string, string> entries, out bool hasMlmHead, out PredictionTask? task)
    {
        try
        {
            using var json = JsonDocument.Parse(file, new JsonDocumentOptions { MaxDepth = 64 });
            var root = json.RootElement;
            if (root.ValueKind != JsonValueKind.Object) throw new CheckpointException(path, null, "not a JSON object");
            if (root.TryGetProperty("model_type", out var type) && type.GetString() != "orthrus")
                throw new CheckpointException(path, "model_type", $"is {type.GetString()}, not orthrus", "give a folder of an Orthrus model");
            hasMlmHead = root.TryGetProperty("has_mlm_head", out var mlm) && mlm.ValueKind == JsonValueKind.True;
            var said = new Dictionary<string, string>();
            foreach (var p in root.EnumerateObject()) said.TryAdd(p.Name, p.Value.ToString());
            entries = said;
            task = PredictionTask.Read(path, root);
            // Defaults are those of upstream's configuration class.
            var sizes = ModelAssembly.Checked(path, Number(path, root, "ssm_model_dim", 256), Number(path, root, "ssm_n_layers", 3), Number(path, root, "n_tracks", 4));
            return sizes with { Bidirectional = ModelAssembly.IsBidirectional(path, entries) };
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw Unreadable(path, e);
        }
    }

    private static long Number(string path, JsonElement root, string name, long otherwise)
    {
        if (!root.TryGetProperty(name, out var e)) return otherwise;
        return e.ValueKind == JsonValueKind.Number && e.TryGetInt64(out long n) ? n : throw new CheckpointException(path, name, $"{e.GetRawText()} is not an integer", "correct the configuration");
    }
}
