using Xunit;

namespace Orthrus.TestSupport;

/// <summary>A Python with NumPy, to read what this project writes with other people's readers.</summary>
public static class Python
{
    private static readonly Lazy<string?> Interpreter = new(() => new[] { Shell.Find("python3"), "/usr/bin/python3" }
        .FirstOrDefault(p => p is not null && File.Exists(p) && Shell.Run(p, ["-c", "import numpy"]).ExitCode == 0));

    /// <summary>Runs a script with arguments and returns its stdout; skips the test where there is no Python with NumPy.</summary>
    public static string Run(string script, params string[] arguments)
    {
        if (Interpreter.Value is not { } python)
        {
            Assert.Skip("needs python3 with NumPy (Debian: python3-numpy)");
            return "";
        }
        var result = Shell.Run(python, ["-c", script, .. arguments]);
        Assert.True(result.ExitCode == 0, result.ToString());
        return result.Output;
    }
}
