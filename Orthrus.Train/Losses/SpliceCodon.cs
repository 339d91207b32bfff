using Orthrus.Autograd;
using Orthrus.Tensor;

namespace Orthrus.Train;

using Tensor = Orthrus.Tensor.Tensor;

/// <summary>
/// Prediction of the codon and splice tracks from the bases: binary cross-entropy at every position of a record, summed, over the sum of the lengths; both
/// views and both tracks added. Its weight rises from 0, upstream's after step 2,000 to 1 at step 6,000. Source: upstream's option predict_splice_codon.
/// </summary>
internal static class SpliceCodon
{
    /// <summary>Bits of the tracks that are predicted.</summary>
    internal const int CodonBit = 4, SpliceBit = 5;

    /// <summary>Steps between which upstream's weight rises.</summary>
    internal const int PublishedStart = 2000, PublishedEnd = 6000;

    /// <summary>Part of the loss' weight at a step: 0 up to a step, 1 from another one.</summary>
    internal static double Ramp(long step, int start, int end) => step >= end ? 1 : Math.Clamp((step - start) / (double)(end - start), 0, 1);

    /// <summary>Loss of one track of one view.</summary>
    /// <param name="tape">Where to record.</param>
    /// <param name="scope">Owner of targets and cotangent; it must live until backward is done.</param>
    /// <param name="logits">(B, L, 1).</param>
    /// <param name="tracks">B x L track bytes.</param>
    /// <param name="lengths">Their B lengths.</param>
    /// <param name="bit">Which track.</param>
    /// <param name="scale">Factor of the loss in the gradient.</param>
    /// <param name="total">Sum of the lengths that the loss is divided by.</param>
    /// <returns>Loss per position, its cotangent, and the loss itself.</returns>
    internal static (Variable PerPosition, Tensor Cotangent, double Loss) Of(Tape tape, Scope scope, Variable logits, ReadOnlySpan<byte> tracks, ReadOnlySpan<int> lengths, int bit, double scale, double total)
    {
        var target = new double[tracks.Length];
        var share = new double[tracks.Length];
        int length = tracks.Length / lengths.Length;
        for (int row = 0; row < lengths.Length; row++)
            for (int t = 0; t < Math.Min(length, lengths[row]); t++)
            {
                target[row * length + t] = tracks[row * length + t] >> bit & 1;
                share[row * length + t] = 1 / total;
            }
        var dtype = logits.DType;
        var loss = tape.Apply<BceWithLogits, BceWithLogits.Attr>([logits, tape.Constant(scope.Reals(target, logits.Shape, dtype))], new(Reduction.None));
        double[] each = loss.Value.ToDoubles();
        double sum = 0;
        for (int i = 0; i < each.Length; i++) sum += each[i] * share[i];
        return (loss, scope.Reals(Array.ConvertAll(share, s => s * scale), logits.Shape, dtype), sum);
    }
}
