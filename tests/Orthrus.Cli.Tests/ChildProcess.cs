using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Orthrus.Cli.Tests;

/// <summary>The command as a process of its own, for what only a process can do: be killed, be signalled, lose its pipe.</summary>
internal static class ChildProcess
{
    internal const int Kill = 9, Interrupt = 2, Terminate = 15;

    /// <summary>The executable beside the tests.</summary>
    internal static string Executable => Path.Combine(AppContext.BaseDirectory, OperatingSystem.IsWindows() ? "orthrus.exe" : "orthrus");

    internal static Process Start(params string[] args) => Start(Executable, args);

    /// <summary>The command as a terminal starts it: a shell that starts the tests in the background makes them, and what they start, ignore Ctrl-C.</summary>
    internal static Process StartInForeground(params string[] args)
    {
        const string env = "/usr/bin/env";
        return File.Exists(env) && OperatingSystem.IsLinux() ? Start(env, ["--default-signal=INT,TERM", Executable, .. args]) : Start(args);
    }

    internal static Process Start(string file, string[] args)
    {
        var info = new ProcessStartInfo(file) { RedirectStandardError = true, RedirectStandardOutput = true, RedirectStandardInput = true };
        foreach (string a in args) info.ArgumentList.Add(a);
        return Process.Start(info)!;
    }

    /// <summary>Runs a shell line in which "$orthrus" is the command; skips where there is no POSIX shell.</summary>
    internal static (int Code, string Out, string Error) Shell(string line)
    {
        NeedUnix();
        using var p = Start("/bin/bash", ["-c", $"orthrus='{Executable}'; {line}"]);
        p.StandardInput.Close();
        return Finish(p);
    }

    /// <summary>Waits for the end and returns what was said.</summary>
    internal static (int Code, string Out, string Error) Finish(Process p)
    {
        var error = p.StandardError.ReadToEndAsync();
        string output = p.StandardOutput.ReadToEnd();
        Assert.True(p.WaitForExit(120_000), "the command did not end within two minutes");
        return (p.ExitCode, output, error.Result);
    }

    internal static void Signal(Process p, int signal)
    {
        NeedUnix();
        _ = SendSignal(p.Id, signal);
    }

    internal static void NeedUnix()
    {
        if (OperatingSystem.IsWindows()) Assert.Skip("needs signals and a POSIX shell");
    }

    [DllImport("libc", EntryPoint = "kill")]
    private static extern int SendSignal(int pid, int signal);
}
