using System.Globalization;
using Orthrus.Cli.Embed;
using Orthrus.Train;

namespace Orthrus.Cli;

/// <summary>Progress of a run of steps on stderr: a line that redraws itself on a terminal, a line every few seconds otherwise; what validations found always.</summary>
/// <param name="error">Where to write.</param>
/// <param name="interactive">It is a terminal.</param>
/// <param name="quiet">Write nothing.</param>
/// <param name="start">Steps done before this run.</param>
/// <param name="mayEndEarly">The number of steps is the largest there can be.</param>
/// <param name="clock">Time.</param>
internal sealed class StepReport(TextWriter error, bool interactive, bool quiet, long start, bool mayEndEarly, TimeProvider clock)
{
    private static readonly TimeSpan RedrawEvery = TimeSpan.FromSeconds(0.2), LineEvery = TimeSpan.FromSeconds(10);

    private readonly long _start = clock.GetTimestamp();
    private long _last = clock.GetTimestamp(), _nucleotides;
    private bool _drawn;

    /// <summary>Shows the state of a pre-training run.</summary>
    internal void Show(TrainProgress p, long steps) =>
        Show(p.Step, steps, p.Losses.Total, p.Nucleotides, p.Validation is { } v ? string.Create(CultureInfo.InvariantCulture, $"validation loss {v.Loss:F4}, retrieval {v.Retrieval:P1} of {v.Pairs}, alignment {v.Alignment:F3}, uniformity {v.Uniformity:F3}") : null);

    /// <summary>Shows the state of a fine-tuning run.</summary>
    internal void Show(FineTuneProgress p) =>
        Show(p.Step, p.Steps, p.Loss, p.Nucleotides, p.Validation is { Best: true } v ? string.Create(CultureInfo.InvariantCulture, $"validation loss {v.Loss:F4}, {v.Metric} {v.Score:F4}, the best so far") : null);

    private void Show(long step, long steps, double loss, long nucleotides, string? found)
    {
        _nucleotides += nucleotides;
        if (quiet) return;
        if (found is not null)
        {
            Clear();
            error.WriteLine(string.Create(CultureInfo.InvariantCulture, $"step {step}: {found}"));
        }
        if (clock.GetElapsedTime(_last) < (interactive ? RedrawEvery : LineEvery)) return;
        _last = clock.GetTimestamp();
        var elapsed = clock.GetElapsedTime(_start);
        double rate = (step - start) / Math.Max(elapsed.TotalSeconds, 1e-3);
        string left = Progress.Duration(TimeSpan.FromSeconds((steps - step) / Math.Max(rate, 1e-9)));
        string line = string.Create(CultureInfo.InvariantCulture, $"step {step}/{steps}, loss {loss:F4}, {rate:G3} steps/s, {Progress.Rate(_nucleotides, elapsed)}, {(mayEndEarly ? "at most " : "")}{left} left");
        if (!interactive) error.WriteLine(line);
        else
        {
            error.Write("\r" + line + "\u001b[K");
            _drawn = true;
        }
    }

    /// <summary>Takes the line away.</summary>
    internal void Clear()
    {
        if (_drawn) error.Write("\r\u001b[K");
        _drawn = false;
    }
}
