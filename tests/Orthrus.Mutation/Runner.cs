using System.Diagnostics;

namespace Orthrus.Mutation;

/// <summary>Runs child processes with a time limit: a mutant may loop for ever or write anywhere, so that each gets a process of its own.</summary>
internal sealed class Runner(string workFolder, IReadOnlyList<string> testAssemblies)
{
    private static readonly string Self = typeof(Runner).Assembly.Location;

    /// <summary>Judges a mutant by the operator checks, then, if none objects, by the tests.</summary>
    public (bool Killed, string By) Judge(int slot, byte[] assembly, string[] operators, TimeSpan limit)
    {
        string folder = Path.Combine(workFolder, $"slot{slot}");
        Directory.CreateDirectory(folder);
        string mutant = Path.Combine(folder, "Orthrus.Tensor.dll");
        File.WriteAllBytes(mutant, assembly);
        if (operators.Length > 0)
        {
            var (exit, text) = Start(limit, folder, [Self, "--judge", mutant, .. operators]);
            if (exit is null) return (true, "check: time limit");
            if (exit != Mutation.Judge.Survived) return (true, exit == Mutation.Judge.Killed ? "check: " + FirstLine(text) : $"check: the process ended with {exit}");
        }
        foreach (string tests in testAssemblies)
        {
            string name = Path.GetFileNameWithoutExtension(tests), copy = Copy(slot, Path.GetDirectoryName(tests)!, name, assembly);
            // The operator checks above are the same as this class's.
            var (code, output) = Start(limit, copy, [Path.Combine(copy, name + ".dll"), "-class-", "Orthrus.Autograd.Tests.OpGradientTests", "-trait-", "tier=long", "-stopOnFail", "-noLogo", "-noColor"]);
            if (code is null) return (true, $"test: time limit of {name}");
            if (code == 0) continue;
            string? failed = output.Split('\n').Select(l => l.Trim()).FirstOrDefault(l => l.EndsWith("[FAIL]", StringComparison.Ordinal));
            return (true, "test: " + (failed?.Replace("[FAIL]", "").Trim() ?? $"{name} ended with {code}"));
        }
        return (false, "");
    }

    private string Copy(int slot, string from, string name, byte[] assembly)
    {
        // Inside the working copy, so that the tests find their data as they do elsewhere.
        string folder = Path.Combine(workFolder, $"{name}.{slot}");
        if (!Directory.Exists(folder))
        {
            Directory.CreateDirectory(folder);
            foreach (string file in Directory.EnumerateFiles(from)) File.Copy(file, Path.Combine(folder, Path.GetFileName(file)));
        }
        File.WriteAllBytes(Path.Combine(folder, "Orthrus.Tensor.dll"), assembly);
        return folder;
    }

    private static (int? Exit, string Output) Start(TimeSpan limit, string folder, string[] arguments)
    {
        var start = new ProcessStartInfo("dotnet") { RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = folder };
        foreach (string a in arguments) start.ArgumentList.Add(a);
        start.Environment["DOTNET_DbgEnableMiniDump"] = "0";
        using var process = Process.Start(start)!;
        var output = process.StandardOutput.ReadToEndAsync();
        var error = process.StandardError.ReadToEndAsync();
        if (!process.WaitForExit(limit))
        {
            process.Kill(entireProcessTree: true);
            process.WaitForExit();
            return (null, "");
        }
        Task.WaitAll(output, error);
        return (process.ExitCode, output.Result);
    }

    private static string FirstLine(string text) => text.Split('\n')[0].Trim();
}
