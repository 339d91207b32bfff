using System.Collections.Concurrent;
using System.Diagnostics;
using System.Reflection;
using System.Text.Json;
using Orthrus.KernelFaults;
using Orthrus.Mutation;
using Orthrus.PtxSim;
using Orthrus.Tensor.Cuda;

const string Usage = """
    Faults planted in the CUDA kernels: changes a source (NVRTC compiles it again) or a call of the host, runs the kernels' tests on simulated devices and asks
    whether a check, a wrong result or a result that depends on the seed shows it. Every barrier, every wait of asynchronous copies, every call of the host
    in turn, the rest by seed.

      dotnet run -c Release --project tests/Orthrus.KernelFaults -- [options]

      --seed N      which faults are drawn (default 1)
      --count M     how many besides those (default 100); 0 takes every fault
      --only TEXT   only faults of files whose name contains TEXT
      --jobs N      threads (default: processors)
      --cache DIR   remembers verdicts by the hash of everything they depend on
      --list        lists the faults that would be tried, and stops

    Exit code 0: every fault was found, or is explained in tests/Orthrus.KernelFaults/survivors.tsv. 1: somebody survived. 2: usage, or the kernels as they are
    fail their own tests. 4: NVRTC is missing.
    """;

int seed = 1, count = 100, jobs = Environment.ProcessorCount;
string only = "", cache = "";
bool list = false;
for (int i = 0; i < args.Length; i++)
{
    string Value() => i + 1 < args.Length ? args[++i] : "";
    bool known = args[i] switch
    {
        "--seed" => int.TryParse(Value(), out seed),
        "--count" => int.TryParse(Value(), out count) && count >= 0,
        "--jobs" => int.TryParse(Value(), out jobs) && jobs > 0,
        "--only" => (only = Value()).Length > 0,
        "--cache" => (cache = Value()).Length > 0,
        "--list" => list = true,
        _ => false,
    };
    if (known) continue;
    Console.Error.WriteLine(Usage);
    return 2;
}

if (!Nvrtc.IsAvailable)
{
    Console.Error.WriteLine($"{Nvrtc.WhyNot}; set ORTHRUS_CUDA_FOLDERS to its folder");
    return 4;
}

string root = Plan.FindRoot(), configuration = new DirectoryInfo(AppContext.BaseDirectory).Parent!.Name;
string tests = Path.Combine(root, "tests", "Orthrus.Cuda.Tests", "bin", configuration, "net10.0", "Orthrus.Cuda.Tests.dll");
string inputs = Plan.Hash([.. Directory.EnumerateFiles(Path.GetDirectoryName(tests)!, "Orthrus.*.dll").Append(Environment.ProcessPath is null ? tests : typeof(SourceFault).Assembly.Location)
    .Order(StringComparer.Ordinal).Select(Plan.HashOfFile), Nvrtc.Version.ToString()]);
var clock = Stopwatch.StartNew();
var remembered = new VerdictCache(cache);
var rows = Tests.Of(Assembly.LoadFrom(tests)).ToDictionary(r => r.Name);

// The kernels as they are must pass; what each test loads, launches and calls on the way tells which faults it can show.
var seen = JsonSerializer.Deserialize<List<Seen>>(remembered.Get(Plan.Hash([inputs, "as they are"]), () => JsonSerializer.Serialize(Baseline.Run(rows.Values, jobs))))!;
if (seen.FirstOrDefault(s => s.Problem is not null) is { } broken)
{
    Console.Error.WriteLine($"the kernels as they are do not pass {broken.Test}: {broken.Problem}");
    return 2;
}
seen = [.. seen.Where(s => s.Sources.Count > 0).OrderBy(s => s.Seconds)];
Console.WriteLine($"{seen.Count} tests pass in {seen.Sum(s => s.Seconds):F0} s of one thread; {clock.Elapsed.TotalSeconds:F0} s");

var (inTurn, drawn) = Faults.Of(seen, seed, only);
if (list)
{
    foreach (var f in inTurn.Concat(drawn)) Console.WriteLine($"{f.File}:{f.Line} {f.Kind}: {f.Before}  =>  {f.After}");
    Console.WriteLine($"{inTurn.Count} faults in turn, {drawn.Count} others");
    return 0;
}

var verdicts = new ConcurrentBag<Verdict>();
int next = -1, accepted = 0;
long wanted = inTurn.Count + (count == 0 ? int.MaxValue : (long)count);
List<Fault> queue = [.. inTurn, .. drawn];
var threads = Enumerable.Range(0, jobs).Select(_ => new Thread(() =>
{
    int index;
    while ((index = Interlocked.Increment(ref next)) < queue.Count)
    {
        var fault = queue[index];
        // Barriers and waits are all tried, however many of them are no faults.
        if (index >= inTurn.Count && Volatile.Read(ref accepted) >= wanted - inTurn.Count) break;
        string verdict = remembered.Get(Plan.Hash([inputs, fault.Identity, $"{fault.Start}", fault.Kind, fault.Replacement]), () => Judge.Of(fault, seen, rows));
        if (verdict.StartsWith(Judge.NoFault, StringComparison.Ordinal))
        {
            Console.Error.WriteLine($"     {clock.Elapsed:mm\\:ss} no fault {fault.File}:{fault.Line} {fault.Kind}: {verdict}");
            continue;
        }
        if (index >= inTurn.Count && Interlocked.Increment(ref accepted) > wanted - inTurn.Count) break;
        verdicts.Add(new(fault, verdict.Length > 0, verdict));
        Console.Error.WriteLine($"{verdicts.Count,4} {clock.Elapsed:mm\\:ss} {(verdict.Length > 0 ? "found   " : "SURVIVED")} {fault.File}:{fault.Line} {fault.Kind}");
    }
})).ToArray();
foreach (var t in threads) t.Start();
foreach (var t in threads) t.Join();

return Report.Print([.. verdicts], Survivors.Read(Path.Combine(root, "tests", "Orthrus.KernelFaults", "survivors.tsv")), clock.Elapsed);
