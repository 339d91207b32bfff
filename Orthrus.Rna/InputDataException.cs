namespace Orthrus.Rna;

/// <summary>
/// Input that cannot be used as it is. The message is one line that names file, record and remedy; the command prints it and
/// ends with exit code 3.
/// </summary>
public class InputDataException : Exception
{
    /// <summary>Creates the error.</summary>
    /// <param name="file">The file at fault as the user named it, or null where there is none (stdin is "-").</param>
    /// <param name="record">Record, line or contig inside the file, e.g. "line 12" or "record ENST0001"; null where there is none.</param>
    /// <param name="problem">What is wrong, without a full stop at the end.</param>
    /// <param name="remedy">What the user can do about it; null where nothing sensible can be said.</param>
    /// <param name="inner">The cause, shown only with --verbose.</param>
    public InputDataException(string? file, string? record, string problem, string? remedy = null, Exception? inner = null)
        : base(Compose(file, record, problem, remedy), inner)
    {
        File = file;
        Record = record;
    }

    /// <summary>The file at fault, or null.</summary>
    public string? File { get; }

    /// <summary>The record at fault, or null.</summary>
    public string? Record { get; }

    private static string Compose(string? file, string? record, string problem, string? remedy)
    {
        string where = string.Join(", ", new[] { file, record }.Where(s => !string.IsNullOrEmpty(s)));
        string text = (where.Length > 0 ? where + ": " : "") + problem + (string.IsNullOrEmpty(remedy) ? "" : "; " + remedy);
        return OneLine(text);
    }

    // Control characters of hostile input must neither break the line nor reach the terminal.
    private static string OneLine(string text)
    {
        Span<char> line = text.Length <= 1024 ? stackalloc char[text.Length] : new char[text.Length];
        for (int i = 0; i < text.Length; i++) line[i] = char.IsControl(text[i]) ? '?' : text[i];
        return new string(line);
    }
}
