namespace Orthrus.PtxSim;

/// <summary>PTX text that cannot be read, or an instruction that the simulator does not execute. The message names the line.</summary>
public sealed class PtxException : Exception
{
    /// <summary>An error at a line of the PTX text.</summary>
    /// <param name="message">What is wrong, without the line.</param>
    /// <param name="line">Line of the PTX text, counted from 1.</param>
    public PtxException(string message, int line)
        : base($"PTX line {line}: {message}") => Line = line;

    /// <summary>Line of the PTX text, counted from 1.</summary>
    public int Line { get; }
}
