using Orthrus.Tensor.Cpu;

namespace Orthrus.Tensor.Tests;

public unsafe class GemmTests
{
    [Theory]
    [InlineData(3, 5, 0)]
    [InlineData(1, 1, 1)]
    [InlineData(13, 17, 7)]
    [InlineData(29, 33, 300)]
    [InlineData(2, 100, 16)]
    public void Nothing_behind_the_result_is_written(int rows, int columns, int depth)
    {
        const int Guard = 256;
        const float Mark = 12345;
        using var device = new CpuDevice(2);
        using var scope = device.OpenScope();
        var x = scope.From<float>(Enumerable.Range(0, Math.Max(1, rows * depth)).Select(i => (float)(i % 7 - 3)).ToArray(), new Shape(Math.Max(1, rows * depth)));
        var w = scope.From<float>(Enumerable.Range(0, Math.Max(1, columns * depth)).Select(i => (float)(i % 5 - 2)).ToArray(), new Shape(Math.Max(1, columns * depth)));
        var y = scope.From<float>(Enumerable.Repeat(Mark, rows * columns + 2 * Guard).ToArray(), new Shape(rows * columns + 2 * Guard));
        Gemm.Times(scope, x.Pointer<float>(), rows, depth, w.Pointer<float>(), columns, y.Pointer<float>() + Guard);
        float[] got = y.ToArray<float>(), left = x.ToArray<float>(), right = w.ToArray<float>();
        Assert.All(got[..Guard].Concat(got[^Guard..]), v => Assert.Equal(Mark, v));
        for (int r = 0; r < rows; r++)
            for (int c = 0; c < columns; c++)
            {
                float sum = 0;
                for (int k = 0; k < depth; k++) sum += left[r * depth + k] * right[k * columns + c];
                Assert.Equal(sum, got[Guard + r * columns + c]);
            }
    }
}
