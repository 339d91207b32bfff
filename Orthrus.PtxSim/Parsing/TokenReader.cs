namespace Orthrus.PtxSim.Parsing;

/// <summary>A position in the token list with the checks that every rule of the grammar needs.</summary>
internal class TokenReader(List<Token> tokens)
{
    private int at;

    protected Token Peek => tokens[at];

    protected Token PeekNext => tokens[Math.Min(at + 1, tokens.Count - 1)];

    protected int Line => tokens[at].Line;

    protected Token Take() => tokens[at < tokens.Count - 1 ? at++ : at];

    protected bool Accept(char symbol)
    {
        if (!Peek.Is(symbol))
            return false;
        at++;
        return true;
    }

    protected bool AcceptWord(string word)
    {
        if (Peek.Kind != TokenKind.Word || Peek.Text != word)
            return false;
        at++;
        return true;
    }

    protected void Expect(char symbol)
    {
        if (!Accept(symbol))
            throw new PtxException($"expected '{symbol}', found {Peek}", Line);
    }

    protected string Word()
    {
        if (Peek.Kind != TokenKind.Word)
            throw new PtxException($"expected a name, found {Peek}", Line);
        return Take().Text;
    }

    protected long Integer()
    {
        bool negative = Accept('-');
        if (Peek.Kind != TokenKind.Integer)
            throw new PtxException($"expected a number, found {Peek}", Line);
        long value = (long)Take().Bits;
        return negative ? -value : value;
    }

    protected void SkipLine()
    {
        int line = Line;
        while (Peek.Kind != TokenKind.End && Line == line)
            at++;
    }

    protected void SkipPast(char symbol)
    {
        while (Peek.Kind != TokenKind.End && !Accept(symbol))
            at++;
    }
}
