using Orthrus.Tensor;

namespace Orthrus.Autograd;

/// <summary>What <see cref="GradCheck"/> does.</summary>
public sealed record GradCheckOptions
{
    /// <summary>Seed of operand values, output gradients and directions.</summary>
    public ulong Seed { get; init; } = 1;

    /// <summary>Only the sample of this name; null takes all that are not for timing alone.</summary>
    public string? Sample { get; init; }

    /// <summary>Operands of at most so many elements are checked coordinate by coordinate, larger ones at so many places and along random directions.</summary>
    public int MaxCoordinates { get; init; } = 64;

    /// <summary>Random directions for an operand that is not checked at every coordinate.</summary>
    public int Directions { get; init; } = 3;

    /// <summary>Precisions to check.</summary>
    public IReadOnlyList<DType> DTypes { get; init; } = [DType.F32, DType.F64];

    /// <summary>Thread counts for which all results must be the same bits; the first must be 1.</summary>
    public IReadOnlyList<int> Threads { get; init; } = [1, 2, 3];

    /// <summary>Vector width of the devices in bits, see <see cref="Orthrus.Tensor.Cpu.VectorWidths"/>; 0 takes the default.</summary>
    public int VectorWidth { get; init; }

    /// <summary>Devices to check on instead of CPUs of some thread counts: one or several of the same kind, which must agree in every bit. They stay open.</summary>
    public IReadOnlyList<Device>? Devices { get; init; }

    /// <summary>Whether a call that allocates managed memory in steady state is a finding.</summary>
    public bool Allocations { get; init; } = true;

    /// <summary>Elements in front of and behind each operand. Odd by default: operands then do not begin at a vector's boundary, as rows of a larger tensor need not.</summary>
    public int Margin { get; init; } = 17;
}

/// <summary>Where a result came nearest to its limit, in one precision.</summary>
/// <param name="ForwardError">Absolute error of the forward result that used most of its limit.</param>
/// <param name="ForwardBound">That element's limit.</param>
/// <param name="GradientError">Absolute error of the directional derivative that used most of its limit.</param>
/// <param name="GradientBound">That derivative's limit.</param>
public readonly record struct PrecisionCheck(double ForwardError, double ForwardBound, double GradientError, double GradientBound)
{
    internal PrecisionCheck WorseForward(double error, double bound) =>
        Ratio(error, bound) > Ratio(ForwardError, ForwardBound) || ForwardBound == 0 ? this with { ForwardError = error, ForwardBound = bound } : this;

    internal PrecisionCheck WorseGradient(double error, double bound) =>
        Ratio(error, bound) > Ratio(GradientError, GradientBound) || GradientBound == 0 ? this with { GradientError = error, GradientBound = bound } : this;

    private static double Ratio(double error, double bound) => error == 0 ? 0 : double.IsNaN(error) ? double.PositiveInfinity : error / bound;
}

/// <summary>Verdict on one sample of one operator.</summary>
/// <param name="Op">Name of the operator.</param>
/// <param name="Sample">Name of the sample.</param>
/// <param name="F32">Errors in float32.</param>
/// <param name="F64">Errors in float64.</param>
/// <param name="Problems">One line per thing that is wrong, with the precision in front where it concerns one; empty when the sample passes.</param>
/// <param name="DTypes">Precisions that were checked.</param>
public sealed record GradCheckResult(string Op, string Sample, PrecisionCheck F32, PrecisionCheck F64, IReadOnlyList<string> Problems, IReadOnlyList<DType> DTypes)
{
    /// <summary>Errors with BF16 activations.</summary>
    public PrecisionCheck BF16 { get; init; }

    /// <summary>True when nothing is wrong.</summary>
    public bool Passed => Problems.Count == 0;

    /// <summary>True when nothing is wrong in one precision.</summary>
    public bool PassedIn(DType dtype) => !Problems.Any(p => IsAbout(p, dtype));

    internal static bool IsAbout(string problem, DType dtype) =>
        !new[] { DType.F32, DType.F64, DType.BF16 }.Any(other => other != dtype && problem.StartsWith($"{other}: ", StringComparison.Ordinal));
}

/// <summary>
/// Checks an operator's kernels against its own specification: values against exact arithmetic within a computed error bound, gradients against
/// the derivative by dual numbers (no step size, no cancellation). It works for the engine's operators and for a user's own
/// (<see cref="OpRow.Of{TOp, TAttr}"/>).
/// </summary>
/// <remarks>
/// Per sample, in float32 and float64: the forward result lies within Slack x unit roundoff x <see cref="Bound"/> of the specification, element by
/// element; NaN and infinity agree. The gradient agrees with sum_i ybar_i (J v)_i: in float64 to 1e-9 of the sum of absolute terms, in float32
/// within the error bound of that sum. Besides: operands are left unchanged, nothing is read or written outside an operand, results do not depend on
/// what the memory held before, on the number of threads, or on which other gradients are wanted; an absent output gradient acts as zero; no
/// memory stays in use; and a call allocates no managed memory.
/// </remarks>
public static class GradCheck
{
    /// <summary>Checks all samples of an operator that are not for timing alone.</summary>
    /// <param name="op">The operator.</param>
    /// <param name="options">Seed and effort; null for the defaults.</param>
    /// <returns>One result per sample, in their order.</returns>
    /// <exception cref="ArgumentException">The options name a sample that does not exist.</exception>
    public static IReadOnlyList<GradCheckResult> Run(OpRow op, GradCheckOptions? options = null)
    {
        options ??= new();
        var samples = op.Samples.Where(s => options.Sample is null ? !s.Bench : s.Name == options.Sample).ToArray();
        if (samples.Length == 0 && options.Sample is not null)
            throw new ArgumentException($"{op.Name} has no sample {options.Sample}; it has {string.Join(", ", op.Samples.Select(s => s.Name))}");
        if (options.Devices is { } given) return [.. samples.Select(s => new SampleCheck(op, s, options, [.. given]).Run())];
        var devices = options.Threads.Select(t => new CpuDevice(t, options.VectorWidth)).ToArray();
        try
        {
            return [.. samples.Select(s => new SampleCheck(op, s, options, [.. devices]).Run())];
        }
        finally
        {
            foreach (var d in devices)
            {
                // Memory that a kernel holds on to is a finding of its own; closing the device over it would hide the findings behind an exception.
                if (d.LiveBlocks == 0) d.Dispose();
                else d.Workers.Dispose();
            }
        }
    }
}
