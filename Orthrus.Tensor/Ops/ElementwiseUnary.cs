using System.Numerics;
using System.Runtime.CompilerServices;
using Orthrus.Tensor.Cpu;

namespace Orthrus.Tensor;

/// <summary>A function of one number and its gradient, over vectors of any width.</summary>
internal interface IUnary<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    /// <summary>y.</summary>
    static abstract V Value<V>(V x) where V : unmanaged, ISimd<V, T>;
    /// <summary>dx = dy times the derivative at x.</summary>
    static abstract V Gradient<V>(V x, V dy) where V : unmanaged, ISimd<V, T>;
}

/// <summary>Walks the elements for operators of one operand: chunks of fixed size over the threads, whole vectors, the rest in one padded vector.</summary>
internal static unsafe class ElementwiseUnary
{
    /// <summary>Elements of a chunk.</summary>
    internal const int Chunk = 1 << 14;

    internal static void Forward<TFunction, T>(in OpArgs args) where TFunction : struct, IUnary<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var job = new Job<TFunction, T> { X = args.Inputs[0].Pointer<T>(), To = args.Outputs[0].Pointer<T>(), Count = args.Inputs[0].Count, Width = args.VectorWidth };
        args.Workers.Run(job.Items, ref job);
    }

    internal static void Backward<TFunction, T>(in GradArgs args) where TFunction : struct, IUnary<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        if (args.InputGrads[0].IsNone) return;
        var job = new Job<TFunction, T>
        {
            X = args.Inputs[0].Pointer<T>(), Dy = args.OutputGrads[0].Pointer<T>(), To = args.InputGrads[0].Pointer<T>(), Count = args.Inputs[0].Count, Width = args.VectorWidth,
        };
        args.Workers.Run(job.Items, ref job);
    }

    private struct Job<TFunction, T> : IParallelJob where TFunction : struct, IUnary<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        internal T* X, Dy, To;
        internal long Count;
        internal int Width;

        internal readonly int Items => checked((int)((Count + Chunk - 1) / Chunk));

        public readonly void Run(int index)
        {
            long first = (long)index * Chunk;
            var walk = new Walk<TFunction, T> { X = X + first, Dy = Dy is null ? null : Dy + first, To = To + first, Count = (int)Math.Min(Chunk, Count - first) };
            SimdDispatch.Run<T, Walk<TFunction, T>>(Width, ref walk);
        }
    }

    private struct Walk<TFunction, T> : IVectorCode<T> where TFunction : struct, IUnary<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        internal T* X, Dy, To;
        internal int Count;

        public readonly void Run<V>() where V : unmanaged, ISimd<V, T>
        {
            int whole = Count / V.Lanes * V.Lanes, rest = Count - whole;
            if (Dy is null) Values<V>(X, To, whole);
            else Gradients<V>(X, Dy, To, whole);
            if (rest == 0) return;
            T* x = stackalloc T[V.Lanes], dy = stackalloc T[V.Lanes];
            for (int i = 0; i < V.Lanes; i++) x[i] = i < rest ? X[whole + i] : T.Zero;
            if (Dy is null) Values<V>(x, x, V.Lanes);
            else
            {
                for (int i = 0; i < V.Lanes; i++) dy[i] = i < rest ? Dy[whole + i] : T.Zero;
                Gradients<V>(x, dy, x, V.Lanes);
            }
            for (int i = 0; i < rest; i++) To[whole + i] = x[i];
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static void Values<V>(T* x, T* y, int n) where V : unmanaged, ISimd<V, T>
        {
            for (int i = 0; i < n; i += V.Lanes) V.Store(y + i, TFunction.Value(V.Load(x + i)));
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static void Gradients<V>(T* x, T* dy, T* dx, int n) where V : unmanaged, ISimd<V, T>
        {
            for (int i = 0; i < n; i += V.Lanes) V.Store(dx + i, TFunction.Gradient(V.Load(x + i), V.Load(dy + i)));
        }
    }
}
