using System.Runtime.InteropServices;
using Orthrus.Autograd;
using Orthrus.Mamba;
using Orthrus.Tensor;

namespace Orthrus.Train;

using Tensor = Orthrus.Tensor.Tensor;

/// <summary>How a step computes.</summary>
public sealed record PretrainStepOptions
{
    /// <summary>The contrastive loss.</summary>
    public ContrastiveOptions Contrastive { get; init; } = new();
    /// <summary>Weights of the attraction by kind of pair. With two heads, the first takes isoforms and records themselves, the second orthologs.</summary>
    public PairWeights PairWeights { get; init; } = PairWeights.Ones;
    /// <summary>Whose losses reach a projection, where there are several ranks.</summary>
    public GatherGradient Gather { get; init; }
    /// <summary>
    /// Pairs (or twice as many rows) that are encoded at a time, without a tape first and with the cached gradient of their embeddings then; 0 encodes the batch at once. The
    /// gradient is the same; batch statistics of the per-position heads are those of each part.
    /// </summary>
    public int MicroPairs { get; init; }
    /// <summary>Keep the values between blocks alone and compute each block again in backward.</summary>
    public bool Recompute { get; init; }
    /// <summary>Keep padding out of the statistics of the per-position heads.</summary>
    public bool MaskedStatistics { get; init; }
}

/// <summary>
/// Losses and gradients of a pre-training step: both views through encoder and heads, the contrastive loss over all ranks, masked bases and predicted
/// tracks where wanted. Gradients are added to the parameters'.
/// </summary>
/// <remarks>
/// Three stages, each on tapes of its own: encoder, heads, contrastive loss. What a later stage gives as the gradient of its inputs is the cotangent of the
/// one before, so that embeddings may come from one pass or from many. Several batches are those of virtual ranks, as upstream trains on several devices: each has its
/// own batch statistics, begins from the first one's running ones, and only the first's are kept. Over several processes the work is shared: of one batch each process
/// encodes some pairs, and every process has heads and loss of all representations; of several batches each process has some, and every process has the loss of all
/// projections. Source: Orthrus; Gao et al. 2021 for the cached gradient.
/// </remarks>
internal sealed class PretrainStep : IDisposable
{
    private readonly PretrainModel _model;
    private readonly Device _device;
    private readonly DType _dtype;
    private readonly PretrainStepOptions _options;
    private readonly List<Rank> _ranks = [];
    private readonly (ProjectionHead Head, PairWeights Weights)[] _heads;
    private readonly ContrastiveLoss[] _losses;
    private readonly Parameter[] _buffers, _trained;
    private readonly HashSet<Parameter> _headParameters;
    private readonly ICollective? _processes;
    private bool _headsRepeated;
    private Action<TapeEvent>? _inspect;

    private sealed class Rank(Tape encoder, Tape heads)
    {
        internal Tape Encoder => encoder;
        internal Tape Heads => heads;
        /// <summary>Rows that went through the encoder together, and their representations.</summary>
        internal readonly List<(int[] Rows, Variable Reps)> Groups = [];
        internal Variable HeadInput;
        internal readonly List<Variable> Outputs = [];
        internal readonly List<Tensor> Cotangents = [];
        internal (Variable Z0, Variable Z1)[] Projections = [];
        internal double MaskedLanguage, SpliceCodon, Words;
        /// <summary>Pairs of the batch that this process encodes.</summary>
        internal int[] Pairs = [];
    }

    /// <summary>Prepares steps of a model.</summary>
    /// <param name="model">The model.</param>
    /// <param name="store">Owner of its parameters.</param>
    /// <param name="options">Options.</param>
    /// <param name="processes">Those that share the work, or null for this one alone.</param>
    internal PretrainStep(PretrainModel model, ParameterStore store, PretrainStepOptions options, ICollective? processes = null)
    {
        _processes = processes;
        (_model, _device, _dtype, _options) = (model, store.Device, store.DType, options);
        var w = options.PairWeights;
        _heads = model.DualHeads is { } dual ? [(dual.SpliceSelf, w with { Ortholog = 0 }), (dual.Ortho, new(0, 0, w.Ortholog))]
            : model.ContrastiveHead is { } single ? [(single, w)] : [];
        _losses = [.. _heads.Select(_ => new ContrastiveLoss(_device, options.Contrastive))];
        _buffers = [.. model.NamedParameters().Where(p => p.Value.IsBuffer).Select(p => p.Value)];
        _trained = [.. model.NamedParameters().Where(p => !p.Value.IsBuffer && p.Value.RequiresGrad).Select(p => p.Value)];
        _headParameters = [.. _heads.SelectMany(h => h.Head.NamedParameters().Select(p => p.Value))];
    }

    /// <summary>Rows that are on their way through the encoder, and pairs of their batch; null in other stages.</summary>
    internal (int[] Rows, int Pairs)? InWork { get; private set; }

    /// <summary>Computes losses and adds gradients.</summary>
    /// <param name="batches">The batch of each virtual rank; one where there is one. Every process gives all of them.</param>
    /// <param name="weights">Weights of the losses.</param>
    /// <param name="scale">Factor on the gradient, for steps of several batches.</param>
    /// <param name="inspect">Sees every result of every operator, see <see cref="Tape.Inspect"/>.</param>
    internal StepLosses Run(IReadOnlyList<TrainBatch> batches, in LossWeights weights, double scale = 1, Action<TapeEvent>? inspect = null)
    {
        _inspect = inspect;
        _model.Encoder.Recompute = _options.Recompute && inspect is null;
        while (_ranks.Count < batches.Count) _ranks.Add(new(new Tape(_device), new Tape(_device)));
        using var scope = _device.OpenScope();
        double share = scale / batches.Count;
        var running = batches.Count > 1 ? new RunningStatistics(scope, _buffers) : null;
        int[] own = Divide(batches);
        foreach (int r in own)
        {
            running?.Begin();
            InWork = null;
            var reps = Encode(scope, _ranks[r], batches[r], weights, share);
            if (_headsRepeated && _heads.Length > 0) _processes!.GatherRows(reps, [.. RankShare.Pairs(batches[r].Pairs.Lengths, _processes!.Ranks).Select(pairs => RankShare.Rows(pairs, batches[r].Pairs.Pairs))]);
            Project(_ranks[r], reps, batches[r].Pairs.Pairs);
            if (r == 0) running?.KeepThese();
        }
        var contrastive = Contrast(scope, batches, own, weights.Contrastive * share);
        foreach (int r in own)
        {
            // Per-position heads of parts run only now.
            if (Cached(_ranks[r])) running?.Begin(goOn: r == 0);
            Backward(scope, _ranks[r], batches[r], weights, share);
            if (r == 0 && Cached(_ranks[r])) running?.KeepThese();
        }
        running?.End();
        // Heads at positions have seen the pairs of their own process; what is kept is what the first process has, as upstream does.
        if (_processes is not null)
            foreach (var b in _buffers) _processes.Broadcast(b.Value);
        var result = Sum(contrastive, batches.Count, weights);
        foreach (var rank in _ranks)
        {
            rank.Encoder.Reset();
            rank.Heads.Reset();
        }
        return result;
    }

    /// <summary>Adds up the gradients of all processes, on each of them; to be called once before an update.</summary>
    internal void Reduce() => _processes?.SumGradients(_trained, p => !_headsRepeated || _processes.Rank == 0 || !_headParameters.Contains(p));

    /// <summary>Which batches, and which pairs of them, this process works on.</summary>
    private int[] Divide(IReadOnlyList<TrainBatch> batches)
    {
        foreach (var (rank, batch) in _ranks.Zip(batches)) (rank.Pairs, rank.MaskedLanguage, rank.SpliceCodon, rank.Words) = ([.. Enumerable.Range(0, batch.Pairs.Pairs)], 0, 0, 0);
        _headsRepeated = _processes is not null && batches.Count == 1;
        if (_headsRepeated) _ranks[0].Pairs = RankShare.Pairs(batches[0].Pairs.Lengths, _processes!.Ranks)[_processes.Rank];
        int[] all = [.. Enumerable.Range(0, batches.Count)];
        return _processes is null || _headsRepeated ? all : [.. all.Where(r => RankShare.Process(r, batches.Count, _processes.Ranks) == _processes.Rank)];
    }

    private bool Cached(Rank rank) => _options.MicroPairs > 0 && _options.MicroPairs < rank.Pairs.Length;

    private bool AtPositions => _model.SequenceHead is not null || _model.SpliceHead is not null;

    /// <summary>
    /// Rows that the encoder takes together. Batch statistics at positions want whole views; otherwise rows of nearly one length go together, whatever pair they are of.
    /// </summary>
    private IEnumerable<int[]> GroupsOf(TrainBatch batch, Rank rank)
    {
        int n = batch.Pairs.Pairs, most = Cached(rank) ? _options.MicroPairs : n;
        if (AtPositions) return rank.Pairs.Chunk(most).Select(part => RankShare.Rows(part, n));
        int[] rows = RankShare.Rows(rank.Pairs, n);
        return RowGroups.Of(Array.ConvertAll(rows, row => batch.Pairs.Lengths[row])).SelectMany(group => Array.ConvertAll(group, i => rows[i]).Chunk(2 * most));
    }

    /// <summary>Representations (2 pairs, D): from passes that are kept for backward, or that are not.</summary>
    private Tensor Encode(Scope scope, Rank rank, TrainBatch batch, in LossWeights weights, double share)
    {
        var reps = scope.Empty(new Shape(batch.Pairs.Lengths.Length, _model.Encoder.Config.DModel), _dtype);
        if (!Cached(rank))
        {
            Begin(rank);
            foreach (int[] rows in GroupsOf(batch, rank))
            {
                EncodeRows(scope, rank, batch.Rows(rows), batch, weights, share);
                Scatter(rank.Groups[^1].Reps.Value, rows, reps);
            }
            return reps;
        }
        if (_heads.Length == 0) return reps;
        using var tape = Tape.Off(_device);
        tape.Inspect = _inspect;
        foreach (int[] rows in GroupsOf(batch, rank))
        {
            using var inner = _device.OpenScope();
            InWork = (rows, batch.Pairs.Pairs);
            var (tracks, lengths) = Upload(inner, batch.Rows(rows));
            Scatter(_model.Encoder.Represent(tape, tracks, lengths).Value, rows, reps);
            tape.Reset();
        }
        return reps;
    }

    private static void Scatter(Tensor part, int[] rows, Tensor whole)
    {
        for (int i = 0; i < rows.Length; i++) whole.Rows(rows[i], 1).Assign(part.Rows(i, 1));
    }

    private void Begin(Rank rank)
    {
        rank.Encoder.Reset();
        rank.Encoder.Inspect = _inspect;
        rank.Groups.Clear();
        rank.Outputs.Clear();
        rank.Cotangents.Clear();
    }

    /// <summary>Some rows on the rank's encoder tape: representations and whatever losses stand at positions, with their cotangents.</summary>
    private void EncodeRows(Scope scope, Rank rank, EncoderRows rows, TrainBatch batch, in LossWeights weights, double share)
    {
        var tape = rank.Encoder;
        InWork = (rows.Numbers, batch.Pairs.Pairs);
        var (tracks, lengths) = Upload(scope, rows);
        var y = _model.Encoder.Forward(tape, tracks, lengths);
        var reps = tape.Apply<MaskedMeanPool, NoAttr>([y, tape.Constant(lengths)]);
        rank.Groups.Add((rows.Numbers, reps));
        if (_model.WordHead is { } words) WordLoss(scope, rank, words.Forward(tape, reps, training: true), rows, batch, weights.Words * share);
        if (!AtPositions) return;
        int n = rows.Numbers.Length / 2;
        y = tape.Cast(y, _dtype);
        for (int view = 0; view < 2; view++)
        {
            var ofView = tape.Rows(y, view * n, n);
            var valid = _options.MaskedStatistics ? tape.Constant(lengths.Rows(view * n, n)) : Variable.None;
            if (_model.SequenceHead is { } sequence) MaskedLanguageLoss(scope, rank, sequence.Forward(tape, ofView, training: true, valid), rows, batch, view, weights.MaskedLanguage * share);
            if (_model.SpliceHead is not null) SpliceCodonLoss(scope, rank, ofView, valid, rows, batch, view, weights.SpliceCodon * share);
        }
    }

    private static void MaskedLanguageLoss(Scope scope, Rank rank, Variable logits, EncoderRows part, TrainBatch whole, int view, double weight)
    {
        int[] labels = part.Labels ?? throw new ArgumentException("the batch has no labels for the masked-base loss");
        long count = MaskedLanguage.Count(OfView(whole.Labels!, view));
        var target = scope.From<int>(OfView(labels, view), new Shape(logits.Shape[0], logits.Shape[1]));
        // The sum over a part, divided by the labelled positions of the whole view: parts add up to the mean.
        var sum = rank.Encoder.Apply<CrossEntropy, CrossEntropy.Attr>([logits, rank.Encoder.Constant(target)], new(Reduction.Sum, MaskedLanguage.Ignored));
        rank.Outputs.Add(sum);
        rank.Cotangents.Add(scope.Scalar(count == 0 ? 0 : weight / count, logits.DType));
        if (count > 0) rank.MaskedLanguage += sum.Value.ToDoubles()[0] / count;
    }

    private void WordLoss(Scope scope, Rank rank, Variable shares, EncoderRows part, TrainBatch whole, double weight)
    {
        var target = scope.Reals(_model.Words.Of(part.Tracks, part.Lengths), shares.Shape, shares.DType);
        double count = (double)whole.Pairs.Lengths.Length * _model.Words.Count;
        var sum = rank.Encoder.Apply<Mse, Mse.Attr>([shares, rank.Encoder.Constant(target)], new(Reduction.Sum));
        rank.Outputs.Add(sum);
        rank.Cotangents.Add(scope.Scalar(weight / count, shares.DType));
        rank.Words += sum.Value.ToDoubles()[0] / count;
    }

    private void SpliceCodonLoss(Scope scope, Rank rank, Variable rows, Variable valid, EncoderRows part, TrainBatch whole, int view, double weight)
    {
        double total = 0;
        foreach (int length in OfView(whole.Pairs.Lengths, view)) total += length;
        foreach (var (head, bit) in new[] { (_model.CodonHead!, SpliceCodon.CodonBit), (_model.SpliceHead!, SpliceCodon.SpliceBit) })
        {
            var logits = head.Forward(rank.Encoder, rows, training: true, valid);
            var (loss, cotangent, value) = SpliceCodon.Of(rank.Encoder, scope, logits, OfView(part.Unmasked ?? part.Tracks, view), OfView(part.Lengths, view), bit, weight, total);
            rank.Outputs.Add(loss);
            rank.Cotangents.Add(cotangent);
            rank.SpliceCodon += value;
        }
    }

    private static ReadOnlySpan<T> OfView<T>(T[] rows, int view) => rows.AsSpan(view * (rows.Length / 2), rows.Length / 2);

    private static (Tensor Tracks, Tensor Lengths) Upload(Scope scope, EncoderRows rows) =>
        (scope.From<byte>(rows.Tracks, new Shape(rows.Lengths.Length, rows.Length)), scope.From<int>(rows.Lengths, new Shape(rows.Lengths.Length)));

    /// <summary>Projections of unit length: each head sees the first views, then the second ones.</summary>
    private void Project(Rank rank, in Tensor reps, int n)
    {
        InWork = null;
        var tape = rank.Heads;
        tape.Reset();
        tape.Inspect = _inspect;
        rank.Projections = new (Variable, Variable)[_heads.Length];
        if (_heads.Length == 0) return;
        var input = rank.HeadInput = tape.Input(reps);
        for (int h = 0; h < _heads.Length; h++)
        {
            var first = Normalise(tape, _heads[h].Head.Forward(tape, tape.Rows(input, 0, n), training: true));
            rank.Projections[h] = (first, Normalise(tape, _heads[h].Head.Forward(tape, tape.Rows(input, n, n), training: true)));
        }
    }

    internal static Variable Normalise(Tape tape, Variable projection) => tape.Apply<L2Normalize, L2Normalize.Attr>([projection], L2Normalize.Attr.Default);

    /// <summary>The contrastive losses of each head and rank; afterwards the heads have run backward.</summary>
    private ContrastiveResult[][] Contrast(Scope scope, IReadOnlyList<TrainBatch> batches, int[] own, double scale)
    {
        int count = batches.Count;
        var results = new ContrastiveResult[_heads.Length][];
        var gradients = new (Tensor Z0, Tensor Z1)[_heads.Length][];
        var scales = new double[count];
        Array.Fill(scales, scale);
        for (int h = 0; h < _heads.Length; h++)
        {
            var z = own.Length < count ? GatherProjections(scope, batches, own, h) : [.. own.Select(r => (_ranks[r].Projections[h].Z0.Value, _ranks[r].Projections[h].Z1.Value))];
            RankProjections[] projections = [.. z.Select((both, r) => new RankProjections(both.Item1, both.Item2, _heads[h].Weights.Of(batches[r].Pairs.Kinds)))];
            gradients[h] = new (Tensor, Tensor)[count];
            _losses[h].Inspect = _inspect;
            results[h] = _losses[h].Run(projections, scales, _options.Gather, gradients[h]);
        }
        if (_heads.Length == 0) return results;
        foreach (int r in own)
        {
            var outputs = new Variable[2 * _heads.Length];
            var cotangents = new Tensor[2 * _heads.Length];
            for (int h = 0; h < _heads.Length; h++)
            {
                (outputs[2 * h], outputs[2 * h + 1]) = _ranks[r].Projections[h];
                (cotangents[2 * h], cotangents[2 * h + 1]) = gradients[h][r];
            }
            _ranks[r].Heads.Backward(outputs, cotangents);
        }
        return results;
    }

    /// <summary>The projections of one head in all virtual ranks, those of other processes among them.</summary>
    private (Tensor, Tensor)[] GatherProjections(Scope scope, IReadOnlyList<TrainBatch> batches, int[] own, int head)
    {
        int[] pairs = [.. batches.Select(b => b.Pairs.Pairs)], starts = [.. pairs.Select((_, r) => 2 * pairs.Take(r).Sum())];
        var all = scope.Empty(new Shape(2 * pairs.Sum(), _heads[head].Head.Config.DOut), _dtype);
        foreach (int r in own)
        {
            all.Rows(starts[r], pairs[r]).Assign(_ranks[r].Projections[head].Z0.Value);
            all.Rows(starts[r] + pairs[r], pairs[r]).Assign(_ranks[r].Projections[head].Z1.Value);
        }
        int processes = _processes!.Ranks;
        _processes.GatherRows(all, [.. Enumerable.Range(0, processes).Select(process => Enumerable.Range(0, batches.Count)
            .Where(r => RankShare.Process(r, batches.Count, processes) == process).SelectMany(r => Enumerable.Range(starts[r], 2 * pairs[r])).ToArray())]);
        return [.. pairs.Select((n, r) => (all.Rows(starts[r], n), all.Rows(starts[r] + n, n)))];
    }

    private void Backward(Scope scope, Rank rank, TrainBatch batch, in LossWeights weights, double share)
    {
        var dReps = _heads.Length > 0 ? rank.Heads.Grad(rank.HeadInput) : default;
        if (!Cached(rank))
        {
            BackwardGroups(scope, rank, dReps);
            return;
        }
        foreach (int[] rows in GroupsOf(batch, rank))
        {
            using var inner = _device.OpenScope();
            Begin(rank);
            EncodeRows(inner, rank, batch.Rows(rows), batch, weights, share);
            BackwardGroups(inner, rank, dReps);
            rank.Encoder.Reset();
        }
    }

    private void BackwardGroups(Scope scope, Rank rank, Tensor dReps)
    {
        InWork = null;
        foreach (var (rows, reps) in rank.Groups)
        {
            if (dReps.IsNone) break;
            var part = scope.Empty(new Shape(rows.Length, dReps.Shape[1]), _dtype);
            for (int i = 0; i < rows.Length; i++) part.Rows(i, 1).Assign(dReps.Rows(rows[i], 1));
            rank.Outputs.Add(reps);
            rank.Cotangents.Add(part);
        }
        // A process without pairs has nothing to do here.
        if (rank.Outputs.Count > 0) rank.Encoder.Backward(CollectionsMarshal.AsSpan(rank.Outputs), CollectionsMarshal.AsSpan(rank.Cotangents));
    }

    private StepLosses Sum(ContrastiveResult[][] contrastive, int ranks, in LossWeights weights)
    {
        var totals = new double[ranks];
        SumBesideContrast(ranks);
        var heads = new double[_heads.Length];
        double masked = 0, tracks = 0, words = 0, accuracy = 0, positive = 0, negative = 0;
        for (int r = 0; r < ranks; r++)
        {
            for (int h = 0; h < heads.Length; h++)
            {
                heads[h] += contrastive[h][r].Loss / ranks;
                totals[r] += weights.Contrastive * contrastive[h][r].Loss;
            }
            totals[r] += weights.MaskedLanguage * _ranks[r].MaskedLanguage + weights.SpliceCodon * _ranks[r].SpliceCodon + weights.Words * _ranks[r].Words;
            masked += _ranks[r].MaskedLanguage / ranks;
            tracks += _ranks[r].SpliceCodon / ranks;
            words += _ranks[r].Words / ranks;
            if (heads.Length == 0) continue;
            accuracy += contrastive[0][r].Accuracy / ranks;
            positive += contrastive[0][r].PositiveSimilarity / ranks;
            negative += contrastive[0][r].NegativeSimilarity / ranks;
        }
        return new()
        {
            Total = totals.Sum() / ranks, Contrastive = heads, MaskedLanguage = masked, SpliceCodon = tracks, Words = words, Ranks = totals,
            Accuracy = accuracy, PositiveSimilarity = positive, NegativeSimilarity = negative,
        };
    }

    /// <summary>Losses of single views, of virtual ranks and pairs that other processes have.</summary>
    private void SumBesideContrast(int ranks)
    {
        if (_processes is null || !AtPositions && _model.WordHead is null) return;
        double[] sums = _processes.Sum([.. _ranks.Take(ranks).SelectMany(r => new[] { r.MaskedLanguage, r.SpliceCodon, r.Words })]);
        for (int r = 0; r < ranks; r++) (_ranks[r].MaskedLanguage, _ranks[r].SpliceCodon, _ranks[r].Words) = (sums[3 * r], sums[3 * r + 1], sums[3 * r + 2]);
    }

    /// <summary>Frees tapes.</summary>
    public void Dispose()
    {
        foreach (var rank in _ranks)
        {
            rank.Encoder.Dispose();
            rank.Heads.Dispose();
        }
        foreach (var loss in _losses) loss.Dispose();
    }

    /// <summary>Running statistics of several ranks: each begins from the same, and one rank's are kept.</summary>
    private sealed class RunningStatistics
    {
        private readonly Scope _scope;
        private readonly Parameter[] _buffers;
        private readonly Tensor[] _before;
        private Tensor[] _kept;

        internal RunningStatistics(Scope scope, Parameter[] buffers)
        {
            (_scope, _buffers) = (scope, buffers);
            _before = _kept = Copy();
        }

        private Tensor[] Copy() => [.. _buffers.Select(b => _scope.Clone(b.Value))];

        internal void Begin(bool goOn = false) => Set(goOn ? _kept : _before);

        internal void KeepThese() => _kept = Copy();

        internal void End() => Set(_kept);

        private void Set(Tensor[] values)
        {
            for (int i = 0; i < values.Length; i++) _buffers[i].Assign(values[i]);
        }
    }
}
