using System.Buffers;
using System.Globalization;
using Orthrus.Rna;

namespace Orthrus.Mamba.Outputs;

/// <summary>
/// The table beside an embedding file: one line per record of the input, skipped ones included, with columns row (of the embedding,
/// 0-based; empty where skipped), id, length (nucleotides), cds ("start-end", 0-based half-open transcript coordinates; "-" where there
/// is none, "NA" where unknown), exons (their number, "NA" where unknown) and notes.
/// </summary>
public sealed class EmbeddingIndex
{
    /// <summary>The header line, without its end.</summary>
    public const string Columns = "row\tid\tlength\tcds\texons\tnotes";

    private static readonly SearchValues<char> Breaks = SearchValues.Create("\t\r\n");
    private readonly Stream _stream;
    private readonly TextLine _line = new();

    /// <summary>Begins the table, or goes on where the stream already holds a part of it.</summary>
    /// <param name="stream">A stream of text; it stays the caller's to close.</param>
    /// <param name="rows">Rows that the stream already holds.</param>
    public EmbeddingIndex(Stream stream, long rows = 0)
    {
        ArgumentNullException.ThrowIfNull(stream);
        _stream = stream;
        Rows = rows;
        if (stream.CanSeek && stream.Length > 0)
        {
            stream.Seek(0, SeekOrigin.End);
            return;
        }
        _line.Text(Columns);
        _line.EndTo(stream);
    }

    /// <summary>Embeddings listed so far.</summary>
    public long Rows { get; private set; }

    /// <summary>Adds the line of a transcript, whose embedding is the next row.</summary>
    /// <param name="transcript">The transcript.</param>
    /// <param name="blank">True where its CDS and exons were not used.</param>
    /// <param name="arrayName">Name of its array, in a per-position layout; noted where it is not the identifier.</param>
    public void Add(Transcript transcript, bool blank = false, string? arrayName = null)
    {
        ArgumentNullException.ThrowIfNull(transcript);
        _line.Text(Rows.ToString(CultureInfo.InvariantCulture));
        Rows++;
        Field(Cell(transcript.Id));
        Field(transcript.Length.ToString(CultureInfo.InvariantCulture));
        Field(blank ? "NA" : transcript.Cds is var (start, end)
            ? string.Create(CultureInfo.InvariantCulture, $"{start}-{end}")
            : transcript.CdsKnown ? "-" : "NA");
        Field(blank || transcript.Junctions is null ? "NA" : (transcript.Junctions.Count + 1).ToString(CultureInfo.InvariantCulture));
        string renamed = arrayName is null || arrayName == transcript.Id ? "" : "array " + arrayName;
        Field(Cell(transcript.Notes.Length > 0 && renamed.Length > 0 ? transcript.Notes + "; " + renamed : transcript.Notes + renamed));
        _line.EndTo(_stream);
    }

    /// <summary>Adds the line of a record that was skipped.</summary>
    /// <param name="id">Its identifier.</param>
    /// <param name="reason">Why it was skipped.</param>
    public void AddSkipped(string id, string reason)
    {
        Field(Cell(id));
        Field("");
        Field("NA");
        Field("NA");
        Field("skipped: " + Cell(reason));
        _line.EndTo(_stream);
    }

    /// <summary>The text with tabs and line ends as blanks, so that a table stays a table.</summary>
    internal static string Cell(string text) =>
        text.AsSpan().ContainsAny(Breaks) ? text.Replace('\t', ' ').Replace('\r', ' ').Replace('\n', ' ') : text;

    private void Field(string text)
    {
        _line.Byte((byte)'\t');
        _line.Text(text);
    }
}
