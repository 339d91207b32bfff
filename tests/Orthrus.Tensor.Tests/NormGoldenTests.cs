using Orthrus.TestSupport;

namespace Orthrus.Tensor.Tests;

/// <summary>Norms and the embedding of track bytes against PyTorch's numbers, forward and backward, in both precisions.</summary>
public class NormGoldenTests
{
    public static IEnumerable<TheoryDataRow<string, DType>> Cases(string op) => GoldenOp.Cases(op);

    [Theory, MemberData(nameof(Cases), "layer_norm")]
    public void Layer_norm(string name, DType dtype) =>
        GoldenOp.Run<LayerNorm, LayerNorm.Attr>(name, dtype, c => new(c.Double("eps")), ["x", "weight", "bias"], ["y"], noise: Noise);

    [Theory, MemberData(nameof(Cases), "rms_norm")]
    public void Rms_norm(string name, DType dtype) =>
        GoldenOp.Run<RmsNorm, RmsNorm.Attr>(name, dtype, c => new(c.Double("eps")), ["x", "weight"], ["y"], noise: Noise);

    [Theory, MemberData(nameof(Cases), "add_layer_norm")]
    public void Add_layer_norm(string name, DType dtype) =>
        GoldenOp.Run<AddLayerNorm, AddLayerNorm.Attr>(name, dtype, c => new(c.Double("eps")), ["x", "residual", "weight", "bias"], ["y", "sum"], noise: Noise);

    [Theory, MemberData(nameof(Cases), "layer_norm")]
    public void Add_layer_norm_without_residual_is_layer_norm(string name, DType dtype) =>
        GoldenOp.Run<AddLayerNorm, AddLayerNorm.Attr>(name, dtype, c => new(c.Double("eps")), ["x", "residual", "weight", "bias"], ["y", "sum"], noise: Noise);

    [Theory, MemberData(nameof(Cases), "rms_norm")]
    public void Add_rms_norm_without_residual_is_rms_norm(string name, DType dtype) =>
        GoldenOp.Run<AddRmsNorm, AddRmsNorm.Attr>(name, dtype, c => new(c.Double("eps")), ["x", "residual", "weight"], ["y", "sum"], noise: Noise);

    [Theory, MemberData(nameof(Cases), "embed_tracks")]
    public void Embed_tracks(string name, DType dtype) =>
        GoldenOp.Run<TrackEmbedding, NoAttr>(name, dtype, _ => default, ["bytes", "weight", "bias"], ["y"]);

    // With one channel the norm is constant, or nearly so: its gradients are 0 but for eps, and what PyTorch has there is rounding.
    private static double Noise(GoldenCase c) => c.Input("x").Shape[^1] == 1 ? 1e-12 : 0;
}
