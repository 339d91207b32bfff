using System.CommandLine;
using Orthrus.Rna;
using Orthrus.Tensor;
using Orthrus.Tensor.Cpu;
using Orthrus.Tensor.Cuda;

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

    /// <summary>The reader of stdout went away: as of a process that SIGPIPE ended.</summary>
    internal const int BrokenPipe = 141;
}

/// <summary>Arguments that contradict each other in a way the parser cannot see; exit code 2.</summary>
internal sealed class UsageException(string message) : Exception(message);

/// <summary>An output that cannot be written; exit code 3, or 141 where the reader of a pipe went away.</summary>
internal sealed class OutputException(string message, Exception? inner = null, int code = ExitCode.BadInput) : Exception(message, inner)
{
    internal int Code { get; } = code;
}

/// <summary>The user interrupted; exit code 130 (Ctrl-C) or 143 (SIGTERM).</summary>
internal sealed class InterruptedException(string message) : Exception(message);

/// <summary>Turns exceptions into one line on stderr and an exit code; a stack trace appears only with --verbose.</summary>
internal static class Errors
{
    internal static readonly Option<bool> Verbose = new("--verbose") { Description = "show stack traces of errors", Recursive = true };

    internal static int Run(RootCommand root, string[] args, CliHost host)
    {
        if (Empty(args) is { } empty)
        {
            Report(host.Error, empty);
            return ExitCode.Usage;
        }
        var parsed = root.Parse(args);
        if (parsed.CommandResult.Command == root && parsed.UnmatchedTokens is [var unknown, ..])
        {
            Report(host.Error, $"there is no command {unknown}; use {string.Join(", ", root.Subcommands.Select(c => c.Name))} (see `orthrus --help`)");
            return ExitCode.Usage;
        }
        if (parsed.Errors.Count > 0)
        {
            string help = parsed.CommandResult.Command == root ? "--help" : parsed.CommandResult.Command.Name + " --help";
            Report(host.Error, $"{parsed.Errors[0].Message} (see `orthrus {help}`)");
            return ExitCode.Usage;
        }
        bool verbose = parsed.GetValue(Verbose);
        try
        {
            return parsed.Invoke(host);
        }
        catch (Exception e)
        {
            var (code, line) = Classify(e);
            Report(host.Error, line);
            if (verbose) host.Error.WriteLine(e);
            return code;
        }
    }

    internal static void Report(TextWriter error, string line) =>
        error.WriteLine("orthrus: " + string.Join(' ', line.Split(['\r', '\n', '\t'], StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)));

    // No argument means anything when it is empty: most likely a variable of the shell was not set.
    private static string? Empty(string[] args)
    {
        for (int i = 0; i < args.Length; i++)
        {
            string a = args[i];
            bool option = a.StartsWith("--", StringComparison.Ordinal) && a.IndexOf('=') == a.Length - 1;
            if (a.Length > 0 && !option) continue;
            string which = option ? a[..^1] : i > 0 && args[i - 1].StartsWith('-') ? args[i - 1] : $"argument {i + 1}";
            return $"{which} is empty; give it a value (a variable of the shell that is not set?)";
        }
        return null;
    }

    internal static (int Code, string Line) Classify(Exception e) => e switch
    {
        UsageException => (ExitCode.Usage, e.Message),
        InputDataException => (ExitCode.BadInput, e.Message),
        ArgumentException { ParamName: null } when e.Message.StartsWith(VectorWidths.Variable, StringComparison.Ordinal) => (ExitCode.Usage, e.Message),
        DeviceOutOfMemoryException => (ExitCode.OutOfMemory, e.Message),
        CudaException { Result: CudaResult.OutOfMemory } => (ExitCode.OutOfMemory, e.Message),
        DeviceException or CudaException or Train.CollectiveException => (ExitCode.DeviceUnavailable, e.Message),
        // A call that is first needed in the middle of the work, such as that of a graph.
        EntryPointNotFoundException => (ExitCode.DeviceUnavailable, $"{e.Message.TrimEnd('.')}: a library of NVIDIA is too old; update the driver (520 or newer) and the CUDA libraries (11.8 or newer), or use --device cpu"),
        OutputException o => (o.Code, e.Message),
        InterruptedException => (Interrupt.Code, e.Message),
        OperationCanceledException => (Interrupt.Code, "interrupted"),
        OutOfMemoryException => (ExitCode.OutOfMemory, "out of memory; close other programs, or use fewer --threads: " + e.Message),
        AggregateException { InnerExceptions.Count: 1, InnerException: { } inner } => Classify(inner),
        FileNotFoundException { FileName: { } file } => (ExitCode.BadInput, $"{file}: there is no such file; check the path"),
        UnauthorizedAccessException or IOException => IoErrors.IsBrokenPipe(e)
            ? (ExitCode.BrokenPipe, "stdout: the reader went away before the end")
            : (ExitCode.BadInput, e.Message),
        _ => (ExitCode.Bug, $"internal error: {e.GetType().Name}: {e.Message} (run again with --verbose and report it)"),
    };
}

/// <summary>Names of operating system errors, which .NET gives as codes.</summary>
internal static class IoErrors
{
    // errno on Unix; Win32 codes in the low word of an HRESULT on Windows.
    private const int Epipe = 32, Enospc = 28, Edquot = 122, EdquotMac = 69, Efbig = 27;
    private const int BrokenPipeWindows = 109, NoDataWindows = 232, DiskFullWindows = 112;

    internal static bool IsBrokenPipe(Exception e) => e is IOException && (OperatingSystem.IsWindows()
        ? (e.HResult & 0xffff) is BrokenPipeWindows or NoDataWindows
        : e.HResult == Epipe);

    internal static bool IsDiskFull(Exception e) => e is IOException && (OperatingSystem.IsWindows()
        ? (e.HResult & 0xffff) == DiskFullWindows
        : e.HResult is Enospc or Edquot or EdquotMac or Efbig);

    /// <summary>One line on a failed write: what, why and what to do.</summary>
    internal static OutputException Writing(string path, Exception e, bool resumable) =>
        IsBrokenPipe(e) ? new OutputException("stdout: the reader went away before the end", e, ExitCode.BrokenPipe) :
        IsDiskFull(e) ? new OutputException($"{path}: no space left to write to; free some" + (resumable ? ", then go on with --resume" : ", then run again"), e) :
        e is UnauthorizedAccessException ? new OutputException($"{path}: no permission to write; check the folder's permissions", e) :
        e is DirectoryNotFoundException ? new OutputException($"{path}: the output folder does not exist; create it first", e) :
        new OutputException($"{path}: cannot be written: {e.Message.TrimEnd('.')}; check the disk and the folder", e);
}
