using System.Numerics;
using System.Runtime.InteropServices;
using Orthrus.Tensor;

namespace CustomOp;

/// <summary>y[r, c] = x[r, c] sigmoid(beta[c] x[r, c]): SiLU with a slope per channel.</summary>
/// <remarks>x, y (rows, channels), F32, F64 or BF16; beta (channels). Source: Ramachandran, Zoph and Le 2017.</remarks>
public sealed class Swish : IOp<NoAttr>
{
    public static string Name => "swish";

    // x, y may be BF16 on a GPU; beta and its gradient are float even then.
    public static OpSignature Signature { get; } = new([new("x"), new("beta", Precision: Precision.Wide)], [new("y")]) { BFloat16 = true };
    public static Saves Saves => Saves.Inputs;

    public static void Infer(ref ShapeRule rule, in NoAttr attr)
    {
        rule.Exactly(1, new Shape(rule.Rank(0, 2)[1]));
        rule.Out(0, rule.In(0).Shape);
    }

    // The specification. Value, exact derivative and error bound all come from these lines.
    public static void Reference<R>(in RefArgs<R> args, in NoAttr attr) where R : struct, IReal<R>
    {
        R[] x = args.In(0), beta = args.In(1), y = args.Out(0);
        for (int i = 0; i < x.Length; i++) y[i] = x[i] * Real.Sigmoid(beta[i % beta.Length] * x[i]);
    }

    public static unsafe void ForwardCpu<T>(in OpArgs args, in NoAttr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        T* x = args.Inputs[0].Pointer<T>(), beta = args.Inputs[1].Pointer<T>(), y = args.Outputs[0].Pointer<T>();
        long n = args.Inputs[0].Count, c = args.Inputs[1].Count;
        for (long i = 0; i < n; i++) y[i] = x[i] / (T.One + T.Exp(-beta[i % c] * x[i]));
    }

    public static unsafe void BackwardCpu<T>(in GradArgs args, in NoAttr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        T* x = args.Inputs[0].Pointer<T>(), beta = args.Inputs[1].Pointer<T>(), dy = args.OutputGrads[0].Pointer<T>();
        // Either gradient may be unwanted; what is wanted is overwritten.
        T* dx = args.InputGrads[0].IsNone ? null : args.InputGrads[0].Pointer<T>();
        T* db = args.InputGrads[1].IsNone ? null : args.InputGrads[1].Pointer<T>();
        long n = args.Inputs[0].Count, c = args.Inputs[1].Count;
        for (long j = 0; j < c && db is not null; j++) db[j] = T.Zero;
        for (long i = 0; i < n; i++)
        {
            // 1 - s as sigmoid(-beta x): the difference would cancel where s is near 1, and the check sees it.
            T bx = beta[i % c] * x[i], s = T.One / (T.One + T.Exp(-bx)), slope = x[i] * s / (T.One + T.Exp(bx));
            if (dx is not null) dx[i] = dy[i] * (s + beta[i % c] * slope);
            if (db is not null) db[i % c] += dy[i] * x[i] * slope;
        }
    }

    // In the engine itself: new("swish", "swish_forward"), which finds cuda/swish.cu.
    private static readonly CudaSource Source = new("swish", ReadSource());
    private static readonly CudaKernel ForwardKernel = new(Source, "swish_forward"), BackwardKernel = new(Source, "swish_backward");

    // The fields of the kernel's struct, in their order.
    [StructLayout(LayoutKind.Sequential)]
    private struct Args
    {
        internal nint X, Beta, Dy, Y, Dx, DBeta;
        internal int Rows, Channels;
    }

    public static void ForwardCuda(in OpArgs args, in NoAttr attr)
    {
        Tensor x = args.Inputs[0], y = args.Outputs[0];
        var a = new Args { X = x.Address, Beta = args.Inputs[1].Address, Y = y.Address, Rows = x.Shape[0], Channels = x.Shape[1] };
        args.Cuda.Launch(ForwardKernel, args.DType, CudaGrid.Cover(x.Count, 256), threads: 256, dynamicShared: 0, a);
    }

    public static void BackwardCuda(in GradArgs args, in NoAttr attr)
    {
        Tensor x = args.Inputs[0], dx = args.InputGrads[0], db = args.InputGrads[1];
        var a = new Args
        {
            X = x.Address, Beta = args.Inputs[1].Address, Dy = args.OutputGrads[0].Address, Dx = dx.IsNone ? 0 : dx.Address, DBeta = db.IsNone ? 0 : db.Address,
            Rows = x.Shape[0], Channels = x.Shape[1],
        };
        args.Cuda.Launch(BackwardKernel, args.DType, CudaGrid.Cover(a.Channels, 256), threads: 256, dynamicShared: 0, a);
    }

    public static OpCost Cost(in ShapeRule rule, in NoAttr attr) =>
        new(5 * rule.In(0).Shape.Count, rule.AllBytes(), 12 * rule.In(0).Shape.Count, 2 * rule.AllBytes());

    public static IEnumerable<Sample<NoAttr>> Samples()
    {
        yield return new("small", default, SampleInput.Normal(new Shape(4, 5)), SampleInput.Normal(new Shape(5)));
        yield return new("steep", default, SampleInput.Normal(new Shape(3, 2), 3), SampleInput.Values(new Shape(2), -8, 8));
        yield return new("several blocks", default, SampleInput.Normal(new Shape(2, 300)), SampleInput.Normal(new Shape(300)));
    }

    private static string ReadSource()
    {
        using var reader = new StreamReader(typeof(Swish).Assembly.GetManifestResourceStream("swish.cu")!);
        return reader.ReadToEnd();
    }
}
