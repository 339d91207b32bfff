using System.Globalization;
using System.Text;
using System.Text.Json;
using Orthrus.Rna;

namespace Orthrus.Train.Probing;

/// <summary>Results as files: JSON (an array of objects), CSV and tab-separated text, with the columns task, target, model, split, metric, value, low, high, n.</summary>
public static class ProbeReport
{
    private static readonly string[] Columns = ["task", "target", "model", "split", "metric", "value", "low", "high", "n"];

    /// <summary>A JSON array with an object per row; what is not defined is null.</summary>
    /// <param name="rows">The rows.</param>
    public static byte[] Json(IReadOnlyList<ProbeRow> rows)
    {
        ArgumentNullException.ThrowIfNull(rows);
        using var memory = new MemoryStream();
        using (var json = new Utf8JsonWriter(memory, new JsonWriterOptions { Indented = true, NewLine = "\n" }))
        {
            json.WriteStartArray();
            foreach (var r in rows)
            {
                json.WriteStartObject();
                json.WriteString(Columns[0], r.Task);
                json.WriteString(Columns[1], r.Target);
                json.WriteString(Columns[2], r.Model);
                json.WriteString(Columns[3], r.Split);
                json.WriteString(Columns[4], r.Metric);
                Number(json, Columns[5], r.Value);
                Number(json, Columns[6], r.Low);
                Number(json, Columns[7], r.High);
                json.WriteNumber(Columns[8], r.N);
                json.WriteEndObject();
            }
            json.WriteEndArray();
        }
        memory.WriteByte((byte)'\n');
        return memory.ToArray();
    }

    /// <summary>Rows that <see cref="Json"/> wrote; null values are NaN.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="InputDataException">It is missing, or not of this form.</exception>
    public static IReadOnlyList<ProbeRow> Read(string path)
    {
        try
        {
            using var json = JsonDocument.Parse(File.ReadAllBytes(path));
            return [.. json.RootElement.EnumerateArray().Select(r =>
            {
                string Text(int column) => r.GetProperty(Columns[column]).GetString()!;
                double Number(int column) => r.GetProperty(Columns[column]) is { ValueKind: not JsonValueKind.Null } value ? value.GetDouble() : double.NaN;
                return new ProbeRow(Text(0), Text(1), Text(2), Text(3), Text(4), Number(5), Number(6), Number(7), r.GetProperty(Columns[8]).GetInt32());
            })];
        }
        catch (Exception e) when (e is IOException or JsonException or KeyNotFoundException or InvalidOperationException)
        {
            throw new InputDataException(path, null, "is no table of results", "measure again", e);
        }
    }

    /// <summary>Comma-separated text with a header line; all digits; what is not defined is empty.</summary>
    /// <param name="rows">The rows.</param>
    public static byte[] Csv(IReadOnlyList<ProbeRow> rows)
    {
        ArgumentNullException.ThrowIfNull(rows);
        var text = new StringBuilder(string.Join(',', Columns)).Append('\n');
        foreach (var r in rows)
            text.AppendJoin(',', Quoted(r.Task), Quoted(r.Target), Quoted(r.Model), r.Split, r.Metric, Exact(r.Value), Exact(r.Low), Exact(r.High), r.N.ToString(CultureInfo.InvariantCulture)).Append('\n');
        return Encoding.UTF8.GetBytes(text.ToString());
    }

    /// <summary>Tab-separated lines for people: a header, then a line per row with four decimals.</summary>
    /// <param name="rows">The rows.</param>
    public static IEnumerable<string> Lines(IReadOnlyList<ProbeRow> rows)
    {
        ArgumentNullException.ThrowIfNull(rows);
        yield return string.Join('\t', Columns);
        foreach (var r in rows)
            yield return string.Join('\t', r.Task, r.Target, r.Model, r.Split, r.Metric, Rounded(r.Value), Rounded(r.Low), Rounded(r.High), r.N.ToString(CultureInfo.InvariantCulture));
    }

    private static void Number(Utf8JsonWriter json, string name, double value)
    {
        if (double.IsFinite(value)) json.WriteNumber(name, value);
        else json.WriteNull(name);
    }

    private static string Exact(double value) => double.IsFinite(value) ? value.ToString("R", CultureInfo.InvariantCulture) : "";

    private static string Rounded(double value) => double.IsFinite(value) ? value.ToString("F4", CultureInfo.InvariantCulture) : "NA";

    private static string Quoted(string text) => text.AsSpan().IndexOfAny(',', '"', '\n') < 0 ? text : "\"" + text.Replace("\"", "\"\"") + "\"";
}
