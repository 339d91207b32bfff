using System.Globalization;
using Orthrus.Tensor;

namespace Orthrus.Mamba;

/// <summary>Checks that tensors are exactly those of an encoder, and infers sizes where no configuration says them.</summary>
internal static class ModelAssembly
{
    private const int LargestWidth = 65_536, LargestDepth = 10_000;

    /// <summary>First components of head names; everything else beside the encoder is refused.</summary>
    internal static readonly string[] HeadPrefixes =
        ["projection_head.", "contrastive_projection_head.", "splice_self_head.", "ortho_head.", "sequence_head.", "splice_head.", "codon_head.", OwnHead];

    private const string OwnHead = "word_head.";

    /// <summary>Entries of a configuration, or of a safetensors file's metadata, that say how a bidirectional encoder joins its directions.</summary>
    internal const string Bidirectional = "bidirectional", BidirectionalStrategyName = "bidirectional_strategy", BidirectionalTie = "bidirectional_weight_tie";

    /// <summary>Of a head that upstream does not have.</summary>
    internal static bool IsOwn(string name) => name.StartsWith(OwnHead, StringComparison.Ordinal);

    internal static bool IsHead(string name) => HeadPrefixes.Any(p => name.StartsWith(p, StringComparison.Ordinal));

    /// <summary>Sizes from names and shapes, for a file that says them nowhere else.</summary>
    internal static MambaConfig Infer(string file, StateDict encoder, bool depthKnown)
    {
        if (!encoder.Contains("embedding.weight")) throw new CheckpointException(file, "embedding.weight", "the tensor is missing: this is not an Orthrus encoder");
        var shape = encoder["embedding.weight"].Shape;
        if (shape.Count != 2) throw new CheckpointException(file, "embedding.weight", $"has shape ({string.Join(", ", shape)}); want (width, tracks)");
        int layers = 0;
        while (encoder.Contains($"layers.{layers}.norm.weight")) layers++;
        if (!depthKnown) RequireWrittenWhole(file, encoder, layers);
        return Checked(file, shape[0], layers, shape[1]);
    }

    // Depth is inferred, so a layer that was appended to a finished encoder would silently become part of it. State dicts and safetensors' own
    // writer (by name within an element type) both put the final norm behind every layer; no layer lies wholly behind it by chance.
    private static void RequireWrittenWhole(string file, StateDict encoder, int layers)
    {
        DType? finalNorm = null;
        bool[] behind = [.. Enumerable.Repeat(true, layers)];
        foreach (var t in encoder)
            if (t.Name.StartsWith("norm_f.", StringComparison.Ordinal)) finalNorm = t.DType;
            else if (LayerOf(t.Name) is { } layer && layer < layers) behind[layer] &= t.DType == finalNorm;
        int appended = Array.IndexOf(behind, true);
        if (appended >= 0)
            throw new CheckpointException(file, $"layers.{appended}", "the layer stands behind the final norm, as if appended to a finished encoder, and the file does not say how many layers belong to it",
                "give a Hugging Face folder, whose config.json says it");
    }

    private static int? LayerOf(string name) =>
        name.Split('.', 3) is ["layers", var number, _] && int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out int layer) ? layer : null;

    internal static MambaConfig Checked(string file, long width, long layers, long tracks)
    {
        if (width is < 1 or > LargestWidth) throw new CheckpointException(file, "ssm_model_dim", $"a width of {width}; want 1 to {LargestWidth}", "check that the configuration belongs to the weights");
        if (layers is < 1 or > LargestDepth) throw new CheckpointException(file, "ssm_n_layers", $"{layers} layers; want 1 to {LargestDepth}", "check that the configuration belongs to the weights");
        if (tracks is not (4 or 6)) throw new CheckpointException(file, "n_tracks", $"{tracks} input tracks; only 4 and 6 exist", "check that the configuration belongs to the weights");
        return new MambaConfig((int)width, (int)layers, (int)tracks);
    }

    /// <summary>
    /// Whether the entries declare the bidirectional variant, of which only the form with a sum and shared projections is known. Keys of tensors are no
    /// declaration: they do not say how the directions are joined.
    /// </summary>
    internal static bool IsBidirectional(string file, IReadOnlyDictionary<string, string> entries)
    {
        if (!entries.TryGetValue(Bidirectional, out string? declared)) return false;
        if (!bool.TryParse(declared, out bool yes)) throw new CheckpointException(file, Bidirectional, $"is {Brief(declared)}, neither true nor false");
        if (!yes) return false;
        if (entries.TryGetValue(BidirectionalStrategyName, out string? strategy) && strategy != "add")
            throw new CheckpointException(file, BidirectionalStrategyName, $"is {Brief(strategy)}; only add is known");
        if (entries.TryGetValue(BidirectionalTie, out string? tie) && !(bool.TryParse(tie, out bool tied) && tied))
            throw new CheckpointException(file, BidirectionalTie, $"is {Brief(tie)}; only directions that share in_proj and out_proj are known");
        return true;
    }

    /// <summary>The tensors of a bidirectional encoder without the second copies of shared ones, which PyTorch's state dicts hold.</summary>
    internal static StateDict WithoutTiedCopies(string file, StateDict encoder)
    {
        const string reverse = ".mamba_rev.";
        var result = new StateDict();
        foreach (var t in encoder)
        {
            if (t.Name.EndsWith(reverse + "in_proj.weight", StringComparison.Ordinal) || t.Name.EndsWith(reverse + "out_proj.weight", StringComparison.Ordinal))
            {
                string original = t.Name.Replace(reverse, ".mamba_fwd.");
                if (!encoder.Contains(original)) throw new CheckpointException(file, original, "the tensor is missing");
                if (!t.Shape.SequenceEqual(encoder[original].Shape) || t.DType != encoder[original].DType || !t.ToBytes().AsSpan().SequenceEqual(encoder[original].ToBytes()))
                    throw new CheckpointException(file, t.Name, "differs from the forward direction's: only directions that share in_proj and out_proj are known");
            }
            else result.Add(t);
        }
        return result;
    }

    private static string Brief(string text) => text.Length <= 60 ? text : text[..60] + "...";

    /// <summary>Requires exactly the tensors of the configuration, floating and finite.</summary>
    internal static void Validate(string file, MambaConfig config, StateDict encoder)
    {
        // Depth first: naming one absent layer beats naming its first tensor, and nothing is allocated for a claimed billion of them.
        int stored = 0;
        while (encoder.Contains($"layers.{stored}.norm.weight") || encoder.Contains($"layers.{stored}.mixer.A_log")) stored++;
        if (encoder.FirstOrDefault(t => t.Name.Contains(".mamba_fwd.", StringComparison.Ordinal) || t.Name.Contains(".mamba_rev.", StringComparison.Ordinal)) is { } bidirectional && !config.Bidirectional)
            throw new CheckpointException(file, bidirectional.Name, "the checkpoint is of a bidirectional encoder, and nothing in it says how the directions are joined",
                "give a folder whose config.json has \"bidirectional\": true");
        if (stored != config.NLayer && encoder.Contains("embedding.weight"))
            throw new CheckpointException(file, null, $"the configuration says {config.NLayer} layers, the file holds {stored}", "give the configuration that belongs to the weights");
        var expected = new HashSet<string>(StringComparer.Ordinal);
        foreach (var (name, shape) in EncoderLayout.Tensors(config))
        {
            expected.Add(name);
            if (!encoder.Contains(name)) throw new CheckpointException(file, name, "the tensor is missing");
            var t = encoder[name];
            if (!t.Shape.SequenceEqual(shape)) throw new CheckpointException(file, name, $"has shape ({string.Join(", ", t.Shape)}); want ({string.Join(", ", shape)})");
            RequireFinite(file, t);
        }
        foreach (var t in encoder)
            if (!expected.Contains(t.Name)) throw new CheckpointException(file, t.Name, "the tensor is not part of the encoder that the configuration describes");
    }

    internal static void RequireFinite(string file, StateTensor t)
    {
        if (t.DType is not (DType.F32 or DType.F64 or DType.F16 or DType.BF16)) throw new CheckpointException(file, t.Name, $"holds {t.DType}, not real numbers");
        foreach (float v in t.ToSingle())
            if (!float.IsFinite(v)) throw new CheckpointException(file, t.Name, $"holds {(float.IsNaN(v) ? "NaN" : "infinity")}", "the checkpoint is damaged or its training diverged");
    }
}
