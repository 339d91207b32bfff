using Microsoft.CodeAnalysis.Text;

namespace Orthrus.Mutation;

/// <summary>One small change of one source file.</summary>
/// <param name="File">Path relative to Orthrus.Tensor, with forward slashes.</param>
/// <param name="Line">Line of the change, from 1.</param>
/// <param name="Member">Method or property it lies in.</param>
/// <param name="Kind">sign, index, missing term, reduction, bound, operands, constant, condition or function.</param>
/// <param name="Span">What is replaced.</param>
/// <param name="Replacement">By what.</param>
/// <param name="Before">The line as it is, trimmed.</param>
/// <param name="After">The line as the fault makes it, trimmed.</param>
internal sealed record Fault(string File, int Line, string Member, string Kind, TextSpan Span, string Replacement, string Before, string After)
{
    /// <summary>What is the same after lines have moved: used for the list of accepted survivors.</summary>
    public string Identity => string.Join('\t', File, Member, Before, After);
}

/// <summary>Verdict on one fault.</summary>
/// <param name="Fault">The fault.</param>
/// <param name="Killed">A check noticed it.</param>
/// <param name="By">Which check, with its message; for survivors empty.</param>
internal sealed record Verdict(Fault Fault, bool Killed, string By);
