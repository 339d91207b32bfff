using System.Text;

namespace Orthrus.Cli.Tests;

/// <summary>A command line that ran inside the test process.</summary>
internal sealed record CliRun(int Code, byte[] Bytes, string Error)
{
    internal string Out => Encoding.UTF8.GetString(Bytes);

    internal string[] ErrorLines => Error.ReplaceLineEndings("\n").Split('\n', StringSplitOptions.RemoveEmptyEntries);

    internal static CliRun Of(params string[] args) => Of(args, CancellationToken.None);

    internal static CliRun Of(string[] args, CancellationToken cancel)
    {
        using var output = new MemoryStream();
        using var error = new StringWriter();
        int code = Cli.Run(args, output, error, cancel);
        return new CliRun(code, output.ToArray(), error.ToString());
    }

    /// <summary>The output, after asserting that the command succeeded.</summary>
    internal CliRun Succeeded()
    {
        Assert.True(Code == 0, $"exit code {Code}: {Error}");
        return this;
    }
}
