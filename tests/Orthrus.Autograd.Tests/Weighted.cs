using System.Numerics;
using Orthrus.Tensor;

namespace Orthrus.Autograd.Tests;

/// <summary>y = a * 2; scale has no gradient and nothing is saved: for tests of the tape's bookkeeping.</summary>
internal sealed class Weighted : IOp<NoAttr>
{
    public static string Name => "weighted";
    public static OpSignature Signature { get; } = new([new("a"), new("scale", OperandKind.Constant)], [new("y")]);
    public static Saves Saves => Saves.None;
    public static void Infer(ref ShapeRule rule, in NoAttr attr) => rule.Out(0, rule.In(0).Shape);

    public static void Reference<R>(in RefArgs<R> args, in NoAttr attr) where R : struct, IReal<R>
    {
        for (int i = 0; i < args.In(0).Length; i++) args.Out(0)[i] = args.In(0)[i] * R.From(2);
    }

    public static unsafe void ForwardCpu<T>(in OpArgs args, in NoAttr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        for (long i = 0; i < args.Inputs[0].Count; i++) args.Outputs[0].Pointer<T>()[i] = args.Inputs[0].Pointer<T>()[i] * T.CreateChecked(2);
    }

    public static unsafe void BackwardCpu<T>(in GradArgs args, in NoAttr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        for (long i = 0; i < args.OutputGrads[0].Count; i++) args.InputGrads[0].Pointer<T>()[i] = args.OutputGrads[0].Pointer<T>()[i] * T.CreateChecked(2);
    }

    public static void ForwardCuda(in OpArgs args, in NoAttr attr) => throw CudaKernel.Missing(Name, args.Scratch);
    public static void BackwardCuda(in GradArgs args, in NoAttr attr) => throw CudaKernel.Missing(Name, args.Scratch);
    public static OpCost Cost(in ShapeRule rule, in NoAttr attr) => default;
    public static IEnumerable<Sample<NoAttr>> Samples() => [new("one", default, SampleInput.Normal(new Shape(3)), SampleInput.Normal(new Shape(3)))];
}
