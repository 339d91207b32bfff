using System.Text.RegularExpressions;
using Orthrus.Tensor.Cuda;
using Orthrus.TestSupport;

namespace Orthrus.Cuda.Tests;

/// <summary>docs/CUDA.md shows the code that ran, and today's tables. ORTHRUS_UPDATE_DOCS=1 writes the tables.</summary>
public sealed partial class CudaDocumentTests
{
    private static string Page => Path.Combine(TestPaths.Repository, "docs", "CUDA.md");

    [Fact]
    public void The_page_shows_the_code_that_is_run()
    {
        string example = File.ReadAllText(Path.Combine(TestPaths.Repository, "tests", "Orthrus.Cuda.Tests", "Shim", "ManagedCudaExample.cs")).ReplaceLineEndings("\n");
        string[] run = [.. Region().Matches(example).Select(m => Dedent(m.Groups[1].Value))];
        string[] shown = [.. Block().Matches(File.ReadAllText(Page).ReplaceLineEndings("\n")).Select(m => m.Groups[1].Value)];
        Assert.Equal(3, run.Length);
        Assert.Equal(run, shown);
    }

    [Fact]
    public void The_page_has_todays_tables()
    {
        string page = File.ReadAllText(Page).ReplaceLineEndings("\n"), fresh = Replace(Replace(page, "names", Names()), "errors", Errors());
        if (Environment.GetEnvironmentVariable("ORTHRUS_UPDATE_DOCS") == "1") File.WriteAllText(Page, fresh);
        else Assert.True(page == fresh, "docs/CUDA.md is stale: ORTHRUS_UPDATE_DOCS=1 dotnet test tests/Orthrus.Cuda.Tests --filter CudaDocument");
    }

    private static IEnumerable<string> Names()
    {
        yield return "| library | Linux | Windows |";
        yield return "| --- | --- | --- |";
        foreach (string library in new[] { NativeLibraries.Driver, NativeLibraries.Nvrtc, NativeLibraries.CuBlas })
        {
            var (title, linux, _) = NativeLibraries.Candidates(library, windows: false);
            yield return $"| {title} | {List(linux)} | {List(NativeLibraries.Candidates(library, windows: true).Names)} |";
        }

        static string List(string[] names) => string.Join(", ", names.Select(n => $"`{n}`"));
    }

    private static IEnumerable<string> Errors()
    {
        yield return "| code | name | means | what to do |";
        yield return "| --- | --- | --- | --- |";
        foreach (var result in Enum.GetValues<CudaResult>().Where(r => r != CudaResult.Success)) yield return Row((int)result, CudaErrors.Describe(result));
        foreach (var status in Enum.GetValues<CublasStatus>().Where(s => s != CublasStatus.Success)) yield return Row((int)status, CublasErrors.Describe(status));

        static string Row(int code, CudaErrorInfo e) => $"| {code} | {e.Name}{(e.Sticky ? ", sticky" : "")} | {e.Meaning} | {e.Remedy} |";
    }

    private static string Replace(string page, string mark, IEnumerable<string> lines)
    {
        string begin = $"<!-- {mark} -->\n", end = $"<!-- /{mark} -->";
        int from = page.IndexOf(begin, StringComparison.Ordinal) + begin.Length, to = page.IndexOf(end, StringComparison.Ordinal);
        Assert.True(from >= begin.Length && to >= from, $"docs/CUDA.md lacks its marks of {mark}");
        return page[..from] + string.Concat(lines.Select(l => l + "\n")) + page[to..];
    }

    private static string Dedent(string text)
    {
        string[] lines = text.Split('\n');
        int indent = lines.Where(l => l.Trim().Length > 0).Min(l => l.Length - l.TrimStart().Length);
        return string.Join('\n', lines.Select(l => l.Trim().Length == 0 ? "" : l[indent..]));
    }

    [GeneratedRegex("(?ms)^ *// begin\\n(.*?)^ *// end$")]
    private static partial Regex Region();

    [GeneratedRegex("(?ms)^```csharp\\n(.*?)^```")]
    private static partial Regex Block();
}
