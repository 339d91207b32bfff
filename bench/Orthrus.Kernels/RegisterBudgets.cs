namespace Orthrus.Kernels;

/// <summary>Registers a thread that a kernel may take on any architecture. The numbers are kept by hand: a kernel that outgrows its own loses warps, and somebody decides whether that is worth it.</summary>
internal static class RegisterBudgets
{
    // 256 threads then have four blocks on a multiprocessor: half of its warps, which is enough for what memory limits.
    private const int Default = 64;

    // By the beginning of a kernel's name; the longest that fits counts. Multiples of 8, as registers are given out.
    private static readonly (string Prefix, int Most)[] Budgets =
    [
        // Products keep their sums in registers: 64 x 64 a warp is 128 of them, and fragments of two steps.
        ("linear_forward_huge", 255), ("linear_forward_large", 255), ("linear_forward_medium", 184), ("linear_forward_thin", 88), ("linear_forward_loose", 120),
        ("linear_input_grad_huge", 240), ("linear_input_grad_large", 240), ("linear_input_grad_medium", 184), ("linear_input_grad_thin", 88), ("linear_input_grad_loose", 128),
        ("linear_weight_grad_large", 240), ("linear_weight_grad_medium", 184), ("linear_weight_grad_thin", 88), ("linear_weight_grad_loose", 120),
        ("similarity_forward", 232), ("similarity_backward", 255),
        // Forward has seven warps and more of 128 threads a block; backward holds a block of four warps, with tile and states.
        ("selective_scan_forward", 144), ("selective_scan_ends", 80), ("selective_scan_chained", 248), ("selective_scan_backward", 255), ("selective_scan_backward_any", 152),
        // A warp or a block holds a row; the widest ones are a block's alone.
        ("norm_forward_512", 72), ("norm_forward_1024", 160), ("norm_forward_8192", 184), ("norm_backward_256", 80), ("norm_backward_512", 112), ("norm_backward_1024", 208), ("norm_backward_8192", 216),
        // Rows ahead and those that taps still reach.
        ("conv_forward", 96), ("conv_backward", 168),
        // A sum for each channel and track.
        ("embedding_backward", 104),
        ("cross_entropy_backward", 80), ("dclw_similarities", 72),
    ];

    /// <summary>The most registers of a kernel.</summary>
    internal static int MostOf(string kernel) => Budgets.Where(b => kernel.StartsWith(b.Prefix, StringComparison.Ordinal)).OrderByDescending(b => b.Prefix.Length).Select(b => b.Most).FirstOrDefault(Default);

    /// <summary>Lines of the table that no kernel's name begins with.</summary>
    internal static IEnumerable<string> Unused(IReadOnlyCollection<string> kernels) => Budgets.Select(b => b.Prefix).Where(p => !kernels.Any(k => k.StartsWith(p, StringComparison.Ordinal)));
}
