using System.Collections.Concurrent;
using System.Diagnostics;
using Orthrus.Mutation;
using Orthrus.PtxSim;
using Orthrus.Tensor.Cuda;

namespace Orthrus.KernelFaults;

/// <summary>What a test did with the kernels as they are.</summary>
/// <param name="Test">Its name.</param>
/// <param name="Seconds">How long it took.</param>
/// <param name="Problem">Why it failed, or null.</param>
/// <param name="Sources">Kernel sources whose modules it loaded.</param>
/// <param name="Kernels">Kernels that it launched.</param>
/// <param name="SplitKernels">Those of them that it launched with several blocks.</param>
/// <param name="Calls">Calls that a host fault can leave out.</param>
internal sealed record Seen(string Test, double Seconds, string? Problem, List<string> Sources, List<string> Kernels, List<string> SplitKernels, List<string> Calls);

/// <summary>The tests without a fault.</summary>
internal static class Baseline
{
    internal static List<Seen> Run(IEnumerable<TestRow> rows, int jobs)
    {
        var queue = new ConcurrentQueue<TestRow>(rows);
        var seen = new ConcurrentBag<Seen>();
        var threads = Enumerable.Range(0, jobs).Select(_ => new Thread(() =>
        {
            while (queue.TryDequeue(out var row))
            {
                var watcher = new Watcher();
                SimIntervention.Current = watcher;
                var clock = Stopwatch.StartNew();
                string? problem = Tests.Run(row);
                seen.Add(new(row.Name, clock.Elapsed.TotalSeconds, problem, [.. watcher.Sources], [.. watcher.Kernels], [.. watcher.SplitKernels], [.. watcher.Calls]));
            }
        })).ToArray();
        foreach (var t in threads) t.Start();
        foreach (var t in threads) t.Join();
        return [.. seen.OrderBy(s => s.Test, StringComparer.Ordinal)];
    }
}

/// <summary>The faults: those that are all tried, and the others in the order of the seed.</summary>
internal static class Faults
{
    private static readonly string[] Headers =
        [.. CudaResources.Sources.SelectMany(s => CudaResources.Headers(Orthrus.Tensor.CudaSource.BuiltIn(s)).Keys).Distinct().Order(StringComparer.Ordinal).Select(h => "cuda/" + h)];

    internal static (List<Fault> InTurn, List<Fault> Drawn) Of(IReadOnlyList<Seen> seen, int seed, string only)
    {
        List<Fault> all = [.. CudaResources.Sources.Select(s => $"cuda/{s}.cu").Concat(Headers).SelectMany(f => SourceFaults.In(f, CudaResources.Text(f)!))];
        HashSet<string> split = [.. seen.SelectMany(s => s.SplitKernels)];
        all.AddRange(HostFault.Of(seen.SelectMany(s => s.Calls).Distinct(), seen.SelectMany(s => s.Kernels).Distinct().Order(StringComparer.Ordinal)
            .Select(k => (Source: SourceOf(k), k, split.Contains(k))).Where(k => k.Source is not null).Select(k => (k.Source!, k.k, k.Item3))));
        all.RemoveAll(f => !f.File.Contains(only, StringComparison.Ordinal));
        return ([.. all.Where(f => SourceFaults.InTurn.Contains(f.Kind))], Plan.Draw([.. all.Where(f => !SourceFaults.InTurn.Contains(f.Kind))], seed));

        // Entry points are unique among the sources; macros may put a name together, so that the compiled text is asked; kernels of the tests themselves have none.
        static string? SourceOf(string kernel) => CudaResources.Sources.FirstOrDefault(s => CudaVariant.Embedded.Any(v => CudaResources.Ptx(CudaSourceOf(s), v)?.Contains($".entry {kernel}(", StringComparison.Ordinal) == true));
        static Orthrus.Tensor.CudaSource CudaSourceOf(string name) => Orthrus.Tensor.CudaSource.BuiltIn(name);
    }
}

/// <summary>Runs the tests that can show a fault, the quickest first, until one does.</summary>
internal static class Judge
{
    /// <summary>Begins a verdict that is none: it does not compile, or changes nothing.</summary>
    internal const string NoFault = "no fault: ";

    /// <summary>How it was found (a check of the simulator, bits that depend on the seed or the batch, a wrong value), by which test; empty for a survivor; <see cref="NoFault"/> with a reason.</summary>
    internal static string Of(Fault fault, IReadOnlyList<Seen> seen, IReadOnlyDictionary<string, TestRow> rows)
    {
        bool host = fault.Kind is HostFault.Call or HostFault.NoLaunch or HostFault.LastBlock or HostFault.Shared;
        IReadOnlySet<string> affected = host ? new HashSet<string>() : Affected(fault);
        PlantedFault planted = host ? new HostFault(fault) : new SourceFault(fault, affected);
        foreach (var s in seen)
        {
            if (!(host ? s.Calls.Contains(fault.Member) || s.Kernels.Contains(fault.Member) : s.Sources.Any(affected.Contains))) continue;
            planted.Begin();
            SimIntervention.Current = planted;
            string? problem = Tests.Run(rows[s.Test]);
            SimIntervention.Current = null;
            if (problem is null) continue;
            if (planted is SourceFault { CompileError: { } error }) return NoFault + error;
            return planted.Check is { } check ? $"check: {s.Test}: {check}" : $"{(problem.Contains(" differs from ", StringComparison.Ordinal) ? "bits" : "value")}: {s.Test}: {problem}";
        }
        return planted is SourceFault { Changed: false } ? NoFault + "the compiled text is the same" : "";
    }

    /// <summary>Sources that a fault changes: its own; for a header those that include it and, since most functions of the one of all kernels are in few, name the function.</summary>
    private static HashSet<string> Affected(Fault fault)
    {
        string name = fault.File["cuda/".Length..];
        if (name.EndsWith(".cu", StringComparison.Ordinal)) return [name[..^".cu".Length]];
        bool common = name == CudaResources.HeaderName && fault.Member.Length > 0;
        return [.. CudaResources.Sources.Select(Orthrus.Tensor.CudaSource.BuiltIn)
            .Where(s => CudaResources.Headers(s) is var headers && headers.ContainsKey(name) && (!common || headers.Where(h => h.Key != name).Select(h => h.Value).Append(s.Text).Any(t => t.Contains(fault.Member, StringComparison.Ordinal))))
            .Select(s => s.Name)];
    }
}
