using System.Numerics;

namespace Orthrus.Tensor;

/// <summary>Row of track bytes times a projection.</summary>
/// <remarks>Source: Orthrus.</remarks>
public sealed class TrackEmbedding : IOp<NoAttr>
{
    /// <inheritdoc/>
    public static string Name => "track_embedding";
    /// <inheritdoc/>
    public static OpSignature Signature { get; } = new([new("tracks", OperandKind.Integer), new("weight"), new("bias")], [new("y")]);
    /// <inheritdoc/>
    public static Saves Saves => Saves.Inputs;
    /// <inheritdoc/>
    public static void Infer(ref ShapeRule rule, in NoAttr attr)
    {
        var t = rule.Rank(0, 2);
        rule.Out(0, new Shape(t[0], t[1], rule.Rank(1, 2)[0]));
    }
    /// <inheritdoc/>
    public static void Reference<R>(in RefArgs<R> args, in NoAttr attr) where R : struct, IReal<R>
    {
        int d = args.Shape(1)[0], c = args.Shape(1)[1];
        for (int r = 0; r < args.Int(0).Length; r++)
            for (int j = 0; j < d; j++)
            {
                var s = args.In(2)[j];
                for (int k = 0; k < c; k++)
                    if ((args.Int(0)[r] >> k & 1) != 0) s += args.In(1)[j * c + k];
                args.Out(0)[r * d + j] = s;
            }
    }
    /// <inheritdoc/>
    public static unsafe void ForwardCpu<T>(in OpArgs args, in NoAttr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        int d = args.Inputs[1].Shape[0], c = args.Inputs[1].Shape[1];
        T* w = args.Inputs[1].Pointer<T>(), b = args.Inputs[2].Pointer<T>(), y = args.Outputs[0].Pointer<T>();
        for (long r = 0; r < args.Inputs[0].Count; r++)
        {
            int bits = args.Inputs[0].Pointer<byte>()[r];
            for (int j = 0; j < d; j++)
            {
                T s = b[j];
                for (int k = 0; k < c; k++)
                    if ((bits >> k & 1) != 0) s += w[j * c + k];
                y[r * d + j] = s;
            }
        }
    }
    /// <inheritdoc/>
    public static unsafe void BackwardCpu<T>(in GradArgs args, in NoAttr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        int d = args.Inputs[1].Shape[0], c = args.Inputs[1].Shape[1];
        T* dw = args.InputGrads[1].IsNone ? null : args.InputGrads[1].Pointer<T>(), db = args.InputGrads[2].IsNone ? null : args.InputGrads[2].Pointer<T>();
        if (dw is not null) new Span<T>(dw, d * c).Clear();
        if (db is not null) new Span<T>(db, d).Clear();
        for (long r = 0; r < args.Inputs[0].Count; r++)
            for (int j = 0; j < d; j++)
            {
                T g = args.OutputGrads[0].Pointer<T>()[r * d + j];
                if (db is not null) db[j] += g;
                for (int k = 0; dw is not null && k < c; k++)
                    if ((args.Inputs[0].Pointer<byte>()[r] >> k & 1) != 0) dw[j * c + k] += g;
            }
    }
    /// <inheritdoc/>
    public static OpCost Cost(in ShapeRule rule, in NoAttr attr) => new(rule.OutSpec(0).Shape.Count * 6, rule.AllBytes(), rule.OutSpec(0).Shape.Count * 6, rule.AllBytes());
    /// <inheritdoc/>
    public static IEnumerable<Sample<NoAttr>> Samples() => [new("small", default, SampleInput.Ints(new Shape(2, 9), 0, 63, DType.U8), SampleInput.Normal(new Shape(5, 6)), SampleInput.Normal(new Shape(5)))];
}
