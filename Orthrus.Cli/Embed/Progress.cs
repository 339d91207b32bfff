using System.Globalization;

namespace Orthrus.Cli.Embed;

/// <summary>Progress on stderr: a bar that redraws itself on a terminal, a line every few seconds otherwise.</summary>
internal sealed class Progress(TextWriter error, bool interactive, bool quiet, Func<double?> fraction, TimeProvider clock)
{
    private static readonly TimeSpan BarEvery = TimeSpan.FromSeconds(0.2), LineEvery = TimeSpan.FromSeconds(10);
    private const int BarWidth = 24;

    private long _start = clock.GetTimestamp();
    private double _startFraction;
    private long _last = clock.GetTimestamp();
    private bool _drawn;

    /// <summary>Since the work of this run began.</summary>
    internal TimeSpan Elapsed => clock.GetElapsedTime(_start);

    /// <summary>Says that the work of this run begins only now: what came before was done by the run that it goes on with.</summary>
    internal void Restart()
    {
        _start = clock.GetTimestamp();
        _startFraction = fraction() ?? 0;
    }

    /// <summary>Shows the state where it is time to.</summary>
    /// <param name="records">Transcripts so far, those of earlier runs included.</param>
    /// <param name="nucleotides">Their nucleotides.</param>
    /// <param name="embedded">Nucleotides that this run embedded.</param>
    internal void Tick(long records, long nucleotides, long embedded)
    {
        if (quiet || clock.GetElapsedTime(_last) < (interactive ? BarEvery : LineEvery)) return;
        _last = clock.GetTimestamp();
        string rate = Rate(embedded, Elapsed);
        // A file that was read to its end in one piece says nothing of how much of it is embedded.
        double? done = fraction() is { } read and < 1 ? read : null;
        string left = done is { } whole && whole - _startFraction is > 0.001 and var advance ? ", " + Duration(Elapsed * ((1 - whole) / advance)) + " left" : "";
        string counts = string.Create(CultureInfo.InvariantCulture, $"{records:N0} transcripts, {nucleotides:N0} nt, {rate}{left}");
        if (!interactive)
        {
            error.WriteLine((done is { } share ? string.Create(CultureInfo.InvariantCulture, $"{100 * share:F0} %: ") : "") + counts);
            return;
        }
        int filled = (int)Math.Round(BarWidth * Math.Clamp(done ?? 0, 0, 1));
        error.Write("\r[" + new string('#', filled) + new string('.', BarWidth - filled) + "] " + counts + "\u001b[K");
        _drawn = true;
    }

    /// <summary>Takes the bar away, so that a line can be written.</summary>
    internal void Clear()
    {
        if (_drawn) error.Write("\r\u001b[K");
        _drawn = false;
    }

    internal static string Rate(long nucleotides, TimeSpan elapsed) =>
        string.Create(CultureInfo.InvariantCulture, $"{nucleotides / Math.Max(elapsed.TotalSeconds, 1e-3):N0} nt/s");

    internal static string Duration(TimeSpan t) =>
        t.TotalSeconds < 60 ? string.Create(CultureInfo.InvariantCulture, $"{t.TotalSeconds:F0} s") :
        t.TotalHours < 1 ? string.Create(CultureInfo.InvariantCulture, $"{t.Minutes} min {t.Seconds} s") :
        string.Create(CultureInfo.InvariantCulture, $"{(long)t.TotalHours} h {t.Minutes} min");
}
