using System.Diagnostics;
using System.Text;

namespace Orthrus.TestSupport;

/// <summary>What a finished program left behind.</summary>
public sealed record ShellResult(int ExitCode, string Output, string Error, TimeSpan Elapsed)
{
    public override string ToString() => $"exit {ExitCode}\n--- stdout\n{Output}\n--- stderr\n{Error}";
}

/// <summary>Runs programs from tests.</summary>
public static class Shell
{
    /// <summary>Runs a program to its end and returns what it printed; kills it after the time limit.</summary>
    public static ShellResult Run(string program, IEnumerable<string> arguments, string? folder = null,
        IReadOnlyDictionary<string, string>? environment = null, string? input = null, int seconds = 600)
    {
        var start = new ProcessStartInfo(program)
        {
            RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true,
            WorkingDirectory = folder ?? Environment.CurrentDirectory, UseShellExecute = false,
        };
        foreach (var a in arguments) start.ArgumentList.Add(a);
        foreach (var (k, v) in environment ?? new Dictionary<string, string>()) start.Environment[k] = v;
        var clock = Stopwatch.StartNew();
        using var process = Process.Start(start)!;
        var output = new StringBuilder();
        var error = new StringBuilder();
        process.OutputDataReceived += (_, e) => { if (e.Data is not null) lock (output) output.AppendLine(e.Data); };
        process.ErrorDataReceived += (_, e) => { if (e.Data is not null) lock (error) error.AppendLine(e.Data); };
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        if (input is not null) process.StandardInput.Write(input);
        process.StandardInput.Close();
        if (!process.WaitForExit(seconds * 1000))
        {
            process.Kill(entireProcessTree: true);
            throw new TimeoutException($"{program} {string.Join(' ', arguments)}: not finished after {seconds} s\n{output}\n{error}");
        }
        process.WaitForExit();
        return new ShellResult(process.ExitCode, output.ToString(), error.ToString(), clock.Elapsed);
    }

    /// <summary>Full path of a program on PATH, or null.</summary>
    public static string? Find(string program) => (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator)
        .Select(d => Path.Combine(d, program)).FirstOrDefault(File.Exists);
}
