using System.Text.RegularExpressions;
using Orthrus.Mutation;

namespace Orthrus.KernelFaults;

/// <summary>
/// Lists the faults that the rules can make in a CUDA source. The rules read lines, not a grammar: what does not compile afterwards is no fault, and what compiles
/// to the same PTX is none either. Left out: comments, preprocessor lines, declarations of constants and templates, inline assembly.
/// </summary>
internal static partial class SourceFaults
{
    /// <summary>Kinds of which every fault is tried; of the others as many as are asked for.</summary>
    internal static readonly string[] InTurn = ["barrier", "wait", HostFault.Call];

    private static readonly (string Kind, Regex Pattern, Func<Match, string?> Replace)[] Rules =
    [
        ("barrier", Barrier(), _ => ";"),
        ("wait", WaitForCopies(), m => $"wait_copies<({m.Groups[1].Value}) + 1>();"),
        ("wait", WaitForCopies(), _ => ";"),
        ("wait", CommitCopies(), _ => ";"),
        ("wait", AsmWaitAll(), _ => ";"),
        ("bound", Comparison(), m => m.Value switch { " < " => " <= ", " <= " => " < ", " > " => " >= ", _ => " > " }),
        ("accumulator", ZeroFloat(), m => m.Groups[1].Value + "1.f" + m.Groups[2].Value),
        ("uninitialised", ZeroDeclared(), m => m.Groups[1].Value + ";"),
        ("carry", AddAssign(), _ => " = "),
        ("sign", Plus(), _ => " - "),
        ("sign", Minus(), _ => " + "),
        ("index", Subscript(), m => $"[({m.Groups[1].Value}) + 1]"),
        ("swapped index", RowColumn(), m => $"{m.Groups[3].Value} * {m.Groups[2].Value} + {m.Groups[1].Value}"),
        ("mask", FullMask(), _ => "0x7fffffffu"),
        ("shuffle", ShuffleLane(), m => $"{m.Groups[1].Value}({m.Groups[2].Value}) + 1)"),
        ("constant", FloatLiteral(), m => m.Value == "0.f" ? null : $"(2.f * {m.Value} + 1.f)"),
        ("function", MinMax(), m => m.Groups[1].Value switch { "min" => "max(", "max" => "min(", "fminf" => "fmaxf(", _ => "fminf(" }),
        ("condition", And(), _ => " || "),
        ("shift", ShiftRight(), m => $">> {int.Parse(m.Groups[1].Value) - 1}"),
    ];

    /// <summary>Faults of one file.</summary>
    /// <param name="file">Name for reports, as "cuda/linear.cu".</param>
    /// <param name="text">Its text.</param>
    internal static List<Fault> In(string file, string text)
    {
        List<Fault> faults = [];
        int start = 0, number = 0;
        string member = "";
        foreach (string line in text.Split('\n'))
        {
            number++;
            int comment = line.IndexOf("//", StringComparison.Ordinal);
            string code = comment < 0 ? line : line[..comment];
            if (Function().Match(code) is { Success: true } function) member = function.Groups[1].Value;
            bool assembly = code.Contains("asm", StringComparison.Ordinal);
            if (!NotCode().IsMatch(code))
            {
                foreach (var (kind, pattern, replace) in Rules)
                {
                    if (assembly != (pattern.ToString().StartsWith("asm", StringComparison.Ordinal))) continue;
                    if (kind == "index" && Declaration().IsMatch(code)) continue;
                    foreach (Match m in pattern.Matches(code))
                        if (replace(m) is { } replacement) Add(kind, m.Index, m.Length, replacement);
                }
                if (!assembly) Guards(code, Add);
            }
            start += line.Length + 1;

            void Add(string kind, int at, int length, string replacement)
            {
                string after = (line[..at] + replacement + line[(at + length)..]).Trim();
                // Barriers look alike: which one of the function it is belongs to the name of the fault.
                if (InTurn.Contains(kind)) after += $" // {kind} {faults.Count(f => f.Member == member && f.Kind == kind) + 1} in {member}";
                faults.Add(new(file, number, member, kind, start + at, length, replacement, line.Trim(), after));
            }
        }
        return [.. faults.DistinctBy(f => (f.Start, f.Length, f.Replacement))];
    }

    /// <summary>Tail guards: the condition of an if that compares becomes constant, so that what it guards always happens, or what it skips is never skipped.</summary>
    private static void Guards(string code, Action<string, int, int, string> add)
    {
        foreach (Match m in If().Matches(code))
        {
            int from = m.Index + m.Length, depth = 1, at = from;
            for (; at < code.Length && depth > 0; at++) depth += code[at] == '(' ? 1 : code[at] == ')' ? -1 : 0;
            if (depth > 0 || !Comparison().IsMatch(code[from..at])) continue;
            add("guard", from, at - 1 - from, Leaves().IsMatch(code[at..]) ? "false" : "true");
        }
    }

    [GeneratedRegex(@"^\s*(#|template|static_assert|enum|struct|typedef|using|const |extern|public:)")]
    private static partial Regex NotCode();

    [GeneratedRegex(@"^(?:\s*template\s*<.*>\s*)?\s*(?:DEVICE|METHOD|ORTHRUS_KERNEL|static|__device__)\b[^=;]*?(\w+)\s*\(")]
    private static partial Regex Function();

    [GeneratedRegex(@"^\s*(extern |__shared__ |const |static )*(float4?|double|int|bool|i32|i64|u8|u16|u32|u64|bf16|act|char|uint[24]|T|Raw<[^>]*>)\s+\w+(\s*=[^,]*,\s*\w+)*\[|\(&")]
    private static partial Regex Declaration();

    [GeneratedRegex(@"__syncthreads\(\);|__syncwarp\(\);")]
    private static partial Regex Barrier();

    [GeneratedRegex(@"wait_copies<([^>]*)>\(\);")]
    private static partial Regex WaitForCopies();

    [GeneratedRegex(@"commit_copies\(\);")]
    private static partial Regex CommitCopies();

    [GeneratedRegex("asm volatile\\(\"cp.async.wait_all;\" ::: \"memory\"\\);")]
    private static partial Regex AsmWaitAll();

    [GeneratedRegex(" (<|<=|>|>=) ")]
    private static partial Regex Comparison();

    [GeneratedRegex(@"(\bfloat \w+ = |, \w+ = )0\.f([;,])")]
    private static partial Regex ZeroFloat();

    [GeneratedRegex(@"(\b(?:float|i32|int) \w+) = 0(?:\.f)?;")]
    private static partial Regex ZeroDeclared();

    [GeneratedRegex(@" \+= ")]
    private static partial Regex AddAssign();

    [GeneratedRegex(@" \+ ")]
    private static partial Regex Plus();

    [GeneratedRegex(" - ")]
    private static partial Regex Minus();

    [GeneratedRegex(@"(?<=\w)\[([^\[\]]+)\]")]
    private static partial Regex Subscript();

    [GeneratedRegex(@"\b([A-Za-z_]\w*) \* ([A-Za-z_]\w*) \+ ([A-Za-z_]\w*)\b")]
    private static partial Regex RowColumn();

    [GeneratedRegex("0xffffffffu")]
    private static partial Regex FullMask();

    [GeneratedRegex(@"(__shfl_(?:xor_|down_|up_)?sync\([^,]*, [^,]*, )([^(),]*)\)")]
    private static partial Regex ShuffleLane();

    [GeneratedRegex(@"\b\d+\.\d*f\b")]
    private static partial Regex FloatLiteral();

    [GeneratedRegex(@"\b(min|max|fminf|fmaxf)\(")]
    private static partial Regex MinMax();

    [GeneratedRegex(" && ")]
    private static partial Regex And();

    [GeneratedRegex(@">> ([1-9])\b")]
    private static partial Regex ShiftRight();

    [GeneratedRegex(@"\bif \(")]
    private static partial Regex If();

    [GeneratedRegex(@"^\s*(return|continue|break)\b")]
    private static partial Regex Leaves();
}
