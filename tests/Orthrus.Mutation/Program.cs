using System.Collections.Concurrent;
using System.Diagnostics;
using Orthrus.Mutation;

// The child process must not touch a type of the engine before the mutant is in place, so that it is dealt with first.
if (args is ["--judge", var mutantPath, .. var names]) return Judge.RunIsolated(mutantPath, names);

const string Usage = """
    Mutation test of the kernels: makes small faults in forward and backward code and asks whether the checks notice.

      dotnet run -c Release --project tests/Orthrus.Mutation -- [options]

      --seed N      which faults are drawn (default 1)
      --count M     how many mutants that compile (default 150); 0 takes every fault
      --only TEXT   only files whose path contains TEXT
      --jobs N      processes at once (default: processors)
      --cache DIR   remembers verdicts by the hash of everything they depend on
      --list        lists the faults that would be tried, and stops

    Exit code 0: every mutant was killed, or is explained in tests/Orthrus.Mutation/survivors.tsv. 1: somebody survived. 2: usage, or the unmutated
    code fails its own checks.
    """;

int seed = 1, count = 150, jobs = Environment.ProcessorCount;
string only = "", cache = "";
bool list = false;
for (int i = 0; i < args.Length; i++)
{
    string Value() => i + 1 < args.Length ? args[++i] : "";
    bool known = args[i] switch
    {
        "--seed" => int.TryParse(Value(), out seed),
        "--count" => int.TryParse(Value(), out count),
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

string root = Plan.FindRoot();
var clock = Stopwatch.StartNew();
var compiler = new MutantCompiler(Path.Combine(root, "Orthrus.Tensor"), System.Reflection.AssemblyName.GetAssemblyName(Path.Combine(AppContext.BaseDirectory, "Orthrus.Tensor.dll")).Version!);
var operatorsOf = compiler.OperatorsOf();
var faults = Plan.Draw(compiler.Faults().Where(f => f.File.Contains(only, StringComparison.Ordinal)).ToArray(), seed);
if (list)
{
    foreach (var f in faults) Console.WriteLine($"{f.File}:{f.Line} {f.Kind}: {f.Before}  =>  {f.After}");
    Console.WriteLine($"{faults.Count} faults in {faults.Select(f => f.File).Distinct().Count()} files");
    return 0;
}

string configuration = new DirectoryInfo(AppContext.BaseDirectory).Parent!.Name;
string[] tests = [.. new[] { "Orthrus.Tensor.Tests", "Orthrus.Autograd.Tests", "Orthrus.Mamba.Tests" }.Select(t => Path.Combine(root, "tests", t, "bin", configuration, "net10.0", t + ".dll"))];
string work = Path.Combine(root, "tests", "Orthrus.Mutation", "obj", "mutants");
if (Directory.Exists(work)) Directory.Delete(work, true);
Directory.CreateDirectory(work);
var runner = new Runner(work, tests);
string inputs = Plan.Hash([.. compiler.Sources, Plan.HashOfFile(Path.Combine(AppContext.BaseDirectory, "Orthrus.Autograd.dll")), .. tests.SelectMany(t => Directory.EnumerateFiles(Path.GetDirectoryName(t)!, "Orthrus.*.dll").Order(StringComparer.Ordinal)).Where(f => Path.GetFileName(f) != "Orthrus.Tensor.dll").Select(Plan.HashOfFile)]);

// The code as it is must pass its own checks, and the time that takes sets the time limit.
var whole = compiler.Compile(null, out string problem) ?? throw new InvalidOperationException($"Orthrus.Tensor does not compile here: {problem}");
var baselineStart = clock.Elapsed;
var (broken, by) = runner.Judge(0, whole, [.. operatorsOf.Values.SelectMany(o => o).Distinct().Order(StringComparer.Ordinal)], TimeSpan.FromMinutes(2));
if (broken)
{
    Console.Error.WriteLine($"the unmutated code does not pass: {by}");
    return 2;
}
var limit = TimeSpan.FromSeconds(Math.Max(20, 3 * (clock.Elapsed - baselineStart).TotalSeconds));
Console.WriteLine($"{faults.Count} faults can be made; the unmutated code passes in {(clock.Elapsed - baselineStart).TotalSeconds:F0} s; seed {seed}");

var verdicts = new ConcurrentBag<Verdict>();
var remembered = new VerdictCache(cache);
int next = -1, accepted = 0, wanted = count == 0 ? int.MaxValue : count;
var slots = Enumerable.Range(0, jobs).Select(slot => new Thread(() =>
{
    int index;
    while (Volatile.Read(ref accepted) < wanted && (index = Interlocked.Increment(ref next)) < faults.Count)
    {
        var fault = faults[index];
        if (compiler.Compile(fault, out _) is not { } mutant) continue;
        if (Interlocked.Increment(ref accepted) > wanted) break;
        string reason = remembered.Get(Plan.Hash([inputs, fault.File, $"[{fault.Start}..{fault.Start + fault.Length})", fault.Replacement]), () => runner.Judge(slot, mutant, operatorsOf[fault.File], limit).By);
        bool killed = reason.Length > 0;
        verdicts.Add(new(fault, killed, reason));
        Console.Error.WriteLine($"{verdicts.Count,4} {clock.Elapsed:mm\\:ss} {(killed ? "killed  " : "SURVIVED")} {fault.File}:{fault.Line} {fault.Kind}");
    }
})).ToArray();
foreach (var s in slots) s.Start();
foreach (var s in slots) s.Join();

var explained = Survivors.Read(Path.Combine(root, "tests", "Orthrus.Mutation", "survivors.tsv"));
return Report.Print([.. verdicts], explained, clock.Elapsed);
