using System.Numerics;
using System.Runtime.InteropServices;
using Orthrus.Tensor.Cuda;

namespace Orthrus.Tensor;

/// <summary>
/// Reverses each sequence within its own length: y[b, t] = x[b, len_b - 1 - t] for t below len_b, and y[b, t] = x[b, t] in the padding. Applied
/// twice it is the identity, so that the padding of one record never reaches another's numbers.
/// </summary>
/// <remarks>
/// x, y (B, L, D), F32, F64 or BF16; lengths (B), integers in 0 to L; absent: L for all. The CPU refuses a length outside; a CUDA device, which would have to wait
/// for its lengths, takes the nearest inside. Source: the bidirectional mixer with length-aware reversal.
/// </remarks>
public sealed class ReverseSequence : IOp<NoAttr>
{
    private const int PositionsPerItem = 64;

    /// <inheritdoc/>
    public static string Name => "reverse_sequence";
    /// <inheritdoc/>
    public static OpSignature Signature { get; } = new([new("x"), new("lengths", OperandKind.Integer, Optional: true)], [new("y")]) { BFloat16 = true };
    /// <inheritdoc/>
    public static Saves Saves => Saves.Inputs;

    /// <inheritdoc/>
    public static void Infer(ref ShapeRule rule, in NoAttr attr)
    {
        var x = rule.Rank(0, 3);
        rule.Exactly(1, new Shape(x[0]));
        rule.Type(1, DType.I32);
        rule.Out(0, x);
    }

    /// <inheritdoc/>
    public static void Reference<R>(in RefArgs<R> args, in NoAttr attr) where R : struct, IReal<R>
    {
        R[] x = args.In(0), y = args.Out(0);
        var s = args.Shape(0);
        for (int b = 0; b < s[0]; b++)
        {
            int length = args.Has(1) ? (int)args.Int(1)[b] : s[1];
            for (int t = 0; t < s[1]; t++)
                for (int c = 0; c < s[2]; c++)
                    y[(b * s[1] + t) * s[2] + c] = x[(b * s[1] + (t < length ? length - 1 - t : t)) * s[2] + c];
        }
    }

    /// <inheritdoc/>
    /// <exception cref="ShapeException">A length is negative or above L.</exception>
    public static void ForwardCpu<T>(in OpArgs args, in NoAttr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T> =>
        Reverse<T>(args.Inputs[0], args.Inputs[1], args.Outputs[0], args.Workers);

    /// <inheritdoc/>
    public static void BackwardCpu<T>(in GradArgs args, in NoAttr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        // The map is its own transpose.
        if (!args.InputGrads[0].IsNone) Reverse<T>(args.OutputGrads[0], args.Inputs[1], args.InputGrads[0], args.Workers);
    }

    private static unsafe void Reverse<T>(in Tensor x, in Tensor lengths, in Tensor y, WorkerPool workers) where T : unmanaged
    {
        var s = x.Shape;
        var job = new Job<T> { X = x.Pointer<T>(), Y = y.Pointer<T>(), Lengths = lengths.IsNone ? null : lengths.Pointer<int>(), L = s[1], D = s[2], Blocks = (s[1] + PositionsPerItem - 1) / PositionsPerItem };
        for (int b = 0; b < s[0] && !lengths.IsNone; b++)
            if (job.Lengths[b] < 0 || job.Lengths[b] > s[1]) throw new ShapeException($"{Name}: length {job.Lengths[b]} of sequence {b}; want 0 to {s[1]}");
        workers.Run(checked(s[0] * job.Blocks), ref job);
    }

    private static readonly CudaKernel Kernel = new("reverse_sequence", "reverse_sequence");

    [StructLayout(LayoutKind.Sequential)]
    private struct CudaArgs
    {
        internal nint X, Y, Lengths;
        internal int B, L, Units, InFours, Shift;
    }

    /// <inheritdoc/>
    public static void ForwardCuda(in OpArgs args, in NoAttr attr) => Launch(args.Cuda, args.DType, args.Inputs[0], args.Inputs[1], args.Outputs[0]);

    /// <inheritdoc/>
    public static void BackwardCuda(in GradArgs args, in NoAttr attr)
    {
        if (!args.InputGrads[0].IsNone) Launch(args.Cuda, args.DType, args.OutputGrads[0], args.Inputs[1], args.InputGrads[0]);
    }

    private static void Launch(CudaDevice device, DType dtype, in Tensor x, in Tensor lengths, in Tensor y)
    {
        const int rowsOfThread = 4;
        var s = x.Shape;
        if (s.Count == 0) return;
        bool inFours = s[2] % 4 == 0 && CudaElements.Fours(dtype, x.Address | y.Address);
        int units = inFours ? s[2] / 4 : s[2], shift = Math.Min(BitOperations.Log2(BitOperations.RoundUpToPowerOf2((uint)units)), BitOperations.Log2(CudaElements.Threads));
        var a = new CudaArgs { X = x.Address, Y = y.Address, Lengths = lengths.AddressOrZero, B = s[0], L = s[1], Units = units, InFours = inFours ? 1 : 0, Shift = shift };
        var grid = new CudaGrid(CudaGrid.Cover(s[1], rowsOfThread * (CudaElements.Threads >> shift)), Math.Min(s[0], CudaGrid.MaxY));
        device.Launch(Kernel, dtype, grid, CudaElements.Threads, 0, a);
    }

    private unsafe struct Job<T> : IParallelJob where T : unmanaged
    {
        internal T* X, Y;
        internal int* Lengths;
        internal int L, D, Blocks;

        public readonly void Run(int item)
        {
            int b = item / Blocks, length = Lengths is null ? L : Lengths[b], first = item % Blocks * PositionsPerItem;
            T* x = X + (long)b * L * D, y = Y + (long)b * L * D;
            for (int t = first; t < Math.Min(L, first + PositionsPerItem); t++)
                new ReadOnlySpan<T>(x + (long)(t < length ? length - 1 - t : t) * D, D).CopyTo(new Span<T>(y + (long)t * D, D));
        }
    }

    /// <inheritdoc/>
    public static OpCost Cost(in ShapeRule rule, in NoAttr attr) => new(0, rule.AllBytes(), 0, rule.AllBytes());

    /// <inheritdoc/>
    public static IEnumerable<Sample<NoAttr>> Samples()
    {
        yield return new("lengths", default, SampleInput.Normal(new Shape(4, 7, 5)), SampleInput.IntValues(new Shape(4), DType.I32, 7, 4, 1, 0));
        yield return new("several items", default, SampleInput.Normal(new Shape(2, 131, 2)), SampleInput.IntValues(new Shape(2), DType.I32, 130, 65));
        yield return new("whole", default, SampleInput.Normal(new Shape(2, 6, 3)), SampleInput.Absent);
        yield return new("bench", default, SampleInput.Normal(new Shape(8, 1024, 512)), SampleInput.Absent) { Bench = true };
    }
}
