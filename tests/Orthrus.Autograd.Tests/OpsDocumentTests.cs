using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using System.Xml.Linq;
using Orthrus.Tensor;
using Orthrus.TestSupport;

namespace Orthrus.Autograd.Tests;

/// <summary>docs/OPS.md is made from the operators themselves: their table, their documentation, their samples.</summary>
public partial class OpsDocumentTests
{
    private static string Path => System.IO.Path.Combine(TestPaths.Repository, "docs", "OPS.md");

    /// <summary>To write the file anew: ORTHRUS_UPDATE_DOCS=1 dotnet test tests/Orthrus.Autograd.Tests --filter OpsDocument</summary>
    [Fact]
    public void The_document_is_up_to_date()
    {
        string want = Generate();
        if (Environment.GetEnvironmentVariable("ORTHRUS_UPDATE_DOCS") == "1") File.WriteAllText(Path, want);
        string got = File.Exists(Path) ? File.ReadAllText(Path) : "";
        Assert.True(got.ReplaceLineEndings("\n") == want, "docs/OPS.md is stale: ORTHRUS_UPDATE_DOCS=1 dotnet test tests/Orthrus.Autograd.Tests --filter OpsDocument");
    }

    [Fact]
    public void Every_operator_states_its_source()
    {
        var docs = Documentation();
        foreach (var op in OpTable.All)
        {
            Assert.True(docs.ContainsKey(op.TypeName), $"{op.Name}: no documentation");
            Assert.True(docs[op.TypeName].Remarks.Contains("Source:"), $"{op.Name}: <remarks> names no source");
        }
    }

    private static string Generate()
    {
        var docs = Documentation();
        var text = new StringBuilder();
        text.Append("# Operators\n\n");
        text.Append("Made from the operators' own declarations, documentation and samples by the test `OpsDocumentTests`, which fails when this page is stale. Write it anew with\n\n");
        text.Append("    ORTHRUS_UPDATE_DOCS=1 dotnet test tests/Orthrus.Autograd.Tests --filter OpsDocument\n\n");
        text.Append("Each operator is one file, `Orthrus.Tensor/Ops/<Type>.cs`. Operands in brackets are optional; operands marked * have no gradient. \"Backward reads\" says what the\n");
        text.Append("tape keeps. Work is that of the last sample (the one for timing where there is one), in float32: floating-point operations and the least number of bytes moved.\n\n");
        text.Append("| operator | operands | results | backward reads | flops, forward / backward | bytes, forward / backward | flops per byte |\n");
        text.Append("| --- | --- | --- | --- | --- | --- | --- |\n");
        foreach (var op in OpTable.All)
        {
            var sample = op.Samples[^1];
            var cost = sample.Cost(DType.F32);
            text.Append(CultureInfo.InvariantCulture, $"| [{op.Name}](#{op.Name}) | {Operands(op.Signature.Inputs)} | {Operands(op.Signature.Outputs)} | {Reads(op.Saves)} | {Count(cost.Flops)} / {Count(cost.BackwardFlops)} | {Count(cost.Bytes)} / {Count(cost.BackwardBytes)} | {(cost.Bytes == 0 ? 0 : (double)cost.Flops / cost.Bytes):0.##} |\n");
        }
        text.Append("\nState updates change tensors in place, without a gradient. Checked and timed like operators.\n\n");
        text.Append("| update | lists | results | flops | bytes | sample |\n| --- | --- | --- | --- | --- | --- |\n");
        foreach (var update in UpdateTable.All)
        {
            var cost = update.Samples[^1].Cost(DType.F32);
            text.Append(CultureInfo.InvariantCulture, $"| {update.Name} | {string.Join(", ", update.Signature.Lists.Select(l => l.Name))} | {string.Join(", ", update.Signature.Results)} | {Count(cost.Flops)} | {Count(cost.Bytes)} | {update.Samples[^1].Name} |\n");
        }
        foreach (var op in OpTable.All)
        {
            var (summary, remarks) = docs.GetValueOrDefault(op.TypeName);
            var sample = op.Samples[^1];
            text.Append(CultureInfo.InvariantCulture, $"\n## {op.Name}\n\n{summary}\n");
            if (!string.IsNullOrEmpty(remarks)) text.Append(CultureInfo.InvariantCulture, $"\n{remarks}\n");
            text.Append(CultureInfo.InvariantCulture, $"\nType `{op.TypeName}`. Samples: {string.Join(", ", op.Samples.Select(s => s.Name))}. Work above: {sample.Name}, {Shapes(op, sample)}.\n");
        }
        return text.ToString().ReplaceLineEndings("\n");
    }

    private static string Operands(Operand[] operands) => string.Join(", ", operands.Select(o =>
        (o.Optional ? "[" : "") + o.Name + (o.Kind == OperandKind.Real ? "" : o.Kind == OperandKind.Integer ? "* int" : "*") + (o.Optional ? "]" : "")));

    private static string Shapes(OpRow op, SampleRow sample) =>
        string.Join(", ", op.Signature.Inputs.Zip(sample.Inputs).Where(p => p.Second.Present).Select(p => $"{p.First.Name} {p.Second.Shape}"));

    private static string Reads(Saves saves) => saves switch
    {
        Saves.None => "nothing",
        Saves.Inputs => "operands",
        Saves.Inputs | Saves.Workspace => "operands; on CUDA a workspace of forward's",
        Saves.Outputs => "results",
        _ => "operands, results",
    };

    private static string Count(long n) => n switch
    {
        >= 1_000_000_000 => (n / 1e9).ToString("0.##", CultureInfo.InvariantCulture) + " G",
        >= 1_000_000 => (n / 1e6).ToString("0.##", CultureInfo.InvariantCulture) + " M",
        >= 1_000 => (n / 1e3).ToString("0.##", CultureInfo.InvariantCulture) + " k",
        _ => n.ToString(CultureInfo.InvariantCulture),
    };

    private static Dictionary<string, (string Summary, string Remarks)> Documentation()
    {
        var xml = XDocument.Load(System.IO.Path.Combine(AppContext.BaseDirectory, "Orthrus.Tensor.xml"));
        return xml.Descendants("member").Where(m => m.Attribute("name")!.Value.StartsWith("T:", StringComparison.Ordinal))
            .ToDictionary(m => m.Attribute("name")!.Value[2..], m => (Plain(m.Element("summary")), Plain(m.Element("remarks"))));
    }

    private static string Plain(XElement? element)
    {
        if (element is null) return "";
        var text = new StringBuilder();
        foreach (var node in element.DescendantNodes())
        {
            if (node is XText t) text.Append(t.Value);
            else if (node is XElement e && (e.Attribute("cref") ?? e.Attribute("name")) is { } reference) text.Append('`').Append(reference.Value.Split(':')[^1].Split('.')[^1]).Append('`');
        }
        // A star or underscore in a formula is not Markdown.
        return Spaces().Replace(text.ToString(), " ").Trim().Replace("*", "\\*").Replace("_", "\\_");
    }

    [GeneratedRegex(@"\s+")]
    private static partial Regex Spaces();
}
