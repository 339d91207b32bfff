using System.Globalization;
using System.Text.Json;
using Orthrus.Tensor;

namespace Orthrus.Autograd;

/// <summary>Prints what <see cref="GradCheck"/> found.</summary>
public static class GradCheckReport
{
    /// <summary>
    /// A table with one line per sample and precision: absolute error and limit of the forward result and of the directional derivative that
    /// came nearest to theirs, and the verdict; below a line that fails, what is wrong.
    /// </summary>
    /// <param name="writer">Where to.</param>
    /// <param name="results">Verdicts.</param>
    public static void Write(TextWriter writer, IReadOnlyList<GradCheckResult> results)
    {
        int op = Math.Max(2, results.Select(r => r.Op.Length).DefaultIfEmpty(0).Max());
        int sample = Math.Max(6, results.Select(r => r.Sample.Length).DefaultIfEmpty(0).Max());
        writer.WriteLine($"{"op".PadRight(op)}  {"sample".PadRight(sample)}  type  {"forward error",13}  {"bound",9}  {"gradient error",14}  {"bound",9}  verdict");
        foreach (var r in results)
        {
            foreach (var dtype in r.DTypes)
            {
                var p = Of(r, dtype);
                writer.WriteLine($"{r.Op.PadRight(op)}  {r.Sample.PadRight(sample)}  {dtype,-4}  {Error(p.ForwardError, p.ForwardBound),13}  {Error(p.ForwardBound, p.ForwardBound),9}  {Error(p.GradientError, p.GradientBound),14}  {Error(p.GradientBound, p.GradientBound),9}  {(r.PassedIn(dtype) ? "ok" : "FAIL")}");
            }
            foreach (string problem in r.Problems) writer.WriteLine($"    {r.Op} {r.Sample}: {problem}");
        }
        int failed = results.Count(r => !r.Passed);
        writer.WriteLine(failed == 0 ? $"{results.Count} samples, all within their bounds" : $"{results.Count} samples, {failed} FAILED");
    }

    /// <summary>The same as JSON: an array of objects, one per sample and precision.</summary>
    /// <param name="stream">Where to; UTF-8.</param>
    /// <param name="results">Verdicts.</param>
    public static void WriteJson(Stream stream, IReadOnlyList<GradCheckResult> results)
    {
        using var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true });
        json.WriteStartArray();
        foreach (var r in results)
            foreach (var dtype in r.DTypes)
            {
                var p = Of(r, dtype);
                json.WriteStartObject();
                json.WriteString("op", r.Op);
                json.WriteString("sample", r.Sample);
                json.WriteString("dtype", dtype.ToString().ToLowerInvariant());
                WriteNumber(json, "forward_error", p.ForwardError);
                WriteNumber(json, "forward_bound", p.ForwardBound);
                WriteNumber(json, "gradient_error", p.GradientError);
                WriteNumber(json, "gradient_bound", p.GradientBound);
                json.WriteBoolean("passed", r.PassedIn(dtype));
                json.WriteStartArray("problems");
                foreach (string problem in r.Problems.Where(q => GradCheckResult.IsAbout(q, dtype))) json.WriteStringValue(problem);
                json.WriteEndArray();
                json.WriteEndObject();
            }
        json.WriteEndArray();
    }

    private static PrecisionCheck Of(GradCheckResult r, DType dtype) => dtype switch { DType.F32 => r.F32, DType.BF16 => r.BF16, _ => r.F64 };

    // JSON has no spelling for numbers that are not finite.
    private static void WriteNumber(Utf8JsonWriter json, string name, double value)
    {
        if (double.IsFinite(value)) json.WriteNumber(name, value);
        else json.WriteString(name, Number(value));
    }

    // Without a bound nothing was compared: an update has no gradient, an integer operand neither.
    private static string Error(double v, double bound) => bound == 0 ? "-" : Number(v);

    private static string Number(double v) => v == 0 ? "0" : v.ToString("0.0e-00", CultureInfo.InvariantCulture);
}
