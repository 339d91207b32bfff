using System.Text.Json;
using Orthrus.TestSupport;

namespace Orthrus.Cli.Tests;

/// <summary>The command of docs/SPEED.md runs from end to end; what it measures is not judged here.</summary>
[Trait("tier", "long")]
public class SpeedCommandTests
{
    [Fact]
    public void Quick_comparison_without_PyTorch_prints_its_tables_and_writes_json()
    {
        string folder = Directory.CreateTempSubdirectory("orthrus-speed-").FullName;
        try
        {
            string json = Path.Combine(folder, "speed.json");
            var result = Shell.Run("dotnet", ["run", "-c", "Release", "--project", Path.Combine(TestPaths.Repository, "bench", "Orthrus.Bench"), "--",
                "speed", "--quick", "--peer", "none", "--markdown", "--json", json], seconds: 900);
            Assert.True(result.ExitCode == 0, result.ToString());
            Assert.Contains("left out", result.Output);
            Assert.Contains("| base  | ", result.Output);
            Assert.Contains("100,000 nt", result.Output);
            using var document = JsonDocument.Parse(File.ReadAllBytes(json));
            foreach (string table in new[] { "pairs", "lengths", "widths" })
                foreach (var row in document.RootElement.GetProperty(table).EnumerateArray())
                    Assert.True(row.GetProperty("Rate").GetDouble() > 0 && row.GetProperty("Share").GetDouble() is > 0 and < 2, row.ToString());
            Assert.NotEmpty(document.RootElement.GetProperty("pairs").EnumerateArray());
            Assert.NotEmpty(document.RootElement.GetProperty("lengths").EnumerateArray());
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public void Unknown_options_are_usage_errors()
    {
        var result = Shell.Run("dotnet", ["run", "-c", "Release", "--project", Path.Combine(TestPaths.Repository, "bench", "Orthrus.Bench"), "--", "speed", "--nonsense"], seconds: 900);
        Assert.Equal(2, result.ExitCode);
        Assert.Contains("--pairs N", result.Error);
    }
}
