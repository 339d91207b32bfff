using System.Diagnostics;
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
        foreach (string program in new[] { "mpirun", "snakemake" })
            if (ShellBlocks(document).Any(b => b.Contains(program + " ", StringComparison.Ordinal)) && Shell.Find(program) is null) Assert.Skip($"needs {program}");
        string folder = Directory.CreateTempSubdirectory("orthrus-docs-").FullName;
        try
        {
            foreach (string entry in new[] { "examples", "docs", "README.md" })
                if (Path.Exists(Path.Combine(TestPaths.Repository, entry)))
                    File.CreateSymbolicLink(Path.Combine(folder, entry), Path.Combine(TestPaths.Repository, entry));
            var environment = MpiTests.Surroundings(("PATH", AppContext.BaseDirectory + Path.PathSeparator + Environment.GetEnvironmentVariable("PATH")));
            var clock = Stopwatch.StartNew();
            foreach (string block in ShellBlocks(document))
            {
                string script = string.Join('\n', block.Split('\n').Where(l => !l.StartsWith(TestCommand, StringComparison.Ordinal)))
                    .Replace("dotnet run -c Release --project Orthrus.Cli -- ", "orthrus ")
                    .Replace("dotnet run -c Release --project examples/SimulateYourKernel -- ", "SimulateYourKernel ");
                var result = Shell.Run("bash", ["-euo", "pipefail", "-c", script], folder, environment, seconds: 300);
                Assert.True(result.ExitCode == 0, $"{document}:\n{block}\n{result}");
            }
            // Among others PRETRAIN.md, from genomes to a table of probes, says ten minutes.
            Assert.True(clock.Elapsed.TotalMinutes < 10, $"{document} took {clock.Elapsed}");
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
    public void The_library_example_runs()
    {
        string data = Path.Combine(TestPaths.Repository, "examples", "data");
        string program = Path.Combine(AppContext.BaseDirectory, OperatingSystem.IsWindows() ? "EmbedLibrary.exe" : "EmbedLibrary");
        var result = Shell.Run(program, [Path.Combine(data, "transcripts.fa.gz"), Path.Combine(data, "transcripts.tsv")]);
        Assert.True(result.ExitCode == 0, result.ToString());
        string[] lines = result.Output.ReplaceLineEndings("\n").Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(35, lines.Length);
        Assert.Matches(@"^tx1\t27 nt\t128 numbers\t-?\d", lines[0]);
    }

    [Fact]
    public void The_fine_tuning_example_runs_and_is_the_page_s()
    {
        string folder = Directory.CreateTempSubdirectory("orthrus-library-").FullName;
        try
        {
            string program = Path.Combine(AppContext.BaseDirectory, OperatingSystem.IsWindows() ? "FineTuneLibrary.exe" : "FineTuneLibrary");
            var result = Shell.Run(program, [Path.Combine(TestPaths.Repository, "examples", "data", "halflife.tsv.gz"), Path.Combine(folder, "final")]);
            Assert.True(result.ExitCode == 0, result.ToString());
            Assert.Matches(@"^9 steps, best after \d, pearson -?\d\.\d{4}\ntx1\thalflife -?\d+\.\d{4}$", result.Output.ReplaceLineEndings("\n").TrimEnd());
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
        string page = File.ReadAllText(Path.Combine(TestPaths.Repository, "docs", "FINETUNE.md")).ReplaceLineEndings("\n");
        string example = File.ReadAllText(Path.Combine(TestPaths.Repository, "examples", "FineTuneLibrary", "Program.cs")).ReplaceLineEndings("\n");
        string[] lines = [.. CSharpBlock().Matches(page).SelectMany(m => m.Groups[1].Value.Split('\n')).Where(l => l.Trim().Length > 0)];
        Assert.NotEmpty(lines);
        foreach (string line in lines) Assert.Contains(line.Trim(), example);
    }

    public static IEnumerable<TheoryDataRow<string, string>> HelpExamples() =>
        Verbs.All().SelectMany(v => HelpExample().Matches(v.Description!).Select(m => new TheoryDataRow<string, string>(v.Name, m.Groups[1].Value.Trim())));

    [Theory]
    [MemberData(nameof(HelpExamples))]
    public void Examples_of_the_help_run_as_printed(string verb, string example)
    {
        if (Shell.Find("bash") is null) Assert.Skip("needs bash");
        string folder = Directory.CreateTempSubdirectory("orthrus-help-").FullName;
        string data = Path.Combine(TestPaths.Repository, "examples", "data");
        try
        {
            // The files that the examples speak of.
            File.CreateSymbolicLink(Path.Combine(folder, "examples"), Path.Combine(TestPaths.Repository, "examples"));
            File.Copy(Path.Combine(data, "transcripts.fa.gz"), Path.Combine(folder, "transcripts.fa.gz"));
            File.Copy(Path.Combine(data, "transcripts.fa.gz"), Path.Combine(folder, "transcripts.fa"));
            File.Copy(Path.Combine(data, "transcripts.tsv"), Path.Combine(folder, "transcripts.tsv"));
            File.Copy(Path.Combine(data, "genes.gtf"), Path.Combine(folder, "genes.gtf.gz"));
            File.Copy(Path.Combine(data, "genome.fa.gz"), Path.Combine(folder, "genome.fa"));
            Mamba.OrthrusModel.Create(new Mamba.MambaConfig(16, 2, 6), seed: 1).SaveSafeTensors(Path.Combine(folder, "epoch=6-step=20000.ckpt"));
            File.Copy(Path.Combine(folder, "epoch=6-step=20000.ckpt"), Path.Combine(folder, "MODEL"));
            if (example.Contains("--corpus ", StringComparison.Ordinal))
                CliRun.Of("corpus", "--transcripts", Path.Combine(data, "transcripts.fa.gz"), "--table", Path.Combine(data, "transcripts.tsv"), "-o", Path.Combine(folder, "c.safetensors")).Succeeded();
            var environment = new Dictionary<string, string> { ["PATH"] = AppContext.BaseDirectory + Path.PathSeparator + Environment.GetEnvironmentVariable("PATH") };
            var result = Shell.Run("bash", ["-euo", "pipefail", "-c", example], folder, environment, seconds: 300);
            Assert.True(result.ExitCode == 0, $"{verb}: {example}\n{result}");
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public void Every_verb_has_an_example_in_its_help() =>
        Assert.All(Verbs.All(), v => Assert.Contains(HelpExamples(), e => e.Data.Item1 == v.Name));

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

    [GeneratedRegex(@"(?m)^\s*(?:Example: )?(orthrus .*)$")]
    private static partial Regex HelpExample();

    [GeneratedRegex("(?ms)^```csharp\\n(.*?)^```")]
    private static partial Regex CSharpBlock();

    [GeneratedRegex("\\]\\((?!https?:|#|mailto:)([^)#]+)[^)]*\\)")]
    private static partial Regex RelativeLink();
}
