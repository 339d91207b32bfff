using System.Buffers.Binary;

namespace Orthrus.PtxSim.Parsing;

/// <summary>Reads a module: directives, variables, functions.</summary>
internal sealed class PtxParser(List<Token> tokens) : FunctionParser(tokens)
{
    public string Version { get; private set; } = "";

    public string Target { get; private set; } = "";

    public int TargetLine { get; private set; } = 1;

    public List<PtxVariable> Variables { get; } = [];

    public List<PtxFunction> Functions { get; } = [];

    public void Run()
    {
        while (Peek.Kind != TokenKind.End)
        {
            string word = Word();
            switch (word)
            {
                case ".version":
                    Version = Take().Text;
                    break;
                case ".target":
                    TargetLine = Line;
                    Target = Word();
                    while (Accept(','))
                        Word();
                    break;
                case ".address_size":
                    if (Integer() != 64)
                        throw new PtxException("only 64-bit addresses are supported", Line);
                    break;
                case ".file" or ".loc":
                    SkipLine();
                    break;
                case ".section":
                    while (!Peek.Is('{') && Peek.Kind != TokenKind.End)
                        Take();
                    SkipPast('}');
                    break;
                case ".pragma":
                    SkipPast(';');
                    break;
                case ".extern" or ".visible" or ".weak" or ".common":
                    Declaration(Word(), word == ".extern");
                    break;
                default:
                    Declaration(word, false);
                    break;
            }
        }
    }

    private void Declaration(string word, bool isExtern)
    {
        switch (word)
        {
            case ".entry" or ".func":
                Functions.Add(Function(word == ".entry"));
                break;
            case ".global" or ".const" or ".shared":
                foreach (PtxVariable variable in DeclareVariables(SpaceOf(word), isExtern))
                    Variables.Add(variable);
                break;
            case ".alias":
                throw new PtxException("the directive .alias is not supported", Line);
            default:
                throw new PtxException($"unknown directive '{word}'", Line);
        }
    }
}

/// <summary>Reads variable declarations with their initialisers.</summary>
internal abstract class DeclarationParser(List<Token> tokens) : TokenReader(tokens)
{
    protected static StateSpace SpaceOf(string word) => word switch
    {
        ".reg" => StateSpace.Register,
        ".param" => StateSpace.Parameter,
        ".global" => StateSpace.Global,
        ".shared" => StateSpace.Shared,
        ".local" => StateSpace.Local,
        ".const" => StateSpace.Constant,
        _ => StateSpace.Generic,
    };

    /// <summary>One declaration after its space word, up to and with the semicolon.</summary>
    protected List<PtxVariable> DeclareVariables(StateSpace space, bool isExtern)
    {
        var list = new List<PtxVariable>();
        (PtxType type, int lanes, int align) = TypeWords();
        do
        {
            PtxVariable variable = Declarator(space, type, lanes, align, isExtern);
            if (Accept('='))
                Initialiser(variable);
            list.Add(variable);
        }
        while (Accept(','));
        Expect(';');
        return list;
    }

    /// <summary>A formal parameter: space, type, name.</summary>
    protected PtxVariable Parameter()
    {
        string word = Word();
        StateSpace space = SpaceOf(word);
        if (space is not (StateSpace.Parameter or StateSpace.Register))
            throw new PtxException($"expected .param or .reg, found '{word}'", Line);
        (PtxType type, int lanes, int align) = TypeWords();
        return Declarator(space, type, lanes, align, false);
    }

    private (PtxType Type, int Lanes, int Align) TypeWords()
    {
        int lanes = 1, align = 0;
        while (true)
        {
            string word = Word();
            switch (word)
            {
                case ".align":
                    align = (int)Integer();
                    break;
                case ".v2":
                    lanes = 2;
                    break;
                case ".v4":
                    lanes = 4;
                    break;
                case ".attribute":
                    SkipPast(')');
                    break;
                default:
                    PtxType type = PtxTypes.Parse(word.AsSpan(1));
                    if (type == PtxType.None)
                        throw new PtxException($"unknown type '{word}'", Line);
                    // Attributes of pointer parameters say nothing about values: .ptr .global .align 8
                    while (Peek.Kind == TokenKind.Word && Peek.Text is ".ptr" or ".global" or ".shared" or ".local" or ".const" or ".align")
                    {
                        if (Take().Text == ".align")
                            align = Math.Max(align, (int)Integer() is int a && type.Size() == 0 ? a : align);
                    }

                    return (type, lanes, align);
            }
        }
    }

    private PtxVariable Declarator(StateSpace space, PtxType type, int lanes, int align, bool isExtern)
    {
        int line = Line;
        string name = Word();
        int count = 0;
        long elements = 1;
        if (Accept('<'))
        {
            count = (int)Integer();
            Expect('>');
        }

        while (Accept('['))
        {
            elements *= Peek.Is(']') ? 0 : Integer();
            Expect(']');
        }

        return new PtxVariable { Name = name, Space = space, Type = type, Lanes = lanes, Align = align, Elements = elements, Count = count, IsExtern = isExtern, Line = line };
    }

    private void Initialiser(PtxVariable variable)
    {
        var values = new List<byte>();
        int size = variable.Type.Size();
        InitialValues(variable, values, size);
        if (variable.Bytes > int.MaxValue || values.Count > variable.Bytes)
            throw new PtxException($"the initialiser of '{variable.Name}' has {values.Count} bytes for a variable of {variable.Bytes}", variable.Line);
        byte[] bytes = new byte[variable.Bytes];
        values.CopyTo(bytes);
        variable.Initial = bytes;
    }

    private void InitialValues(PtxVariable variable, List<byte> values, int size)
    {
        if (Accept('{'))
        {
            if (Accept('}'))
                return;
            do
                InitialValues(variable, values, size);
            while (Accept(','));
            Expect('}');
            return;
        }

        Span<byte> bytes = stackalloc byte[8];
        if (Peek.Kind == TokenKind.Word)
        {
            bool generic = AcceptWord("generic");
            if (generic)
                Expect('(');
            string symbol = Word();
            if (generic)
                Expect(')');
            long addend = Accept('+') ? Integer() : 0;
            variable.Relocations.Add(new Relocation(values.Count, symbol, addend, generic));
            bytes.Clear();
        }
        else
        {
            bool negative = Accept('-');
            Token token = Take();
            ulong bits = token.Kind switch
            {
                TokenKind.Integer => negative ? 0 - token.Bits : token.Bits,
                TokenKind.Float32 when size == 8 => BitConverter.DoubleToUInt64Bits(BitConverter.UInt32BitsToSingle((uint)token.Bits)),
                TokenKind.Float32 => token.Bits,
                TokenKind.Float64 when size == 4 => BitConverter.SingleToUInt32Bits((float)(BitConverter.UInt64BitsToDouble(token.Bits) * (negative ? -1 : 1))),
                TokenKind.Float64 => negative ? token.Bits ^ 1UL << 63 : token.Bits,
                _ => throw new PtxException($"expected a value, found {token}", token.Line),
            };
            BinaryPrimitives.WriteUInt64LittleEndian(bytes, bits);
        }

        for (int i = 0; i < size; i++)
            values.Add(bytes[i]);
    }
}
