namespace Orthrus.Train;

/// <summary>Batches of several ranks as one row: those of a step stand together, in the order of the ranks.</summary>
/// <param name="ranks">Where each rank's batches come from.</param>
public sealed class RankBatches(IReadOnlyList<IPairBatches> ranks) : IPairBatches
{
    /// <inheritdoc/>
    public PairBatch Batch(long step) => ranks[(int)(step % ranks.Count)].Batch(step / ranks.Count);
}
