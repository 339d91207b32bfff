namespace Orthrus.Tensor.Tests;

public class ScanNaNTests
{
    [Theory]
    [InlineData(512)]
    [InlineData(256)]
    [InlineData(128)]
    public void A_NaN_of_one_decay_fills_its_channel_and_no_other(int width)
    {
        const int L = 3, E = 19, N = 5, Bad = 17;
        using var device = new CpuDevice(1, width);
        using var scope = device.OpenScope();
        Tensor Filled(float value, Shape shape) => scope.From<float>(Enumerable.Repeat(value, (int)shape.Count).ToArray(), shape);
        for (int n = 0; n < N; n++)
        {
            var decay = Enumerable.Repeat(0.5f, E * N).ToArray();
            decay[Bad * N + n] = float.NaN;
            Tensor[] inputs = [Filled(1, new Shape(1, L, E)), Filled(0.2f, new Shape(1, L, E)), scope.From<float>(decay, new Shape(E, N)), Filled(1, new Shape(1, L, N)), Filled(1, new Shape(1, L, N)),
                Tensor.None, Tensor.None, Tensor.None, Tensor.None];
            var outputs = new Tensor[2];
            Op.Forward<SelectiveScan, SelectiveScan.Attr>(scope, inputs, default, outputs);
            float[] y = outputs[0].ToArray<float>();
            for (int i = 0; i < y.Length; i++) Assert.True(float.IsNaN(y[i]) == (i % E == Bad), $"state {n}: y[{i / E}, {i % E}] = {y[i]}");
        }
    }
}
