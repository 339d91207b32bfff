using System.Numerics;
using System.Runtime.InteropServices;
using Orthrus.Tensor.Cpu;
using Orthrus.Tensor.Cuda;

namespace Orthrus.Tensor;

/// <summary>y = a + b or y = a b, elementwise: how the two directions of a bidirectional mixer meet.</summary>
/// <remarks>a, b, y: the same shape, F32, F64 or BF16. Source: strategies "add" and "ew_multiply" of the bidirectional mixer.</remarks>
public sealed class Combine : IOp<Combine.Attr>
{
    /// <summary>Options.</summary>
    /// <param name="Multiply">Product instead of sum.</param>
    public readonly record struct Attr(bool Multiply);

    private const int Chunk = 1 << 14;

    /// <inheritdoc/>
    public static string Name => "combine";
    /// <inheritdoc/>
    public static OpSignature Signature { get; } = new([new("a"), new("b")], [new("y")]) { BFloat16 = true };
    /// <inheritdoc/>
    public static Saves Saves => Saves.Inputs;

    /// <inheritdoc/>
    public static void Infer(ref ShapeRule rule, in Attr attr)
    {
        rule.Exactly(1, rule.In(0).Shape);
        rule.Out(0, rule.In(0).Shape);
    }

    /// <inheritdoc/>
    public static void Reference<R>(in RefArgs<R> args, in Attr attr) where R : struct, IReal<R>
    {
        R[] a = args.In(0), b = args.In(1), y = args.Out(0);
        for (int i = 0; i < y.Length; i++) y[i] = attr.Multiply ? a[i] * b[i] : a[i] + b[i];
    }

    /// <inheritdoc/>
    public static unsafe void ForwardCpu<T>(in OpArgs args, in Attr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var job = new Job<T> { X = args.Inputs[0].Pointer<T>(), W = args.Inputs[1].Pointer<T>(), Y = args.Outputs[0].Pointer<T>(), Count = args.Inputs[0].Count, Multiply = attr.Multiply };
        VectorJobs.Run<T, Job<T>>(args.Workers, args.VectorWidth, job.Items, ref job);
    }

    /// <inheritdoc/>
    public static unsafe void BackwardCpu<T>(in GradArgs args, in Attr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var dy = args.OutputGrads[0];
        for (int i = 0; i < 2; i++)
        {
            var dx = args.InputGrads[i];
            if (dx.IsNone) continue;
            if (!attr.Multiply)
            {
                Buffer.MemoryCopy(dy.Pointer<T>(), dx.Pointer<T>(), dx.Bytes, dy.Bytes);
                continue;
            }
            var job = new Job<T> { X = dy.Pointer<T>(), W = args.Inputs[1 - i].Pointer<T>(), Y = dx.Pointer<T>(), Count = dy.Count, Multiply = true };
            VectorJobs.Run<T, Job<T>>(args.Workers, args.VectorWidth, job.Items, ref job);
        }
    }

    private static readonly CudaKernel ForwardKernel = new("combine", "combine_forward"), BackwardKernel = new("combine", "combine_backward");

    [StructLayout(LayoutKind.Sequential)]
    private struct CudaArgs
    {
        internal nint A, B, Dy, Y, Da, Db;
        internal long Count;
        internal int Multiply;
    }

    /// <inheritdoc/>
    public static void ForwardCuda(in OpArgs args, in Attr attr)
    {
        var y = args.Outputs[0];
        var a = new CudaArgs { A = args.Inputs[0].Address, B = args.Inputs[1].Address, Y = y.Address, Count = y.Count, Multiply = attr.Multiply ? 1 : 0 };
        args.Cuda.Launch(ForwardKernel, args.DType, CudaGrid.Cover(y.Count, CudaElements.PerBlock), CudaElements.Threads, 0, a);
    }

    /// <inheritdoc/>
    public static void BackwardCuda(in GradArgs args, in Attr attr)
    {
        Tensor dy = args.OutputGrads[0], da = args.InputGrads[0], db = args.InputGrads[1];
        if (da.IsNone && db.IsNone) return;
        var a = new CudaArgs { Dy = dy.Address, Da = da.AddressOrZero, Db = db.AddressOrZero, Count = dy.Count, Multiply = attr.Multiply ? 1 : 0 };
        // A sum's gradient needs neither operand; a product's each time the other.
        if (attr.Multiply) (a.A, a.B) = (args.Inputs[0].Address, args.Inputs[1].Address);
        args.Cuda.Launch(BackwardKernel, args.DType, CudaGrid.Cover(dy.Count, CudaElements.PerBlock), CudaElements.Threads, 0, a);
    }

    private unsafe struct Job<T> : IVectorJob<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        internal T* X, W, Y;
        internal long Count;
        internal bool Multiply;

        internal readonly int Items => checked((int)((Count + Chunk - 1) / Chunk));

        public readonly void Run<V>(int index) where V : unmanaged, ISimd<V, T>
        {
            long first = (long)index * Chunk;
            int n = (int)Math.Min(Chunk, Count - first);
            T* x = X + first, w = W + first, y = Y + first;
            for (int i = 0; i < n; i += V.Lanes)
            {
                V a = Edge.Load<V, T>(x + i, n - i), b = Edge.Load<V, T>(w + i, n - i);
                Edge.Store(y + i, Multiply ? a * b : a + b, n - i);
            }
        }
    }

    /// <inheritdoc/>
    public static OpCost Cost(in ShapeRule rule, in Attr attr)
    {
        long n = rule.In(0).Shape.Count, size = rule.DType.Size();
        return new(n, 3 * n * size, attr.Multiply ? 2 * n : 0, (attr.Multiply ? 5 : 3) * n * size);
    }

    /// <inheritdoc/>
    public static IEnumerable<Sample<Attr>> Samples()
    {
        yield return new("sum", new(false), SampleInput.Normal(new Shape(3, 7, 5)), SampleInput.Normal(new Shape(3, 7, 5)));
        yield return new("product", new(true), SampleInput.Normal(new Shape(3, 7, 5)), SampleInput.Normal(new Shape(3, 7, 5)));
        yield return new("chunks", new(true), SampleInput.Normal(new Shape(Chunk + 3)), SampleInput.Normal(new Shape(Chunk + 3)));
        yield return new("bench", new(false), SampleInput.Normal(new Shape(8, 1024, 512)), SampleInput.Normal(new Shape(8, 1024, 512))) { Bench = true };
    }
}
