using System.CommandLine;

namespace Orthrus.Cli;

/// <summary>
/// What a verb may use of its surroundings. The executable gives it the process's own streams and signals, tests give it streams of
/// theirs, so that hundreds of command lines run in one process.
/// </summary>
internal sealed class CliHost : InvocationConfiguration
{
    /// <summary>Binary stdout, for results that are streamed.</summary>
    internal required Func<Stream> StandardOutput { get; init; }

    /// <summary>Signalled by Ctrl-C and by SIGTERM.</summary>
    internal CancellationToken Cancel { get; init; }

    /// <summary>True where stderr is a terminal, so that a bar can be drawn.</summary>
    internal bool Interactive { get; init; }

    /// <summary>The host of a running verb.</summary>
    internal static CliHost Of(ParseResult parsed) => (CliHost)parsed.InvocationConfiguration;
}

/// <summary>The command line as a function.</summary>
internal static class Cli
{
    /// <summary>Runs one command line of the executable.</summary>
    internal static int Run(string[] args)
    {
        var error = StandardStreams.OpenError();
        Console.SetError(error);
        using var interrupt = new Interrupt();
        return Run(args, new CliHost
        {
            EnableDefaultExceptionHandler = false,
            ProcessTerminationTimeout = null,
            Error = error,
            StandardOutput = PipeStream.OpenStdout,
            Cancel = interrupt.Token,
            Interactive = !Console.IsErrorRedirected,
        });
    }

    /// <summary>Runs one command line with the given surroundings and returns its exit code.</summary>
    internal static int Run(string[] args, CliHost host)
    {
        // One verb, one file. The order is the order of `orthrus --help`.
        var root = new RootCommand("Embeddings of mature RNA transcripts with Orthrus, on any machine.");
        foreach (var verb in Verbs.All()) root.Subcommands.Add(verb);
        root.Options.Add(Errors.Verbose);
        return Errors.Run(root, args, host);
    }

    /// <summary>Runs one command line with writers instead of the process's streams; for tests.</summary>
    internal static int Run(string[] args, Stream stdout, TextWriter stderr, CancellationToken cancel = default)
    {
        using var text = new StreamWriter(stdout, leaveOpen: true);
        return Run(args, new CliHost
        {
            EnableDefaultExceptionHandler = false,
            ProcessTerminationTimeout = null,
            Output = text,
            Error = stderr,
            StandardOutput = () => stdout,
            Cancel = cancel,
        });
    }
}
