using Orthrus.Autograd;
using Orthrus.Tensor;

namespace Orthrus.Mamba;

/// <summary>A head that a checkpoint holds, as its tensors describe it.</summary>
/// <param name="Name">"projection_head", "contrastive_projection_head", "splice_self_head", "ortho_head", "sequence_head", "splice_head", "codon_head" or "word_head".</param>
/// <param name="PerPosition">Works on every position (B, L, D) rather than on pooled vectors (B, D).</param>
/// <param name="DIn">Width of its input.</param>
/// <param name="Body">Width of its hidden layers; 0 for a single linear layer.</param>
/// <param name="DOut">Width of its output.</param>
/// <param name="Layers">Linear layers.</param>
/// <param name="Norm">What stands between them.</param>
/// <param name="BiasOut">The last layer has a bias.</param>
/// <param name="ParameterCount">Trainable numbers; running statistics are none.</param>
public sealed record HeadDescription(string Name, bool PerPosition, int DIn, int Body, int DOut, int Layers, HeadNorm Norm, bool BiasOut, long ParameterCount);

/// <summary>Trainable modules with the weights of a loaded model.</summary>
public static class ModelModules
{
    /// <summary>The heads that the checkpoint holds, in the order of the file.</summary>
    /// <exception cref="CheckpointException">A head's tensors do not fit together.</exception>
    public static IReadOnlyList<HeadDescription> DescribeHeads(this OrthrusModel model)
    {
        ArgumentNullException.ThrowIfNull(model);
        return [.. model.Heads.Select(t => t.Name[..t.Name.IndexOf('.')]).Distinct().Select(name => Describe(model, name))];
    }

    /// <summary>The encoder as a module.</summary>
    /// <param name="model">The model.</param>
    /// <param name="store">Owner of the weights; its dtype is that of the module, F32 or F64.</param>
    public static MixerModel CreateEncoder(this OrthrusModel model, ParameterStore store)
    {
        ArgumentNullException.ThrowIfNull(model);
        var encoder = new MixerModel(store, model.Config);
        Fill(encoder, model.Encoder, "", model.Source);
        return encoder;
    }

    /// <summary>A head on pooled vectors as a module.</summary>
    /// <exception cref="CheckpointException">The checkpoint has no such head, or it is one of another kind.</exception>
    public static ProjectionHead CreateProjectionHead(this OrthrusModel model, ParameterStore store, string name)
    {
        var d = Find(model, name, perPosition: false);
        var head = new ProjectionHead(store, new ProjectionHeadConfig(d.DIn, Math.Max(1, d.Body), d.DOut, d.Layers, d.Norm, d.BiasOut));
        Fill(head, model.Heads, name + ".", model.Source);
        return head;
    }

    /// <summary>A head on every position as a module.</summary>
    /// <exception cref="CheckpointException">The checkpoint has no such head, or it is one of another kind.</exception>
    public static PositionHead CreatePositionHead(this OrthrusModel model, ParameterStore store, string name)
    {
        var d = Find(model, name, perPosition: true);
        var head = new PositionHead(store, d.DIn, d.Body, d.DOut);
        Fill(head, model.Heads, name + ".", model.Source);
        return head;
    }

    private static HeadDescription Find(OrthrusModel model, string name, bool perPosition)
    {
        ArgumentNullException.ThrowIfNull(model);
        if (!model.Heads.Any(t => t.Name.StartsWith(name + ".", StringComparison.Ordinal))) throw new CheckpointException(model.Source, name, "the checkpoint has no such head");
        var d = Describe(model, name);
        return d.PerPosition == perPosition ? d : throw new CheckpointException(model.Source, name, d.PerPosition ? "works on every position" : "works on pooled vectors");
    }

    private static HeadDescription Describe(OrthrusModel model, string name)
    {
        var heads = model.Heads;
        long parameters = heads.Where(t => t.Name.StartsWith(name + ".", StringComparison.Ordinal) && IsParameter(t.Name)).Sum(t => t.ElementCount);
        if (heads.Contains(name + ".fc1.weight"))
        {
            var (body, dIn) = Matrix(model, name + ".fc1.weight");
            var (dOut, _) = Matrix(model, name + ".fc3.weight");
            return new HeadDescription(name, true, dIn, body, dOut, 3, HeadNorm.BatchNorm, heads.Contains(name + ".fc3.bias"), parameters);
        }
        if (heads.Contains($"{name}.layers.0.weight") && heads[$"{name}.layers.0.weight"].Shape is { Count: 1 } alone)
            return new HeadDescription(name, false, (int)alone[0], (int)alone[0], (int)alone[0], 0, heads.Contains($"{name}.layers.0.running_mean") ? HeadNorm.BatchNorm : HeadNorm.LayerNorm, false, parameters);
        int layers = 0;
        while (heads.Contains($"{name}.layers.{2 * layers}.weight") && heads[$"{name}.layers.{2 * layers}.weight"].Shape.Count == 2) layers++;
        if (layers == 0) throw new CheckpointException(model.Source, name, "the head has no linear layer");
        var (first, input) = Matrix(model, $"{name}.layers.0.weight");
        var (output, _) = Matrix(model, $"{name}.layers.{2 * layers - 2}.weight");
        var norm = heads.Contains($"{name}.layers.1.running_mean") ? HeadNorm.BatchNorm : heads.Contains($"{name}.layers.1.weight") ? HeadNorm.LayerNorm : HeadNorm.Identity;
        return new HeadDescription(name, false, input, layers == 1 ? 0 : first, output, layers, norm, heads.Contains($"{name}.layers.{2 * layers - 2}.bias"), parameters);
    }

    private static bool IsParameter(string name) =>
        name.EndsWith(".weight", StringComparison.Ordinal) || name.EndsWith(".bias", StringComparison.Ordinal);

    private static (int Rows, int Columns) Matrix(OrthrusModel model, string name)
    {
        if (!model.Heads.Contains(name)) throw new CheckpointException(model.Source, name, "the tensor is missing");
        var shape = model.Heads[name].Shape;
        return shape.Count == 2 && shape.All(n => n is > 0 and <= 1 << 20) ? ((int)shape[0], (int)shape[1]) : throw new CheckpointException(model.Source, name, $"has shape ({string.Join(", ", shape)}); want a matrix");
    }

    /// <summary>Loads all parameters of a module.</summary>
    internal static void Fill(Module module, StateDict weights, string prefix, string file)
    {
        foreach (var (name, p) in module.NamedParameters())
        {
            if (!weights.Contains(prefix + name)) throw new CheckpointException(file, prefix + name, "the tensor is missing");
            var t = weights[prefix + name];
            if (!t.Shape.SequenceEqual(Enumerable.Range(0, p.Shape.Rank).Select(i => (long)p.Shape[i]))) throw new CheckpointException(file, prefix + name, $"has shape ({string.Join(", ", t.Shape)}); want {p.Shape}");
            if (t.DType is DType.I64 or DType.I32) p.Value.CopyFrom<long>(t.ToInt64());
            else if (p.Value.DType == DType.F64) p.Value.CopyFrom<double>(t.ToDouble());
            else p.Value.CopyFrom<float>(t.ToSingle());
        }
    }
}
