using System.Numerics;
using System.Runtime.InteropServices;
using Orthrus.Tensor.Cuda;

namespace Orthrus.Tensor;

/// <summary>y = x / (1 - p) with probability 1 - p, else 0, elementwise.</summary>
/// <remarks>
/// x, y: any shape, F32, F64 or BF16. Element i of x is kept where word Offset + i of the stream (<see cref="Philox"/> with key Seed) is at least p 2^32, rounded: the
/// choice depends on seed, stream and index alone, not on threads, vector width or dtype. Backward draws the same words again, so that nothing is saved. Use
/// another stream for each layer and step, and Offset where a batch is cut into pieces. What is dropped is 0 even where x is NaN or infinite. The CPU's generator is
/// scalar code. Source: Srivastava et al. 2014; torch.nn.Dropout in training.
/// </remarks>
/// <exception cref="ShapeException">A probability outside [0, 1].</exception>
public sealed class Dropout : IOp<Dropout.Attr>
{
    /// <summary>Options.</summary>
    /// <param name="Probability">Share that is dropped, from 0 to 1.</param>
    /// <param name="Seed">Key of the generator.</param>
    /// <param name="Stream">Which of 2^64 independent sequences.</param>
    /// <param name="Offset">Index of the first element within the stream.</param>
    public readonly record struct Attr(double Probability, ulong Seed, ulong Stream = 0, ulong Offset = 0);

    private const int Chunk = 1 << 12;

    /// <inheritdoc/>
    public static string Name => "dropout";
    /// <inheritdoc/>
    public static OpSignature Signature { get; } = new([new("x")], [new("y")]) { BFloat16 = true };
    /// <inheritdoc/>
    public static Saves Saves => Saves.None;

    /// <inheritdoc/>
    public static void Infer(ref ShapeRule rule, in Attr attr)
    {
        rule.Require(0, attr.Probability is >= 0 and <= 1, $"cannot be dropped with probability {attr.Probability}; want 0 to 1");
        rule.Out(0, rule.In(0).Shape);
    }

    /// <inheritdoc/>
    public static void Reference<R>(in RefArgs<R> args, in Attr attr) where R : struct, IReal<R>
    {
        R[] x = args.In(0), y = args.Out(0);
        var scale = R.From(1) / R.From(1 - attr.Probability);
        for (int i = 0; i < x.Length; i++)
        {
            ulong at = attr.Offset + (ulong)i;
            var (w0, w1, w2, w3) = Philox.Words(attr.Seed, attr.Stream, at / 4);
            uint word = (at % 4) switch { 0 => w0, 1 => w1, 2 => w2, _ => w3 };
            y[i] = word >= Threshold(attr) ? x[i] * scale : R.From(0);
        }
    }

    /// <inheritdoc/>
    public static void ForwardCpu<T>(in OpArgs args, in Attr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T> =>
        Apply<T>(args.Workers, args.Inputs[0], args.Outputs[0], attr);

    /// <inheritdoc/>
    public static void BackwardCpu<T>(in GradArgs args, in Attr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        if (!args.InputGrads[0].IsNone) Apply<T>(args.Workers, args.OutputGrads[0], args.InputGrads[0], attr);
    }

    private static readonly CudaKernel Kernel = new("dropout", "dropout");

    [StructLayout(LayoutKind.Sequential)]
    private struct CudaArgs
    {
        internal nint X, Y;
        internal long Count;
        internal ulong Seed, Stream, Offset;
        internal uint Threshold;
        internal float Scale;
    }

    /// <inheritdoc/>
    public static void ForwardCuda(in OpArgs args, in Attr attr) => Launch(args.Cuda, args.DType, args.Inputs[0], args.Outputs[0], attr);

    /// <inheritdoc/>
    public static void BackwardCuda(in GradArgs args, in Attr attr)
    {
        if (!args.InputGrads[0].IsNone) Launch(args.Cuda, args.DType, args.OutputGrads[0], args.InputGrads[0], attr);
    }

    private static void Launch(CudaDevice device, DType dtype, in Tensor x, in Tensor y, in Attr attr)
    {
        ulong threshold = Threshold(attr);
        if (threshold > uint.MaxValue)
        {
            // Everything is dropped, and nothing read.
            device.Fill(y.Address, y.Bytes, 0);
            return;
        }
        var a = new CudaArgs
        {
            X = x.Address, Y = y.Address, Count = x.Count, Seed = attr.Seed, Stream = attr.Stream, Offset = attr.Offset, Threshold = (uint)threshold,
            Scale = 1 / (float)(1 - attr.Probability),
        };
        // The first counter may begin up to three elements before the first.
        device.Launch(Kernel, dtype, x.Count == 0 ? 0 : CudaGrid.Cover(x.Count + (long)(attr.Offset & 3), CudaElements.PerBlock), CudaElements.Threads, 0, a);
    }

    // 64 bits, because with p = 1 no word is large enough.
    private static ulong Threshold(in Attr attr) => (ulong)Math.Round(attr.Probability * 4294967296.0);

    private static unsafe void Apply<T>(WorkerPool workers, Tensor x, Tensor y, in Attr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var job = new Job<T> { X = x.Pointer<T>(), Y = y.Pointer<T>(), Count = x.Count, Attr = attr, Threshold = Threshold(attr), Scale = T.One / T.CreateTruncating(1 - attr.Probability) };
        workers.Run(checked((int)((x.Count + Chunk - 1) / Chunk)), ref job);
    }

    private unsafe struct Job<T> : IParallelJob where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        internal T* X, Y;
        internal long Count;
        internal Attr Attr;
        internal ulong Threshold;
        internal T Scale;

        public readonly void Run(int index)
        {
            long i = (long)index * Chunk, last = Math.Min(Count, i + Chunk);
            uint* words = stackalloc uint[4];
            while (i < last)
            {
                ulong at = Attr.Offset + (ulong)i;
                (words[0], words[1], words[2], words[3]) = Philox.Words(Attr.Seed, Attr.Stream, at / 4);
                for (int word = (int)(at % 4); word < 4 && i < last; word++, i++) Y[i] = words[word] >= Threshold ? X[i] * Scale : T.Zero;
            }
        }
    }

    /// <inheritdoc/>
    public static OpCost Cost(in ShapeRule rule, in Attr attr)
    {
        long n = rule.In(0).Shape.Count, bytes = 2 * n * rule.DType.Size();
        return new(n, bytes, n, bytes);
    }

    /// <inheritdoc/>
    public static IEnumerable<Sample<Attr>> Samples()
    {
        yield return new("small", new(0.3, 1), SampleInput.Normal(new Shape(2, 7, 5)));
        yield return new("offset", new(0.5, 0x123456789ABCDEF0, ulong.MaxValue, 4 * 4294967295UL + 2), SampleInput.Normal(new Shape(23)));
        yield return new("nothing dropped", new(0, 2), SampleInput.Normal(new Shape(9)));
        yield return new("everything dropped", new(1, 2), SampleInput.Values(new Shape(6), -1, 0, 1, 2, double.NaN, double.PositiveInfinity));
        yield return new("chunks", new(0.1, 3, 4, 5), SampleInput.Normal(new Shape(2 * Chunk + 3)));
        yield return new("bench", new(0.1, 1), SampleInput.Normal(new Shape(8, 1024, 512))) { Bench = true };
    }
}
