using Orthrus.PtxSim;
using Orthrus.Tensor;

namespace Orthrus.Kernels;

/// <summary>What one pass of an operator over a sample cost on a simulated device.</summary>
/// <param name="Op">Operator.</param>
/// <param name="Sample">Its sample.</param>
/// <param name="DType">Activations.</param>
/// <param name="Backward">Direction.</param>
/// <param name="MinimumBytes">Least bytes that must move, from the operator's facts.</param>
/// <param name="Launches">The launches.</param>
internal sealed record SimulatedFigure(string Op, string Sample, DType DType, bool Backward, long MinimumBytes, IReadOnlyList<LaunchReport> Launches);

/// <summary>Runs the samples that the operators mark for timing on a simulated device and counts.</summary>
internal static class SimulatedFigures
{
    internal static IEnumerable<SimulatedFigure> All(SimDeviceSpec spec)
    {
        var driver = new SimDriver(new SimOptions { Seed = 1 }, spec);
        using var device = driver.OpenDevice();
        List<LaunchReport> launches = [];
        driver.Launched = launches.Add;
        foreach (var op in OpTable.All)
            foreach (var sample in OpWork.Timed(op))
                foreach (var dtype in op.Signature.BFloat16 ? new[] { DType.F32, DType.BF16 } : [DType.F32])
                {
                    using var work = OpWork.Of(op, sample, dtype, device);
                    device.Synchronize();
                    launches.Clear();
                    work.Forward();
                    device.Synchronize();
                    yield return new(op.Name, sample.Name, dtype, false, work.Cost.Bytes, [.. launches]);
                    if (!work.HasBackward) continue;
                    launches.Clear();
                    work.Backward();
                    device.Synchronize();
                    yield return new(op.Name, sample.Name, dtype, true, work.Cost.BackwardBytes, [.. launches]);
                }
        foreach (var update in UpdateTable.All)
            foreach (var sample in OpWork.Timed(update))
            {
                using var work = OpWork.Of(update, sample, DType.F32, device);
                device.Synchronize();
                launches.Clear();
                work.Forward();
                device.Synchronize();
                yield return new(update.Name, sample.Name, DType.F32, false, work.Cost.Bytes, [.. launches]);
            }
    }
}
