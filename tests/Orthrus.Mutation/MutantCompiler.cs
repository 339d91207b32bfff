using System.Text.RegularExpressions;
using System.Xml.Linq;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Microsoft.CodeAnalysis.Text;

namespace Orthrus.Mutation;

/// <summary>Orthrus.Tensor as a compilation: finds faults, compiles mutants, knows which operators a file serves.</summary>
internal sealed partial class MutantCompiler
{
    // The contract, the runner, the tables and the timing around the kernels, and what only launches of CUDA kernels use: no kernel code of the CPU.
    private static readonly HashSet<string> NotMutated =
    [
        "Ops/IOp.cs", "Ops/Op.cs", "Ops/Quads.cs", "Ops/OpArgs.cs", "Ops/OpRow.cs", "Ops/OpTable.cs", "Ops/OpWork.cs", "Ops/Sample.cs", "Ops/ShapeRule.cs", "Ops/SimilaritySpecification.cs",
        "Cpu/MachineLimits.cs", "Cpu/VectorWidths.cs", "Updates/IStateUpdate.cs", "Updates/Update.cs", "Updates/UpdateRow.cs",
    ];

    private static readonly CSharpParseOptions Parsing = new(LanguageVersion.Preview);

    private readonly CSharpCompilation _compilation;
    private readonly Dictionary<string, SyntaxTree> _trees;
    private readonly ResourceDescription[] _resources;

    /// <param name="projectFolder">Folder of Orthrus.Tensor.</param>
    /// <param name="version">Assembly version that the checkers were built against.</param>
    public MutantCompiler(string projectFolder, Version version)
    {
        var files = Directory.EnumerateFiles(projectFolder, "*.cs", SearchOption.AllDirectories)
            .Select(p => Path.GetRelativePath(projectFolder, p).Replace('\\', '/'))
            .Where(p => !p.StartsWith("bin/", StringComparison.Ordinal) && !p.StartsWith("obj/", StringComparison.Ordinal)).Order(StringComparer.Ordinal).ToArray();
        _trees = files.ToDictionary(f => f, f => Parse(Source(Path.Combine(projectFolder, f), f), f));
        // The CUDA sources, which a user's operator compiles against; compiled kernels are left out, nothing here launches them.
        _resources = [.. Directory.EnumerateFiles(Path.Combine(projectFolder, "..", "cuda"), "*.cu*").Order(StringComparer.Ordinal)
            .Select(p => new ResourceDescription("cuda/" + Path.GetFileName(p), () => File.OpenRead(p), isPublic: true))];
        var friends = XDocument.Load(Path.Combine(projectFolder, "Orthrus.Tensor.csproj")).Descendants("InternalsVisibleTo").Select(e => e.Attribute("Include")!.Value);
        string project = string.Concat(new[] { "System", "System.Collections.Generic", "System.IO", "System.Linq", "System.Net.Http", "System.Threading", "System.Threading.Tasks" }
            .Select(n => $"global using {n};\n")) + string.Concat(friends.Select(f => $"[assembly: System.Runtime.CompilerServices.InternalsVisibleTo(\"{f}\")]\n"))
            + $"[assembly: System.Reflection.AssemblyVersion(\"{version}\")]\n";
        var references = ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!).Split(Path.PathSeparator)
            .Where(p => Path.GetFileName(p) is var n && (n.StartsWith("System.", StringComparison.Ordinal) || n is "mscorlib.dll" or "netstandard.dll") && !n.Contains("CodeAnalysis"))
            .Select(p => MetadataReference.CreateFromFile(p));
        _compilation = CSharpCompilation.Create("Orthrus.Tensor", [.. _trees.Values, Parse(project, "project.cs")], references,
            new CSharpCompilationOptions(OutputKind.DynamicallyLinkedLibrary, optimizationLevel: OptimizationLevel.Release, allowUnsafe: true, nullableContextOptions: NullableContextOptions.Enable, deterministic: true));
    }

    /// <summary>Every fault of every kernel file, in a fixed order.</summary>
    public IReadOnlyList<Fault> Faults() =>
        [.. _trees.Where(t => IsKernelFile(t.Key)).SelectMany(t => FaultFinder.In(t.Key, t.Value, _compilation.GetSemanticModel(t.Value)))];

    /// <summary>All sources, for hashing.</summary>
    public IEnumerable<string> Sources => _trees.OrderBy(t => t.Key, StringComparer.Ordinal).Select(t => t.Key + "\n" + t.Value);

    /// <summary>The assembly with a fault, or without one; null where it does not compile.</summary>
    public byte[]? Compile(Fault? fault, out string problem)
    {
        var compilation = _compilation;
        if (fault is not null)
        {
            var tree = _trees[fault.File];
            var mutated = Parse(tree.GetText().WithChanges(new TextChange(new TextSpan(fault.Start, fault.Length), fault.Replacement)).ToString(), fault.File);
            compilation = compilation.ReplaceSyntaxTree(tree, mutated);
        }
        using var stream = new MemoryStream();
        var result = compilation.Emit(stream, manifestResources: _resources);
        problem = result.Success ? "" : result.Diagnostics.First(d => d.Severity == DiagnosticSeverity.Error).ToString();
        return result.Success ? stream.ToArray() : null;
    }

    /// <summary>Names of the operators and updates whose kernels reach a file, nearest first.</summary>
    public IReadOnlyDictionary<string, string[]> OperatorsOf()
    {
        var uses = new Dictionary<string, HashSet<string>>();
        foreach (var (file, tree) in _trees)
        {
            if (!IsKernelFile(file)) continue;
            var model = _compilation.GetSemanticModel(tree);
            uses[file] = [.. tree.GetRoot().DescendantNodes().OfType<SimpleNameSyntax>()
                .Select(n => model.GetSymbolInfo(n).Symbol).Select(s => s is INamedTypeSymbol t ? t : s?.ContainingType)
                .SelectMany(t => t?.OriginalDefinition.DeclaringSyntaxReferences ?? []).Select(r => r.SyntaxTree.FilePath).Where(f => f != file && IsKernelFile(f))];
        }
        var names = _trees.Where(t => IsKernelFile(t.Key)).ToDictionary(t => t.Key, t => NameOf(t.Value));
        var result = new Dictionary<string, string[]>();
        foreach (string target in uses.Keys)
        {
            List<string> found = [];
            var seen = new HashSet<string> { target };
            var queue = new Queue<string>(seen);
            while (queue.TryDequeue(out string? file))
            {
                if (names[file] is { } name) found.Add(name);
                foreach (string user in uses.Where(u => u.Value.Contains(file)).Select(u => u.Key).Order(StringComparer.Ordinal))
                    if (seen.Add(user)) queue.Enqueue(user);
            }
            result[target] = [.. found];
        }
        return result;
    }

    // Bodies of bindings and regular expressions are generated during the build; plain imports, whose arguments need no marshalling, and plain expressions stand in here.
    private static string Source(string path, string file)
    {
        string text = GeneratedRegex().Replace(File.ReadAllText(path), "private static Regex $2() => new($1);");
        return file.StartsWith("Cuda/", StringComparison.Ordinal) ? text.Replace("[LibraryImport(", "[DllImport(").Replace("private static partial ", "private static extern ") : text;
    }

    [GeneratedRegex(@"\[GeneratedRegex\((.*)\)\]\s+private static partial Regex (\w+)\(\);")]
    private static partial Regex GeneratedRegex();

    private static bool IsKernelFile(string file) =>
        (file.StartsWith("Ops/", StringComparison.Ordinal) || file.StartsWith("Updates/", StringComparison.Ordinal) || file.StartsWith("Cpu/", StringComparison.Ordinal)) && !NotMutated.Contains(file) && !file.Contains("Cuda", StringComparison.Ordinal);

    /// <summary>The text of the property Name of an operator or update.</summary>
    private static string? NameOf(SyntaxTree tree) => tree.GetRoot().DescendantNodes().OfType<PropertyDeclarationSyntax>()
        .Where(p => p.Identifier.Text == "Name" && p.Modifiers.Any(SyntaxKind.StaticKeyword)).Select(p => (p.ExpressionBody?.Expression as LiteralExpressionSyntax)?.Token.ValueText).FirstOrDefault(n => n is not null);

    private static SyntaxTree Parse(string text, string path) => CSharpSyntaxTree.ParseText(SourceText.From(text, System.Text.Encoding.UTF8), Parsing, path);
}
