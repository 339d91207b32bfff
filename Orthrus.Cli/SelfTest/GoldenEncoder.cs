using System.Text.Json;
using Orthrus.Mamba;
using Orthrus.Tensor;

namespace Orthrus.Cli.SelfTest;

/// <summary>
/// A tiny encoder with numbers that PyTorch computed in float64: weights, input, every activation and the gradient of every weight. They come with the
/// program; tests/goldens/README.md describes the files.
/// </summary>
internal sealed class GoldenEncoder
{
    private const string Folder = "goldens/encoder/";

    private readonly Dictionary<string, string> _inputs, _outputs, _gradients;
    private readonly Dictionary<string, double> _absolute;
    private readonly double _absoluteOtherwise, _relative;
    private readonly StateDict _tensors;

    private GoldenEncoder(JsonElement json)
    {
        Name = json.GetProperty("name").GetString()!;
        var attrs = json.GetProperty("attrs");
        Config = new MambaConfig(attrs.GetProperty("d_model").GetInt32(), attrs.GetProperty("n_layers").GetInt32(), attrs.GetProperty("n_tracks").GetInt32());
        (Records, Length) = (attrs.GetProperty("B").GetInt32(), attrs.GetProperty("L").GetInt32());
        (_inputs, _outputs, _gradients) = (Map("inputs"), Map("outputs"), Map("grads"));
        Cotangent = Map("cotangents").GetValueOrDefault("rep");
        var tolerance = json.GetProperty("tolerance");
        _absoluteOtherwise = tolerance.GetProperty("f32_atol").GetDouble();
        _relative = tolerance.GetProperty("f32_rtol").GetDouble();
        _absolute = tolerance.TryGetProperty("per_tensor_f32_atol", out var each) ? each.EnumerateObject().ToDictionary(p => p.Name, p => p.Value.GetDouble()) : [];
        string file = json.GetProperty("file").GetString()!;
        _tensors = SafeTensors.Read(file, Resource(Folder + file));

        Dictionary<string, string> Map(string field) =>
            json.TryGetProperty(field, out var map) ? map.EnumerateObject().ToDictionary(p => p.Name, p => p.Value.GetString()!) : [];
    }

    /// <summary>All that come with the program.</summary>
    internal static IReadOnlyList<GoldenEncoder> All()
    {
        using var cases = JsonDocument.Parse(Resource(Folder + "cases.json"));
        return [.. cases.RootElement.EnumerateArray().Select(c => new GoldenEncoder(c))];
    }

    internal string Name { get; }
    internal MambaConfig Config { get; }

    /// <summary>Records of the batch.</summary>
    internal int Records { get; }

    /// <summary>Positions of the longest.</summary>
    internal int Length { get; }

    /// <summary>Track bytes, (Records, Length).</summary>
    internal byte[] Tracks => _tensors[_inputs["bytes"]].ToBytes();

    /// <summary>Positions of each record.</summary>
    internal int[] Lengths => Array.ConvertAll(_tensors[_inputs["lengths"]].ToInt64(), n => (int)n);

    /// <summary>Key of the gradient that comes in at the representation, or null where no gradients are given.</summary>
    internal string? Cotangent { get; }

    internal double[] Weight(string name) => _tensors[_inputs[name]].ToDouble();

    /// <summary>Key of an activation, or null where its numbers are not given.</summary>
    internal string? Output(string name) => _outputs.GetValueOrDefault(name);

    /// <summary>Key of a weight's gradient.</summary>
    internal string Gradient(string name) => _gradients[name];

    internal double[] Values(string key) => _tensors[key].ToDouble();

    /// <summary>The pass that the numbers belong to, on a device of ours.</summary>
    internal EncoderPass Pass(Device device, DType dtype, Func<string, double[]>? weight = null) =>
        EncoderPass.Run(device, dtype, Config, weight ?? Weight, Tracks, Lengths, Cotangent is null ? null : Values(Cotangent), observe: true);

    /// <summary>How far a result may be from the expected value.</summary>
    /// <param name="key">The tensor's key.</param>
    /// <param name="want">The expected value.</param>
    /// <param name="dtype">F32: the recorded tolerance. F64: rounding of the whole pass.</param>
    /// <param name="largest">Largest expected magnitude of the tensor.</param>
    internal double Limit(string key, double want, DType dtype, double largest) => dtype == DType.F64
        ? 1e-9 * largest + (_tensors[key].DType == DType.F32 ? 1.2e-7 * Math.Abs(want) : 0)
        : _absolute.GetValueOrDefault(key, _absoluteOtherwise) + _relative * Math.Abs(want);

    private static byte[] Resource(string name)
    {
        using var stream = typeof(GoldenEncoder).Assembly.GetManifestResourceStream(name) ?? throw new InvalidOperationException($"the program lacks its {name}");
        var bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        return bytes;
    }
}
