using Orthrus.Autograd;
using Orthrus.Tensor;

namespace Orthrus.Train;

using Tensor = Orthrus.Tensor.Tensor;

/// <summary>Options of the contrastive loss.</summary>
public sealed record ContrastiveOptions
{
    /// <summary>Temperature.</summary>
    public double Tau { get; init; } = 0.1;

    /// <summary>How the two sets of negatives are joined; all published models were trained with the sum of logs.</summary>
    public Dcl.Form Form { get; init; } = Dcl.Form.SumOfLogs;

    /// <summary>Temperature of the von Mises-Fisher weights (DCLW), which multiply the attraction; 0 for none, as upstream.</summary>
    public double DclwSigma { get; init; }
}

/// <summary>Where the gradient of a projection comes from when several ranks share their projections as negatives.</summary>
public enum GatherGradient : byte
{
    /// <summary>The losses of all ranks: the gradient of what is reported.</summary>
    Exact,
    /// <summary>The own rank's loss alone, as upstream: other ranks' rows are constants.</summary>
    OwnRank,
}

/// <summary>Projections of one rank.</summary>
/// <param name="Z0">(n, D), rows of unit length: first views.</param>
/// <param name="Z1">(n, D), rows of unit length: second views.</param>
/// <param name="Weights">Weight of the attraction of each of the n pairs; null for 1.</param>
internal readonly record struct RankProjections(Tensor Z0, Tensor Z1, double[]? Weights);

/// <summary>What a rank's loss came to.</summary>
/// <param name="Loss">Mean over its pairs and both directions, without the scale.</param>
/// <param name="Accuracy">Share of the anchors, of both views, whose nearest key of the other view is their own.</param>
/// <param name="PositiveSimilarity">Mean cosine of the pairs.</param>
/// <param name="NegativeSimilarity">Mean cosine of other samples, both views.</param>
public readonly record struct ContrastiveResult(double Loss, double Accuracy, double PositiveSimilarity, double NegativeSimilarity);

/// <summary>
/// The contrastive loss over one rank or several, with its gradient with respect to the projections. It is a stage of its own between the heads
/// and whatever made the projections, so that these may come from other tapes, micro-batches or processes.
/// </summary>
/// <remarks>Every rank's anchors meet the rows of all ranks as keys, in the order of the ranks. Source: Yeh et al. 2022; upstream for several ranks.</remarks>
internal sealed class ContrastiveLoss(Device device, ContrastiveOptions options) : IDisposable
{
    private readonly List<Tape> _tapes = [];
    private Scope? _scope;

    /// <summary>Set on the tapes, see <see cref="Tape.Inspect"/>.</summary>
    internal Action<TapeEvent>? Inspect { get; set; }

    /// <summary>Computes losses and gradients.</summary>
    /// <param name="ranks">Projections of each rank.</param>
    /// <param name="scales">Factor of each rank's loss in the sum whose gradient is taken.</param>
    /// <param name="gather">Whose losses reach a projection.</param>
    /// <param name="gradients">Receives the gradient of each rank's z0 and z1, valid until the next call; empty to compute losses alone.</param>
    internal ContrastiveResult[] Run(ReadOnlySpan<RankProjections> ranks, ReadOnlySpan<double> scales, GatherGradient gather, Span<(Tensor Z0, Tensor Z1)> gradients)
    {
        _scope?.Dispose();
        var scope = _scope = device.OpenScope();
        while (_tapes.Count < ranks.Length) _tapes.Add(new Tape(device));
        var results = new ContrastiveResult[ranks.Length];
        Tensor keys0 = default, keys1 = default;
        var offsets = new int[ranks.Length];
        if (ranks.Length > 1) (keys0, keys1) = Gather(scope, ranks, offsets);
        var z = new (Variable, Variable)[ranks.Length];
        var keys = new (Variable First, Variable Second)[ranks.Length];
        for (int r = 0; r < ranks.Length; r++)
        {
            var tape = _tapes[r];
            tape.Reset();
            tape.Inspect = Inspect;
            z[r] = (tape.Input(ranks[r].Z0), tape.Input(ranks[r].Z1));
            if (ranks.Length > 1) keys[r] = (tape.Input(keys0), tape.Input(keys1));
            var outputs = new Variable[5];
            tape.Apply<Dcl, Dcl.Attr>([z[r].Item1, z[r].Item2, keys[r].First, keys[r].Second, tape.Constant(Weight(scope, ranks[r]))], new(options.Tau, options.Form, offsets[r]), outputs);
            results[r] = Result(outputs);
            if (!gradients.IsEmpty) tape.Backward([outputs[0]], [scope.Scalar(scales[r], ranks[r].Z0.DType)]);
        }
        for (int r = 0; r < gradients.Length; r++)
        {
            Tensor d0 = _tapes[r].Grad(z[r].Item1), d1 = _tapes[r].Grad(z[r].Item2);
            for (int s = 0; ranks.Length > 1 && s < ranks.Length; s++)
            {
                if (s != r && gather == GatherGradient.OwnRank) continue;
                int n = ranks[r].Z0.Shape[0];
                Accumulate.Into(d0, _tapes[s].Grad(keys[s].First).Rows(offsets[r], n));
                Accumulate.Into(d1, _tapes[s].Grad(keys[s].Second).Rows(offsets[r], n));
            }
            gradients[r] = (d0, d1);
        }
        return results;
    }

    private static (Tensor, Tensor) Gather(Scope scope, ReadOnlySpan<RankProjections> ranks, int[] offsets)
    {
        int rows = 0;
        for (int r = 0; r < ranks.Length; r++)
        {
            offsets[r] = rows;
            rows += ranks[r].Z0.Shape[0];
        }
        var shape = new Shape(rows, ranks[0].Z0.Shape[1]);
        Tensor keys0 = scope.Empty(shape, ranks[0].Z0.DType), keys1 = scope.Empty(shape, ranks[0].Z0.DType);
        for (int r = 0; r < ranks.Length; r++)
        {
            keys0.Rows(offsets[r], ranks[r].Z0.Shape[0]).Assign(ranks[r].Z0);
            keys1.Rows(offsets[r], ranks[r].Z1.Shape[0]).Assign(ranks[r].Z1);
        }
        return (keys0, keys1);
    }

    private Tensor Weight(Scope scope, in RankProjections rank)
    {
        var given = rank.Weights is null || Array.TrueForAll(rank.Weights, w => w == 1) ? default : scope.Reals(rank.Weights, new Shape(rank.Weights.Length), rank.Z0.DType);
        if (options.DclwSigma == 0) return given;
        var similar = Op.Forward<DclwWeights, DclwWeights.Attr>(scope, [rank.Z0, rank.Z1], new(options.DclwSigma));
        return given.IsNone ? similar : Op.Forward<Combine, Combine.Attr>(scope, [given, similar], new(Multiply: true));
    }

    private static ContrastiveResult Result(Variable[] outputs)
    {
        double[] m = outputs[4].Value.ToDoubles();
        return new(outputs[0].Value.ToDoubles()[0], (m[Dcl.Accuracy01] + m[Dcl.Accuracy10]) / 2, m[Dcl.PositiveSimilarity], (m[Dcl.NegativeSimilarity01] + m[Dcl.NegativeSimilarity10]) / 2);
    }

    /// <summary>Gives all memory back.</summary>
    public void Dispose()
    {
        foreach (var tape in _tapes) tape.Dispose();
        _scope?.Dispose();
    }
}
