using Orthrus.TestSupport;

namespace Orthrus.Tensor.Tests;

/// <summary>One operator call in one precision on the tensors of a golden case.</summary>
internal sealed class GoldenCall : IDisposable
{
    private readonly Device _device;

    public GoldenCall(DType dtype)
    {
        DType = dtype;
        _device = GoldenDevice.Open(dtype);
        Scope = _device.OpenScope();
    }

    public DType DType { get; }
    public Scope Scope { get; }

    /// <summary>A tensor with the call's dtype; integers stay integers.</summary>
    public Tensor Place(GoldenTensor t)
    {
        var shape = Shape.Of(t.Dims);
        return t.DType switch
        {
            "I64" or "I32" => Scope.From<long>(Array.ConvertAll(t.Values, v => (long)v), shape),
            "U8" => Scope.From<byte>(t.ToBytes(), shape),
            _ => Place(t.Values, shape),
        };
    }

    public Tensor Place(double[] values, Shape shape) =>
        DType == DType.F32 ? Scope.From<float>(Array.ConvertAll(values, v => (float)v), shape) : Scope.From<double>(values, shape);

    /// <summary>The results of an operator.</summary>
    public Tensor[] Forward<TOp, TAttr>(TAttr attr, params Tensor[] inputs) where TOp : IOp<TAttr> where TAttr : unmanaged
    {
        var outputs = new Tensor[TOp.Signature.Outputs.Length];
        Op.Forward<TOp, TAttr>(Scope, inputs, attr, outputs);
        return outputs;
    }

    /// <summary>Gradients of the named operands, in the order of the signature.</summary>
    public Tensor[] Backward<TOp, TAttr>(TAttr attr, Tensor[] inputs, Tensor[] outputs, Tensor[] outputGrads) where TOp : IOp<TAttr> where TAttr : unmanaged
    {
        var grads = new Tensor[inputs.Length];
        for (int i = 0; i < inputs.Length; i++)
            if (!inputs[i].IsNone && TOp.Signature.Inputs[i].Kind == OperandKind.Real) grads[i] = Scope.Empty(inputs[i].Shape, DType);
        var all = new Tensor[outputs.Length];
        outputGrads.CopyTo(all, 0);
        // What backward does not save must not be needed.
        var none = new Tensor[16];
        Op.Backward<TOp, TAttr>(Scope, TOp.Saves.HasFlag(Saves.Inputs) ? inputs : none.AsSpan(0, inputs.Length),
            TOp.Saves.HasFlag(Saves.Outputs) ? outputs : none.AsSpan(0, outputs.Length), all, grads, attr);
        return grads;
    }

    /// <summary>Asserts with the recorded tolerance in float32, relative to the largest value in float64, where <paramref name="noise"/> is allowed on top.</summary>
    public void Matches(GoldenCase c, string key, Tensor got, double relative = 1e-12, double noise = 0)
    {
        Note(key, got);
        if (DType == DType.F32) c.AssertF32(key, got.ToArray<float>());
        else c.AssertF64(key, got.ToArray<double>(), relative, noise);
    }

    /// <summary>A result that is judged otherwise: on simulated devices its bits are compared between seeds.</summary>
    public void Note(string key, Tensor got)
    {
#if SIMULATED
        Orthrus.Cuda.Tests.GoldenRun.Current?.Note(key, got);
#else
        ArgumentNullException.ThrowIfNull(key);
        Assert.False(got.IsNone);
#endif
    }

    /// <summary>The elements, widened.</summary>
    public static double[] Numbers(Tensor t) => t.DType == DType.F32 ? Array.ConvertAll(t.ToArray<float>(), v => (double)v) : t.ToArray<double>();

    public void Dispose()
    {
        Scope.Dispose();
        Assert.Equal(0, _device.LiveBlocks);
        _device.Dispose();
    }
}
