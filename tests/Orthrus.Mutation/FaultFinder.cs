using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Microsoft.CodeAnalysis.Text;

namespace Orthrus.Mutation;

/// <summary>
/// Lists every fault that the rules can make in one file's kernels. Left out: specifications (they are the oracle; the golden numbers guard them), shape
/// rules, costs, samples, declarations of constants (tile and chunk lengths), and what only builds error messages.
/// </summary>
internal sealed class FaultFinder(string file, SyntaxTree tree, SemanticModel model) : CSharpSyntaxWalker
{
    private static readonly HashSet<string> NotKernels = ["Reference", "Samples", "Cost", "Infer", "Name", "Signature", "Saves"];

    private readonly List<Fault> _faults = [];
    private readonly SourceText _text = tree.GetText();

    public static IReadOnlyList<Fault> In(string file, SyntaxTree tree, SemanticModel model)
    {
        var finder = new FaultFinder(file, tree, model);
        finder.Visit(tree.GetRoot());
        // One span and one replacement can be reached by two rules.
        return [.. finder._faults.DistinctBy(f => (f.Start, f.Length, f.Replacement))];
    }

    public override void VisitMethodDeclaration(MethodDeclarationSyntax node)
    {
        // Launches of CUDA kernels are not what the CPU's checks judge.
        if (!NotKernels.Contains(node.Identifier.Text) && !node.ToString().Contains("Cuda", StringComparison.Ordinal)) base.VisitMethodDeclaration(node);
    }

    public override void VisitPropertyDeclaration(PropertyDeclarationSyntax node)
    {
        if (!NotKernels.Contains(node.Identifier.Text)) base.VisitPropertyDeclaration(node);
    }

    public override void VisitFieldDeclaration(FieldDeclarationSyntax node) { }
    public override void VisitThrowStatement(ThrowStatementSyntax node) { }
    public override void VisitThrowExpression(ThrowExpressionSyntax node) { }
    public override void VisitAttributeList(AttributeListSyntax node) { }
    public override void VisitParameter(ParameterSyntax node) { }
    public override void VisitInterpolatedStringExpression(InterpolatedStringExpressionSyntax node) { }

    public override void VisitLocalDeclarationStatement(LocalDeclarationStatementSyntax node)
    {
        if (!node.IsConst) base.VisitLocalDeclarationStatement(node);
    }

    public override void VisitBinaryExpression(BinaryExpressionSyntax node)
    {
        base.VisitBinaryExpression(node);
        string l = node.Left.ToString(), r = node.Right.ToString();
        bool real = IsReal(node);
        switch (node.Kind())
        {
            case SyntaxKind.AddExpression when real:
                Operator(node, "-", "sign");
                Add(node, l, "missing term");
                Add(node, r, "missing term");
                break;
            case SyntaxKind.AddExpression when IsIndex(node):
                Operator(node, "-", "index");
                Add(node, l, "index");
                break;
            case SyntaxKind.SubtractExpression when real:
                Operator(node, "+", "sign");
                Add(node, l, "missing term");
                Add(node, $"{r} - {Parenthesised(node.Left)}", "operands");
                break;
            case SyntaxKind.SubtractExpression when IsIndex(node):
                Operator(node, "+", "index");
                break;
            case SyntaxKind.MultiplyExpression when real:
                Add(node, l, "missing term");
                Add(node, r, "missing term");
                break;
            case SyntaxKind.MultiplyExpression when IsIndex(node):
                Add(node, l, "index");
                break;
            case SyntaxKind.DivideExpression when real:
                Add(node, $"{Parenthesised(node.Right)} / {Parenthesised(node.Left)}", "operands");
                Add(node, l, "missing term");
                break;
            case SyntaxKind.LessThanExpression: Operator(node, "<=", InLoop(node) ? "bound" : "condition"); break;
            case SyntaxKind.LessThanOrEqualExpression: Operator(node, "<", InLoop(node) ? "bound" : "condition"); break;
            case SyntaxKind.GreaterThanExpression: Operator(node, ">=", "condition"); break;
            case SyntaxKind.GreaterThanOrEqualExpression: Operator(node, ">", "condition"); break;
            case SyntaxKind.EqualsExpression: Operator(node, "!=", "condition"); break;
            case SyntaxKind.NotEqualsExpression: Operator(node, "==", "condition"); break;
            case SyntaxKind.LogicalAndExpression: Operator(node, "||", "condition"); break;
            case SyntaxKind.LogicalOrExpression: Operator(node, "&&", "condition"); break;
        }
        if (InLoop(node) && node.Kind() is SyntaxKind.LessThanExpression or SyntaxKind.LessThanOrEqualExpression && InLoop(node))
            Add(node.Right, $"{Parenthesised(node.Right)} - 1", "bound");
    }

    public override void VisitAssignmentExpression(AssignmentExpressionSyntax node)
    {
        base.VisitAssignmentExpression(node);
        bool statement = node.Parent is ExpressionStatementSyntax;
        switch (node.Kind())
        {
            case SyntaxKind.AddAssignmentExpression when IsReal(node.Left):
                Token(node.OperatorToken, "-=", "sign");
                Token(node.OperatorToken, "=", "reduction");
                if (statement) Add(node.Parent!, ";", "missing term");
                break;
            case SyntaxKind.SubtractAssignmentExpression when IsReal(node.Left):
                Token(node.OperatorToken, "+=", "sign");
                Token(node.OperatorToken, "=", "reduction");
                break;
            case SyntaxKind.MultiplyAssignmentExpression when IsReal(node.Left):
                Token(node.OperatorToken, "=", "reduction");
                if (statement) Add(node.Parent!, ";", "missing term");
                break;
            case SyntaxKind.DivideAssignmentExpression when IsReal(node.Left):
                Token(node.OperatorToken, "*=", "operands");
                if (statement) Add(node.Parent!, ";", "missing term");
                break;
            case SyntaxKind.SimpleAssignmentExpression when statement && IsReal(node.Left) && node.Left is ElementAccessExpressionSyntax or PrefixUnaryExpressionSyntax:
                if (IsReal(node.Left)) Token(node.OperatorToken, "+=", "reduction");
                break;
        }
    }

    public override void VisitExpressionStatement(ExpressionStatementSyntax node)
    {
        base.VisitExpressionStatement(node);
        if (node.Expression is InvocationExpressionSyntax && IsVoid(node.Expression)) Add(node, ";", "missing term");
    }

    public override void VisitPrefixUnaryExpression(PrefixUnaryExpressionSyntax node)
    {
        base.VisitPrefixUnaryExpression(node);
        if (node.IsKind(SyntaxKind.UnaryMinusExpression) && node.Operand is not LiteralExpressionSyntax) Add(node, node.Operand.ToString(), "sign");
        if (node.IsKind(SyntaxKind.LogicalNotExpression)) Add(node, node.Operand.ToString(), "condition");
    }

    public override void VisitElementAccessExpression(ElementAccessExpressionSyntax node)
    {
        base.VisitElementAccessExpression(node);
        if (node.ArgumentList.Arguments is [var only] && IsIndex(only.Expression) && model.GetTypeInfo(node.Expression).Type is IPointerTypeSymbol)
            Add(only, $"{Parenthesised(only.Expression)} + 1", "index");
    }

    public override void VisitConditionalExpression(ConditionalExpressionSyntax node)
    {
        base.VisitConditionalExpression(node);
        if (node.WhenTrue is not ThrowExpressionSyntax && node.WhenFalse is not ThrowExpressionSyntax)
            Add(node, $"{node.Condition} ? {node.WhenFalse} : {node.WhenTrue}", "condition");
    }

    public override void VisitForStatement(ForStatementSyntax node)
    {
        base.VisitForStatement(node);
        foreach (var variable in node.Declaration?.Variables ?? [])
            if (variable.Initializer?.Value is { } start && IsIndex(start) && node.Condition is not null && node.Condition.ToString().Contains(variable.Identifier.Text))
                Add(start, $"{Parenthesised(start)} + 1", "bound");
    }

    public override void VisitMemberAccessExpression(MemberAccessExpressionSyntax node)
    {
        base.VisitMemberAccessExpression(node);
        if (node.Parent is InvocationExpressionSyntax || !IsReal(node)) return;
        string other = node.Name.Identifier.Text switch { "One" => "Zero", "Zero" => "One", _ => "" };
        if (other.Length > 0) Add(node, $"{node.Expression}.{other}", "constant");
    }

    public override void VisitLiteralExpression(LiteralExpressionSyntax node)
    {
        if (!node.IsKind(SyntaxKind.NumericLiteralExpression) || !IsReal(node)) return;
        Add(node, $"({node} + {node} + 1)", "constant");
    }

    public override void VisitInvocationExpression(InvocationExpressionSyntax node)
    {
        base.VisitInvocationExpression(node);
        var arguments = node.ArgumentList.Arguments;
        if (node.Expression is MemberAccessExpressionSyntax { Name.Identifier.Text: var name } access)
        {
            string other = name switch { "Min" => "Max", "Max" => "Min", _ => "" };
            if (other.Length > 0 && arguments.Count == 2) Add(access.Name, other, IsReal(node) ? "function" : "bound");
            if (name is "Sqrt" or "SquareRoot" or "Exp" or "Log" or "Abs" && arguments.Count == 1) Add(node, Parenthesised(arguments[0].Expression), "function");
        }
        if (arguments.Count >= 2 && arguments[0].RefOrOutKeyword.IsKind(SyntaxKind.None) && arguments[1].RefOrOutKeyword.IsKind(SyntaxKind.None)
            && arguments[0].ToString() != arguments[1].ToString() && !Commutes(node)
            && SymbolEqualityComparer.Default.Equals(model.GetTypeInfo(arguments[0].Expression).Type, model.GetTypeInfo(arguments[1].Expression).Type))
        {
            var span = TextSpan.FromBounds(arguments[0].SpanStart, arguments[1].Span.End);
            Add(span, $"{arguments[1]}, {arguments[0]}", "operands");
        }
    }

    private static bool Commutes(InvocationExpressionSyntax node) => node.Expression is MemberAccessExpressionSyntax { Name.Identifier.Text: "Min" or "Max" or "Dot" or "Fma" or "FusedMultiplyAdd" or "MinNative" or "MaxNative" };

    private static bool InLoop(SyntaxNode node)
    {
        var loop = node.FirstAncestorOrSelf<ForStatementSyntax>();
        return loop?.Condition is not null && loop.Condition.Span.Contains(node.Span);
    }

    private void Operator(BinaryExpressionSyntax node, string replacement, string kind) => Token(node.OperatorToken, replacement, kind);

    private void Token(SyntaxToken token, string replacement, string kind) => Add(token.Span, replacement, kind);

    private void Add(SyntaxNode node, string replacement, string kind) => Add(node.Span, replacement, kind);

    private void Add(TextSpan span, string replacement, string kind)
    {
        var node = tree.GetRoot().FindNode(span);
        var member = node.FirstAncestorOrSelf<MemberDeclarationSyntax>(m => m is BaseMethodDeclarationSyntax or PropertyDeclarationSyntax);
        if (member is null) return;
        string name = member is MethodDeclarationSyntax m ? m.Identifier.Text : member is PropertyDeclarationSyntax p ? p.Identifier.Text : "constructor";
        var type = member.FirstAncestorOrSelf<TypeDeclarationSyntax>();
        var line = _text.Lines.GetLineFromPosition(span.Start);
        string before = line.ToString().Trim(), tail = _text.ToString(TextSpan.FromBounds(Math.Min(span.End, line.End), line.End));
        string after = (_text.ToString(TextSpan.FromBounds(line.Start, span.Start)) + replacement + tail).Trim();
        if (span.End > line.End) after += " // and what follows";
        _faults.Add(new(file, line.LineNumber + 1, $"{type?.Identifier.Text}.{name}", kind, span.Start, span.Length, replacement, before, OneLine(after)));
    }

    private static string OneLine(string text) => string.Join(' ', text.Split(['\r', '\n', '\t'], StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries));

    private static string Parenthesised(ExpressionSyntax e) => e is IdentifierNameSyntax or LiteralExpressionSyntax or ElementAccessExpressionSyntax or MemberAccessExpressionSyntax or ParenthesizedExpressionSyntax ? e.ToString() : $"({e})";

    private bool IsVoid(ExpressionSyntax e) => model.GetTypeInfo(e).Type?.SpecialType == SpecialType.System_Void;

    private bool IsIndex(ExpressionSyntax e) => model.GetTypeInfo(e).Type is { } t && (t is IPointerTypeSymbol || t.SpecialType is SpecialType.System_Int32 or SpecialType.System_Int64 or SpecialType.System_IntPtr or SpecialType.System_UIntPtr or SpecialType.System_UInt32 or SpecialType.System_UInt64);

    /// <summary>A number or a vector of numbers that a kernel computes with.</summary>
    private bool IsReal(ExpressionSyntax e) => model.GetTypeInfo(e) is { } info && (info.ConvertedType ?? info.Type) is { } t &&
        (t is ITypeParameterSymbol || t.SpecialType is SpecialType.System_Single or SpecialType.System_Double || (t.IsValueType && t.SpecialType == SpecialType.None && t.TypeKind == TypeKind.Struct && IsVector(t)));

    private static bool IsVector(ITypeSymbol t) => t.Name.StartsWith("Vector", StringComparison.Ordinal) || t.AllInterfaces.Any(i => i.Name.Contains("Vector", StringComparison.Ordinal) || i.Name.Contains("Lanes", StringComparison.Ordinal));
}
