using Orthrus.Rna;

namespace Orthrus.Train;

/// <summary>A value of a configuration file.</summary>
/// <param name="Path">Keys from the outermost on, joined by dots.</param>
/// <param name="Text">The value without quotes.</param>
/// <param name="Line">Line in the file, from 1.</param>
internal readonly record struct YamlValue(string Path, string Text, int Line);

/// <summary>
/// The part of YAML that configurations need: mappings nested by indentation, plain and quoted scalars, comments. What means something else in YAML, such
/// as lists, anchors, block texts and tabs, is an error, and so is a key that occurs twice.
/// </summary>
internal static class StrictYaml
{
    /// <summary>Reads a file's values in order.</summary>
    /// <param name="file">Its name, for messages.</param>
    /// <param name="text">Its content.</param>
    /// <exception cref="InputDataException">A line is none of the known forms; the message names it.</exception>
    internal static IReadOnlyList<YamlValue> Read(string file, string text)
    {
        var values = new List<YamlValue>();
        var open = new List<(int Indent, string Path)> { (-1, "") };
        var seen = new HashSet<string>(StringComparer.Ordinal);
        string[] lines = text.Split('\n');
        var siblings = new Dictionary<string, int>(StringComparer.Ordinal);
        // A section ends where something less indented follows; an empty one is a mistake.
        int pending = 0;
        for (int i = 0; i < lines.Length; i++)
        {
            string line = lines[i].TrimEnd('\r');
            string content = line.TrimStart(' ');
            int indent = line.Length - content.Length;
            if (content.Length == 0 || content[0] == '#' || content is "---" && values.Count == 0) continue;
            if (content[0] == '\t') throw Wrong("a tab indents the line", "indent with spaces");
            if (content[0] is '-' or '[' or '{' or '&' or '*' or '!' or '|' or '>' or '?' or '%') throw Wrong($"'{content[0]}' begins something that configurations do not have", "write key: value");
            int colon = content.IndexOf(':');
            if (colon <= 0 || (colon + 1 < content.Length && content[colon + 1] != ' ')) throw Wrong("is not key: value", "write a key, a colon, a space and the value");
            while (indent <= open[^1].Indent)
            {
                if (pending == open.Count) throw Wrong("the section above has no values", "give it some, or leave it out");
                open.RemoveAt(open.Count - 1);
            }
            if (siblings.TryGetValue(open[^1].Path, out int expected) && expected != indent) throw Wrong($"is indented by {indent} spaces, its neighbours by {expected}", "indent the keys of a section alike");
            siblings[open[^1].Path] = indent;
            pending = 0;
            string key = content[..colon].TrimEnd(), path = open[^1].Path.Length == 0 ? key : open[^1].Path + "." + key;
            if (!seen.Add(path)) throw Wrong($"{path} occurs twice", "leave one of them out");
            string value = Scalar(content[(colon + 1)..].Trim(), out bool isSection);
            if (!isSection) values.Add(new(path, value, i + 1));
            else
            {
                open.Add((indent, path));
                pending = open.Count;
            }

            InputDataException Wrong(string problem, string remedy) => new(file, $"line {i + 1}", problem, remedy);

            string Scalar(string rest, out bool section)
            {
                section = false;
                if (rest.Length == 0 || rest[0] == '#')
                {
                    section = true;
                    return "";
                }
                if (rest[0] is '"' or '\'')
                {
                    int end = rest.IndexOf(rest[0], 1);
                    string after = end < 0 ? "" : rest[(end + 1)..].TrimStart();
                    if (end < 0 || (after.Length > 0 && after[0] != '#') || rest[..end].Contains('\\')) throw Wrong("the quoted value is not closed, or has an escape", "close it; escapes are not known");
                    return rest[1..end];
                }
                if (rest[0] is '[' or '{' or '&' or '*' or '!' or '|' or '>' or '%' or '@' or '`') throw Wrong($"'{rest[0]}' begins a value that configurations do not have", "give one plain value");
                int comment = rest.IndexOf(" #", StringComparison.Ordinal);
                return comment < 0 ? rest : rest[..comment].TrimEnd();
            }
        }
        if (pending > 0) throw new InputDataException(file, $"line {lines.Length}", "the last section has no values", "give it some, or leave it out");
        return values;
    }
}
