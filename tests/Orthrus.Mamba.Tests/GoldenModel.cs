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
        DType = dtype switch { "f32" => DType.F32, "f64" => DType.F64, _ => DType.BF16 };
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

    /// <summary>A tensor of the model's activations.</summary>
    internal Tensor Real(GoldenTensor t, Shape? shape = null)
    {
#if SIMULATED
        if (Orthrus.Cuda.Tests.GoldenRun.Current is { Rounded: true }) t = t with { Values = Array.ConvertAll(t.Values, Orthrus.Cuda.Tests.GoldenRun.Round) };
#endif
        return Real(t, DType, shape);
    }

    /// <summary>A tensor of what stays wide in a model with BF16 activations: the scan's state.</summary>
    internal Tensor Wide(GoldenTensor t) => Real(t, DType == DType.BF16 ? DType.F32 : DType);

    /// <summary>A tensor of a result's kind.</summary>
    internal Tensor Like(Variable result, GoldenTensor t) => Real(t, result.Value.DType);

    private Tensor Real(GoldenTensor t, DType dtype, Shape? shape = null)
    {
        var to = _scope.Empty(shape ?? Shape.Of(t.Dims), dtype);
        Copy(to, t.Values);
        return to;
    }

    private static void Copy(Tensor to, double[] values)
    {
        if (to.DType == DType.F32) to.CopyFrom<float>(Array.ConvertAll(values, v => (float)v));
        else if (to.DType == DType.F64) to.CopyFrom<double>(values);
        else to.CopyFrom<BFloat16>(Array.ConvertAll(values, v => (BFloat16)(float)v));
    }

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
                Copy(p.Value, Operand(name, p.Value.DType, t.Values));
            }
            else Assert.True(p.IsBuffer, $"{_case.Name} has no {name}");
        }
    }

    // In double precision from rounded parameters: those that a BF16 model rounds.
    private static double[] Operand(string name, DType dtype, double[] values)
    {
#if SIMULATED
        if (Orthrus.Cuda.Tests.GoldenRun.Current is { } run)
        {
            if (dtype == DType.BF16) run.HalfParameters.Add(name);
            else if (run.Rounded && run.HalfParameters.Contains(name)) return Array.ConvertAll(values, Orthrus.Cuda.Tests.GoldenRun.Round);
        }
#endif
        return values;
    }

    internal void AssertOutput(string key, Variable got) => AssertClose(key, Numbers(got.Value), 1e-12, got.Value.DType);

    internal void AssertGrad(string key, Tensor got)
    {
        Assert.False(got.IsNone, $"{_case.Name} {key}: no gradient");
        AssertClose(key, Numbers(got), 1e-9, got.DType);
    }

    internal void AssertGrads(Module module, string prefix = "")
    {
        foreach (var (name, p) in module.NamedParameters())
            if (!p.IsBuffer && _case.Grads.TryGetValue(prefix + name, out string? key)) AssertGrad(key, p.Grad);
    }

    /// <summary>Compares with the case: in F32 with its tolerance, in F64 relative to the largest value. BF16 is judged by who asked for it.</summary>
    internal void AssertClose(string key, double[] got, double relative, DType? dtype = null)
    {
#if SIMULATED
        if (Orthrus.Cuda.Tests.GoldenRun.Current is { } run)
        {
            run.Note(key, got, dtype ?? DType, _case.Tensor(key).Values);
            if (run.Rounded || DType == DType.BF16) return;
        }
#endif
        bool zero = _case.Json.TryGetProperty("analytically_zero", out var list) && list.EnumerateArray().Any(e => e.GetString() == key);
        // A gradient that is zero but for rounding has no digits to compare.
        if (DType == DType.F32 || zero) _case.AssertF32(key, Array.ConvertAll(got, v => (float)v));
        else _case.AssertF64(key, got, relative);
    }

    internal static double[] Numbers(Tensor t) => t.DType switch
    {
        DType.F32 => Array.ConvertAll(t.ToArray<float>(), v => (double)v),
        DType.F64 => t.ToArray<double>(),
        _ => Array.ConvertAll(t.ToArray<BFloat16>(), v => (double)(float)v),
    };

    public void Dispose()
    {
        Tape.Dispose();
        Store.Dispose();
        _scope.Dispose();
        // Throws where something is still in use.
        _device.Dispose();
    }
}
