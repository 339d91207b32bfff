using System.Globalization;

namespace Orthrus.Bench.Speed;

/// <summary>A table of text cells, in columns or as Markdown.</summary>
internal sealed class TextTable(params string[] header)
{
    private readonly List<string[]> _rows = [header];

    internal void Add(params object[] cells) => _rows.Add([.. cells.Select(c => Convert.ToString(c, CultureInfo.InvariantCulture)!)]);

    internal void Write(TextWriter writer, string title, bool markdown)
    {
        writer.WriteLine();
        writer.WriteLine(title + (markdown ? ":\n" : ""));
        int[] widths = [.. header.Select((_, c) => _rows.Max(r => r[c].Length))];
        foreach (var row in _rows)
        {
            var cells = row.Select((cell, c) => c == 0 ? cell.PadRight(widths[c]) : cell.PadLeft(widths[c]));
            writer.WriteLine(markdown ? $"| {string.Join(" | ", cells)} |" : string.Join("  ", cells).TrimEnd());
            if (markdown && row == header) writer.WriteLine($"|{string.Join('|', widths.Select((w, c) => c == 0 ? new string('-', w + 2) : new string('-', w + 1) + ":"))}|");
        }
    }

    internal static string Count(double v) => v.ToString("N0", CultureInfo.InvariantCulture);

    internal static string Percent(double v) => (100 * v).ToString("F1", CultureInfo.InvariantCulture) + " %";

    internal static string Ratio(double v) => v.ToString("F2", CultureInfo.InvariantCulture);
}
