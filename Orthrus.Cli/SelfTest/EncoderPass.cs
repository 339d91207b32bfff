using Orthrus.Autograd;
using Orthrus.Mamba;
using Orthrus.Tensor;

namespace Orthrus.Cli.SelfTest;

/// <summary>One pass of the encoder's modules forward and backward on a device, brought to the host.</summary>
/// <param name="Activations">By name.</param>
/// <param name="Gradients">By the weight's name.</param>
internal sealed record EncoderPass(IReadOnlyDictionary<string, double[]> Activations, IReadOnlyDictionary<string, double[]> Gradients)
{
    internal double[] Representation => Activations["rep"];

    /// <summary>Runs it.</summary>
    /// <param name="device">Where.</param>
    /// <param name="dtype">Activations.</param>
    /// <param name="config">Sizes.</param>
    /// <param name="weight">Weights by name.</param>
    /// <param name="tracks">Track bytes, (records, length).</param>
    /// <param name="lengths">Positions of each record.</param>
    /// <param name="cotangent">Gradient that comes in at the representation; null for forward alone.</param>
    /// <param name="observe">Whether activations between the layers are wanted.</param>
    internal static EncoderPass Run(Device device, DType dtype, MambaConfig config, Func<string, double[]> weight, byte[] tracks, int[] lengths, double[]? cotangent, bool observe = false)
    {
        using var store = new ParameterStore(device, dtype);
        using var tape = new Tape(device);
        var model = new MixerModel(store, config);
        foreach (var (name, p) in model.NamedParameters()) Fill(p.Value, weight(name));
        using var scope = device.OpenScope();
        var activations = new Dictionary<string, double[]>();
        var bytes = scope.From<byte>(tracks, new Shape(lengths.Length, tracks.Length / lengths.Length));
        var counts = scope.From<int>(lengths, new Shape(lengths.Length));
        var y = observe ? model.Forward(tape, bytes, counts, (name, v) => activations[name] = Numbers(v.Value)) : model.Forward(tape, bytes, counts);
        var rep = Functions.MeanPool(tape, y, tape.Constant(counts));
        if (observe) activations["y"] = Numbers(y.Value);
        activations["rep"] = Numbers(rep.Value);
        if (cotangent is null) return new(activations, new Dictionary<string, double[]>());
        var incoming = scope.Empty(rep.Value.Shape, rep.Value.DType);
        Fill(incoming, cotangent);
        tape.Backward([rep], [incoming]);
        return new(activations, model.NamedParameters().ToDictionary(p => p.Key, p => Numbers(p.Value.Grad)));
    }

    internal static void Fill(in Tensor.Tensor to, double[] values)
    {
        if (to.DType == DType.F64) to.CopyFrom<double>(values);
        else if (to.DType == DType.BF16) to.CopyFrom<BFloat16>(Array.ConvertAll(values, v => (BFloat16)(float)v));
        else to.CopyFrom<float>(Array.ConvertAll(values, v => (float)v));
    }

    internal static double[] Numbers(in Tensor.Tensor t) => t.DType switch
    {
        DType.F64 => t.ToArray<double>(),
        DType.BF16 => Array.ConvertAll(t.ToArray<BFloat16>(), v => (double)(float)v),
        _ => Array.ConvertAll(t.ToArray<float>(), v => (double)v),
    };
}
