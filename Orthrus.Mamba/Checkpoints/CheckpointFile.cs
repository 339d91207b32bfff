namespace Orthrus.Mamba;

/// <summary>What a weights file holds, before it is known to be an encoder.</summary>
/// <param name="Tensors">Named tensors of the state dict.</param>
/// <param name="Format">"safetensors", "torch" or "lightning".</param>
/// <param name="Provenance">What else the file says.</param>
/// <param name="Optimizer">Optimiser states, where stored.</param>
internal sealed record ParsedCheckpoint(StateDict Tensors, string Format, IReadOnlyDictionary<string, string> Provenance, IReadOnlyList<OptimizerTensorState> Optimizer);

/// <summary>A single weights file of any form, recognised by its content.</summary>
internal static class CheckpointFile
{
    internal static ParsedCheckpoint ReadTensors(string path)
    {
        var tensors = SafeTensors.Read(path, out var metadata);
        return new ParsedCheckpoint(tensors, "safetensors", metadata, []);
    }

    internal static OrthrusModel Load(string path)
    {
        var parsed = ReadTensors(path);
        var encoder = new StateDict();
        var heads = new StateDict();
        foreach (var t in parsed.Tensors) (ModelAssembly.IsHead(t.Name) ? heads : encoder).Add(t);
        var config = ModelAssembly.Infer(path, encoder);
        ModelAssembly.Validate(path, config, encoder);
        return new OrthrusModel
        {
            Config = config, Encoder = encoder, Heads = heads, Name = Path.GetFileNameWithoutExtension(path), Source = path, Format = parsed.Format,
            Sha256 = OrthrusModel.HashFile(path), Provenance = parsed.Provenance, Optimizer = parsed.Optimizer,
        };
    }
}
