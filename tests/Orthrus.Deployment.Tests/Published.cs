using System.Collections.Concurrent;
using Orthrus.TestSupport;

namespace Orthrus.Deployment.Tests;

/// <summary>The command as users deploy it: one trimmed, self-contained file per platform, published once per test run.</summary>
internal static class Published
{
    private static readonly string Root = Directory.CreateTempSubdirectory("orthrus-publish-").FullName;
    private static readonly ConcurrentDictionary<string, Lazy<string>> Files = new();
    // Publishing for two platforms at once would write the same intermediate files.
    private static readonly Lock OneAtATime = new();

    static Published() => AppDomain.CurrentDomain.ProcessExit += (_, _) => Directory.Delete(Root, recursive: true);

    /// <summary>Path of the published file for a runtime identifier. Fails the test on any warning.</summary>
    internal static string For(string rid) => Files.GetOrAdd(rid, r => new Lazy<string>(() => Publish(r))).Value;

    internal static string Temp(string name) => Directory.CreateDirectory(Path.Combine(Root, name)).FullName;

    private static string Publish(string rid)
    {
        lock (OneAtATime)
        {
            string output = Path.Combine(Root, rid);
            var result = Shell.Run("dotnet", ["publish", Path.Combine(TestPaths.Repository, "Orthrus.Cli"), "-c", "Release", "-r", rid,
                "-o", output, "--artifacts-path", Path.Combine(Root, "artifacts"), "--nologo"], seconds: 900);
            Assert.True(result.ExitCode == 0, result.ToString());
            Assert.DoesNotContain("warning", result.Output);
            return Path.Combine(output, rid.StartsWith("win", StringComparison.Ordinal) ? "orthrus.exe" : "orthrus");
        }
    }
}
