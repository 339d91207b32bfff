namespace Orthrus.Rna;

/// <summary>What a byte of a sequence line is.</summary>
internal static class Nucleotide
{
    internal const byte Base = 0, Unknown = 1, Ambiguous = 2, Blank = 3, Gap = 4, Protein = 5, Other = 6, Nul = 7;
    internal const byte LowerFlag = 16, UracilFlag = 32;

    /// <summary>Track bits of each byte: one of A, C, G, T, or 0.</summary>
    internal static ReadOnlySpan<byte> Bits => BitTable;

    /// <summary>Kind of each byte, with <see cref="LowerFlag"/> and <see cref="UracilFlag"/>.</summary>
    internal static ReadOnlySpan<byte> Kinds => KindTable;

    /// <summary>Complement of the base bits, other bits cleared: A and T, C and G change places.</summary>
    internal static ReadOnlySpan<byte> Complement => [0, 8, 4, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];

    /// <summary>Letter of the base bits; N for none.</summary>
    internal static ReadOnlySpan<byte> Letters => "NACNGNNNTNNNNNNN"u8;

    private static readonly byte[] BitTable = new byte[256];
    private static readonly byte[] KindTable = new byte[256];

    static Nucleotide()
    {
        Array.Fill(KindTable, Other);
        KindTable[0] = Nul;
        foreach (char c in " \t\r\n\v\f") KindTable[c] = Blank;
        foreach (char c in "-.~") KindTable[c] = Gap;
        KindTable['*'] = Protein;
        Letter("EFIJLOPQZ", Protein);
        Letter("RYSWKMBDHV", Ambiguous);
        Letter("NX", Unknown);
        foreach (var (letter, bit) in new[] { ('A', TrackByte.A), ('C', TrackByte.C), ('G', TrackByte.G), ('T', TrackByte.T), ('U', TrackByte.T) })
        {
            Letter(letter.ToString(), Base);
            BitTable[letter] = BitTable[char.ToLowerInvariant(letter)] = bit;
        }
        KindTable['U'] |= UracilFlag;
        KindTable['u'] |= UracilFlag;
    }

    private static void Letter(string letters, byte kind)
    {
        foreach (char c in letters)
        {
            KindTable[c] = kind;
            KindTable[char.ToLowerInvariant(c)] = (byte)(kind | LowerFlag);
        }
    }
}
