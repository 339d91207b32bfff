namespace Orthrus.Tensor.Tests;

/// <summary>Updates of rows of a larger tensor leave the rows beside them alone.</summary>
public class UpdateViewTests
{
    private static readonly float[] Start = [.. Enumerable.Range(0, 3 * 37).Select(i => i % 2 == 0 ? 5f : -5f)];

    [Fact]
    public void Clipping_by_value() => Check((scope, g) => Update.Run<ClipGradValue, ClipGradValue.Attr>(scope, [g], new(1), []));

    [Fact]
    public void Clipping_by_norm() => Check((scope, g) => Update.Run<ClipGradNorm, ClipGradNorm.Attr>(scope, [g], new(1), new Tensor[1]));

    private static void Check(Action<Scope, Tensor> update)
    {
        using var device = new CpuDevice(2);
        using var scope = device.OpenScope();
        var all = scope.From<float>(Start, new Shape(3, 37));
        update(scope, all.Rows(1, 1));
        float[] got = all.ToArray<float>();
        Assert.Equal(Start[..37], got[..37]);
        Assert.Equal(Start[74..], got[74..]);
        Assert.All(got[37..74], v => Assert.True(Math.Abs(v) <= 1));
    }
}
