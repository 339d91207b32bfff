using System.Runtime.InteropServices;

namespace Orthrus.Tensor;

public sealed partial class Dcl
{
    private const int RowThreads = 256, Sums = 8;

    private static readonly CudaKernel RowsKernel = new("dcl", "dcl_rows"), TotalKernel = new("dcl", "dcl_total"), WeightsKernel = new("dcl", "dcl_weights");

    [StructLayout(LayoutKind.Sequential)]
    private struct RowArgs
    {
        internal nint Partial, Own, Weight, Loss01, Loss10, LogSumExp, Sums, Loss, Metrics;
        internal int N, M, Splits, Blocks, Joint;
        internal float Tau;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct WeightArgs
    {
        internal nint LogSumExp, Weight, DLoss, DLoss01, DLoss10, To;
        internal int N, Joint;
        internal float Scale;
    }

    /// <inheritdoc/>
    public static void ForwardCuda(in OpArgs args, in Attr attr)
    {
        Tensor keys0 = KeysOf(args.Inputs, 0), keys1 = KeysOf(args.Inputs, 1);
        var statistic = SimilarityCuda.Forward(args, args.Inputs[Z0], args.Inputs[Z1], keys0, keys1, attr.Tau, attr.Offset);
        int n = args.Inputs[Z0].Shape[0], blocks = CudaGrid.Cover(n, RowThreads);
        var a = new RowArgs
        {
            Partial = statistic.Partial, Own = statistic.Own, Weight = SimilarityCuda.Address(args.Inputs[Weight]), Loss01 = args.Outputs[Loss01].Address,
            Loss10 = args.Outputs[Loss10].Address, LogSumExp = args.Outputs[Lse].Address, Sums = args.Scratch.Empty(new Shape(blocks, Sums), DType.F32).Address,
            Loss = args.Outputs[Loss].Address, Metrics = args.Outputs[Metrics].Address, N = n, M = keys0.Shape[0], Splits = statistic.Splits, Blocks = blocks,
            Joint = attr.Form == Form.Joint ? 1 : 0, Tau = (float)attr.Tau,
        };
        args.Cuda.Launch(RowsKernel, DType.F32, blocks, RowThreads, 0, a);
        args.Cuda.Launch(TotalKernel, DType.F32, 1, RowThreads, 0, a);
    }

    /// <inheritdoc/>
    public static void BackwardCuda(in GradArgs args, in Attr attr)
    {
        Tensor z0 = args.Inputs[Z0], weights = args.Scratch.Empty(new Shape(7, z0.Shape[0]), DType.F32);
        int n = z0.Shape[0], width = z0.Shape[1];
        bool separate = !args.Inputs[Keys0].IsNone;
        var a = new WeightArgs
        {
            LogSumExp = args.Outputs[Lse].Address, Weight = SimilarityCuda.Address(args.Inputs[Weight]), DLoss = SimilarityCuda.Address(args.OutputGrads[Loss]),
            DLoss01 = SimilarityCuda.Address(args.OutputGrads[Loss01]), DLoss10 = SimilarityCuda.Address(args.OutputGrads[Loss10]), To = weights.Address,
            N = n, Joint = attr.Form == Form.Joint ? 1 : 0, Scale = (float)(1 / attr.Tau),
        };
        args.Cuda.Launch(WeightsKernel, DType.F32, CudaGrid.Cover(n, RowThreads), RowThreads, 0, a);
        SimilarityCuda.Backward(args, TargetOf(args, attr, Z0, separate, weights.Address), TargetOf(args, attr, Z1, separate, weights.Address), 2, n, width, attr.Tau);
        if (separate)
            SimilarityCuda.Backward(args, TargetOf(args, attr, Keys0, true, weights.Address), TargetOf(args, attr, Keys1, true, weights.Address), 2, args.Inputs[Keys0].Shape[0], width, attr.Tau);
    }

    private static SimilarityCuda.Target TargetOf(in GradArgs args, in Attr attr, int operand, bool separate, nint weights)
    {
        int view = operand % 2;
        bool anchors = operand <= Z1, keys = operand >= Keys0 || !separate;
        return new()
        {
            Rows = args.Inputs[operand].Address, Gradient = SimilarityCuda.Address(args.InputGrads[operand]),
            First = PairOf(args, attr, view, view, anchors, keys, weights), Second = PairOf(args, attr, view, 1 - view, anchors, keys, weights),
        };
    }

    /// <summary>As <see cref="Pair"/>, of addresses.</summary>
    private static SimilarityCuda.Pair PairOf(in GradArgs args, in Attr attr, int view, int other, bool anchors, bool keys, nint weights)
    {
        var partners = anchors ? KeysOf(args.Inputs, other) : args.Inputs[other];
        nint row = args.Inputs[Z0].Shape[0] * (nint)sizeof(float), lse = args.Outputs[Lse].Address;
        int across = view != other ? 1 : 0;
        nint asAnchor = (2 * view + across) * row, asKey = (2 * other + across) * row;
        var pair = new SimilarityCuda.Pair { Partners = partners.Address, Count = partners.Shape[0], Shift = anchors ? attr.Offset : -attr.Offset };
        if (anchors) (pair.RowWeight, pair.RowLogSumExp) = (weights + asAnchor, lse + asAnchor);
        if (keys) (pair.PartnerWeight, pair.PartnerLogSumExp) = (weights + asKey, lse + asKey);
        if (across == 0) return pair;
        if (anchors) pair.OwnByRow = weights + (keys ? 6 : 4 + view) * row;
        else pair.OwnByPartner = weights + (4 + other) * row;
        return pair;
    }
}
