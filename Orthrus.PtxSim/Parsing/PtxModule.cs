using Orthrus.PtxSim.Parsing;

namespace Orthrus.PtxSim;

/// <summary>PTX text, read: kernels, device functions, variables. Immutable; load it on a <see cref="SimDevice"/> to run it.</summary>
public sealed class PtxModule
{
    private readonly Dictionary<string, PtxFunction> functions = [];
    private readonly Dictionary<string, PtxVariable> variables = [];
    private readonly List<string> kernels = [];

    private PtxModule(PtxParser parser)
    {
        Version = parser.Version;
        Target = parser.Target;
        TargetLine = parser.TargetLine;
        Variables = parser.Variables;
        foreach (PtxFunction function in parser.Functions)
        {
            // A declaration and its definition share a name; the body wins.
            if (!functions.TryGetValue(function.Name, out PtxFunction? old) || !old.HasBody)
                functions[function.Name] = function;
            if (function.IsEntry)
                kernels.Add(function.Name);
        }

        foreach (PtxVariable variable in parser.Variables)
            variables[variable.Name] = variable;
    }

    /// <summary>The .version of the text, as "7.8".</summary>
    public string Version { get; }

    /// <summary>The .target of the text, as "sm_80".</summary>
    public string Target { get; }

    /// <summary>Names of the kernels in the order of the text.</summary>
    public IReadOnlyList<string> Kernels => kernels;

    internal int TargetLine { get; }

    internal List<PtxVariable> Variables { get; }

    internal IEnumerable<PtxFunction> Functions => functions.Values;

    /// <summary>Reads PTX text.</summary>
    /// <param name="text">The text, with or without the closing NUL that NVRTC counts.</param>
    /// <exception cref="PtxException">The text is no PTX; the message names the line.</exception>
    public static PtxModule Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var parser = new PtxParser(new PtxLexer(text).Run());
        parser.Run();
        return new PtxModule(parser);
    }

    internal PtxFunction? FunctionNamed(string name) => functions.GetValueOrDefault(name);

    internal PtxVariable? Variable(string name) => variables.GetValueOrDefault(name);
}
