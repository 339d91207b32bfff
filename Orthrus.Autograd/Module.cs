using Orthrus.Tensor;

namespace Orthrus.Autograd;

/// <summary>
/// Something with parameters. No reflection: <see cref="Visit"/> names them, and that one method serves loading, saving, initialisation,
/// optimiser groups and counting.
/// </summary>
public abstract class Module
{
    /// <summary>Names every parameter, buffer and child, in the order in which upstream's files have them.</summary>
    /// <param name="visitor">Receives them.</param>
    public abstract void Visit(ParameterVisitor visitor);

    /// <summary>All parameters and buffers with their full names, in order.</summary>
    public IReadOnlyList<KeyValuePair<string, Parameter>> NamedParameters()
    {
        var list = new Collector();
        Visit(list);
        return list.Items;
    }

    /// <summary>Number of trainable numbers; buffers do not count.</summary>
    public long ParameterCount() => NamedParameters().Where(p => !p.Value.IsBuffer).Sum(p => p.Value.Shape.Count);

    /// <summary>Forgets all gradients.</summary>
    public void ClearGrads()
    {
        foreach (var (_, p) in NamedParameters()) p.ClearGrad();
    }

    private sealed class Collector : ParameterVisitor
    {
        internal readonly List<KeyValuePair<string, Parameter>> Items = [];
        protected override void OnParameter(string name, Parameter parameter) => Items.Add(new(name, parameter));
    }
}

/// <summary>Walks a tree of modules and receives every parameter with its full name.</summary>
public abstract class ParameterVisitor
{
    private string _prefix = "";

    /// <summary>Called by a module for each parameter or buffer of its own.</summary>
    /// <param name="name">Name within the module, as upstream's files have it.</param>
    /// <param name="parameter">The parameter.</param>
    public void Parameter(string name, Parameter parameter) => OnParameter(_prefix + name, parameter);

    /// <summary>Called by a module for each module inside it.</summary>
    /// <param name="name">Name within the module, without a dot at the end; empty where the child adds none.</param>
    /// <param name="child">The module.</param>
    public void Child(string name, Module child)
    {
        string before = _prefix;
        _prefix = name.Length == 0 ? before : before + name + ".";
        child.Visit(this);
        _prefix = before;
    }

    /// <summary>Receives one parameter or buffer.</summary>
    /// <param name="name">Full name, such as layers.0.mixer.in_proj.weight.</param>
    /// <param name="parameter">The parameter.</param>
    protected abstract void OnParameter(string name, Parameter parameter);
}
