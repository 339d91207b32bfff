using System.Security.Cryptography;
using System.Text;
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

    /// <summary>
    /// The committed files of a source that no compilation gives, byte for byte; empty when all are fresh. The compiler's choices among equally good orders are not always
    /// the same in two runs, so that several are tried. That a source is fresh is remembered, by the hash of everything that went in and of the committed bytes.
    /// </summary>
    /// <param name="source">The source.</param>
    /// <param name="embedded">Text of a committed file, or null.</param>
    /// <param name="compile">The files of one compilation, as <see cref="Of"/> gives them.</param>
    /// <param name="compiler">Version of the compiler.</param>
    /// <param name="folder">Where to remember.</param>
    internal static IReadOnlyList<string> Stale(CudaSource source, Func<string, string?> embedded, Func<IEnumerable<(string File, string Text)>> compile, string compiler, string folder)
    {
        string[] files = [.. CudaVariant.Embedded.Select(v => $"{source.Name}.{v}.ptx")];
        string[] parts = [compiler, .. CudaVariant.Embedded.Select(v => CudaResources.Stamp(source, v)), .. files.Select(f => embedded(f) ?? "")];
        string path = Path.Combine(folder, $"{source.Name}.{Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(string.Join('\0', parts))))[..32]}.txt");
        if (CudaImages.Read(path) is not null) return [];
        var stale = files.ToHashSet();
        for (int attempt = 0; attempt < MostCompilations && stale.Count > 0; attempt++)
        {
            var made = compile().ToDictionary(f => f.File, f => f.Text);
            // A variant whose instructions are those of an older one has no file.
            stale.RemoveWhere(f => embedded(f) == made.GetValueOrDefault(f));
        }
        if (stale.Count == 0) CudaImages.Write(path, Encoding.UTF8.GetBytes("fresh"));
        return [.. stale.Order(StringComparer.Ordinal)];
    }

    /// <summary>Compilations of a source until it counts as stale.</summary>
    internal const int MostCompilations = 5;

    private static string Code(string ptx) =>
        string.Join('\n', ptx.Split('\n').Where(l => !l.StartsWith("//", StringComparison.Ordinal) && !l.StartsWith(".target", StringComparison.Ordinal)));
}
