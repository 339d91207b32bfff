using System.IO.Compression;
using System.Reflection;
using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;

namespace Orthrus.Tensor.Cuda;

/// <summary>What one compilation of a source is made for.</summary>
/// <param name="Architecture">Compute capability times ten: 70, 80.</param>
/// <param name="BFloat16">Activations are BF16 instead of F32.</param>
internal readonly record struct CudaVariant(int Architecture, bool BFloat16)
{
    /// <summary>Variants that come compiled with the engine. PTX of 7.0 serves every device; from 8.0 on there is better, and BF16.</summary>
    internal static readonly CudaVariant[] Embedded = [new(70, false), new(80, false), OldestBFloat16];

    /// <summary>The oldest with BF16 activations.</summary>
    internal static CudaVariant OldestBFloat16 => new(80, true);

    /// <summary>As in file names: "f32.70", "bf16.80".</summary>
    public override string ToString() => $"{(BFloat16 ? "bf16" : "f32")}.{Architecture}";

    /// <summary>NVRTC's options for PTX (compute_80) or machine code (sm_80).</summary>
    internal string[] Options(bool machineCode) =>
        [$"--gpu-architecture={(machineCode ? "sm" : "compute")}_{Architecture}", "--std=c++17", .. BFloat16 ? ["-DORTHRUS_BF16"] : Array.Empty<string>()];
}

/// <summary>Kernel sources and compiled kernels inside the assembly.</summary>
internal static partial class CudaResources
{
    internal const string HeaderName = "orthrus.cuh";

    private const string CompiledFolder = "cuda/ptx/", Archive = "cuda/ptx.zip";

    private static readonly Assembly Own = typeof(CudaResources).Assembly;

    internal static string Header { get; } = Text($"cuda/{HeaderName}")!;

    /// <summary>The headers that a source can include, in a fixed order: the one of all kernels, and those of the engine's operators that it names.</summary>
    internal static IReadOnlyDictionary<string, string> Headers(CudaSource source)
    {
        var headers = new SortedDictionary<string, string>(StringComparer.Ordinal) { [HeaderName] = Header };
        AddHeaders(source.Text, headers);
        return headers;
    }

    private static void AddHeaders(string text, SortedDictionary<string, string> headers)
    {
        foreach (Match include in Include().Matches(text))
            if (!headers.ContainsKey(include.Groups[1].Value) && Text($"cuda/{include.Groups[1].Value}") is { } header)
            {
                headers.Add(include.Groups[1].Value, header);
                AddHeaders(header, headers);
            }
    }

    [GeneratedRegex("^#include \"([^\"]+)\"", RegexOptions.Multiline)]
    private static partial Regex Include();

    /// <summary>Names of all sources, in order.</summary>
    internal static IReadOnlyList<string> Sources { get; } =
        [.. Own.GetManifestResourceNames().Where(n => n.StartsWith("cuda/", StringComparison.Ordinal) && n.EndsWith(".cu", StringComparison.Ordinal)).Select(n => n[5..^3]).Order(StringComparer.Ordinal)];

    /// <summary>A source, the header, or a compiled kernel ("cuda/ptx/...") as text; null where there is none of that name.</summary>
    internal static string? Text(string name)
    {
        if (name.StartsWith(CompiledFolder, StringComparison.Ordinal)) return InArchive(name, Read);
        using var stream = Own.GetManifestResourceStream(name);
        return stream is null ? null : Read(stream);
    }

    private static string Read(Stream stream)
    {
        using var reader = new StreamReader(stream, Encoding.UTF8);
        return reader.ReadToEnd();
    }

    private static T? InArchive<T>(string name, Func<Stream, T> read)
    {
        using var stream = Own.GetManifestResourceStream(Archive);
        if (stream is null) return default;
        using var archive = new ZipArchive(stream);
        if (archive.GetEntry(name[CompiledFolder.Length..]) is not { } entry) return default;
        using var text = entry.Open();
        return read(text);
    }

    /// <summary>Hash of everything that goes into a compilation, in hexadecimal.</summary>
    internal static string Key(CudaSource source, IEnumerable<string> options)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (string part in Headers(source).Values.Prepend(source.Name).Append(source.Text).Concat(options))
        {
            hash.AppendData(Encoding.UTF8.GetBytes(part));
            hash.AppendData([0]);
        }
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    /// <summary>First line of a compiled kernel in cuda/ptx: what it was made from.</summary>
    internal static string Stamp(CudaSource source, CudaVariant variant) => $"// cuda/{source.Name}.cu {variant} {Key(source, variant.Options(false))[..32]}";

    /// <summary>The PTX that comes with the engine, or null where there is none made from exactly this source.</summary>
    internal static string? Ptx(CudaSource source, CudaVariant variant) =>
        Text($"{CompiledFolder}{source.Name}.{variant}.ptx") is { } text && text.StartsWith(Stamp(source, variant) + "\n", StringComparison.Ordinal) ? text : null;

    /// <summary>Whether a source has kernels for BF16 activations that differ from those for F32.</summary>
    internal static bool HasBFloat16(string source) => InArchive($"{CompiledFolder}{source}.{CudaVariant.OldestBFloat16}.ptx", static _ => true);

    /// <summary>Compiles to PTX with the stamp in front and without comments, as it is committed.</summary>
    internal static string CompilePtx(CudaSource source, CudaVariant variant) =>
        string.Join('\n', [Stamp(source, variant), .. Encoding.UTF8.GetString(Compile(source, variant, machineCode: false).Image).Split('\n').Where(l => !IsNoise(l))]) + "\n";

    // Comments around inline assembly and empty lines are a fifth of the text.
    private static bool IsNoise(string line) => line.AsSpan().Trim() is { Length: 0 } or ['/', '/', ..];

    internal static NvrtcResult Compile(CudaSource source, CudaVariant variant, bool machineCode, params string[] more) =>
        Nvrtc.Compile(source.Text, source.Name + ".cu", Headers(source), [.. variant.Options(machineCode), .. more]);
}
