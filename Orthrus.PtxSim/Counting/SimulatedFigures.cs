using Orthrus.Tensor;

namespace Orthrus.PtxSim;

/// <summary>What one pass of an operator over a sample cost on a simulated device.</summary>
/// <param name="Op">Operator.</param>
/// <param name="Sample">Its sample.</param>
/// <param name="DType">Activations.</param>
/// <param name="Backward">Direction.</param>
/// <param name="MinimumBytes">Least bytes that must move, from the operator's facts.</param>
/// <param name="Flops">Floating-point operations, from the operator's facts.</param>
/// <param name="Launches">The launches.</param>
public sealed record SimulatedFigure(string Op, string Sample, DType DType, bool Backward, long MinimumBytes, long Flops, IReadOnlyList<LaunchReport> Launches);

/// <summary>Runs the samples that the operators mark for timing on a simulated device and counts.</summary>
public static class SimulatedFigures
{
    /// <summary>Figures of every operator and state update, in the order of their tables.</summary>
    /// <param name="spec">The device; counts depend on it only where a kernel looks at its number of multiprocessors or its shared memory.</param>
    public static IEnumerable<SimulatedFigure> All(SimDeviceSpec spec) => Of(OpTable.All, UpdateTable.All, [DType.F32, DType.BF16], spec);

    /// <summary>Figures of some operators and state updates.</summary>
    /// <param name="ops">The operators.</param>
    /// <param name="updates">The state updates, which have F32 state alone.</param>
    /// <param name="dtypes">F32, BF16 where an operator takes it.</param>
    /// <param name="spec">The device.</param>
    public static IEnumerable<SimulatedFigure> Of(IEnumerable<OpRow> ops, IEnumerable<UpdateRow> updates, IReadOnlyCollection<DType> dtypes, SimDeviceSpec spec)
    {
        using var driver = new SimDriver(new SimOptions { Seed = 1 }, spec);
        using var device = driver.OpenDevice();
        List<LaunchReport> launches = [];
        driver.Launched = launches.Add;
        foreach (var op in ops)
            foreach (var sample in OpWork.Timed(op))
                foreach (var dtype in dtypes.Where(d => d != DType.BF16 || op.Signature.BFloat16))
                {
                    using var work = OpWork.Of(op, sample, dtype, device);
                    yield return Pass(work, dtype, backward: false);
                    if (work.HasBackward) yield return Pass(work, dtype, backward: true);
                }
        foreach (var update in updates.Where(_ => dtypes.Contains(DType.F32)))
            foreach (var sample in OpWork.Timed(update))
            {
                using var work = OpWork.Of(update, sample, DType.F32, device);
                yield return Pass(work, DType.F32, backward: false);
            }

        SimulatedFigure Pass(OpWork work, DType dtype, bool backward)
        {
            // What placing the operands launched is not of this pass.
            device.Synchronize();
            launches.Clear();
            if (backward) work.Backward();
            else work.Forward();
            device.Synchronize();
            return new(work.Op, work.Sample, dtype, backward, backward ? work.Cost.BackwardBytes : work.Cost.Bytes, backward ? work.Cost.BackwardFlops : work.Cost.Flops, [.. launches]);
        }
    }
}
