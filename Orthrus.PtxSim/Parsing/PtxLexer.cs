using System.Globalization;

namespace Orthrus.PtxSim.Parsing;

internal enum TokenKind : byte
{
    End,
    Word,
    Integer,
    Float32,
    Float64,
    Text,
    Symbol,
}

/// <summary>One token: <see cref="Bits"/> holds the value of numbers, and the character of symbols.</summary>
internal readonly record struct Token(TokenKind Kind, string Text, ulong Bits, int Line)
{
    public bool Is(char symbol) => Kind == TokenKind.Symbol && Bits == symbol;

    public override string ToString() => Kind == TokenKind.End ? "end of text" : $"'{Text}'";
}

/// <summary>Cuts PTX text into tokens. Words keep their dots ("ld.global.f32", "%tid.x", ".reg").</summary>
internal sealed class PtxLexer(string text)
{
    private readonly HashSet<string> words = new(StringComparer.Ordinal);
    private int at;
    private int line = 1;

    public List<Token> Run()
    {
        var tokens = new List<Token>(text.Length / 4 + 16);
        HashSet<string>.AlternateLookup<ReadOnlySpan<char>> lookup = words.GetAlternateLookup<ReadOnlySpan<char>>();
        while (true)
        {
            SkipBlank();
            if (at >= text.Length)
            {
                tokens.Add(new Token(TokenKind.End, "", 0, line));
                return tokens;
            }

            char c = text[at];
            if (IsWordStart(c) || (c == '.' && at + 1 < text.Length && (char.IsAsciiLetter(text[at + 1]) || text[at + 1] == '_')))
            {
                int start = at;
                at = WordEnd(at + 1);
                ReadOnlySpan<char> span = text.AsSpan(start, at - start);
                if (!lookup.TryGetValue(span, out string? word))
                {
                    word = span.ToString();
                    words.Add(word);
                }

                tokens.Add(new Token(TokenKind.Word, word, 0, line));
            }
            else if (char.IsAsciiDigit(c))
                tokens.Add(Number());
            else if (c == '"')
                tokens.Add(Quoted());
            else
            {
                tokens.Add(new Token(TokenKind.Symbol, c.ToString(), c, line));
                at++;
            }
        }
    }

    private static bool IsWordStart(char c) => char.IsAsciiLetter(c) || c is '_' or '$' or '%';

    private int WordEnd(int from)
    {
        int i = from;
        while (i < text.Length)
        {
            char c = text[i];
            if (char.IsAsciiLetterOrDigit(c) || c is '_' or '$' or '.' or '%')
                i++;
            else if (c == ':' && i + 2 < text.Length && text[i + 1] == ':' && char.IsAsciiLetterOrDigit(text[i + 2]))
                i += 2;
            else
                break;
        }

        return i;
    }

    private void SkipBlank()
    {
        while (at < text.Length)
        {
            char c = text[at];
            if (c == '\n')
            {
                line++;
                at++;
            }
            else if (char.IsWhiteSpace(c) || c == '\0')
                at++;
            else if (c == '/' && at + 1 < text.Length && text[at + 1] == '/')
            {
                int end = text.IndexOf('\n', at);
                at = end < 0 ? text.Length : end;
            }
            else if (c == '/' && at + 1 < text.Length && text[at + 1] == '*')
            {
                int end = text.IndexOf("*/", at + 2, StringComparison.Ordinal);
                int stop = end < 0 ? text.Length : end + 2;
                line += text.AsSpan(at, stop - at).Count('\n');
                at = stop;
            }
            else
                return;
        }
    }

    private Token Quoted()
    {
        int end = text.IndexOf('"', at + 1);
        if (end < 0)
            throw new PtxException("a quoted text does not end", line);
        var token = new Token(TokenKind.Text, text.Substring(at + 1, end - at - 1), 0, line);
        at = end + 1;
        return token;
    }

    private Token Number()
    {
        int start = at;
        if (text[at] == '0' && at + 1 < text.Length)
        {
            char kind = text[at + 1];
            if (kind is 'f' or 'F')
                return Hex(start, 8, TokenKind.Float32);
            if (kind is 'd' or 'D')
                return Hex(start, 16, TokenKind.Float64);
            if (kind is 'x' or 'X')
                return Hex(start, 0, TokenKind.Integer);
            if (kind is 'b' or 'B')
            {
                at += 2;
                ulong bits = 0;
                while (at < text.Length && text[at] is '0' or '1')
                    bits = bits << 1 | (uint)(text[at++] - '0');
                return Finish(start, TokenKind.Integer, bits);
            }
        }

        while (at < text.Length && char.IsAsciiDigit(text[at]))
            at++;
        if (at + 1 < text.Length && text[at] == '.' && char.IsAsciiDigit(text[at + 1]) || (at < text.Length && text[at] is 'e' or 'E'))
        {
            while (at < text.Length && (char.IsAsciiDigit(text[at]) || text[at] is '.' or 'e' or 'E' || (text[at] is '+' or '-' && text[at - 1] is 'e' or 'E')))
                at++;
            double value = double.Parse(text.AsSpan(start, at - start), NumberStyles.Float, CultureInfo.InvariantCulture);
            return Finish(start, TokenKind.Float64, BitConverter.DoubleToUInt64Bits(value));
        }

        ReadOnlySpan<char> digits = text.AsSpan(start, at - start);
        if (digits.Length > 1 && digits[0] == '0')
        {
            ulong octal = 0;
            foreach (char c in digits)
                octal = octal << 3 | (uint)(c - '0');
            return Finish(start, TokenKind.Integer, octal);
        }

        if (!ulong.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out ulong number))
            throw new PtxException($"'{digits}' is not a 64-bit number", line);
        return Finish(start, TokenKind.Integer, number);
    }

    private Token Hex(int start, int digits, TokenKind kind)
    {
        at += 2;
        int from = at;
        while (at < text.Length && char.IsAsciiHexDigit(text[at]) && (digits == 0 || at - from < digits))
            at++;
        if (!ulong.TryParse(text.AsSpan(from, at - from), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ulong bits) || (digits != 0 && at - from != digits))
            throw new PtxException($"'{text.AsSpan(start, at - start)}' is not a number", line);
        return Finish(start, kind, bits);
    }

    private Token Finish(int start, TokenKind kind, ulong bits)
    {
        if (kind == TokenKind.Integer && at < text.Length && text[at] is 'U' or 'u')
            at++;
        return new Token(kind, text[start..at], bits, line);
    }
}
