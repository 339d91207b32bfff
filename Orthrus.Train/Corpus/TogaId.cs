namespace Orthrus.Train;

/// <summary>Name of a projected transcript in TOGA's output: reference transcript, gene and chain, as in ENST00000646410.TP53.123.</summary>
/// <param name="Reference">Identifier of the reference transcript.</param>
/// <param name="Gene">Symbol of its gene; null where the name has none (ENST00000646410.123).</param>
/// <param name="Chain">Chain of the genome alignment.</param>
internal readonly record struct TogaId(string Reference, string? Gene, string Chain)
{
    /// <summary>Reads a name; false where it is none.</summary>
    internal static bool TryParse(string name, out TogaId id)
    {
        id = default;
        // TOGA 2 puts # before the chain.
        int chain = name.LastIndexOfAny(['.', '#']), reference = name.IndexOf('.', StringComparison.Ordinal);
        if (chain <= 0 || chain == name.Length - 1 || !name.Skip(chain + 1).All(c => char.IsAsciiDigit(c) || c == ',')) return false;
        if (reference < 0 || reference >= chain) reference = chain;
        if (reference == 0) return false;
        string? gene = reference < chain - 1 ? name[(reference + 1)..chain] : null;
        id = new TogaId(name[..reference], gene, name[(chain + 1)..]);
        return true;
    }

    /// <summary>The identifier that upstream gives the transcript: reference, assembly and chain.</summary>
    internal string TranscriptId(string assembly) => $"{Reference}_{assembly}_{Chain}";
}
