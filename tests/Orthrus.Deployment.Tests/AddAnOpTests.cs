using Orthrus.TestSupport;

namespace Orthrus.Deployment.Tests;

/// <summary>docs/ADD-AN-OP.md followed word by word in a copy of the repository: three places touched, then the page's commands in their order.</summary>
[Trait("tier", "long")]
public class AddAnOpTests
{
    [Fact]
    public void A_newcomer_who_follows_the_page_has_an_operator_with_kernels()
    {
        if (Shell.Find("bash") is null) Assert.Skip("needs bash");
        if (Environment.GetEnvironmentVariable("ORTHRUS_CUDA_FOLDERS") is null) Assert.Skip("needs NVRTC 11.8 (set ORTHRUS_CUDA_FOLDERS to its folder)");
        string copy = Published.Temp("add-an-op");
        Copy(TestPaths.Repository, copy);

        // What the page says of an operator in the engine: its namespace, kernels by name, no source of its own, and documentation of every public member.
        string page = File.ReadAllText(Path.Combine(copy, "docs", "ADD-AN-OP.md")).ReplaceLineEndings("\n"), op = Between(page, "```csharp\n", "```");
        string kernels = Between(op, "    // In the engine itself", "    // The fields of the kernel's struct"), reader = Between(op, "    private static string ReadSource()", "\n}");
        op = op.Replace(kernels, "    private static readonly CudaKernel ForwardKernel = new(\"swish\", \"swish_forward\"), BackwardKernel = new(\"swish\", \"swish_backward\");\n\n", StringComparison.Ordinal)
            .Replace(reader, "", StringComparison.Ordinal).Replace("using Orthrus.Tensor;\n", "", StringComparison.Ordinal).Replace("namespace CustomOp;", "namespace Orthrus.Tensor;", StringComparison.Ordinal);
        op = op.Replace("    public static ", "    /// <inheritdoc/>\n    public static ", StringComparison.Ordinal);
        Assert.DoesNotContain("ReadSource", op);
        File.WriteAllText(Path.Combine(copy, "Orthrus.Tensor", "Ops", "Swish.cs"), op);
        File.WriteAllText(Path.Combine(copy, "cuda", "swish.cu"), Between(page, "```cuda\n", "```"));
        string table = Path.Combine(copy, "Orthrus.Tensor", "Ops", "OpTable.cs"), row = "        OpRow.Of<ReverseSequence, NoAttr>(),\n", rows = File.ReadAllText(table).ReplaceLineEndings("\n");
        Assert.Contains(row, rows);
        File.WriteAllText(table, rows.Replace(row, row + Between(page, "## 3. The row\n\n```csharp\n", "```"), StringComparison.Ordinal));

        string[] commands = [.. page[page.IndexOf("## Check it", StringComparison.Ordinal)..].Split('\n').Where(l => l.StartsWith("    ", StringComparison.Ordinal)).Select(l => l.Trim())];
        Assert.NotEmpty(commands);
        // Of the last command's tests those that are about the new operator; the others run as they do without it.
        commands[^1] = commands[^1].Replace("\"tier!=long\"", "\"tier!=long&(DisplayName~swish|DisplayName~static_table)\"", StringComparison.Ordinal);
        var environment = new Dictionary<string, string> { ["DOTNET_CLI_TELEMETRY_OPTOUT"] = "1", ["MSBUILDDISABLENODEREUSE"] = "1" };
        // The engine, where the operator is, builds under all its rules. What depends on it is as it was, so that its analysers would only take their time again.
        var engine = Shell.Run("dotnet", ["build", "Orthrus.Tensor", "-c", "Release", "--nologo"], copy, environment, seconds: 600);
        Assert.True(engine.ExitCode == 0, engine.ToString());
        Assert.Contains("0 Warning(s)", engine.Output);
        environment["RunAnalyzers"] = "false";
        List<ShellResult> results = [];
        foreach (string command in commands)
        {
            results.Add(Shell.Run("bash", ["-euo", "pipefail", "-c", command], copy, environment, seconds: 1500));
            Assert.True(results[^1].ExitCode == 0, $"{command}\n{results[^1]}");
            TestContext.Current.SendDiagnosticMessage($"{results[^1].Elapsed.TotalSeconds:F0} s: {command}");
        }
        Assert.Matches(@"swish +several blocks", results[0].Output);
        Assert.True(File.Exists(Path.Combine(copy, "cuda", "ptx", "swish.f32.70.ptx")));
        Assert.Contains("| swish: swish_forward | bf16 |", File.ReadAllText(Path.Combine(copy, "docs", "KERNELS.md")));
        Assert.Contains("swish", File.ReadAllText(Path.Combine(copy, "docs", "OPS.md")));
        // The specification, embedded PTX, a form without NVRTC, spills; and the static table.
        Assert.Matches(@"Passed:\s+([5-9]|\d\d)", results[^1].Output);
    }

    private static string Between(string text, string begin, string end)
    {
        int from = text.IndexOf(begin, StringComparison.Ordinal);
        Assert.True(from >= 0, $"there is no \"{begin}\"");
        bool fence = begin.EndsWith('\n');
        int start = fence ? from + begin.Length : from, to = text.IndexOf(end, from + begin.Length, StringComparison.Ordinal);
        Assert.True(to >= 0, $"there is no \"{end}\" after \"{begin}\"");
        return text[start..to];
    }

    // What a clone has: no build output, no history.
    private static void Copy(string from, string to)
    {
        Directory.CreateDirectory(to);
        foreach (string file in Directory.GetFiles(from)) File.Copy(file, Path.Combine(to, Path.GetFileName(file)));
        foreach (string folder in Directory.GetDirectories(from))
            if (Path.GetFileName(folder) is var name && name is not ("bin" or "obj" or ".git" or "TestResults")) Copy(folder, Path.Combine(to, name));
    }
}
