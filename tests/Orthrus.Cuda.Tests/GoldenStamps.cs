using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;
using Orthrus.Tensor.Cuda;

namespace Orthrus.Cuda.Tests;

/// <summary>
/// The compiled form of every kernel that a golden test ran when it passed last, so that a change of one is known: it is then run in more orders. Kept in the folder of
/// remembered verdicts; without one nothing is known to have changed.
/// </summary>
/// <param name="folder">The folder, or null.</param>
/// <param name="test">Name of the test.</param>
/// <param name="dtype">Precision it ran in.</param>
internal sealed partial class GoldenStamps(string? folder, string test, string dtype)
{
    // Of each kernel all embedded files that have it.
    private static readonly Lazy<IReadOnlyDictionary<string, string>> Embedded = new(() =>
    {
        var texts = new SortedDictionary<string, StringBuilder>(StringComparer.Ordinal);
        foreach (string source in CudaResources.Sources)
            foreach (var variant in CudaVariant.Embedded)
            {
                if (CudaResources.Text($"cuda/ptx/{source}.{variant}.ptx") is not { } ptx) continue;
                foreach (Match entry in Entry().Matches(ptx))
                {
                    if (!texts.TryGetValue(entry.Groups[1].Value, out var text)) texts[entry.Groups[1].Value] = text = new StringBuilder();
                    text.Append(ptx);
                }
            }
        return texts.ToDictionary(t => t.Key, t => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(t.Value.ToString()))));
    });

    private string? Path => folder is null ? null : System.IO.Path.Combine(folder, "kernels", Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes($"{test}\n{dtype}"))));

    /// <summary>Whether one of these kernels is another than at the last pass, or new.</summary>
    internal bool Changed(IEnumerable<string> kernels)
    {
        if (Path is not { } path || !File.Exists(path)) return false;
        var known = File.ReadAllLines(path).ToHashSet(StringComparer.Ordinal);
        return Lines(kernels).Any(l => !known.Contains(l));
    }

    /// <summary>Notes a pass.</summary>
    internal void Keep(IEnumerable<string> kernels)
    {
        if (Path is not { } path) return;
        Directory.CreateDirectory(System.IO.Path.GetDirectoryName(path)!);
        string aside = $"{path}.{Environment.ProcessId}.part";
        File.WriteAllLines(aside, Lines(kernels));
        File.Move(aside, path, true);
    }

    private static IEnumerable<string> Lines(IEnumerable<string> kernels) => kernels.Distinct().Order(StringComparer.Ordinal).Select(k => $"{k} {Embedded.Value[k]}");

    [GeneratedRegex(@"\.entry (\w+)\(")]
    private static partial Regex Entry();
}
