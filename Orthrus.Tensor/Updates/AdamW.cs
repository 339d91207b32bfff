using System.Numerics;
using System.Runtime.InteropServices;
using Orthrus.Tensor.Cpu;

namespace Orthrus.Tensor;

/// <summary>
/// One step of AdamW on many parameters at once: p = p (1 - lr decay); m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2;
/// p = p - lr / (1 - beta1^t) m / (sqrt(v) / sqrt(1 - beta2^t) + eps).
/// </summary>
/// <remarks>
/// Lists: parameter, gradient, exp_avg (m), exp_avg_sq (v), F32 or F64, moments zero before step 1. With Decoupled = false the decay joins the
/// gradient instead (g + decay p): Adam with an L2 penalty. One call per group of parameters that share options. Source: Loshchilov and Hutter 2019; the
/// order of operations is PyTorch's.
/// </remarks>
public sealed class AdamW : IStateUpdate<AdamW.Attr>
{
    /// <summary>Options.</summary>
    /// <param name="LearningRate">Learning rate of this step.</param>
    /// <param name="WeightDecay">Decay of the weights, before the factor of the learning rate.</param>
    /// <param name="Step">Number of this step, from 1.</param>
    /// <param name="Beta1">Decay of the mean gradient.</param>
    /// <param name="Beta2">Decay of the mean squared gradient.</param>
    /// <param name="Eps">Added to the root of the mean squared gradient.</param>
    /// <param name="Decoupled">AdamW; false for Adam with the decay in the gradient.</param>
    public readonly record struct Attr(double LearningRate, double WeightDecay, long Step, double Beta1 = 0.9, double Beta2 = 0.999, double Eps = 1e-8, bool Decoupled = true);

    private const int Parameter = 0, Gradient = 1, Mean = 2, Square = 3;

    /// <inheritdoc/>
    public static string Name => "adamw";
    /// <inheritdoc/>
    public static UpdateSignature Signature { get; } = new([new("parameter", true), new("gradient", false), new("exp_avg", true), new("exp_avg_sq", true)], []);

    /// <inheritdoc/>
    public static void Reference<R>(in UpdateRefArgs<R> args, in Attr attr) where R : struct, IReal<R>
    {
        R keep = R.From(1 - attr.LearningRate * attr.WeightDecay), rate = R.From(attr.LearningRate / (1 - Math.Pow(attr.Beta1, attr.Step)));
        R root = R.From(Math.Sqrt(1 - Math.Pow(attr.Beta2, attr.Step)));
        for (int k = 0; k < args.List(Parameter).Length; k++)
            for (int i = 0; i < args.List(Parameter)[k].Length; i++)
            {
                ref R p = ref args.List(Parameter)[k][i], m = ref args.List(Mean)[k][i], v = ref args.List(Square)[k][i];
                R g = args.List(Gradient)[k][i];
                if (attr.Decoupled) p *= keep;
                else g += R.From(attr.WeightDecay) * p;
                m = R.From(attr.Beta1) * m + R.From(1 - attr.Beta1) * g;
                v = R.From(attr.Beta2) * v + R.From(1 - attr.Beta2) * g * g;
                p -= rate * m / (R.Sqrt(v) / root + R.From(attr.Eps));
            }
    }

    /// <inheritdoc/>
    public static unsafe void RunCpu<T>(in UpdateArgs args, in Attr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        RequireStep(attr);
        var job = new Job<T>
        {
            Lists = MultiTensor<T>.Of(args), Decoupled = attr.Decoupled, Keep = T.CreateTruncating(1 - attr.LearningRate * attr.WeightDecay),
            Decay = T.CreateTruncating(attr.WeightDecay), Beta1 = T.CreateTruncating(attr.Beta1), Beta2 = T.CreateTruncating(attr.Beta2),
            // From doubles: 1 - 0.999 in float32 would already be off by 5e-5.
            New1 = T.CreateTruncating(1 - attr.Beta1), New2 = T.CreateTruncating(1 - attr.Beta2),
            Rate = T.CreateTruncating(attr.LearningRate / (1 - Math.Pow(attr.Beta1, attr.Step))),
            Root = T.CreateTruncating(Math.Sqrt(1 - Math.Pow(attr.Beta2, attr.Step))), Eps = T.CreateTruncating(attr.Eps),
        };
        VectorJobs.Run<T, Job<T>>(args.Workers, args.VectorWidth, job.Lists.Chunks, ref job);
    }

    private static void RequireStep(in Attr attr)
    {
        if (attr.Step < 1) throw new ArgumentOutOfRangeException(nameof(attr), $"{Name}: step {attr.Step}; steps count from 1");
    }

    private static readonly CudaKernel Kernel = new("updates", "adamw");

    [StructLayout(LayoutKind.Sequential)]
    private struct CudaArgs
    {
        internal MultiTensorCuda Lists;
        internal float Keep, Decay, Beta1, Beta2, New1, New2, Rate, Unroot, Eps;
    }

    /// <inheritdoc/>
    public static void RunCuda(in UpdateArgs args, in Attr attr)
    {
        RequireStep(attr);
        var a = new CudaArgs
        {
            Keep = attr.Decoupled ? (float)(1 - attr.LearningRate * attr.WeightDecay) : 1, Decay = attr.Decoupled ? 0 : (float)attr.WeightDecay,
            Beta1 = (float)attr.Beta1, Beta2 = (float)attr.Beta2, New1 = (float)(1 - attr.Beta1), New2 = (float)(1 - attr.Beta2),
            Rate = (float)(attr.LearningRate / (1 - Math.Pow(attr.Beta1, attr.Step))),
            Unroot = (float)(1 / Math.Sqrt(1 - Math.Pow(attr.Beta2, attr.Step))), Eps = (float)attr.Eps,
        };
        for (int next = 0; next < args.Count;)
        {
            int blocks = a.Lists.Take(args, ref next);
            args.Cuda.Launch(Kernel, DType.F32, blocks, MultiTensorCuda.Threads, 0, a);
        }
    }

    private unsafe struct Job<T> : IVectorJob<T> where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        internal MultiTensor<T> Lists;
        internal bool Decoupled;
        internal T Keep, Decay, Beta1, Beta2, New1, New2, Rate, Root, Eps;

        public readonly void Run<V>(int chunk) where V : unmanaged, ISimd<V, T>
        {
            T* p = Lists.At(Parameter, chunk), g = Lists.At(Gradient, chunk), m = Lists.At(Mean, chunk), v = Lists.At(Square, chunk);
            int n = Lists.Length(chunk);
            V factor = V.Set(Decoupled ? Keep : T.One), decay = V.Set(Decoupled ? T.Zero : Decay), beta1 = V.Set(Beta1), beta2 = V.Set(Beta2), new1 = V.Set(New1);
            V new2 = V.Set(New2), rate = V.Set(Rate), root = V.Set(Root), eps = V.Set(Eps);
            for (int i = 0; i < n; i += V.Lanes)
            {
                int left = n - i;
                V pv = Edge.Load<V, T>(p + i, left) * factor, gv = Edge.Load<V, T>(g + i, left);
                if (!Decoupled) gv += decay * pv;
                V mv = beta1 * Edge.Load<V, T>(m + i, left) + new1 * gv, vv = beta2 * Edge.Load<V, T>(v + i, left) + new2 * gv * gv;
                Edge.Store(m + i, mv, left);
                Edge.Store(v + i, vv, left);
                Edge.Store(p + i, pv - rate * mv / (V.Sqrt(vv) / root + eps), left);
            }
        }
    }

    /// <inheritdoc/>
    public static OpCost Cost(long elements, DType dtype, in Attr attr) => new(15 * elements, 7 * elements * dtype.Size(), 0, 0);

    /// <inheritdoc/>
    public static IEnumerable<UpdateSample<Attr>> Samples()
    {
        SampleInput[] Of(Func<Shape, SampleInput> recipe, params Shape[] shapes) => [.. shapes.Select(recipe)];
        Shape[] small = [new(3, 7), new(5), new(1)], large = [new(2, 9000), new(16384), new(3)];
        Func<Shape, SampleInput> normal = s => SampleInput.Normal(s), moment = s => SampleInput.Normal(s, 0.3), square = s => SampleInput.Uniform(s, 0.01, 0.5);
        Func<Shape, SampleInput> zero = s => SampleInput.Values(s, 0);
        yield return new("first step", new(1e-2, 0.1, 1), Of(normal, small), Of(normal, small), Of(zero, small), Of(zero, small));
        yield return new("later step", new(3e-2, 0.3, 7, 0.8, 0.95, 1e-3), Of(normal, small), Of(normal, small), Of(moment, small), Of(square, small));
        yield return new("Adam with L2", new(1e-2, 0.2, 3, Decoupled: false), Of(normal, small), Of(normal, small), Of(moment, small), Of(square, small));
        yield return new("several chunks", new(1e-2, 0.05, 12), Of(normal, large), Of(normal, large), Of(moment, large), Of(square, large));
        yield return new("tiny gradients", new(1e-3, 0, 2), Of(normal, small), Of(s => SampleInput.Normal(s, 1e-9), small), Of(zero, small), Of(zero, small));
        yield return new("bench", new(1e-3, 1e-4, 100), Of(normal, new Shape(1 << 22)), Of(normal, new Shape(1 << 22)), Of(moment, new Shape(1 << 22)), Of(square, new Shape(1 << 22))) { Bench = true };
    }
}
