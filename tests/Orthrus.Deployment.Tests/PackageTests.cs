using System.IO.Compression;
using System.Text.RegularExpressions;
using Orthrus.Mamba;
using Orthrus.Rna;
using Orthrus.TestSupport;

namespace Orthrus.Deployment.Tests;

/// <summary>The library as its users get it: packages from a local feed, restored into a project that stands outside the repository.</summary>
[Trait("tier", "long")]
public partial class PackageTests
{
    private static readonly string[] Libraries = ["Orthrus.Autograd", "Orthrus.Mamba", "Orthrus.PtxSim", "Orthrus.Rna", "Orthrus.Tensor", "Orthrus.Train"];
    private static readonly Lazy<string> Packed = new(Pack);

    private static string Pack()
    {
        string feed = Published.Temp("feed");
        var result = Shell.Run("dotnet", ["pack", Path.Combine(TestPaths.Repository, "Orthrus.sln"), "-c", "Release", "-o", feed,
            "--artifacts-path", Published.Temp("pack-artifacts"), "--nologo", "-maxcpucount:1", "-nodeReuse:false"], seconds: 900);
        Assert.True(result.ExitCode == 0, result.ToString());
        Assert.DoesNotContain("warning", result.Output);
        return feed;
    }

    [Fact]
    public void Pack_makes_the_libraries_with_documentation_licence_and_readme()
    {
        string[] packages = [.. Directory.GetFiles(Packed.Value, "*.nupkg").Order()];
        Assert.Equal(Libraries, packages.Select(p => Version().Replace(Path.GetFileName(p), "")));
        foreach (string package in packages)
        {
            string library = Version().Replace(Path.GetFileName(package), "");
            using var zip = ZipFile.OpenRead(package);
            string[] names = [.. zip.Entries.Select(e => e.FullName)];
            foreach (string needed in new[] { $"lib/net10.0/{library}.dll", $"lib/net10.0/{library}.xml", "README.md" }) Assert.Contains(needed, names);
            using var reader = new StreamReader(zip.GetEntry(library + ".nuspec")!.Open());
            string nuspec = reader.ReadToEnd();
            foreach (string needed in new[] { "<license type=\"expression\">MIT</license>", "<readme>README.md</readme>", "<tags>orthrus ", "<description>" }) Assert.Contains(needed, nuspec);
            Assert.DoesNotContain("<description>Package Description", nuspec);
            // The libraries stand on the runtime alone.
            Assert.All(Dependency().Matches(nuspec).Select(m => m.Groups[1].Value), d => Assert.StartsWith("Orthrus.", d));
        }
    }

    [Fact]
    public void The_readme_s_three_lines_embed_in_a_fresh_project_that_restores_the_packages()
    {
        string project = Fresh("Orthrus.Mamba");
        string readme = File.ReadAllText(Path.Combine(TestPaths.Repository, "README.md")).ReplaceLineEndings("\n");
        string lines = CSharpBlock().Match(readme).Groups[1].Value;
        Assert.Equal(3, lines.Split('\n', StringSplitOptions.RemoveEmptyEntries).Count(l => !l.StartsWith("using Orthrus.", StringComparison.Ordinal)));
        string[] usings = [.. new[] { "using Orthrus.Mamba;", "using Orthrus.Rna;" }.Where(u => !lines.Contains(u))];
        File.WriteAllText(Path.Combine(project, "Program.cs"), string.Join('\n', usings) + "\n" + lines + "\nforeach (float v in vector) Console.WriteLine(v.ToString(\"R\"));\n");

        var run = Run(project);

        using var embedder = Embedder.Load("orthrus-mini-6track");
        var transcript = Transcript.Create("tx1", "GGCACCATGGCTTCAGAAGACTAAGCC", cds: (6, 24), junctions: [14]);
        Assert.Equal(embedder.Embed(transcript.Tracks), run.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(float.Parse));
    }

    [Fact]
    public void The_simulator_s_package_alone_simulates_a_kernel_in_a_fresh_project()
    {
        string project = Fresh("Orthrus.PtxSim"), example = Path.Combine(TestPaths.Repository, "examples", "SimulateYourKernel");
        foreach (string file in Directory.GetFiles(example, "*.cs")) File.Copy(file, Path.Combine(project, Path.GetFileName(file)));
        var run = Run(project, Path.Combine(example, "kernels", "block_sums.ptx"), "--grid", "2", "--block", "256", "f32[300]:1", "f32[2]:none", "i32:300", "--show", "2");
        Assert.Contains("argument 2: 256 44", run.Output);
        Assert.Matches(@"H100 SXM +\w+ [\d.]+ us", run.Output);
    }

    /// <summary>A project outside of the repository that knows one package and the local feed alone.</summary>
    private static string Fresh(string package)
    {
        string project = Published.Temp("fresh-" + package);
        string version = Version().Match(Path.GetFileName(Directory.GetFiles(Packed.Value, package + ".*.nupkg").Single())).Groups[1].Value;
        File.WriteAllText(Path.Combine(project, "nuget.config"),
            $"<configuration><packageSources><clear /><add key=\"local\" value=\"{Packed.Value}\" /></packageSources></configuration>");
        File.WriteAllText(Path.Combine(project, "Fresh.csproj"), $"""
            <Project Sdk="Microsoft.NET.Sdk">
              <PropertyGroup>
                <OutputType>Exe</OutputType>
                <TargetFramework>net10.0</TargetFramework>
                <ImplicitUsings>enable</ImplicitUsings>
                <Nullable>enable</Nullable>
                <TreatWarningsAsErrors>true</TreatWarningsAsErrors>
              </PropertyGroup>
              <ItemGroup>
                <PackageReference Include="{package}" Version="{version}" />
              </ItemGroup>
            </Project>
            """);
        return project;
    }

    private static ShellResult Run(string project, params string[] arguments)
    {
        var run = Shell.Run("dotnet", ["run", "-c", "Release", "--project", project, "--", .. arguments], project,
            new Dictionary<string, string> { ["NUGET_PACKAGES"] = Published.Temp("fresh-cache"), ["DOTNET_NOLOGO"] = "1", ["MSBUILDDISABLENODEREUSE"] = "1" });
        Assert.True(run.ExitCode == 0, run.ToString());
        return run;
    }

    [GeneratedRegex(@"\.(\d+\.\d+\.\d+[^/]*)\.nupkg$")]
    private static partial Regex Version();

    [GeneratedRegex("<dependency id=\"([^\"]+)\"")]
    private static partial Regex Dependency();

    [GeneratedRegex("(?ms)^```csharp\\n(.*?)^```")]
    private static partial Regex CSharpBlock();
}
