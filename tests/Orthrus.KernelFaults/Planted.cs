using System.Collections.Concurrent;
using System.Text;
using Orthrus.Mutation;
using Orthrus.PtxSim;
using Orthrus.Tensor;
using Orthrus.Tensor.Cuda;

namespace Orthrus.KernelFaults;

/// <summary>Watches what a test loads, launches and calls; plants nothing.</summary>
internal sealed class Watcher : SimIntervention
{
    internal HashSet<string> Sources { get; } = [];
    internal HashSet<string> Kernels { get; } = [];
    internal HashSet<string> SplitKernels { get; } = [];
    internal HashSet<string> Calls { get; } = [];

    public override string Load(string ptx)
    {
        if (Stamp.Of(ptx) is { } stamp) Sources.Add(stamp.Source);
        return ptx;
    }

    public override bool Omits(string call)
    {
        Calls.Add(call);
        return false;
    }

    public override (Dim3 Grid, int DynamicShared)? Launch(string kernel, Dim3 grid, int dynamicShared)
    {
        Kernels.Add(kernel);
        if (grid.X > 1) SplitKernels.Add(kernel);
        return base.Launch(kernel, grid, dynamicShared);
    }
}

/// <summary>A planted fault; the first check that finds it is remembered, since its message may be hidden behind those that follow.</summary>
internal abstract class PlantedFault : SimIntervention
{
    private volatile string? _check;

    /// <summary>Message of the first check that failed, or null.</summary>
    internal string? Check => _check;

    /// <summary>Another test begins; some make kernels fail on purpose.</summary>
    internal void Begin() => _check = null;

    public override void Failed(SimFault fault) => _check ??= fault.Message;
}

/// <summary>What the first line of an embedded kernel says: "// cuda/linear.cu bf16.80 hash".</summary>
internal readonly record struct Stamp(string Source, CudaVariant Variant)
{
    internal static Stamp? Of(string ptx)
    {
        string[] words = ptx[..Math.Max(0, ptx.IndexOf('\n'))].Split(' ');
        if (words is not ["//", var file, var variant, _] || !file.StartsWith("cuda/", StringComparison.Ordinal)) return null;
        string[] parts = variant.Split('.');
        return new(file["cuda/".Length..^".cu".Length], new CudaVariant(int.Parse(parts[1]), parts[0] == "bf16"));
    }
}

/// <summary>A fault in a source or in a header: modules made from it are compiled anew, each form at its first use.</summary>
internal sealed class SourceFault(Fault fault, IReadOnlySet<string> affected) : PlantedFault
{
    private readonly ConcurrentDictionary<Stamp, string> _texts = new();
    private volatile bool _changed;

    /// <summary>Whether any module that was loaded differs from the one without the fault.</summary>
    internal bool Changed => _changed;

    /// <summary>Why the fault does not compile, or null.</summary>
    internal string? CompileError { get; private set; }

    public override string Load(string ptx)
    {
        if (Stamp.Of(ptx) is not { } stamp || !affected.Contains(stamp.Source)) return ptx;
        return _texts.GetOrAdd(stamp, s =>
        {
            var source = CudaSource.BuiltIn(s.Source);
            var headers = CudaResources.Headers(source).ToDictionary(h => h.Key, h => fault.File == "cuda/" + h.Key ? With(h.Value) : h.Value);
            string made;
            try
            {
                made = Encoding.UTF8.GetString(Nvrtc.Compile(fault.File == $"cuda/{s.Source}.cu" ? With(source.Text) : source.Text, s.Source + ".cu", headers, s.Variant.Options(machineCode: false)).Image);
            }
            catch (CudaException e) when (e.Call == "nvrtcCompileProgram")
            {
                CompileError = e.Message;
                throw;
            }
            _changed |= Instructions(made) != Instructions(ptx);
            return made;
        });
    }

    private string With(string text) => text[..fault.Start] + fault.Replacement + text[(fault.Start + fault.Length)..];

    // Comments and empty lines are dropped from what is committed.
    private static string Instructions(string ptx) => string.Join('\n', ptx.Split('\n').Where(l => l.AsSpan().Trim() is not ({ Length: 0 } or ['/', '/', ..])));
}

/// <summary>A fault of the host: a call left out, a launch left out, cut short or given too little shared memory.</summary>
internal sealed class HostFault(Fault fault) : PlantedFault
{
    internal const string Call = "call left out", NoLaunch = "launch left out", LastBlock = "last block left out", Shared = "shared memory too small";

    public override bool Omits(string call) => fault.Kind == Call && fault.Member == call;

    public override (Dim3 Grid, int DynamicShared)? Launch(string kernel, Dim3 grid, int dynamicShared)
    {
        if (kernel != fault.Member) return (grid, dynamicShared);
        return fault.Kind switch
        {
            NoLaunch => null,
            LastBlock when grid.X > 1 => (grid with { X = grid.X - 1 }, dynamicShared),
            Shared => (grid, Math.Max(0, dynamicShared - 16)),
            _ => (grid, dynamicShared),
        };
    }

    /// <summary>Faults of the calls and kernels that the tests were seen to use.</summary>
    internal static IEnumerable<Fault> Of(IEnumerable<string> calls, IEnumerable<(string Source, string Kernel, bool Split)> kernels) =>
    [
        .. calls.Order(StringComparer.Ordinal).Select(c => new Fault("host", 0, c, Call, 0, 0, "", c, "-")),
        .. kernels.SelectMany(k => (k.Split ? new[] { NoLaunch, LastBlock } : [NoLaunch]).Select(kind => new Fault($"cuda/{k.Source}.cu", 0, k.Kernel, kind, 0, 0, "", $"{k.Kernel}<<<...>>>", kind))),
    ];
}
