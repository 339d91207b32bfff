namespace Orthrus.Cli.Tests;

/// <summary>
/// Hostile input from end to end: each row of <see cref="HostileCases"/> ends with its exit code, says one line that names what it must,
/// shows no stack trace and leaves nothing half-written.
/// </summary>
public class HostileInputTests
{
    public static IEnumerable<TheoryDataRow<string>> Names => HostileCases.All.Select(c => new TheoryDataRow<string>(c.Name));

    [Fact]
    public void There_are_at_least_eighty_cases_with_names_of_their_own()
    {
        Assert.True(HostileCases.All.Count >= 80, $"{HostileCases.All.Count} cases");
        Assert.Equal(HostileCases.All.Count, HostileCases.All.Select(c => c.Name).Distinct().Count());
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Ends_with_its_code_and_one_line(string name)
    {
        var hostile = HostileCases.All.Single(c => c.Name == name);
        using var files = new HostileFiles();
        string[] args = ["embed", .. hostile.Arguments(files)];
        if (!args.Contains("-o")) args = [.. args, "-o", files.Out()];
        var run = CliRun.Of(args);

        Assert.True(run.Code == hostile.Code, $"exit code {run.Code}, want {hostile.Code}: {run.Error}");
        Assert.DoesNotContain("   at ", run.Error);
        string[] errors = run.ErrorLines.Where(l => l.StartsWith("orthrus: ", StringComparison.Ordinal)).ToArray();
        string[] left = Directory.GetFileSystemEntries(files.OutputFolder, "*", SearchOption.AllDirectories).Select(p => Path.GetRelativePath(files.OutputFolder, p)).Order().ToArray();
        if (hostile.Code == 0)
        {
            Assert.Empty(errors);
            Assert.Equal(["x.index.tsv", "x.json", "x.npy"], left);
            string said = run.Error + File.ReadAllText(files.Out("x.index.tsv"));
            Assert.All(hostile.Says, s => Assert.Contains(s, said));
            return;
        }
        string line = Assert.Single(errors);
        Assert.Equal(run.ErrorLines[^1], line);
        Assert.True(line.Length < 1200, line);
        Assert.DoesNotContain("internal error", line);
        Assert.DoesNotContain('\t', line);
        Assert.All(hostile.Says, s => Assert.Contains(s, line));
        Assert.Empty(left);
    }
}
