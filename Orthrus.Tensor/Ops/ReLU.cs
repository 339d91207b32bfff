using System.Numerics;

namespace Orthrus.Tensor;

/// <summary>max(x, 0).</summary>
/// <remarks>Source: torch.relu.</remarks>
public sealed class ReLU : IOp<NoAttr>
{
    /// <inheritdoc/>
    public static string Name => "relu";
    /// <inheritdoc/>
    public static OpSignature Signature { get; } = new([new("x")], [new("y")]);
    /// <inheritdoc/>
    public static Saves Saves => Saves.Inputs;
    /// <inheritdoc/>
    public static void Infer(ref ShapeRule rule, in NoAttr attr) => rule.Out(0, rule.In(0).Shape);
    /// <inheritdoc/>
    public static void Reference<R>(in RefArgs<R> args, in NoAttr attr) where R : struct, IReal<R>
    {
        for (int i = 0; i < args.In(0).Length; i++) args.Out(0)[i] = Real.Max(R.From(0), args.In(0)[i]);
    }
    /// <inheritdoc/>
    public static unsafe void ForwardCpu<T>(in OpArgs args, in NoAttr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        T* x = args.Inputs[0].Pointer<T>(), y = args.Outputs[0].Pointer<T>();
        for (long i = 0; i < args.Inputs[0].Count; i++) y[i] = T.Max(x[i], T.Zero);
    }
    /// <inheritdoc/>
    public static unsafe void BackwardCpu<T>(in GradArgs args, in NoAttr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        if (args.InputGrads[0].IsNone) return;
        T* x = args.Inputs[0].Pointer<T>(), dy = args.OutputGrads[0].Pointer<T>(), dx = args.InputGrads[0].Pointer<T>();
        for (long i = 0; i < args.Inputs[0].Count; i++) dx[i] = x[i] > T.Zero ? dy[i] : T.Zero;
    }
    /// <inheritdoc/>
    public static OpCost Cost(in ShapeRule rule, in NoAttr attr) => new(rule.In(0).Shape.Count, rule.AllBytes(), rule.In(0).Shape.Count, rule.AllBytes());
    /// <inheritdoc/>
    public static IEnumerable<Sample<NoAttr>> Samples() => [new("small", default, SampleInput.Normal(new Shape(5, 7)))];
}
