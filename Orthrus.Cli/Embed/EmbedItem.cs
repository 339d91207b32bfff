using Orthrus.Rna;

namespace Orthrus.Cli.Embed;

/// <summary>A transcript on its way through the encoder, with the records that were skipped before it.</summary>
internal sealed record EmbedItem(Transcript Transcript, IReadOnlyList<TranscriptRecord> SkippedBefore);

/// <summary>
/// Takes the records of a source apart for one run: those of other shards are passed over, those that the output already holds are
/// replayed, the rest are to be embedded. Keeps the counts that the description and the summary state.
/// </summary>
internal sealed class EmbedQueue(TranscriptSource source, Shard shard, long held, Action<Transcript> replay)
{
    private readonly SortedDictionary<string, long> _skippedByReason = new(StringComparer.Ordinal);
    private List<TranscriptRecord> _skipped = [];
    private long _number;

    /// <summary>Transcripts of this shard so far, replayed ones included.</summary>
    internal long Records { get; private set; }

    /// <summary>Their nucleotides.</summary>
    internal long Nucleotides { get; private set; }

    /// <summary>Transcripts that were not replayed.</summary>
    internal long Fresh { get; private set; }

    /// <summary>Transcripts without a known CDS.</summary>
    internal long WithoutCds { get; private set; }

    /// <summary>Skipped records of this shard by reason.</summary>
    internal IReadOnlyDictionary<string, long> SkippedByReason => _skippedByReason;

    internal long Skipped => _skippedByReason.Values.Sum();

    /// <summary>Records that were skipped after the last transcript; complete once <see cref="Items"/> has ended.</summary>
    internal IReadOnlyList<TranscriptRecord> Trailing => _skipped;

    /// <summary>The transcripts to embed, in input order.</summary>
    internal IEnumerable<EmbedItem> Items()
    {
        foreach (var record in source.Read())
        {
            // Shards count transcripts, not records, so that rows of n shards interleave to the rows of the whole. A record that was
            // skipped belongs to the shard of the transcript that follows it.
            bool mine = shard.Holds(_number);
            if (record.Transcript is not { } transcript)
            {
                if (mine) Skip(record);
                continue;
            }
            _number++;
            if (!mine) continue;
            Records++;
            Nucleotides += transcript.Length;
            if (transcript.Cds is null && !transcript.CdsKnown) WithoutCds++;
            var before = _skipped;
            _skipped = [];
            if (Records <= held)
            {
                replay(transcript);
                continue;
            }
            Fresh++;
            yield return new EmbedItem(transcript, before);
        }
    }

    private void Skip(TranscriptRecord record)
    {
        _skipped.Add(record);
        string kind = record.SkipKind ?? record.SkipReason ?? "unusable";
        _skippedByReason[kind] = _skippedByReason.GetValueOrDefault(kind) + 1;
    }
}
