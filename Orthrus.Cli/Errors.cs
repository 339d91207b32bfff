using System.CommandLine;
using Orthrus.Rna;

namespace Orthrus.Cli;

/// <summary>Exit codes of every verb.</summary>
internal static class ExitCode
{
    internal const int Done = 0;
    internal const int Bug = 1;
    internal const int Usage = 2;
    internal const int BadInput = 3;
    internal const int DeviceUnavailable = 4;
    internal const int OutOfMemory = 5;
}

/// <summary>Arguments that contradict each other in a way the parser cannot see; exit code 2.</summary>
internal sealed class UsageException(string message) : Exception(message);

/// <summary>Turns exceptions into one line on stderr and an exit code; a stack trace appears only with --verbose.</summary>
internal static class Errors
{
    internal static readonly Option<bool> Verbose = new("--verbose") { Description = "show stack traces of errors", Recursive = true };

    internal static int Run(RootCommand root, string[] args)
    {
        var parsed = root.Parse(args);
        if (parsed.Errors.Count > 0)
        {
            Report($"{parsed.Errors[0].Message} (see `orthrus {string.Join(' ', parsed.CommandResult.Command == root ? ["--help"] : new[] { parsed.CommandResult.Command.Name, "--help" })}`)");
            return ExitCode.Usage;
        }
        bool verbose = parsed.GetValue(Verbose);
        try
        {
            return parsed.Invoke(new InvocationConfiguration { EnableDefaultExceptionHandler = false });
        }
        catch (Exception e)
        {
            var (code, line) = Classify(e);
            Report(line);
            if (verbose) Console.Error.WriteLine(e);
            return code;
        }
    }

    internal static void Report(string line) => Console.Error.WriteLine("orthrus: " + line.ReplaceLineEndings(" "));

    private static (int Code, string Line) Classify(Exception e) => e switch
    {
        UsageException => (ExitCode.Usage, e.Message),
        InputDataException => (ExitCode.BadInput, e.Message),
        OutOfMemoryException => (ExitCode.OutOfMemory, "out of memory: " + e.Message),
        AggregateException { InnerExceptions.Count: 1, InnerException: { } inner } => Classify(inner),
        UnauthorizedAccessException or IOException => (ExitCode.BadInput, e.Message),
        OperationCanceledException => (130, "interrupted"),
        _ => (ExitCode.Bug, $"internal error: {e.GetType().Name}: {e.Message} (run again with --verbose and report it)"),
    };
}
