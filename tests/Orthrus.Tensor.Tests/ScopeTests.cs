namespace Orthrus.Tensor.Tests;

/// <summary>Memory by scope: what ends with it, what a leak says, what a use after the end does.</summary>
public class ScopeTests
{
    [Fact]
    public void Everything_goes_back_when_the_scope_ends()
    {
        using var device = new CpuDevice(1);
        using (var scope = device.OpenScope())
        {
            var x = scope.Zeros(new Shape(3, 4), DType.F32);
            using (var inner = device.OpenScope())
            {
                var y = inner.Clone(x);
                inner.Keep(inner.Zeros(new Shape(5), DType.F64), scope);
                Assert.Equal(3, device.LiveBlocks);
                inner.Free(y);
                Assert.Equal(2, device.LiveBlocks);
            }
            Assert.Equal(2, device.LiveBlocks);
            scope.Dispose();
            scope.Dispose();
        }
        Assert.Equal(0, device.LiveBlocks);
        Assert.Equal(0, device.LiveBytes);
    }

    [Fact]
    public void A_scope_that_is_not_ended_is_an_error_that_names_device_and_blocks()
    {
        var device = new CpuDevice(1, 128);
        var lost = device.OpenScope();
        lost.Empty(new Shape(1000), DType.F32);
        lost.Empty(new Shape(1), DType.F64);
        var e = Assert.Throws<LifetimeException>(device.Dispose);
        Assert.Contains(device.Name, e.Message);
        Assert.Contains("2 blocks", e.Message);
        Assert.Contains($"1 x {4096:N0}", e.Message);
        lost.Dispose();
        device.Dispose();
    }

    [Fact]
    public void A_tensor_whose_scope_has_ended_cannot_be_used()
    {
        using var device = new CpuDevice(1);
        using var outer = device.OpenScope();
        Tensor ended, view;
        using (var scope = device.OpenScope())
        {
            ended = scope.Zeros(new Shape(2, 3), DType.F32);
            view = ended.Rows(1, 1);
        }
        // The block lives on in another tensor; the old one must not see it.
        var next = outer.Zeros(new Shape(2, 3), DType.F32);
        Assert.Throws<LifetimeException>(() => ended.ToArray<float>());
        Assert.Throws<LifetimeException>(() => ended.AsSpan<float>()[0] = 1);
        Assert.Throws<LifetimeException>(() => ended.CopyFrom<float>(new float[6]));
        Assert.Throws<LifetimeException>(() => ended.Reshape(new Shape(6)));
        Assert.Throws<LifetimeException>(() => ended.Rows(0, 1));
        Assert.Throws<LifetimeException>(() => view.ToArray<float>());
        Assert.Throws<LifetimeException>(() => outer.Clone(ended));
        Assert.Throws<LifetimeException>(() => outer.Free(ended));
        Assert.Throws<LifetimeException>(() => outer.Keep(ended, outer));
        Assert.Throws<LifetimeException>(() => Op.Forward<SiLU, NoAttr>(outer, [ended], default));
        Assert.All(next.ToArray<float>(), v => Assert.Equal(0, v));
    }

    [Fact]
    public void A_scope_that_has_ended_gives_no_memory_and_a_foreign_one_takes_none()
    {
        using var device = new CpuDevice(1);
        using var outer = device.OpenScope();
        var scope = device.OpenScope();
        scope.Dispose();
        Assert.Throws<LifetimeException>(() => scope.Empty(new Shape(1), DType.F32));
        var mine = outer.Zeros(new Shape(1), DType.F32);
        using var other = device.OpenScope();
        Assert.Throws<LifetimeException>(() => other.Free(mine));
        Assert.Throws<LifetimeException>(() => other.Keep(mine, outer));
        Assert.Throws<LifetimeException>(() => Tensor.None.ToArray<float>());
    }
}
