using System.Text.RegularExpressions;
using Orthrus.TestSupport;

namespace Orthrus.Cli.Tests;

/// <summary>Every shell block of the documents is run, in order, in a folder that looks like a fresh clone.</summary>
public partial class DocsTests
{
    // The test command itself: running it here would start these tests again. CI runs it from the README.
    private const string TestCommand = "dotnet test ";

    public static IEnumerable<TheoryDataRow<string>> Documents() =>
        new[] { "README.md" }.Concat(Directory.GetFiles(Path.Combine(TestPaths.Repository, "docs"), "*.md").Select(f => "docs/" + Path.GetFileName(f)).Order())
            .Where(f => ShellBlocks(f).Any()).Select(f => new TheoryDataRow<string>(f));

    [Theory]
    [MemberData(nameof(Documents))]
    public void Shell_blocks_run_as_printed(string document)
    {
        if (Shell.Find("bash") is null) Assert.Skip("needs bash");
        string folder = Directory.CreateTempSubdirectory("orthrus-docs-").FullName;
        try
        {
            foreach (string entry in new[] { "examples", "docs", "README.md" })
                if (Path.Exists(Path.Combine(TestPaths.Repository, entry)))
                    File.CreateSymbolicLink(Path.Combine(folder, entry), Path.Combine(TestPaths.Repository, entry));
            var environment = new Dictionary<string, string> { ["PATH"] = AppContext.BaseDirectory + Path.PathSeparator + Environment.GetEnvironmentVariable("PATH") };
            foreach (string block in ShellBlocks(document))
            {
                string script = string.Join('\n', block.Split('\n').Where(l => !l.StartsWith(TestCommand, StringComparison.Ordinal)))
                    .Replace("dotnet run -c Release --project Orthrus.Cli -- ", "orthrus ");
                var result = Shell.Run("bash", ["-euo", "pipefail", "-c", script], folder, environment, seconds: 300);
                Assert.True(result.ExitCode == 0, $"{document}:\n{block}\n{result}");
            }
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public void The_readme_names_the_two_set_up_commands()
    {
        string readme = File.ReadAllText(Path.Combine(TestPaths.Repository, "README.md"));
        Assert.Contains("dotnet run -c Release --project Orthrus.Cli -- embed examples/data/transcripts.fa.gz", readme);
        Assert.Matches("(?m)^dotnet test Orthrus.sln", readme);
    }

    [Fact]
    public void The_readme_s_csharp_is_the_example_that_compiles()
    {
        string readme = File.ReadAllText(Path.Combine(TestPaths.Repository, "README.md")).ReplaceLineEndings("\n");
        string example = File.ReadAllText(Path.Combine(TestPaths.Repository, "examples", "EmbedLibrary", "Program.cs")).ReplaceLineEndings("\n");
        string[] blocks = [.. CSharpBlock().Matches(readme).Select(m => m.Groups[1].Value)];
        Assert.NotEmpty(blocks);
        foreach (string line in blocks.SelectMany(b => b.Split('\n')).Where(l => l.Trim().Length > 0)) Assert.Contains(line.Trim(), example);
    }

    [Fact]
    public void Links_between_documents_lead_somewhere()
    {
        foreach (string file in Directory.GetFiles(TestPaths.Repository, "*.md").Concat(Directory.GetFiles(Path.Combine(TestPaths.Repository, "docs"), "*.md")))
            foreach (Match m in RelativeLink().Matches(File.ReadAllText(file)))
                Assert.True(Path.Exists(Path.Combine(Path.GetDirectoryName(file)!, m.Groups[1].Value)), $"{file}: {m.Groups[1].Value} does not exist");
    }

    private static IEnumerable<string> ShellBlocks(string document) =>
        ShellBlock().Matches(File.ReadAllText(Path.Combine(TestPaths.Repository, document)).ReplaceLineEndings("\n")).Select(m => m.Groups[1].Value);

    [GeneratedRegex("(?ms)^```sh\\n(.*?)^```")]
    private static partial Regex ShellBlock();

    [GeneratedRegex("(?ms)^```csharp\\n(.*?)^```")]
    private static partial Regex CSharpBlock();

    [GeneratedRegex("\\]\\((?!https?:|#|mailto:)([^)#]+)[^)]*\\)")]
    private static partial Regex RelativeLink();
}
