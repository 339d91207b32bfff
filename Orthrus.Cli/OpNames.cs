using Orthrus.Tensor;

namespace Orthrus.Cli;

/// <summary>The values of --op: names of operators and state updates.</summary>
internal static class OpNames
{
    /// <summary>The rows of the names given; all of them for none.</summary>
    /// <exception cref="UsageException">A name is not in the tables.</exception>
    internal static (IReadOnlyList<OpRow> Ops, IReadOnlyList<UpdateRow> Updates) Choose(IReadOnlyCollection<string> names)
    {
        string[] known = [.. OpTable.All.Select(o => o.Name), .. UpdateTable.All.Select(u => u.Name)];
        foreach (string name in names)
            if (!known.Contains(name)) throw new UsageException($"there is no operator {name}; known: {string.Join(", ", known.Order(StringComparer.Ordinal))}");
        bool Chosen(string name) => names.Count == 0 || names.Contains(name);
        return ([.. OpTable.All.Where(o => Chosen(o.Name))], [.. UpdateTable.All.Where(u => Chosen(u.Name))]);
    }
}
