using Orthrus.Mamba;
using Orthrus.Rna;

namespace Orthrus.Train;

/// <summary>
/// Brings the numbers of a model's embeddings to mean 0 and standard deviation 1 over transcripts of a corpus. An embedding is the mean over positions of the last norm's output,
/// and so linear in that norm's weight and bias: the scale is folded into these two, and its inverse into the first layer of every head (or the running statistics, where that is a batch norm), whose results stay the same but for rounding and the norm's epsilon.
/// </summary>
/// <remarks>
/// A contrast of cosines leaves most of an embedding common to all transcripts, and what tells them apart small. Penalised probes and cosines between embeddings then see little of it.
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
    /// <param name="transcripts">How many to embed, at least 2.</param>
    /// <param name="options">How to embed them; null takes all cores and float32.</param>
    /// <param name="report">Receives the number of transcripts embedded and of all that will be.</param>
    /// <returns>A float32 model of the same name.</returns>
    /// <exception cref="InputDataException">Fewer than two training transcripts.</exception>
    /// <exception cref="CheckpointException">A head has no place for the shift.</exception>
    public static OrthrusModel Standardise(OrthrusModel model, CorpusFile corpus, int transcripts = Transcripts, EmbedderOptions? options = null, Action<int, int>? report = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(corpus);
        ArgumentOutOfRangeException.ThrowIfLessThan(transcripts, 2);
        int[] all = [.. Enumerable.Range(0, corpus.Count).Where(t => corpus.Split(t) == CorpusSplit.Train && corpus.Length(t) > 0)];
        int n = Math.Min(transcripts, all.Length), width = model.Config.DModel, done = 0;
        if (n < 2) throw new InputDataException(corpus.Path, null, $"has {n} training transcripts; a standard deviation needs two", "give the corpus that the model was trained on");
        double[] mean = new double[width], square = new double[width];
        using (var embedder = new Embedder(model, (options ?? new()) with { Pooling = Pooling.Mean }))
        {
            foreach (var e in embedder.EmbedAll(Enumerable.Range(0, n).Select(i => all[(int)((long)i * all.Length / n)]), t => (ReadOnlyMemory<byte>)corpus.Tracks(t).ToArray()))
            {
                // Welford's updates: the deviation may be far smaller than the mean.
                done++;
                for (int i = 0; i < width; i++)
                {
                    double before = e.Vector[i] - mean[i];
                    mean[i] += before / done;
                    square[i] += before * (e.Vector[i] - mean[i]);
                }
                report?.Invoke(done, n);
            }
        }
        var deviation = Array.ConvertAll(square, s => Math.Sqrt(s / n) is var d && d > SmallestDeviation ? d : 1);
        return Rescaled(model, mean, deviation);
    }

    private static OrthrusModel Rescaled(OrthrusModel model, double[] mean, double[] deviation)
    {
        var encoder = new StateDict();
        foreach (var t in model.Encoder)
            encoder.Add(t.Name switch
            {
                "norm_f.weight" => With(t, (v, i) => v / deviation[i]),
                "norm_f.bias" => With(t, (v, i) => (v - mean[i]) / deviation[i]),
                _ => t,
            });
        var heads = new StateDict();
        // A head without linear layers: what it normalises is measured in new units.
        if (model.DescribeHeads().FirstOrDefault(h => h is { Layers: 0, Norm: not HeadNorm.BatchNorm }) is { } head)
            throw new CheckpointException(model.Source, head.Name, "a head that is a layer norm has no place for the inverse of the scale", "leave the head out");
        string[] alone = [.. model.DescribeHeads().Where(h => h.Layers == 0).Select(h => h.Name + ".layers.0")];
        string[] firsts = [.. model.DescribeHeads().Where(h => h.Layers > 0).Select(h => h.Name + (h.PerPosition ? ".fc1" : ".layers.0"))];
        if (firsts.FirstOrDefault(f => !model.Heads.Contains(f + ".bias")) is { } without)
            throw new CheckpointException(model.Source, without, "the layer has no bias that could take the shift of standardised embeddings", "leave the head out");
        foreach (var t in model.Heads)
        {
            string first = t.Name[..Math.Max(0, t.Name.LastIndexOf('.'))];
            if (alone.Contains(first) && t.Name.EndsWith(".running_mean", StringComparison.Ordinal)) heads.Add(With(t, (v, i) => (v - mean[i]) / deviation[i]));
            else if (alone.Contains(first) && t.Name.EndsWith(".running_var", StringComparison.Ordinal)) heads.Add(With(t, (v, i) => v / (deviation[i] * deviation[i])));
            else if (!firsts.Contains(first)) heads.Add(t);
            else if (t.Name.EndsWith(".weight", StringComparison.Ordinal)) heads.Add(With(t, (v, i) => v * deviation[i % deviation.Length]));
            else
            {
                double[] weight = model.Heads[first + ".weight"].ToDouble();
                heads.Add(With(t, (v, row) => v + mean.Select((m, i) => m * weight[row * mean.Length + i]).Sum()));
            }
        }
        return new OrthrusModel
        {
            Config = model.Config, Encoder = encoder, Heads = heads, Name = model.Name, Source = model.Source, Format = model.Format, Sha256 = model.Sha256, Trained = model.Trained, Task = model.Task, Provenance = model.Provenance,
        };
    }

    private static StateTensor With(StateTensor t, Func<double, int, double> value)
    {
        double[] old = t.ToDouble();
        return StateTensor.FromSingle(t.Name, [.. old.Select((v, i) => (float)value(v, i))], [.. t.Shape]);
    }
}
