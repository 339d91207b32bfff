using System.Numerics;

namespace Orthrus.Tensor;

/// <summary>Rows of a table by track byte: y[b,t] = table[tracks[b,t]].</summary>
/// <remarks>
/// tracks (B, L), U8 below 64; table (64, D), or (16, D) where bits 4 and 5 are not read; y (B, L, D), F32, F64 or on CUDA devices BF16. Backward adds the rows of dy up per
/// byte, in an order that depends on the shapes alone. What a network does position by position before it first looks at neighbours is a function of the byte: computed for 64 rows and
/// gathered, it costs next to nothing in both directions. On a CUDA device, which does not show its operands to the host, a byte of 64 or more makes its row NaN.
/// Source: torch.nn.functional.embedding.
/// </remarks>
/// <exception cref="ShapeException">A byte of 64 or more, on the CPU: bits 6 and 7 are no tracks. The message names the position.</exception>
public sealed class TrackRows : IOp<NoAttr>
{
    private const int Tracks = 0, Table = 1;

    /// <inheritdoc/>
    public static string Name => "track_rows";
    /// <inheritdoc/>
    public static OpSignature Signature { get; } = new([new("tracks", OperandKind.Integer), new("table")], [new("y")]) { BFloat16 = true };
    /// <inheritdoc/>
    public static Saves Saves => Saves.Inputs;

    /// <inheritdoc/>
    public static void Infer(ref ShapeRule rule, in NoAttr attr)
    {
        Shape tracks = rule.Rank(Tracks, 2), table = rule.Rank(Table, 2);
        rule.Type(Tracks, DType.U8);
        rule.Require(Table, table[0] is 16 or 64, $"has shape {table}; want (16, D) or (64, D)");
        rule.Out(0, new Shape(tracks[0], tracks[1], table[1]));
    }

    /// <inheritdoc/>
    public static void Reference<R>(in RefArgs<R> args, in NoAttr attr) where R : struct, IReal<R>
    {
        int rows = args.Shape(Table)[0], D = args.Shape(Table)[1];
        long[] tracks = args.Int(Tracks);
        for (int p = 0; p < tracks.Length; p++)
            for (int d = 0; d < D; d++) args.Out(0)[p * D + d] = args.In(Table)[(int)tracks[p] % rows * D + d];
    }

    /// <inheritdoc/>
    public static unsafe void ForwardCpu<T>(in OpArgs args, in NoAttr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        TrackTable.Check(Name, args.Inputs[Tracks]);
        var table = args.Inputs[Table];
        TrackTable.Gather(args.Workers, args.Inputs[Tracks], table.Pointer<T>(), table.Shape[0], table.Shape[1], args.Outputs[0].Pointer<T>());
    }

    /// <inheritdoc/>
    public static unsafe void BackwardCpu<T>(in GradArgs args, in NoAttr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        if (args.InputGrads[Table].IsNone) return;
        TrackTable.Check(Name, args.Inputs[Tracks]);
        var table = args.Inputs[Table].Shape;
        TrackTable.Sum(args, args.Inputs[Tracks], args.OutputGrads[0].Pointer<T>(), table[0], table[1], args.InputGrads[Table].Pointer<T>());
    }

    /// <inheritdoc/>
    public static void ForwardCuda(in OpArgs args, in NoAttr attr) => TrackEmbeddingCuda.Rows(args, args.Inputs[Tracks], args.Inputs[Table], args.Outputs[0]);

    /// <inheritdoc/>
    public static void BackwardCuda(in GradArgs args, in NoAttr attr) => TrackEmbeddingCuda.RowsBackward(args, args.Inputs[Tracks], args.OutputGrads[0], args.InputGrads[Table]);

    /// <inheritdoc/>
    public static OpCost Cost(in ShapeRule rule, in NoAttr attr)
    {
        long n = rule.OutSpec(0).Shape.Count;
        return new(0, rule.AllBytes(), n, rule.AllBytes());
    }

    /// <inheritdoc/>
    public static IEnumerable<Sample<NoAttr>> Samples()
    {
        SampleInput Bytes(int b, int l) => SampleInput.Ints(new Shape(b, l), 0, 63, DType.U8);
        SampleInput Real(params int[] s) => SampleInput.Normal(Shape.Of(s));
        yield return new("six tracks", default, Bytes(2, 9), Real(64, 5));
        yield return new("four tracks", default, Bytes(3, 8), Real(16, 7));
        yield return new("by vectors", default, Bytes(2, 37), Real(64, 24));
        yield return new("several blocks and strips", default, Bytes(2, 530), Real(16, 131));
        yield return new("bench", default, Bytes(8, 3000), Real(64, 1024)) { Bench = true };
    }
}
