using Orthrus.TestSupport;

namespace Orthrus.Tensor.Tests;

/// <summary>What golden tests of single operators share: rows of the area "ops", and the run of one case.</summary>
internal static class GoldenOp
{
    /// <summary>Every case of an operator in both precisions.</summary>
    public static IEnumerable<TheoryDataRow<string, DType>> Cases(string op)
    {
        foreach (var row in GoldenCase.Names("ops", c => c.Op == op))
            foreach (var dtype in GoldenDevice.DTypes) yield return new(row.Data, dtype);
    }

    /// <summary>Forward and, where the case has gradients, backward of one case, every named tensor compared.</summary>
    /// <param name="name">Case.</param>
    /// <param name="dtype">Precision.</param>
    /// <param name="attrOf">Options from the case.</param>
    /// <param name="inputNames">The case's names of the operands, in the order of the signature.</param>
    /// <param name="outputNames">Likewise of the results.</param>
    /// <param name="gradientTolerance">Of gradients in float64, relative to the tensor's largest value; 1e-12 where null.</param>
    /// <param name="noise">How far from 0 PyTorch's gradients in float64 may be where the exact ones are 0.</param>
    /// <param name="reshape">What an operand looks like here, from its name and what PyTorch takes; null where both are the same.</param>
    public static void Run<TOp, TAttr>(string name, DType dtype, Func<GoldenCase, TAttr> attrOf, string[] inputNames, string[] outputNames, Func<GoldenCase, double>? gradientTolerance = null, Func<GoldenCase, double>? noise = null,
        Func<string, GoldenTensor, GoldenTensor>? reshape = null)
        where TOp : IOp<TAttr> where TAttr : unmanaged
    {
        var c = GoldenCase.Find("ops", name);
        var attr = attrOf(c);
        GoldenTensor Operand(string n) => reshape is null ? c.Input(n) : reshape(n, c.Input(n));
#if SIMULATED
        if (dtype == DType.BF16)
        {
            Orthrus.Cuda.Tests.GoldenHalf.Check<TOp, TAttr>(c, attr, [.. inputNames.Select(n => c.HasInput(n) ? Operand(n) : null)]);
            return;
        }
#endif
        using var call = new GoldenCall(dtype);
        Tensor[] inputs = [.. inputNames.Select(n => c.HasInput(n) ? call.Place(Operand(n)) : Tensor.None)];
        Assert.All(c.Inputs.Keys, key => Assert.Contains(key, inputNames));
        Assert.All(c.Outputs.Keys, key => Assert.Contains(key, outputNames));
        var outputs = call.Forward<TOp, TAttr>(attr, inputs);
        for (int k = 0; k < outputNames.Length; k++)
            if (c.Outputs.TryGetValue(outputNames[k], out var key)) call.Matches(c, key, outputs[k]);
        if (c.Cotangents.Count == 0) return;
        Tensor[] cotangents = [.. outputNames.Select(n => c.Cotangents.ContainsKey(n) ? call.Place(c.Cotangent(n)) : Tensor.None)];
        var grads = call.Backward<TOp, TAttr>(attr, inputs, outputs, cotangents);
        Assert.NotEmpty(c.Grads);
        foreach (var (input, key) in c.Grads) call.Matches(c, key, grads[Array.IndexOf(inputNames, input)], gradientTolerance?.Invoke(c) ?? 1e-12, noise?.Invoke(c) ?? 0);
    }
}
