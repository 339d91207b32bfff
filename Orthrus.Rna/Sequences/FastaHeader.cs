using System.Globalization;

namespace Orthrus.Rna;

/// <summary>
/// What the header of a transcript says. GENCODE's fields are separated by "|": transcript, gene, two Havana ids, transcript name, gene
/// name, length, then regions such as "CDS:61-978" (1-based, inclusive, stop codon included) and the biotype. Ensembl's cDNA
/// headers carry "gene:", "gene_symbol:" and "transcript_biotype:" words. Any header may have a "CDS:a-b" word.
/// </summary>
/// <param name="Id">First field or word.</param>
/// <param name="GeneId">Gene, or null.</param>
/// <param name="GeneName">Gene symbol, or null.</param>
/// <param name="Biotype">Biotype, or null.</param>
/// <param name="Cds">CDS as written, 1-based and inclusive, or null.</param>
/// <param name="CdsKnown">True where the header gives a CDS, or is GENCODE's and has none (a non-coding transcript).</param>
internal readonly record struct FastaHeader(string Id, string? GeneId, string? GeneName, string? Biotype, (long First, long Last)? Cds, bool CdsKnown)
{
    internal static FastaHeader Parse(string header, string name)
    {
        int bars = 0;
        foreach (char c in name) if (c == '|') bars++;
        return bars >= 7 ? Gencode(name) : Words(header, name);
    }

    private static FastaHeader Gencode(string name)
    {
        string[] fields = name.Split('|');
        (long, long)? cds = null;
        string? biotype = null;
        foreach (string field in fields.AsSpan(7))
        {
            if (TryCds(field, out var found)) cds = found;
            else if (field.Length > 0 && !IsRegion(field)) biotype = field;
        }
        return new FastaHeader(fields[0], Value(fields[1]), Value(fields[5]), biotype, cds, CdsKnown: true);
    }

    private static FastaHeader Words(string header, string name)
    {
        string? gene = null, symbol = null, biotype = null;
        (long, long)? cds = null;
        foreach (var range in header.AsSpan().SplitAny(' ', '\t', '|'))
        {
            var word = header.AsSpan()[range];
            if (word.StartsWith("gene:")) gene ??= word[5..].ToString();
            else if (word.StartsWith("gene_symbol:")) symbol ??= word[12..].ToString();
            else if (word.StartsWith("transcript_biotype:")) biotype ??= word[19..].ToString();
            else if (TryCds(word, out var found)) cds ??= found;
        }
        return new FastaHeader(name, gene, symbol, biotype, cds, CdsKnown: cds is not null);
    }

    private static string? Value(string field) => field.Length == 0 || field == "-" ? null : field;

    private static bool IsRegion(string field) => field.StartsWith("UTR5:", StringComparison.Ordinal) || field.StartsWith("UTR3:", StringComparison.Ordinal);

    private static bool TryCds(ReadOnlySpan<char> word, out (long First, long Last) cds)
    {
        cds = default;
        if (!word.StartsWith("CDS:")) return false;
        word = word[4..];
        int dash = word.IndexOf('-');
        return dash > 0
            && long.TryParse(word[..dash], NumberStyles.None, CultureInfo.InvariantCulture, out cds.First)
            && long.TryParse(word[(dash + 1)..], NumberStyles.None, CultureInfo.InvariantCulture, out cds.Last);
    }
}
