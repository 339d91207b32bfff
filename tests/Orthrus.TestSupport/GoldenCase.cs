using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using System.Text.Json;
using Xunit;

namespace Orthrus.TestSupport;

/// <summary>One tensor of a golden file, widened to double (integers too), with its shape.</summary>
public sealed record GoldenTensor(string DType, long[] Shape, double[] Values)
{
    public float[] ToSingle() => Array.ConvertAll(Values, v => (float)v);
    public byte[] ToBytes() => Array.ConvertAll(Values, v => (byte)v);
    public int[] ToInt32() => Array.ConvertAll(Values, v => (int)v);
    public int[] Dims => Array.ConvertAll(Shape, v => (int)v);
}

/// <summary>A case of a golden folder's cases.json; see ../shared/goldens/README.md or tests/goldens/README.md for the fields.</summary>
public sealed class GoldenCase
{
    private readonly Dictionary<string, string> _inputs, _outputs, _cotangents, _grads;

    private GoldenCase(string folder, JsonElement json)
    {
        Folder = folder;
        Json = json;
        Name = json.GetProperty("name").GetString()!;
        Op = json.GetProperty("op").GetString()!;
        File = json.TryGetProperty("file", out var f) && f.ValueKind == JsonValueKind.String ? f.GetString() : null;
        Attrs = json.TryGetProperty("attrs", out var a) ? a : default;
        _inputs = Map("inputs");
        _outputs = Map("outputs");
        _cotangents = Map("cotangents");
        _grads = Map("grads");
    }

    public string Folder { get; }
    public JsonElement Json { get; }
    public string Name { get; }
    public string Op { get; }
    public string? File { get; }
    public JsonElement Attrs { get; }
    public IReadOnlyDictionary<string, string> Inputs => _inputs;
    public IReadOnlyDictionary<string, string> Outputs => _outputs;
    public IReadOnlyDictionary<string, string> Cotangents => _cotangents;
    public IReadOnlyDictionary<string, string> Grads => _grads;

    /// <summary>Cases of an area ("ops", "encoder", "train/optim"); empty where the area is absent.</summary>
    public static IReadOnlyList<GoldenCase> Area(string area) => Areas.GetOrAdd(area, static area =>
    {
        string folder = Path.Combine(TestPaths.Goldens, area);
        string list = Path.Combine(folder, "cases.json");
        if (!System.IO.File.Exists(list)) return [];
        using var document = JsonDocument.Parse(System.IO.File.ReadAllBytes(list));
        return document.RootElement.EnumerateArray().Select(e => new GoldenCase(folder, e.Clone())).ToArray();
    });

    private static readonly ConcurrentDictionary<string, IReadOnlyList<GoldenCase>> Areas = new();

    /// <summary>Theory rows of an area, by name; one row with an empty name where the area is absent, which <see cref="Find"/> skips.</summary>
    public static IEnumerable<TheoryDataRow<string>> Names(string area, Func<GoldenCase, bool>? where = null)
    {
        var cases = Area(area).Where(where ?? (_ => true)).ToArray();
        return cases.Length == 0 ? [new TheoryDataRow<string>("")] : cases.Select(c => new TheoryDataRow<string>(c.Name));
    }

    /// <summary>The named case; skips the running test where the area is absent.</summary>
    public static GoldenCase Find(string area, string name)
    {
        if (name.Length == 0) Assert.Skip($"no golden cases of this kind under {Path.Combine(TestPaths.Goldens, area)}");
        return Area(area).First(c => c.Name == name);
    }

    public bool HasInput(string name) => _inputs.ContainsKey(name);
    public GoldenTensor Input(string name) => Tensor(_inputs[name]);
    public GoldenTensor Output(string name) => Tensor(_outputs[name]);
    public GoldenTensor Cotangent(string name) => Tensor(_cotangents[name]);
    public GoldenTensor Grad(string name) => Tensor(_grads[name]);
    public GoldenTensor Tensor(string key) => SafeTensorFile.Open(Path.Combine(Folder, File!))[key];

    public int Int(string attr) => Attrs.GetProperty(attr).GetInt32();
    public double Double(string attr) => Number(Attrs.GetProperty(attr));
    public bool Bool(string attr, bool otherwise = false) => Attrs.TryGetProperty(attr, out var e) ? e.GetBoolean() : otherwise;
    public string Text(string attr) => Attrs.GetProperty(attr).GetString()!;
    public bool HasAttr(string attr) => Attrs.TryGetProperty(attr, out var e) && e.ValueKind != JsonValueKind.Null;

    /// <summary>Numbers of cases.json: non-finite ones are strings there.</summary>
    public static double Number(JsonElement e) => e.ValueKind == JsonValueKind.String ? e.GetString() switch
    {
        "nan" or "NaN" => double.NaN,
        "inf" or "Infinity" => double.PositiveInfinity,
        "-inf" or "-Infinity" => double.NegativeInfinity,
        var s => double.Parse(s!),
    } : e.GetDouble();

    /// <summary>Absolute tolerance recorded for a tensor key in float32.</summary>
    public double F32Atol(string key)
    {
        var t = Json.GetProperty("tolerance");
        return t.TryGetProperty("per_tensor_f32_atol", out var per) && per.TryGetProperty(key, out var v) ? Number(v) : Number(t.GetProperty("f32_atol"));
    }

    public double F32Rtol => Number(Json.GetProperty("tolerance").GetProperty("f32_rtol"));

    /// <summary>Asserts a float32 result against the expected tensor with the recorded tolerances.</summary>
    public void AssertF32(string key, ReadOnlySpan<float> got)
    {
        var wide = new double[got.Length];
        for (int i = 0; i < wide.Length; i++) wide[i] = got[i];
        AssertClose(key, wide, F32Atol(key), F32Rtol);
    }

    /// <summary>
    /// Asserts a float64 result: <paramref name="relative"/> of the tensor's largest finite value, or the rounding of an F32-stored expectation. Where the
    /// exact result is 0 and the expected one is rounding noise, <paramref name="noise"/> is how large that may be.
    /// </summary>
    public void AssertF64(string key, ReadOnlySpan<double> got, double relative = 1e-12, double noise = 0)
    {
        var want = Tensor(key);
        double largest = want.Values.Where(double.IsFinite).Select(Math.Abs).DefaultIfEmpty(0).Max();
        double rtol = want.DType == "F32" ? 1.2e-7 : 0;
        double atol = noise + relative * largest + (want.DType == "F32" ? 1.5e-45 : 0);
        AssertClose(key, got.ToArray(), atol, rtol);
    }

    private void AssertClose(string key, double[] got, double atol, double rtol)
    {
        var want = Tensor(key);
        Assert.True(want.Values.Length == got.Length, $"{Name} {key}: {got.Length} elements, want {want.Values.Length}");
        int worst = -1;
        double worstExcess = 0;
        for (int i = 0; i < got.Length; i++)
        {
            double w = want.Values[i], g = got[i];
            double excess =
                double.IsNaN(w) ? (double.IsNaN(g) ? 0 : double.PositiveInfinity) :
                double.IsInfinity(w) ? (g == w ? 0 : double.PositiveInfinity) :
                !double.IsFinite(g) ? double.PositiveInfinity :
                Math.Abs(g - w) - (atol + rtol * Math.Abs(w));
            if (excess > worstExcess) { worstExcess = excess; worst = i; }
        }
        Assert.True(worst < 0, worst < 0 ? "" :
            $"{Name} {key}[{worst}]: got {got[worst]:G17}, want {want.Values[worst]:G17}, |difference| {Math.Abs(got[worst] - want.Values[worst]):G3}, atol {atol:G3}, rtol {rtol:G3}");
    }

    private Dictionary<string, string> Map(string field)
    {
        var map = new Dictionary<string, string>();
        if (Json.TryGetProperty(field, out var e) && e.ValueKind == JsonValueKind.Object)
            foreach (var p in e.EnumerateObject()) map[p.Name] = p.Value.GetString()!;
        return map;
    }
}

/// <summary>
/// A minimal safetensors reader of the tests' own, so that the product's reader is not judged by itself.
/// </summary>
public sealed class SafeTensorFile
{
    private static readonly ConcurrentDictionary<string, SafeTensorFile> Cache = new();
    private readonly Dictionary<string, (string DType, long[] Shape, long Begin, long End)> _entries = [];
    private readonly byte[] _bytes;
    private readonly int _data;

    private SafeTensorFile(string path)
    {
        _bytes = System.IO.File.ReadAllBytes(path);
        int header = (int)BinaryPrimitives.ReadInt64LittleEndian(_bytes);
        _data = 8 + header;
        using var json = JsonDocument.Parse(_bytes.AsMemory(8, header));
        foreach (var p in json.RootElement.EnumerateObject())
        {
            if (p.Name == "__metadata__") continue;
            var offsets = p.Value.GetProperty("data_offsets");
            _entries[p.Name] = (p.Value.GetProperty("dtype").GetString()!,
                p.Value.GetProperty("shape").EnumerateArray().Select(x => x.GetInt64()).ToArray(), offsets[0].GetInt64(), offsets[1].GetInt64());
        }
    }

    public static SafeTensorFile Open(string path) => Cache.GetOrAdd(path, p => new SafeTensorFile(p));

    public IReadOnlyCollection<string> Keys => _entries.Keys;

    public GoldenTensor this[string key]
    {
        get
        {
            var (dtype, shape, begin, end) = _entries[key];
            var raw = _bytes.AsSpan(_data + (int)begin, (int)(end - begin));
            double[] values = dtype switch
            {
                "F64" => MemoryMarshal.Cast<byte, double>(raw).ToArray(),
                "F32" => Widen<float>(raw, v => v),
                "F16" => Widen<Half>(raw, v => (double)v),
                "BF16" => Widen<ushort>(raw, v => BitConverter.Int32BitsToSingle(v << 16)),
                "I64" => Widen<long>(raw, v => v),
                "I32" => Widen<int>(raw, v => v),
                "U8" or "BOOL" => Widen<byte>(raw, v => v),
                _ => throw new InvalidDataException($"{key}: dtype {dtype}"),
            };
            return new GoldenTensor(dtype, shape, values);
        }
    }

    private static double[] Widen<T>(ReadOnlySpan<byte> raw, Func<T, double> f) where T : unmanaged
    {
        // Data of a safetensors file need not be aligned to its element size.
        var values = new double[raw.Length / Marshal.SizeOf<T>()];
        var item = new T[1];
        for (int i = 0; i < values.Length; i++)
        {
            raw.Slice(i * Marshal.SizeOf<T>(), Marshal.SizeOf<T>()).CopyTo(MemoryMarshal.AsBytes(item.AsSpan()));
            values[i] = f(item[0]);
        }
        return values;
    }
}
