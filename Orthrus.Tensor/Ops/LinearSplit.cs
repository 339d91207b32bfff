using System.Numerics;
using System.Runtime.InteropServices;
using Orthrus.Tensor.Cpu;
using Orthrus.Tensor.Cuda;

namespace Orthrus.Tensor;

/// <summary>y_i = x W_i' over the last axis, where W_0, W_1 and W_2 are the rows of one weight: a narrow product whose columns are wanted apart.</summary>
/// <remarks>
/// x (..., K), weight (P + Q + S, K), y0 (..., P), y1 (..., Q), y2 (..., S), F32, F64 or on CUDA devices BF16; all leading axes are rows. With the engine's own products the bits of y_i are those of
/// <see cref="Linear"/> with the rows W_i. It is one product in each direction, so that x is read and its gradient written and, in BF16, rounded once. Source: the x_proj of Mamba.
/// </remarks>
/// <exception cref="ShapeException">Shapes that do not fit.</exception>
public sealed class LinearSplit : IOp<LinearSplit.Attr>
{
    /// <summary>Options.</summary>
    /// <param name="P">Columns of the first result.</param>
    /// <param name="Q">Columns of the second; the third has the rest.</param>
    public readonly record struct Attr(int P, int Q);

    private const int X = 0, Weight = 1, Parts = 3;

    /// <inheritdoc/>
    public static string Name => "linear_split";
    /// <inheritdoc/>
    public static OpSignature Signature { get; } = new([new("x"), new("weight", Precision: Precision.Weight)], [new("y0"), new("y1"), new("y2")]) { BFloat16 = true };
    /// <inheritdoc/>
    public static Saves Saves => Saves.Inputs;

    private static int Columns(in Attr attr, int rows, int part) => part switch { 0 => attr.P, 1 => attr.Q, _ => rows - attr.P - attr.Q };

    private static int First(in Attr attr, int part) => part switch { 0 => 0, 1 => attr.P, _ => attr.P + attr.Q };

    /// <inheritdoc/>
    public static void Infer(ref ShapeRule rule, in Attr attr)
    {
        var w = rule.Rank(Weight, 2);
        var x = rule.In(X).Shape;
        rule.Require(X, x.Rank >= 1 && x.Last == w[1], $"has shape {x}; want rows of {w[1]}");
        rule.Require(Weight, attr is { P: > 0, Q: > 0 } && attr.P + attr.Q < w[0], $"has shape {w}; want more than {attr.P} + {attr.Q} rows");
        for (int i = 0; i < Parts; i++) rule.Out(i, x.WithLast(Columns(attr, w[0], i)));
    }

    /// <inheritdoc/>
    public static void Reference<R>(in RefArgs<R> args, in Attr attr) where R : struct, IReal<R>
    {
        R[] x = args.In(X), w = args.In(Weight);
        int K = args.Shape(Weight)[1], rows = (int)args.Shape(X).Rows;
        for (int i = 0; i < Parts; i++)
        {
            int columns = Columns(attr, args.Shape(Weight)[0], i), first = First(attr, i);
            for (int row = 0; row < rows; row++)
                for (int o = 0; o < columns; o++)
                {
                    var sum = R.From(0);
                    for (int k = 0; k < K; k++) sum += x[row * K + k] * w[(first + o) * K + k];
                    args.Out(i)[row * columns + o] = sum;
                }
        }
    }

    /// <inheritdoc/>
    public static unsafe void ForwardCpu<T>(in OpArgs args, in Attr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        Tensor x = args.Inputs[X], w = args.Inputs[Weight];
        int all = w.Shape[0];
        T* y = args.Scratch.Empty(new Shape(checked((int)x.Shape.Rows), all), x.DType).Pointer<T>();
        Gemm.TimesTransposed(args.Scratch, x.Pointer<T>(), x.Shape.Rows, w.Shape[1], w.Pointer<T>(), all, null, y);
        for (int i = 0; i < Parts; i++) Copy(args.Workers, y, all, First(attr, i), args.Outputs[i].Pointer<T>(), Columns(attr, all, i), x.Shape.Rows, into: false);
    }

    /// <inheritdoc/>
    public static unsafe void BackwardCpu<T>(in GradArgs args, in Attr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        Tensor x = args.Inputs[X], w = args.Inputs[Weight];
        long rows = x.Shape.Rows;
        int K = w.Shape[1], all = w.Shape[0];
        var joined = args.Scratch.Empty(new Shape(checked((int)rows), all), x.DType);
        T* dy = joined.Pointer<T>();
        for (int i = 0; i < Parts; i++)
            if (args.OutputGrads[i].IsNone) joined.AsSpan<T>().Clear();
        for (int i = 0; i < Parts; i++)
            if (!args.OutputGrads[i].IsNone) Copy(args.Workers, dy, all, First(attr, i), args.OutputGrads[i].Pointer<T>(), Columns(attr, all, i), rows, into: true);
        if (!args.InputGrads[X].IsNone) Gemm.Times(args.Scratch, dy, rows, all, w.Pointer<T>(), K, args.InputGrads[X].Pointer<T>());
        if (!args.InputGrads[Weight].IsNone) Gemm.TransposedTimes(args.Scratch, dy, rows, all, x.Pointer<T>(), K, args.InputGrads[Weight].Pointer<T>());
    }

    private static unsafe void Copy<T>(WorkerPool workers, T* joined, int all, int first, T* part, int columns, long rows, bool into) where T : unmanaged
    {
        var job = new CopyJob<T> { Joined = joined + first, Part = part, All = all, Columns = columns, Rows = rows, Into = into };
        workers.Run(checked((int)((rows + CopyJob<T>.RowsPerItem - 1) / CopyJob<T>.RowsPerItem)), ref job);
    }

    private unsafe struct CopyJob<T> : IParallelJob where T : unmanaged
    {
        internal const int RowsPerItem = 512;
        internal T* Joined, Part;
        internal int All, Columns;
        internal long Rows;
        internal bool Into;

        public readonly void Run(int item)
        {
            long end = Math.Min(Rows, (item + 1L) * RowsPerItem);
            for (long row = (long)item * RowsPerItem; row < end; row++)
            {
                Span<T> whole = new(Joined + row * All, Columns), part = new(Part + row * Columns, Columns);
                if (Into) part.CopyTo(whole);
                else whole.CopyTo(part);
            }
        }
    }

    private static readonly CudaKernel SplitKernel = new("split_columns", "split_columns"), JoinKernel = new("split_columns", "join_columns");

    [StructLayout(LayoutKind.Sequential)]
    private struct CudaArgs
    {
        internal nint Joined, First, Second, Third;
        internal long Rows;
        internal int SecondColumn, ThirdColumn, All, Slab, InFours;
    }

    /// <inheritdoc/>
    public static void ForwardCuda(in OpArgs args, in Attr attr)
    {
        Tensor x = args.Inputs[X], w = args.Inputs[Weight];
        var joined = args.Scratch.Empty(x.Shape.WithLast(w.Shape[0]), x.DType);
        Linear.ForwardOn(args, x, w, 0, joined);
        Move(args.Cuda, SplitKernel, args.DType, joined, args.Outputs, attr);
        args.Scratch.Free(joined);
    }

    /// <inheritdoc/>
    public static void BackwardCuda(in GradArgs args, in Attr attr)
    {
        Tensor x = args.Inputs[X], w = args.Inputs[Weight];
        var joined = args.Scratch.Empty(x.Shape.WithLast(w.Shape[0]), x.DType);
        Move(args.Cuda, JoinKernel, args.DType, joined, args.OutputGrads, attr);
        Linear.BackwardOn(args, x, w, joined, args.InputGrads[X], args.InputGrads[Weight]);
        args.Scratch.Free(joined);
    }

    private static void Move(CudaDevice device, CudaKernel kernel, DType dtype, in Tensor joined, ReadOnlySpan<Tensor> parts, in Attr attr)
    {
        const int elementsOfThread = 8;
        if (joined.Count == 0) return;
        int all = joined.Shape.Last;
        var a = new CudaArgs
        {
            Joined = joined.Address, First = parts[0].AddressOrZero, Second = parts[1].AddressOrZero, Third = parts[2].AddressOrZero, Rows = joined.Shape.Rows, SecondColumn = attr.P, ThirdColumn = attr.P + attr.Q, All = all,
            Slab = Math.Max(1, CudaElements.Threads * elementsOfThread / all),
        };
        a.InFours = (attr.P | attr.Q | all) % 4 == 0 && CudaElements.Fours(dtype, a.Joined | a.First | a.Second | a.Third) ? 1 : 0;
        device.Launch(kernel, dtype, CudaGrid.Cover(a.Rows, a.Slab), CudaElements.Threads, 0, a);
    }

    /// <inheritdoc/>
    public static OpCost Cost(in ShapeRule rule, in Attr attr)
    {
        long rows = rule.In(X).Shape.Rows, products = rows * rule.In(Weight).Shape.Count, size = rule.DType.Size(), x = rule.In(X).Shape.Count, w = rule.In(Weight).Shape.Count;
        return new(2 * products, rule.AllBytes(), 4 * products, (2 * x + 2 * w + rows * rule.In(Weight).Shape[0]) * size);
    }

    /// <inheritdoc/>
    public static IEnumerable<Sample<Attr>> Samples()
    {
        Sample<Attr> Of(string name, Shape x, int p, int q, int s) => new(name, new(p, q), SampleInput.Normal(x), SampleInput.Normal(new Shape(p + q + s, x.Last)));
        yield return Of("three widths", new Shape(2, 3, 5), 4, 2, 3);
        yield return Of("one column each", new Shape(7, 9), 1, 1, 1);
        yield return Of("several blocks", new Shape(2, 531, 3), 8, 16, 16);
        yield return Of("a vector", new Shape(33), 3, 16, 16);
        yield return Of("bench", new Shape(4, 1024, 1024), 32, 16, 16) with { Bench = true };
    }
}
