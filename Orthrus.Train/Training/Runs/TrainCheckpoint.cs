using System.Globalization;
using System.Runtime.InteropServices;
using Orthrus.Autograd;
using Orthrus.Mamba;
using Orthrus.Tensor;

namespace Orthrus.Train;

using Tensor = Orthrus.Tensor.Tensor;

/// <summary>
/// A training checkpoint: one safetensors file with weights, running statistics and the optimiser's state; its metadata hold step, configuration and the best
/// validation so far. The data position is the step: batches are functions of their number.
/// </summary>
internal static class TrainCheckpoint
{
    private const string OptimiserPrefix = TrainingState.OptimiserPrefix;

    // What the best loss is a sum of; checkpoints of earlier programs, whose sums left losses out or moved with the step, do not say so.
    private const string BestOf = "all losses, final weights";

    /// <summary>What a checkpoint says besides its tensors; no corpus where none was named, and a best loss that is not comparable where an earlier program wrote it.</summary>
    internal sealed record Header(long Step, TrainConfig Config, long BestStep, double BestLoss, bool BestIsComparable, string? Corpus);

    /// <summary>Writes a checkpoint aside, flushes it and gives it its name.</summary>
    internal static void Write(string path, Module model, Optimiser optimiser, Header header)
    {
        var tensors = model.NamedParameters().Select(p => Of(p.Key, p.Value.Value)).Concat(optimiser.State().Select(s => Of(OptimiserPrefix + s.Name, s.Value))).ToArray();
        var metadata = new Dictionary<string, string>
        {
            ["format"] = TrainingState.Format, ["step"] = header.Step.ToString(CultureInfo.InvariantCulture), ["config"] = ConfigKeys.Write(header.Config),
            ["best_step"] = header.BestStep.ToString(CultureInfo.InvariantCulture), ["best_loss"] = header.BestLoss.ToString("R", CultureInfo.InvariantCulture), ["best_of"] = BestOf,
        };
        if (header.Corpus is { } corpus) metadata["corpus"] = corpus;
        SafeTensors.Write(path, tensors, metadata);
    }

    /// <summary>Reads what a checkpoint says besides its tensors.</summary>
    /// <exception cref="CheckpointException">The file is damaged or no training checkpoint.</exception>
    internal static Header ReadHeader(string path)
    {
        SafeTensors.Read(path, out var metadata);
        if (!TrainingState.Is(metadata))
            throw new CheckpointException(path, null, "is no checkpoint of orthrus train", "give the folder of a run");
        try
        {
            return new(long.Parse(metadata["step"], CultureInfo.InvariantCulture), ConfigKeys.Read(new TrainConfig(), path, metadata["config"]),
                long.Parse(metadata["best_step"], CultureInfo.InvariantCulture), double.Parse(metadata["best_loss"], CultureInfo.InvariantCulture),
                metadata.TryGetValue("best_of", out string? of) && of == BestOf, metadata.TryGetValue("corpus", out string? corpus) ? corpus : null);
        }
        catch (Exception e) when (e is KeyNotFoundException or FormatException)
        {
            throw new CheckpointException(path, null, "its metadata are incomplete", "delete it; the checkpoint before it is then used", e);
        }
    }

    /// <summary>Restores weights and optimiser.</summary>
    /// <exception cref="CheckpointException">A tensor is missing or of another shape or type.</exception>
    internal static void Load(string path, Module model, Optimiser optimiser, long step)
    {
        var state = SafeTensors.Read(path, out _);
        foreach (var (name, p) in model.NamedParameters()) Set(path, state, name, p.Value);
        foreach (var (name, value) in optimiser.State()) Set(path, state, OptimiserPrefix + name, value);
        optimiser.Steps = step;
    }

    private static void Set(string path, StateDict state, string name, in Tensor target)
    {
        var stored = state.Contains(name) ? state[name] : throw new CheckpointException(path, name, "the tensor is missing");
        if (stored.DType != target.DType || stored.ElementCount != target.Count) throw new CheckpointException(path, name, $"holds {stored.ElementCount} {stored.DType}; want {target}");
        target.Device.Upload(target.Address, stored.ToBytes());
    }

    /// <summary>A tensor of the device as one of a file.</summary>
    internal static StateTensor Of(string name, Tensor value)
    {
        long[] shape = [.. Enumerable.Range(0, value.Shape.Rank).Select(i => (long)value.Shape[i])];
        return new(name, value.DType, shape, to =>
        {
            value.Device.Synchronize();
            value.Device.Download(to, value.Address);
        });
    }

    /// <summary>The encoder, and the masked-base head where there is one, as a model to publish: float32, with the running mean of the weights where there is one.</summary>
    internal static OrthrusModel Export(PretrainModel model, Optimiser optimiser, string name, long step)
    {
        const string encoder = TrainingState.EncoderPrefix;
        var result = optimiser.Result;
        var state = new StateDict();
        var heads = new StateDict();
        foreach (var (key, p) in model.NamedParameters())
        {
            var source = result.TryGetValue(key, out var weight) ? weight : p.Value;
            if (key.StartsWith(encoder, StringComparison.Ordinal)) state.Add(Narrow(key[encoder.Length..], source));
            else heads.Add(p.Value.DType == DType.I64 ? Of(key, source) : Narrow(key, source));
        }
        return new OrthrusModel { Config = model.Encoder.Config, Encoder = state, Heads = heads, Name = name, Source = name, Format = "training", Sha256 = "", Provenance = new Dictionary<string, string> { ["global_step"] = step.ToString(CultureInfo.InvariantCulture) } };

        static StateTensor Narrow(string key, Tensor value)
        {
            float[] values = value.DType == DType.BF16 ? Array.ConvertAll(value.ToArray<BFloat16>(), v => (float)v) : Array.ConvertAll(value.ToDoubles(), v => (float)v);
            return new(key, DType.F32, [.. Enumerable.Range(0, value.Shape.Rank).Select(i => (long)value.Shape[i])], to => MemoryMarshal.AsBytes(values.AsSpan()).CopyTo(to));
        }
    }
}
