namespace Orthrus.Rna;

/// <summary>
/// One record of the input in input order: a transcript, or the reason why there is none. Records that a filter removed do not appear.
/// </summary>
/// <param name="Row">0-based number of the record among those delivered, skipped ones included.</param>
/// <param name="Id">Identifier; "record_N" (1-based) where the source names none.</param>
/// <param name="Transcript">The transcript, or null where the record was skipped.</param>
/// <param name="SkipReason">Why it was skipped, or null.</param>
public sealed record TranscriptRecord(long Row, string Id, Transcript? Transcript, string? SkipReason)
{
    /// <summary>The kind of <see cref="SkipReason"/>, without what is particular to the record; what reports count by. Null where not skipped.</summary>
    public string? SkipKind { get; init; }
}
