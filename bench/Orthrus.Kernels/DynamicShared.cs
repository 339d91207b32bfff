using Orthrus.Tensor;

namespace Orthrus.Kernels;

/// <summary>Dynamic shared memory that a launch adds, in bytes: a budget. The tests hold every launch to it.</summary>
/// <param name="F32">With F32 activations; 0 where the kernel has no such variant.</param>
/// <param name="BFloat16">With BF16 activations.</param>
/// <param name="Rule">Where it depends on the operands: how, in words; then both numbers are the most.</param>
internal sealed record DynamicBudget(int F32, int BFloat16, string? Rule = null)
{
    /// <summary>Text of a table's cell.</summary>
    internal string Text(bool bfloat16) => Rule ?? (bfloat16 ? BFloat16 : F32).ToString(System.Globalization.CultureInfo.InvariantCulture);
}

/// <summary>The table of budgets. Kernels that are not in it take none.</summary>
internal static class DynamicShared
{
    // Most of any device that the engine runs on: a Hopper block's.
    private const int Most = 227 * 1024;

    internal static IReadOnlyDictionary<string, DynamicBudget> Budgets { get; } = new Dictionary<string, DynamicBudget>
    {
        ["batch_norm_gradient_resident"] = new(Most, Most, "by rows"),
        ["batch_norm_gradient_sums"] = new(8224, 8224),
        ["batch_norm_gradient_totals"] = new(8224, 8224),
        ["batch_norm_moments"] = new(8224, 8224),
        ["batch_norm_resident"] = new(Most, Most, "by rows"),
        ["batch_norm_statistics"] = new(8224, 8224),
        ["embedding_backward_4"] = new(20480, 20480),
        ["embedding_backward_4_single"] = new(5120, 5120),
        ["embedding_backward_6"] = new(28672, 28672),
        ["embedding_backward_6_single"] = new(7168, 7168),
        ["linear_forward_huge"] = new(0, 73728),
        ["linear_input_grad_huge"] = new(0, 73728),
        // One block of the first has an A100 or H100, of the second everything from 8.0, of the third everything from 7.0.
        ["selective_scan_backward"] = new(161024, 138496),
        ["selective_scan_backward_small"] = new(82688, 71424),
        ["selective_scan_backward_least"] = new(43520, 37888),
        ["row_sums"] = new(32768, 32768, "512 x rows of the table"),
        ["selective_scan_backward_any"] = new(Most, Most, "60 x warps x states"),
        ["selective_scan_chained"] = new(32128, 32128),
        ["selective_scan_ends"] = new(32128, 32128),
        ["selective_scan_forward"] = new(32128, 32128),
    };

    /// <summary>The most that a launch of a kernel may add.</summary>
    internal static int MostOf(string kernel, DType dtype) => Budgets.TryGetValue(kernel, out var budget) ? dtype == DType.BF16 ? budget.BFloat16 : budget.F32 : 0;
}
