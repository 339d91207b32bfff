namespace Orthrus.Mamba.Torch;

/// <summary>Finds the state dict in what torch.save wrote: plain, or inside a Lightning checkpoint of any generation.</summary>
internal static class TorchCheckpoint
{
    private const string EncoderPrefix = "model.";

    internal static ParsedCheckpoint Read(string path, bool zip)
    {
        object? top = zip ? TorchZip.Read(path, out var tensor) : TorchLegacy.Read(path, out tensor);
        if (top is not PickleDict dict) throw new CheckpointException(path, null, "the file holds no dictionary of tensors", "save model.state_dict()");
        bool lightning = dict.TryGet("state_dict", out object? inner);
        if (lightning && inner is not PickleDict) throw new CheckpointException(path, "state_dict", "is no dictionary");
        if (!lightning && (dict.TryGet("pytorch-lightning_version", out _) || dict.TryGet("optimizer_states", out _)))
            throw new CheckpointException(path, "state_dict", "the Lightning checkpoint holds no state_dict");
        var tensors = new StateDict();
        foreach (var (key, value) in (lightning ? (PickleDict)inner! : dict).Entries)
        {
            if (key is not string name) continue;
            // The exact prefix: model_ema. and modelling. are others.
            if (lightning && name.StartsWith(EncoderPrefix, StringComparison.Ordinal)) name = name[EncoderPrefix.Length..];
            else if (lightning && !ModelAssembly.IsHead(name)) continue;
            if (value is TorchTensor t) tensors.Add(tensor(name, t));
            else if (value is PickleOpaque o) throw new CheckpointException(path, name, $"a {o.What} stands where a tensor should");
            else throw new CheckpointException(path, name, "what stands under this name is no tensor");
        }
        if (lightning && !tensors.Any(t => !ModelAssembly.IsHead(t.Name))) throw new CheckpointException(path, "state_dict", "no key starts with model.: this is no Orthrus checkpoint");
        return new ParsedCheckpoint(tensors, lightning ? "lightning" : "torch", lightning ? Provenance(dict) : new Dictionary<string, string>(), lightning ? Optimizer(path, dict, tensor) : []);
    }

    private static Dictionary<string, string> Provenance(PickleDict dict)
    {
        var said = new Dictionary<string, string>();
        foreach (string key in new[] { "epoch", "global_step", "pytorch-lightning_version" })
            if (dict.TryGet(key, out object? value) && value is long or string or double) said[key] = value.ToString()!;
        if (Group(dict) is { } groups)
        {
            said["optimizer_groups"] = string.Join(", ", groups.Select(g => g is PickleDict d && d.TryGet("params", out object? p) && p is List<object?> l ? l.Count : 0));
            foreach (string key in new[] { "lr", "weight_decay", "betas", "eps" })
            {
                string[] values = [.. groups.OfType<PickleDict>().Select(g => g.TryGet(key, out object? v) ? Number(v) : null).OfType<string>()];
                if (values.Length > 0) said["optimizer_" + key] = string.Join(", ", values.Distinct());
            }
        }
        return said;
    }

    private static string? Number(object? value) => value switch
    {
        double d => d.ToString("R"),
        long n => n.ToString(),
        PickleTuple { Items: [double a, double b] } => $"{a:R} {b:R}",
        _ => null,
    };

    private static List<object?>? Group(PickleDict dict) =>
        dict.TryGet("optimizer_states", out object? states) && states is List<object?> { Count: > 0 } list && list[0] is PickleDict first
        && first.TryGet("param_groups", out object? groups) ? groups as List<object?> : null;

    private static List<OptimizerTensorState> Optimizer(string path, PickleDict dict, Func<string, TorchTensor, StateTensor> tensor)
    {
        var result = new List<OptimizerTensorState>();
        if (!(dict.TryGet("optimizer_states", out object? states) && states is List<object?> { Count: > 0 } list && list[0] is PickleDict first
            && first.TryGet("state", out object? inner) && inner is PickleDict state)) return result;
        foreach (var (key, value) in state.Entries)
        {
            if (key is not long index || value is not PickleDict moments) continue;
            if (!(moments.TryGet("exp_avg", out object? m) && m is TorchTensor first1 && moments.TryGet("exp_avg_sq", out object? v) && v is TorchTensor second)) continue;
            string name = $"optimizer_states.0.state.{index}";
            moments.TryGet("step", out object? stepValue);
            double step = stepValue switch
            {
                long n => n,
                double d => d,
                TorchTensor t => Scalar(tensor(name + ".step", t)),
                _ => throw new CheckpointException(path, name, "has no step"),
            };
            result.Add(new OptimizerTensorState(checked((int)index), step, tensor(name + ".exp_avg", first1), tensor(name + ".exp_avg_sq", second)));
        }
        return result;
    }

    private static double Scalar(StateTensor t) => t.ElementCount != 1 ? throw new CheckpointException(null, t.Name, "is no single number")
        : t.DType is Orthrus.Tensor.DType.I64 or Orthrus.Tensor.DType.I32 ? t.ToInt64()[0] : t.ToDouble()[0];
}
