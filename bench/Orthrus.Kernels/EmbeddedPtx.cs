using Orthrus.Tensor;
using Orthrus.Tensor.Cuda;

namespace Orthrus.Kernels;

/// <summary>The compiled kernels that are committed and embedded: the variants of a source that differ in their instructions.</summary>
internal static class EmbeddedPtx
{
    /// <summary>File name and text of each variant worth keeping.</summary>
    /// <param name="source">The source.</param>
    /// <param name="existing">Text of a file made before, or null; one whose stamp fits is not compiled again.</param>
    internal static IEnumerable<(string File, string Text)> Of(CudaSource source, Func<string, string?> existing)
    {
        List<string> kept = [];
        foreach (var variant in CudaVariant.Embedded)
        {
            string file = $"{source.Name}.{variant}.ptx", stamp = CudaResources.Stamp(source, variant) + "\n";
            string text = existing(file) is { } old && old.StartsWith(stamp, StringComparison.Ordinal) ? old : CudaResources.CompilePtx(source, variant);
            // Older PTX serves newer devices; a kernel without BF16 operands has the same instructions in both forms.
            string code = Code(text);
            if (kept.Contains(code)) continue;
            kept.Add(code);
            yield return (file, text);
        }
    }

    private static string Code(string ptx) =>
        string.Join('\n', ptx.Split('\n').Where(l => !l.StartsWith("//", StringComparison.Ordinal) && !l.StartsWith(".target", StringComparison.Ordinal)));
}
