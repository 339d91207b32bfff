namespace Orthrus.Tensor.Tests;

/// <summary>The linear layer and the elementwise functions against PyTorch's numbers, forward and backward, in both precisions.</summary>
public class ElementwiseGoldenTests
{
    public static IEnumerable<TheoryDataRow<string, DType>> Cases(string op) => GoldenOp.Cases(op);

    [Theory, MemberData(nameof(Cases), "linear")]
    public void Linear_layer(string name, DType dtype) => Run<Linear, NoAttr>(name, dtype, default, ["x", "weight", "bias"]);

    [Theory, MemberData(nameof(Cases), "softplus")]
    public void Softplus_function(string name, DType dtype) => Run<Softplus, NoAttr>(name, dtype, default, ["x"]);

    [Theory, MemberData(nameof(Cases), "silu")]
    public void SiLU_function(string name, DType dtype) => Run<SiLU, NoAttr>(name, dtype, default, ["x"]);

    [Theory, MemberData(nameof(Cases), "sigmoid")]
    public void Sigmoid_function(string name, DType dtype) => Run<Sigmoid, NoAttr>(name, dtype, default, ["x"]);

    [Theory, MemberData(nameof(Cases), "relu")]
    public void ReLU_function(string name, DType dtype) => Run<ReLU, NoAttr>(name, dtype, default, ["x"]);

    [Theory, MemberData(nameof(Cases), "gelu")]
    public void GELU_function(string name, DType dtype) => Run<GELU, GELU.Attr>(name, dtype, new(false), ["x"]);

    [Theory, MemberData(nameof(Cases), "gelu_tanh")]
    public void GELU_by_tanh(string name, DType dtype) => Run<GELU, GELU.Attr>(name, dtype, new(true), ["x"]);

    private static void Run<TOp, TAttr>(string name, DType dtype, TAttr attr, string[] inputNames) where TOp : IOp<TAttr> where TAttr : unmanaged =>
        GoldenOp.Run<TOp, TAttr>(name, dtype, _ => attr, inputNames, ["y"]);
}
