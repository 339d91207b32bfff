using System.Reflection;
using System.Runtime.Loader;
using Orthrus.Autograd;
using Orthrus.Tensor;

namespace Orthrus.Mutation;

/// <summary>The child process: checks operators of a mutated Orthrus.Tensor with the unchanged checker.</summary>
internal static class Judge
{
    public const int Survived = 0, Killed = 10;

    /// <summary>Runs <see cref="Check"/> inside a context whose Orthrus.Tensor is the mutant. Touches no type of the engine itself.</summary>
    public static int RunIsolated(string mutant, string[] operators)
    {
        var context = new MutantContext(mutant);
        var self = context.LoadFromAssemblyPath(typeof(Judge).Assembly.Location);
        var check = self.GetType(typeof(Judge).FullName!)!.GetMethod(nameof(Check), BindingFlags.Public | BindingFlags.Static)!;
        string? problem = (string?)check.Invoke(null, [operators]);
        Console.WriteLine(problem ?? "");
        return problem is null ? Survived : Killed;
    }

    /// <summary>First problem of the named operators and updates, in order; null where there is none.</summary>
    public static string? Check(string[] operators)
    {
        foreach (string name in operators)
        {
            var results = OpTable.All.FirstOrDefault(o => o.Name == name) is { } op ? GradCheck.Run(op)
                : UpdateTable.All.FirstOrDefault(u => u.Name == name) is { } update ? UpdateCheck.Run(update) : [];
            foreach (var r in results)
                if (!r.Passed) return $"{(r.Op == r.Sample ? r.Op : $"{r.Op} / {r.Sample}")}: {r.Problems[0]}";
        }
        return null;
    }

    private sealed class MutantContext(string mutant) : AssemblyLoadContext("mutant")
    {
        protected override Assembly? Load(AssemblyName name) => name.Name switch
        {
            "Orthrus.Tensor" => LoadFromAssemblyPath(mutant),
            "Orthrus.Autograd" => LoadFromAssemblyPath(Path.Combine(AppContext.BaseDirectory, "Orthrus.Autograd.dll")),
            _ => null,
        };
    }
}
