using Orthrus.PtxSim;
using Orthrus.Tensor;

namespace Orthrus.Kernels;

using Tensor = Orthrus.Tensor.Tensor;

/// <summary>Launches of the two operators whose kernels the field publishes, at the sizes for which its figures are known. No count depends on the operands' values.</summary>
internal static class FieldFigures
{
    /// <summary>Channels of all figures.</summary>
    internal const int Channels = 1024;
    /// <summary>States of a channel.</summary>
    internal const int States = 16;

    /// <summary>Selective scan with softplus, D, gate, bias and an initial state: forward as in training, then backward.</summary>
    /// <param name="batch">Records.</param>
    /// <param name="length">Steps of each.</param>
    /// <param name="dtype">Activations.</param>
    /// <param name="backward">Whether forward leaves states for backward, which follows.</param>
    internal static IReadOnlyList<LaunchReport> Scan(int batch, int length, DType dtype, bool backward)
    {
        const int delta = 1, initial = 8;
        var reports = new List<LaunchReport>();
        using var driver = new SimDriver(new SimOptions { Checks = false }, SimDeviceSpec.H100);
        using var device = driver.OpenDevice();
        using var scope = device.OpenScope();
        Shape steps = new(batch, length, Channels), states = new(batch, length, States), channels = new(Channels);
        Shape[] shapes = [steps, steps, new(Channels, States), states, states, channels, steps, channels, new(batch, Channels, States)];
        var operands = SelectiveScan.Signature.Inputs;
        Tensor[] inputs = [.. shapes.Select((s, i) => Filled(scope, s, operands[i].In(dtype), i == delta ? -3 : 0.5f))];
        Tensor[] gradients = backward ? [.. shapes.Select((s, i) => scope.Empty(s, operands[i].GradientIn(dtype)))] : [];
        Tensor dy = backward ? Filled(scope, steps, dtype, 1) : Tensor.None, dstate = backward ? Filled(scope, shapes[initial], DType.F32, 1) : Tensor.None;
        device.Synchronize();
        driver.Launched = reports.Add;
        var workspace = Op.Forward<SelectiveScan, SelectiveScan.Attr>(scope, inputs, default, new Tensor[2], forBackward: backward);
        if (backward) Op.Backward<SelectiveScan, SelectiveScan.Attr>(scope, inputs, new Tensor[2], [dy, dstate], gradients, default, workspace);
        device.Synchronize();
        return reports;
    }

    /// <summary>Causal convolution of four taps with bias and SiLU, forward and backward.</summary>
    /// <param name="batch">Records.</param>
    /// <param name="length">Positions of each.</param>
    /// <param name="dtype">Activations.</param>
    internal static (IReadOnlyList<LaunchReport> Forward, IReadOnlyList<LaunchReport> Backward) Convolution(int batch, int length, DType dtype)
    {
        List<LaunchReport> forward = [], backward = [];
        using var driver = new SimDriver(new SimOptions { Checks = false }, SimDeviceSpec.H100);
        using var device = driver.OpenDevice();
        using var scope = device.OpenScope();
        Shape positions = new(batch, length, Channels);
        Shape[] shapes = [positions, new(Channels, 4), new(Channels)];
        var operands = CausalConv1d.Signature.Inputs;
        Tensor[] inputs = [.. shapes.Select((s, i) => Filled(scope, s, operands[i].In(dtype), 0.5f)), Tensor.None];
        Tensor[] gradients = [.. shapes.Select((s, i) => scope.Empty(s, operands[i].GradientIn(dtype))), Tensor.None];
        Tensor dy = Filled(scope, positions, dtype, 1);
        var outputs = new Tensor[2];
        device.Synchronize();
        driver.Launched = forward.Add;
        Op.Forward<CausalConv1d, CausalConv1d.Attr>(scope, inputs, default, outputs);
        device.Synchronize();
        driver.Launched = backward.Add;
        Op.Backward<CausalConv1d, CausalConv1d.Attr>(scope, inputs, outputs, [dy, Tensor.None], gradients, default);
        device.Synchronize();
        return (forward, backward);
    }

    private static Tensor Filled(Scope scope, Shape shape, DType dtype, float value)
    {
        var t = scope.Empty(shape, dtype);
        if (dtype == DType.F32) t.CopyFrom<float>(Enumerable.Repeat(value, (int)shape.Count).ToArray());
        else t.CopyFrom<BFloat16>(Enumerable.Repeat((BFloat16)value, (int)shape.Count).ToArray());
        return t;
    }
}
