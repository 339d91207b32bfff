using System.Globalization;
using Orthrus.Autograd;
using Orthrus.Tensor;

namespace Orthrus.Cli.SelfTest;

/// <summary>Every sample of every operator and state update against its specification: values and gradients, aligned operands and others.</summary>
internal static class OperatorChecks
{
    // Elements in front of an operand: it then does not begin, or begins, at a vector's boundary.
    private static readonly int[] Margins = [17, 64];
    private const int FewCoordinates = 12;

    internal static void Run(SelfTestLog log, CheckDevices devices, IReadOnlyList<OpRow> ops, IReadOnlyList<UpdateRow> updates, bool full)
    {
        foreach (var op in ops)
        {
            var dtypes = devices.DTypesOf(op);
            log.Run("operator", Named(op.Name, op.Samples.Count(s => !s.Bench)), Names(dtypes), () =>
                Summary(Margins.SelectMany(margin => GradCheck.Run(op, Options(dtypes, margin))), Rough(dtypes) is { } rough ? GradCheck.Run(op, rough) : []));
        }
        foreach (var update in updates)
        {
            var dtypes = devices.DTypesOfUpdates;
            log.Run("update", Named(update.Name, update.Samples.Count(s => !s.Bench)), Names(dtypes), () =>
                Summary(UpdateCheck.Run(update, Options(dtypes, Margins[0])), Rough(dtypes) is { } rough ? UpdateCheck.Run(update, rough) : []));
        }

        GradCheckOptions? Rough(IReadOnlyList<DType> dtypes) => devices.Rough is { } rough ? Options(dtypes, Margins[0]) with { Devices = [rough] } : null;

        GradCheckOptions Options(IReadOnlyList<DType> dtypes, int margin) => new()
        {
            Devices = devices.Pair, DTypes = dtypes, Margin = margin, MaxCoordinates = full ? new GradCheckOptions().MaxCoordinates : FewCoordinates,
            // What the managed side allocates says nothing about a device.
            Allocations = devices.Gpu is null,
        };
    }

    internal static string Names(IEnumerable<DType> dtypes) => string.Join(' ', dtypes);

    private static string Named(string name, int samples) => $"{name}, {samples} {(samples == 1 ? "sample" : "samples")}";

    private static Finding Summary(IEnumerable<GradCheckResult> exact, IReadOnlyList<GradCheckResult> rough)
    {
        GradCheckResult[] all = [.. exact, .. rough.Select(r => r with { Sample = $"{r.Sample}, rough special functions" })];
        double values = 0, gradients = 0;
        bool differentiable = false;
        foreach (var check in all.SelectMany(r => new[] { r.F32, r.F64, r.BF16 }))
        {
            if (check.ForwardBound > 0) values = Math.Max(values, check.ForwardError / check.ForwardBound);
            if (check.GradientBound <= 0) continue;
            gradients = Math.Max(gradients, check.GradientError / check.GradientBound);
            differentiable = true;
        }
        string detail = string.Create(CultureInfo.InvariantCulture, $"values {values:F2}{(differentiable ? $", gradients {gradients:F2}" : "")}");
        return new(detail, Math.Max(values, gradients), [.. all.SelectMany(r => r.Problems.Select(p => $"{r.Sample}: {p}"))]);
    }
}
