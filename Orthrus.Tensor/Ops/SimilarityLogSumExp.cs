using System.Numerics;
using Orthrus.Tensor.Cpu;

namespace Orthrus.Tensor;

/// <summary>
/// Log-sum-exp of similarities without the own pair: y[i] = log of the sum over j != offset + i of exp(z[i] . k[j] / tau).
/// </summary>
/// <remarks>
/// z (n, D) anchors; keys k (m, D), z itself where absent, with m of at least 2, F32 or F64; y (n). The similarity matrix is never kept: forward and
/// backward compute it a tile at a time. Source: the negatives of Orthrus' contrastive loss.
/// </remarks>
public sealed class SimilarityLogSumExp : IOp<SimilarityLogSumExp.Attr>
{
    /// <summary>Options.</summary>
    /// <param name="Tau">Temperature; 0.1 upstream.</param>
    /// <param name="Offset">Key that belongs to anchor 0; 0 where the keys are the anchors.</param>
    public readonly record struct Attr(double Tau, int Offset = 0);

    /// <inheritdoc/>
    public static string Name => "similarity_log_sum_exp";
    /// <inheritdoc/>
    public static OpSignature Signature { get; } = new([new("z"), new("keys", Optional: true)], [new("y")]);
    /// <inheritdoc/>
    public static Saves Saves => Saves.Inputs | Saves.Outputs;

    /// <inheritdoc/>
    public static void Infer(ref ShapeRule rule, in Attr attr)
    {
        var z = rule.Rank(0, 2);
        int keyOperand = rule.Has(1) ? 1 : 0;
        var k = rule.Rank(keyOperand, 2);
        rule.Require(keyOperand, k[1] == z[1], $"has shape {k}; want rows of length {z[1]}");
        rule.Require(keyOperand, k[0] >= 2, $"has shape {k}; want at least two rows: the own one is left out");
        rule.Require(keyOperand, attr.Offset >= 0 && attr.Offset + (long)z[0] <= k[0], $"has shape {k}; anchor i has no key {attr.Offset} + i");
        rule.Out(0, new Shape(z[0]));
    }

    /// <inheritdoc/>
    public static void Reference<R>(in RefArgs<R> args, in Attr attr) where R : struct, IReal<R>
    {
        R[] z = args.In(0), keys = args.Has(1) ? args.In(1) : z, y = args.Out(0);
        int D = args.Shape(0)[1];
        for (int i = 0; i < y.Length; i++)
        {
            var s = SimilaritySpecification.Row(z, i, keys, D, attr.Tau);
            y[i] = SimilaritySpecification.LogSumExp(s, attr.Offset + i);
        }
    }

    /// <inheritdoc/>
    public static unsafe void ForwardCpu<T>(in OpArgs args, in Attr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        Tensor z = args.Inputs[0], keys = args.Inputs[1].IsNone ? z : args.Inputs[1];
        var job = new SimilarityForward<T>
        {
            Anchors = z.Pointer<T>(), Keys = keys.Pointer<T>(), LogSumExp = args.Outputs[0].Pointer<T>(), Count = z.Shape[0], KeyCount = keys.Shape[0],
            Width = z.Shape[1], Offset = attr.Offset, Scale = T.CreateTruncating(1 / attr.Tau),
        };
        VectorJobs.Run<T, SimilarityForward<T>>(args.Workers, args.VectorWidth, SimilarityStream.Items(job.Count), ref job);
    }

    /// <inheritdoc/>
    public static unsafe void BackwardCpu<T>(in GradArgs args, in Attr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        Tensor z = args.Inputs[0], keys = args.Inputs[1].IsNone ? z : args.Inputs[1];
        int n = z.Shape[0];
        T scale = T.CreateTruncating(1 / attr.Tau);
        T* lse = args.Outputs[0].Pointer<T>(), dy = args.OutputGrads[0].Pointer<T>(), weight = args.Scratch.Empty(new Shape(n), z.DType).Pointer<T>();
        for (int i = 0; i < n; i++) weight[i] = dy[i] * scale;
        var asAnchor = new SimilarityPair<T> { Partners = keys.Pointer<T>(), Count = keys.Shape[0], Shift = attr.Offset, RowWeight = weight, RowLogSumExp = lse };
        var asKey = new SimilarityPair<T> { Partners = z.Pointer<T>(), Count = n, Shift = -attr.Offset, PartnerWeight = weight, PartnerLogSumExp = lse };
        if (!args.InputGrads[0].IsNone)
        {
            if (args.Inputs[1].IsNone)
            {
                asAnchor.PartnerWeight = weight;
                asAnchor.PartnerLogSumExp = lse;
            }
            var job = new SimilarityBackward<T>
            {
                Rows = z.Pointer<T>(), Gradient = args.InputGrads[0].Pointer<T>(), Count = n, Width = z.Shape[1], Scale = scale, First = asAnchor,
            };
            VectorJobs.Run<T, SimilarityBackward<T>>(args.Workers, args.VectorWidth, SimilarityStream.Items(n), ref job);
        }
        if (!args.InputGrads[1].IsNone)
        {
            var job = new SimilarityBackward<T>
            {
                Rows = keys.Pointer<T>(), Gradient = args.InputGrads[1].Pointer<T>(), Count = keys.Shape[0], Width = z.Shape[1], Scale = scale, First = asKey,
            };
            VectorJobs.Run<T, SimilarityBackward<T>>(args.Workers, args.VectorWidth, SimilarityStream.Items(job.Count), ref job);
        }
    }

    /// <inheritdoc/>
    public static void ForwardCuda(in OpArgs args, in Attr attr)
    {
        Tensor z = args.Inputs[0], keys = args.Inputs[1].IsNone ? z : args.Inputs[1];
        SimilarityCuda.Finish(args.Cuda, SimilarityCuda.Forward(args, z, Tensor.None, keys, Tensor.None, attr.Tau, attr.Offset), args.Outputs[0]);
    }

    /// <inheritdoc/>
    public static void BackwardCuda(in GradArgs args, in Attr attr)
    {
        bool separate = !args.Inputs[1].IsNone;
        Tensor z = args.Inputs[0], keys = separate ? args.Inputs[1] : z, weight = args.Scratch.Empty(new Shape(z.Shape[0]), DType.F32);
        nint lse = args.Outputs[0].Address;
        SimilarityCuda.Weights(args.Cuda, args.OutputGrads[0], weight, attr.Tau);
        var asAnchor = new SimilarityCuda.Pair { Partners = keys.Address, Count = keys.Shape[0], Shift = attr.Offset, RowWeight = weight.Address, RowLogSumExp = lse };
        var asKey = new SimilarityCuda.Pair { Partners = z.Address, Count = z.Shape[0], Shift = -attr.Offset, PartnerWeight = weight.Address, PartnerLogSumExp = lse };
        if (!separate) (asAnchor.PartnerWeight, asAnchor.PartnerLogSumExp) = (weight.Address, lse);
        var ofAnchors = new SimilarityCuda.Target { Rows = z.Address, Gradient = SimilarityCuda.Address(args.InputGrads[0]), First = asAnchor };
        SimilarityCuda.Backward(args, ofAnchors, default, 1, z.Shape[0], z.Shape[1], attr.Tau);
        if (!separate) return;
        var ofKeys = new SimilarityCuda.Target { Rows = keys.Address, Gradient = SimilarityCuda.Address(args.InputGrads[1]), First = asKey };
        SimilarityCuda.Backward(args, ofKeys, default, 1, keys.Shape[0], z.Shape[1], attr.Tau);
    }

    /// <inheritdoc/>
    public static OpCost Cost(in ShapeRule rule, in Attr attr)
    {
        long n = rule.In(0).Shape[0], d = rule.In(0).Shape[1], m = rule.Has(1) ? rule.In(1).Shape[0] : n, bytes = rule.AllBytes();
        return new(n * m * (2 * d + 4), bytes, n * m * (rule.Has(1) ? 8 * d + 8 : 4 * d + 8), bytes + rule.GradientBytes());
    }

    /// <inheritdoc/>
    public static IEnumerable<Sample<Attr>> Samples()
    {
        yield return new("self", new(0.5), SampleInput.Normal(new Shape(5, 8), 0.5), SampleInput.Absent);
        yield return new("keys and offset", new(0.7, 3), SampleInput.Normal(new Shape(4, 11), 0.5), SampleInput.Normal(new Shape(9, 11), 0.5));
        yield return new("own key first in a tile", new(1, 63), SampleInput.Normal(new Shape(19, 9), 0.5), SampleInput.Normal(new Shape(131, 9), 0.5));
        yield return new("several tiles", new(0.8), SampleInput.Normal(new Shape(67, 6), 0.6), SampleInput.Absent);
        yield return new("tile of the own key alone", new(0.8, 64), SampleInput.Normal(new Shape(1, 6), 0.6), SampleInput.Normal(new Shape(65, 6), 0.6));
        yield return new("two keys", new(0.3), SampleInput.Normal(new Shape(2, 3)), SampleInput.Absent);
        yield return new("bench", new(0.1), SampleInput.Normal(new Shape(1024, 128), 0.088), SampleInput.Absent) { Bench = true };
    }
}
