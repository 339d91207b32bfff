using System.Numerics;

namespace Orthrus.Tensor;

/// <summary>A loss that looks at one prediction and one target at a time.</summary>
internal interface IElementLoss<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    /// <summary>Loss of one element.</summary>
    static abstract T Loss(T x, T target);
    /// <summary>Its derivative with respect to x.</summary>
    static abstract T Slope(T x, T target);
}

/// <summary>What element-wise losses share: chunks, reductions, and the scale of the gradient.</summary>
internal static unsafe class ElementLoss
{
    internal static void Forward<TLoss, T>(in OpArgs args, Reduction reduction)
        where TLoss : IElementLoss<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        long n = args.Inputs[0].Count;
        int chunks = ChunkedSum.Count(n);
        T* loss = args.Outputs[0].Pointer<T>();
        bool perElement = reduction == Reduction.None;
        var job = new ForwardJob<TLoss, T>
        {
            X = args.Inputs[0].Pointer<T>(), Target = args.Inputs[1].Pointer<T>(), N = n, PerElement = perElement,
            Out = perElement ? loss : args.Scratch.Empty(new Shape(chunks), args.Outputs[0].DType).Pointer<T>(),
        };
        args.Workers.Run(chunks, ref job);
        if (perElement) return;
        T sum = ChunkedSum.Pairwise(job.Out, chunks);
        *loss = reduction == Reduction.Mean && n > 0 ? sum / T.CreateTruncating(n) : sum;
    }

    internal static void Backward<TLoss, T>(in GradArgs args, Reduction reduction)
        where TLoss : IElementLoss<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        if (args.InputGrads[0].IsNone) return;
        long n = args.Inputs[0].Count;
        var job = new BackwardJob<TLoss, T>
        {
            X = args.Inputs[0].Pointer<T>(), Target = args.Inputs[1].Pointer<T>(), Dx = args.InputGrads[0].Pointer<T>(),
            Dy = args.OutputGrads[0].Pointer<T>(), N = n, PerElement = reduction == Reduction.None,
            Divisor = reduction == Reduction.Mean ? T.CreateTruncating(n) : T.One,
        };
        args.Workers.Run(ChunkedSum.Count(n), ref job);
    }

    private struct ForwardJob<TLoss, T> : IParallelJob where TLoss : IElementLoss<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        internal T* X, Target, Out;
        internal long N;
        internal bool PerElement;

        public readonly void Run(int chunk)
        {
            long start = (long)chunk * ChunkedSum.Chunk, end = Math.Min(N, start + ChunkedSum.Chunk);
            if (PerElement)
            {
                for (long i = start; i < end; i++) Out[i] = TLoss.Loss(X[i], Target[i]);
                return;
            }
            // Four running sums: shorter chains of additions, less rounding.
            T s0 = T.Zero, s1 = T.Zero, s2 = T.Zero, s3 = T.Zero;
            long j = start;
            for (; j + 4 <= end; j += 4)
            {
                s0 += TLoss.Loss(X[j], Target[j]);
                s1 += TLoss.Loss(X[j + 1], Target[j + 1]);
                s2 += TLoss.Loss(X[j + 2], Target[j + 2]);
                s3 += TLoss.Loss(X[j + 3], Target[j + 3]);
            }
            for (; j < end; j++) s0 += TLoss.Loss(X[j], Target[j]);
            Out[chunk] = s0 + s1 + (s2 + s3);
        }
    }

    private struct BackwardJob<TLoss, T> : IParallelJob where TLoss : IElementLoss<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        internal T* X, Target, Dx, Dy;
        internal long N;
        internal bool PerElement;
        internal T Divisor;

        public readonly void Run(int chunk)
        {
            long start = (long)chunk * ChunkedSum.Chunk, end = Math.Min(N, start + ChunkedSum.Chunk);
            for (long i = start; i < end; i++) Dx[i] = TLoss.Slope(X[i], Target[i]) * (PerElement ? Dy[i] : *Dy / Divisor);
        }
    }
}
