using Orthrus.Rna;

namespace Orthrus.Mamba;

/// <summary>A model file that cannot be used: broken, hostile, or not the model it says it is. Nothing of it was executed.</summary>
/// <param name="file">The file or folder as the user named it.</param>
/// <param name="record">Tensor, entry or opcode at fault, or null.</param>
/// <param name="problem">What is wrong.</param>
/// <param name="remedy">What can be done; null for what helps against a file that is not as it should be.</param>
/// <param name="inner">The cause, or null.</param>
public sealed class CheckpointException(string? file, string? record, string problem, string? remedy = null, Exception? inner = null)
    : InputDataException(file, record, problem, remedy ?? "get the file from its source again, or give another checkpoint", inner);
