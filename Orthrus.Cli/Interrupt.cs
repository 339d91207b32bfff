using System.Runtime.InteropServices;

namespace Orthrus.Cli;

/// <summary>
/// Ctrl-C and SIGTERM as a token, so that a verb can save its state and end with exit code 130 or 143. A verb that does not end within
/// a few seconds is ended: what is on disk can be gone on with at any moment.
/// </summary>
internal sealed class Interrupt : IDisposable
{
    /// <summary>How long a verb may take to end; one whose steps are long sets it.</summary>
    internal static TimeSpan Patience { get; set; } = TimeSpan.FromSeconds(5);

    /// <summary>What a verb whose saved state can be gone on with says where it is ended; nothing for the others.</summary>
    internal static string Remedy { get; set; } = "";

    /// <summary>The remedy of verbs with --resume.</summary>
    internal const string Resume = "; `--resume` goes on from the last saved state";

    private readonly CancellationTokenSource _source = new();
    private readonly List<PosixSignalRegistration> _registrations = [];
    private Timer? _timer;

    internal Interrupt()
    {
        Register(PosixSignal.SIGINT, 130);
        Register(PosixSignal.SIGTERM, 143);
    }

    internal CancellationToken Token => _source.Token;

    /// <summary>Exit code of the signal that came, 130 where none came.</summary>
    internal static int Code { get; private set; } = 130;

    private void Register(PosixSignal signal, int code) => _registrations.Add(PosixSignalRegistration.Create(signal, context =>
    {
        context.Cancel = true;
        if (_source.IsCancellationRequested) Environment.Exit(code);
        Code = code;
        _timer = new Timer(_ =>
        {
            Errors.Report(Console.Error, "interrupted" + Remedy);
            Environment.Exit(code);
        }, null, Patience, Timeout.InfiniteTimeSpan);
        _source.Cancel();
    }));

    public void Dispose()
    {
        foreach (var r in _registrations) r.Dispose();
        _timer?.Dispose();
        _source.Dispose();
    }
}
