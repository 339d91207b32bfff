using Orthrus.Autograd;
using Orthrus.Tensor;

namespace Orthrus.Mamba;

/// <summary>
/// Initial weights as upstream draws them. Every tensor has a stream of random numbers of its own, from the seed and its name, so that its values do not
/// depend on what else the model has.
/// </summary>
public static class ModelInit
{
    /// <summary>Initialises an encoder.</summary>
    public static void Initialise(MixerModel model, ulong seed)
    {
        foreach (var (name, p) in model.NamedParameters()) Set(p, Encoder(name, p.Shape, model.Config, seed));
    }

    /// <summary>Initialises a head: linear weights and biases uniform within 1/sqrt(inputs), norms 1 and 0, running statistics 0 and 1.</summary>
    /// <param name="head">A module whose linear layers have weights of two extents.</param>
    /// <param name="seed">Seed.</param>
    /// <param name="prefix">Name under which it is saved, with its dot: part of the streams' names.</param>
    public static void InitialiseHead(Module head, ulong seed, string prefix)
    {
        var named = head.NamedParameters();
        var fanIn = named.Where(p => p.Value.Shape.Rank == 2).ToDictionary(p => Layer(p.Key), p => p.Value.Shape[1]);
        foreach (var (name, p) in named)
        {
            if (p.Value.DType == DType.I64) continue;
            bool ones = name.EndsWith(".weight", StringComparison.Ordinal) || name.EndsWith(".running_var", StringComparison.Ordinal);
            Set(p, fanIn.TryGetValue(Layer(name), out int inputs) ? Uniform(p.Shape, 1 / Math.Sqrt(inputs), Stream(prefix + name, seed)) : Constant(p.Shape, ones ? 1 : 0));
        }
    }

    /// <summary>Initial values of one tensor of an encoder, by its published name.</summary>
    /// <param name="name">Such as layers.0.mixer.in_proj.weight.</param>
    /// <param name="shape">Its extents.</param>
    /// <param name="config">Sizes; the number of layers scales out_proj.</param>
    /// <param name="seed">Seed.</param>
    /// <exception cref="ArgumentException">No tensor of an encoder has this name.</exception>
    public static float[] Encoder(string name, Shape shape, MambaConfig config, ulong seed)
    {
        var random = Stream(name, seed);
        string[] parts = name.Split('.');
        string last = parts[^1], layer = parts.Length > 1 ? parts[^2] : "";
        return (layer, last) switch
        {
            ("embedding", "weight") => Uniform(shape, 1 / Math.Sqrt(config.NTracks), random),
            ("norm" or "norm_f", "weight") or (_, "D") => Constant(shape, 1),
            ("embedding" or "norm" or "norm_f", "bias") => Constant(shape, 0),
            ("in_proj", "weight") => Uniform(shape, 1 / Math.Sqrt(config.DModel), random),
            // A convolution's bias is drawn like its weight: fan-in is the kernel's width, for there is one input channel per group.
            ("conv1d", "weight" or "bias") => Uniform(shape, 1 / Math.Sqrt(config.DConv), random),
            ("x_proj", "weight") => Uniform(shape, 1 / Math.Sqrt(config.DInner), random),
            ("dt_proj", "weight") => Uniform(shape, 1 / Math.Sqrt(config.DtRank), random),
            ("dt_proj", "bias") => Make(shape, _ => InverseSoftplus(Math.Max(1e-4, Math.Exp(Math.Log(0.001) + random.Uniform() * Math.Log(100))))),
            (_, "A_log") => Make(shape, i => Math.Log(i % shape.Last + 1)),
            ("out_proj", "weight") => Uniform(shape, 1 / Math.Sqrt(config.DInner) / Math.Sqrt(config.NLayer), random),
            _ => throw new ArgumentException($"{name} is not a tensor of an encoder"),
        };
    }

    /// <summary>The number whose softplus is <paramref name="v"/>.</summary>
    private static double InverseSoftplus(double v) => v + Math.Log(-Math.Exp(-v) + 1);

    private static string Layer(string name) => name[..Math.Max(0, name.LastIndexOf('.'))];

    private static float[] Uniform(Shape shape, double limit, SampleRandom random) => Make(shape, _ => (2 * random.Uniform() - 1) * limit);

    private static float[] Constant(Shape shape, float value) => Make(shape, _ => value);

    private static float[] Make(Shape shape, Func<long, double> value)
    {
        var values = new float[shape.Count];
        for (long i = 0; i < values.Length; i++) values[i] = (float)value(i);
        return values;
    }

    private static void Set(Parameter p, float[] values)
    {
        if (p.Value.DType == DType.F32) p.Value.CopyFrom<float>(values);
        else if (p.Value.DType == DType.BF16) p.Value.CopyFrom<BFloat16>(Array.ConvertAll(values, v => (BFloat16)v));
        else p.Value.CopyFrom<double>(Array.ConvertAll(values, v => (double)v));
    }

    /// <summary>FNV-1a of the name, mixed with the seed.</summary>
    internal static SampleRandom Stream(string name, ulong seed)
    {
        ulong hash = 14695981039346656037;
        foreach (char c in name) hash = (hash ^ c) * 1099511628211;
        return new SampleRandom(hash ^ (seed * 0x9E3779B97F4A7C15));
    }
}
