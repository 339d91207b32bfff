namespace Orthrus.PtxSim.Parsing;

/// <summary>Reads kernels and device functions: heads, blocks, labels, instructions, operands.</summary>
internal abstract class FunctionParser(List<Token> tokens) : DeclarationParser(tokens)
{
    private readonly List<Dictionary<string, string>> renames = [];
    private readonly List<int> scopes = [];
    private int unique;

    protected PtxFunction Function(bool isEntry)
    {
        var returns = new List<PtxVariable>();
        if (!isEntry && Accept('('))
        {
            returns = ParameterList();
        }

        int line = Line;
        var function = new PtxFunction { Name = Word(), IsEntry = isEntry, Line = line };
        function.Returns.AddRange(returns);
        if (Accept('('))
            function.Parameters.AddRange(ParameterList());
        while (Peek.Kind == TokenKind.Word)
            HeadDirective(function);
        if (Accept(';'))
            return function;
        Expect('{');
        function.HasBody = true;
        renames.Clear();
        scopes.Clear();
        Block(function, 0);
        return function;
    }

    private List<PtxVariable> ParameterList()
    {
        var list = new List<PtxVariable>();
        if (Accept(')'))
            return list;
        do
            list.Add(Parameter());
        while (Accept(','));
        Expect(')');
        return list;
    }

    private void HeadDirective(PtxFunction function)
    {
        string word = Word();
        switch (word)
        {
            case ".maxntid" or ".reqntid":
                int x = (int)Integer(), y = Accept(',') ? (int)Integer() : 1, z = Accept(',') ? (int)Integer() : 1;
                function.MaxThreads = x * y * z;
                if (word == ".reqntid")
                    function.RequiredThreads = (x, y, z);
                break;
            case ".minnctapersm" or ".maxnreg" or ".maxnctapersm":
                Integer();
                break;
            case ".noreturn":
                break;
            case ".pragma":
                SkipPast(';');
                break;
            default:
                throw new PtxException($"the directive '{word}' is not supported", Line);
        }
    }

    private void Block(PtxFunction function, int scope)
    {
        renames.Add([]);
        scopes.Add(scope);
        while (!Accept('}'))
        {
            if (Peek.Kind == TokenKind.End)
                throw new PtxException("a block does not end", Line);
            if (Accept('{'))
            {
                function.ScopeParents.Add(scope);
                Block(function, function.ScopeParents.Count - 1);
            }
            else
                Statement(function, scope);
        }

        renames.RemoveAt(renames.Count - 1);
        scopes.RemoveAt(scopes.Count - 1);
    }

    private void Statement(PtxFunction function, int scope)
    {
        if (Accept(';'))
            return;
        if (Peek.Kind == TokenKind.Word)
        {
            string word = Peek.Text;
            if (PeekNext.Is(':'))
            {
                Label(function, scope);
                return;
            }

            if (word[0] == '.')
            {
                Directive(function);
                return;
            }
        }

        function.Instructions.Add(Instruction(scope));
    }

    private void Label(PtxFunction function, int scope)
    {
        int line = Line;
        string name = Word();
        Expect(':');
        if (AcceptWord(".branchtargets"))
        {
            var targets = new List<string>();
            do
                targets.Add(Word());
            while (Accept(','));
            Expect(';');
            function.BranchTargets[name] = [.. targets];
            return;
        }

        if (Peek.Kind == TokenKind.Word && Peek.Text is ".callprototype" or ".calltargets")
        {
            SkipPast(';');
            return;
        }

        if (!function.Labels.TryAdd((scope, name), function.Instructions.Count))
            throw new PtxException($"the label '{name}' is declared twice", line);
    }

    private void Directive(PtxFunction function)
    {
        string word = Word();
        switch (word)
        {
            case ".pragma":
                SkipPast(';');
                return;
            case ".loc" or ".file":
                SkipLine();
                return;
        }

        StateSpace space = SpaceOf(word);
        if (space == StateSpace.Generic)
            throw new PtxException($"the directive '{word}' is not supported", Line);
        foreach (PtxVariable variable in DeclareVariables(space, false))
        {
            if (renames.Count == 1)
                function.Variables.Add(variable);
            else if (variable.Count == 0)
                Scoped(function, variable);
            else
            {
                // A family like a<8> in an inner block: each of its registers hides the outer one of its name, others stay as they were.
                for (int k = 0; k < variable.Count; k++)
                    Scoped(function, new PtxVariable { Name = $"{variable.Name}{k}", Space = variable.Space, Type = variable.Type, Lanes = variable.Lanes, Line = variable.Line });
            }
        }
    }

    private void Scoped(PtxFunction function, PtxVariable variable)
    {
        string name = $"{variable.Name}#{++unique}";
        renames[^1][variable.Name] = name;
        variable.Name = name;
        function.Variables.Add(variable);
    }

    private string Resolve(string name)
    {
        for (int i = renames.Count - 1; i > 0; i--)
        {
            if (renames[i].TryGetValue(name, out string? renamed))
                return renamed;
        }

        return name;
    }

    private PtxInstruction Instruction(int scope)
    {
        string? guard = null;
        bool negated = false;
        int line = Line;
        if (Accept('@'))
        {
            negated = Accept('!');
            guard = Resolve(Word());
        }

        string[] parts = Word().Split('.');
        if (parts[0] == "call")
            return new PtxInstruction { Parts = parts, Operands = [], Call = Call(), Guard = guard, GuardNegated = negated, Line = line, Scope = scope };
        var operands = new List<Operand>();
        if (!Peek.Is(';'))
        {
            do
                operands.Add(ReadOperand());
            while (Accept(','));
        }

        Expect(';');
        return new PtxInstruction { Parts = parts, Operands = [.. operands], Guard = guard, GuardNegated = negated, Line = line, Scope = scope };
    }

    private CallParts Call()
    {
        string[] returns = [];
        if (Accept('('))
        {
            returns = [.. Arguments().Select(a => a.Name)];
            Expect(',');
        }

        string target = Resolve(Word());
        Operand[] arguments = [];
        if (Accept(','))
        {
            if (Accept('('))
            {
                arguments = Arguments();
                if (Accept(','))
                    Word();
            }
            else
                Word();
        }

        Expect(';');
        return new CallParts(returns, target, arguments);
    }

    private Operand[] Arguments()
    {
        var list = new List<Operand>();
        if (Accept(')'))
            return [];
        do
            list.Add(ReadOperand());
        while (Accept(','));
        Expect(')');
        return [.. list];
    }

    private Operand ReadOperand()
    {
        Token token = Peek;
        if (Accept('['))
            return Address();
        if (Accept('{'))
        {
            var items = new List<Operand>();
            do
                items.Add(ReadOperand());
            while (Accept(','));
            Expect('}');
            return new Operand { Kind = OperandKind.Vector, Items = [.. items] };
        }

        if (Accept('!'))
            return new Operand { Kind = OperandKind.Name, Name = Resolve(Word()), Negated = true };
        if (token.Kind == TokenKind.Word)
        {
            Take();
            if (token.Text == "_")
            {
                string? other = Accept('|') ? Resolve(Word()) : null;
                return new Operand { Kind = OperandKind.Sink, Pair = other };
            }

            if (token.Text == "WARP_SZ")
                return new Operand { Kind = OperandKind.Integer, Value = 32 };
            string name = Resolve(token.Text);
            string? pair = Accept('|') ? Resolve(Word()) : null;
            long offset = 0;
            if (Peek.Is('+') || Peek.Is('-'))
                offset = Accept('+') ? Integer() : Integer();
            return new Operand { Kind = OperandKind.Name, Name = name, Pair = pair, Value = offset };
        }

        bool negative = Accept('-');
        token = Take();
        long value = (long)token.Bits;
        return token.Kind switch
        {
            TokenKind.Integer => new Operand { Kind = OperandKind.Integer, Value = negative ? -value : value },
            TokenKind.Float32 => new Operand { Kind = OperandKind.Float32, Value = negative ? value ^ 1L << 31 : value },
            TokenKind.Float64 => new Operand { Kind = OperandKind.Float64, Value = negative ? value ^ 1L << 63 : value },
            _ => throw new PtxException($"expected an operand, found {token}", token.Line),
        };
    }

    private Operand Address()
    {
        string name = "";
        long offset = 0;
        if (Peek.Kind == TokenKind.Word)
        {
            name = Resolve(Word());
            if (Accept('+'))
                offset = Integer();
            else if (Peek.Is('-'))
                offset = Integer();
        }
        else
            offset = Integer();
        Expect(']');
        return new Operand { Kind = OperandKind.Address, Name = name, Value = offset };
    }
}
