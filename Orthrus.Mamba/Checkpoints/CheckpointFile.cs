using System.Buffers.Binary;
using Orthrus.Mamba.Torch;

namespace Orthrus.Mamba;

/// <summary>What a weights file holds, before it is known to be an encoder.</summary>
/// <param name="Tensors">Named tensors of the state dict.</param>
/// <param name="Format">"safetensors", "training", "torch" or "lightning".</param>
/// <param name="Provenance">What else the file says.</param>
/// <param name="Optimizer">Optimiser states, where stored.</param>
internal sealed record ParsedCheckpoint(StateDict Tensors, string Format, IReadOnlyDictionary<string, string> Provenance, IReadOnlyList<OptimizerTensorState> Optimizer);

/// <summary>A single weights file of any form, recognised by its content.</summary>
internal static class CheckpointFile
{
    internal static ParsedCheckpoint ReadTensors(string path)
    {
        switch (Recognise(path))
        {
            case Form.TorchZip: return TorchCheckpoint.Read(path, zip: true);
            case Form.TorchLegacy: return TorchCheckpoint.Read(path, zip: false);
            default:
                var tensors = SafeTensors.Read(path, out var metadata);
                return TrainingState.Is(metadata) ? TrainingState.Result(tensors, metadata) : new ParsedCheckpoint(tensors, "safetensors", metadata, []);
        }
    }

    private enum Form { SafeTensors, TorchZip, TorchLegacy }

    private static Form Recognise(string path)
    {
        using var file = SafeTensors.Open(path);
        var head = new byte[64];
        int n = RandomAccess.Read(file, head, 0);
        if (n == 0) throw new CheckpointException(path, null, "the file is empty", "download it again");
        ReadOnlySpan<byte> start = head.AsSpan(0, n);
        // First what is certain: the length of a header of safetensors may begin with any two bytes, those of an archive or a web page among them.
        if (n > 8 && start[8] == (byte)'{' && BinaryPrimitives.ReadUInt64LittleEndian(start) <= (ulong)(RandomAccess.GetLength(file) - 8)) return Form.SafeTensors;
        if (start.StartsWith("PK"u8)) return Form.TorchZip;
        if (start.StartsWith("version https://git-lfs"u8))
            throw new CheckpointException(path, null, "this is a git-lfs pointer, not the checkpoint itself", "fetch it with `git lfs pull`, or download the file from the model's page");
        if (start.TrimStart(" \t\r\n\ufeff"u8).StartsWith("<"u8)) throw new CheckpointException(path, null, "this is a web page, not a checkpoint", "download it again");
        // A pickle begins with its protocol; safetensors with a length, of which the ninth byte is the brace of the header.
        return start[0] == 0x80 && (n < 9 || start[8] != (byte)'{') ? Form.TorchLegacy : Form.SafeTensors;
    }

    internal static OrthrusModel Load(string path, MambaConfig? expected)
    {
        var parsed = ReadTensors(path);
        var encoder = new StateDict();
        var heads = new StateDict();
        foreach (var t in parsed.Tensors) (ModelAssembly.IsHead(t.Name) ? heads : encoder).Add(t);
        bool bidirectional = (expected?.Bidirectional ?? false) || ModelAssembly.IsBidirectional(path, parsed.Provenance);
        if (bidirectional) encoder = ModelAssembly.WithoutTiedCopies(path, encoder);
        var config = ModelAssembly.Infer(path, encoder, depthKnown: expected is not null) with { Bidirectional = bidirectional };
        ModelAssembly.Validate(path, config, encoder);
        return new OrthrusModel
        {
            Config = config, Encoder = encoder, Heads = heads, Name = Path.GetFileNameWithoutExtension(path), Source = path, Format = parsed.Format,
            Sha256 = OrthrusModel.HashFile(path), Provenance = parsed.Provenance, Optimizer = parsed.Optimizer,
            Trained = OrthrusModel.SaysTrained(parsed.Provenance),
        };
    }
}
