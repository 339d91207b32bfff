using Orthrus.Mamba.Outputs;

namespace Orthrus.Cli.Embed;

/// <summary>
/// Brings arrays of positions into the order of the records. The encoder works on several short records at once, so that positions of a
/// later record may come before the earlier one is complete: those wait, those of the first unfinished record go straight to the writer. Between
/// <see cref="Complete"/> and <see cref="GoOn"/> the writer is left alone, whatever the encoder's threads deliver, so that it can be saved.
/// </summary>
/// <param name="writer">Receives the records.</param>
/// <param name="failed">What to throw where the system refuses a write.</param>
internal sealed class PositionQueue<T>(EmbeddingWriter writer, Func<Exception, Exception> failed) where T : unmanaged
{
    private sealed class Entry(string id, long length)
    {
        internal readonly string Id = id;
        internal readonly long Length = length;
        internal readonly List<T[]> Waiting = [];
        internal bool Begun;
    }

    private readonly Dictionary<EmbedItem, Entry> _entries = new(ReferenceEqualityComparer.Instance);
    private readonly Queue<EmbedItem> _order = new();
    private readonly Lock _gate = new();
    private bool _held;

    /// <summary>Announces a record, in input order.</summary>
    internal void Enter(EmbedItem item)
    {
        lock (_gate)
        {
            _entries.Add(item, new Entry(item.Transcript.Id, item.Transcript.Length));
            _order.Enqueue(item);
        }
    }

    /// <summary>Takes the next positions of a record.</summary>
    internal void Add(EmbedItem item, ReadOnlySpan<T> values)
    {
        lock (_gate)
        {
            var entry = _entries[item];
            if (!_held && ReferenceEquals(_order.Peek(), item)) Write(entry, values);
            else entry.Waiting.Add(values.ToArray());
        }
    }

    /// <summary>Ends the first unfinished record, of which all positions have come.</summary>
    internal void Complete(EmbedItem item)
    {
        lock (_gate)
        {
            if (!ReferenceEquals(_order.Dequeue(), item)) throw new InvalidOperationException("records came out of order");
            _entries.Remove(item, out var entry);
            Write(entry!, [], end: true);
            _held = true;
        }
    }

    /// <summary>Lets positions reach the writer again.</summary>
    internal void GoOn()
    {
        lock (_gate) _held = false;
    }

    private void Write(Entry entry, ReadOnlySpan<T> values, bool end = false)
    {
        try
        {
            if (!entry.Begun)
            {
                entry.Begun = true;
                writer.BeginRecord(entry.Id, entry.Length);
            }
            foreach (T[] waiting in entry.Waiting) Give(waiting);
            entry.Waiting.Clear();
            Give(values);
            if (end) writer.EndRecord();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw failed(e);
        }
    }

    private void Give(ReadOnlySpan<T> values)
    {
        if (typeof(T) == typeof(float)) writer.AddPositions(System.Runtime.InteropServices.MemoryMarshal.Cast<T, float>(values));
        else writer.AddPositions(System.Runtime.InteropServices.MemoryMarshal.Cast<T, double>(values));
    }
}
