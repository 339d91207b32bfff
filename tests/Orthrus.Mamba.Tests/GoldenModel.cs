using Orthrus.Autograd;
using Orthrus.Tensor;
using Orthrus.Tensor.Tests;
using Orthrus.TestSupport;

namespace Orthrus.Mamba.Tests;

using Tensor = Orthrus.Tensor.Tensor;

/// <summary>A device with a tape, parameters and helpers to run one golden case in one precision.</summary>
internal sealed class GoldenModel : IDisposable
{
    private readonly Device _device;
    private readonly Scope _scope;
    private readonly GoldenCase _case;

    internal GoldenModel(GoldenCase golden, string dtype)
    {
        _case = golden;
        DType = dtype == "f32" ? DType.F32 : DType.F64;
        _device = GoldenDevice.Open(DType);
        _scope = _device.OpenScope();
        Store = new(_device, DType);
        Tape = new(_device);
    }

    /// <summary>Precisions that cases run in.</summary>
    internal static IEnumerable<string> Precisions => GoldenDevice.DTypes.Select(d => d == DType.F32 ? "f32" : "f64");

    internal DType DType { get; }
    internal ParameterStore Store { get; }
    internal Tape Tape { get; }

    internal Tensor Real(GoldenTensor t, Shape? shape = null) => DType == DType.F32
        ? _scope.From<float>(t.ToSingle(), shape ?? Shape.Of(t.Dims))
        : _scope.From<double>(t.Values, shape ?? Shape.Of(t.Dims));

    internal Tensor Bytes(GoldenTensor t) => _scope.From<byte>(t.ToBytes(), Shape.Of(t.Dims));

    internal Tensor Ints(GoldenTensor t) => _scope.From<int>(t.ToInt32(), Shape.Of(t.Dims));

    internal Tensor Rows(GoldenTensor t, int axisLength, int from, int count)
    {
        int batch = t.Dims[0], width = t.Dims[2];
        var part = new double[batch * count * width];
        for (int b = 0; b < batch; b++) Array.Copy(t.Values, (b * axisLength + from) * width, part, b * count * width, count * width);
        return Real(new GoldenTensor("F64", [batch, count, width], part));
    }

    internal void Fill(Module module, Func<string, GoldenTensor?> find)
    {
        foreach (var (name, p) in module.NamedParameters())
        {
            if (find(name) is { } t)
            {
                Assert.Equal(p.Shape, Shape.Of(t.Dims));
                if (DType == DType.F32) p.Value.CopyFrom<float>(t.ToSingle());
                else p.Value.CopyFrom<double>(t.Values);
            }
            else Assert.True(p.IsBuffer, $"{_case.Name} has no {name}");
        }
    }

    internal void AssertOutput(string key, Variable got) => AssertClose(key, Numbers(got.Value), 1e-12);

    internal void AssertGrad(string key, Tensor got)
    {
        Assert.False(got.IsNone, $"{_case.Name} {key}: no gradient");
        AssertClose(key, Numbers(got), 1e-9);
    }

    internal void AssertGrads(Module module, string prefix = "")
    {
        foreach (var (name, p) in module.NamedParameters())
            if (!p.IsBuffer && _case.Grads.TryGetValue(prefix + name, out string? key)) AssertGrad(key, p.Grad);
    }

    internal void AssertClose(string key, double[] got, double relative)
    {
        bool zero = _case.Json.TryGetProperty("analytically_zero", out var list) && list.EnumerateArray().Any(e => e.GetString() == key);
        // A gradient that is zero but for rounding has no digits to compare.
        if (DType == DType.F32 || zero) _case.AssertF32(key, Array.ConvertAll(got, v => (float)v));
        else _case.AssertF64(key, got, relative);
    }

    internal static double[] Numbers(Tensor t) => t.DType == DType.F32 ? Array.ConvertAll(t.ToArray<float>(), v => (double)v) : t.ToArray<double>();

    public void Dispose()
    {
        Tape.Dispose();
        Store.Dispose();
        _scope.Dispose();
        // Throws where something is still in use.
        _device.Dispose();
    }
}
