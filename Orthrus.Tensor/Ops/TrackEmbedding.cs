using System.Numerics;
using Orthrus.Tensor.Cpu;

namespace Orthrus.Tensor;

/// <summary>Linear embedding of track bytes: y[b,t] = bias + sum over the set bits k &lt; C of tracks[b,t] of weight[:,k].</summary>
/// <remarks>
/// tracks (B, L), U8 below 64; weight (D, C) with C of 4 or 6; bias (D); y (B, L, D), F32 or F64. Bits 0 to 3 are A, C, G, T, bit 4 the first base of a
/// codon, bit 5 the last base of an exon; with 4 tracks bits 4 and 5 are ignored. Forward gathers rows of a table with one row per byte; backward adds the
/// rows of dy up per byte and multiplies the sums. On a CUDA device, which does not show its operands to the host, a byte of 64 or more makes its row NaN.
/// Source: the input projection of Orthrus.
/// </remarks>
/// <exception cref="ShapeException">A byte of 64 or more, on the CPU: bits 6 and 7 are no tracks. The message names the position.</exception>
public sealed class TrackEmbedding : IOp<NoAttr>
{
    private const int Tracks = 0, Weight = 1, Bias = 2;

    /// <inheritdoc/>
    public static string Name => "track_embedding";
    /// <inheritdoc/>
    public static OpSignature Signature { get; } = new([new("tracks", OperandKind.Integer), new("weight", Precision: Precision.Weight), new("bias", Precision: Precision.Wide)], [new("y")]) { BFloat16 = true };
    /// <inheritdoc/>
    public static Saves Saves => Saves.Inputs;

    /// <inheritdoc/>
    public static void Infer(ref ShapeRule rule, in NoAttr attr)
    {
        Shape tracks = rule.Rank(Tracks, 2), weight = rule.Rank(Weight, 2);
        rule.Type(Tracks, DType.U8);
        rule.Require(Weight, weight[1] is 4 or 6, $"has shape {weight}; want (D, 4) or (D, 6)");
        rule.Exactly(Bias, new Shape(weight[0]));
        rule.Out(0, new Shape(tracks[0], tracks[1], weight[0]));
    }

    /// <inheritdoc/>
    public static void Reference<R>(in RefArgs<R> args, in NoAttr attr) where R : struct, IReal<R>
    {
        int D = args.Shape(Weight)[0], C = args.Shape(Weight)[1];
        long[] tracks = args.Int(Tracks);
        for (int p = 0; p < tracks.Length; p++)
            for (int d = 0; d < D; d++)
            {
                var sum = args.In(Bias)[d];
                for (int k = 0; k < C; k++)
                    if ((tracks[p] >> k & 1) != 0) sum += args.In(Weight)[d * C + k];
                args.Out(0)[p * D + d] = sum;
            }
    }

    /// <inheritdoc/>
    public static unsafe void ForwardCpu<T>(in OpArgs args, in NoAttr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        TrackTable.Check(Name, args.Inputs[Tracks]);
        int D = args.Inputs[Weight].Shape[0], C = args.Inputs[Weight].Shape[1];
        T* columns = args.Scratch.Empty(new Shape(C, D), args.Inputs[Weight].DType).Pointer<T>(), weight = args.Inputs[Weight].Pointer<T>();
        for (int d = 0; d < D; d++)
            for (int k = 0; k < C; k++) columns[(long)k * D + d] = weight[(long)d * C + k];
        var table = new TableCode<T> { Table = args.Scratch.Empty(new Shape(1 << C, D), args.Inputs[Weight].DType).Pointer<T>(), Columns = columns, C = C, D = D };
        args.Inputs[Bias].AsSpan<T>().CopyTo(new Span<T>(table.Table, D));
        SimdDispatch.Run<T, TableCode<T>>(args.VectorWidth, ref table);
        TrackTable.Gather(args.Workers, args.Inputs[Tracks], table.Table, 1 << C, D, args.Outputs[0].Pointer<T>());
    }

    /// <inheritdoc/>
    public static unsafe void BackwardCpu<T>(in GradArgs args, in NoAttr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        if (args.InputGrads[Weight].IsNone && args.InputGrads[Bias].IsNone) return;
        TrackTable.Check(Name, args.Inputs[Tracks]);
        int D = args.Inputs[Weight].Shape[0], C = args.Inputs[Weight].Shape[1];
        T* sums = args.Scratch.Empty(new Shape(1 << C, D), args.OutputGrads[0].DType).Pointer<T>();
        TrackTable.Sum(args, args.Inputs[Tracks], args.OutputGrads[0].Pointer<T>(), 1 << C, D, sums);
        Multiply(sums, D, C, args.InputGrads[Weight].IsNone ? null : args.InputGrads[Weight].Pointer<T>(), args.InputGrads[Bias].IsNone ? null : args.InputGrads[Bias].Pointer<T>());
    }

    /// <inheritdoc/>
    public static void ForwardCuda(in OpArgs args, in NoAttr attr) => TrackEmbeddingCuda.Forward(args, Tracks, Weight, Bias);

    /// <inheritdoc/>
    public static void BackwardCuda(in GradArgs args, in NoAttr attr) => TrackEmbeddingCuda.Backward(args, Tracks, Weight, Bias);

    /// <summary>dbias: the sums of all bytes; dweight[:,k]: of those with bit k.</summary>
    private static unsafe void Multiply<T>(T* sums, int D, int C, T* dWeight, T* dBias) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        for (int d = 0; d < D; d++)
        {
            if (dBias is not null) dBias[d] = T.Zero;
            for (int k = 0; k < C && dWeight is not null; k++) dWeight[(long)d * C + k] = T.Zero;
            for (int value = 0; value < 1 << C; value++)
            {
                T sum = sums[(long)value * D + d];
                if (dBias is not null) dBias[d] += sum;
                for (int k = 0; k < C && dWeight is not null; k++)
                    if ((value >> k & 1) != 0) dWeight[(long)d * C + k] += sum;
            }
        }
    }

    /// <summary>Row of a byte: the row without its highest bit, plus that bit's column. Row 0 holds the bias.</summary>
    private unsafe struct TableCode<T> : IVectorCode<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        internal T* Table, Columns;
        internal int C, D;

        public readonly void Run<V>() where V : unmanaged, ISimd<V, T>
        {
            for (int k = 0; k < C; k++)
                for (int value = 1 << k; value < 2 << k; value++)
                {
                    T* from = Table + (long)(value - (1 << k)) * D, column = Columns + (long)k * D, to = Table + (long)value * D;
                    for (int d = 0; d < D; d += V.Lanes) Edge.Store(to + d, Edge.Load<V, T>(from + d, D - d) + Edge.Load<V, T>(column + d, D - d), D - d);
                }
        }
    }

    /// <inheritdoc/>
    public static OpCost Cost(in ShapeRule rule, in NoAttr attr)
    {
        long n = rule.OutSpec(0).Shape.Count;
        return new((long)rule.In(Weight).Shape[0] << rule.In(Weight).Shape[1], rule.AllBytes(), n, rule.GradientBytes() + rule.InBytes(Tracks));
    }

    /// <inheritdoc/>
    public static IEnumerable<Sample<NoAttr>> Samples()
    {
        SampleInput Bytes(int b, int l) => SampleInput.Ints(new Shape(b, l), 0, 63, DType.U8);
        SampleInput Real(params int[] s) => SampleInput.Normal(Shape.Of(s));
        yield return new("six tracks", default, Bytes(2, 9), Real(5, 6), Real(5));
        yield return new("four tracks", default, Bytes(3, 8), Real(7, 4), Real(7));
        yield return new("several blocks and strips", default, Bytes(2, 130), Real(67, 6), Real(67));
        yield return new("bench", default, Bytes(8, 3000), Real(512, 6), Real(512)) { Bench = true };
    }
}
