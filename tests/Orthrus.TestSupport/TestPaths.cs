namespace Orthrus.TestSupport;

/// <summary>Where test data lies: the full reference sets where they are present, the project's small copy otherwise.</summary>
public static class TestPaths
{
    /// <summary>Root of the working copy: the folder that holds Orthrus.sln.</summary>
    public static string Repository { get; } = FindUp("Orthrus.sln");

    /// <summary>
    /// Folder of golden numbers: ORTHRUS_GOLDENS, else ../shared/goldens beside the repository, else the small copy in tests/goldens.
    /// </summary>
    public static string Goldens { get; } = FirstExisting(
        Environment.GetEnvironmentVariable("ORTHRUS_GOLDENS"),
        Path.Combine(Repository, "..", "shared", "goldens"),
        Path.Combine(Repository, "tests", "goldens"));

    /// <summary>Folder of real genomes and transcripts: ORTHRUS_DATA, else ../shared/data beside the repository; null where absent.</summary>
    public static string? Data { get; } = new[]
    {
        Environment.GetEnvironmentVariable("ORTHRUS_DATA"),
        Path.Combine(Repository, "..", "shared", "data"),
    }.FirstOrDefault(p => !string.IsNullOrEmpty(p) && Directory.Exists(p));

    private static string FirstExisting(params string?[] candidates)
    {
        // A folder that was named explicitly is taken as named: a typing mistake must not fall back to another set.
        if (!string.IsNullOrEmpty(candidates[0])) return candidates[0]!;
        return candidates.First(p => !string.IsNullOrEmpty(p) && (Directory.Exists(p) || p == candidates[^1]))!;
    }

    private static string FindUp(string file)
    {
        for (var d = new DirectoryInfo(AppContext.BaseDirectory); d is not null; d = d.Parent)
            if (System.IO.File.Exists(Path.Combine(d.FullName, file))) return d.FullName;
        throw new DirectoryNotFoundException($"{file} was not found above {AppContext.BaseDirectory}; run the tests from a working copy");
    }
}
