namespace Orthrus.Mamba.Streaming;

/// <summary>A record under way: its tracks, how far they have been cut into chunks, and the running pool.</summary>
internal abstract class StreamRecord
{
    internal ReadOnlyMemory<byte> Tracks;
    /// <summary>Positions already cut into chunks.</summary>
    internal int Fed;
    /// <summary>Positions pooled so far.</summary>
    internal int Pooled;
    /// <summary>Sum or maximum over positions, or the last position, in double.</summary>
    internal required double[] Pool;

    /// <summary>Called with per-position results in ascending order, from one thread at a time.</summary>
    internal abstract void Positions(int start, ReadOnlySpan<float> rows, ReadOnlySpan<double> rows64);
    internal abstract bool WantsPositions { get; }
}

/// <summary>A piece of a record inside a chunk.</summary>
/// <param name="Record">Whose.</param>
/// <param name="Start">First row in the chunk.</param>
/// <param name="Length">Rows.</param>
/// <param name="Position">Position of the first row in the record.</param>
internal readonly record struct Segment(StreamRecord Record, int Start, int Length, int Position)
{
    internal bool IsLast => Position + Length == Record.Tracks.Length;
}

/// <summary>Rows that go through the layers together: pieces of one or several records, laid end to end.</summary>
internal sealed class Chunk
{
    internal required byte[] Tracks;
    internal readonly List<Segment> Segments = [];
    internal int Rows;
    /// <summary>Order of the chunk in the stream.</summary>
    internal long Index;
    /// <summary>Layers done; the next task of the chunk is this layer.</summary>
    internal int Layer;
    internal bool Running;
    /// <summary>Place of its residual buffer.</summary>
    internal int Slot;
}
