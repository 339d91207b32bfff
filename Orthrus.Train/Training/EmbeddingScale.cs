using Orthrus.Mamba;
using Orthrus.Rna;

namespace Orthrus.Train;

/// <summary>
/// Brings the numbers of a model's embeddings to one scale over transcripts of a corpus, without changing what the model computes otherwise. An embedding is the mean over positions of the last
/// norm's output, and so linear in that norm's weight and bias: mean and scale are folded into these two, and their inverse into the first layer of every head, whose results stay the same but for
/// rounding. With whitening the residual stream is turned as well (<see cref="StreamRotation"/>), so that the numbers are principal components.
/// </summary>
/// <remarks>
/// A contrast of cosines leaves most of an embedding common to all transcripts, and what tells them apart small. Penalised probes and cosines between embeddings then see little of it.
/// Heads that are a norm alone, without a linear layer, have no place for the inverse and are left out.
/// </remarks>
public static class EmbeddingScale
{
    /// <summary>Transcripts that are enough: the mean of a number is then known to 2 % of its standard deviation.</summary>
    public const int Transcripts = 2000;

    // A number that hardly moves is noise of rounding; it keeps its size.
    private const double SmallestDeviation = 1e-6;

    /// <summary>Makes the model whose embeddings are standardised.</summary>
    /// <param name="model">A model with mean pooling in mind; it stays as it is.</param>
    /// <param name="corpus">A corpus; of its training transcripts every n-th is embedded, such that <paramref name="transcripts"/> are.</param>
    /// <param name="whitening">
    /// Null brings every number to standard deviation 1. From 0 to 0.5: the numbers become principal components, whose variances v are brought to v^(1 - 2 whitening), 1 in the mean; 0.5 makes all of them 1.
    /// </param>
    /// <param name="transcripts">How many to embed, at least 2; several times the model's width for whitening.</param>
    /// <param name="options">How to embed them; null takes all cores and float32.</param>
    /// <param name="report">Receives the number of transcripts embedded and of all that will be.</param>
    /// <returns>A float32 model of the same name.</returns>
    /// <exception cref="InputDataException">Fewer than two training transcripts.</exception>
    /// <exception cref="CheckpointException">A head has no bias that could take the shift, or a norm has weights of 0.</exception>
    public static OrthrusModel Standardise(OrthrusModel model, CorpusFile corpus, double? whitening = null, int transcripts = Transcripts, EmbedderOptions? options = null, Action<int, int>? report = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(corpus);
        ArgumentOutOfRangeException.ThrowIfLessThan(transcripts, 2);
        if (whitening is not null and not (>= 0 and <= 0.5)) throw new ArgumentOutOfRangeException(nameof(whitening), whitening, "is from 0 to 0.5");
        double[][] embeddings = Embed(model, corpus, transcripts, options, report);
        var map = whitening is { } power ? StreamRotation.Principal(model, embeddings, power) : Diagonal(model, embeddings);
        return map.Apply(model);
    }

    private static double[][] Embed(OrthrusModel model, CorpusFile corpus, int transcripts, EmbedderOptions? options, Action<int, int>? report)
    {
        int[] all = [.. Enumerable.Range(0, corpus.Count).Where(t => corpus.Split(t) == CorpusSplit.Train && corpus.Length(t) > 0)];
        int n = Math.Min(transcripts, all.Length), done = 0;
        if (n < 2) throw new InputDataException(corpus.Path, null, $"has {n} training transcripts; a standard deviation needs two", "give the corpus that the model was trained on");
        var embeddings = new double[n][];
        using var embedder = new Embedder(model, (options ?? new()) with { Pooling = Pooling.Mean });
        foreach (var e in embedder.EmbedAll(Enumerable.Range(0, n).Select(i => all[(int)((long)i * all.Length / n)]), t => (ReadOnlyMemory<byte>)corpus.Tracks(t).ToArray()))
        {
            embeddings[done++] = e.Vector64 ?? Array.ConvertAll(e.Vector, v => (double)v);
            report?.Invoke(done, n);
        }
        return embeddings;
    }

    private static StreamRotation Diagonal(OrthrusModel model, double[][] embeddings)
    {
        double[] mean = StreamRotation.Mean(embeddings);
        var deviation = mean.Select((m, i) => Math.Sqrt(embeddings.Average(e => (e[i] - m) * (e[i] - m)))).Select(d => d > SmallestDeviation ? d : 1).ToArray();
        double[] weight = model.Encoder["norm_f.weight"].ToDouble(), bias = model.Encoder["norm_f.bias"].ToDouble();
        return new StreamRotation(null, [.. weight.Select((w, i) => w / deviation[i])], [.. bias.Select((b, i) => (b - mean[i]) / deviation[i])]);
    }
}
