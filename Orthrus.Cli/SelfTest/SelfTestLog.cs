using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Orthrus.Tensor.Cuda;

namespace Orthrus.Cli.SelfTest;

/// <summary>What a check found.</summary>
/// <param name="Detail">In words, for the table.</param>
/// <param name="Share">The largest error over its limit; NaN where nothing has a limit.</param>
/// <param name="Problems">One line per thing that is wrong.</param>
internal sealed record Finding(string Detail, double Share, IReadOnlyList<string> Problems)
{
    /// <summary>Something that is right or wrong and has no error.</summary>
    internal static Finding Of(string detail, params IEnumerable<string> problems) => new(detail, double.NaN, [.. problems]);
}

/// <summary>One line of the table.</summary>
/// <param name="Group">Kind of check.</param>
/// <param name="Case">What was checked.</param>
/// <param name="DTypes">Precisions.</param>
/// <param name="Finding">The verdict.</param>
/// <param name="Seconds">How long it took.</param>
internal sealed record Check(string Group, string Case, string DTypes, Finding Finding, double Seconds)
{
    internal bool Passed => Finding.Problems.Count == 0;
}

/// <summary>Runs checks one after the other and prints a line for each as it ends.</summary>
/// <param name="lines">Where the table goes.</param>
/// <param name="cancel">Ends the run between two checks.</param>
internal sealed class SelfTestLog(TextWriter lines, CancellationToken cancel)
{
    private const int MostProblems = 5;
    private readonly List<Check> _checks = [];
    private readonly Stopwatch _clock = Stopwatch.StartNew();

    internal IReadOnlyList<Check> Checks => _checks;

    internal bool Passed => _checks.All(c => c.Passed);

    internal void Head(string title)
    {
        lines.WriteLine(title);
        lines.WriteLine($"{"check",-12}  {"case",-36}  {"type",-8}  {"",-4}  {"time",7}  largest error / limit");
    }

    internal void Run(string group, string name, string dtypes, Func<Finding> check)
    {
        cancel.ThrowIfCancellationRequested();
        var clock = Stopwatch.StartNew();
        Finding finding;
        bool lost = false;
        try
        {
            finding = check();
        }
        catch (Exception e) when (e is not (OutOfMemoryException or OperationCanceledException))
        {
            finding = Finding.Of("", $"{e.GetType().Name}: {e.Message}");
            lost = e is CudaException { IsSticky: true };
        }
        var line = new Check(group, name, dtypes, finding, clock.Elapsed.TotalSeconds);
        _checks.Add(line);
        lines.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{group,-12}  {name,-36}  {dtypes,-8}  {(line.Passed ? "ok" : "FAIL"),-4}  {line.Seconds,5:F1} s  {finding.Detail}"));
        foreach (string problem in finding.Problems.Take(MostProblems)) lines.WriteLine($"    {name}: {problem}");
        if (finding.Problems.Count > MostProblems) lines.WriteLine($"    and {finding.Problems.Count - MostProblems} more");
        lines.Flush();
        if (lost) throw new DeviceLostException();
    }

    internal void Tail()
    {
        int failed = _checks.Count(c => !c.Passed);
        lines.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{_checks.Count} checks, {(failed == 0 ? "all passed" : $"{failed} FAILED")}, {_clock.Elapsed.TotalSeconds:F0} s"));
    }

    internal void WriteJson(Utf8JsonWriter json)
    {
        json.WriteBoolean("passed", Passed);
        json.WriteNumber("seconds", Math.Round(_clock.Elapsed.TotalSeconds, 1));
        json.WriteStartArray("checks");
        foreach (var c in _checks)
        {
            json.WriteStartObject();
            json.WriteString("check", c.Group);
            json.WriteString("case", c.Case);
            json.WriteString("dtypes", c.DTypes);
            json.WriteBoolean("passed", c.Passed);
            if (double.IsFinite(c.Finding.Share)) json.WriteNumber("share_of_limit", c.Finding.Share);
            json.WriteString("detail", c.Finding.Detail);
            json.WriteNumber("seconds", Math.Round(c.Seconds, 3));
            json.WriteStartArray("problems");
            foreach (string problem in c.Finding.Problems) json.WriteStringValue(problem);
            json.WriteEndArray();
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }
}

/// <summary>A kernel failed so that nothing more can run on the device in this process.</summary>
internal sealed class DeviceLostException : Exception;
