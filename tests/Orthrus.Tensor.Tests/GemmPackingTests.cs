using Orthrus.Tensor.Cpu;

namespace Orthrus.Tensor.Tests;

/// <summary>Copies of matrices for the products: every element where it belongs, zeros in the padding, nothing else written.</summary>
public unsafe class GemmPackingTests
{
    private const float Mark = 12345;

    public static TheoryData<int, int, int> Cases => new() { { 512, 12, 24 }, { 512, 8, 17 }, { 256, 12, 24 }, { 256, 6, 13 }, { 128, 4, 9 }, { 128, 8, 16 }, { 512, 4, 1 } };

    [Theory, MemberData(nameof(Cases))]
    public void Strips_of_a_transposed_operand(int width, int height, int rows)
    {
        var code = new Strips { Height = height, RowCount = rows };
        SimdDispatch.Run<float, Strips>(width, ref code);
    }

    [Theory, MemberData(nameof(Cases))]
    public void Panels_of_an_operand(int width, int height, int rows)
    {
        var code = new PanelsOf { Columns = rows + height };
        SimdDispatch.Run<float, PanelsOf>(width, ref code);
    }

    private struct Strips : IVectorCode<float>
    {
        public int Height, RowCount;

        public readonly void Run<V>() where V : unmanaged, ISimd<V, float>
        {
            int depth = V.Lanes + 3, padded = 2 * V.Lanes, strips = (RowCount + Height - 1) / Height, room = DepthOfRows.Width(Height, V.Lanes), size = strips * room * padded;
            float[] from = Source(depth, RowCount), to = Marked(size);
            fixed (float* x = from, y = to) GemmPacking<V, float>.Transposed(x, RowCount, RowCount, depth, padded, Height, room, y);
            for (int s = 0; s < strips; s++)
                for (int k = 0; k < padded; k++)
                    for (int r = 0; r < Height; r++)
                        Assert.Equal(k < depth && s * Height + r < RowCount ? from[k * RowCount + s * Height + r] : 0, to[(s * padded + k) * room + r]);
            Assert.All(to[size..], v => Assert.Equal(Mark, v));
        }
    }

    private struct PanelsOf : IVectorCode<float>
    {
        public int Columns;

        public readonly void Run<V>() where V : unmanaged, ISimd<V, float>
        {
            int depth = 5, padded = V.Lanes * 2, place = 0;
            // What stands behind the columns belongs to something else.
            int stride = Columns + 40;
            float[] from = Source(depth, stride), to = Marked(padded * (Columns + 2 * V.Lanes));
            fixed (float* x = from, y = to) GemmPacking<V, float>.Panels(x, stride, Columns, depth, padded, y);
            for (int first = 0; first < Columns; first += 2 * V.Lanes)
            {
                int width = GemmPacking<V, float>.Width(Columns - first);
                for (int k = 0; k < padded; k++)
                    for (int c = 0; c < width; c++)
                        Assert.Equal(k < depth && first + c < Columns ? from[k * stride + first + c] : 0, to[place++]);
            }
            Assert.All(to[place..], v => Assert.Equal(Mark, v));
        }
    }

    private static float[] Source(int rows, int columns) => [.. Enumerable.Range(1, rows * columns).Select(i => (float)i)];

    private static float[] Marked(int size) => [.. Enumerable.Repeat(Mark, size + 512)];
}
