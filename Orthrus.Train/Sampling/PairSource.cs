namespace Orthrus.Train;

/// <summary>Batches of pairs from a corpus file; safe to use from several threads.</summary>
public sealed class PairSource : IPairBatches, IDisposable
{
    /// <summary>Opens a corpus file and draws pairs from it as the options say.</summary>
    /// <exception cref="Orthrus.Rna.InputDataException">The file is no corpus or damaged, or has too few pairs for one batch.</exception>
    public static PairSource Open(string path, PairOptions options) => throw new NotImplementedException();

    /// <summary>Batches of an epoch.</summary>
    public long BatchesPerEpoch => throw new NotImplementedException();

    /// <summary>Transcripts that are drawn in an epoch, each once as the first of a pair.</summary>
    public int Keys => throw new NotImplementedException();

    /// <inheritdoc/>
    public PairBatch Batch(long step) => throw new NotImplementedException();

    /// <inheritdoc/>
    public void Dispose() => throw new NotImplementedException();
}
