using System.Text;
using System.Text.RegularExpressions;
using Orthrus.Tensor;
using Orthrus.Tensor.Cuda;

namespace Orthrus.Kernels;

/// <summary>What the compiler of machine code says about one kernel for one architecture.</summary>
/// <param name="Source">cuda/SOURCE.cu.</param>
/// <param name="Kernel">Entry point.</param>
/// <param name="BFloat16">Variant.</param>
/// <param name="Architecture">Compute capability times ten.</param>
/// <param name="Registers">Registers of a thread.</param>
/// <param name="SpillBytes">Spill stores and loads in bytes.</param>
/// <param name="LocalBytes">Stack frame in bytes.</param>
/// <param name="SharedBytes">Static shared memory in bytes.</param>
internal sealed record StaticFigure(string Source, string Kernel, bool BFloat16, int Architecture, int Registers, int SpillBytes, int LocalBytes, int SharedBytes);

/// <summary>Compiles every kernel for every supported architecture and reads the compiler's report. An unchanged source costs nothing: reports are cached by hash.</summary>
internal static partial class StaticFigures
{
    /// <summary>Architectures that F32 is compiled for; BF16 from 80.</summary>
    internal static readonly int[] Architectures = [70, 75, 80, 86, 89, 90];

    internal static IReadOnlyList<StaticFigure> All() =>
        [.. from name in CudaResources.Sources
            from bfloat16 in new[] { false, true }
            from architecture in Architectures
            where architecture >= 80 || !bfloat16
            from figure in Of(CudaSource.BuiltIn(name), new CudaVariant(architecture, bfloat16))
            select figure];

    internal static IEnumerable<StaticFigure> Of(CudaSource source, CudaVariant variant) =>
        Parse(Log(source, variant)).Select(f => new StaticFigure(source.Name, f.Kernel, variant.BFloat16, variant.Architecture, f.Registers, f.Spills, f.Local, f.Shared));

    private static string Log(CudaSource source, CudaVariant variant)
    {
        const string verbose = "--ptxas-options=-v";
        string key = CudaResources.Key(source, [.. variant.Options(machineCode: true), verbose, Nvrtc.Version.ToString()]);
        string path = Path.Combine(CudaImages.CacheFolder(), "reports", $"{source.Name}.{variant}.{key[..32]}.txt");
        if (CudaImages.Read(path) is { } known) return Encoding.UTF8.GetString(known);
        string log = CudaResources.Compile(source, variant, machineCode: true, verbose).Log;
        CudaImages.Write(path, Encoding.UTF8.GetBytes(log));
        return log;
    }

    /// <summary>Reads ptxas' report: for each entry function its frame, spills, registers and shared memory.</summary>
    internal static IEnumerable<(string Kernel, int Registers, int Spills, int Local, int Shared)> Parse(string log)
    {
        string? kernel = null;
        int spills = 0, local = 0;
        foreach (string line in log.Split('\n'))
        {
            if (Entry().Match(line) is { Success: true } entry) (kernel, spills, local) = (entry.Groups[1].Value, 0, 0);
            else if (Frame().Match(line) is { Success: true } frame) (local, spills) = (Number(frame, 1), Number(frame, 2) + Number(frame, 3));
            else if (kernel is not null && Used().Match(line) is { Success: true } used)
            {
                yield return (kernel, Number(used, 1), spills, local, Shared().Match(line) is { Success: true } shared ? Number(shared, 1) : 0);
                kernel = null;
            }
        }
    }

    private static int Number(Match match, int group) => int.Parse(match.Groups[group].Value);

    [GeneratedRegex(@"Compiling entry function '([^']+)'")]
    private static partial Regex Entry();
    [GeneratedRegex(@"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")]
    private static partial Regex Frame();
    [GeneratedRegex(@"Used (\d+) registers")]
    private static partial Regex Used();
    [GeneratedRegex(@"(\d+) bytes smem")]
    private static partial Regex Shared();
}
