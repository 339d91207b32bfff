using System.Numerics;
using Orthrus.Tensor.Cpu;

namespace Orthrus.Tensor;

/// <summary>
/// Decoupled contrastive loss of two views, both directions. Anchor i of view a against view b: minus w[i] s(a_i, b_i), plus the log-sum-exp of the
/// similarities with all other samples of view a and of view b, where s(x, y) = x . y / tau.
/// </summary>
/// <remarks>
/// z0, z1 (n, D): projections of the two views, rows of unit length. keys0, keys1 (m, D), together or not at all: the rows of all ranks, of which row
/// offset + i is sample i; without them the keys are the views themselves and receive gradients in both parts. weight (n): weight of the
/// attraction alone, 1 where absent. All F32 or F64.
/// loss = half the sum of the two directions' means over n. loss_01, loss_10 (n): the two directions per sample.
/// Without gradient: log_sum_exp (4, n) of the directions 00, 01, 11, 10, for backward; metrics (5): share of anchors of view 0 (1) whose nearest key of
/// the other view is their own (of equals the first), mean cosine of the pairs, and mean cosine of other samples seen from view 0 (1), as
/// upstream has it: half the mean over view a with itself included, half the mean over view b without the pairs.
/// The n x m similarities are never kept. Source: Yeh et al. 2022; form SumOfLogs is what Orthrus was trained with.
/// </remarks>
public sealed partial class Dcl : IOp<Dcl.Attr>
{
    /// <summary>How the two sets of negatives are joined.</summary>
    public enum Form : byte
    {
        /// <summary>Sum of the two logs: all published Orthrus models.</summary>
        SumOfLogs,
        /// <summary>One log over both sets: the equation of the paper.</summary>
        Joint,
    }

    /// <summary>Options.</summary>
    /// <param name="Tau">Temperature; 0.1 upstream.</param>
    /// <param name="Form">Upstream's form or the paper's.</param>
    /// <param name="Offset">Key that belongs to sample 0.</param>
    public readonly record struct Attr(double Tau, Form Form = Form.SumOfLogs, int Offset = 0);

    /// <summary>Places in the result metrics.</summary>
    public const int Accuracy01 = 0, Accuracy10 = 1, PositiveSimilarity = 2, NegativeSimilarity01 = 3, NegativeSimilarity10 = 4;

    private const int Z0 = 0, Z1 = 1, Keys0 = 2, Keys1 = 3, Weight = 4;
    private const int Loss = 0, Loss01 = 1, Loss10 = 2, Lse = 3, Metrics = 4;

    /// <inheritdoc/>
    public static string Name => "dcl";
    /// <inheritdoc/>
    public static OpSignature Signature { get; } = new(
        [new("z0"), new("z1"), new("keys0", Optional: true), new("keys1", Optional: true), new("weight", OperandKind.Constant, true)],
        [new("loss"), new("loss_01"), new("loss_10"), new("log_sum_exp", OperandKind.Constant), new("metrics", OperandKind.Constant)]);
    /// <inheritdoc/>
    public static Saves Saves => Saves.Inputs | Saves.Outputs;

    /// <inheritdoc/>
    public static void Infer(ref ShapeRule rule, in Attr attr)
    {
        var z = rule.Rank(Z0, 2);
        rule.Exactly(Z1, z);
        rule.Require(Keys0, rule.Has(Keys0) == rule.Has(Keys1), "and keys1 must come together");
        int keys = rule.Has(Keys0) ? Keys0 : Z0;
        var k = rule.Rank(keys, 2);
        rule.Require(keys, k[1] == z[1], $"has shape {k}; want rows of length {z[1]}");
        rule.Require(keys, k[0] >= 2 && z[0] >= 1, $"has shape {k}; want at least two samples: one alone has no negatives");
        rule.Require(keys, attr.Offset >= 0 && attr.Offset + (long)z[0] <= k[0], $"has shape {k}; sample i has no key {attr.Offset} + i");
        rule.Exactly(Keys1, k);
        rule.Exactly(Weight, new Shape(z[0]));
        rule.Out(Loss, Shape.Scalar);
        rule.Out(Loss01, new Shape(z[0]));
        rule.Out(Loss10, new Shape(z[0]));
        rule.Out(Lse, new Shape(4, z[0]));
        rule.Out(Metrics, new Shape(5));
    }

    /// <inheritdoc/>
    public static void Reference<R>(in RefArgs<R> args, in Attr attr) where R : struct, IReal<R>
    {
        R[] z0 = args.In(Z0), z1 = args.In(Z1), k0 = args.Has(Keys0) ? args.In(Keys0) : z0, k1 = args.Has(Keys1) ? args.In(Keys1) : z1;
        R[] lse = args.Out(Lse), metrics = args.Out(Metrics);
        int n = args.Shape(Z0)[0], D = args.Shape(Z0)[1], m = k0.Length / D;
        R zero = R.From(0), total = zero, count = R.From(n), positive = zero;
        for (int direction = 0; direction < 2; direction++)
        {
            R[] a = direction == 0 ? z0 : z1, ka = direction == 0 ? k0 : k1, kb = direction == 0 ? k1 : k0;
            R sumAll = zero, sumOthers = zero;
            int nearest = 0;
            for (int i = 0; i < n; i++)
            {
                int own = attr.Offset + i, best = 0;
                R[] saa = SimilaritySpecification.Row(a, i, ka, D, attr.Tau), sab = SimilaritySpecification.Row(a, i, kb, D, attr.Tau);
                R laa = SimilaritySpecification.LogSumExp(saa, own), lab = SimilaritySpecification.LogSumExp(sab, own);
                lse[2 * direction * n + i] = laa;
                lse[(2 * direction + 1) * n + i] = lab;
                R larger = Real.Max(laa, lab), negatives = attr.Form == Form.SumOfLogs ? laa + lab : larger + R.Log(R.Exp(laa - larger) + R.Exp(lab - larger));
                R attraction = args.Has(Weight) ? args.In(Weight)[i] * sab[own] : sab[own];
                args.Out(direction == 0 ? Loss01 : Loss10)[i] = negatives - attraction;
                total += negatives - attraction;
                for (int j = 0; j < m; j++)
                {
                    if (sab[j].Value > sab[best].Value) best = j;
                    sumAll += saa[j];
                    if (j != own) sumOthers += sab[j];
                }
                if (best == own) nearest++;
                if (direction == 0) positive += sab[own];
            }
            R tau = R.From(attr.Tau), half = R.From(0.5);
            metrics[direction == 0 ? Accuracy01 : Accuracy10] = R.From(nearest) / count;
            metrics[direction == 0 ? NegativeSimilarity01 : NegativeSimilarity10] =
                half * tau * (sumAll / (count * R.From(m)) + sumOthers / (count * R.From(m - 1)));
        }
        metrics[PositiveSimilarity] = positive / count * R.From(attr.Tau);
        args.Out(Loss)[0] = total / (count + count);
    }

    /// <inheritdoc/>
    public static unsafe void ForwardCpu<T>(in OpArgs args, in Attr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        Tensor z0 = args.Inputs[Z0], z1 = args.Inputs[Z1];
        int n = z0.Shape[0];
        T* lse = args.Outputs[Lse].Pointer<T>();
        // Per pair of views 00, 01, 11, 10: similarity with the own key, sum over the others, nearest.
        T* rows = args.Scratch.Empty(new Shape(4, 3, n), z0.DType).Pointer<T>();
        int m = 0;
        for (int pair = 0; pair < 4; pair++)
        {
            Tensor a = pair < 2 ? z0 : z1, keys = KeysOf(args.Inputs, pair is 0 or 3 ? 0 : 1);
            m = keys.Shape[0];
            T* own = rows + pair * 3L * n;
            var job = new SimilarityForward<T>
            {
                Anchors = a.Pointer<T>(), Keys = keys.Pointer<T>(), LogSumExp = lse + (long)pair * n, Own = own, SumOfOthers = own + n,
                Nearest = pair % 2 == 1 ? own + 2L * n : null, Count = n, KeyCount = m, Width = z0.Shape[1], Offset = attr.Offset,
                Scale = T.CreateTruncating(1 / attr.Tau),
            };
            VectorJobs.Run<T, SimilarityForward<T>>(args.Workers, args.VectorWidth, SimilarityStream.Items(n), ref job);
        }
        T* weight = args.Inputs[Weight].IsNone ? null : args.Inputs[Weight].Pointer<T>();
        T* loss01 = args.Outputs[Loss01].Pointer<T>(), loss10 = args.Outputs[Loss10].Pointer<T>();
        for (int i = 0; i < n; i++)
        {
            T w = weight is null ? T.One : weight[i];
            loss01[i] = Negatives(attr.Form, lse[i], lse[n + i]) - w * rows[3L * n + i];
            loss10[i] = Negatives(attr.Form, lse[2L * n + i], lse[3L * n + i]) - w * rows[9L * n + i];
        }
        T count = T.CreateTruncating(n);
        *args.Outputs[Loss].Pointer<T>() = (ChunkedSum.Pairwise(loss01, n) + ChunkedSum.Pairwise(loss10, n)) / (count + count);
        Measure(args.Outputs[Metrics].Pointer<T>(), rows, n, m, T.CreateTruncating(attr.Tau));
    }

    /// <inheritdoc/>
    public static unsafe void BackwardCpu<T>(in GradArgs args, in Attr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        int n = args.Inputs[Z0].Shape[0];
        bool separate = !args.Inputs[Keys0].IsNone;
        // Per anchor: weights of the softmaxes 00, 01, 11, 10; of the pair in direction 01, in direction 10, in both.
        T* weights = args.Scratch.Empty(new Shape(7, n), args.Inputs[Z0].DType).Pointer<T>();
        Weights(args, attr, n, weights);
        for (int operand = Z0; operand <= Keys1; operand++)
        {
            if (args.InputGrads[operand].IsNone) continue;
            // View v is an anchor towards both key sets, and key set v is a key for the anchors of both views; without separate keys it is both at once.
            int view = operand % 2;
            bool anchors = operand <= Z1, keys = operand >= Keys0 || !separate;
            var job = new SimilarityBackward<T>
            {
                Rows = args.Inputs[operand].Pointer<T>(), Gradient = args.InputGrads[operand].Pointer<T>(), Count = args.Inputs[operand].Shape[0],
                Width = args.Inputs[operand].Shape[1], Scale = T.CreateTruncating(1 / attr.Tau), HasSecond = true,
                First = Pair(args, attr, view, view, anchors, keys, weights, n), Second = Pair(args, attr, view, 1 - view, anchors, keys, weights, n),
            };
            VectorJobs.Run<T, SimilarityBackward<T>>(args.Workers, args.VectorWidth, SimilarityStream.Items(job.Count), ref job);
        }
    }

    private static Tensor KeysOf(ReadOnlySpan<Tensor> inputs, int view) => inputs[Keys0 + view].IsNone ? inputs[view] : inputs[Keys0 + view];

    private static T Negatives<T>(Form form, T a, T b) where T : IBinaryFloatingPointIeee754<T>
    {
        if (form == Form.SumOfLogs) return a + b;
        T larger = T.Max(a, b);
        return larger + T.Log(T.Exp(a - larger) + T.Exp(b - larger));
    }

    private static unsafe void Measure<T>(T* metrics, T* rows, int n, int m, T tau) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        T count = T.CreateTruncating(n), all = T.CreateTruncating((double)n * m), others = T.CreateTruncating((double)n * (m - 1)), half = T.CreateTruncating(0.5);
        for (int direction = 0; direction < 2; direction++)
        {
            T* aa = rows + direction * 6L * n, ab = aa + 3L * n;
            T sumAll = ChunkedSum.Pairwise(aa, n) + ChunkedSum.Pairwise(aa + n, n), sumOthers = ChunkedSum.Pairwise(ab + n, n);
            metrics[Accuracy01 + direction] = ChunkedSum.Pairwise(ab + 2L * n, n) / count;
            metrics[NegativeSimilarity01 + direction] = half * tau * (sumAll / all + sumOthers / others);
        }
        metrics[PositiveSimilarity] = ChunkedSum.Pairwise(rows + 3L * n, n) / count * tau;
    }

    /// <summary>d loss / d log-sum-exp of the four pairs of views, and d loss / d similarity of a pair, all times 1 / tau.</summary>
    private static unsafe void Weights<T>(in GradArgs args, in Attr attr, int n, T* weights) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        T scale = T.CreateTruncating(1 / attr.Tau), count = T.CreateTruncating(n);
        T dLoss = args.OutputGrads[Loss].IsNone ? T.Zero : *args.OutputGrads[Loss].Pointer<T>() / (count + count);
        T* lse = args.Outputs[Lse].Pointer<T>(), weight = args.Inputs[Weight].IsNone ? null : args.Inputs[Weight].Pointer<T>();
        T* pairs = weights + 4L * n;
        for (int direction = 0; direction < 2; direction++)
        {
            var given = args.OutputGrads[direction == 0 ? Loss01 : Loss10];
            T* perSample = given.IsNone ? null : given.Pointer<T>();
            for (int i = 0; i < n; i++)
            {
                long aa = 2L * direction * n + i, ab = aa + n;
                T g = (perSample is null ? dLoss : dLoss + perSample[i]) * scale;
                bool sum = attr.Form == Form.SumOfLogs;
                weights[aa] = sum ? g : g / (T.One + T.Exp(lse[ab] - lse[aa]));
                weights[ab] = sum ? g : g / (T.One + T.Exp(lse[aa] - lse[ab]));
                pairs[direction * (long)n + i] = weight is null ? -g : -(weight[i] * g);
            }
        }
        for (int i = 0; i < n; i++) pairs[2L * n + i] = pairs[i] + pairs[n + i];
    }

    /// <summary>
    /// What the rows of one operand receive from the other side's rows of view <paramref name="other"/>. The four softmaxes stand in the order 00, 01, 11,
    /// 10: anchors of view v against keys of view v at 2 v, against the other keys at 2 v + 1.
    /// </summary>
    private static unsafe SimilarityPair<T> Pair<T>(in GradArgs args, in Attr attr, int view, int other, bool anchors, bool keys, T* weights, int n)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var partners = anchors ? KeysOf(args.Inputs, other) : args.Inputs[other];
        var pair = new SimilarityPair<T> { Partners = partners.Pointer<T>(), Count = partners.Shape[0], Shift = anchors ? attr.Offset : -attr.Offset };
        T* lse = args.Outputs[Lse].Pointer<T>();
        bool across = view != other;
        if (anchors)
        {
            long softmax = (2L * view + (across ? 1 : 0)) * n;
            pair.RowWeight = weights + softmax;
            pair.RowLogSumExp = lse + softmax;
        }
        if (keys)
        {
            long softmax = (2L * other + (across ? 1 : 0)) * n;
            pair.PartnerWeight = weights + softmax;
            pair.PartnerLogSumExp = lse + softmax;
        }
        if (!across) return pair;
        if (anchors) pair.OwnByRow = weights + (keys ? 6L : 4L + view) * n;
        else pair.OwnByPartner = weights + (4L + other) * n;
        return pair;
    }

    /// <inheritdoc/>
    public static OpCost Cost(in ShapeRule rule, in Attr attr)
    {
        long n = rule.In(Z0).Shape[0], d = rule.In(Z0).Shape[1], m = rule.Has(Keys0) ? rule.In(Keys0).Shape[0] : n, bytes = rule.AllBytes();
        return new(4 * n * m * (2 * d + 4), bytes, n * m * (rule.Has(Keys0) ? 32 * d + 32 : 16 * d + 32), bytes + rule.GradientBytes());
    }

    /// <inheritdoc/>
    public static IEnumerable<Sample<Attr>> Samples()
    {
        SampleInput none = SampleInput.Absent;
        SampleInput Rows(int n, int d) => SampleInput.Normal(new Shape(n, d), 1 / Math.Sqrt(d));
        yield return new("sum of logs", new(0.1), Rows(5, 8), Rows(5, 8), none, none, none);
        yield return new("joint, weights", new(0.2, Form.Joint), Rows(4, 7), Rows(4, 7), none, none, SampleInput.Values(new Shape(4), 1, 0.8, 0, 0.5));
        yield return new("gathered keys", new(0.3, Form.SumOfLogs, 2), Rows(3, 6), Rows(3, 6), Rows(7, 6), Rows(7, 6), SampleInput.Values(new Shape(3), 1, 0.8, 0.5));
        yield return new("gathered keys, joint", new(0.3, Form.Joint, 4), Rows(3, 6), Rows(3, 6), Rows(7, 6), Rows(7, 6), none);
        yield return new("several tiles", new(0.5), Rows(66, 5), Rows(66, 5), none, none, SampleInput.Uniform(new Shape(66), 0, 1));
        yield return new("two samples", new(0.1, Form.Joint), Rows(2, 3), Rows(2, 3), none, none, none);
        yield return new("bench", new(0.1), Rows(1024, 128), Rows(1024, 128), none, none, none) { Bench = true };
    }
}
