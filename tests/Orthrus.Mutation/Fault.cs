namespace Orthrus.Mutation;

/// <summary>One small change of one source file.</summary>
/// <param name="File">Path relative to Orthrus.Tensor, or to the root for kernels, with forward slashes.</param>
/// <param name="Line">Line of the change, from 1.</param>
/// <param name="Member">Method or property it lies in.</param>
/// <param name="Kind">sign, index, missing term, reduction, bound, operands, constant, condition or function; kernels have some more.</param>
/// <param name="Start">Where what is replaced begins in the file's text.</param>
/// <param name="Length">How long it is.</param>
/// <param name="Replacement">By what.</param>
/// <param name="Before">The line as it is, trimmed.</param>
/// <param name="After">The line as the fault makes it, trimmed.</param>
internal sealed record Fault(string File, int Line, string Member, string Kind, int Start, int Length, string Replacement, string Before, string After)
{
    /// <summary>What is the same after lines have moved: used for the list of accepted survivors.</summary>
    public string Identity => string.Join('\t', File, Member, Before, After);
}

/// <summary>Verdict on one fault.</summary>
/// <param name="Fault">The fault.</param>
/// <param name="Killed">A check noticed it.</param>
/// <param name="By">Which check, with its message; for survivors empty.</param>
internal sealed record Verdict(Fault Fault, bool Killed, string By);
